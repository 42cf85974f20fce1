"""What threadpoolctl asks and tells of fastlog's threads; this module is imported where threadpoolctl is installed."""

from __future__ import annotations

import sys

import threadpoolctl

from fastlog._core import MOST_THREADS, get_threads, set_threads

__all__ = ["FastlogController"]


class FastlogController(threadpoolctl.LibController):
    """The number of threads of the calling thread, which limits of threadpoolctl lower for a while."""

    user_api = internal_api = "fastlog"
    filename_prefixes = ("_core.",)
    check_symbols = ("fl_set_threads_of_process",)  # Files of other packages have the same name.

    def get_version(self) -> str:
        return str(sys.modules["fastlog"].__version__)

    def get_num_threads(self) -> int:
        return get_threads()

    def set_num_threads(self, num_threads: int) -> None:
        set_threads(min(max(num_threads, 1), MOST_THREADS))

    def set_additional_attributes(self) -> None:
        pass


threadpoolctl.register(FastlogController)  # type: ignore[no-untyped-call]
