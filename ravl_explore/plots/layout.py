"""Where the points of the region map lie: PCA at once, UMAP with patience, and a cache that spares the wait."""

from __future__ import annotations

import hashlib
import io
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from ravl_explore.clustering.chunks import as_single, blocks
from ravl_explore.clustering.parallel import KERNEL_LOCK
from ravl_explore.errors import InputError, StorageError
from ravl_explore.support import checks
from ravl_explore.support.files import cache_root, user_path, write_whole
from ravl_explore.support.progress import Progress, report

if TYPE_CHECKING:
    from ravl_explore.embedding.embeddings import Embeddings

N_NEIGHBORS = 15  # umap-learn's own default
SMALLEST_UMAP = 10  # below this, a neighbour graph says nothing that PCA does not
MOST_FITTED = 20_000  # regions UMAP is fitted to, as many as the map draws; the others are placed among these
PLACED_AT_ONCE = 2000  # about 1.5 seconds of UMAP's transform; between two of these it can be cancelled
FEWEST_PER_CLUSTER = 20
MOST_FOR_AXES = 50_000  # rows the principal axes are found from
HIGHEST_SEED = 2**32 - 1  # scikit-learn's, which UMAP draws by
STAGE = "Computing the UMAP layout"
PROBE_ROWS = 64
PROBE_TOLERANCE = 2e-3  # float32 forward passes of one model differ by about 1e-4 between CPUs
SHIPPED = Path(__file__).parent.parent / "assets" / "demo" / "layouts"

_logger = logging.getLogger(__name__)


