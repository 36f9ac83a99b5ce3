"""Searched: what a search left for a mitigation: the model, its images and regions, and the clusters to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from ravl_explore.assignment.assignment import Assignment, assign
from ravl_explore.assignment.features import Feature
from ravl_explore.assignment.precheck import check_features
from ravl_explore.captions import CaptionLabeller
from ravl_explore.concepts.base import ConceptSource
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.relabelled import Relabelled
from ravl_explore.discovery import Discovery
from ravl_explore.errors import InputError
from ravl_explore.experiments.embedded_once import EmbeddedOnce
from ravl_explore.experiments.experiment import MARKING, Experiment, caption_labels
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.regions.base import Proposer
from ravl_explore.support.progress import Progress


@dataclass(frozen=True, eq=False)
class Searched:
    """One search, from which a training is prepared.

    Attributes
    ----------
    model : VisionLanguageModel
        The model that was searched.
    data : ImageTextDataset
        The images that were searched; a training is validated on them.
    proposer : Proposer
        Finds the regions, in other images too.
    discovery : Discovery
        Its kept clusters can be suppressed.
    embedded : EmbeddedOnce
        Embeds other images when they are first asked for.
    """

    model: VisionLanguageModel
    data: ImageTextDataset
    proposer: Proposer
    discovery: Discovery
    embedded: EmbeddedOnce

    def feature(self, clusters: Sequence[int]) -> Feature | None:
        """These clusters as one feature; None for no cluster."""
        return self.discovery.choose(*clusters) if clusters else None

    def doubts(self, feature: Feature) -> tuple[str, ...]:
        """What speaks against a feature, by the images that were searched."""
        return tuple(check_features(self.discovery.scores.embeddings, feature).warnings)

    def labelled(
        self, opened: ImageTextDataset, labeller: CaptionLabeller | None, progress: Progress
    ) -> ImageTextDataset:
        """Images to fine-tune on, with the classes that a labeller reads off their captions if there is one.

        Parameters
        ----------
        opened : ImageTextDataset
            The images with their own classes.
        labeller : CaptionLabeller or None
            None leaves the images as they are.
        progress : Progress
            Hears of the embedding that a labeller needs.
        """
        if labeller is None:
            return opened
        embedded = self.embedded(self.model, opened, self.proposer, progress, MARKING)
        labels = caption_labels(opened, labeller, embedded)
        return cast(ImageTextDataset, Relabelled(opened, labels))  # which passes on what it does not change

    def marked(self, opened: ImageTextDataset, progress: Progress, feature: Feature) -> Assignment:
        """Which of the images from :meth:`labelled` show the feature.

        Parameters
        ----------
        opened : ImageTextDataset
            What :meth:`labelled` gave.
        progress : Progress
            Hears of the embedding.
        feature : Feature
            What to look for.
        """
        whole, labels = (opened.data, opened.labels) if isinstance(opened, Relabelled) else (opened, None)
        return assign(self.embedded(self.model, whole, self.proposer, progress, MARKING), feature, labels=labels)

    def experiment(
        self,
        train_data: ImageTextDataset,
        test_data: ImageTextDataset,
        feature: Feature,
        labeller: CaptionLabeller | None = None,
        concepts: ConceptSource | None = None,
    ) -> Experiment:
        """What a feature is fine-tuned away in.

        Parameters
        ----------
        train_data, test_data : ImageTextDataset
            To fine-tune on, and to compare on.
        feature : Feature
            What to suppress.
        labeller : CaptionLabeller, optional
            Reads the training classes off captions.
        concepts : ConceptSource, optional
            Where the new model shall look, for an objective that uses it.

        Raises
        ------
        InputError
            When the images to compare on lack the feature's class: else it would be known only after the training.
        """
        attribute = feature.attribute
        if attribute is not None and attribute not in test_data.class_names:
            raise InputError(
                f"a dataset to compare on that has the class {attribute!r}",
                f"{test_data.name!r} with {', '.join(test_data.class_names[:5])}",
                "Pick one with the classes that were searched.",
            )
        return Experiment(
            self.model, train_data, feature, test_data, self.proposer, self.data, self.data, labeller, concepts,
            self.embedded,
        )  # fmt: skip
