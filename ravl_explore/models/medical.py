"""Medical CLIPs by name: PubMedCLIP and BiomedCLIP."""

from __future__ import annotations

from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.checkpoint import Checkpoint
from ravl_explore.models.downloads import find
from ravl_explore.models.hub import HuggingFace
from ravl_explore.support import checks

PUBMEDCLIP = "sarahESL/PubMedCLIP"
ARCHITECTURES = {"ViT32": "ViT-B-32-quickgelu", "RN50": "RN50-quickgelu", "RN50x4": "RN50x4-quickgelu"}
BIOMEDCLIP = "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224"


class PubMedCLIP(Checkpoint):
    """CLIP fine-tuned on radiology images and captions of ROCO (Eslami et al., Findings of EACL 2023).

    The paper finds its chest X-ray shortcuts in the RN50 and ViT32 versions. The files hold OpenAI's CLIP in half
    precision; they run in float32 here.

    Parameters
    ----------
    version : str
        ``"RN50"``, ``"ViT32"`` or ``"RN50x4"``.
    device : str, optional
        ``"cpu"`` unless given.
    region_method : str, optional
        How regions are embedded, see :mod:`ravl_explore.models.region_encoders`.

    Raises
    ------
    ModelError
        For another version, and when the file is neither on this machine nor can be downloaded.
    """

    form = ()

    def __init__(self, version: str = "RN50", device: str | None = None, region_method: str | None = None) -> None:
        named = {each.lower(): each for each in ARCHITECTURES}
        if checks.text("version", version).lower() not in named:
            raise ModelError(f"one of {', '.join(ARCHITECTURES)}", repr(version), "Try PubMedCLIP('RN50').")
        version = named[version.lower()]
        path = find(
            PUBMEDCLIP, (f"PubMedCLIP_{version}.pth",), "open the file where it is with models.Checkpoint(path)"
        )
        super().__init__(path, device, ARCHITECTURES[version], region_method=region_method)
        self.name = f"PubMedCLIP {version}"

    @classmethod
    def menu(cls) -> dict[str, tuple[str]]:
        """Menu label -> constructor arguments."""
        return {f"PubMedCLIP {version}": (version,) for version in ("RN50", "ViT32", "RN50x4")}


class BiomedCLIP(HuggingFace):
    """A ViT-B/16 and PubMedBERT trained on 15 million figures of biomedical articles (Zhang et al., 2023).

    Parameters
    ----------
    device : str, optional
        Where it runs, such as ``"cuda"``; the CPU unless given.
    region_method : str, optional
        How regions are embedded, see :mod:`ravl_explore.models.region_encoders`.
    """

    form = ()

    def __init__(self, device: str | None = None, region_method: str | None = None) -> None:
        super().__init__(BIOMEDCLIP, device, region_method)
        self.name = "BiomedCLIP"

    @classmethod
    def menu(cls) -> dict[str, tuple[()]]:
        """Menu label -> constructor arguments."""
        return {"BiomedCLIP": ()}
