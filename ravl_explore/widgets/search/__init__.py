"""The panels before a search: regions, prompts, what was skipped, and the cache."""
