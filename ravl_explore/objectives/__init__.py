"""Objectives; ``__all__`` is what the explorer's menu offers."""

from ravl_explore.objectives.base import Batch, Objective
from ravl_explore.objectives.concept_guided import ConceptGuided
from ravl_explore.objectives.counterfactual import CounterfactualRegions
from ravl_explore.objectives.region_aware import RegionAware
from ravl_explore.objectives.spurious_aware import SpuriousAware
from ravl_explore.objectives.standard import Standard
from ravl_explore.objectives.training_free import Projection, Shift
from ravl_explore.objectives.upsampled import Upsampled
from ravl_explore.objectives.vl_erm import VlErm
from ravl_explore.objectives.vl_gdro import VlGdro

__all__ = [  # noqa: RUF022  the menu's order: what mitigates most first, the plain baseline last but the two without training
    "CounterfactualRegions",
    "RegionAware",
    "ConceptGuided",
    "SpuriousAware",
    "VlGdro",
    "VlErm",
    "Upsampled",
    "Standard",
    "Shift",
    "Projection",
    "Batch",
    "Objective",
]
