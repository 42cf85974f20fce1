from typing import Any

from fastlog import entr as entr
from fastlog import expit as expit
from fastlog import log_expit as log_expit
from fastlog import log_softmax as log_softmax
from fastlog import logit as logit
from fastlog import logsumexp as logsumexp
from fastlog import rel_entr as rel_entr
from fastlog import softmax as softmax
from fastlog import softplus as softplus
from fastlog import xlog1py as xlog1py
from fastlog import xlogy as xlogy

def __getattr__(name: str) -> Any: ...  # scipy.special has the rest
