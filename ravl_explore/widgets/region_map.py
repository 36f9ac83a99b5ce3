"""RegionMap: the map of all regions; lasso, box or click gives a selection."""

from __future__ import annotations

import ipywidgets
import numpy as np
import traitlets

from ravl_explore.discovery import Discovery


class RegionMap(ipywidgets.VBox):
    """The regions of a discovery as points; API (being written):

    ``RegionMap(discovery=None, xy=None, layout_name="PCA", height=520)``

    Traits to observe
    -----------------
    selection : tuple of int, region indices in rising order; one notification per gesture
    selection_source : str, "lasso", "box", "click", "clear" or what ``select(source=)`` was given
    color_by : one of plots.region_map.COLOR_BY
    hovered : int or None

    Methods (any thread)
    --------------------
    show(discovery, xy, layout_name="PCA")    new content, selection cleared
    set_layout(xy, layout_name)               other places for the same points; keeps colours and selection
    select(region_index, source="python")     highlight; observers are told once; () clears
    clear()                                   select nothing
    selected_images -> ndarray                images of the selected regions
    close()                                   frees both the figure's and the own comm
    """

    selection = traitlets.Tuple(())
    color_by = traitlets.Unicode("cluster")
