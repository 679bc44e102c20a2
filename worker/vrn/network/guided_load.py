"""The guided network ready to run: a photo and a face's landmarks to that person's whole head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from selfie3d.types.frames import UPRIGHT, Crop, transform, upright
from vrn.avatar.fit import HeadPose, fit_landmarks, fit_points
from vrn.avatar.guide import COLUMNS, guide_maps, head_crops, to_columns
from vrn.avatar.model import HeadModel, load_model
from vrn.avatar.raster import crossings, foremost
from vrn.avatar.whole_head import WholeHead
from vrn.crop import sample
from vrn.errors import WeightsError
from vrn.finder.dense import INDICES
from vrn.network.guided import Guide, GuidedHourglass, displaced
from vrn.network.guided_config import FAMILY, GuidedConfig
from vrn.weights import file as weights

FIT_STEPS = 3

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


class GuidedNetwork:
    """A network with its weights and the head model that guides it."""

    def __init__(self, module: GuidedHourglass, model: HeadModel, device: str = "cpu") -> None:
        self.model = model
        self._device = torch.device(device)
        self._module = module.eval().requires_grad_(False).to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._neutral = torch.from_numpy(model.neutral).to(self._device)
        self._shapes = torch.from_numpy(model.shapes).to(self._device)

    def head(
        self,
        image: NDArray[np.uint8],
        landmarks_px: NDArray[np.floating],
        points_px: NDArray[np.floating] | None = None,
    ) -> WholeHead:
        """The head of a face.

        image : (height, width, 3) uint8 RGB, photo frame
        landmarks_px : (68, 3) float, photo frame; points_px : (160, 3) float, the dense aligner's, if there is one
        """
        return self.head_from(image, self._fit(landmarks_px, points_px))

    def head_from(self, image: NDArray[np.uint8], pose: HeadPose) -> WholeHead:
        """The head of a face to which one head has been fitted, photo frame."""
        crop = Crop.of_matrix(head_crops(pose)[0])
        guide, vertices = self._guide(pose, crop)
        maps = torch.from_numpy(guide_pictures(self.model, vertices))[None].to(self._device)
        picture = torch.from_numpy(sample(image, crop)).permute(2, 0, 1)[None].to(self._device) / 255
        with torch.inference_mode():
            answer = self._module(picture.contiguous(memory_format=torch.channels_last), maps, guide.code())
            corrected = guide.corrected(answer.corrections)
            moved = displaced(corrected.vertices(self._neutral, self._shapes), answer.displacement)
        return self._whole(moved[0].double().cpu().numpy(), corrected, crop)

    def guide(self, landmarks_px: NDArray[np.floating], points_px: NDArray[np.floating] | None = None) -> WholeHead:
        """The guide alone, as `head` would start from it."""
        pose = self._fit(landmarks_px, points_px)
        crop = Crop.of_matrix(head_crops(pose)[0])
        guide, vertices = self._guide(pose, crop)
        return self._whole(vertices, guide, crop)

    def _fit(self, landmarks_px: NDArray[np.floating], points_px: NDArray[np.floating] | None) -> HeadPose:
        if points_px is None:
            return fit_landmarks(self.model, landmarks_px[None], FIT_STEPS)
        return fit_points(self.model, landmarks_px[None], points_px[None], INDICES, FIT_STEPS)

    def _guide(self, pose: HeadPose, crop: Crop) -> tuple[Guide, Floats]:
        matrix = crop.to_crop() @ pose.matrices()[0]
        scale = float(np.cbrt(abs(np.linalg.det(matrix[:3, :3]))))
        parts = ([scale], (UPRIGHT @ matrix[:3, :3] / scale)[None], upright(matrix[:3, 3])[None])
        tensors = [torch.as_tensor(np.asarray(part, np.float32), device=self._device) for part in parts]
        coefficients = torch.from_numpy(pose.coefficients.astype(np.float32)).to(self._device)
        vertices = transform(matrix, self.model.vertices(pose.coefficients[0]))
        return Guide(tensors[0], tensors[1], tensors[2], coefficients), vertices

    def _whole(self, vertices: Floats, guide: Guide, crop: Crop) -> WholeHead:
        pose = HeadPose(
            *(
                value.double().cpu().numpy()
                for value in (guide.scale, guide.rotation, guide.translation, guide.coefficients)
            )
        )
        plane = self.model.neck_plane(pose.coefficients[0]) @ np.linalg.inv(pose.matrices()[0])
        return WholeHead(vertices, self.model, np.asarray(plane), crop, pose)


def guide_pictures(model: HeadModel, vertices: Floats) -> Singles:
    """(5, 96, 96) float32 - see `vrn.avatar.guide`; vertices : (v, 3) float64, head crop frame."""
    found = crossings(to_columns(vertices), model.triangles, COLUMNS, COLUMNS)
    shown, shares, depth = foremost(found, COLUMNS, COLUMNS)
    return guide_maps(shown, shares, depth, model.triangles, model.neutral)


def untrained(model: HeadModel) -> GuidedNetwork:
    """A network whose answer is, but for little, the guide."""
    return GuidedNetwork(GuidedHourglass(GuidedConfig()), model)


def load_guided(path: str | Path, device: str = "cpu") -> GuidedNetwork:
    """Bundled weights by name, or a file. Raises WeightsError."""
    loaded = weights.load(weights.resolve(path))
    if loaded.config.get("family") != FAMILY:
        raise WeightsError(f"expected weights of the family {FAMILY}, found {loaded.config.get('family')!r}")
    module = GuidedHourglass(GuidedConfig.of(loaded.config))
    weights.fill(module, loaded.tensors)
    return GuidedNetwork(module, load_model(), device)
