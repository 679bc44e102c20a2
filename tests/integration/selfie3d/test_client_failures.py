"""What goes wrong on the way: errors, deadlines, restarts, damaged files, strangers."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2

from selfie3d import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    DownloadDamaged,
    InvalidArgument,
    NotFound,
    PhotoRejected,
    QuotaExceeded,
    Retry,
    Selfie3dError,
    Tls,
    Unavailable,
    Violation,
)
from selfie3d.errors import CODES
from tests.integration.selfie3d.conftest import FAST, ask, collect
from tests.scripted_service import FULL, MESH, PICTURE, UNAVAILABLE, Running, Script, rich_error

PHOTO = b"\xff\xd8 a photo"
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "CreateJob": lambda client, _job: client.submit(PHOTO),
    "GetJob": lambda _client, job: job.status(),
    "WatchJob": lambda _client, job: job.wait(),
    "DownloadMesh": lambda _client, job: job.download(),
    "GetPreview": lambda _client, job: job.preview(),
    "GetMeshUrl": lambda _client, job: job.mesh_url(),
    "CancelJob": lambda _client, job: job.cancel(),
    "DeleteJob": lambda _client, job: job.delete(),
}


@pytest.mark.parametrize("rpc", CALLS)
async def test_unavailable_is_tried_again_until_the_attempts_are_used_up(
    connect: Callable[..., Any], script: Script, rpc: str
) -> None:
    client = connect(retry=Retry(attempts=3, first=0.001))
    job = await ask(client.submit(PHOTO))
    script.calls.clear()
    script.errors[rpc] = [UNAVAILABLE] * 3
    with pytest.raises(Unavailable, match="Redis does not answer"):
        await ask(CALLS[rpc](client, job))
    assert len(script.requests(rpc)) == 3
    script.errors[rpc] = [UNAVAILABLE] * 2
    await ask(CALLS[rpc](client, job))
    assert len(script.requests(rpc)) == 6


@pytest.mark.parametrize("rpc", CALLS)
async def test_nothing_else_is_tried_again(client: Any, script: Script, rpc: str) -> None:
    job = await ask(client.submit(PHOTO))
    for code in set(CODES) - {grpc.StatusCode.UNAVAILABLE}:
        script.calls.clear()
        script.errors[rpc] = [rich_error(code.value[0], "No.")]
        with pytest.raises(CODES[code]) as raised:
            await ask(CALLS[rpc](client, job))
        assert (raised.value.code, raised.value.message, raised.value.reason) == (code, "No.", code.name)
        assert len(script.requests(rpc)) == 1


async def test_an_error_carries_what_the_service_said(client: Any, script: Script) -> None:
    script.errors["CreateJob"] = [
        rich_error(
            code_pb2.INVALID_ARGUMENT,
            "The photo is no image.",
            error_details_pb2.ErrorInfo(reason="PHOTO_UNSUPPORTED", domain="selfie3d"),
            error_details_pb2.BadRequest(
                field_violations=[{"field": "photo", "description": "Send a JPEG, PNG or WebP."}]
            ),
        )
    ]
    with pytest.raises(PhotoRejected) as raised:
        await ask(client.submit(PHOTO))
    assert isinstance(raised.value, InvalidArgument)
    assert raised.value.reason == "PHOTO_UNSUPPORTED"
    assert raised.value.violations == (Violation("photo", "Send a JPEG, PNG or WebP."),)


async def test_a_full_service_is_waited_for_only_when_asked(connect: Callable[..., Any], script: Script) -> None:
    script.errors["CreateJob"] = [FULL]
    with pytest.raises(QuotaExceeded) as raised:
        await ask(connect().submit(PHOTO))
    assert (raised.value.reason, raised.value.retry_after) == ("QUEUE_FULL", 0.03)
    script.errors["CreateJob"] = [FULL, FULL]
    started = time.monotonic()
    await ask(connect(retry=Retry(first=0.0, quota=True)).submit(PHOTO))
    assert time.monotonic() - started >= 0.06


async def test_a_second_try_of_delete_that_finds_nothing_is_a_success(client: Any, script: Script) -> None:
    job = await ask(client.submit(PHOTO))
    await ask(job.delete())
    with pytest.raises(NotFound):
        await ask(job.delete())
    script.errors["DeleteJob"] = [UNAVAILABLE]
    await ask(job.delete())


def not_found(reason: str) -> grpc.Status:
    info = error_details_pb2.ErrorInfo(reason=reason, domain="selfie3d")
    return rich_error(code_pb2.NOT_FOUND, "No such thing.", info)


@pytest.mark.parametrize("rpc", ["WatchJob", "DownloadMesh"])
async def test_a_job_that_the_service_has_lost_is_submitted_once_more_and_told(
    client: Any, script: Script, rpc: str, caplog: pytest.LogCaptureFixture
) -> None:
    script.apart = True
    script.errors[rpc] = [not_found("JOB_NOT_FOUND")]
    result = await ask(client.reconstruct(PHOTO, detail="full"))
    assert result.faces[0].file.data == MESH
    first, second = script.requests("CreateJob")
    assert first == second
    assert first.settings.request_id
    assert [record.message for record in caplog.records] == [
        "The service has lost job job-0; its photo is sent once more."
    ]


async def test_a_job_that_is_lost_twice_is_not_found(client: Any, script: Script) -> None:
    script.errors["WatchJob"] = [not_found("JOB_NOT_FOUND")] * 3
    with pytest.raises(NotFound):
        await ask(client.reconstruct(PHOTO, request_id="mine"))
    assert [request.settings.request_id for request in script.requests("CreateJob")] == ["mine", "mine"]
    assert len(script.errors["WatchJob"]) == 1


async def test_a_face_that_is_not_there_sends_no_photo_again(client: Any, script: Script) -> None:
    script.apart = True
    script.errors["DownloadMesh"] = [not_found("FACE_NOT_FOUND")]
    with pytest.raises(NotFound):
        await ask(client.reconstruct(PHOTO))
    assert len(script.requests("CreateJob")) == 1


async def test_an_upload_that_lost_its_answer_is_made_again(client: Any, script: Script) -> None:
    script.errors["UploadJob"] = [rich_error(code_pb2.INTERNAL, "Internal error from Core")]  # as grpc.aio words it
    await ask(client.submit(bytes(4 << 20)))
    assert len(script.requests("UploadJob")) == 2


async def test_a_restart_of_the_service_is_survived(connect: Callable[..., Any], running: Running) -> None:
    script = running.script
    script.hold.clear()
    client = connect(retry=Retry(attempts=50, first=0.05, largest=0.2))
    job = await ask(client.submit(PHOTO))
    seen: list[int] = []

    def restart() -> None:
        running.stop()
        running.start()

    with ThreadPoolExecutor(1) as restarting:
        watch = job.watch()
        restarts = []
        if hasattr(watch, "__aiter__"):
            async for event in watch:
                seen.append(event.number)
                if event.number == 5:
                    restarts.append(restarting.submit(restart))
        else:
            for event in watch:
                seen.append(event.number)
                if event.number == 5:
                    restarts.append(restarting.submit(restart))
        restarts[0].result()
    assert seen == [1, 2, 3, 4, 5, 6]
    assert await ask(job.download()) == MESH


async def test_a_service_that_is_not_there_is_unavailable_after_the_attempts(connect: Callable[..., Any]) -> None:
    with pytest.raises(Unavailable):
        await ask(connect(address="localhost:1", retry=Retry(attempts=2, first=0.01)).submit(PHOTO))


async def test_the_deadline_ends_everything(connect: Callable[..., Any], script: Script) -> None:
    script.hold.clear()
    client = connect(timeout=0.3)
    with pytest.raises(DeadlineExceeded):
        await ask(client.reconstruct(PHOTO))
    job = await ask(client.submit(PHOTO, timeout=20))
    with pytest.raises(DeadlineExceeded):
        await ask(job.wait(timeout=0.1))
    script.hold.set()
    assert (await ask(job.wait(timeout=20))).state == "succeeded"


async def test_no_pause_outlasts_the_deadline(
    connect: Callable[..., Any], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("selfie3d._core.Sleep", pauses.append)
    script.errors["GetJob"] = [UNAVAILABLE] * 2
    client = connect(retry=Retry(first=100.0, largest=100.0))
    with pytest.raises(Unavailable):
        await ask(client.job("job-0").status(timeout=5))
    assert not pauses


@pytest.mark.parametrize(
    "damage",
    [
        lambda mesh: mesh[:-1] + b"\0\0"[: 1 + (mesh[-1] == 0)],
        lambda mesh: mesh + b"more",
        lambda mesh: b"PLY" + mesh[3:],
    ],
    ids=["tail", "longer", "head"],
)
async def test_a_damaged_download_is_not_handed_out(
    client: Any, script: Script, damage: Callable[[bytes], bytes]
) -> None:
    job = await ask(client.submit(PHOTO))
    script.damage = damage
    for download in (job.download, job.preview, job.result):
        with pytest.raises(DownloadDamaged):
            await ask(download())


@pytest.mark.parametrize("apart", [False, True])
async def test_a_result_with_a_damaged_picture_is_not_handed_out(client: Any, script: Script, apart: bool) -> None:
    script.apart = apart
    script.damage = lambda data: data[::-1] if data == PICTURE else data
    with pytest.raises(DownloadDamaged):
        await ask(client.reconstruct(PHOTO))


async def test_a_download_that_ends_early_goes_on(connect: Callable[..., Any], script: Script) -> None:
    pieces = [MESH[:2500], MESH[:5000], MESH]
    script.damage = lambda _mesh: pieces.pop(0)
    client = connect()
    job = await ask(client.submit(PHOTO))
    assert await ask(job.download()) == MESH
    assert [request.offset for request in script.requests("DownloadMesh")] == [0, 2500, 5000]


async def test_a_mesh_that_changes_half_way_is_damage(client: Any, script: Script, running: Running) -> None:
    job = await ask(client.submit(PHOTO))
    script.cuts["DownloadMesh"] = [2]

    def change(mesh: bytes) -> bytes:
        running.service.meshes = [bytes(reversed(MESH))]
        return mesh

    script.damage = change
    with pytest.raises(DownloadDamaged):
        await ask(job.download())


async def test_a_watch_that_is_left_is_ended_at_the_service(client: Any, script: Script) -> None:
    script.hold.clear()
    job = await ask(client.submit(PHOTO))
    watch = job.watch()
    if hasattr(watch, "__aiter__"):
        assert (await anext(watch)).number == 1
        await watch.aclose()
    else:
        assert next(watch).number == 1
        watch.close()
    assert await asyncio.to_thread(script.left.wait, 10)


async def test_the_token_goes_with_every_call(connect: Callable[..., Any], script: Script) -> None:
    client = connect(token="s3cret")
    job = await ask(client.submit(PHOTO))
    await ask(job.result())
    await collect(client.jobs())
    assert [name for name, _ in script.calls] == ["CreateJob", "WatchJob", "ListJobs"]
    assert all(entry["authorization"] == "Bearer s3cret" for entry in script.metadata)
    script.metadata.clear()
    await ask(connect().submit(PHOTO))
    assert "authorization" not in script.metadata[0]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, and for `server` and `client` NAME.pem and NAME.key that it signed."""
    folder = tmp_path_factory.mktemp("keys")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2")
    for name in ("server", "client"):
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "names").write_text("subjectAltName=DNS:selfie3d.example")
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "2"]
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing)
    return folder


