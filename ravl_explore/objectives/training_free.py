"""Training-free baselines: the feature's direction is taken out of the embeddings, and no weight is changed.

An objective of this kind takes no steps. :func:`ravl_explore.mitigate` lets it :meth:`~TrainingFree.fit` one
:class:`Steering` on the fine-tuning images and gives a :class:`~ravl_explore.mitigation.steered.Steered` model, which
passes every image and region embedding through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from ravl_explore.errors import InputError
from ravl_explore.objectives.base import Objective, Start
from ravl_explore.objectives.image_objective import ImageObjective
from ravl_explore.objectives.prototypes import prototypes, seen
from ravl_explore.support import checks

Axis = Literal["images", "regions"]


@dataclass(frozen=True, eq=False)
class Steering:
    """What is done to unit-norm embeddings; they are made unit-norm again.

    Attributes
    ----------
    axis : Float[Tensor, " dim"]
        Unit-norm, from the feature's absence to its presence.
    shifts : tuple of two float, or None
        How far along the axis images without and with the feature lie, which is taken off whichever is nearer; None
        takes off what each embedding has itself.
    """

    axis: Float[Tensor, " dim"]
    shifts: tuple[float, float] | None = None

    def __call__(self, embedding: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        """
        Examples
        --------
        >>> Steering(torch.tensor([1.0, 0.0]))(torch.tensor([[0.6, 0.8]])).tolist()
        [[0.0, 1.0]]
        """
        axis = self.axis.to(embedding)
        along = (embedding * axis).sum(1, keepdim=True)
        if self.shifts is not None:
            without, present = self.shifts
            along = torch.where(along > (without + present) / 2, present, without).to(embedding)
        return normalize(embedding - along * axis, dim=1)


@runtime_checkable
class Fits(Protocol):
    """What is fitted once where others are trained."""

    def fit(self, start: Start) -> Steering:
        """What to do to the embeddings.

        Parameters
        ----------
        start : Start
            The fine-tuning data under the searched model.
        """
        ...


class TrainingFree(ImageObjective):
    """An objective without steps; add one by overwriting :meth:`fit`."""

    takes_steps: bool = False

    def fit(self, start: Start) -> Steering:
        """See :meth:`Fits.fit`."""
        raise NotImplementedError

    def begin(self, start: Start) -> Objective:
        raise InputError("an objective to train with", f"{self}, which needs no training", "Give it to mitigate().")


@dataclass(frozen=True)
class Projection(TrainingFree):
    """Take the feature's direction v out: z <- z - (z · v) v, made unit-norm again (as RoboShot does, ICLR 2024).

    RoboShot asks a language model for texts and takes v from their difference; here v comes from the cluster.

    Parameters
    ----------
    axis : {"images", "regions"}
        v is the difference between the mean embeddings with the cluster and without: of ``"images"``, as means of
        class means over the classes that have both (default), or of ``"regions"`` in and outside the cluster. Not the
        medoid itself: all embeddings of a CLIP share a large common part, which it has too. On the demos'
        val (50 images a group) the worst group of images goes from 16 % to 36 % with ``"images"`` and 38 % with
        ``"regions"`` (ResNet), from 20 % to 48 % and 24 % (ViT).
    """

    axis: Axis = "images"

    def __post_init__(self) -> None:
        checks.one_of("axis", self.axis, ("images", "regions"))

    @classmethod
    def menu(cls) -> dict[str, tuple[()]]:
        """Menu label -> constructor arguments."""
        return {"Projection, no training": ()}

    @property
    def name(self) -> str:
        return "Projection, no training"

    def fit(self, start: Start) -> Steering:
        return Steering(_axis(start, self.axis))


@dataclass(frozen=True)
class Shift(TrainingFree):
    """Move each group back along the feature's direction: z <- z - lambda_a v, made unit-norm again (TIE, ICLR 2025).

    lambda_a is the mean of z · v over fine-tuning images, evenly from all classes, with (a = 1) or without (a = 0) the
    cluster. Whether a new image or region has it is inferred: whichever mean is nearer (TIE* infers it too). v is from
    the cluster, not from texts.

    Parameters
    ----------
    axis : {"images", "regions"}
        What v is the difference of, see :class:`Projection`; on the demos' val the worst group of images goes from 16 %
        to 44 % with ``"images"`` and 42 % with ``"regions"`` (ResNet), from 20 % to 60 % and 24 % (ViT).
    """

    axis: Axis = "images"

    def __post_init__(self) -> None:
        checks.one_of("axis", self.axis, ("images", "regions"))

    @classmethod
    def menu(cls) -> dict[str, tuple[()]]:
        """Menu label -> constructor arguments."""
        return {"Shift by group, no training": ()}

    @property
    def name(self) -> str:
        return "Shift by group, no training"

    def fit(self, start: Start) -> Steering:
        axis = _axis(start, self.axis)
        image, _, shows = seen(start, regions=False)
        along = image.to(axis) @ axis
        if shows.all() or not shows.any():  # regions of both kinds may give an axis all the same
            raise _all_of_one_kind()
        return Steering(axis, (float(along[~shows].mean()), float(along[shows].mean())))


def _axis(start: Start, of: Axis) -> Float[Tensor, " dim"]:
    means = prototypes(*seen(start, of == "regions"))
    if means is None:
        raise _all_of_one_kind()
    return normalize(means[1] - means[0], dim=0)


def _all_of_one_kind() -> InputError:
    return InputError(
        "fine-tuning images with and without the feature",
        "all of one kind",
        "Choose another cluster, or other images: there is nothing to tell apart.",
    )