def pca_layout(embeddings: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n 2"]:
    """First two principal components, (n, 2) float32; each axis points to where its largest loading is positive.

    Read in blocks, memory-mapped or not. Above 50,000 rows the axes are those of 50,000 evenly spaced ones.

    Examples
    --------
    >>> pca_layout(np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]]))[:, 0].tolist()
    [-2.0, 0.0, 2.0]
    """
    rows = _checked(embeddings)
    chosen = rows
    if len(rows) > MOST_FOR_AXES:
        chosen = rows[np.linspace(0, len(rows) - 1, MOST_FOR_AXES).round().astype(np.int64)]
    mean = sum(block.sum(0, dtype=np.float64) for _, block in blocks(chosen)) / len(chosen)
    scatter = np.zeros((rows.shape[1], rows.shape[1]))
    for _, block in blocks(chosen):
        centred = block - mean
        scatter += centred.T @ centred
    _, vectors = np.linalg.eigh(scatter)
    axes = vectors[:, ::-1][:, :2]
    largest = np.abs(axes).argmax(0)
    axes = axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    xy = np.zeros((len(rows), 2), np.float32)
    for start, block in blocks(rows):
        xy[start : start + len(block), : axes.shape[1]] = block @ axes - mean @ axes
    return xy


def umap_layout(
    embeddings: Float[np.ndarray, "n dim"],
    *,
    labels: Int[np.ndarray, " n"] | None = None,
    seed: int = 0,
    most: int = MOST_FITTED,
    progress: Progress | None = None,
) -> Float[np.ndarray, "n 2"]:
    """UMAP with cosine distance, (n, 2) float32; the same seed gives the same map on the same machine.

    Up to ``most`` rows it is plain UMAP. Of more, a sample is laid out, in which each cluster has its share and at
    least 20 rows, and the others are placed among it by UMAP's ``transform``, 2000 at a time: about 0.7 ms each,
    eleven minutes for a million.

    The first part takes seconds to minutes and cannot be interrupted inside: call it in a worker thread. ``progress``
    hears of the start, of each 2000 placed, and of the end, and may raise Cancelled at any of them. Fewer than 10 rows
    get :func:`pca_layout`.

    Parameters
    ----------
    embeddings : Float[np.ndarray, "n dim"]
        Unit vectors of any real type, memory-mapped or not.
    labels : Int[np.ndarray, "n"], optional
        The cluster of each row, for the sample; without them all rows are alike.
    seed : int
        Decides the sample and the layout.
    most : int
        Rows that are laid out together.
    progress : Progress, optional
        Called with (done, total, stage).
    """
    rows = _checked(embeddings)
    checks.seed("seed", seed, HIGHEST_SEED)
    if len(rows) < SMALLEST_UMAP:
        return pca_layout(rows)
    sample = stratified_sample(np.zeros(len(rows), np.int64) if labels is None else labels, most, seed)
    total = 1 if len(sample) == len(rows) else len(rows)
    report(progress, 0, total, STAGE)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Tensorflow not installed", category=ImportWarning)
        warnings.filterwarnings("ignore", message="n_jobs value .* overridden to 1 by setting random_state")
        warnings.filterwarnings("ignore", message=".*TBB threading layer requires TBB version")
        warnings.filterwarnings("ignore", message=".*force_all_finite.* was renamed", category=FutureWarning)
        import umap  # slow to import, and only needed here

        reducer = umap.UMAP(
            n_neighbors=min(N_NEIGHBORS, len(sample) - 1), metric="cosine", init="pca", random_state=seed, n_jobs=1
        )
        with KERNEL_LOCK:  # a search that is started meanwhile waits with its clustering: better than a dead kernel
            fitted = reducer.fit_transform(rows if total == 1 else as_single(rows[sample]))
        if total == 1:
            xy = np.asarray(fitted, dtype=np.float32)
        else:
            xy = np.empty((len(rows), 2), np.float32)
            xy[sample] = fitted
            others = np.setdiff1d(np.arange(len(rows)), sample)
            for start in range(0, len(others), PLACED_AT_ONCE):
                report(progress, len(sample) + start, total, STAGE)
                here = others[start : start + PLACED_AT_ONCE]
                with KERNEL_LOCK:
                    xy[here] = reducer.transform(as_single(rows[here]))
    report(progress, total, total, STAGE)
    return xy


def stratified_sample(labels: Int[np.ndarray, " n"], most: int, seed: int = 0) -> Int[np.ndarray, " n_chosen"]:
    """Which of n rows to take, in rising order: all, or at most ``most``, each cluster by its share but 20 at least.

    Examples
    --------
    >>> labels = np.repeat([0, 1], [900, 30])
    >>> np.bincount(labels[stratified_sample(labels, 100)]).tolist()
    [79, 20]
    """
    labels = checks.array("labels", np.asarray(labels), "iu", (None,), 0)
    most = checks.whole("most", most, 1)
    checks.seed("seed", seed)
    if len(labels) <= most:
        return np.arange(len(labels))
    counts = np.bincount(labels)
    floor = np.minimum(counts, min(FEWEST_PER_CLUSTER, most // np.count_nonzero(counts)))
    rest = counts - floor
    quota = floor + (rest * ((most - floor.sum()) / max(rest.sum(), 1))).astype(np.int64)
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    place = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[place < quota[labels[order]]])


def cached_layout(embeddings: Embeddings) -> Float[np.ndarray, "n_regions 2"] | None:
    """The UMAP layout of these region embeddings, shipped with the package or stored before; None when there is none.

    Matched by shape and by 64 evenly spaced rows within 2e-3, so that another CPU's rounding does not miss it. A file
    that cannot be read counts as not there.
    """
    for folder in (SHIPPED, cache_folder()):
        for path in sorted(folder.glob(f"{_shape(embeddings)}*.npz")):
            xy = _read(path, embeddings)
            if xy is not None:
                return xy
    return None


def store_layout(embeddings: Embeddings, xy: Float[np.ndarray, "n_regions 2"]) -> Path | None:
    """Keep a layout for :func:`cached_layout`; returns its file, or None when the cache folder cannot be written."""
    digest = hashlib.sha1(_probe(embeddings).tobytes(), usedforsecurity=False).hexdigest()[:12]
    path = cache_folder() / f"{_shape(embeddings)}-{digest}.npz"
    try:
        write_layout(path, embeddings, xy)
    except StorageError as error:
        _logger.warning("The layout was not cached: %s", error)
        return None
    return path


def write_layout(path: Path | str, embeddings: Embeddings, xy: Float[np.ndarray, "n_regions 2"]) -> None:
    """Write a layout file, whole or not at all; its name must begin with ``<n_regions>x<dim>`` to be found.

    Raises
    ------
    InputError
        When ``xy`` is not one finite point per region.
    StorageError
        When the folder cannot be written.
    """
    path, xy = user_path(path), np.asarray(xy, dtype=np.float32)
    if xy.shape != (len(embeddings.region), 2) or not np.isfinite(xy).all():
        raise InputError(
            f"finite points of shape ({len(embeddings.region)}, 2)", f"shape {xy.shape}", "Lay out these embeddings."
        )
    content = io.BytesIO()
    np.savez(content, xy=xy, probe=_probe(embeddings))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"to make the folder {path.parent}", str(error), "Set RAVL_CACHE to a folder you may write."
        ) from error
    write_whole(path, content.getvalue())


def cache_folder() -> Path:
    """``$RAVL_CACHE/layouts``, or ``~/.cache/ravl_explore/layouts``."""
    return cache_root() / "layouts"


def _read(path: Path, embeddings: Embeddings) -> np.ndarray | None:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            xy, probe = stored["xy"], stored["probe"]
    except Exception:  # a damaged zip can raise nearly anything; the layout is then computed anew
        _logger.info("Ignored the unreadable layout %s", path)
        return None
    wanted = _probe(embeddings)
    if xy.shape != (len(embeddings.region), 2) or probe.shape != wanted.shape or not np.isfinite(xy).all():
        return None
    return xy.astype(np.float32) if np.allclose(probe, wanted, rtol=0, atol=PROBE_TOLERANCE) else None


def _shape(embeddings: Embeddings) -> str:
    return "x".join(map(str, embeddings.region.shape))


def _probe(embeddings: Embeddings) -> np.ndarray:
    rows = np.linspace(0, len(embeddings.region) - 1, PROBE_ROWS).round().astype(np.int64)
    return np.asarray(embeddings.region[rows], dtype=np.float32)


def _checked(embeddings: np.ndarray) -> np.ndarray:
    rows = np.asarray(embeddings)
    if (
        rows.ndim != 2
        or rows.dtype.kind not in "fiu"
        or not rows.size
        or not all(np.isfinite(block).all() for _, block in blocks(rows))
    ):
        raise InputError("finite embeddings of shape (n, dim)", f"shape {rows.shape}", "Pass embeddings.region.")
    return rows
