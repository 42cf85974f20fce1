"""Type checkers find these types of calls; tests/test_typing.py runs the same lines and checks the values."""

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import fastlog
from fastlog import nn, special
from fastlog.nn import functional as F  # noqa: N812

h: NDArray[np.float16] = np.ones((3, 4), np.float16)
s: NDArray[np.float32] = np.ones((3, 4), np.float32)
d: NDArray[np.float64] = np.ones((3, 4))
g: NDArray[np.longdouble] = np.ones((3, 4), np.longdouble)
c: NDArray[np.complex128] = np.ones((3, 4), np.complex128)
i: NDArray[np.int64] = np.ones((3, 4), np.int64)
b: NDArray[np.bool] = np.ones((3, 4), np.bool)
square: NDArray[np.float64] = np.ones((3, 3))
labels: NDArray[np.int64] = np.zeros(3, np.int64)

# ufuncs: dtypes of kernels are kept, whole numbers become float64, scalars remain scalars
assert_type(fastlog.softplus(h), NDArray[np.float16])
assert_type(fastlog.softplus(s), NDArray[np.float32])
assert_type(fastlog.log_sigmoid(d), NDArray[np.float64])
assert_type(fastlog.sigmoid(i), NDArray[np.float64])
assert_type(fastlog.expit(b), NDArray[np.float64])
assert_type(fastlog.entr([0.5, 0.5]), NDArray[np.float64])
assert_type(fastlog.logit(0.5), np.float64)
assert_type(fastlog.sigmoid(1), np.float64)
assert_type(fastlog.mish(np.float32(1)), np.float32)
assert_type(fastlog.silu(d, out=s), NDArray[np.float32])
assert_type(fastlog.logaddexp(s, s), NDArray[np.float32])
assert_type(fastlog.logaddexp(s, 1.0), NDArray[np.float32])
assert_type(fastlog.logaddexp(0, d), NDArray[np.float64])
assert_type(fastlog.logaddexp(0.0, 1.0), np.float64)
assert_type(fastlog.softplus.nin, int)

# reductions
assert_type(fastlog.logsumexp(h), np.float16)
assert_type(fastlog.logsumexp(s), np.float32)
assert_type(fastlog.logsumexp(d), np.float64)
assert_type(fastlog.logsumexp(g), np.longdouble)
assert_type(fastlog.logsumexp(c), np.complex128)
assert_type(fastlog.logsumexp(i), np.float64)
assert_type(fastlog.logsumexp([1.0, 2.0]), np.float64)
assert_type(fastlog.logsumexp([[1, 2], [3, 4]]), np.float64)
assert_type(fastlog.logsumexp(2), np.float64)
assert_type(fastlog.logsumexp(d, axis=1), Any)
assert_type(fastlog.logsumexp(s, 1, keepdims=True), NDArray[np.float32])
assert_type(fastlog.logsumexp(d, 1, return_sign=True), tuple[Any, Any])
assert_type(fastlog.logmeanexp(s), np.float32)
assert_type(fastlog.logmeanexp(s, (0, 1), keepdims=True), NDArray[np.float32])
assert_type(fastlog.logcumsumexp(s, axis=0), NDArray[np.float32])
assert_type(fastlog.logcumsumexp([1, 2]), NDArray[np.float64])

# normalisations
assert_type(fastlog.softmax(h), NDArray[np.float16])
assert_type(fastlog.softmax(s, axis=1), NDArray[np.float32])
assert_type(fastlog.softmax(g), NDArray[np.longdouble])
assert_type(fastlog.softmax(b), NDArray[np.float64])
assert_type(fastlog.softmax([1.0, 2.0]), NDArray[np.float64])
assert_type(fastlog.softmax(d, dtype=np.float32), NDArray[np.float32])
assert_type(fastlog.softmax(d, out=s), NDArray[np.float32])
assert_type(fastlog.softmax(s, 1, return_lse=True), tuple[NDArray[np.float32], Any])
assert_type(fastlog.log_softmax(s, 1, return_lse=True), tuple[NDArray[np.float32], Any])
assert_type(fastlog.categorical_entropy(s), np.float32)
assert_type(fastlog.categorical_entropy([0, 1]), np.float64)
assert_type(fastlog.categorical_entropy(d, 1, keepdims=True), NDArray[np.float64])
assert_type(fastlog.categorical_entropy(d, 1), Any)
assert_type(fastlog.importance_weights(d).ess, Any)
assert_type(fastlog.logmatmulexp(d, d.T, out=square), NDArray[np.float64])
assert_type(fastlog.logmatmulexp(s, s.T), Any)
assert_type(fastlog.log_softmax(d, axis=(0, 1)), NDArray[np.float64])
assert_type(fastlog.log_softmax(i), NDArray[np.float64])
assert_type(fastlog.log_softmax(i, dtype=np.float16), NDArray[np.float16])

