"""save() and load(): results as one safetensors file each, written whole or not at all, and never unpickled.

A file holds arrays, and one JSON text in its metadata that says what they are. A :class:`Discovery` is stored as its
scores, clustering and settings; on loading, the ranking is computed again from those, so it needs no model. A
:class:`Mitigation` is stored as the new model's weights under open_clip's own key names, so
``models.Checkpoint(path)`` opens it too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from ravl_explore.clustering.base import Clustering
from ravl_explore.discovery import Discovery, discover
from ravl_explore.embedding import Embeddings, Unreadable
from ravl_explore.errors import RavlError, StorageError
from ravl_explore.files import write_whole
from ravl_explore.mitigation import Mitigation
from ravl_explore.regions.base import Regions
from ravl_explore.scoring import Scores

FORMAT = "ravl_explore 1"
Arrays = dict[str, np.ndarray]


def save(noun: Discovery | Embeddings | Mitigation, path: str | Path) -> Path:
    """Write a result to ``path``; an older file there is replaced only when the new one is complete.

    Raises
    ------
    StorageError
        When the noun cannot be saved, the folder is not there, or the disk is full; the old file is untouched.
    """
    for kind, (cls, pack, _) in _KINDS.items():
        if isinstance(noun, cls):
            arrays, meta = pack(noun)
            arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
            model_says = getattr(noun.model, "metadata", {}) if isinstance(noun, Mitigation) else {}
            content = to_bytes(arrays, {**model_says, "format": FORMAT, "kind": kind, "meta": json.dumps(meta)})
            return write_whole(Path(path), content)
    raise StorageError(
        "a Discovery, Embeddings or Mitigation", type(noun).__name__, "Save tables with frame().to_csv() instead."
    )


def load(path: str | Path) -> Any:
    """Read what :func:`save` wrote: a Discovery or Embeddings.

    Raises
    ------
    StorageError
        When the file is not there, cut short, not one of ours, or from a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise StorageError("a saved result", f"{str(path)!r}, no such file", "Check the path.")
    try:
        with safe_open(str(path), framework="numpy") as file:
            header = file.metadata() or {}
            kind = header.get("kind")
            if header.get("format") != FORMAT or kind not in _KINDS:
                newer = str(header.get("format")).startswith(FORMAT.split()[0]) and header["format"] != FORMAT
                raise StorageError(
                    f"a file written by rx.save ({FORMAT})",
                    f"{str(path)!r} with format {header.get('format')!r}",
                    "Update ravl_explore." if newer else "Open checkpoints with models.Checkpoint(path).",
                )
            unpack = _KINDS[kind][2]
            if unpack is None:
                raise StorageError(
                    "a Discovery or Embeddings", f"a {kind}", "Open its model with models.Checkpoint(path)."
                )
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return unpack(arrays, json.loads(header["meta"]))
    except StorageError:
        raise
    except (SafetensorError, RavlError, OSError, IndexError, KeyError, TypeError, ValueError) as error:
        raise StorageError("a complete result file", f"{str(path)!r} ({error})", "Save it again.") from error


def _pack_embeddings(e: Embeddings) -> tuple[Arrays, dict[str, Any]]:
    arrays = {
        "image": e.image,
        "region": e.region,
        "text": e.text,
        "boxes": e.regions.boxes,
        "image_index": e.regions.image_index,
        "labels": e.labels,
    }
    meta = {
        "class_names": list(e.class_names),
        "temperature": e.temperature,
        "model_name": e.model_name,
        "data_name": e.data_name,
        "proposer_name": e.proposer_name,
        "region_method": e.region_method,
        "templates": list(e.templates),
        "unreadable": [[each.index, each.where, each.reason] for each in e.unreadable],
    }
    return arrays, meta


def _unpack_embeddings(a: Arrays, meta: dict[str, Any]) -> Embeddings:
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
        meta.get("proposer_name", ""),  # files of 0.1.0's first weeks lack these four
        meta.get("region_method", ""),
        tuple(meta.get("templates", ())),
        tuple(Unreadable(*each) for each in meta.get("unreadable", ())),
    )


def _pack_discovery(d: Discovery) -> tuple[Arrays, dict[str, Any]]:
    arrays, meta = _pack_embeddings(d.scores.embeddings)
    arrays |= {
        "image_scores": d.scores.image,
        "region_scores": d.scores.region,
        "clusters": d.clustering.labels,
        "medoids": d.clustering.medoids,
    }
    sweep = d.clustering.sweep
    meta |= {
        "loss": d.clustering.loss,
        "sweep": {column: sweep[column].tolist() for column in sweep.columns},
        "min_influence": d.min_influence,
        "rule": d.rule,
    }
    return arrays, meta


def _unpack_discovery(a: Arrays, meta: dict[str, Any]) -> Discovery:
    scores = Scores(a["image_scores"], a["region_scores"], _unpack_embeddings(a, meta))
    clustering = Clustering(a["clusters"], a["medoids"], meta["loss"], pd.DataFrame(meta["sweep"]))
    return discover(scores, clustering, min_influence=meta["min_influence"], rule=meta["rule"])


def _pack_mitigation(m: Mitigation) -> tuple[Arrays, dict[str, Any]]:
    state: dict[str, Any] = getattr(m.model, "state_dict")  # noqa: B009  every open_clip model here has it
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}
    meta = {
        "objective": m.objective.name,
        "settings": vars(m.settings),
        "features": [each.cluster for each in m.features],
        "complete": m.complete,
        "history": m.history.frame().to_dict(orient="list"),
    }
    return arrays, meta


_KINDS: dict[str, tuple[type, Callable[[Any], tuple[Arrays, dict[str, Any]]], Callable[..., Any] | None]] = {
    "discovery": (Discovery, _pack_discovery, _unpack_discovery),
    "embeddings": (Embeddings, _pack_embeddings, _unpack_embeddings),
    "mitigation": (Mitigation, _pack_mitigation, None),
}
