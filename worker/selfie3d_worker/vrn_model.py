"""vrn behind the worker's `Reconstruct`: the API's options in, the API's faces and the files out."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import torch

from selfie3d.types.frames import CROP_SIZE
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_worker.config import WorkerConfig
from selfie3d_worker.model import Output
from vrn import Detail, FaceResult, Format, MeshFile, Options, Reconstructor
from vrn.finder import open_finder
from vrn.network import Network, load_network

FORMATS = {
    pb.MESH_FORMAT_UNSPECIFIED: Format.PLY,
    pb.MESH_FORMAT_PLY: Format.PLY,
    pb.MESH_FORMAT_OBJ: Format.OBJ,
    pb.MESH_FORMAT_GLB: Format.GLB,
    pb.MESH_FORMAT_STL: Format.STL,
}
DETAILS = {
    pb.DETAIL_UNSPECIFIED: Detail.STANDARD,
    pb.DETAIL_PREVIEW: Detail.PREVIEW,
    pb.DETAIL_STANDARD: Detail.STANDARD,
    pb.DETAIL_FULL: Detail.FULL,
}


def open_reconstructor(config: WorkerConfig) -> VrnModel:
    """Load the network and the finder of the configuration and run the network once.

    Raises vrn.VrnError, ValueError for an unknown finder, and what torch raises for a device that is not there.
    """
    torch.set_num_threads(config.threads or max(1, len(os.sched_getaffinity(0)) // config.concurrency))
    device = _device(config.device)
    network = load_network(config.model, device)
    network.field(np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8))  # the first run is slow; no caller should wait for it
    options = config.face_alignment.options() if config.aligner == "face-alignment" else {}
    finder = open_finder(config.aligner, device=device, **options)
    return VrnModel(config.model, device, network, Reconstructor(network, finder))


class VrnModel:
    """A loaded model. The hash of its weights was checked when they were loaded."""

    def __init__(self, name: str, device: str, network: Network, reconstructor: Reconstructor) -> None:
        self.name = name
        self.device = device
        self.weights_sha256 = network.sha256
        self._reconstructor = reconstructor

    def __call__(self, photo: bytes, options: pb.Options, on_stage: Callable[[str, float], None]) -> Output:
        """Reconstruct. Raises PhotoError, VrnError, and what `on_stage` raises."""
        result = self._reconstructor.reconstruct(photo, vrn_options(options), on_stage)
        faces = [_face(index, found, options) for index, found in enumerate(result.faces)]
        if result.scene:
            faces[0].file.CopyFrom(_file(result.scene, options))
        return Output(faces, [file.data for file in result.files])


def vrn_options(options: pb.Options) -> Options:
    """The API's options as vrn's; the service has checked them."""
    return Options(
        format=FORMATS[options.format],
        detail=DETAILS[options.detail],
        all_faces=options.all_faces,
        scene=options.scene,
        textured=options.textured,
        printable=options.printable,
    )


def _face(index: int, result: FaceResult, options: pb.Options) -> pb.Face:
    mesh = result.mesh
    x, y, width, height = result.face.box_px
    points = zip(mesh.landmarks.tolist(), mesh.landmark_vertices.tolist(), strict=True)
    return pb.Face(
        index=index,
        box=pb.Box(x=x, y=y, width=width, height=height),
        score=result.face.score,
        mesh_to_photo=mesh.mesh_to_photo.ravel().tolist(),
        pose=pb.HeadPose(yaw=mesh.pose.yaw, pitch=mesh.pose.pitch, roll=mesh.pose.roll),
        landmarks=[pb.Landmark(x=px, y=py, z=pz, vertex=vertex) for (px, py, pz), vertex in points],
        vertices=len(mesh.vertices),
        triangles=len(mesh.triangles),
        file=_file(result.file, options) if result.file else None,
    )


def _file(file: MeshFile, options: pb.Options) -> pb.MeshFile:
    return pb.MeshFile(
        format=options.format or pb.MESH_FORMAT_PLY,
        media_type=file.media_type,
        extension=file.extension,
        size_bytes=len(file.data),
        sha256=file.sha256,
    )


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"
