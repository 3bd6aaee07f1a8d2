# `make help` lists the targets. All of them work in .venv, which `install` makes and keeps up to date.

BIN   := .venv/bin
STAMP := .venv/.installed-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
ARGS  ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test parity faults check format fuzz bench model deploy-check clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv and install everything into it (at once when nothing changed)

$(STAMP):
	@sh .ci/install $@

demo: install ## migrate a real corpus under live traffic and prove that nothing was lost
	@$(BIN)/python -m tests.demo $(ARGS)

test: install ## run the tests; ARGS="-k name -x" goes to pytest
	@$(BIN)/python -m pytest $(ARGS)

parity: install ## the same requests to Qdrant's engine and to vecferry on Postgres; PROFILE=deep, ARGS="words of a row"
	@$(BIN)/python -m tests.parity --profile $(or $(PROFILE),fast) $(ARGS)

check: install ## lint, format, types, import contracts
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy && $(BIN)/lint-imports

format: install ## apply the formatter and the safe fixes
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

faults: install ## hurt a running system in every way there is; SEED=n, LIMIT=seconds, ARGS="words of a drill's name"
	@$(BIN)/python -m tests.faults $(ARGS)

fuzz: install ## send made-up requests to both stores; ARGS="SECONDS SEED" (600 seconds, a seed of the clock)
	@$(BIN)/python -m tests.fuzz $(ARGS)

bench: install ## measure against the peers named in docs/benchmarks.md; ARGS="words of a case"
	@$(BIN)/python -m tests.bench $(ARGS)

model: install ## explore the models of the protocol completely; installs spin as root on Debian and Ubuntu
	@sh .ci/spin && $(BIN)/python -m tests.model $(ARGS)

deploy-check: install ## check everything under deploy/ that can be checked without a container engine
	@$(BIN)/python -m pytest tests/deploy $(ARGS)

clean: ## remove caches and build results, keep .venv
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
