"""FileTokenizer: a Hugging Face tokenizer from the content of its files, which goes along with a saved model.

The files are read as data: what of their settings could name code, other files or repositories is left out, and
transformers sees the rest in a folder of its own.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from open_clip.tokenizer import HFTokenizer
from torch import Tensor

from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.setting_rules import is_number
from ravl_explore.models.downloads import TOKENIZER_EXTRAS, VOCABULARIES
from ravl_explore.support.tensor_files import first_line, is_file

NAMES = (*VOCABULARIES, *TOKENIZER_EXTRAS, "config.json")
MOST_BYTES = 3 * 2**25  # of all files of a tokenizer; the largest known, of 900,000 tokens, has 2**26
MOST_PARTS = (
    2**22
)  # of JSON in a packed file, each of which takes tens of bytes when read; the largest known has 3 million
PACKED = re.compile(rb'"([\w.-]{1,64})": "([A-Za-z0-9+/=]*)"(, |\}$)')  # as json.dumps writes it
CLASSES = (  # of transformers, that open_clip's and transformers' CLIPs come with
    *("CLIPTokenizer", "BertTokenizer", "RobertaTokenizer", "XLMRobertaTokenizer", "T5Tokenizer"),
    *("GemmaTokenizer", "SiglipTokenizer", "Siglip2Tokenizer", "NllbTokenizer"),
    *("PreTrainedTokenizer", "TokenizersBackend"),
)
MODEL_TYPES = (  # whose usual tokenizer is taken where the files do not name one
    *("clip", "siglip", "metaclip_2", "bert", "roberta", "xlm-roberta", "mt5", "t5", "m2m_100"),
    *("gemma",),
)
FLAGS = (
    *("do_lower_case", "do_basic_tokenize", "strip_accents", "tokenize_chinese_chars"),
    *("add_prefix_space", "legacy", "add_bos_token", "add_eos_token", "trim_offsets"),
    *("clean_up_tokenization_spaces", "do_lower", "keep_accents", "split_special_tokens"),
    *("add_dummy_prefix",),
)
WORDS = (
    *("padding_side", "truncation_side", "errors", "unk_token", "bos_token", "eos_token"),
    *("pad_token", "sep_token", "cls_token", "mask_token", "src_lang", "tgt_lang"),
)
TABLES = ("added_tokens_decoder", "additional_special_tokens", "extra_special_tokens")
TOKEN = ("content", "lstrip", "rstrip", "normalized", "single_word", "special", "__type")


class FileTokenizer(HFTokenizer):
    """A Hugging Face tokenizer made of the content of its files.

    Parameters
    ----------
    files : Mapping[str, bytes]
        File's name -> content.
    context : int
        Tokens of each text, to which it is cut or filled.
    mode : str | None
        open_clip's ``tokenizer_mode``.
    options : Mapping[str, object]
        open_clip's ``tokenizer_kwargs``.

    Attributes
    ----------
    files : dict[str, bytes]
        File's name -> content, without what could name code or other files.
    """

    def __init__(
        self, files: Mapping[str, bytes], context: int, mode: str | None, options: Mapping[str, object]
    ) -> None:
        self.files = cleaned(files)
        self._made_with = context, mode, dict(options)
        with TemporaryDirectory() as folder:
            for name, content in self.files.items():
                Path(folder, name).write_bytes(content)
            super().__init__(
                folder,
                context_length=context,
                tokenizer_mode=mode,
                clean=str(options.get("clean", "whitespace")),
                strip_sep_token=bool(options.get("strip_sep_token")),
                trust_remote_code=False,
                local_files_only=True,
            )

    def __call__(self, texts: str | list[str], context_length: int | None = None) -> Tensor:
        """Tokens [texts, context]; ModelError where the files' own tables make the tokenizers library give up."""
        try:
            return super().__call__(texts, context_length)
        except (Exception, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # a panic in Rust
            raise ModelError(
                "a tokenizer that can read every text",
                f"one whose tables are broken ({first_line(error)})",
                "Use the tokenizer's files that the model was published with.",
            ) from error

    def __reduce__(self) -> tuple[type[FileTokenizer], tuple[object, ...]]:
        return type(self), (self.files, *self._made_with)  # transformers' own would look for its folder again


def pack(files: Mapping[str, bytes]) -> str:
    """Files as one text, for the header of a .safetensors file.

    Parameters
    ----------
    files : Mapping[str, bytes]
        A file's name -> its content.
    """
    texts = {name: base64.b64encode(content).decode("ascii") for name, content in sorted(files.items())}
    return base64.b64encode(zlib.compress(json.dumps(texts).encode(), 9)).decode("ascii")


def unpack(packed: str, origin: str) -> dict[str, bytes]:
    """What :func:`pack` packed; ModelError for anything else, and for what would unpack to far more.

    Parameters
    ----------
    packed : str
        What :func:`pack` gave.
    origin : str
        Where it is from, for messages.
    """
    try:
        files = _entries(_inflated(base64.b64decode(packed, validate=True)))
        if any(_parts(content) > MOST_PARTS for content in files.values()):
            raise ValueError("of more parts than any tokenizer")
    except (ValueError, TypeError, zlib.error) as error:
        raise ModelError(
            "the tokenizer's files in the checkpoint's header",
            f"{origin!r} ({first_line(error)})",
            "Save the model again with rx.save.",
        ) from error
    return {name: files[name] for name in NAMES if name in files}


def _inflated(content: bytes) -> bytes:
    """What zlib packed, at most what the largest tokenizer takes in base64."""
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(content, MOST_BYTES * 4 // 3 + 1000)
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise ValueError("larger than any tokenizer, or cut short")
    return found


def _entries(content: bytes) -> dict[str, bytes]:
    """The files of a JSON object of base64, without the copies and small parts that a JSON reader would make."""
    files: dict[str, bytes] = {}
    at = 1
    while content != b"{}" and at < len(content):
        entry = PACKED.match(content, at)
        if entry is None or content[:1] != b"{" or len(files) == len(NAMES):
            raise ValueError("no tokenizer's files by name")
        start, stop = entry.span(2)
        files[entry[1].decode()] = base64.b64decode(memoryview(content)[start:stop], validate=True)
        at = entry.end()
    return files


def _parts(content: bytes) -> int:
    return sum(content.count(mark) for mark in (b"[", b"{", b","))


def read_files(folder: Path) -> dict[str, bytes]:
    """The tokenizer's files in a folder; ModelError where they cannot be read or are too large.

    Parameters
    ----------
    folder : Path
        Where the files are.
    """
    paths = [folder / name for name in NAMES if is_file(folder / name)]
    try:
        length = sum(path.stat().st_size for path in paths)
        if length <= MOST_BYTES:
            return {path.name: path.read_bytes() for path in paths}
    except OSError as error:
        raise ModelError(
            "a tokenizer's files that may be read", f"{str(folder)!r} ({error})", "Check their permissions."
        ) from error
    raise ModelError(
        f"a tokenizer of at most {MOST_BYTES / 1e6:.0f} MB",
        f"{length / 1e6:,.0f} MB in {str(folder)!r}",
        "Copy it again.",
    )


# --- what of the settings goes on -------------------------------------------------------------------------------------


def cleaned(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files as transformers may see them: vocabularies whole, of the settings only what is known."""
    kept = {name: content for name, content in files.items() if name in VOCABULARIES or name == "merges.txt"}
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if name in files:
            kept[name] = json.dumps(_known(json.loads(files[name]))).encode()
    if "config.json" in files and (kind := json.loads(files["config.json"]).get("model_type")) in MODEL_TYPES:
        kept["config.json"] = json.dumps({"model_type": kind}).encode()
    if "added_tokens.json" in files:
        added = json.loads(files["added_tokens.json"])
        kept["added_tokens.json"] = json.dumps({str(k): v for k, v in added.items() if type(v) is int}).encode()
    return kept


def _known(settings: Mapping[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in settings.items():
        if key in WORDS and isinstance(value, Mapping):
            found[key] = _token(value)
        elif key in TABLES and isinstance(value, Mapping):
            found[key] = {str(k): _token(v) if isinstance(v, Mapping) else v for k, v in value.items() if _is_token(v)}
        elif key in TABLES and isinstance(value, list):
            found[key] = [_token(each) if isinstance(each, Mapping) else each for each in value if _is_token(each)]
        elif _is_plain(key, value):
            found[key] = value
    return found


def _is_plain(key: str, value: object) -> bool:
    """Whether it is one of the settings that are a word or a number, and is one."""
    return (
        (key in FLAGS and (value is None or isinstance(value, bool)))
        or (key in WORDS and (value is None or isinstance(value, str)))
        or (key in ("extra_ids", "sp_offset") and type(value) is int and 0 <= value <= 1000)
        or (key == "model_max_length" and is_number(value) and value > 0)
        or (key == "tokenizer_class" and str(value).removesuffix("Fast") in CLASSES)
    )


def _is_token(value: object) -> bool:
    return isinstance(value, str | Mapping)


def _token(value: Mapping[object, object]) -> dict[object, object]:
    return {key: each for key, each in value.items() if key in TOKEN and isinstance(each, str | bool)}
