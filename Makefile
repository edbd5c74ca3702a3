# Every target hands ARGS on: make build ARGS="--select tag:instacart".
ARGS ?=
# Of the documentation.
PORT ?= 8080
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Set, `make build` shows all that dbt says.
VERBOSE ?=
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
# profiles.yml stands in the project's folder.
export DBT_PROFILES_DIR := $(CURDIR)

.DEFAULT_GOAL := help
.PHONY: help build sql check test test-spark test-image lint docs lineage dashboard pages predictions shop stream \
	deploy bench erd picture sample lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.core: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
		f"Python 3.11 to 3.13 is needed, {sys.executable} is {v[0]}.{v[1]}. Name another: make build PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
		echo "The venv module is missing. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing the locked dependencies into $(VENV), about a minute, once:"
	@$(BIN)/python tools/install.py requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.core requirements-dev.txt
	@$(BIN)/python tools/install.py requirements-dev.txt
	@touch $@

$(VENV)/.predictions: $(VENV)/.core requirements-predictions.txt
	@$(BIN)/python tools/install.py requirements-predictions.txt
	@touch $@

$(VENV)/.sql: $(VENV)/.core requirements-sql.txt
	@$(BIN)/python tools/install.py requirements-sql.txt
	@touch $@

$(VENV)/.spark: $(VENV)/.dev requirements-spark.txt
	@$(BIN)/python tools/install.py requirements-spark.txt
	@touch $@

$(VENV)/.dashboard: $(VENV)/.core requirements-dashboard.txt
	@$(BIN)/python tools/install.py requirements-dashboard.txt
	@touch $@

profiles.yml:
	@cp profiles.yml.example profiles.yml
	@echo "Wrote profiles.yml from profiles.yml.example"

build: $(VENV)/.core profiles.yml ## Install what is needed, build and test the warehouse (dbt build; VERBOSE=1: all it says)
	@$(BIN)/retail-warehouse build $(if $(VERBOSE),--verbose) $(ARGS)

sql: $(VENV)/.sql ## Open a prompt for SQL on the warehouse, read-only (.tables lists the tables, .quit ends)
	@file="$${WAREHOUSE_PATH:-warehouse.duckdb}"; \
		test -f "$$file" || { echo "There is no warehouse $$file yet. Build it: make build"; exit 1; }; \
		$(BIN)/duckdb -readonly "$$file" $(ARGS)

check: $(VENV)/.dev profiles.yml ## Check before a commit, in three minutes: lint, parse, build, the quick tests
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -m "not slow" $(ARGS)

# The lint, which takes one processor, beside the first tests.
test: $(VENV)/.dev profiles.yml ## Check everything that CI checks
	@mkdir -p target
	@$(BIN)/python tools/lint.py > target/lint.txt 2>&1 & lint=$$!; \
		$(BIN)/python -m pytest $(ARGS); tests=$$?; \
		wait $$lint && echo "Lint: nothing to mend" || { cat target/lint.txt; exit 1; }; exit $$tests

# What is not there is a failure, not skipped: see tests/python/aws/test_spark.py and test_image.py.
test-spark: $(VENV)/.spark profiles.yml ## Read the Parquet export with Spark (needs Java 17 or 21; installs 500 MB)
	@SPARK_REQUIRED=1 $(BIN)/python -m pytest tests/python/aws/test_spark.py $(ARGS)

test-image: $(VENV)/.dev profiles.yml ## Build the container image and run it (Docker; or Linux as root with buildah, mmdebstrap)
	@IMAGE_REQUIRED=1 $(BIN)/python -m pytest tests/python/aws/test_image.py $(ARGS)

lint: $(VENV)/.dev profiles.yml ## Check the style of SQL, Python and workflows that git tracks
	@$(BIN)/python tools/lint.py

docs: $(VENV)/.core profiles.yml ## Build the documentation and open the lineage browser
	@$(BIN)/python -c 'import socket, sys; sys.exit(socket.socket().connect_ex(("127.0.0.1", $(PORT))) == 0 and \
		"Port $(PORT) is taken by another program. Name another: make docs PORT=8081")'
	@$(BIN)/dbt docs generate $(ARGS)
	@$(BIN)/python -m retail_warehouse.docs_site target
	@$(BIN)/dbt docs serve --port $(PORT)

lineage: $(VENV)/.dev profiles.yml ## Write target/lineage/index.html, the lineage of every column (after make build)
	@$(BIN)/dbt docs generate --quiet $(ARGS)
	@$(BIN)/colibri generate --light --disable-telemetry --output-dir target/lineage

dashboard: $(VENV)/.dashboard profiles.yml ## Write dashboard.html, a page with the answers of both data sets (after make build)
	@$(BIN)/retail-warehouse dashboard $(ARGS)

