"""The embedded sample dataset, written by a small generator: `sample` and `sample-heldout`."""

from lope_data.sources.sample_data.draw import Row, Split
from lope_data.sources.sample_data.generate import SPLITS, generate

__all__ = ["SPLITS", "Row", "Split", "generate"]
