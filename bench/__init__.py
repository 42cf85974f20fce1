"""Benchmarks of fastlog beside SciPy, NumPy and other libraries; see ``python -m bench --help``."""
