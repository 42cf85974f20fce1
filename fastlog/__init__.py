from fastlog._core import *
