"""A graph behind the pipe is called like one in this process, and outlives the process that runs it."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Listener
from pathlib import Path

import numpy as np
import pytest

from selfie3d_training.graph import write_graph
from selfie3d_worker import WorkerConfig
from selfie3d_worker.model_process import ModelProcess
from tests.unit.vrn.engine.test_engine import BUNDLED, INPUTS, SMALL, Singles, constants
from vrn.engine import Batching, Engine, choose, model_server, open_graph
from vrn.engine.model_server import ModelServer
from vrn.engine.remote_graph import TRIES, ModelLink, RemoteGraph
from vrn.engine.torch_graph import FAMILIES
from vrn.errors import ModelProcessError, WeightsError
from vrn.network.hourglass import Hourglass
from vrn.weights import file as weights

ANY = tuple(FAMILIES)
CALLERS = 4
Serve = Callable[..., None]
TOLERANCE = 1e-4  # of an answer, as between the engines


@pytest.fixture
def socket() -> Iterator[str]:
    """A path that is short enough for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield f"{folder}/models"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.safetensors"
    weights.write(path, SMALL.to_dict(), Hourglass(SMALL).state_dict())
    write_graph(path)
    return path


@pytest.fixture
def serve(socket: str) -> Iterator[Serve]:
    """Serve an engine at the socket, in a thread."""
    servers: list[ModelServer] = []

    def start(engine: Engine, batching: Batching | None = None) -> None:
        servers.append(ModelServer(socket, engine, batching or Batching()))
        threading.Thread(target=_until_closed, args=(servers[-1],), daemon=True).start()

    yield start
    for server in servers:
        server.close()


def _until_closed(server: ModelServer) -> None:
    with suppress(OSError):
        server.serve()


def pictures(count: int) -> Singles:
    return np.random.default_rng(count).random((count, 3, 192, 192), np.float32)


@pytest.mark.parametrize("name", ["onnx", "torch"])
def test_a_graph_behind_the_pipe_is_the_graph(name: str, own: Path, socket: str, serve: Serve) -> None:
    engine = choose(name, "cpu", 1)
    serve(engine)
    found = ModelLink(socket).engine()
    assert found == replace(engine, address=socket)
    theirs, ours = open_graph(own, ANY, found), open_graph(own, ANY, engine)
    assert isinstance(theirs, RemoteGraph)
    for what in ("engine", "config", "metrics", "sha256"):
        assert getattr(theirs, what) == getattr(ours, what)
    for count in (1, 3):
        for answer, expected in zip(theirs.run(pictures(count)), ours.run(pictures(count)), strict=True):
            assert answer.dtype == expected.dtype
            assert np.array_equal(answer, expected)


def test_what_is_wrong_with_weights_is_told_as_in_this_process(own: Path, socket: str, serve: Serve) -> None:
    serve(choose("onnx"))
    link = ModelLink(socket)
    with pytest.raises(WeightsError, match="expected weights of the family guided, found 'hourglass'"):
        RemoteGraph(link, own, ("guided",), ())
    with pytest.raises(WeightsError, match="does not exist"):
        RemoteGraph(link, own.with_name("other.safetensors"), ANY, ())
    graph = RemoteGraph(link, own, ANY, ())
    with pytest.raises(ModelProcessError, match="INVALID_ARGUMENT"):
        graph.run(np.zeros((1, 2, 3, 4), np.float32))
    assert graph.run(pictures(1))[0].shape[0] == 1, "and goes on"


def test_callers_share_batches_and_count_them(
    own: Path, socket: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_server, "AT_WORK_SECONDS", 60.0)  # however long the callers take to ask
    serve(choose("onnx", "cpu", 1), Batching(CALLERS, 60.0))
    links = [ModelLink(socket) for _ in range(CALLERS)]
    graphs = [RemoteGraph(link, own, ANY, ()) for link in links]
    alone = open_graph(own, ANY, choose("onnx", "cpu", 1))
    asked = [pictures(1) + n for n in range(CALLERS)]
    with ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(lambda graph, picture: graph.run(picture)[0], graphs, asked))
    for answer, picture in zip(answers, asked, strict=True):
        np.testing.assert_allclose(answer, alone.run(picture)[0], atol=TOLERANCE, rtol=1e-5)
    assert [dict(link.take_counts().runs) for link in links] == [{CALLERS: 1}] * CALLERS
    assert not links[0].take_counts().runs, "they are taken once"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnx", "torch"])
