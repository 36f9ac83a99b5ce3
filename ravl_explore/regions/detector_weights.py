"""The weights of torchvision's detectors: found by name or path, read without running code, and put to use."""

from __future__ import annotations

import hashlib
import urllib.request
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ravl_explore.errors import ModelError, RavlError
from ravl_explore.support.files import cache_root, user_path, write_whole
from ravl_explore.support.fingerprints import digest
from ravl_explore.support.tensor_files import is_file, read_tensor_file

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torchvision.models import WeightsEnum
    from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

DEFAULT_WEIGHTS = "fasterrcnn_resnet50_fpn"
BEFORE_NMS = 1000  # per pyramid level; RegionCLIP's setting, which RaVL's "prior work" used
DOWNLOAD_SECONDS = 20

# Detectors by name -> the builder of the same backbone and proposal network, and whether batch norm's epsilon is 0
# (torchvision does this to the weights that it took over from Detectron).
BUILDERS = {
    "fasterrcnn_resnet50_fpn": ("fasterrcnn_resnet50_fpn", True),
    "fasterrcnn_resnet50_fpn_v2": ("fasterrcnn_resnet50_fpn_v2", False),
    "fasterrcnn_mobilenet_v3_large_fpn": ("fasterrcnn_mobilenet_v3_large_fpn", False),
    "fasterrcnn_mobilenet_v3_large_320_fpn": ("fasterrcnn_mobilenet_v3_large_320_fpn", False),
    "maskrcnn_resnet50_fpn": ("fasterrcnn_resnet50_fpn", True),
    "maskrcnn_resnet50_fpn_v2": ("fasterrcnn_resnet50_fpn_v2", False),
    "keypointrcnn_resnet50_fpn": ("fasterrcnn_resnet50_fpn", True),
}


