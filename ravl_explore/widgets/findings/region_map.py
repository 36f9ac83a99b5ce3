"""RegionMap: the map of all regions; a lasso, a box or a click gives a selection."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import ipywidgets
import numpy as np
import plotly.graph_objects as go
import traitlets
from jaxtyping import Bool, Float, Int

from ravl_explore.discovery import Discovery
from ravl_explore.errors import InputError
from ravl_explore.plots.categories import COLOR_BY, categories
from ravl_explore.plots.region_map import drawn_regions, region_map
from ravl_explore.widgets.basics.acts import act
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.figure import LiveFigure
from ravl_explore.widgets.basics.gestures import PointsEvent, inside_polygon

TIP = "Lasso or click points, or pick a row in the table"
HELP = (
    "Draw around points, or click one; Shift adds to the selection, a double click clears it. "
    "A click on a legend entry hides it, a double click shows it alone."
)
EMPTY_TIP = "The map appears here after a search"


class RegionMap(Closing, ipywidgets.VBox):
    """Every region as a point, coloured by what you ask about; select by lasso, box or click, or from Python.

    Parameters
    ----------
    discovery, xy : Discovery and array (n_regions, 2), optional
        What to show, and where each region lies; without them the map is empty until :meth:`show`.
    layout_name : str
        Names the axes.
    height : int
        Pixels of the screen.

    Notes
    -----
    Every method may be called from any thread. Observers of a gesture run on the thread that received it.
    """

    _lets_go = ("_discovery", "_xy")

    selection = traitlets.Tuple(default_value=())
    """Selected regions in rising order; observers hear of it once per gesture, also of one that selects the same."""

    selection_source = traitlets.Unicode("")
    """Who made the selection: "lasso", "box", "click", "clear", or what ``select(source=...)`` was given.

    It is set before ``selection``, so an observer of ``selection`` may read it."""

    color_by = traitlets.Enum(COLOR_BY, default_value="cluster")
    """One of ``ravl_explore.plots.categories.COLOR_BY``; the menu above the map shows the same."""

    def __init__(
        self,
        discovery: Discovery | None = None,
        xy: Float[np.ndarray, "n_regions 2"] | None = None,
        layout_name: str = "PCA",
        *,
        height: int = 520,
    ) -> None:
        self._guard = threading.RLock()  # of the state; never held while observers run, or the figure is drawn
        self._acts = threading.RLock()  # one selection after the other; what draws never takes it
        self._discovery: Discovery | None = None
        self._xy: np.ndarray | None = None
        self._shows, self._places = 0, [np.zeros((0, 2), np.float32)]  # which discovery, and every layout of it so far
        self._layout_name = layout_name
        self._drawn = np.zeros(0, np.int64)
        self._marked: int | None = None
        self._quiet = False
        self.figure = LiveFigure(_blank(), height=height)
        self._menu = ipywidgets.Dropdown(
            options=[(name[0].upper() + name[1:], name) for name in COLOR_BY],
            description="Colour by",
            style={"description_width": "initial"},
            layout=ipywidgets.Layout(width="230px"),
        )
        self._status = ipywidgets.HTML(
            layout=ipywidgets.Layout(flex="1 1 200px", min_width="0", margin="0 8px", overflow="hidden")
        )
        self._clear = ipywidgets.Button(
            description="Clear selection",
            icon="times",
            disabled=True,
            layout=ipywidgets.Layout(width="130px", flex="0 0 auto"),
        )
        top = ipywidgets.HBox(
            [self._menu, self._status, self._clear],
            layout=ipywidgets.Layout(align_items="center", flex_flow="row wrap", width="100%"),
        )
        super().__init__([top, self.figure], layout=ipywidgets.Layout(width="100%"))
        traitlets.link((self, "color_by"), (self._menu, "value"))
        self.observe(self._recolour, "color_by")
        self.observe(self._reselect, "selection")
        self._clear.on_click(lambda _: self._set_selection((), "clear", by_hand=True))
        self.figure.on_points(self._on_points)
        self._write_status()
        if discovery is not None and xy is not None:
            self.show(discovery, xy, layout_name)

    # What to show

    def show(self, discovery: Discovery, xy: Float[np.ndarray, "n_regions 2"], layout_name: str = "PCA") -> None:
        """Show another discovery; the selection and the user's zoom are forgotten, the way of colouring stays.

        Parameters
        ----------
        discovery : Discovery
            Whose regions they are.
        xy : Float[np.ndarray, "n_regions 2"]
            One place per region.
        layout_name : str
            What the axes are called.
        """
        drawn = drawn_regions(discovery)
        figure = region_map(discovery, xy, self.color_by, layout_name=layout_name, drawn=drawn)
        with self._acts:
            self._set_selection((), "clear", redraw=False)  # first: its regions may be none of the new discovery's
            with self._guard:
                self._discovery, self._xy, self._layout_name = discovery, np.asarray(xy, dtype=np.float32), layout_name
                self._shows, self._places = self._shows + 1, [self._xy]
                self._drawn, self._marked = drawn, None
                figure.layout.meta = self._picture()
        self.figure.draw(figure, reset=("zoom", "legend", "outline"))
        self.figure.resync()
        self._write_status()

    def set_layout(self, xy: Float[np.ndarray, "n_regions 2"], layout_name: str) -> None:
        """Move the points to other places; colours, hidden entries and the selection stay."""
        with self._guard:
            discovery = self._shown()
            if np.shape(xy) != (len(discovery.clustering.labels), 2):
                raise InputError("one point per region", f"shape {np.shape(xy)}", "Lay out the embeddings shown here.")
            self._xy, self._layout_name = np.asarray(xy, dtype=np.float32), layout_name
            self._places.append(self._xy)
        self._redraw("zoom", "outline")

    # Selection

    def select(self, region_index: Iterable[int] | Int[np.ndarray, " n"], source: str = "python") -> None:
        """Highlight regions, as if the user had; observers of ``selection`` hear of it once, and only of a change."""
        rows = np.asarray(region_index if isinstance(region_index, np.ndarray | tuple) else list(region_index))
        if rows.size and (rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= self._n_regions):
            raise InputError(
                f"region indices from 0 to {self._n_regions - 1}", f"{np.sort(rows)[:3]}", "See Discovery.clusters."
            )
        self._set_selection(tuple(np.flatnonzero(self._mask(rows)).tolist()), source)

    def mark(self, region: int | None) -> None:
        """Put a ring around one region, such as the crop being looked at; None takes it away."""
        if region is not None and not 0 <= region < self._n_regions:
            raise InputError(f"a region from 0 to {self._n_regions - 1}", f"{region}", "See Discovery.clusters.")
        with self._guard:
            changed, self._marked = region != self._marked, region
        if changed:
            self._redraw()

    def clear(self) -> None:
        """Select nothing."""
        self._set_selection((), "clear")

    @property
    def selected_images(self) -> Int[np.ndarray, " n"]:
        """The images of the selected regions, in rising order."""
        if not self.selection:
            return np.zeros(0, np.int64)
        images = self._shown().scores.embeddings.regions.image_index[np.asarray(self.selection)]
        return images[np.diff(images, prepend=-1) > 0]  # neither falls, so equal ones are neighbours

    @property
    def _n_regions(self) -> int:
        return 0 if self._discovery is None else len(self._discovery.clustering.labels)

    def _shown(self) -> Discovery:
        if self._discovery is None:
            raise InputError("a map that shows a discovery", "an empty one", "Call show(discovery, xy) first.")
        return self._discovery

    def _set_selection(self, rows: tuple[int, ...], source: str, redraw: bool = True, by_hand: bool = False) -> None:
        with self._acts:
            self._quiet = not redraw
            try:
                self.selection_source = source
                if by_hand:
                    act(self, "selection", rows)
                else:
                    self.selection = rows
            finally:
                self._quiet = False

    def _reselect(self, change: dict) -> None:
        if not self._quiet:
            drawn_by_hand = self.selection_source in ("lasso", "box", "click")
            self._redraw(*(() if drawn_by_hand else ("outline",)))
            self._write_status()

    def _recolour(self, change: dict) -> None:
        self._redraw("legend", "outline")

    def _redraw(self, *reset: str) -> None:
        if self._discovery is not None:
            self.figure.draw(self._make, reset=reset)

    def _make(self) -> go.Figure:
        with self._guard:
            discovery, xy, selection = self._shown(), self._xy, np.asarray(self.selection, dtype=np.int64)
            color_by, layout_name, marked = self.color_by, self._layout_name, self._marked
            picture = self._picture()
        assert xy is not None
        made = region_map(discovery, xy, color_by, selection, layout_name=layout_name, marked=marked, drawn=self._drawn)
        made.layout.meta = picture
        return made

    def _picture(self) -> dict[str, int]:
        """What a gesture says it was made on: it may be told when something else is shown already."""
        return {"shows": self._shows, "places": len(self._places) - 1}

    # Gestures

    def _on_points(self, event: PointsEvent) -> None:
        with self._acts:
            if self._discovery is None or (event.picture or {}).get("shows") != self._shows:
                return  # made on a discovery that is gone: its regions are none of those shown now
            if event.kind == "deselected":
                self._set_selection((), "clear", by_hand=True)
            else:
                self._set_selection(tuple(self._regions_in(event).tolist()), event.tool, by_hand=True)

    def _regions_in(self, event: PointsEvent) -> Int[np.ndarray, " n"]:
        """Selected regions: of those drawn, what the browser says; of the others, what lies inside the outline."""
        said = self._mask(event.ids)
        others = ~self._mask(self._drawn)
        if not others.any():
            return np.flatnonzero(said)
        selected = self._mask(np.asarray(self.selection, dtype=np.int64))
        before = selected & others
        if event.polygon is None:
            return np.flatnonzero(said | before if (said & selected).any() else said)
        assert event.picture is not None  # whoever asks has looked
        inside = inside_polygon(self._places[event.picture["places"]], event.polygon) & ~self._hidden()
        hits, drawn_inside = inside & others, inside & ~others
        if (said & ~drawn_inside).any():  # points outside this outline: it was added with shift
            hits |= before
        elif 2 * (drawn_inside & ~said).sum() > drawn_inside.sum():  # most inside left out: taken away with alt
            hits = before & ~hits
        return np.flatnonzero(said | hits)

    def _mask(self, rows: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n_regions"]:
        """Which regions are among these: quicker than sorted sets for a million."""
        mask = np.zeros(self._n_regions, bool)
        mask[np.asarray(rows, dtype=np.int64)] = True
        return mask

    def _hidden(self) -> Bool[np.ndarray, " n_regions"]:
        """Regions whose legend entry the user switched off."""
        traces: Any = self.figure.data  # plotly says nothing of what is in it
        entries = [traces[trace].meta["entry"] for trace in self.figure.hidden_traces()]
        if not entries:
            return np.zeros(self._n_regions, bool)
        return np.isin(categories(self._shown(), self.color_by).codes, entries)

    def _write_status(self) -> None:
        n = len(self.selection)
        if self._discovery is None:
            text = EMPTY_TIP
        elif n:
            images = len(self.selected_images)
            text = f"<b>{n:,}</b> region{'s' * (n > 1)} selected · <b>{images:,}</b> image{'s' * (images > 1)}"
        else:
            text = TIP
        style = "white-space:nowrap;overflow:hidden;text-overflow:ellipsis"
        self._status.value = f'<div style="{style}" title="{HELP}" aria-live="polite">{text}</div>'
        self._clear.disabled = not n
        self._menu.disabled = self._discovery is None


def _blank() -> go.Figure:
    figure = go.Figure()
    figure.update_layout(xaxis={"visible": False}, yaxis={"visible": False})
    return figure
