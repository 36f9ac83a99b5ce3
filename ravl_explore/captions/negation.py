"""Which mentions a caption denies: "no cat", "without a hat", "negative for effusion", "the dog is not visible"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ravl_explore.captions.normal import at_edges, normalise
from ravl_explore.errors import InputError
from ravl_explore.support import checks

CUES = (
    "no", "not", "without", "w/o", "never", "neither", "nor", "none of", "absence of", "lack of", "lacks", "lacking",
    "devoid of", "free of", "free from", "negative for", "instead of", "rather than", "cannot", "can't", "isn't",
    "aren't", "wasn't", "weren't", "doesn't", "don't", "didn't", "hasn't", "haven't",
)  # fmt: skip
# "no doubt a dog", "not only a cat": a cue with one of these after it denies nothing.
NO_CUE = r"(?! (?:doubt|wonder|matter|fewer than|less than|more than|only|just|merely|simply|necessarily)\b)"
ARTICLE = (
    "a|an|the|his|her|its|their|my|your|our|there|this|that|these|those|one|two|three|four|five|some|several|many|"
    "only|just|it|he|she|they|we|you"
)
END = (
    r"[.](?!\d)|[:;!?\n\u2014\u2013\u3002\uff1b\uff01\uff1f]"
    r"|(?<![\w-])(?:but|however|although|though|except|whereas|while|yet)(?![\w-])"
    # A comma and a new noun phrase, unless the list goes on to an "or": "no hat, a dog", "no hat, a coat, or a scarf".
    rf"|,(?= (?:and |with )?(?:{ARTICLE})\b)(?![^.;:!?\n]*\b(?:or|nor)\b)"
)
UNSEEN = r"not (?:\w+ )?(?:seen|present|visible|identified|detected|evident|found|there|shown)"
AFTER = (
    rf"(?<![\w-])(?:absent|ruled out|excluded|{UNSEEN})(?![\w-])"
    rf"|: ?(?:none|no|absent|negative|{UNSEEN})(?= ?(?:[.,;!?)\n]|\Z))"  # "Effusion: none."
)


@dataclass(frozen=True)
class Negation:
    """Finds denied mentions; a cue reaches to the end of its clause.

    A clause ends at a stop, semicolon or dash, at "but" and its like, at a comma before a new noun phrase, and, for a
    cue within brackets, at the bracket. "absent", "ruled out" and "not seen" deny what their clause named before. Where
    grammar leaves it open ("no dog on the couch"), the mention counts as denied: a lost label costs less than a
    wrong one.

    Parameters
    ----------
    cues : sequence of str
        Words or phrases, in any script, that deny what follows.

    Examples
    --------
    >>> text = "no cat, a dog"
    >>> Negation()(text, [(3, 6), (10, 13)])
    [True, False]
    """

    cues: Sequence[str] = CUES

    def __post_init__(self) -> None:
        if not checks.is_list(self.cues) or not all(isinstance(cue, str) and normalise(cue) for cue in self.cues):
            raise InputError("negation cues as a list of words", f"{self.cues!r}", 'Try negation=["no", "without"].')

    @cached_property
    def _hints(self) -> tuple[str, ...]:
        """Texts without any of these deny nothing; most are done with that."""
        words = {*map(normalise, self.cues), "absent", "out", "excluded", "no", "negative"}
        return tuple(sorted(word for word in words if not any(other in word for other in words - {word})))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Events in reading order; the group that matched says which."""
        cues = sorted({normalise(cue) for cue in self.cues}, key=lambda cue: (-len(cue), cue))
        before = "|".join(map(re.escape, cues)) or "(?!)"
        return re.compile(
            rf"(?P<after>{AFTER})|(?P<before>{at_edges(before)}{NO_CUE})|(?P<open>[(\[])|(?P<close>[)\]])|(?P<end>{END})"
        )

    def __call__(self, text: str, spans: Sequence[tuple[int, int]]) -> list[bool]:
        """Whether each of the mentions at ``spans`` (in order, apart) of a normalised text is denied.

        Parameters
        ----------
        text : str
            A normalised one.
        spans : sequence of (int, int)
            Start and end of each mention.
        """
        denied = [False] * len(spans)
        if not any(hint in text for hint in self._hints):
            return denied
        events = list(self.pattern.finditer(text))
        active, outside, clause, place = False, [], 0, 0
        for event in events:
            while place < len(spans) and spans[place][0] < event.end():
                if spans[place][1] > event.start():
                    break
                denied[place] = active
                place += 1
            if place < len(spans) and spans[place][0] < event.end():
                continue  # the words of a mention are no cue: the class "no entry sign"
            match event.lastgroup:
                case "before":
                    active = True
                case "after":
                    denied[clause:place] = [True] * (place - clause)
                case "open":
                    outside.append(active)
                case "close":
                    active = outside.pop() if outside else active
                case _:
                    active, clause, outside = False, place, []
        denied[place:] = [active] * (len(spans) - place)
        return denied
