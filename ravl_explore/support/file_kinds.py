"""other_kind(): what a file is that should hold tensors and does not, told by its first bytes, and what to do."""

from __future__ import annotations

import codecs
import re

HEAD = 512  # bytes that tell a file's kind
SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "a gzip archive", "Unpack it first (gunzip, or tar -xzf)."),
    (b"BZh", "a bzip2 archive", "Unpack it first (bunzip2, or tar -xjf)."),
    (b"\xfd7zXZ\x00", "an xz archive", "Unpack it first (unxz, or tar -xJf)."),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", "Unpack it first (unzstd)."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it first."),
    (b"Rar!", "a RAR archive", "Unpack it first."),
    (b"GGUF", "a GGUF file of llama.cpp", "Give the PyTorch or safetensors weights that it was made from."),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", "Give weights of PyTorch, or of safetensors."),
    (b"\x93NUMPY", "a NumPy array", "Save a state_dict() of PyTorch tensors instead."),
    (b"\x89PNG", "an image", "Give the path of the weights themselves."),
    (b"\xff\xd8\xff", "an image", "Give the path of the weights themselves."),
    (b"%PDF", "a PDF", "Give the path of the weights themselves."),
)
ONNX = re.compile(rb"\x08[\x01-\x20]\x12.{0,64}(pytorch|onnx|tf2onnx|skl2onnx|keras)", re.DOTALL)


def other_kind(head: bytes) -> tuple[str, str] | None:
    r"""What a file is that neither PyTorch nor safetensors wrote.

    Parameters
    ----------
    head : bytes
        The file's first ``HEAD`` bytes.

    Returns
    -------
    tuple of str, or None
        What it is, and what to do; None for what may be a file of PyTorch.

    Examples
    --------
    >>> other_kind(b"Rar!"), other_kind(b"PK\x03\x04")
    (('a RAR archive', 'Unpack it first.'), None)
    """
    told = next(((kind, remedy) for start, kind, remedy in SIGNATURES if head.startswith(start)), None)
    if told is None and head[257:262] == b"ustar":
        told = "a tar archive", "Unpack it first (tar -xf)."
    if told is None and ONNX.match(head):
        told = "an ONNX file", "Give the PyTorch or safetensors weights that it was made from."
    if told is None:
        told = _text_kind(head)
    if told is None and not head.startswith((b"PK", b"\x80")):
        told = f"a file of another kind, which starts with {head[:8].hex(' ')}", "Check the path, or download it again."
    return told


def _text_kind(head: bytes) -> tuple[str, str] | None:
    """Where weights were not downloaded, but a page about them or a pointer to them: what it is, and what to do."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None
    if not all(letter.isprintable() or letter in "\r\n\t" for letter in text):
        return None
    if not text.strip():
        return "an empty file", "Download or save it again."
    if text.startswith("version https://git-lfs"):
        return "a Git LFS pointer to it", "Fetch the file itself with git lfs pull."
    if "<html" in text.lower() or text.lower().startswith("<!doctype"):
        return "a web page", "Download the file itself, not the page about it."
    return f"a text file that starts with {text.strip()[:40]!r}", "Give the path of the weights themselves."
