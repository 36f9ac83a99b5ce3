"""discover(): which clusters of regions look like learned shortcuts; search() goes there from a model and images."""

from ravl_explore.discovery.discovery import LIKELY_REAL, Discovery, Rule, SpuriousFeature, check_choices
from ravl_explore.discovery.ranking import MIN_INFLUENCE, PERMUTATION_SEED, discover, score_clusters

__all__ = [
    "LIKELY_REAL",
    "MIN_INFLUENCE",
    "PERMUTATION_SEED",
    "Discovery",
    "Rule",
    "SpuriousFeature",
    "check_choices",
    "discover",
    "score_clusters",
]
