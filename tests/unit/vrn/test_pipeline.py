"""The road from photo bytes to files, with a finder and a network that know the head."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from PIL import Image
from plyfile import PlyData

from selfie3d.types import Compression, Detail, Extent, Format, LeftOut, OptionError, Options, Result, Stage
from selfie3d.types.frames import Grid
from selfie3d_photo import PhotoError
from tests.unit.vrn.avatar.portraits import Portrait, portrait
from vrn.avatar.model import load_model
from vrn.avatar.whole_head import WholeHead
from vrn.errors import FieldError, NoFaceError, WeightsError
from vrn.finder.face import AlignedFace, Detection
from vrn.meshing.field import Field
from vrn.network.guided_load import untrained
from vrn.pipeline import Reconstructor

PREVIEW = Options(detail=Detail.PREVIEW)
EMPTY = Field(np.full((100, 96, 96), -5, np.float32), Grid.blocks(96, 100), 0.0)


class KnownFaces:
    """A finder that was told where the faces are, largest first."""

    def __init__(self, faces: list[AlignedFace]) -> None:
        self._faces = faces

    def detect(self, image: NDArray[np.uint8], *, subject: bool = False) -> list[Detection]:  # noqa: ARG002
        assert image.dtype == np.uint8
        return [
            Detection((x + w / 2, y + h / 2), float(np.sqrt(w * h)), face.score)
            for face in self._faces
            for x, y, w, h in [face.box_px]
        ]

    def align(self, image: NDArray[np.uint8], boxes: Any) -> list[AlignedFace]:
        assert image.ndim == 3
        return self._faces[: len(boxes)]

    def search_again(self, image: NDArray[np.uint8]) -> list[AlignedFace]:  # noqa: ARG002
        return []

    def find(self, image: NDArray[np.uint8]) -> list[AlignedFace]:
        return self.align(image, self.detect(image))


STAGES: list[Stage] = [stage for stage in Stage if stage is not Stage.STORE]


class KnownFields:
    """A network that gives the fields it was told, one after the other, again and again."""

    def __init__(self, *fields: Field) -> None:
        self._fields = fields
        self.crops: list[NDArray[np.uint8]] = []

    def field(self, crop: NDArray[np.uint8]) -> Field:
        self.crops.append(crop)
        return self._fields[(len(self.crops) - 1) % len(self._fields)]


def png(image: NDArray[np.uint8]) -> bytes:
    out = BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def heads(make_head: Callable[..., Any]) -> list[Any]:
    return [make_head(px_per_mm=1.2, centre=(150.0, 150.0)), make_head(yaw=30, px_per_mm=0.6, centre=(330.0, 260.0))]


@pytest.fixture(scope="module")
def photo(heads: list[Any]) -> bytes:
    return png(heads[0].photo())


@pytest.fixture
def two(heads: list[Any]) -> Reconstructor:
    return Reconstructor(KnownFields(*(h.field() for h in heads)), KnownFaces([h.face for h in heads]))


def test_a_photo_becomes_a_ply(two: Reconstructor, photo: bytes, heads: list[Any]) -> None:
    result = two.reconstruct(photo)
    (face,) = result.faces
    assert PlyData.read(BytesIO(face.file.data))["vertex"].count == len(face.mesh.vertices)
    assert (face.index, face.score, face.box) == (0, heads[0].face.score, heads[0].face.box_px)
    assert (face.vertices, face.triangles) == (len(face.mesh.vertices), len(face.mesh.triangles))
    assert result.files == [face.file]
    assert result.mesh is face.mesh
    assert result.mesh.file is face.file
    assert result.job is None


def test_a_larger_face_that_the_border_cuts_off_is_not_meant(heads: list[Any], photo: bytes) -> None:
    x, _, width, _ = heads[0].face.box_px
    cut = replace(heads[0].face, landmarks_px=heads[0].face.landmarks_px - [x + 0.9 * width, 0, 0])
    whole = heads[1].face
    reconstructor = Reconstructor(KnownFields(heads[1].field()), KnownFaces([cut, whole]))
    (face,) = reconstructor.reconstruct(photo, PREVIEW).faces
    assert face.box == whole.box_px


def test_the_stages_are_told_in_order_with_growing_progress(two: Reconstructor, photo: bytes) -> None:
    told: list[tuple[Stage, float]] = []
    result = two.reconstruct(photo, PREVIEW, lambda stage, done: told.append((stage, done)))
    assert [stage for stage, _ in told] == STAGES
    progress = [done for _, done in told]
    assert progress == sorted(progress)
    assert progress[0] == 0
    assert progress[-1] < 1
    assert list(result.seconds) == STAGES
    assert all(seconds >= 0 for seconds in result.seconds.values())


@pytest.mark.parametrize("stop_at", STAGES)
def test_what_the_callback_raises_stops_the_job_there(two: Reconstructor, photo: bytes, stop_at: Stage) -> None:
    class CancelledError(Exception):
        pass

    told = []

    def on_stage(stage: Stage, _: float) -> None:
        told.append(stage)
        if stage is stop_at:
            raise CancelledError

    with pytest.raises(CancelledError):
        two.reconstruct(photo, PREVIEW, on_stage)
    assert told == STAGES[: STAGES.index(stop_at) + 1]


def test_all_faces_come_by_descending_size(two: Reconstructor, photo: bytes, heads: list[Any]) -> None:
    told: list[tuple[Stage, float]] = []
    options = Options(detail=Detail.PREVIEW, all_faces=True)
    result = two.reconstruct(photo, options, lambda stage, done: told.append((stage, done)))
    assert [face.box for face in result.faces] == [head.face.box_px for head in heads]
    assert [stage for stage, _ in told].count(Stage.NETWORK) == 2
    assert [done for _, done in told] == sorted(done for _, done in told)
    assert len(result.files) == 2


@pytest.mark.parametrize("format", list(Format))
def test_a_scene_is_one_file_with_all_faces(two: Reconstructor, photo: bytes, format: Format) -> None:
    result = two.reconstruct(photo, Options(format, Detail.PREVIEW, all_faces=True, scene=True))
    (file,) = result.files
    assert [face.file for face in result.faces] == [file, file]
    assert file.extension == f".{format}"


@pytest.mark.parametrize("format", list(Format))
def test_the_same_photo_gives_the_same_bytes(
    two: Reconstructor, photo: bytes, format: Format, heads: list[Any]
) -> None:
    options = Options(format, Detail.PREVIEW)
    again = Reconstructor(KnownFields(heads[0].field()), KnownFaces([heads[0].face]))
    assert two.reconstruct(photo, options).files[0].data == again.reconstruct(photo, options).files[0].data


def test_the_network_sees_the_crop_of_the_face(photo: bytes, heads: list[Any]) -> None:
    network = KnownFields(heads[0].field())
    Reconstructor(network, KnownFaces([heads[0].face])).reconstruct(photo, PREVIEW)
    (crop,) = network.crops
    assert crop.shape == (192, 192, 3)
    assert crop.dtype == np.uint8
    assert crop[96, 96, 2] < 100  # the head, not the background
    assert crop[5, 5, 2] > 200


def test_a_face_s_numbers_are_json(two: Reconstructor, photo: bytes) -> None:
    (face,) = two.reconstruct(photo, PREVIEW).faces
    numbers = json.loads(json.dumps(face.as_json()))
    assert np.reshape(numbers["mesh_to_photo"], (4, 4)).tolist() == face.mesh.mesh_to_photo.tolist()
    assert numbers["box"] == pytest.approx(face.box)
    assert numbers["pose"] == pytest.approx({"yaw": 0, "pitch": 0, "roll": 0}, abs=0.1)


def test_options_may_be_keywords_and_the_photo_a_file(two: Reconstructor, photo: bytes, tmp_path: Path) -> None:
    path = tmp_path / "me.png"
    path.write_bytes(photo)
    (face,) = two.reconstruct(path, format="glb", detail="preview").faces
    assert face.file.format == "glb"
    assert face.mesh.save(tmp_path / "new" / "me.glb").read_bytes() == face.file.data


def test_options_that_contradict_are_refused(two: Reconstructor, photo: bytes) -> None:
    with pytest.raises(OptionError, match="needs format obj, glb or usdz") as caught:
        two.reconstruct(photo, textured=True)
    assert caught.value.field == "textured"
    with pytest.raises(TypeError, match="colour"):
        two.reconstruct(photo, colour="red")


def test_a_photo_without_a_face_says_so(photo: bytes) -> None:
    with pytest.raises(NoFaceError) as caught:
        Reconstructor(KnownFields(EMPTY), KnownFaces([])).reconstruct(photo)
    assert caught.value.reason == "NO_FACE"


def test_bytes_that_are_no_photo_say_so(two: Reconstructor) -> None:
    with pytest.raises(PhotoError):
        two.reconstruct(b"no photo")


def test_an_empty_volume_fails_the_job(photo: bytes, heads: list[Any]) -> None:
    with pytest.raises(FieldError) as caught:
        Reconstructor(KnownFields(EMPTY), KnownFaces([heads[0].face])).reconstruct(photo)
    assert caught.value.reason == "NO_SURFACE"


def test_with_all_faces_a_failed_one_is_left_out(photo: bytes, heads: list[Any]) -> None:
    network = KnownFields(EMPTY, heads[1].field())
    finder = KnownFaces([head.face for head in heads])
    result: Result = Reconstructor(network, finder).reconstruct(photo, Options(detail=Detail.PREVIEW, all_faces=True))
    assert [face.box for face in result.faces] == [heads[1].face.box_px]
    with pytest.raises(FieldError):
        Reconstructor(KnownFields(EMPTY), finder).reconstruct(photo, Options(all_faces=True))


@pytest.mark.parametrize(
    "options",
    [
        Options(Format.GLB, Detail.FULL, textured=True),
        Options(Format.OBJ, Detail.PREVIEW, textured=True),
        Options(Format.GLB, Detail.PREVIEW, printable=True),
        Options(Format.STL, Detail.PREVIEW),
        Options(Format.GLB, Detail.PREVIEW, all_faces=True, scene=True, textured=True),
        Options(Format.OBJ, Detail.PREVIEW, all_faces=True, scene=True, textured=True),
    ],
    ids=str,
)
def test_every_option_gives_a_file(two: Reconstructor, photo: bytes, options: Options) -> None:
    (file,) = two.reconstruct(photo, options).files
    assert len(file.data) > 10_000


class KnownHeads:
    """A network of whole heads that answers with the mean head where the face is."""

    def __init__(self) -> None:
        self.asked = 0

    def head(self, image: NDArray[np.uint8], face: AlignedFace) -> WholeHead:
        assert image.dtype == np.uint8
        self.asked += 1
        return untrained(load_model()).guide(face.landmarks_px)


@pytest.mark.parametrize(
    ("options", "whole"),
    [
        (Options(detail=Detail.PREVIEW), True),
        (Options(detail=Detail.PREVIEW, extent=Extent.FACE), False),
        (Options(detail=Detail.PREVIEW, printable=True), False),
        (Options(detail=Detail.PREVIEW, format=Format.STL), False),
    ],
)
def test_the_extent_decides_between_the_head_and_the_face(
    heads: list[Any], photo: bytes, options: Options, whole: bool
) -> None:
    whole_heads, network = KnownHeads(), KnownFields(heads[0].field())
    reconstructor = Reconstructor(network, KnownFaces([heads[0].face]), heads=whole_heads)
    mesh = reconstructor.reconstruct(photo, options).mesh
    assert (whole_heads.asked, len(network.crops)) == ((1, 0) if whole else (0, 1))
    depth = np.ptp(mesh.vertices[:, 2])
    assert (depth > 180) == whole  # mm; a skull is deeper than a face


def test_without_a_network_of_heads_every_mesh_is_of_the_face(two: Reconstructor, photo: bytes) -> None:
    mesh = two.reconstruct(photo, Options(detail=Detail.PREVIEW, extent=Extent.HEAD)).mesh
    assert np.ptp(mesh.vertices[:, 2]) < 150


def test_boxes_that_cannot_be_the_subject_are_not_aligned(heads: list[Any], photo: bytes) -> None:
    first, second = replace(heads[0].face, score=0.9), replace(heads[1].face, score=0.5)
    aligned: list[int] = []

    class Watched(KnownFaces):
        def align(self, image: NDArray[np.uint8], boxes: Any) -> list[AlignedFace]:
            aligned.append(len(boxes))
            return super().align(image, boxes)

    reconstructor = Reconstructor(KnownFields(heads[0].field()), Watched([first, second]))
    assert reconstructor.reconstruct(photo, PREVIEW).faces[0].box == first.box_px
    assert aligned == [1]
    reconstructor.reconstruct(photo, replace(PREVIEW, all_faces=True))
    assert aligned == [1, 2]


class Thorough(KnownFaces):
    """A finder that knows more faces when it searches again."""

    def __init__(self, first: list[AlignedFace], again: list[AlignedFace]) -> None:
        super().__init__(first)
        self._again, self.searches = again, 0

    def search_again(self, image: NDArray[np.uint8]) -> list[AlignedFace]:  # noqa: ARG002
        self.searches += 1
        return self._again


@pytest.mark.parametrize("all_faces", [False, True])
def test_a_photo_in_which_no_face_is_beyond_doubt_is_searched_again(
    heads: list[Any], photo: bytes, all_faces: bool
) -> None:
    known, other = heads[0].face, heads[1].face
    doubtful = replace(other, doubtful=True)
    options = replace(PREVIEW, all_faces=all_faces)
    for first, again, box, searches in (
        ([], [known], known.box_px, 1),
        ([doubtful], [known], known.box_px, 1),
        ([doubtful], [], doubtful.box_px, 1),
        ([other], [known], other.box_px, 0),
    ):
        finder = Thorough(first, again)
        (face,) = Reconstructor(KnownFields(heads[0].field()), finder).reconstruct(photo, options).faces
        assert (face.box, finder.searches) == (box, searches)


@pytest.mark.parametrize("size", [1.5, 3.75])
def test_what_the_second_search_finds_in_a_reduced_photo_lies_where_it_is_in_the_whole_one(
    heads: list[Any], size: float
) -> None:
    """A small face is then looked at in all of the photo's pixels, a large one in the reduced photo."""
    out = BytesIO()
    Image.fromarray(heads[0].photo()).resize((3000, 3000)).save(out, "JPEG")
    face, landmarks = heads[0].face, heads[0].face.landmarks_px
    known = replace(face, landmarks_px=landmarks * size)
    finder = Thorough([replace(face, landmarks_px=landmarks * 3.75, doubtful=True)], [known])
    (made,) = Reconstructor(KnownFields(heads[0].field()), finder).reconstruct(out.getvalue(), PREVIEW).faces
    assert finder.searches == 1
    assert np.abs(np.array(made.box) - 2 * np.array(known.box_px)).max() < 1


