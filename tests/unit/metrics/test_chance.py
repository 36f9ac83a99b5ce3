"""What guessing gives stands beside every accuracy, and a model that may as well guess is told plainly everywhere."""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np
import pytest

import ravl_explore as rx
from ravl_explore.metrics import better_than_chance, chance_doubt, chance_level, group_accuracy
from ravl_explore.report import report_html

NAMES = ("a", "b", "c")


def at_least(k: int, n: int, p: float) -> float:
    """How likely k or more of n coins with p come up."""
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


def said_by(matrix: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and labels of a table: rows are classes, columns what the model calls them."""
    cells = [(label, said) for label, row in enumerate(matrix) for said, n in enumerate(row) for _ in range(n)]
    labels, predictions = np.array(cells).T
    return predictions, labels


@pytest.mark.parametrize(
    "matrix", [[[6, 4], [4, 6]], [[20, 10], [2, 8]], [[9, 1, 0], [0, 5, 5], [3, 3, 4]], [[30, 3], [1, 0]]]
)
def test_better_is_what_a_binomial_test_says(matrix: list[list[int]]) -> None:
    table = np.array(matrix)
    n = table.sum()
    share = float(table.sum(0) @ table.sum(1)) / n**2
    assert better_than_chance(*said_by(matrix), len(matrix)) == (at_least(int(np.trace(table)), n, share) <= 0.05)
    assert chance_level(table.sum(1)) == pytest.approx(table.sum(1).max() / n)


def test_a_model_that_always_names_the_commonest_class_is_guessing() -> None:
    told = chance_doubt(*said_by([[0, 100, 0], [0, 900, 0], [0, 0, 0]]), NAMES)
    assert "90.0% of 1,000 images right, guessing 90.0% (always “b”)" in told


def test_a_good_model_of_a_rare_class_is_not_guessing() -> None:
    assert not chance_doubt(*said_by([[855, 95], [5, 45]]), NAMES[:2]), "below the commonest class's share, yet right"


def test_few_images_do_not_show_that_a_model_is_better() -> None:
    assert "3 images" in chance_doubt(*said_by([[1, 0], [0, 2]]), NAMES[:2])
    assert not chance_doubt(*said_by([[10, 0], [0, 20]]), NAMES[:2])


def test_of_one_class_or_none_nobody_can_tell() -> None:
    none = np.zeros(0, np.int64)
    assert chance_doubt(*said_by([[50, 0], [0, 0]]), NAMES[:2]) == chance_doubt(none, none, NAMES) == ""
    assert better_than_chance(none, none, 3) is None and np.isnan(chance_level(np.zeros(2, np.int64)))


def test_a_class_name_cannot_repaint_a_terminal() -> None:
    assert "\x1b" not in chance_doubt(*said_by([[0, 2], [1, 0]]), ["\x1b[31m", "b"])


def test_groups_know_it_by_class() -> None:
    labels = np.array([0, 0, 0, 1])
    groups = group_accuracy(labels >= 0, labels, np.array([True, False, True, False]), NAMES)
    assert groups.class_sizes.tolist() == [3, 1, 0] and groups.chance == 0.75


@pytest.fixture(params=[True, False], ids=["guesses", "knows"])
def case(request: Any, make_discovery: Callable[..., Any]) -> tuple[bool, Any]:
    """A discovery of a model that is right at random, or always."""
    from dataclasses import replace

    found = make_discovery()
    scores = found.scores
    labels = scores.embeddings.labels
    said = np.random.default_rng(0).permutation(labels) if request.param else labels
    image = np.full_like(scores.image, 0.0)
    image[np.arange(len(labels)), said] = 1.0
    return request.param, replace(found, scores=replace(scores, image=image))


def test_scores_and_report_say_it(case: tuple[bool, Any]) -> None:
    guesses, found = case
    share = np.bincount(found.scores.embeddings.labels).max() / len(found.scores.embeddings.labels)
    assert found.scores.chance == pytest.approx(share) and bool(found.scores.doubt) == guesses
    page = report_html(found)
    assert f"guessing gives {100 * share:.1f}%" in page and ("may as well guess" in page) == guesses


def test_an_evaluation_says_it(model: Any, make_data: Callable[..., Any]) -> None:
    data = make_data(24)
    found = rx.evaluate(rx.zero_shot(rx.embed(model, data)))
    assert found.chance == pytest.approx(8 / 24)
    assert bool(found.doubt) == (better_than_chance(found.predictions, found.labels, 3) is False)
