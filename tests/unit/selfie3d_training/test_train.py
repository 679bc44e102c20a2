from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from selfie3d_training.commands import main
from selfie3d_training.config import TrainConfig
from selfie3d_training.dataset import Material
from selfie3d_training.engine import Trainer, read_checkpoint
from selfie3d_training.errors import CheckpointError, TrainingError
from selfie3d_training.export import export
from selfie3d_training.train import VolumeTask
from vrn.errors import WeightsError
from vrn.network import load_network
from vrn.weights import file as weights

pytestmark = pytest.mark.slow  # each test trains


def lines(folder: Path, kind: str) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return [line for line in csv.DictReader(file) if line["kind"] == kind]


def test_a_few_steps_lower_the_loss(material: Material, tiny: TrainConfig, tmp_path: Path) -> None:
    Trainer(VolumeTask(tiny, material), tmp_path).run(steps=24)
    losses = [float(line["loss"]) for line in lines(tmp_path, "train")]
    assert len(losses) == 6
    assert losses[-1] < 0.88 * losses[0]


def test_a_resumed_run_ends_with_the_same_weights(material: Material, tiny: TrainConfig, tmp_path: Path) -> None:
    Trainer(VolumeTask(tiny, material), tmp_path / "whole").run(steps=6)
    Trainer(VolumeTask(tiny, material), tmp_path / "parts").run(steps=3)
    Trainer(VolumeTask(tiny, material), tmp_path / "parts").run(steps=3)
    whole, parts = read_checkpoint(tmp_path / "whole"), read_checkpoint(tmp_path / "parts")
    assert whole["step"] == parts["step"] == 6
    for key in ("model", "average"):
        for name, value in whole[key].items():
            assert torch.equal(value, parts[key][name]), name


def test_samples_made_by_other_processes_are_the_same(material: Material, tiny: TrainConfig, tmp_path: Path) -> None:
    Trainer(VolumeTask(tiny, material), tmp_path / "alone").run(steps=2)
    Trainer(VolumeTask(tiny.override({"workers": 1}), material), tmp_path / "helped").run(steps=2)
    alone, helped = read_checkpoint(tmp_path / "alone"), read_checkpoint(tmp_path / "helped")
    assert all(torch.equal(value, helped["model"][name]) for name, value in alone["model"].items())


