"""The elementwise functions: ufuncs of the active target, and their other names."""

from fastlog._core import functions

_active = functions()

softplus = log1pexp = _active["softplus"]
log_sigmoid = log_expit = _active["log_sigmoid"]
sigmoid = expit = _active["sigmoid"]
silu = _active["silu"]
logaddexp = _active["logaddexp"]
