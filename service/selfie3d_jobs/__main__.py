"""Print docs/errors.md."""

from selfie3d_jobs.reasons import as_markdown

if __name__ == "__main__":
    print(as_markdown(), end="")
