# Every target works on a fresh clone: the first use makes .venv from the pinned, hashed requirements.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := app operator tests
TEST_PROCESSES ?= 4
# Tests on a cluster mostly wait.
E2E_PROCESSES ?= 3
# For `make test-database`: PostgreSQL's major version, 17 with TimescaleDB 2.19 or 18 with 2.31, and what is run on it.
POSTGRESQL ?= 18
DATABASE_TESTS ?= tests/integration tests/faults
FUZZ_S ?= 600
# What the image is called; docker-compose.yaml and the chart use the same version.
IMAGE ?= analytics-ingestor:0.1.0
IMAGE_OPTIONS ?=

.DEFAULT_GOAL := help
.PHONY: help run test test-lowest test-database measure faults fuzz compose-test e2e dashboards lint format proto proto-release crd docs lock bench image ci clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.made: requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.12"; exit 1; }
	@echo "Making .venv (once, about half a minute) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: .venv/.made ## Run the whole thing here: TimescaleDB, schema, server, real metrics; Ctrl-C stops it
	@exec $(BIN)/ingestor dev

# TimescaleDB with its community features, for the tests of the schema engine.
tests/community/node_modules/.made: tests/community/package.json
	@cd tests/community && npm install --silent --no-audit --no-fund
	@touch $@

test: .venv/.made tests/community/node_modules/.made ## Run every test that needs no cluster, on a machine of any speed
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist loadgroup -m "not alone and not compose and not e2e"

test-lowest: .venv/.made ## Try the oldest libraries that pyproject.toml allows: every module, the commands
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/lowest
	$(BIN)/uv pip install --quiet --python build/lowest --resolution lowest-direct .
	build/lowest/bin/python tests/support/import_everything.py
	build/lowest/bin/ingestor key
	build/lowest/bin/ingestor load --help >/dev/null

measure: .venv/.made ## Measure what is promised of time and memory, on a machine that does nothing else
	$(BIN)/pytest -m "alone and not e2e"

test-database: .venv/.made ## Run the tests that need a database on another of Debian's: POSTGRESQL=17 or 18 (18)
	TEST_POSTGRESQL=$(POSTGRESQL) $(BIN)/pytest -n $(TEST_PROCESSES) --dist loadgroup -m "not alone" --ignore tests/integration/schema/community $(DATABASE_TESTS)

faults: .venv/.made ## Storm of faults from a seed: nothing acked is lost, nothing doubled; FAULTS='--seed 7 --pooler transaction'
	PYTHONPATH=tests $(BIN)/python -u -m faults.storm $(FAULTS)

fuzz: .venv/.made ## Fuzz decoder, property tests and a server, FUZZ_S seconds each (600)
	@for target in decoder structured server; do \
	  echo "fuzz $$target"; (cd tests && ../$(BIN)/python -m fuzz.$$target -max_total_time=$(FUZZ_S)) || exit 1; \
	done

lint: .venv/.made ## Format check, lint, types, import layers, protobuf rules
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	cd proto && ../$(BIN)/buf lint && ../$(BIN)/buf breaking --against baseline.binpb

format: .venv/.made ## Format the code
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

proto: .venv/.made ## Generate app/analytics from proto/
	$(BIN)/python -m grpc_tools.protoc -I proto --python_out=app --pyi_out=app $$(cd proto && find analytics -name '*.proto' | sort)

proto-release: .venv/.made ## Take today's proto/ as what `buf breaking` compares with; at a release only
	cd proto && ../$(BIN)/buf build -o baseline.binpb

crd: .venv/.made ## Write the CRD of the chart from the operator's models
	$(BIN)/python -m ingestor_operator.crd >helm/analytics-ingestor/files/crds/ingestors.yaml

docs: .venv/.made ## Write the generated parts of the docs, and the dashboards
	cd tests && ../$(BIN)/python -m support.settings_table && ../$(BIN)/python -m support.helm_values && ../$(BIN)/python -m support.api_reference && ../$(BIN)/python -m dashboards.files

lock: .venv/.made ## Pin requirements.txt and requirements-dev.txt anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --python-version 3.11 -o requirements.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --python-version 3.11 --extra dev -c requirements.txt -o requirements-dev.txt pyproject.toml

bench: .venv/.made ## Measure the whole ladder (6 minutes) and write docs/benchmarks.md
	$(BIN)/ingestor bench --report docs/benchmarks.md

image: ## Build the container image with docker, podman or buildah, the first that answers
	@for tool in docker podman buildah; do \
	  if $$tool info >/dev/null 2>&1; then \
	    exec $$tool build $(IMAGE_OPTIONS) --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) --tag $(IMAGE) .; \
	  fi; \
	done; echo "Neither docker nor podman nor buildah answers: install one, or start it"; exit 1

compose-test: .venv/.made ## Bring docker-compose.yaml up with podman-compose and prove that points are stored
	$(BIN)/pytest -m compose tests/compose

e2e: export E2E_RUN := $(shell date +%s)
e2e: .venv/.made ## Test on the cluster of E2E_CONTEXT, with the images in E2E_IMAGE and E2E_DATABASE_IMAGE
	$(BIN)/pytest -n $(E2E_PROCESSES) --dist loadfile --no-loadscope-reorder -m "e2e and not alone" --durations=20 tests/e2e
	$(BIN)/pytest -m "e2e and alone" --log-cli-level=INFO --durations=5 tests/e2e

dashboards: .venv/.made ## Show what every panel shows, on the cluster of E2E_CONTEXT: a table here, pictures in build/dashboards
	$(BIN)/pytest -m e2e --log-cli-level=INFO --log-cli-format='%(message)s' tests/e2e/test_dashboards.py

ci: lint test measure ## What CI runs

clean: ## Remove what was built here; the local database stays
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
