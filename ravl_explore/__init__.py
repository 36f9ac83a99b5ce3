"""Find the shortcuts that a fine-tuned CLIP has learned, and remove them: RaVL's stages as verbs and nouns.

How one dataset goes through it, one way, and where each verb is written:

    embedding/embeddings.py      embed()       images, their regions and the class prompts become vectors
    scores.py                    zero_shot()   each image and region gets a score for each class
    clustering/kmedoids.py       KMedoids()    regions that look alike become clusters, over all images
    discovery/ranking.py         discover()    clusters whose presence makes the model err are ranked
    discovery/discovery.py       choose()      whoever looked at the crops says which are a shortcut: a Feature
    assignment/assignment.py     assign()      the regions of any other dataset that show it are marked
    mitigation/mitigating.py     mitigate()    a copy of the model is fine-tuned with an objective on what was marked
    training/trainer.py          train()       one step after the other, each a record
    evaluation.py                evaluate()    old and new model are measured on images that neither has seen
    comparison.py                compare()     before and after, with intervals

Every name is loaded when first used, so importing the package is quick and needs no notebook.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from ravl_explore.about import __version__

# Threads of OpenMP that wait for the others spin, unless this is said before PyTorch loads it. On a busy machine two
# that spin take ten times as long as one (tests/benchmarks/waiting_threads.py); asleep, they leave the core to others.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_HOME = {
    "Assignment": "assignment",
    "assign": "assignment",
    "ClusterFeature": "assignment",
    "Feature": "assignment",
    "Comparison": "comparison",
    "compare": "comparison",
    "Discovery": "discovery",
    "SpuriousFeature": "discovery",
    "discover": "discovery",
    "Embeddings": "embedding",
    "embed": "embedding",
    "Cancelled": "errors",
    "RavlError": "errors",
    "Evaluation": "evaluation",
    "evaluate": "evaluation",
    "Mitigation": "mitigation",
    "mitigate": "mitigation",
    "Precheck": "assignment",
    "check_features": "assignment",
    "RelevanceMaps": "relevance",
    "relevance_maps": "relevance",
    "Run": "experiments",
    "Runs": "experiments",
    "run_all": "experiments",
    "Search": "discovery.search",
    "search": "discovery.search",
    "load": "storage",
    "save": "storage",
    "Scores": "scores",
    "zero_shot": "scores",
}

__all__ = [
    "Assignment",
    "Cancelled",
    "ClusterFeature",
    "Comparison",
    "Discovery",
    "Embeddings",
    "Evaluation",
    "Feature",
    "Mitigation",
    "Precheck",
    "RavlError",
    "RelevanceMaps",
    "Run",
    "Runs",
    "Scores",
    "Search",
    "SpuriousFeature",
    "__version__",
    "assign",
    "check_features",
    "compare",
    "discover",
    "embed",
    "evaluate",
    "load",
    "mitigate",
    "relevance_maps",
    "run_all",
    "save",
    "search",
    "zero_shot",
]

if TYPE_CHECKING:
    from ravl_explore.assignment.assignment import Assignment, assign
    from ravl_explore.assignment.features import ClusterFeature, Feature
    from ravl_explore.assignment.precheck import Precheck, check_features
    from ravl_explore.comparison import Comparison, compare
    from ravl_explore.discovery import Discovery, SpuriousFeature, discover
    from ravl_explore.discovery.search import Search, search
    from ravl_explore.embedding.embeddings import Embeddings, embed
    from ravl_explore.errors import Cancelled, RavlError
    from ravl_explore.evaluation import Evaluation, evaluate
    from ravl_explore.experiments.grid import run_all
    from ravl_explore.experiments.runs import Run, Runs
    from ravl_explore.mitigation import Mitigation, mitigate
    from ravl_explore.relevance import RelevanceMaps, relevance_maps
    from ravl_explore.scores import Scores, zero_shot
    from ravl_explore.storage import load, save


if not TYPE_CHECKING:  # so that type checkers know the names above and no others

    def __getattr__(name: str) -> object:
        if name in _HOME:
            return getattr(importlib.import_module(f"ravl_explore.{_HOME[name]}"), name)
        raise AttributeError(f"module 'ravl_explore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
