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


@pytest.mark.parametrize("counts", [(10, 10), (30, 10), (5, 5, 20), (7, 0, 3), (1, 0), (400, 100)])
def test_better_is_what_a_binomial_test_says(counts: tuple[int, ...]) -> None:
    sizes, n = np.array(counts), sum(counts)
    share = max(counts) / n
    assert chance_level(sizes) == pytest.approx(share)
    for right in range(n + 1):
        assert better_than_chance(right, sizes) == (at_least(right, n, share) <= 0.05)


def test_a_model_that_always_names_the_commonest_class_is_guessing() -> None:
    assert "90.0% of 1,000 images right, guessing 90.0% (always “b”)" in chance_doubt(
        900, np.array([100, 900, 0]), NAMES
    )


def test_fewer_right_than_guessing_is_told_and_more_is_not() -> None:
    assert chance_doubt(700, np.array([100, 900]), NAMES) and not chance_doubt(930, np.array([100, 900]), NAMES)


def test_few_images_do_not_show_that_a_model_is_better() -> None:
    assert "3 images" in chance_doubt(3, np.array([1, 2]), NAMES) and not chance_doubt(30, np.array([10, 20]), NAMES)


def test_no_image_is_no_doubt() -> None:
    assert chance_doubt(0, np.zeros(2, np.int64), NAMES) == "" and np.isnan(chance_level(np.zeros(2, np.int64)))


def test_a_class_name_cannot_repaint_a_terminal() -> None:
    assert "\x1b" not in chance_doubt(0, np.array([2, 1]), ["\x1b[31m", "b"])


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
    found = rx.evaluate(model, data)
    assert found.chance == pytest.approx(8 / 24)
    right = int((found.predictions == found.labels).sum())
    assert bool(found.doubt) == (at_least(right, 24, 8 / 24) > 0.05)
