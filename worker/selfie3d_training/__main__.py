"""``python -m selfie3d_training``: turn, train, export, evaluate, and the same for the finder."""

import sys

from selfie3d_training.commands import main

sys.exit(main())
