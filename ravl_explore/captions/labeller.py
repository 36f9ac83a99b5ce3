"""CaptionLabeller: which class a caption names. RaVL (Section 4.1) parses labels from captions and leaves open how."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float

from ravl_explore.captions.labels import STATUSES, CaptionLabels
from ravl_explore.captions.lexicon import LongestMatch, canonical, lexicon
from ravl_explore.captions.negation import Negation
from ravl_explore.captions.normal import normalise
from ravl_explore.captions.words import DECOYS
from ravl_explore.errors import InputError
from ravl_explore.support import checks

Ambiguity = Literal["skip", "first", "similar", "multi"]
AMBIGUITIES: tuple[Ambiguity, ...] = get_args(Ambiguity)


class _Found(NamedTuple):
    """What one caption says: classes in the order of first mention, those only denied, and by which phrases."""

    named: tuple[int, ...] = ()
    denied: tuple[int, ...] = ()
    first: int = -1
    phrases: tuple[str, ...] = ()
    empty: bool = False


@dataclass(frozen=True, eq=False)
class CaptionLabeller:
    """Captions -> the class that each names, by the names' words alone.

    Case, width, quotes, plurals, and spaces or hyphens within a name do not matter ("T-shirts", "tee shirt"). Names
    match whole words only: "category" is no cat, "t-shirt" no shirt; in scripts without spaces between words (Han,
    kana, Thai) they match anywhere. The longest name goes first and its words are used up: "hot dog" is no dog. A name
    such as "T-shirt/top" or "crane (bird)" also stands for its parts.

    Parameters
    ----------
    class_names : sequence of str
        What the labels index; any text.
    synonyms : mapping, str -> sequence of str, or None
        Other names of classes; none unless given. See :func:`~ravl_explore.captions.words.common_synonyms`.
    ambiguity : {"skip", "first", "similar", "multi"}
        For captions that name several classes: ``skip`` (no label), ``first`` (the one named first), ``similar`` (the
        one whose text is most similar to the image, see ``similarity`` below), ``multi`` (all are positive, see
        :meth:`CaptionLabels.positives`; the label is the one named first). A phrase that stands for two classes
        ("crane") puts neither first.
    negation : bool or sequence of str
        Whether "no cat" and its like name no cat; or the cues to look for, in the captions' language.
    decoys : sequence of str
        Phrases that hold a class name and show none of it ("teddy bear"); a class of that name wins over them.

    Raises
    ------
    InputError
        For no class, a name without a letter, two classes of one name, synonyms of no class or of several.

    Examples
    --------
    >>> labeller = CaptionLabeller(["cat", "dog", "hot dog"], synonyms={"dog": ["puppy"]})
    >>> found = labeller(["Two cats.", "a hot-dog stand", "no cat, a puppy", "a dog and a cat", "a category", None])
    >>> found.labels.tolist()
    [0, 2, 1, -1, -1, -1]
    >>> print(found)
    3 of 6 captions (50%) give a label; 1 name several classes; 1 name none; 1 are empty.
    """

    class_names: Sequence[str]
    synonyms: Mapping[str, Sequence[str]] | None = None
    ambiguity: Ambiguity = "skip"
    negation: bool | Sequence[str] = True
    decoys: Sequence[str] = field(default=DECOYS, repr=False)

    def __post_init__(self) -> None:
        if not checks.is_list(self.class_names):
            raise InputError("a list of class names", checks.came(self.class_names), 'Try ["cat", "dog"].')
        if not len(self.class_names):
            raise InputError("a list of class names", "an empty one", 'Try ["cat", "dog"].')
        if not isinstance(self.ambiguity, str) or self.ambiguity not in AMBIGUITIES:
            raise InputError(f"ambiguity one of {', '.join(AMBIGUITIES)}", checks.came(self.ambiguity), 'Try "skip".')
        if not checks.is_list(self.decoys):
            raise InputError("decoys as a list of phrases", checks.came(self.decoys), 'Try ["hot dog"].')
        if not isinstance(self.synonyms, Mapping | None):
            raise InputError("synonyms by class name", checks.came(self.synonyms), 'Try {"cat": ["kitten"]}.')
        object.__setattr__(self, "class_names", tuple(str(name) for name in self.class_names))
        _ = self._lexicon, self._negation  # what is wrong with them is told here, not at the first caption

    def __call__(
        self,
        captions: Sequence[str | None],
        similarity: Float[np.ndarray, "n_captions n_classes"] | None = None,
    ) -> CaptionLabels:
        """Label every caption; the same caption always gets the same label, except under ``similar``.

        Parameters
        ----------
        captions : sequence of str or None
            One per image; None and NaN (an empty cell of a table) count as empty.
        similarity : Float[np.ndarray, "n_captions n_classes"] or None
            Of each image to each class text, for ``ambiguity="similar"`` alone.

        Raises
        ------
        InputError
            For a caption that is no text, or a similarity that is missing, of another shape or not finite.
        """
        texts = _texts(captions)
        similarity = self._check_similarity(similarity, len(texts))
        seen: dict[str | None, _Found] = {}
        found: list[_Found] = []
        for text in texts:
            if text not in seen:
                seen[text] = self._find(text)
            found.append(seen[text])
        phrases = Counter(phrase for each in found for phrase in each.phrases)
        rows = np.arange(len(found))
        n_named = np.array([len(each.named) for each in found], np.int64)
        n_denied = np.array([len(each.denied) for each in found], np.int64)
        named = np.array([place for each in found for place in each.named], np.int64)
        status = np.select(
            [n_named == 1, n_named > 1, n_denied > 0, np.array([each.empty for each in found], bool)],
            [STATUSES.index(each) for each in ("one", "several", "negated", "empty")],
            STATUSES.index("none"),
        ).astype(np.int8)
        labels = np.array([each.first for each in found], np.int64)
        several = n_named > 1
        if self.ambiguity == "skip":
            labels[several] = -1
        elif similarity is not None:
            labels[several] = _most_similar(similarity, np.repeat(rows, n_named), named)[several]
        return CaptionLabels(
            labels=labels,
            class_names=tuple(self.class_names),
            captions=tuple(texts),
            status=status,
            mention_caption=np.repeat(rows, n_named),
            mention_class=named,
            negated_caption=np.repeat(rows, n_denied),
            negated_class=np.array([place for each in found for place in each.denied], np.int64),
            ambiguity=self.ambiguity,
            phrases=dict(sorted(phrases.items(), key=lambda item: (-item[1], item[0]))),
        )

    def phrases(self) -> dict[str, tuple[str, ...]]:
        """Class name -> all that names it, the shortest first; a hyphen may stand for any space.

        >>> CaptionLabeller(["ankle boot"]).phrases()
        {'ankle boot': ('ankleboot', 'ankle boot', 'ankleboots', 'ankle boots')}
        """
        found: dict[str, list[str]] = {name: [] for name in self.class_names}
        for phrase, places in self._lexicon.items():
            for place in places:
                found[self.class_names[place]].append(phrase)
        return {name: tuple(sorted(phrases, key=lambda p: (len(p), p))) for name, phrases in found.items()}

    @cached_property
    def _lexicon(self) -> dict[str, tuple[int, ...]]:
        return lexicon(self.class_names, self.synonyms or {}, self.decoys)

    @cached_property
    def _match(self) -> LongestMatch:
        return LongestMatch(self._lexicon)

    @cached_property
    def _negation(self) -> Negation | None:
        if isinstance(self.negation, bool):
            return Negation() if self.negation else None
        return Negation(self.negation)

    def _find(self, caption: str | None) -> _Found:
        text = "" if caption is None else normalise(caption)
        if not text:
            return _Found(empty=True)
        spans = self._spans(text)
        if not spans:
            return _Found()
        denied = [False] * len(spans) if self._negation is None else self._negation(text, spans)
        named: dict[int, None] = {}  # as a set in order
        unsaid: set[int] = set()
        phrases: dict[str, None] = {}
        first = None
        for (start, end), no in zip(spans, denied, strict=True):
            phrase = canonical(text[start:end])
            places = self._lexicon[phrase]
            if no:
                unsaid.update(places)
            elif places:
                named.update(dict.fromkeys(places))
                phrases[phrase] = None
                if first is None:
                    first = places[0] if len(places) == 1 else -1  # a phrase of two classes puts neither first
        return _Found(
            tuple(named), tuple(sorted(unsaid.difference(named))), -1 if first is None else first, tuple(phrases)
        )

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Where phrases stand, apart: of those that overlap the longest stays, of equally long ones the first."""
        spans = self._match.spans(text)
        if len(spans) < 2 or all(spans[i][1] <= spans[i + 1][0] for i in range(len(spans) - 1)):
            return spans
        waiting, kept = set(spans), []
        while waiting:
            best = min(waiting, key=lambda span: (span[0] - span[1], span[0]))
            waiting.discard(best)
            kept.append(best)
            for span in [span for span in waiting if span[0] < best[1] and best[0] < span[1]]:
                waiting.discard(span)
                shorter = self._match.shorter(text, span[0], best[0]) if span[0] < best[0] else None
                if shorter is not None:
                    waiting.add(shorter)
        return sorted(kept)

    def _check_similarity(self, similarity: np.ndarray | None, n_captions: int) -> np.ndarray | None:
        if self.ambiguity != "similar":
            return None
        shape = (n_captions, len(self.class_names))
        if similarity is None or np.shape(similarity) != shape or not np.isfinite(similarity).all():
            came = "none" if similarity is None else f"{np.shape(similarity)}, or values that are not finite"
            raise InputError(
                f'a finite similarity of shape {shape} for ambiguity="similar"',
                came,
                'Give image @ text.T, or choose ambiguity="first".',
            )
        return np.asarray(similarity)


def _texts(captions: Sequence[str | None]) -> list[str | None]:
    if captions is None or isinstance(captions, str):
        came = "none" if captions is None else f"one text, {captions[:40]!r}"
        raise InputError("a list of captions", came, "Give one caption per image, or a dataset that has captions.")
    texts: list[str | None] = []
    for place, caption in enumerate(captions):
        missing = (
            caption is None
            or (isinstance(caption, float) and math.isnan(caption))
            or type(caption).__name__ == "NAType"  # of pandas, which is not imported for this
        )
        if not missing and not isinstance(caption, str):
            raise InputError(
                "captions of text", f"{type(caption).__name__} at {place}", "Use str, or None for an image without."
            )
        texts.append(None if missing else str(caption))
    return texts


def _most_similar(similarity: np.ndarray, caption: np.ndarray, named: np.ndarray) -> np.ndarray:
    """(n_captions,) the named class of the highest similarity, the first named of a tie; -1 where none is named."""
    order = np.lexsort((np.arange(len(named)), -similarity[caption, named], caption))
    rows, first = np.unique(caption[order], return_index=True)
    best = np.full(len(similarity), -1, np.int64)
    best[rows] = named[order[first]]
    return best
