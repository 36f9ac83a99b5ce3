"""Objectives; ``__all__`` is what the explorer's menu offers."""

from ravl_explore.objectives.base import Batch, Objective
from ravl_explore.objectives.counterfactual import CounterfactualRegions
from ravl_explore.objectives.region_aware import RegionAware
from ravl_explore.objectives.standard import Standard
from ravl_explore.objectives.upsampled import Upsampled

__all__ = ["CounterfactualRegions", "RegionAware", "Upsampled", "Standard", "Batch", "Objective"]  # noqa: RUF022