def build_detector(weights: str, n_boxes: int, nms: float, device: str) -> tuple[GeneralizedRCNN, str]:
    """The network, ready to propose, and a digest of its weights.

    Parameters
    ----------
    weights : str
        A name in ``BUILDERS``, or the path of a file.
    n_boxes : int
        Most boxes an image.
    nms : float
        Overlap from which on the worse of two boxes is dropped, 0 to 1.
    device : str
        Where the network is put.

    Raises
    ------
    ModelError
        When the weights are not there, cannot be read without running code, or are of another detector.
    """
    named = weights in BUILDERS
    path = _file_of(weights) if named else user_path(weights)
    content = _read(path)
    builder, zero_epsilon = BUILDERS[weights] if named else _recognise(content, path)
    from torchvision.models import detection

    network = getattr(detection, builder)(
        weights=None,
        weights_backbone=None,
        rpn_pre_nms_top_n_test=max(BEFORE_NMS, n_boxes),
        rpn_post_nms_top_n_test=n_boxes,
        rpn_nms_thresh=nms,
        rpn_score_thresh=0.0,  # the smaller detectors drop boxes below 0.05, which would make n_boxes a mere bound
    )
    network.roi_heads = None  # what classifies the proposals is not used
    for part in ("backbone", "rpn"):
        _load(getattr(network, part), part, content, path)
    for module in network.modules():
        if zero_epsilon and type(module).__name__ == "BatchNorm2d":
            module.eps = 0.0
    try:
        network = network.eval().requires_grad_(False).to(device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError("a device of this machine", repr(device), "Use 'cpu', or check PyTorch's build.") from error
    return network, digest([np.asarray(tensor.cpu()) for tensor in network.state_dict().values()])


def _load(module: nn.Module, part: str, content: dict[str, Tensor], path: Path) -> None:
    mine = {key.removeprefix(f"{part}."): value for key, value in content.items() if key.startswith(f"{part}.")}
    wanted = {key for key in module.state_dict() if not key.endswith("num_batches_tracked")}
    missing, unexpected = sorted(wanted - mine.keys()), sorted(mine.keys() - module.state_dict().keys())
    if missing or unexpected:
        raise ModelError(
            "the weights of a torchvision R-CNN with a feature pyramid",
            f"{str(path)!r}; of its {part}, missing {_some(missing)}, unexpected {_some(unexpected)}",
            f"Use one of {', '.join(BUILDERS)}.",
        )
    own = module.state_dict()
    whole = [key for key, value in mine.items() if own[key].is_floating_point() and not value.is_floating_point()]
    if whole:
        raise ModelError(
            "weights in half or full precision",
            f"{str(path)!r}, {whole[0]} of {mine[whole[0]].dtype}",
            "Save them again.",
        )
    try:
        module.load_state_dict(
            {key: value.float() if value.is_floating_point() else value for key, value in mine.items()}, strict=False
        )
    except RuntimeError as error:
        raise ModelError(
            "weights whose shapes fit", f"{str(path)!r}: {str(error).splitlines()[-1].strip()}", "Save them again."
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors by name; never runs code from the file."""
    if not is_file(path):
        raise ModelError(
            "a file of detector weights, or a name",
            f"{str(path)!r}, no such file",
            f"Check the path; known names are {', '.join(BUILDERS)}.",
        )
    content = read_tensor_file(path).content
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]  # torchvision's training script
    if not isinstance(content, dict) or not all(hasattr(value, "is_floating_point") for value in content.values()):
        raise ModelError(
            "a dictionary of tensors", f"{type(content).__name__} in {str(path)!r}", "Save a state_dict()."
        )
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def _recognise(content: dict[str, Tensor], path: Path) -> tuple[str, bool]:
    """The builder that a file's keys belong to, and whether it is one of the files with an epsilon of 0."""
    if "backbone.body.conv1.weight" in content:
        version = "_v2" if "rpn.head.conv.1.0.weight" in content else ""
        return f"fasterrcnn_resnet50_fpn{version}", path.name in _published()
    if "backbone.body.0.0.weight" in content:
        small = "_320" if "_320" in path.name else ""  # the two differ only in how far images are resized
        return f"fasterrcnn_mobilenet_v3_large{small}_fpn", False
    raise ModelError(
        "the weights of a torchvision R-CNN with a feature pyramid",
        f"{str(path)!r} with keys such as {_some(sorted(content))}",
        f"Use one of {', '.join(BUILDERS)}.",
    )


def _weights_of(name: str) -> WeightsEnum:
    from torchvision.models import get_model_weights

    return get_model_weights(name)["COCO_V1"]  # type: ignore[misc]


@lru_cache
def _published() -> frozenset[str]:
    """File names of torchvision's weights whose batch norm has an epsilon of 0."""
    return frozenset(_weights_of(name).url.rsplit("/", 1)[-1] for name, (_, zero) in BUILDERS.items() if zero)


def models_folder() -> Path:
    """``$RAVL_CACHE/models``, or ``~/.cache/ravl_explore/models``: where downloaded weights are kept."""
    return cache_root() / "models"


def _file_of(name: str) -> Path:
    """The file of published weights; downloaded when it is not there yet."""
    import torch

    url = _weights_of(name).url
    file = url.rsplit("/", 1)[-1]
    places = [models_folder() / file, Path(torch.hub.get_dir()) / "checkpoints" / file]
    for path in places:
        if is_file(path):
            return path
    try:
        content = _download(url)
        start = file.rsplit("-", 1)[-1].removesuffix(".pth")  # torchvision's file names end in their SHA-256
        if not hashlib.sha256(content).hexdigest().startswith(start):
            raise OSError("what came is another file")
        places[0].parent.mkdir(parents=True, exist_ok=True)
        return write_whole(places[0], content)
    except (OSError, RavlError) as error:
        raise ModelError(
            f"the weights {file}, here or from {url}",
            f"none ({error})",
            f"Download the file elsewhere and put it into {str(places[0].parent)!r}, or give the path of your own.",
        ) from error


def _download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=DOWNLOAD_SECONDS) as answer:
        return answer.read()


def _some(keys: list[str], most: int = 4) -> str:
    more = f" and {len(keys) - most} more" if keys[most:] else ""
    return ", ".join(keys[:most]) + more if keys else "none"
