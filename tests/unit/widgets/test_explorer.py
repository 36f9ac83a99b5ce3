"""Explorer: one click leads to linked views of the headless chain's numbers, and whatever goes wrong loses nothing."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import comm
import numpy as np
import pandas as pd
import pytest
import torch
from ipywidgets.widgets.widget import _instances
from PIL import Image
from safetensors.torch import save_file

import ravl_explore as rx
from ravl_explore import clustering
from ravl_explore import data as data_sources
from ravl_explore.discovery.search import search
from ravl_explore.errors import DataError, InputError
from ravl_explore.plots.layout import pca_layout
from ravl_explore.regions import Grid
from ravl_explore.widgets import Explorer
from ravl_explore.widgets import explorer as explorer_module
from ravl_explore.widgets.basics.figure import LiveFigure
from ravl_explore.widgets.findings import discovery as findings_module

Make = Callable[..., Any]
SECONDS = 60.0  # far more than anything here takes


@pytest.fixture(autouse=True)
def quick_layout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stand-in for UMAP, which takes seconds to import; nothing is stored where the user's layouts are."""
    monkeypatch.setenv("RAVL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(findings_module, "umap_layout", lambda region, **_: 2 * pca_layout(region))


@pytest.fixture
def data(make_data: Make) -> Any:
    return make_data(24)


@pytest.fixture
def explorer(model: Any, data: Any, make_data: Make) -> Explorer:
    made = Explorer(model=model, data=data, train_data=make_data(24, 1), test_data=make_data(30, 2))
    made.panel.form.epochs.value, made.panel.form.batch_size.value = 2, 8
    return made


@pytest.fixture
def found(explorer: Explorer) -> Explorer:
    """An explorer after its first search."""
    run(explorer)
    assert explorer.discovery is not None and len(explorer.discovery.features) >= 2, explorer.message.text
    return explorer


def run(explorer: Explorer) -> None:
    explorer.run_button.click()
    explorer.wait()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def visible(explorer: Explorer) -> tuple[bool, bool, bool]:
    """Whether findings, mitigation and outcome are on show."""
    sections = (explorer._findings, explorer._mitigation, explorer._outcome)
    return tuple(each.layout.display != "none" for each in sections)  # type: ignore[return-value]


def usable(explorer: Explorer) -> bool:
    return not explorer.run_button.disabled and explorer.progress.layout.visibility == "hidden"


class TestSearch:
    def test_before_the_first_search_there_is_a_hint_and_nothing_else(self, explorer: Explorer) -> None:
        assert "Find shortcuts" in explorer.message.text and visible(explorer) == (False, False, False)
        assert (explorer.discovery, explorer.mitigation, explorer.comparison, explorer.crops) == (None,) * 4

    def test_the_hint_about_the_demo_goes_when_something_else_is_picked(self) -> None:
        explorer = Explorer()
        explorer.model.menu.value = "Demo: before fine-tuning"
        assert "The demo needs no download" in explorer.message.text
        explorer.data.menu.value = "Folder of images …"
        assert explorer.message.text == ""

    def test_what_was_assumed_and_left_out_is_noted(self, model: Any, data: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr(model, "assumptions", ("Assumed <this>.",), raising=False)
        monkeypatch.setattr(data, "notes", ("Dropped that.",), raising=False)
        explorer = Explorer(model=model, data=data, proposer=Grid(2, 2))
        run(explorer)
        assert explorer.notes.notes == ("Assumed <this>.", "Dropped that.") and "<this>" not in explorer.notes.value

    def test_the_same_as_without_widgets(self, found: Explorer, model: Any, data: Any) -> None:
        plain = search(model, data, Grid(2, 2)).discovery
        clusters = plain.clustering
        assert found.discovery is not None
        pd.testing.assert_frame_equal(found.discovery.frame(), plain.frame())
        pd.testing.assert_frame_equal(found.discovery.gaps(), plain.gaps())
        pd.testing.assert_frame_equal(found.discovery.clustering.sweep, clusters.sweep)
        np.testing.assert_array_equal(found.discovery.scores.region, plain.scores.region)

    def test_what_was_found_is_on_show_with_the_best_cluster_picked(self, found: Explorer) -> None:
        discovery = found.discovery
        assert discovery is not None and found.crops is not None
        best = discovery.best
        assert visible(found) == (True, True, False) and usable(found)
        assert [row["cluster"] for row in found.table.rows] == [each.cluster for each in discovery.clusters]
        assert found.table.selected == best.cluster
        assert found.map.selection == tuple(sorted(best.region_index.tolist()))
        assert found.crops._shown.index.tolist() == best.region_index.tolist(), "most typical first"
        assert found.panel.form.features.value == (best.cluster,)
        assert f"cluster {best.cluster}, pulls towards {best.attribute}" in found.message.text

    def test_the_map_moves_to_the_other_layout_when_that_is_ready(self, found: Explorer) -> None:
        assert found.discovery is not None
        found.map.figure.flush()
        assert found.map.figure.layout.xaxis.title.text == "UMAP 1"
        np.testing.assert_allclose(found.map._xy, 2 * pca_layout(found.discovery.scores.embeddings.region))
        assert len(found.map.selection) == found.discovery.best.n_regions, "the selection stays"

    def test_only_one_at_a_time(self, explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
        gate = threading.Event()
        monkeypatch.setattr(
            explorer_module, "search", lambda *given, **more: gate.wait(SECONDS) and search(*given, **more)
        )
        job = explorer.run()
        assert explorer.run_button.disabled and explorer.progress.layout.visibility == "visible"
        with pytest.raises(InputError, match="one discovery at a time"):
            explorer.run()
        explorer.run_button.click()
        assert "one discovery at a time" in explorer.message.text
        gate.set()
        assert job.wait(SECONDS)
        assert explorer.discovery is not None and usable(explorer)

    def test_a_second_search_replaces_the_first(self, found: Explorer) -> None:
        first, crops = found.discovery, found.crops
        assert first is not None
        found.panel.form.confirmed.value = True
        found.proposer.menu.value = "Grid 3 x 3"
        run(found)
        second = found.discovery
        assert second is not None and second is not first and len(second.clustering.labels) == 24 * 9
        assert found.crops is crops and crops is not None
        assert found.table.selected == second.clusters[0].cluster and not found.panel.form.confirmed.value
        assert found.map.selection == tuple(sorted(second.clusters[0].region_index.tolist()))
        assert crops.total == len(found.map.selection)

    def test_the_same_search_again_gives_the_same_numbers(self, found: Explorer) -> None:
        first = found.discovery
        run(found)
        assert first is not None and found.discovery is not None and found.discovery is not first
        pd.testing.assert_frame_equal(found.discovery.frame(), first.frame())

    def test_a_search_that_keeps_nothing_says_why(self, explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(explorer_module, "search", partial(search, rule="released", min_influence=1.0))
        monkeypatch.setattr(rx.Discovery, "features", ())
        run(explorer)
        assert explorer.discovery is not None and "No cluster looks like a shortcut" in explorer.message.text
        assert explorer.table.note and explorer.table.rows and explorer.panel.form.features.options == ()
        assert explorer.table.selected == explorer.discovery.clusters[0].cluster


class TestLinks:
    @pytest.fixture
    def told(self, found: Explorer) -> dict[str, list[Any]]:
        """What each view told since the search."""
        heard: dict[str, list[Any]] = {"table": [], "map": [], "crops": [], "lists": []}
        assert found.crops is not None
        found.table.observe(lambda change: heard["table"].append(change["new"]), "selected")
        found.map.observe(lambda change: heard["map"].append(change["new"]), "selection")
        found.crops.observe(lambda change: heard["crops"].append(change["new"]), "selected")
        found.crops.observe(lambda change: heard["lists"].append(change["new"]), "_revision")
        return heard

    def counts(self, told: dict[str, list[Any]]) -> dict[str, int]:
        return {name: len(heard) for name, heard in told.items()}

    def ring(self, found: Explorer) -> int | None:
        return found.map._marked

    def test_a_row_selects_its_cluster_in_the_map_and_the_gallery(self, found: Explorer, told: dict) -> None:
        assert found.discovery is not None and found.crops is not None
        feature = found.discovery.features[1]
        found.table.set_state({"selected": feature.cluster})  # as the browser does
        assert found.map.selection == tuple(sorted(feature.region_index.tolist()))
        assert found.crops._shown.index.tolist() == feature.region_index.tolist()
        assert f"Cluster {feature.cluster}, pulls towards {feature.attribute}" in found.crops.title
        assert found.panel.form.features.value == (feature.cluster,)
        assert self.counts(told) == {"table": 1, "map": 1, "crops": 0, "lists": 1}

    def test_a_pruned_row_does_not_pull_towards_anything(self, found: Explorer) -> None:
        assert found.discovery is not None and found.crops is not None
        pruned = next(each for each in found.discovery.clusters if not each.kept)
        found.table.selected = pruned.cluster
        assert "pulls" not in found.crops.title and found.crops.total == pruned.n_regions

    def test_points_of_several_clusters_fill_the_gallery_and_pick_no_row(self, found: Explorer, told: dict) -> None:
        assert found.discovery is not None and found.crops is not None
        one, other = (each.region_index[:2] for each in found.discovery.clusters[:2])
        regions = sorted([*one.tolist(), *other.tolist()])
        found.map.select(regions, source="lasso")
        assert found.crops._shown.index.tolist() == regions and found.crops.title == "Selected in the map"
        assert found.table.selected is None
        assert self.counts(told) == {"table": 1, "map": 1, "crops": 0, "lists": 1}

    def test_points_of_one_cluster_pick_its_row(self, found: Explorer, told: dict) -> None:
        assert found.discovery is not None and found.crops is not None
        feature = found.discovery.clusters[1]
        found.map.select(feature.region_index[:2], source="lasso")
        assert found.table.selected == feature.cluster and found.crops.total == 2
        assert len(found.map.selection) == 2, "the row does not select the rest of its cluster"
        assert self.counts(told) == {"table": 1, "map": 1, "crops": 0, "lists": 1}

    def test_one_point_opens_its_crop(self, found: Explorer, told: dict) -> None:
        assert found.discovery is not None and found.crops is not None
        region = int(found.discovery.clusters[1].region_index[-1])
        found.map.select([region], source="click")
        assert found.crops._shown.index.tolist() == [region] and found.crops.selected == region
        assert self.counts(told) == {"table": 1, "map": 1, "crops": 1, "lists": 1}

    def test_clearing_the_map_empties_the_gallery(self, found: Explorer, told: dict) -> None:
        assert found.crops is not None
        found.map.clear()
        assert found.crops.total == 0 and found.table.selected is None
        assert self.counts(told) == {"table": 1, "map": 1, "crops": 0, "lists": 1}

    def test_a_crop_rings_its_point_and_picks_its_row(self, found: Explorer, told: dict) -> None:
        assert found.discovery is not None and found.crops is not None
        one, other = (int(each.region_index[0]) for each in found.discovery.clusters[:2])
        found.map.select([one, other], source="lasso")
        for heard in told.values():
            heard.clear()
        found.crops._handle_custom_msg({"kind": "select", "region": other, "opened": True, "request": "v:1"}, [])
        assert self.ring(found) == other and found.table.selected == found.discovery.clusters[1].cluster
        assert found.map.selection == tuple(sorted([one, other])) and found.crops.total == 2
        assert self.counts(told) == {"table": 1, "map": 0, "crops": 1, "lists": 0}

    def test_a_ring_goes_with_its_crop(self, found: Explorer) -> None:
        assert found.discovery is not None and found.crops is not None
        for away in (
            lambda: setattr(found.table, "selected", found.discovery.clusters[1].cluster),  # type: ignore[union-attr]
            lambda: found.map.select([0, 1, 2, 3, 4], source="lasso"),
        ):
            found.crops.selected = int(found.crops._shown.index[0])
            assert self.ring(found) is not None
            away()
            assert self.ring(found) is None and found.crops.selected is None

    def test_the_gallery_shows_pixels_of_the_region(self, found: Explorer, data: Any) -> None:
        assert found.crops is not None
        region = found.map.selection[0]
        sent: list[tuple[dict, list[bytes]]] = []
        found.crops.send = lambda content, buffers=None: sent.append((content, list(buffers or [])))  # type: ignore[method-assign]
        page = {"kind": "page", "page": 0, "revision": found.crops._revision, "request": "v:1"}
        found.crops._handle_custom_msg(page, [])
        content, buffers = sent[0]
        assert content["errors"] == [] and len(buffers) == found.crops.total
        assert region in [item["region"] for item in content["items"]]


class TestMitigation:
    def test_from_the_first_row_to_before_and_after(self, found: Explorer) -> None:
        panel = found.panel
        assert panel.buttons.start.disabled
        panel.form.confirmed.value = True
        panel.buttons.start.click()
        found.wait()
        assert found.mitigation is not None and found.comparison is not None, panel.message.text
        assert found.mitigation is panel.mitigation and found.comparison is panel.comparison
        assert visible(found) == (True, True, True)
        shown = [(row["before"], row["after"]) for row in found.outcome.measures.blocks[0]["rows"]]
        frame = found.comparison.frame()
        true = [tuple(None if np.isnan(v) else v for v in row) for row in frame[["before", "after"]].to_numpy()]
        assert shown == true

    def test_another_cluster_is_picked_by_its_row(self, found: Explorer) -> None:
        assert found.discovery is not None
        found.panel.form.confirmed.value = True
        found.table.selected = found.discovery.features[1].cluster
        assert found.panel.form.features.value == (found.table.selected,)
        assert found.panel.buttons.start.disabled, "its crops were not looked at yet"

    def test_a_run_that_was_not_compared_is_not_listed(self, found: Explorer) -> None:
        found.panel.start()
        found.wait()
        assert visible(found)[2] and found.runs is not None and len(found.runs) == 1
        found.panel.form.epochs.value = 1000
        found.panel.form.epochs.value = 1
        first = found.mitigation
        found.panel.start()
        found.wait()
        assert found.mitigation is found.panel.mitigation and found.mitigation is not first, "the newest run is picked"
        found.outcome.runs.selected = 0
        assert found.mitigation is first and found.comparison is found.runs.runs[0].comparison, "that of the picked row"
        found.panel.form.epochs.value = 1000
        found.panel.start()
        until(lambda: len(found.panel.curves.history.records) in range(1, 100) and found.panel.running)
        until(lambda: not found.progress._cancel.disabled and found.panel.progress._text.value.startswith("Fine"))
        found.panel.progress._cancel.click()
        found.wait()
        assert found.comparison is None and len(found.runs) == 2
        assert found.mitigation is found.panel.mitigation, "kept until the next run, though it is in no row"


def make_folder(root: Path, classes: tuple[str, ...] = ("cat", "dog", "hen"), n: int = 4) -> Path:
    rng = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(root / name / f"{i}.png")
    return root


def pick(menu: Any, start: str, path: Path | str = "") -> None:
    """Pick the entry whose label starts so, and type a path."""
    menu.menu.value = next(label for label in menu.menu.options if label.startswith(start))
    if menu.form is not None:
        menu.form.inputs["path"].value = str(path)


class Code:
    """What unpickling this would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("run",)


def no_checkpoint(explorer: Explorer, folder: Path) -> str:
    (folder / "notes.pt").write_text("not a checkpoint")
    pick(explorer.model, "Checkpoint", folder / "notes.pt")
    return "notes.pt"


def missing_checkpoint(explorer: Explorer, folder: Path) -> str:
    pick(explorer.model, "Checkpoint", folder / "<b>missing</b>.pt")
    return "<b>missing</b>.pt', no such file"


def pickled_code(explorer: Explorer, folder: Path) -> str:
    torch.save({"visual.weight": Code()}, folder / "evil.pt")
    pick(explorer.model, "Checkpoint", folder / "evil.pt")
    return "holds pickled code (print); it was not run"


def other_weights(explorer: Explorer, folder: Path) -> str:
    save_file({"layer.weight": torch.zeros(2, 2)}, folder / "other.safetensors")
    pick(explorer.model, "Checkpoint", folder / "other.safetensors")
    return "keys such as layer.weight"


def no_path(explorer: Explorer, folder: Path) -> str:
    pick(explorer.model, "Checkpoint")
    return "Type it into the field"


def missing_folder(explorer: Explorer, folder: Path) -> str:
    pick(explorer.data, "Folder", folder / "missing")
    return "not a folder"


def one_class(explorer: Explorer, folder: Path) -> str:
    pick(explorer.data, "Folder", make_folder(folder / "one", ("cat",)))
    return "at least two classes"


def no_image(explorer: Explorer, folder: Path) -> str:
    pick(explorer.data, "Folder", make_folder(folder / "none", n=0))
    return "at least one image"


def unreadable_image(explorer: Explorer, folder: Path) -> str:
    explorer.details.max_unreadable.value = 0
    root = make_folder(folder / "broken")
    (root / "dog" / "2.png").write_bytes(b"no picture")
    pick(explorer.data, "Folder", root)
    return "dog/2.png"


def cut_short_image(explorer: Explorer, folder: Path) -> str:
    explorer.details.max_unreadable.value = 0
    root = make_folder(folder / "cut")
    whole = (root / "hen" / "0.png").read_bytes()
    (root / "hen" / "0.png").write_bytes(whole[: len(whole) // 2])
    pick(explorer.data, "Folder", root)
    return "hen/0.png"


def no_boxes(explorer: Explorer, folder: Path) -> str:
    pick(explorer.proposer, "Boxes of the dataset")
    return "a dataset with boxes"


def missing_package(explorer: Explorer, folder: Path) -> str:
    pick(explorer.clusterer, clustering.SklearnExtraKMedoids.name)
    return "scikit-learn-extra"


BAD = (
    no_checkpoint, missing_checkpoint, pickled_code, other_weights, no_path, missing_folder, one_class, no_image,
    unreadable_image, cut_short_image, no_boxes, missing_package,
)  # fmt: skip


class TestWhatGoesWrong:
    """It is shown in the widget as text, the button works again, and the earlier discovery stays as it was."""

    @pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
    def test_bad_input(
        self,
        found: Explorer,
        tmp_path: Path,
        spoil: Callable[[Explorer, Path], str],
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def missing(name: str) -> Any:
            raise ImportError("No module named 'sklearn_extra'")

        monkeypatch.setattr("ravl_explore.clustering.sklearn_extra.import_module", missing)
        earlier, rows, selection = found.discovery, found.table.rows, found.map.selection
        said = spoil(found, tmp_path)
        run(found)
        assert said in found.message.text and found.message.text.startswith("Expected "), found.message.text
        assert 'role="alert"' in found.message.value and "<b>" not in found.message.value
        assert usable(found) and capsys.readouterr().out == ""
        assert (found.discovery, found.table.rows, found.map.selection) == (earlier, rows, selection)
        for menu in (found.model, found.data, found.proposer, found.clusterer):
            menu.menu.value = menu.menu.options[0]
        run(found)
        assert found.discovery is not earlier and "right." in found.message.text

    def test_weights_that_are_not_numbers(self, make_model: Make, data: Any) -> None:
        model = make_model(0)
        explorer = Explorer(model=model, data=data)
        run(explorer)
        earlier = explorer.discovery
        assert earlier is not None
        with torch.no_grad():
            next(model.visual.parameters()).fill_(float("nan"))
        run(explorer)
        assert "Expected finite image embeddings, got NaN" in explorer.message.text
        assert explorer.discovery is earlier and usable(explorer)

    def test_an_image_that_was_mended_or_removed_is_no_error_any_more(self, explorer: Explorer, tmp_path: Path) -> None:
        unreadable_image(explorer, tmp_path)
        run(explorer)
        assert "Mend or remove" in explorer.message.text and explorer.discovery is None
        (tmp_path / "broken" / "dog" / "2.png").unlink()
        run(explorer)
        assert explorer.discovery is not None and len(explorer.discovery.scores.embeddings.labels) == 11

    def test_an_unexpected_error(self, found: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: Any, **__: Any) -> None:
            raise ZeroDivisionError("<i>1 / 0</i>")

        earlier = found.discovery
        with monkeypatch.context() as patched:
            patched.setattr(explorer_module, "search", broken)
            run(found)
        assert "Unexpected ZeroDivisionError: <i>1 / 0</i>" in found.message.text
        assert "<i>" not in found.message.value and found.discovery is earlier and usable(found)

    def test_an_error_while_the_result_is_drawn(self, found: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: Any) -> None:
            raise ValueError("cannot draw")

        with monkeypatch.context() as patched:
            patched.setattr(found.map, "show", broken)
            run(found)
        assert "Unexpected ValueError: cannot draw" in found.message.text and usable(found)
        run(found)
        assert "right." in found.message.text

    def test_an_image_that_vanished_after_the_search_is_told_in_the_gallery(
        self, explorer: Explorer, tmp_path: Path
    ) -> None:
        root = make_folder(tmp_path / "mine")
        pick(explorer.data, "Folder", root)
        run(explorer)
        assert explorer.crops is not None
        (root / "cat" / "0.png").unlink()
        with pytest.raises(DataError, match=r"cat/0\.png"):
            explorer.crops.source.crop(0, 96)

    def test_a_cancelled_search_leaves_the_earlier_results(
        self, found: Explorer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found.panel.start()
        found.wait()
        earlier = (found.discovery, found.mitigation, found.comparison, found.map.selection, found.table.rows)
        begun = threading.Event()

        def endless(*_: Any, progress: Any, **__: Any) -> None:
            while True:
                begun.set()
                progress(1, 10, "Embedding images")
                time.sleep(0.005)

        with monkeypatch.context() as patched:
            patched.setattr(explorer_module, "search", endless)
            found.run_button.click()
            assert begun.wait(SECONDS)
            found.progress._cancel.click()
            found.wait()
        assert found.message.text == "Cancelled; what was there before is unchanged." and usable(found)
        assert earlier == (found.discovery, found.mitigation, found.comparison, found.map.selection, found.table.rows)
        assert visible(found) == (True, True, True)
        run(found)
        assert found.discovery is not earlier[0]


class TestOwnImages:
    """A folder on disk: skipped files are told, embeddings are kept, and the mitigation starts at these images."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        root = make_folder(tmp_path / "mine")
        (root / "dog" / "2.png").write_bytes(b"no <b>picture</b>")
        whole = (root / "hen" / "0.png").read_bytes()
        (root / "hen" / "0.png").write_bytes(whole[: len(whole) // 2])
        return root

    @pytest.fixture
    def own(self, model: Any, folder: Path) -> Explorer:
        explorer = Explorer(model=model)
        pick(explorer.data, "Folder", folder)
        return explorer

    def test_unreadable_images_are_skipped_counted_and_listed(self, own: Explorer) -> None:
        run(own)
        assert own.discovery is not None, own.message.text
        assert own.message.text.startswith("10 images, ")
        assert "2 images were skipped" in own.skipped.value and "<b>" not in own.skipped.value
        assert "<code>dog/2.png" in own.skipped.value and "hen/0.png" in own.skipped.value
        assert len(own.discovery.scores.embeddings.labels) == 10

    def test_the_crops_are_those_of_the_images_that_are_left(self, own: Explorer, folder: Path) -> None:
        run(own)
        assert own.crops is not None and own.discovery is not None
        files = sorted(folder.rglob("*.png"))
        left = [each for each in files if each.name != "2.png" or each.parent.name != "dog"]
        left = [each for each in left if each.name != "0.png" or each.parent.name != "hen"]
        regions = own.discovery.scores.embeddings.regions
        for region in range(0, len(regions), 7):
            file = left[int(regions.image_index[region])]
            facts = own.crops.source.describe(region)
            assert facts["name"] == f"{file.parent.name}/{file.name}" and facts["label"] == file.parent.name
            x1, y1, x2, y2 = regions.boxes[region].astype(int)
            crop = np.asarray(Image.open(io.BytesIO(own.crops.source.crop(region, 96))))
            np.testing.assert_array_equal(crop, np.asarray(Image.open(file))[y1:y2, x1:x2])

    def test_more_than_the_limit_end_the_search(self, own: Explorer) -> None:
        own.details.max_unreadable.value = 1
        run(own)
        assert own.discovery is None and "Expected" in own.message.text
        own.details.max_unreadable.value = 2
        run(own)
        assert own.discovery is not None

    def test_embeddings_are_kept_unless_the_user_says_no(self, own: Explorer) -> None:
        own.details.keep.value = False
        run(own)
        own.details.cache.refresh()
        assert own.details.cache.entries == []
        own.details.keep.value = True
        run(own)
        own.details.cache.refresh()
        assert [each.data_name for each in own.details.cache.entries] == ["mine"]

    def test_arrays_are_not_kept(self, found: Explorer) -> None:
        found.details.cache.refresh()
        assert found.details.cache.entries == []

    def test_edited_prompts_are_searched_with(self, own: Explorer) -> None:
        own.details.tabs.selected_index, own.details.selected_index = 1, 0
        until(lambda: own.details.prompts.templates is not None)
        own.details.prompts._text.value = "my {}\nyour {}"
        run(own)
        assert own.discovery is not None
        assert own.discovery.scores.embeddings.templates == ("my {}", "your {}")
        earlier = own.discovery
        own.details.prompts._text.value = "nothing"
        run(own)
        assert "a template with one {}" in own.message.text and own.discovery is earlier

    def test_the_mitigation_starts_at_the_searched_images(self, own: Explorer) -> None:
        run(own)
        panel = own.panel
        for menu in (panel.form.train_data, panel.form.test_data):
            assert menu.menu.value == menu.menu.options[0] == "The images that were searched"
            assert menu.make() is own.findings.crops.source._data  # type: ignore[union-attr]
        assert "Too optimistic" in panel.form.note.text
        panel.form.test_data.menu.value = "Demo: garments, val"
        assert panel.form.note.text == ""
        run(own)
        assert panel.form.test_data.menu.value == "Demo: garments, val", "what the user picked stays"

    def test_the_demo_keeps_the_demos_menus(self, model: Any, make_discovery: Make) -> None:
        explorer = Explorer(model=model)
        explorer.panel.offer(model, data_sources.Demo("val"), Grid(2, 2), make_discovery())
        assert explorer.panel.form.train_data.menu.value == "Demo: garments, train"
        assert (
            explorer.panel.form.test_data.menu.value == "Demo: garments, test" and explorer.panel.form.note.text == ""
        )
        explorer.panel.form.test_data.menu.value = "Demo: garments, val"
        assert "Too optimistic" in explorer.panel.form.note.text, "val was searched"

    def test_a_search_of_the_demo_takes_own_images_back(self, own: Explorer, make_discovery: Make) -> None:
        run(own)
        panel = own.panel
        panel.offer(own.model.make(), data_sources.Demo("val"), Grid(2, 2), make_discovery())
        assert (panel.form.train_data.menu.value, panel.form.test_data.menu.value) == (
            "Demo: garments, train",
            "Demo: garments, test",
        )
        for menu in (panel.form.train_data, panel.form.test_data):
            assert "The images that were searched" not in menu.menu.options
            assert menu.make().name == menu.menu.value
        assert panel.form.note.text == ""

    def test_what_was_searched_is_not_embedded_again(self, own: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
        run(own)
        monkeypatch.setattr("ravl_explore.experiments.embedded_once.embed", None)
        panel = own.panel
        searched = panel.searched
        assert searched is not None and own.discovery is not None
        embeddings = searched.embedded(searched.model, searched.data, searched.proposer, lambda *_: None, "")
        assert embeddings is own.discovery.scores.embeddings


class TestBudget:
    @pytest.fixture
    def sent(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Bytes of each message to the browser."""
        sizes: list[int] = []

        class Recorder(comm.DummyComm):
            def publish_msg(self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **_: Any):
                sizes.append(len(json.dumps(data)) + sum(memoryview(each).nbytes for each in buffers or ()))

        monkeypatch.setattr(comm, "create_comm", Recorder)
        return sizes

    def test_an_explorer_is_two_figures_and_six_megabytes(
        self, sent: list[int], model: Any, data: Any, make_data: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(LiveFigure, "_bundle_sent", False)  # as in a kernel that has shown no figure yet
        before = set(_instances)
        explorer = Explorer(model=model, data=data, train_data=make_data(24, 1), test_data=make_data(30, 2))
        assert 4.5e6 < sum(sent) <= 6e6, "one bundle of plotly, and little else"
        made = len(sent)
        sent.clear()
        explorer.panel.form.epochs.value, explorer.panel.form.batch_size.value = 1, 8
        for _ in range(2):
            run(explorer)
            explorer.panel.start()
            explorer.wait()
        figures = [each for name, each in _instances.items() if name not in before and isinstance(each, LiveFigure)]
        assert len(figures) == 2
        assert explorer.comparison is not None and sum(sent) < 1e6 and made < 500

    def test_picking_a_row_is_a_small_message(self, sent: list[int], explorer: Explorer) -> None:
        run(explorer)
        explorer.map.figure.flush()
        sent.clear()
        assert explorer.discovery is not None
        explorer.table.selected = explorer.discovery.clusters[1].cluster
        explorer.map.figure.flush()
        assert 0 < sum(sent) < 20_000
