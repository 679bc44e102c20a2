"""`python -m selfie3d_cli` is the `selfie3d` command."""

import sys

from selfie3d_cli.main import main

sys.exit(main())
