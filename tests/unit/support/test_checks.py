"""Nouns that cannot be are not made, and every verb names the argument that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ravl_explore as rx
from ravl_explore import clustering, data, metrics, objectives, regions
from ravl_explore.data.annotations import Annotations
from ravl_explore.data.known_images import Identity
from ravl_explore.errors import DataError, InputError, RavlError
from ravl_explore.mitigation import begin
from ravl_explore.regions.base import Regions
from ravl_explore.support import checks
from ravl_explore.training import History, TrainingSettings

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest, model: Any, make_embeddings: Make, cluster: Make) -> SimpleNamespace:
    """One of each noun, of three pictures of two classes."""
    rng = np.random.default_rng(0)
    pictures = data.ArrayDataset(rng.integers(0, 255, (6, 32, 32, 3), np.uint8), [0, 1, 0, 1, 0, 1], ("cat", "dog"))
    embeddings = rx.embed(model, pictures)
    scores = rx.zero_shot(embeddings)
    found = rx.discover(scores, cluster(embeddings.region, [0, 1, 2]), min_influence=0)
    feature = found.choose(found.clusters[0])
    marked = rx.assign(embeddings, feature)
    evaluation = rx.evaluate(scores, marked)
    return SimpleNamespace(
        model=model,
        pictures=pictures,
        embeddings=embeddings,
        scores=scores,
        clustering=found.clustering,
        discovery=found,
        feature=feature,
        assignment=marked,
        evaluation=evaluation,
    )


# --- nouns ------------------------------------------------------------------------------------------------------------

NOUNS: list[tuple[str, str, Callable[[Any], Any], str]] = [
    ("embeddings", "labels", lambda x: x[:, None], "labels as an array"),
    ("embeddings", "labels", lambda x: x + 0.5, "labels as an array of integers"),
    ("embeddings", "labels", lambda x: x - 1, "labels from 0 to 1, got -1 to 0"),
    ("embeddings", "labels", lambda x: x.astype(str), "labels as an array"),
    ("embeddings", "labels", list, "labels as an array of integers .* got a list"),
    ("embeddings", "text", lambda x: x[:1], "a name for each of 1 embedded classes"),
    ("embeddings", "class_names", lambda x: x[:1], "a name for each of 2 embedded classes, got 1 class_names"),
    ("embeddings", "class_names", lambda x: "ab", "class_names as a list"),
    ("embeddings", "class_names", lambda x: (0, 1), "class_names as a list of str, got 0 in it"),
    ("embeddings", "image", lambda x: x[:, :, None], "image as an array of floats"),
    ("embeddings", "image", lambda x: x.astype(int), "image as an array of floats"),
    ("embeddings", "region", lambda x: x.tolist(), "region as an array of floats"),
    ("embeddings", "regions", lambda x: Regions(x.boxes, x.image_index + 500), "image indices below 6, got 505"),
    ("embeddings", "regions", lambda x: x.boxes, "regions a Regions, got an array"),
    ("embeddings", "temperature", lambda x: 1e-320, "a temperature above 0"),
    ("embeddings", "temperature", lambda x: 1e30, "a temperature above 0"),
    ("embeddings", "temperature", lambda x: None, "a temperature above 0, got None"),
    ("embeddings", "temperature", lambda x: True, "a temperature above 0, got True"),
    ("embeddings", "data_name", lambda x: None, "data_name a text"),
    ("scores", "image", lambda x: x * np.nan, "finite image scores"),
    ("scores", "image", lambda x: x[:-1], r"image scores as an array of floats of shape \(6, 2\)"),
    ("scores", "image", lambda x: x[:, :1], r"of shape \(6, 2\)"),
    ("scores", "region", lambda x: np.log(x), "region scores from 0 to 1 whose rows add up to 1"),
    ("scores", "region", lambda x: x / 2, "region scores from 0 to 1 whose rows add up to 1, got row 0 .* sum of 0.5"),
    ("scores", "region", lambda x: x + np.array([1, -1]), "region scores from 0 to 1"),
    ("scores", "embeddings", lambda x: None, "embeddings an Embeddings, got None"),
    ("clustering", "medoids", lambda x: x * 0, "clusters that hold their medoids"),
    ("clustering", "medoids", lambda x: x + 10**6, "medoids from 0 to 23"),
    ("clustering", "medoids", lambda x: x[:0], "at least one cluster, got none"),
    ("clustering", "labels", lambda x: x * 0, "clusters that hold their medoids, got cluster 1 empty"),
    ("clustering", "labels", lambda x: x + 1, "labels of 3 clusters, as many as medoids"),
    ("clustering", "labels", lambda x: x - 1, "cluster labels from 0 up"),
    ("clustering", "labels", lambda x: x.astype(float), "cluster labels as an array of signed integers"),
    ("clustering", "loss", lambda x: float("nan"), "loss of 0 or more, got nan"),
    ("discovery", "clusters", lambda x: x[:-1], "each of 3 clusters once"),
    ("discovery", "min_influence", lambda x: 7, "min_influence from 0 to 1"),
    ("assignment", "present", lambda x: ~x, "the same images and regions marked"),
    ("assignment", "present", lambda x: x.astype(int), "present as an array of booleans"),
    ("assignment", "spurious", lambda x: x[:-1], "spurious as an array of booleans"),
    ("assignment", "core", lambda x: x | True, "core regions that are not spurious"),
    ("assignment", "regions", lambda x: Regions(x.boxes, x.image_index + 9), "image indices below 6"),
    ("assignment", "attribute", lambda x: 3, "attribute a text, got 3"),
    ("assignment", "feature", lambda x: 3, "feature a Feature, got 3"),
    ("assignment", "labels", lambda x: np.zeros(3), "labels as an array of signed integers"),
    ("embeddings", "annotations", lambda x: None, "annotations an Annotations, got None"),
    ("embeddings", "annotations", lambda x: Annotations("red", np.zeros(5, bool)), r"feature_present as .* \(6,\)"),
    ("embeddings", "annotations", lambda x: Annotations("red", np.zeros(6)), "feature_present as an array of booleans"),
    ("embeddings", "annotations", lambda x: Annotations(3), "feature_name a text, got 3"),  # type: ignore[arg-type]
    ("embeddings", "annotations", lambda x: Annotations(None, None, np.full(24, 2)), "region_labels from -1 to 1"),
    ("embeddings", "annotations", lambda x: Annotations(None, None, np.zeros(6, int)), r"region_labels as .* \(24,\)"),
    ("evaluation", "labels", lambda x: x + 1, "labels from 0 to 1, got 1 to 2"),
    ("evaluation", "predictions", lambda x: x[:-1], "predictions as an array"),
    ("evaluation", "predictions", lambda x: x + 5, "predictions from 0 to 1"),
    ("evaluation", "labels", lambda x: 0 * x, "groups of the labelled images"),
    ("evaluation", "class_names", lambda x: (*x, "hen"), "6 groups, two a class"),
    ("evaluation", "found", lambda x: None if x is None else x.astype(float), "found as an array of booleans"),
    ("evaluation", "gap", lambda x: "0.5", "gap of 0 or more, got '0.5'"),
]


@pytest.mark.parametrize(("noun", "field", "change", "told"), NOUNS, ids=lambda each: getattr(each, "__name__", each))
def test_a_noun_that_cannot_be_is_not_made(
    made: SimpleNamespace, noun: str, field: str, change: Callable[[Any], Any], told: str
) -> None:
    value = getattr(made, noun)
    with pytest.raises(InputError, match=told):
        replace(value, **{field: change(getattr(value, field))})


def test_nouns_that_can_be_are_kept_as_they_are(made: SimpleNamespace) -> None:
    for noun in ("embeddings", "scores", "clustering", "discovery", "assignment", "evaluation"):
        value = getattr(made, noun)
        same = replace(value)
        assert all(getattr(same, each.name) is getattr(value, each.name) for each in fields(value)), noun


def test_small_integers_do_not_overflow(made: SimpleNamespace) -> None:
    small = replace(made.embeddings, labels=made.embeddings.labels.astype(np.uint8))
    assert small.labels.dtype == np.int64
    names = tuple(f"class {i}" for i in range(200))
    labels = np.arange(200).astype(np.uint8)
    groups = metrics.group_accuracy(np.ones(200, bool), labels, np.ones(200, bool), names, 1)
    assert groups.table["n"].tolist() == [0, 1] * 200


def test_arrays_on_disk_are_not_copied(made: SimpleNamespace, tmp_path: Any) -> None:
    np.save(tmp_path / "region.npy", made.embeddings.region)
    mapped = np.load(tmp_path / "region.npy", mmap_mode="r")
    kept = replace(made.embeddings, region=mapped)
    assert kept.region is mapped


@pytest.mark.parametrize(
    ("boxes", "image_index", "told"),
    [
        ([[0, 0, 4, 4]], [0.5], "image_index as integers"),
        ([[0, 0, 4, 4]], [0.0], "image_index as integers"),
        ([[0, 0, 4, 4]], ["0"], "image_index as integers"),
        ([["0", "0", "4", "4"]], [0], "boxes as numbers"),
        ([[0, 0, 4, 4], [0, 0]], [0, 0], "boxes as an array, got lists"),
        ([[0, 0, 4, 4]], [True], "image_index as integers"),
    ],
)
def test_regions_of_other_kinds(boxes: list[Any], image_index: list[Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        Regions(boxes, image_index)  # type: ignore[arg-type]


@pytest.mark.parametrize("records", [None, 3, "x", [1], [{"step": 1}]])
def test_a_history_holds_records(records: Any) -> None:
    with pytest.raises(InputError, match="records as a list"):
        History(records)


# --- verbs ------------------------------------------------------------------------------------------------------------

HUGE = 10**60
SLIPS: list[tuple[str, Callable[[Any], Any]]] = [
    ("assignment an Assignment, got a SpuriousFeature", lambda m: m.go(assignment=m.discovery.clusters[0])),
    ("assignment an Assignment, got a Discovery", lambda m: m.go(assignment=m.discovery)),
    ("assignment an Assignment, got a list", lambda m: m.go(assignment=["cluster 3"])),
    ("assignment an Assignment, got a list", lambda m: m.go(assignment=[m.feature, m.feature])),
    ("each cluster by itself, got a list", lambda m: m.discovery.choose(["cluster 3"])),
    ("cluster a whole number from 0 up, got 'cluster 3'", lambda m: m.discovery.choose("cluster 3")),
    ("each cluster once", lambda m: m.discovery.choose(0, 0)),
    ("objective an objective, got the class Standard itself", lambda m: m.go(objective=objectives.Standard)),
    ("objective an objective, got 'standard'", lambda m: m.go(objective="standard")),
    ("objective an objective, got a list", lambda m: m.go(objective=[objectives.Standard()])),
    ("seed a whole number up to", lambda m: m.go(seed=2**64)),
    ("seed a whole number from 0 up, got 'one'", lambda m: m.go(seed="one")),
    ("epochs a whole number up to 1,000,000, got a number of 61 digits", lambda m: m.go(epochs=HUGE)),
    ("batch_size a whole number up to", lambda m: TrainingSettings(batch_size=10**12)),
    ("learning_rate between 0 and 1, got '1e-4'", lambda m: m.go(learning_rate="1e-4")),
    ("settings a TrainingSettings, got a dict", lambda m: m.go(settings={"epochs": 1})),
    ("folder a path, got ''", lambda m: m.go(folder="")),
    ("folder a path, got 3", lambda m: m.go(folder=3)),
    ("validation a dataset, got 'val'", lambda m: m.go(validation="val")),
    (r"validation=images, or \(images, assignment\), got a tuple of 1", lambda m: m.go(validation=(m.pictures,))),
    ("the assignment of validation an Assignment", lambda m: m.go(validation=(m.pictures, "x"))),
    (
        "settings a TrainingSettings, got 3",
        lambda m: begin(m.model, m.pictures, m.assignment, objectives.Standard(), 3),
    ),  # type: ignore[arg-type]
    ("assignment an Assignment, got an array", lambda m: m.go(assignment=m.assignment.present)),
    ("data a dataset, got 'images'", lambda m: m.go(data="images")),
    ("concepts a source of concept masks", lambda m: m.go(concepts="masks.json")),
    ("data a dataset, got 'images'", lambda m: rx.embed(m.model, "images")),  # type: ignore[arg-type]
    ("data a dataset, got the class Demo itself", lambda m: rx.embed(m.model, data.Demo)),  # type: ignore[arg-type]
    ("data a dataset, got a dict", lambda m: rx.embed(m.model, {})),  # type: ignore[arg-type]
    ("model a model, got 'demo:spurious'", lambda m: rx.embed("demo:spurious", m.pictures)),  # type: ignore[arg-type]
    ("proposer a proposer of regions, got 'grid:2x2'", lambda m: rx.embed(m.model, m.pictures, "grid:2x2")),  # type: ignore[arg-type]
    ("proposer a proposer of regions, got the class Grid", lambda m: rx.embed(m.model, m.pictures, regions.Grid)),  # type: ignore[arg-type]
    ("proposer a proposer of regions, got Regions", lambda m: rx.embed(m.model, m.pictures, m.embeddings.regions)),
    ("proposer a proposer of regions, got 3", lambda m: rx.search(m.model, m.pictures, 3)),  # type: ignore[arg-type]
    ("batch_size a whole number", lambda m: rx.embed(m.model, m.pictures, batch_size=1.5)),  # type: ignore[arg-type]
    ("batch_size a whole number", lambda m: rx.embed(m.model, m.pictures, batch_size="8")),  # type: ignore[arg-type]
    ("batch_size a whole number", lambda m: rx.embed(m.model, m.pictures, batch_size=True)),
    ("a temperature above 0", lambda m: rx.embed(m.model, m.pictures, temperature=float("inf"))),
    ("max_unreadable a whole", lambda m: rx.embed(m.model, m.pictures, max_unreadable=float("nan"))),  # type: ignore[arg-type]
    ("cache a path", lambda m: rx.embed(m.model, m.pictures, cache="")),
    ("progress a function", lambda m: rx.embed(m.model, m.pictures, progress=5)),  # type: ignore[arg-type]
    ("templates", lambda m: rx.embed(m.model, m.pictures, templates=(3,))),  # type: ignore[arg-type]
    ("embeddings an Embeddings", lambda m: rx.zero_shot(m.embeddings.image)),
    ("scores a Scores, got an Embeddings", lambda m: rx.discover(m.embeddings, m.clustering)),
    ("clustering a Clustering", lambda m: rx.discover(m.scores, clustering.KMedoids(3))),
    ("clustering a Clustering", lambda m: rx.discover(m.scores, m.clustering.labels)),
    ("a rule in", lambda m: rx.discover(m.scores, m.clustering, rule=["paper"])),  # type: ignore[arg-type]
    ("min_influence from 0 to 1", lambda m: rx.discover(m.scores, m.clustering, min_influence="0.5")),  # type: ignore[arg-type]
    ("clusterer a clusterer", lambda m: rx.search(m.model, m.pictures, clusterer=clustering.KMedoids)),
    ("at most 100,000 clusters", lambda m: rx.search(m.model, m.pictures, n_clusters=range(2, 10**12))),
    ("seed a whole number", lambda m: rx.search(m.model, m.pictures, seed=-1)),
    ("min_group_size", lambda m: rx.evaluate(m.scores, min_group_size=float("nan"))),  # type: ignore[arg-type]
    ("assignment an Assignment", lambda m: rx.evaluate(m.scores, m.discovery)),
    ("before an Evaluation, got None", lambda m: rx.compare(None, None)),  # type: ignore[arg-type]
    ("after an Evaluation", lambda m: rx.compare(m.evaluation, m.scores)),
    ("scores a Scores, got an Embeddings", lambda m: rx.evaluate(m.embeddings)),
    ("feature a Feature, got a SpuriousFeature", lambda m: rx.assign(m.embeddings, m.discovery.clusters[0])),
    ("embeddings an Embeddings", lambda m: rx.assign(m.pictures, m.feature)),
    ("labels as an array, got a list", lambda m: rx.assign(m.embeddings, m.feature, labels=[0] * 6)),  # type: ignore[arg-type]
    ("feature a Feature, got a SpuriousFeature", lambda m: rx.check_features(m.embeddings, m.discovery.clusters[0])),
    ("embeddings an Embeddings", lambda m: rx.check_features(m.scores, m.feature)),
    ("feature a Feature, got a list", lambda m: m.all(feature=[m.feature])),
    ("seeds as a list, got 5", lambda m: m.all(seeds=5)),
    ("each of seeds a whole number", lambda m: m.all(seeds=[0.5])),
    ("objectives as a list", lambda m: m.all(objectives=objectives.Standard())),
    ("each of objectives an objective", lambda m: m.all(objectives=[objectives.Standard])),
    (r"objectives\['ours'\] an objective", lambda m: m.all(objectives={"ours": "standard"})),
    ("epochs a whole number", lambda m: m.all(epochs="3")),
    ("validation", lambda m: m.all(validation="val")),
    ("images as a list of numbers", lambda m: rx.relevance_maps(m.vit, m.pictures, [0.5])),
    ("images as a list of numbers", lambda m: rx.relevance_maps(m.vit, m.pictures, "0")),
    ("label, prediction, or one of", lambda m: rx.relevance_maps(m.vit, m.pictures, [0], True)),
    ("freeze_batch_norm True or False, got 'no'", lambda m: TrainingSettings(freeze_batch_norm="no")),  # type: ignore[arg-type]
    ("epochs a whole number", lambda m: TrainingSettings(epochs=True)),
    ("learning_rate between", lambda m: TrainingSettings(learning_rate=None)),  # type: ignore[arg-type]
    ("rows a whole number", lambda m: regions.Grid(1.5, 2)),  # type: ignore[arg-type]
    ("seed a whole number", lambda m: regions.Random(seed="a")),  # type: ignore[arg-type]
    ("min_size above 0", lambda m: regions.Random(min_size=float("nan"))),
    ("a step above 0 and at most 1", lambda m: regions.Sliding(0.5, "0.5")),  # type: ignore[arg-type]
    ("regions a Regions", lambda m: regions.Given([[0, 0, 1, 1]])),  # type: ignore[arg-type]
    ("data a dataset", lambda m: regions.Grid(2, 2)("images")),  # type: ignore[arg-type]
    ("weight from 0 to 1, got '0.8'", lambda m: objectives.RegionAware(weight="0.8")),  # type: ignore[arg-type]
    ("upsample True or False", lambda m: objectives.VlErm(upsample="no")),  # type: ignore[arg-type]
    ("loss an objective", lambda m: objectives.CounterfactualRegions(loss=objectives.RegionAware)),  # type: ignore[arg-type]
    ("path a path", lambda m: rx.save(m.discovery, "")),
    ("path a path", lambda m: rx.load(3)),  # type: ignore[arg-type]
    ("clusterings", lambda m: clustering.choose(5)),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("told", "call"), SLIPS, ids=[told for told, _ in SLIPS])
def test_a_slip_is_told_by_the_name_of_the_argument(
    made: SimpleNamespace, told: str, call: Callable[[Any], Any]
) -> None:
    def go(**changes: Any) -> Any:
        arguments: dict[str, Any] = {"data": made.pictures, "assignment": made.assignment}
        arguments |= {"objective": objectives.Standard(), "settings": TrainingSettings(epochs=1, batch_size=2)}
        return rx.mitigate(made.model, **(arguments | changes))

    def run_all(**changes: Any) -> Any:
        return rx.run_all(made.model, made.pictures, changes.pop("feature", made.feature), made.pictures, **changes)

    vit = SimpleNamespace(
        trace=None, **{name: getattr(made.model, name) for name in ("name", "dim", "image_size", "region_method")}
    )
    vit.trace, vit.visual, vit.embed_text, vit.encode = print, made.model.visual, made.model.embed_text, print
    with pytest.raises(InputError, match=told):
        call(SimpleNamespace(**vars(made), go=go, all=run_all, vit=vit))


def test_settings_become_numbers_that_a_file_can_hold() -> None:
    settings = TrainingSettings(epochs=np.int64(2), learning_rate=np.float32(0.5), freeze_batch_norm=np.bool_(True))  # type: ignore[arg-type]
    assert [type(each) for each in (settings.epochs, settings.learning_rate, settings.freeze_batch_norm)] == [
        int,
        float,
        bool,
    ]


@pytest.mark.parametrize(
    "proposer",
    [
        regions.Sliding(0.5, 1e-9),
        regions.Random(10**15),
        regions.Grid(10**6, 10**6),
        regions.Grid(10**30, 1),
        regions.Sliding(1e-6, 1e-6),
    ],
    ids=lambda each: type(each).__name__,
)
def test_more_boxes_than_memory_holds_are_refused_at_once(proposer: Any) -> None:
    sizes = SimpleNamespace(image_sizes=np.full((1000, 2), 64))
    with pytest.raises(InputError, match=r"what fits in memory .* boxes .* in 1,000 images.*which need"):
        proposer(sizes)


# --- belonging together -----------------------------------------------------------------------------------------------


def test_other_images_of_the_same_labels_are_refused(made: SimpleNamespace) -> None:
    def scored(images: Any) -> rx.Scores:
        return rx.zero_shot(rx.embed(made.model, images))

    other = data.ArrayDataset(np.zeros((6, 32, 32, 3), np.uint8), made.pictures.labels, ("cat", "dog"))
    for call in (
        lambda: made.embeddings.of(other),
        lambda: rx.evaluate(scored(other), made.assignment),
        lambda: rx.mitigate(made.model, other, made.assignment, objectives.Standard()),
        lambda: rx.compare(made.evaluation, rx.evaluate(scored(other))),
    ):
        with pytest.raises(InputError, match=r"other images|two evaluations of the same dataset"):
            call()
    with pytest.raises(InputError, match="other images"):
        rx.mitigate(
            made.model, made.pictures, made.assignment, objectives.Standard(), validation=(other, made.assignment)
        )


def test_the_same_images_in_another_wrapping_are_known_again(made: SimpleNamespace) -> None:
    pictures = made.pictures
    again = data.ArrayDataset([pictures.image(i) for i in range(6)], pictures.labels, pictures.class_names)
    for same in (
        again,
        data.Subset(again, np.arange(6)),
        data.Subset(data.Subset(again, [5, 4, 3, 2, 1, 0]), [5, 4, 3, 2, 1, 0]),
    ):
        assert made.embeddings.of(same) is same
    with pytest.raises(InputError, match="other images"):
        made.embeddings.of(data.Subset(again, [2, 1, 0, 3, 4, 5]))


def test_where_nothing_is_known_of_the_images_classes_labels_and_boxes_must_fit(made: SimpleNamespace) -> None:
    unknown = replace(made.embeddings, identity=Identity())
    pictures = made.pictures
    assert unknown.of(pictures) is pictures
    pixels = [pictures.image(i) for i in range(6)]
    for told, other in (
        ("classes", data.ArrayDataset(pixels, pictures.labels, ("cat", "hen"))),
        ("labels", data.ArrayDataset(pixels, 1 - pictures.labels, pictures.class_names)),
        ("every box inside", data.ArrayDataset([each[:20] for each in pixels], pictures.labels, pictures.class_names)),
    ):
        with pytest.raises(InputError, match=told):
            unknown.of(other)


# --- a class that the images lack -------------------------------------------------------------------------------------


def test_what_needs_a_class_that_the_images_lack_is_nan(made: SimpleNamespace) -> None:
    lacking = replace(made.evaluation, attribute="hen")
    assert np.isnan(lacking.shortcut()).all()
    table = rx.compare(lacking, lacking).frame().set_index("measure")
    assert table.loc[["ε1", "ε2"], ["before", "after", "difference", "low", "high"]].isna().to_numpy().all()
    assert table.loc["accuracy", "before"] == 100 * made.evaluation.image.overall
    with pytest.raises(InputError, match="one of the classes"):
        lacking.shortcut("hen")


def test_a_class_without_images_is_told_in_the_notes(made: SimpleNamespace) -> None:
    feature = replace(made.feature, attribute="hen")
    runs = rx.run_all(
        made.model, made.pictures, feature, made.pictures, objectives=[objectives.Projection()], seeds=[0]
    )
    assert np.isnan(runs.summary()["shortcut ε1"]).all() and not np.isnan(runs.summary()["image accuracy"]).any()
    assert "no image of 'hen', the class that the feature pulls to" in " ".join(runs.notes)


# --- the checks themselves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [True, 1.5, "1", None, [1], np.array([1, 2]), float("nan"), float("inf"), b"1"])
def test_what_is_no_whole_number(value: Any) -> None:
    with pytest.raises(InputError, match="n a whole number"):
        checks.whole("n", value, 0)


@pytest.mark.parametrize("value", [1, np.int8(1), np.uint64(1), np.array(1), 1.0])
def test_what_is_a_whole_number(value: Any) -> None:
    assert checks.whole("n", value, 0, 1) == 1 and type(checks.whole("n", value, 0)) is int


@pytest.mark.parametrize("value", [True, "1", None, [1], 1j, float("nan"), float("-inf"), np.array([1.0]), object])
def test_what_is_no_number(value: Any) -> None:
    with pytest.raises(InputError, match="n a finite number"):
        checks.number("n", value)


@pytest.mark.parametrize(
    ("bounds", "outside", "told"),
    [
        ({"low": 0, "high": 1}, 1.01, "n from 0 to 1"),
        ({"low": 0}, -1e-9, "n of 0 or more"),
        ({"above": 0, "below": 1}, 1, "n between 0 and 1"),
        ({"above": 0, "high": 1}, 0, "n above 0 and at most 1"),
        ({"low": 0, "below": 1}, 1, "n from 0 to below 1"),
        ({"above": 0}, 0, "n above 0"),
    ],
)
def test_bounds_of_numbers(bounds: dict[str, float], outside: float, told: str) -> None:
    with pytest.raises(InputError, match=told):
        checks.number("n", outside, **bounds)
    assert checks.number("n", np.float32(0.5), **bounds) == 0.5


def test_arrays_are_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "ROWS", 2)
    values = np.arange(7.0)
    assert checks.array("x", values, "f", (7,), 0, 6) is values
    for place in range(7):
        for bad in (np.nan, np.inf, -np.inf):
            broken = values.copy()
            broken[place] = bad
            with pytest.raises(InputError, match="finite x"):
                checks.array("x", broken, "f", (7,))
    with pytest.raises(InputError, match="x from 0 to 5, got 0 to 6"):
        checks.array("x", values, "f", (7,), 0, 5)


@pytest.mark.parametrize("value", [np.zeros((3, 3)), None, [[[0, 0, 0]]], np.zeros((2, 2, 4), np.uint8), "x.png"])
def test_what_is_no_image(value: Any) -> None:
    with pytest.raises(DataError, match="picture 7"):
        checks.pixels(value, "picture 7")


def test_every_error_is_ours_and_short(made: SimpleNamespace) -> None:
    with pytest.raises(RavlError) as raised:
        checks.whole("n", "9" * 10_000, 0)
    assert len(str(raised.value)) < 200
    with pytest.raises(RavlError, match="a number of thousands of digits"):
        checks.whole("n", 10**50_000, 0, 5)
