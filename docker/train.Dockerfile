# The learn wing: trains on Ray, judges, tracks. There is no GDAL.
# GPU:  docker build -f docker/train.Dockerfile -t croma-train .
# CPU:  docker build -f docker/train.Dockerfile -t croma-train:cpu --build-arg ACCELERATOR=cpu .
ARG BASE_IMAGE=python:3.11-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS base
# gcc builds the kernels of torch.compile where the job runs; KubeRay asks a node for its health with wget.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev procps wget \
 && { command -v python3 >/dev/null || apt-get install -y --no-install-recommends python3-dev python3-venv; } \
 && rm -rf /var/lib/apt/lists/*

FROM base AS install
ARG ACCELERATOR=gpu
ARG TORCH=2.13.0
ARG TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /src
ENV PIP_CONSTRAINT=/src/constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv /opt/croma
# torch is pinned here and not in the lock: its CPU build has another version than its CUDA build.
COPY constraints.txt ./
RUN if [ "$ACCELERATOR" = cpu ]; \
    then /opt/croma/bin/pip install "torch==$TORCH+cpu" --extra-index-url "$TORCH_CPU_INDEX"; \
    else /opt/croma/bin/pip install "torch==$TORCH"; fi
# The packages first, over an empty project, so that a change of code leaves this layer as it is.
COPY pyproject.toml README.md ./
RUN mkdir croma flows && touch croma/__init__.py flows/__init__.py \
 && /opt/croma/bin/pip install ".[train,flows]"
COPY croma croma
COPY flows flows
RUN /opt/croma/bin/pip install --no-deps --force-reinstall . \
 && /opt/croma/bin/pip uninstall -y pip

FROM base
ARG CODE_VERSION=unknown
LABEL org.opencontainers.image.title="croma-train" \
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
    RAY_AUTH_MODE=token \
    RAY_USAGE_STATS_ENABLED=0 \
    MLFLOW_DISABLE_TELEMETRY=true \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    DO_NOT_TRACK=1
USER 10001
WORKDIR /work
# Every Ray node, head or worker, has an agent that tells whether its raylet lives.
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s --retries=3 \
  CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:52365/api/local_raylet_healthz', timeout=4)"]
CMD ["ray", "start", "--head", "--block", "--num-cpus=0"]
