"""Every metric equals plain loops over its definition (method.md 3.1 and 7), on many random cases and worked ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ravl_explore.metrics import (
    Presence,
    group_accuracy,
    influence,
    performance_gap,
    precision_at_k,
    shortcut_strength,
    top_region,
)

CASES = range(60)


def random_case(seed: int) -> dict[str, Any]:
    """Images of 0 to 4 regions, clusters and classes that may stay unused, and scores full of ties."""
    rng = np.random.default_rng(seed)
    n_images, n_classes, n_clusters = rng.integers(1, 25), rng.integers(2, 5), rng.integers(1, 7)
    counts = rng.integers(0, 5, n_images)
    if counts.sum() == 0:
        counts[0] = 1
    image_index = np.repeat(np.arange(n_images), counts)
    used = max(1, n_clusters - rng.integers(0, 3))
    return {
        "n_clusters": int(n_clusters),
        "n_classes": int(n_classes),
        "counts": counts,
        "image_index": image_index,
        "clusters": rng.integers(0, used, len(image_index)),
        "labels": rng.integers(0, n_classes if rng.random() < 0.7 else 1, n_images),
        "predictions": rng.integers(0, n_classes, n_images),
        "region_scores": rng.integers(0, 4, (len(image_index), n_classes)) / 3,
    }


def loops(case: dict[str, Any]) -> dict[str, Any]:
    """method.md 3.1, word for word: G_c^y, G_c, r^max and H_c by loops over sets."""
    images = range(len(case["labels"]))
    regions_of = {i: [r for r in range(len(case["image_index"])) if case["image_index"][r] == i] for i in images}
    y, predicted, cluster = case["labels"], case["predictions"], case["clusters"]
    right = {i: y[i] == predicted[i] for i in images}
    top = {}
    for i in images:
        best = -1
        for r in regions_of[i]:
            if best < 0 or case["region_scores"][r, predicted[i]] > case["region_scores"][best, predicted[i]]:
                best = r
        top[i] = best
    gaps, totals, influences, counts = {}, [], [], {}
    for c in range(case["n_clusters"]):
        inside = {i for i in images if any(cluster[r] == c for r in regions_of[i])}
        total, shares = 0.0, []
        for k in range(case["n_classes"]):
            i_in = [i for i in images if i in inside and y[i] == k]
            i_out = [i for i in images if i not in inside and y[i] == k]
            counts[c, k] = (len(i_in), len(i_out))
            if not i_in or not i_out:
                gaps[c, k] = math.nan
                continue
            p_in = sum(right[i] for i in i_in) / len(i_in)
            p_out = sum(right[i] for i in i_out) / len(i_out)
            weight = 2 * min(len(i_in), len(i_out)) / (len(i_in) + len(i_out))
            gaps[c, k] = weight * (p_in - p_out)
            total += abs(gaps[c, k])
            if p_in < p_out:
                errors = [i for i in i_in if not right[i] and len(regions_of[i]) > 1]
                if errors:
                    shares.append(sum(cluster[top[i]] == c for i in errors) / len(errors))
        totals.append(total)
        influences.append(max(shares, default=-math.inf))
    return {"gaps": gaps, "totals": totals, "influences": influences, "top": top, "counts": counts}


def found(case: dict[str, Any]) -> tuple[Any, np.ndarray, np.ndarray]:
    correct = case["labels"] == case["predictions"]
    presence = Presence.from_regions(case["clusters"], case["image_index"], case["n_clusters"])
    gaps = performance_gap(presence, case["labels"], correct, case["n_classes"])
    top = top_region(case["region_scores"], case["predictions"], case["image_index"])
    top_cluster = np.where(top >= 0, case["clusters"][top], -1)
    return gaps, influence(presence, gaps, case["labels"], correct, top_cluster, case["counts"]), top


@pytest.mark.parametrize("seed", CASES)
def test_gap_influence_and_top_region_equal_the_loops(seed: int) -> None:
    case = random_case(seed)
    expected = loops(case)
    gaps, influences, top = found(case)
    assert top.tolist() == list(expected["top"].values())
    for (c, y), gap in expected["gaps"].items():
        np.testing.assert_allclose(gaps.per_class[c, y], gap, atol=1e-12)
        assert (gaps.n_in[c, y], gaps.n_out[c, y]) == expected["counts"][c, y]
    np.testing.assert_allclose(gaps.total, expected["totals"], atol=1e-12)
    np.testing.assert_allclose(influences, expected["influences"], atol=1e-12)


def test_the_random_cases_reach_the_edges() -> None:
    """Else the loops above would prove little."""
    cases = [random_case(seed) for seed in CASES]
    results = [loops(case) for case in cases]
    assert any((case["counts"] == 0).any() for case in cases), "images without a region"
    assert any((case["counts"] == 1).any() for case in cases), "images with one region"
    assert any(len(np.unique(case["clusters"])) < case["n_clusters"] for case in cases), "unused clusters"
    assert any(n_in and not n_out for r in results for n_in, n_out in r["counts"].values())
    assert any(n_out and not n_in for r in results for n_in, n_out in r["counts"].values())
    influences = np.concatenate([r["influences"] for r in results])
    assert np.isneginf(influences).any() and (influences == 0).any() and (influences == 1).any()
    assert ((influences > 0) & (influences < 1)).any()


# --- worked cases -----------------------------------------------------------------------------------------------------

DEMO = """nine 54 1.0 49 .041 | zero 52 .981 41 1 | one 56 0 65 1 | two 36 .694 62 1 | three 37 1 59 1 |
four 45 .644 53 1 | five 38 .684 42 1 | six 55 .782 50 1 | seven 58 .69 50 .98 | eight 43 .023 55 .964"""


def test_the_released_demo_table() -> None:
    """The released code's own demo (method.md 3.2, executed): G = 4.009, unweighted 4.405, attribute nine."""
    labels, inside, correct, names = [], [], [], []
    for y, row in enumerate(DEMO.split("|")):
        name, n_in, p_in, n_out, p_out = row.split()
        names.append(name)
        for n, share, here in ((int(n_in), float(p_in), True), (int(n_out), float(p_out), False)):
            labels += [y] * n
            inside += [here] * n
            correct += [i < round(n * share) for i in range(n)]
    assert abs(np.mean(correct) - 0.782) < 0.03, "the table is the demo's"
    images = np.flatnonzero(inside)
    gaps = performance_gap(
        Presence(np.zeros(len(images), int), images, 1), np.array(labels), np.array(correct), len(names)
    )
    difference = gaps.accuracy_in[0] - gaps.accuracy_out[0]
    assert gaps.total[0] == pytest.approx(4.009, abs=2e-3), "the table is rounded to three decimals"
    assert np.abs(difference).sum() == pytest.approx(4.405, abs=2e-3)
    assert names[int(difference.argmax())] == "nine"
    assert gaps.n_in[0].tolist() == [54, 52, 56, 36, 37, 45, 38, 55, 58, 43]


