"""assign(): which regions and images of a dataset show the chosen features, and what speaks against the choice."""

from ravl_explore.assignment.assignment import Assignment, assign
from ravl_explore.assignment.features import ClusterFeature, Feature
from ravl_explore.assignment.precheck import Precheck, check_features

__all__ = ["Assignment", "ClusterFeature", "Feature", "Precheck", "assign", "check_features"]
