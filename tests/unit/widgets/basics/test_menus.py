"""Menus: every entry that a folder offers can be built and is what it says, and a pick is built only once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from inspect import isfunction, signature
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from ravl_explore import clustering, data, models, objectives, regions
from ravl_explore.clustering import Clusterer
from ravl_explore.errors import InputError, ModelError
from ravl_explore.support.fields import Field, Kind
from ravl_explore.widgets.basics.menus import Choice, PartMenu, choices
from ravl_explore.widgets.search.clusterer_menu import clusterer_choices

FOLDERS: dict[str, ModuleType] = {"models": models, "data": data, "regions": regions, "objectives": objectives}
ENTRIES = [(folder, choice.label) for folder, module in FOLDERS.items() for choice in choices(module)]
NEEDED: dict[str, tuple[str, ...]] = {
    "models": ("name", "dim", "image_size", "visual", "device", "embed_text", "encode", "copy"),
    "data": (
        "name", "class_names", "labels", "templates", "captions", "regions", "feature_name", "feature_present",
        "region_labels", "region_feature", "__len__", "image_sizes", "image",
    ),
    "regions": ("name", "__call__"),
    "objectives": ("name", "uses_regions", "sample_weights", "edit", "__call__"),
}  # fmt: skip
DOWNLOADED = ("Detector", "PubMedCLIP", "BiomedCLIP")  # nothing is fetched in a test


@pytest.fixture
def example(tmp_path: Path, make_clip: Callable[..., Any]) -> Callable[[str], str]:
    """folder -> a path that its entries with a path can read."""

    def make(folder: str) -> str:
        if folder == "models":
            save_file(
                {key: value.contiguous() for key, value in make_clip().state_dict().items()}, tmp_path / "m.safetensors"
            )
            return str(tmp_path / "m.safetensors")
        for name in ("cat", "dog"):
            (tmp_path / name).mkdir()
            Image.new("RGB", (8, 8)).save(tmp_path / name / "1.png")
        return str(tmp_path)

    return make


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_offers_something_and_labels_differ(folder: str) -> None:
    labels = [choice.label for choice in choices(FOLDERS[folder])]
    assert labels and len(set(labels)) == len(labels)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_part_is_offered_unless_it_is_a_protocol_or_a_noun(folder: str) -> None:
    module = FOLDERS[folder]
    left_out = {
        name
        for name in module.__all__
        if not choices(SimpleNamespace(__all__=[name], **{name: getattr(module, name)}))  # type: ignore[arg-type]
    }
    nouns = {
        "VisionLanguageModel",
        "ClipModel",
        "ArrayDataset",
        "ImageTextDataset",
        "Proposer",
        "Regions",
        "Batch",
        "Objective",
    }
    helpers = {name for name in module.__all__ if isfunction(getattr(module, name))} | {"Subset", "ImageFiles"}
    assert left_out <= nouns | helpers


@pytest.mark.parametrize(("folder", "label"), ENTRIES)
def test_every_entry_builds_what_the_protocol_asks_for(folder: str, label: str, example: Callable[[str], str]) -> None:
    menu = PartMenu(folder, choices(FOLDERS[folder]))
    if label.startswith(DOWNLOADED):
        return
    menu.menu.value = label
    if menu.form is not None:
        needed = [field.name for field in menu.form.fields if field.required and field.default is None]
        if needed and label not in ("Folder of images …", "Checkpoint file or folder …"):
            return  # built in the tests of their own, from files that take some making
        if needed:
            menu.form.inputs["path"].value = example(folder)
    made = menu.make()
    assert [name for name in NEEDED[folder] if not hasattr(made, name)] == []
    assert isinstance(made.name, str) and made.name


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_field_is_an_argument_of_its_part_and_says_what_it_wants(folder: str) -> None:
    module = FOLDERS[folder]
    for part in (getattr(module, name) for name in module.__all__):
        for field in getattr(part, "form", ()):
            assert field.name in signature(part).parameters, f"{part.__name__}: {field.name}"
            assert field.label and field.kind in get_args(Kind)
            assert (field.kind not in ("choice",)) or field.choices is not None


@pytest.mark.parametrize("choice", clusterer_choices(), ids=lambda choice: choice.label)
def test_every_clusterer_is_built_for_the_data_at_hand(choice: Choice) -> None:
    make = choice.make()
    made = make(3, 1000)
    assert isinstance(made, Clusterer) and (made.name == choice.label or choice.label == "Automatic")
    assert tuple(made.n_clusters) == tuple(range(6, 15))  # type: ignore[attr-defined]
    assert tuple(make(3, 10).n_clusters) == (6, 7, 8, 9), "no more clusters than regions"


def test_all_clusterers_are_offered() -> None:
    parts = [getattr(clustering, name) for name in clustering.__all__]
    names = [part.name for part in parts if isinstance(getattr(part, "name", None), str)]
    assert [choice.label for choice in clusterer_choices()] == ["Automatic", *names] and "CLARA" in names


def folder_menu() -> PartMenu:
    menu = PartMenu("Images", choices(data))
    menu.menu.value = "Folder of images …"
    return menu


@pytest.mark.parametrize("typed", ["", "   "])
def test_a_pick_that_needs_a_path_says_so(typed: str) -> None:
    menu = folder_menu()
    assert menu.form is not None
    menu.form.inputs["path"].value = typed
    with pytest.raises(InputError, match=r"one subfolder per class.*Type it into the field “Folder”"):
        menu.make()


def test_the_path_is_asked_for_only_where_it_is_needed() -> None:
    menu = PartMenu("Images", choices(data))
    assert menu.form is None
    menu.menu.value = "Folder of images …"
    form = menu.form
    assert form is not None and form in menu._below.children and "subfolder" in form.inputs["path"].tooltip
    menu.menu.value = choices(data)[0].label
    assert menu.form is None and menu._below.children == ()
    menu.menu.value = "Folder of images …"
    assert menu.form is form, "what was typed is still there"


PATH = (Field("path", "Path", "path"),)


class Counter:
    """Builds a new object each time, and counts."""

    def __init__(self, fails: int = 0) -> None:
        self.built: list[str] = []
        self.fails = fails

    def __call__(self, path: str = "") -> object:
        self.built.append(path)
        if len(self.built) <= self.fails:
            raise ModelError("a model", "none", "Check the path.")
        return object()


def counting_menu(*fields: Field) -> tuple[PartMenu, Counter, Any]:
    build = Counter()
    menu = PartMenu("Images", [Choice("folder", build, fields or PATH)])
    assert menu.form is not None
    return menu, build, menu.form.inputs


def test_the_same_pick_is_built_once() -> None:
    first, second = Counter(), Counter()
    menu = PartMenu("Model", [Choice("first", first), Choice("second", second)])
    made = menu.make()
    assert menu.make() is made and len(first.built) == 1
    menu.menu.value = "second"
    assert menu.make() is not made and (len(first.built), len(second.built)) == (1, 1)


def test_two_threads_get_the_same_object() -> None:
    gate = threading.Event()
    build = Counter()

    def slow() -> object:
        assert gate.wait(10)
        return build()

    menu, got = PartMenu("Model", [Choice("slow", slow)]), []
    threads = [threading.Thread(target=lambda: got.append(menu.make())) for _ in range(3)]
    for each in threads:
        each.start()
    gate.set()
    for each in threads:
        each.join(10)
    assert len(got) == 3 and len(set(map(id, got))) == 1 and len(build.built) == 1


def test_another_path_is_another_pick(tmp_path: Path) -> None:
    menu, build, inputs = counting_menu()
    for path in ("/a", "/a", " /a ", "/b"):
        inputs["path"].value = path
        menu.make()
    assert build.built == ["/a", "/b"]


def test_what_failed_is_tried_again() -> None:
    build = Counter(fails=1)
    menu = PartMenu("Model", [Choice("model", build)])
    with pytest.raises(ModelError):
        menu.make()
    assert menu.make() is menu.make() and len(build.built) == 2


def test_what_is_forgotten_is_built_anew() -> None:
    menu, build, inputs = counting_menu()
    inputs["path"].value = "/a"
    made = menu.make()
    menu.forget()
    assert menu.make() is not made and len(build.built) == 2


def test_a_file_or_folder_that_changed_is_read_again(tmp_path: Path) -> None:
    menu, build, inputs = counting_menu()
    (tmp_path / "cat").mkdir()
    inputs["path"].value = str(tmp_path)
    menu.make()
    menu.make()
    assert len(build.built) == 1
    (tmp_path / "cat" / "new.png").write_bytes(b"")
    menu.make()
    assert len(build.built) == 2
    inputs["path"].value = str(tmp_path / "cat" / "new.png")
    menu.make()
    (tmp_path / "cat" / "new.png").touch()
    menu.make()
    assert len(build.built) == 4


def test_every_pick_and_answer_is_told_once() -> None:
    menu, heard = PartMenu("Images", choices(data)), []
    menu.observe(lambda change: heard.append(change["new"]), "changes")
    menu.menu.value = "Folder of images …"
    assert menu.form is not None and len(heard) == 1
    menu.form.inputs["path"].value = "/a"
    assert len(heard) == 2


def test_a_part_can_be_offered_later() -> None:
    menu, mine, other = PartMenu("Images", choices(data)), object(), object()
    n = len(menu.menu.options)
    menu.offer(mine, "The searched images")
    assert menu.menu.value == menu.menu.options[0] == "The searched images" and menu.make() is mine
    menu.menu.value = "Demo: garments, test"
    menu.offer(other, "The searched images", pick=False)
    assert menu.menu.value == "Demo: garments, test" and len(menu.menu.options) == n + 1
    menu.menu.value = "The searched images"
    assert menu.make() is other


def test_a_locked_menu_is_locked_with_its_form() -> None:
    menu = folder_menu()
    menu.disabled = True
    assert menu.disabled and menu.menu.disabled and menu.form is not None and menu.form.disabled
    menu.disabled = False
    assert not menu.menu.disabled and not menu.form.inputs["path"].disabled


def test_a_given_object_comes_first_and_is_used_as_it_is() -> None:
    mine = SimpleNamespace(name="mine")
    menu = PartMenu("Images", choices(data), mine, preferred="Demo: garments, test")
    assert menu.menu.options[0] == menu.menu.value == "mine"
    assert menu.make() is mine and len(menu.menu.options) == len(choices(data)) + 1


def test_a_given_object_is_used_even_if_it_is_called_like_an_entry() -> None:
    mine = data.Demo("val")
    menu = PartMenu("Images", choices(data), mine)
    assert menu.menu.value == mine.name and menu.make() is mine
    assert list(menu.menu.options).count(mine.name) == 1


@pytest.mark.parametrize("given", [SimpleNamespace(), SimpleNamespace(name=""), SimpleNamespace(name=None)])
def test_a_given_object_without_a_name_goes_by_its_type(given: Any) -> None:
    menu = PartMenu("Model", choices(models), given)
    assert menu.menu.value == "SimpleNamespace" and menu.make() is given


def test_a_given_object_that_is_falsy_is_given_all_the_same() -> None:
    empty = np.zeros(0)
    assert PartMenu("Images", choices(data), empty).make() is empty


def test_the_preferred_entry_is_the_first_pick_where_there_is_one() -> None:
    assert PartMenu("Images", choices(data), preferred="Demo: garments, train").menu.value == "Demo: garments, train"
    assert PartMenu("Images", choices(data), preferred="no such").menu.value == choices(data)[0].label


def test_markup_in_a_name_stays_text() -> None:
    """Dropdowns show their options as text, so what a user called a model must arrive as it was written."""
    mine = SimpleNamespace(name="<b>bold</b> & <script>alert(1)</script>")
    menu = PartMenu("Model", choices(models), mine)
    assert menu.menu.options[0] == mine.name and menu.make() is mine
    title = menu.children[0]
    assert mine.name not in title.value and "<b>" not in title.value