@contextlib.contextmanager
def secured(keys: Path, mutual: bool) -> Iterator[Running]:
    pair = ((keys / "server.key").read_bytes(), (keys / "server.pem").read_bytes())
    credentials = grpc.ssl_server_credentials([pair], (keys / "ca.pem").read_bytes() if mutual else None, mutual)
    with Running.with_mesh(credentials) as server:
        yield server


async def test_tls_is_spoken_and_checked(connect: Callable[..., Any], keys: Path) -> None:
    with secured(keys, mutual=False) as server:
        ca = keys / "ca.pem"
        named = Tls(ca=ca, server_name="selfie3d.example")
        result = await ask(connect(address=server.address, tls=named, token="t").reconstruct(PHOTO))
        assert result.mesh.data == MESH
        for tls in (False, True, Tls(ca=ca), ca.read_bytes()):  # plain, unknown authority, wrong name
            with pytest.raises(Unavailable):
                await ask(connect(address=server.address, tls=tls, retry=Retry(attempts=1)).submit(PHOTO))


async def test_mutual_tls_needs_the_client_s_certificate(connect: Callable[..., Any], keys: Path) -> None:
    with secured(keys, mutual=True) as server:
        own = Tls(keys / "ca.pem", keys / "client.pem", keys / "client.key", "selfie3d.example")
        assert (await ask(connect(address=server.address, tls=own).reconstruct(PHOTO))).mesh.data == MESH
        stranger = Tls(ca=keys / "ca.pem", server_name="selfie3d.example")
        with pytest.raises(Unavailable):
            await ask(connect(address=server.address, tls=stranger, retry=Retry(attempts=1)).submit(PHOTO))


async def test_a_cancelled_task_ends_its_call(running: Running) -> None:
    running.script.hold.clear()
    async with AsyncClient(running.address, retry=FAST) as client:
        job = await client.submit(PHOTO)
        waiting = asyncio.create_task(job.wait())
        while not running.script.requests("WatchJob"):
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await asyncio.to_thread(running.script.left.wait, 10)


def test_one_client_serves_many_threads(running: Running) -> None:
    with Client(running.address, retry=FAST) as client, ThreadPoolExecutor(6) as threads:
        results = list(threads.map(lambda _: client.reconstruct(PHOTO), range(24)))
    assert all(result.mesh.data == MESH for result in results)
    assert len({result.job.id for result in results if result.job}) == 24


def test_a_closed_client_says_so(running: Running) -> None:
    client = Client(running.address)
    client.close()
    with pytest.raises((Selfie3dError, ValueError)):
        client.submit(PHOTO)
