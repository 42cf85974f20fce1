"""torch, JAX and array-API arrays: computed by their own libraries, kinds, devices and gradients kept."""

import importlib.util
import sys
import types

import calls
import numpy as np
import pytest

import fastlog
from fastlog import nn, tf
from fastlog._other import library_of

LIBRARIES = {"array_api_strict": "array_api_strict", "jax": "jaxlib", "torch": "torch", "torch with gradient": "torch"}


def library(name):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed; make peers brings it")
    module = importlib.import_module(name)
    if name == "jax":
        module.config.update("jax_enable_x64", True)
        return module.numpy
    return module


@pytest.fixture(params=LIBRARIES)
def of(request):
    """What makes an array of a library from NumPy's, and the package that its class is from."""
    xp = library(request.param.removesuffix(" with gradient"))

    def array(a):
        y = xp.asarray(a)
        return y.requires_grad_() if "gradient" in request.param and y.dtype.is_floating_point else y

    array.package = LIBRARIES[request.param]
    return array


def numbers(a):
    return np.asarray(a.detach() if hasattr(a, "detach") else a)


@pytest.mark.parametrize("name", calls.CALLS)
def test_same_values(name, of):
    expected = list(calls.CALLS[name](calls.X, lambda a: a))
    for got, numpys in zip(calls.CALLS[name](of(calls.X), of), expected, strict=True):
        assert type(got).__module__.partition(".")[0] == of.package
        assert tuple(got.shape) == np.shape(numpys)
        np.testing.assert_allclose(numbers(got), numpys, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("door", "name", "options"),
    [
        (nn.functional, "logsigmoid", {}),
        (nn.functional, "sigmoid", {}),
        (nn.functional, "silu", {}),
        (nn.functional, "mish", {}),
        (nn.functional, "softplus", {}),
        (nn.functional, "softplus", {"beta": 2.5}),
        (nn.functional, "softmin", {"dim": 1}),
        (nn.functional, "log_softmax", {"dim": 0}),
        (nn.functional, "logsumexp", {"dim": [0, 1]}),
        (nn, "LogSigmoid", None),
        (tf.math, "log_sigmoid", {}),
        (tf.math, "softplus", {}),
        (tf.math, "sigmoid", {}),
        (tf.math, "reduce_logsumexp", {"axis": 0}),
        (tf.nn, "log_softmax", {}),
        (tf.nn, "silu", {"beta": 0.5}),
    ],
)
def test_doors(door, name, options, of):
    f = getattr(door, name)() if options is None else getattr(door, name)
    got, expected = f(of(calls.X), **options or {}), f(calls.X, **options or {})
    assert type(got).__module__.partition(".")[0] == of.package
    np.testing.assert_allclose(numbers(got), expected, rtol=1e-13, atol=1e-15)


def test_losses_of_doors(of):
    x, z, y = of(calls.X), of(calls.P), of(calls.LABELS)
    for f, *arguments in (
        (nn.functional.cross_entropy, x, y),
        (nn.functional.binary_cross_entropy_with_logits, x, z),
        (nn.functional.nll_loss, x, y),
        (lambda a, b: nn.functional.kl_div(a, b, reduction="sum"), x, z),
        (lambda a, b: tf.nn.sigmoid_cross_entropy_with_logits(b, a), x, z),
        (lambda a, b: tf.nn.softmax_cross_entropy_with_logits(b, a), x, z),
        (lambda a, b: tf.nn.sparse_softmax_cross_entropy_with_logits(b, a), x, of(abs(calls.LABELS) % 16)),
        (tf.math.xlogy, z, z),
        (tf.math.xlog1py, z, x * x),
    ):
        got = f(*arguments)
        assert type(got).__module__.partition(".")[0] == of.package
        np.testing.assert_allclose(numbers(got), f(*map(numbers, arguments)), rtol=1e-12)


