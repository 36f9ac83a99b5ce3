"""MaskFiles: PNG, NPZ and COCO masks find their image, are resized where they must be, and nothing else is guessed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ravl_explore.concepts import MaskFiles
from ravl_explore.concepts.coco_masks import from_runs, unpack
from ravl_explore.concepts.mask_reading import binary, resize_nearest
from ravl_explore.concepts.matching import image_keys, match
from ravl_explore.data import ArrayDataset, Folder, Subset
from ravl_explore.errors import DataError, InputError, MissingDependencyError

HEIGHT, WIDTH = 6, 8


def save(path: Path, mask: np.ndarray, scale: int = 255, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray((mask * scale).astype(np.uint8))
    (image if mode is None else image.convert(mode)).save(path)


def half(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[:, : width // 2] = True
    return mask


@pytest.fixture
def pictures(tmp_path: Path) -> Folder:
    """cat/1, cat/2, dog/1, dog/3."""
    for name in ("cat/1.jpg", "cat/2.png", "dog/1.png", "dog/3.png"):
        save(tmp_path / "images" / name, np.zeros((HEIGHT, WIDTH)), mode="RGB")
    return Folder(tmp_path / "images")


@pytest.fixture
def numbered() -> ArrayDataset:
    return ArrayDataset(np.zeros((3, HEIGHT, WIDTH, 3), np.uint8), [0, 1, 1], ["cat", "dog"])


def test_masks_are_matched_by_path_then_by_name(pictures: Folder, tmp_path: Path) -> None:
    save(tmp_path / "masks/cat/1.png", half())
    save(tmp_path / "masks/dog/1.png", ~half())
    save(tmp_path / "masks/3.png", half(), scale=1)
    save(tmp_path / "masks/extra.png", half())
    masks = MaskFiles(tmp_path / "masks").open(pictures)
    keys = image_keys(pictures)
    found = {key: masks(row) for row, key in enumerate(keys)}
    assert sorted(keys) == ["cat/1", "cat/2", "dog/1", "dog/3"]
    assert (found["cat/1"][0] == half()).all() and (found["cat/1"][1] == ~half()).all()
    assert (found["dog/1"][0] == ~half()).all() and (found["dog/3"][0] == half()).all()
    assert not found["cat/2"][0].any() and not found["cat/2"][1].any()
    assert masks.notes == ("1 image has no mask.",) and masks.name == "masks of masks"


def test_images_without_files_go_by_number_also_in_a_subset(numbered: ArrayDataset, tmp_path: Path) -> None:
    save(tmp_path / "000002.png", half())
    part = Subset(numbered, [2, 0, 2])
    masks = MaskFiles(str(tmp_path)).open(part)
    assert [masks(i)[0].any() for i in range(3)] == [True, False, True]
    assert image_keys(numbered) == ["000000", "000001", "000002"]


def test_hugging_face_rows_count_as_numbers() -> None:
    class Rows:
        def __len__(self) -> int:
            return 2

        def where(self, index: int) -> str:
            return f"row {index + 7} of some/set of\nrow 3"

    rows: Any = Rows()
    assert image_keys(rows) == ["000007", "000008"]


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "RGB", "RGBA", "LA"])
def test_every_kind_of_gray_is_read(numbered: ArrayDataset, tmp_path: Path, mode: str) -> None:
    if mode == "P":
        image = Image.new("P", (WIDTH, HEIGHT))
        image.putpalette([0, 0, 0, 255, 0, 0])
        image.putdata(half().astype(int).ravel().tolist())
        image.save(tmp_path / "000000.png")
    else:
        save(tmp_path / "000000.png", half(), mode=mode)
    assert (MaskFiles(tmp_path).open(numbered)(0)[0] == half()).all()


def test_a_second_png_says_what_to_suppress(numbered: ArrayDataset, tmp_path: Path) -> None:
    corner = np.zeros((HEIGHT, WIDTH), bool)
    corner[0, 3:6] = True
    save(tmp_path / "000000.png", half())
    save(tmp_path / "000000.suppress.png", corner)
    masks = MaskFiles(tmp_path).open(numbered)
    promote, suppress = masks(0)
    masks(0)  # again counts no image twice
    assert (suppress == corner).all() and (promote == half() & ~corner).all()
    assert masks.notes == (
        "2 images have no mask.",
        "1 image has pixels in both masks, which count as suppressed.",
    )


def test_npz_holds_promote_and_maybe_suppress(numbered: ArrayDataset, tmp_path: Path) -> None:
    np.savez(tmp_path / "000000.npz", promote=half())
    np.savez(tmp_path / "000001.npz", promote=half().astype(np.float32), suppress=np.zeros((HEIGHT, WIDTH), np.uint8))
    np.savez(tmp_path / "000002.npz", promote=np.zeros((HEIGHT, WIDTH)))
    masks = MaskFiles(tmp_path).open(numbered)
    assert (masks(0)[1] == ~half()).all()
    assert (masks(1)[0] == half()).all() and not masks(1)[1].any()
    assert not masks(2)[0].any() and not masks(2)[1].any() and masks.notes == ("1 mask promotes nothing.",)


def test_another_size_is_resized_nearest_and_told(numbered: ArrayDataset, tmp_path: Path) -> None:
    small = np.array([[1, 0], [0, 0]], bool)
    save(tmp_path / "000001.png", small)
    masks = MaskFiles(tmp_path).open(numbered)
    assert masks.notes == ("2 images have no mask.",)
    promote, suppress = masks(1)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[:3, :4] = True
    assert (promote == expected).all() and (suppress == ~expected).all()
    assert masks.notes[1] == "1 mask was of another size and resized, nearest pixel."


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_of_the_stored_image_is_turned_as_exif_turns_that(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    mask = half()
    mask[0] = False
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        pixels = Image.fromarray((mask * 255).astype(np.uint8))
        pixels.save(tmp_path / "images" / name / f"{name}.png", exif=exif)
    save(tmp_path / "masks" / "cat.png", mask)
    np.savez(tmp_path / "masks" / "dog.npz", promote=mask, suppress=~mask)
    data = Folder(tmp_path / "images")
    for whole in (data, Subset(data, [0, 1])):
        masks = MaskFiles(tmp_path / "masks").open(whole)
        for index in range(2):
            promote, suppress = masks(index)
            assert (promote == (data.image(index)[..., 0] > 0)).all() and (suppress == ~promote).all()
        assert masks.notes == ("2 masks were turned as EXIF turns the image.",)


def test_a_mask_whose_sides_are_exchanged_is_refused(numbered: ArrayDataset, tmp_path: Path) -> None:
    save(tmp_path / "000001.png", half(WIDTH, HEIGHT))
    masks = MaskFiles(tmp_path).open(numbered)
    with pytest.raises(
        DataError, match=r"a mask of 8 x 6 pixels, .* got 6 x 8 for 'image 1', width and height exchanged"
    ):
        masks(1)


@pytest.mark.parametrize("shape", [(6, 8), (3, 5), (13, 2), (1, 1)])
def test_nearest_equals_the_loop(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((5, 7)) < 0.5
    found = resize_nearest(mask, *shape)
    for y in range(shape[0]):
        for x in range(shape[1]):
            assert found[y, x] == mask[int((y + 0.5) * 5 / shape[0]), int((x + 0.5) * 7 / shape[1])]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([[0, 1, 255]]), "0, 1, 255"),
        (np.array([[0, 7]]), "with 0, 7"),
        (np.array([[0.0, 0.5, 1.0]]), "0.5"),
        (np.array([[0.0, np.nan]]), "nan"),
        (np.array([[-1, 0]]), "-1, 0"),
        (np.arange(300)[None], r"5 \.\.\."),
        (np.zeros((2, 2, 2)), "shape"),
        (np.zeros((0, 2)), "shape"),
        (np.array([["a"]]), "a mask of numbers"),
    ],
)
def test_other_values_than_zero_and_one_are_an_error(array: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said):
        binary(array, "m.png")


def test_files_that_are_no_masks(numbered: ArrayDataset, tmp_path: Path) -> None:
    def failing(name: str, content: bytes, error: str) -> None:
        folder = tmp_path / error.split()[-1]
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        with pytest.raises(DataError, match=error):
            MaskFiles(folder).open(numbered)(0)
        (folder / name).unlink()

    failing("000000.png", b"", "a PNG file")
    failing("000000.png", b"\x89PNG\r\n\x1a\nnonsense", "a PNG file")
    failing("000000.npz", b"PK nonsense", "an NPZ file of plain arrays")
    failing("000000.npz", b"", "an NPZ file of plain arrays")
    np.savez(tmp_path / "000000.npz", W_out=half())
    with pytest.raises(DataError, match="an array called promote, got W_out"):
        MaskFiles(tmp_path).open(numbered)(0)
    colours = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colours[0, 0] = (255, 0, 0)
    (tmp_path / "000000.npz").unlink()
    Image.fromarray(colours).save(tmp_path / "000000.png")
    with pytest.raises(DataError, match="in colour"):
        MaskFiles(tmp_path).open(numbered)(0)


def test_an_npz_file_with_code_in_it_is_not_run(numbered: ArrayDataset, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    np.savez(tmp_path / "000000.npz", promote=np.array([Bomb()], object))
    with pytest.raises(DataError, match="an NPZ file of plain arrays"):
        MaskFiles(tmp_path).open(numbered)(0)
    assert not (tmp_path / "ran").exists()


def test_paths_and_names_that_do_not_fit(pictures: Folder, numbered: ArrayDataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which is not there"):
        MaskFiles(tmp_path / "nowhere")
    (tmp_path / "masks.txt").write_text("")
    with pytest.raises(InputError, match="which is something else"):
        MaskFiles(tmp_path / "masks.txt")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="PNG or NPZ masks, got none"):
        MaskFiles(tmp_path / "none").open(numbered)
    save(tmp_path / "named/a.png", half())
    with pytest.raises(DataError, match="such as '000000', got 1 with other names, such as 'a'"):
        MaskFiles(tmp_path / "named").open(numbered)
    save(tmp_path / "flat/1.png", half())
    with pytest.raises(DataError, match="2 images called '1'"):
        MaskFiles(tmp_path / "flat").open(pictures)
    save(tmp_path / "two/000000.png", half())
    np.savez(tmp_path / "two/000000.npz", promote=half())
    with pytest.raises(DataError, match="several called '000000'"):
        MaskFiles(tmp_path / "two").open(numbered)


def test_match_prefers_whole_paths() -> None:
    assert match(["a/1", "b/1"], ["a/1"]) == [0, None]
    assert match(["a/1", "b/1"], ["a/1", "1"]) == [0, 1]
    assert match(["a/1", "a/1"], ["x/1"]) == [0, 0]
    assert match([], []) == [] and match(["a"], []) == [None]
    with pytest.raises(DataError, match="1 images called '1'"):
        match(["a/1"], ["x/1", "y/1"])


def test_fingerprint_changes_with_a_file(numbered: ArrayDataset, tmp_path: Path) -> None:
    save(tmp_path / "000000.png", half())
    before = MaskFiles(tmp_path).open(numbered).fingerprint()
    assert MaskFiles(tmp_path).open(numbered).fingerprint() == before
    save(tmp_path / "000001.png", half())
    second = MaskFiles(tmp_path).open(numbered).fingerprint()
    save(tmp_path / "000000.suppress.png", np.eye(3))
    third = MaskFiles(tmp_path).open(numbered).fingerprint()
    assert len({before, second, third}) == 3


# ---- COCO


def run_lengths(mask: np.ndarray) -> list[int]:
    """Column after column, runs of 0 and 1 in turn, 0 first: COCO's uncompressed form, by the book."""
    runs, value = [0], False
    for pixel in mask.T.ravel():
        if pixel != value:
            runs.append(0)
            value = not value
        runs[-1] += 1
    return runs