class PersonInPhotos:
    """A finder and heads that know the portraits by their pixels."""

    def __init__(self, portraits: list[Portrait]) -> None:
        self._portraits = {each.photo.tobytes(): each for each in portraits}

    def detect(self, image: NDArray[np.uint8], *, subject: bool = False) -> list[Detection]:  # noqa: ARG002
        return [Detection((180.0, 180.0), 90.0, 0.9)] if image.tobytes() in self._portraits else []

    def align(self, image: NDArray[np.uint8], boxes: Any) -> list[AlignedFace]:
        return [self._portraits[image.tobytes()].face] if boxes else []

    def search_again(self, image: NDArray[np.uint8]) -> list[AlignedFace]:  # noqa: ARG002
        return []

    def find(self, image: NDArray[np.uint8]) -> list[AlignedFace]:
        return self.align(image, self.detect(image))

    def head(self, image: NDArray[np.uint8], face: AlignedFace) -> WholeHead:
        assert face is self._portraits[image.tobytes()].face
        return self._portraits[image.tobytes()].whole


@pytest.fixture(scope="module")
def person() -> list[Portrait]:
    return [portrait(yaw, np.array([0.8, -1.1, 0.6])) for yaw in (-40.0, 0.0, 40.0)]


@pytest.fixture(scope="module")
def together(person: list[Portrait]) -> Reconstructor:
    known = PersonInPhotos(person)
    return Reconstructor(KnownFields(EMPTY), known, heads=known)


