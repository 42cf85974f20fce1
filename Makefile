# make bench   the main job: fastlog beside SciPy and the other peers, then real pipelines (QUICK=1: about a minute)
# make test    all tests, on every instruction set that this CPU supports
# make quick   the tests that take no more than a second or two each: about a minute on two cores
# make test-ends   the tests that versions can break, with the oldest and the newest Python, NumPy and SciPy
# make check   style, formatting, types, the direction of includes and imports, and whether the pages build
#
# The first three need only python3 with venv and headers, a C compiler and make; they install the rest into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
# The install is editable: only what is compiled needs another one.
SOURCES := pyproject.toml CMakeLists.txt $(wildcard fastlog/*.p[yx][xid]) $(shell find csrc -type f -not -name '*.py*')

SITE := $(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs

.NOTPARALLEL:

.PHONY: bench programs run-programs test quick fuzz fuzz-loops sanitize test-ends test-end check docs exhaustive big accuracy vec-neon vec-s390x aarch64 baseline bits compilers peers mca upstream wheel clean help
help:
	@sed -n 's/^# make/make/p' Makefile

# There is a stamp for the installed package, which is built again when a source has changed, and one for each group of
# packages that pyproject.toml names. pip can install groups from 25.1 on.
$(VENV)/pip.stamp:
	@$(PYTHON) -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11)' || { \
	  echo "fastlog needs Python 3.11 or newer with venv, a C compiler and the Python headers"; \
	  echo "(Debian: apt install python3-venv python3-dev build-essential)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	touch $@

$(VENV)/fastlog.stamp: $(SOURCES) $(VENV)/pip.stamp
	@echo "Compiling fastlog, which takes two to five minutes"
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/%.stamp: $(VENV)/fastlog.stamp
	@echo "Installing the packages of the group '$*'"
	$(BIN)/python -m pip install --quiet --group $* $(PINS)
	touch $@

bench: $(VENV)/bench.stamp
	$(BIN)/python -m bench

# Tests run on every core: two cores halve the time.
PYTEST := $(BIN)/pytest -q --numprocesses auto --dist worksteal

test: $(VENV)/test.stamp
	$(PYTEST)

quick: $(VENV)/test.stamp
	$(PYTEST) -m 'not slow and not huge'

# make fuzz    searches for arguments of the C loops that break them, MINUTES=n long (10), where Clang is installed; then
#              the properties that hypothesis tries, at thousands of new examples each; SEED=n repeats that search
MINUTES ?= 10
CLANG := $(shell ls $$(echo "$$PATH" | tr : ' ') 2>/dev/null | grep -E '^clang(-[0-9]+)?$$' | sort -V | tail -1)
C_TESTS := -DFASTLOG_PYTHON=OFF -DFASTLOG_C_TESTS=ON
fuzz: $(VENV)/test.stamp
	@$(if $(CLANG),$(MAKE) fuzz-loops,echo "The C loops are NOT SEARCHED: Clang is not installed")
	@seed=$${SEED:-$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}; \
	  echo "make fuzz SEED=$$seed repeats this search"; \
	  $(PYTEST) -m 'hypothesis and not huge' --hypothesis-profile=fuzz --hypothesis-seed=$$seed

fuzz-loops: $(VENV)/test.stamp
	$(BIN)/cmake -S . -B build/fuzz -DCMAKE_C_COMPILER=$(CLANG) -DFASTLOG_SANITIZE=fuzzer-no-link,address $(C_TESTS)
	$(BIN)/cmake --build build/fuzz --parallel 2 --target fuzz
	mkdir -p build/fuzz/inputs
	build/fuzz/tests/c/fuzz -max_total_time=$$((60 * $(MINUTES))) -max_len=200 -print_final_stats=1 build/fuzz/inputs

# make sanitize   the C tests under AddressSanitizer and UndefinedBehaviorSanitizer, those of threads under
#                 ThreadSanitizer, and the Python tests on a package that is compiled with the first two. Python leaks by
#                 design; a test of guard pages sees the signal itself
# Libraries of C++ throw exceptions, which AddressSanitizer passes on only if their library is there before it.
LIBASAN = $(foreach name,libasan.so libstdc++.so.6,$(shell $(CC) -print-file-name=$(name)))
sanitize: $(VENV)/test.stamp
	SKBUILD_BUILD_DIR=build/asan SKBUILD_CMAKE_DEFINE="FASTLOG_SANITIZE=address,undefined;FASTLOG_C_TESTS=ON" \
	  $(MAKE) VENV=build/asan/venv build/asan/venv/test.stamp
	$(BIN)/ctest --test-dir build/asan --output-on-failure
	$(BIN)/cmake -S . -B build/tsan -DFASTLOG_SANITIZE=thread $(C_TESTS)
	$(BIN)/cmake --build build/tsan --parallel 2 --target test_pool bits
	$(BIN)/ctest --test-dir build/tsan --output-on-failure -R 'pool|threads'
	ASAN_OPTIONS=detect_leaks=0:handle_segv=0 LD_PRELOAD="$(LIBASAN)" build/asan/venv/bin/pytest -q -m 'not slow and not huge'

# The interpreter of a version, on the PATH or one of pyenv's, if it runs.
python = $(shell for p in python$(1) $$HOME/.pyenv/versions/$(1).*/bin/python; do $$p -c '' 2>&- && echo $$p && break; done)
OLDEST = $(call python,3.11)
NEWEST = $(firstword $(foreach version,3.15 3.14 3.13 3.12,$(call python,$(version))))

