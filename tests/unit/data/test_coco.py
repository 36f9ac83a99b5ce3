"""COCO: boxes become corners, crowds and ambiguous images go, labels follow names and not ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ravl_explore.data import Coco, coco
from ravl_explore.data.coco import category_names
from ravl_explore.errors import DataError, InputError
from ravl_explore.regions.given import Given

CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}, {"id": 90, "name": "frisbee"}]
DOG, PERSON, FRISBEE = 18, 1, 90


def box(image: int, category: int, *bbox: float, crowd: int = 0) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": list(bbox), "iscrowd": crowd, "id": 1}


# Image 7 shows a dog and a frisbee, 3 a person and a crowd of dogs, 9 two persons, 5 nothing, 4 a person and a dog.
ANNOTATIONS = [
    box(7, DOG, 10, 5, 20, 8),
    box(7, FRISBEE, 30, 20, 25, 15.5),
    box(3, PERSON, 0, 0, 5, 5),
    box(3, DOG, 0, 0, 40, 30, crowd=1),
    box(9, PERSON, 1, 2, 3, 4),
    box(9, PERSON, -2, -3, 10, 10),
    box(9, PERSON, 4, 4, 0, 3),
    box(9, PERSON, 40, 1, 5, 5),
    box(4, PERSON, 0, 0, 3, 3),
    box(4, DOG, 0, 0, 10, 10),
]


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Changes of the file's parts -> path of instances_val.json in COCO's own layout, images of 40 x 30."""

    def make(name: str = "instances_val.json", **changes: Any) -> Path:
        for folder in ("annotations", "val"):
            (tmp_path / folder).mkdir(exist_ok=True)
        images = [{"id": i, "file_name": f"{i:06}.png", "width": 40, "height": 30} for i in (9, 7, 3, 5, 4)]
        for image in images:
            Image.new("L", (40, 30), image["id"]).save(tmp_path / "val" / image["file_name"])
        content = {"images": images, "annotations": ANNOTATIONS, "categories": CATEGORIES} | changes
        (tmp_path / "annotations" / name).write_text(json.dumps(content))
        return tmp_path / "annotations" / name

    return make


def pixel(data: Any, index: int) -> int:
    return int(data.image(index)[0, 0, 0])


def test_boxes_labels_and_what_is_left_out(write: Any) -> None:
    data = Coco(write(), classes=["dog", "person"])
    assert data.class_names == ("dog", "person")
    assert [pixel(data, i) for i in range(len(data))] == [7, 9], "3 has a crowd of dogs beside its person, 4 has both"
    assert data.labels.tolist() == [0, 1]
    assert data.notes == (
        "1 images with none of the classes were left out.",
        "2 images with several of the classes were left out.",
        "2 boxes without area inside their image were left out.",
        "1 crowds were left out.",
    )
    assert data.regions is not None and data.region_labels is not None
    assert data.regions.boxes.tolist() == [[10, 5, 30, 13], [30, 20, 40, 30], [1, 2, 4, 6], [0, 0, 8, 7]], (
        "corners, cut at the edges; without the box of no width and the one outside"
    )
    assert data.regions.image_index.tolist() == [0, 0, 1, 1]
    assert data.region_labels.tolist() == [0, -1, 1, 1]
    assert len(Given()(data)) == 4 and data.feature_name is None and data.captions is None
    assert data.templates == ("there is a {}", "a photo of the {}", "a photo of a {}", "{}")


def test_the_order_of_classes_is_the_users_or_that_of_ids(write: Any) -> None:
    data = Coco(write(), classes=["person", "dog"])
    assert data.labels.tolist() == [1, 0]
    everything = Coco(write())
    assert everything.class_names == ("person", "dog", "frisbee")
    assert [pixel(everything, i) for i in range(len(everything))] == [9], "7 shows a dog and a frisbee"


def test_an_image_with_several_may_take_the_largest(write: Any) -> None:
    data = Coco(write(), classes=["person", "dog"], multiple="largest")
    assert [pixel(data, i) for i in range(len(data))] == [3, 4, 7, 9] and data.labels.tolist() == [0, 1, 1, 0]
    assert "2 images with several of the classes took the largest." in data.notes
    assert not any("several of the classes were left out" in note for note in data.notes)
    with pytest.raises(InputError, match="drop"):
        Coco(write(), multiple="first")  # type: ignore[arg-type]


