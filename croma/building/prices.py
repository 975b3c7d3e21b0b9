"""What a provider asks for, to tell what a build will cost."""

from croma.document import Document


class Prices(Document):
    """What a provider asks for."""

    currency: str = "USD"
    read_gb: float = 0.0
    """For a gigabyte read from the catalog's storage."""
    requests_million: float = 0.0
    """For a million requests to it."""
    stored_gb_month: float = 0.0
    """For a gigabyte of the dataset, each month."""
    worker_hour: float = 0.0
    """For an hour of one training worker: of its GPU, with the machine around it."""
    read_mb_per_second: float = 200.0
    """What a machine reads, all its threads together."""
