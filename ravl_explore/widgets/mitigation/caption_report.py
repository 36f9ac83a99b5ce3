"""What captions give before training: the classes that they name, read, drawn as a table and summed up."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from ravl_explore.captions import CaptionLabeller, CaptionLabels, common_synonyms
from ravl_explore.captions.labeller import Ambiguity
from ravl_explore.captions.labels import Status
from ravl_explore.support.text import one_line

MOST_CLASSES = 200  # rows of the table
EXAMPLES = 5  # captions of a kind
LONGEST = 160  # letters of a caption
WORDS = 10
KINDS: dict[Status, str] = {
    "several": "name several classes",
    "none": "name no class",
    "negated": "only deny classes",
}
STYLE = """<style>
.ravl-coverage { color: var(--jp-ui-font-color1, #222); line-height: 1.5; }
.ravl-coverage > div { max-height: 220px; overflow-y: auto; margin: 6px 0; }
.ravl-coverage table { border-collapse: collapse; font-size: 12px; color: inherit; }
.ravl-coverage th, .ravl-coverage td { padding: 1px 10px 1px 0; text-align: right; white-space: nowrap; }
.ravl-coverage th:first-child, .ravl-coverage td:first-child {
  text-align: left; white-space: normal; overflow-wrap: anywhere; max-width: 240px;
}
.ravl-coverage th { color: var(--jp-ui-font-color2, #666); font-weight: 600; position: sticky; top: 0;
  background: var(--jp-layout-color1, #fff); }
.ravl-coverage td.zero { font-weight: 700; color: var(--jp-error-color1, #d32f2f); }
.ravl-coverage summary { cursor: pointer; }
.ravl-coverage li, .ravl-coverage p { overflow-wrap: anywhere; margin: 0; }
</style>"""


@dataclass(frozen=True, eq=False)
class CaptionReport:
    """What the captions of a dataset say.

    Attributes
    ----------
    labeller : CaptionLabeller
        What is to read the classes off the captions when training starts.
    labels : CaptionLabels
        What is known of them before that.
    later : int
        How many images get their class only then, since it depends on the images.
    """

    labeller: CaptionLabeller
    labels: CaptionLabels
    later: int


def read_captions(
    captions: Sequence[str | None], class_names: Sequence[str], policy: Ambiguity, synonyms: bool
) -> CaptionReport:
    """Read the classes off captions.

    Parameters
    ----------
    captions : sequence of str or None
        One an image.
    class_names : sequence of str
        What can be named.
    policy : str
        What captions that name several classes do; see :class:`~ravl_explore.captions.CaptionLabeller`.
    synonyms : bool
        Whether common synonyms of the classes count too.
    """
    labeller = CaptionLabeller(
        class_names, synonyms=common_synonyms(class_names) if synonyms else None, ambiguity=policy
    )
    # which class is most like an image is known only once it is embedded
    sure = CaptionLabeller(class_names, synonyms=labeller.synonyms) if policy == "similar" else labeller
    labels = sure(captions)
    return CaptionReport(labeller, labels, labels.ambiguous if policy == "similar" else 0)


def summary(report: CaptionReport) -> str:
    """The report in a few sentences."""
    text, later = str(report.labels), report.later
    if later:
        text += f" The class of those that name several is chosen when training starts ({later:,} more labels)."
    missing = report.labels.classes_without_label
    if missing and not later:
        some = ", ".join(map(one_line, missing[:5])) + (f" and {len(missing) - 5:,} more" if len(missing) > 5 else "")
        text += f" No caption gives the class {some}: fine-tuning cannot see it."
    return text


def drawn(report: CaptionReport) -> str:
    """HTML of the report: a row a class, examples of the captions that give none, and their frequent words."""
    labels = report.labels
    frame = labels.frame()
    rows = []
    for name, labelled, named, ambiguous, negated in frame.head(MOST_CLASSES).itertuples(index=False):
        zero = ' class="zero"' if not labelled and not report.later else ""
        rows.append(
            f"<tr><td>{_escaped(name)}</td><td{zero}>{labelled:,}</td><td>{named:,}</td><td>{ambiguous:,}</td>"
            f"<td>{negated:,}</td></tr>"
        )
    if len(frame) > MOST_CLASSES:
        rows.append(f"<tr><td>and {len(frame) - MOST_CLASSES:,} more classes</td></tr>")
    head = "<tr><th>Class</th><th>Labelled</th><th>Named</th><th>Beside others</th><th>Denied</th></tr>"
    kinds = "".join(_examples(labels, status, said) for status, said in KINDS.items())
    words = ", ".join(
        f"{_escaped(_cut(word, LONGEST // 4))} ({count:,})" for word, count in labels.frequent_words(WORDS)
    )
    hint = f"<p>Frequent words where no class is named: {words}.</p>" if words else ""
    return f'{STYLE}<div class="ravl-coverage"><div><table>{head}{"".join(rows)}</table></div>{kinds}{hint}</div>'


def _examples(labels: CaptionLabels, status: Status, said: str) -> str:
    n = labels.count(status)
    if not n:
        return ""
    items = "".join(
        f"<li>image {row:,}: {_escaped(_cut(text))}</li>" for row, text in labels.examples(status, EXAMPLES)
    )
    which = (
        f"{n:,} captions {said}" if n > 1 else f"1 caption {said.replace('name ', 'names ').replace('deny', 'denies')}"
    )
    more = f", {EXAMPLES} of them" if n > EXAMPLES else ""
    return f"<details><summary>{which}{more}</summary><ul>{items}</ul></details>"


def _cut(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else text[:longest] + " …"


def _escaped(text: object) -> str:
    return html.escape(one_line(text))
