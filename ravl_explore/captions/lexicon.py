"""Class names -> every phrase that names a class, and one pattern that finds the longest of them at any place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ravl_explore.captions.normal import at_ascii_edges, at_edges, normalise
from ravl_explore.captions.words import SPELLINGS, plurals, singulars
from ravl_explore.errors import InputError

# A phrase that would name several classes names those for which it ranks lowest: by its form, then by its source.
EXACT, SPELLING, PLURAL, SINGULAR, DECOY = range(0, 15, 3)
NAME, SYNONYM, PART = range(3)
NOT_ALONE = {"on", "off", "in", "out", "up", "down", "and", "or", "the", "a", "an", "no", "other", "not", "with"}
FEW_GAPS = 3  # up to here any choice of gaps may be closed ("hot dog", "hotdog"); in longer names, sentences, none
DEEPEST = 50  # nested groups in a pattern; re's own limit is some 300
GAP = "(?:- ?| )"

Words = tuple[str, ...]
Tree = dict[str, "Tree"]  # the next characters of phrases that begin alike; "" where a phrase ends


def lexicon(
    class_names: Sequence[str], synonyms: Mapping[str, Sequence[str]], decoys: Sequence[str]
) -> dict[str, tuple[int, ...]]:
    """Phrase (normalised, a space in each open gap) -> the classes it names; none for a decoy.

    Parameters
    ----------
    class_names : sequence of str
    synonyms : mapping, str -> sequence of str
        Other names of classes.
    decoys : sequence of str
        Phrases that hold a class name and show none of it.

    Examples
    --------
    >>> sorted(lexicon(["ankle-boot"], {}, []))
    ['ankle boot', 'ankle boots', 'ankleboot', 'ankleboots']

    Raises
    ------
    InputError
        For a name or synonym without a letter, two classes of one name, a synonym of two classes or of none.
    """
    names = [_words(name, f"class {place}") for place, name in enumerate(class_names)]
    first: dict[Words, int] = {}
    for place, words in enumerate(names):
        if first.setdefault(words, place) != place:
            raise InputError(
                "class names that differ in more than case, spaces and hyphens",
                f"{class_names[first[words]]!r} and {class_names[place]!r}",
                "Rename or merge one of them.",
            )
    found: dict[str, dict[int, int]] = {}
    for place, (name, words) in enumerate(zip(class_names, names, strict=True)):
        for phrase, rank in _phrases(words):
            _add(found, phrase, place, rank + NAME)
        for part in _parts(name):
            for phrase, rank in _phrases(part):
                _add(found, phrase, place, rank + PART)
    for place, words in _synonyms(class_names, first, synonyms):
        for phrase, rank in _phrases(words):
            _add(found, phrase, place, rank + SYNONYM)
    for decoy in decoys:
        for phrase, _ in _phrases(_words(decoy, "a decoy")):
            _add(found, phrase, -1, DECOY)
    phrases = {}
    for phrase, ranks in found.items():
        best = min(ranks.values())
        phrases[phrase] = tuple(sorted(place for place, rank in ranks.items() if rank == best and place >= 0))
    return phrases


class LongestMatch:
    """Finds, at every place of a normalised text where a phrase starts, the longest one there; they may overlap.

    The phrases make a tree of shared beginnings, so that the time hardly depends on their number.

    >>> match = LongestMatch(["dog", "hot dog", "dog house"])
    >>> match.spans("a hot-dog near the dog house")
    [(2, 9), (19, 28)]
    """

    def __init__(self, phrases: Iterable[str]) -> None:
        phrases = list(phrases)
        self._ascii = _compile(filter(str.isascii, phrases), at_ascii_edges, re.ASCII)
        self._any = _compile(phrases, at_edges)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """(start, end) of each, in order.

        Parameters
        ----------
        text : str
            A normalised one.
        """
        return [match.span(1) for match in (self._ascii if text.isascii() else self._any).finditer(text)]

    def shorter(self, text: str, start: int, stop: int) -> tuple[int, int] | None:
        """The longest one at ``start`` that ends by ``stop``.

        Parameters
        ----------
        text : str
            A normalised one.
        start : int
            Where the phrase starts.
        stop : int
            Where it has to end, or before.
        """
        match = self._any.match(text, start, stop)
        return None if match is None else match.span(1)


def _compile(phrases: Iterable[str], edges: Callable[[str], str], flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    tree: Tree = {}
    for phrase in phrases:
        node = tree
        for character in phrase:
            node = node.setdefault(character, {})
        node[""] = {}
    return re.compile(f"(?=({edges(_pattern(tree))}))" if tree else r"(?!)()", flags)


def canonical(matched: str) -> str:
    """The phrase as the lexicon holds it, from what the pattern matched.

    Parameters
    ----------
    matched : str
        A part of a normalised text.

    Examples
    --------
    >>> canonical("ankle-boot")
    'ankle boot'
    """
    return matched.replace("- ", " ").replace("-", " ") if "-" in matched else matched


def _add(found: dict[str, dict[int, int]], phrase: str, place: int, rank: int) -> None:
    ranks = found.setdefault(phrase, {})
    ranks[place] = min(rank, ranks.get(place, rank))


def _words(text: str, what: str) -> Words:
    words = tuple(re.split(r"[\s\-]+", normalise(str(text)).strip(" -\u2013\u2014\n")))
    if not any(words):
        raise InputError("a name with at least one letter, digit or sign", f"{text!r} ({what})", "Name it.")
    return words


def _parts(name: str) -> Iterator[Words]:
    """Names inside of one: "T-shirt/top", "tench, Tinca tinca", "crane (bird)", "a dog"."""
    whole = normalise(str(name))
    bare = re.sub(r"\s*\([^()]*\)\s*", " ", whole).strip()
    parts = [bare, *re.split(r"\s*[/,]\s*", bare), re.sub(r"^(?:an?|the)\s+", "", bare)]
    for part in dict.fromkeys(parts):
        if part != whole and part not in NOT_ALONE and sum(map(str.isalpha, part)) > 1:
            yield _words(part, "part of a class name")


def _synonyms(
    class_names: Sequence[str], places: Mapping[Words, int], synonyms: Mapping[str, Sequence[str]]
) -> Iterator[tuple[int, Words]]:
    owner: dict[Words, int] = {}
    for name, others in synonyms.items():
        place = places.get(_words(name, "a class with synonyms"))
        if place is None:
            raise InputError(
                "synonyms of classes", f"{name!r}, which is none", f"Use names such as {class_names[0]!r}."
            )
        for other in [others] if isinstance(others, str) else others:
            words = _words(other, f"a synonym of {name!r}")
            if owner.setdefault(words, place) != place:
                raise InputError(
                    "each synonym for one class",
                    f"{other!r} for {class_names[owner[words]]!r} and {class_names[place]!r}",
                    "Keep it for one of them.",
                )
            yield place, words


def _phrases(words: Words) -> Iterator[tuple[str, int]]:
    """All ways to write a name: other spellings, plural, singular, closed gaps, no apostrophe; and how far each is."""
    for spelled in _spellings(words):
        rank = EXACT if spelled == words else SPELLING
        head = _head(spelled)
        forms = [(spelled, rank)]
        for inflect, inflected in ((plurals, PLURAL), (singulars, SINGULAR)):
            forms += [((*spelled[:head], form, *spelled[head + 1 :]), inflected) for form in inflect(spelled[head])]
        for form, form_rank in forms:
            for phrase in _closings(form):
                yield phrase, form_rank if phrase == " ".join(form) else max(form_rank, SPELLING)
                bare = phrase.replace("'", "").strip()
                if bare and bare != phrase:
                    yield bare, max(form_rank, SPELLING)


def _spellings(words: Words) -> set[Words]:
    spelled = {words}
    for group in SPELLINGS:
        for old in group:
            for start in range(len(words) - len(old) + 1):
                if words[start : start + len(old)] == old:
                    spelled.update((*words[:start], *new, *words[start + len(old) :]) for new in group)
    return spelled


def _head(words: Words) -> int:
    """The word that takes the plural: the last, or the one before "of", "in", "with"."""
    for place, word in enumerate(words):
        if 0 < place < len(words) - 1 and word in {"of", "in", "with", "on", "for"}:
            return place - 1
    return len(words) - 1


def _closings(words: Words) -> Iterator[str]:
    gaps = len(words) - 1
    for closed in range(1 << gaps) if gaps <= FEW_GAPS else [0]:
        yield words[0] + "".join(("" if closed >> gap & 1 else " ") + word for gap, word in enumerate(words[1:]))


def _pattern(node: Tree, depth: int = 0) -> str:
    """The tree below ``node``; longer phrases are tried first, an end ("") last."""
    run = ""
    while len(node) == 1 and "" not in node:
        ((character, node),) = node.items()
        run += _escaped(character)
    if depth == DEEPEST:
        branches = ["".join(map(_escaped, ending)) for ending in sorted(_endings(node), key=lambda e: (-len(e), e))]
    else:
        branches = [_escaped(each) + _pattern(node[each], depth + 1) for each in sorted(node) if each]
        branches += [""] if "" in node else []
    return run + (branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})")


def _endings(node: Tree) -> Iterator[str]:
    waiting = [("", node)]
    while waiting:
        text, node = waiting.pop()
        if "" in node:
            yield text
        waiting.extend((text + each, node[each]) for each in node if each)


def _escaped(character: str) -> str:
    return GAP if character == " " else re.escape(character)
