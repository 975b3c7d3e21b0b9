# The build wing: reads imagery, writes datasets, schedules. GDAL comes inside the rasterio wheel; there is no torch.
# Build from the root of the repository: docker build -f docker/build.Dockerfile -t croma-build .
# With Ray, for the nodes that fill shards and flows that let them: --build-arg RAY=1 -t croma-build:ray
ARG BASE_IMAGE=python:3.11-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS base
# A bare Debian has no Python; the default base has one, and nothing is installed on it.
# hadolint ignore=DL3008
RUN command -v python3 >/dev/null || { \
      apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
      && rm -rf /var/lib/apt/lists/*; }

FROM base AS install
ARG RAY=
WORKDIR /src
ENV PIP_CONSTRAINT=/src/constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv /opt/croma
# The packages first, over an empty project, so that a change of code leaves this layer as it is.
COPY pyproject.toml constraints.txt README.md ./
RUN mkdir croma flows && touch croma/__init__.py flows/__init__.py \
 && /opt/croma/bin/pip install ".[build,flows,kubernetes]" \
 && if [ -n "$RAY" ]; then /opt/croma/bin/pip install ".[ray]"; fi
COPY croma croma
COPY flows flows
RUN /opt/croma/bin/pip install --no-deps --force-reinstall . \
 && /opt/croma/bin/pip uninstall -y pip setuptools

FROM base
ARG CODE_VERSION=unknown
LABEL org.opencontainers.image.title="croma-build" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${CODE_VERSION}"
RUN useradd --create-home --uid 10001 croma && mkdir /work && chown croma /work
COPY --from=install /opt/croma /opt/croma
ENV PATH=/opt/croma/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CROMA_CODE_VERSION=${CODE_VERSION} \
    CROMA_HOME=/work/.croma \
    PREFECT_HOME=/work/.prefect \
    PREFECT_WORKER_WEBSERVER_HOST=127.0.0.1 \
    DO_NOT_TRACK=1
USER 10001
WORKDIR /work
# The worker answers only while it polls; a flow run in this image has no such port and needs no such check.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health', timeout=4)"]
CMD ["prefect", "worker", "start", "--pool", "croma-build", "--with-healthcheck"]
