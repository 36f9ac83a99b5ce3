"""embed(): images, their regions and the class prompts, all in one embedding space."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from ravl_explore.data.base import (
    ImageTextDataset,
    check_dataset,
    check_templates,
    checked_image,
    checked_sizes,
    names,
    where,
)
from ravl_explore.data.known_images import UNKNOWN, Identity, check_belongs
from ravl_explore.data.subset import Subset
from ravl_explore.embedding.cache import FORMAT, DiskArrays, embeddings_folder, read_boxes, write_boxes
from ravl_explore.errors import DataError, InputError, ModelError
from ravl_explore.models.base import (
    TEMPERATURE,
    VisionLanguageModel,
    batch_boxes,
    check_model,
    class_embeddings,
    resize,
)
from ravl_explore.regions.base import Proposer, Regions
from ravl_explore.regions.given import Given
from ravl_explore.regions.grid import Grid
from ravl_explore.regions.proposing import check_proposer, propose
from ravl_explore.support import checks
from ravl_explore.support.files import user_path
from ravl_explore.support.fingerprints import digest
from ravl_explore.support.progress import Progress, report

UNIT_NORM_TOLERANCE = 1e-3
ROWS = 65_536  # rows checked at a time
READERS = min(8, os.cpu_count() or 1)
SHRINK = 4  # images of more than this many times the model's pixels are squashed as they are read, to spare memory
MOST_NAMED = 3
MOST_IN_BATCH = 1_000_000  # images: 600 GB of pixels for the smallest CLIP
COLDEST, HOTTEST = 1e-6, 1e3  # below, scores overflow; above, they are all alike

Image = np.ndarray | torch.Tensor


@dataclass(frozen=True)
class Unreadable:
    """An image that was skipped: its place in the dataset, its file or number, and why."""

    index: int
    where: str
    reason: str


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Unit-norm embeddings of a dataset under one model.

    Attributes
    ----------
    image : (n_images, dim) float32
    region : (n_regions, dim) float32
    text : (n_classes, dim) float32, the prompt ensemble of each class
    regions : where the regions are
    labels : (n_images,) int64, indices into ``class_names``
    class_names : tuple of str
    temperature : what similarities are divided by before softmax
    model_name, data_name : where they come from, for titles
    proposer_name, region_method : who found the regions, and how the model embedded them
    templates : the prompts of the classes
    unreadable : images of the dataset that were skipped, and so are in no array here; see :meth:`of`
    identity : what tells these images from others; empty where they were embedded by hand

    Raises
    ------
    InputError, ModelError
        For what cannot be: shapes that do not fit, labels that are no indices, regions of images that are not there.
    """

    image: Float[np.ndarray, "n_images dim"]
    region: Float[np.ndarray, "n_regions dim"]
    text: Float[np.ndarray, "n_classes dim"]
    regions: Regions
    labels: Int[np.ndarray, " n_images"]
    class_names: tuple[str, ...]
    temperature: float = TEMPERATURE
    model_name: str = ""
    data_name: str = ""
    proposer_name: str = ""
    region_method: str = ""
    templates: tuple[str, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    identity: Identity = UNKNOWN

    def __post_init__(self) -> None:
        for name in ("image", "region", "text"):
            checks.array(name, getattr(self, name), "f", (None, None), read=False)
        checks.array("labels", self.labels, "iu", (None,), read=False)
        dims = {"image": self.image.shape[1], "region": self.region.shape[1], "text": self.text.shape[1]}
        if len(set(dims.values())) > 1:
            raise ModelError(
                "one embedding size for images, regions and texts", f"{dims}", "Embed all three with the same model."
            )
        checks.instance("regions", self.regions, Regions, "Make them with Regions(boxes, image_index).")
        if len(self.region) != len(self.regions) or len(self.labels) != len(self.image):
            raise InputError(
                "one embedding per region and one label per image",
                f"{len(self.region)} for {len(self.regions)} regions, {len(self.labels)} labels for {len(self.image)}",
                "Use the regions and the dataset that were embedded.",
            )
        checks.texts("class_names", self.class_names)
        if len(self.class_names) != len(self.text):
            raise InputError(
                f"a name for each of {len(self.text)} embedded classes",
                f"{len(self.class_names)} class_names",
                "Give them in the order of the text embeddings.",
            )
        labels = checks.array("labels", self.labels, "iu", (len(self.image),), 0, len(self.text) - 1)
        object.__setattr__(self, "labels", labels.astype(np.int64, copy=False))  # smaller ones overflow in sums
        self.regions.check_images(len(self.image))
        check_temperature(self.temperature)
        for name in ("model_name", "data_name", "proposer_name", "region_method"):
            checks.text(name, getattr(self, name), empty=True)
        checks.texts("templates", self.templates)
        checks.listed("unreadable", self.unreadable, Unreadable, "Give Unreadable(index, where, reason) each.")
        checks.instance("identity", self.identity, Identity, "Give data.identity.Identity.of(data).")
        for name, rows in (("image", self.image), ("region", self.region), ("text", self.text)):
            _check_unit_rows(name, rows)

    def of(self, data: ImageTextDataset) -> ImageTextDataset:
        """The dataset without the skipped images, so that its images are those of the arrays here, in order.

        Raises
        ------
        InputError
            When ``data`` is not what was embedded, as far as can be told: other images, or others in this order.
            Copied files are the same images. Where nothing is known of the images (of embeddings that an earlier
            version saved), number, classes, labels and boxes must fit.
        """
        check_dataset(data)
        if self.unreadable and len(data) == len(self.labels) + len(self.unreadable):
            data = _without(data, self.unreadable)  # else nothing was skipped, or it is restricted already
        check_belongs(
            "embedding",
            data,
            len(self.labels),
            self.identity,
            class_names=self.class_names,
            labels=self.labels,
        )
        if not self.identity.fingerprint and len(self.regions):
            self.regions.check_inside(checked_sizes(data))
        return data


def embed(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    proposer: Proposer | None = None,
    *,
    templates: tuple[str, ...] | None = None,
    batch_size: int = 128,
    temperature: float = TEMPERATURE,
    cache: bool | str | Path = False,
    max_unreadable: int = 0,
    progress: Progress | None = None,
) -> Embeddings:
    """Embed every image, every region of it and every class prompt.

    An image and its regions share one forward pass of the image tower (see the model's own docstring for how).

    Parameters
    ----------
    model, data : what embeds, and what is embedded
    proposer : finds the regions; ``Grid(2, 2)`` unless given
    templates : prompts for the classes; the dataset's own unless given
    batch_size : images per forward pass
    temperature : kept for the scores; 0.07 as in the paper
    cache : True writes image and region embeddings to ``$RAVL_CACHE/embeddings`` as they are made, or to a folder of
        this name; the arrays are then memory-mapped, a second call with the same model, data and regions reads them,
        and one that was cancelled or killed goes on where it was
    max_unreadable : how many images that cannot be read are skipped and listed in ``Embeddings.unreadable``; one more
        ends the work
    progress : told the images done; may raise Cancelled

    Raises
    ------
    DataError, InputError, ModelError
        For a dataset that cannot be used, too many unreadable images, regions outside their images, or embeddings that
        are not finite.
    StorageError
        When the cache cannot be written.
    """
    check_model(model)
    check_dataset(data)
    proposer = Grid(2, 2) if proposer is None else check_proposer(proposer)
    if templates is not None:
        check_templates(templates)
    batch_size = checks.whole("batch_size", batch_size, 1, MOST_IN_BATCH, "Try 128.")
    max_unreadable = checks.whole("max_unreadable", max_unreadable, 0, remedy="0 stops at the first unreadable image.")
    check_temperature(temperature)
    if not isinstance(cache, bool):
        checks.path("cache", cache)
    skipped = _unreadable_headers(data, max_unreadable, progress)
    part = _without(data, skipped) if max_unreadable else data
    report(progress, 0, 0, "Finding regions")
    if skipped and isinstance(proposer, Given) and proposer.regions is not None:  # they count all images
        proposer = Given(_without_images(proposer.regions, [each.index for each in skipped], len(data)))
    sizes = checked_sizes(part)
    regions = checks.instance("regions", _regions(proposer, part, cache, progress), Regions, "Mend the proposer.")
    regions.check_inside(sizes)
    n_rows = len(part) + len(regions)
    if cache is False:
        remedy = "Take fewer regions an image, or keep them on disk with cache=True."
        checks.fits_memory(f"{n_rows:,} embeddings of images and regions", 8 * model.dim * n_rows, remedy)
    templates = tuple(templates or data.templates)
    text = class_embeddings(model, data.class_names, templates).cpu().numpy()
    arrays = _storage(model, part, regions, cache)
    try:
        work = _Work(model, part, sizes, regions, batch_size, max_unreadable - len(skipped))
        work.fill(arrays, progress)
        image, region = arrays.read()
    finally:
        arrays.close()
    late = [Unreadable(*each) for each in arrays.state.skipped]
    if len(skipped) + len(late) > max_unreadable:  # read from a cache that was made with a higher limit
        raise _too_many([*skipped, *late], max_unreadable)
    if late:
        regions = _without_images(regions, [each.index for each in late], len(part))
    kept = np.setdiff1d(np.arange(len(part)), [each.index for each in late])
    unreadable = _in_data(skipped, late, len(data))
    return Embeddings(
        image,
        region,
        text,
        regions,
        part.labels[kept],
        names("class_names", data.class_names),
        temperature,
        model.name,
        data.name,
        getattr(proposer, "name", getattr(proposer, "__name__", "")),  # a function will do
        model.region_method,
        templates,
        unreadable,
        Identity.of(_without(data, unreadable)),
    )


def check_temperature(temperature: float) -> None:
    """Raise InputError unless similarities can be divided by it."""
    remedy = "The paper uses 0.07."
    if checks.number("a temperature", temperature, above=0, remedy=remedy) < COLDEST or temperature > HOTTEST:
        raise InputError(f"a temperature above 0, from {COLDEST:g} to {HOTTEST:g}", f"{temperature}", remedy)


class _Work:
    """Reads images ahead in threads, embeds batch after batch, and skips what cannot be read, up to a limit."""

    def __init__(
        self,
        model: VisionLanguageModel,
        data: ImageTextDataset,
        sizes: np.ndarray,
        regions: Regions,
        batch_size: int,
        limit: int,
    ) -> None:
        self._model, self._data, self._sizes, self._regions = model, data, sizes, regions
        self._batch_size, self._limit = batch_size, limit

    def fill(self, arrays: DiskArrays | _MemoryArrays, progress: Progress | None) -> None:
        """Embed what ``arrays`` does not hold yet."""
        n_images, stage = len(self._data), "Embedding images"
        if arrays.state.complete:
            report(progress, n_images, n_images, "Reading cached embeddings")
            return
        report(progress, arrays.state.seen, n_images, stage)
        for images, read in self._batches(arrays.state.seen):
            good = [(i, each) for i, each in zip(images, read, strict=True) if not isinstance(each, Unreadable)]
            bad = [each for each in read if isinstance(each, Unreadable)]
            if len(arrays.state.skipped) + len(bad) > self._limit:
                raise _too_many([Unreadable(*each) for each in arrays.state.skipped] + bad, self._limit)
            image = region = np.zeros((0, self._model.dim), np.float32)
            if good:
                here = np.array([i for i, _ in good])
                pixels = _pixels([each for _, each in good], self._model.image_size)
                boxes = batch_boxes(self._regions, self._sizes, here, self._model.image_size)
                with torch.inference_mode():
                    encoded = self._model.encode(pixels, boxes)
                image, region = (each.float().cpu().numpy() for each in encoded)
                _check_finite("image", image)
                _check_finite("region", region)
            arrays.append(images.stop, image, region, [[each.index, each.where, each.reason] for each in bad])
            report(progress, images.stop, n_images, stage)
        arrays.finish()

    def _batches(self, start: int) -> Iterator[tuple[range, list[Image | Unreadable]]]:
        """The images batch by batch; the next batch is read while this one is worked on."""
        n_images = len(self._data)
        with ThreadPoolExecutor(READERS, thread_name_prefix="ravl_explore reader") as pool:
            ranges = [range(s, min(s + self._batch_size, n_images)) for s in range(start, n_images, self._batch_size)]
            ahead: list[Future[Any]] = []
            try:
                for place, images in enumerate(ranges):
                    now = ahead or [pool.submit(self._read, i) for i in images]
                    following = ranges[place + 1] if place + 1 < len(ranges) else ()
                    ahead = [pool.submit(self._read, i) for i in following]
                    yield images, [each.result() for each in now]
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, index: int) -> Image | Unreadable:
        try:
            image = checked_image(self._data, index, self._sizes[index])
        except DataError as error:
            if self._limit < 1:
                raise
            return Unreadable(index, where(self._data, index), error.came)
        size = self._model.image_size
        return resize([image], size)[0] if image.size > SHRINK * 3 * size**2 else image


