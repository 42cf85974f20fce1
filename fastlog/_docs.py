"""One numpydoc docstring per row of the table. Accuracy figures come from the table, so they stand there alone."""

DOCS = {
    "softplus": """
Softplus, log(1 + exp(x)), elementwise.

Also available as ``log1pexp``.

Parameters
----------
x : array_like
    Real numbers of any shape. float16, float32 and float64 keep their dtype (float16 is computed in float32);
    booleans and integers become float64.
out, where, casting, order, dtype, subok
    As for every NumPy ufunc.

Returns
-------
ndarray or scalar
    log(1 + exp(x)), >= 0, of the shape and dtype of `x`.

Raises
------
TypeError
    For other dtypes: longdouble, complex, object, str, datetime.

See Also
--------
log_sigmoid : -softplus(-x)
sigmoid : its derivative

Notes
-----
Computed as max(x, 0) + log1p(exp(-abs(x))), with exp and log1p carried in two words. softplus(-inf) is 0,
softplus(inf) is inf, nan stays nan; results below the smallest normal number are correct subnormals. No floating-point
exception is raised.

{accuracy}

Examples
--------
>>> import numpy as np
>>> from fastlog import softplus
>>> softplus(0.0)
np.float64(0.6931471805599453)
>>> softplus(np.array([-1000.0, -30.0, 1000.0]))
array([0.00000000e+00, 9.35762297e-14, 1.00000000e+03])
""",
    "log_sigmoid": """
Logarithm of the logistic sigmoid, log(1 / (1 + exp(-x))), elementwise.

Also available as ``log_expit``, SciPy's name.

Parameters
----------
x : array_like
    Real numbers of any shape. float16, float32 and float64 keep their dtype (float16 is computed in float32);
    booleans and integers become float64.
out, where, casting, order, dtype, subok
    As for every NumPy ufunc.

Returns
-------
ndarray or scalar
    -log(1 + exp(-x)), <= 0, of the shape and dtype of `x`.

Raises
------
TypeError
    For other dtypes: longdouble, complex, object, str, datetime.

See Also
--------
softplus : log_sigmoid(x) == -softplus(-x), bit for bit
sigmoid

Notes
-----
For large x the result is the correct subnormal, then -0.0. log_sigmoid(-inf) is -inf, nan stays nan. No floating-point
exception is raised.

{accuracy}

Examples
--------
>>> import numpy as np
>>> from fastlog import log_sigmoid
>>> log_sigmoid(np.array([-1000.0, 0.0, 40.0]))
array([-1.00000000e+03, -6.93147181e-01, -4.24835426e-18])
""",
    "sigmoid": """
Logistic sigmoid, 1 / (1 + exp(-x)), elementwise.

Also available as ``expit``, SciPy's name.

Parameters
----------
x : array_like
    Real numbers of any shape. float16, float32 and float64 keep their dtype (float16 is computed in float32);
    booleans and integers become float64.
out, where, casting, order, dtype, subok
    As for every NumPy ufunc.

Returns
-------
ndarray or scalar
    Values in [0, 1], of the shape and dtype of `x`.

Raises
------
TypeError
    For other dtypes: longdouble, complex, object, str, datetime.

See Also
--------
log_sigmoid : its logarithm
softplus : its integral

Notes
-----
With t = exp(-abs(x)), the result is 1/(1 + t) for x >= 0 and t/(1 + t) below; the quotient is corrected by its
remainder. Results below the smallest normal number are correct subnormals. nan stays nan. No floating-point exception
is raised.

{accuracy}

Examples
--------
>>> import numpy as np
>>> from fastlog import sigmoid
>>> sigmoid(np.array([-740.0, 0.0, 2.0]))
array([4.19955799e-322, 5.00000000e-001, 8.80797078e-001])
""",
    "silu": """
Sigmoid-weighted linear unit, x / (1 + exp(-x)), elementwise; also known as swish.

Parameters
----------
x : array_like
    Real numbers of any shape. float16, float32 and float64 keep their dtype (float16 is computed in float32);
    booleans and integers become float64.
out, where, casting, order, dtype, subok
    As for every NumPy ufunc.

Returns
-------
ndarray or scalar
    x * sigmoid(x), of the shape and dtype of `x`.

Raises
------
TypeError
    For other dtypes: longdouble, complex, object, str, datetime.

See Also
--------
sigmoid

Notes
-----
The product is formed before it is rounded, so small results are as accurate as large ones, subnormals included.
silu(-inf) is -0.0, silu(inf) is inf, nan stays nan. No floating-point exception is raised.

{accuracy}

Examples
--------
>>> import numpy as np
>>> from fastlog import silu
>>> silu(np.array([-100.0, 0.0, 2.0]))
array([-3.72007598e-42,  0.00000000e+00,  1.76159416e+00])
""",
    "logaddexp": """
Logarithm of a sum of exponentials, log(exp(x1) + exp(x2)), elementwise.

Parameters
----------
x1, x2 : array_like
    Real numbers; the shapes broadcast. float16, float32 and float64 keep their dtype (the wider of the two); booleans
    and integers become float64.
out, where, casting, order, dtype, subok
    As for every NumPy ufunc.

Returns
-------
ndarray or scalar
    log(exp(x1) + exp(x2)), of the broadcast shape.

Raises
------
TypeError
    For other dtypes: longdouble, complex, object, str, datetime.

See Also
--------
logsumexp : the same over an axis
numpy.logaddexp

Notes
-----
Computed as max(x1, x2) + log1p(exp(-abs(x1 - x2))), with the rounding error of the difference kept. The identity is
-inf. Infinities follow the limit, nan in any argument gives nan. No floating-point exception is raised.

``reduce`` and ``reduceat`` compute a logsumexp, ``accumulate`` a running one, and their errors do not grow with the
number of elements. (NumPy older than 2.2 has no room for another ``reduce``: there they grow over long axes.)

{accuracy} They hold along the curve exp(x1) + exp(x2) = 1, too, where the two terms cancel: there the result is
computed with as many digits as it takes.

Examples
--------
>>> import numpy as np
>>> from fastlog import logaddexp
>>> logaddexp(-1000.0, -1000.0)
np.float64(-999.3068528194401)
>>> logaddexp.reduce(np.log([0.1, 0.2, 0.3]))
np.float64(-0.5108256237659907)
""",
    "binary_cross_entropy_with_logits": """
Binary cross-entropy of logits and targets, elementwise: the ufunc under the loss function of this name.
""",
    "binary_cross_entropy_with_logits_sum": """
Sum of the binary cross-entropies along the core axis, in float64.
""",
    "logsumexp": """
logsumexp along the core axis: the generalized ufunc under the function of this name.
""",
    "softmax": """
softmax along the core axis: the generalized ufunc under the function of this name.
""",
    "log_softmax": """
log_softmax along the core axis: the generalized ufunc under the function of this name.
""",
    "softmax_cross_entropy": """
Cross-entropy of a row of logits and the index of its true class; the index is not checked.
""",
    "logsumexp_segments": """
logsumexp of the elements of a row from one index up to another, which must be larger; the indices are not checked.
""",
}


def docstring(name: str, claim: dict[str, tuple[float, tuple[float, ...]]] | None) -> str:
    """Docstring of a table row.

    Parameters
    ----------
    name : str
        Name of the row.
    claim : dict or None
        The row's entry of `fastlog._core.claims`.

    Returns
    -------
    str
    """
    if claim is None:
        accuracy = ""
    else:
        ulp32, ulp64 = claim["float32"][0], claim["float64"][0]
        accuracy = f"The error is at most {ulp32:g} ulp in float32 and {ulp64:g} ulp in float64, on every target."
    return DOCS[name].strip().replace("{accuracy}", accuracy)
