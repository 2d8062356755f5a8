# Every verb sets up .venv by itself. PYTHON=/path/to/python3.12 chooses another interpreter.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for each in python3.11 python3.12 python3; do \
	$$each -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null && { echo $$each; break; }; done)

.PHONY: demo test soak matrix check serve bench loadtest clean

demo: $(VENV)/installed  ## export MiniLM, serve it, ask it questions
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python examples/demo.py

test: $(VENV)/installed  ## all tests but the slow ones
	$(BIN)/pytest -m "not slow"

soak: $(VENV)/installed  ## the slow tests
	$(BIN)/pytest -m slow

FAMILIES ?= all
matrix: $(VENV)/installed  ## every family with every task, into docs/models.md; FAMILIES=bert,roberta for some
	$(BIN)/pytest tests/integration/matrix -k test_cell --matrix '$(FAMILIES)' --update-models

check: $(VENV)/installed  ## linters, types and unit tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -q tests/unit

serve: $(VENV)/installed  ## serve model_repository on loopback
	$(BIN)/encserve serve

bench: $(VENV)/installed  ## end to end beside sentence-transformers, in one run
	$(BIN)/python benchmarks/throughput.py

loadtest: $(VENV)/installed  ## capacity of the server that runs on localhost:8001
	$(BIN)/encserve plan --model minilm --p99 200ms --rate 2000 --replica-cost-per-hour 1.2 --report plan.html

clean:  ## remove .venv and the generated repository
	rm -rf $(VENV) model_repository/*/

$(VENV)/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "encserve's local server needs Python 3.11 or 3.12, and none of python3.11, python3.12" \
		"and python3 ($$(python3 --version 2>&1)) is one. Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "setting up $(VENV) with $$($(PYTHON) --version): torch, Triton and the rest, about 2 GB; some minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --progress-bar on -c constraints.txt -e '.[dev,export,loadtest,server]' | grep -v 'already satisfied'
	@touch $@
