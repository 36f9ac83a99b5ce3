"""README's Python runs as it is printed, on the demo and on somebody's own files, and does what it is there for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ravl_explore as rx
from ravl_explore import data, models
from ravl_explore.models.base import resize

ROOT = Path(__file__).parents[2]


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)


def run(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RAVL_CACHE", str(folder / "cache"))
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    return names


def test_the_demo_from_discovery_to_a_model_without_the_shortcut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = run(blocks()[0], tmp_path, monkeypatch)
    assert max(names["comparison"].after.shortcut("shirt")) <= 0.10
    again = models.Checkpoint(tmp_path / "model.safetensors")
    images = [data.Demo("test").image(at) for at in (0, 7)]
    with torch.inference_mode():
        expected, opened = (
            each.encode(resize(images, each.image_size), None)[0] for each in (names["mitigation"].model, again)
        )
    torch.testing.assert_close(opened, expected)
    assert rx.load(tmp_path / "discovery.safetensors").best.cluster == names["discovery"].best.cluster


def test_own_checkpoint_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain PyTorch file, and PNG files in a folder for each set and class."""
    torch.save(models.Demo("vit-spurious").state_dict, tmp_path / "clip.pt")
    for split, n in (("val", 120), ("train", 128), ("test", 60)):
        demo = data.Demo(split)
        for index in np.random.default_rng(0).permutation(len(demo))[:n].tolist():
            file = tmp_path / "images" / split / demo.class_names[demo.labels[index]] / f"{index:05}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(demo.image(index)).save(file)
    assert len(blocks()) == 2
    names = run(blocks()[1], tmp_path, monkeypatch)
    runs, summary = names["runs"], names["runs"].summary()
    assert [run.seed for run in runs] == [0, 0, 1, 1, 2, 2] and all(run.complete for run in runs)
    assert summary["objective"].tolist() == ["ours", "control"] and summary["n"].tolist() == [3, 3]
    assert summary["image accuracy"].between(30, 100).all()
    assert list((tmp_path / "runs").iterdir())
