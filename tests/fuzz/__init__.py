"""Damaged files and wrong calls, many and by chance: none may end in anything but the package's errors."""
