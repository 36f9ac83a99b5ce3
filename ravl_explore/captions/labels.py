"""CaptionLabels: the class of each caption, and a report of how many have none and why."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from jaxtyping import Bool, Int

from ravl_explore.captions.normal import normalise
from ravl_explore.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["one", "several", "negated", "none", "empty"]
STATUSES: tuple[Status, ...] = get_args(Status)
# Never the class that a user forgot; left out of the most frequent words.
DULL = set(
    re.findall(
        r"\w+",
        "a an the of in on at to and or is are was were with for from by as it its this that there two one his her "
        "their image photo picture view shows showing shown near next front top very has have be up down into over "
        "while not no without",
    )
)


@dataclass(frozen=True, eq=False)
class CaptionLabels:
    """What captions say about classes.

    Attributes
    ----------
    labels : Int[np.ndarray, " n_captions"]
        The class of each caption by the ``ambiguity`` policy, -1 for none; int64.
    class_names : tuple of str
        What the labels index.
    captions : tuple of str or None
        As given, None for a missing one.
    status : Int[np.ndarray, " n_captions"]
        Index into ``STATUSES``: names ``one`` class, ``several``, only ``negated`` ones, ``none``, or is ``empty``;
        int8.
    mention_caption : Int[np.ndarray, " n_mentions"]
        The caption of each mention: each class that a caption names and does not deny, once, in the order of first
        mention.
    mention_class : Int[np.ndarray, " n_mentions"]
        The class of each mention.
    negated_caption : Int[np.ndarray, " n_negated"]
        The same for classes that a caption only denies.
    negated_class : Int[np.ndarray, " n_negated"]
        The class of each of these.
    ambiguity : str
        The policy that chose the labels.
    phrases : mapping, str -> int
        How many captions name a class by a phrase.
    """

    labels: Int[np.ndarray, " n_captions"]
    class_names: tuple[str, ...]
    captions: tuple[str | None, ...]
    status: Int[np.ndarray, " n_captions"]
    mention_caption: Int[np.ndarray, " n_mentions"]
    mention_class: Int[np.ndarray, " n_mentions"]
    negated_caption: Int[np.ndarray, " n_negated"]
    negated_class: Int[np.ndarray, " n_negated"]
    ambiguity: str
    phrases: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.labels)

    def __str__(self) -> str:
        if not len(self):
            return "No captions."
        said: dict[Status, str] = {
            "several": "name several classes",
            "negated": "only deny classes",
            "none": "name none",
            "empty": "are empty",
        }
        rest = [f"{self.count(status):,} {what}" for status, what in said.items() if self.count(status)]
        share = f"{self.covered:,} of {len(self):,} captions ({self.covered / len(self):.0%}) give a label"
        return "; ".join([share, *rest]) + "."

    def count(self, status: Status) -> int:
        """How many captions have this status.

        Parameters
        ----------
        status : {"one", "several", "negated", "none", "empty"}
        """
        return int((self.status == STATUSES.index(status)).sum())

    @property
    def covered(self) -> int:
        """How many captions have a label."""
        return int((self.labels >= 0).sum())

    @property
    def coverage(self) -> float:
        """The same as a share in [0, 1]; NaN without captions."""
        return self.covered / len(self) if len(self) else float("nan")

    @property
    def ambiguous(self) -> int:
        """How many captions name several classes, whether the policy gave them a label or not."""
        return self.count("several")

    @property
    def classes_without_label(self) -> tuple[str, ...]:
        """Classes that no caption is labelled with: fine-tuning cannot see them."""
        n = np.bincount(self.labels[self.labels >= 0], minlength=len(self.class_names))
        return tuple(name for name, count in zip(self.class_names, n, strict=True) if count == 0)

    def positives(self) -> Bool[np.ndarray, "n_captions n_classes"]:
        """The classes that hold for each caption: all it names under ``ambiguity="multi"``, else its label alone."""
        positives = np.zeros((len(self), len(self.class_names)), bool)
        if self.ambiguity == "multi":
            positives[self.mention_caption, self.mention_class] = True
        else:
            rows = np.flatnonzero(self.labels >= 0)
            positives[rows, self.labels[rows]] = True
        return positives

    def frame(self) -> pd.DataFrame:
        """One row a class: captions labelled with it, that name it, that name it beside others, that deny it."""
        import pandas as pd

        n_classes = len(self.class_names)
        several = self.status[self.mention_caption] == STATUSES.index("several")
        return pd.DataFrame(
            {
                "class": list(self.class_names),
                "labelled": np.bincount(self.labels[self.labels >= 0], minlength=n_classes),
                "named": np.bincount(self.mention_class, minlength=n_classes),
                "ambiguous": np.bincount(self.mention_class[several], minlength=n_classes),
                "negated": np.bincount(self.negated_class, minlength=n_classes),
            }
        )

    def examples(self, status: Status = "none", n: int = 5, seed: int = 0) -> tuple[tuple[int, str], ...]:
        """(index, caption) of up to ``n`` captions of a status, drawn evenly, in their order.

        Parameters
        ----------
        status : {"one", "several", "negated", "none", "empty"}
        n : int
            Most captions.
        seed : int
            Of the draw.
        """
        rows = np.flatnonzero(self.status == STATUSES.index(status)).tolist()
        chosen = sorted(random.Random(seed).sample(rows, min(n, len(rows))))
        return tuple((row, self.captions[row] or "") for row in chosen)

    def frequent_words(self, n: int = 20) -> tuple[tuple[str, int], ...]:
        """(word, captions) most frequent where no class is named: candidates for synonyms.

        Parameters
        ----------
        n : int
            Most words.
        """
        counts: Counter[str] = Counter()
        for row in np.flatnonzero(self.status == STATUSES.index("none")).tolist():
            words = set(re.findall(r"[^\W\d_]{2,}(?:-\w+)*", normalise(self.captions[row] or "")))
            counts.update(words - DULL)
        return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:n])

    def require(self, least: int = 1) -> CaptionLabels:
        """Itself, when at least this many captions have a label.

        Parameters
        ----------
        least : int
            How many.

        Raises
        ------
        DataError
            When fewer have one; it says what the others are.
        """
        if self.covered >= least:
            return self
        words = ", ".join(f"{word!r}" for word, _ in self.frequent_words(5))
        hint = f" Frequent words where none is named: {words}." if words else ""
        several = ' For those that name several, choose ambiguity="first".' if self.ambiguous and least else ""
        raise DataError(
            f"captions that name a class, at least {least:,}",
            f"{self.covered:,} of {len(self):,}: {self.ambiguous:,} name several, {self.count('negated'):,} only deny "
            f"one, {self.count('none'):,} name none, {self.count('empty'):,} are empty",
            f"Check the class names, or give synonyms.{several}{hint}",
        )
