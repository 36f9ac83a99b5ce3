"""write_tables(): a discovery as Parquet tables and the settings that repeat it, each file written whole.

``clusters.parquet`` has one row a cluster, best first; ``regions.parquet`` one row a region; ``settings.json`` all that
is needed to do it again; ``unreadable.csv`` the images that were skipped, when there are any. The first three tell the
mark of their search (in the Parquet files' metadata), so that files of two searches are not taken for one's.
"""

from __future__ import annotations

import csv
import io
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ravl_explore.about import __version__
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.known_images import difference
from ravl_explore.data.optional_members import place_of
from ravl_explore.discovery import PERMUTATION_SEED, Discovery
from ravl_explore.errors import InputError, MissingDependencyError
from ravl_explore.metrics.significance import N_PERMUTATIONS
from ravl_explore.storage import search_mark
from ravl_explore.support.files import user_path, write_together
from ravl_explore.support.json_values import as_json
from ravl_explore.support.text import storable

if TYPE_CHECKING:
    import pyarrow

CLUSTERS, REGIONS, SETTINGS, UNREADABLE = "clusters.parquet", "regions.parquet", "settings.json", "unreadable.csv"
SAVED, REPORT = "discovery.safetensors", "report.html"  # which the command line writes beside them
SEARCH = "search"  # what the mark is called
PACKAGES = ("torch", "open_clip_torch", "transformers", "numpy", "pandas", "Pillow", "scikit-learn")


def write_tables(
    discovery: Discovery,
    data: ImageTextDataset | None,
    folder: str | Path,
    settings: Mapping[str, object] | None = None,
) -> tuple[Path, ...]:
    """Write the tables and the settings into ``folder``, which is made; older ones there are replaced.

    Parameters
    ----------
    discovery : Discovery
        What to write.
    data : ImageTextDataset or None
        The images that were embedded, for their paths; without it images are told by their number.
    folder : str or Path
        Where to.
    settings : mapping of str to object, optional
        More to keep in ``settings.json``, as plain JSON values: seeds, the command line, thresholds.

    Returns
    -------
    tuple of Path
        The files that were written.

    Raises
    ------
    InputError
        For data of another number of images.
    MissingDependencyError
        Without pyarrow.
    StorageError
        When the folder cannot be written; it says what was changed there, which usually is nothing.
    """
    return write_files(folder, tables(discovery, data, settings))


def tables(
    discovery: Discovery, data: ImageTextDataset | None = None, settings: Mapping[str, object] | None = None
) -> dict[str, bytes]:
    """File name -> content of everything that :func:`write_tables` writes.

    Parameters
    ----------
    discovery : Discovery
        What to write.
    data : ImageTextDataset, optional
        The images, for their paths.
    settings : mapping of str to object, optional
        More to keep in ``settings.json``.
    """
    mark = search_mark(discovery)
    contents = {
        CLUSTERS: _parquet(clusters_table(discovery), mark),
        REGIONS: _parquet(regions_table(discovery, data), mark),
        SETTINGS: as_json(settings_of(discovery) | dict(settings or {}) | {SEARCH: mark}, indent=2).encode() + b"\n",
    }
    skipped = skipped_images(discovery)
    return contents | ({UNREADABLE: _csv(skipped)} if skipped else {})


def write_files(folder: str | Path, contents: Mapping[str, bytes], outdated: tuple[str, ...] = ()) -> tuple[Path, ...]:
    """Write files by name, all together, see :func:`ravl_explore.support.files.write_together`.

    What is ``outdated`` goes, and an ``unreadable.csv`` of an earlier run when this one skipped nothing.

    Parameters
    ----------
    folder : str or Path
        Made if it is not there.
    contents : mapping of str to bytes
        By file name.
    outdated : tuple of str
        Names of files that go.
    """
    outdated = outdated if UNREADABLE in contents else (*outdated, UNREADABLE)
    return write_together(user_path(folder), contents, outdated)


def clusters_table(discovery: Discovery) -> pyarrow.Table:
    """``discovery.frame()`` and ``medoid_region``, the row in the regions' table of the most typical region."""
    frame = discovery.frame()
    frame["medoid_region"] = discovery.clustering.medoids[frame["cluster"].to_numpy()]
    for column in ("reason", "attribute"):  # as strings also where every entry is None
        texts = [None if value is None else storable(value) for value in frame[column]]
        frame[column] = pd.array(texts, dtype="string")
    return _pyarrow().Table.from_pandas(frame, preserve_index=False)


