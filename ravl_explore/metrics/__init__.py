"""Pure functions of arrays: the scores of discovery and of evaluation."""

from ravl_explore.metrics.accuracy import GroupAccuracy, group_accuracy, shortcut_strength
from ravl_explore.metrics.gap import Gaps, Presence, performance_gap
from ravl_explore.metrics.influence import influence, top_region
from ravl_explore.metrics.precision import precision_at_k

__all__ = [
    "Gaps",
    "GroupAccuracy",
    "Presence",
    "group_accuracy",
    "influence",
    "performance_gap",
    "precision_at_k",
    "shortcut_strength",
    "top_region",
]
