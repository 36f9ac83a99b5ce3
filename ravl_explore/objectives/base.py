"""What fine-tuning minimises: the batch an objective sees, and what it must offer.

To add an objective, write one file with a frozen dataclass that has a ``name``, ``uses_regions``, ``uses_relevance``,
``takes_steps``, ``usual_learning_rate``, ``class_text``, ``sample_weights``, ``begin``, ``edit`` and ``__call__``
(subclass :class:`~ravl_explore.objectives.image_objective.ImageObjective` to change just one), and add it to
``__all__`` of :mod:`ravl_explore.objectives`. ``__call__`` returns named values, the one called ``loss`` is minimised;
the trainer records them all and plots those that are tensors. What keeps something from step to step has ``state`` and
``restore`` too, see :class:`Remembers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ravl_explore.errors import InputError
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
    pixels : Float[Tensor, "b 3 s s"]
        RGB from 0 to 1, float32.
    boxes : Float[Tensor, "n 5"]
        Place in the batch, then x1, y1, x2, y2 in pixels of the model's input; float32.
    spurious, core : Bool[Tensor, " n"]
        See :class:`ravl_explore.assignment.assignment.Assignment`.
    labels : Int[Tensor, " b"]
        Class of each image, int64; -1 when its caption names none.
    captions : Float[Tensor, "b dim"]
        Unit-norm embeddings, frozen.
    classes : Float[Tensor, "n_classes dim"]
        Unit-norm embeddings, frozen.
    temperature : float
        What similarities are divided by.
    promote, suppress : Bool[Tensor, "b s s"] or None
        Concept masks: where the model shall look and where not; None unless the objective uses relevance. A pixel may
        be in neither.
    relevance : function of a Tensor and a bool, or None
        ``relevance(target, create_graph)`` gives (b, h, w) of 0 or more: how much each cell of the model's own grid
        adds to ``target`` (b,), a scalar per image that was computed from the step's image embeddings. None unless the
        objective uses relevance.
    part : Int[Tensor, " n"] or None
        Which part of the feature a spurious region shows, -1 for other regions, int64; None where the assignment does
        not say.
    similarity : Float[Tensor, " n"] or None
        Cosine to what the region is most like, such as the nearest medoid; None where the assignment does not say.
    before : Float[Tensor, "b 3 s s"] or None
        Images before they were edited, which the model mixes with ``pixels`` in its feature map; None where it sees
        ``pixels``.
    share : Float[Tensor, "b s s"] or None
        How much of the edited image each pixel shall show, 0 to 1; None where there is no ``before``.
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
    labels : Int[np.ndarray, " n_images"]
        Of the fine-tuning data, int64, -1 for images whose caption names no class.
    present : Bool[np.ndarray, " n_images"]
        Whether the image has a spurious region.
    class_names : tuple of str
        What the classes are called.
    embedded : function of an index array (n,) and a bool
        From which images, and whether to embed their regions, to (image, region, batch), a batch at a time, without
        gradient.
    embed_prompts : function of a sequence of str
        From names to (n, dim) unit-norm embeddings, each filled into the dataset's prompts.
    may_be : Bool[np.ndarray, "n_images 2"] or None
        Whether a step may see an image without the feature, and with it, where images are edited; None where each stays
        as ``present`` says.
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
        """Chances of being drawn, one an image; None draws each once.

        Parameters
        ----------
        labels : Int[np.ndarray, " n_images"]
            -1 where there is no class.
        present : Bool[np.ndarray, " n_images"]
            Whether the feature is there.
        """
        ...

    def begin(self, start: Start) -> Objective:
        """The objective of one run, with that run's own state if it keeps any; itself if it keeps none.

        Parameters
        ----------
        start : Start
            The fine-tuning data.
        """
        ...

    def edit(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch that the model shall see instead.

        Parameters
        ----------
        batch : Batch
            As the data has it.
        generator : torch.Generator
            What all draws are from, so that a run can be repeated.
        """
        ...

    def __call__(self, image: Tensor, region: Tensor, batch: Batch) -> Values:
        """Named values of a step.

        Parameters
        ----------
        image, region : Tensor
            Unit-norm embeddings (b, dim) of the images and (n, dim) of their regions.
        batch : Batch
            What was embedded.

        Returns
        -------
        mapping of str to Tensor or float
            ``loss``, a scalar tensor, is minimised. Other scalar tensors are its terms, drawn beside it; plain numbers
            are details, recorded but not drawn.
        """
        ...


@runtime_checkable
class Remembers(Protocol):
    """What an objective has beside, when it keeps something from step to step that a checkpoint must hold."""

    def state(self) -> dict[str, Tensor]:
        """What a run has accumulated; empty where that is nothing."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`state` gave.

        Parameters
        ----------
        state : mapping of str to Tensor
            By the same names.
        """
        ...


def state_of(objective: Objective) -> dict[str, Tensor]:
    """What a run of an objective has accumulated; nothing where it does not remember.

    Parameters
    ----------
    objective : Objective
        Of one run, see :meth:`Objective.begin`.
    """
    return objective.state() if isinstance(objective, Remembers) else {}


def restore_state(objective: Objective, state: Mapping[str, Tensor]) -> None:
    """Give an objective back what :func:`state_of` gave; nothing is done where it does not remember.

    Parameters
    ----------
    objective : Objective
        Of one run, begun as that one was.
    state : mapping of str to Tensor
        What was kept of it.
    """
    if isinstance(objective, Remembers):
        objective.restore(state)


def equal_captions_of(objective: Objective) -> EqualCaptions:
    """What equal captions of other images are to an objective; ``"negatives"`` where it does not say.

    Parameters
    ----------
    objective : Objective
        One that may have ``equal_captions``.
    """
    return getattr(objective, "equal_captions", "negatives")


def check_objective(objective: object, name: str = "objective") -> None:
    """Raise InputError unless it is an objective: no name of one, and not its class.

    Parameters
    ----------
    objective : object
        What was given.
    name : str
        What the error calls it.
    """
    checks.offers(name, objective, "an objective", REQUIRED, "Give an object such as objectives.RegionAware().")
    if hasattr(objective, "state") != hasattr(objective, "restore"):
        has, lacks = ("state", "restore") if hasattr(objective, "state") else ("restore", "state")
        came = f"{checks.came(objective)} with {has}() alone"
        raise InputError(f"{name} with state() and restore(), or neither", came, f"Write {lacks}() too.")
