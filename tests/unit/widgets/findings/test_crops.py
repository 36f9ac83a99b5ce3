"""The gallery of crops: what it sends and when, without a browser and without a kernel."""

from __future__ import annotations

import io
import json
import threading
import time

import numpy as np
import pytest
import traitlets
from PIL import Image

from ravl_explore.errors import DataError, InputError
from ravl_explore.widgets.basics.static import script, style
from ravl_explore.widgets.findings.crop_checks import CropSource
from ravl_explore.widgets.findings.crops import CropGallery

BROKEN, VAGUE = 13, 14


class FakeSource:
    """Small grey images; one that cannot be read, one described badly. Remembers every call."""

    def __init__(self):
        self.crops, self.images, self.described = [], [], []
        self.inside = 0

    def crop(self, region, size):
        self.inside += 1
        assert self.inside == 1, "two threads in the source at once"
        self.crops.append((region, size))
        time.sleep(0)  # lets another thread in, if the gallery allows it
        if region == BROKEN:
            self.inside -= 1
            raise DataError("a readable image", "a truncated file", "Delete cat.jpg.")
        data = encode("JPEG", 28, region)
        self.inside -= 1
        return data

    def image(self, region, size):
        self.images.append(region)
        if region == BROKEN:
            raise DataError("a readable image", "a truncated file", "Delete cat.jpg.")
        return encode("PNG", 56, region), (0.0, 0.25, 0.5, 1.2)

    def describe(self, region):
        self.described.append(region)
        facts = {
            "image": np.int64(region // 2),
            "name": "<b>x</b>",
            "label": "shirt",
            "prediction": "coat",
            "correct": np.bool_(False),
            "cluster": np.int64(4) if region % 2 else None,
            "scores": [
                {"class_name": f"c{i}", "image": np.float32(0.5), "region": float("nan") if i else 0.25}
                for i in range(7)
            ],
        }
        if region == VAGUE:
            del facts["label"]
        return facts


def encode(kind, side, value):
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (int(value) % 256, 0, 0)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def source():
    return FakeSource()


def listen(gallery, monkeypatch):
    sent = []
    monkeypatch.setattr(gallery, "send", lambda content, buffers=None: sent.append((content, list(buffers or []))))
    return sent


@pytest.fixture
def gallery(source):
    widget = CropGallery(source)
    yield widget
    widget.close()


@pytest.fixture
def sent(gallery, monkeypatch):
    return listen(gallery, monkeypatch)


def ask_page(gallery, page=0, **more):
    content = {"kind": "page", "page": page, "revision": gallery._revision, "scale": 1, "request": "v:1", **more}
    gallery._handle_custom_msg(content, [])


def ask_detail(gallery, region, kind="detail", opened=True):
    gallery._handle_custom_msg({"kind": kind, "region": region, "opened": opened, "request": "v:1"}, [])


def test_a_page_is_one_message_with_only_its_crops(gallery, sent, source):
    gallery.show(np.arange(100, 912), title="cluster 4")
    assert gallery.total == 812
    assert sent == [] and source.crops == [], "nothing is encoded before the browser asks"
    ask_page(gallery, 1)
    assert source.crops == [(region, 96) for region in range(160, 220)]
    ((content, buffers),) = sent
    assert (content["kind"], content["request"], content["page"]) == ("page", "v:1", 1)
    assert (content["start"], content["total"]) == (60, 812)
    assert [item["region"] for item in content["items"]] == list(range(160, 220))
    assert [item["buffer"] for item in content["items"]] == list(range(60)) and len(buffers) == 60
    assert content["items"][0] == {
        "region": 160,
        "name": "<b>x</b>",
        "label": "shirt",
        "prediction": "coat",
        "correct": False,
        "cluster": None,
        "type": "image/jpeg",
        "buffer": 0,
    }
    assert len(json.dumps(content)) < 60 * 200
    assert sum(map(len, buffers)) == 60 * len(encode("JPEG", 28, 160))


def test_the_last_page_holds_the_rest(gallery, sent):
    gallery.show(range(100, 165))
    ask_page(gallery, 1)
    assert [item["region"] for item in sent[0][0]["items"]] == list(range(160, 165))


@pytest.mark.parametrize(("asked", "kept"), [(99, 1), (-3, 0)])
def test_a_page_beyond_the_list_is_brought_back(gallery, sent, asked, kept):
    gallery.show(range(100, 165))
    ask_page(gallery, asked)
    assert sent[0][0]["page"] == gallery.page == kept


def test_the_order_given_is_the_order_shown(gallery, sent):
    gallery.show([30, 20, 40])
    ask_page(gallery)
    assert [item["region"] for item in sent[0][0]["items"]] == [30, 20, 40]


def test_a_reloaded_browser_gets_the_same_page_again(gallery, sent):
    gallery.show(range(100, 400))
    ask_page(gallery, 3)
    ask_page(gallery, None)
    assert sent[0] == sent[1]


def test_a_page_asked_of_the_previous_list_gives_the_new_lists_page(gallery, sent):
    gallery.show(range(100, 400))
    gallery.show(range(500, 900))
    ask_page(gallery, 4, revision=gallery._revision - 1)
    assert sent[0][0]["items"][0]["region"] == 500


@pytest.mark.parametrize(("scale", "size"), [(1, 96), (1.5, 144), (2, 192), (50, 192), (0, 96)])
def test_sharp_screens_get_sharper_crops_within_reason(gallery, sent, source, scale, size):
    gallery.show([3])
    ask_page(gallery, scale=scale)
    assert source.crops == [(3, size)]


def test_changing_the_page_size_keeps_the_selected_crop_on_show(gallery):
    gallery.show(range(100), selected=75)
    assert gallery.page == 1
    revision = gallery._revision
    gallery.page_size = 10
    assert (gallery.page, gallery.selected, gallery._revision) == (7, 75, revision + 1)


def test_selecting_turns_to_the_page_and_only_for_listed_regions(gallery):
    gallery.show(range(100, 400))
    gallery.selected = np.int64(250)
    assert (gallery.page, gallery.selected, type(gallery.selected)) == (2, 250, int)
    gallery.selected = 7
    assert gallery.page == 2
    gallery.show(range(100, 400), selected=399)
    assert gallery.page == 4


def test_a_new_list_without_selection_closes_the_image(gallery):
    gallery.show([1, 2], selected=2)
    gallery.opened = True
    gallery.show([2, 3], selected=2)
    assert gallery.opened
    gallery.show([2, 3])
    assert (gallery.opened, gallery.selected) == (False, None)


def test_the_browser_selects_and_gets_the_whole_image(gallery, sent, source):
    gallery.show([1, 2, 3])
    seen = []
    gallery.observe(lambda change: seen.append(change.new), "selected")
    ask_detail(gallery, 3, kind="select")
    assert (gallery.selected, gallery.opened, seen) == (3, True, [3])
    ((content, buffers),) = sent
    assert (content["kind"], content["region"], content["type"]) == ("detail", 3, "image/png")
    assert content["box"] == [0.0, 0.25, 0.5, 1.0], "kept inside the image"
    assert buffers == [encode("PNG", 56, 3)] and source.crops == []
    ask_detail(gallery, 3, kind="select", opened=False)
    assert (gallery.selected, gallery.opened) == (3, False)
    assert sent[1] == ({"kind": "detail", "request": "v:1", "region": None}, [])


def test_a_click_on_the_crop_that_is_open_is_heard_too(gallery, sent):
    """The map may have marked another region since."""
    gallery.show([1, 2, 3])
    seen = []
    gallery.observe(lambda change: seen.append(change.new), "selected")
    for _ in range(2):
        ask_detail(gallery, 3, kind="select")
    assert seen == [3, 3] and gallery.opened


def test_looking_without_selecting_leaves_the_traits_alone(gallery, sent):
    gallery.show([1, 2, 3], selected=1)
    ask_detail(gallery, 3)
    assert (gallery.selected, gallery.opened) == (1, False)
    assert sent[0][0]["region"] == 3


def test_facts_are_json_without_nan_and_five_scores_long(gallery, sent):
    ask_detail(gallery, 5)
    content = sent[0][0]
    again = json.loads(json.dumps(content, allow_nan=False))
    assert again == content
    assert (again["image"], again["cluster"], again["correct"]) == (2, 4, False)
    assert again["scores"][:2] == [
        {"class_name": "c0", "image": 0.5, "region": 0.25},
        {"class_name": "c1", "image": 0.5, "region": None},
    ]
    assert len(again["scores"]) == 5


def test_an_unreadable_image_is_told_and_the_others_still_show(gallery, sent):
    gallery.show([12, BROKEN, VAGUE, 15])
    ask_page(gallery)
    content, buffers = sent[0]
    assert [item.get("buffer") for item in content["items"]] == [0, None, None, 1] and len(buffers) == 2
    truncated = "Expected a readable image, got a truncated file. Delete cat.jpg."
    assert content["items"][1]["error"] == truncated
    assert content["errors"][0] == truncated and "no label" in content["errors"][1]


def test_equal_errors_are_counted_and_many_are_cut(gallery, sent, source, monkeypatch):
    def fail(region, size):
        raise DataError("a file", "none" if region < 10 else f"none for {region}", "Look.")

    monkeypatch.setattr(source, "crop", fail)
    gallery.show([1, 2, 20, 21, 22, 23])
    ask_page(gallery)
    errors = sent[0][0]["errors"]
    assert errors[0] == "Expected a file, got none. Look. (2 crops)"
    assert len(errors) == 4 and errors[-1] == "2 more kinds of error."


def test_an_unreadable_whole_image_still_tells_the_facts(gallery, sent):
    ask_detail(gallery, BROKEN)
    content, buffers = sent[0]
    assert content["errors"] == ["Expected a readable image, got a truncated file. Delete cat.jpg."]
    assert content["label"] == "shirt" and buffers == [] and "box" not in content


@pytest.mark.parametrize(
    "wrong",
    [
        lambda region, size: "text",
        lambda region, size: b"GIF89a",
        lambda region, size: None,
    ],
)
def test_what_is_no_picture_is_told(gallery, sent, source, monkeypatch, wrong):
    monkeypatch.setattr(source, "crop", wrong)
    gallery.show([1])
    ask_page(gallery)
    assert "Expected JPEG or PNG bytes from crop()" in sent[0][0]["errors"][0]


def test_an_unforeseen_error_is_told_and_logged(gallery, sent, source, monkeypatch, caplog):
    def fail(region):
        raise KeyError("row")

    monkeypatch.setattr(source, "describe", fail)
    gallery.show([1])
    ask_page(gallery)
    assert sent[0][0]["errors"] == ["KeyError: 'row'"]
    assert "A crop could not be made" in caplog.text


def test_an_observers_error_is_told_in_the_gallery(gallery, sent):
    def fail(change):
        raise ValueError("no such point")

    gallery.show([1])
    gallery.observe(fail, "selected")
    ask_detail(gallery, 1, kind="select")
    assert sent[0][0]["errors"] == ["ValueError: no such point"]


@pytest.mark.parametrize("content", [None, "text", {}, {"kind": "other"}])
def test_foreign_messages_are_ignored(gallery, sent, content):
    gallery._handle_custom_msg(content, [])
    assert sent == []


@pytest.mark.parametrize("content", [{"kind": "select", "region": -4}, {"kind": "detail", "region": "x", "opened": 1}])
def test_a_malformed_request_gets_an_answer_nonetheless(gallery, sent, content):
    gallery._handle_custom_msg({**content, "request": "v:9"}, [])
    assert sent[0][0]["request"] == "v:9" and sent[0][0]["errors"]


def test_an_empty_list_is_a_result(gallery, sent):
    gallery.show([1, 2], title="two")
    gallery.show([], title="none")
    assert (gallery.total, gallery.page, gallery.title) == (0, 0, "none")
    ask_page(gallery)
    assert sent[0][0]["items"] == []


def test_another_source_empties_the_gallery(gallery, sent):
    gallery.show([1, 2], title="two", selected=1)
    other = FakeSource()
    gallery.source = other
    assert (gallery.source, gallery.total, gallery.title, gallery.selected) == (other, 0, "", None)
    gallery.show([8])
    ask_page(gallery)
    assert other.crops == [(8, 96)]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([0.5, 1.0], "whole region ids"),
        ([[1, 2]], "flat list"),
        (np.array([True, False]), "flatnonzero"),
        ([-1], "from 0 up"),
        ([3, 3], "once"),
    ],
)
def test_wrong_lists_are_refused_and_change_nothing(gallery, index, message):
    gallery.show([5], title="kept")
    with pytest.raises(InputError, match=message):
        gallery.show(index)
    assert (gallery.total, gallery.title) == (1, "kept")