def test_a_gap_by_hand() -> None:
    """Class 0: 3 in (1 right), 1 out (right): 2·1/4·(1/3 - 1) = -1/3. Class 1 is never outside: left out."""
    labels, correct = np.array([0, 0, 0, 0, 1]), np.array([True, False, False, True, False])
    gaps = performance_gap(Presence(np.zeros(4, int), np.array([0, 1, 2, 4]), 1), labels, correct, 3)
    np.testing.assert_allclose(gaps.per_class[0], [-1 / 3, np.nan, np.nan])
    assert gaps.total.tolist() == pytest.approx([1 / 3])
    assert gaps.n_in.tolist() == [[3, 1, 0]] and gaps.n_out.tolist() == [[1, 0, 0]]


def test_an_influence_by_hand() -> None:
    """Class 0 is right only without the cluster. Of its two errors with two regions, one is drawn by the cluster."""
    image_index = np.array([0, 0, 1, 1, 2, 3, 3])
    clusters = np.array([0, 1, 0, 1, 0, 1, 1])
    labels, correct = np.zeros(4, int), np.array([False, False, False, True])
    presence = Presence.from_regions(clusters, image_index, 2)
    gaps = performance_gap(presence, labels, correct, 2)
    scores = np.zeros((7, 2))
    scores[[0, 3], 1] = 1  # image 0 is drawn by cluster 0, image 1 by cluster 1; image 2 has one region and is left out
    top = top_region(scores, np.array([1, 1, 1, 0]), image_index)
    assert top.tolist() == [0, 3, 4, 5]
    found = influence(presence, gaps, labels, correct, clusters[top], np.array([2, 2, 1, 2]))
    assert found.tolist() == [0.5, -np.inf], "cluster 1 is in images 0, 1 and 3 and raises accuracy: it hurts nobody"


