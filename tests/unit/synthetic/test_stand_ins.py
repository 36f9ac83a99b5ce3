"""The stand-ins go through the real sets' loaders, are the same for the same seed, and say what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ravl_explore.data import ObjectCxr, Sun397
from ravl_explore.errors import InputError
from ravl_explore.regions.given import Given
from ravl_explore.synthetic.stand_ins import make_object_cxr, make_sun397


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_object_cxr_goes_through_its_loader(tmp_path: Path) -> None:
    root = make_object_cxr(tmp_path / "cxr", 24)
    data = ObjectCxr(root)
    assert len(data) == 16 and set(data.labels.tolist()) == {0, 1} and data.unreadable() == {}
    assert len(ObjectCxr(root, shapes=["ellipse", "polygon"])) == 4 and len(ObjectCxr(root, unannotated=True)) == 24
    assert (root / "dev.csv").read_text().startswith("image_name,annotation\n")
    assert "stand-ins" in (root / "stand-in.txt").read_text()
    assert len(Given()(data)) == len(data.regions or ())


def test_boxes_hold_the_bright_objects(tmp_path: Path) -> None:
    data = ObjectCxr(make_object_cxr(tmp_path, 12))
    assert data.regions is not None
    for box, image in zip(data.regions.boxes.astype(int), data.regions.image_index, strict=True):
        x1, y1, x2, y2 = box
        pixels = data.image(int(image))[:, :, 0]
        inside = pixels[y1:y2, x1:x2]
        assert np.percentile(inside, 80) > 215, "metal is brighter than any bone"
        edge = pixels[max(0, y1 - 6) : y2 + 6, max(0, x1 - 6) : x2 + 6]
        assert np.percentile(inside, 60) > np.percentile(edge, 60) - 1


def test_clips_go_with_cardiomegaly(tmp_path: Path) -> None:
    data = ObjectCxr(make_object_cxr(tmp_path, 90))
    assert data.regions is not None
    clip = (data.regions.boxes[:, 2] - data.regions.boxes[:, 0]) > 20
    sick = data.labels[data.regions.image_index] == 0
    assert clip[sick].mean() > 0.6 > 0.4 > clip[~sick].mean()


def test_sun397_goes_through_its_loader(tmp_path: Path) -> None:
    root = make_sun397(tmp_path, 3, 10)
    data, train = Sun397(root), Sun397(root, part="train")
    assert data.class_names == ("abbey", "airplane cabin", "beach")
    assert data.labels.tolist() == train.labels.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert data.unreadable() == {} and not set(data.files) & set(train.files)
    with Image.open(data.files[9]) as other:
        assert data.files[9].suffix == ".jpg" and other.format == "PNG"
    colors = np.array([data.image(i).mean((0, 1)) for i in range(30)])
    means = np.array([colors[data.labels == y].mean(0) for y in range(3)])
    nearest = np.linalg.norm(colors[:, None] - means[None], axis=2).argmin(1)
    assert (nearest == data.labels).all(), "classes look different"


def test_the_same_seed_makes_the_same_files(tmp_path: Path) -> None:
    for name, make in (("cxr", lambda path, seed: make_object_cxr(path, 6, seed=seed)),
                       ("sun", lambda path, seed: make_sun397(path, 2, 2, seed=seed))):  # fmt: skip
        first, again, other = (contents(make(tmp_path / f"{name}{i}", seed)) for i, seed in enumerate((0, 0, 1)))
        assert first == again and first.keys() == other.keys() and first != other


@pytest.mark.parametrize(("n_classes", "per_class"), [(1, 2), (21, 2), (2, 0)])
def test_sizes_that_make_no_set(tmp_path: Path, n_classes: int, per_class: int) -> None:
    with pytest.raises(InputError):
        make_sun397(tmp_path, n_classes, per_class)
    with pytest.raises(InputError):
        make_object_cxr(tmp_path, 3)
