# The S3 server of the local stack: Ceph as Debian ships it, on one volume. For a machine, not for a data centre.
ARG BASE_IMAGE=debian:bookworm-slim

# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="croma-s3" org.opencontainers.image.licenses="Apache-2.0"
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ceph-mon ceph-osd curl radosgw \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 s3 && mkdir /data && chown s3 /data
COPY docker/s3-server.sh /usr/local/bin/s3-server
USER 10001
VOLUME /data
ENV S3_DATA=/data S3_HOST=0.0.0.0 S3_PORT=7480
EXPOSE 7480
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
  CMD ["curl", "--silent", "--output", "/dev/null", "http://127.0.0.1:7480"]
CMD ["s3-server"]
