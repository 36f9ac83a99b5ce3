"""A tokenizer.json neither hangs nor takes all memory; those of published models open."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from ravl_explore.errors import ModelError
from ravl_explore.models.text.tokenizer_rules import PATTERNS, check_steps, is_quick
from ravl_explore.models.text.tokenizers import _from_files

CLIPS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
PUNCTUATION = r"[!\"\#\$%\&'\(\)\*\+,\-\.:;=\?@\[\\\]\^_`\{\|\}\~]"
PUBLISHED = (CLIPS, PUNCTUATION, *PATTERNS, " {2,}", r"\s+", r"\A +| +\z", r"\A▁", "^▁+$", r"\s{2,}|[\n\r\t]", r"\n")
SLOW = (
    *(r"^(([a-z ]|[a-z\- ]|[a-z])+)+!$", r"(a+)+$", r"a*a*a*a*b", "a?a?a?aaa", r"(?=a)", r"(a)\1", "a{9999}", "a++"),
    *("", "[", "a{2", r"\g<1>", "(?i:a)", None, 3),
)


def file(**steps: Any) -> bytes:
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    return json.dumps(json.loads(tokenizer.to_str()) | steps).encode()


def sequence(steps: list[Any], name: str = "normalizers") -> dict[str, Any]:
    return {"type": "Sequence", name: steps}


@pytest.mark.parametrize("pattern", PUBLISHED)
def test_patterns_of_published_tokenizers_are_quick(pattern: str) -> None:
    assert is_quick(pattern)


@pytest.mark.parametrize("pattern", SLOW)
def test_patterns_that_may_hang_are_refused(pattern: Any) -> None:
    assert not is_quick(pattern)
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    for steps in (
        {"pre_tokenizer": split},
        {"pre_tokenizer": sequence([{"type": "Whitespace"}, sequence([split], "pretokenizers")], "pretokenizers")},
        {"normalizer": {"type": "Replace", "pattern": {"Regex": pattern}, "content": ""}},
        {"decoder": {"type": "Replace", "pattern": {"Regex": pattern}, "content": ""}},
    ):
        with pytest.raises(ModelError, match=r"may take forever, in 'here'"):
            check_steps(file(**steps), "here")


LONGER = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ({"normalizer": sequence([LONGER] * 40)}, "many times longer"),
        ({"normalizer": sequence([{"type": "ByteLevel"}] * 30)}, "many times longer"),
        ({"normalizer": sequence([{"type": "Lowercase"}] * 10_000)}, "too many"),
        ({"normalizer": {"type": "Shell"}}, "normalizer 'Shell'"),
        ({"pre_tokenizer": sequence([{"pattern": "x"}], "pretokenizers")}, "pre_tokenizer 'None'"),
        ({"pre_tokenizer": ["Split"]}, "pre_tokenizer"),
        ({"normalizer": "Lowercase"}, "normalizer 'Lowercase'"),
        ({"normalizer": sequence(["Lowercase"])}, "normalizer 'Lowercase'"),
    ],
)
def test_steps_of_no_tokenizer_are_refused(steps: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        check_steps(file(**steps), "here")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_no_json(content: bytes) -> None:
    with pytest.raises(ModelError, match="no readable JSON"):
        check_steps(content, "here")


def with_table(table: str) -> dict[str, bytes]:
    return {
        "tokenizer.json": file(normalizer={"type": "Precompiled", "precompiled_charsmap": table}),
        "tokenizer_config.json": b'{"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[UNK]"}',
    }


def test_a_panic_of_the_tokenizers_library_is_told() -> None:
    broken = base64.b64encode(struct.pack("<II", 4, 0x400)).decode()
    for content in (broken, base64.b64encode(b"x").decode(), "?"):
        with pytest.raises(ModelError, match="a tokenizer that"):
            _from_files(with_table(content), "here", 8, None, {})


def test_tokenizers_that_transformers_saves_pass(tmp_path: Any) -> None:
    transformers = pytest.importorskip("transformers")
    for name in ("CLIPTokenizer", "BertTokenizer", "XLMRobertaTokenizer", "T5Tokenizer", "GemmaTokenizer"):
        getattr(transformers, name)().save_pretrained(tmp_path / name)
        check_steps((tmp_path / name / "tokenizer.json").read_bytes(), name)


def test_a_panic_that_some_texts_bring_about_is_told() -> None:
    """A table of one letter that leads far out of it."""
    units = [0] * 256
    units[0xE2] = 0xE2 | 0x1FFFFF << 10
    table = base64.b64encode(struct.pack("<I256I", 1024, *units)).decode()
    tokenizer = _from_files(with_table(table), "here", 8, None, {})
    assert tokenizer("5 a").shape == (1, 8)
    with pytest.raises(ModelError, match="a tokenizer that can read every text"):
        tokenizer(["5 €"])
