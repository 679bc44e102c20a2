import subprocess
import sys
from typing import Any

import pytest

from selfie3d_worker import WorkerConfig
from selfie3d_worker.forking import FORK, SPAWN, start_method
from selfie3d_worker.main import celery_settings

PARENT = """
import os, sys
from selfie3d_worker import main
from selfie3d_worker.config import WorkerConfig
from selfie3d_worker.forking import import_for_children, start_method
main.give_numpy_one_thread()
config = WorkerConfig(device="cpu")
assert start_method(config) == "fork"
import_for_children(config)
wanted = {"vrn.pipeline", "selfie3d_worker.vrn_model", "onnxruntime", "scipy.spatial"}
assert wanted <= set(sys.modules), wanted - set(sys.modules)
assert not {"grpc", "torch"} & set(sys.modules)
print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"device": "cpu"}, FORK),
        ({"engine": "onnx"}, FORK),
        ({"engine": "torch", "device": "cpu"}, SPAWN),
        ({"device": "cuda:1"}, SPAWN),
        ({"device": "cpu", "models": "/a/socket"}, SPAWN),  # a thread of the parent watches the model process
        ({"engine": "onnx", "device": "cuda"}, SPAWN),  # cannot work, as the children report
    ],
)
def test_children_are_forked_where_neither_cuda_nor_a_thread_is_in_the_way(changes: Any, wanted: str) -> None:
    config = WorkerConfig(**changes)
    assert start_method(config) == wanted
    assert celery_settings(config)["worker_pool_start_method"] == wanted


def test_a_parent_that_forks_has_one_thread_and_neither_grpc_nor_torch() -> None:
    run = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, "1"), run.stderr
