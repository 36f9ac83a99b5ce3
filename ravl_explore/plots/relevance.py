"""overlay(): a relevance map laid over its image, as pixels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from plotly.colors import hex_to_rgb, sequential

from ravl_explore.errors import InputError

# Cividis is perceptually uniform and looks alike to people with and without colour blindness (Nuñez et al., 2018).
CIVIDIS = tuple(hex_to_rgb(color) for color in sequential.Cividis)
STRENGTH = 0.65  # of the colours over the image, which stays visible as greys


def overlay(
    pixels: UInt8[np.ndarray, "height width 3"], heat: Float[np.ndarray, "h w"], strength: float = STRENGTH
) -> UInt8[np.ndarray, "height width 3"]:
    """The image in grey under the map's colours, dark blue for 0 to yellow for 1.

    The map's cells keep their edges: what lies between two cells, the model does not say.

    Raises
    ------
    InputError
        For values that are not within 0..1.
    """
    if not heat.size or not ((heat >= 0) & (heat <= 1)).all():
        raise InputError("a map of values from 0 to 1", f"shape {heat.shape}", "Give one of RelevanceMaps.maps.")
    height, width = pixels.shape[:2]
    rows = np.arange(height) * heat.shape[0] // height
    columns = np.arange(width) * heat.shape[1] // width
    grey = (pixels @ np.array([0.299, 0.587, 0.114]))[..., None]  # luma, ITU-R BT.601
    mixed = strength * cividis(heat)[rows[:, None], columns] + (1 - strength) * grey
    return np.rint(mixed).astype(np.uint8)


def cividis(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape 3"]:
    """Colours, 0..255, of values from 0 to 1.

    >>> cividis(np.array([0.0, 1.0])).tolist()
    [[0.0, 34.0, 78.0], [254.0, 232.0, 56.0]]
    """
    stops = np.linspace(0, 1, len(CIVIDIS))
    return np.stack([np.interp(values, stops, channel) for channel in zip(*CIVIDIS, strict=True)], -1)
