"""What users of the client rely on: its names, its two faces, what it drags in."""

import inspect
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import selfie3d
from selfie3d import AsyncClient, AsyncJob, Client, Job

HEAVY = {"torch", "celery", "redis", "kombu", "vrn", "selfie3d_jobs", "selfie3d_service", "trimesh", "tqdm", "PIL"}
PUBLIC = [
    "Aborted", "AlreadyExists", "AsyncClient", "AsyncJob", "Client", "Compression", "DeadlineExceeded", "Detail",
    "DownloadDamaged", "Event", "Extent", "Face", "FailedPrecondition", "Format", "InvalidArgument",
    "InvalidConnection", "Job", "JobCancelled", "JobEnded", "JobExpired", "JobFailed", "JobOptions",
    "JobPhotoRejected", "JobState", "JobStatus", "LeftOut", "Mesh", "MeshFile", "MeshUnreadable", "MissingExtra",
    "NoFace", "NotFound", "OptionError", "Options", "PermissionDenied", "PhotoRejected", "PhotoView", "Pose",
    "Preview", "Priority", "QuotaExceeded", "Reconstructor", "Result", "Retry", "Selfie3dError", "ServiceError",
    "Stage", "Tls", "TlsFailed", "Topology", "Unauthenticated", "Unavailable", "Violation", "__version__",
]  # fmt: skip


def fresh(code: str) -> str:
    """What `code` prints in an interpreter of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_the_public_names_are_these_and_all_are_there() -> None:
    assert selfie3d.__all__ == PUBLIC
    assert all(getattr(selfie3d, name) for name in PUBLIC)
    assert set(PUBLIC) <= set(dir(selfie3d))
    with pytest.raises(AttributeError, match="no attribute 'Clint'"):
        selfie3d.Clint  # noqa: B018


@pytest.mark.slow
def test_the_types_need_neither_grpc_nor_protobuf() -> None:
    loaded = fresh("import sys, selfie3d.types; print(*{name.partition('.')[0] for name in sys.modules})").split()
    assert set(loaded) & (HEAVY | {"grpc", "google"}) == set()


@pytest.mark.slow
def test_a_part_that_is_not_installed_is_named_with_its_extra() -> None:
    code = "import sys; sys.modules['skimage'] = None; import selfie3d; print(selfie3d.Client); selfie3d.Reconstructor"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "_client.Client" in ended.stdout
    assert "MissingExtra: selfie3d.Reconstructor needs skimage" in ended.stderr
    assert "pip install '.[worker]'" in ended.stderr


@pytest.mark.slow
def test_importing_it_brings_nothing_heavy() -> None:
    loaded = fresh("import sys, selfie3d; print(*{name.partition('.')[0] for name in sys.modules})").split()
    assert set(loaded) & HEAVY == set()


@pytest.mark.parametrize(("blocking", "asynchronous"), [(Client, AsyncClient), (Job, AsyncJob)])
def test_both_faces_have_the_same_methods_and_arguments(blocking: type, asynchronous: type) -> None:
    def methods(face: type) -> dict[str, object]:
        public = {name: value for name, value in vars(face).items() if not name.startswith("_")}
        return {name: (inspect.signature(value).parameters, inspect.getdoc(value)) for name, value in public.items()}

    assert methods(blocking) == methods(asynchronous)
    assert inspect.signature(Client) == inspect.signature(AsyncClient)


def test_it_is_typed() -> None:
    assert Path(selfie3d.__file__).with_name("py.typed").is_file()


def test_making_a_client_asks_nothing_of_the_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        Client(f"127.0.0.1:{server.getsockname()[1]}").close()
        with pytest.raises(BlockingIOError):
            server.accept()