def test_limits(of):
    rows = [[0, -40.0], [np.inf, 1], [-np.inf, -np.inf], [np.nan, 1], [-np.inf, 0.0], [800, -800]]
    x = np.array(rows)
    for f, rows in (
        (fastlog.logsumexp, [0, 1, 3, 4, 5]),
        (fastlog.softmax, [0, 1, 3, 4, 5]),
        (fastlog.log_softmax, [3, 4, 5]),  # beside inf, theirs is nan
    ):
        np.testing.assert_allclose(numbers(f(of(x[rows]), axis=1)), f(x[rows], axis=1), rtol=1e-12, atol=1e-17)
    assert numbers(fastlog.logsumexp(of(np.zeros((0, 3))))) == -np.inf
    assert fastlog.softmax(of(np.zeros((0, 3)))).shape == (0, 3)
    assert numbers(fastlog.logsumexp(of(x[2]))) == -np.inf
    loss, gradient = fastlog.cross_entropy(of(np.zeros((0, 3))), of(np.zeros(0, int)), return_grad=True)
    assert np.isnan(numbers(loss))
    assert gradient.shape == (0, 3)
    weighted = fastlog.logsumexp(of(np.array([np.inf, np.nan, 1.0])), b=of(np.array([0.0, 0.0, 2.0])))
    np.testing.assert_allclose(numbers(weighted), 1 + np.log(2))
    infinite, z = of(np.array([np.inf, -np.inf, np.inf, -np.inf])), of(np.array([1.0, 0, 0, 1]))
    loss = fastlog.binary_cross_entropy_with_logits(infinite, z, reduction="none")
    np.testing.assert_array_equal(numbers(loss), [0, 0, np.inf, np.inf])
    loss = fastlog.cross_entropy(of(x[4:5]), of(np.array([[0, 1.0]])))
    assert numbers(loss) == 0


def test_errors(of):
    x = of(calls.X)
    with pytest.raises(ValueError, match=r"targets\[3\] is 16, but labels run from 0 to 15"):
        fastlog.cross_entropy(x, of(np.where(np.arange(15) == 3, 16, 0)))
    with pytest.raises(ValueError, match="shape"):
        fastlog.cross_entropy(x, of(np.zeros(3, int)))
    with pytest.raises(ValueError, match="same shape"):
        fastlog.binary_cross_entropy_with_logits(x, of(calls.P[:3]))
    with pytest.raises(ValueError, match="'median'"):
        fastlog.cross_entropy(x, of(calls.LABELS), reduction="median")
    with pytest.raises(ValueError, match="temperature"):
        fastlog.softmax(x, temperature=0.0)
    with pytest.raises(ValueError, match="label_smoothing"):
        fastlog.binary_cross_entropy_with_logits(x, of(calls.P), label_smoothing=3.0)
    with pytest.raises(ValueError, match="weight has the shape"):
        fastlog.binary_cross_entropy_with_logits(x, of(calls.P), of(np.ones((2, 1, 1))))
    with pytest.raises(np.exceptions.AxisError):
        fastlog.logsumexp(x, axis=2)


def test_integers_and_dtype(of):
    y = fastlog.softmax(of(np.arange(4)))
    np.testing.assert_allclose(numbers(y), fastlog.softmax(np.arange(4)), rtol=1e-6)
    assert numbers(fastlog.log_softmax(of(calls.X), 1, dtype="float32")).dtype == np.float32
    assert numbers(fastlog.logsumexp(of(calls.X.astype("f")), 1)).dtype == np.float32


