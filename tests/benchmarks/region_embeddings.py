"""Every way of embedding regions on both demo models: ``python tests/benchmarks/region_embeddings.py``

Regions are the four quadrants of the 1,000 images of ``val``. Times are of embedding images and regions, all methods
turn about in one process, the median of ``--repeats``; discovery runs once per seed of the clusterer. Columns:

- core regions: accuracy of regions that show a garment, zero-shot, before and after the model learned the shortcut;
- P@10: share of the top cluster's ten regions nearest to its medoid that are red squares;
- attribute: in how many runs the top cluster pulls towards the class that the square was tied to;
- k, silhouette: of the chosen clustering. A high silhouette alone does not mean that the square is found.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import ravl_explore as rx
from ravl_explore import clustering, data, metrics, models, regions

METHODS = {"": ("roi", "crop"), "vit-": ("dense_value", "tokens", "masked_cls", "crop")}
TITLES = {"": "ResNet", "vit-": "ViT"}
SPURIOUS_CLASS = "shirt"
RESULTS = Path(__file__).parent / "results" / "region_embeddings.json"
Way = tuple[str, str]  # prefix of the checkpoints, region method


def core_accuracy(embeddings: rx.Embeddings, val: data.Demo) -> float:
    """Zero-shot accuracy of the regions that show a garment, 0 to 100."""
    assert val.region_labels is not None
    shows = val.region_labels >= 0
    scores = embeddings.region[shows] @ embeddings.text.T
    return 100 * float((scores.argmax(1) == val.region_labels[shows]).mean())


def search(embeddings: rx.Embeddings, val: data.Demo, sweep: range, seed: int) -> dict:
    """One discovery: what its best cluster is, and how good the clustering."""
    assert val.region_feature is not None
    clusters = clustering.KMedoids(sweep, seed=seed)(embeddings.region)
    discovery = rx.discover(rx.zero_shot(embeddings), clusters)
    best = discovery.best
    found = {"seed": seed, "n_clusters": clusters.n_clusters, "silhouette": clusters.silhouette}
    if best is None:
        return found | {"precision": 0.0, "attribute": None, "gap": 0.0, "influence": 0.0}
    return found | {
        "precision": metrics.precision_at_k(best.region_index, val.region_feature),
        "attribute": best.attribute,
        "gap": best.performance_gap,
        "influence": best.influence,
    }


def spread(values: list[float], form: str) -> str:
    """Mean and, where they differ, the range."""
    low, high, mean = (format(each, form) for each in (min(values), max(values), np.mean(values)))
    return mean if low == high else f"{mean} ({low} to {high})"


def markdown(rows: list[dict]) -> str:
    """The table of the docs."""
    lines = [
        "| tower | method | seconds | core regions, clean | core regions, spurious "
        "| P@10 | attribute | k | silhouette |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        runs = pd.DataFrame(row["searches"])
        cells = [
            TITLES[row["checkpoint"].removesuffix("spurious")],
            f"`{row['method']}`",
            f"{row['median_seconds']:.1f}",
            f"{row['core_accuracy_clean']:.1f}",
            f"{row['core_accuracy']:.1f}",
            spread(list(runs["precision"]), ".2f"),
            f"{(runs['attribute'] == SPURIOUS_CLASS).sum()} of {len(runs)}",
            spread(list(runs["n_clusters"]), ".0f"),
            spread(list(runs["silhouette"]), ".3f"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="embeddings timed of each method")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the clusterer")
    parser.add_argument("--k", type=int, nargs=2, default=(20, 50), metavar=("FIRST", "END"), help="END is excluded")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    val, grid = data.Demo("val"), regions.Grid(2, 2)

    def embedded(way: Way, checkpoint: str = "spurious") -> rx.Embeddings:
        return rx.embed(models.Demo(way[0] + checkpoint, region_method=way[1]), val, grid)

    ways = [(prefix, method) for prefix, methods in METHODS.items() for method in methods]
    seconds: dict[Way, list[float]] = {way: [] for way in ways}
    embeddings = {way: embedded(way) for way in ways}  # also warms up
    for _ in range(arguments.repeats):
        for way in ways:
            model = models.Demo(f"{way[0]}spurious", region_method=way[1])
            started = time.perf_counter()
            rx.embed(model, val, grid)
            seconds[way].append(time.perf_counter() - started)

    rows = []
    for way in ways:
        rows.append(
            {
                "checkpoint": f"{way[0]}spurious",
                "method": way[1],
                "median_seconds": float(np.median(seconds[way])),
                "seconds": seconds[way],
                "core_accuracy": core_accuracy(embeddings[way], val),
                "core_accuracy_clean": core_accuracy(embedded(way, "clean"), val),
                "searches": [search(embeddings[way], val, range(*arguments.k), seed) for seed in arguments.seeds],
            }
        )
        print(markdown(rows[-1:]).splitlines()[-1], flush=True)
    machine = {"cpus": os.cpu_count(), "load": os.getloadavg(), "platform": platform.platform()}
    settings = {"k": list(arguments.k), "threads": arguments.threads, "torch": torch.__version__}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"rows": rows, "settings": settings, "machine": machine}, indent=1) + "\n")
    print(f"\n{markdown(rows)}\n\nload {machine['load'][0]:.1f}, written to {arguments.out}")


if __name__ == "__main__":
    main()
