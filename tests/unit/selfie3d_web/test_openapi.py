"""/openapi.json is true: every route is in it, and every answer is as it says."""

from __future__ import annotations

from typing import Any

import httpx
import jsonschema
import pytest
from starlette.routing import Route

from selfie3d_web import WebConfig, make_app
from selfie3d_web.openapi import document

PAGES = {"/", "/j/{job_id}", "/docs", "/static/{name:path}", "/selfie3d.v1.ReconstructionService/{method}"}


def operations() -> set[tuple[str, str]]:
    return {(path, method) for path, methods in document()["paths"].items() for method in methods}


def test_exactly_the_routes_of_the_api_are_described() -> None:
    served = set()
    for route in make_app(WebConfig()).routes:
        assert isinstance(route, Route)
        if route.path not in PAGES:
            path = route.path.replace(":int", "")
            methods = {method.lower() for method in route.methods or ()}
            served |= {(path, method) for method in methods - ({"head"} if "/faces/" not in path else set())}
    assert served == operations()


async def test_every_operation_answers_with_a_status_a_type_and_a_body_that_are_in_it(web: httpx.AsyncClient) -> None:
    described = (await web.get("/openapi.json")).json()
    assert described == document()
    jobs = [
        (await web.post("/v1/jobs", content=b"photo", headers={"Idempotency-Key": key})).json()["id"] for key in "abc"
    ]
    for path, method in sorted(operations(), key=lambda each: (each[1] == "delete", each)):
        for job in (jobs[0], "nobody"):
            url = path.format(job_id=job, face=0)
            answer = await web.request(method, url, content=b"photo" if method == "post" else None)
            check(described, described["paths"][path][method], answer)


@pytest.mark.parametrize("headers", [{"Range": "bytes=0-9"}, {"If-None-Match": "*"}, {"Range": "bytes=999999-"}])
async def test_the_further_answers_of_a_mesh_are_described(web: httpx.AsyncClient, headers: dict[str, str]) -> None:
    job = (await web.post("/v1/jobs", content=b"photo")).json()["id"]
    await web.get(f"/v1/jobs/{job}/events")
    answer = await web.get(f"/v1/jobs/{job}/faces/0/mesh", headers=headers)
    check(document(), document()["paths"]["/v1/jobs/{job_id}/faces/{face}/mesh"]["get"], answer)


async def test_a_picture_that_has_not_changed_is_described(web: httpx.AsyncClient) -> None:
    job = (await web.post("/v1/jobs", content=b"photo")).json()["id"]
    answer = await web.get(f"/v1/jobs/{job}/faces/0/preview.webp", headers={"If-None-Match": "*"})
    check(document(), document()["paths"]["/v1/jobs/{job_id}/faces/{face}/preview.webp"]["get"], answer)


def check(described: dict[str, Any], operation: dict[str, Any], answer: httpx.Response) -> None:
    wanted = operation["responses"].get(str(answer.status_code))
    if wanted is None:
        assert answer.status_code >= 400
        wanted = operation["responses"]["default"]
    content = wanted.get("content")
    if content is None or not answer.content:
        assert not answer.content
        return
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in content
    if kind.endswith("json"):
        jsonschema.validate(answer.json(), {**content[kind]["schema"], "components": described["components"]})
