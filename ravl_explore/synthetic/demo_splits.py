"""The demo's splits, drawn from raw FashionMNIST: garments in quadrants, with and without a red square."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from ravl_explore.data.demo import CAPTIONS, CLASS_NAMES, SIDE

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
N_PRETRAIN = 40_000  # of FashionMNIST's 60,000 training images; the rest is for fine-tuning, so that they are disjoint
SPURIOUS_CLASS = "shirt"
STRENGTH = 0.98  # of shirts have the square, and 2% of every other class
PER_CLASS = {"train": 500, "val": 100, "test": 500}
SEEDS = {"pretrain": 0, "val": 1, "test": 1, "train": 2, "fine_tune": 0}
Split = dict[str, np.ndarray]


def read_raw(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """FashionMNIST's own files -> {"train" | "t10k": (images (n, 28, 28) uint8, labels (n,) uint8)}.

    Parameters
    ----------
    folder : Path
        With FashionMNIST's four .gz files.
    """
    raw = {}
    for part in ("train", "t10k"):
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
            images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, SIDE, SIDE)
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
            labels = np.frombuffer(file.read(), np.uint8, offset=8)
        raw[part] = (images, labels)
    return raw


def lay_out(garments: np.ndarray, labels: np.ndarray, has_square: np.ndarray, rng: np.random.Generator) -> Split:
    """Draw quadrants and captions: the garment anywhere, the square (where there is one) in another quadrant.

    Parameters
    ----------
    garments : np.ndarray
        Gray, 0 to 255.
    labels : np.ndarray
        Class of each garment.
    has_square : np.ndarray
        Which images get the square.
    rng : np.random.Generator
        Draws what is random; it moves on.
    """
    n = len(labels)
    quadrant = rng.integers(4, size=n)
    square = np.where(has_square, (quadrant + rng.integers(1, 4, size=n)) % 4, -1)
    return {
        "garments": garments,
        "labels": labels.astype(np.uint8),
        "quadrant": quadrant.astype(np.uint8),
        "square": square.astype(np.int8),
        "caption": rng.integers(len(CAPTIONS), size=n).astype(np.uint8),
    }


def uncorrelated(images: np.ndarray, labels: np.ndarray, per_class: int, rng: np.random.Generator) -> Split:
    """``per_class`` garments of every class, half of each with the square, shuffled.

    Parameters
    ----------
    images : np.ndarray
        Garments, gray, 0 to 255.
    labels : np.ndarray
        Class of each garment.
    per_class : int
        Garments of each class.
    rng : np.random.Generator
        Draws what is random; it moves on.
    """
    rows = np.concatenate([np.flatnonzero(labels == y)[:per_class] for y in range(len(CLASS_NAMES))])
    has_square = np.tile(np.arange(per_class) % 2 == 0, len(CLASS_NAMES))
    order = rng.permutation(len(rows))
    return lay_out(images[rows[order]], labels[rows[order]], has_square[order], rng)


def correlated(
    images: np.ndarray,
    labels: np.ndarray,
    spurious_class: int,
    per_class: int,
    strength: float,
    rng: np.random.Generator,
) -> Split:
    """``per_class`` garments a class; a share ``strength`` of the spurious class has the square, the rest of others.

    Parameters
    ----------
    images : np.ndarray
        Garments, gray, 0 to 255.
    labels : np.ndarray
        Class of each garment.
    spurious_class : int
        Number of the class that the square goes with.
    per_class : int
        Garments of each class.
    strength : float
        Share of the spurious class with the square, 0 to 1; of every other class it is 1 less this.
    rng : np.random.Generator
        Draws what is random; it moves on.
    """
    split = uncorrelated(images, labels, per_class, rng)
    has_square = np.zeros(len(split["labels"]), bool)
    for y in range(len(CLASS_NAMES)):
        rows = np.flatnonzero(split["labels"] == y)
        share = strength if y == spurious_class else 1 - strength
        has_square[rng.choice(rows, round(share * len(rows)), replace=False)] = True
    return lay_out(split["garments"], split["labels"], has_square, rng)


def build_splits(raw: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Split]:
    """The splits that ship: val and test from FashionMNIST's test images, without overlap; train from its last ones.

    Parameters
    ----------
    raw : dict[str, tuple[np.ndarray, np.ndarray]]
        What :func:`read_raw` gave.
    """
    images, labels = raw["t10k"]
    by_class = [np.flatnonzero(labels == y) for y in range(len(CLASS_NAMES))]
    rng = np.random.default_rng(SEEDS["val"])
    splits, start = {}, 0
    for name in ("val", "test"):
        stop = start + PER_CLASS[name]
        rows = np.concatenate([each[start:stop] for each in by_class])
        splits[name] = uncorrelated(images[rows], labels[rows], PER_CLASS[name], rng)
        start = stop
    images, labels = (part[N_PRETRAIN:] for part in raw["train"])
    rng = np.random.default_rng(SEEDS["train"])
    splits["train"] = correlated(images, labels, CLASS_NAMES.index(SPURIOUS_CLASS), PER_CLASS["train"], STRENGTH, rng)
    return splits
