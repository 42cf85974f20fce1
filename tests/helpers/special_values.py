"""Exact values of the elementwise functions: limits, signs of zero, the ends of the range, nan."""

import numpy as np

from helpers.elementwise import BCE

LOG_2 = float(np.log(2.0))

# Arguments and the result, as text: max stands for the largest finite and tiny for the smallest subnormal number of the
# dtype, log2 for log 2 rounded to it.
SPECIAL = {
    "softplus": [
        ("0", "log2"), ("-0", "log2"), ("tiny", "log2"), ("-tiny", "log2"), ("inf", "inf"), ("-inf", "0"),
        ("max", "max"), ("-max", "0"), ("1000", "1000"), ("-1000", "0"), ("nan", "nan")],
    "log_sigmoid": [
        ("0", "-log2"), ("-0", "-log2"), ("tiny", "-log2"), ("-tiny", "-log2"), ("inf", "-0"), ("-inf", "-inf"),
        ("max", "-0"), ("-max", "-max"), ("1000", "-0"), ("-1000", "-1000"), ("nan", "nan")],
    "sigmoid": [
        ("0", "0.5"), ("-0", "0.5"), ("tiny", "0.5"), ("-tiny", "0.5"), ("inf", "1"), ("-inf", "0"), ("max", "1"),
        ("-max", "0"), ("1000", "1"), ("-1000", "0"), ("nan", "nan")],
    "silu": [
        ("0", "0"), ("-0", "-0"), ("inf", "inf"), ("-inf", "-0"), ("max", "max"), ("-max", "-0"), ("-1000", "-0"),
        ("nan", "nan")],
    "logaddexp": [
        ("0", "0", "log2"), ("0", "-0", "log2"), ("-0", "-0", "log2"), ("tiny", "-tiny", "log2"), ("0", "-inf", "0"),
        ("-0", "-inf", "0"), ("0", "-max", "0"), ("-0", "-max", "0"), ("tiny", "-inf", "tiny"),
        ("tiny", "-max", "tiny"), ("-tiny", "-1000", "-tiny"), ("max", "max", "max"), ("max", "-max", "max"),
        ("max", "-inf", "max"), ("-max", "-max", "-max"), ("-max", "-inf", "-max"), ("inf", "max", "inf"),
        ("inf", "0", "inf"), ("inf", "inf", "inf"), ("inf", "-inf", "inf"), ("-inf", "-inf", "-inf"),
        *((x, "nan", "nan") for x in ("0", "-1", "inf", "-inf", "max", "tiny", "nan"))],
    "mish": [
        ("0", "0"), ("-0", "-0"), ("inf", "inf"), ("-inf", "-0"), ("max", "max"), ("-max", "-0"), ("1000", "1000"),
        ("-1000", "-0"), ("nan", "nan")],
    "logit": [
        ("0.5", "0"), ("0", "-inf"), ("-0", "-inf"), ("1", "inf"),
        *((x, "nan") for x in ("2", "-1", "-tiny", "max", "-max", "inf", "-inf", "nan"))],
    "log1mexp": [
        ("0", "-inf"), ("-0", "-inf"), ("-inf", "-0"), ("-max", "-0"), ("-1000", "-0"),
        *((x, "nan") for x in ("tiny", "1", "1000", "max", "inf", "nan"))],
    "logexpm1": [
        ("0", "-inf"), ("-0", "-inf"), ("inf", "inf"), ("max", "max"), ("1000", "1000"),
        *((x, "nan") for x in ("-tiny", "-1", "-1000", "-max", "-inf", "nan"))],
    "logaddexp2": [
        *((x, y, z) for a, b, z in (
            ("0", "0", "1"), ("1", "1", "2"), ("max", "-max", "max"), ("max", "0", "max"), ("-max", "-inf", "-max"),
            ("0", "-inf", "0"), ("-0", "-inf", "0"), ("-1", "-1", "0"), ("inf", "-inf", "inf"), ("inf", "max", "inf"),
            ("-inf", "-inf", "-inf"), ("-tiny", "-10000", "-tiny"), ("nan", "0", "nan"), ("nan", "inf", "nan"))
          for x, y in ((a, b), (b, a)))],
    "logsubexp": [
        *((x, x, "-inf") for x in ("0", "1", "-1", "tiny", "max", "-max", "inf", "-inf")), ("0", "-0", "-inf"),
        ("-0", "0", "-inf"), *((x, "-inf", "0") for x in ("0", "-0")),
        *((x, y, "-0") for x in ("0", "-0") for y in ("-1000", "-max")), ("-tiny", "-1000", "-tiny"),
        ("tiny", "-1000", "tiny"), ("max", "-max", "max"), ("max", "0", "max"), ("-max", "-inf", "-max"),
        ("inf", "max", "inf"), ("inf", "-max", "inf"), ("inf", "-inf", "inf"), ("1000", "0", "1000"),
        *((y, x, "nan") for x, y in (("1", "0"), ("tiny", "0"), ("max", "-max"), ("inf", "0"), ("0", "-inf"))),
        *((x, "nan", "nan") for x in ("0", "-1", "inf", "-inf", "max", "nan")),
        *(("nan", x, "nan") for x in ("0", "-1", "inf", "-inf", "max"))],
    "xlogy": [
        *((x, y, "0") for x in ("0", "-0") for y in ("0", "-0", "1", "-1", "2", "inf", "-inf", "tiny", "max", "-max")),
        *((x, "nan", "nan") for x in ("0", "-0", "1", "inf", "nan")),
        *(("nan", y, "nan") for y in ("0", "1", "-1", "inf", "2")),
        *((x, "0", "-inf") for x in ("1", "2", "tiny", "max", "inf")),
        *((x, "-0", "inf") for x in ("-1", "-tiny", "-max", "-inf")),
        *((x, y, "nan") for x in ("1", "-1", "tiny", "inf") for y in ("-1", "-tiny", "-inf", "-max")), ("1", "1", "0"),
        ("-1", "1", "-0"), ("max", "1", "0"), ("-tiny", "1", "-0"), ("inf", "1", "nan"), ("-inf", "1", "nan"),
        ("1", "inf", "inf"), ("-tiny", "inf", "-inf"), ("inf", "2", "inf"), ("inf", "0.5", "-inf"),
        ("-inf", "0.5", "inf"), ("max", "max", "inf"), ("-max", "max", "-inf"), ("1", "2", "log2"),
        ("1", "0.5", "-log2")],
    "xlog1py": [
        *((x, y, "0") for x in ("0", "-0") for y in ("0", "-0", "1", "-1", "-2", "inf", "-inf", "tiny", "max", "-max")),
        *((x, "nan", "nan") for x in ("0", "-0", "1", "inf", "nan")),
        *(("nan", y, "nan") for y in ("0", "1", "-1", "inf", "2")),
        *((x, "-1", "-inf") for x in ("1", "2", "tiny", "max", "inf")),
        *((x, "-1", "inf") for x in ("-1", "-tiny", "-max", "-inf")),
        *((x, y, "nan") for x in ("1", "-1", "tiny", "inf") for y in ("-2", "-inf", "-max")), ("1", "0", "0"),
        ("1", "-0", "-0"), ("-1", "0", "-0"), ("1", "tiny", "tiny"), ("-1", "tiny", "-tiny"), ("1", "-tiny", "-tiny"),
        ("inf", "0", "nan"), ("inf", "tiny", "inf"), ("1", "inf", "inf"), ("inf", "1", "inf"), ("inf", "-0.5", "-inf"),
        ("max", "max", "inf"), ("1", "1", "log2"), ("1", "-0.5", "-log2")],
    "entr": [
        ("0", "0"), ("-0", "0"), ("1", "-0"), ("inf", "-inf"), ("max", "-inf"),
        *((x, "-inf") for x in ("-1", "-tiny", "-max", "-inf")), ("nan", "nan")],
    "rel_entr": [
        *((x, y, "0") for x in ("0", "-0") for y in ("0", "-0", "1", "inf", "tiny", "max")),
        *((x, y, "inf") for x in ("0", "1", "-1", "inf", "-inf") for y in ("-1", "-tiny", "-inf", "-max")),
        *((x, y, "inf") for x in ("1", "tiny", "max", "inf", "-1", "-inf") for y in ("0", "-0")),
        *((x, y, "inf") for x in ("-1", "-tiny", "-inf") for y in ("1", "inf", "max")),
        *((x, x, "0") for x in ("1", "tiny", "max")), ("1", "2", "-log2"), ("1", "0.5", "log2"), ("1", "inf", "-inf"),
        ("tiny", "inf", "-inf"), ("inf", "1", "inf"), ("inf", "inf", "nan"), ("max", "tiny", "inf"),
        *((x, "nan", "nan") for x in ("0", "1", "inf", "-1", "nan")),
        *(("nan", y, "nan") for y in ("0", "1", "inf", "-1"))],
    BCE: [
        *((x, z, "log2") for x in ("0", "-0", "tiny", "-tiny") for z in ("0", "-0", "1", "0.5", "0.25", "tiny")),
        ("inf", "1", "0"), ("-inf", "0", "0"), ("-inf", "-0", "0"), ("inf", "0", "inf"), ("-inf", "1", "inf"),
        *((x, z, "inf") for x in ("inf", "-inf") for z in ("0.5", "0.25")), ("-inf", "tiny", "inf"), ("max", "1", "0"),
        ("-max", "0", "0"), ("max", "0", "max"), ("-max", "1", "max"),
        *((x, "nan", "nan") for x in ("0", "1", "inf", "-inf", "max", "nan")),
        *(("nan", z, "nan") for z in ("0", "1", "0.5"))],
}  # fmt: skip


def parsed(text, dtype):
    """Return the number of the dtype that a text of SPECIAL stands for."""
    sign = -1 if text[0] == "-" else 1
    special = {"max": np.finfo(dtype).max, "tiny": np.finfo(dtype).smallest_subnormal, "log2": LOG_2}
    text = text.removeprefix("-")
    return dtype.type(sign * dtype.type(special.get(text, text)))