def test_a_run_ends_when_its_samples_are_used_up(material: Material, tiny: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(VolumeTask(tiny.override({"samples": 10}), material), tmp_path)
    trainer.run()
    assert trainer.step == 3
    assert Trainer(VolumeTask(tiny.override({"samples": 10}), material), tmp_path).step == 3


def test_a_run_ends_when_its_minutes_are_used_up(material: Material, tiny: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(VolumeTask(tiny.override({"minutes": 1e-4}), material), tmp_path)
    trainer.run()
    assert trainer.step == 1


def test_the_rate_rises_and_falls_to_zero(material: Material, tiny: TrainConfig, tmp_path: Path) -> None:
    Trainer(VolumeTask(tiny.override({"samples": 48, "log_every": 1, "warmup": 8}), material), tmp_path).run()
    rates = [float(line["rate"]) for line in lines(tmp_path, "train")]
    assert rates[0] < rates[1] == max(rates)
    assert rates[-1] < 0.05 * max(rates)


def test_checkpoints_are_validated_and_logged(material: Material, tiny: TrainConfig, tmp_path: Path) -> None:
    Trainer(VolumeTask(tiny.override({"checkpoint_minutes": 0.0}), material), tmp_path).run(steps=2)
    assert [line["step"] for line in lines(tmp_path, "val")] == ["1", "2"]
    assert all(float(line["front"]) > 0 for line in lines(tmp_path, "val"))


def test_a_checkpoint_of_another_configuration_is_refused(
    material: Material, tiny: TrainConfig, tmp_path: Path
) -> None:
    Trainer(VolumeTask(tiny, material), tmp_path).run(steps=1)
    with pytest.raises(CheckpointError, match="another seed"):
        Trainer(VolumeTask(tiny.override({"seed": 1}), material), tmp_path)
    Trainer(VolumeTask(tiny.override({"minutes": 5.0}), material), tmp_path)


def test_bfloat16_trains_too(material: Material, tiny: TrainConfig, tmp_path: Path) -> None:
    Trainer(VolumeTask(tiny.override({"bf16": True}), material), tmp_path).run(steps=8)
    losses = [float(line["loss"]) for line in lines(tmp_path, "train")]
    assert losses[1] < losses[0]


def test_an_exported_run_is_ready_for_inference(material: Material, tiny: TrainConfig, tmp_path: Path) -> None:
    Trainer(VolumeTask(tiny, material), tmp_path / "run").run(steps=3)
    digest = export(tmp_path / "run", tmp_path / "out" / "tiny.safetensors", {"iou": 0.5})
    network = load_network(tmp_path / "out" / "tiny.safetensors")
    assert network.sha256 == digest
    assert network.metrics == {"samples": 12, "iou": 0.5}
    assert network.field(material.photos.image(0)[:192, :192].copy()).values.shape == (108, 96, 96)
    average = read_checkpoint(tmp_path / "run")["average"]
    stored = weights.load(tmp_path / "out" / "tiny.safetensors").tensors
    for name, value in stored.items():
        torch.testing.assert_close(value, average[name], rtol=1e-3, atol=1e-6)


def test_a_folder_without_a_checkpoint_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt"):
        export(tmp_path, tmp_path / "x.safetensors")


def test_the_command_line_trains_exports_and_evaluates(
    data: Path, tiny: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.json").write_text(tiny.override({"samples": 16, "log_every": 2}).to_json())
    run, views, out = (str(tmp_path / name) for name in ("run", "views", "tiny.safetensors"))
    common = ["--data", str(data), "--views", views]
    assert main(["turn", *common, "--count", "2", "--split", "val"]) == 0
    assert main(["train", *common, "--folder", run, "--config", str(tmp_path / "tiny.json")]) == 0
    assert main(["export", "--folder", run, "--out", out]) == 0
    page = ["evaluate", *common, "--weights", out, "--folder", run, "--count", "2", "--out", str(tmp_path / "page")]
    assert main(page) == 0
    assert "| photos, label crop | all | 2 |" in capsys.readouterr().out
    rows = json.loads((tmp_path / "page" / "metrics.json").read_text())
    assert {row["group"] for row in rows} == {"photos, label crop", "turned views"}
    assert {path.name for path in (tmp_path / "page").iterdir()} >= {"metrics.md", "curves.png"}


def test_the_command_line_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", str(tmp_path), "--folder", str(tmp_path / "run")]) == 1
    assert "faces-*.tar" in capsys.readouterr().err


def test_a_run_goes_on_with_as_many_processes_as_it_began(
    material: Material, tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trainer(VolumeTask(tiny, material), tmp_path).run(steps=1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(CheckpointError, match="number of processes"):
        Trainer(VolumeTask(tiny, material), tmp_path)


def test_two_processes_train_one_network(data: Path, tiny: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "tiny.json").write_text(tiny.override({"samples": 96}).to_json())
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    train = ["-m", "selfie3d_training", "train", "--data", str(data), "--views", str(tmp_path / "views")]
    files = ["--folder", str(tmp_path / "run"), "--config", str(tmp_path / "tiny.json")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    subprocess.run([*launcher, *train, *files], check=True, env=environment, timeout=300)
    checkpoint = read_checkpoint(tmp_path / "run")
    assert (checkpoint["step"], checkpoint["samples"]) == (12, 96)
    assert [line["samples"] for line in lines(tmp_path / "run", "train")] == ["32", "64", "96"]
    losses = [float(line["loss"]) for line in lines(tmp_path / "run", "train")]
    assert losses[-1] < losses[0]


def test_a_run_can_start_from_weights(material: Material, tiny: TrainConfig, tmp_path: Path) -> None:
    Trainer(VolumeTask(tiny, material), tmp_path / "first").run(steps=2)
    export(tmp_path / "first", tmp_path / "first.safetensors")
    second = Trainer(VolumeTask(tiny, material), tmp_path / "second", initial=tmp_path / "first.safetensors")
    stored = weights.load(tmp_path / "first.safetensors").tensors
    assert all(torch.equal(value, second.model.state_dict()[name]) for name, value in stored.items())
    wider = tiny.override({"network": {"stem": 12}})
    with pytest.raises(WeightsError, match="shape"):
        Trainer(VolumeTask(wider, material), tmp_path / "third", initial=tmp_path / "first.safetensors")


def test_an_override_file_holds_only_what_differs(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"batch": 2, "network": {"widths": [8, 16]}}')
    config = TrainConfig().read(tmp_path / "x.json")
    assert (config.batch, config.network.widths, config.network.stem) == (2, (8, 16), TrainConfig().network.stem)
    assert TrainConfig.of(json.loads(config.to_json())) == config
    assert TrainConfig().read(None) == TrainConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "JSON"), ('{"speed": 1}', "speed"), ('{"batch": "many"}', "batch: expected int"), ('{"bf16": 1}', "bf16")],
)
def test_a_bad_override_names_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(TrainingError, match=message):
        TrainConfig().read(tmp_path / "x.json")
