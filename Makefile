# Both targets set themselves up: Python 3.10 to 3.13, pip and make are all they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NS_VENV := .venv-ns

.PHONY: demo test test-quick lint docs check benchmark claims gpu fuzz kill test-nerfstudio clean

demo: $(INSTALLED)
	$(BIN)/latentfields demo

# One thread a process: two that wait for each other on a busy machine can take ten times as long as one. Of all
# tests one process more than cores, up to four: slow ones wait for processes that they start.
# `worksteal` splits few files between processes, so that what the tests of a file share is made about once.
# Their thousands of small files are written to memory, where that has room for them (1.5 GB). Bytecode is kept whatever the
# user prefers: dozens of processes would compile all modules again.
SHARED_MEMORY := $(shell test "$$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 {print $$4}')" -gt 4000000 2>/dev/null && echo /dev/shm)
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
WORKERS ?= $(shell echo $$(( $(CORES) < 4 ? $(CORES) + 1 : 4 )))
PYTEST := $(if $(SHARED_MEMORY),TMPDIR=$(SHARED_MEMORY)) PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --dist worksteal

test: $(INSTALLED)-dev
	$(PYTEST) -n $(WORKERS)

# Without the trainings, processes, browsers and documents that take seconds: for while you work.
test-quick: $(INSTALLED)-dev
	$(PYTEST) -n auto --maxprocesses 4 -m 'not slow'

lint: $(INSTALLED)-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

# The documentation as site/index.html; a broken link or reference fails. The notice is about another release.
docs: $(INSTALLED)-dev
	NO_MKDOCS_2_WARNING=1 COLUMNS=82 $(BIN)/mkdocs build --strict --quiet

check: lint docs test

# Fast kernels and training steps against their plain twins; fails when one lost against the committed baseline.
benchmark: $(INSTALLED)-dev
	$(BIN)/python -m benchmarks --check

# COUNT damaged files of all kinds, or of KINDS: each is read or refused in one line, in bounded time and memory. The report is
# fuzz.json.
COUNT ?= 20000
SEED ?= 0
fuzz: $(INSTALLED)-dev
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m fuzz --count $(COUNT) --seed $(SEED) $(if $(KINDS),--kind $(KINDS))

# Every kind of training, or KINDS, killed KILLS times at random moments and resumed: the same bytes as if nothing had happened.
# The report is kill.json.
KILLS ?= 100
kill: $(INSTALLED)-dev
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m kill --count $(KILLS) $(if $(KINDS),--kind $(KINDS))

# The fits whose time and score README states, as they stand there; a quarter of an hour of a core. LINES="base runs/splat":
# only those whose command has one of the words.
claims: $(INSTALLED)-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.claims $(if $(LINES),--lines $(LINES))

# All that only a machine with CUDA can tell, in under ten minutes, as gpu.json; ends with status 2 where there is none.
gpu: $(INSTALLED)-dev
	$(BIN)/python -m benchmarks.gpu

# Nerfstudio's dependencies and ours do not go together: it has an environment of its own.
test-nerfstudio: $(NS_VENV)/.installed
	OMP_NUM_THREADS=1 $(NS_VENV)/bin/python -m pytest -o filterwarnings=default tests/integrations/nerfstudio

$(NS_VENV)/.installed: pyproject.toml requirements/nerfstudio.txt requirements/nerfstudio-no-deps.txt
	$(PYTHON) -m venv $(NS_VENV)
	$(NS_VENV)/bin/python -m pip install --quiet torch==2.13.0
	$(NS_VENV)/bin/python -m pip install --quiet --requirement requirements/nerfstudio.txt
	$(NS_VENV)/bin/python -m pip install --quiet --no-deps --requirement requirements/nerfstudio-no-deps.txt --editable .
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[diffusers]'
	touch $@

$(INSTALLED)-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(INSTALLED)

clean:
	rm -rf $(VENV) $(NS_VENV) demo site
