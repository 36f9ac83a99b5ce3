"""The text half of a model: tokenizers, and text towers of other libraries."""