def test_photos_of_one_person_become_one_head(together: Reconstructor, person: list[Portrait]) -> None:
    nobody = np.full((80, 80, 3), 90, np.uint8)
    told: list[tuple[Stage, float]] = []
    photos = [png(nobody), *(png(each.photo) for each in person)]
    result = together.reconstruct(photos, PREVIEW, lambda stage, done: told.append((stage, done)), one_person=True)
    (face,) = result.faces
    assert face.box == person[1].face.box_px  # over the frontal one
    assert trimesh.Trimesh(face.mesh.vertices, face.mesh.triangles, process=False).is_watertight
    assert [view.index for view in result.views] == [0, 1, 2, 3]
    assert [view.left_out for view in result.views] == [LeftOut.NO_FACE, "", "", ""]
    assert sum(view.weight for view in result.views) == pytest.approx(1)
    assert result.views[2].weight > 0.5
    poses = [view.pose for view in result.views[1:] if view.pose]
    np.testing.assert_allclose([pose.yaw for pose in poses], [-40, 0, 40], atol=5)
    assert result.views[0].pose is None
    assert [stage for stage, _ in told] == [*STAGES[:3], *STAGES[:4] * 3, *STAGES[4:]]
    progress = [done for _, done in told]
    assert progress == sorted(progress)
    assert 0 == progress[0] < progress[-1] < 1
    assert list(result.seconds) == STAGES


