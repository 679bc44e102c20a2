"""Finds faces and their landmarks."""

from vrn.finder.bundled import BundledFinder
from vrn.finder.open import FINDERS, open_bundled, open_finder

__all__ = ["FINDERS", "BundledFinder", "open_bundled", "open_finder"]
