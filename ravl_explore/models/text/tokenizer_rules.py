"""What a ``tokenizer.json`` may do with a text: steps of known kinds, and patterns that no text makes slow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from ravl_explore.errors import ModelError
from ravl_explore.support.tensor_files import first_line

STEPS = {
    "normalizer": frozenset(
        (
            *("Sequence", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Strip", "StripAccents"),
            *("BertNormalizer", "Replace", "Prepend", "Precompiled", "ByteLevel"),
        )
    ),
    "pre_tokenizer": frozenset(
        (
            *("Sequence", "BertPreTokenizer", "ByteLevel", "Whitespace", "WhitespaceSplit", "Metaspace"),
            *("Split", "Punctuation", "Digits", "CharDelimiterSplit", "UnicodeScripts"),
        )
    ),
}
MOST_STEPS = 200  # SigLIP's takes each punctuation mark out by a step of its own
MOST_GROWTH = 64  # how many times longer all steps together may make a text
GPT_4 = (  # and after it Llama 3's and Qwen's, which take other numbers of digits together
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
)
PATTERNS = (  # of published tokenizers that is_quick would not tell from slow ones
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",  # GPT-2's
    *(digits.join(GPT_4) for digits in (r"\p{N}", r"\p{N}{1,3}")),
)
ESCAPE = r"\\(?:[pP]\{\^?\w{1,30}\}|[sSdDwWnrt]|[^\w])"
PIECE = re.compile(  # one of a pattern without groups: where it stands, a character or a class, how often, or
    rf"(?P<anchor>\\[AzZ]|[\^$])|(?P<atom>{ESCAPE}|\[\^?\]?(?:{ESCAPE}|[^\\\[\]])*\]|[^\\\[\](){{}}*+?|^$])"
    r"|(?P<often>[*+?]|\{\d{1,2}(?:,\d{0,2})?\})|(?P<alternative>\|)"
)


def check_steps(content: bytes, origin: str) -> None:
    """Hold a ``tokenizer.json`` against what tokenizers of published models do.

    Parameters
    ----------
    content : bytes
        Of the file.
    origin : str
        Where it is from, for messages.

    Raises
    ------
    ModelError
        For a file that is no JSON object; for a step of another kind, more steps than any tokenizer has, steps that
        make a text many times longer, and patterns that may take forever.
    """
    try:
        whole = json.loads(content)
        parts = {name: whole.get(name) for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder")}
    except (ValueError, RecursionError, AttributeError) as error:
        raise _refused(f"no readable JSON ({first_line(error)})", origin) from error
    for pattern in (each["Regex"] for each in _mappings(list(parts.values())) if "Regex" in each):
        if not is_quick(pattern):
            raise _refused(f"the pattern {str(pattern)[:80]!r}, which may take forever,", origin)
    growth, count = 1.0, 0
    for name, kinds in STEPS.items():
        for step in _steps(parts[name]):
            kind = step.get("type") if isinstance(step, Mapping) else step
            if not isinstance(step, Mapping) or not isinstance(kind, str) or kind not in kinds:
                raise _refused(f"{name} {str(kind)[:80]!r}", origin)
            growth, count = growth * _growth(step), count + 1
            if growth > MOST_GROWTH or count > MOST_STEPS:
                raise _refused("steps that make a text many times longer, or too many of them,", origin)


def is_quick(pattern: object) -> bool:
    r"""Whether a regular expression takes a short time for any short text.

    It is a published one, or has no groups and repeats at most one character or class in each alternative.

    Parameters
    ----------
    pattern : object
        What stands as a regular expression in the file.

    Examples
    --------
    >>> is_quick(r"'s|[\p{L}]+|[^\s\p{L}]+"), is_quick(" {2,}"), is_quick("(a|a)+!"), is_quick("a*a*a*b")
    (True, True, False, False)
    """
    if not isinstance(pattern, str) or len(pattern) > 2**16:
        return False
    if pattern in PATTERNS:
        return True
    end = repeated = 0
    before: str | None = None
    for piece in PIECE.finditer(pattern):
        if piece.start() != end:
            return False
        end, kind = piece.end(), piece.lastgroup
        if kind == "often" and (before != "atom" or repeated):
            return False
        repeated = 0 if kind == "alternative" else repeated + (kind == "often")
        before = kind
    return 0 < end == len(pattern)


def _refused(came: str, origin: str) -> ModelError:
    return ModelError(
        "a tokenizer.json with the steps and patterns of published tokenizers",
        f"{came} in {origin!r}",
        "Use the tokenizer.json that the model was published with, as transformers saves it.",
    )


def _mappings(whole: object) -> Iterator[Mapping[str, object]]:
    waiting = [whole]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            yield each
        if isinstance(each, Mapping | list):
            waiting.extend(each.values() if isinstance(each, Mapping) else each)


def _steps(whole: object) -> Iterator[object]:
    """All steps, those in sequences too."""
    waiting = [] if whole is None else [whole]
    while waiting:
        step = waiting.pop()
        yield step
        if isinstance(step, Mapping) and step.get("type") == "Sequence":
            inner = [step[name] for name in ("normalizers", "pretokenizers") if isinstance(step.get(name), list)]
            waiting.extend(each for steps in inner for each in steps)


def _growth(step: Mapping[str, object]) -> float:
    """How many times longer a step makes a text at most."""
    if step["type"] == "ByteLevel":
        return 2
    content = step.get("content")
    if step["type"] != "Replace" or not isinstance(content, str):
        return 1
    told = step.get("pattern")
    replaced = told.get("String") if isinstance(told, Mapping) else None
    length = len(replaced.encode()) if isinstance(replaced, str) else 1
    inserted = len(content.encode())
    return max(1.0, inserted / length if length else 1.0 + inserted)
