"""embed(): images, their regions and the class prompts, all in one embedding space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from ravl_explore.data.base import ImageTextDataset, check_dataset, check_templates
from ravl_explore.errors import InputError, ModelError
from ravl_explore.models.base import TEMPERATURE, VisionLanguageModel, class_embeddings, resize, scale_boxes
from ravl_explore.progress import Progress, report
from ravl_explore.regions.base import Proposer, Regions
from ravl_explore.regions.grid import Grid

UNIT_NORM_TOLERANCE = 1e-3


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

    def __post_init__(self) -> None:
        dims = {"image": self.image.shape[1], "region": self.region.shape[1], "text": self.text.shape[1]}
        if len(set(dims.values())) > 1:
            raise ModelError(
                "one embedding size for images, regions and texts", f"{dims}", "Embed all three with the same model."
            )
        if len(self.region) != len(self.regions) or len(self.labels) != len(self.image):
            raise InputError(
                "one embedding per region and one label per image",
                f"{len(self.region)} for {len(self.regions)} regions, {len(self.labels)} labels for {len(self.image)}",
                "Use the regions and the dataset that were embedded.",
            )
        for name, rows in (("image", self.image), ("region", self.region), ("text", self.text)):
            _check_unit_rows(name, rows)


def embed(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    proposer: Proposer | None = None,
    *,
    templates: tuple[str, ...] | None = None,
    batch_size: int = 128,
    temperature: float = TEMPERATURE,
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
    progress : told the images done; may raise Cancelled

    Raises
    ------
    DataError, InputError, ModelError
        For a dataset that cannot be used, regions outside their images, or embeddings that are not finite.
    """
    check_dataset(data)
    if templates is not None:
        check_templates(templates)
    if batch_size < 1:
        raise InputError("a batch size of at least 1", f"{batch_size}", "Try 128.")
    regions = (proposer or Grid(2, 2))(data)
    regions.check_inside(data.image_sizes)
    text = class_embeddings(model, data.class_names, templates or data.templates).cpu().numpy()
    images, crops = [], []
    for image, region in _encode_batches(model, data, regions, batch_size, "Embedding images", progress):
        images.append(image)
        crops.append(region)
    return Embeddings(
        np.concatenate(images),
        np.concatenate(crops),
        text,
        regions,
        data.labels,
        data.class_names,
        temperature,
        model.name,
        data.name,
    )


def _encode_batches(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    regions: Regions,
    batch_size: int,
    stage: str,
    progress: Progress | None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    sizes = data.image_sizes
    report(progress, 0, len(data), stage)
    for start in range(0, len(data), batch_size):
        stop = min(start + batch_size, len(data))
        pixels = resize([data.image(i) for i in range(start, stop)], model.image_size)
        with torch.inference_mode():
            image, region = model.encode(pixels, batch_boxes(regions, sizes, np.arange(start, stop), model.image_size))
        yield image.float().cpu().numpy(), region.float().cpu().numpy()
        report(progress, stop, len(data), stage)


def batch_boxes(regions: Regions, image_sizes: np.ndarray, images: np.ndarray, size: int) -> torch.Tensor:
    """Boxes of some images as (n, 5) float32: place in the batch, then x1, y1, x2, y2 in the model's input pixels."""
    rows = region_rows(regions, images)
    place = np.repeat(np.arange(len(images)), [len(each) for each in rows])
    flat = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    boxes = scale_boxes(regions.boxes[flat], image_sizes[regions.image_index[flat]], size)
    return torch.from_numpy(np.concatenate([place[:, None].astype(np.float32), boxes], axis=1))


def region_rows(regions: Regions, images: np.ndarray) -> list[np.ndarray]:
    """For each image, the rows of its regions."""
    starts = np.searchsorted(regions.image_index, images, side="left")
    stops = np.searchsorted(regions.image_index, images, side="right")
    return [np.arange(start, stop) for start, stop in zip(starts, stops, strict=True)]


def _check_unit_rows(name: str, rows: np.ndarray) -> None:
    bad = ~np.isfinite(rows).all(1)
    if bad.any():
        raise ModelError(
            f"finite {name} embeddings",
            f"NaN or infinity in {int(bad.sum())} of {len(rows)}, the first at {int(np.flatnonzero(bad)[0])}",
            "Check the checkpoint's weights and the images' values; half precision on a CPU may overflow.",
        )
    off = np.abs(np.linalg.norm(rows, axis=1) - 1) > UNIT_NORM_TOLERANCE
    if off.any():
        raise InputError(
            f"unit-norm {name} embeddings", f"{int(off.sum())} of another length", "Divide each row by its norm."
        )
