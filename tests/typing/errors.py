"""Type checkers must refuse these calls. They report an ignored error where there is none."""

import numpy as np

import fastlog
from fastlog.nn import functional as F  # noqa: N812

x = np.ones((3, 4))
fastlog.cross_entropy(x, [0, 1, 2], reduction="median")  # type: ignore[call-overload]  # pyright: ignore
fastlog.kl_divergence(x, x, reduction="all")  # type: ignore[call-overload]  # pyright: ignore
fastlog.softmax(x, axis=1.5)  # type: ignore[call-overload]  # pyright: ignore
fastlog.logsumexp(x, keepdim=True)  # type: ignore[call-overload]  # pyright: ignore
fastlog.log_softmax(x, temperature="hot")  # type: ignore[call-overload]  # pyright: ignore
fastlog.patch(["torch"])  # type: ignore[list-item]  # pyright: ignore
fastlog.show_config(mode="json")  # type: ignore[call-overload]  # pyright: ignore
fastlog.LogSumExp("rows")  # type: ignore[call-overload]  # pyright: ignore
F.cross_entropy(x, [0, 1, 2], reduction="median")  # type: ignore[call-overload]  # pyright: ignore