def regions_table(discovery: Discovery, data: ImageTextDataset | None = None) -> pyarrow.Table:
    """One row a region, in the discovery's order.

    Columns: region, image (its path, or its number where it has none), image_index (among the embedded images), x1, y1,
    x2, y2 (pixels of the stored image), cluster, label and image_prediction (the image's true and predicted class),
    prediction and score (the class this region alone scores highest, 0 to 1).
    """
    pa = _pyarrow()
    scores, embeddings = discovery.scores, discovery.scores.embeddings
    images = embeddings.regions.image_index
    predictions = scores.region.argmax(1)
    names = [storable(name) for name in embeddings.class_names]

    def texts(values: list[str], index: np.ndarray) -> pyarrow.Array:
        return pa.DictionaryArray.from_arrays(pa.array(index), pa.array(values, pa.large_string())).dictionary_decode()

    columns: dict[str, object] = {
        "region": np.arange(len(images)),
        "image": texts(image_names(discovery, data), images),
        "image_index": images,
    }
    columns |= {name: embeddings.regions.boxes[:, i] for i, name in enumerate(("x1", "y1", "x2", "y2"))}
    columns |= {
        "cluster": discovery.clustering.labels,
        "label": texts(names, embeddings.labels[images]),
        "image_prediction": texts(names, scores.predictions[images]),
        "prediction": texts(names, predictions),
        "score": scores.region[np.arange(len(images)), predictions],
    }
    return pa.table({name: pa.array(np.asarray(c)) if isinstance(c, np.ndarray) else c for name, c in columns.items()})


def image_names(discovery: Discovery, data: ImageTextDataset | None) -> list[str]:
    """What to call each embedded image: its path where the data has files, else its number."""
    n_images = len(discovery.scores.embeddings.labels)
    identity = discovery.scores.embeddings.identity
    if data is not None and difference(data, n_images, identity) is not None:
        raise InputError(f"the discovery's {n_images} images", f"{len(data)}", "Give the data it was made from.")
    return [storable(place_of(data, i) or str(i)) for i in range(n_images)]


def skipped_images(discovery: Discovery) -> list[dict[str, object]]:
    """The images that could not be read: index in the data, where, and the reason."""
    return [
        {"index": int(each.index), "where": storable(each.where), "reason": storable(each.reason)}
        for each in discovery.scores.embeddings.unreadable
    ]


def settings_of(discovery: Discovery) -> dict[str, object]:
    """What a discovery itself knows of how it was made, as plain values."""
    embeddings, scores, clustering = discovery.scores.embeddings, discovery.scores, discovery.clustering
    skipped = skipped_images(discovery)
    return {
        "versions": versions(),
        "model": {"name": embeddings.model_name},
        "data": {"name": embeddings.data_name, "class_names": list(embeddings.class_names)},
        "regions": {"name": embeddings.proposer_name, "embedded_by": embeddings.region_method},
        "prompts": list(embeddings.templates),
        "temperature": embeddings.temperature,
        "min_influence": discovery.min_influence,
        "rule": discovery.rule,
        "permutations": {"n": N_PERMUTATIONS, "seed": PERMUTATION_SEED},
        "clustering": {
            "n_clusters": clustering.n_clusters,
            "loss": clustering.loss,
            "sweep": clustering.sweep.to_dict(orient="records"),
        },
        "counts": {
            "images": len(embeddings.labels),
            "regions": len(embeddings.region),
            "clusters": len(discovery.clusters),
            "kept": len(discovery.features),
            "skipped": len(skipped),
        },
        "accuracy": scores.accuracy,
        "accuracy_of_guessing": scores.chance,
        "skipped": skipped,
    }


def versions() -> dict[str, str]:
    """Of ravl_explore, Python, the system, and the packages whose numbers count."""
    found = {"ravl_explore": __version__, "python": platform.python_version(), "system": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _csv(rows: list[dict[str, object]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _parquet(table: pyarrow.Table, mark: str) -> bytes:
    import pyarrow.parquet

    out = io.BytesIO()
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), SEARCH: mark})
    pyarrow.parquet.write_table(table, out, compression="zstd")
    return out.getvalue()


def _pyarrow() -> ModuleType:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingDependencyError(
            "pyarrow, which writes Parquet files",
            "no such package",
            f"Install it: {sys.executable} -m pip install pyarrow",
        ) from error
    return pyarrow