def test_selected_must_be_in_the_list(gallery):
    with pytest.raises(InputError, match="one of the shown regions, got 9"):
        gallery.show([1, 2], selected=9)


@pytest.mark.parametrize("value", [-1, 1.0, "3", True])
def test_selected_is_a_region_id_or_none(gallery, value):
    with pytest.raises(traitlets.TraitError):
        gallery.selected = value


@pytest.mark.parametrize("setting", [{"page_size": 0}, {"page_size": 501}, {"thumbnail": 5}, {"thumbnail": "96"}])
def test_settings_out_of_range_are_refused(source, setting):
    with pytest.raises(traitlets.TraitError):
        CropGallery(source, **setting)


def test_total_is_read_only(gallery):
    with pytest.raises(traitlets.TraitError):
        gallery.total = 3


def test_unknown_keywords_are_refused(source):
    with pytest.raises(TypeError, match="unexpected keyword argument 'pagesize'"):
        CropGallery(source, pagesize=3)


def test_a_source_must_have_the_three_methods(source):
    assert isinstance(source, CropSource)
    with pytest.raises(InputError, match="object without crop, image, describe"):
        CropGallery(object())


def test_the_callers_array_may_change_afterwards(gallery, sent):
    index = np.array([1, 2, 3])
    gallery.show(index)
    index[:] = 99
    ask_page(gallery)
    assert [item["region"] for item in sent[0][0]["items"]] == [1, 2, 3]


