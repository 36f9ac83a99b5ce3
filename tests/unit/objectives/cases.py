"""Random batches with their embeddings, batches at the edges, and every objective that is offered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ravl_explore import objectives
from ravl_explore.objectives import (
    Batch,
    ConceptGuided,
    CounterfactualRegions,
    RegionAware,
    SpuriousAware,
    VlErm,
    VlGdro,
)
from ravl_explore.objectives.base import Start
from ravl_explore.objectives.image_objective import ImageObjective
from ravl_explore.objectives.training_free import TrainingFree

OFFERED: list[type] = [
    getattr(objectives, name)
    for name in objectives.__all__
    if isinstance(getattr(objectives, name), type) and issubclass(getattr(objectives, name), ImageObjective)
]
TRAINED = [kind for kind in OFFERED if not issubclass(kind, TrainingFree)]
WITH_CAPTIONS = [kind for kind in TRAINED if "equal_captions" in {each.name for each in fields(kind)}]


def spelled(objective: Any) -> str:
    """Its name with what differs from the defaults."""
    values = {each.name: getattr(objective, each.name) for each in fields(objective)}
    changed = [f"{each.name}={values[each.name]}" for each in fields(objective) if values[each.name] != each.default]
    return f"{type(objective).__name__}({', '.join(changed)})"


# every objective that takes steps as it comes, and with each of its options
VARIANTS: dict[str, Any] = {kind.__name__: kind() for kind in TRAINED} | {
    spelled(each): each
    for each in [
        *(kind(equal_captions="positives") for kind in WITH_CAPTIONS),
        CounterfactualRegions(1.0),
        ConceptGuided(target="label"),
        ConceptGuided(score="logit"),
        ConceptGuided(class_loss="prediction"),
        ConceptGuided(average="pixels"),
        ConceptGuided(second_order=False),
        CounterfactualRegions(loss=RegionAware()),
        CounterfactualRegions(mode="erase", blend="feather"),
        CounterfactualRegions(loss=RegionAware(), blend="features"),
        CounterfactualRegions(mode="paste", blend="poisson", donors="typical", upsample=True),
        RegionAware(reduction="sum"),
        RegionAware(duplicates="samples"),
        RegionAware(max_spurious=1),
        RegionAware(class_text="names"),
        SpuriousAware(stand_in="regions"),
        SpuriousAware(stand_in="text", descriptions=("street", "street with a car")),
        SpuriousAware(stand_in="batch"),
        VlErm(upsample=False),
        VlGdro(rate=10.0),
        VlGdro(adjustment=1.0),
    ]
}


def random_batch(seed: int = 0, n_images: int = 5, n_classes: int = 3, dim: int = 6, **changes: Any) -> Batch:
    """Four 8 x 8 quadrants an image of 16 pixels; some spurious, one of the others core; the first is promoted."""
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.tensor(
        [[i, x, y, x + 8, y + 8] for i in range(n_images) for y in (0, 8) for x in (0, 8)], dtype=torch.float32
    )
    spurious = torch.rand(len(boxes), generator=generator) < 0.3
    core = torch.zeros(len(boxes), dtype=torch.bool)
    for i in range(n_images):
        clean = torch.nonzero((boxes[:, 0] == i) & ~spurious)[:, 0]
        core[clean[:1]] = True
    patterns = torch.randn(n_images, 4, 4, generator=torch.Generator().manual_seed(seed + 500))
    promote = torch.zeros(n_images, 16, 16, dtype=torch.bool)
    promote[:, :8, :8] = True

    def relevance(target: Tensor, create_graph: bool) -> Tensor:
        """A made-up map that depends on the image's own target, at any scale of it."""
        where = patterns.to(target)
        return 1.5 + torch.sin(target[:, None, None] * (1 + 0.1 * where) + where)

    arguments: dict[str, Any] = {
        "promote": promote,
        "suppress": ~promote,
        "relevance": relevance,
        "pixels": torch.rand(n_images, 3, 16, 16, generator=generator),
        "boxes": boxes,
        "spurious": spurious,
        "core": core,
        "labels": torch.randint(n_classes, (n_images,), generator=generator),
        "captions": normalize(torch.randn(n_images, dim, generator=generator), dim=1),
        "classes": normalize(torch.randn(n_classes, dim, generator=generator), dim=1),
        "temperature": 0.07,
        "similarity": torch.rand(len(boxes), generator=generator),
    }
    return Batch(**(arguments | changes))


