# Two commands: `make demo` and `make test`. Each does all of its own set-up.
PORT ?= 8080
PYTHON := .venv/bin/python

.PHONY: setup demo test check differential crash chaos bench rolling docs lock clean
setup:            ## virtual environment from requirements.lock, GraphiQL page from npm
	@sh docker/setup

demo: setup       ## six simulated source systems, a first data return, and the gateway on PORT
	@exec .venv/bin/gateway demo --port $(PORT)

test: setup       ## every test; starts its own servers
	@sh docker/check test

check: setup      ## what people and CI run: format, lint, types, layers, mappings, tests
	@sh docker/check

differential: setup  ## 50,000 random operations: compiled answers against the stock executor's
	@$(PYTHON) -m contract_tests.differential --operations 50000

crash: setup      ## kill workers at every named point, DURATION seconds (600) from SEED (1) on, then plant bugs; the last line is one JSON object
	@$(PYTHON) -m contract_tests.crash --duration $(or $(DURATION),600) --seed $(or $(SEED),1)

chaos: setup      ## two, then eight workers over a PostgreSQL that restarts, killed, stopped and woken, for DURATION seconds (600)
	@$(PYTHON) -m contract_tests.crash.chaos --duration $(or $(DURATION),600) --seed $(or $(SEED),1)

bench: setup      ## make bench NAME=<name>: a table, and as its last line one JSON object
	@test -n "$(NAME)" || { echo "usage: make bench NAME=<name>; one of:"; ls contract_tests/benchmarks/*.py | xargs -n1 basename | sed 's/\.py$$//'; exit 2; }
	@$(PYTHON) -m contract_tests.benchmarks.$(NAME)

rolling: setup    ## 20 rolling restarts of two workers under load; fails when one request does
	@$(PYTHON) -m contract_tests.benchmarks.rolling

docs: setup       ## data dictionary and schema reference, from the specification, into docs/site
	@.venv/bin/gateway docs --out docs/site

lock:             ## pin every dependency again, with hashes and without any registry's address
	@uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-header --quiet -o requirements.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache console/node_modules gateway/console/static var
