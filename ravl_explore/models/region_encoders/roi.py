"""roi: RoIAlign on the map of a ModifiedResNet, as ViLLA, RegionCLIP and RaVL do."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, cat, channels_last, nn
from torch.nn.functional import conv2d, interpolate

from ravl_explore.models.region_encoders.attention_pool import attention_pool
from ravl_explore.models.region_encoders.base import Tower, input_side, whole_boxes
from ravl_explore.models.region_encoders.separable import separable_cut

BOXES_AT_ONCE = 256  # measured on two CPU cores: what one step of so many boxes leaves behind is still in the cache


class Roi:
    """The stem and layers 1 to 3 run once on the whole image (stride 16).

    Each box is RoIAligned on that map to ``2 * (image_size // 32)`` cells, then passes layer 4 and the attention pool.
    The whole image is the box ``[0, 0, S, S]`` on the same path: at the tower's own input size this equals open_clip's
    ``encode_image``. Any other input size works, too. A box smaller than a cell of the map (16 pixels) is read off the
    nearest cells by bilinear interpolation.

    Parameters
    ----------
    visual : ModifiedResNet
        The image tower.
    """

    name: ClassVar[str] = "roi"

    def __init__(self, visual: ModifiedResNet) -> None:
        self._visual = visual
        self.image_size = input_side(visual)
        self._cells = 2 * (self.image_size // 32)

    @staticmethod
    def misfit(visual: Tower) -> str:
        return "" if isinstance(visual, ModifiedResNet) else "without the layers of CLIP's ModifiedResNet"

    def __call__(
        self, pixels: Float[Tensor, "b 3 s s"], boxes: Float[Tensor, "n 5"] | None
    ) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]]:
        return self._embed(self._map(pixels), pixels, boxes)

    def blended(
        self,
        before: Float[Tensor, "b 3 s s"],
        after: Float[Tensor, "b 3 s s"],
        share: Float[Tensor, "b s s"],
        boxes: Float[Tensor, "n 5"] | None,
    ) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]]:
        """A call of two images' maps mixed: ``share`` of ``after``, averaged over each cell, the rest ``before``.

        Parameters
        ----------
        before : Float[Tensor, "b 3 s s"]
            The images as they are, normalised for the tower.
        after : Float[Tensor, "b 3 s s"]
            What is mixed into them, normalised for the tower.
        share : Float[Tensor, "b s s"]
            How much of ``after`` each pixel has, 0 to 1.
        boxes : Float[Tensor, "n 5"] | None
            As a call takes them.
        """
        features = self._map(before)
        rows = share.flatten(1).any(1).nonzero()[:, 0]
        if len(rows):
            own = features[rows]
            part = interpolate(share[rows][:, None], own.shape[2:], mode="area").to(own)
            features = features.index_copy(0, rows, own + part * (self._map(after[rows]) - own))
        return self._embed(features, before, boxes)

    def _map(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c h w"]:
        visual = self._visual
        x = visual.stem(pixels.contiguous(memory_format=channels_last))
        return visual.layer3(visual.layer2(visual.layer1(x)))

    def _embed(
        self, features: Float[Tensor, "b c h w"], pixels: Float[Tensor, "b 3 s s"], boxes: Float[Tensor, "n 5"] | None
    ) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]]:
        visual = self._visual
        head = _Head(visual, features, self._cells, features.shape[-1] / pixels.shape[-1])
        same = features.shape[-1] == self._cells  # then RoIAlign would return the map as it is
        image = head(None if same else whole_boxes(pixels))
        return image, image.new_zeros(0, image.shape[1]) if boxes is None else head(boxes)


class _Head:
    """Layer 4 and the attention pool on boxes of a map.

    Layer 4 begins with a convolution of single cells, which RoIAlign, an average of cells, can as well come after. So
    where BatchNorm is frozen (then it scales and adds, no more) that convolution runs once on the map and not on every
    box, the short cut's cells are cut at the size that it pools them to, and scales go into the kernels.
    """

    def __init__(self, visual: Tower, features: Float[Tensor, "b c h w"], cells: int, scale: float) -> None:
        self._visual, self._features, self._cells, self._scale = visual, features, cells, scale
        first = visual.layer4[0]
        self._frozen = not first.bn1.training
        if self._frozen:
            kernel, self._constant = _merged(first.conv1, first.bn1)
            self._narrow = conv2d(features, kernel)

    def __call__(self, boxes: Float[Tensor, "n 5"] | None) -> Float[Tensor, "n dim"]:
        """Embeddings of boxes, or of whole maps."""
        if not self._frozen:  # all at once, since they share their statistics
            return self._pool(self._visual.layer4(self._cut(self._features, boxes)))
        return self._few(None) if boxes is None else cat([self._few(some) for some in boxes.split(BOXES_AT_ONCE)])

    def _few(self, boxes: Float[Tensor, "n 5"] | None) -> Float[Tensor, "n dim"]:
        layer4 = self._visual.layer4
        first = layer4[0]
        x = first.act1(self._cut(self._narrow, boxes) + self._constant[:, None, None])
        x = first.avgpool(first.act2(conv2d(x, *_merged(first.conv2, first.bn2), padding=1)))
        x = conv2d(x, *_merged(first.conv3, first.bn3))
        pool, convolution, norm = first.downsample
        short = pool(self._features) if boxes is None else self._cut(self._features, boxes, 2)
        x = first.act3(x + conv2d(short, *_merged(convolution, norm)))
        return self._pool(layer4[1:](x))

    def _cut(self, maps: Tensor, boxes: Tensor | None, pool: int = 1) -> Tensor:
        return maps if boxes is None else separable_cut(maps, boxes, self._cells, self._scale, pool)

    def _pool(self, x: Tensor) -> Tensor:
        return attention_pool(self._visual.attnpool, x)


def _merged(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Float[Tensor, "c ..."], Float[Tensor, " c"]]:
    """(kernel, bias) of a convolution without bias and the frozen BatchNorm after it, with both their gradients."""
    assert norm.running_mean is not None and norm.running_var is not None  # frozen statistics are kept
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    return convolution.weight * factor[:, None, None, None], norm.bias - norm.running_mean * factor
