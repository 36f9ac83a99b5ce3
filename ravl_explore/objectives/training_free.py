"""Training-free baselines: the feature's direction is taken out of the embeddings, and no weight is changed.

An objective of this kind takes no steps. :func:`ravl_explore.mitigate` lets it :meth:`~TrainingFree.fit` one
:class:`Steering` on the fine-tuning images and gives a :class:`Steered` model, which passes every image and region
embedding through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from ravl_explore.errors import InputError, ModelError
from ravl_explore.objectives.base import ImageObjective, Objective, Relevance, Start
from ravl_explore.objectives.prototypes import prototypes, seen
from ravl_explore.support import checks
from ravl_explore.support.fingerprints import digest

Axis = Literal["images", "regions"]


@dataclass(frozen=True, eq=False)
class Steering:
    """What is done to unit-norm embeddings; they are made unit-norm again.

    Attributes
    ----------
    axis : (dim,) unit-norm, from the feature's absence to its presence
    shifts : how far along the axis images without and with the feature lie, which is taken off whichever is nearer;
        None takes off what each embedding has itself
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


class TrainingFree(ImageObjective):
    """An objective without steps; add one by overwriting :meth:`fit`."""

    takes_steps: bool = False

    def fit(self, start: Start) -> Steering:
        """What to do to the embeddings, from the fine-tuning data under the searched model."""
        raise NotImplementedError

    def begin(self, start: Start) -> Objective:
        raise InputError("an objective to train with", f"{self}, which needs no training", "Give it to mitigate().")


@dataclass(frozen=True)
class Projection(TrainingFree):
    """Take the feature's direction v out: z <- z - (z · v) v, made unit-norm again (as RoboShot does, ICLR 2024).

    RoboShot asks a language model for texts and takes v from their difference; here v comes from the cluster.

    Parameters
    ----------
    axis : v is the difference between the mean embeddings with the cluster and without: of ``"images"``, as means of
        class means over the classes that have both (default), or of ``"regions"`` in and outside the cluster. Not the
        medoid itself: all embeddings of a CLIP share a large common part, which it has too. On the demos'
        val (50 images a group) the worst group of images goes from 16 % to 36 % with ``"images"`` and 38 % with
        ``"regions"`` (ResNet), from 20 % to 48 % and 24 % (ViT)
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
    axis : what v is the difference of, see :class:`Projection`; on the demos' val the worst group of images goes from
        16 % to 44 % with ``"images"`` and 42 % with ``"regions"`` (ResNet), from 20 % to 60 % and 24 % (ViT)
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
    found = prototypes(*seen(start, of == "regions"))
    if found is None:
        raise _all_of_one_kind()
    return normalize(found[1] - found[0], dim=0)


def _all_of_one_kind() -> InputError:
    return InputError(
        "fine-tuning images with and without the feature",
        "all of one kind",
        "Choose another cluster, or other images: there is nothing to tell apart.",
    )


class Steered:
    """A VisionLanguageModel whose embeddings of images and regions pass through a Steering.

    It has no weights beside those of ``model``, so its ``state_dict`` cannot be saved: a checkpoint would lose the
    steering without a word. ``rx.save`` of its mitigation keeps the steering, and ``rx.load(path, model=model)`` puts
    it on the model again.

    Parameters
    ----------
    model : a VisionLanguageModel
    steering : None leaves the embeddings as they are
    """

    def __init__(self, model: Any, steering: Steering | None = None) -> None:
        self._model, self.steering, self.name = model, steering, model.name
        self.dim: int = model.dim
        self.image_size: int = model.image_size

    @property
    def visual(self) -> nn.Module:
        return self._model.visual

    @property
    def device(self) -> torch.device:
        return self._model.device

    @property
    def region_method(self) -> str:
        """How regions are embedded."""
        return self._model.region_method

    @property
    def state_dict(self) -> dict[str, Tensor]:
        raise ModelError(
            "a model whose weights are all of it",
            f"{self.name!r}, which steers the embeddings of another",
            "Save the mitigation with rx.save, and open it with rx.load(path, model=...).",
        )

    def steering_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """(arrays, plain values) that say how it steers, and which model; ModelError when it does not steer."""
        if self.steering is None:
            raise ModelError("a model that steers", f"{self.name!r}, which does not yet", "Take its step first.")
        values = {"shifts": self.steering.shifts, "fingerprint": self._model.fingerprint()}
        return {"axis": self.steering.axis.detach().cpu().numpy()}, values

    @classmethod
    def from_arrays(cls, model: Any, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> Steered:
        """What :meth:`steering_arrays` gave, on a copy of the model it was of; ModelError when that is another one."""
        if model.fingerprint() != values["fingerprint"]:
            raise ModelError("the model that was steered", f"{model.name!r}, another one", "Give the searched model.")
        shifts = values["shifts"]
        axis = torch.from_numpy(np.array(arrays["axis"]))
        return cls(model.copy(), Steering(axis, None if shifts is None else (shifts[0], shifts[1])))

    def fingerprint(self) -> str:
        """Of the model and the steering."""
        if self.steering is None:
            return self._model.fingerprint()
        axis = self.steering.axis.detach().cpu().numpy()
        return digest([self._model.fingerprint(), "steered", axis, repr(self.steering.shifts)])

    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "n dim"]:
        return self._model.embed_text(texts)

    def encode(
        self, pixels: Float[Tensor, "b 3 s s"], boxes: Float[Tensor, "n 5"] | None
    ) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]]:
        image, region = self._model.encode(pixels, boxes)
        return (image, region) if self.steering is None else (self.steering(image), self.steering(region))

    def trace(self, pixels: Float[Tensor, "b 3 s s"]) -> tuple[Float[Tensor, "b dim"], Relevance]:
        """Steered image embeddings and their relevance, as :meth:`ravl_explore.models.clip_model.ClipModel.trace`."""
        trace = getattr(self._model, "trace", None)
        if trace is None:
            raise ModelError("a model with trace()", type(self._model).__name__, "Take an open_clip model.")
        image, relevance = trace(pixels)
        return image if self.steering is None else self.steering(image), relevance

    def copy(self) -> Steered:
        """A model with its own image tower and the same steering."""
        return Steered(self._model.copy(), self.steering)
