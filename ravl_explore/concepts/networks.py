"""GroundingDINO and SAM 2 of transformers: found, checked, loaded, and asked for boxes and for masks."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from ravl_explore.concepts.network_settings import check_size, network_config, processor_files
from ravl_explore.errors import MissingDependencyError, ModelError
from ravl_explore.models.checkpoints.snapshots import try_to_find
from ravl_explore.models.downloads import find, locate
from ravl_explore.support.files import user_path
from ravl_explore.support.fingerprints import digest
from ravl_explore.support.tensor_files import is_file, read_json

DETECTORS = ("grounding-dino", "mm-grounding-dino")  # model types whose processor is GroundingDINO's
SEGMENTERS = ("sam2", "sam2_video")  # the published weights are of the latter and hold the former
NEEDED = (("config.json",), ("model.safetensors",), ("preprocessor_config.json", "processor_config.json"))
VOCABULARY = (("tokenizer.json", "vocab.txt"),)
EXTRAS = ("processor_config.json", "tokenizer_config.json", "special_tokens_map.json")
MASK_VALUES = 2**26  # float32 of full-sized masks held at a time


def find_folder(name: str, argument: str, types: tuple[str, ...], needed: tuple[tuple[str, ...], ...]) -> Path:
    """The folder of a model: as given, or of a hub's repository, downloaded where necessary.

    Parameters
    ----------
    name : str
        A folder, or ORGANISATION/NAME on the hub.
    argument : str
        The caller's argument by which the user can name a folder, for messages.
    types : tuple of str
        Kinds of models that will do, as config.json calls them.
    needed : tuple of tuple of str
        Names of files, one of each of which must be there.

    Raises
    ------
    ModelError
        When a file is missing, which it names with where to put it, or the model is of another kind.
    """
    folder = user_path(name)
    if not _is_folder(folder):
        if folder.is_absolute() or name.count("/") != 1 or name.startswith("."):
            raise ModelError(
                "a folder of a model, or ORGANISATION/NAME on the Hugging Face hub",
                f"{name!r}, which is neither",
                "Check the path.",
            )
        folder = _fetch(name, argument, needed)
    for names in needed:
        if not any(is_file(folder / each) for each in names):
            raise ModelError(
                f"a folder with {' or '.join(names)}",
                f"{str(folder)!r} without",
                "Copy all files of the repository into one folder.",
            )
    kind = read_json(folder / "config.json").get("model_type")
    if kind not in types:
        raise ModelError(f"a model of type {' or '.join(types)}", f"{kind!r} in {str(folder)!r}", "Pick another.")
    return folder


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        raise ModelError("a folder that may be read", f"{str(path)!r} ({error})", "Check its permissions.") from error


def _fetch(repository: str, argument: str, needed: tuple[tuple[str, ...], ...]) -> Path:
    remedy = f"give a folder with the whole repository as {argument}"
    new = locate(repository, "model.safetensors") is None
    parents = {find(repository, names, remedy).parent for names in needed}
    if len(parents) > 1:
        raise ModelError(
            f"all files of {repository!r} in one folder",
            f"them in {', '.join(sorted(map(str, parents)))}",
            "Copy them into the first.",
        )
    for name in EXTRAS if new else ():  # some repositories have them
        try_to_find(repository, name)
    return parents.pop()


def weights_digest(folder: Path) -> str:
    """Of the settings and all weights of a model.

    Parameters
    ----------
    folder : Path
        Of the model.
    """
    files = sorted((*folder.glob("*.safetensors"), *folder.glob("*config.json")))
    return digest([[file.name, _file_digest(file, file.stat().st_size, file.stat().st_mtime_ns)] for file in files])


@lru_cache(maxsize=64)
def _file_digest(file: Path, size: int, changed: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def import_transformers() -> ModuleType:
    """transformers, new enough for SAM 2.

    Raises
    ------
    MissingDependencyError
        When it is not there, or too old.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingDependencyError(
            "transformers, for masks of concepts",
            "an environment without",
            'Run: pip install "ravl-explore[concepts]".',
        ) from error
    if not hasattr(transformers, "Sam2Model"):
        raise MissingDependencyError(
            "transformers of 4.56 or later, which has SAM 2",
            f"{transformers.__version__}",
            'Run: pip install --upgrade "ravl-explore[concepts]".',
        )
    return transformers


