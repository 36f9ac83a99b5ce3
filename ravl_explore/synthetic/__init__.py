"""Drawn data: the embedded demo as it was built, and small stand-ins for datasets and models that lie elsewhere."""
