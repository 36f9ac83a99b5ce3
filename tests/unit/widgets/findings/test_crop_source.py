"""DiscoverySource: a region's own pixels, its place in the whole image, and what the searched model said of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ravl_explore.data.arrays import ArrayDataset
from ravl_explore.discovery import discover
from ravl_explore.errors import DataError
from ravl_explore.regions.base import Regions
from ravl_explore.scores import zero_shot
from ravl_explore.widgets.findings.crop_checks import CropSource
from ravl_explore.widgets.findings.crop_source import MOST_SCORES, DiscoverySource
from ravl_explore.widgets.findings.crops import CropGallery

WIDTH, HEIGHT = 40, 30
BOXES = np.array(
    [
        [0, 0, 20, 15],
        [10, 5, 40, 30],
        [10.4, 5.6, 12.2, 7.1],
        [-1.0, -0.5, 10, 10],
        [30, 20, 40.8, 30.6],
        [7.2, 3, 7.6, 9],
        [40.0, 10, 41.0, 20],
    ]
)
PIXELS = [  # what each box covers: x1, y1, x2, y2, whole pixels inside the image
    (0, 0, 20, 15), (10, 5, 40, 30), (10, 5, 13, 8), (0, 0, 10, 10), (30, 20, 40, 30), (7, 3, 8, 9),
    (39, 10, 40, 20),
]  # fmt: skip


@pytest.fixture
def data() -> ArrayDataset:
    images = np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    return ArrayDataset(images, [0, 1], [f"<b>{i}</b> & co" for i in range(7)], name="<i>mine</i>")


@pytest.fixture
def discovery(make_embeddings: Callable[..., Any], cluster: Callable[..., Any], data: ArrayDataset) -> Any:
    counts = (len(BOXES), len(BOXES))
    embeddings = make_embeddings(
        0,
        counts=counts,
        n_classes=7,
        regions=Regions(np.tile(BOXES, (2, 1)), np.repeat([0, 1], counts)),
        labels=data.labels,
        class_names=data.class_names,
    )
    return discover(zero_shot(embeddings), cluster(embeddings.region, [0, 4, 9]))


@pytest.fixture
def source(discovery: Any, data: ArrayDataset) -> DiscoverySource:
    return DiscoverySource(discovery, data)


def decoded(png: bytes) -> np.ndarray:
    assert png.startswith(b"\x89PNG")
    return np.asarray(Image.open(io.BytesIO(png)))


def test_is_a_source_for_the_gallery(source: DiscoverySource) -> None:
    assert isinstance(source, CropSource)


@pytest.mark.parametrize("region", range(2 * len(BOXES)))
def test_a_crop_is_the_regions_own_pixels(source: DiscoverySource, data: ArrayDataset, region: int) -> None:
    x1, y1, x2, y2 = PIXELS[region % len(BOXES)]
    image = data.image(region // len(BOXES))
    np.testing.assert_array_equal(decoded(source.crop(region, 96)), image[y1:y2, x1:x2])


@pytest.mark.parametrize(("size", "shape"), [(96, (25, 30, 3)), (30, (25, 30, 3)), (12, (10, 12, 3))])
def test_a_crop_is_made_smaller_to_fit_but_never_larger(
    source: DiscoverySource, size: int, shape: tuple[int, ...]
) -> None:
    assert decoded(source.crop(1, size)).shape == shape


def test_the_whole_image_and_the_box_in_it(source: DiscoverySource, data: ArrayDataset) -> None:
    png, box = source.image(len(BOXES) + 1, 640)
    np.testing.assert_array_equal(decoded(png), data.image(1))
    assert box == (10 / WIDTH, 5 / HEIGHT, 1.0, 1.0)
    small, same = source.image(len(BOXES) + 1, 20)
    assert decoded(small).shape == (15, 20, 3) and same == box


@pytest.mark.parametrize("region", [0, 5, 6, 11])
def test_facts(source: DiscoverySource, discovery: Any, region: int) -> None:
    facts, scores, image = source.describe(region), discovery.scores, region // len(BOXES)
    names = scores.embeddings.class_names
    assert (facts["image"], facts["name"]) == (image, f"<i>mine</i>, image {image}")
    assert (facts["label"], facts["prediction"]) == (names[image], names[scores.image[image].argmax()])
    assert facts["correct"] == (scores.image[image].argmax() == image)
    assert facts["cluster"] == discovery.clustering.labels[region]
    listed = facts["scores"]
    assert len(listed) == MOST_SCORES
    highest = [max(each["image"], each["region"]) for each in listed]
    assert highest == sorted(highest, reverse=True)
    assert highest[0] == pytest.approx(max(scores.image[image].max(), scores.region[region].max()))
    for each in listed:
        c = names.index(each["class_name"])
        assert (each["image"], each["region"]) == (float(scores.image[image, c]), float(scores.region[region, c]))


def test_facts_of_fewer_classes_than_are_listed(make_discovery: Callable[..., Any]) -> None:
    found = make_discovery()
    data = ArrayDataset(np.zeros((60, 4, 4, 3), np.uint8), np.zeros(60, int), found.scores.embeddings.class_names)
    assert len(DiscoverySource(found, data).describe(0)["scores"]) == 3


def test_the_gallery_shows_names_as_they_were_written(source: DiscoverySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """They travel as plain strings; the browser sets them as text."""
    gallery, sent = CropGallery(source), []
    monkeypatch.setattr(gallery, "send", lambda content, buffers=None: sent.append(content))
    gallery.show([0, 1])
    gallery._handle_custom_msg({"kind": "page", "page": 0, "revision": gallery._revision, "request": "1"}, [])
    assert [item["name"] for item in sent[0]["items"]] == ["<i>mine</i>, image 0"] * 2
    assert sent[0]["items"][0]["label"] == "<b>0</b> & co" and sent[0]["errors"] == []
    gallery.close()


def test_an_image_that_cannot_be_read_is_named(
    discovery: Any, data: ArrayDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(index: int) -> np.ndarray:
        raise DataError("a readable image file", "'cat.png' (truncated)", "Mend it.")

    monkeypatch.setattr(data, "image", broken)
    source = DiscoverySource(discovery, data)
    for ask in (source.crop, source.image):
        with pytest.raises(DataError, match=r"cat\.png"):
            ask(0, 96)
    assert source.describe(0)["image"] == 0, "facts need no pixels"