class Networks:
    """A detector that boxes what a phrase names, and a segmenter that says which pixels of a box are it.

    Raises
    ------
    ModelError
        When a folder's weights do not fit its settings.
    """

    def __init__(self, detector: Path, segmenter: Path, device: str = "cpu") -> None:
        library = import_transformers()
        self._device = device
        mm = read_json(detector / "config.json").get("model_type") == "mm-grounding-dino"
        boxing = library.MMGroundingDinoForObjectDetection if mm else library.GroundingDinoForObjectDetection
        self._detector = _load(boxing, detector, device)
        self._detector_input = _load_processor(library.GroundingDinoProcessor, detector)
        self._segmenter = _load(library.Sam2Model, segmenter, device)
        self._segmenter_input = _load_processor(library.Sam2Processor, segmenter)

    def boxes(
        self, image: UInt8[np.ndarray, "h w 3"], concept: str, threshold: float
    ) -> Float[np.ndarray, "n_boxes 4"]:
        """Boxes in pixels of the image (x1, y1, x2, y2) that show ``concept`` with a score above ``threshold``.

        Parameters
        ----------
        image : UInt8[np.ndarray, "h w 3"]
            RGB.
        concept : str
            A phrase.
        threshold : float
            Least score of a box, between 0 and 1.
        """
        import torch

        height, width = image.shape[:2]
        asked = self._detector_input(images=image, text=f"{concept}.", return_tensors="pt").to(self._device)
        with torch.inference_mode():
            answer = self._detector(**asked)
        found = self._detector_input.post_process_grounded_object_detection(
            answer, asked.input_ids, threshold=threshold, target_sizes=[(height, width)]
        )[0]["boxes"]
        boxes = np.clip(found.cpu().numpy().astype(np.float32).reshape(-1, 4), 0, [width, height, width, height])
        return boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)].astype(np.float32)

    def masks(
        self, image: UInt8[np.ndarray, "h w 3"], boxes: Float[np.ndarray, "n_boxes 4"]
    ) -> Bool[np.ndarray, "n_boxes h w"]:
        """For each box the pixels of what it shows.

        Parameters
        ----------
        image : UInt8[np.ndarray, "h w 3"]
            RGB.
        boxes : Float[np.ndarray, "n_boxes 4"]
            x1, y1, x2, y2 in pixels of the image.
        """
        import torch

        height, width = image.shape[:2]
        asked = self._segmenter_input(images=image, return_tensors="pt").to(self._device)
        masks = np.zeros((len(boxes), height, width), bool)
        step = max(1, MASK_VALUES // (height * width))
        with torch.inference_mode():
            seen = self._segmenter.get_image_embeddings(asked.pixel_values)
            for start in range(0, len(boxes), step):
                some = boxes[start : start + step].tolist()
                where = self._segmenter_input(
                    input_boxes=[some], original_sizes=[[height, width]], return_tensors="pt"
                ).to(self._device)
                answer = self._segmenter(
                    image_embeddings=list(seen), input_boxes=where.input_boxes, multimask_output=False
                )
                whole = self._segmenter_input.post_process_masks(answer.pred_masks, [[height, width]])[0]
                masks[start : start + step] = whole[:, 0].cpu().numpy()
        return masks


def _load(kind: Any, folder: Path, device: str) -> Any:
    import torch
    from transformers.utils import logging

    settings = network_config(folder)
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # it would be drawn below whatever cell of a notebook runs
    try:
        config = kind.config_class.from_dict(settings)
        with torch.device("meta"):
            check_size(kind(config), folder)
        model, told = kind.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except ModelError:
        raise
    except Exception as error:  # of safetensors, of transformers' settings, of PyTorch: no one class
        raise ModelError(
            "weights that fit their config.json", f"{str(folder)!r} ({_said(error)})", "Download them again."
        ) from error
    finally:
        if bars:
            logging.enable_progress_bar()
    missing = sorted(told.get("missing_keys", ()))
    if missing:
        raise ModelError(
            "all weights of the model",
            f"{str(folder)!r} without {', '.join(missing[:3])}, {len(missing)} in all",
            "Download it again.",
        )
    try:
        return model.eval().requires_grad_(False).to(device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError("a device of this machine", repr(device), "Use 'cpu', or check PyTorch's build.") from error


def _load_processor(kind: Any, folder: Path) -> Any:
    try:
        with TemporaryDirectory() as clean:
            return kind.from_pretrained(
                processor_files(folder, Path(clean)), local_files_only=True, trust_remote_code=False
            )
    except ModelError:
        raise
    except Exception as error:  # a missing or broken file of the tokenizer's, told in many ways
        raise ModelError(
            "the settings that say how images and words go in", f"{str(folder)!r} ({_said(error)})", "Copy all files."
        ) from error


def _said(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
