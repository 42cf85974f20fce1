"""How much memory of Python's objects a call leaves behind."""

import gc
import tracemalloc


def leaked(call, rounds=6):
    """Return by how many bytes the memory grows in the round that leaves least behind.

    A leak grows in every round. The interpreter's own tables, such as that of the interned strings, grow now and then.
    """

    def growth():
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        call()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()
    try:
        return min(growth() for _ in range(rounds))
    finally:
        tracemalloc.stop()
