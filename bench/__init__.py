"""fastlog beside SciPy, NumPy and other libraries; ``python -m bench --help``."""
