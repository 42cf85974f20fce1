"""Docstrings of the rows of the table, in numpydoc's format. The table alone has the accuracy figures."""

from collections.abc import Callable
from inspect import cleandoc
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

# Docstrings share these sections. Below, their names stand for them.
SHARED = {
    "{argument}": """
Parameters
----------
x : array_like
    Real numbers of any shape. {dtypes}
{keywords}
""",
    "{arguments}": """
Parameters
----------
x1, x2 : array_like
    Real numbers; the shapes broadcast. float16, float32 and float64 keep their dtype (the wider of the two);
    booleans and integers become float64.
{keywords}
""",
    "{dtypes}": """
float16, float32 and float64 keep their dtype (float16 is computed in float32);
    booleans and integers become float64.
""",
    "{keywords}": """
out, where, casting, order, dtype, subok
    As for every NumPy ufunc.
""",
    "{returns}": """
Returns
-------
ndarray or scalar
""",
    "{examples}": """
Examples
--------
>>> import numpy as np
>>> from fastlog import {name}
""",
    "{raises}": """
Raises
------
TypeError
    For other dtypes: longdouble, complex, object, str, datetime.
""",
}

# The docstrings of functions of rows share these sections.
SHARED_BY_ROWS = {
    "{out and dtype}": """
out : ndarray, optional
    Array for the result.
dtype : dtype, optional
    The dtype to convert the array to, and so of the result.
""",
    "{raises}": """
Raises
------
TypeError
    If the array is ragged or not numeric, another argument has masked elements, or `axis` is neither None nor int nor
    tuple of ints.
numpy.exceptions.AxisError
    If `axis` is out of range.
ValueError
    If an axis occurs twice, or shapes do not fit.
""",
}

