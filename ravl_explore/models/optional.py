"""What a model may have beyond VisionLanguageModel: one function for each, which says what holds where it has none.

A model that has ``trace``, ``blend``, ``state_dict``, ``metadata``, ``description`` or ``assumptions`` has them as
:class:`~ravl_explore.models.clip_model.ClipModel` does; nothing else in the package asks for them by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ravl_explore.errors import ModelError
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.models.tracing import Relevance

Trace = Callable[[Float[Tensor, "b 3 s s"]], tuple[Float[Tensor, "b dim"], Relevance]]
"""``trace(pixels)`` -> (image embeddings, their relevance)."""

Blend = Callable[
    [Float[Tensor, "b 3 s s"], Float[Tensor, "b 3 s s"], Float[Tensor, "b s s"], Float[Tensor, "n 5"] | None],
    tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]],
]
"""``blend(before, after, share, boxes)`` -> (image embeddings, region embeddings) of mixed feature maps."""


def tracer(model: VisionLanguageModel) -> Trace:
    """The model's ``trace``.

    Parameters
    ----------
    model : VisionLanguageModel
        The model that is asked.

    Returns
    -------
    Trace
        The method, see :mod:`ravl_explore.models.tracing`.

    Raises
    ------
    ModelError
        When it has none.
    """
    return _method(
        model,
        "trace",
        "a model that can trace what its embeddings are from",
        "Use a ViT or ResNet CLIP of open_clip, write trace() as ClipModel has it, or do without relevance maps.",
    )


def blender(model: VisionLanguageModel) -> Blend:
    """The model's ``blend``.

    Parameters
    ----------
    model : VisionLanguageModel
        The model that is asked.

    Returns
    -------
    Blend
        The method.

    Raises
    ------
    ModelError
        When it has none.
    """
    return _method(
        model,
        "blend",
        "a model that can mix two images in its feature map",
        'Use a ResNet CLIP of open_clip, or blend in the pixels: blend="feather" or "poisson".',
    )


def weights(model: VisionLanguageModel) -> Mapping[str, Tensor]:
    """The model's ``state_dict``: all its weights by name.

    Parameters
    ----------
    model : VisionLanguageModel
        The model that is asked.

    Returns
    -------
    Mapping[str, Tensor]
        As the model keeps them, not copied.

    Raises
    ------
    ModelError
        When it has none, or a method of that name in place of a property.
    """
    state = getattr(model, "state_dict", None)
    if not isinstance(state, Mapping):
        raise ModelError(
            "a model with a state_dict of its weights",
            f"{model.name!r}, a {type(model).__name__} without",
            "Give it a property state_dict, or save its weights yourself.",
        )
    return state


def metadata(model: VisionLanguageModel) -> Mapping[str, str]:
    """What a safetensors file must say beside the weights, so that they can be opened again; nothing where not told.

    Parameters
    ----------
    model : VisionLanguageModel
        The model that is asked.

    Returns
    -------
    Mapping[str, str]
        Texts by name.
    """
    return getattr(model, "metadata", {})


def description(model: VisionLanguageModel) -> Mapping[str, object]:
    """How the model was set up, in plain JSON values; nothing where it does not tell.

    Parameters
    ----------
    model : VisionLanguageModel
        The model that is asked.

    Returns
    -------
    Mapping[str, object]
        Values by name.
    """
    return getattr(model, "description", dict)()


def assumptions(model: VisionLanguageModel) -> tuple[str, ...]:
    """What the model's loader had to guess, as sentences for the user; nothing where it does not tell.

    Parameters
    ----------
    model : VisionLanguageModel
        The model that is asked.

    Returns
    -------
    tuple[str, ...]
        One sentence a guess.
    """
    return tuple(getattr(model, "assumptions", ()))


def _method(model: VisionLanguageModel, name: str, expected: str, remedy: str) -> Callable[..., Any]:
    """A method that a model may lack; ModelError where it does."""
    method = getattr(model, name, None)
    if method is None:
        raise ModelError(expected, f"{model.name!r} ({type(model).__name__}), which has no {name}()", remedy)
    return method
