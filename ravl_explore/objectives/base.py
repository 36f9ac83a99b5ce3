"""What fine-tuning minimises: the batch an objective sees, and what it must offer.

To add an objective, write one file with a frozen dataclass that has a ``name``, ``uses_regions``, ``uses_relevance``,
``takes_steps``, ``usual_learning_rate``, ``class_text``, ``sample_weights``, ``begin``, ``edit`` and ``__call__``
(subclass :class:`ImageObjective` to change just one), and add it to ``__all__`` of :mod:`ravl_explore.objectives`.
``__call__`` returns named values, the one called ``loss`` is minimised; the trainer records them all and plots those
that are tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from ravl_explore.support import checks

ClassText = Literal["prompts", "names"]
EqualCaptions = Literal["negatives", "positives"]
Values = Mapping[str, Tensor | float]
LEARNING_RATE = 5e-4  # measured on the demo
REQUIRED = (
    "name", "uses_regions", "uses_relevance", "takes_steps", "usual_learning_rate", "class_text", "sample_weights",
    "begin", "edit", "__call__",
)  # fmt: skip
Relevance = Callable[[Tensor, bool], Tensor]


@dataclass(frozen=True, eq=False)
class Batch:
    """Images of one step with their regions.

    Attributes
    ----------
    pixels : (b, 3, s, s) float32 RGB in [0, 1]
    boxes : (n, 5) float32: place in the batch, then x1, y1, x2, y2 in pixels of the model's input
    spurious, core : (n,) bool, see :class:`ravl_explore.assignment.assignment.Assignment`
    labels : (b,) int64 class of each image; -1 when its caption names none
    captions : (b, dim) unit-norm caption embeddings, frozen
    classes : (n_classes, dim) unit-norm class embeddings, frozen
    temperature : what similarities are divided by
    promote, suppress : (b, s, s) bool concept masks: where the model shall look and where not; None unless the
        objective uses relevance. A pixel may be in neither
    relevance : ``relevance(target, create_graph)`` -> (b, h, w) >= 0, how much each cell of the model's own grid adds
        to ``target`` (b,), a scalar per image that was computed from the step's image embeddings; None unless the
        objective uses relevance
    part, similarity : (n,) int64 which part of the feature a spurious region shows, -1 for other regions; (n,) float32
        cosine to what the region is most like, such as the nearest medoid. None where the assignment does not say
    before, share : (b, 3, s, s) images before they were edited, and (b, s, s) float32 how much of the edited one,
        ``pixels``, each pixel shall show. The model mixes the two in its feature map. None where it sees ``pixels``
    """

    pixels: Float[Tensor, "b 3 s s"]
    boxes: Float[Tensor, "n 5"]
    spurious: Bool[Tensor, " n"]
    core: Bool[Tensor, " n"]
    labels: Int[Tensor, " b"]
    captions: Float[Tensor, "b dim"]
    classes: Float[Tensor, "n_classes dim"]
    temperature: float
    promote: Bool[Tensor, "b s s"] | None = None
    suppress: Bool[Tensor, "b s s"] | None = None
    relevance: Relevance | None = None
    part: Int[Tensor, " n"] | None = None
    similarity: Float[Tensor, " n"] | None = None
    before: Float[Tensor, "b 3 s s"] | None = None
    share: Float[Tensor, "b s s"] | None = None

    @property
    def image_of_region(self) -> Int[Tensor, " n"]:
        """(n,) place of each region's image in the batch."""
        return self.boxes[:, 0].long()

    @property
    def present(self) -> Bool[Tensor, " b"]:
        """(b,) whether an image has a spurious region."""
        found = torch.zeros(len(self.labels), dtype=torch.bool, device=self.labels.device)
        found[self.image_of_region[self.spurious]] = True
        return found


@dataclass(frozen=True, eq=False)
class Start:
    """What an objective may look at before the first step, by the model as it then is.

    Attributes
    ----------
    labels : (n_images,) int64 of the fine-tuning data, -1 for images whose caption names no class
    present : (n_images,) bool, the image has a spurious region
    class_names : what the classes are called
    embedded : (n,) indices of images, whether to embed regions -> (image, region, batch), a batch at a time, without
        gradient
    embed_prompts : names -> (n, dim) unit-norm embeddings, each filled into the dataset's prompts
    may_be : (n_images, 2) bool, whether a step may see an image without the feature, and with it, where images are
        edited; None where each stays as ``present`` says
    """

    labels: Int[np.ndarray, " n_images"]
    present: Bool[np.ndarray, " n_images"]
    class_names: tuple[str, ...]
    embedded: Callable[[np.ndarray, bool], Iterator[tuple[Tensor, Tensor, Batch]]]
    embed_prompts: Callable[[Sequence[str]], Tensor]
    may_be: Bool[np.ndarray, "n_images 2"] | None = None

    @property
    def group_sizes(self) -> Int[np.ndarray, " n_groups"]:
        """(2 * n_classes,) labelled images that a step may see in each group ``2 * label + present``."""
        may_be = np.eye(2, dtype=bool)[self.present.astype(np.int64)] if self.may_be is None else self.may_be
        sizes = np.zeros((len(self.class_names), 2), np.int64)
        np.add.at(sizes, self.labels[self.labels >= 0], may_be[self.labels >= 0].astype(np.int64))
        return sizes.reshape(-1)