DOCS = {
    "softplus": """
Softplus, log(1 + exp(x)), elementwise.

Also available as ``log1pexp``.

{argument}

{returns}
    log(1 + exp(x)), >= 0, of the shape and dtype of `x`.

{raises}

See Also
--------
log_sigmoid : -softplus(-x)
sigmoid : its derivative

Notes
-----
Computed by expansion around tabulated points, or by a polynomial for each factor of two of exp(-abs(x)) where the
instruction set looks up coefficients in registers; far below 0 it is exp(x). softplus(-inf) is 0,
softplus(inf) is inf, nan stays nan; results below the smallest normal number are correct subnormals. No
floating-point exception is raised.

{accuracy}

{examples}
>>> softplus(0.0)
np.float64(0.6931471805599453)
>>> softplus(np.array([-1000.0, -30.0, 1000.0]))
array([0.00000000e+00, 9.35762297e-14, 1.00000000e+03])
""",
    "log_sigmoid": """
Logarithm of the logistic sigmoid, log(1 / (1 + exp(-x))), elementwise.

Also available as ``log_expit``, SciPy's name.

{argument}

{returns}
    -log(1 + exp(-x)), <= 0, of the shape and dtype of `x`.

{raises}

See Also
--------
softplus : log_sigmoid(x) == -softplus(-x), bit for bit
sigmoid

Notes
-----
For large x the result is the correct subnormal, then -0.0. log_sigmoid(-inf) is -inf, nan stays nan. No
floating-point exception is raised.

{accuracy}

{examples}
>>> log_sigmoid(np.array([-1000.0, 0.0, 40.0]))
array([-1.00000000e+03, -6.93147181e-01, -4.24835426e-18])
""",
    "sigmoid": """
Logistic sigmoid, 1 / (1 + exp(-x)), elementwise.

Also available as ``expit``, SciPy's name.

{argument}

{returns}
    Values in [0, 1], of the shape and dtype of `x`.

{raises}

See Also
--------
log_sigmoid : its logarithm
softplus : its integral

Notes
-----
Computed by expansion around tabulated points, or by a polynomial for each factor of two of exp(-abs(x)) where the
instruction set looks up coefficients in registers; far below 0 it is exp(x). Results below the smallest normal number
are correct subnormals. nan stays nan. No floating-point exception is raised.

{accuracy}

{examples}
>>> sigmoid(np.array([-740.0, 0.0, 2.0]))
array([4.19955799e-322, 5.00000000e-001, 8.80797078e-001])
""",
    "silu": """
Sigmoid-weighted linear unit, x / (1 + exp(-x)), elementwise; also known as swish.

{argument}

{returns}
    x * sigmoid(x), of the shape and dtype of `x`.

{raises}

See Also
--------
sigmoid

Notes
-----
x times sigmoid, rounded once or twice; far below 0, where sigmoid may be subnormal, x exp(x) is rounded as a whole, so
that results are accurate down to the subnormals. The name is from Elfwing, Uchibe and Doya, Neural Networks 107 (2018).
silu(-inf) is -0.0, silu(inf) is inf, nan stays nan. No floating-point exception is raised.

{accuracy}

{examples}
>>> silu(np.array([-100.0, 0.0, 2.0]))
array([-3.72007598e-42,  0.00000000e+00,  1.76159416e+00])
""",
    "mish": """
Mish, x * tanh(softplus(x)), elementwise.

{argument}

{returns}
    x * tanh(log(1 + exp(x))), of the shape and dtype of `x`.

{raises}

See Also
--------
silu
softplus

Notes
-----
Computed as x * ((1 + exp(x))**2 - 1) / ((1 + exp(x))**2 + 1), which needs one exponential. The product is formed
before it is rounded, so small results are as accurate as large ones, subnormals included. The name is from Misra, BMVC
(2020), arXiv:1908.08681. mish(-inf) is -0.0, mish(inf) is inf, nan stays nan. No floating-point exception is raised.

{accuracy}

{examples}
>>> mish(np.array([-100.0, 0.0, 2.0]))
array([-3.72007598e-42,  0.00000000e+00,  1.94395896e+00])
""",
    "logaddexp": """
Logarithm of a sum of exponentials, log(exp(x1) + exp(x2)), elementwise.

{arguments}

{returns}
    log(exp(x1) + exp(x2)), of the broadcast shape.

{raises}

See Also
--------
logsumexp : the same over an axis
numpy.logaddexp

Notes
-----
Computed as max(x1, x2) + log1p(exp(-abs(x1 - x2))), with the rounding error of the difference kept. The identity is
-inf. Infinities follow the limit, nan in any argument gives nan. The result 0 is +0.0, of -0.0 and -inf too, as it is
log(1). No floating-point exception is raised.

``reduce`` and ``reduceat`` compute a logsumexp, ``accumulate`` a running one, and their errors do not grow with the
number of elements. (NumPy older than 2.2 has no room for another ``reduce``. There, an axis that is not the innermost
one in memory is added up row by row, each time rounded to the dtype: some 160 ulp for float32 of the shape (50000, 2).
`logsumexp` has no such limit.)

{accuracy} They hold along the curve exp(x1) + exp(x2) = 1, too, where the two terms cancel: there the result is
computed with as many digits as it takes.

{examples}
>>> logaddexp(-1000.0, -1000.0)
np.float64(-999.3068528194401)
>>> logaddexp.reduce(np.log([0.1, 0.2, 0.3]))
np.float64(-0.5108256237659907)
""",
    "logaddexp2": """
Logarithm to the base 2 of a sum of powers of 2, log2(2**x1 + 2**x2), elementwise.

{arguments}

Returns
-------
ndarray or scalar
    log2(2**x1 + 2**x2), of the broadcast shape.

{raises}

See Also
--------
logaddexp : to the base e
numpy.logaddexp2

Notes
-----
Computed as max(x1, x2) + log1p(exp(-abs(x1 - x2) * log(2))) / log(2) in two words. The identity is -inf. Infinities
follow the limit, nan in any argument gives nan. The result 0 is +0.0. No floating-point exception is raised. ``reduce``
and ``accumulate`` are NumPy's: each step rounds.

{accuracy} They count where the result is above max(abs(x1), abs(x2)) / 16. Where the terms cancel more, the error stays
below 0.6 ulp of max(1, abs(x1)).

Examples
--------
>>> from fastlog import logaddexp2
>>> logaddexp2(-1000.0, -1000.0)
np.float64(-999.0)
>>> logaddexp2([3.0, 0.0], [3.0, -1.0])
array([4.       , 0.5849625])
""",
    "logsubexp": """
Logarithm of a difference of exponentials, log(exp(x1) - exp(x2)), elementwise.

{arguments}

{returns}
    log(exp(x1) - exp(x2)), of the broadcast shape: nan where x1 < x2, -inf where x1 == x2.

{raises}

See Also
--------
logaddexp : the logarithm of the sum
log1mexp : logsubexp(0, x) == log1mexp(x)

Notes
-----
Computed as x1 + log(1 - exp(x2 - x1)), with the rounding error of the difference kept. Equal arguments give -inf, be
they infinite; nan in any argument gives nan. x1 < x2 raises the floating-point exception "invalid", equal finite
arguments "divide by zero".

{accuracy} They hold next to exp(x1) - exp(x2) = 1, too, where the two terms cancel.

{examples}
>>> logsubexp(1000.0, 999.0)
np.float64(999.5413248546129)
>>> logsubexp(0.0, np.array([-1e-20, -1.0, -50.0]))
array([-4.60517019e+01, -4.58675145e-01, -1.92874985e-22])
""",
    "logit": """
Log-odds, log(p / (1 - p)), elementwise: the inverse of `sigmoid`.

Parameters
----------
p : array_like
    Probabilities of any shape. {dtypes}
{keywords}

{returns}
    log(p / (1 - p)), of the shape and dtype of `p`; nan outside [0, 1].

{raises}

See Also
--------
sigmoid : its inverse

Notes
-----
Computed as 2 atanh((n - d)/(n + d)) plus a multiple of log(2), where n and d are p and 1 - p, the latter in two
words, and one of them scaled by a power of two: accurate at both ends, and near 1/2, where the result is near 0.
logit(0) is -inf and logit(1) inf, with the floating-point exception "divide by zero"; numbers outside [0, 1] raise
"invalid".

{accuracy}

{examples}
>>> logit(np.array([1e-300, 0.25, 0.5, 0.75]))
array([-690.7755279 ,   -1.09861229,    0.        ,    1.09861229])
""",
    "log1mexp": """
Logarithm of one minus an exponential, log(1 - exp(x)) for x <= 0, elementwise.

Parameters
----------
x : array_like
    Real numbers <= 0 of any shape. {dtypes}
{keywords}

{returns}
    log(1 - exp(x)), <= 0, of the shape and dtype of `x`; nan where x > 0.

{raises}

See Also
--------
logexpm1 : log(exp(x) - 1), for x >= 0
logsubexp : log(exp(x1) - exp(x2))

Notes
-----
The sign of the argument is that of Maechler [1]_; ``jax.nn.log1mexp`` and others take the opposite, -x. Where x is
the logarithm of a probability, log1mexp(x) is that of the complement. log1mexp(0) is -inf, with the floating-point
exception "divide by zero"; x > 0 raises "invalid". log1mexp(-inf) is -0.0; results below the smallest normal number
are correct subnormals.

{accuracy}

References
----------
.. [1] M. Maechler, "Accurately computing ``log(1 - exp(-|a|))``", vignette of the R package Rmpfr, 2012.

{examples}
>>> log1mexp(np.array([-1e-20, -1.0, -50.0]))
array([-4.60517019e+01, -4.58675145e-01, -1.92874985e-22])
""",
    "logexpm1": """
Logarithm of an exponential minus one, log(exp(x) - 1) for x >= 0, elementwise: the inverse of `softplus`.

Also available as ``softplus_inverse``.

Parameters
----------
x : array_like
    Real numbers >= 0 of any shape. {dtypes}
{keywords}

{returns}
    log(exp(x) - 1), of the shape and dtype of `x`; nan where x < 0.

{raises}

See Also
--------
softplus : its inverse
log1mexp : log(1 - exp(x)), for x <= 0

Notes
-----
The result keeps its relative accuracy on either side of its zero at log(2). logexpm1(0) is -inf, with the
floating-point exception "divide by zero"; x < 0 raises "invalid". logexpm1(inf) is inf.

{accuracy}

Examples
--------
>>> import numpy as np
>>> from fastlog import logexpm1, softplus
>>> logexpm1(np.array([1e-20, 1.0, 1000.0]))
array([-4.60517019e+01,  5.41324855e-01,  1.00000000e+03])
>>> logexpm1(softplus(-5.0))
np.float64(-5.0)
""",
    "xlogy": """
Product with a logarithm, x1 * log(x2), 0 where x1 = 0, elementwise.

{arguments}

{returns}
    x1 * log(x2), of the broadcast shape; 0 where x1 is 0 and x2 is not nan.

{raises}

See Also
--------
xlog1py : x1 * log(1 + x2)
entr : -x * log(x)
scipy.special.xlogy

Notes
-----
The logarithm is not rounded before the product, and subnormal results are correct. As in SciPy, x1 = 0 gives 0
whatever x2 is, unless that is nan. x2 = 0 raises the floating-point exception "divide by zero", x2 < 0 "invalid",
unless x1 is 0.

{accuracy}

{examples}
>>> xlogy(np.array([0.0, 0.5, 3.0]), np.array([0.0, 0.5, 1.0]))
array([ 0.        , -0.34657359,  0.        ])
""",
    "xlog1py": """
Product with a logarithm, x1 * log(1 + x2), 0 where x1 = 0, elementwise.

{arguments}

{returns}
    x1 * log(1 + x2), of the broadcast shape; 0 where x1 is 0 and x2 is not nan.

{raises}

See Also
--------
xlogy : x1 * log(x2)
scipy.special.xlog1py

Notes
-----
Neither 1 + x2 nor the logarithm is rounded before the product, and subnormal results are correct. As in SciPy, x1 = 0
gives 0 whatever x2 is, unless that is nan. x2 = -1 raises the floating-point exception "divide by zero", x2 < -1
"invalid", unless x1 is 0.

{accuracy}

{examples}
>>> xlog1py(np.array([0.0, 2.0, 3.0]), np.array([-1.0, 1e-300, 1.0]))
array([0.00000000e+000, 2.00000000e-300, 2.07944154e+000])
""",
    "entr": """
Elementwise entropy, -x * log(x).

{argument}

{returns}
    -x * log(x) for x > 0, 0 for x = 0, -inf for x < 0, of the shape and dtype of `x`.

{raises}

See Also
--------
rel_entr : relative entropy
scipy.special.entr

Notes
-----
The logarithm is not rounded before the product, and subnormal results are correct. As in SciPy, the value below 0 is
that of a concave function outside its domain: -inf, a convention, so no floating-point exception is raised anywhere.

{accuracy}

{examples}
>>> p = np.array([0.0, 0.25, 0.75])
>>> entr(p).sum()
np.float64(0.5623351446188083)
""",
    "rel_entr": """
Elementwise relative entropy, x1 * log(x1 / x2).

{arguments}

{returns}
    x1 * log(x1 / x2) for x1 > 0 and x2 > 0, 0 for x1 = 0 and x2 >= 0, inf otherwise, of the broadcast
    shape.

{raises}

See Also
--------
entr : entropy
scipy.special.rel_entr

Notes
-----
The logarithm of the quotient is taken without dividing, so the result is accurate where x1 and x2 are close, and
where x1/x2 would overflow or underflow; subnormal results are correct. As in SciPy, inf is the value of a convex
function outside its domain (rel_entr(1, 0) among it): a convention, so it raises no floating-point exception.
rel_entr(inf, inf) is nan, and invalid.

{accuracy}

{examples}
>>> p, q = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])
>>> rel_entr(p, q).sum()
np.float64(0.6931471805599453)
""",
    "binary_cross_entropy_with_logits": """
Binary cross-entropy of logits and targets, elementwise: the ufunc under the loss function of this name.
""",
    **dict.fromkeys(
        ("logsumexp", "softmax", "log_softmax", "categorical_entropy"),
        "{name} along the core axis: the generalized ufunc under the function of this name.",
    ),
    **{
        f"{name}_and_logsumexp": f"{name} and logsumexp of each row: `{name}` uses it with ``return_lse=True``."
        for name in ("softmax", "log_softmax")
    },
    "logdotexp": """
Logarithm of the dot product of exponentials, log(sum(exp(x1 + x2))) along the core axis: `logmatmulexp` uses it.
""",
    "partition": """
The largest element of the core axis, and the sum of the other exponentials in units of its own: logsumexp is max +
log1p(rest). Running sums use it. Without elements it gives -inf and -1; where one is nan, rest is nan.
""",
    "logsumexp_weighted": """
log(abs(s)) and the sign of s, the sum of weights times exponentials over the included elements of the core axis.
`logsumexp` uses it with weights or ``where``. The arguments are the elements, their weights, and which are included.
""",
    "logmeanexp": """
log of the mean of the exponentials along the core axis; nan without elements. `logmeanexp` uses it.
""",
    "logmeanexp_weighted": """
As logsumexp_weighted, but the sum is divided by the number of included elements, whatever they weigh.
""",
    "logsumexp_segments": """
logsumexp of the elements of a row from one index up to another, which must be larger; the indices are not checked.
""",
    "categorical_draw": """
The index that a number from 0 to 1, in float64, draws from the probabilities along the core axis: the first at which
their running sum is above that number times their sum; -1 where this is not positive and finite. `sample_categorical`
uses it.
""",
    **dict.fromkeys(
        ("log_forward", "log_backward"),
        "The recursion of a hidden Markov chain under the function of this name, of float64 alone. The arguments are "
        "the start or the end, the transitions, their exponentials, and the emissions; the last result is memory to "
        "work in.",
    ),
    "log_transitions": """
The logarithms of expected numbers of transitions, of float64 alone, from the transitions, the emissions, and the
results of both recursions. The last result is memory to work in.
""",
    "segment_logsumexp": """
logsumexp of the elements that have the same index, and of a number to start with. The arguments are the elements, their
indices, which are not checked, and the numbers to start with. Two more results are the largest element of each segment,
and the sum of the exponentials in units of its own, in two words, as the functions of segments need them.
""",
    **dict.fromkeys(
        ("segment_softmax", "segment_log_softmax"),
        "{name} of elements, from these, their indices, and the last two results of segment_logsumexp.",
    ),
}


def docstring(name: str, claim: dict[str, tuple[float, tuple[float, ...]]] | None) -> str:
    """Return the docstring of a row of the table, with its entry of `fastlog._core.claims`."""
    accuracy = ""
    if claim is not None:
        ulp32, ulp64 = claim["float32"][0], claim["float64"][0]
        accuracy = f"The error is at most {ulp32:g} ulp in float32 and {ulp64:g} ulp in float64, on every target."
    text = DOCS[name].strip().replace("{accuracy}", accuracy)
    for placeholder, section in SHARED.items():
        text = text.replace(placeholder, section.strip())
    return text.replace("{name}", name)


def filled(claim: dict[str, tuple[float, tuple[float, ...]]]) -> Callable[[_F], _F]:
    """Decorate a function of rows: its docstring gets the shared sections, and the error that the table claims."""

    def decorate(function: _F) -> _F:
        text = cleandoc(function.__doc__ or "")
        for placeholder, section in SHARED_BY_ROWS.items():
            text = text.replace(placeholder, section.strip())
        function.__doc__ = text.replace("{ulp}", f"{max(ulp for ulp, _ in claim.values()):g}")
        return function

    return decorate