class _MemoryArrays:
    """The same as :class:`DiskArrays`, in memory."""

    def __init__(self, dim: int) -> None:
        self.state = _MemoryState()
        self._image: list[np.ndarray] = [np.zeros((0, dim), np.float32)]
        self._region: list[np.ndarray] = [np.zeros((0, dim), np.float32)]

    def append(self, seen: int, image: np.ndarray, region: np.ndarray, skipped: list[list[Any]]) -> None:
        self.state.seen = seen
        self.state.skipped += skipped
        self._image.append(image)
        self._region.append(region)

    def finish(self) -> None:
        self.state.complete = True

    def close(self) -> None:
        pass

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        return np.concatenate(self._image), np.concatenate(self._region)


class _MemoryState:
    def __init__(self) -> None:
        self.seen, self.complete = 0, False
        self.skipped: list[list[Any]] = []


def _regions(
    proposer: Proposer, data: ImageTextDataset, cache: bool | str | Path, progress: Progress | None
) -> Regions:
    """The proposer's regions; those of one with a fingerprint, which took long to find, are kept in the cache too."""
    named: Any = getattr(proposer, "fingerprint", None)
    if cache is False or named is None:
        return propose(proposer, data, progress)
    root = None if cache is True else user_path(cache)
    name = digest(["regions 1", named(), data.fingerprint()])
    kept = read_boxes(name, root)
    if kept is not None:
        return Regions(*kept)
    regions = propose(proposer, data, progress)
    write_boxes(name, regions.boxes, regions.image_index, root)
    return regions


