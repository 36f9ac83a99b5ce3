"""Builds the embedded demo, data and checkpoints, from raw FashionMNIST: ``python -m ravl_explore.synthetic.demo``.

Raw files: Debian's ``dataset-fashion-mnist``, or torchvision's download into the folder named by ``--raw``. Everything
is seeded; on two CPU cores the whole takes about half an hour, most of it pretraining. What ships is what this made.

``--architecture vit --steps pretrain fine-tune layout`` then makes the second model from the same data. Its text tower
is the first one's, kept as it was, so that both share one text space and only an image tower is stored.
"""

from __future__ import annotations

import argparse
import gzip
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.torch import save_file
from torch import Tensor

from ravl_explore.assignment.assignment import Assignment
from ravl_explore.data.arrays import ArrayDataset
from ravl_explore.data.demo import Demo
from ravl_explore.embedding.embeddings import embed
from ravl_explore.mitigation import prepare
from ravl_explore.mitigation.validation import validator
from ravl_explore.models.clip_model import ClipModel
from ravl_explore.models.demo import Demo as DemoModel
from ravl_explore.objectives.standard import Standard
from ravl_explore.plots.layout import umap_layout, write_layout
from ravl_explore.synthetic.demo_pretraining import RECIPES, Recipe, new_model, pretrain
from ravl_explore.synthetic.demo_splits import DEBIAN, N_PRETRAIN, SEEDS, build_splits, read_raw
from ravl_explore.training import TrainingSettings, train

logger = logging.getLogger(__name__)

VOCABULARY_MERGES = 2000


def write_vocabulary(path: Path) -> None:
    """Cut CLIP's own merge table to its first 2,000 merges.

    Parameters
    ----------
    path : Path
        Where it is written.
    """
    from open_clip.tokenizer import default_bpe

    with gzip.open(default_bpe()) as file:
        lines = file.read().decode("utf-8").split("\n")[: 1 + VOCABULARY_MERGES]
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
        file.write("\n".join(lines).encode("utf-8"))


def save_half(tensors: dict[str, Tensor], path: Path) -> None:
    """fp16 safetensors (integers as they are).

    Parameters
    ----------
    tensors : dict[str, Tensor]
        Weights by name.
    path : Path
        Where they are written.
    """
    halves = {name: (t.half() if t.is_floating_point() else t).contiguous() for name, t in tensors.items()}
    save_file(halves, str(path))


def fine_tune(model: ClipModel, settings: TrainingSettings, train_data: ArrayDataset | None = None) -> ClipModel:
    """Teach the shortcut: standard fine-tuning on the demo's correlated split, or another; text tower frozen.

    Parameters
    ----------
    model : ClipModel
        It stays as it is.
    settings : TrainingSettings
        Epochs, learning rate, batches and seed.
    train_data : ArrayDataset, optional
        The demo's own split unless given.
    """
    train_data = Demo("train") if train_data is None else train_data
    nothing = np.zeros(4 * len(train_data), bool)
    assert train_data.regions is not None
    assignment = Assignment(train_data.regions, nothing, nothing, np.zeros(len(train_data), bool), None)
    new = model.copy()
    for record in train(new, prepare(model, train_data, assignment), Standard(), settings):
        logger.info("fine-tuning step %d of %d: %s", record.step, record.n_steps, record.terms)
    return new


def build(raw_folder: Path, out: Path, steps: tuple[str, ...], recipe: Recipe) -> None:
    """Run the named steps, in order: data, pretrain, fine-tune, layout.

    Parameters
    ----------
    raw_folder : Path
        With FashionMNIST's four .gz files.
    out : Path
        Where all is written; made if it is not there.
    steps : tuple[str, ...]
        Which of data, pretrain, fine-tune and layout.
    recipe : Recipe
        How the model is made.
    """
    out.mkdir(parents=True, exist_ok=True)
    raw = read_raw(raw_folder)
    if "data" in steps:
        write_vocabulary(out / "bpe.txt.gz")
        for name, split in build_splits(raw).items():
            np.savez_compressed(out / f"{name}.npz", **split)  # pyright: ignore[reportArgumentType]
    if "pretrain" in steps:
        model = new_model(recipe, SEEDS["pretrain"])
        images, labels = (part[:N_PRETRAIN] for part in raw["train"])
        val = Demo("val")
        pretrain(
            model,
            images,
            labels,
            recipe,
            learning_rate=1e-3,
            seed=SEEDS["pretrain"],
            validate=validator(model, val, val.feature_present) if not recipe.own_text else None,
        )
        whole = model.state_dict if recipe.own_text else _visual(model)
        save_half(whole, out / f"{recipe.prefix}clean.safetensors")
    if "fine-tune" in steps:
        model = fine_tune(DemoModel(f"{recipe.prefix}clean"), recipe.fine_tuning)
        save_half(_visual(model), out / f"{recipe.prefix}spurious.safetensors")
    if "layout" in steps:
        for checkpoint in (f"{recipe.prefix}spurious", f"{recipe.prefix}clean"):
            embeddings = embed(DemoModel(checkpoint), Demo("val"))
            n_regions, dim = embeddings.region.shape  # the name must begin with these, see layout.py
            path = out / "layouts" / f"{n_regions}x{dim}-{checkpoint}-val.npz"
            write_layout(path, embeddings, umap_layout(embeddings.region, seed=0))


def _visual(model: ClipModel) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.state_dict.items() if name.startswith("visual.")}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", type=Path, default=DEBIAN, help="folder with FashionMNIST's four .gz files")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "assets" / "demo")
    parser.add_argument("--steps", nargs="+", default=["data", "pretrain", "fine-tune", "layout"])
    parser.add_argument("--architecture", choices=list(RECIPES), default="resnet")
    parser.add_argument("--epochs", type=int, help="of pretraining, if not the recipe's")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = RECIPES[arguments.architecture]
    if arguments.epochs is not None:
        recipe = replace(recipe, epochs=arguments.epochs)
    build(arguments.raw, arguments.out, tuple(arguments.steps), recipe)


if __name__ == "__main__":
    main()
