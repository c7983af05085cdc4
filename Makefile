# make demo: install and plan the social-media scenario.   make test: install and run the tests.
.PHONY: demo notebook strip-notebooks test check check-examples coverage bench bench-planner bench-traces bench-whatif bench-check gallery clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCENARIO ?= examples/social-media.yaml
ENGINE_TESTS := tests/test_compiled_engine.py tests/test_laws.py tests/test_parity.py tests/test_pieces.py \
	tests/test_quantiles.py tests/test_reference_engine.py tests/test_result.py tests/test_routing.py tests/test_summary.py \
	tests/test_trials.py tests/test_constraints.py

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/developing: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

demo: $(VENV)/installed
	mkdir -p out
	$(BIN)/pipesim plan $(SCENARIO) --out out/report.json --plan-out out/plan.yaml
	@echo
	@echo "The plan that was written, simulated again:"
	$(BIN)/pipesim simulate $(SCENARIO) --plan out/plan.yaml

# LAB has options of JupyterLab: make notebook LAB="--no-browser --port=9000"
notebook: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group notebook
	$(BIN)/jupyter lab --FileContentsManager.preferred_dir=notebooks $(LAB)

# Notebooks as they are stored: without outputs, with no metadata but the kernel and the tests' parameters.
CLEAR := --ClearMetadataPreprocessor
strip-notebooks: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group notebook
	$(BIN)/jupyter nbconvert --log-level=WARN --clear-output $(CLEAR).enabled=True \
		$(CLEAR).preserve_nb_metadata_mask=kernelspec $(CLEAR).preserve_cell_metadata_mask=tags \
		$(CLEAR).preserve_cell_metadata_mask=small notebooks/*.ipynb

test: $(VENV)/developing
	$(BIN)/pytest -n auto

check: $(VENV)/developing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What the examples cost and how fast they are, against the baseline: all is evaluated anew, as pipesim itself may change.
check-examples: $(VENV)/installed
	$(BIN)/pipesim check --recheck --seeds 2

# The kernels as plain Python, so that what no test reaches in them is seen.
coverage: $(VENV)/developing
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest -n auto -m "not slow" --cov=pipesim.engine $(ENGINE_TESTS)

bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python benchmarks/engines.py

bench-planner: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python benchmarks/planner.py

# The pictures of docs/gallery.md; the same bytes for the same versions of pipesim and matplotlib.
gallery: $(VENV)/installed
	$(BIN)/python docs/make_gallery.py

bench-traces: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python benchmarks/traces.py

bench-whatif: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python benchmarks/whatif.py

bench-check: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python benchmarks/check.py

clean:
	rm -rf $(VENV) out
