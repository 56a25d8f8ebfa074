# Everything runs in .venv, which is built when it is missing or older than what it is built from.

PYTHON ?= python3
BIN    := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help venv export clean test lint notebooks pytest demo bench docs
.NOTPARALLEL:

help:
	@echo 'make venv    build .venv with the library and what developers need'
	@echo 'make export  write softhebb_nb/, README.md and what the site needs from the notebooks'
	@echo 'make clean   take what git should not see out of the notebooks'
	@echo 'make test    run all checks: ruff, every notebook, pytest'
	@echo 'make demo    train a first network (needs no more than the library itself)'
	@echo 'make bench   run the benchmarks in bench/'
	@echo 'make docs    build the site in _docs (needs Quarto)'

# PyTorch comes first and by its exact version: left to another package, pip could bring a newer one with gigabytes of CUDA.
.venv/.installed: constraints.txt settings.ini setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -qq $$(grep '^torch==' constraints.txt)
	$(BIN)/pip install -qq -c constraints.txt -e .
	touch $@

.venv/.dev: .venv/.installed
	$(BIN)/pip install -qq -c constraints.txt -e '.[dev]'
	touch $@

venv: .venv/.dev

export: .venv/.dev
	$(BIN)/nbdev_export
	$(BIN)/python tests/make_stubs.py
	$(BIN)/python tests/make_docs.py

clean: .venv/.dev
	$(BIN)/nbdev_clean

# Each check runs even if one before it has failed; make still ends with an error then.
test: .venv/.dev
	@$(MAKE) --no-print-directory --keep-going lint notebooks pytest

lint: .venv/.dev
	$(BIN)/ruff check --output-format concise --select F401,F403,F405,F811,F821 softhebb_nb

notebooks: .venv/.dev
	$(BIN)/python tests/run_notebooks.py

pytest: .venv/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n auto

demo: .venv/.installed
	@$(BIN)/softhebb_train

bench: .venv/.installed
	@ls bench/*.py >/dev/null
	@for file in bench/*.py; do echo "== $$file"; $(BIN)/python "$$file" || exit 1; done

docs: export
	@command -v quarto >/dev/null || { echo 'Quarto is not installed: see https://quarto.org/docs/get-started'; exit 1; }
	touch README.md # as new as the notebook, or nbdev writes another one
	$(BIN)/nbdev_docs
	$(BIN)/python tests/make_docs.py --site _docs
