"""Grounded: masks of concepts that are given in words, drawn by GroundingDINO and SAM 2 (CFT, Section 3)."""

from __future__ import annotations

import io
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ravl_explore.concepts.base import Mask, Shown, count_of, nothing
from ravl_explore.concepts.concept_lists import Concepts, concepts_by_class, read_concepts
from ravl_explore.concepts.networks import (
    DETECTORS,
    NEEDED,
    SEGMENTERS,
    VOCABULARY,
    Networks,
    find_folder,
    import_transformers,
    weights_digest,
)
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.checked_images import checked_image
from ravl_explore.data.optional_members import content_fingerprint
from ravl_explore.errors import InputError, StorageError
from ravl_explore.support.fields import Field
from ravl_explore.support.files import cache_root, write_whole
from ravl_explore.support.fingerprints import digest

logger = logging.getLogger(__name__)

DETECTOR, SEGMENTER = "IDEA-Research/grounding-dino-base", "facebook/sam2-hiera-large"
LEAST, MOST = 0.001, 0.98  # share of the image that a concept's mask may fill; outside, CFT's code flags it as wrong
FORMAT = 1  # of a stored mask


@dataclass(frozen=True, eq=False)
class Grounded:
    """Promote the pixels that show one of the concepts of an image's class, and suppress all others (CFT, Eq. 3 and 4).

    Each concept is a prompt of its own: GroundingDINO boxes what it names, SAM 2 draws what is in each box, and a
    concept's mask is the union over its boxes. The image's mask is the union over its concepts, all of which weigh the
    same. A concept's mask that fills less than 0.1% or more than 98% of the image is left out, which the notes count.
    An image that shows no concept has nothing to promote and nothing to suppress.

    Masks are kept in ``$RAVL_CACHE/concepts``, each under the digest of all that it depends on, so that a second run
    reads them. The models run one image at a time, when its mask is asked for.

    Parameters
    ----------
    concepts : str, Path, mapping, sequence or callable
        The path of a JSON file, ``{class: [concept, ...]}`` or one list for all classes; the same as a mapping or a
        list; or any callable that proposes them, ``class_name -> [concept, ...]``. Name what a class is, not what is
        often around it, or the shortcut itself is promoted.
    detector : str or Path
        GroundingDINO: a local folder, or a repository on the Hugging Face hub, in transformers' layout with
        safetensors. It is looked for in ``$RAVL_CACHE/models/ORGANISATION/NAME`` and in the hub's cache, and else
        downloaded.
    segmenter : str or Path
        SAM 2, in the same way.
    box_threshold : float
        Least score of a box, between 0 and 1; 0.35 in CFT's code. Its text threshold chooses which words of a prompt a
        box is called by, and so changes nothing where each prompt is one concept.
    device : str
        Where the models run.

    Raises
    ------
    InputError
        For a file of concepts that cannot be read, or a threshold out of range.
    """

    concepts: Concepts
    detector: str | Path = DETECTOR
    segmenter: str | Path = SEGMENTER
    box_threshold: float = 0.35
    device: str = "cpu"

    uses_regions: ClassVar[bool] = False
    form_label = "Concepts in words"
    form = (
        Field("concepts", "Concepts", "path", help='a .json file: {"cat": ["whiskers", "paw"], ...}'),
        Field(
            "detector",
            "Detector",
            "search",
            DETECTOR,
            "GroundingDINO: a folder, or a name on the hub",
            choices=lambda answers: (DETECTOR, "IDEA-Research/grounding-dino-tiny"),
        ),
        Field(
            "segmenter",
            "Segmenter",
            "search",
            SEGMENTER,
            "SAM 2: a folder, or a name on the hub",
            choices=lambda answers: (SEGMENTER, "facebook/sam2.1-hiera-large", "facebook/sam2.1-hiera-tiny"),
        ),
        Field("box_threshold", "Score", "number", 0.35, "least score of a box (0 to 1)"),
    )

    def __post_init__(self) -> None:
        if not 0 < self.box_threshold < 1:
            raise InputError("a box_threshold between 0 and 1", f"{self.box_threshold}", "Try 0.35.")
        if isinstance(self.concepts, str | Path):
            read_concepts(self.concepts)  # what is wrong with it is told here

    @property
    def name(self) -> str:
        """Short name for menus and run folders."""
        return "concepts in words"

    def open(self, data: ImageTextDataset, shown: Shown | None = None) -> GroundedMasks:
        """The masks of ``data``; ``shown`` is not needed.

        Parameters
        ----------
        data : ImageTextDataset
            Whose images the masks are of.
        shown : Shown or None
            What its regions show; only sources that use regions need it.

        Raises
        ------
        InputError
            When a class has no concepts.
        MissingDependencyError
            Without transformers, or with one that has no SAM 2.
        ModelError
            When a model is not there and cannot be downloaded: it says which file, and where to put it.
        """
        import_transformers()
        concepts = concepts_by_class(self.concepts, data.class_names)
        detector = find_folder(str(self.detector), "detector", DETECTORS, NEEDED + VOCABULARY)
        segmenter = find_folder(str(self.segmenter), "segmenter", SEGMENTERS, NEEDED)
        return GroundedMasks(self, data, concepts, detector, segmenter)