# losses
assert_type(fastlog.binary_cross_entropy_with_logits(s, b), np.float32)
assert_type(fastlog.binary_cross_entropy_with_logits(d, b, reduction="sum"), np.float64)
assert_type(fastlog.binary_cross_entropy_with_logits(d, b, reduction="none"), NDArray[np.float64])
assert_type(fastlog.binary_cross_entropy_with_logits(s, b, return_grad=True), tuple[np.float32, NDArray[np.float32]])
assert_type(
    fastlog.binary_cross_entropy_with_logits(s, b, return_hess=True),
    tuple[np.float32, NDArray[np.float32], NDArray[np.float32]],
)
assert_type(fastlog.focal_loss(s, b), np.float32)
assert_type(fastlog.focal_loss(d, b, 0.25, reduction="none"), NDArray[np.float64])
assert_type(fastlog.focal_loss(d, b, return_grad=True), tuple[np.float64, NDArray[np.float64]])
assert_type(fastlog.focal_loss(d, b, return_hess=True), tuple[np.float64, NDArray[np.float64], NDArray[np.float64]])
assert_type(fastlog.softmax_focal_loss(s, labels), np.float32)
assert_type(fastlog.softmax_focal_loss(d, labels, return_grad=True), tuple[np.float64, NDArray[np.float64]])
assert_type(fastlog.cross_entropy(s, labels), np.float32)
assert_type(fastlog.cross_entropy(s, [0, 1, 2], return_grad=True), tuple[np.float32, NDArray[np.float32]])
assert_type(
    fastlog.cross_entropy(d, labels, return_grad=True, return_hess=True),
    tuple[np.float64, NDArray[np.float64], NDArray[np.float64]],
)
assert_type(fastlog.cross_entropy(s, labels, sample_weight=[1, 0, 2], temperature=2.0), np.float32)
assert_type(
    fastlog.cross_entropy(s, labels, temperature=2.0, return_grad=True),
    tuple[np.float32, NDArray[np.float32], np.float32],
)
assert_type(
    fastlog.cross_entropy(d, labels, temperature=0.5, return_hess=True),
    tuple[np.float64, NDArray[np.float64], NDArray[np.float64], np.float64],
)
assert_type(fastlog.nll_loss(d, labels), np.float64)
assert_type(fastlog.kl_divergence(s, s, reduction="batchmean"), np.float32)

# running sums, drop-in, configuration
assert_type(fastlog.LogSumExp(0).update(d).merge(fastlog.LogSumExp()), fastlog.LogSumExp)
assert_type(fastlog.LogSumExp().update(s).value, np.floating[Any])
assert_type(fastlog.LogSumExp().update(d).mean, np.floating[Any])
assert_type(fastlog.LogSumExp(0, keepdims=True).update(s).value, NDArray[np.floating[Any]])
assert_type(fastlog.LogSumExp(1).update(d).value, Any)
assert_type(fastlog.is_patched(), bool)
with fastlog.patch(["numpy"]) as patched:
    assert_type(patched.targets, tuple[str, ...])
assert_type(fastlog.show_config(mode="dicts"), dict[str, Any])
assert_type(fastlog.get_include(), str)

# other libraries' names
assert_type(special.expit(s), NDArray[np.float32])
assert_type(special.xlogy(d, d), NDArray[np.float64])
assert_type(special.softplus(s), NDArray[np.float32])
assert_type(special.logsumexp(s), np.float32)
assert_type(special.log_softmax(i, axis=1), NDArray[np.float64])
assert_type(special.gammaln(d), Any)
assert_type(F.logsigmoid(s), NDArray[np.float32])
assert_type(F.softplus(d, 2.0), NDArray[np.float64])
assert_type(F.softmax(s, 1), NDArray[np.float32])
assert_type(F.logsumexp(s, 1, True), NDArray[np.float32])
assert_type(F.cross_entropy(s, labels), np.float32)
assert_type(F.binary_cross_entropy_with_logits(d, b, reduction="none"), Any)
assert_type(nn.LogSigmoid(), nn.LogSigmoid)
