"""Steered: another model's embeddings, passed through what an objective without training fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ravl_explore.errors import ModelError
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.models.optional import tracer
from ravl_explore.objectives.base import Relevance
from ravl_explore.objectives.training_free import Steering
from ravl_explore.support.fingerprints import digest


class StoredSteering(TypedDict):
    """A :class:`~ravl_explore.objectives.training_free.Steering` as plain values, without its axis.

    Attributes
    ----------
    shifts : sequence of two float, or None
        As it has them.
    fingerprint : str
        Of the model that it steers.
    """

    shifts: Sequence[float] | None
    fingerprint: str


class Steered:
    """A VisionLanguageModel whose embeddings of images and regions pass through a Steering.

    It has no weights beside those of ``model``, so its ``state_dict`` cannot be saved: a checkpoint would lose the
    steering without a word. ``rx.save`` of its mitigation keeps the steering, and ``rx.load(path, model=model)`` puts
    it on the model again.

    Parameters
    ----------
    model : VisionLanguageModel
        Whose weights and embeddings it has.
    steering : Steering or None
        None leaves the embeddings as they are.
    """

    def __init__(self, model: VisionLanguageModel, steering: Steering | None = None) -> None:
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

    def steering_arrays(self) -> tuple[dict[str, np.ndarray], StoredSteering]:
        """Arrays and plain values that say how it steers, and which model; ModelError when it does not steer yet."""
        if self.steering is None:
            raise ModelError("a model that steers", f"{self.name!r}, which does not yet", "Take its step first.")
        values: StoredSteering = {"shifts": self.steering.shifts, "fingerprint": self._model.fingerprint()}
        return {"axis": self.steering.axis.detach().cpu().numpy()}, values

    @classmethod
    def from_arrays(
        cls, model: VisionLanguageModel, arrays: Mapping[str, np.ndarray], values: StoredSteering
    ) -> Steered:
        """Put what :meth:`steering_arrays` gave on a copy of the model it was of.

        Parameters
        ----------
        model : VisionLanguageModel
            The one that was steered.
        arrays : mapping of str to array
        values : StoredSteering
            As they were given.

        Raises
        ------
        ModelError
            When the model is another one.
        """
        if model.fingerprint() != values["fingerprint"]:
            raise ModelError("the model that was steered", f"{model.name!r}, another one", "Give the searched model.")
        shifts = values["shifts"]
        axis = torch.from_numpy(np.array(arrays["axis"]))
        return cls(model.copy(), Steering(axis, None if shifts is None else (float(shifts[0]), float(shifts[1]))))

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
        """Steered image embeddings and their relevance.

        Parameters
        ----------
        pixels : Float[Tensor, "b 3 s s"]
            As for :meth:`ravl_explore.models.clip_model.ClipModel.trace`.

        Raises
        ------
        ModelError
            For a model whose relevance is not known.
        """
        image, relevance = tracer(self._model)(pixels)
        return image if self.steering is None else self.steering(image), relevance

    def copy(self) -> Steered:
        """A model with its own image tower and the same steering."""
        return Steered(self._model.copy(), self.steering)
