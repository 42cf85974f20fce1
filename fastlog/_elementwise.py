"""The elementwise functions: ufuncs of the active target, under all their names. Each name here is public."""

from fastlog._core import functions as _functions

_active = _functions()

softplus = log1pexp = _active["softplus"]
log_sigmoid = log_expit = _active["log_sigmoid"]
sigmoid = expit = _active["sigmoid"]
silu = _active["silu"]
mish = _active["mish"]
logaddexp = _active["logaddexp"]
logaddexp2 = _active["logaddexp2"]
logsubexp = _active["logsubexp"]
logit = _active["logit"]
log1mexp = _active["log1mexp"]
logexpm1 = softplus_inverse = _active["logexpm1"]
xlogy = _active["xlogy"]
xlog1py = _active["xlog1py"]
entr = _active["entr"]
rel_entr = _active["rel_entr"]
