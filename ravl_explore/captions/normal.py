"""One spelling for captions and class names, and where a word ends, in any script."""

from __future__ import annotations

import re
import string
import unicodedata
from functools import cache

STRAIGHT = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc`\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2212\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2028\u2029\x85\x0b\x0c", "\n"),
        **dict.fromkeys("\u00ad\u200b\u2060\ufeff\u200e\u200f", None),  # marks without width
    }
)
EN_DASH_IN_WORD = re.compile(r"(?<=\w)\u2013(?=\w)")
DASHES = re.compile(r"[^\S\n]*--+[^\S\n]*")
BULLETS = "-*\u2022"
NUMBERED = re.compile(r"\d+[.)]\s")

# Inside of character classes. Scripts that set no space between words: Thai, Lao, Tibetan, Burmese, Khmer, kana, Han.
UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u309f\u3105-\u312f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
KATAKANA = "\u30a1-\u30fa\u30fc-\u30fe"  # no spaces either, but a run of it is one word


def normalise(text: str) -> str:
    """NFKC and casefold, straight quotes and hyphens, single spaces, no list bullets; again changes nothing.

    An underscore becomes a space. A line break becomes one too, but before a new paragraph or list entry two stay, for
    no clause reaches across them.

    Parameters
    ----------
    text : str

    Examples
    --------
    >>> normalise("A  T\\u2010Shirt\\u2019s \\uff30rint")
    "a t-shirt's print"
    """
    text = text.replace("_", " ")
    if text.isascii():
        text = text.casefold()
    else:
        text = unicodedata.normalize("NFKC", text.translate(STRAIGHT)).casefold()
        text = unicodedata.normalize("NFKC", text).translate(STRAIGHT)
        text = EN_DASH_IN_WORD.sub("-", text)
    if "--" in text:
        text = DASHES.sub(" \u2014 ", text)
    if "\n" not in text and "\r" not in text:
        return " ".join(text.lstrip(BULLETS + string.whitespace).split())
    paragraphs: list[list[str]] = [[]]
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        line = line.strip()
        bare = line.lstrip(BULLETS + string.whitespace)
        if not bare or bare != line or NUMBERED.match(bare):
            paragraphs.append([])
        paragraphs[-1] += bare.split()
    return "\n\n".join(" ".join(words) for words in paragraphs if words)


@cache
def marks() -> str:
    """Inside of a character class: what belongs to the letter before it; Python's ``\\w`` lacks Indic vowel signs."""
    codes = [code for code in range(0x300, 0x10000) if unicodedata.category(chr(code))[0] == "M"]
    starts = [code for code in codes if unicodedata.category(chr(code - 1))[0] != "M"]
    ends = [code for code in codes if unicodedata.category(chr(code + 1))[0] != "M"]
    return "\u200d" + "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


@cache
def at_edges(pattern: str) -> str:
    """``pattern`` where it starts and ends at the edge of a word, whatever the script of its first and last letter.

    A hyphen continues a word: "t-shirt" holds no word shirt. So does an apostrophe, but for "dog's" and "l'orange", and
    in numbers a stop or comma before a digit. In scripts without spaces any place is an edge.

    Parameters
    ----------
    pattern : str
        A regular expression.

    Examples
    --------
    >>> re.findall(at_edges("dog|3"), "dog's hot-dog dogma 3, 3.5, 3")
    ['dog', '3', '3']
    """
    left, right = _edges(rf"\w\-{marks()}")
    left += rf"|(?=[{UNSPACED}])|(?=[{KATAKANA}])(?<![{KATAKANA}])"
    right += rf"|(?<=[{UNSPACED}])(?![{marks()}])|(?<=[{KATAKANA}])(?![{KATAKANA}])"
    return f"(?:{left})(?:{pattern})(?:{right})"


def at_ascii_edges(pattern: str) -> str:
    """The same for texts of ASCII alone, which most captions are: twice as fast.

    Parameters
    ----------
    pattern : str
        A regular expression.
    """
    left, right = _edges(r"\w\-")
    return f"{left}(?:{pattern}){right}"


def _edges(word: str) -> tuple[str, str]:
    return (
        rf"(?<![{word}])(?:(?<!\w')|(?<=\b[cdjlmnqst]'))(?:(?<!\d[.,])|(?!\d))",
        rf"(?![{word}])(?!'(?!s(?!\w))\w)(?:(?<!\d)|(?![.,]\d))",
    )
