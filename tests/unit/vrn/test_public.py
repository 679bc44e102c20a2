"""What `import vrn` offers."""

from __future__ import annotations

import vrn


def test_the_public_names_are_these_and_all_there() -> None:
    assert vrn.__all__ == [
        "AlignedFace",
        "BackendMissingError",
        "Detection",
        "Field",
        "FieldError",
        "Finder",
        "ModelProcessError",
        "NoFaceError",
        "Reconstructor",
        "VrnError",
        "WeightsError",
        "extract_surface",
        "preview_sheet",
        "turntable",
    ]
    assert all(hasattr(vrn, name) for name in vrn.__all__)
