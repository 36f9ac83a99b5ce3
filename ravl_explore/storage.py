"""save() and load(): results as one safetensors file each, written whole or not at all, and never unpickled.

A file holds arrays, and one JSON text in its metadata that says what they are. A :class:`Discovery` is stored as its
scores, clustering and settings; on loading, the ranking is computed again from those, so it needs no model. A
:class:`Mitigation` is stored as the new model's weights under open_clip's own key names, so
``models.Checkpoint(path)`` opens it. One without training steps is stored as what it does to embeddings: a few numbers,
that ``load(path, model=...)`` puts on the searched model again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from ravl_explore.clustering.base import Clustering
from ravl_explore.data.annotations import Annotations
from ravl_explore.data.known_images import Identity
from ravl_explore.discovery import Discovery, discover
from ravl_explore.discovery.discovery import Rule
from ravl_explore.embedding.embeddings import Embeddings
from ravl_explore.embedding.skipping import Unreadable
from ravl_explore.errors import ModelError, RavlError, StorageError
from ravl_explore.experiments.run_files import is_runs, load_runs, save_runs
from ravl_explore.experiments.runs import Runs
from ravl_explore.mitigation import Mitigation
from ravl_explore.mitigation.steered import Steered, StoredSteering
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.regions.base import Regions
from ravl_explore.scores import Scores
from ravl_explore.support import checks
from ravl_explore.support.files import user_path, write_whole
from ravl_explore.support.fingerprints import digest
from ravl_explore.support.result_files import FORMAT, result_bytes
from ravl_explore.support.sealing import check_seal

Arrays = dict[str, np.ndarray]
ANNOTATED = ("feature_present", "region_labels")
KINDS = ("discovery", "embeddings", "mitigation", "steering")
# what unpacking a file raises that is not what it says it is
_DAMAGE = (
    SafetensorError, RavlError, OSError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError,
    RecursionError,
)  # fmt: skip


def save(noun: Discovery | Embeddings | Mitigation | Runs, path: str | Path) -> Path:
    """Write a result to ``path``; an older file there is replaced only when the new one is complete.

    Parameters
    ----------
    noun : Discovery, Embeddings, Mitigation or Runs
        Runs are written as JSON, all else as safetensors.
    path : str or Path
        Of the file, in a folder that is there.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    StorageError
        When the noun cannot be saved, the folder is not there, or the disk is full; the old file is untouched.
    """
    target = user_path(checks.path("path", path))
    return save_runs(noun, target) if isinstance(noun, Runs) else write_whole(target, to_bytes(noun))


def to_bytes(noun: Discovery | Embeddings | Mitigation) -> bytes:
    """The file that :func:`save` writes; equal results give equal bytes.

    Parameters
    ----------
    noun : Discovery, Embeddings or Mitigation
        What is saved.

    Raises
    ------
    StorageError
        For anything else.
    """
    if isinstance(noun, Mitigation):
        return noun.to_bytes()
    if isinstance(noun, Discovery):
        return _result_bytes("discovery", *_pack_discovery(noun))
    if isinstance(noun, Embeddings):
        return _result_bytes("embeddings", *_pack_embeddings(noun))
    raise StorageError(
        "a Discovery, Embeddings, Mitigation or Runs", type(noun).__name__, "Save tables with frame().to_csv() instead."
    )


def load(path: str | Path, *, model: VisionLanguageModel | None = None) -> Any:
    """Read what :func:`save` wrote: a Discovery, Embeddings, Runs, or the steered model of a mitigation without steps.

    Parameters
    ----------
    path : str or Path
        Of the file.
    model : VisionLanguageModel or None
        For a steered model alone, the one that was searched: the file holds what is done to its embeddings.

    Raises
    ------
    StorageError
        When the file is not there or closed, was cut short or changed, is not one of ours, or from a newer version.
    ModelError
        When ``model`` is not the one that the file steers.
    """
    path = user_path(checks.path("path", path))
    try:
        if not path.is_file():
            raise StorageError("a saved result", f"{str(path)!r}, no such file", "Check the path.")
        if is_runs(path):
            return load_runs(path)
        with safe_open(str(path), framework="numpy") as file:
            header = file.metadata() or {}
            kind = header.get("kind")
            if header.get("format") != FORMAT or kind not in KINDS:
                newer = str(header.get("format")).startswith(FORMAT.split()[0]) and header["format"] != FORMAT
                raise StorageError(
                    f"a file written by rx.save ({FORMAT})",
                    f"{str(path)!r} with format {header.get('format')!r}",
                    "Update ravl_explore." if newer else "Open checkpoints with models.Checkpoint(path).",
                )
            if kind == "mitigation":
                raise StorageError(
                    "a Discovery or Embeddings", f"a {kind}", "Open its model with models.Checkpoint(path)."
                )
            check_seal(path)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            meta = json.loads(header["meta"])
            if kind == "discovery":
                return _unpack_discovery(arrays, meta)
            if kind == "embeddings":
                return _unpack_embeddings(arrays, meta)
    except StorageError:
        raise
    except _DAMAGE as error:
        raise StorageError("a complete result file", f"{str(path)!r} ({error})", "Save it again.") from error
    try:
        return _steered(arrays, meta, model)
    except (ModelError, StorageError):  # no model, or not the one it steers
        raise
    except _DAMAGE as error:
        raise StorageError("a complete result file", f"{str(path)!r} ({error})", "Save it again.") from error


def search_mark(discovery: Discovery) -> str:
    """One short name for what was found in which regions, the same wherever that is written.

    Parameters
    ----------
    discovery : Discovery
        Saved or not.
    """
    scores, clustering, embeddings = discovery.scores, discovery.clustering, discovery.scores.embeddings
    return digest(
        [
            embeddings.model_name, embeddings.data_name, list(embeddings.class_names), embeddings.labels,
            embeddings.regions.boxes, embeddings.regions.image_index, scores.image, scores.region,
            clustering.labels, clustering.medoids, discovery.min_influence, discovery.rule,
        ]
    )  # fmt: skip


class StoredEmbeddings(TypedDict):
    """Embeddings in a file, beside their arrays. Files of 0.1.0's first weeks lack what need not be there."""

    class_names: list[str]
    temperature: float
    model_name: str
    data_name: str
    proposer_name: NotRequired[str]
    region_method: NotRequired[str]
    templates: NotRequired[list[str]]
    identity: NotRequired[list[str]]
    feature_name: NotRequired[str | None]
    unreadable: NotRequired[list[tuple[int, str, str]]]