def _storage(
    model: VisionLanguageModel, data: ImageTextDataset, regions: Regions, cache: bool | str | Path
) -> DiskArrays | _MemoryArrays:
    if cache is False:
        return _MemoryArrays(model.dim)
    folder = embeddings_folder(None if cache is True else user_path(cache))
    name = digest(
        [FORMAT, model.fingerprint(), model.image_size, data.fingerprint(), regions.boxes, regions.image_index]
    )
    return DiskArrays(folder / name, len(data), len(regions), model.dim, model.name, data.name)


def _unreadable_headers(data: ImageTextDataset, limit: int, progress: Progress | None) -> list[Unreadable]:
    """Files whose header cannot be read; without a limit the dataset itself raises when its sizes are asked for."""
    scan = getattr(data, "unreadable", None)
    if scan is None:
        return []
    found = [Unreadable(index, where(data, index), reason) for index, reason in sorted(scan(progress).items())]
    if len(found) > limit:
        raise _too_many(found, limit)
    return found


def _too_many(found: list[Unreadable], limit: int) -> DataError:
    named = "; ".join(f"{each.where} ({each.reason})" for each in found[:MOST_NAMED])
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return DataError(
        f"at most {limit} images that cannot be read",
        f"{len(found)} so far: {named}{more}",
        "Mend or remove these files, or raise max_unreadable.",
    )