def coco(path: Path, annotations: list[dict], categories: list[dict] | None = None) -> Path:
    content = {
        "images": [{"id": 70 + i, "file_name": f"{i:06d}.jpg", "height": HEIGHT, "width": WIDTH} for i in range(3)],
        "annotations": [{"id": row, **each} for row, each in enumerate(annotations)],
        "categories": categories or [],
    }
    path.write_text(json.dumps(content))
    return path


def test_run_lengths_and_polygons_are_decoded(numbered: ArrayDataset, tmp_path: Path) -> None:
    from pycocotools import mask as coco_mask

    rng = np.random.default_rng(0)
    one, two = rng.random((HEIGHT, WIDTH)) < 0.3, rng.random((HEIGHT, WIDTH)) < 0.3
    packed = coco_mask.encode(np.asfortranarray(two.astype(np.uint8)))
    path = coco(
        tmp_path / "masks.json",
        [
            {"image_id": 70, "segmentation": {"size": [HEIGHT, WIDTH], "counts": run_lengths(one)}},
            {"image_id": 70, "segmentation": {"size": [HEIGHT, WIDTH], "counts": packed["counts"].decode()}},
            {"image_id": 71, "segmentation": [[1, 1, 5, 1, 5, 4, 1, 4], [6, 0, 8, 0, 8, 2, 6, 2]]},
            {"image_id": 99, "segmentation": [[0, 0, 1, 0, 1, 1]]},
        ],
    )
    masks = MaskFiles(path).open(numbered)
    assert (masks(0)[0] == one | two).all() and (masks(0)[1] == ~(one | two)).all()
    expected = Image.new("1", (WIDTH, HEIGHT))
    ImageDraw.Draw(expected).rectangle((1, 1, 4, 3), fill=1)
    ImageDraw.Draw(expected).rectangle((6, 0, 7, 1), fill=1)
    assert (masks(1)[0] == np.array(expected)).all()
    assert not masks(2)[0].any() and masks.notes == ("1 image has no mask.",)


