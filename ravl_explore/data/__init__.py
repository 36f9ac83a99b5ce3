"""Datasets; ``__all__`` is what the explorer's menu offers."""

from ravl_explore.data.arrays import ArrayDataset
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.coco import Coco
from ravl_explore.data.cxr_labels import label_with_torchxrayvision
from ravl_explore.data.demo import Demo
from ravl_explore.data.files import ImageFiles
from ravl_explore.data.folder import Folder
from ravl_explore.data.hugging_face import HuggingFaceDataset
from ravl_explore.data.mnist import FashionMnist, Mnist
from ravl_explore.data.object_cxr import ObjectCxr
from ravl_explore.data.open_dataset import open_dataset
from ravl_explore.data.subset import Subset
from ravl_explore.data.sun397 import Sun397
from ravl_explore.data.table import Table

__all__ = [  # noqa: RUF022  the menu's order
    "Demo",
    "Folder",
    "Table",
    "Coco",
    "Mnist",
    "FashionMnist",
    "Sun397",
    "ObjectCxr",
    "HuggingFaceDataset",
    "ArrayDataset",
    "ImageFiles",
    "Subset",
    "ImageTextDataset",
    "label_with_torchxrayvision",
    "open_dataset",
]
