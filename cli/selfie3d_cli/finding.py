"""One thing that a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Finding:
    """What a check found, and the remedy; empty where all is well."""

    check: str
    level: Severity
    text: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """For --json."""
        return {"check": self.check, "status": str(self.level), "finding": self.text, "remedy": self.remedy}
