# make bench   the main job: fastlog beside SciPy and the other peers, then real pipelines (QUICK=1: about a minute)
# make test    all tests, on every instruction set that this CPU supports
# make check   style, formatting, types, the direction of includes and imports, and whether the pages build
#
# The first two need only python3 with venv and headers, a C compiler and make; they install the rest into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The install is editable: only what is compiled needs another one.
SOURCES := pyproject.toml CMakeLists.txt $(wildcard fastlog/*.p[yx][xid]) $(shell find csrc -type f -not -name '*.py*')

SITE := $(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs

.NOTPARALLEL:

.PHONY: bench test check docs exhaustive long accuracy vec-neon peers upstream clean help
help:
	@sed -n 's/^# make/make/p' Makefile

# One stamp per set of extras: the package is built and installed again when a source has changed.
$(VENV)/pip.stamp:
	@$(PYTHON) -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11)' || { \
	  echo "fastlog needs Python 3.11 or newer with venv, a C compiler and the Python headers"; \
	  echo "(Debian: apt install python3-venv python3-dev build-essential)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

$(VENV)/%.stamp: $(SOURCES) $(VENV)/pip.stamp
	$(BIN)/python -m pip install --quiet -e '.[$*]'
	touch $@

bench: $(VENV)/bench.stamp
	$(BIN)/python -m bench

test: $(VENV)/test.stamp
	$(BIN)/pytest

check: $(VENV)/dev.stamp $(VENV)/test.stamp
	$(BIN)/pytest -q tests/test_structure.py
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(find csrc tests/c -name '*.[ch]' -not -path 'csrc/coefficients/*')
	$(BIN)/mypy
	$(BIN)/mypy --strict tests/typing
	$(BIN)/python -m mypy.stubtest fastlog --mypy-config-file pyproject.toml
	$(BIN)/basedpyright
	$(SITE)

# make exhaustive   float32 functions of one argument at all 2^32 inputs, the others at millions of points
exhaustive: $(VENV)/test.stamp
	$(BIN)/python tests/accuracy.py --exhaustive

# make long         tests that need 10 GiB of memory: rows of 2^31 elements
long: $(VENV)/test.stamp
	$(BIN)/pytest -m slow

# make docs         the pages of docs/ as a site, in build/docs; warnings are errors
docs: $(VENV)/docs.stamp
	$(SITE)
	@echo "Open build/docs/index.html"

# make accuracy     errors of fastlog beside SciPy, NumPy and PyTorch, for docs/accuracy.md and its pictures
accuracy: $(VENV)/bench.stamp $(VENV)/test.stamp
	$(BIN)/python -m bench --accuracy

# make vec-neon   the C tests, cross-compiled for arm64, under user-mode emulation
vec-neon: $(VENV)/test.stamp
	@command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64-static >/dev/null || { \
	  echo "needs a cross compiler and an emulator"; \
	  echo "(Debian: apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static)"; exit 1; }
	$(BIN)/cmake -S . -B build/neon -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64-linux-gnu.cmake \
	  -DFASTLOG_PYTHON=OFF -DFASTLOG_C_TESTS=ON
	$(BIN)/cmake --build build/neon --parallel 2
	$(BIN)/ctest --test-dir build/neon --output-on-failure

# make peers   fastlog beside torch and TensorFlow, which it installs, and on torch's tensors; else recorded values serve
peers: $(VENV)/test.stamp $(VENV)/peers.stamp
	$(BIN)/pytest tests/test_doors.py tests/test_seeds.py tests/test_other_arrays.py

# make upstream   SciPy's and scikit-learn's own tests, plainly and on fastlog: none may fail on fastlog alone
upstream: $(VENV)/test.stamp
	$(BIN)/python tests/upstream.py

clean:
	rm -rf build dist $(VENV) .pytest_cache .hypothesis .mypy_cache .ruff_cache
