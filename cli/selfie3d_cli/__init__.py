"""The `selfie3d` command: one file per command, everything heavy imported only when its command runs."""

import os

# Read when grpc is imported, which some command's file does: else it writes lines of its own beside our messages.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
