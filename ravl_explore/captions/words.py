"""English words: their plurals, and tables of what else means the same or only looks the same."""

from __future__ import annotations

from collections.abc import Iterable

# Singular -> plurals in use.
IRREGULAR: dict[str, tuple[str, ...]] = {
    "person": ("people", "persons"), "man": ("men",), "woman": ("women",), "child": ("children",), "foot": ("feet",),
    "tooth": ("teeth",), "goose": ("geese",), "mouse": ("mice", "mouses"), "louse": ("lice",), "ox": ("oxen",),
    "knife": ("knives",), "wife": ("wives",), "life": ("lives",), "leaf": ("leaves",), "loaf": ("loaves",),
    "half": ("halves",), "calf": ("calves",), "wolf": ("wolves",), "shelf": ("shelves",), "elf": ("elves",),
    "thief": ("thieves",), "scarf": ("scarves", "scarfs"), "hoof": ("hooves", "hoofs"),
    "dwarf": ("dwarves", "dwarfs"), "die": ("dice",), "quiz": ("quizzes",), "lens": ("lenses",), "gas": ("gases",),
    "cactus": ("cacti", "cactuses"), "fungus": ("fungi",), "octopus": ("octopuses", "octopi"),
    "hippopotamus": ("hippopotamuses", "hippopotami"), "nucleus": ("nuclei",), "bronchus": ("bronchi",),
    "diverticulum": ("diverticula",), "vertebra": ("vertebrae", "vertebras"), "thorax": ("thoraces", "thoraxes"),
    "larva": ("larvae",), "alga": ("algae",), "index": ("indices", "indexes"), "appendix": ("appendices",),
    "fish": ("fish", "fishes"), "sheep": ("sheep",), "deer": ("deer",), "moose": ("moose",), "bison": ("bison",),
    "aircraft": ("aircraft",), "species": ("species",), "series": ("series",), "ski": ("skis",), "taxi": ("taxis",),
}  # fmt: skip
# Longer words that end in one of these follow it (bookshelf, grandchild, fireman), but for those of the second line.
COMPOUNDED = (
    "man", "person", "child", "foot", "tooth", "goose", "mouse", "knife", "wife", "leaf", "loaf", "calf", "wolf",
    "shelf", "fish", "sheep", "deer", "thorax",
)  # fmt: skip
NO_COMPOUND = {"human", "german", "roman", "shaman", "ottoman", "caiman", "talisman", "norman", "mongoose"}
# End in s and have no singular, or one that means something else ("shorts" are not short).
PLURAL_ONLY = {
    "news", "goods", "means", "shorts", "tights", "briefs", "overalls", "glasses", "pants", "clothes", "boxers",
    "trunks", "slacks", "blinds", "contents", "remains", "thanks", "binoculars", "headquarters", "works", "customs",
    "spectacles", "species", "series", "lens", "gas",
}  # fmt: skip
SINGULAR_IN_S = ("ss", "us", "is")
SINGULAR_S = {"canvas", "atlas", "pancreas", "bias", "thermos", "rhinoceros", "cosmos", "christmas"}

# Spellings of the same name; a class called by one is found by the others.
SPELLINGS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("t", "shirt"), ("tee", "shirt"), ("tshirt",)),
    (("hot", "dog"), ("hotdog",)),
    (("teddy", "bear"), ("teddybear",)),
    (("gray",), ("grey",)),
)

# Phrases that hold the name of a class and show none of it; a class of that very name wins over them.
DECOYS = (
    "hot dog", "corn dog", "prairie dog", "teddy bear", "gummy bear", "koala bear", "sea lion", "sea horse",
    "guinea pig", "rocking horse", "t-shirt", "tee shirt", "sweat shirt", "horse shoe", "egg plant", "pine apple",
    "cat fish", "star fish", "jelly fish", "dragon fly", "butter fly", "lady bug", "cow boy", "cow girl", "cat walk",
)  # fmt: skip

