"""fits_memory(): whether what is about to be made fits in memory, asked before it is made; and how it is told."""

from __future__ import annotations

from ravl_explore.errors import InputError


def fits_memory(what: str, n_bytes: int, remedy: str) -> None:
    """Raise InputError when something would take more memory than can be had: at once, and not after minutes.

    Parameters
    ----------
    what : str
        What is about to be made, as a noun in the plural: ``"12 embeddings"``.
    n_bytes : int
        What it takes.
    remedy : str
        One sentence that says what to do.
    """
    free = free_bytes()
    if free is not None and n_bytes > free:
        raise InputError(
            f"what fits in memory ({gigabytes(free)} free)", f"{what}, which need {gigabytes(n_bytes)}", remedy
        )


def free_bytes() -> int | None:
    """Memory that this process can still get, by the machine and by its own limit; None where that is unknown."""
    try:
        import psutil
    except ImportError:
        return None
    free = int(psutil.virtual_memory().available)
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    except (ImportError, OSError):  # not on Windows
        return free
    if limit == resource.RLIM_INFINITY:
        return free
    return max(0, min(free, limit - int(psutil.Process().memory_info().vms)))


def gigabytes(n_bytes: int | None) -> str:
    """A number of bytes for people; None where it is not known.

    Examples
    --------
    >>> gigabytes(2_500_000_000), gigabytes(10**30)
    ('2.5 GB', '1e+21 GB')
    """
    return "an unknown amount" if n_bytes is None else f"{n_bytes / 1e9:.3g} GB"


def gigantic(number: int) -> str:
    """A count for people: with commas, or by its order where it is too long to read.

    Examples
    --------
    >>> gigantic(12_345), gigantic(5 * 10**19)
    ('12,345', 'about 1e19')
    """
    return f"{number:,}" if number < 10**15 else f"about 1e{len(str(number)) - 1}"
