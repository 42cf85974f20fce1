"""The stubs say what is returned: tests/typing/public.py runs, and every value must have the type that it asserts."""

import runpy
import typing
from pathlib import Path

import numpy as np

PUBLIC = Path(__file__).parent / "typing" / "public.py"


def holds(value, kind):
    """Tell whether a value has a type as stubs write it. Any is an array or a scalar, as the axis decides."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is typing.Any:
        return isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f"
    if hasattr(origin, "__value__"):  # NDArray, since NumPy 2.5
        return holds(value, origin.__value__[arguments])
    if origin is np.ndarray:
        (scalar,) = typing.get_args(arguments[1])
        return type(value) is np.ndarray and is_scalar_type(value.dtype.type, scalar)
    if origin is tuple and arguments[-1] is ...:
        return isinstance(value, tuple) and all(holds(part, arguments[0]) for part in value)
    if origin is tuple:
        fits = isinstance(value, tuple) and len(value) == len(arguments)
        return fits and all(holds(part, one) for part, one in zip(value, arguments, strict=True))
    if origin is dict:  # only the keys have one type
        return type(value) is dict and all(type(key) is arguments[0] for key in value)
    return is_scalar_type(type(value), kind)


def is_scalar_type(found, kind):
    """Tell whether a type is the wanted one, or one of those that an abstract type of NumPy stands for."""
    return found is kind or (typing.get_origin(kind) is np.floating and issubclass(found, np.floating))


def test_values_have_the_declared_types(monkeypatch):
    wrong = []

    def assert_type(value, kind):
        wrong.extend([] if holds(value, kind) else [(value, kind)])
        checked.append(kind)
        return value

    checked = []
    monkeypatch.setattr(typing, "assert_type", assert_type)
    runpy.run_path(str(PUBLIC))
    assert not wrong
    assert len(checked) == PUBLIC.read_text().count("assert_type(")


def test_what_holds():
    assert holds(np.ones(2, "f"), np.ndarray[typing.Any, np.dtype[np.float32]])
    assert not holds(np.ones(2), np.ndarray[typing.Any, np.dtype[np.float32]])
    assert not holds((1.0,), tuple[float, float])
    assert not holds(1.0, np.float64)
    assert holds(np.float32(1), typing.Any)
    assert holds(np.float32(1), np.floating[typing.Any])
    assert not any(holds(wrong, np.floating[typing.Any]) for wrong in (1.0, np.int64(1), np.ones(2)))
    assert not holds(np.ones(2, int), np.ndarray[typing.Any, np.dtype[np.floating[typing.Any]]])
    assert holds(np.ones(2), typing.Any)
    assert not any(holds(wrong, typing.Any) for wrong in (1.0, None, np.ones(2, int), [1.0]))
    assert not holds({1: 2}, dict[str, typing.Any])
