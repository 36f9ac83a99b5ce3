"""What waiting threads cost, on a busy and on a quiet machine: ``python tests/benchmarks/waiting_threads.py``

A short fine-tuning of the demo with one thread and with two, whose waiting ones spin (OpenMP's usual way) or sleep (the
package's), beside as many processes that only count as there are cores, and alone. The ways take turns, so that what
else the machine does meets all of them; the table gives the best of each, as ratios to one thread.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

WORK = """
import sys, time
import numpy as np, torch  # before the package, so that the environment alone decides
torch.set_num_threads(int(sys.argv[1]))
torch.set_flush_denormal(True)
import ravl_explore as rx
from ravl_explore import clustering, data, models, objectives
from ravl_explore.training import TrainingSettings
model, val = models.Demo("spurious"), data.Subset(data.Demo("val"), np.arange(40))
train = data.Subset(data.Demo("train"), np.arange(int(sys.argv[2])))
embeddings = rx.embed(model, val)
clusters = clustering.KMedoids(5, seed=0)(embeddings.region)
discovery = rx.discover(rx.zero_shot(embeddings), clusters, min_influence=0)
feature, settings = discovery.choose(discovery.clusters[0]), TrainingSettings(epochs=4, batch_size=int(sys.argv[3]))
started = time.perf_counter()
rx.mitigate(model, train, feature, objectives.Standard(), settings=settings)
print(time.perf_counter() - started)
"""
WAYS = {"1 thread": ("1", "passive"), "2 threads, spinning": ("2", ""), "2 threads, asleep": ("2", "passive")}
SIZES = {"batches of 16": ("64", "16"), "batches of 128": ("256", "128")}
LIMIT = 300  # seconds after which a run is given up


@contextmanager
def counting(n: int) -> Iterator[None]:
    """``n`` processes that keep a core busy."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


def seconds(way: str, size: str) -> float:
    n_threads, policy = WAYS[way]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_WAIT_POLICY": policy} if policy else {}
    command = [sys.executable, "-c", WORK, n_threads, *SIZES[size]]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=True)
    except subprocess.TimeoutExpired:
        return float("inf")
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    for size in SIZES:
        for beside in (os.cpu_count() or 1, 0):
            with counting(beside):
                taken = {way: [] for way in WAYS}
                for _ in range(rounds):
                    for way in WAYS:
                        taken[way].append(seconds(way, size))
            best = {way: min(each) for way, each in taken.items()}
            ratios = ", ".join(f"{way} {best[way] / best['1 thread']:.2f}" for way in WAYS)
            alone = best["1 thread"]
            print(f"{size}, beside {beside} counting processes: {ratios} (1 thread: {alone:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
