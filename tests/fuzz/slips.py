"""Public functions and classes with one or two arguments of a wrong kind or value."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

Call = tuple[Callable[..., Any], dict[str, Any]]
ODD: tuple[Callable[[], Any], ...] = tuple(
    (lambda value=value: value)
    for value in (
        None, True, False, -1, 0, 1, 2, 3, 0.5, 1.5, -0.5, float("nan"), float("inf"), 1e308, 2**31, 2**70, -(2**70),
        1j, "", "x", "0", "1", "1e-4", "a\0b", "\ud800", b"x", Path(), Path("no/such"), [], [0], [-1], [None], ["x"],
        [1.5], [[1, 2]], [0] * 5, (), (1,), {}, {"x": 1}, set(), range(0), range(3), int, object(), np.float64("nan"),
        np.int64(3), np.zeros(0), np.zeros(3), np.zeros((2, 3)), np.full(24, np.nan), np.zeros(24, int),
        np.zeros((24, 1), int), np.full(24, 99), np.arange(24) + 0.5, np.array(["x"] * 24), np.ones(24, bool),
        np.array(None), np.zeros((0, 4)), np.array([[3, 3, 1, 1.0]]), np.datetime64("2020"),
    )
)  # fmt: skip
TIME = frozenset({"epochs", "n_permutations", "max_passes", "n_samples", "warmup_steps"})  # large ones are only slow


@cache
def sound() -> dict[str, Any]:
    """What the functions are called with when nothing is wrong."""
    import ravl_explore as rx
    from ravl_explore import objectives
    from tests.fuzz.files import parts

    model, val, train, discovery, feature = parts()
    scores = discovery.scores
    assignment, marked = rx.assign(scores.embeddings, feature), rx.assign(rx.embed(model, train), feature)
    evaluation = rx.evaluate(scores, assignment)
    mitigation = rx.mitigate(model, train, marked, objectives.Shift())
    return {
        "model": model, "val": val, "train": train, "embeddings": scores.embeddings, "scores": scores,
        "clustering": discovery.clustering, "discovery": discovery, "feature": feature, "assignment": assignment,
        "marked": marked, "evaluation": evaluation, "comparison": rx.compare(evaluation, evaluation),
        "mitigation": mitigation,
    }  # fmt: skip


@cache
def calls() -> dict[str, Call]:
    """Name -> a function and arguments that are sound."""
    import ravl_explore as rx
    from ravl_explore import captions, clustering, concepts, data, metrics, models, objectives, plots, regions, training
    from ravl_explore.assignment.features import ClusterFeature
    from ravl_explore.data.annotations import Annotations
    from ravl_explore.experiments import Experiment
    from ravl_explore.report import report_html

    s, quick = sound(), training.TrainingSettings(batch_size=8)
    e, n = s["embeddings"], len(s["val"])
    folder = Path(tempfile.mkdtemp(prefix="ravl-fuzz-"))
    pixels, labels = np.zeros((n, 8, 8, 3), np.uint8), np.arange(n) % 2
    found: dict[str, Call] = {
        "embed": (
            rx.embed,
            {
                "model": s["model"],
                "data": s["val"],
                "proposer": regions.Grid(2, 2),
                "templates": ("a {}",),
                "batch_size": 8,
                "temperature": 0.07,
                "cache": False,
                "max_unreadable": 0,
            },
        ),
        "zero_shot": (rx.zero_shot, {"embeddings": e}),
        "discover": (
            rx.discover,
            {"scores": s["scores"], "clustering": s["clustering"], "min_influence": 0.2, "rule": "paper"},
        ),
        "search": (
            rx.search,
            {
                "model": s["model"],
                "data": s["val"],
                "proposer": regions.Grid(2, 2),
                "n_clusters": 4,
                "templates": ("a {}",),
                "min_influence": 0.2,
                "rule": "paper",
                "seed": 0,
                "batch_size": 8,
            },
        ),
        "choose": (
            lambda one, two: s["discovery"].choose(one, two),
            {"one": s["feature"].clusters[0], "two": s["discovery"].clusters[1]},
        ),
        "assign": (rx.assign, {"embeddings": e, "feature": s["feature"], "labels": e.labels}),
        "check_features": (rx.check_features, {"embeddings": e, "feature": s["feature"], "labels": e.labels}),
        "evaluate": (rx.evaluate, {"scores": s["scores"], "assignment": s["assignment"], "min_group_size": 1}),
        "compare": (rx.compare, {"before": s["evaluation"], "after": s["evaluation"]}),
        "mitigate": (
            rx.mitigate,
            {
                "model": s["model"],
                "data": s["train"],
                "assignment": s["marked"],
                "objective": objectives.Standard(),
                "epochs": 1,
                "learning_rate": 1e-4,
                "seed": 0,
                "settings": quick,
                "validation": None,
                "concepts": None,
                "folder": None,
            },
        ),
        "run_all": (
            rx.run_all,
            {
                "model": s["model"],
                "train_data": s["train"],
                "feature": s["feature"],
                "test_data": s["val"],
                "objectives": {"shift": objectives.Shift()},
                "seeds": [0],
                "proposer": regions.Grid(2, 2),
                "validation": None,
                "labels": None,
                "concepts": None,
                "epochs": 1,
                "learning_rate": 1e-4,
                "settings": quick,
                "folder": None,
            },
        ),
        "Experiment": (
            lambda **given: Experiment(**given).before(),
            {
                "model": s["model"],
                "train_data": s["train"],
                "feature": s["feature"],
                "test_data": s["val"],
                "proposer": regions.Grid(2, 2),
                "validation": None,
                "searched": None,
                "labels": None,
                "concepts": None,
            },
        ),
        "relevance_maps": (
            rx.relevance_maps,
            {"model": s["model"], "data": s["val"], "images": [0, 1], "classes": "label", "score": "contrast"},
        ),
        "save": (rx.save, {"noun": s["discovery"], "path": folder / "d.safetensors"}),
        "load": (rx.load, {"path": rx.save(s["discovery"], folder / "e.safetensors"), "model": None}),
        "report_html": (
            report_html,
            {"discovery": s["discovery"], "data": s["val"], "n_suspects": 2, "n_typical": 2, "n_errors": 1},
        ),
        "KMedoids": (
            lambda region, **k: clustering.KMedoids(**k)(region),
            {"region": e.region, "n_clusters": 4, "seed": 0, "max_passes": 10},
        ),
        "Clara": (
            lambda region, **k: clustering.Clara(**k)(region),
            {"region": e.region, "n_clusters": 4, "seed": 0, "sample_size": 40, "n_samples": 2},
        ),
        "Clustering": (clustering.Clustering, dict(vars(s["clustering"]))),
        "Embeddings": (
            rx.Embeddings,
            {f: getattr(e, f) for f in ("image", "region", "text", "regions", "labels", "class_names", "temperature")},
        ),
        "Scores": (rx.Scores, {"image": s["scores"].image, "region": s["scores"].region, "embeddings": e}),
        "Regions": (regions.Regions, {"boxes": np.array([[0, 0, 4, 4.0]]), "image_index": np.array([0])}),
        "ClusterFeature": (lambda **given: rx.assign(e, ClusterFeature(**given)), dict(vars(s["feature"]))),
        "Assignment": (rx.Assignment, dict(vars(s["assignment"]))),
        "Annotations": (
            lambda **given: replace(e, annotations=Annotations(**given)),
            dict(vars(e.annotations)),
        ),
        "Grid": (lambda **k: regions.Grid(**k)(s["val"]), {"rows": 2, "cols": 2}),
        "Sliding": (lambda **k: regions.Sliding(**k)(s["val"]), {"size": 0.5, "step": 0.25}),
        "Random": (lambda **k: regions.Random(**k)(s["val"]), {"n": 4, "seed": 0, "min_size": 0.1, "max_size": 0.5}),
        "Given": (lambda **k: regions.Given(**k)(s["val"]), {"regions": s["val"].regions}),
        "Detector": (regions.Detector, {"weights": None, "n_boxes": 10, "nms": 0.9, "device": "cpu"}),
        "ArrayDataset": (
            data.ArrayDataset,
            {
                "images": pixels,
                "labels": labels,
                "class_names": ["a", "b"],
                "templates": ["a {}"],
                "captions": ["x"] * n,
                "feature_name": "f",
                "feature_present": labels == 1,
            },
        ),
        "Subset": (data.Subset, {"data": s["val"], "index": [0, 1, 2, 3], "name": "s"}),
        "Folder": (data.Folder, {"path": folder, "templates": ["a {}"]}),
        "Table": (
            data.Table,
            {"path": folder / "t.csv", "image": "path", "label": "label", "root": folder, "class_names": None},
        ),
        "Coco": (data.Coco, {"annotations": folder / "c.json", "images": folder, "classes": None, "multiple": "drop"}),
        "ImageFiles": (
            data.ImageFiles,
            {"files": [folder / "a.png"], "labels": [0], "class_names": ["a", "b"], "root": folder},
        ),
        "DemoData": (data.Demo, {"split": "val"}),
        "DemoModel": (models.Demo, {"checkpoint": "vit-clean", "device": "cpu", "region_method": "tokens"}),
        "Checkpoint": (
            models.Checkpoint,
            {"path": folder / "m.pt", "device": "cpu", "architecture": None, "quick_gelu": None, "region_method": None},
        ),
        "OpenClip": (models.OpenClip, {"name": "ViT-B-32", "pretrained": "openai", "device": "cpu"}),
        "HuggingFace": (models.HuggingFace, {"repository": "a/b", "device": "cpu"}),
        "PubMedCLIP": (models.PubMedCLIP, {"version": "RN50"}),
        "open_model": (models.open_model, {"text": "demo:clean", "device": "cpu"}),
        "open_dataset": (data.open_dataset, {"text": "demo:val"}),
        "open_proposer": (regions.open_proposer, {"text": "grid:2x2"}),
        "TrainingSettings": (
            training.TrainingSettings,
            {
                "epochs": 1,
                "learning_rate": 1e-4,
                "batch_size": 8,
                "seed": 0,
                "freeze_batch_norm": True,
                "schedule": "cosine",
                "warmup_steps": 1,
                "weight_decay": 0.1,
                "accumulate": 1,
                "precision": "float32",
                "region_chunk": None,
                "patience": None,
                "monitor": "accuracy",
            },
        ),
        "MaskFiles": (concepts.MaskFiles, {"path": folder}),
        "Discovered": (concepts.Discovered, {"promote": "core"}),
        "CaptionLabeller": (
            captions.CaptionLabeller,
            {"class_names": ["a", "b"], "synonyms": {"a": ["x"]}, "ambiguity": "skip", "negation": True},
        ),
        "label": (captions.label, {"data": s["val"], "labeller": None}),
        "group_accuracy": (
            metrics.group_accuracy,
            {
                "correct": labels == 0,
                "labels": labels,
                "present": labels == 1,
                "class_names": ("a", "b"),
                "min_size": 1,
            },
        ),
        "precision_at_k": (
            metrics.precision_at_k,
            {"region_index": np.arange(4), "region_feature": np.ones(8, bool), "k": 2},
        ),
        "accuracy_interval": (metrics.accuracy_interval, {"hits": np.array([1]), "n": np.array([2]), "level": 0.95}),
        "false_discovery_rate": (metrics.false_discovery_rate, {"p_values": np.array([0.1, 0.2])}),
        "region_map": (
            plots.region_map,
            {
                "discovery": s["discovery"],
                "xy": np.zeros((len(e.region), 2)),
                "color_by": "cluster",
                "selection": None,
                "theme": "light",
            },
        ),
        "comparison_figure": (plots.comparison_figure, {"comparison": s["comparison"], "theme": "light"}),
        "curves": (
            plots.curves,
            {"history": s["mitigation"].history, "previous": (), "theme": "light", "n_steps": None, "title": ""},
        ),
    }
    options = {
        "CounterfactualRegions": {
            "probability": 0.5,
            "mode": "swap",
            "blend": "none",
            "donors": "any",
            "clusters": "together",
            "upsample": False,
        },
        "RegionAware": {"weight": 0.8, "reduction": "mean", "duplicates": "unique", "max_spurious": None},
        "ConceptGuided": {
            "align": 0.8,
            "concept": 0.5,
            "non": 1.2,
            "cls": 0.2,
            "target": "prediction",
            "score": "contrast",
        },
        "SpuriousAware": {"class_weight": 1.0, "spurious_weight": 1.0, "stand_in": "images"},
        "VlGdro": {"weight": 0.8, "rate": 0.01, "adjustment": 0.0, "upsample": True},
        "VlErm": {"weight": 0.8, "upsample": True},
        "Upsampled": {"equal_captions": "negatives"},
        "Shift": {"axis": "images"},
    }
    return found | {name: (getattr(objectives, name), given) for name, given in options.items()}


def slip(rng: np.random.Generator) -> tuple[str, Call]:
    """A description, and a call of which one argument (sometimes two) is odd."""
    names = sorted(calls())
    name = names[int(rng.integers(len(names)))]
    function, arguments = calls()[name]
    chosen = rng.permutation(sorted(arguments))[: 2 if rng.random() < 0.2 else 1]
    odd = {}
    for argument in (str(each) for each in chosen):
        value: Any = ODD[int(rng.integers(len(ODD)))]()
        if rng.random() < 0.15:  # a sound thing of another kind
            value = list(sound().values())[int(rng.integers(len(sound())))]
        if rng.random() < 0.03:
            value = iter([1, 2])
        if argument in TIME and isinstance(value, (int, float)) and value > 3:
            value = 3
        odd[argument] = value
    shown = ", ".join(f"{key}={_short(value)}" for key, value in odd.items())
    return f"{name}({shown})", (function, arguments | odd)


def _short(value: Any) -> str:
    text = repr(value).encode("ascii", "backslashreplace").decode()
    return text if len(text) < 60 else f"{text[:57]}..."


def run_out(found: Any) -> None:
    """Take what is lazy."""
    if hasattr(found, "__next__"):
        list(itertools.islice(found, 10))
