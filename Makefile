# Each target is one of the project's own commands in the environment that tools/bootstrap.py makes.
PYTHON ?= python3

.PHONY: run ui summary test check clean

run: ## materialise the whole graph and sum up
	@$(PYTHON) tools/bootstrap.py pipeline
	@.venv/bin/marvel run

ui: ## serve Dagster's and MLflow's pages on this machine
	@$(PYTHON) tools/bootstrap.py pipeline
	@.venv/bin/marvel ui

summary: ## tell what the home holds
	@.venv/bin/marvel summary

check: ## lint, format and types
	@$(PYTHON) tools/bootstrap.py pipeline spark dev
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

test: check ## every test, after lint and types
	@.venv/bin/python -m pytest

clean: ## delete the environment; what was made stays in MARVEL_HOME
	@rm -rf .venv .env
