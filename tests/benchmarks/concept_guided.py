"""CFT on the ViT demo, three seeds: accuracy and how relevance aligns. ``python tests/benchmarks/concept_guided.py``

The model is fine-tuned for one epoch of ``train`` with what discovery on ``val`` found, and measured on ``test`` (or on
``val``, to choose settings, with ``--split val``). Alignment is measured on images with a square, against what the demo
knows: the garment's quadrant is where to look, the square's is where not.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import ravl_explore as rx
from ravl_explore import clustering, data, metrics, models, objectives, regions
from ravl_explore.data.demo import SIDE
from ravl_explore.measures import numbers

CFT = objectives.ConceptGuided()
OBJECTIVES = (
    ("CFT", CFT, CFT.usual_learning_rate),
    ("Counterfactual regions + CFT", objectives.CounterfactualRegions(loss=CFT), 1e-4),  # higher costs no accuracy here
)
MEASURED = 400  # images with a square, for alignment


class Quadrants:
    """The garment's quadrant promoted, the square's suppressed, as the demo's annotation says."""

    name, notes = "annotated quadrants", ()

    def __init__(self, images: data.Demo) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __call__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        shown = np.asarray(self._images.region_labels)[4 * index : 4 * index + 4] >= 0
        square = np.asarray(self._images.region_feature)[4 * index : 4 * index + 4]
        promote, suppress = (np.kron(each.reshape(2, 2), np.ones((SIDE, SIDE))) > 0 for each in (shown, square))
        return promote, suppress

    def fingerprint(self) -> str:
        return self._images.fingerprint()


def measure(model: Any, images: data.Demo, assignment: Any, name: str, seed: int | None, seconds: float) -> dict:
    evaluation = rx.evaluate(rx.zero_shot(rx.embed(model, images)), assignment)
    values = numbers(evaluation)
    shown = np.flatnonzero(np.asarray(images.feature_present))[:MEASURED]
    for classes in ("prediction", "label"):
        found = rx.relevance_maps(model, images, shown, classes).align(Quadrants(images))
        values |= {f"{classes} mIoU": 100 * found.miou, f"{classes} pixel accuracy": 100 * found.pixel_accuracy}
        values[f"{classes} relevance on the garment"] = 100 * found.share
    return {"method": name, "seed": seed, "seconds": seconds, **values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--split", default="test", choices=["val", "test"])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("concept_guided.json"))
    arguments = parser.parse_args()

    model, clean = models.Demo("vit-spurious"), models.Demo("vit-clean")
    val, train, images = data.Demo("val"), data.Demo("train"), data.Demo(arguments.split)
    embeddings = rx.embed(model, val, regions.Grid(2, 2))
    clusters = clustering.KMedoids(clustering.default_sweep(10), seed=0)(embeddings.region)
    discovery = rx.discover(rx.zero_shot(embeddings), clusters)
    squares = np.asarray(val.region_feature)  # in place of someone who looks at the crops
    ticked = [each for each in discovery.features if metrics.precision_at_k(each.region_index, squares) == 1]
    feature = discovery.choose(*ticked)
    marked, assignment = (rx.assign(rx.embed(model, shown), feature) for shown in (train, images))
    rows: list[dict] = []

    def keep(row: dict) -> None:
        rows.append(row)
        arguments.out.write_text(json.dumps(rows, indent=1))
        print({key: round(value, 1) if isinstance(value, float) else value for key, value in row.items()}, flush=True)

    keep(measure(clean, images, assignment, "clean model, for reference", None, 0.0))
    keep(measure(model, images, assignment, "spurious model, before", None, 0.0))
    for name, objective, learning_rate in OBJECTIVES:
        for seed in arguments.seeds:
            started = time.monotonic()
            new = rx.mitigate(
                model, train, marked, objective, seed=seed, epochs=arguments.epochs, learning_rate=learning_rate
            )
            keep(measure(new.model, images, assignment, name, seed, time.monotonic() - started))


if __name__ == "__main__":
    main()