def test_where_categories_are_classes_an_image_promotes_its_own(numbered: ArrayDataset, tmp_path: Path) -> None:
    square, other = [[0, 0, 2, 0, 2, 2, 0, 2]], [[4, 0, 6, 0, 6, 2, 4, 2]]
    both = [
        {"image_id": 71, "category_id": 1, "segmentation": square},
        {"image_id": 71, "category_id": 2, "segmentation": other},
    ]
    objects = coco(tmp_path / "o.json", both, [{"id": 1, "name": "Dog"}, {"id": 2, "name": "frisbee"}])
    parts = coco(tmp_path / "p.json", both, [{"id": 1, "name": "snout"}, {"id": 2, "name": "paw"}])
    own = MaskFiles(objects).open(numbered)
    assert own(1)[0].sum() == 4 and own(1)[0][0, 0] and "own class alone" in own.notes[0]
    assert MaskFiles(parts).open(numbered)(1)[0].sum() == 8


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [HEIGHT, WIDTH], "counts": [3]},
        {"size": [HEIGHT, WIDTH], "counts": [60, -12]},
        {"size": [WIDTH, HEIGHT], "counts": [48]},
        {"size": [HEIGHT, WIDTH], "counts": "\u00e9"},
        {"size": [HEIGHT, WIDTH], "counts": "oooooo3"},
        {"size": [HEIGHT, WIDTH]},
        [[1, 1, 2]],
        [[1, 1, 2, 2, float("nan"), 3]],
        [["a", 1, 2, 2, 3, 3]],
        "text",
    ],
)
def test_broken_segments_are_named(numbered: ArrayDataset, tmp_path: Path, segmentation: Any) -> None:
    path = coco(tmp_path / "m.json", [{"image_id": 70, "segmentation": segmentation}])
    masks = MaskFiles(path).open(numbered)
    with pytest.raises(DataError, match=r"annotation 0 of .*m\.json"):
        masks(0)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"images": [{"id": 1}], "annotations": []}', "[" * 5000])