pages: $(VENV)/.dev profiles.yml ## Write target/pages: documentation, column lineage and dashboard (after make build)
	@mkdir -p target/pages
	@$(BIN)/dbt docs generate --static --quiet $(ARGS)
	@$(BIN)/python -m retail_warehouse.docs_site target
	@cp target/static_index.html target/pages/index.html
	@cp -R target/docs target/pages/
	@$(BIN)/colibri generate --light --disable-telemetry --output-dir target/lineage
	@cp target/lineage/index.html target/pages/lineage.html
	@$(BIN)/retail-warehouse dashboard --out target/pages/dashboard.html

# The marts of Instacart are built first; what is up to date is done quickly.
predictions: $(VENV)/.predictions profiles.yml ## Train on the warehouse, predict every user's next order, and build the tested tables
	@$(BIN)/dbt build --select +tag:features --exclude-resource-type unit_test
	@$(BIN)/retail-warehouse train $(ARGS)
	@$(BIN)/retail-warehouse predict
	@$(BIN)/dbt build --selector predictions --exclude-resource-type unit_test
	@echo
	@echo "The predictions are in the schema predictions of $${WAREHOUSE_PATH:-warehouse.duckdb}; see docs/predictions.md."

shop: $(VENV)/.predictions profiles.yml ## Predict if nothing is predicted yet, and open a page that shows predictions and fills carts
	@$(BIN)/python -c 'import sys; from retail_warehouse.serving.commands import has_predictions; \
		sys.exit(not has_predictions())' || $(MAKE) --no-print-directory predictions ARGS=
	@$(BIN)/retail-warehouse shop $(ARGS)

# All below stream/, beside the warehouse of make build: the rows that arrive are all that is there.
stream: $(VENV)/.core profiles.yml ## Play a file through API, dbt and look-ups (ARGS="--from file.csv --rate 500")
	@mkdir -p stream/files
	@head -n 1 seeds/samples/online_retail/data.csv > stream/files/header.csv
	@WAREHOUSE_PATH=stream/warehouse.duckdb ONLINE_RETAIL_DATA=stream/files ONLINE_RETAIL_LANDING=stream/landing \
		SERVING_STORE=stream/serving.sqlite $(BIN)/retail-warehouse live $(or $(ARGS),--from seeds/samples/online_retail/data.csv)

deploy: $(VENV)/.core ## Deploy to AWS (ARGS="--email you@example.com" the first time; ARGS="--help" lists the rest)
	@$(BIN)/python infrastructure/deploy.py $(ARGS)

bench: $(VENV)/.dev profiles.yml ## Measure the full size against a plain script (ARGS="--users 10000" for less)
	@$(BIN)/python benchmarks/bench.py $(ARGS)

erd: $(VENV)/.dev profiles.yml ## Draw the pictures of schema, lineage and AWS anew (after make build)
	@$(BIN)/dbt docs generate --quiet
	@$(BIN)/python tools/erd.py assets/erd.svg
	@$(BIN)/python tools/lineage_picture.py assets/lineage.svg
	@$(BIN)/python tools/aws_picture.py assets/aws.svg

picture: $(VENV)/.dev profiles.yml ## Draw the pictures of dashboard and shop anew (after make predictions; needs Chromium)
	@$(BIN)/python tools/dashboard_picture.py assets/dashboard.png
	@$(BIN)/python tools/shop_picture.py assets/shop.png

sample: $(VENV)/.core ## Write the bundled samples anew
	@$(BIN)/retail-warehouse generate instacart --out seeds/samples/instacart $(ARGS)
	@$(BIN)/retail-warehouse generate online-retail --out seeds/samples/online_retail $(ARGS)

lock: $(VENV)/.dev ## Write the lock files anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet pyproject.toml --group build --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" \
		--output-file requirements.txt $(ARGS)
	@$(BIN)/uv pip compile --quiet pyproject.toml --group build --extra predictions --constraint requirements.txt \
		--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" --output-file requirements-predictions.txt $(ARGS)
	@$(BIN)/uv pip compile --quiet pyproject.toml --group build --extra dashboard --constraint requirements-predictions.txt \
		--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" --output-file requirements-dashboard.txt $(ARGS)
	@$(BIN)/uv pip compile --quiet --group sql --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" --output-file requirements-sql.txt $(ARGS)
	@$(BIN)/uv pip compile --quiet pyproject.toml --group build --group dev --extra predictions --extra dashboard \
		--constraint requirements-predictions.txt --constraint requirements-dashboard.txt --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" --output-file requirements-dev.txt $(ARGS)
	@$(BIN)/uv pip compile --quiet pyproject.toml --group build --group lineage --extra predictions --extra dashboard \
		--constraint requirements-dev.txt --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" --output-file requirements-image.txt $(ARGS)
	@$(BIN)/uv pip compile --quiet --group spark --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command "make lock" --output-file requirements-spark.txt $(ARGS)

clean: ## Remove what the build made, but the environment and profiles.yml
	rm -rf target logs stream predictions .streaming .runs dashboard.html warehouse.duckdb warehouse.duckdb.wal warehouse.duckdb.tmp \
		warehouse.duckdb.copies
