"""Text of others (class names, file names, prompts), made safe to store and to show on a line; nothing is dropped."""

from __future__ import annotations

import unicodedata

# Beside the controls (Cc): what reorders a line (bidirectional marks) is Cf, lone surrogates of odd file names are Cs.
UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
KEPT = "\u200c\u200d"  # joiners of Persian and Indic scripts, and of emoji


def storable(text: object) -> str:
    """Text that UTF-8 can hold: lone surrogates, as in file names of another encoding, become escapes.

    Parameters
    ----------
    text : object
        A text, or what has one.

    Examples
    --------
    >>> storable("caf\\udce9")
    'caf\\\\udce9'
    """
    return str(text).encode("utf-8", "backslashreplace").decode()


def one_line(text: object) -> str:
    """Text on one line, without control characters: they become escapes, so that no name can repaint a terminal.

    Parameters
    ----------
    text : object
        A text, or what has one.

    Examples
    --------
    >>> one_line("cat\\n\\x1b[31mdog")
    'cat \\\\x1b[31mdog'
    """
    line = " ".join(str(text).split())
    if line.isprintable():
        return line
    return "".join(c if c in KEPT or unicodedata.category(c) not in UNSAFE else _escaped(c) for c in line)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
