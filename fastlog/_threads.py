"""How many threads large calls use: one, unless the user says otherwise."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING

from fastlog._core import MOST_THREADS, get_threads, set_threads, set_threads_of_process

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["get_num_threads", "num_threads", "set_num_threads", "usable_cpus"]


def get_num_threads() -> int:
    """Return the number of threads that large calls from this thread use.

    Returns
    -------
    int

    See Also
    --------
    set_num_threads : Set it.

    Examples
    --------
    >>> import fastlog
    >>> with fastlog.num_threads(2):
    ...     fastlog.get_num_threads()
    2
    """
    return get_threads()


def set_num_threads(n: int | str) -> None:
    """Set the number of threads that large calls from this thread use.

    Other threads keep their own numbers. A thread that has set none has that of the process, which is 1 unless the
    environment variable ``FASTLOG_NUM_THREADS`` is an integer or ``auto``. The number changes no bit of any result.

    Parameters
    ----------
    n : int or "auto"
        A number from 1 to 256; "auto" and -1 stand for `usable_cpus`.

    Returns
    -------
    None

    Raises
    ------
    ValueError
        If the number is out of range.
    TypeError
        If `n` is neither an integer nor "auto".

    See Also
    --------
    num_threads : Set it for a block of code.

    Examples
    --------
    >>> import fastlog
    >>> before = fastlog.get_num_threads()
    >>> fastlog.set_num_threads("auto")
    >>> fastlog.get_num_threads() == fastlog.usable_cpus()
    True
    >>> fastlog.set_num_threads(before)
    """
    _set_of_thread(n)


@contextmanager
def num_threads(n: int | str) -> Iterator[None]:
    """Let large calls from this thread use so many threads within a ``with`` block or a decorated function.

    Parameters
    ----------
    n : int or "auto"
        As in `set_num_threads`.

    Returns
    -------
    context manager

    Raises
    ------
    ValueError
        If the number is out of range.
    TypeError
        If `n` is neither an integer nor "auto".

    Examples
    --------
    >>> import fastlog
    >>> import numpy as np
    >>> x = np.linspace(-20, 20, 1_000_000)
    >>> with fastlog.num_threads(2):
    ...     y = fastlog.softplus(x)
    >>> np.array_equal(y, fastlog.softplus(x))
    True
    """
    before = _set_of_thread(n)
    try:
        yield
    finally:
        set_threads(before)


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use, which is what "auto" stands for.

    It is the smallest of these: the CPUs to which the process is bound; what its control groups let it use, as
    containers have it; and, if they are set, ``OMP_NUM_THREADS`` and ``OMP_THREAD_LIMIT``, by which joblib, Dask and
    others leave a share of the machine to each of their workers.

    Returns
    -------
    int

    Examples
    --------
    >>> import fastlog
    >>> fastlog.usable_cpus() >= 1
    True
    """
    from pathlib import Path  # Every program that imports fastlog would wait for it.

    limits = [_cpus_of_process(), MOST_THREADS]
    quota = _quota_of_groups(Path("/"))
    if quota is not None:
        limits.append(math.ceil(quota))
    for name in ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT"):
        first = os.environ.get(name, "").partition(",")[0].strip()  # A list has a number for each level of nesting.
        if first.isdecimal():
            limits.append(int(first))
    return max(1, min(limits))


def _cpus_of_process() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota_of_groups(root: Path) -> float | None:
    """Return the CPUs that the control groups of this process let it use, or None where they set no limit.

    A group is limited by those that it is in, too. In a container, the path of a group may be that of the host, and
    what is mounted is the group itself; then only the last of the folders exists.
    """
    quotas = []
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in groups:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            tops = ["sys/fs/cgroup", "sys/fs/cgroup/unified"]
        elif "cpu" in controllers.split(","):
            tops = [f"sys/fs/cgroup/{controllers}", "sys/fs/cgroup/cpu"]
        else:
            continue
        inside = [part for part in path.split("/") if part not in ("", "..")]
        for top in tops:
            for length in range(len(inside) + 1):
                quotas += _quota_of_group((root / top).joinpath(*inside[:length]))
    return min(quotas, default=None)


def _quota_of_group(folder: Path) -> list[float]:
    """Return the quota of one group, if it has one; version 2 has a file for both numbers, version 1 one for each."""
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return [float(quota) / float(period)] if quota != "max" and float(period) > 0 else []
    with suppress(OSError, ValueError):
        quota = (folder / "cpu.cfs_quota_us").read_text()
        period = (folder / "cpu.cfs_period_us").read_text()
        return [float(quota) / float(period)] if float(quota) > 0 and float(period) > 0 else []
    return []


def _as_number(n: int | str) -> int:
    if n == "auto" or (not isinstance(n, str) and operator.index(n) == -1):
        return usable_cpus()
    if isinstance(n, str):
        raise TypeError(f"the number of threads must be an integer or 'auto', not {n!r}")
    number = operator.index(n)
    if not 1 <= number <= MOST_THREADS:
        raise ValueError(f"the number of threads must be from 1 to {MOST_THREADS}, not {number}")
    return number


def _set_of_thread(n: int | str) -> int:
    """Set the number of this thread, and return what was set before."""
    number = _as_number(n)
    before = set_threads(number)
    if number > 1:
        _tell_threadpoolctl()
    return before


def set_default(text: str) -> None:
    """Set the number of threads that have set none themselves; ValueError if it is neither an integer nor auto."""
    number = _as_number("auto" if text.strip() == "auto" else int(text))
    set_threads_of_process(number)
    if number > 1:
        _tell_threadpoolctl()


def _read_environment() -> None:
    requested = os.environ.get("FASTLOG_NUM_THREADS", "")
    if requested:
        try:
            set_default(requested)
        except ValueError:
            raise ImportError(
                f"FASTLOG_NUM_THREADS={requested}: it must be auto, or an integer from 1 to {MOST_THREADS}"
            ) from None


def _tell_threadpoolctl() -> None:
    """Register fastlog with threadpoolctl, where that is installed: its limits hold for fastlog's threads, too."""
    global _is_known
    if not _is_known:
        _is_known = True
        with suppress(ImportError):
            import_module("fastlog._threadpoolctl")


_is_known = False
_read_environment()