class Objective(Protocol):
    """One way to fine-tune."""

    @property
    def name(self) -> str:
        """What menus show."""
        ...

    @property
    def uses_regions(self) -> bool:
        """Whether regions must be embedded in every step."""
        ...

    @property
    def uses_relevance(self) -> bool:
        """Whether ``batch`` must hold relevance maps and concept masks in every step."""
        ...

    @property
    def usual_learning_rate(self) -> float:
        """What to train with unless the user says otherwise."""
        ...

    @property
    def takes_steps(self) -> bool:
        """Whether it is trained; else it is fitted once, and comes out the same for every seed."""
        ...

    @property
    def class_text(self) -> ClassText:
        """How ``batch.classes`` are made: names filled into the dataset's prompts, or bare."""
        ...

    def sample_weights(self, labels: np.ndarray, present: np.ndarray) -> np.ndarray | None:
        """(n_images,) chances of being drawn, from labels and whether the feature is there; None draws each once."""
        ...

    def begin(self, start: Start) -> Objective:
        """The objective of one run, with that run's own state if it keeps any; itself if it keeps none."""
        ...

    def edit(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch that the model shall see instead."""
        ...

    def __call__(self, image: Tensor, region: Tensor, batch: Batch) -> Values:
        """Named values of a step, from unit-norm image (b, dim) and region (n, dim) embeddings.

        ``loss``, a scalar tensor, is minimised. Other scalar tensors are its terms, drawn beside it; plain numbers are
        details, recorded but not drawn.
        """
        ...


class ImageObjective:
    """The plain CLIP loss on whole images, every image once an epoch; other objectives change one part of it."""

    uses_regions: bool = False
    uses_relevance: bool = False
    takes_steps: bool = True
    usual_learning_rate: float = LEARNING_RATE
    class_text: ClassText = "prompts"
    equal_captions: EqualCaptions = "negatives"

    def sample_weights(self, labels: np.ndarray, present: np.ndarray) -> np.ndarray | None:
        return None

    def begin(self, start: Start) -> Objective:
        return self  # type: ignore[return-value]  # subclasses have a name

    def edit(self, batch: Batch, generator: torch.Generator) -> Batch:
        return batch

    def __call__(self, image: Tensor, region: Tensor, batch: Batch) -> Values:
        return {"loss": self.contrastive(image, batch)}

    def contrastive(self, image: Float[Tensor, "b dim"], batch: Batch) -> Tensor:
        """L_CL of the batch."""
        return clip_loss(image, batch.captions, batch.temperature, self.equal_captions)

    def state(self) -> dict[str, Tensor]:
        """What a run has accumulated, to be stored in a checkpoint; nothing for most."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`state` gave."""


class Run(ImageObjective):
    """One run of an objective that keeps something from step to step; what is not overwritten is the objective's."""

    def __init__(self, objective: Objective) -> None:
        self.objective, self.name = objective, objective.name
        self.uses_regions: bool = objective.uses_regions
        self.uses_relevance: bool = objective.uses_relevance
        self.usual_learning_rate: float = objective.usual_learning_rate
        self.class_text: ClassText = objective.class_text
        self.equal_captions: EqualCaptions = getattr(objective, "equal_captions", "negatives")

    def sample_weights(self, labels: np.ndarray, present: np.ndarray) -> np.ndarray | None:
        return self.objective.sample_weights(labels, present)

    def edit(self, batch: Batch, generator: torch.Generator) -> Batch:
        return self.objective.edit(batch, generator)


def logits(rows: Float[Tensor, "n dim"], columns: Float[Tensor, "m dim"], temperature: float) -> Float[Tensor, "n m"]:
    """Cosines of unit-norm rows over the temperature; in float32 under autocast too, as half precision overflows."""
    with torch.autocast(rows.device.type, enabled=False):
        return single(rows) @ single(columns).to(single(rows).dtype).T / temperature


def single(values: Tensor) -> Tensor:
    """In float32, or float64 where it is that already."""
    return values if values.dtype == torch.float64 else values.float()


def clip_loss(
    image: Float[Tensor, "b dim"],
    text: Float[Tensor, "b dim"],
    temperature: float,
    equal_captions: EqualCaptions = "negatives",
) -> Tensor:
    """Symmetric InfoNCE over matching rows (CLIP).

    Equal captions in a batch stay each other's ``"negatives"``, as in the original; as ``"positives"`` they share an
    image's target evenly.
    """
    similarity = logits(image, text, temperature)
    target = torch.arange(len(similarity), device=similarity.device)
    if equal_captions == "positives":
        same = (text[:, None] == text[None]).all(2).to(similarity.dtype)
        target = same / same.sum(1, keepdim=True)
    return (cross_entropy(similarity, target) + cross_entropy(similarity.T, target)) / 2


def class_losses(image: Float[Tensor, "b dim"], batch: Batch) -> Float[Tensor, " n_labelled"]:
    """Cross-entropy of zero-shot classification for each image that has a label, in the batch's order."""
    labelled = batch.labels >= 0
    similarity = logits(image, batch.classes, batch.temperature)
    return cross_entropy(similarity[labelled], batch.labels[labelled], reduction="none")


def check_objective(objective: Objective, name: str = "objective") -> None:
    """Raise InputError unless it is an objective: no name of one, and not its class."""
    checks.offers(name, objective, "an objective", REQUIRED, "Give an object such as objectives.RegionAware().")


def check_share(weight: float) -> None:
    """Raise InputError unless ``weight`` is a share, from 0 to 1."""
    checks.number("weight", weight, 0, 1, remedy="The paper uses 0.8.")


def check_texts(class_text: str, equal_captions: str) -> None:
    """Raise InputError unless both are options that every objective has."""
    checks.one_of("class_text", class_text, ("prompts", "names"))
    checks.one_of("equal_captions", equal_captions, ("negatives", "positives"))
