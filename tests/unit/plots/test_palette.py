"""Colours: apart for colour-blind eyes, visible on both papers; text: shown as it is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from ravl_explore.plots import palette

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)


def linear(color: str) -> np.ndarray:
    value = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    ratio = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(a: str, b: str) -> float:
    high, low = sorted((linear(each) @ [0.2126, 0.7152, 0.0722] for each in (a, b)), reverse=True)
    return float((high + 0.05) / (low + 0.05))


@pytest.mark.parametrize("eye", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["normal", "deuteranopia", "protanopia"])
def test_categories_can_be_told_apart(eye: np.ndarray) -> None:
    colors = [*palette.STRONG, palette.MUTED]
    differences = [np.linalg.norm(lab(eye @ linear(a)) - lab(eye @ linear(b))) for a, b in combinations(colors, 2)]
    assert min(differences) > 11  # CIE76; about 2 is just visible side by side


@pytest.mark.parametrize("paper", ["#ffffff", "#111111"])
@pytest.mark.parametrize("color", [*palette.STRONG, palette.MUTED, *(color for _, color in palette.SEQUENTIAL)])
def test_colours_are_visible_on_both_papers(paper: str, color: str) -> None:
    assert contrast(color, paper) > 1.6


def test_sequential_scale_gets_steadily_lighter() -> None:
    lightness = [lab(linear(color))[0] for _, color in palette.SEQUENTIAL]
    assert np.diff(lightness).min() > 5


def test_every_category_looks_different() -> None:
    styles = [palette.category_style(rank) for rank in range(palette.N_CATEGORIES)]
    assert len(set(styles)) == len(styles) >= 50


@pytest.mark.parametrize("text", ["<b>x</b>", "a & b", "$\\alpha$", "%{x}", "50 %", "&lt;"])
def test_plain_text_leaves_nothing_for_plotly_to_interpret(text: str) -> None:
    import html

    shown = palette.plain(text)
    assert html.unescape(shown) == text
    assert not set("<>$%") & set(shown)


def test_plain_text_is_one_short_line() -> None:
    assert palette.plain("two\n lines") == "two lines"
    assert len(palette.plain("x" * 99)) == palette.LONGEST_NAME
    assert palette.plain("x" * 99).endswith("…")


def test_kept_clusters_get_colours_and_pruned_ones_grey(make_discovery: Callable) -> None:
    discovery = make_discovery(0, min_influence=0.0)
    colors = palette.cluster_colors(discovery)
    assert [colors[each.cluster] for each in discovery.features] == list(palette.STRONG[: len(discovery.features)])
    assert {colors[each.cluster] for each in discovery.clusters if not each.kept} <= {palette.MUTED}
    none = make_discovery(0, min_influence=1.0)
    assert not none.features
    assert set(palette.cluster_colors(none).values()) == set(palette.STRONG[:5])


def test_a_cluster_has_the_mark_of_its_rank(make_discovery: Callable) -> None:
    discovery = make_discovery(0, n_clusters=8, min_influence=0.0)
    colors, symbols = palette.cluster_colors(discovery), palette.cluster_symbols(discovery)
    for rank, each in enumerate(discovery.features):
        assert (colors[each.cluster], symbols[each.cluster]) == palette.category_style(rank)
    assert set(symbols) == {each.cluster for each in discovery.clusters}
