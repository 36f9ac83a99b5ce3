"""Discovery agrees with RaVL's released code on four synthetic cases that it scored: values to 1e-6, orders exactly."""

from pathlib import Path

import numpy as np
import pytest

from ravl_explore.clustering.base import Clustering
from ravl_explore.discovery import discover, score_clusters
from ravl_explore.embedding.embeddings import Embeddings
from ravl_explore.regions.base import Regions
from ravl_explore.scores import Scores

CASES = sorted((Path(__file__).parent / "cases").glob("*.npz"))


def load(path: Path) -> tuple[Scores, Clustering, dict[str, np.ndarray]]:
    with np.load(path, allow_pickle=False) as stored:
        case = {key: stored[key] for key in stored.files}
    n_images, n_classes = len(case["num_regions"]), int(case["n_classes"])
    image_index = np.repeat(np.arange(n_images), case["num_regions"])
    dim = case["region_embeddings"].shape[1]
    unit = np.eye(1, dim, dtype=np.float32)
    embeddings = Embeddings(
        image=np.repeat(unit, n_images, 0),
        region=case["region_embeddings"],
        text=np.repeat(unit, n_classes, 0),
        regions=Regions(np.tile([0.0, 0, 1, 1], (len(image_index), 1)), image_index),
        labels=case["labels"].astype(np.int64),
        class_names=tuple(str(y) for y in range(n_classes)),
    )
    scores = Scores(case["image_scores"], case["region_scores"], embeddings)
    assert (scores.predictions == case["preds"]).all()
    clustering = Clustering(case["clusters"].astype(np.int64), case["medoids"].astype(np.int64), 0.0, None)
    return scores, clustering, case


def test_the_four_cases_are_there() -> None:
    assert [path.stem for path in CASES] == ["binary", "many_classes", "quadrants", "ragged"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_metrics(path: Path) -> None:
    scores, clustering, case = load(path)
    _, gaps, influences = score_clusters(scores, clustering.labels, len(clustering.medoids))
    np.testing.assert_allclose(gaps.per_class, case["expected_gap_per_class"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(gaps.total, case["expected_performance_gap"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(influences, case["expected_influence"], rtol=0, atol=1e-6)
    one_signed = ~((gaps.per_class > 0).any(1) & (gaps.per_class < 0).any(1))
    assert (~one_signed == case["expected_both_signs"]).all()


@pytest.mark.parametrize(
    ("rule", "expected"), [("paper", "expected_paper_order"), ("released", "expected_official_order")]
)
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_order(path: Path, rule: str, expected: str) -> None:
    scores, clustering, case = load(path)
    discovery = discover(scores, clustering, rule=rule)
    assert [each.cluster for each in discovery.features] == case[expected].tolist()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_ranking_inside_the_best_cluster(path: Path) -> None:
    scores, clustering, case = load(path)
    best = discover(scores, clustering, rule="released").best
    assert best.region_index.tolist() == case["expected_top_ranking"].tolist()
