"""Clusterers: how regions that look alike are put together."""

from ravl_explore.clustering.automatic import automatic as automatic
from ravl_explore.clustering.automatic import automatic_sweep as automatic_sweep
from ravl_explore.clustering.base import Clusterer, Clustering
from ravl_explore.clustering.clara import Clara
from ravl_explore.clustering.kmedoids import KMedoids
from ravl_explore.clustering.kmedoids import choose as choose
from ravl_explore.clustering.kmedoids import default_sweep as default_sweep
from ravl_explore.clustering.sklearn_extra import SklearnExtraKMedoids

__all__ = ["KMedoids", "Clara", "SklearnExtraKMedoids", "Clusterer", "Clustering"]  # noqa: RUF022  menus keep this order
