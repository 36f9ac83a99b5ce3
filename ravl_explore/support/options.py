"""split_options(): the name and the options of one line of text, such as ``clip.pt?architecture=ViT-B-32``."""

from __future__ import annotations

import os
from urllib.parse import parse_qsl

from ravl_explore.support.files import user_path

FORM = "?name=value&name=value"
"""How options are written, for messages."""


def split_options(text: str) -> tuple[str, list[tuple[str, str]]]:
    """What stands before the last question mark, and the options behind it, written as in an address.

    A file or folder that is there may have a question mark in its name: then all of the text is the name.

    Parameters
    ----------
    text : str
        ``NAME?option=value&option=value``; ``%26`` and the like stand for signs that part options.

    Returns
    -------
    tuple[str, list[tuple[str, str]]]
        The name, and (option, value) in the text's order; an option may come several times, and a value be empty.

    Examples
    --------
    >>> split_options("ViT-B-32/openai?region_method=tokens&quick_gelu=")
    ('ViT-B-32/openai', [('region_method', 'tokens'), ('quick_gelu', '')])
    >>> split_options("demo:clean")
    ('demo:clean', [])
    """
    if "?" not in text or os.path.exists(user_path(text)):  # noqa: PTH110  of a closed folder, Path's own raises
        return text, []
    name, _, query = text.rpartition("?")
    return name, parse_qsl(query, keep_blank_values=True)
