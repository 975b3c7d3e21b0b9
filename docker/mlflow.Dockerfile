# The MLflow server, with users, a PostgreSQL store and S3 artifacts: nothing of this project but its lock.
# Build from the root of the repository: docker build -f docker/mlflow.Dockerfile -t croma-mlflow .
ARG BASE_IMAGE=python:3.11-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS base
# hadolint ignore=DL3008
RUN command -v python3 >/dev/null || { \
      apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
      && rm -rf /var/lib/apt/lists/*; }

FROM base AS install
WORKDIR /src
ENV PIP_CONSTRAINT=/src/constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY constraints.txt ./
# The extra "server" of pyproject.toml, without the project that it would bring.
# hadolint ignore=DL3013
RUN python3 -m venv /opt/mlflow \
 && /opt/mlflow/bin/pip install boto3 "mlflow[auth]" psycopg2-binary \
 && /opt/mlflow/bin/pip uninstall -y pip

FROM base
LABEL org.opencontainers.image.title="croma-mlflow" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --create-home --uid 10001 mlflow && mkdir /work && chown mlflow /work
COPY --from=install /opt/mlflow /opt/mlflow
# The server's job runner (scorers for language models) costs 1.4 GB and serves nothing here.
ENV PATH=/opt/mlflow/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    MLFLOW_DISABLE_TELEMETRY=true \
    DO_NOT_TRACK=1
USER 10001
WORKDIR /work
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
CMD ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000", "--workers", "1", "--app-name", "basic-auth"]
