"""Reconstruction by a service."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from selfie3d import Client, InvalidArgument, Job, JobOptions, Result, ResultFace, Retry, Selfie3dError, Tls
from selfie3d._connection import DEFAULT_ADDRESS
from selfie3d_cli.errors import ExtraMissingError, UsageError
from selfie3d_cli.outcome import Face, PhotoFailedError, Reconstruction

CANCEL_TIMEOUT = 2.0  # seconds


class RemoteBackend:
    """Sends photos to a service; any number of threads may do so."""

    at_once = 4

    def __init__(self, client: Client, address: str, options: JobOptions) -> None:
        self._client = client
        self._address = address
        self._options = options
        self._running: set[Job] = set()

    def reconstruct(self, photo: bytes, on_progress: Callable[[str, float], None]) -> Reconstruction:
        """Raises PhotoFailedError."""
        try:
            result = self._follow(photo, on_progress)
        except Selfie3dError as error:
            where = "" if error.job or isinstance(error, InvalidArgument) else f"{self._address}: "
            raise PhotoFailedError(error.reason, f"{where}{error}") from error
        return Reconstruction([_face(face) for face in result.faces], dict(result.seconds))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def abandon(self) -> None:
        """Cancel what runs: nobody waits for it any more."""
        for job in list(self._running):
            with suppress(Selfie3dError):
                job.cancel(timeout=CANCEL_TIMEOUT)

    def _follow(self, photo: bytes, on_progress: Callable[[str, float], None]) -> Result:
        on_progress("sending", 0.0)
        job = self._client.submit(photo, **self._options)
        self._running.add(job)
        result = job.result(on_event=lambda event: on_progress(event.stage or event.state, event.progress))
        self._running.discard(job)
        return result


def open_remote(args: argparse.Namespace, options: JobOptions) -> RemoteBackend:
    """The service of --server, SELFIE3D_SERVER or localhost. Raises UsageError."""
    address = args.server or os.environ.get("SELFIE3D_SERVER") or DEFAULT_ADDRESS
    try:
        client = Client(address, token=_token(args), tls=_tls(args), timeout=args.timeout, retry=Retry(quota=True))
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    return RemoteBackend(client, address, options)


def _token(args: argparse.Namespace) -> str | None:
    if args.token_file:
        return str(Path(args.token_file).read_text().strip())
    return os.environ.get("SELFIE3D_TOKEN")  # no argument: every user of the machine could read it


def _tls(args: argparse.Namespace) -> bool | Tls:
    wanted = args.tls or args.tls_ca or args.tls_cert or args.tls_server_name
    return Tls(args.tls_ca, args.tls_cert, args.tls_key, args.tls_server_name) if wanted else False


def _face(face: ResultFace) -> Face:
    return Face(
        data=face.mesh.data,
        extension=face.file.extension,
        vertices=face.vertices,
        triangles=face.triangles,
        box=face.box,
        score=face.score,
        mesh_to_photo=face.mesh_to_photo,
        preview=lambda: _preview(face),
    )


def _preview(face: ResultFace) -> bytes:
    """PNG, drawn here from the PLY. Raises ExtraMissingError."""
    try:
        from vrn.meshing.mesh import Mesh
        from vrn.meshing.pose import Pose
        from vrn.render.preview import preview_sheet
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_extra("worker", error.name) from error
    mesh = face.mesh
    return preview_sheet(
        Mesh(
            mesh.vertices,
            mesh.triangles,
            mesh.normals,
            mesh.colours,
            mesh.confidence,
            face.mesh_to_photo,
            face.landmark_vertices.astype(np.int32),
            Pose(face.pose.yaw, face.pose.pitch, face.pose.roll),
        )
    )