class GroundedMasks:
    """See :class:`Grounded`; the models are loaded for the first mask that is not stored yet."""

    def __init__(
        self,
        source: Grounded,
        data: ImageTextDataset,
        concepts: tuple[tuple[str, ...], ...],
        detector: Path,
        segmenter: Path,
    ) -> None:
        self.name, self._source, self._data, self._concepts = source.name, source, data, concepts
        self._folders = detector, segmenter
        self._made_by = [FORMAT, *map(weights_digest, self._folders), source.box_threshold, LEAST, MOST]
        self._networks: Networks | None = None
        self._lock = threading.Lock()  # of the networks, which are used for one image at a time
        self._left_out: dict[int, int] = {}
        self._empty: set[int] = set()
        self._not_kept = ""

    def __len__(self) -> int:
        return len(self._data)

    def __call__(self, index: int) -> tuple[Mask, Mask]:
        """(promote, suppress) of one image, in pixels of the stored image.

        Parameters
        ----------
        index : int
            The image's number, from 0 up.
        """
        image = checked_image(self._data, index)
        label = int(self._data.labels[index])
        if label < 0:  # no caption says what it is of
            return nothing(*image.shape[:2])
        concepts = self._concepts[label]
        path = cache_root() / "concepts" / f"{digest([*self._made_by, concepts, image])}.npz"
        with self._lock:
            found = _stored(path, image.shape[:2])
            if found is None:
                found = self._draw(image, concepts)
                self._keep(path, *found)
            promote, left_out = found
            if left_out:
                self._left_out[index] = left_out
            if not promote.any():
                self._empty.add(index)
                return nothing(*promote.shape)
        return promote, ~promote

    @property
    def notes(self) -> tuple[str, ...]:
        """What was departed from so far."""
        with self._lock:
            n_left_out, n_empty, not_kept = sum(self._left_out.values()), len(self._empty), self._not_kept
        said = []
        if n_empty:
            said.append(f"{count_of(n_empty, 'image shows', 'images show')} no concept.")
        if n_left_out:
            which = count_of(n_left_out, "mask of a concept was", "masks of concepts were")
            said.append(f"{which} left out: under {LEAST:.1%} or over {MOST:.0%} of the image.")
        return (*said, *([not_kept] if not_kept else []))

    def fingerprint(self) -> str:
        """Of the images' contents, the concepts and the models; no mask is made for it."""
        return digest(["grounded", *self._made_by, self._concepts, self._data.labels, content_fingerprint(self._data)])

    def _draw(self, image: np.ndarray, concepts: tuple[str, ...]) -> tuple[Mask, int]:
        """The union of the concepts' masks, and how many of these were left out."""
        if self._networks is None:
            self._networks = Networks(*self._folders, self._source.device)
        promote, left_out = np.zeros(image.shape[:2], bool), 0
        boxes = [self._networks.boxes(image, concept, self._source.box_threshold) for concept in concepts]
        if not any(map(len, boxes)):
            return promote, 0
        masks = self._networks.masks(image, np.concatenate(boxes))
        ends = np.cumsum([len(each) for each in boxes]).tolist()
        for each, end in zip(boxes, ends, strict=True):
            if len(each):
                mask = masks[end - len(each) : end].any(0)
                if LEAST <= mask.mean() <= MOST:
                    promote |= mask
                else:
                    left_out += 1
        return promote, left_out

    def _keep(self, path: Path, promote: Mask, left_out: int) -> None:
        """Store a mask; a disk that is full or read-only only costs the next run's time, and is told."""
        content = io.BytesIO()
        np.savez_compressed(content, promote=np.packbits(promote), shape=promote.shape, left_out=left_out)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content.getvalue())
        except (StorageError, OSError) as error:
            logger.info("A concept mask was not kept", exc_info=True)
            self._not_kept = f"Masks could not be kept for the next run: {error}"


def _stored(path: Path, shape: tuple[int, ...]) -> tuple[Mask, int] | None:
    """What was kept, or None where there is nothing or something else."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as content:
            if tuple(content["shape"].tolist()) != shape:
                return None
            flat = np.unpackbits(content["promote"], count=shape[0] * shape[1])
            return flat.reshape(shape).astype(bool), int(content["left_out"])
    except Exception:  # a damaged zip can raise nearly anything; it is drawn anew, and written over
        return None
