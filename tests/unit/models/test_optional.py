"""Tests what a model may have beyond the protocol: given where it is there, and the default where it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ravl_explore.errors import ModelError
from ravl_explore.models import Demo
from ravl_explore.models.optional import assumptions, blender, description, metadata, tracer, weights


class Plain:
    """A model with the members of the protocol that messages name, and no others."""

    name = "plain"


PLAIN: Any = Plain()


def test_a_clip_model_has_all() -> None:
    model = Demo("clean")
    pixels = torch.rand(1, 3, model.image_size, model.image_size)
    image, relevance = tracer(model)(pixels)
    assert image.shape == (1, model.dim) and relevance(image[:, 0], False).shape == (1, 4, 4)
    mixed, region = blender(model)(pixels, pixels, torch.zeros(1, model.image_size, model.image_size), None)
    assert torch.allclose(mixed, model.encode(pixels, None)[0]) and region.shape == (0, model.dim)
    assert weights(model).keys() == model.state_dict.keys()
    assert metadata(model)["region_method"] == "roi" and metadata(model) == model.metadata
    assert description(model)["image_size"] == 128 and description(model) == model.description()
    assert assumptions(model) == ()
    model.assumptions = ("GELU",)
    assert assumptions(model) == ("GELU",)


def test_a_plain_model_has_the_defaults() -> None:
    assert assumptions(PLAIN) == ()
    assert description(PLAIN) == {}
    assert metadata(PLAIN) == {}


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (tracer, r"trace what its embeddings are from, got 'plain' \(Plain\), which has no trace\(\)"),
        (blender, r"mix two images in its feature map, got 'plain' \(Plain\), which has no blend\(\)"),
        (weights, "a state_dict of its weights, got 'plain', a Plain without"),
    ],
)
def test_what_has_no_default_is_refused(ask: Callable[[Any], object], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        ask(PLAIN)


def test_the_weights_are_no_method() -> None:
    class Module(Plain):
        def state_dict(self) -> dict[str, torch.Tensor]:
            return {}

    model: Any = Module()
    with pytest.raises(ModelError, match="Give it a property state_dict"):
        weights(model)