def test_the_same_photos_give_the_same_bytes(together: Reconstructor, person: list[Portrait]) -> None:
    photos = [png(each.photo) for each in person]
    first, second = (together.reconstruct(photos, PREVIEW, one_person=True).files[0].data for _ in range(2))
    assert first == second


def test_one_photo_of_one_person_is_the_photo_alone(together: Reconstructor, person: list[Portrait]) -> None:
    photo = png(person[1].photo)
    alone = together.reconstruct(photo, PREVIEW)
    listed = together.reconstruct([photo], PREVIEW, one_person=True)
    np.testing.assert_array_equal(listed.mesh.vertices, alone.mesh.vertices)
    assert np.abs(listed.mesh.colours.astype(int) - alone.mesh.colours.astype(int)).max() <= 1
    assert alone.views == ()


def test_photos_that_all_show_nobody_are_no_head(together: Reconstructor) -> None:
    with pytest.raises(NoFaceError):
        together.reconstruct([png(np.full((80, 80, 3), n, np.uint8)) for n in (10, 20)], PREVIEW, one_person=True)


def test_a_damaged_photo_among_several_is_named(together: Reconstructor, person: list[Portrait]) -> None:
    with pytest.raises(PhotoError, match=r"^Photo 2: ") as error:
        together.reconstruct([png(person[0].photo), b"no photo"], PREVIEW, one_person=True)
    assert error.value.reason == "PHOTO_UNSUPPORTED"


