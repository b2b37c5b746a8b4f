# Each target is one of the project's own commands in the environment that tools/bootstrap.py makes.
PYTHON ?= python3
PROFILE ?= embedded
FAULTS ?= sample
IN_PROFILE = @$(PYTHON) tools/bootstrap.py $(PROFILE)
IN_DEVELOPMENT = @$(PYTHON) tools/bootstrap.py development

.PHONY: run ui serve summary doctor spark-server test-quick test test-faults check bench clean

run: ## materialise the whole graph and sum up; PROFILE=embedded, spark or databricks
	$(IN_PROFILE) marvel run

ui: ## serve Dagster's and MLflow's pages on this machine
	$(IN_PROFILE) marvel ui

serve: ## put the custom model under latest-model behind HTTP on this machine
	$(IN_PROFILE) marvel serve

summary: ## tell what the home holds
	$(IN_PROFILE) marvel summary

doctor: ## tell what the profile still lacks, before anything is trained
	$(IN_PROFILE) marvel doctor

spark-server: ## serve Spark with Delta to many runs, until Ctrl+C
	@$(PYTHON) tools/bootstrap.py spark marvel spark-server

check: ## lint, format and types
	$(IN_DEVELOPMENT) ruff check .
	$(IN_DEVELOPMENT) ruff format --check .
	$(IN_DEVELOPMENT) mypy

test-quick: check ## lint, types and the unit tests: a first answer in two minutes
	$(IN_DEVELOPMENT) pytest -m "not (integration or spark or browser or slow or faults)"

test: check ## lint, types and every test, with a sample of each kind of fault
	$(IN_DEVELOPMENT) pytest

test-faults: ## break things on purpose: a sample of each kind, or all with FAULTS=all
	@FAULTS=$(FAULTS) $(PYTHON) tools/bootstrap.py development pytest marvel_assets_tests/faults

bench: ## ratios over the floor, taken on this machine (half an hour); BENCH="graph cleaning" measures these alone
	$(IN_DEVELOPMENT) python -W ignore -m benchmarks $(BENCH)

clean: ## delete the environments; what was made stays in MARVEL_HOME
	@rm -rf .venv .venv-databricks .env
