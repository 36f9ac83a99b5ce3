"""Work: what is to be embedded; embedded() does it batch after batch, into memory or the cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.checked_images import checked_sizes
from ravl_explore.embedding.arrays import FORMAT, Arrays, MemoryArrays
from ravl_explore.embedding.disk_arrays import DiskArrays
from ravl_explore.embedding.folders import chosen_root, embeddings_folder
from ravl_explore.embedding.kept_boxes import find_regions
from ravl_explore.embedding.reading import Image, Reader, squashed
from ravl_explore.embedding.row_checks import check_finite
from ravl_explore.embedding.skipping import Skipped, Unreadable, without
from ravl_explore.models.base import VisionLanguageModel, batch_boxes
from ravl_explore.regions.base import Proposer, Regions
from ravl_explore.regions.proposing import proposer_of
from ravl_explore.support import checks
from ravl_explore.support.fingerprints import digest
from ravl_explore.support.memory import fits_memory
from ravl_explore.support.progress import Progress, report


@dataclass(frozen=True, eq=False)
class Work:
    """Images of a dataset, with their regions, that one model is to embed.

    Attributes
    ----------
    model : VisionLanguageModel
        What embeds them.
    part : ImageTextDataset
        The images: the dataset without those that were skipped before any was opened.
    numbers : Int[np.ndarray, " n_images"]
        What each image is called in the dataset, ascending. All else here goes by an image's place in ``part``, as the
        cache does: the same part of two datasets is the same work.
    sizes : Int[np.ndarray, "n_images 2"]
        Width and height of each image, in pixels.
    regions : Regions
        Boxes in ``part``.
    """

    model: VisionLanguageModel
    part: ImageTextDataset
    numbers: Int[np.ndarray, " n_images"]
    sizes: Int[np.ndarray, "n_images 2"]
    regions: Regions

    @classmethod
    def of(
        cls,
        model: VisionLanguageModel,
        data: ImageTextDataset,
        proposer: Proposer,
        skipped: Skipped,
        cache: bool | str | Path,
        progress: Progress | None,
    ) -> Work:
        """All of ``data`` but what is skipped already, with the proposer's regions.

        Raises
        ------
        DataError, InputError
            For image sizes that are none, regions outside their images, or more of them than memory holds.
        """
        numbers, part = skipped.others(), without(data, skipped.images)
        report(progress, 0, 0, "Finding regions")
        if len(numbers) < len(data):
            proposer = proposer_of(proposer, numbers, len(data))
        sizes = checked_sizes(part)
        found = find_regions(proposer, part, cache, progress)
        regions = checks.instance("regions", found, Regions, "Mend the proposer.")
        regions.check_inside(sizes)
        n_rows = len(part) + len(regions)
        if cache is False:
            remedy = "Take fewer regions an image, or keep them on disk with cache=True."
            fits_memory(f"{n_rows:,} embeddings of images and regions", 8 * model.dim * n_rows, remedy)
        return cls(model, part, numbers, sizes, regions)

    def arrays(self, cache: bool | str | Path) -> Arrays:
        """Where the embeddings go: to memory, or to the folder of this very work in the cache."""
        model, part, regions = self.model, self.part, self.regions
        if cache is False:
            return MemoryArrays(model.dim)
        name = digest(
            [FORMAT, model.fingerprint(), model.image_size, part.fingerprint(), regions.boxes, regions.image_index]
        )
        folder = embeddings_folder(chosen_root(cache)) / name
        return DiskArrays(folder, len(part), len(regions), model.dim, model.name, part.name)

    def batch(
        self, places: Int[np.ndarray, " b"], images: list[Image]
    ) -> tuple[Float32[np.ndarray, "b dim"], Float32[np.ndarray, "m dim"]]:
        """Embeddings of some images, as they were read, and of their regions.

        Raises
        ------
        ModelError
            When they are not finite.
        """
        if not images:
            return np.zeros((0, self.model.dim), np.float32), np.zeros((0, self.model.dim), np.float32)
        size = self.model.image_size
        with torch.inference_mode():
            encoded = self.model.encode(squashed(images, size), batch_boxes(self.regions, self.sizes, places, size))
        image, region = (rows.float().cpu().numpy() for rows in encoded)
        check_finite("image", image)
        check_finite("region", region)
        return image, region

    def regions_of(self, numbers: Int[np.ndarray, " n"]) -> Regions:
        """The regions of those images that have these numbers in the dataset, counted by place among them."""
        if len(numbers) == len(self.numbers):
            return self.regions
        return self.regions.of_images(np.searchsorted(self.numbers, numbers))


def embedded(
    work: Work, skipped: Skipped, batch_size: int, cache: bool | str | Path, progress: Progress | None
) -> tuple[Float32[np.ndarray, "n_images dim"], Float32[np.ndarray, "n_regions dim"]]:
    """Embeddings of the images and regions of ``work``; what cannot be read is in none, and is added to ``skipped``.

    Parameters
    ----------
    work : Work
        What is embedded.
    skipped : Skipped
        What was skipped of the dataset so far.
    batch_size : int
        Images per forward pass.
    cache : bool or str or Path
        As for :func:`~ravl_explore.embedding.embeddings.embed`.
    progress : Progress or None
        Told after each batch.

    Raises
    ------
    DataError
        For one image too many that cannot be read.
    ModelError
        When embeddings are not finite.
    StorageError
        When the cache cannot be written.
    """
    arrays = work.arrays(cache)
    try:
        _fill(arrays, work, skipped, batch_size, progress)
        return arrays.read()
    finally:
        arrays.close()


def _fill(arrays: Arrays, work: Work, skipped: Skipped, batch_size: int, progress: Progress | None) -> None:
    """Embed what ``arrays`` does not hold yet; what an earlier run skipped is known there."""
    n_images, stage = len(work.part), "Embedding images"
    reader = Reader(work.part, work.numbers, work.sizes, work.model.image_size, skips=not skipped.full)
    skipped.add(Unreadable(int(work.numbers[place]), where, reason) for place, where, reason in arrays.state.skipped)
    if arrays.state.complete:
        report(progress, n_images, n_images, "Reading cached embeddings")
        return
    report(progress, arrays.state.seen, n_images, stage)
    for places, read in reader.batches(arrays.state.seen, batch_size):
        bad = [(place, image) for place, image in zip(places, read, strict=True) if isinstance(image, Unreadable)]
        good = [(place, image) for place, image in zip(places, read, strict=True) if not isinstance(image, Unreadable)]
        skipped.add(image for _, image in bad)
        image, region = work.batch(np.array([place for place, _ in good], np.int64), [image for _, image in good])
        arrays.append(places.stop, image, region, [(place, image.where, image.reason) for place, image in bad])
        report(progress, places.stop, n_images, stage)
    arrays.finish()
