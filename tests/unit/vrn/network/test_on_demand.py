"""The network of the face is opened when a photo wants it, where there is one of whole heads."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.photos import astronaut
from vrn import Reconstructor
from vrn.engine import choose
from vrn.errors import WeightsError
from vrn.network import LoadedNetwork, load_network
from vrn.network.heads import load_face_network, load_heads
from vrn.network.load import NetworkOnDemand
from vrn.weights.store import FOLDER

ENGINE = choose("onnx")


@pytest.mark.slow
def test_it_answers_as_the_network_that_is_opened_at_once() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (192, 192, 3), np.uint8)
    on_demand, at_once = NetworkOnDemand("default", ENGINE), load_network("default", ENGINE)
    assert (on_demand.sha256, on_demand.engine) == (at_once.sha256, at_once.engine)
    assert np.array_equal(on_demand.field(crop).values, at_once.field(crop).values)


@pytest.mark.slow
def test_a_head_does_without_it_and_a_face_opens_it() -> None:
    reconstructor = Reconstructor.open(device="cpu")
    network = reconstructor._network
    assert isinstance(network, NetworkOnDemand)
    reconstructor.reconstruct(astronaut())
    assert "_network" not in vars(network)
    reconstructor.reconstruct(astronaut(), extent="face")
    assert "_network" in vars(network)


@pytest.mark.parametrize("suffix", [".safetensors", ".int8.onnx"])
def test_damaged_weights_are_refused_at_once(tmp_path: Path, suffix: str) -> None:
    for name in ("default.safetensors", "default.int8.onnx", "SHA256SUMS"):
        shutil.copy(FOLDER / name, tmp_path)
    damaged = tmp_path / f"default{suffix}"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=f"default{suffix} is damaged"):
        NetworkOnDemand(tmp_path / "default.safetensors", ENGINE)


@pytest.mark.slow
def test_weights_without_heads_are_opened_at_once() -> None:
    assert isinstance(load_face_network("default", ENGINE, None), LoadedNetwork)


@pytest.mark.slow
def test_heads_warm_up_on_a_face_of_no_photo() -> None:
    heads = load_heads("default", ENGINE)
    assert heads
    heads.warm_up()
