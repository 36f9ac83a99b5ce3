"""Every objective on the demo, several seeds: the README's table. ``python tests/benchmarks/mitigation.py``

Discovery runs on ``val``; the models are fine-tuned on ``train`` and measured on ``test`` (or on ``val``, to choose
settings, with ``--split val``). Needs about 25 minutes on two CPU cores for three seeds; an interrupted run keeps what
it has in ``--out`` and goes on from there.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import pandas as pd

import ravl_explore as rx
from ravl_explore import clustering, data, metrics, models, objectives, regions
from ravl_explore.comparison import compare

OBJECTIVES = {
    "standard": objectives.Standard(),
    "upsampled": objectives.Upsampled(),
    "ravl": objectives.RegionAware(),
    "ravl-sum": objectives.RegionAware(reduction="sum"),
    "counterfactual": objectives.CounterfactualRegions(),
}
TITLES = {
    "standard": "standard",
    "upsampled": "upsampled",
    "ravl": "RaVL, region-aware",
    "ravl-sum": "RaVL, summed over the batch as printed",
    "counterfactual": "**counterfactual regions**",
}
MEASURES = [
    "image accuracy",
    "image worst group",
    "region accuracy",
    "region worst group",
    "shortcut ε1",
    "shortcut ε2",
]
DEFAULT = ["standard", "upsampled", "ravl", "counterfactual"]


def row(name: str, seed: int | None, seconds: float, evaluation: rx.Evaluation) -> dict:
    table = compare(evaluation, evaluation).frame()
    values = {f"{r.level} {r.measure}": r.before for r in table.itertuples()}
    return {"method": name, "seed": seed, "seconds": seconds, **values}


def markdown(rows: list[dict]) -> str:
    """README's table: mean ± standard deviation over seeds."""
    frame = pd.DataFrame(rows)
    lines = [
        "| fine-tuning | images | images, worst group | regions | regions, worst group | ε1 | ε2 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, group in frame.groupby("method", sort=False):
        cells = []
        for measure in MEASURES:
            mean, spread = group[measure].mean(), group[measure].std()
            cells.append(f"{mean:.1f}" + (f" ± {spread:.1f}" if len(group) > 1 else ""))
        lines.append(f"| {TITLES.get(str(name), name)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--objectives", nargs="+", default=DEFAULT, choices=list(OBJECTIVES))
    parser.add_argument("--split", default="test", choices=["val", "test"])
    parser.add_argument("--out", type=Path, default=Path("mitigation.json"))
    arguments = parser.parse_args()
    rows = json.loads(arguments.out.read_text()) if arguments.out.is_file() else []
    done = {(each["method"], each["seed"]) for each in rows}

    model, val, train, test = models.Demo(), data.Demo("val"), data.Demo("train"), data.Demo(arguments.split)
    embeddings = rx.embed(model, val, regions.Grid(2, 2))
    clusters = clustering.KMedoids(clustering.default_sweep(10), seed=0)(embeddings.region)
    discovery = rx.discover(rx.zero_shot(embeddings), clusters)
    best = discovery.best
    precision = metrics.precision_at_k(best.region_index, val.region_feature)
    print(f"discovery: cluster {best.cluster} of {clusters.n_clusters}, {best.attribute}, Precision@10 {precision:.2f}")
    assignment = rx.assign(model, test, [best])

    def keep(each: dict) -> None:
        rows.append(each)
        arguments.out.write_text(json.dumps(rows, indent=1))
        print({key: round(value, 2) if isinstance(value, float) else value for key, value in each.items()}, flush=True)

    for name, start in (("clean, before fine-tuning", models.Demo("clean")), ("spurious, where all start", model)):
        if (name, None) not in done:
            keep(row(name, None, 0.0, rx.evaluate(start, test, assignment=assignment)))
    for seed in arguments.seeds:
        for name in arguments.objectives:
            if (name, seed) in done:
                continue
            started = time.monotonic()
            objective = OBJECTIVES[name]
            new = rx.mitigate(model, train, discovery.features[:1], objective=objective, seed=seed)
            seconds = time.monotonic() - started
            keep(row(name, seed, seconds, rx.evaluate(new.model, test, assignment=assignment)))

    print(markdown(rows))


if __name__ == "__main__":
    main()
