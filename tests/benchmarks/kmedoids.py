"""Benchmark of KMedoids beside scikit-learn-extra's, run as RaVL's released code runs it, on the same embeddings.

    python tests/benchmarks/kmedoids.py [--n 4000] [--dim 128] [--embeddings file.npz]

Both cluster the same regions for k = 20..49 with a silhouette for each k, each in its own process, turn about. The
rival lives in a virtual environment with NumPy < 2 that the script makes in a cache folder. Times run from embeddings
to the chosen clustering; imports and Numba's compilation (on a small input first) are timed apart. Losses of both are
summed float64 cosine distances of each region to the nearest of the medoids.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
RIVAL_PACKAGES = ("numpy<2", "scipy", "scikit-learn<1.6", "scikit-learn-extra==0.3.0")
DEFAULT_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ravl_explore" / "benchmarks"


def main() -> None:
    """Run the benchmark, or, with ``--role``, one side of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=4000, help="regions (synthetic, or the first of --embeddings)")
    parser.add_argument("--dim", type=int, default=128, help="dimensions of synthetic embeddings")
    parser.add_argument("--embeddings", type=Path, help="npz file with an array 'region', or its first 2-D array")
    parser.add_argument("--data-seed", type=int, default=0, help="seed of synthetic embeddings")
    parser.add_argument("--k", type=int, nargs=2, default=(20, 50), metavar=("FIRST", "END"), help="END is excluded")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="where the environment and results go")
    parser.add_argument("--out", type=Path, help="JSON file to write (default: kmedoids.json in --cache)")
    parser.add_argument("--role", choices=("ours", "rival"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role:
        _run_role(args)
    else:
        _compare(args)


def synthetic_embeddings(n: int, dim: int, seed: int = 0, n_clusters: int = 30) -> np.ndarray:
    """Unit vectors like region embeddings: clusters of uneven size and spread, some overlapping, and 10% noise."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=dim)  # embeddings of one model sit in a cone
    centres = rng.normal(size=(n_clusters, dim))
    centres[1::3] = centres[0::3] + 0.6 * rng.normal(size=(len(centres[1::3]), dim))  # a third overlap with another
    sizes = rng.dirichlet(np.full(n_clusters, 2.0))
    label = rng.choice(n_clusters, size=n, p=sizes)
    spread = rng.uniform(0.4, 1.2, size=n_clusters)[label, None]
    z = 0.5 * shared + centres[label] + spread * rng.normal(size=(n, dim))
    noise = rng.random(n) < 0.1
    z[noise] = 0.5 * shared + rng.normal(size=(int(noise.sum()), dim))
    return (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32)


def _compare(args: argparse.Namespace) -> None:
    """Run both sides turn about, print the table and the ratio, write JSON."""
    args.cache.mkdir(parents=True, exist_ok=True)
    embeddings = (
        _load(args.embeddings, args.n) if args.embeddings else synthetic_embeddings(args.n, args.dim, args.data_seed)
    )
    file = args.cache / "embeddings.npy"
    np.save(file, embeddings, allow_pickle=False)
    shutil.rmtree(args.cache / "numba", ignore_errors=True)  # so that the first run shows what compiling costs
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(args.cache / "numba")}
    pythons = {"rival": _rival_python(args.cache), "ours": sys.executable}
    runs: dict[str, list[dict]] = {"rival": [], "ours": []}
    for i in range(args.repeats):
        for role in ("rival", "ours"):
            out = args.cache / f"{role}.json"
            command = [pythons[role], "-W", "ignore", __file__, "--role", role, "--embeddings", file, "--out", out]
            subprocess.run([*map(str, command), "--k", *map(str, args.k)], check=True, env=environment)
            runs[role].append(json.loads(out.read_text()))
            print(f"run {i + 1} {role:5}  {runs[role][-1]['seconds']:.3f} s", flush=True)

    z = embeddings.astype(np.float64)
    rows = []
    for rival, ours in zip(runs["rival"][0]["clusterings"], runs["ours"][0]["clusterings"], strict=True):
        losses = [float(np.clip(1 - z @ z[c["medoids"]].T, 0, 2).min(axis=1).sum()) for c in (rival, ours)]
        rows.append({"n_clusters": ours["n_clusters"], "rival_loss": losses[0], "ours_loss": losses[1]})
        rows[-1] |= {"rival_silhouette": rival["silhouette"], "ours_silhouette": ours["silhouette"]}
    print("\n  k   loss rival    loss ours   ours/rival   silhouette rival   ours")
    for r in rows:
        losses = f"{r['rival_loss']:10.3f}   {r['ours_loss']:10.3f}   {r['ours_loss'] / r['rival_loss']:10.4f}"
        print(f"{r['n_clusters']:3}   {losses}   {r['rival_silhouette']:16.4f}   {r['ours_silhouette']:.4f}")
    seconds = {role: float(np.median([run["seconds"] for run in runs[role]])) for role in runs}
    result = {
        "n_regions": len(z),
        "dim": z.shape[1],
        "median_seconds": seconds,
        "ratio": seconds["rival"] / seconds["ours"],
        "compile_seconds": [run["compile_seconds"] for run in runs["ours"]],
        "n_worse": sum(r["ours_loss"] > r["rival_loss"] for r in rows),
        "chosen": {role: runs[role][0]["chosen"] for role in runs},
        "per_k": rows,
        "seconds": {role: [run["seconds"] for run in runs[role]] for role in runs},
        "versions": {role: runs[role][0]["versions"] for role in runs},
        "machine": {"cpus": os.cpu_count(), "load": os.getloadavg(), "platform": platform.platform()},
    }
    out = args.out or args.cache / "kmedoids.json"
    out.write_text(json.dumps(result, indent=1))
    numbers = f"k = {args.k[0]}..{args.k[1] - 1}"
    print(f"\n{len(z)} regions of {z.shape[1]} dimensions, {numbers}, load {os.getloadavg()[0]:.1f}")
    print(f"median of {args.repeats}: rival {seconds['rival']:.3f} s, ours {seconds['ours']:.3f} s")
    compiled = ", ".join(f"{s:.2f} s" for s in result["compile_seconds"])
    print(f"warm-up with compilation, not counted: {compiled} (the first compiles, the others find it cached)")
    print(f"ratio {result['ratio']:.2f}; loss above the rival's at {result['n_worse']} of {len(rows)} k")
    print(f"written to {out}")


def _load(file: Path, n: int) -> np.ndarray:
    """First ``n`` region embeddings of a file, as float32 of unit norm."""
    with np.load(file, allow_pickle=False) as arrays:
        names = [name for name in arrays.files if arrays[name].ndim == 2]
        name = "region" if "region" in names else names[0]
        z = arrays[name][:n].astype(np.float32)
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def _rival_python(cache: Path) -> str:
    """Python of an environment in which scikit-learn-extra imports; made on the first run."""
    folder = cache / "scikit-learn-extra-0.3.0"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    check = [str(python), "-W", "ignore", "-c", "import sklearn_extra.cluster"]
    if not python.exists() or subprocess.run(check, capture_output=True, check=False).returncode:
        print(f"making {folder}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *RIVAL_PACKAGES], check=True)
        subprocess.run(check, check=True)
    return str(python)


def _run_role(args: argparse.Namespace) -> None:
    """Cluster the saved embeddings as one side does, and write times, medoids and silhouettes."""
    z, numbers = np.load(args.embeddings, allow_pickle=False), range(*args.k)
    result = _ours(z, numbers) if args.role == "ours" else _rival(z, numbers)
    args.out.write_text(json.dumps(result))


def _ours(z: np.ndarray, numbers: range) -> dict:
    """The package's KMedoids."""
    sys.path.insert(0, str(ROOT))
    import numba

    from ravl_explore.clustering import KMedoids, choose

    clusterer = KMedoids(numbers, seed=0)
    start = time.perf_counter()
    rng = np.random.default_rng(0).normal(size=(2200, 4))  # large enough to compile the parallel kernels too
    KMedoids([2, 3])((rng / np.linalg.norm(rng, axis=1, keepdims=True)).astype(z.dtype))
    compile_seconds = time.perf_counter() - start
    start = time.perf_counter()
    found = list(clusterer.sweep(z))
    best = choose(found)
    seconds = time.perf_counter() - start
    clusterings = [
        {"n_clusters": c.n_clusters, "silhouette": c.silhouette, "medoids": c.medoids.tolist()} for c in found
    ]
    versions = {"numpy": np.__version__, "numba": numba.__version__, "python": platform.python_version()}
    return {
        "seconds": seconds,
        "compile_seconds": compile_seconds,
        "chosen": best.n_clusters,
        "clusterings": clusterings,
        "versions": versions,
    }


def _rival(z: np.ndarray, numbers: range) -> dict:
    """scikit-learn-extra with the settings of RaVL's released code, which ends with a refit at the best k."""
    import sklearn
    import sklearn_extra  # pyright: ignore[reportMissingImports]
    from sklearn.metrics import silhouette_score
    from sklearn_extra.cluster import KMedoids  # pyright: ignore[reportMissingImports]

    def fit(n_clusters: int):
        return KMedoids(
            n_clusters=n_clusters,
            metric="precomputed",
            method="alternate",
            init="k-medoids++",
            max_iter=300,
            random_state=0,
        ).fit(distance)

    start = time.perf_counter()
    distance = np.clip(1 - z @ z.T, 0, 1)
    np.fill_diagonal(distance, 0)
    chosen, best, clusterings = numbers[0], 0.0, []
    for n_clusters in numbers:
        model = fit(n_clusters)
        score = float(silhouette_score(distance, model.labels_, metric="precomputed"))
        clusterings.append({"n_clusters": n_clusters, "silhouette": score, "medoids": model.medoid_indices_.tolist()})
        if score > best:
            chosen, best = n_clusters, score
    fit(chosen)
    seconds = time.perf_counter() - start
    versions = {"numpy": np.__version__, "sklearn": sklearn.__version__, "sklearn_extra": sklearn_extra.__version__}
    return {"seconds": seconds, "chosen": chosen, "clusterings": clusterings, "versions": versions}


if __name__ == "__main__":
    main()
