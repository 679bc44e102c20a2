"""What `import vrn` offers."""

from __future__ import annotations

import vrn


def test_the_public_names_are_these_and_all_there() -> None:
    assert vrn.__all__ == [
        "BackendMissingError",
        "Box",
        "Crop",
        "Detail",
        "Face",
        "FaceResult",
        "Field",
        "FieldError",
        "Finder",
        "Format",
        "Grid",
        "Mesh",
        "MeshFile",
        "NoFaceError",
        "Options",
        "Pose",
        "Reconstructor",
        "Result",
        "Stage",
        "VrnError",
        "WeightsError",
        "extract_surface",
        "preview_sheet",
        "turntable",
    ]
    assert all(hasattr(vrn, name) for name in vrn.__all__)
