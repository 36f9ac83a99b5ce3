"""Ways of embedding regions: each turns one forward pass of an image tower into embeddings of its regions.

Which one to choose
-------------------
``roi`` (ModifiedResNet towers; their default)
    RoIAlign on the map after layer 3, then layer 4 and the attention pool. What the paper does.
``dense_value`` (ViTs with a class token or an attention pool; their default)
    Every patch as the pooling attention sees it, averaged over the box. One forward pass an image, and close to the
    texts without any training. Start with this.
``tokens``
    Ordinary last-block tokens averaged over the box. The same as ``dense_value`` where the tower pools by average or
    with an attention pool of its own; a weak baseline where it pools with a class token, whose patches nobody trained.
``masked_cls``
    The tower's own pooling, restricted to the box. Nearer to what the model was trained to do, but patches have seen
    the whole image, so neighbours leak in. Costs more than ``dense_value``, less than ``crop``.
``crop`` (any tower; default where none of the above fits)
    Each box is cut out, resized, and embedded like an image. Nothing leaks in from outside the box and small boxes are
    looked at closely, but every region costs a forward pass, and the context is lost. Choose it for boxes smaller than
    a patch, and to check what another method found.

Measured on the demo (``tests/benchmarks/region_embeddings.py``; val, three seeds): the red square is the first
cluster's ten most typical regions with ``roi``, ``dense_value``, ``tokens`` and ``crop``, and never with
``masked_cls``, although that classifies garment regions best (87.5% against 44.7% for ``dense_value``, 45.2% for
``tokens``, 26.5% for ``crop``). ``dense_value`` splits the squares over several clusters there (gap 1.13; 2.58 with
``tokens`` and ``crop``). The demo's ViT is small and its tokens are well behaved, which is not known of published
CLIPs.

To add one, write a file with a class like those here and add it to ``ENCODERS``.
"""

from __future__ import annotations

from ravl_explore.errors import ModelError
from ravl_explore.models.region_encoders.base import RegionEncoder, Tower
from ravl_explore.models.region_encoders.crop import Crop
from ravl_explore.models.region_encoders.dense_value import DenseValue
from ravl_explore.models.region_encoders.masked_cls import MaskedCls
from ravl_explore.models.region_encoders.roi import Roi
from ravl_explore.models.region_encoders.tokens import Tokens
from ravl_explore.support.fields import Field

ENCODERS = {each.name: each for each in (Roi, DenseValue, Tokens, MaskedCls, Crop)}
METHODS = tuple(ENCODERS)
DEFAULTS = ("roi", "dense_value", "crop")  # the first that fits
REGION_FIELD = Field(
    "region_method",
    "Regions by",
    "choice",
    help="the image tower's own default unless picked",
    choices=lambda answers: METHODS,
    required=False,
)


def region_encoder(visual: Tower, method: str | None = None) -> RegionEncoder:
    """The region encoder of this name for an image tower; unless named, the first of ``DEFAULTS`` that fits.

    Parameters
    ----------
    visual : Tower
        The image tower.
    method : str, optional
        Its name; None for the tower's default.

    Raises
    ------
    ModelError
        For a name that is none, or a method that the tower does not allow; the message says which do.
    """
    if method is None:
        method = fitting(visual)[0]
    if not isinstance(method, str) or method not in ENCODERS:
        raise ModelError(f"one of the region methods {METHODS}", repr(method), "Leave it out for the tower's default.")
    misfit = ENCODERS[method].misfit(visual)
    if misfit:
        raise ModelError(
            f"an image tower for region_method={method!r}",
            f"{type(visual).__name__} {misfit}",
            f"Use region_method={' or '.join(map(repr, fitting(visual)))}.",
        )
    return ENCODERS[method](visual)


def fitting(visual: Tower) -> list[str]:
    """The methods that a tower allows, its default first; ``crop`` is always among them.

    Parameters
    ----------
    visual : Tower
        The image tower.
    """
    fits = [name for name, encoder in ENCODERS.items() if not encoder.misfit(visual)]
    default = next(name for name in DEFAULTS if name in fits)
    return [default, *(name for name in fits if name != default)]
