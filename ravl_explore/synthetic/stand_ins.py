"""Small drawn stand-ins for Object-CXR and SUN397 in their true file formats, for places without the real ones.

Nothing in them is a patient or a photo, and no number measured on them says anything of the real sets: they are there
so that the notebooks and tests go through the very files, lists and loaders that the real sets need.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ravl_explore.errors import InputError
from ravl_explore.support.files import user_path, write_whole

NOTE = "stand-in.txt"
SIDE = 256  # pixels; the real ones are larger
CARDIOMEGALY = 0.3  # share of the images
CLIP_WITH = {"cardiomegaly": 0.8, "normal": 0.2}  # share of clips among the objects
# Paths of real classes, as ClassName.txt writes them.
SCENES = (
    "/a/abbey", "/a/airplane_cabin", "/b/beach", "/b/bedroom", "/b/bookstore", "/c/corridor", "/d/desert/sand",
    "/f/fastfood_restaurant", "/f/forest/broadleaf", "/h/highway", "/k/kitchen", "/l/lighthouse", "/m/mountain_snowy",
    "/o/ocean", "/p/podium/indoor", "/r/restaurant", "/s/skyscraper", "/s/street", "/w/windmill", "/y/yard",
)  # fmt: skip


def make_object_cxr(
    folder: str | Path,
    n: int = 60,
    *,
    split: str = "dev",
    seed: int = 0,
    clip_with: Mapping[str, float] = CLIP_WITH,
) -> Path:
    """Draw ``n`` chests with metal clips and buttons: ``dev/*.jpg``, ``dev.csv``, ``dev_labels.csv``.

    Two images in three have rectangles (what RaVL keeps), the others an ellipse, a polygon or nothing. Hearts with
    cardiomegaly are wider, yet some are as wide as normal ones. ``clip_with`` is the share of clips among the objects
    beside each, the others are buttons. Same seed, same files.

    Parameters
    ----------
    folder : str | Path
        Where all is written; made if it is not there.
    n : int
        How many images, at least 4.
    split : str
        Name of the folder of images and of the lists.
    seed : int
        Same seed, same result.
    clip_with : Mapping[str, float]
        Share of clips among the objects beside ``cardiomegaly`` and ``normal``, 0 to 1.

    Returns
    -------
    Path
        The folder, which ``ravl_explore.data.ObjectCxr`` opens.
    """
    if n < 4:
        raise InputError("at least 4 images", f"{n}", "Draw more, so that both classes have some.")
    rng, root = np.random.default_rng(seed), user_path(folder)
    (root / split).mkdir(parents=True, exist_ok=True)
    sick = np.zeros(n, bool)
    sick[rng.choice(n, max(2, round(CARDIOMEGALY * n)), replace=False)] = True
    annotations, labels = [], []
    for i in range(n):
        name, label = f"{i:05}.jpg", "cardiomegaly" if sick[i] else "normal"
        picture = _chest(bool(sick[i]), rng)
        shapes = _draw_objects(ImageDraw.Draw(picture), clip_with[label], i % 6, rng)
        _save(picture, root / split / name)
        annotations.append((name, ";".join(shapes)))
        labels.append((name, label, f"{rng.uniform(0.6, 1) if sick[i] else rng.uniform(0, 0.6):.6f}"))
    _write_csv(root / f"{split}.csv", [("image_name", "annotation"), *annotations])
    _write_csv(root / f"{split}_labels.csv", [("image_name", "label", "score"), *labels])
    write_whole(root / NOTE, b"Drawn stand-ins in the format of Object-CXR. No patient, no X-ray.\n")
    return root


def make_sun397(folder: str | Path, n_classes: int = 8, per_class: int = 10, *, seed: int = 0) -> Path:
    """Draw textures in colours of their class: ``SUN397/a/abbey/sun_*.jpg`` and so on, with partition 1's lists.

    ``per_class`` images of each class are in ``Testing_01.txt`` and as many in ``Training_01.txt``. As in the real set,
    some files end in .jpg and are something else. Same seed, same files.

    Parameters
    ----------
    folder : str | Path
        Where all is written; made if it is not there.
    n_classes : int
        How many scenes, 2 to 20.
    per_class : int
        Images of each scene, in each list.
    seed : int
        Same seed, same result.

    Returns
    -------
    Path
        The folder, which ``ravl_explore.data.Sun397`` opens.
    """
    if not 2 <= n_classes <= len(SCENES):
        raise InputError(f"2 to {len(SCENES)} classes", f"{n_classes}", "Ask for fewer or more.")
    if per_class < 1:
        raise InputError("at least 1 image of each class", f"{per_class}", "Draw some.")
    rng, root = np.random.default_rng(seed), user_path(folder)
    lists: dict[str, list[str]] = {"Training": [], "Testing": []}
    for label, scene in enumerate(SCENES[:n_classes]):
        place = root / "SUN397" / scene[1:]
        place.mkdir(parents=True, exist_ok=True)
        for part, entries in lists.items():
            for i in range(per_class):
                name = f"sun_{part.lower()}{label:02}{i:04}.jpg"
                _save(_texture(label, rng), place / name, "PNG" if i % 10 == 9 else "JPEG")
                entries.append(f"{scene}/{name}")
    (root / "Partitions").mkdir(exist_ok=True)
    write_whole(root / "SUN397" / "ClassName.txt", _text(SCENES[:n_classes]))
    for part, entries in lists.items():
        write_whole(root / "Partitions" / f"{part}_01.txt", _text(entries))
    write_whole(root / NOTE, b"Drawn stand-ins in the format of SUN397. No photo.\n")
    return root


def _chest(sick: bool, rng: np.random.Generator) -> Image.Image:
    """Bright body, two dark lungs, a heart between them: wider if ``sick``."""
    picture = Image.new("L", (SIDE, SIDE), 25)
    draw = ImageDraw.Draw(picture)
    middle, width = SIDE / 2 + rng.uniform(-6, 6), rng.uniform(0.92, 1.08)

    def ellipse(x: float, y: float, rx: float, ry: float, gray: float) -> None:
        draw.ellipse((middle + x - rx, y - ry, middle + x + rx, y + ry), fill=int(gray))

    ellipse(0, 150, 108 * width, 140, rng.uniform(120, 140))
    for side in (-1, 1):
        ellipse(side * 46 * width, 128, 34 * width, 78, rng.uniform(45, 60))
        for rib in range(5):
            y = 70 + 26 * rib
            draw.arc((middle + side * 46 - 40, y, middle + side * 46 + 40, y + 30), 200, 340, fill=90, width=3)
    draw.rectangle((middle - 9, 40, middle + 9, 240), fill=165)
    ellipse(10, 172, rng.normal(54 if sick else 42, 5) * width, 40, rng.uniform(150, 170))
    noisy = np.asarray(picture, np.float32) + rng.normal(0, 6, (SIDE, SIDE))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _draw_objects(draw: ImageDraw.ImageDraw, clips: float, kind: int, rng: np.random.Generator) -> list[str]:
    """Foreign objects, and their annotations as Object-CXR writes them; ``kind`` 4 has no rectangle, 5 nothing."""
    if kind == 5:
        return []
    x, y = (int(rng.integers(low, high)) for low, high in ((50, 190), (50, 200)))
    if kind == 4:
        if rng.random() < 0.5:
            draw.ellipse((x, y, x + 18, y + 12), fill=250)
            return [f"1 {x} {y} {x + 18} {y + 12}"]
        corners = [(x, y), (x + 25, y + 5), (x + 12, y + 30)]
        draw.line([*corners, corners[0]], fill=250, width=3)
        return ["2 " + " ".join(f"{a} {b}" for a, b in corners)]
    shapes = []
    for _ in range(int(rng.integers(1, 4))):
        x, y = (int(rng.integers(low, high)) for low, high in ((40, 200), (40, 210)))
        if rng.random() < clips:
            width, height = 26, 12
            for line in (0, 5, 10):
                draw.rectangle((x, y + line, x + width - 1, y + line + 1), fill=255)
        else:
            width = height = 14
            draw.ellipse((x, y, x + width - 1, y + height - 1), fill=245)
            draw.point([(x + 5, y + 7), (x + 9, y + 7)], fill=40)
        shapes.append(f"0 {x} {y} {x + width} {y + height}")
    return shapes


def _texture(label: int, rng: np.random.Generator) -> Image.Image:
    """Waves whose direction and colours are those of the class, under a sky or ceiling of another brightness."""
    class_rng = np.random.default_rng(1000 + label)  # the same class looks alike, whatever the seed
    near, far = class_rng.integers(30, 226, (2, 3))
    angle, pitch = class_rng.uniform(0, np.pi), class_rng.uniform(8, 40)
    height, width = int(rng.integers(200, 241)), int(rng.integers(240, 301))
    y, x = np.mgrid[:height, :width]
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / pitch + rng.uniform(0, 2 * np.pi))
    pixels = near + (far - near) * (0.5 + 0.5 * wave)[:, :, None]
    pixels[: int(height * class_rng.uniform(0.2, 0.5))] *= 0.6
    pixels += rng.normal(0, 8, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _save(picture: Image.Image, path: Path, kind: str = "JPEG") -> None:
    out = io.BytesIO()
    picture.save(out, kind, **({"quality": 90} if kind == "JPEG" else {}))
    write_whole(path, out.getvalue())


def _text(lines: tuple[str, ...] | list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _write_csv(path: Path, rows: list[tuple[str, ...]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_whole(path, text.getvalue().encode())
