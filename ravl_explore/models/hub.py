"""HuggingFace: a CLIP or SigLIP of the Hugging Face hub, by its repository's name."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import ClassVar

from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.checkpoint import Checkpoint
from ravl_explore.models.checkpoints.setting_rules import is_repository
from ravl_explore.models.checkpoints.snapshots import fetch_snapshot
from ravl_explore.models.region_encoders import REGION_FIELD
from ravl_explore.models.text.text_towers import known_repositories
from ravl_explore.support import checks
from ravl_explore.support.fields import Field

PREFIX = "hf-hub:"
PAGE = re.compile(r"(https?://)?(www\.)?(huggingface\.co|hf\.co)/(models/)?(?P<name>[^/?#]+/[^/?#]+)", re.IGNORECASE)


def repository_of(text: str) -> str | None:
    """ORGANISATION/NAME of a text that starts with ``hf-hub:`` or is the address of a model's page; else None.

    Parameters
    ----------
    text : str
        As a person types it.

    Examples
    --------
    >>> repository_of("HF-hub:a/b"), repository_of("https://huggingface.co/a/b/tree/main"), repository_of("a/b")
    ('a/b', 'a/b', None)
    """
    text = text.strip()
    if text[: len(PREFIX)].lower() == PREFIX:
        return text[len(PREFIX) :].strip()
    page = PAGE.match(text)
    return page["name"] if page else None


class HuggingFace(Checkpoint):
    """A repository in open_clip's layout (``open_clip_config.json``) or transformers' (``config.json``).

    Parameters
    ----------
    repository : str
        "ORGANISATION/NAME", with or without ``hf-hub:``; or the address of the model's page.
    device : str, optional
        ``"cpu"`` unless given.
    region_method : str, optional
        How regions are embedded, see :mod:`ravl_explore.models.region_encoders`.

    Raises
    ------
    ModelError
        When a file is neither on this machine nor can be downloaded, and as for :class:`Checkpoint`.
    """

    form_label: ClassVar[str] = "Hugging Face model by name"
    form: ClassVar[tuple[Field, ...]] = (
        Field("repository", "Repository", "text", help="ORGANISATION/NAME of a CLIP or SigLIP on the hub"),
        REGION_FIELD,
    )

    def __init__(self, repository: str, device: str | None = None, region_method: str | None = None) -> None:
        checks.text("repository", repository, empty=True)
        name = repository_of(repository) or repository.strip()
        if name.count("/") != 1 or not is_repository(name):
            raise ModelError("a repository as ORGANISATION/NAME", repr(repository), "Copy it from the model's page.")
        self._repository = name
        super().__init__(fetch_snapshot(name), device, region_method=region_method)
        self.name = name

    def _downloads(self, architecture: str | None) -> Collection[str]:
        return {self._repository, *known_repositories()}
