"""Finds faces and their landmarks."""

from vrn.finder.bundled import BundledFinder
from vrn.finder.open import FINDERS, load_finder, open_bundled

__all__ = ["FINDERS", "BundledFinder", "load_finder", "open_bundled"]
