"""Where the points of the region map lie: PCA at once, UMAP with patience, and a cache that spares the wait."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ravl_explore.clustering.parallel import KERNEL_LOCK
from ravl_explore.errors import InputError, StorageError
from ravl_explore.files import write_whole
from ravl_explore.progress import Progress, report

if TYPE_CHECKING:
    from ravl_explore.embedding import Embeddings

N_NEIGHBORS = 15  # umap-learn's own default
SMALLEST_UMAP = 10  # below this, a neighbour graph says nothing that PCA does not
PROBE_ROWS = 64
PROBE_TOLERANCE = 2e-3  # float32 forward passes of one model differ by about 1e-4 between CPUs
SHIPPED = Path(__file__).parent / "assets" / "demo" / "layouts"

_logger = logging.getLogger(__name__)


def pca_layout(embeddings: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n 2"]:
    """First two principal components, (n, 2) float32; each axis points to where its largest loading is positive.

    Examples
    --------
    >>> pca_layout(np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]]))[:, 0].tolist()
    [-2.0, 0.0, 2.0]
    """
    rows = _checked(embeddings)
    centred = rows.astype(np.float64) - rows.mean(0, dtype=np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors[:, ::-1][:, :2]
    largest = np.abs(axes).argmax(0)
    axes = axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    xy = np.zeros((len(rows), 2), np.float32)
    xy[:, : axes.shape[1]] = centred @ axes
    return xy


def umap_layout(
    embeddings: Float[np.ndarray, "n dim"], *, seed: int = 0, progress: Progress | None = None
) -> Float[np.ndarray, "n 2"]:
    """UMAP with cosine distance, (n, 2) float32; the same seed gives the same map on the same machine.

    It takes seconds to minutes and cannot be interrupted inside: call it in a worker thread. ``progress`` hears of
    the start and of the end, and may raise Cancelled at either. Fewer than 10 rows get :func:`pca_layout`.
    """
    rows = _checked(embeddings)
    if len(rows) < SMALLEST_UMAP:
        return pca_layout(rows)
    report(progress, 0, 1, "Computing the UMAP layout")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Tensorflow not installed", category=ImportWarning)
        warnings.filterwarnings("ignore", message="n_jobs value .* overridden to 1 by setting random_state")
        warnings.filterwarnings("ignore", message=".*TBB threading layer requires TBB version")
        warnings.filterwarnings("ignore", message=".*force_all_finite.* was renamed", category=FutureWarning)
        import umap  # slow to import, and only needed here

        reducer = umap.UMAP(
            n_neighbors=min(N_NEIGHBORS, len(rows) - 1), metric="cosine", init="pca", random_state=seed, n_jobs=1
        )
        with KERNEL_LOCK:  # a search that is started meanwhile waits with its clustering: better than a dead kernel
            xy = np.asarray(reducer.fit_transform(rows), dtype=np.float32)
    report(progress, 1, 1, "Computing the UMAP layout")
    return xy


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
    path, xy = Path(path), np.asarray(xy, dtype=np.float32)
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
    return Path(os.environ.get("RAVL_CACHE") or Path.home() / ".cache" / "ravl_explore") / "layouts"


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
    if rows.ndim != 2 or len(rows) < 1 or not np.isfinite(rows).all():
        raise InputError("finite embeddings of shape (n, dim)", f"shape {rows.shape}", "Pass embeddings.region.")
    return rows
