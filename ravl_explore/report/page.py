"""report_html(): the whole page, put together from its sections; nothing in it is fetched, nothing runs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

import numpy as np

from ravl_explore.about import __version__
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.discovery import Discovery
from ravl_explore.plots.layout import cached_layout, pca_layout
from ravl_explore.plots.region_map import drawn_regions
from ravl_explore.report.drawings import region_map_svg
from ravl_explore.report.markup import escape, plural
from ravl_explore.report.pictures import misleading_regions
from ravl_explore.report.sections import finding, headline, ranking, settings_list, skipped
from ravl_explore.support import checks

MOST_DRAWN = 4000  # dots of the map: 50 kB
NO_FETCHING = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

HOW_TO_READ = """
<p>The images were cut into regions, and regions that the model embeds alike were grouped into clusters. A cluster is a
<b>suspect</b> when it decides many errors (influence); suspects are ranked by how much accuracies change with them
(gap). A suspect is not yet a shortcut: <b>look at its crops</b>. Do they show one thing that is not what the class is
about, such as a tube, a sign or a background? Then the model may lean on it.</p>
<dl>
<dt>Gap G</dt><dd>For each class, the difference in accuracy between its images with and without such a region, weighted
by how even the split is; the sizes are added up over classes (RaVL, Definition 2).</dd>
<dt>Influence H</dt><dd>Among the errors of images that hold it, in classes that are less accurate with it, the share in
which its region speaks most for the wrong class; the highest over classes (RaVL, Definition 1). 0 to 1.</dd>
<dt>p and q</dt><dd>p: how often chance gives a gap this large, when the cluster is shuffled over the images of each
class. q: p after a correction over all clusters (Benjamini and Hochberg). Of the clusters with q up to 0.05, about one
in twenty or fewer is expected to be chance.</dd>
<dt>95% intervals</dt><dd>Bootstrap over images, one class at a time. Numbers of images below 10 are marked: they say
little.</dd>
</dl>
"""
CAVEATS = """
<ul>
<li><b>G cannot be compared between label sets</b>: it is a sum over classes. G / classes is nearer to comparable; even
so, compare only runs on like data.</li>
<li>p belongs to one cluster; as many clusters were tried, go by q. Both take images as independent: with near
duplicates, or many images of one patient, they are too small.</li>
<li>They say nothing about causes: a region may come along with what really matters, or show the class itself, as side
views do that are harder than front views.</li>
<li>What no region frames cannot be found: with another grid or detector the suspects may be others.</li>
<li>To confirm a suspect, change it in images (cover it, paste it), or fine-tune it away, and see what becomes of the
errors.</li>
</ul>
"""


def report_html(
    discovery: Discovery,
    data: ImageTextDataset | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    n_suspects: int = 5,
    n_typical: int = 8,
    n_errors: int = 4,
) -> str:
    """One self-contained page on a discovery: what is suspect, the crops, the numbers, and how to read them.

    It has no script and loads nothing, so it opens offline and may be mailed; about 1 MB with crops of photographs.

    Parameters
    ----------
    discovery : Discovery
        What to report on.
    data : ImageTextDataset, optional
        The images that were embedded; without them there are no crops.
    settings : mapping of str to object, optional
        More to list under Settings, by name: plain values, lists or mappings.
    n_suspects : int
        How many suspects get crops and a table of classes.
    n_typical, n_errors : int
        Crops a suspect: of typical regions, and of regions that decide an error.

    Returns
    -------
    str
        The whole page as HTML.

    Raises
    ------
    InputError
        For data that are not the images that were embedded, or numbers below 0.
    """
    checks.instance("discovery", discovery, Discovery, "Make one with rx.discover(...) or open it with rx.load.")
    for name, value in (("n_suspects", n_suspects), ("n_typical", n_typical), ("n_errors", n_errors)):
        checks.whole(name, value, 0)
    embeddings = discovery.scores.embeddings
    if data is not None:
        data = embeddings.of(data)
    model, name = escape(embeddings.model_name or "the model", 80), escape(embeddings.data_name or "the images", 80)
    shown = range(min(n_suspects, len(discovery.features)))
    misleading = misleading_regions(discovery)
    articles = "".join(
        finding(discovery, data, rank, n_typical=n_typical, n_errors=n_errors, misleading=misleading) for rank in shown
    )
    without = '<p class="note">Without the images there are no crops; give them with <code>--data</code>.</p>'
    parts = [
        ("result", f"What does <b>{model}</b> rely on in <b>{name}</b>?", headline(discovery)),
        ("ranking", "Clusters, ranked", ranking(discovery)),
        ("suspects", _title_of_suspects(discovery, len(shown)), ("" if data is not None else without) + articles),
        ("map", "Map of the regions", _map(discovery)),
        ("reading", "How to read this", HOW_TO_READ + "<h3>Caveats</h3>" + CAVEATS),
        ("settings", "Settings", settings_list(_settings(discovery) | dict(settings or {}))),
        ("skipped", "Images left out", skipped(embeddings.unreadable)),
    ]
    if not articles:
        parts = [part for part in parts if part[0] != "suspects"]
    title = f"What {model} relies on in {name}"
    contents = "".join(f'<li><a href="#{key}">{heading}</a></li>' for key, heading, _ in parts[1:])
    body = "".join(_section(key, heading, content) for key, heading, content in parts)
    style = files("ravl_explore").joinpath("report", "style.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{NO_FETCHING}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{title}</title><style>{style}</style></head>\n'
        f'<body><header><p>RaVL report</p><nav aria-label="Contents"><ul>{contents}</ul></nav></header>\n'
        f"<main>{body}</main>\n<footer>Made by ravl_explore {escape(__version__)}.</footer></body></html>\n"
    )


def _section(key: str, heading: str, content: str) -> str:
    level = "h1" if key == "result" else "h2"
    title = f'<{level} id="{key}-title">{heading}</{level}>'
    return f'<section id="{key}" aria-labelledby="{key}-title">{title}{content}</section>\n'


def _title_of_suspects(discovery: Discovery, n_shown: int) -> str:
    n = len(discovery.features)
    return (
        f"The first {n_shown} of {n:,} suspects" if n > n_shown else "The suspect" if n == 1 else f"The {n:,} suspects"
    )


def _map(discovery: Discovery) -> str:
    drawn = drawn_regions(discovery, MOST_DRAWN)
    region = discovery.scores.embeddings.region
    layout = cached_layout(discovery.scores.embeddings)
    if layout is not None:
        return region_map_svg(discovery, layout[drawn], drawn, "UMAP")
    return region_map_svg(discovery, pca_layout(np.asarray(region[drawn])), drawn, "PCA")


def _settings(discovery: Discovery) -> dict[str, object]:
    embeddings = discovery.scores.embeddings
    return {
        "model": embeddings.model_name,
        "images": embeddings.data_name,
        "regions": embeddings.proposer_name,
        "regions embedded by": embeddings.region_method,
        "classes": list(embeddings.class_names),
        "prompts": list(embeddings.templates),
        "temperature": embeddings.temperature,
        "minimum influence": discovery.min_influence,
        "rule": discovery.rule,
        "clusters": f"{discovery.clustering.n_clusters}, of {plural(len(discovery.clustering.sweep), 'number')} tried",
    }
