"""Plots: from a noun to a plotly figure, by pure functions; widgets and reports show the same figures."""

from ravl_explore.plots.comparison import comparison_figure
from ravl_explore.plots.curves import curves
from ravl_explore.plots.region_map import region_map
from ravl_explore.plots.runs import runs_figure

__all__ = ["comparison_figure", "curves", "region_map", "runs_figure"]
