"""What a mitigation in the explorer does in its thread beside training: embed once, read captions, measure."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from ravl_explore.assignment.assignment import Assignment, assign_embeddings
from ravl_explore.captions import CaptionLabeller
from ravl_explore.captions import label as label_by_captions
from ravl_explore.comparison import Comparison, compare
from ravl_explore.concepts.base import ConceptSource
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.overlap import shared_images
from ravl_explore.discovery import SpuriousFeature
from ravl_explore.embedding.embeddings import Embeddings, embed
from ravl_explore.errors import InputError
from ravl_explore.evaluation import evaluate, evaluate_scores
from ravl_explore.mitigation import Mitigation
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.regions.base import Proposer
from ravl_explore.scores import zero_shot
from ravl_explore.support.progress import Progress, report, staged

SEEN = "Too optimistic: {} searched or trained on. Pick others to compare on."
LOOK_SECONDS = 0.2  # how often who waits looks whether it was cancelled


@dataclass(frozen=True, eq=False)
class Finished:
    """What a training left.

    Attributes
    ----------
    mitigation : the new model
    comparison : before and after on ``test_data``; None when it was not measured
    model : that it started from
    test_data : what both are compared on
    proposer : of the regions of ``test_data``
    assignment : of ``test_data``, None with ``comparison``
    concepts : whose masks the objective used; None when it used none
    caution : why the comparison cannot be trusted, or nothing
    folder : where the run is kept, or None
    """

    mitigation: Mitigation
    comparison: Comparison | None
    model: VisionLanguageModel
    test_data: ImageTextDataset
    proposer: Proposer
    assignment: Assignment | None = None
    concepts: ConceptSource | None = None
    caution: str = ""
    folder: str | None = None


class EmbeddedOnce:
    """Embeddings of one searched model's datasets; of several threads that ask, one makes them and all get them."""

    def __init__(self) -> None:
        # what was embedded stays with its embeddings, so that no other object can get its id
        self._made: dict[tuple[int, ...], tuple[Embeddings, VisionLanguageModel, ImageTextDataset, Proposer]] = {}
        self._busy = threading.Lock()

    def keep_only(
        self, embeddings: Embeddings, model: VisionLanguageModel, data: ImageTextDataset, proposer: Proposer
    ) -> None:
        """Forget all others, which were of another search."""
        self._made = {(id(model), id(data), id(proposer)): (embeddings, model, data, proposer)}

    def clear(self) -> None:
        """Forget all."""
        self._made = {}

    def __call__(
        self, model: VisionLanguageModel, data: ImageTextDataset, proposer: Proposer, progress: Progress, stage: str
    ) -> Embeddings:
        """Embeddings of ``data``; ``progress`` is told the stage."""
        while not self._busy.acquire(timeout=LOOK_SECONDS):
            report(progress, 0, 0, f"{stage}: waiting for the images that are being read")
        try:
            key, made = (id(model), id(data), id(proposer)), self._made
            if key not in made:
                made[key] = (embed(model, data, proposer, progress=staged(progress, stage)), model, data, proposer)
            return made[key][0]
        finally:
            self._busy.release()


def measured(finished: Finished, embedded: EmbeddedOnce, progress: Progress) -> Finished:
    """With both models measured on the test data."""
    test_data, proposer, new = finished.test_data, finished.proposer, finished.mitigation
    old = embedded(finished.model, test_data, proposer, progress, "Testing the old model")
    assignment = assign_embeddings(old, new.features)
    before = evaluate_scores(zero_shot(old), test_data, assignment=assignment)
    told = staged(progress, "Testing the new model")
    after = evaluate(new.model, test_data, proposer, assignment=assignment, progress=told)
    caution = " ".join(each for each in (finished.caution, before.doubt) if each)
    return replace(finished, comparison=compare(before, after), assignment=assignment, caution=caution)


def caption_labels(
    data: ImageTextDataset, labeller: CaptionLabeller, embeddings: Embeddings
) -> Int[np.ndarray, " n_images"]:
    """Classes that the captions name, -1 where they name none."""
    return label_by_captions(data, labeller, similarity=embeddings.image @ embeddings.text.T).labels


def check_usable(test_data: ImageTextDataset, features: Sequence[SpuriousFeature]) -> None:
    """Raise at once what would else be raised when the images are embedded, or after the training."""
    attribute = features[0].attribute
    if attribute is not None and attribute not in test_data.class_names:
        raise InputError(
            f"a dataset to compare on that has the class {attribute!r}",
            f"{test_data.name!r} with {', '.join(test_data.class_names[:5])}",
            "Pick one with the classes that were searched.",
        )


def too_optimistic(test_data: ImageTextDataset, seen: Sequence[ImageTextDataset]) -> str:
    """What is to be said when images to compare on were searched or trained on; nothing if none was."""
    most = max((shared_images(test_data, each) for each in seen), default=0)
    if not most:
        return ""
    n = len(test_data)
    return SEEN.format("these images were" if most == n else f"{most:,} of these {n:,} images were")
