"""ClipModel: any CLIP of open_clip's classes, with a choice of how regions are embedded."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from open_clip.hf_model import HFTextEncoder
from open_clip.transformer import QuickGELU
from torch import Tensor, nn
from torch.nn.functional import normalize

from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.settings import Settings
from ravl_explore.models.region_encoders import region_encoder
from ravl_explore.models.region_encoders.base import BlendingEncoder
from ravl_explore.models.text.file_tokenizer import FileTokenizer, pack
from ravl_explore.models.tracing import Relevance, trace
from ravl_explore.support.fingerprints import digest

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
TEXT_BATCH = 256
Clip = Any  # a CLIP, CustomTextCLIP or CoCa of open_clip: a Module, whose parts have no types


class ClipModel:
    """An ``open_clip.CLIP``, ``CustomTextCLIP`` or ``CoCa``, in float32, as a VisionLanguageModel.

    Parameters
    ----------
    clip : Clip
        The model; it is put into evaluation mode.
    tokenizer : Callable[..., Tensor]
        Texts -> (n, context) int64.
    name : str
        Shown in menus and saved with results.
    region_method : str, optional
        How regions are embedded, see :mod:`ravl_explore.models.region_encoders`; unless given ``"roi"`` for ResNets,
        ``"dense_value"`` for ViTs, and ``"crop"`` for other towers.
    architecture : str, optional
        open_clip's name of the configuration, if it has one.
    config : Settings, optional
        open_clip's configuration of the model, if known; kept so that saved weights can be opened again.
    mean, std : Sequence[float], optional
        Of the pixels, by channel; unless given, the image tower's (``image_mean``, ``image_std``), or CLIP's.
    assumptions : Sequence[str]
        What the loader had to guess, as sentences for the user.

    Raises
    ------
    ModelError
        When the region method is unknown or does not fit the image tower.
    """

    def __init__(
        self,
        clip: Clip,
        tokenizer: Callable[..., Tensor],
        name: str,
        region_method: str | None = None,
        *,
        architecture: str | None = None,
        config: Settings | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        assumptions: Sequence[str] = (),
    ) -> None:
        self._clip = clip.float().eval()
        self._tokenizer = tokenizer
        self.name = name
        self.architecture = architecture
        self.config = None if config is None else dict(config)
        self.dim = _embedding_size(clip)
        self._encoder = region_encoder(clip.visual, region_method)
        self.image_size = self._encoder.image_size
        self.mean = tuple(mean or getattr(clip.visual, "image_mean", None) or CLIP_MEAN)
        self.std = tuple(std or getattr(clip.visual, "image_std", None) or CLIP_STD)
        self._mean, self._std = (torch.tensor(each).view(1, 3, 1, 1) for each in (self.mean, self.std))
        self.assumptions = tuple(assumptions)
        self._fingerprint: tuple[object, str] | None = None

    @property
    def region_method(self) -> str:
        """How regions are embedded."""
        return self._encoder.name

    @property
    def visual(self) -> nn.Module:
        return self._clip.visual

    @property
    def device(self) -> torch.device:
        return next(self._clip.visual.parameters()).device

    @property
    def state_dict(self) -> dict[str, Tensor]:
        """All weights, with open_clip's own key names."""
        return self._clip.state_dict()

    @property
    def metadata(self) -> dict[str, str]:
        """What a safetensors file of the weights must say beside them, so that Checkpoint opens the same model."""
        files = self._tokenizer_files
        known = {
            "architecture": self.architecture,
            "tokenizer": pack(files) if files else None,
            "config": None if self.config is None else json.dumps(self.config),
            "image_mean": json.dumps(self.mean),
            "image_std": json.dumps(self.std),
            "region_method": self.region_method,
        }
        return {key: value for key, value in known.items() if value is not None}

    @property
    def _tokenizer_files(self) -> Mapping[str, bytes]:
        return self._tokenizer.files if isinstance(self._tokenizer, FileTokenizer) else {}  # open_clip's own has none

    def copy(self) -> ClipModel:
        """A model with its own image tower; the text tower is shared."""
        clip = copy.copy(self._clip)
        clip._modules = dict(self._clip._modules) | {"visual": copy.deepcopy(self._clip.visual)}
        return ClipModel(
            clip,
            self._tokenizer,
            self.name,
            self.region_method,
            architecture=self.architecture,
            config=self.config,
            mean=self.mean,
            std=self.std,
            assumptions=self.assumptions,
        )

    @property
    def quick_gelu(self) -> bool:
        """Whether a tower uses QuickGELU."""
        return any(isinstance(module, QuickGELU) for module in self._clip.modules())

    def description(self) -> dict[str, object]:
        """How the model was set up, in plain JSON values, to be kept with results."""
        return {
            "name": self.name,
            "architecture": self.architecture,
            "quick_gelu": self.quick_gelu,
            "image_size": self.image_size,
            "mean": list(self.mean),
            "std": list(self.std),
            "region_method": self.region_method,
            "assumptions": list(self.assumptions),
        }

    def fingerprint(self) -> str:
        """Short name of everything that embeddings depend on; computed again only when a weight was changed since."""
        state = self.state_dict
        version = tuple((t.data_ptr(), 0 if t.is_inference() else t._version) for t in state.values())
        if self._fingerprint is None or self._fingerprint[0] != version:
            about = [_structure(self._clip), self.region_method, self.image_size, self.mean, self.std, list(state)]
            about += [each for pair in sorted(self._tokenizer_files.items()) for each in pair]
            arrays = (value.detach().cpu().numpy() for value in state.values())
            self._fingerprint = (version, digest([*about, *arrays]))
        return self._fingerprint[1]

    def tokens(self, texts: Sequence[str]) -> Int64[Tensor, "n context"]:
        """What the text tower gets: the numbers of each text's tokens, cut to the tower's context.

        Parameters
        ----------
        texts : Sequence[str]
            Of any length.
        """
        if isinstance(getattr(self._clip, "text", None), HFTextEncoder):  # its context_length is a limit, not a length
            return self._tokenizer(list(texts))
        return self._tokenizer(list(texts), context_length=self._clip.context_length)

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "n dim"]:
        """Unit-norm text embeddings, without gradient.

        Parameters
        ----------
        texts : Sequence[str]
            Those that come twice are embedded once.
        """
        unique = list(dict.fromkeys(texts))
        tokens = self.tokens(unique).to(self.device)
        parts = [self._clip.encode_text(part, normalize=True).float() for part in tokens.split(TEXT_BATCH)]
        where = {text: row for row, text in enumerate(unique)}
        return torch.cat(parts)[[where[text] for text in texts]]

    def encode(
        self, pixels: Float[Tensor, "b 3 s s"], boxes: Float[Tensor, "n 5"] | None
    ) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]]:
        """Unit-norm image and region embeddings, with gradient.

        Parameters
        ----------
        pixels : Float[Tensor, "b 3 s s"]
            RGB in [0, 1], of side ``image_size``.
        boxes : Float[Tensor, "n 5"] | None
            The image's place in the batch, then x1, y1, x2, y2 in pixels of ``pixels``; None for no region.
        """
        image, region = self._encoder(self._normalised(pixels), self._here(boxes))
        return normalize(image.float(), dim=-1), normalize(region.float(), dim=-1)

    def blend(
        self,
        before: Float[Tensor, "b 3 s s"],
        after: Float[Tensor, "b 3 s s"],
        share: Float[Tensor, "b s s"],
        boxes: Float[Tensor, "n 5"] | None,
    ) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]]:
        """As :meth:`encode`, of two images mixed in the feature map: ``share`` of ``after``, the rest of ``before``.

        Parameters
        ----------
        before : Float[Tensor, "b 3 s s"]
            The images as they are, RGB in [0, 1].
        after : Float[Tensor, "b 3 s s"]
            What is mixed into them, RGB in [0, 1].
        share : Float[Tensor, "b s s"]
            How much of ``after`` each pixel has, 0 to 1.
        boxes : Float[Tensor, "n 5"] | None
            As :meth:`encode` takes them.

        Raises
        ------
        ModelError
            When the region method has no map before a pool.
        """
        if not isinstance(self._encoder, BlendingEncoder):
            raise ModelError(
                'a ResNet CLIP with region_method="roi", whose feature map can be mixed',
                f"{type(self.visual).__name__} with {self.region_method!r}",
                'Blend in the pixels instead: blend="feather" or "poisson".',
            )
        images = self._normalised(before), self._normalised(after)
        image, region = self._encoder.blended(*images, share.to(self.device), self._here(boxes))
        return normalize(image.float(), dim=-1), normalize(region.float(), dim=-1)

    def trace(self, pixels: Float[Tensor, "b 3 s s"]) -> tuple[Float[Tensor, "b dim"], Relevance]:
        """(the image embeddings of :meth:`encode`, their relevance), see :mod:`ravl_explore.models.tracing`.

        Parameters
        ----------
        pixels : Float[Tensor, "b 3 s s"]
            RGB in [0, 1].

        Raises
        ------
        ModelError
            When relevance is not known for the image tower.
        """
        with torch.enable_grad():
            image, relevance = trace(self.visual, self._normalised(pixels), self.region_method)
            return normalize(image.float(), dim=-1), relevance

    def _here(self, boxes: Float[Tensor, "n 5"] | None) -> Float[Tensor, "n 5"] | None:
        """Boxes on the model's device; no boxes are None."""
        return None if boxes is None or not len(boxes) else boxes.to(self.device, torch.float32)

    def _normalised(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
        pixels = pixels.to(self.device)
        return (pixels - self._mean.to(pixels)) / self._std.to(pixels)


def _structure(clip: nn.Module) -> list[object]:
    """What weights do not tell: every module's kind and plain settings (heads, pooling, epsilon), and its masks."""
    plain, passing = (bool, int, float, str), {"training", "grad_checkpointing"}
    modules = [
        [name, type(each).__name__, {k: v for k, v in vars(each).items() if isinstance(v, plain) and k not in passing}]
        for name, each in clip.named_modules()
    ]
    return [modules, [(name, tuple(buffer.shape)) for name, buffer in clip.named_buffers()]]


def _embedding_size(clip: Clip) -> int:
    for part, size in ((clip.visual, "output_dim"), (getattr(clip, "text", None), "output_dim")):
        if getattr(part, size, None):
            return int(getattr(part, size))
    projection = getattr(clip, "text_projection", None)
    if isinstance(projection, nn.Linear):
        return projection.out_features
    if projection is not None:
        return int(projection.shape[1])
    raise ModelError(
        "a CLIP, CustomTextCLIP or CoCa of open_clip", type(clip).__name__, "Write a VisionLanguageModel for it."
    )
