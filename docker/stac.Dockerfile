# A STAC API over pgstac for catalogs of one's own: stac-fastapi with the versions that the tests run.
ARG BASE_IMAGE=python:3.11-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS base
# hadolint ignore=DL3008
RUN command -v python3 >/dev/null || { \
      apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
      && rm -rf /var/lib/apt/lists/*; }

FROM base AS install
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY infra/local/stack/stac-requirements.txt /src/requirements.txt
RUN python3 -m venv /opt/stac \
 && /opt/stac/bin/pip install -r /src/requirements.txt \
 && /opt/stac/bin/pip uninstall -y pip

FROM base
LABEL org.opencontainers.image.title="croma-stac" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --create-home --uid 10001 stac
COPY --from=install /opt/stac /opt/stac
ENV PATH=/opt/stac/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/_mgmt/ping', timeout=4)"]
CMD ["uvicorn", "--factory", "stac_fastapi.pgstac.app:create_app", "--host", "0.0.0.0", "--port", "8080"]
