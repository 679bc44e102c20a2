"""GET and HEAD /v1/jobs/ID/faces/N/preview.webp: a picture of a head, with its SHA-256 as the ETag."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_web.mesh import face_number, names_etag
from selfie3d_web.upstream import CALL_SECONDS, Upstream, answered, metadata

MEDIA_TYPE = "image/webp"


async def preview_response(request: Request, upstream: Upstream) -> Response:
    """The picture, or that it has not changed. Raises Problem."""
    wanted = pb.GetPreviewRequest(job_id=request.path_params["job_id"], face_index=face_number(request))
    call = upstream.api.GetPreview(wanted, metadata=metadata(request), timeout=CALL_SECONDS)
    answer: pb.GetPreviewResponse = await answered(call)
    etag = f'"{answer.file.sha256}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if names_etag(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    return Response(answer.data, headers=headers, media_type=answer.file.media_type or MEDIA_TYPE)
