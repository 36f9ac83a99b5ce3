"""Every kind of file that the package opens: small sound ones, and what a user does with them."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Kind:
    """A set of files.

    Attributes
    ----------
    make : writes them into a folder
    use : opens them there, as a user would; what it raises must be an error of the package
    damaged : names (patterns) of those that are damaged, one in a case
    """

    make: Callable[[Path], None]
    use: Callable[[Path], Any]
    damaged: tuple[str, ...]


def picture(seed: int, side: int = 24) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8))


# --- images -----------------------------------------------------------------------------------------------------------


def make_images(folder: Path) -> None:
    rgb = picture(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb.save(folder / "a.jpg", exif=exif)
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    rgb.save(folder / "a.png")
    rgb.quantize(8).save(folder / "palette.png", transparency=1)
    rgb.convert("LA").save(folder / "la.png")
    Image.fromarray((np.arange(576).reshape(24, 24) * 7).astype(np.uint16)).save(folder / "sixteen.png")
    rgb.save(folder / "a.gif", save_all=True, append_images=[picture(1)])
    rgb.save(folder / "a.bmp")
    rgb.save(folder / "a.webp")
    rgb.save(folder / "a.ppm")
    rgb.save(folder / "a.jp2")
    for compression in ("raw", "tiff_lzw", "tiff_deflate", "jpeg"):
        rgb.save(folder / f"{compression}.tif", compression=compression)
    Image.fromarray((np.arange(576).reshape(24, 24) * 7).astype(np.uint16)).save(folder / "sixteen.tif")
    make_dicom(folder / "a.dcm")
    make_dicom(folder / "deflated.dcm", deflated=True)


def make_dicom(path: Path, deflated: bool = False) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

    data, window, group = Dataset(), Dataset(), Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian if deflated else ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3"
    data.Rows, data.Columns, data.NumberOfFrames, data.SamplesPerPixel = 16, 24, 2, 1
    data.PhotometricInterpretation, data.BitsAllocated, data.BitsStored, data.HighBit = "MONOCHROME2", 16, 12, 11
    data.PixelRepresentation, data.PixelPaddingValue = 0, 0
    data.PixelData = (np.arange(2 * 16 * 24) % 4096).astype("<u2").tobytes()
    window.WindowCenter, window.WindowWidth = 1000, 500
    group.FrameVOILUTSequence = [window]
    data.SharedFunctionalGroupsSequence = [group]
    data.save_as(path, enforce_file_format=True)


def use_images(folder: Path) -> None:
    from ravl_explore.data.reading import read_image, read_size
    from ravl_explore.errors import DataError

    for file in folder.iterdir():
        try:
            width, height = read_size(file)
        except DataError:
            continue
        shape = read_image(file).shape
        assert shape == (height, width, 3), f"read_size says {width} x {height}, read_image {shape}"


# --- datasets ---------------------------------------------------------------------------------------------------------


def look(data: Any) -> None:
    """What the explorer asks of a dataset before it embeds it."""
    n = len(data)
    assert len(data.labels) == n and data.labels.min() >= 0 and data.labels.max() < len(data.class_names)
    bad = data.unreadable() if hasattr(data, "unreadable") else {}
    good = [i for i in range(n) if i not in bad]
    if data.regions is not None and len(data.regions) and good == list(range(n)):
        data.regions.check_inside(data.image_sizes)
    for i in good[:3]:
        data.image(i)
    data.fingerprint()


def make_table(folder: Path) -> None:
    for i in range(6):
        picture(i).save(folder / f"{i}.png")
    rows = [f'{i}.png,{"cat" if i % 2 else "dog"},a picture,"[[1, 1, 9, {9 + i}]]",{i % 2}' for i in range(6)]
    (folder / "t.csv").write_text("\n".join(["path,label,caption,boxes,group", *rows, ""]))


def use_table(folder: Path) -> None:
    from ravl_explore.data import Table

    look(Table(folder / "t.csv", group="group"))


def make_parquet(folder: Path) -> None:
    import pandas as pd

    for i in range(6):
        picture(i).save(folder / f"{i}.png")
    columns = {"image": [f"{i}.png" for i in range(6)], "label": [i % 2 for i in range(6)]}
    pd.DataFrame(columns | {"boxes": [[[1.0, 1.0, 9.0, 9.0]]] * 6}).to_parquet(folder / "t.parquet")


def use_parquet(folder: Path) -> None:
    from ravl_explore.data import Table

    look(Table(folder / "t.parquet", class_names="cat,dog"))


def coco(n: int = 6) -> dict[str, Any]:
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 24, "height": 24} for i in range(n)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": [1, 1, 9, 9], "iscrowd": 0, "area": 81}
            | {"segmentation": [[1, 1, 9, 1, 9, 9]]}
            for i in range(n)
        ],
    }


def make_coco(folder: Path) -> None:
    for i in range(6):
        picture(i).save(folder / f"{i}.png")
    (folder / "instances_val.json").write_text(json.dumps(coco()))
    captions = [{"id": i, "image_id": i, "caption": "a cat"} for i in range(6)]
    (folder / "captions_val.json").write_text(json.dumps({"images": [], "annotations": captions}))


def use_coco(folder: Path) -> None:
    from ravl_explore.data import Coco

    look(Coco(folder / "instances_val.json", images=folder))


def make_hub(folder: Path) -> None:
    import datasets

    content = io.BytesIO()
    picture(0).save(content, "PNG")
    columns = {"image": [{"bytes": content.getvalue(), "path": "a.png"}] * 6, "label": [i % 2 for i in range(6)]}
    table = datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())
    table = table.cast_column("label", datasets.ClassLabel(names=["cat", "dog"]))
    table.save_to_disk(str(folder / "saved"))
    (folder / "parquet").mkdir()
    table.to_parquet(str(folder / "parquet" / "test-00000-of-00001.parquet"))


def use_hub(folder: Path) -> None:
    import datasets

    from ravl_explore.data import HuggingFaceDataset
    from ravl_explore.errors import RavlError

    datasets.disable_progress_bars()
    for name in ("saved", "parquet"):
        try:
            look(HuggingFaceDataset(folder / name))
        except RavlError:
            continue


def make_known(folder: Path) -> None:
    from ravl_explore.synthetic.stand_ins import make_object_cxr, make_sun397

    rng = np.random.default_rng(0)
    (folder / "mnist").mkdir()
    for part, magic, values in (
        ("images-idx3", (0x803, 6, 28, 28), rng.integers(0, 255, 6 * 784, dtype=np.uint8)),
        ("labels-idx1", (0x801, 6), np.arange(6, dtype=np.uint8)),
    ):
        head = np.array(magic, ">i4").tobytes()
        (folder / "mnist" / f"t10k-{part}-ubyte").write_bytes(head + values.tobytes())
    make_object_cxr(folder / "cxr", 6)
    make_sun397(folder / "sun", 3, 2)


def use_known(folder: Path) -> None:
    from ravl_explore.data import Mnist, ObjectCxr, Sun397
    from ravl_explore.errors import RavlError

    for make, name in ((Mnist, "mnist"), (ObjectCxr, "cxr"), (Sun397, "sun")):
        try:
            look(make(folder / name))
        except RavlError:
            continue


def make_masks(folder: Path) -> None:
    (folder / "coco.json").write_text(json.dumps(coco()))
    mask = np.zeros((24, 24), bool)
    mask[2:9, 3:12] = True
    (folder / "png").mkdir()
    (folder / "npz").mkdir()
    for i in range(6):
        Image.fromarray(np.uint8(mask)).save(folder / "png" / f"{i}.png")
        np.savez_compressed(folder / "npz" / f"{i}.npz", promote=mask, suppress=~mask)


def use_masks(folder: Path) -> None:
    from ravl_explore.concepts import MaskFiles
    from ravl_explore.concepts.base import read_all
    from ravl_explore.data import ImageFiles
    from ravl_explore.errors import RavlError

    files = [folder / "images" / f"{i}.png" for i in range(6)]
    (folder / "images").mkdir(exist_ok=True)
    for i, file in enumerate(files):
        picture(i).save(file)
    data = ImageFiles(files, [0, 1] * 3, ["cat", "dog"])
    for name in ("png", "npz", "coco.json"):
        try:
            read_all(MaskFiles(folder / name).open(data, None), None)
        except RavlError:
            continue


# --- models -----------------------------------------------------------------------------------------------------------


def tiny_clip() -> tuple[Any, dict[str, Any]]:
    import open_clip
    import torch

    config = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 24, "vocab_size": 2514, "width": 64, "heads": 1, "layers": 1},
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return open_clip.CLIP(**config), config


def make_checkpoints(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

    clip, config = tiny_clip()
    weights = {key: value.contiguous() for key, value in clip.state_dict().items()}
    texts = {"config": json.dumps(config), "image_mean": "[0.5, 0.5, 0.5]", "image_std": "[0.5, 0.5, 0.5]"}
    save_file(weights, folder / "lone.safetensors", texts)
    torch.save({"state_dict": weights, "epoch": 3}, folder / "lone.pt")
    (folder / "open_clip").mkdir()
    save_file(weights, folder / "open_clip" / "open_clip_model.safetensors")
    settings = {"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip" / "open_clip_config.json").write_text(json.dumps(settings))
    tower = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
    text = tower | {"vocab_size": 8, "max_position_embeddings": 12, "bos_token_id": 0, "eos_token_id": 2}
    made = CLIPConfig(text_config=text, vision_config=tower | {"image_size": 32, "patch_size": 16}, projection_dim=32)
    CLIPModel(made).save_pretrained(folder / "transformers")
    plain = Tokenizer(models.WordLevel({w: i for i, w in enumerate(("<s>", "<pad>", "</s>", "a"))}, unk_token="a"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, bos_token="<s>", eos_token="</s>", pad_token="<pad>", model_max_length=12
    )
    tokenizer.save_pretrained(folder / "transformers")
    pixels = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"shortest_edge": 32}}
    (folder / "transformers" / "preprocessor_config.json").write_text(json.dumps(pixels))


def use_checkpoints(folder: Path) -> None:
    from ravl_explore.errors import RavlError
    from ravl_explore.models import Checkpoint

    for name in ("lone.safetensors", "lone.pt", "open_clip", "transformers"):
        try:
            found = Checkpoint(folder / name).embed_text(["a", "a a a"])
            assert found.shape[0] == 2
        except RavlError:
            continue


# --- results ----------------------------------------------------------------------------------------------------------


def parts() -> tuple[Any, Any, Any, Any, Any]:
    """model, searched images, training images, discovery, a feature."""
    import ravl_explore as rx
    from ravl_explore import clustering, data, models

    model = models.Demo("vit-spurious")
    val, train = (data.Subset(data.Demo(name), np.arange(n)) for name, n in (("val", 24), ("train", 16)))
    embeddings = rx.embed(model, val)
    clusters = clustering.KMedoids(4, seed=0)(embeddings.region)
    discovery = rx.discover(rx.zero_shot(embeddings), clusters, min_influence=0)
    return model, val, train, discovery, discovery.choose(discovery.clusters[0])


def make_results(folder: Path) -> None:
    import ravl_explore as rx
    from ravl_explore import objectives

    model, val, train, discovery, feature = parts()
    rx.save(rx.run_all(model, train, feature, val, objectives=[objectives.Shift()]), folder / "runs.json")
    rx.save(discovery.scores.embeddings, folder / "embeddings.safetensors")
    rx.save(discovery, folder / "discovery.safetensors")
    for name, objective in (("mitigation", objectives.Standard()), ("steered", objectives.Shift())):
        rx.save(rx.mitigate(model, train, feature, objective, epochs=1), folder / f"{name}.safetensors")


def use_results(folder: Path) -> None:
    import ravl_explore as rx
    from ravl_explore import data, models, widgets
    from ravl_explore.errors import RavlError
    from ravl_explore.report import report_html

    val = data.Subset(data.Demo("val"), np.arange(24))
    model = models.Demo("vit-spurious")
    for name in ("embeddings", "discovery", "steered"):
        try:
            found = rx.load(folder / f"{name}.safetensors", model=model)
            if name == "discovery":
                found.frame(), report_html(found, val)
            elif name == "embeddings":
                _ = rx.zero_shot(found).accuracy
        except RavlError:
            continue
    try:
        runs = rx.load(folder / "runs.json")
        runs.frame(), runs.summary(), runs.notes, widgets.RunsWidget(runs).close()
    except RavlError:
        pass
    try:
        models.Checkpoint(folder / "mitigation.safetensors").embed_text(["a"])
    except RavlError:
        return


def make_run(folder: Path) -> None:
    go_on(folder)


def go_on(folder: Path) -> None:
    import ravl_explore as rx
    from ravl_explore import objectives
    from ravl_explore.training import TrainingSettings

    model, _, train, _, feature = parts()
    settings = TrainingSettings(epochs=1, batch_size=8)
    rx.mitigate(model, train, feature, objectives.Standard(), settings=settings, folder=folder / "run")


def make_runs(folder: Path) -> None:
    run_again(folder)


def run_again(folder: Path) -> None:
    import ravl_explore as rx
    from ravl_explore import objectives

    model, val, train, _, feature = parts()
    compared = {"plain": objectives.Standard(), "shift": objectives.Shift()}
    rx.run_all(model, train, feature, val, objectives=compared, seeds=[0], epochs=1, folder=folder / "runs").summary()


def make_cache(folder: Path) -> None:
    embed_again(folder)


def embed_again(folder: Path) -> None:
    import ravl_explore as rx
    from ravl_explore import data, models
    from ravl_explore.embedding.cache import list_cached

    val = data.Subset(data.Demo("val"), np.arange(12))
    list_cached(folder / "cache")
    found = rx.embed(models.Demo("vit-spurious"), val, cache=folder / "cache")
    assert found.image.shape == (12, 128) and np.isfinite(found.region).all()


def make_found(folder: Path) -> None:
    command(
        folder,
        "discover",
        "--model",
        "demo:vit-spurious",
        "--data",
        "demo:val",
        "--clusters",
        "4",
        "--out",
        folder / "out",
    )


def report_again(folder: Path) -> None:
    command(
        folder, "report", folder / "out" / "discovery.safetensors", "--data", "demo:val", "--out", folder / "again.html"
    )


def command(folder: Path, *arguments: Any) -> None:
    """The command as a user types it; exit code 3 is a defect of ours."""
    from ravl_explore.cli import app

    os.environ["RAVL_CACHE"] = str(folder / "cache")
    try:
        app([str(each) for each in arguments])
    except SystemExit as ended:
        assert ended.code in (0, 1, 2, None), f"exit code {ended.code}"


KINDS: dict[str, Kind] = {
    "images": Kind(make_images, use_images, ("*",)),
    "table": Kind(make_table, use_table, ("t.csv",)),
    "parquet": Kind(make_parquet, use_parquet, ("t.parquet",)),
    "coco": Kind(make_coco, use_coco, ("*.json",)),
    "hub": Kind(make_hub, use_hub, ("saved/*", "parquet/*")),
    "known": Kind(make_known, use_known, ("mnist/*", "cxr/*.csv", "sun/*.txt", "sun/SUN397/*.txt")),
    "masks": Kind(make_masks, use_masks, ("coco.json", "png/*", "npz/*")),
    "checkpoints": Kind(make_checkpoints, use_checkpoints, ("lone.*", "open_clip/*", "transformers/*")),
    "results": Kind(make_results, use_results, ("*.safetensors", "runs.json")),
    "run": Kind(make_run, go_on, ("run/*",)),
    "runs": Kind(make_runs, run_again, ("runs/*", "runs/*/*")),
    "cache": Kind(make_cache, embed_again, ("cache/embeddings/*/*", "cache/boxes/*")),
    "found": Kind(make_found, report_again, ("out/*",)),
}
