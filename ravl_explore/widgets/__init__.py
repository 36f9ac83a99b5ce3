"""Widgets: thin views of the nouns, usable piece by piece; the explorer composes them."""

from ravl_explore.widgets.explorer import Explorer
from ravl_explore.widgets.findings.cluster_table import ClusterTable
from ravl_explore.widgets.findings.crops import CropGallery
from ravl_explore.widgets.findings.discovery import DiscoveryWidget
from ravl_explore.widgets.findings.region_map import RegionMap
from ravl_explore.widgets.mitigation.caption_coverage import CaptionCoverage
from ravl_explore.widgets.mitigation.concept_preview import ConceptPreview
from ravl_explore.widgets.mitigation.curves import Curves
from ravl_explore.widgets.mitigation.panel import MitigationPanel
from ravl_explore.widgets.outcome.changes import ChangesGallery
from ravl_explore.widgets.outcome.comparison import ComparisonWidget
from ravl_explore.widgets.outcome.relevance import RelevanceWidget
from ravl_explore.widgets.outcome.runs import RunsWidget
from ravl_explore.widgets.search.cache_panel import CachePanel
from ravl_explore.widgets.search.prompts import PromptEditor
from ravl_explore.widgets.search.region_preview import RegionPreview

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
