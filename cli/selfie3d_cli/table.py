"""Rows as columns of text, no wider than the terminal."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from itertools import zip_longest

from selfie3d_cli.terminal import columns, is_terminal, padded, printable, styled

GAP = "  "  # between two columns
NARROWEST = 8  # columns of a terminal that a cell is folded to


class TextTable:
    """A header and rows.

    header : names of the columns
    whole : one of them whose cells are never folded
    """

    def __init__(self, *header: str, whole: str = "") -> None:
        self._whole = whole
        self._rows = [("bold", header)]

    def add(self, *cells: object, style: str = "") -> None:
        """A row; whatever the cells hold, a terminal only shows it. style : of `terminal.CODES`, or none"""
        self._rows.append((style, tuple(printable(str(cell)) for cell in cells)))

    def lines(self, width: int | None) -> Iterator[tuple[str, str]]:
        """Style and text of each line, in at most `width` columns where cells can be folded so far; None: any width."""
        widths = self._widths(width)
        for style, row in self._rows:
            folded = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
            for parts in zip_longest(*folded, fillvalue=""):
                yield style, GAP.join(map(padded, parts, widths)).rstrip()

    def show(self) -> None:
        """Print it on stdout; where that is no terminal, each row on one line."""
        width = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None
        for style, line in self.lines(width):
            print(styled(line, style, sys.stdout))

    def _widths(self, width: int | None) -> list[int]:
        """Columns of a terminal for each of ours; the widest are folded."""
        header = self._rows[0][1]
        widths = [max(map(columns, cells)) for cells in zip(*(row for _, row in self._rows), strict=True)]
        while width is not None and sum(widths) + len(GAP) * (len(widths) - 1) > width:
            widest = max(range(len(widths)), key=lambda at: widths[at] if header[at] != self._whole else 0)
            if widths[widest] <= NARROWEST:
                break
            widths[widest] -= 1
        return widths


def _folded(text: str, width: int) -> list[str]:
    """The text as lines of at most `width` columns, folded at blanks where there are any."""
    lines = [""]
    for word in re.findall(" *[^ ]*", text):
        if lines[-1] and columns(lines[-1] + word) > width:
            lines.append("")
            word = word.lstrip()
        for letter in word:
            if columns(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines
