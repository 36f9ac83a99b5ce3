"""Benchmark of the way from embeddings on disk to ranked clusters, for ten thousand to a million regions.

    OMP_NUM_THREADS=2 python tests/benchmarks/scale.py [--n 10000 100000 1000000] [--dtype float32] [--k 794]

Each size runs in a process of its own: embeddings are made block by block into a temporary folder (not timed), then
memory-mapped, checked, clustered by CLARA (k = 20..49 for 10 classes, or one ``--k``), scored and ranked. A shortcut is
planted: one kind of region draws images of the other classes to the first class. Seconds per stage (and, for a machine
that is busy with other work, processor seconds), the peak of the
process's resident memory (which counts pages of the mapped file that happen to be in memory) and of its anonymous
memory (which does not), and whether the planted shortcut is ranked first go to ``--out``. Bars, for a million regions
of 512 dimensions on two cores: 6 GiB and 15 minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(__file__).parent / "results" / "scale.json"
DIM, N_CLASSES, N_KINDS = 512, 10, 40
SHORTCUT = N_CLASSES  # kinds 0 to 9 are the classes' own objects, 10 is the shortcut, the others are background
MOST_BYTES, MOST_SECONDS = 6 * 2**30, 15 * 60
STAGES = ("check", "cluster", "score", "rank")
IMAGES_AT_ONCE = 2000


def main() -> None:
    """Run all sizes, or, with ``--role``, one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="regions")
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32", help="of the files")
    parser.add_argument("--k", type=int, help="one number of clusters instead of the sweep")
    parser.add_argument("--clusterer", choices=("clara", "kmedoids"), default="clara")
    parser.add_argument("--folder", type=Path, help="where the temporary files go")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON file; other settings in it are kept")
    parser.add_argument("--role", choices=("make", "run"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role == "make":
        make(args.folder, args.n[0], args.dtype)
    elif args.role == "run":
        print(json.dumps(run(args.folder, args.clusterer, args.k)))
    else:
        _run_all(args)


def make(folder: Path, n_regions: int, dtype: str) -> None:
    """Write embeddings of ``n_regions`` regions in images of 4 to 10, block by block."""
    rng = np.random.default_rng(0)
    counts = rng.integers(4, 11, size=n_regions // 4)
    counts = counts[: np.searchsorted(np.cumsum(counts), n_regions - 10)]
    left = n_regions - counts.sum()  # 11 to 20
    counts = np.append(counts, [left // 2, left - left // 2])
    text = _unit(rng.normal(size=(N_CLASSES, DIM)))
    centres = _unit(rng.normal(size=(N_KINDS, DIM)))
    centres[:N_CLASSES] = _unit(centres[:N_CLASSES] + 0.6 * text)
    centres[SHORTCUT] = _unit(centres[SHORTCUT] + text[0])
    spread = rng.uniform(0.5, 1.0, size=N_KINDS)
    labels = rng.integers(N_CLASSES, size=len(counts))
    has = rng.random(len(counts)) < np.where(labels == 0, 0.9, 0.1)
    region = np.lib.format.open_memmap(folder / "region.npy", "w+", dtype, (n_regions, DIM))
    image = np.lib.format.open_memmap(folder / "image.npy", "w+", dtype, (len(counts), DIM))
    kinds = np.empty(n_regions, np.int64)
    starts = np.append(0, np.cumsum(counts))
    for first in range(0, len(counts), IMAGES_AT_ONCE):
        last = min(first + IMAGES_AT_ONCE, len(counts))
        rows = slice(starts[first], starts[last])
        begin = starts[first:last] - starts[first]
        kind = rng.integers(SHORTCUT + 1, N_KINDS, size=starts[last] - starts[first])
        mixed_up = rng.random(last - first) < 0.1  # else no image of a class is without its object
        kind[begin] = np.where(mixed_up, rng.integers(N_CLASSES, size=last - first), labels[first:last])
        kind[begin[has[first:last]] + 1] = SHORTCUT
        noise = rng.standard_normal((len(kind), DIM), dtype=np.float32) / np.sqrt(DIM)
        z = _unit(centres[kind] + spread[kind, None] * noise)
        weight = np.where(kind == SHORTCUT, 3.0, 1.0)[:, None]
        region[rows], kinds[rows] = z, kind
        image[first:last] = _unit(np.add.reduceat(weight * z, begin, axis=0))
    region.flush()
    image.flush()
    np.savez(folder / "rest.npz", text=text.astype(np.float32), labels=labels, kinds=kinds, counts=counts)


def run(folder: Path, clusterer: str, k: int | None) -> dict:
    """Seconds of each stage, peak memory, and where the shortcut is ranked."""
    sys.path.insert(0, str(ROOT))
    from ravl_explore import discover, zero_shot
    from ravl_explore.clustering import Clara, KMedoids, default_sweep
    from ravl_explore.embedding.embeddings import Embeddings
    from ravl_explore.regions.base import Regions

    numbers = default_sweep(N_CLASSES) if k is None else k
    part = {"clara": Clara, "kmedoids": KMedoids}[clusterer](numbers, seed=0)
    warm = _unit(np.random.default_rng(0).normal(size=(2500, 8)))
    type(part)([2, 3])(warm)  # compiles, or reads what was compiled
    rest = np.load(folder / "rest.npz", allow_pickle=False)
    region = np.load(folder / "region.npy", mmap_mode="r")
    image = np.load(folder / "image.npy", mmap_mode="r")
    counts, kinds = rest["counts"], rest["kinds"]
    boxes = np.tile(np.array([0, 0, 8, 8], np.float32), (len(region), 1))
    regions = Regions(boxes, np.repeat(np.arange(len(counts)), counts))
    names = tuple(f"class {y}" for y in range(N_CLASSES))
    seconds: dict[str, float] = {}
    cpu_seconds: dict[str, float] = {}
    longest, last = 0.0, time.perf_counter()

    def progress(_done: int, _total: int, _stage: str) -> None:
        nonlocal longest, last
        now = time.perf_counter()
        longest, last = max(longest, now - last), now

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        nonlocal last
        start, cpu_start = time.perf_counter(), time.process_time()
        last = start
        yield
        seconds[stage], cpu_seconds[stage] = time.perf_counter() - start, time.process_time() - cpu_start

    with _Memory() as memory:
        with timed("check"):
            embeddings = Embeddings(image, region, rest["text"], regions, rest["labels"], names)
        with timed("cluster"):
            clustering = part(embeddings.region, progress)
        with timed("score"):
            scores = zero_shot(embeddings)
        with timed("rank"):
            discovery = discover(scores, clustering)
    planted = kinds == SHORTCUT
    share = [float(planted[each.region_index].mean()) for each in discovery.clusters]
    mostly = [rank for rank, each in enumerate(share) if each > 0.5]  # many clusters split the shortcut among them
    first = mostly[0] if mostly else int(np.argmax(share))
    return {
        "n_regions": len(region),
        "n_images": len(image),
        "dim": DIM,
        "dtype": str(region.dtype),
        "clusterer": repr(part) if k is not None else f"{type(part).__name__}(range(20, 50))",
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "total_seconds": sum(seconds.values()),
        "total_cpu_seconds": sum(cpu_seconds.values()),
        "longest_wait_for_cancel": longest,
        "peak_resident_bytes": memory.resident,
        "peak_anonymous_bytes": memory.anonymous,
        "n_clusters": clustering.n_clusters,
        "loss_per_region": clustering.loss / len(region),
        "silhouette": clustering.silhouette,
        "accuracy": scores.accuracy,
        "n_kept": len(discovery.features),
        "shortcut_rank": first + 1,
        "shortcut_share_of_that_cluster": share[first],
        "shortcut_regions_in_that_cluster": float(
            planted[discovery.clusters[first].region_index].sum() / planted.sum()
        ),
    }


class _Memory:
    """Peak memory of this process meanwhile; anonymous memory is looked at ten times a second (Linux only)."""

    resident, anonymous = 0, 0

    def __enter__(self) -> _Memory:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        unit = 1 if sys.platform == "darwin" else 1024
        self.resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def _watch(self) -> None:
        status = Path("/proc/self/status")
        while status.exists() and not self._stop.wait(0.1):
            for line in status.read_text().splitlines():
                if line.startswith("RssAnon:"):
                    self.anonymous = max(self.anonymous, 1024 * int(line.split()[1]))


def _run_all(args: argparse.Namespace) -> None:
    results = []
    for n_regions in args.n:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            common = [sys.executable, __file__, "--folder", folder, "--n", str(n_regions), "--dtype", args.dtype]
            subprocess.run([*common, "--role", "make"], check=True)
            chosen = ["--role", "run", "--clusterer", args.clusterer, *(["--k", str(args.k)] if args.k else [])]
            ran = subprocess.run([*common, *chosen], check=True, stdout=subprocess.PIPE, text=True)
        results.append(json.loads(ran.stdout.splitlines()[-1]) | {"load": os.getloadavg()[0]})
        print(_line(results[-1]), flush=True)
    print("\n" + _table(results))
    _write(args, results)


def _line(r: dict) -> str:
    stages = ", ".join(f"{stage} {r['seconds'][stage]:.1f} ({r['cpu_seconds'][stage]:.1f}) s" for stage in STAGES)
    memory = f"{r['peak_resident_bytes'] / 2**30:.2f} GiB ({r['peak_anonymous_bytes'] / 2**30:.2f} anonymous)"
    found = f"shortcut ranked {r['shortcut_rank']}, {r['n_clusters']} clusters"
    return f"{r['n_regions']:>9,} regions: {stages}; {memory}; {found}; load {r['load']:.1f}"


def _table(results: list[dict]) -> str:
    """Seconds by stage, and how they grow from the first size to the last."""
    grown = results[-1]["n_regions"] / results[0]["n_regions"]
    lines = ["seconds (processor seconds over all cores)"]
    lines.append(
        f"{'':10}"
        + "".join(f"{r['n_regions']:>18,}" for r in results)
        + f"   growth of processor seconds (regions: x {grown:g})"
    )
    for stage in (*STAGES, "total"):
        took = [r["total_seconds"] if stage == "total" else r["seconds"][stage] for r in results]
        cpu = [r["total_cpu_seconds"] if stage == "total" else r["cpu_seconds"][stage] for r in results]
        row = "".join(f"{t:>9.2f}{f'({c:.2f})':>9}" for t, c in zip(took, cpu, strict=True))
        lines.append(f"{stage:10}{row}   x {cpu[-1] / max(cpu[0], 1e-9):.1f}")
    memory = [r["peak_resident_bytes"] / 2**30 for r in results]
    lines.append(f"{'peak GiB':10}" + "".join(f"{m:>18.2f}" for m in memory) + f"   x {memory[-1] / memory[0]:.1f}")
    last = results[-1]
    within = last["total_seconds"] <= MOST_SECONDS and last["peak_resident_bytes"] <= MOST_BYTES
    lines.append(f"bars (15 minutes, 6 GiB): {'met' if within else 'MISSED'}")
    return "\n".join(lines)


def _write(args: argparse.Namespace, results: list[dict]) -> None:
    """Put the results under the name of their settings, beside those that are there."""
    name = f"{args.clusterer} {args.dtype} " + ("k 20..49" if args.k is None else f"k {args.k}")
    found = json.loads(args.out.read_text()) if args.out.exists() else {}
    found[name] = {
        "results": results,
        "machine": {
            "cpus": os.cpu_count(),
            "blas_threads": os.environ.get("OMP_NUM_THREADS", "all"),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "platform": platform.platform(),
        },
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"written to {args.out}")


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


if __name__ == "__main__":
    main()
