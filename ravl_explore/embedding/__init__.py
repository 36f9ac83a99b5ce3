"""embed(): images, their regions and the class prompts, all in one embedding space."""

from ravl_explore.embedding.embeddings import Embeddings, embed

__all__ = ["Embeddings", "embed"]