test-ends:
	@$(if $(OLDEST),$(MAKE) test-end VENV=build/oldest PYTHON=$(OLDEST) PINS='numpy~=2.0.0 scipy~=1.14.0', \
	  echo "test-ends: NOT RUN with the oldest versions: no Python 3.11 is installed")
	@$(if $(NEWEST),$(MAKE) test-end VENV=build/newest PYTHON=$(NEWEST) PINS='--upgrade --upgrade-strategy=eager', \
	  echo "test-ends: NOT RUN with the newest versions: no Python from 3.12 to 3.15 is installed")

test-end: $(VENV)/test.stamp
	@$(BIN)/python -c 'import sys, numpy, scipy; print("Python", *sys.version_info[:2], numpy.__version__, scipy.__version__)'
	$(PYTEST) -m 'not huge and not other_target' $(addprefix tests/test_,patch.py patch_steps.py patch_late.py sklearn_losses.py segments.py chains.py command_line.py call_forms.py ufuncs.py logaddexp_reduce.py reductions.py \
	  row_functions.py row_limits.py other_arrays.py other_gradients.py torch_and_jax.py dask.py labelled.py cimport.py docs.py failures.py)
	$(BIN)/python tests/tools/upstream.py special

check: $(VENV)/dev.stamp $(VENV)/test.stamp
	$(BIN)/pytest -q tests/test_structure.py
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(find csrc fastlog tests/c bench -name '*.[ch]' -not -path 'csrc/coefficients/*')
	$(BIN)/mypy
	$(BIN)/mypy --strict tests/typing
	$(BIN)/python -m mypy.stubtest fastlog --mypy-config-file pyproject.toml
	$(BIN)/basedpyright
	$(SITE)

# make wheel        a source distribution, and a wheel of it for the oldest and the newest Python (or PYTHONS), in dist/:
#                   the same bits twice, what is in them, and the tests on what is installed; RELEASE=tag asks for more
PYTHONS = $(or $(OLDEST),$(PYTHON)) $(NEWEST)
wheel: $(VENV)/release.stamp
	$(BIN)/python tests/tools/wheel.py $(if $(RELEASE),--release $(RELEASE)) $(PYTHONS)

