"""A tiny CLIP ResNet with random weights, tiny pictures, and made-up embeddings, shared by the unit tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

CLASSES = ("cat", "dog", "hen")
SIDE = 32


def unit(rows: np.ndarray) -> np.ndarray:
    """Divide each row by its norm, as float32."""
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def build_clip(seed: int = 0, image_size: int = 64, text_width: int = 64) -> Any:
    """open_clip's CLIP with a four-block ModifiedResNet, the demo's tokens, and weights that are random everywhere."""
    import open_clip
    import torch
    from torch import nn

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        clip = open_clip.CLIP(
            embed_dim=32,
            vision_cfg=open_clip.CLIPVisionCfg(
                image_size=image_size, layers=[1, 1, 1, 1], width=8, patch_size=None, head_width=64
            ),
            text_cfg=open_clip.CLIPTextCfg(
                context_length=24, vocab_size=2514, width=text_width, heads=max(1, text_width // 32), layers=1
            ),
        )
        norms = [module for module in clip.visual.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:  # open_clip starts with zero scales, which would hide whole branches
            norm.weight.data.uniform_(0.5, 1.5)
            norm.bias.data.normal_(0, 0.2)
            norm.momentum = 1.0
        with torch.no_grad():  # statistics of pixels, else embeddings hardly depend on the image
            clip.visual.train()(torch.randn(16, 3, image_size, image_size))
            clip.visual.attnpool.positional_embedding.mul_(0.1)
        for norm in norms:
            norm.momentum = 0.1
    return clip


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Any]:
    """seed, image_size, text_width -> a fresh open_clip CLIP."""
    return build_clip


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Any]:
    """seed, image_size -> a fresh small CLIP."""
    import torch

    torch.set_num_threads(1)  # for pictures this small, threads only wait for each other

    def make(seed: int = 0, image_size: int = 64) -> Any:
        from ravl_explore.models.clip_model import ClipModel
        from ravl_explore.models.demo import demo_tokenizer

        return ClipModel(build_clip(seed, image_size), demo_tokenizer(), f"random {seed}", "roi")

    return make


@pytest.fixture(scope="session")
def model(make_model: Callable[..., Any]) -> Any:
    """A small CLIP that no test changes."""
    return make_model()


def pictures(n: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(images, labels, red): 32 x 32 noise whose top left quadrant tells the class, and a red one bottom right."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(CLASSES)
    red = (np.arange(n) // len(CLASSES)) % 2 == 0
    images = rng.integers(0, 60, (n, SIDE, SIDE, 3), dtype=np.uint8)
    images[np.arange(n), :16, :16] += (60 * labels).astype(np.uint8)[:, None, None, None]
    images[red, 16:, 16:] = (255, 0, 0)
    return images, labels, red


@pytest.fixture
def make_data() -> Callable[..., Any]:
    """n, seed, and any argument of ArrayDataset -> pictures with captions, the red quadrant annotated."""

    def make(n: int = 12, seed: int = 0, **changes: Any) -> Any:
        from ravl_explore.data.arrays import ArrayDataset

        images, labels, red = pictures(n, seed)
        arguments: dict[str, Any] = {
            "images": images,
            "labels": labels,
            "class_names": CLASSES,
            "name": "pictures",
            "captions": [f"the image shows a {CLASSES[y]}" for y in labels],
            "feature_name": "red",
            "feature_present": red,
        }
        return ArrayDataset(**(arguments | changes))

    return make


def random_embeddings(
    seed: int = 0, counts: tuple[int, ...] = (4,) * 20, n_classes: int = 3, dim: int = 6, **changes: Any
) -> Any:
    """Embeddings of random directions, ``counts`` regions per image."""
    from ravl_explore.embedding.embeddings import Embeddings
    from ravl_explore.regions.base import Regions

    rng = np.random.default_rng(seed)
    image_index = np.repeat(np.arange(len(counts)), counts)
    arguments: dict[str, Any] = {
        "image": unit(rng.normal(size=(len(counts), dim))),
        "region": unit(rng.normal(size=(len(image_index), dim))),
        "text": unit(rng.normal(size=(n_classes, dim))),
        "regions": Regions(np.tile([0.0, 0, 1, 1], (len(image_index), 1)), image_index),
        "labels": rng.integers(n_classes, size=len(counts)),
        "class_names": tuple(f"class {y}" for y in range(n_classes)),
    }
    return Embeddings(**(arguments | changes))


@pytest.fixture(scope="session")
def make_embeddings() -> Callable[..., Any]:
    """seed, counts, n_classes, dim, and any field of Embeddings -> random Embeddings."""
    return random_embeddings


def nearest_medoid(region: np.ndarray, medoids: list[int] | np.ndarray) -> Any:
    """The clustering around given medoids."""
    import pandas as pd

    from ravl_explore.clustering.base import Clustering

    medoids = np.asarray(medoids, np.int64)
    similarity = region @ region[medoids].T
    similarity[medoids, np.arange(len(medoids))] = 2  # also where a region equals another cluster's medoid
    labels = similarity.argmax(1).astype(np.int64)
    table = pd.DataFrame({"n_clusters": [len(medoids)], "loss": [1.5], "silhouette": [0.25]})
    return Clustering(labels, medoids, 1.5, table)


@pytest.fixture(scope="session")
def cluster() -> Callable[..., Any]:
    """region, medoids -> Clustering."""
    return nearest_medoid


@pytest.fixture
def make_discovery() -> Callable[..., Any]:
    """seed, n_clusters, and settings of discover() -> a Discovery of random embeddings."""

    def make(seed: int = 0, n_clusters: int = 5, **settings: Any) -> Any:
        from ravl_explore.discovery import discover
        from ravl_explore.scores import zero_shot

        embeddings = random_embeddings(seed, counts=(4,) * 60)
        return discover(zero_shot(embeddings), nearest_medoid(embeddings.region, np.arange(n_clusters) * 7), **settings)

    return make


@pytest.fixture
def find_discovery(model: Any, cluster: Callable[..., Any]) -> Callable[..., Any]:
    """data, model -> a Discovery on it, whose medoids are the first image's four quadrants."""

    def find(data: Any, searched: Any = None) -> Any:
        from ravl_explore.discovery import discover
        from ravl_explore.embedding.embeddings import embed
        from ravl_explore.scores import zero_shot

        embeddings = embed(searched or model, data)
        return discover(zero_shot(embeddings), cluster(embeddings.region, [0, 1, 2, 3]))

    return find


@pytest.fixture
def find_feature(find_discovery: Callable[..., Any]) -> Callable[..., Any]:
    """data, clusters, model -> those clusters of find_discovery() as one Feature; 3 is the red quadrant."""

    def find(data: Any, *clusters: int, searched: Any = None) -> Any:
        return find_discovery(data, searched).choose(*clusters)

    return find


def nothing_marked(n_images: int = 1) -> Any:
    """An Assignment made by hand: an image has one region, and none shows anything."""
    from ravl_explore.assignment import Assignment
    from ravl_explore.regions.base import Regions

    none = np.zeros(n_images, bool)
    return Assignment(Regions(np.tile([0.0, 0, 1, 1], (n_images, 1)), np.arange(n_images)), none, none, none, None)


@pytest.fixture
def mark(model: Any) -> Callable[..., Any]:
    """data, feature, proposer, and labels= of assign() -> the Assignment of data as the searched model sees it."""

    def assigned(data: Any, feature: Any, proposer: Any = None, **labels: Any) -> Any:
        from ravl_explore.assignment import assign
        from ravl_explore.embedding.embeddings import embed

        return assign(embed(model, data, proposer), feature, **labels)

    return assigned
