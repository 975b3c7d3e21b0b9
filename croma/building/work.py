"""A planned shard as a piece of work for any process of any machine: addresses go in, a few numbers come out."""

from collections import Counter
from typing import NamedTuple

from croma.building.fill import fill
from croma.building.prepare import read_plan
from croma.catalog.signing import default_signer


class Filled(NamedTuple):
    """What has become of a planned shard."""

    card: str
    """Id of its card."""
    chips: int
    bytes: int
    refused: dict[str, int]
    """Pairs by reason."""


def fill_planned(uri: str, plan: str, shard: str) -> Filled:
    """Fill a shard of the plan stored at `plan` into the dataset at `uri`; one that is there already is left.

    Raises:
        InputError: there is no such plan.
        TransientError: as `fill`.
    """
    card = fill(read_plan(plan, shard), uri, default_signer())
    reasons = Counter(rejection.reason for rejection in card.rejections)
    return Filled(card.id, card.samples, card.bytes, dict(reasons))
