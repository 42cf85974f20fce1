"""What torch and JAX alone offer: compilation, our kernels on tensors, autocast; and libraries that are absent."""

import sys
import types

import numpy as np
import pytest
from helpers import calls
from helpers.libraries import library

import fastlog
from fastlog import nn, tf
from fastlog._libraries import library_of

INF, NAN, F = np.inf, np.nan, nn.functional
bce, focal = fastlog.binary_cross_entropy_with_logits, fastlog.focal_loss


def test_jax_compiles_and_maps():
    jnp, jax = library("jax"), sys.modules["jax"]
    x, y = jnp.asarray(calls.X), jnp.asarray(np.abs(calls.LABELS) % 16)
    np.testing.assert_allclose(jax.jit(fastlog.cross_entropy)(x, y), fastlog.cross_entropy(calls.X, np.asarray(y)))
    np.testing.assert_allclose(jax.vmap(fastlog.logsumexp)(x), fastlog.logsumexp(calls.X, axis=1))
    wrong = jax.jit(lambda a, b: fastlog.cross_entropy(a, b, reduction="none"))(x, y.at[3].set(16))
    np.testing.assert_array_equal(np.isnan(wrong), np.arange(15) == 3)  # which nothing can raise there


OPTIONS = {  # numbers that a compiler does not know: the value, one that does not fit, and a function
    "temperature": (2.5, -1.0, lambda x, t: fastlog.softmax(x, temperature=t)),
    "temperature of log_softmax": (2.5, 0.0, lambda x, t: fastlog.log_softmax(x, temperature=t)),
    "gamma": (1.7, -1.0, lambda x, g: focal(x, x * 0, gamma=g)),
    "gamma of saturated": (0.0, -1.0, lambda x, g: focal(x + 1000, x * 0, gamma=g)),
    "alpha": (0.25, 2.0, lambda x, a: focal(x, x * 0, a)),
    "label_smoothing": (0.1, 1.5, lambda x, e: fastlog.cross_entropy(x, LABELS_OF_X, label_smoothing=e)),
    "label_smoothing of BCE": (0.1, -0.5, lambda x, e: bce(x, x * 0, label_smoothing=e)),
    "beta of softplus": (3.0, NAN, F.softplus),
    "beta of silu": (3.0, NAN, tf.nn.silu),
}
LABELS_OF_X = np.abs(calls.LABELS) % 16


@pytest.mark.parametrize("name", OPTIONS)
def test_jax_traces_options(name):
    jnp, jax = library("jax"), sys.modules["jax"]
    value, wrong, f = OPTIONS[name]
    x = jnp.asarray(calls.X, jnp.float32)
    expected, got = f(calls.X, value), jax.jit(f)(x, value)
    assert got.dtype == jnp.float32
    assert jax.jit(f)(x, jnp.float64(value)).dtype == jnp.float32
    np.testing.assert_allclose(got, expected, rtol=2e-4)
    assert np.isnan(jax.jit(f)(x, wrong)).all()  # which nothing can raise there
    if not np.isnan(wrong):
        for number in (wrong, jnp.asarray(wrong)):
            with pytest.raises(ValueError, match=name.partition(" ")[0]):
                f(x, number)
    with pytest.raises(TypeError, match="must be a number"):
        f(x, jnp.ones(2))


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


@pytest.mark.slow
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


def test_integers_of_torch_have_its_default_dtype():
    torch = library("torch")
    x = torch.asarray([0, 1])
    for default in (torch.float32, torch.float64):
        torch.set_default_dtype(default)
        try:
            for f in (F.sigmoid, F.softplus, F.silu, fastlog.softmax, fastlog.logsumexp, lambda a: F.softmin(a, 0)):
                assert f(x).dtype == f(x.to(torch.uint8)).dtype == f(x.to("meta")).dtype == default
                assert torch.func.vmap(f)(x[None]).dtype == default
        finally:
            torch.set_default_dtype(torch.float32)
    assert fastlog.softmax(x, dtype=torch.float64).dtype == torch.float64


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_autocast(name, gradient):
    torch = library("torch")
    x, p = (torch.zeros(4, 3, dtype=getattr(torch, name), requires_grad=gradient) for _ in range(2))
    y = torch.asarray([0, 1, 2, 0])
    losses = {
        "cross_entropy": (x, y),
        "nll_loss": (x, y),
        "binary_cross_entropy_with_logits": (x, p.detach()),
        "kl_div": (x, p.detach()),
    }
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for loss, arguments in losses.items():
            ours, theirs = (getattr(door, loss)(*arguments, reduction="sum") for door in (F, torch.nn.functional))
            assert ours.dtype == theirs.dtype
            assert torch.allclose(ours, theirs)
            if gradient:
                assert torch.autograd.grad(ours, x)[0].dtype == x.dtype
        assert focal(x, p.detach()).dtype == (x.dtype if name == "float64" else torch.float32)
        assert F.softmax(x, 1).dtype == torch.nn.functional.softmax(x, 1).dtype


@pytest.mark.parametrize("name", ["SiLU", "Mish"])
def test_torch_in_place(name):
    torch = library("torch")
    ours, theirs = getattr(nn, name)(inplace=True), getattr(torch.nn, name)(inplace=True)
    leaf = torch.ones(3, requires_grad=True)
    for module in (ours, theirs):
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            module(leaf)
    found = []
    for module in (ours, theirs):
        x = torch.linspace(-3, 3, 7, dtype=torch.float64, requires_grad=True)
        y = x * 1
        assert module(y) is y
        y.sum().backward()
        found.append((y.detach(), x.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-15)
    plain = torch.ones(2)
    assert ours(plain) is plain
    with pytest.raises(TypeError, match="int64"):
        ours(torch.ones(2, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"inplace=True is for arrays of NumPy and tensors of torch, not for jax"):
        ours(library("jax").ones(2))


def test_torch_second_derivatives():
    torch = library("torch")
    x, z = torch.tensor([0.0, -2, 3, 50], dtype=torch.float64), torch.tensor([0.0, 1, 0.5, 1], dtype=torch.float64)
    for f in (
        lambda a: F.softplus(a).sum(),
        lambda a: F.softplus(a, 2.5).sum(),
        lambda a: F.silu(a).sum(),
        lambda a: bce(a, z),
        lambda a: focal(a, z, gamma=0),
        lambda a: fastlog.softmax(a.reshape(2, 2), (0, 1))[0, 0],
    ):
        hessian = torch.func.hessian(f)(x)
        rows = torch.stack([torch.func.grad(f)(x + h) - torch.func.grad(f)(x - h) for h in 1e-5 * torch.eye(4)]) / 2e-5
        torch.testing.assert_close(hessian, rows.double(), rtol=1e-6, atol=1e-9)


def test_what_is_not_installed_is_named(monkeypatch):
    torch = library("torch")
    monkeypatch.setitem(sys.modules, "array_api_compat", None)
    from fastlog._libraries import array_api

    monkeypatch.setattr(array_api, "_libraries", {})
    with pytest.raises(ImportError, match="pip install array-api-compat"):
        fastlog.logsumexp(torch.ones(3, requires_grad=True))


def test_cupy_is_asked_by_the_names_of_its_documentation(monkeypatch):
    """A stand-in takes the place of a GPU: it has only these functions, and records which are called."""
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
    from fastlog._libraries import array_api

    monkeypatch.setattr(array_api, "_libraries", {})
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
