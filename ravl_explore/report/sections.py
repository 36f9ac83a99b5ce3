"""The sections of the report, each a function of the discovery that returns HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.discovery import LIKELY_REAL, Discovery, SpuriousFeature
from ravl_explore.embedding.skipping import Unreadable
from ravl_explore.metrics import accuracy_interval
from ravl_explore.report.drawings import accuracy_bars, swatch
from ravl_explore.report.markup import NONE, chance, details, escape, interval, number, percent, plural, table
from ravl_explore.report.pictures import gallery, typical_regions

MOST_SUSPECTS, MOST_PRUNED = 60, 100  # rows of the tables; the rest is in clusters.parquet
FIRST_CLASSES, MOST_CLASSES = 10, 40
MOST_SKIPPED = 100
KEY_IN, KEY_OUT = ('<span class="key ' + kind + '"></span>' for kind in ("in", "out"))
FEW = 10  # images; fewer say little about an accuracy

RANKING = (
    ("Cluster", "rank", "Rank, and the number of the cluster"),
    ("Pulls towards", "", "The class that gains most accuracy where the cluster occurs"),
    ("Gap G", "n", "How much class accuracies differ with and without it, summed over classes"),
    ("G / classes", "n", "The gap divided by the number of classes, 0 to 1"),
    ("Influence H", "n", "Share of errors, in the worst class, whose decisive region is in this cluster"),
    ("p", "n", "How often chance gives a gap this large"),
    ("q", "n", "The same, corrected for looking at many clusters"),
    ("Regions", "n", "Regions in the cluster"),
    ("Images", "n", "Images with such a region"),
    ("Verdict", "wide", "A possible shortcut, or why not"),
)
CLASSES = (
    ("Class", "", "True class of the images"),
    ("With", "n", "Accuracy on its images with such a region"),
    ("95%", "n", "Interval of the accuracy with it"),
    ("Images", "n", "Images with it"),
    ("0 to 100%", "chart", "With it above, without it below; lines are 95% intervals"),
    ("Without", "n", "Accuracy on its images without such a region"),
    ("95%", "n", "Interval of the accuracy without it"),
    ("Images", "n", "Images without it"),
    ("Weighted gap", "n", "Difference, weighted by how even the split is; their sizes add up to G"),
)


def headline(discovery: Discovery) -> str:
    """Accuracy, sizes, how many clusters are suspect, and the first finding in a sentence."""
    scores, n_suspect = discovery.scores, len(discovery.features)
    n_images = len(scores.embeddings.labels)
    low, high = accuracy_interval(np.array([scores.correct.sum()]), np.array([n_images]))
    n_real = sum(each.q_value <= LIKELY_REAL for each in discovery.features)
    cards = (
        (
            percent(scores.accuracy),
            f"accuracy (95% interval {interval(float(low[0]), float(high[0]))}); "
            f"guessing gives {percent(scores.chance)}",
        ),
        (f"{n_images:,}", "images" if n_images != 1 else "image"),
        (f"{len(scores.embeddings.region):,}", f"regions in {plural(len(discovery.clusters), 'cluster')}"),
        (f"{n_suspect:,}", f"suspect; {n_real:,} of them with q ≤ {LIKELY_REAL}"),
    )
    shown = "".join(f"<div><dd>{value}</dd><dt>{name}</dt></div>" for value, name in cards)
    doubt = f'<p class="finding"><b>{escape(scores.doubt, 400)}</b></p>' if scores.doubt else ""
    return f'<dl class="cards">{shown}</dl>{doubt}<p class="finding">{_finding(discovery)}</p>'


def ranking(discovery: Discovery) -> str:
    """The suspects, best first; the pruned clusters folded away."""
    suspects = discovery.features
    pruned = discovery.clusters[len(suspects) :]
    parts = []
    if suspects:
        rows = [_ranked(rank, each, suspect=True) for rank, each in enumerate(suspects[:MOST_SUSPECTS])]
        parts += [table("Suspect clusters, largest gap first", RANKING, rows), _rest(len(suspects) - MOST_SUSPECTS)]
    if pruned:
        start = len(suspects)
        rows = [_ranked(start + i, each, suspect=False) for i, each in enumerate(pruned[:MOST_PRUNED])]
        content = table("Clusters that are not suspect", RANKING, rows) + _rest(len(pruned) - MOST_PRUNED)
        parts.append(details(f"{plural(len(pruned), 'cluster')} that {_is(len(pruned))} not suspect, and why", content))
    return "".join(parts)


def finding(
    discovery: Discovery,
    data: ImageTextDataset | None,
    rank: int,
    *,
    n_typical: int,
    n_errors: int,
    misleading: np.ndarray,
) -> str:
    """One suspect: what it does in a sentence, its crops, the errors it decides, and the accuracies of every class."""
    each = discovery.features[rank]
    errors = misleading[discovery.clustering.labels[misleading] == each.cluster]
    parts = [f'<h3 id="suspect-{rank + 1}">{swatch(rank)}{rank + 1}. {_name(each)}</h3>', f"<p>{_sentence(each)}</p>"]
    if data is not None:
        parts.append("<h4>Typical regions, beside their images</h4>")
        parts.append(gallery(discovery, data, typical_regions(discovery, each, n_typical)))
        title = "Errors that such a region decides"
        if len(errors):
            few = f", {n_errors} of {len(errors):,}" if len(errors) > n_errors else ""
            parts.append(f"<h4>{title}{few}</h4>{gallery(discovery, data, errors[:n_errors].tolist())}")
        else:
            parts.append(f"<h4>{title}</h4><p>None: in no image in error is it the decisive region.</p>")
    parts.append(_class_tables(each))
    return f'<article aria-labelledby="suspect-{rank + 1}">{"".join(parts)}</article>'


def skipped(images: Sequence[Unreadable]) -> str:
    """The images that could not be read, and why."""
    if not images:
        return "<p>None: every image was read.</p>"
    head = (("Image", "", "Where it is"), ("Number", "n", "Its place in the data"), ("Reason", "", "Why not"))
    rows = [(escape(each.where), f"{each.index:,}", escape(each.reason, 240)) for each in images[:MOST_SKIPPED]]
    caption = f"{plural(len(images), 'image')} that could not be read"
    return table(caption, head, rows) + _rest(len(images) - MOST_SKIPPED, "unreadable.csv")


def settings_list(settings: Mapping[str, object]) -> str:
    """Names and values, nested ones in one line each."""
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(_told(value), 600)}</dd></div>" for name, value in settings.items()
    )
    return f'<dl class="settings">{rows}</dl>'


def _finding(discovery: Discovery) -> str:
    if not discovery.features:
        return f"<b>No cluster is suspect</b>: {escape(discovery.why_none(), 300)}."
    best = discovery.features[0]
    if not any(each.q_value <= LIKELY_REAL for each in discovery.features):
        first = "<b>No suspect stands out from chance.</b> The first is "
        return f'{first}<a href="#suspect-1">{_name(best)}</a>. {_sentence(best)}'
    return f'<b>Look first at <a href="#suspect-1">{_name(best)}</a>.</b> {_sentence(best)}'


def _name(each: SpuriousFeature) -> str:
    return f"Cluster {each.cluster}" + (f", towards {escape(each.attribute, 40)}" if each.attribute else "")


def _sentence(each: SpuriousFeature) -> str:
    """Who gains and who loses most, and how sure that is."""
    told = each.table.assign(change=each.table["accuracy_in"] - each.table["accuracy_out"]).dropna(subset="change")
    parts = []
    gains, losses = told.sort_values("gap", ascending=False).head(1), told.sort_values("gap").head(1)
    for row, verb in ((gains, "more"), (losses, "less")):
        one = row.to_dict("records")[0] if len(row) else None
        if one and (one["gap"] > 0) == (verb == "more") and one["gap"] != 0:
            parts.append(
                f"<b>{escape(one['class_name'], 40)}</b> is {100 * abs(one['change']):.0f} points {verb} accurate "
                f"({percent(one['accuracy_in'])} against {percent(one['accuracy_out'])})"
            )
    changes = "Where such a region is in the image, " + " and ".join(parts) + ". " if parts else ""
    decides = (
        f"In the class hit hardest it decides {100 * each.influence:.0f}% of the errors of images that hold it. "
        if math.isfinite(each.influence)
        else ""
    )
    sure = (
        "Chance alone hardly gives a gap this large"
        if each.q_value <= LIKELY_REAL
        else "<b>Chance alone can give a gap this large</b>"
    )
    return f"{changes}{decides}{sure} (p = {chance(each.p_value)}, q = {chance(each.q_value)})."


def _ranked(rank: int, each: SpuriousFeature, suspect: bool) -> tuple[str, ...]:
    verdict = "<b>suspect</b>" if each.q_value <= LIKELY_REAL else "suspect, may be chance"
    return (
        f"{swatch(rank) if suspect else ''}{rank + 1}. cluster {each.cluster}",
        escape(each.attribute, 40) if each.attribute else NONE,
        number(each.performance_gap),
        f"{each.gap_per_class:.2g}",
        number(each.influence),
        chance(each.p_value),
        chance(each.q_value),
        f"{each.n_regions:,}",
        f"{each.n_images:,}",
        verdict if suspect else escape(each.reason),
    )


def _class_tables(each: SpuriousFeature) -> str:
    """The comparable classes, largest gap first; the rest by name."""
    comparable = np.isfinite(each.table["gap"].to_numpy())
    rows = each.table.loc[comparable, :].to_dict("records")
    rows.sort(key=lambda row: -abs(row["gap"]))
    cells = [_class_row(row) for row in rows[:MOST_CLASSES]]
    parts = [f"<h4>Accuracy of each class with {KEY_IN} and without {KEY_OUT} it</h4>"]
    if cells:
        caption = f"Accuracies with and without cluster {each.cluster}"
        parts.append(table(caption, CLASSES, cells[:FIRST_CLASSES]))
    if more := cells[FIRST_CLASSES:]:
        caption = f"More accuracies with and without cluster {each.cluster}"
        told = f"{plural(len(more), 'more class', 'more classes')}, of smaller gaps"
        parts.append(details(told, table(caption, CLASSES, more)))
    if len(rows) > MOST_CLASSES:
        parts.append(f'<p class="note">{plural(len(rows) - MOST_CLASSES, "more class", "more classes")} not shown.</p>')
    others = each.table["class_name"][~comparable].tolist()
    if others:
        named = ", ".join(escape(name, 40) for name in others[:FIRST_CLASSES])
        more = f" and {len(others) - FIRST_CLASSES:,} more" if len(others) > FIRST_CLASSES else ""
        parts.append(f'<p class="note">Not comparable, as all or none of their images hold it: {named}{more}.</p>')
    return "".join(parts)


def _class_row(row: Mapping[Any, Any]) -> tuple[str, ...]:
    def images(n: int) -> str:
        return f'<span class="few" title="too few to say much">{n:,}</span>' if n < FEW else f"{n:,}"

    return (
        escape(row["class_name"], 40),
        percent(row["accuracy_in"]),
        interval(row["accuracy_in_low"], row["accuracy_in_high"]),
        images(int(row["n_in"])),
        accuracy_bars(row),
        percent(row["accuracy_out"]),
        interval(row["accuracy_out_low"], row["accuracy_out_high"]),
        images(int(row["n_out"])),
        f"{row['gap']:+.2f}".replace("-", "&minus;"),
    )


def _rest(n: int, file: str = "clusters.parquet") -> str:
    return f'<p class="note">{n:,} more in {file}.</p>' if n > 0 else ""


def _is(n: int) -> str:
    return "is" if n == 1 else "are"


def _told(value: object) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_told(each)}" for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_told, value)) if value else "none"
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
