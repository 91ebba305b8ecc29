# One target per habit. On a machine with Python 3.11, make and pip, `make demo` or `make test` does the rest.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export FERNET_NEURO_DATA ?= $(wildcard ../shared/data)
# Some images of machines forbid Python to keep what it compiled; hundreds of processes would compile it all again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-slow lint types notebooks figures bench fuzz kill docs environment install clean

install: $(STAMP)

# A failed or interrupted installation leaves no stamp, so the next `make` goes on.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null || \
		{ echo "Python 3.11 or newer is needed; name it with: make PYTHON=python3.12 ..."; exit 2; }
	$(BIN)/python -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(STAMP)

demo: $(STAMP)  ## the main job: render, train, extract, probe, figures, demo/index.html
	$(BIN)/fernet-neuro run demo --out demo --resume

# Two processes of one thread each.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2

test: $(STAMP)  ## the tests for while you work, and the notebooks
	$(PYTEST) --dist loadfile -p no:nbmake
	$(MAKE) --no-print-directory notebooks

test-slow: $(STAMP)  ## the others: whole experiments, kills, calibrations, the wheel; continuous integration runs both
	$(PYTEST) --dist loadfile -p no:nbmake -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/codespell fernet_neuro tests benchmarks docs README.md CHANGELOG.md CONTRIBUTING.md

types: $(STAMP)
	$(BIN)/mypy

notebooks: $(STAMP)  ## execute every notebook, two side by side in one thread each
	$(PYTEST) --nbmake --nbmake-timeout=600 -p no:cacheprovider -m "" notebooks

figures: $(STAMP)  ## rebuild the figures of the last demo
	$(BIN)/fernet-neuro figures build all --results demo --out demo/figures

bench: $(STAMP)  ## every benchmark of benchmarks/, one after the other; results in benchmarks/results/
	$(BIN)/python benchmarks/run_all.py

fuzz: $(STAMP)  ## 10,000 damaged files of all kinds that are read and 300 command lines: no traceback, no hang
	$(BIN)/python tools/fuzz.py --n 10000 --commands 300 --seconds 3600

kill: $(STAMP)  ## kill commands at 12 random moments and 10 of their writes each; takes up to an hour
	$(BIN)/python tools/kill.py --n 12 --writes 10 --seconds 3600

docs: $(STAMP)  ## the examples in the docstrings, and every link and command in the documentation
	$(BIN)/python -m pytest -q tests/contracts/test_docs.py fernet_neuro

environment: $(STAMP)  ## write environment.yml from pyproject.toml
	$(BIN)/python tools/make_environment.py

clean:  ## remove the demo and caches; the environment stays
	rm -rf demo .pytest_cache .mypy_cache .ruff_cache
