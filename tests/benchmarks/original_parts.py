"""What the parts of the original take for one photo: `python -m tests.benchmarks.original_parts RUNS`, on one core.

The detector (S3FD) and the aligner (2D-FAN, four stacks) of face-alignment, which the original used, and the network of
the released size, all with random weights, as the time does not depend on them; and the original's recipe for the
mesh of the bundled network's volume. Prints JSON: seconds of CPU time by part, medians.
"""

from __future__ import annotations

import os

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before anything starts threads

import io  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections import defaultdict  # noqa: E402
from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from face_alignment.detection.sfd.net_s3fd import s3fd  # noqa: E402
from face_alignment.models import FAN  # noqa: E402
from PIL import Image  # noqa: E402

from selfie3d.types.frames import Crop  # noqa: E402
from tests.benchmarks import original  # noqa: E402
from tests.photos import astronaut  # noqa: E402
from vrn.crop import resample  # noqa: E402
from vrn.network import load_network  # noqa: E402
from vrn.official import OfficialConfig  # noqa: E402
from vrn.official.network import Official  # noqa: E402

FACE = ((224.0, 133.0), 88.0)  # centre and size of the astronaut's, px


def parts() -> dict[str, Callable[[], object]]:
    """What the original does for a photo, in its order."""
    photo = np.asarray(Image.open(io.BytesIO(astronaut())).convert("RGB"))
    picture = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float()
    detector, aligner, network = s3fd().eval(), FAN(4).eval(), Official(OfficialConfig()).eval()
    crop = resample(photo, Crop.around(*FACE))
    volume = original.byte_volume(load_network().field(crop))
    return {
        "detector": lambda: detector(picture),
        "aligner": lambda: aligner(torch.rand(1, 3, 256, 256)),
        "network": lambda: network(torch.rand(1, 3, 192, 192)),
        "mesh": lambda: original.obj(*original.mesh(volume, crop)),
    }


def main(runs: int) -> None:
    """See the module's text."""
    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = defaultdict(list)
    known = parts()
    with torch.inference_mode():
        for _ in range(runs + 1):  # the first warms up
            for name, part in known.items():
                begin = time.process_time()
                part()
                seconds[name].append(time.process_time() - begin)
    print(json.dumps({name: statistics.median(taken[1:]) for name, taken in seconds.items()}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