class StoredDiscovery(StoredEmbeddings):
    """A discovery in a file, beside its arrays; numbers that are not finite are texts."""

    loss: float | str
    sweep: dict[str, list[float | str]]
    min_influence: float
    rule: Rule
    search: NotRequired[str]


class StoredSteered(StoredSteering):
    """A steered model in a file, beside its arrays."""

    model_name: str


def _result_bytes(kind: str, arrays: Arrays, meta: Mapping[str, object]) -> bytes:
    return result_bytes(kind, {name: np.asarray(array, order="C") for name, array in arrays.items()}, meta)


def _pack_embeddings(e: Embeddings) -> tuple[Arrays, StoredEmbeddings]:
    arrays = {
        "image": e.image,
        "region": e.region,
        "text": e.text,
        "boxes": e.regions.boxes,
        "image_index": e.regions.image_index,
        "labels": e.labels,
    }
    known = e.annotations
    arrays |= {name: array for name in ANNOTATED if (array := getattr(known, name)) is not None}
    meta: StoredEmbeddings = {
        "class_names": list(e.class_names),
        "temperature": e.temperature,
        "model_name": e.model_name,
        "data_name": e.data_name,
        "proposer_name": e.proposer_name,
        "region_method": e.region_method,
        "templates": list(e.templates),
        "identity": list(e.identity),
        "feature_name": known.feature_name,
        "unreadable": [(image.index, image.where, image.reason) for image in e.unreadable],
    }
    return arrays, meta


def _unpack_embeddings(a: Arrays, meta: StoredEmbeddings) -> Embeddings:
    return Embeddings(
        a["image"],
        a["region"],
        a["text"],
        Regions(a["boxes"], a["image_index"]),
        a["labels"],
        tuple(meta["class_names"]),
        meta["temperature"],
        meta["model_name"],
        meta["data_name"],
        meta.get("proposer_name", ""),
        meta.get("region_method", ""),
        tuple(meta.get("templates", ())),
        tuple(Unreadable(*image) for image in meta.get("unreadable", ())),
        Identity(*meta.get("identity", ())),
        Annotations(meta.get("feature_name"), *(a.get(name) for name in ANNOTATED)),
    )


def _pack_discovery(d: Discovery) -> tuple[Arrays, StoredDiscovery]:
    arrays, of_embeddings = _pack_embeddings(d.scores.embeddings)
    arrays |= {
        "image_scores": d.scores.image,
        "region_scores": d.scores.region,
        "clusters": d.clustering.labels,
        "medoids": d.clustering.medoids,
    }
    sweep = d.clustering.sweep
    meta: StoredDiscovery = {
        **of_embeddings,
        "loss": d.clustering.loss,
        "sweep": {column: sweep[column].tolist() for column in sweep.columns},
        "min_influence": d.min_influence,
        "rule": d.rule,
        "search": search_mark(d),
    }
    return arrays, meta


def _unpack_discovery(a: Arrays, meta: StoredDiscovery) -> Discovery:
    scores = Scores(a["image_scores"], a["region_scores"], _unpack_embeddings(a, meta))
    sweep = {column: [_number(cell) for cell in cells] for column, cells in meta["sweep"].items()}
    clustering = Clustering(a["clusters"], a["medoids"], float(meta["loss"]), pd.DataFrame(sweep))
    return discover(scores, clustering, min_influence=meta["min_influence"], rule=meta["rule"])


def _number(cell: float | str) -> float:
    return float(cell) if isinstance(cell, str) else cell


def _steered(a: Arrays, meta: StoredSteered, model: VisionLanguageModel | None) -> Steered:
    if model is None:
        raise StorageError(
            "the searched model beside a file that steers it", "none", "Call rx.load(path, model=...) with that model."
        )
    steered = Steered.from_arrays(model, a, meta)
    steered.name = meta["model_name"]
    return steered
