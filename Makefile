# Every target works on a fresh clone: the first use makes .venv from the pinned, hashed requirements.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := app tests
TEST_PROCESSES ?= 4

.DEFAULT_GOAL := help
.PHONY: help run test lint format proto proto-release docs lock bench ci clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.made: requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.12"; exit 1; }
	@echo "Making .venv (once, about half a minute) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: .venv/.made ## Run the whole thing here: TimescaleDB, schema, server, real metrics; Ctrl-C stops it
	@exec $(BIN)/ingestor dev

test: .venv/.made ## Run every test that needs no cluster
	$(BIN)/pytest -n $(TEST_PROCESSES) -m "not alone"
	$(BIN)/pytest -m alone

lint: .venv/.made ## Format check, lint, types, import layers, protobuf rules
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd proto && ../$(BIN)/buf lint && ../$(BIN)/buf breaking --against baseline.binpb

format: .venv/.made ## Format the code
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

proto: .venv/.made ## Generate app/analytics from proto/
	$(BIN)/python -m grpc_tools.protoc -I proto --python_out=app --pyi_out=app $$(cd proto && find analytics -name '*.proto' | sort)

proto-release: .venv/.made ## Take today's proto/ as what `buf breaking` compares with; at a release only
	cd proto && ../$(BIN)/buf build -o baseline.binpb

docs: .venv/.made ## Write the generated parts of the docs
	cd tests && ../$(BIN)/python -m support.settings_table

lock: .venv/.made ## Pin requirements.txt and requirements-dev.txt anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --python-version 3.11 -o requirements.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --python-version 3.11 --extra dev -c requirements.txt -o requirements-dev.txt pyproject.toml

bench: .venv/.made ## First figures: columns, rows and single calls against the physical limit
	$(BIN)/ingestor bench

ci: lint test ## What CI runs

clean: ## Remove what was built here; the local database stays
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
