"""Datasets; ``__all__`` is what the explorer's menu offers."""

from ravl_explore.data.base import ArrayDataset, ImageTextDataset
from ravl_explore.data.demo import Demo
from ravl_explore.data.folder import Folder

__all__ = ["Demo", "Folder", "ArrayDataset", "ImageTextDataset"]  # noqa: RUF022  the menu's order