def test_presence_counts_an_image_once_and_leaves_out_regions_of_no_cluster() -> None:
    presence = Presence.from_regions(np.array([1, 1, -1, 0, 1]), np.array([0, 0, 0, 2, 2]), 4)
    assert [presence.images(c).tolist() for c in range(4)] == [[2], [0, 2], [], []]
    nothing = Presence.from_regions(np.array([-1]), np.array([0]), 2)
    assert [nothing.images(c).tolist() for c in range(2)] == [[], []]
    assert performance_gap(nothing, np.array([0]), np.array([True]), 2).total.tolist() == [0, 0]


def test_top_region_takes_the_first_of_a_tie_and_knows_images_without_regions() -> None:
    scores = np.array([[0.5, 0.5], [0.5, 0.5], [0.1, 0.9], [0.1, 0.9]])
    assert top_region(scores, np.array([0, 0, 1]), np.array([0, 0, 2, 2])).tolist() == [0, -1, 2]


# --- evaluation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_group_accuracy_and_shortcut_equal_the_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, n_classes, min_size = int(rng.integers(1, 60)), int(rng.integers(2, 5)), int(rng.integers(0, 6))
    labels, present, correct = rng.integers(0, n_classes, n), rng.random(n) < 0.5, rng.random(n) < 0.6
    names = tuple("dcba"[:n_classes])  # not in alphabetical order
    result = group_accuracy(correct, labels, present, names, min_size)
    cells: dict[tuple[str, bool], float] = {}
    worst, worst_group = math.inf, None
    rows = iter(result.table.itertuples())
    for y, name in enumerate(names):
        for there in (False, True):
            members = [i for i in range(n) if labels[i] == y and present[i] == there]
            row = next(rows)
            assert (row.class_name, bool(row.present), row.n) == (name, there, len(members))
            cells[name, there] = sum(correct[i] for i in members) / len(members) if members else math.nan
            np.testing.assert_allclose(row.accuracy, cells[name, there])
            if len(members) >= max(min_size, 1) and cells[name, there] < worst:
                worst, worst_group = cells[name, there], (name, there)
    assert result.overall == pytest.approx(sum(correct) / n)
    assert result.worst_group == worst_group
    np.testing.assert_allclose(result.worst, worst if worst_group else math.nan)
    for name in names:
        others = [cells[other, False] - cells[other, True] for other in names if other != name]
        second = math.nan if any(math.isnan(value) for value in others) else max(others)
        np.testing.assert_allclose(
            shortcut_strength(result, name), (cells[name, True] - cells[name, False], second), atol=1e-12
        )


def test_a_shortcut_by_hand() -> None:
    """With the feature, nine is always right (4 % without it), and every one is taken for something else."""
    labels = np.repeat([0, 0, 1, 1], 100)
    present = np.tile(np.repeat([True, False], 100), 2)
    correct = np.concatenate([np.full(100, True), np.arange(100) < 4, np.full(100, False), np.full(100, True)])
    result = group_accuracy(correct, labels, present, ("nine", "one"))
    assert shortcut_strength(result, "nine") == pytest.approx((0.96, 1.0))
    assert result.worst_group == ("one", True) and result.worst == 0


def test_groups_of_nothing() -> None:
    nothing = group_accuracy(np.zeros(0, bool), np.zeros(0, int), np.zeros(0, bool), ("a", "b"))
    assert math.isnan(nothing.overall) and math.isnan(nothing.worst) and nothing.worst_group is None
    assert nothing.table["accuracy"].isna().all()
    small = group_accuracy(np.array([False]), np.array([0]), np.array([True]), ("a", "b"), min_size=2)
    assert math.isnan(small.worst) and small.worst_group is None and small.overall == 0


@pytest.mark.parametrize("seed", range(20))
def test_precision_at_k_equals_the_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    holds, k = rng.random(30) < 0.4, int(rng.integers(1, 15))
    ranked = rng.permutation(30)[: rng.integers(0, 30)]
    hits = 0
    for place, region in enumerate(ranked):
        if place < k and holds[region]:
            hits += 1
    assert precision_at_k(ranked, holds, k) == pytest.approx(hits / k)
