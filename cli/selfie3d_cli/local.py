"""Reconstruction in this process: no service, no Redis."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from selfie3d import OptionError, Options
from selfie3d_cli.errors import CommandError, ExtraMissingError, UsageError
from selfie3d_cli.outcome import PhotoFailedError
from selfie3d_cli.settings import from_environment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from selfie3d import Result
    from vrn import Field, Reconstructor
    from vrn.network.load import LoadedNetwork, NetworkOnDemand


class LocalBackend:
    """Reconstructs one photo after the other with models that are loaded once."""

    at_once = 1
    engine: str | None

    def __init__(self, reconstructor: Reconstructor, options: Options, recorder: Recorder) -> None:
        self.engine = recorder.engine
        self._reconstructor = reconstructor
        self._options = options
        self._recorder = recorder

    def reconstruct(self, photo: bytes | list[bytes], on_progress: Callable[[str, float], None]) -> Result:
        """See `Backend`. Raises PhotoFailedError, UsageError."""
        from selfie3d_photo import PhotoError
        from vrn import VrnError

        self._recorder.fields.clear()
        try:
            together = isinstance(photo, list)
            return self._reconstructor.reconstruct(photo, self._options, on_progress, one_person=together)
        except OptionError as error:
            raise UsageError(str(error)) from error
        except (VrnError, PhotoError) as error:
            raise PhotoFailedError(str(error.reason), str(error)) from error

    def write_volume(self, index: int, path: Path) -> None:
        """Write the volume of a face of the last photo, .raw or .npy."""
        from vrn.files.volume_file import write_volume

        write_volume(path, self._recorder.fields[index])

    def abandon(self) -> None:
        """Nothing goes on without us."""

    def close(self) -> None:
        """Nothing is open."""


class Recorder:
    """A network that keeps the fields it makes of a photo's faces, for --volume."""

    def __init__(self, network: LoadedNetwork | NetworkOnDemand) -> None:
        self.engine = network.engine
        self._network = network
        self.fields: list[Field] = []

    def field(self, crop: NDArray[np.uint8]) -> Field:
        """The network's field. crop : (192, 192, 3) uint8 - RGB, crop frame."""
        self.fields.append(self._network.field(crop))
        return self.fields[-1]


def open_local(args: argparse.Namespace, options: Options) -> LocalBackend:
    """Load the models of --model, --aligner, --device and --engine. Raises ExtraMissingError, CommandError."""
    try:
        from vrn import BackendMissingError, Reconstructor, VrnError
        from vrn.engine import choose
        from vrn.finder import load_finder
        from vrn.network.heads import load_face_network, load_heads
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_extra("worker", error.name) from error
    settings = from_environment()
    device, aligner = args.device or settings.device, args.aligner or settings.aligner
    try:
        engine = choose(args.engine or settings.engine, device, precision=settings.precision)
        model = args.model or settings.model
        heads = load_heads(model, engine)
        network = Recorder(load_face_network(model, engine, heads))
        finder = load_finder(aligner, engine, **settings.options_of(aligner))
    except BackendMissingError as error:
        raise ExtraMissingError(str(error)) from error
    except VrnError as error:
        raise CommandError(str(error)) from error
    except (ValueError, RuntimeError, AssertionError) as error:  # torch's, for a device that is not there
        raise CommandError(f"the models cannot be opened on {device}: {error}") from error
    return LocalBackend(Reconstructor(network, finder, heads=heads), options, network)
