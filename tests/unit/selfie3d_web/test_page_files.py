"""The committed page: built from its sources, small, and with everything in it."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from pathlib import Path

import httpx
import pytest

PACKAGE = Path(__file__).parents[3] / "service" / "selfie3d_web"
STATIC, PAGE = PACKAGE / "static", PACKAGE / "page"
MAX_BYTES = 250_000  # gzipped, all of it


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_the_committed_files_are_what_the_sources_make(tmp_path: Path) -> None:
    subprocess.run(["node", PAGE / "build.mjs", tmp_path / "static"], check=True, timeout=120)
    assert files(tmp_path / "static") == files(STATIC)


def test_the_page_is_light() -> None:
    assert sum(len(gzip.compress(content)) for content in files(STATIC).values()) < MAX_BYTES


@pytest.mark.parametrize("name", ["index.html", "docs.html"])
def test_no_script_style_or_handler_is_inline_and_nothing_comes_from_elsewhere(name: str) -> None:
    text = (STATIC / name).read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=\"/static/)|<style|\sstyle=|\son\w+=", text)
    assert not re.search(r"(?:src|href)=\"(?!/)", text)


def test_packages_are_pinned_and_the_lock_names_no_registry() -> None:
    wanted = json.loads((PAGE / "package.json").read_text())["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    assert "resolved" not in (PAGE / "package-lock.json").read_text()


async def test_files_are_packed_for_who_reads_that_and_not_sent_twice(web: httpx.AsyncClient) -> None:
    packed = await web.get("/static/main.js")
    plain = await web.get("/static/main.js", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content == (STATIC / "main.js").read_bytes()
    assert packed.headers["etag"] != plain.headers["etag"]
    again = await web.get("/static/main.js", headers={"If-None-Match": packed.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["../app.py", "%2e%2e/app.py", "..%2fapp.py", "/etc/passwd", ""])
async def test_only_the_page_s_files_are_served(web: httpx.AsyncClient, name: str) -> None:
    assert (await web.get(f"/static/{name}")).status_code == 404