def only(batch: Batch, images: np.ndarray, keep: Tensor) -> Batch:
    """The batch's images with these places, in rising order, and the regions to keep."""
    boxes = batch.boxes[keep].clone()
    boxes[:, 0] = torch.searchsorted(torch.from_numpy(images), boxes[:, 0].long()).float()
    flags = {name: getattr(batch, name) for name in ("spurious", "core", "part", "similarity")}
    flags = {name: None if value is None else value[keep] for name, value in flags.items()}
    rows = {name: getattr(batch, name)[images] for name in ("pixels", "labels", "captions")}
    return replace(batch, boxes=boxes, **flags, **rows)


def embedded(batch: Batch, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random unit-norm embeddings of a batch's images and regions."""
    generator = torch.Generator().manual_seed(seed + 1000)
    dim = batch.captions.shape[1]
    image = normalize(torch.randn(len(batch.pixels), dim, generator=generator), dim=1)
    region = normalize(torch.randn(len(batch.boxes), dim, generator=generator), dim=1)
    return image, region


def _edges() -> Iterator[tuple[str, Batch]]:
    batch = random_batch()
    regions = torch.arange(len(batch.boxes))
    none, labels = torch.zeros(len(regions), dtype=torch.bool), torch.tensor([0, 1, 2, 0, 1])
    yield "ordinary", batch
    yield "no spurious region", replace(batch, spurious=none)
    yield "an image of spurious regions", replace(batch, spurious=regions < 4, core=none, labels=labels)
    yield "only spurious regions", replace(batch, spurious=~none, core=none)
    yield "one class", replace(batch, labels=torch.ones(5, dtype=torch.long))
    yield "one class, nothing spurious", replace(batch, labels=torch.ones(5, dtype=torch.long), spurious=none)
    yield "an image without a class", replace(batch, labels=torch.tensor([0, -1, 2, 0, 1]))
    yield "no image has a class", replace(batch, labels=torch.full((5,), -1))
    yield "no region at all", replace(batch, boxes=batch.boxes[:0], spurious=none[:0], core=none[:0])
    nowhere = torch.zeros_like(batch.promote)
    yield "nothing promoted", replace(batch, promote=nowhere)
    yield "nothing suppressed", replace(batch, suppress=nowhere)
    yield "equal captions", replace(batch, captions=batch.captions[[0, 0, 0, 3, 3]])
    yield "one image", random_batch(n_images=1)
    yield "a sharp temperature", replace(batch, temperature=0.001)


EDGES = dict(_edges())


def start_of(batch: Batch, class_names: tuple[str, ...] = ("cat", "dog", "hen")) -> Start:
    """A dataset that is one batch, seen by a model with random embeddings."""

    def look(images: np.ndarray, regions: bool) -> Iterator[tuple[Tensor, Tensor, Batch]]:
        assert len(set(images)) == len(images) and set(images) <= set(range(len(batch.labels)))
        image, region = embedded(batch, 7)
        if len(images) == len(batch.labels):
            yield image, region if regions else region[:0], batch
        elif len(images):
            keep = torch.isin(batch.image_of_region, torch.from_numpy(images))
            yield image[images], region[keep] if regions else region[:0], only(batch, images, keep)

    def prompts(names: Any) -> Tensor:
        rows = [torch.randn(batch.captions.shape[1], generator=torch.Generator().manual_seed(len(n))) for n in names]
        return normalize(torch.stack(rows), dim=1)

    return Start(batch.labels.numpy(), batch.present.numpy(), class_names, look, prompts)


def in_double(objective: Any, batch: Batch) -> tuple[Callable[..., tuple[Tensor, ...]], tuple[Tensor, Tensor]]:
    """(function of float64 embeddings -> every term, embeddings to check its gradient at), for gradcheck.

    Group weights move without a gradient, so they are held: as they are after a few steps.
    """
    batch = replace(batch, captions=batch.captions.double(), classes=batch.classes.double())
    run = objective.begin(start_of(batch))
    if isinstance(objective, VlGdro):
        for seed in range(3):
            run(*embedded(batch, seed), batch)
        held = replace(objective, rate=0.0).begin(start_of(batch))
        held.restore(run.state())
        run = held

    def terms(image: Tensor, region: Tensor) -> tuple[Tensor, ...]:
        values = run(normalize(image, dim=1), normalize(region, dim=1), batch)
        return tuple(value for value in values.values() if isinstance(value, Tensor))

    image, region = (rows.double().requires_grad_() for rows in embedded(batch))
    return terms, (image, region)
