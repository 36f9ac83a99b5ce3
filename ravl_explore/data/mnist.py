"""MNIST and FashionMNIST from their own four files: plain digits and garments with the paper's prompts."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8

from ravl_explore.data.access import readable
from ravl_explore.data.arrays import ArrayDataset
from ravl_explore.data.demo import CLASS_NAMES as GARMENTS
from ravl_explore.data.demo import TEMPLATES as GARMENT_TEMPLATES
from ravl_explore.errors import DataError
from ravl_explore.support.fields import Field
from ravl_explore.support.files import user_path
from ravl_explore.support.fingerprints import digest

SPLITS = {"train": "train", "test": "t10k"}
MOST_VALUES = 2**28  # bytes; the training images are 47 million, and a packed file may promise anything
IMAGES, LABELS = 0x803, 0x801  # the first four bytes: unsigned bytes in three dimensions, or one


class Mnist(ArrayDataset):
    """Handwritten digits, 28 x 28 (Yann LeCun and Corinna Cortes, CC BY-SA 3.0). Prompts: RaVL, Appendix B.

    Parameters
    ----------
    root : str or Path
        Folder with the files ``train-images-idx3-ubyte`` and so on, packed (``.gz``) or not, or the one that
        torchvision downloaded into.
    split : {"test", "train"}
        10,000 images, or 60,000.
    download : bool
        Let torchvision fetch the files into ``root`` when they are not there.

    Raises
    ------
    DataError
        When the files are not there (it says which), are damaged, or do not belong together.
    """

    form_label = "MNIST digits"
    form: tuple[Field, ...] = (
        Field("root", "Folder", "path", help="with train-images-idx3-ubyte.gz and the other three files"),
        Field("split", "Split", "choice", default="test", choices=lambda answers: ("test", "train")),
    )
    title = "MNIST"  # the folder's name in torchvision's layout, and its class
    classes: tuple[str, ...] = tuple("0123456789")
    prompts: tuple[str, ...] = ("a photo of the number {}", "the digit {}", "an image of a {}", "{}")

    def __init__(self, root: str | Path, split: str = "test", download: bool = False) -> None:
        if not isinstance(split, str) or split not in SPLITS:
            raise DataError(f"split 'train' or 'test' of {self.title}", repr(split), "Use one of these.")
        folder = user_path(root)
        names = (f"{SPLITS[split]}-images-idx3-ubyte", f"{SPLITS[split]}-labels-idx1-ubyte")
        with readable(folder):
            if download and any(_find(folder, self.title, name) is None for name in names):
                self._download(folder)
            files = [_find(folder, self.title, name) for name in names]
        for name, file in zip(names, files, strict=True):
            if file is None:
                raise DataError(
                    f"{self.title}'s files",
                    f"none called {name}.gz or {name} in {str(folder)!r}",
                    "Put the four files there; download=True fetches them.",
                )
        digits, labels = (_read(file, magic) for file, magic in zip(files, (IMAGES, LABELS), strict=True) if file)
        if len(digits) != len(labels):
            raise DataError(
                f"one label for each image of {self.title}",
                f"{len(labels)} labels in {str(files[1])!r} for {len(digits)} images",
                "Take both files from one download.",
            )
        self._gray = digits
        super().__init__(
            np.broadcast_to(digits[:, :, :, None], (*digits.shape, 3)),  # no copy: a third of the memory
            labels.astype(np.int64),
            self.classes,
            name=f"{self.title}, {split}",
            templates=self.prompts,
        )

    def image(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """Pixels of one image, RGB, all channels alike.

        Parameters
        ----------
        index : int
            The image's number, from 0 up.
        """
        return np.repeat(self._gray[index][:, :, None], 3, axis=2)

    def fingerprint(self) -> str:
        """Of the pixels; computed once."""
        if self._fingerprint is None:
            self._fingerprint = digest(["gray", self._gray])
        return self._fingerprint

    @classmethod
    def _download(cls, folder: Path) -> None:
        import torchvision

        try:
            getattr(torchvision.datasets, cls.title)(str(folder), download=True)
        except (OSError, RuntimeError) as error:
            where = folder / cls.title / "raw"
            raise DataError(
                f"a connection to download {cls.title}",
                f"{error}",
                f"Put its four files, {SPLITS['train']}-images-idx3-ubyte.gz and so on, into {str(where)!r}.",
            ) from error


class FashionMnist(Mnist):
    """Garments, 28 x 28 (Zalando SE, MIT licence). Parameters, layout and errors as of :class:`Mnist`."""

    form_label = "FashionMNIST garments"
    title = "FashionMNIST"
    classes = GARMENTS
    prompts = GARMENT_TEMPLATES


def _find(folder: Path, title: str, name: str) -> Path | None:
    """The file in ``folder`` or in torchvision's layout; some mirrors write a dot for the last dash but one."""
    dotted = name.replace("-idx", ".idx")
    for parent in (folder, folder / "raw", folder / title / "raw"):
        for file in (parent / name, parent / f"{name}.gz", parent / dotted, parent / f"{dotted}.gz"):
            if file.is_file():
                return file
    return None


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    """The file's content, unpacked where it is packed, whatever the ending says."""
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if packed else file  # pyright: ignore[reportReturnType]


def _read(file: Path, magic: int) -> np.ndarray:
    """An idx file: four bytes of kind, the sizes as big-endian integers, then the bytes themselves."""
    n_dims = magic & 0xFF
    try:
        with file.open("rb") as raw, _unpacked(raw) as content:
            found, *shape = struct.unpack(f">{1 + n_dims}i", content.read(4 + 4 * n_dims))
            if found != magic:
                raise ValueError(f"it starts with {found:#x} and not with {magic:#x}")
            n_values = math.prod(shape)
            if min(shape) < 0 or n_values > MOST_VALUES:
                raise ValueError(f"it promises {' x '.join(map(str, shape))} values, more than {MOST_VALUES:,}")
            return np.frombuffer(content.read(n_values + 1), np.uint8).reshape(shape)  # one more shows what is too long
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise DataError("a whole idx file", f"{str(file)!r} ({error})", "Download it again.") from error