@pytest.mark.parametrize("name", BUNDLED)
def test_a_photo_gets_the_same_answers_alone_and_in_a_batch(name: str, engine: str) -> None:
    graph = open_graph(name, ANY, choose(engine, "cpu"), constants(name))
    photos = [[_varied(part[:1], seed) for part in INPUTS[name]()] for seed in range(3)]
    together = graph.run(*(np.concatenate(parts) for parts in zip(*photos, strict=True)))
    for number, photo in enumerate(photos):
        for answer, alone in zip(together, graph.run(*photo), strict=True):
            np.testing.assert_allclose(answer[number], alone[0], atol=TOLERANCE, rtol=1e-5)


def _varied(part: Singles, seed: int) -> Singles:
    """A photo's own pictures; landmarks and poses stay as they are."""
    return np.random.default_rng(seed).permuted(part, axis=-1) if part.ndim == 4 else part


@pytest.mark.slow
@pytest.mark.parametrize("name", BUNDLED)
def test_half_precision_holds(name: str) -> None:
    """Measured on the CPU, whose half precision rounds as a GPU's does."""
    engines = (Engine("torch", precision=precision) for precision in ("single", "half"))
    single, half = (open_graph(name, ANY, engine, constants(name)) for engine in engines)
    for answer, expected in zip(half.run(*INPUTS[name]()), single.run(*INPUTS[name]()), strict=True):
        assert answer.dtype == expected.dtype == np.float32
        spread = max(float(np.abs(expected).max()), 0.01)  # verdicts on noise are almost 0
        assert np.abs(answer - expected).max() < 0.01 * spread
        assert np.abs(answer - expected).mean() < 0.003 * spread


@pytest.mark.slow
def test_a_process_that_is_killed_is_replaced_and_the_run_repeated(own: Path) -> None:
    process = ModelProcess(WorkerConfig(engine="onnx", threads=1, model_process="on"))
    process.start()
    try:
        graph = RemoteGraph(ModelLink(process.address), own, ANY, ())
        before = graph.run(pictures(2))[0]
        for _ in range(2):
            first = process.pid
            os.kill(first, signal.SIGKILL)
            assert np.array_equal(graph.run(pictures(2))[0], before)
            assert process.pid != first
    finally:
        process.stop()
    assert not Path(process.address).parent.exists()


@contextmanager
def deaf(address: str) -> Iterator[list[int]]:
    """Something that hangs up at the first request of each connection; the connections."""
    connections: list[int] = []

    def work(listener: Listener) -> None:
        with suppress(OSError):  # until it is closed
            while True:
                with listener.accept() as connection:
                    connections.append(len(connections))
                    connection.recv_bytes()

    with Listener(address, "AF_UNIX") as listener:
        threading.Thread(target=work, args=(listener,), daemon=True).start()
        yield connections


def test_a_run_that_kills_its_process_again_and_again_is_given_up(socket: str) -> None:
    with deaf(socket) as connections:
        with pytest.raises(ModelProcessError, match=f"died {TRIES} times"):
            ModelLink(socket).engine()
        assert len(connections) == TRIES


def test_a_process_that_does_not_come_is_given_up(socket: str) -> None:
    with pytest.raises(ModelProcessError, match="No model process runs"):
        ModelLink(socket, patience=0.0).engine()


def test_an_answer_that_was_not_awaited_is_not_taken_for_the_next_one(own: Path, socket: str, serve: Serve) -> None:
    serve(choose("onnx", "cpu", 1))
    link = ModelLink(socket)
    graph = RemoteGraph(link, own, ANY, ())
    expected = graph.run(pictures(1))[0]

    with pytest.raises(KeyboardInterrupt):
        link.patiently(_interrupted_ask(link))
    assert np.array_equal(graph.run(pictures(1))[0], expected)


def _interrupted_ask(link: ModelLink) -> Callable[[bool], None]:
    class Cut:
        """Sends, and is interrupted before the answer."""

        def __init__(self, connection: object) -> None:
            self.connection = connection

        def __getattr__(self, name: str) -> object:
            if name == "recv_bytes":
                raise KeyboardInterrupt
            return getattr(self.connection, name)

    def ask(_: bool) -> None:
        link._connection = Cut(link._connection)  # type: ignore[assignment]
        link.ask({"call": "engine"})

    return ask
