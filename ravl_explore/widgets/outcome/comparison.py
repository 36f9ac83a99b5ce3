"""Before and after, as tables whose last column draws both values on one scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets

from ravl_explore.comparison import Comparison
from ravl_explore.evaluation import Evaluation
from ravl_explore.measures import WORST_GROUPS, Measure
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.static import script, style

INTERVALS = (
    "A change whose 95 % interval (over images like these) holds 0 may be chance; "
    "of twenty groups in which nothing changed, one is expected beyond its interval."
)
Record = Mapping[Any, Any]  # a row of a comparison's tables, by column
Row = dict[str, object]
Group = tuple[str, bool]


class ComparisonWidget(Closing, anywidget.AnyWidget):
    """Measures and groups of a comparison: overall, worst group, shortcut, and every group, before and after.

    Parameters
    ----------
    comparison : Comparison, optional
        What to show; can be changed with :meth:`show`.
    """

    _esm = script("comparison.js")
    _css = style("comparison.css")
    blocks = traitlets.List(traitlets.Dict()).tag(sync=True)
    """Tables with a title and rows: the measures, then the groups of images and of regions."""

    note = traitlets.Unicode("").tag(sync=True)
    """What was compared, how the new model was made, and how to read the intervals."""

    caution = traitlets.Unicode("").tag(sync=True)
    """What to beware of; empty where nothing is known."""

    def __init__(self, comparison: Comparison | None = None) -> None:
        super().__init__()
        if comparison is not None:
            self.show(comparison)

    def show(self, comparison: Comparison, how: str = "", caution: str = "") -> None:
        """Replace what is shown; ``how`` says before it how the new model was made, ``caution`` what to beware of.

        Parameters
        ----------
        comparison : Comparison
            What to show.
        how : str
            How the new model was made; ends with a space.
        caution : str
            Empty where nothing is known.
        """
        before = comparison.before
        self.note = (
            f"{how}{before.data_name}, {len(before.labels):,} images; guessing gives {_guessing(before)}. "
            f"Groups are class and {_feature(before.feature_name)}. {INTERVALS}"
        )
        self.caution = caution
        self.blocks = [_measures(comparison), *_groups(comparison)]


def _guessing(evaluation: Evaluation) -> str:
    whole = f"{100 * evaluation.chance:.1f}%"
    return whole if evaluation.region is None else f"{whole}, of regions {100 * evaluation.region.chance:.1f}%"


def _feature(name: str | None) -> str:
    return f"whether the image holds the {name}" if name else "nothing else, since no feature is annotated"


def _measures(comparison: Comparison) -> Row:
    rows = []
    for measure, row in zip(comparison.measures, comparison.frame().to_dict("records"), strict=True):
        top = 100.0 if measure.unit else max(1.0, row["before"], row["after"])
        rows.append(
            {
                "name": _title(measure),
                "n": None,
                "mark": "",
                "detail": _worst_groups(comparison, measure.level) if measure in WORST_GROUPS else "",
                **_values(row),
                "digits": measure.digits,
                "range": [-25.0 if measure.unit == "points" else 0.0, top],
            }
        )
    return {"title": "In short", "heading": "Measure", "scale": "each on its own scale", "has_n": False, "rows": rows}


def _title(measure: Measure) -> str:
    """Such as "Image worst group, %" and "Shortcut, ε1, points (0 is best)"."""
    level = "Shortcut," if measure.level == "shortcut" else measure.level.capitalize()
    return measure.with_unit(f"{level} {measure.name}") + (" (0 is best)" if measure.best == "zero" else "")


def _worst_groups(comparison: Comparison, level: str) -> str:
    """Which group is the worst one of each model: their difference may be that of two groups."""
    feature, worst = comparison.before.feature_name, _both_worst(comparison, level)
    if None in worst:
        return ""
    return " → ".join(dict.fromkeys(_group_name(group, feature) for group in worst if group is not None))


def _both_worst(comparison: Comparison, level: str) -> tuple[Group | None, Group | None]:
    """The worst group of the old model and of the new one, where there is one."""
    old, new = (evaluation.levels.get(level) for evaluation in (comparison.before, comparison.after))
    return old and old.worst_group, new and new.worst_group


def _groups(comparison: Comparison) -> list[Row]:
    feature = comparison.before.feature_name
    blocks = []
    for level, table in comparison.groups().groupby("level", sort=True):
        old, new = _both_worst(comparison, str(level))
        rows = [
            {
                "name": _group_name((r["class_name"], bool(r["present"])), feature),
                "detail": "",
                "n": int(r["n"]),
                "mark": _mark((r["class_name"], bool(r["present"])), old, new),
                **_values(r),
                "digits": 1,
                "range": [0.0, 100.0],
            }
            for r in table.to_dict("records")
        ]
        title = {"image": "Whole images, by group", "region": "Regions, by group"}[str(level)]
        blocks.append({"title": title, "heading": "Group", "scale": "0 to 100 %", "has_n": True, "rows": rows})
    return blocks


def _mark(group: Group, old: Group | None, new: Group | None) -> str:
    if group == new:
        return "worst" if group == old else "worst after"
    return "worst before" if group == old else ""


def _values(row: Record) -> Row:
    return {**{key: _finite(row[key]) for key in ("before", "after", "low", "high")}, "verdict": row["verdict"]}


def _group_name(group: Group, feature: str | None) -> str:
    name, present = group
    return f"{name}, {'with' if present else 'without'} {feature}" if feature else name


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