def _without(data: ImageTextDataset, skipped: tuple[Unreadable, ...] | list[Unreadable]) -> ImageTextDataset:
    return data if not skipped else Subset(data, np.setdiff1d(np.arange(len(data)), [each.index for each in skipped]))


def _without_images(regions: Regions, images: list[int], n_images: int) -> Regions:
    """Regions of the other images, whose numbers close ranks."""
    kept = np.ones(n_images, bool)
    kept[images] = False
    rows = kept[regions.image_index]
    return Regions(regions.boxes[rows], (np.cumsum(kept) - 1)[regions.image_index[rows]])


def _in_data(early: list[Unreadable], late: list[Unreadable], n_data: int) -> tuple[Unreadable, ...]:
    """All skipped images by their place in the whole dataset; the late ones were counted without the early ones."""
    if early and late:
        places = np.setdiff1d(np.arange(n_data), [each.index for each in early])
        late = [Unreadable(int(places[each.index]), each.where, each.reason) for each in late]
    return tuple(sorted([*early, *late], key=lambda each: each.index))


def _pixels(images: list[Image], size: int) -> torch.Tensor:
    """The batch at the model's size; images that were not squashed on reading are squashed together."""
    small = [each for each in images if isinstance(each, np.ndarray)]
    if len(small) == len(images):
        return resize(small, size)
    return torch.stack([each if isinstance(each, torch.Tensor) else resize([each], size)[0] for each in images])


def _check_unit_rows(name: str, rows: np.ndarray) -> None:
    off = 0
    for start in range(0, len(rows), ROWS):
        part = np.asarray(rows[start : start + ROWS])
        _check_finite(name, part, start)
        norms = np.sqrt(np.einsum("nd,nd->n", part, part, dtype=np.float64))
        off += int((np.abs(norms - 1) > UNIT_NORM_TOLERANCE).sum())
    if off:
        raise InputError(f"unit-norm {name} embeddings", f"{off} of another length", "Divide each row by its norm.")


def _check_finite(name: str, rows: np.ndarray, start: int = 0) -> None:
    bad = ~np.isfinite(rows).all(1)
    if bad.any():
        raise ModelError(
            f"finite {name} embeddings",
            f"NaN or infinity in {int(bad.sum())} of {len(rows)}, the first at {start + int(np.flatnonzero(bad)[0])}",
            "Check the checkpoint's weights and the images' values; half precision on a CPU may overflow.",
        )