# make exhaustive   float32 functions of one argument at all 2^32 inputs, the others at millions of points
exhaustive: $(VENV)/test.stamp
	$(BIN)/python tests/tools/accuracy.py --exhaustive

# make big          tests that need 10 GiB of memory: more than 2^31 elements or rows
big: $(VENV)/test.stamp
	$(BIN)/pytest -m huge

# make programs     programs that know nothing of fastlog, with its patch and without; they have an environment of their
#                   own, because tests of the patch count the packages that are there
programs:
	@$(MAKE) run-programs VENV=build/programs

run-programs: $(VENV)/programs.stamp
	$(BIN)/python -m bench --programs

# make docs         the pages of docs/ as a site, in build/docs; warnings are errors
docs: $(VENV)/docs.stamp
	$(SITE)
	@echo "Open build/docs/index.html"

# make accuracy     errors of fastlog beside SciPy, NumPy and PyTorch, for docs/accuracy.md and its pictures
accuracy: $(VENV)/bench.stamp $(VENV)/test.stamp
	$(BIN)/python -m bench --accuracy

# make bits        the C tests without Python, and the hashes of all results on the targets of this CPU
bits: $(VENV)/test.stamp
	$(BIN)/cmake -S . -B build/c $(C_TESTS)
	$(BIN)/cmake --build build/c --parallel 2
	-$(BIN)/ctest --test-dir build/c --output-on-failure
	build/c/tests/c/bits

# make vec-neon    the C tests, cross-compiled for arm64, under user-mode emulation
# make vec-s390x   the C tests on a processor whose bytes are in the other order, likewise
vec-neon: MACHINE = aarch64
vec-s390x: MACHINE = s390x
vec-neon vec-s390x: $(VENV)/test.stamp
	@command -v $(MACHINE)-linux-gnu-gcc >/dev/null && command -v qemu-$(MACHINE)-static >/dev/null || { \
	  echo "needs a cross compiler and an emulator (Debian: apt install gcc-$(MACHINE)-linux-gnu qemu-user-static,"; \
	  echo "and libc6-dev-arm64-cross or libc6-dev-s390x-cross)"; exit 1; }
	$(BIN)/cmake -S . -B build/$(MACHINE) -DCMAKE_TOOLCHAIN_FILE=cmake/cross.cmake -DFASTLOG_MACHINE=$(MACHINE) $(C_TESTS)
	$(BIN)/cmake --build build/$(MACHINE) --parallel 2
	$(BIN)/ctest --test-dir build/$(MACHINE) --output-on-failure

# make aarch64     the tests of a wheel on arm64, Python and NumPy included, under user-mode emulation; only compilers run
#                  natively. Debian's packages for arm64 serve: build/aarch64/debian has their files, uninstalled
# make baseline    the tests of a wheel on an x86-64 without AVX, likewise: the portable target alone runs there
ARM := build/aarch64
aarch64: $(ARM)/debian/usr/bin/python
	CC=aarch64-linux-gnu-gcc CFLAGS="-idirafter $(abspath $(ARM))/debian/usr/include" \
	  SKBUILD_CMAKE_ARGS="-DCMAKE_SYSTEM_NAME=Linux;-DCMAKE_SYSTEM_PROCESSOR=aarch64" \
	  $(MAKE) VENV=$(ARM)/venv PYTHON=$(abspath $<) $(ARM)/venv/wheel.stamp
	$(call test-emulated,$(ARM)/venv,python,neon portable)

# The name of the emulated program is that of this script, so that Python starts the script again for each of its own
# processes: pip, workers of pytest, and programs of tests are emulated, too.
define emulated-python # script, emulator with its options, and the program
	printf '#!/bin/sh\nexec %s -0 "$$0" %s "$$@"\n' '$(2)' "$(3)" > $(1)
	chmod +x $(1)
endef

