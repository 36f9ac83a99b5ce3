"""embed(): images, their regions and the class prompts, all in one embedding space."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ravl_explore.data.annotations import NO_ANNOTATIONS, Annotations
from ravl_explore.data.base import ImageTextDataset, check_dataset, check_templates
from ravl_explore.data.checked_images import checked_sizes
from ravl_explore.data.given_values import names
from ravl_explore.data.known_images import UNKNOWN, Identity, check_belongs
from ravl_explore.embedding.filling import Work, embedded
from ravl_explore.embedding.row_checks import check_unit_rows
from ravl_explore.embedding.skipping import Skipped, Unreadable, unreadable_headers, without
from ravl_explore.errors import InputError, ModelError
from ravl_explore.models.base import TEMPERATURE, VisionLanguageModel, check_model, class_embeddings
from ravl_explore.regions.base import Proposer, Regions
from ravl_explore.regions.grid import Grid
from ravl_explore.regions.proposing import check_proposer, name_of
from ravl_explore.support import checks
from ravl_explore.support.progress import Progress

MOST_IN_BATCH = 1_000_000  # images: 600 GB of pixels for the smallest CLIP
COLDEST, HOTTEST = 1e-6, 1e3  # below, scores overflow; above, they are all alike


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Unit-norm embeddings of a dataset under one model.

    Attributes
    ----------
    image : Float[np.ndarray, "n_images dim"]
        Float32, as ``region`` and ``text``.
    region : Float[np.ndarray, "n_regions dim"]
        In the order of ``regions``.
    text : Float[np.ndarray, "n_classes dim"]
        The prompt ensemble of each class.
    regions : Regions
        Where the regions are.
    labels : Int[np.ndarray, " n_images"]
        Indices into ``class_names``, kept as int64.
    class_names : tuple of str
    temperature : float
        What similarities are divided by before softmax.
    model_name, data_name : str
        Where they come from, for titles.
    proposer_name, region_method : str
        Who found the regions, and how the model embedded them.
    templates : tuple of str
        The prompts of the classes.
    unreadable : tuple of Unreadable
        Images of the dataset that were skipped, and so are in no array here; see :meth:`of`.
    identity : Identity
        What tells these images from others; empty where they were embedded by hand.
    annotations : Annotations
        What is known of the images beside labels; empty where they were embedded by hand.

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
    annotations: Annotations = NO_ANNOTATIONS

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
        checks.instance("identity", self.identity, Identity, "Give data.known_images.Identity.of(data).")
        checks.instance("annotations", self.annotations, Annotations, "Give Annotations.of(data, regions).")
        self.annotations.check(len(self.image), len(self.region), len(self.text))
        for name, rows in (("image", self.image), ("region", self.region), ("text", self.text)):
            check_unit_rows(name, rows)

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
            data = without(data, self.unreadable)  # else nothing was skipped, or it is restricted already
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
    model : VisionLanguageModel
        What embeds.
    data : ImageTextDataset
        What is embedded.
    proposer : Proposer or None
        Finds the regions; ``Grid(2, 2)`` unless given.
    templates : tuple of str or None
        Prompts for the classes; the dataset's own unless given.
    batch_size : int
        Images per forward pass.
    temperature : float
        Kept for the scores; 0.07 as in the paper.
    cache : bool or str or Path
        True writes image and region embeddings to ``$RAVL_CACHE/embeddings`` as they are made, or to a folder of this
        name; the arrays are then memory-mapped, a second call with the same model, data and regions reads them, and
        one that was cancelled or killed goes on where it was.
    max_unreadable : int
        How many images that cannot be read are skipped and listed in ``Embeddings.unreadable``; one more ends the work.
    progress : Progress or None
        Told the images done; may raise Cancelled.

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
    skipped = Skipped(len(data), max_unreadable)
    skipped.add(unreadable_headers(data, progress))
    templates = tuple(templates or data.templates)
    work = Work.of(model, data, proposer, skipped, cache, progress)
    text = class_embeddings(model, data.class_names, templates).cpu().numpy()
    image, region = embedded(work, skipped, batch_size, cache, progress)
    regions, readable = work.regions_of(skipped.others()), without(data, skipped.images)
    return Embeddings(
        image, region, text, regions, data.labels[skipped.others()], names("class_names", data.class_names),
        temperature, model.name, data.name, name_of(proposer), model.region_method, templates, skipped.images,
        Identity.of(readable), Annotations.of(readable, regions),
    )  # fmt: skip


def check_temperature(temperature: float) -> None:
    """Raise InputError unless similarities can be divided by ``temperature``."""
    remedy = "The paper uses 0.07."
    if checks.number("a temperature", temperature, above=0, remedy=remedy) < COLDEST or temperature > HOTTEST:
        raise InputError(f"a temperature above 0, from {COLDEST:g} to {HOTTEST:g}", f"{temperature}", remedy)
