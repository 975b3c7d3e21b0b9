"""What a build counts for Prometheus. Prefect serves it at port 4201 where PREFECT_CLIENT_METRICS_ENABLED is true."""

from prometheus_client import Counter

from croma.building.work import Filled

SHARDS = Counter("croma_shards", "Shards stored", ["dataset"])
CHIPS = Counter("croma_chips", "Chips stored", ["dataset"])
BYTES = Counter("croma_shard_bytes", "Bytes of shards stored", ["dataset"])
REFUSED = Counter("croma_refused", "Pairs refused when they were cut, by reason", ["dataset", "reason"])


def count(uri: str, filled: Filled) -> None:
    """Count a shard of the dataset at `uri`."""
    dataset = uri.rstrip("/").rpartition("/")[2]
    SHARDS.labels(dataset).inc()
    CHIPS.labels(dataset).inc(filled.chips)
    BYTES.labels(dataset).inc(filled.bytes)
    for reason, pairs in filled.refused.items():
        REFUSED.labels(dataset, reason).inc(pairs)
