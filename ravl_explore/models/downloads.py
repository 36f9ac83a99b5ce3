"""Finding a file of a Hugging Face repository: in the user's own folder, in the hub's cache, or by download.

The user's own folder comes first, so that a machine without a network only needs the file copied to
``$RAVL_CACHE/models/ORGANISATION/NAME/FILE`` (``~/.cache/ravl_explore/models/...`` unless ``RAVL_CACHE`` is set).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.setting_rules import is_repository
from ravl_explore.support.files import cache_root
from ravl_explore.support.tensor_files import first_line, is_file

CONNECT_SECONDS = 4.0  # the hub's own client tries again for half a minute where there is no network
VOCABULARIES = ("tokenizer.json", "spiece.model", "sentencepiece.bpe.model", "vocab.txt", "vocab.json")
TOKENIZER_EXTRAS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt")


def own_folder(repository: str) -> Path:
    """Where a user puts files of a repository by hand.

    Parameters
    ----------
    repository : str
        ORGANISATION/NAME on the Hugging Face hub.
    """
    return cache_root() / "models" / repository


def locate(repository: str, name: str) -> Path | None:
    """The file, if it is on this machine; ModelError for names that lead elsewhere.

    Parameters
    ----------
    repository : str
        ORGANISATION/NAME on the Hugging Face hub.
    name : str
        The file's name.
    """
    from huggingface_hub import try_to_load_from_cache

    _check_names(repository, name)
    own = own_folder(repository) / name
    if is_file(own):
        return own
    cached = try_to_load_from_cache(repository, name)
    return Path(cached) if isinstance(cached, str) else None


def _check_names(repository: str, name: str) -> None:
    """A repository's name and a file's, not a path that climbs out of the folder of models, nor an address."""
    if not is_repository(repository):
        raise ModelError(
            "a Hugging Face repository as ORGANISATION/NAME", repr(repository), "Copy it from the model's page."
        )
    if not name or Path(name).name != name:
        raise ModelError(f"a file's name in {repository!r}", repr(name), "Download the repository's files again.")


def find(repository: str, names: Sequence[str], remedy: str = "", fetch: bool = True) -> Path:
    """The first of ``names`` that is on this machine; else the first that the repository has, downloaded.

    Nothing is downloaded without ``fetch``: where only a file asks for it, and not the user.

    Parameters
    ----------
    repository : str
        ORGANISATION/NAME on the Hugging Face hub.
    names : Sequence[str]
        Of the file, the preferred first.
    remedy : str
        What else to do, added to the message.
    fetch : bool
        Whether it may be downloaded.

    Raises
    ------
    ModelError
        When none can be had: it says which file is missing, of which repository, why, and where to put it. ``remedy``
        is added to it.
    """
    for name in names:
        if (found := locate(repository, name)) is not None:
            return found
    why = _no_way_to_the_hub() if fetch else "nothing is downloaded because a file says so"
    if not why:
        for name in names:
            try:
                return _download(repository, name)
            except FileNotFoundError:
                why = "the repository has no such file"
            except Exception as error:  # of the hub's client, of HTTP, of the disk: no one class
                why = f"the download failed: {type(error).__name__}: {first_line(error)}"
                break
    raise ModelError(
        f"{' or '.join(names)} of the Hugging Face repository {repository!r}",
        f"no such file on this machine, and {why}",
        f"Put it at {str(own_folder(repository) / names[0])!r}{remedy and ', or ' + remedy}.",
    )


def tokenizer_folder(repository: str, fetch: bool = True) -> Path:
    """The folder with the tokenizer's files of a repository, downloaded where necessary and allowed.

    Parameters
    ----------
    repository : str
        ORGANISATION/NAME on the Hugging Face hub.
    fetch : bool
        Whether it may be downloaded.
    """
    folder = find(repository, VOCABULARIES, "beside the checkpoint", fetch).parent
    if fetch and folder != own_folder(repository) and not _no_way_to_the_hub():
        for name in (*VOCABULARIES, *TOKENIZER_EXTRAS):
            if locate(repository, name) is None:
                try:
                    _download(repository, name)
                except Exception:
                    continue
    return folder


def _download(repository: str, name: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, name, etag_timeout=CONNECT_SECONDS))
    except LocalEntryNotFoundError as error:  # is an EntryNotFoundError, too, but means that there was no answer
        raise ConnectionError(str(error)) from error
    except EntryNotFoundError as error:
        raise FileNotFoundError(name) from error


def _no_way_to_the_hub() -> str:
    """Why nothing can be downloaded; empty where the hub (or the proxy to it) answers."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    hub = urlsplit(constants.ENDPOINT)
    proxy = urlsplit(getproxies().get(hub.scheme, ""))
    host = proxy if proxy.hostname and hub.hostname not in os.environ.get("NO_PROXY", "").split(",") else hub
    port = host.port or (443 if host.scheme == "https" else 80)
    try:
        socket.create_connection((host.hostname or "", port), CONNECT_SECONDS).close()
    except OSError:
        return "the Hugging Face hub cannot be reached"
    return ""