GRADIENTS = {
    "logsumexp": lambda x, of: fastlog.logsumexp(x, axis=1).sum(),
    "weighted": lambda x, of: fastlog.logsumexp(x, axis=1, b=of(calls.ROW)).sum(),
    "softmax": lambda x, of: (fastlog.softmax(x, axis=0) ** 2).sum(),
    "log_softmax": lambda x, of: (fastlog.log_softmax(x) ** 2).sum(),
    "bce": lambda x, of: fastlog.binary_cross_entropy_with_logits(x, of(calls.P), label_smoothing=0.1),
    "focal": lambda x, of: fastlog.focal_loss(x, of(calls.P), 0.3, 1.7),
    "cross_entropy": lambda x, of: fastlog.cross_entropy(x, of(calls.LABELS), of(calls.ROW), label_smoothing=0.2),
    "kl": lambda x, of: fastlog.kl_divergence(fastlog.log_softmax(x, 1), of(calls.P)),
}
OURS = {
    "logsumexp": lambda x: fastlog.softmax(x, axis=1),
    "bce": lambda x: fastlog.binary_cross_entropy_with_logits(x, calls.P, label_smoothing=0.1, return_grad=True)[1],
    "focal": lambda x: fastlog.focal_loss(x, calls.P, 0.3, 1.7, return_grad=True)[1],
    "cross_entropy": lambda x: fastlog.cross_entropy(x, calls.LABELS, calls.ROW, label_smoothing=0.2, return_grad=True)[
        1
    ],
}


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("x", [calls.X, np.zeros_like(calls.X)], ids=["x", "zeros"])
def test_gradients_of_jax_and_torch(name, x):
    found = []
    if importlib.util.find_spec("jax"):
        jnp = library("jax")
        gradient = sys.modules["jax"].jit(sys.modules["jax"].grad(lambda a: GRADIENTS[name](a, jnp.asarray)))
        found.append(np.asarray(gradient(jnp.asarray(x))))
    if importlib.util.find_spec("torch"):
        torch = library("torch")
        a = torch.asarray(x).requires_grad_()
        GRADIENTS[name](a, torch.asarray).backward()
        found.append(a.grad.numpy())
    if name in OURS:
        found.append(OURS[name](x))
    if len(found) < 2:
        pytest.skip("neither torch nor a gradient of our own to compare with")
    for one in found[1:]:
        np.testing.assert_allclose(one, found[0], rtol=1e-10, atol=1e-13)


SATURATED = {
    "focal": lambda x, of: fastlog.focal_loss(x, of(np.array([[1.0, 0.0], [1.0, 0.0]])), gamma=0.5),
    "ignored row": lambda x, of: fastlog.cross_entropy(x, of(np.array([-100, 1]))),
    "row of no weight": lambda x, of: fastlog.cross_entropy(x, of(np.array([0, 1])), of(np.array([0.0, 1.0]))),
}


@pytest.mark.parametrize("name", SATURATED)
def test_gradients_are_numbers_where_losses_are_0(name):
    rows = {"focal": [[1000.0, -1000.0], [0.0, 1.0]]}.get(name, [[-np.inf, -np.inf], [0.0, 1.0]])
    jnp, torch = library("jax"), importlib.util.find_spec("torch") and library("torch")
    gradient = sys.modules["jax"].grad(lambda a: SATURATED[name](a, jnp.asarray))(jnp.asarray(rows))
    assert np.isfinite(gradient).all()
    assert (np.asarray(gradient)[0] == 0).all()
    if torch:
        a = torch.asarray(rows, dtype=torch.float64).requires_grad_()
        SATURATED[name](a, torch.asarray).backward()
        np.testing.assert_allclose(a.grad, gradient, rtol=1e-12)


def test_elements_alone(of):
    x, some = of(np.array([0.0, -np.inf, np.nan])), of(np.array([True, True, False]))
    np.testing.assert_array_equal(numbers(fastlog.softmax(x, axis=(), where=some)), [1, np.nan, 0])
    _, sign = fastlog.logsumexp(x, axis=(), return_sign=True)
    np.testing.assert_array_equal(numbers(sign), [1, 0, np.nan])
    np.testing.assert_array_equal(numbers(fastlog.logcumsumexp(of(np.array(2.0)), axis=0)), [2])


def test_jax_compiles_and_maps():
    jnp, jax = library("jax"), sys.modules["jax"]
    x, y = jnp.asarray(calls.X), jnp.asarray(np.abs(calls.LABELS) % 16)
    np.testing.assert_allclose(jax.jit(fastlog.cross_entropy)(x, y), fastlog.cross_entropy(calls.X, np.asarray(y)))
    np.testing.assert_allclose(jax.vmap(fastlog.logsumexp)(x), fastlog.logsumexp(calls.X, axis=1))
    wrong = jax.jit(lambda a, b: fastlog.cross_entropy(a, b, reduction="none"))(x, y.at[3].set(16))
    np.testing.assert_array_equal(np.isnan(wrong), np.arange(15) == 3)  # which nothing can raise there