def test_files_that_are_no_coco(numbered: ArrayDataset, tmp_path: Path, content: str) -> None:
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(DataError, match="a COCO file with images"):
        MaskFiles(tmp_path / "m.json").open(numbered)
    (tmp_path / "m.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(DataError, match="a COCO file with images, got none"):
        MaskFiles(tmp_path / "m.json").open(numbered)


@pytest.mark.parametrize("size", [None, 0, -1, "", "unknown"])
def test_an_image_of_unknown_size_has_that_of_the_picture(numbered: ArrayDataset, tmp_path: Path, size: Any) -> None:
    path = coco(tmp_path / "m.json", [{"image_id": 70, "segmentation": [[0, 0, 4, 0, 4, 6, 0, 6]]}])
    content = json.loads(path.read_text())
    content["images"] = [image | {"width": size} for image in content["images"]]
    path.write_text(json.dumps(content))
    assert (MaskFiles(path).open(numbered)(0)[0] == half()).all()


def test_what_stands_for_two_things_is_refused(numbered: ArrayDataset, tmp_path: Path) -> None:
    path = coco(tmp_path / "m.json", [], [{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}])
    with pytest.raises(DataError, match="two of the id 1: cat and dog"):
        MaskFiles(path).open(numbered)
    content = json.loads(path.read_text())
    content["categories"], content["images"][1]["id"] = [], 70
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"two of the id 70: 000000\.jpg and 000001\.jpg"):
        MaskFiles(path).open(numbered)
    path.write_text('{"images": [], ' + json.dumps(content)[1:])
    with pytest.raises(DataError, match="the key 'images' twice"):
        MaskFiles(path).open(numbered)


def test_a_pipe_is_no_file_of_masks(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.json")
    with pytest.raises(InputError, match="something else"):
        MaskFiles(tmp_path / "m.json")


def test_packed_runs_beyond_all_measure_are_refused_at_once() -> None:
    for text in ("o" * 10_000_000, "0" + "P" * 14 + "0"):
        with pytest.raises(ValueError, match="beyond all measure"):
            unpack(text)


def test_packed_runs_equal_pycocotools() -> None:
    from pycocotools import mask as coco_mask

    rng = np.random.default_rng(0)
    for share in (0, 0.01, 0.5, 1):
        for shape in ((1, 1), (3, 5), (70, 90), (1000, 1)):
            mask = rng.random(shape) < share
            packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
            assert unpack(packed) == run_lengths(mask)
            assert (from_runs(packed, *shape) == mask).all() and (from_runs(packed.decode(), *shape) == mask).all()


def test_without_pycocotools_only_polygons_are_refused(
    numbered: ArrayDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    runs = {"image_id": 70, "segmentation": {"size": [HEIGHT, WIDTH], "counts": run_lengths(half())}}
    assert (MaskFiles(coco(tmp_path / "m.json", [runs])).open(numbered)(0)[0] == half()).all()
    path = coco(tmp_path / "m.json", [runs, {"image_id": 71, "segmentation": [[0, 0, 2, 0, 2, 2]]}])
    with pytest.raises(MissingDependencyError, match=r"ravl-explore\[concepts\]"):
        MaskFiles(path).open(numbered)
