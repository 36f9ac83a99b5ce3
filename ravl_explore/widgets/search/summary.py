"""What a search found, in a few sentences."""

from __future__ import annotations

from ravl_explore.discovery.search import Search


def summary(found: Search) -> str:
    """How right the model is, how many clusters are suspect, and what to do next."""
    discovery = found.discovery
    scores = discovery.scores
    n = len(scores.embeddings.labels)
    line = f"{n:,} image{'s' * (n != 1)}, {100 * scores.accuracy:.1f}% right. "
    line += f"{scores.doubt} " if scores.doubt else f"Guessing gives {100 * scores.chance:.1f}%. "
    if not discovery.features:
        return line + f"No cluster looks like a shortcut: {discovery.why_none()}."
    best = discovery.best
    by_chance = sum(feature.may_be_chance for feature in discovery.features)
    doubt = f", {by_chance} more may be chance" if by_chance else ""
    n_suspect = len(discovery.features) - by_chance
    return line + (
        f"{n_suspect} of {len(discovery.clusters)} clusters {'is' if n_suspect == 1 else 'are'} suspect{doubt}. "
        f"The first, cluster {best.cluster}, pulls towards {best.attribute}. "
        "Look at its crops: does it belong to the class?"
    )
