"""Counterfactual regions on several planted shortcuts: ``python tests/benchmarks/counterfactual.py``

Each scene ties the red square to one class, at some strength, in the demo's garments; the clean ViT demo is fine-tuned
on it until it relies on the square. A scene counts when epsilon 1 and epsilon 2 on ``val`` are 10 points or more. Then
discovery runs on ``val``, the clusters whose regions are squares are suppressed together, as somebody would choose
them from the crops, and each objective is measured on ``test`` (or on ``val``, to choose settings). FashionMNIST's
raw files (``--raw``; Debian's ``dataset-fashion-mnist``) are needed for all scenes but the demo's own. An
interrupted run keeps what it has in ``--out`` and goes on from there.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import ravl_explore as rx
from ravl_explore import clustering, data, models, objectives, regions
from ravl_explore.data.arrays import ArrayDataset
from ravl_explore.data.demo import CAPTIONS, CLASS_NAMES, TEMPLATES, compose
from ravl_explore.measures import EPSILONS, GAP, MEASURES, numbers
from ravl_explore.synthetic.demo import fine_tune
from ravl_explore.synthetic.demo_pretraining import RECIPES
from ravl_explore.synthetic.demo_splits import DEBIAN, N_PRETRAIN, PER_CLASS, SEEDS, correlated, read_raw

SCENES = {"shirt 98%": None, "shirt 90%": ("shirt", 0.9), "sneaker 98%": ("sneaker", 0.98), "coat 95%": ("coat", 0.95)}
RAVL = objectives.RegionAware()
OBJECTIVES: dict[str, Any] = {
    "upsampled": objectives.Upsampled(),
    "RaVL": RAVL,
    "counterfactual": objectives.CounterfactualRegions(),
    "counterfactual + RaVL": objectives.CounterfactualRegions(loss=RAVL),
}
DEFAULT = ["upsampled", "counterfactual", "counterfactual + RaVL"]
MEASURED = [each for each in MEASURES if each is not GAP]
VALID = 10  # points of epsilon 1 and 2 from which on a model relies on the square


def scene_data(split: dict[str, np.ndarray], name: str) -> ArrayDataset:
    """A split as the demo lays it out."""
    labels, quadrant, square = (split[each].astype(np.int64) for each in ("labels", "quadrant", "square"))
    corners = np.arange(4)[None]
    scene = ArrayDataset(
        compose(split["garments"], quadrant, square),
        labels,
        CLASS_NAMES,
        name=name,
        templates=TEMPLATES,
        captions=[CAPTIONS[c].format(CLASS_NAMES[y]) for c, y in zip(split["caption"], labels, strict=True)],
        feature_name="red square",
        feature_present=square >= 0,
        region_labels=np.where(corners == quadrant[:, None], labels[:, None], -1).ravel(),
        region_feature=(corners == square[:, None]).ravel(),
    )
    scene.regions = regions.Grid(2, 2)(scene)
    return scene


def build(name: str, raw: Path) -> tuple[Any, Any]:
    """(spurious model, fine-tuning data) of a scene."""
    setting = SCENES[name]
    if setting is None:
        return models.Demo("vit-spurious"), data.Demo("train")
    class_name, strength = setting
    images, labels = (part[N_PRETRAIN:] for part in read_raw(raw)["train"])
    rng = np.random.default_rng(SEEDS["train"])
    split = correlated(images, labels, CLASS_NAMES.index(class_name), PER_CLASS["train"], strength, rng)
    train = scene_data(split, f"garments, {name}")
    return fine_tune(models.Demo("vit-clean"), RECIPES["vit"].fine_tuning, train), train


def measures(model: Any, on: Any, assignment: rx.Assignment, class_name: str) -> dict[str, float]:
    evaluation = rx.evaluate(rx.zero_shot(rx.embed(model, on)), assignment)
    found = numbers(evaluation)
    for measure, share in zip(EPSILONS, evaluation.shortcut(class_name), strict=True):
        found[measure.key] = measure.scale * share
    return {each.key: round(float(found[each.key]), 2) for each in MEASURED}


def markdown(rows: list[dict]) -> str:
    """Mean ± standard deviation over seeds."""
    lines = [
        "| scene | fine-tuning | " + " | ".join(each.short for each in MEASURED) + " |",
        "|---" * (2 + len(MEASURED)) + "|",
    ]
    for (scene, method), group in pd.DataFrame(rows).groupby(["scene", "method"], sort=False):
        cells = []
        for measure in MEASURED:
            values, digits = group[measure.key], measure.digits
            spread = f" ± {values.std():.{digits}f}" if len(group) > 1 else ""
            cells.append(f"{values.mean():.{digits}f}{spread}")
        lines.append(f"| {scene} | {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", nargs="+", default=list(SCENES), choices=list(SCENES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--objectives", nargs="+", default=DEFAULT, choices=list(OBJECTIVES))
    parser.add_argument("--split", default="test", choices=["val", "test"])
    parser.add_argument("--raw", type=Path, default=DEBIAN)
    parser.add_argument("--out", type=Path, default=Path("counterfactual.json"))
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)  # else a step takes about three times as long
    stored = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {"scenes": {}, "rows": []}
    rows = stored["rows"]
    val, on = data.Demo("val"), data.Demo(arguments.split)

    def keep(each: dict) -> None:
        rows.append(each)
        arguments.out.write_text(json.dumps(stored, indent=1, ensure_ascii=False))
        print(each, flush=True)

    for scene in arguments.scenes:
        class_name = scene.split()[0]
        wanted = [("clean", None), ("spurious", None)]
        wanted += [(name, seed) for seed in arguments.seeds for name in arguments.objectives]
        done = {(each["method"], each["seed"]) for each in rows if each["scene"] == scene}
        if not set(wanted) - done or not stored["scenes"].get(scene, {}).get("valid", True):
            continue
        model, train = build(scene, arguments.raw)
        embeddings = rx.embed(model, val, regions.Grid(2, 2))
        clusters = clustering.KMedoids(clustering.default_sweep(10), seed=0)(embeddings.region)
        discovery = rx.discover(rx.zero_shot(embeddings), clusters)
        assert val.region_feature is not None
        squares = [each for each in discovery.clusters if val.region_feature[each.region_index].mean() > 0.9]
        epsilons = [100 * each for each in rx.evaluate(discovery.scores).shortcut(class_name)]
        valid = min(epsilons) >= VALID and bool(squares)
        stored["scenes"][scene] = {
            "ε1 on val": round(epsilons[0], 2),
            "ε2 on val": round(epsilons[1], 2),
            "valid": valid,
            "clusters": clusters.n_clusters,
            "of squares": [each.cluster for each in squares],
            "best is of squares": discovery.best in squares,
            "names": discovery.best.attribute,
        }
        print(scene, stored["scenes"][scene], flush=True)
        arguments.out.write_text(json.dumps(stored, indent=1, ensure_ascii=False))
        if not valid:
            continue
        feature = discovery.choose(*squares)
        found, training = (rx.assign(rx.embed(model, shown), feature) for shown in (on, train))
        for name, seed in wanted:
            if (name, seed) in done:
                continue
            started = time.monotonic()
            if seed is None:
                new = models.Demo("vit-clean") if name == "clean" else model
            else:
                new = rx.mitigate(model, train, training, OBJECTIVES[name], seed=seed).model
            seconds = round(time.monotonic() - started, 1)
            keep(
                {
                    "scene": scene,
                    "method": name,
                    "seed": seed,
                    "seconds": seconds,
                    **measures(new, on, found, class_name),
                }
            )
    print(markdown(rows))


if __name__ == "__main__":
    main()
