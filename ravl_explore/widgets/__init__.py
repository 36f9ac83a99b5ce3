"""Widgets: thin views of the nouns, usable piece by piece; the explorer composes them."""

from ravl_explore.widgets.cache_panel import CachePanel
from ravl_explore.widgets.caption_coverage import CaptionCoverage
from ravl_explore.widgets.changes import ChangesGallery
from ravl_explore.widgets.cluster_table import ClusterTable
from ravl_explore.widgets.comparison import ComparisonWidget
from ravl_explore.widgets.concept_preview import ConceptPreview
from ravl_explore.widgets.crops import CropGallery
from ravl_explore.widgets.curves import Curves
from ravl_explore.widgets.discovery import DiscoveryWidget
from ravl_explore.widgets.explorer import Explorer
from ravl_explore.widgets.mitigation import MitigationPanel
from ravl_explore.widgets.prompts import PromptEditor
from ravl_explore.widgets.region_map import RegionMap
from ravl_explore.widgets.region_preview import RegionPreview
from ravl_explore.widgets.relevance import RelevanceWidget
from ravl_explore.widgets.runs import RunsWidget

__all__ = [
    "CachePanel",
    "CaptionCoverage",
    "ChangesGallery",
    "ClusterTable",
    "ComparisonWidget",
    "ConceptPreview",
    "CropGallery",
    "Curves",
    "DiscoveryWidget",
    "Explorer",
    "MitigationPanel",
    "PromptEditor",
    "RegionMap",
    "RegionPreview",
    "RelevanceWidget",
    "RunsWidget",
]
