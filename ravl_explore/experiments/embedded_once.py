"""EmbeddedOnce: embeddings of one searched model's datasets, made when first asked for and then kept."""

from __future__ import annotations

import threading

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.embedding.embeddings import Embeddings, embed
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.regions.base import Proposer
from ravl_explore.support.progress import Progress, report, staged

LOOK_SECONDS = 0.2  # how often who waits looks whether it was cancelled


class EmbeddedOnce:
    """Embeddings of one searched model's datasets; of several threads that ask, one makes them and all get them."""

    def __init__(self) -> None:
        # what was embedded stays with its embeddings, so that no other object can get its id
        self._made: dict[
            tuple[int, ...], tuple[Embeddings, VisionLanguageModel, ImageTextDataset, Proposer | None]
        ] = {}
        self._busy = threading.Lock()

    def keep_only(
        self, embeddings: Embeddings, model: VisionLanguageModel, data: ImageTextDataset, proposer: Proposer | None
    ) -> None:
        """Forget all others, which were of another search.

        Parameters
        ----------
        embeddings : Embeddings
            That were made already.
        model, data, proposer
            What they were made of.
        """
        self._made = {(id(model), id(data), id(proposer)): (embeddings, model, data, proposer)}

    def clear(self) -> None:
        """Forget all."""
        self._made = {}

    def __call__(
        self,
        model: VisionLanguageModel,
        data: ImageTextDataset,
        proposer: Proposer | None,
        progress: Progress | None,
        stage: str,
    ) -> Embeddings:
        """Embeddings of a dataset.

        Parameters
        ----------
        model, data, proposer
            As of :func:`ravl_explore.embed`.
        progress : Progress or None
            Told images.
        stage : str
            What the work is called there.
        """
        while not self._busy.acquire(timeout=LOOK_SECONDS):
            report(progress, 0, 0, f"{stage}: waiting for the images that are being read")
        try:
            key, made = (id(model), id(data), id(proposer)), self._made
            if key not in made:
                made[key] = (embed(model, data, proposer, progress=staged(progress, stage)), model, data, proposer)
            return made[key][0]
        finally:
            self._busy.release()
