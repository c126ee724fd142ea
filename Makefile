# Every target sets up what it needs: `make setup` makes .venv, once.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
TIMM := timm==1.0.31
# tests that run once more with every annotated shape and dtype checked at every call
TYPED := $(addprefix tests/test_,structure.py edges.py transform.py topology.py ops.py attend.py net.py \
  exact_torch.py exact_pyg.py exact_convolution.py tokenizers.py tokenizers_text.py \
  tokenizers_graphs.py scores.py normalisers.py decode.py exact_graphs.py exact_sequences.py \
  exact_sets.py blocks.py latents.py positions.py concepts.py library.py ragged.py)

.PHONY: setup demo test test-slow test-gpu timm test-timm typecheck lint types reference check clean

setup: .venv/.ready

# A torch that $(PYTHON) already has (conda, a container; no venv, whose packages a second venv does
# not see) is kept. Otherwise uv picks the build for this machine: from pip's find-links where some
# are set, else CUDA or CPU as the hardware says. Torch for CUDA brings a Triton of its own; beside
# another torch it is there for the tests of its kernels, which need no GPU.
.venv/.ready: pyproject.toml constraints.txt
	@if $(PYTHON) -c "import sys, torch; sys.exit(sys.prefix != sys.base_prefix)" 2>/dev/null; then \
	  echo "Setting up .venv beside the torch that $(PYTHON) has"; \
	  $(PYTHON) -m venv --system-site-packages .venv && \
	  $(BIN)/python -m pip install -q -e '.[dev]'; \
	else \
	  echo "Setting up .venv (about half a minute)"; \
	  $(PYTHON) -m venv .venv && $(BIN)/python -m pip install -q uv && \
	  links="$${PIP_FIND_LINKS:-$$($(PYTHON) -m pip config get global.find-links 2>/dev/null)}" && \
	  if [ -n "$$links" ]; then export UV_FIND_LINKS="$$links"; else export UV_TORCH_BACKEND=auto; fi && \
	  $(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[dev]' && \
	  { $(BIN)/python -c "import triton" 2>/dev/null || \
	    $(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[dev,triton]'; }; \
	fi
	@touch $@

demo: setup
	$(BIN)/tokennet demo

test: setup
	$(BIN)/python -m pytest -m "not slow and not gpu" -n $(WORKERS) --dist worksteal tests

typecheck: setup
	$(BIN)/python -m pytest --typecheck -m "not slow and not gpu" -n $(WORKERS) --dist worksteal $(TYPED)

test-slow: setup
	$(BIN)/python -m pytest -m "slow and not gpu" -n $(WORKERS) --dist worksteal tests

test-gpu: setup
	$(BIN)/python -m pytest -m gpu tests

# timm needs torchvision, each build of which loads beside one build of torch. So both lie in a
# folder of their own, without what they depend on; tests/timm_support.py makes them load.
timm: .timm/.ready

.timm/.ready: | setup
	@rm -rf .timm && { $(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install -q uv; }
	@links="$${PIP_FIND_LINKS:-$$($(PYTHON) -m pip config get global.find-links 2>/dev/null)}" && \
	  if [ -n "$$links" ]; then export UV_FIND_LINKS="$$links"; fi && \
	  $(BIN)/python -m uv pip install -q --python $(BIN)/python --no-deps --target .timm $(TIMM) torchvision
	@touch $@

test-timm: timm
	PYTHONPATH=.timm $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/test_interop_timm*.py

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

reference: setup
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_positions.py
	$(BIN)/python docs/make_families.py
	$(BIN)/python docs/make_kernels.py
	$(BIN)/python docs/make_tasks.py

check: lint types test

clean:
	rm -rf .venv .timm
