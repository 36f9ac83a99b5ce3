"""Experiment: what one search found, tried: embed once, mark, check, train, measure, caution."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int

from ravl_explore.assignment.assignment import Assignment, assign, check_labels, require_feature
from ravl_explore.assignment.features import Feature
from ravl_explore.assignment.precheck import Precheck, check_features
from ravl_explore.captions import CaptionLabeller, label
from ravl_explore.comparison import Comparison, compare
from ravl_explore.concepts.base import ConceptSource
from ravl_explore.data.base import ImageTextDataset, check_dataset
from ravl_explore.embedding.embeddings import Embeddings, check_model, check_proposer, embed
from ravl_explore.evaluation import Evaluation, evaluate
from ravl_explore.experiments import cautions
from ravl_explore.experiments.cautions import Caution
from ravl_explore.experiments.embedded_once import EmbeddedOnce
from ravl_explore.mitigation import MitigationRun, begin
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.objectives.base import Objective, check_objective
from ravl_explore.regions.base import Proposer
from ravl_explore.scores import zero_shot
from ravl_explore.support.progress import Progress, staged
from ravl_explore.training import TrainingSettings

MARKING = "Marking the feature in the training images"


@dataclass
class _Made:
    """Parts of an experiment that were asked for so far."""

    marked: Assignment | None = None
    found: Assignment | None = None
    before: Evaluation | None = None
    watched: Assignment | None = None


@dataclass(frozen=True, eq=False)
class Experiment:
    """All that several fine-tunings against one feature share; each part is made when it is first asked for.

    Parameters
    ----------
    model : VisionLanguageModel
        The one that was searched; it is not changed.
    train_data : ImageTextDataset
        Images to fine-tune on.
    feature : Feature
        What to suppress, such as ``discovery.choose(7)``.
    test_data : ImageTextDataset
        Images to measure on.
    proposer : Proposer or None
        Of the regions of all these datasets; ``Grid(2, 2)`` unless given.
    validation : ImageTextDataset or None
        Measured while training.
    searched : ImageTextDataset or None
        The images that the feature was found in, to tell whether others are among them.
    labels : CaptionLabeller, Int[np.ndarray, " n_images"] or None
        Classes to learn instead of the training data's: a labeller, which takes them from the captions, or one of each
        image, -1 where none is known.
    concepts : ConceptSource or None
        Of masks, for objectives that use relevance.
    embedded : EmbeddedOnce
        Embeddings that are shared with other experiments on the same model.

    Raises
    ------
    InputError
        For parts that are none, or labels that are not of the training images.
    """

    model: VisionLanguageModel
    train_data: ImageTextDataset
    feature: Feature
    test_data: ImageTextDataset
    proposer: Proposer | None = None
    validation: ImageTextDataset | None = None
    searched: ImageTextDataset | None = None
    labels: CaptionLabeller | np.ndarray | None = None
    concepts: ConceptSource | None = None
    embedded: EmbeddedOnce = field(default_factory=EmbeddedOnce, repr=False)

    def __post_init__(self) -> None:
        check_model(self.model)
        check_dataset(self.train_data, "train_data")
        require_feature(self.feature)
        check_dataset(self.test_data, "test_data")
        if self.proposer is not None:
            check_proposer(self.proposer)
        if self.validation is not None:
            check_dataset(self.validation, "validation")
        if self.labels is not None and not isinstance(self.labels, CaptionLabeller):
            check_labels(self.labels, len(self.train_data), len(self.train_data.class_names))

    @cached_property
    def cautions(self) -> tuple[Caution, ...]:
        """What can be told before anything is embedded: whether the test images were seen, or lack the class."""
        given = (self.searched, self.validation, self.train_data)
        seen = cautions.seen(self.test_data, [data for data in given if data is not None], self.feature)
        return (*seen, *cautions.class_missing(self.test_data, self.feature.attribute))

    def check(self, progress: Progress | None = None) -> Precheck:
        """What speaks against the choice, by the images to fine-tune on; ``progress`` is told images."""
        marked = self.marked(progress)
        return check_features(self._train_embeddings(progress), self.feature, labels=marked.labels)

    def marked(self, progress: Progress | None = None) -> Assignment:
        """What the training images' regions show, and the classes to learn."""
        if self._made.marked is None:
            embeddings = self._train_embeddings(progress)
            labels = self.labels
            if isinstance(labels, CaptionLabeller):
                labels = caption_labels(self.train_data, labels, embeddings)
            self._made.marked = assign(embeddings, self.feature, labels=labels)
        return self._made.marked

    def found(self, progress: Progress | None = None) -> Assignment:
        """Which test images hold the feature."""
        if self._made.found is None:
            self._made.found = assign(self._test_embeddings(progress), self.feature)
        return self._made.found

    def before(self, progress: Progress | None = None) -> Evaluation:
        """The searched model as it is, on the test data."""
        if self._made.before is None:
            self._made.before = evaluate(zero_shot(self._test_embeddings(progress)), self.found(progress))
        return self._made.before

    def begin(
        self,
        objective: Objective,
        settings: TrainingSettings | None = None,
        *,
        folder: str | Path | None = None,
        progress: Progress | None = None,
    ) -> MitigationRun:
        """One fine-tuning, to iterate over.

        Parameters
        ----------
        objective, settings, folder, progress
            As of :func:`ravl_explore.mitigation.begin`.
        """
        check_objective(objective)
        return begin(
            self.model,
            self.train_data,
            self.marked(progress),
            objective,
            settings,
            validation=self._watched(progress),
            concepts=self.concepts if objective.uses_relevance else None,
            folder=folder,
            progress=progress,
        )

    def measure(self, model: VisionLanguageModel, progress: Progress | None = None) -> Comparison:
        """Before and after, on the test data.

        Parameters
        ----------
        model : VisionLanguageModel
            The new one.
        progress : Progress or None
            Told images.
        """
        before, found = self.before(progress), self.found(progress)
        told = staged(progress, "Testing the new model")
        return compare(before, evaluate(zero_shot(embed(model, self.test_data, self.proposer, progress=told)), found))

    def cautions_on(self, before: Evaluation) -> tuple[Caution, ...]:
        """All of :attr:`cautions`, and those that the searched model's evaluation ``before`` tells."""
        return (*self.cautions, *cautions.groups_missing(before), *cautions.chance(before))

    def take_before(self, before: Evaluation) -> None:
        """Use an evaluation that was kept of an earlier session, so that the images are not embedded for it."""
        self._made.before = before

    @cached_property
    def _made(self) -> _Made:
        return _Made()

    def _watched(self, progress: Progress | None) -> ImageTextDataset | tuple[ImageTextDataset, Assignment] | None:
        """The validation images; with their assignment, where nobody annotated the feature."""
        data = self.validation
        if data is None or data.feature_present is not None:
            return data
        if self._made.watched is None:
            embeddings = self.embedded(self.model, data, self.proposer, progress, "Marking the validation images")
            self._made.watched = assign(embeddings, self.feature)
        return data, self._made.watched

    def _train_embeddings(self, progress: Progress | None) -> Embeddings:
        return self.embedded(self.model, self.train_data, self.proposer, progress, MARKING)

    def _test_embeddings(self, progress: Progress | None) -> Embeddings:
        return self.embedded(self.model, self.test_data, self.proposer, progress, "Testing the old model")


def caption_labels(
    data: ImageTextDataset, labeller: CaptionLabeller, embeddings: Embeddings
) -> Int[np.ndarray, " n_images"]:
    """Classes that the captions name, -1 where they name none.

    Parameters
    ----------
    data : ImageTextDataset
        With captions.
    labeller : CaptionLabeller
        Reads them.
    embeddings : Embeddings
        Of the same images, which decide between several classes that a caption names.
    """
    return label(data, labeller, similarity=embeddings.image @ embeddings.text.T).labels
