# make demo: the whole job on a small real cube.  make test: the tests.  make docs: the site.
# Needs Python 3.11 or newer.
#
# VENV      virtual environment to make and use          make test VENV=/tmp/env
# PYTHON    interpreter that makes it                    make demo PYTHON=python3.12
# EDITABLE  -e: edits of the checkout count; empty: install a copy
# TORCH     what is installed first, so that pip does not choose another build of it later

VENV     ?= .venv
PYTHON   ?= python3
EDITABLE ?= -e
TORCH    ?= torch==2.13.0
DEMO     ?= demo
PYTEST   ?= -n 2 --dist loadfile

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test docs install clean
.DELETE_ON_ERROR:

demo: $(VENV)/.pansharp-demo
	$(BIN)/pansharp demo -o $(DEMO)/

# One thread per worker: the linear-algebra libraries would otherwise fight over the cores.
test: install
	OMP_NUM_THREADS=1 $(BIN)/pytest $(PYTEST)

docs: install
	$(BIN)/mkdocs build --strict

install: $(VENV)/.pansharp-dev

$(VENV)/.pansharp-torch:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "pansharp needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) "$(TORCH)"
	@touch $@

$(VENV)/.pansharp-demo: $(VENV)/.pansharp-torch pyproject.toml
	$(PIP) $(EDITABLE) ".[demo]"
	@touch $@

$(VENV)/.pansharp-dev: $(VENV)/.pansharp-torch pyproject.toml
	$(PIP) $(EDITABLE) ".[dev,demo,notebooks,docs]"
	@touch $@ $(VENV)/.pansharp-demo

clean:
	rm -rf $(VENV) $(DEMO) site
