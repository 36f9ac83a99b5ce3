"""What RaVL's step costs beside a standard one: ``python tests/benchmarks/training_step.py``

Steps of both objectives turn about in one process, on the demo's images of 128 pixels in batches of 128 with the four
quadrants as regions, so that both see the same load of the machine; the ratio of the medians is what counts. Beside
the whole step, reading the batch is timed alone, since both do it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch

from ravl_explore import data, models, objectives
from ravl_explore.assignment.assignment import Assignment
from ravl_explore.mitigation import prepare
from ravl_explore.training import Steps, TrainingSettings, train

RESULTS = Path(__file__).parent / "results" / "training_step.json"
OBJECTIVES = {"standard": objectives.Standard(), "region-aware": objectives.RegionAware()}
MODELS = {"ResNet": "spurious", "ViT": "vit-spurious"}
LIMIT = 1.6


def steps_of(checkpoint: str, objective: objectives.Objective, settings: TrainingSettings) -> Steps:
    """Training of a copy of the demo model; a quarter of the regions counts as spurious."""
    model, images = models.Demo(checkpoint), data.Demo("train")
    assert images.regions is not None
    rng = np.random.default_rng(0)
    spurious = rng.random(len(images.regions)) < 0.25
    present = np.zeros(len(images), bool)
    present[images.regions.image_index[spurious]] = True
    assignment = Assignment(images.regions, spurious, ~spurious & False, present, None)
    return train(model.copy(), prepare(model, images, assignment), objective, settings)


def timed(steps: Steps) -> float:
    started = time.perf_counter()
    next(steps)
    return time.perf_counter() - started


def measure(checkpoint: str, settings: TrainingSettings, n_steps: int) -> dict:
    """Seconds of each step, by objective."""
    runs = {name: steps_of(checkpoint, objective, settings) for name, objective in OBJECTIVES.items()}
    for steps in runs.values():  # warms up
        next(steps)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(n_steps):
        for name, steps in runs.items():
            seconds[name].append(timed(steps))
    for steps in runs.values():
        steps.close()
    medians = {name: float(np.median(each)) for name, each in seconds.items()}
    return {"medians": medians, "ratio": medians["region-aware"] / medians["standard"], "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--steps", type=int, default=15, help="timed of each objective")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = TrainingSettings(epochs=100, batch_size=arguments.batch)
    rows = {}
    for name in arguments.models:
        rows[name] = measure(MODELS[name], settings, arguments.steps)
        medians = rows[name]["medians"]
        told = ", ".join(f"{each} {seconds:.3f} s" for each, seconds in medians.items())
        print(f"{name}: {told}, ratio {rows[name]['ratio']:.2f} (limit {LIMIT})", flush=True)
    machine = {"cpus": os.cpu_count(), "load": os.getloadavg(), "platform": platform.platform()}
    about = {"steps": arguments.steps, "batch": arguments.batch, "threads": arguments.threads}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    content = {"rows": rows, "settings": about | {"torch": torch.__version__}, "machine": machine}
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
