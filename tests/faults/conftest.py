"""One farm for the quick fault tests, put right before each of them; the figures they measure are shown at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.farm import Farm
from tests.stack import eventually

FIGURES = pytest.StashKey[dict[str, float]]()


@pytest.fixture(scope="session")
def whole_farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """At the end every job of every test must still be as it was when its test saw it end."""
    with Farm(tmp_path_factory.mktemp("farm")) as farm:
        yield farm
        farm.restore()
        assert farm.audit.changed() == []
        eventually(lambda: not farm.contradictions(), "Redis holds nothing that contradicts itself")


@pytest.fixture
def farm(whole_farm: Farm) -> Farm:
    """All processes run and are idle."""
    whole_farm.restore()
    return whole_farm


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> dict[str, float]:
    """Names to seconds, or to counts, for docs/reliability.md."""
    return pytestconfig.stash.setdefault(FIGURES, {})


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A lane of several hands its figures over."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["figures"] = {name: float(value) for name, value in session.config.stash.get(FIGURES, {}).items()}


@pytest.hookimpl(optionalhook=True)  # known to pytest-xdist alone
def pytest_testnodedown(node: Any) -> None:
    """Take the figures of a lane."""
    node.config.stash.setdefault(FIGURES, {}).update(getattr(node, "workeroutput", {}).get("figures", {}))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the figures."""
    for name, value in config.stash.get(FIGURES, {}).items():
        terminalreporter.write_line(f"{name}: {value:g}")
