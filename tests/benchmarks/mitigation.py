"""Every objective on a demo, several seeds: the README's tables. ``python tests/benchmarks/mitigation.py --model vit``

Discovery runs on ``val``; the models are fine-tuned on ``train`` and measured on ``test`` (or on ``val``, to choose
settings, with ``--split val``). A run is written to the folder ``--out`` as soon as it ends, and an interrupted grid
goes on from there; ``rows.json`` in it is the table. A run takes about two minutes on two quiet CPU cores, with RaVL's
loss four. One process at a time: two take longer than one after the other.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import ravl_explore as rx
from ravl_explore import clustering, data, metrics, models, regions
from ravl_explore.experiments.grid import every_objective
from ravl_explore.measures import MEASURES, numbers
from ravl_explore.objectives import RegionAware

MODELS = {"demo": ("spurious", "clean"), "vit": ("vit-spurious", "vit-clean")}
EXTRA = {"RaVL, summed over the batch as printed": RegionAware(reduction="sum")}  # not in the menu


def row(method: str, seed: int | None, seconds: float, evaluation: rx.Evaluation) -> dict:
    """One line of the stored results."""
    return {"method": method, "seed": seed, "seconds": seconds, **numbers(evaluation)}


def rows_of(runs: rx.Runs, cleaned: rx.Evaluation) -> list[dict]:
    """The models that are compared with, then each run."""
    rows = [row("clean model, for reference", None, 0.0, cleaned)]
    rows += [row("spurious model, before", None, 0.0, runs.before)]
    return rows + [row(run.objective, run.seed, run.seconds, run.comparison.after) for run in runs]


def markdown(rows: list[dict]) -> str:
    """README's table: mean ± standard deviation over seeds."""
    lines = [
        "| fine-tuning | " + " | ".join(each.short for each in MEASURES) + " |",
        "|---" * (len(MEASURES) + 1) + "|",
    ]
    for method, group in pd.DataFrame(rows).groupby("method", sort=False):
        cells = []
        for measure in MEASURES:
            digits, mean, spread = measure.digits, group[measure.key].mean(), group[measure.key].std()
            cells.append(f"{mean:.{digits}f}" + (f" ± {spread:.{digits}f}" if len(group) > 1 else ""))
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    known = {**every_objective(), **EXTRA}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", choices=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--objectives", nargs="+", metavar="LABEL", help=f"the menu's unless given; of {list(known)}")
    parser.set_defaults(objectives=list(every_objective()))
    parser.add_argument("--split", default="test", choices=["val", "test"])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, help="each objective's usual one unless given")
    parser.add_argument("--threads", type=int, default=None, help="of the processor; PyTorch's own choice unless given")
    parser.add_argument("--out", type=Path, default=Path("mitigation-runs"), help="folder of the runs")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.objectives if name not in known]
    if unknown:
        parser.error(f"no objective {unknown}; there are {list(known)}")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)

    spurious, clean = (models.Demo(name) for name in MODELS[arguments.model])
    val, train, test = data.Demo("val"), data.Demo("train"), data.Demo(arguments.split)
    embeddings = rx.embed(spurious, val, regions.Grid(2, 2))
    clusters = clustering.KMedoids(clustering.default_sweep(10), seed=0)(embeddings.region)
    discovery = rx.discover(rx.zero_shot(embeddings), clusters)
    squares = np.asarray(val.region_feature)  # in place of someone who looks at the crops and ticks what shows a square
    ticked = [each for each in discovery.features if metrics.precision_at_k(each.region_index, squares) == 1]
    feature = discovery.choose(*ticked)
    print(f"discovery: of {clusters.n_clusters} clusters {list(feature.clusters)} are ticked")
    found = rx.assign(rx.embed(spurious, test), feature)
    cleaned = rx.evaluate(rx.zero_shot(rx.embed(clean, test)), found)

    started, told = time.monotonic(), ""

    def progress(done: int, total: int, stage: str) -> None:
        nonlocal told
        name = stage.split(": ")[0]
        if name != told:
            told = name
            print(f"{time.monotonic() - started:6.0f} s  {name}", file=sys.stderr, flush=True)

    def keep(runs: rx.Runs) -> None:
        (arguments.out / "rows.json").write_text(json.dumps(rows_of(runs, cleaned), indent=1))

    runs = rx.run_all(
        spurious,
        train,
        feature,
        test,
        objectives={name: known[name] for name in arguments.objectives},
        seeds=arguments.seeds,
        epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        folder=arguments.out,
        on_run=keep,
        progress=progress,
    )
    print(markdown(rows_of(runs, cleaned)), *runs.notes, sep="\n")


if __name__ == "__main__":
    main()
