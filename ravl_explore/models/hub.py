"""HuggingFace: a CLIP or SigLIP of the Hugging Face hub, by its repository's name."""

from __future__ import annotations

from typing import ClassVar

from ravl_explore.errors import ModelError
from ravl_explore.forms import Field
from ravl_explore.models.checkpoint import Checkpoint
from ravl_explore.models.region_encoders import REGION_FIELD
from ravl_explore.models.snapshots import fetch_snapshot

PREFIX = "hf-hub:"


class HuggingFace(Checkpoint):
    """A repository in open_clip's layout (``open_clip_config.json``) or transformers' (``config.json``).

    Parameters
    ----------
    repository : "ORGANISATION/NAME", with or without ``hf-hub:``
    device : ``"cpu"`` unless given
    region_method : how regions are embedded, see :mod:`ravl_explore.models.region_encoders`

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
        name = repository.strip().removeprefix(PREFIX)
        if name.count("/") != 1 or not all(name.split("/")) or ".." in name:
            raise ModelError("a repository as ORGANISATION/NAME", repr(repository), "Copy it from the model's page.")
        super().__init__(fetch_snapshot(name), device, region_method=region_method)
        self.name = name
