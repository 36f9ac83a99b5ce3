"""zero_shot() is a softmax of cosines over the temperature; predictions and accuracy follow from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ravl_explore.errors import InputError
from ravl_explore.scores import Scores, softmax, zero_shot


def naive(rows: np.ndarray, text: np.ndarray, temperature: float) -> list[list[float]]:
    table = []
    for row in rows.tolist():
        powers = [math.exp(sum(a * b for a, b in zip(row, word, strict=True)) / temperature) for word in text.tolist()]
        table.append([power / sum(powers) for power in powers])
    return table


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_scores_are_those_of_the_definition(make_embeddings: Callable[..., Any], temperature: float) -> None:
    embeddings = make_embeddings(temperature=temperature)
    scores = zero_shot(embeddings)
    np.testing.assert_allclose(scores.image, naive(embeddings.image, embeddings.text, temperature), atol=1e-5)
    np.testing.assert_allclose(scores.region, naive(embeddings.region, embeddings.text, temperature), atol=1e-5)
    assert scores.image.dtype == scores.region.dtype == np.float32 and scores.embeddings is embeddings


def test_predictions_and_accuracy(make_embeddings: Callable[..., Any]) -> None:
    embeddings = make_embeddings(counts=(1,) * 4, labels=np.array([0, 1, 2, 2]))
    image = np.array([[0.8, 0.1, 0.1], [0.4, 0.2, 0.4], [0, 0, 1], [0.5, 0.5, 0]])
    scores = Scores(image, image, embeddings)
    assert scores.predictions.tolist() == [0, 0, 2, 0], "the first class of a tie"
    assert scores.correct.tolist() == [True, False, True, False]
    assert scores.accuracy == 0.5


def test_a_small_temperature_does_not_overflow(make_embeddings: Callable[..., Any]) -> None:
    scores = zero_shot(make_embeddings(temperature=1e-4))
    assert np.isfinite(scores.image).all()
    np.testing.assert_allclose(scores.image.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -0.07, float("nan")])
def test_temperature_must_be_positive(make_embeddings: Callable[..., Any], temperature: float) -> None:
    with pytest.raises(InputError, match="temperature above 0"):
        zero_shot(make_embeddings(temperature=temperature))


def test_softmax_does_not_see_a_common_shift() -> None:
    logits = np.array([[1.0, 2.0, -3.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(softmax(logits), softmax(logits + 1e5))
    np.testing.assert_allclose(softmax(logits)[1], 1 / 3)