def test_a_category_can_be_the_annotated_feature(write: Any) -> None:
    data = Coco(write(), classes=["dog", "person"], feature="frisbee")
    assert data.feature_name == "frisbee"
    assert data.feature_present is not None and data.feature_present.tolist() == [True, False]
    assert data.region_feature is not None and data.region_feature.tolist() == [False, True, False, False]


def test_the_first_caption_by_id(write: Any, tmp_path: Path) -> None:
    captions = [
        {"image_id": 7, "id": 5, "caption": "later"},
        {"image_id": 7, "id": 2, "caption": " A dog jumps.\n"},
        {"image_id": 5, "id": 1, "caption": "nothing"},
    ]
    path = write()
    (path.parent / "captions_val.json").write_text(json.dumps({"annotations": captions}))
    assert Coco(path, classes=["dog", "person"]).captions == ("A dog jumps.", "")
    assert Coco(path, classes=["dog", "person"], captions="(none)").captions is None
    assert Coco(path, classes=["dog", "person"], captions=path.parent / "captions_val.json").captions is not None


def test_images_may_lie_elsewhere_and_be_missing(write: Any, tmp_path: Path) -> None:
    path = write()
    (tmp_path / "val").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"image files, got .*val.*000007\.png"):
        Coco(path, classes=["dog", "person"])
    (tmp_path / "elsewhere" / "000007.png").unlink()
    data = Coco(path, tmp_path / "elsewhere", classes=["dog", "person"])
    assert data.unreadable() == {0: "no such file"}


def test_a_file_name_may_not_leave_the_folder(write: Any) -> None:
    images = [{"id": i, "file_name": "../annotations/x.png", "width": 4, "height": 3} for i in (9, 7, 3, 5, 4)]
    with pytest.raises(DataError, match="image paths inside"):
        Coco(write(images=images), classes=["dog", "person"])


def test_without_sizes_boxes_are_cut_at_the_edges_of_the_picture_itself(write: Any) -> None:
    images = [{"id": i, "file_name": f"{i:06}.png"} for i in (9, 7, 3, 5, 4)]
    data = Coco(write(images=images), classes=["dog", "person"])
    assert data.regions is not None
    assert data.regions.boxes.tolist() == [[10, 5, 30, 13], [30, 20, 40, 30], [1, 2, 4, 6], [0, 0, 8, 7]]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"categories": None}, "with 'categories'"),
        ({"images": {}}, "with 'images'"),
        ({"annotations": [{"image_id": 7}]}, "KeyError: 'category_id'"),
        ({"annotations": [box(7, DOG, 1, 2, 3)]}, "COCO annotations"),
        ({"annotations": [box(77, DOG, 1, 2, 3, 4)]}, "one of image 77"),
        ({"annotations": [box(7, 77, 1, 2, 3, 4)]}, r"category_id 77 in image 7, of the categories '1', '18', '90'"),
        ({"annotations": [box(7, 77, 1, 2, 3, 4, crowd=1)]}, "category_id 77"),
        ({"annotations": [box(7, [], 1, 2, 3, 4)]}, "COCO annotations"),
        ({"annotations": [box(7, DOG, 10**400, 2, 3, 4)]}, "COCO annotations"),
        ({"annotations": ["dog"]}, "COCO annotations"),
        ({"categories": ["cat"]}, "COCO annotations"),
        ({"categories": [1]}, "COCO annotations"),
        ({"categories": [{"id": 1}]}, "KeyError: 'name'"),
        ({"categories": [{"id": {}, "name": "cat"}]}, "COCO annotations"),
        ({"images": ["a.png"]}, "COCO annotations"),
        ({"images": [{"id": 7, "file_name": 5}], "annotations": [box(7, DOG, 1, 2, 3, 4)]}, "COCO annotations"),
        ({"images": [{"id": 7}], "annotations": [box(7, DOG, 1, 2, 3, 4)]}, "KeyError: 'file_name'"),
        ({"annotations": []}, "images with one of 'dog', 'person', got 5 with none and 0 with several"),
    ],
)
def test_what_is_no_coco(write: Any, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        Coco(write(**changes), classes=["dog", "person"])


# --- two statements of one fact ---------------------------------------------------------------------------------------


def test_boxes_are_scaled_to_resized_pictures(write: Any) -> None:
    images = [{"id": i, "file_name": f"{i:06}.png", "width": 401, "height": 301} for i in (9, 7)]
    boxes = [box(7, DOG, 100, 50, 200, 80), box(7, FRISBEE, 0, 0, 0.01, 9), box(9, PERSON, 10, 20, 30, 40)]
    data = Coco(write(images=images, annotations=boxes), classes=["dog", "person"])
    assert data.regions is not None and data.region_labels is not None
    np.testing.assert_allclose(data.regions.boxes[[0, -1]], [[10, 5, 30, 13], [1, 2, 4, 6]], atol=0.1)
    assert data.region_labels.tolist() == [0, -1, 1]
    assert data.notes == ("2 images are of another size than their annotations say; their boxes were scaled.",)


@pytest.mark.parametrize("scale", [1, 10])
def test_boxes_of_the_stored_picture_are_turned_along(write: Any, tmp_path: Path, scale: int) -> None:
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 40 * scale, "height": 30 * scale} for i in (9, 7)]
    boxes = [box(i, kind, *(scale * v for v in (20, 5, 10, 4))) for i, kind in ((7, DOG), (9, PERSON))]
    path, exif = write(images=images, annotations=boxes), Image.Exif()
    exif[0x0112] = 8
    for i in (7, 9):
        Image.new("L", (40, 30)).save(tmp_path / "val" / f"{i}.jpg", exif=exif)
    data = Coco(path, classes=["dog", "person"])
    assert data.regions is not None and data.regions.boxes.tolist() == [[5, 10, 9, 20]] * 2
    assert len(data.notes) == (1 if scale == 1 else 2) and "turned by EXIF" in data.notes[-1]
    images = [image | {"width": 30, "height": 40} for image in images]
    boxes = [box(i, kind, 5, 10, 4, 10) for i, kind in ((7, DOG), (9, PERSON))]
    upright = Coco(write(images=images, annotations=boxes), classes=["dog", "person"])
    assert upright.regions is not None and upright.regions.boxes.tolist() == [[5, 10, 9, 20]] * 2
    assert upright.notes == (), "annotated upright, as it is read"