@pytest.mark.parametrize(
    ("count", "wanted", "field"),
    [
        (2, {}, "one_person"),
        (17, {"one_person": True}, "one_person"),
        (0, {"one_person": True}, "one_person"),
        (2, {"one_person": True, "all_faces": True}, "all_faces"),
        (2, {"one_person": True, "printable": True}, "printable"),
        (2, {"one_person": True, "format": "stl"}, "printable"),
        (2, {"one_person": True, "extent": "face"}, "extent"),
    ],
)
def test_what_does_not_go_together_with_one_person_is_refused(
    together: Reconstructor, person: list[Portrait], count: int, wanted: dict[str, Any], field: str
) -> None:
    with pytest.raises(OptionError) as error:
        together.reconstruct([png(person[0].photo)] * count, **wanted)
    assert error.value.field == field


def test_weights_that_know_the_face_only_refuse_one_person(two: Reconstructor, photo: bytes) -> None:
    with pytest.raises(OptionError, match="bundled weights"):
        two.reconstruct([photo, photo], one_person=True)


def test_a_textured_and_lit_head_of_one_person_is_written(together: Reconstructor, person: list[Portrait]) -> None:
    photos = [png(each.photo) for each in person]
    result = together.reconstruct(photos, PREVIEW, one_person=True, format="glb", textured=True, delight=True)
    assert result.mesh.texture is not None
    assert result.files[0].data[:4] == b"glTF"


def test_a_head_of_one_person_that_moves_is_written(together: Reconstructor, person: list[Portrait]) -> None:
    photos = [png(each.photo) for each in person]
    wanted = replace(PREVIEW, format=Format.GLB, rigged=True, compression=Compression.MESHOPT)
    result = together.reconstruct(photos, wanted, one_person=True)
    assert result.mesh.rig is not None
    assert len(result.mesh.vertices) == 11_020
    assert b'"jawOpen"' in result.files[0].data
    assert [view.left_out for view in result.views] == ["", "", ""]
    assert result.faces[0].preview.data[:4] == b"RIFF"


def test_the_head_s_topology_needs_a_network_of_heads(two: Reconstructor, photo: bytes) -> None:
    with pytest.raises(WeightsError, match="know the face only"):
        two.reconstruct(photo, Options(format=Format.GLB, rigged=True))


def test_the_topology_decides_whose_vertices_the_mesh_has(heads: list[Any], photo: bytes) -> None:
    reconstructor = Reconstructor(KnownFields(heads[0].field()), KnownFaces([heads[0].face]), heads=KnownHeads())
    options = Options(detail=Detail.PREVIEW, format=Format.GLB)
    marched = reconstructor.reconstruct(photo, options).mesh
    face = reconstructor.reconstruct(photo, replace(options, rigged=True)).faces[0]
    assert len(face.mesh.vertices) == 11_020 != len(marched.vertices)
    assert face.vertices == 11_020
    assert face.mesh.rig is not None
    assert face.preview.data[:4] == b"RIFF"