$(ARM)/debian/usr/bin/python:
	@for tool in debootstrap dpkg qemu-aarch64-static aarch64-linux-gnu-gcc cmake; do \
	  command -v $$tool >/dev/null || { echo "needs $$tool, and root for debootstrap (Debian: apt install debootstrap"; \
	  echo "qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross cmake)"; exit 1; }; done
	rm -rf $(ARM)/debian
	mkdir -p $(ARM)/debian
	debootstrap --foreign --arch=arm64 --variant=minbase --include=python3-venv,python3-dev,libstdc++6,libgomp1 bookworm $(ARM)/debian
	for package in $(ARM)/debian/var/cache/apt/archives/*.deb; do dpkg -x $$package $(ARM)/debian || exit 1; done
	$(call emulated-python,$@,qemu-aarch64-static -L $(abspath $(ARM))/debian,$(abspath $(ARM))/debian/usr/bin/python3.11)

# The variable would tell NumPy's library which kernels this CPU runs, not the emulated one.
baseline:
	@command -v qemu-x86_64-static >/dev/null || { echo "needs an emulator (Debian: apt install qemu-user-static)"; exit 1; }
	$(MAKE) VENV=build/baseline build/baseline/wheel.stamp
	$(call emulated-python,build/baseline/bin/emulated,env -u OPENBLAS_CORETYPE qemu-x86_64-static -cpu Nehalem,$$(realpath build/baseline/bin/python))
	$(call test-emulated,build/baseline,emulated,portable)

# A copy of the tests leaves out those that need the sources or other packages: a wheel's group has few. test_same_bits
# would take hours; the C tests of make bits and make vec-neon show, too, that threads change no bit.
define test-emulated # environment, interpreter, and the targets that must run
	rm -rf $(1)/tests
	cp -r tests $(1)/tests
	$(1)/bin/$(2) -c "import fastlog; assert fastlog.show_config('dicts')['supported targets'] == '$(3)'.split()"
	$(1)/bin/$(2) -m pytest -q --numprocesses auto --dist worksteal -m 'not slow and not huge' \
	  --ignore $(1)/tests/test_same_bits.py $(1)/tests
endef

# make compilers   builds the package and runs the C tests by every GCC and Clang that is installed
compilers: $(VENV)/test.stamp
	@set -e; compilers=$$(ls $$(echo "$$PATH" | tr : ' ') 2>/dev/null | grep -E '^(gcc|clang)-[0-9]+$$' | sort -Vu); \
	test -n "$$compilers" || { echo "no compiler has a name like gcc-12 or clang-14"; exit 1; }; \
	for cc in $$compilers; do \
	  echo "== $$cc"; \
	  $(BIN)/cmake -S . -B build/$$cc -DCMAKE_C_COMPILER=$$cc -DPython_EXECUTABLE=$(abspath $(BIN))/python -DFASTLOG_C_TESTS=ON; \
	  $(BIN)/cmake --build build/$$cc --parallel 2; \
	  $(BIN)/ctest --test-dir build/$$cc --output-on-failure; \
	done

# make peers   fastlog beside torch and TensorFlow, which it installs, and on torch's tensors; else recorded values serve.
#              There are two processes, as TensorFlow and torch's compiler crash in one
peers: $(VENV)/test.stamp $(VENV)/peers.stamp
	$(BIN)/pytest tests/test_doors.py tests/test_seeds.py
	$(BIN)/pytest tests/test_other_*.py tests/test_torch_and_jax.py tests/test_objectives.py

# make mca     cycles of the inner loops on processors that are not here, as llvm-mca predicts them, for docs/speed.md
mca: $(VENV)/bench.stamp $(VENV)/test.stamp
	$(BIN)/python -m bench --mca

# make upstream   SciPy's and scikit-learn's own tests, plainly and on fastlog: none may fail on fastlog alone
upstream: $(VENV)/test.stamp
	$(BIN)/python tests/tools/upstream.py

clean:
	rm -rf build dist $(VENV) .pytest_cache .hypothesis .mypy_cache .ruff_cache
