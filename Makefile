# Each target is one of the project's own commands in the environment that tools/bootstrap.py makes.
PYTHON ?= python3
PROFILE ?= embedded
FAULTS ?= sample
IN_PROFILE = @$(PYTHON) tools/bootstrap.py $(PROFILE)
IN_DEVELOPMENT = @$(PYTHON) tools/bootstrap.py development
AT_PORT = $(if $(PORT),--port $(PORT))

.PHONY: help run ui serve summary doctor spark-server lint check test-quick test test-faults bench clean

help: ## show these targets
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## materialise the whole graph and sum up; PROFILE=embedded, spark or databricks
	$(IN_PROFILE) marvel run

ui: ## serve Dagster's and MLflow's pages on this machine; PORT=3000 MLFLOW_PORT=5000
	$(IN_PROFILE) marvel ui $(AT_PORT) $(if $(MLFLOW_PORT),--mlflow-port $(MLFLOW_PORT))

serve: ## put the custom model under latest-model behind HTTP on this machine; PORT=5001
	$(IN_PROFILE) marvel serve $(AT_PORT)

summary: ## show what the home holds
	$(IN_PROFILE) marvel summary

doctor: ## show what the profile still lacks, before anything is trained
	$(IN_PROFILE) marvel doctor

spark-server: ## serve Spark with Delta to many runs, until Ctrl+C; PORT=15002
	@$(PYTHON) tools/bootstrap.py spark marvel spark-server $(AT_PORT)

lint: ## lint and format
	$(IN_DEVELOPMENT) ruff check .
	$(IN_DEVELOPMENT) ruff format --check .

check: lint ## these, and types
	$(IN_DEVELOPMENT) mypy

# Of the tests, one asks mypy: a minute where it has no cache yet, in which the others go on.
test-quick: lint ## lint, types and the unit tests: a first answer
	$(IN_DEVELOPMENT) pytest -m "not (integration or spark or browser or slow or faults)"

test: lint ## lint, types and every test but the slow faults
	$(IN_DEVELOPMENT) pytest -m "not (faults and slow)"

test-faults: ## break things on purpose, slow faults too: a sample of each kind, or all with FAULTS=all
	@FAULTS=$(FAULTS) $(PYTHON) tools/bootstrap.py development pytest marvel_assets_tests/faults

bench: ## ratios over the floor, taken on this machine (three quarters of an hour); BENCH="graph cleaning" measures these alone
	$(IN_DEVELOPMENT) python -W ignore -m benchmarks $(BENCH)

clean: ## delete the environments; what was made stays in MARVEL_HOME
	@rm -rf .venv .venv-databricks .cache
