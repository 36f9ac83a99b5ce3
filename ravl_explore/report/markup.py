"""Small pieces of HTML: escaped text, and numbers as the report writes them; a number that is not known is a dash."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable

from ravl_explore.support.text import one_line

NONE = "&ndash;"
LONGEST = 120


def escape(text: object, longest: int = LONGEST) -> str:
    """Text of others as literal HTML, on one line, cut with an ellipsis; also fit for a quoted attribute.

    >>> escape('<b onclick="x">')
    '&lt;b onclick=&quot;x&quot;&gt;'
    """
    line = one_line(text)
    return html.escape(line if len(line) <= longest else line[: longest - 1].rstrip() + "…")


def percent(value: float) -> str:
    """A share in percent.

    >>> percent(0.786), percent(float("nan"))
    ('78.6%', '&ndash;')
    """
    return f"{100 * value:.1f}%" if math.isfinite(value) else NONE


def interval(low: float, high: float) -> str:
    """An interval of shares, in whole percent.

    >>> interval(0.551, 0.694)
    '55 to 69'
    """
    return f"{100 * low:.0f} to {100 * high:.0f}" if math.isfinite(low) and math.isfinite(high) else NONE


def number(value: float, digits: int = 2) -> str:
    """A plain number.

    >>> number(1234.5), number(float("-inf"))
    ('1,234.50', '&ndash;')
    """
    return f"{value:,.{digits}f}" if math.isfinite(value) else NONE


def chance(value: float) -> str:
    """A p- or q-value.

    >>> chance(0.000999), chance(0.21), chance(0.0001)
    ('0.001', '0.210', '&lt;0.001')
    """
    if not math.isfinite(value):
        return NONE
    return "&lt;0.001" if value < 0.0005 else f"{value:.3f}"


def plural(n: int, one: str, many: str = "") -> str:
    """A count with its noun.

    Parameters
    ----------
    n : int
        How many.
    one : str
        What one is called.
    many : str
        What several are called; ``one`` with an s unless given.

    >>> plural(1, "image"), plural(2000, "image"), plural(0, "box", "boxes")
    ('1 image', '2,000 images', '0 boxes')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def table(caption: str, head: Iterable[tuple[str, str, str]], rows: Iterable[Iterable[str]]) -> str:
    """A table; ``head`` is (title, CSS class, what it means) a column, the first cell of a row is the row's header.

    Everything in it is HTML already: escape what others wrote before.
    """
    columns = list(head)
    top = "".join(f'<th scope="col" class="{css}" title="{note}">{title}</th>' for title, css, note in columns)
    body = "".join(f"<tr>{_cells(row, [css for _, css, _ in columns])}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{caption}"><table><caption>{caption}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(row: Iterable[str], kinds: list[str]) -> str:
    first, *rest = zip(row, kinds, strict=True)
    return f'<th scope="row" class="{first[1]}">{first[0]}</th>' + "".join(
        f'<td class="{css}">{cell}</td>' for cell, css in rest
    )


def details(summary: str, content: str) -> str:
    """Content that opens on a click, without a script; printed open."""
    return f"<details><summary>{summary}</summary>{content}</details>"
