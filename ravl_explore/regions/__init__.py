"""Regions and their proposers; ``__all__`` is what the explorer's menu offers."""

from ravl_explore.regions.base import Proposer, Regions
from ravl_explore.regions.given import Given
from ravl_explore.regions.grid import Grid

__all__ = ["Grid", "Given", "Proposer", "Regions"]  # noqa: RUF022  the menu's order
