"""A large photo is looked at reduced, and gives the meshes that the whole one gives."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data as pictures

from selfie3d import Result
from selfie3d.types import Detail, Format, Options
from selfie3d.types.frames import Crop, transform
from selfie3d_photo import Limits
from vrn import Reconstructor
from vrn import photo as photo_module
from vrn.crop import resample
from vrn.errors import NoFaceError
from vrn.finder.face import AlignedFace
from vrn.photo import ScaledPhoto

pytestmark = pytest.mark.slow  # photos of many megapixels

EVERYTHING = 10**9  # px: no view is reduced
LARGE = (2000, 2664)  # px


def portrait(width: int, height: int, *, on_its_side: bool = False) -> bytes:
    """JPEG of the astronaut with the noise of a camera, stored upright or as a phone on its side does."""
    part = Image.fromarray(pictures.astronaut()[:427, 60:380])
    sharp = np.asarray(part.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    noise = np.random.default_rng(0).normal(0, 4, sharp.shape).astype(np.float32)
    image, exif = Image.fromarray((sharp + noise).clip(0, 255).astype(np.uint8)), Image.Exif()
    if on_its_side:
        image, exif[0x0112] = image.transpose(Image.Transpose.ROTATE_90), 6
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92, exif=exif)
    return out.getvalue()


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return Reconstructor.open(device="cpu")


def whole(monkeypatch: pytest.MonkeyPatch, reconstructor: Reconstructor, photo: bytes, options: Options) -> Result:
    with monkeypatch.context() as patch:
        patch.setattr(photo_module, "LEAST_SIDE", EVERYTHING)
        return reconstructor.reconstruct(photo, options)


def square(photo: NDArray[np.uint8], reduced: int) -> NDArray[np.int16]:
    """A crop of a face of 800 px of the whole photo."""
    away = (reduced - 1) / 2
    crop = Crop.around(((900.0 - away) / reduced, (700.0 - away) / reduced), 800.0 / reduced)
    return resample(photo, crop).astype(np.int16)


def test_crops_of_the_reduced_photo_are_those_of_the_whole_one_within_a_grey_level() -> None:
    data = portrait(*LARGE)
    view, reference = ScaledPhoto(data, Limits(), Options()), ScaledPhoto(data, Limits(), Options())
    reference.enlarge()
    assert (view.reduced, reference.reduced) == (2, 1)
    away = np.abs(square(view.rgb, 2) - square(reference.rgb, 1))
    assert np.quantile(away, 0.99) <= 1
    assert away.mean() < 0.3


@pytest.mark.parametrize("on_its_side", [False, True])
def test_a_large_photo_gives_the_mesh_and_the_places_of_the_whole_one(
    monkeypatch: pytest.MonkeyPatch, reconstructor: Reconstructor, on_its_side: bool
) -> None:
    data, options = portrait(*LARGE, on_its_side=on_its_side), Options()
    found, expected = reconstructor.reconstruct(data, options), whole(monkeypatch, reconstructor, data, options)
    face, reference = found.faces[0], expected.faces[0]
    assert face.box == pytest.approx(reference.box, abs=1.0)  # px of some 700
    ours = transform(face.mesh_to_photo, face.mesh.landmarks)
    assert np.abs(ours - transform(reference.mesh_to_photo, reference.mesh.landmarks))[:, :2].max() < 3.0
    assert face.mesh.size_mm == pytest.approx(reference.mesh.size_mm, abs=0.5)
    assert np.abs(face.mesh.colours.mean(0) - reference.mesh.colours.mean(0)).max() < 1.0


def test_a_small_face_and_a_texture_are_made_of_the_whole_photo(
    monkeypatch: pytest.MonkeyPatch, reconstructor: Reconstructor
) -> None:
    canvas = Image.new("RGB", (2560, 2560), (120, 130, 140))
    canvas.paste(Image.fromarray(pictures.astronaut()).resize((1024, 1024), Image.Resampling.BICUBIC), (700, 900))
    out = io.BytesIO()
    canvas.save(out, "JPEG", quality=92)
    for data, options in (
        (out.getvalue(), Options()),
        (portrait(*LARGE), Options(Format.GLB, Detail.PREVIEW, textured=True)),
    ):
        found, expected = reconstructor.reconstruct(data, options), whole(monkeypatch, reconstructor, data, options)
        assert found.files[0].data == expected.files[0].data


def test_a_photo_in_which_no_face_is_found_is_looked_at_as_a_whole() -> None:
    seen: list[tuple[int, ...]] = []

    class Blind:
        def detect(self, image: NDArray[np.uint8], *, subject: bool) -> list[object]:  # noqa: ARG002
            seen.append(image.shape[:2])
            return []

        def search_again(self, image: NDArray[np.uint8]) -> list[object]:
            seen.append(image.shape[:2])
            return []

    with pytest.raises(NoFaceError):
        Reconstructor(None, Blind()).reconstruct(portrait(*LARGE))  # type: ignore[arg-type]
    assert seen == [(1332, 1000), (2664, 2000), (2664, 2000)]  # height, width


def test_a_face_is_placed_in_the_photo_by_the_centres_of_pixels() -> None:
    view = ScaledPhoto(portrait(*LARGE), Limits(), Options())
    face = view.face_in_photo(AlignedFace(np.array([[0.0, 0.0, 1.0], [10.0, 20.0, -3.0]]), 0.9))
    np.testing.assert_allclose(face.landmarks_px, [[0.5, 0.5, 2.0], [20.5, 40.5, -6.0]])
