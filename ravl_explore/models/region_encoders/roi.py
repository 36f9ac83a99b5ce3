"""roi: RoIAlign on the map of a ModifiedResNet, as ViLLA, RegionCLIP and RaVL do."""

from __future__ import annotations

from typing import Any, ClassVar

from jaxtyping import Float
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, channels_last

from ravl_explore.models.region_encoders.base import cut, input_side, whole_boxes


class Roi:
    """The stem and layers 1 to 3 run once on the whole image (stride 16).

    Each box is RoIAligned on that map to ``2 * (image_size // 32)`` cells, then passes layer 4 and the attention pool.
    The whole image is the box ``[0, 0, S, S]`` on the same path: at the tower's own input size this equals open_clip's
    ``encode_image``. Any other input size works, too. A box smaller than a cell of the map (16 pixels) is read off the
    nearest cells by bilinear interpolation.
    """

    name: ClassVar[str] = "roi"

    def __init__(self, visual: Any) -> None:
        self._visual = visual
        self.image_size = input_side(visual)
        self._cells = 2 * (self.image_size // 32)

    @staticmethod
    def misfit(visual: Any) -> str:
        return "" if isinstance(visual, ModifiedResNet) else "without the layers of CLIP's ModifiedResNet"

    def __call__(
        self, pixels: Float[Tensor, "b 3 s s"], boxes: Float[Tensor, "n 5"] | None
    ) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]]:
        visual = self._visual
        x = visual.stem(pixels.contiguous(memory_format=channels_last))
        features = visual.layer3(visual.layer2(visual.layer1(x)))
        scale = features.shape[-1] / pixels.shape[-1]
        whole = features
        if features.shape[-1] != self._cells:  # at the tower's own size RoIAlign would return the map as it is
            whole = cut(features, whole_boxes(pixels), self._cells, scale)
        image = self._head(whole)
        if boxes is None:
            return image, image.new_zeros(0, image.shape[1])
        return image, self._head(cut(features, boxes, self._cells, scale))

    def _head(self, cells: Tensor) -> Tensor:
        return self._visual.attnpool(self._visual.layer4(cells))
