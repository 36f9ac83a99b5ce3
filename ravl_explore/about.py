"""What this package is: its version, the one in pyproject.toml."""

from __future__ import annotations

__version__ = "0.1.0"
