"""ConceptPreview: the masks on show are those that training would get, and only what is on show is read."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ravl_explore.concepts import Discovered, MaskFiles
from ravl_explore.data import Subset
from ravl_explore.errors import DataError, InputError
from ravl_explore.regions import Grid
from ravl_explore.widgets.basics.pages import A_PAGE
from ravl_explore.widgets.mitigation.concept_preview import ConceptPreview
from ravl_explore.widgets.mitigation.mask_page import read_page

Make = Callable[..., Any]


class Watched(Subset):
    """Remembers which images were read; some cannot be."""

    def __init__(self, data: Any, bad: tuple[int, ...] = ()) -> None:
        super().__init__(data, np.arange(len(data)))
        self.read: list[int] = []
        self._bad = bad

    def image(self, index: int) -> np.ndarray:
        self.read.append(index)
        if index in self._bad:
            raise DataError("a readable image file", f"'<b>{index}</b>.png'", "Mend it.")
        return super().image(index)


@pytest.fixture
def data(make_data: Make) -> Watched:
    return Watched(make_data(20), bad=(4,))


def shown_of(data: Any) -> Any:
    """The bottom right quadrant is spurious, the top left one the core."""
    regions = Grid(2, 2)(data)
    place = np.arange(len(regions)) % 4
    return SimpleNamespace(regions=regions, spurious=place == 3, core=place == 0)


def pictures(preview: ConceptPreview) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', preview._images.value)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))) for each in found]


def test_masks_on_show_are_those_of_the_source(data: Watched) -> None:
    asked: list[int] = []

    def shown(opened: Any, progress: Any) -> Any:
        asked.append(1)
        return shown_of(data)

    preview = ConceptPreview()
    assert preview.show_button.disabled and preview.turn(1) is None
    preview.offer(lambda progress: data, shown)
    assert not preview.show_button.disabled and not asked and not data.read
    job = preview.show()
    assert job is not None and job.wait(30)
    assert data.read == [0, 4, 8, 12, 16] and asked == [1] and preview.page is not None
    whole = Discovered().open(data, shown_of(data))
    for row, index in enumerate(preview.page.index):
        if index == 4:
            assert preview.page.promote[row] is None and "readable image file" in preview.page.reasons[row]
            continue
        assert (preview.page.promote[row] == whole(index)[0]).all()
        assert (preview.page.suppress[row] == whole(index)[1]).all()
    assert preview.message.text == "Images 1 to 5 of 20, drawn evenly." and len(pictures(preview)) == 4
    assert "25% promoted, 75% suppressed" in preview._images.value and "<b>" not in preview._images.value
    assert preview._key.layout.display == "" and isinstance(preview.source, Discovered)


def test_paging_opens_nothing_again(data: Watched) -> None:
    asked: list[int] = []
    preview = ConceptPreview()
    preview.offer(data, lambda opened, progress: asked.append(1) or shown_of(data))
    seen: list[int] = []
    job = preview.show()
    for turn in range(4):
        assert job is not None and job.wait(30) and preview.page is not None
        seen += preview.page.index
        assert preview._back.disabled == (turn == 0) and preview._next.disabled == (turn == 3)
        job = preview.turn(1)
    assert job is not None and job.wait(30)
    assert sorted(seen) == list(range(20)) and asked == [1] and A_PAGE == 6


def test_another_source_clears_the_page_and_is_what_training_gets(data: Watched, tmp_path: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[:8] = 255
    Image.fromarray(mask).save(tmp_path / "000000.png")
    preview = ConceptPreview()
    preview.offer(data, lambda opened, progress: shown_of(opened))
    job = preview.show()
    assert job is not None and job.wait(30)
    preview.menu.menu.value = "Masks from files …"
    assert preview.page is None and preview._images.value == ""
    assert preview.show() is None and "Expected masks (a folder of PNG" in preview.message.text
    with pytest.raises(InputError, match="masks"):
        _ = preview.source
    assert preview.menu.form is not None
    preview.menu.form.inputs["path"].value = str(tmp_path)
    assert isinstance(preview.source, MaskFiles)
    job = preview.show()
    assert job is not None and job.wait(30) and preview.page is not None
    assert preview.page.promote[0] is not None and preview.page.promote[0].mean() == 0.25
    assert preview.notes.notes == ("19 images have no mask.",)
    preview.menu.menu.value = "Discovered: all clean regions"
    assert preview.source == Discovered("clean")


def test_what_goes_wrong_is_shown(data: Watched) -> None:
    def fail(*_: Any) -> Any:
        raise DataError("images", "<none>", "Pick some.")

    preview = ConceptPreview()
    assert preview.show() is None and "Expected images to show masks on" in preview.message.text
    for offered in ((fail, None), (data, fail), (data, None)):
        preview.offer(*offered)
        job = preview.show()
        assert job is not None and job.wait(30) and job.error is not None
        assert "alert" in preview.message.value and "<none>" not in preview.message.value
        assert preview.page is None and not preview.show_button.disabled
    preview.offer(data, lambda opened, progress: shown_of(opened))
    job = preview.show()
    assert job is not None and job.wait(30) and preview.page is not None
    preview.offer(None)
    assert preview.page is None and preview.show_button.disabled


def test_a_job_that_is_overtaken_shows_nothing(data: Watched) -> None:
    import threading

    go, entered = threading.Event(), threading.Event()

    def slow(opened: Any, progress: Any) -> Any:
        entered.set()
        assert go.wait(30)
        return shown_of(data)

    preview = ConceptPreview()
    preview.offer(data, slow)
    first = preview.show()
    assert entered.wait(30) and preview.show_button.disabled
    preview.menu.menu.value = "Discovered: all clean regions"
    go.set()
    assert first is not None and first.wait(30) and preview.page is None and not preview.show_button.disabled


def test_masks_of_another_dataset_are_refused(data: Watched, make_data: Make) -> None:
    few = make_data(3)
    with pytest.raises(InputError, match="masks of these 20 images, got of 3"):
        read_page(data, Discovered().open(few, shown_of(few)), 0)


def test_disabled_locks_everything(data: Watched) -> None:
    preview = ConceptPreview()
    preview.offer(data, lambda opened, progress: shown_of(opened))
    preview.disabled = True
    assert preview.disabled and preview.show_button.disabled and preview.menu.disabled
    preview.disabled = False
    assert not preview.show_button.disabled
