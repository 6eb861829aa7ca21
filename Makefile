# make demo   the whole method on the embedded world, in about two minutes
# make test   linters, type checker and all tests that need no accelerator
# make lock   pin the dependencies anew

PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/.runtime
DEVELOPMENT := .venv/.development

.PHONY: demo test compare lock clean

demo: $(RUNTIME)
	$(BIN)/p2o-train

test: $(DEVELOPMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest

# P2O and GRPO at equal total rollouts, three seeds each: the table in the README.
compare: $(RUNTIME)
	$(BIN)/python -m p2o.compare --figure runs/compare/curves.svg

$(RUNTIME): pyproject.toml requirements/runtime.txt
	$(PYTHON) -c 'import sys; sys.exit("p2o needs Python 3.11 or newer; set PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/runtime.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

$(DEVELOPMENT): $(RUNTIME) requirements/development.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/development.txt
	touch $@

# Torch is pinned in this file alone: its CPU and CUDA builds need different companions.
lock:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 pyproject.toml \
		--extra gguf --extra tensorboard --extra figures \
		--no-emit-package torch --no-emit-package setuptools --no-header --no-annotate \
		| grep -Ev '^(nvidia|cuda|triton)' > requirements/runtime.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --group dev \
		-c requirements/runtime.txt --no-emit-package torch --no-emit-package setuptools \
		--no-header --no-annotate | grep -Ev '^(nvidia|cuda|triton)' > requirements/development.txt

clean:
	rm -rf .venv dist build
