"""Networks in torch: the reference, GPUs, and weights that have no graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vrn.engine.choice import HALF, TORCH, Engine
from vrn.errors import BackendMissingError
from vrn.finder.config import ALIGNER, DENSE, DETECTOR, AlignerConfig, DenseConfig, DetectorConfig
from vrn.finder.dense_network import DenseLook, DenseNetwork
from vrn.finder.looks import TwoLooks
from vrn.finder.networks import AlignerNetwork, DetectorNetwork
from vrn.network.config import FAMILY as HOURGLASS
from vrn.network.config import HourglassConfig
from vrn.network.guided import GuidedHourglass, HeadPass
from vrn.network.guided_config import FAMILY as GUIDED
from vrn.network.guided_config import GuidedConfig
from vrn.network.hourglass import FieldPass, Hourglass
from vrn.official.config import FAMILY as OFFICIAL
from vrn.official.config import OfficialConfig
from vrn.official.network import Official
from vrn.weights import file as weights
from vrn.weights.read import Weights

FAMILIES: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    DETECTOR: lambda config: DetectorNetwork(DetectorConfig.of(config)),
    ALIGNER: lambda config: AlignerNetwork(AlignerConfig.of(config)),
    DENSE: lambda config: DenseNetwork(DenseConfig.of(config)),
    HOURGLASS: lambda config: Hourglass(HourglassConfig.of(config)),
    GUIDED: lambda config: GuidedHourglass(GuidedConfig.of(config)),
    OFFICIAL: lambda config: Official(OfficialConfig.of(config)),
}
PASSES: dict[type[nn.Module], Callable[[Any], nn.Module]] = {  # what is run of a network, where that is not itself
    AlignerNetwork: TwoLooks,
    DenseNetwork: DenseLook,
    Hourglass: FieldPass,
    GuidedHourglass: HeadPass,
}
HALVED = (DetectorNetwork, AlignerNetwork, DenseNetwork, Hourglass, GuidedHourglass)  # that half precision was tried on


class TorchGraph:
    """See `vrn.engine.graph.Graph`.

    network : as it was trained; it is made ready to run, in place
    weights : what it was filled with, if it was
    engine : the device, the threads of the process, and the precision of the layers
    """

    engine = "torch"

    def __init__(
        self,
        network: nn.Module,
        weights: Weights | None = None,
        engine: Engine | None = None,
        constants: tuple[NDArray[Any], ...] = (),
    ) -> None:
        engine = engine or Engine(TORCH)
        if engine.threads:
            torch.set_num_threads(engine.threads)
        self.config: dict[str, Any] = weights.config if weights else cast(Any, network.config).to_dict()
        self.metrics, self.sha256 = (weights.metrics, weights.sha256) if weights else ({}, "")
        self._device = _existing(engine.device)
        self._layout = getattr(network, "layout", torch.channels_last)
        ready(network)
        network.to(self._device, memory_format=self._layout)  # type: ignore[call-overload]
        self._run = as_run(_halved(network, engine, self._device))
        self._constants = [torch.from_numpy(array).to(self._device) for array in constants]

    @torch.inference_mode()
    def run(self, *inputs: NDArray[np.float32]) -> tuple[NDArray[Any], ...]:
        """See `vrn.engine.graph.Graph`."""
        answers = self._run(*(self._tensor(each) for each in inputs), *self._constants)
        answers = answers if isinstance(answers, tuple) else (answers,)
        return tuple(each.float().cpu().numpy() for each in answers)

    def _tensor(self, array: NDArray[np.float32]) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(self._device)
        return tensor.contiguous(memory_format=self._layout) if tensor.ndim == 4 else tensor


def build(loaded: Weights) -> nn.Module:
    """The network of a weights file. Raises WeightsError when they do not fit each other."""
    network = FAMILIES[loaded.config["family"]](loaded.config)
    weights.fill(network, loaded.tensors)
    return network


def _halved(network: nn.Module, engine: Engine, device: torch.device) -> nn.Module:
    return HalfPrecision(network, device) if engine.precision == HALF and type(network) in HALVED else network


class HalfPrecision(nn.Module):
    """A network whose convolutions and products are computed in half precision; what goes in and out is single."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.network = network
        self.config = network.config
        self._device = device.type

    def forward(self, *inputs: torch.Tensor) -> Any:
        """See the network."""
        with torch.autocast(self._device, torch.float16):
            return _single(self.network(*inputs))


def _single(answer: Any) -> Any:
    if isinstance(answer, tuple):
        return tuple(_single(part) for part in answer)
    if is_dataclass(answer) and not isinstance(answer, type):
        return replace(answer, **{field.name: _single(getattr(answer, field.name)) for field in fields(answer)})
    return answer.float() if isinstance(answer, torch.Tensor) else answer


def as_run(network: nn.Module) -> nn.Module:
    """The module whose inputs and outputs are those of a graph."""
    wrap = PASSES.get(type(network.network if isinstance(network, HalfPrecision) else network))
    return wrap(network) if wrap else network


def ready(network: nn.Module) -> None:
    """Make a network fit to run, in place: evaluation mode, batch norms folded into the convolutions before them."""
    network.eval().requires_grad_(False)
    for part in network.modules():
        if isinstance(part, nn.Sequential):
            _fold(part)


def _fold(layers: nn.Sequential) -> None:
    for index in range(len(layers) - 1):
        before, after = layers[index], layers[index + 1]
        if isinstance(before, nn.Conv2d) and type(after) is nn.BatchNorm2d:  # no other norm
            folded = fuse_conv_bn_eval(before, after)
            folded.weight.data = folded.weight.data.contiguous(memory_format=torch.channels_last)
            layers[index], layers[index + 1] = folded, nn.Identity()


def _existing(device: str) -> torch.device:
    """The device. Raises BackendMissingError for a GPU that torch does not see: its own error blames the build."""
    found = torch.device(device)
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        text = f"torch sees no GPU for the device {device}: install a driver that it knows, or choose the device cpu"
        raise BackendMissingError(text)
    return found
