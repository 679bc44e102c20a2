"""The `selfie3d` command: one file per command, everything heavy imported only when its command runs."""
