# One image for the API and for the runs; `command` of the task says which. No entry point, so it may be any command:
#   docker build --tag retail-warehouse .
#   docker run --rm retail-warehouse dbt build
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS base
# LightGBM loads the system's OpenMP library, which slim images lack.
RUN ldconfig -p | grep --quiet 'libgomp\.so\.1' || { \
        apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*; }

FROM base AS install
# pip stays in this stage: it installs into an environment that has none.
RUN python3 -m venv /opt/install && python3 -m venv --without-pip /opt/venv
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_PYTHON=/opt/venv/bin/python
COPY requirements-image.txt /src/
RUN /opt/install/bin/pip install --require-hashes --no-deps --only-binary :all: --requirement /src/requirements-image.txt
COPY pyproject.toml README.md LICENSE /src/
COPY retail_warehouse /src/retail_warehouse
RUN /opt/install/bin/pip install --no-deps --no-build-isolation /src \
    && /opt/install/bin/pip uninstall --yes flit_core

FROM base
# What official images bring along and nothing here runs.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip /usr/local/lib/python3*/site-packages/pip-* \
    && useradd --uid 1000 --create-home retail \
    && install --directory --owner retail --group retail /project
COPY --from=install /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DBT_PROFILES_DIR=/project \
    DBT_SEND_ANONYMOUS_USAGE_STATS=false
WORKDIR /project
# They belong to root: the program can write beside them, not into them.
COPY dbt_project.yml selectors.yml profiles.yml.example ./
COPY profiles.yml.example profiles.yml
COPY macros macros
COPY models models
COPY analyses analyses
COPY seeds seeds
COPY tests/generic tests/generic
COPY tests/singular tests/singular
COPY docs docs
COPY assets assets
USER retail
# The rules of the API, which it would compile at its start otherwise, for 20 seconds.
RUN python -c 'from pathlib import Path; from retail_warehouse.streaming.rules import load; load(Path.cwd())'
EXPOSE 8000
CMD ["retail-warehouse", "serve", "--host", "0.0.0.0", "--port", "8000"]