@pytest.mark.parametrize("size", [(30, 40), (40, 40), (64, 30)])
def test_a_picture_of_other_proportions_is_refused(write: Any, size: tuple[int, int]) -> None:
    images = [{"id": i, "file_name": f"{i:06}.png", "width": size[0], "height": size[1]} for i in (9, 7, 3, 5, 4)]
    with pytest.raises(DataError, match=rf"40 x 30 pixels instead of {size[0]} x {size[1]} for '.*000007\.png'"):
        Coco(write(images=images), classes=["dog", "person"])


@pytest.mark.parametrize("size", [None, 0, -1, "", "unknown", "0", float("nan")])
def test_a_size_that_is_not_known_is_that_of_the_picture(write: Any, size: Any) -> None:
    images = [{"id": i, "file_name": f"{i:06}.png", "width": size, "height": 30} for i in (9, 7, 3, 5, 4)]
    data, known = Coco(write(images=images), classes=["dog", "person"]), Coco(write(), classes=["dog", "person"])
    assert data.regions is not None and known.regions is not None
    assert data.regions.boxes.tolist() == known.regions.boxes.tolist() and data.notes == known.notes


def test_what_the_scan_of_the_headers_says_is_kept(write: Any, tmp_path: Path) -> None:
    path = write()
    for image in (9, 7):
        Image.fromarray(np.full((30, 40), 3000, np.uint16)).save(tmp_path / "val" / f"{image:06}.png")
    data = Coco(path, classes=["dog", "person"])
    notes = data.notes
    assert data.unreadable() == {} and data.notes == notes and any("bit" in note for note in notes)


def test_a_size_may_be_written_as_text(write: Any) -> None:
    images = [{"id": i, "file_name": f"{i:06}.png", "width": "400", "height": "300"} for i in (9, 7, 3, 5, 4)]
    assert any("scaled" in note for note in Coco(write(images=images), classes=["dog", "person"]).notes)


