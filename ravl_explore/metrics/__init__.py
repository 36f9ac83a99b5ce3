"""Pure functions of arrays: the scores of discovery and of evaluation."""

from ravl_explore.metrics.accuracy import GroupAccuracy, Samples, group_accuracy, shortcut_strength
from ravl_explore.metrics.alignment import Alignment, alignment
from ravl_explore.metrics.chance import better_than_chance, chance_doubt, chance_level
from ravl_explore.metrics.gap import Gaps, Presence, performance_gap
from ravl_explore.metrics.influence import influence, top_region
from ravl_explore.metrics.precision import precision_at_k
from ravl_explore.metrics.significance import accuracy_interval, false_discovery_rate, permutation_p_values

__all__ = [
    "Alignment",
    "Gaps",
    "GroupAccuracy",
    "Presence",
    "Samples",
    "accuracy_interval",
    "alignment",
    "better_than_chance",
    "chance_doubt",
    "chance_level",
    "false_discovery_rate",
    "group_accuracy",
    "influence",
    "performance_gap",
    "permutation_p_values",
    "precision_at_k",
    "shortcut_strength",
    "top_region",
]
