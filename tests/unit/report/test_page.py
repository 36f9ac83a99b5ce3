"""The report: whole, offline, escaped, and with the numbers of the discovery; its pictures show the right pixels."""

from __future__ import annotations

import base64
import io
import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ravl_explore.data.arrays import ArrayDataset
from ravl_explore.embedding.skipping import Unreadable
from ravl_explore.errors import DataError, InputError
from ravl_explore.metrics import top_region
from ravl_explore.report import report_html
from ravl_explore.report.drawings import MAP_HEIGHT, MAP_WIDTH, region_map_svg
from ravl_explore.report.pictures import misleading_regions, typical_regions

EVIL = "<script>alert('1')</script>\" onload=\"x"
VOID = {"meta", "br", "img"}


class Page(HTMLParser):
    """A page's elements, headings and text; raises for a tag that is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text.append(data)

    def of(self, tag: str, css: str = "") -> list[dict[str, str | None]]:
        return [
            attrs for name, attrs in self.elements if name == tag and css in [*(attrs.get("class") or "").split(), ""]
        ]


def pictures_of(discovery: Any, name: str = "pictures", size: tuple[int, int] = (8, 10)) -> ArrayDataset:
    """Images of one colour, that tells their number: red is the number, the first column is white."""
    embeddings = discovery.scores.embeddings
    images = np.zeros((len(embeddings.labels), *size, 3), np.uint8)
    images[..., 0] = np.arange(len(images))[:, None, None]
    images[:, :, 0] = 255
    return ArrayDataset(images, embeddings.labels, embeddings.class_names, name=name)


def renamed(discovery: Any, **changes: Any) -> Any:
    embeddings = replace(discovery.scores.embeddings, **changes)
    return replace(discovery, scores=replace(discovery.scores, embeddings=embeddings))


def with_boxes(discovery: Any, box: tuple[int, int, int, int]) -> Any:
    regions = discovery.scores.embeddings.regions
    boxes = np.tile(np.array([box], np.float32), (len(regions), 1))
    return renamed(discovery, regions=replace(regions, boxes=boxes))


@pytest.fixture
def discovery(make_discovery: Callable[..., Any]) -> Any:
    """Some suspects and some pruned clusters."""
    made = make_discovery(min_influence=0.3)
    assert 2 <= len(made.features) < len(made.clusters)
    return made


def test_it_is_well_formed_and_loads_nothing(discovery: Any) -> None:
    html = report_html(discovery, pictures_of(discovery))
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "form", "base"} == set()
    for tag, attrs in page.elements:
        for name, value in attrs.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href"):
                assert (value or "").startswith(("data:image/", "#")), value
    assert not re.search(r"https?:|url\(|@import", html)
    policy = next(attrs for attrs in page.of("meta") if attrs.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none'")
    assert len(html) < 1e6


def test_links_lead_somewhere_and_ids_come_once(discovery: Any) -> None:
    page = Page(report_html(discovery, pictures_of(discovery)))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for attrs in page.of("a"):
        assert (attrs["href"] or "")[1:] in ids
    for _, attrs in page.elements:
        assert attrs.get("aria-labelledby", ids[0]) in ids


def test_it_can_be_read_without_eyes(discovery: Any) -> None:
    page = Page(report_html(discovery, pictures_of(discovery)))
    assert all(attrs.get("alt") for attrs in page.of("img"))
    assert len(page.of("caption")) == len(page.of("table")) > 2
    assert all(attrs.get("role") == "img" or attrs.get("aria-hidden") == "true" for attrs in page.of("svg"))
    assert page.of("html")[0]["lang"] == "en" and len(page.of("h1")) == 1
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))


def test_what_others_wrote_is_only_text(make_discovery: Callable[..., Any]) -> None:
    discovery = renamed(
        make_discovery(),
        class_names=(EVIL, f"b{EVIL}", "c\x1b[31m\u202e"),
        model_name=EVIL,
        data_name=EVIL,
        proposer_name=EVIL,
        templates=(EVIL + "{}",),
        unreadable=(Unreadable(1, EVIL, EVIL),),
    )
    data = pictures_of(discovery, name=EVIL)
    data.where = lambda index: f"{EVIL}/{index}"  # type: ignore[attr-defined]

    def fail(index: int) -> np.ndarray:
        raise DataError(EVIL, EVIL, EVIL)

    data.image, whole = fail, data.image  # type: ignore[method-assign]
    for image in (fail, whole):
        data.image = image  # type: ignore[method-assign]
        html = report_html(discovery, data, settings={EVIL: EVIL, "more": {EVIL: [EVIL]}})
        page = Page(html)
        assert page.of("script") == [] and "<script" not in html
        assert not any(name == "onload" for _, attrs in page.elements for name in attrs)
        assert "alert('1')" in " ".join(page.text)
        assert "\x1b" not in html and "\u202e" not in html
        html.encode("utf-8")


def test_the_ranking_is_the_discoverys(discovery: Any) -> None:
    text = " ".join(Page(report_html(discovery)).text)
    order = [int(found) for found in re.findall(r"\d+\. cluster (\d+)", text)]
    assert order == [each.cluster for each in discovery.clusters]
    best, worst = discovery.clusters[0], discovery.clusters[-1]
    for value in (f"{best.performance_gap:.2f}", f"{best.influence:.2f}", f"{best.p_value:.3f}", f"{best.q_value:.3f}"):
        assert value in text
    assert worst.reason and worst.reason in text
    assert f"{100 * discovery.scores.accuracy:.1f}%" in text


def test_classes_have_their_accuracies_and_intervals(discovery: Any) -> None:
    text = re.sub(r"\s+", " ", " ".join(Page(report_html(discovery)).text))
    for each in discovery.features:
        for row in each.table.to_dict("records"):
            inside = f"{100 * row['accuracy_in']:.1f}% "
            inside += f"{100 * row['accuracy_in_low']:.0f} to {100 * row['accuracy_in_high']:.0f} {row['n_in']}"
            assert inside in text


def test_a_class_that_is_always_with_it_is_named_not_drawn(discovery: Any) -> None:
    first = discovery.clusters[0]
    table = first.table.copy()
    table.loc[0, ["accuracy_in", "accuracy_out", "gap"]] = np.nan
    changed = replace(discovery, clusters=(replace(first, table=table), *discovery.clusters[1:]))
    text = " ".join(Page(report_html(changed, n_suspects=1)).text)
    assert "all or none of their images hold it: class 0." in text
    assert "nan" not in text.lower()


def test_many_classes_and_clusters_stay_a_small_page(make_embeddings: Any, cluster: Any) -> None:
    from ravl_explore.discovery import discover
    from ravl_explore.scores import zero_shot

    embeddings = make_embeddings(counts=(4,) * 900, n_classes=150)
    found = discover(zero_shot(embeddings), cluster(embeddings.region, np.arange(300) * 12), min_influence=0.0)
    html = report_html(found)
    assert len(html) < 1e6
    text = " ".join(Page(html).text)
    assert "more in clusters.parquet" in text and "more classes" in text
    assert len(found.features) > 60


def test_nothing_suspect_says_why(make_discovery: Callable[..., Any]) -> None:
    discovery = make_discovery(min_influence=1.0)
    assert discovery.features == ()
    page = Page(report_html(discovery, pictures_of(discovery)))
    text = " ".join(page.text)
    assert "No cluster is suspect" in text and discovery.why_none() in text
    assert page.of("article") == [] and page.of("img") == []


def test_a_finding_that_may_be_chance_says_so(discovery: Any) -> None:
    def with_q(q: float) -> str:
        clusters = tuple(replace(each, q_value=q) for each in discovery.clusters)
        return " ".join(Page(report_html(replace(discovery, clusters=clusters))).text)

    assert "suspect, may be chance" in with_q(0.051) and "No suspect stands out from chance" in with_q(0.051)
    assert "may be chance" not in with_q(0.05) and "hardly gives a gap this large" in with_q(0.05)


def test_pictures_show_the_region_and_its_image(discovery: Any) -> None:
    embeddings = discovery.scores.embeddings
    discovery = with_boxes(discovery, (5, 2, 10, 8))
    html = report_html(discovery, pictures_of(discovery), n_suspects=1, n_typical=3, n_errors=0)
    images = [attrs for attrs in Page(html).of("img") if "src" in attrs]
    opened = [
        np.array(Image.open(io.BytesIO(base64.b64decode((attrs["src"] or "").split(",")[1])))) for attrs in images
    ]
    expected = typical_regions(discovery, discovery.features[0], 3)
    assert len(opened) == 6
    for crop, whole, region in zip(opened[::2], opened[1::2], expected, strict=True):
        number = embeddings.regions.image_index[region]
        assert crop.shape == (6, 5, 3) and whole.shape == (8, 10, 3)
        assert (crop[..., 0] == number).all(), "the box begins right of the white column"
        assert (whole[:, 0] == 255).all() and (whole[:, 1:, 0] == number).all()
    assert "left:50.0%;top:25.0%;width:50.0%;height:75.0%" in html


def test_photographs_are_small_jpegs(discovery: Any) -> None:
    discovery = with_boxes(discovery, (0, 0, 700, 500))
    html = report_html(discovery, pictures_of(discovery, size=(600, 900)), n_suspects=1, n_typical=2, n_errors=0)
    sources = [attrs["src"] or "" for attrs in Page(html).of("img")]
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert all(max(Image.open(io.BytesIO(base64.b64decode(s.split(",")[1]))).size) <= 280 for s in sources)


def test_typical_regions_come_from_different_images_first(discovery: Any) -> None:
    feature = discovery.features[0]
    image_index = discovery.scores.embeddings.regions.image_index
    chosen = typical_regions(discovery, feature, 6)
    assert chosen[0] == feature.region_index[0]
    assert len({int(image_index[region]) for region in chosen}) == 6
    everything = typical_regions(discovery, feature, 10_000)
    assert sorted(everything) == sorted(feature.region_index.tolist())


def test_misleading_regions_are_the_top_ones_of_errors(discovery: Any) -> None:
    scores, index = discovery.scores, discovery.scores.embeddings.regions.image_index
    found = misleading_regions(discovery)
    assert sorted(index[found]) == np.flatnonzero(~scores.correct).tolist()
    top = top_region(scores.region, scores.predictions, index)
    strengths = [scores.region[region, scores.predictions[index[region]]] for region in found]
    assert all(top[index[region]] == region for region in found)
    assert strengths == sorted(strengths, reverse=True)


def test_the_map_draws_every_region_once_inside_its_frame(discovery: Any) -> None:
    n_regions = len(discovery.clustering.labels)
    xy = np.random.default_rng(0).normal(size=(n_regions, 2)).astype(np.float32)
    xy[0] = 1e6  # one far away must not squeeze the others into a dot
    svg = region_map_svg(discovery, xy, np.arange(n_regions), "PCA")
    dots = np.array([(float(x), float(y)) for x, y in re.findall(r"M([-\d.]+) ([-\d.]+)h0", svg)])
    assert len(dots) == n_regions
    assert (dots >= 0).all() and (dots <= (MAP_WIDTH, MAP_HEIGHT)).all()
    assert dots.std(0).min() > 50
    tags = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="11"', svg)
    assert len(tags) == min(6, len(discovery.features))
    places = np.array(tags, float)
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)) + 1e3 * np.eye(len(places))
    assert apart.min() > 22, "no tag hides another"


def test_other_data_is_refused(discovery: Any) -> None:
    data = pictures_of(discovery)
    data.labels = (data.labels + 1) % 3
    with pytest.raises(InputError, match="the embedding's labels"):
        report_html(discovery, data)
    with pytest.raises(InputError, match="of these 3 images, got one of 60"):
        report_html(discovery, ArrayDataset(np.zeros((3, 8, 8, 3), np.uint8), [0, 1, 2], data.class_names))


def test_skipped_images_are_listed(discovery: Any) -> None:
    lost = tuple(Unreadable(i, f"/images/{i}.png", "cut short") for i in range(103))
    text = " ".join(Page(report_html(renamed(discovery, unreadable=lost))).text)
    assert "103 images that could not be read" in text and "/images/99.png" in text and "/images/100.png" not in text
    assert "3 more in unreadable.csv" in text
    assert "None: every image was read." in " ".join(Page(report_html(discovery)).text)
