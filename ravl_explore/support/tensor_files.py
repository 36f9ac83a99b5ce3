"""Files of tensors, told by their first bytes: nothing is unpickled or run, and no small file takes large memory."""

from __future__ import annotations

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravl_explore.errors import ModelError
from ravl_explore.support.file_kinds import HEAD, other_kind

if TYPE_CHECKING:
    from torch import Tensor

    Named = Callable[..., object] | tuple[Callable[..., object], str]

EXPECTED = "a checkpoint of plain tensors"
SAVE = "Save it again, as a state_dict()."
LONGEST_HEADER = 100_000_000  # of safetensors, which refuses longer ones
ROOM = 2**26  # bytes that any file may ask for
TIMES = 8  # and how many times its size: tied weights, halves; never a tensor of terabytes in a file of a page
MET = re.compile(r"GLOBAL ([\w.]+)")
NOT_READ = (  # what trainers keep beside weights, and is no code: read as a stand-in that does and holds nothing
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *(f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")),
    *("numpy.dtype", "numpy.ndarray", "numpy.bool_", "numpy.str_", "_codecs.encode", "argparse.Namespace"),
    *(f"numpy.dtypes.{kind}DType" for kind in ("Bool", "Str", "Bytes", "Object", "Void", "DateTime64", "TimeDelta64")),
    *(f"numpy.dtypes.{kind}{bits}DType" for kind in ("Float", "Int", "UInt") for bits in (8, 16, 32, 64)),
    *(f"pathlib.{local}{kind}Path" for local in ("", "_local.") for kind in ("", "Posix", "Windows", "PurePosix")),
    *(f"pathlib.{local}Pure{kind}Path" for local in ("", "_local.") for kind in ("", "Windows")),
    *("datetime.datetime", "datetime.date", "datetime.timedelta", "types.SimpleNamespace"),
)


@dataclass(frozen=True)
class TensorFile:
    """What a file holds.

    Attributes
    ----------
    content : object
        Usually a dictionary of tensors by name, or a trainer's dictionary around one.
    metadata : dict of str to str
        Texts in a safetensors file's header.
    """

    content: object
    metadata: dict[str, str] = field(default_factory=dict)


def is_file(path: Path) -> bool:
    """Whether a regular file is there; ModelError where the folder may not be entered.

    Parameters
    ----------
    path : Path
        Where it would be.
    """
    try:
        return path.is_file()
    except OSError as error:
        raise ModelError(
            "a file that may be read", f"{str(path)!r} ({error.strerror or error})", "Check the folder's permissions."
        ) from error


def read_tensor_file(path: Path) -> TensorFile:
    """Read a file that PyTorch or safetensors wrote, whatever it is called.

    Numbers of NumPy, paths and the like beside the tensors are not read: a stand-in of the same name takes their place.

    Parameters
    ----------
    path : Path
        Of the file.

    Returns
    -------
    TensorFile
        Its tensors, on the CPU.

    Raises
    ------
    ModelError
        When the file is of another kind, which is told; cannot be read; holds code, whose name is told and which is
        not run; or promises far more than it holds.
    """
    try:
        length = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise ModelError(
            EXPECTED, f"{str(path)!r} ({error.strerror or error})", "Check the file's permissions."
        ) from error
    read = _read_safetensors if _is_safetensors(head) else _read_torch
    other = other_kind(head) if read is _read_torch else None
    if other is not None:
        kind, remedy = other
        raise ModelError(EXPECTED, f"{str(path)!r}, {kind}", remedy)
    try:
        found = read(path)
    except ModelError:
        raise
    except pickle.UnpicklingError as error:
        raise _holds_code(path, str(error)) from error
    except Exception as error:  # both libraries fail in many ways on files that are cut short or damaged
        raise ModelError(EXPECTED, f"{str(path)!r} ({first_line(error)})", "Check or save it again.") from error
    _refuse_promises(found.content, length, path)
    return found


def first_line(error: BaseException, most: int = 200) -> str:
    """The first line of what an error says, cut after ``most`` letters; its type where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:most] if lines else type(error).__name__


def _is_safetensors(head: bytes) -> bool:
    """Eight bytes of length, then a JSON object."""
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= LONGEST_HEADER


def _read_safetensors(path: Path) -> TensorFile:
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(str(path), framework="pt") as file:
        metadata = dict(file.metadata() or {})
    return TensorFile(load_file(str(path)), metadata)


def _read_torch(path: Path) -> TensorFile:
    import torch

    if zipfile.is_zipfile(path):
        _check_archive(path)
    stand_ins: list[Named] = [(_stand_in(name), name) for name in NOT_READ]
    with path.open("rb") as file, torch.serialization.safe_globals(stand_ins), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the pickle's protocol, just before the error that follows
        # not by its path, whose ending torch.load would believe
        return TensorFile(torch.load(file, map_location="cpu", weights_only=True))


class _StandIn:
    """Takes the place of what is not read."""

    def __new__(cls, *_: object) -> _StandIn:
        return object.__new__(cls)

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def _stand_in(name: str) -> type[_StandIn]:
    last = name.rpartition(".")[2]
    return type({"_reconstruct": "ndarray", "scalar": "number"}.get(last, last), (_StandIn,), {})


def _holds_code(path: Path, said: str) -> ModelError:
    """The error for what the weights-only reader refuses, with the name that it met."""
    met = MET.search(said)
    code = met or zipfile.is_zipfile(path) or "Unsupported" in said
    came = "one that holds pickled code" if code else "one that PyTorch cannot read"
    if met:
        came += f" ({met[1]})"
    return ModelError(
        EXPECTED,
        f"{str(path)!r}, {came}; it was not run",
        "Where you trust it, open it with torch.load(path, weights_only=False) once, and save its state_dict() alone, "
        "as safetensors.",
    )


def _check_archive(path: Path) -> None:
    """Refuse zip archives of others than torch.save, those that hold code, and those that unpack to far more."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    names = [part.filename for part in parts]
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise ModelError(
            EXPECTED,
            f"{str(path)!r}, a TorchScript archive, which holds code; it was not run",
            "Where you trust it, convert it once: clip.load(path, device='cpu', jit=False)[0].state_dict() with "
            "OpenAI's clip package, or torch.jit.load(path, 'cpu').state_dict(), saved with torch.save; or, if it "
            f"is OpenAI's, open it as {_openai_name(path)}/openai.",
        )
    if any(name.endswith(".npy") for name in names):
        raise ModelError(
            EXPECTED, f"{str(path)!r}, an .npz archive of NumPy arrays", "Save a state_dict() of PyTorch tensors."
        )
    if not any(name.rpartition("/")[2] == "data.pkl" for name in names):
        held = ", ".join(names[:3]) or "nothing"
        raise ModelError(EXPECTED, f"{str(path)!r}, a zip archive of other files ({held})", "Unpack it first.")
    unpacked, length = sum(part.file_size for part in parts), path.stat().st_size
    if unpacked > ROOM + 2 * length:
        raise _promises(path, unpacked, length)


def _openai_name(path: Path) -> str:
    """open_clip's name of one of OpenAI's downloads, which are called ViT-L-14-336px.pt and alike."""
    from open_clip import list_pretrained

    name = path.stem.removesuffix("px")
    return name if (name, "openai") in list_pretrained() else "ViT-B-32"


# --- sizes ------------------------------------------------------------------------------------------------------------


def _refuse_promises(content: object, length: int, path: Path) -> None:
    """Refuse tensors that name more numbers than the file holds (views that repeat), or none at all (meta)."""
    import torch

    promised = 0
    for tensor in _tensors_in(content):
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            kind = tensor.device.type if tensor.device.type != "cpu" else str(tensor.layout).removeprefix("torch.")
            raise ModelError(
                EXPECTED, f"{str(path)!r} with {'quantised' if tensor.is_quantized else kind} tensors", SAVE
            )
        promised += tensor.numel() * tensor.element_size()
    if promised > ROOM + TIMES * length:
        raise _promises(path, promised, length)


def _tensors_in(content: object) -> Iterator[Tensor]:
    """Every tensor in nested containers, once."""
    import torch

    seen: set[int] = set()
    left: list[object] = [content]
    while left:
        part = left.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, torch.Tensor):
            yield part
        elif isinstance(part, Mapping):
            left.extend(part.values())
        elif isinstance(part, list | tuple | set):
            left.extend(part)


def _promises(path: Path, promised: int, length: int) -> ModelError:
    return ModelError(
        f"{EXPECTED}, as large as its tensors",
        f"{str(path)!r} of {length / 1e6:,.1f} MB that would unpack to {promised / 1e6:,.1f} MB",
        "Do not trust it; save the state_dict() again where it is from.",
    )


def read_json(path: Path, most: int = 2**24) -> dict[str, Any]:
    """Read a JSON object; a file that is not there is an empty one.

    Parameters
    ----------
    path : Path
        Of the file.
    most : int
        Bytes that it may have.

    Raises
    ------
    ModelError
        For anything else, and for larger files.
    """
    if not is_file(path):
        return {}
    try:
        length = path.stat().st_size
        if length > most:
            raise ModelError(
                f"a JSON file of at most {most / 1e6:.0f} MB",
                f"{str(path)!r} of {length / 1e6:,.1f} MB",
                "Download it again.",
            )
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"a {path.name}", f"{str(path)!r}, no readable JSON ({first_line(error)})", "Download it again."
        ) from error
    if not isinstance(content, dict):
        raise ModelError("settings by name", f"{type(content).__name__} in {str(path)!r}", "Download it again.")
    return content