IMAGES = [{"id": i, "file_name": f"{i:06}.png", "width": 40, "height": 30} for i in (9, 7, 3, 5, 4)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"images": [*IMAGES, {"id": 7, "file_name": "000003.png"}]}, r"two of the id 7: 000007\.png and 000003\.png"),
        ({"categories": [*CATEGORIES, {"id": DOG, "name": "cat"}]}, "two of the id 18: dog and cat"),
        ({"images": [*IMAGES[:4], IMAGES[4] | {"file_name": "./000009.png"}], "annotations": [
            box(9, PERSON, 1, 1, 3, 3), box(4, DOG, 1, 1, 3, 3)]}, r"000009\.png' under 4 and 9"),
        ({"categories": [*CATEGORIES, {"id": 5, "name": "dog"}], "annotations": [*ANNOTATIONS, box(5, 5, 1, 1, 2, 2)]},
         "one category of each name, got 'dog' with the ids 5, 18"),
        ({"categories": [{"id": 1, "name": None}]}, "the category 1 has no text as name"),
        ({"images": [{"id": 7, "file_name": None}], "annotations": [box(7, DOG, 1, 2, 3, 4)]}, "image 7 has no text"),
    ],
)  # fmt: skip
def test_what_stands_for_two_things_is_refused(write: Any, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        Coco(write(**changes), classes=["dog", "person"])


@pytest.mark.parametrize("bare", [{}, {"bbox": None}, {"bbox": []}])
def test_annotations_without_a_box_are_left_out_and_told(write: Any, bare: dict[str, Any]) -> None:
    without = [{"image_id": image, "category_id": PERSON, "id": 2} | bare for image in (5, 7)]
    data = Coco(write(annotations=[*ANNOTATIONS, *without]), classes=["dog", "person"])
    assert [pixel(data, i) for i in range(len(data))] == [9], "7 shows a person beside its dog"
    assert "2 annotations without a bbox were left out." in data.notes
    assert "3 images with several of the classes were left out." in data.notes


def test_what_is_said_twice_counts_once(write: Any) -> None:
    again = {"images": [*IMAGES, IMAGES[1]], "categories": [*CATEGORIES, CATEGORIES[0]]}
    data = Coco(write(**again, annotations=[*ANNOTATIONS, *ANNOTATIONS[:2]]), classes=["dog", "person"])
    once = Coco(write(), classes=["dog", "person"])
    assert data.regions is not None and once.regions is not None
    assert data.regions.boxes.tolist() == once.regions.boxes.tolist() and data.files == once.files


def test_ids_are_the_same_as_numbers_and_as_text(write: Any) -> None:
    texts = [
        each | {"image_id": str(each["image_id"]), "category_id": str(each["category_id"])} for each in ANNOTATIONS
    ]
    path = write(annotations=texts)
    (path.parent / "captions_val.json").write_text('{"annotations": [{"id": 1, "image_id": "7", "caption": "x"}]}')
    data, once = Coco(path, classes=["dog", "person"]), Coco(write(), classes=["dog", "person"])
    assert data.regions is not None and once.regions is not None and data.captions == ("x", "")
    assert data.regions.boxes.tolist() == once.regions.boxes.tolist() and data.labels.tolist() == once.labels.tolist()
    named = [image | {"id": "a"} if image["id"] == 5 else image for image in IMAGES]
    assert len(Coco(write(images=named), classes=["dog", "person"])) == 2
    with pytest.raises(DataError, match="two of the id 7"):
        Coco(write(images=[*IMAGES, IMAGES[0] | {"id": "7"}]))


def test_a_key_that_comes_twice_is_told(write: Any) -> None:
    path = write()
    path.write_text('{"images": [], ' + path.read_text()[1:])
    with pytest.raises(DataError, match="the key 'images' twice"):
        Coco(path)


def test_categories_without_annotations_are_no_classes(write: Any) -> None:
    categories = [{"id": 0, "name": "pets"}, *CATEGORIES, {"id": 5, "name": "dog"}]
    boxes = [box(7, DOG, 1, 1, 5, 5), box(9, PERSON, 1, 1, 5, 5), box(3, FRISBEE, 1, 1, 5, 5), box(3, DOG, 1, 1, 5, 5)]
    data = Coco(write(categories=categories, annotations=boxes))
    assert data.class_names == ("person", "dog", "frisbee") and data.labels.tolist() == [1, 0]
    assert data.notes[:2] == (
        "Categories without an annotation are no classes: 'pets', 'dog'.",
        "No image is left of the classes 'frisbee'; predictions may be.",
    )
    named = Coco(write(categories=categories, annotations=boxes), classes=["dog", "pets"])
    assert named.class_names == ("dog", "pets"), "who names it, means it"
    with pytest.raises(DataError, match="at least two annotated categories, got 'dog'; without any annotation: 'pets'"):
        Coco(write(categories=categories, annotations=boxes[:1]))


def test_backslashes_and_missing_first_images_do_not_mislead_the_guess(write: Any, tmp_path: Path) -> None:
    images = [image | {"file_name": "val\\" + image["file_name"]} for image in IMAGES]
    path = write(images=images)
    assert Coco(path, classes=["dog", "person"]).files[0] == tmp_path / "val" / "000007.png"
    (tmp_path / "val" / "000007.png").unlink()
    assert Coco(path, classes=["dog", "person"]).unreadable() == {0: "no such file"}
    bare = [image | {"file_name": "val/000009" if image["id"] == 9 else image["file_name"]} for image in images]
    assert Coco(write(images=bare), classes=["dog", "person"]).files[1].name == "000009.png"


def test_a_caption_that_is_null_is_none(write: Any) -> None:
    path = write()
    captions = [{"image_id": 7, "id": 2, "caption": None}, {"image_id": 9, "id": 3, "caption": 5}]
    (path.parent / "captions_val.json").write_text(json.dumps({"annotations": captions}))
    assert Coco(path, classes=["dog", "person"]).captions == ("", "5")


def test_unknown_classes_are_listed_with_the_known(write: Any) -> None:
    with pytest.raises(DataError, match="categories among 'person', 'dog', 'frisbee', got also 'cat'"):
        Coco(write(), classes=["dog", "cat"])
    with pytest.raises(DataError, match="also 'kite'"):
        Coco(write(), classes=["dog", "person"], feature="kite")
    feature = next(field for field in Coco.form if field.name == "feature")
    assert feature.choices is not None
    assert feature.choices({"annotations": str(write())}) == ["dog", "person", "frisbee"]
    assert feature.choices({}) == []


def test_no_json(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not there"):
        Coco(tmp_path / "x.json")
    (tmp_path / "x.json").write_text('{"images": [')
    with pytest.raises(DataError, match=r"x\.json.*line 1"):
        Coco(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(DataError, match="with list"):
        Coco(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"a COCO JSON file"):
        Coco(tmp_path / "x.json")


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 1e300])
def test_boxes_that_are_no_numbers_go_and_are_counted(write: Any, odd: float) -> None:
    images = [{"id": i, "file_name": f"{i:06}.png"} for i in (9, 7)]  # no sizes, so nothing is cut
    boxes = [box(7, DOG, 1, 2, 3, 4), box(7, DOG, 1, 2, odd, 4), box(9, PERSON, 1, 2, 3, 4)]
    data = Coco(write(images=images, annotations=boxes), classes=["dog", "person"])
    assert data.regions is not None and len(data.regions) == 2
    assert data.notes == ("1 boxes without area inside their image were left out.",)


@pytest.mark.parametrize("entry", [{}, "text", {"id": 1, "image_id": 7}, {"id": [], "image_id": 7, "caption": ""}])
def test_captions_of_the_wrong_shape_name_their_file(write: Any, entry: Any) -> None:
    path = write()
    content = {"annotations": [entry, {"id": 2, "image_id": 7, "caption": "x"}]}
    (path.parent / "captions_val.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"captions_val\.json"):
        Coco(path, classes=["dog", "person"])


@pytest.mark.parametrize("categories", [["cat"], [1], [None], [{"id": 1}], {"cat": 1}, None])
def test_the_form_tells_what_is_no_category(write: Any, categories: Any) -> None:
    with pytest.raises(DataError, match=r"COCO"):
        category_names({"annotations": str(write(categories=categories))})


def test_the_form_reads_a_file_once_until_it_changes(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(
        coco, "read_coco_json", lambda file, keys, plain=coco.read_coco_json: read.append(file) or plain(file, keys)
    )
    path = write()
    for _ in range(3):
        assert category_names({"annotations": f" {path} "}) == ["dog", "person", "frisbee"]
    assert len(read) == 1
    write(categories=[{"id": 1, "name": "another"}])
    assert category_names({"annotations": str(path)}) == ["another"] and len(read) == 2
    path.unlink()
    for gone in (str(path), "a\0b"):
        with pytest.raises(DataError, match="COCO JSON file"):
            category_names({"annotations": gone})
