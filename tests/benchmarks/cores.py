"""How often the core region is the garment, on the demo: ``python tests/benchmarks/cores.py``

Chosen by similarity to the image's class alone, and as ``rx.assign`` does; with one garment in every image, as the
demo has it, and with a garment of another image, mostly of another class, put into one of the quadrants that are left.
Discovery runs on ``val``; takes a minute.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import ravl_explore as rx
from ravl_explore import clustering, data, metrics, models, regions
from ravl_explore.data.arrays import ArrayDataset
from ravl_explore.data.demo import SIDE


def with_a_second_garment(images: data.Demo, seed: int) -> ArrayDataset:
    """The images, each with the garment of another in a quadrant that shows neither its own garment nor the square."""
    rng = np.random.default_rng(seed)
    garment = np.asarray(images.region_labels).reshape(-1, 4) >= 0
    free = ~garment & ~np.asarray(images.region_feature).reshape(-1, 4)

    def cell(quadrant: int) -> tuple[slice, slice]:
        y, x = SIDE * (quadrant // 2), SIDE * (quadrant % 2)
        return slice(y, y + SIDE), slice(x, x + SIDE)

    pixels = []
    for i in range(len(images)):
        other = int(rng.integers(len(images)))
        image = images.image(i).copy()
        image[cell(int(rng.choice(np.flatnonzero(free[i]))))] = images.image(other)[cell(int(garment[other].argmax()))]
        pixels.append(image)
    found = ArrayDataset(
        np.stack(pixels), images.labels, images.class_names, name="two garments", templates=images.templates
    )
    found.regions = regions.Grid(2, 2)(found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="test", choices=["train", "val", "test"])
    parser.add_argument("--out", type=Path, default=Path("cores.json"))
    arguments = parser.parse_args()
    val, images = data.Demo("val"), data.Demo(arguments.split)
    garment = np.asarray(images.region_labels) >= 0
    squares = np.asarray(val.region_feature)  # in place of someone who looks at the crops
    rows = []
    for name in ("spurious", "vit-spurious"):
        model = models.Demo(name)
        embeddings = rx.embed(model, val, regions.Grid(2, 2))
        clusters = clustering.KMedoids(clustering.default_sweep(10), seed=0)(embeddings.region)
        discovery = rx.discover(rx.zero_shot(embeddings), clusters)
        ticked = [each for each in discovery.features if metrics.precision_at_k(each.region_index, squares) == 1]
        for what, shown in (("one garment", images), ("two garments", with_a_second_garment(images, 0))):
            found = rx.embed(model, shown, regions.Grid(2, 2))
            assignment = rx.assign(found, discovery.choose(*ticked))
            label = images.labels[found.regions.image_index]
            own = np.einsum("nd,nd->n", found.region, found.text[label])
            alone = np.where(assignment.spurious, -np.inf, own).reshape(-1, 4).argmax(1)
            right = {
                "similarity alone": garment.reshape(-1, 4)[np.arange(len(images)), alone],
                "core": garment[assignment.core],
            }
            row = {"model": name, "images": what, **{each: 100 * float(ok.mean()) for each, ok in right.items()}}
            rows.append(row)
            print({key: round(value, 1) if isinstance(value, float) else value for key, value in row.items()})
    arguments.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
