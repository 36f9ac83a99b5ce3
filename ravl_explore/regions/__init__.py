"""Regions and their proposers; ``__all__`` is what the explorer's menu offers."""

from ravl_explore.regions.base import Proposer, Regions
from ravl_explore.regions.detector import Detector
from ravl_explore.regions.given import Given
from ravl_explore.regions.grid import Grid
from ravl_explore.regions.open_proposer import open_proposer
from ravl_explore.regions.proposing import propose as propose
from ravl_explore.regions.random import Random
from ravl_explore.regions.sliding import Sliding

__all__ = ["Grid", "Sliding", "Random", "Detector", "Given", "Proposer", "Regions", "open_proposer"]  # noqa: RUF022  the menu's order