def test_torch_runs_on_our_kernels_where_it_can():
    torch = library("torch")
    x = torch.asarray(calls.X)
    assert (fastlog.softmax(x, 1).numpy() == fastlog.softmax(calls.X, 1)).all()
    out = torch.empty_like(x)
    fastlog.softmax(x, 1, out=out)
    assert (out.numpy() == fastlog.softmax(calls.X, 1)).all()
    with torch.no_grad():
        y = fastlog.log_softmax(x.clone().requires_grad_(), 1)
    assert (y.numpy() == fastlog.log_softmax(calls.X, 1)).all()
    z = calls.X.copy()
    nn.functional.silu(torch.from_numpy(z), inplace=True)
    assert (z == fastlog.silu(calls.X)).all()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of torch's own making
def test_torch_keeps_what_numpy_lacks():
    torch = library("torch")
    x = torch.asarray(calls.X)
    assert fastlog.softmax(x.to(torch.bfloat16), 1).dtype == torch.bfloat16
    assert fastlog.softmax(x, 1, dtype=torch.float32).dtype == torch.float32
    assert fastlog.softmax(x.requires_grad_(), 1, dtype=torch.float32).dtype == torch.float32
    x = x.detach()
    assert torch.func.vmap(fastlog.logsumexp)(x).shape == (15,)
    _, tangent = torch.func.jvp(fastlog.logsumexp, (x,), (torch.ones_like(x),))
    np.testing.assert_allclose(tangent, 1)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
        _, tangent = torch.autograd.forward_ad.unpack_dual(fastlog.logsumexp(dual, axis=1))
        np.testing.assert_allclose(tangent, 1)
    meta = torch.empty((3, 4), device="meta")
    assert fastlog.log_softmax(meta, 1).device.type == "meta"
    second = torch.func.hessian(lambda a: fastlog.cross_entropy(a, torch.asarray([1, 0])))(x[:2, :3])
    assert second.shape == (2, 3, 2, 3)


def test_what_is_not_installed_is_named(monkeypatch):
    torch = library("torch")
    monkeypatch.setitem(sys.modules, "array_api_compat", None)
    from fastlog._other import namespace

    monkeypatch.setattr(namespace, "_libraries", {})
    with pytest.raises(ImportError, match="pip install array-api-compat"):
        fastlog.logsumexp(torch.ones(3, requires_grad=True))


def test_cupy_is_asked_by_the_names_of_its_documentation(monkeypatch):
    """There is no GPU here: a stand-in that has these functions alone records what is called."""
    called = []

    class Array:
        dtype, shape, ndim = "float64", (2, 3), 2

        def __array_namespace__(self):
            return cupy

    def record(name):
        return lambda *arguments, **options: called.append((name, options)) or Array()

    cupy = types.ModuleType("cupy")
    cupy.isdtype = lambda dtype, kind: kind == "real floating"
    cupy.finfo = np.finfo
    special = types.ModuleType("cupyx.scipy.special")
    for name in ("logsumexp", "softmax", "log_softmax", "expit", "log_expit"):
        setattr(special, name, record(name))
    scipy = types.ModuleType("cupyx.scipy")
    scipy.special = special
    for module in (cupy, types.ModuleType("cupyx"), scipy, special):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    from fastlog._other import namespace

    monkeypatch.setattr(namespace, "_libraries", {})
    for f in (fastlog.logsumexp, fastlog.softmax, fastlog.log_softmax):
        assert isinstance(f(Array(), axis=1), Array)
    assert isinstance(nn.functional.sigmoid(Array()), Array)
    assert isinstance(tf.math.log_sigmoid(Array()), Array)
    assert called == [
        ("logsumexp", {"axis": (1,), "keepdims": False}),
        ("softmax", {"axis": (1,)}),
        ("log_softmax", {"axis": (1,)}),
        ("expit", {}),
        ("log_expit", {}),
    ]


def test_whom_numpy_computes():
    class Duck:
        def __array__(self, dtype=None, copy=None):
            return np.arange(3.0)

    for a in (np.ones(3), np.float32(1), [1.0], (1, 2), 3, True, np.ma.ones(3), np.ones(3).view(np.recarray), Duck()):
        assert library_of(a) is None
    assert fastlog.logsumexp(Duck()) == fastlog.logsumexp(np.arange(3.0))
    assert isinstance(fastlog.logsumexp(a=np.ones(3)), np.float64)
