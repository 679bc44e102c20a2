"""``python -m selfie3d_training``: turn, train, export, evaluate, and the same for the finder."""

import sys

from selfie3d.threads import let_idle_threads_sleep

if __name__ == "__main__":
    let_idle_threads_sleep()
    from selfie3d_training.commands import main  # imports torch

    sys.exit(main())
