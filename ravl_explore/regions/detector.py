"""Boxes around whatever looks like an object: the region proposal network of a torchvision detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ravl_explore.errors import DataError
from ravl_explore.regions.base import Regions
from ravl_explore.regions.dataset_members import HasImages, known_name
from ravl_explore.regions.detector_weights import BUILDERS, DEFAULT_WEIGHTS, build_detector
from ravl_explore.support import checks
from ravl_explore.support.fields import Field
from ravl_explore.support.fingerprints import digest
from ravl_explore.support.progress import Progress, report

BATCH_SIZE = 4  # images of up to 800 x 1333 pixels: the resized batch is what needs memory
SMALLEST = 1.0  # pixels of the stored image; thinner boxes show nothing


class Detector:
    """The best ``n_boxes`` proposals of an image, whatever they show; the detector's classes are not used.

    RaVL says "identical settings to prior work" without the numbers; RegionCLIP's extraction script keeps 100 boxes at
    NMS 0.9, and so does this.

    Parameters
    ----------
    weights : str or Path or None
        A name in ``detector_weights.BUILDERS`` (Faster, Mask and Keypoint R-CNN on COCO), or the path of the
        ``state_dict`` of one of these, of which the backbone and the proposal network are enough;
        ``fasterrcnn_resnet50_fpn`` unless given. A name's file is looked for in ``$RAVL_CACHE/models`` and in PyTorch's
        own cache, and is else downloaded.
    n_boxes : int
        Most boxes per image, highest objectness first; there may be fewer.
    nms : float
        Boxes that overlap a better one by more than this share are dropped (intersection over union, 0 to 1).
    device : str
        Where the network runs.

    Raises
    ------
    ModelError
        When the weights are not there, cannot be read without running code, or are of another detector.
    InputError
        For settings out of range.
    """

    form_label = "Detector proposals"
    form = (
        Field(
            "weights",
            "Weights",
            "search",
            help=f"{DEFAULT_WEIGHTS}, or a .pth file",
            choices=lambda answers: tuple(BUILDERS),
            required=False,
        ),
        Field("n_boxes", "Boxes", "integer", 100, "most boxes per image"),
        Field("nms", "Overlap", "number", 0.9, "boxes that overlap a better one by more are dropped (0 to 1)"),
    )

    reads_pixels = True

    def __init__(
        self, weights: str | Path | None = None, n_boxes: int = 100, nms: float = 0.9, device: str = "cpu"
    ) -> None:
        checks.whole("n_boxes", n_boxes, 1, remedy="Try 100.")
        checks.number("nms", nms, above=0, high=1, remedy="Try 0.9.")
        checks.text("device", device)
        weights = DEFAULT_WEIGHTS if weights is None else checks.path("weights", weights)
        self.weights, self.n_boxes, self.nms, self.device = str(weights), n_boxes, nms, device
        self._network, self._weights_digest = build_detector(self.weights, n_boxes, nms, device)
        self._kept: tuple[str, Regions] | None = None

    @property
    def name(self) -> str:
        """Short name for menus."""
        return f"Detector proposals ({Path(self.weights).name}), {self.n_boxes} at NMS {self.nms:g}"

    def fingerprint(self) -> str:
        """What the boxes of given images depend on."""
        return digest(["detector", self._weights_digest, self.n_boxes, self.nms])

    def __call__(self, data: HasImages, progress: Progress | None = None) -> Regions:
        """Propose boxes for every image; one that cannot be read gets none, and embedding it will say why.

        The last result is kept: the same images are not looked at twice where ``data`` has a ``fingerprint()``.

        Parameters
        ----------
        data : HasImages
            Whose images are looked at.
        progress : Progress or None
            Told the images done.
        """
        known = known_name(data)
        if known and self._kept is not None and self._kept[0] == known:
            return self._kept[1]
        boxes: list[np.ndarray] = []
        report(progress, 0, len(data), "Looking for objects")
        for start in range(0, len(data), BATCH_SIZE):
            batch = range(start, min(start + BATCH_SIZE, len(data)))
            boxes += self._propose([_image(data, index) for index in batch])
            report(progress, len(boxes), len(data), "Looking for objects")
        regions = Regions.from_lists(boxes)
        self._kept = (known, regions)
        return regions

    def _propose(self, images: list[np.ndarray | None]) -> list[np.ndarray]:
        """Boxes (n, 4) of each image, in its own pixels; none for None.

        Only images of one size share a batch: others would be padded, and what lies beside an image changes its boxes.
        """
        shapes = {image.shape for image in images if image is not None}
        if len(shapes) > 1:
            return [boxes for image in images for boxes in self._propose([image])]
        found = iter(self._propose_alike([image for image in images if image is not None]) if shapes else ())
        return [np.zeros((0, 4), np.float32) if image is None else next(found) for image in images]

    def _propose_alike(self, images: list[np.ndarray]) -> list[np.ndarray]:
        import torch
        from torchvision.models.detection.transform import resize_boxes

        pixels = [torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div_(255) for image in images]
        with torch.inference_mode():
            batch, _ = self._network.transform([image.to(self.device) for image in pixels])
            proposals, _ = self._network.rpn(batch, self._network.backbone(batch.tensors))
        return [
            _usable(resize_boxes(boxes, list(resized), list(image.shape[:2])).cpu().numpy(), image)
            for boxes, resized, image in zip(proposals, batch.image_sizes, images, strict=True)
        ]


def _usable(boxes: np.ndarray, image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    boxes = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
    return boxes[(boxes[:, 2:] - boxes[:, :2] >= SMALLEST).all(1)]


def _image(data: HasImages, index: int) -> np.ndarray | None:
    try:
        return checks.pixels(data.image(index), f"image {index}")
    except DataError:
        return None