_SAME: tuple[tuple[str, ...], ...] = (
    ("couch", "sofa", "settee"), ("tv", "television", "tv set"), ("airplane", "aeroplane", "plane", "airliner"),
    ("bicycle", "bike"), ("motorcycle", "motorbike"), ("car", "automobile"), ("truck", "lorry"),
    ("cell phone", "mobile phone", "smartphone"), ("refrigerator", "fridge"), ("donut", "doughnut"),
    ("hair drier", "hair dryer", "blow dryer"), ("potted plant", "house plant"), ("remote", "remote control"),
    ("traffic light", "traffic signal", "stoplight"), ("fire hydrant", "hydrant"), ("trouser", "pants"),
    ("pullover", "sweater", "jumper"), ("sneaker", "running shoe"), ("handbag", "purse"),
    ("backpack", "rucksack"), ("laptop", "notebook computer"), ("tie", "necktie"), ("boat", "ship"),
    ("pleural effusion", "effusion"), ("cardiomegaly", "enlarged heart"),
)  # fmt: skip
_KINDS: dict[str, tuple[str, ...]] = {
    "person": ("man", "woman", "boy", "girl", "child", "kid", "baby", "guy", "lady", "player", "skier", "surfer"),
    "cat": ("kitten", "kitty"), "dog": ("puppy", "doggie"), "horse": ("pony", "foal"), "sheep": ("lamb",),
    "cow": ("bull", "calf", "cattle"), "bird": ("seagull", "pigeon", "parrot", "owl"), "shoe": ("sneaker", "boot"),
    "bag": ("handbag", "purse", "backpack"),
}  # fmt: skip


def common_synonyms(class_names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Ready-made synonyms, and kinds, for those of the classes that have some; add your own with ``|``.

    Parameters
    ----------
    class_names : sequence of str

    Examples
    --------
    >>> common_synonyms(["couch", "zebra"]) | {"zebra": ("quagga",)}
    {'couch': ('sofa', 'settee'), 'zebra': ('quagga',)}
    """
    table: dict[str, list[str]] = {head: list(kinds) for head, kinds in _KINDS.items()}
    for group in _SAME:
        for word in group:
            table.setdefault(word, []).extend(other for other in group if other != word)
    return {name: tuple(table[name.casefold()]) for name in class_names if name.casefold() in table}


def plurals(word: str) -> tuple[str, ...]:
    """Every plural in use of an English noun in lower case; none for a plural, a letter or another script.

    Parameters
    ----------
    word : str
        In lower case.

    Examples
    --------
    >>> plurals("knife"), plurals("box"), plurals("potato"), plurals("skis")
    (('knives',), ('boxes',), ('potatoes', 'potatos'), ())
    """
    if len(word) < 2 or not _is_latin(word[-1]):
        return ()
    irregular = _irregular(word)
    if irregular:
        return irregular
    if word in PLURAL_ONLY or singulars(word):
        return ()
    if word.endswith("sis"):
        return (word[:-2] + "es",)
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return (word + "es",)
    if word.endswith("o"):
        return (word + "es", word + "s")
    if word.endswith("y") and word[-2] not in "aeiou":
        return (word[:-1] + "ies",)
    return (word + "s",)


def singulars(word: str) -> tuple[str, ...]:
    """What an English plural in lower case may be the plural of; none for what is no plural.

    Some may be no words ("axes": axe, ax), which harms nothing where they are only searched for.

    Parameters
    ----------
    word : str
        In lower case.

    Examples
    --------
    >>> singulars("mice"), singulars("berries"), singulars("dress"), singulars("shorts")
    (('mouse',), ('berry', 'berrie'), (), ())
    """
    if len(word) < 2 or not _is_latin(word[-1]):
        return ()
    irregular = _SINGULAR.get(word) or tuple(
        word.removesuffix(plural) + singular
        for singular in COMPOUNDED
        for plural in IRREGULAR[singular]
        if plural != singular and word.endswith(plural)
    )
    if irregular:
        return irregular
    if len(word) < 3 or not word.endswith("s") or word.endswith(SINGULAR_IN_S) or word in PLURAL_ONLY | SINGULAR_S:
        return ()
    if word.endswith("ies") and len(word) > 4:
        return (word[:-3] + "y", word[:-1])
    if word.endswith("ses") and len(word) > 6:
        return (word[:-1], word[:-2], word[:-2] + "is")
    if word.endswith(("ses", "xes", "zes", "ches", "shes")) or (word.endswith("oes") and len(word) > 5):
        return (word[:-1], word[:-2])
    return (word[:-1],)


def _irregular(word: str) -> tuple[str, ...]:
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word in NO_COMPOUND:
        return ()
    for singular in COMPOUNDED:
        if word.endswith(singular):
            return tuple(word.removesuffix(singular) + form for form in IRREGULAR[singular])
    return ()


def _is_latin(character: str) -> bool:
    return character.isalpha() and ("a" <= character <= "z" or "\u00df" <= character <= "\u024f")


_SINGULAR: dict[str, tuple[str, ...]] = {}
for _word, _forms in IRREGULAR.items():
    for _form in _forms:
        if _form != _word:
            _SINGULAR[_form] = (*_SINGULAR.get(_form, ()), _word)