def test_many_threads_leave_one_consistent_list(source, monkeypatch):
    gallery = CropGallery(source, page_size=5)
    sent = listen(gallery, monkeypatch)
    failures = []

    def work(worker):
        try:
            for step in range(8):
                first = 1000 * worker + 100 * (step % 3)
                gallery.show(range(first, first + 12 + worker), title=str(first))
                ask_page(gallery, step % 4)
                ask_detail(gallery, first + 1, kind="select")
                gallery.selected = first + 11
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert len(sent) == 4 * 8 * 2
    for content, buffers in sent:
        assert not content.get("errors")
        if content["kind"] == "page":
            regions = [item["region"] for item in content["items"]]
            assert len({region // 100 for region in regions}) == 1, "one page mixes two lists"
            assert len(buffers) == len(regions)
    first = int(gallery.title)
    assert gallery.total == 12 + first // 1000
    assert 0 <= gallery.page < 4


def test_an_observer_that_shows_another_list_wins(gallery):
    def follow(change):
        if change.new == "first":
            gallery.show([7, 8], title="similar", selected=8)

    gallery.observe(follow, "title")
    gallery.show([1, 2, 3], title="first", selected=2)
    assert (gallery.total, gallery.title, gallery.selected) == (2, "similar", 8)


def test_the_front_end_is_small_and_writes_no_html():
    sent, css = script("crops.js"), style("crops.css")
    assert len(sent.encode()) < 25_000 and len(css.encode()) < 20_000
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "import "):
        assert forbidden not in sent
    assert "http" not in css
