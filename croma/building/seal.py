"""Sealing: all finished shards of a build become visible as one version of the dataset, or none does."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from croma.errors import InputError
from croma.shards import index, ledger
from croma.shards.card import ShardCard
from croma.shards.dataset import check_shards_exist
from croma.shards.ref import DatasetRef


def seal(root: str, cards: Iterable[ShardCard], note: Mapping[str, str], rule: str = "") -> DatasetRef:
    """Commit the chips of finished shards to the index of the dataset at `root`, and refusals to its ledger.

    Chips that the index holds already are not added again; where nothing is new the version stays.

    Args:
        root: the dataset.
        cards: of all shards of the build; each is looked at once, and only its refusals are kept.
        note: kept with the version: recipe, run, code version.
        rule: fingerprint of the quality that was asked for; under another one, refused pairs are tried again.

    Returns:
        The version that holds all chips of `cards`.

    Raises:
        ContractError: a shard is missing or has not the size of its card.
        InputError: the dataset would be empty; says what every pair was refused for.
        TransientError: storage does not answer.
    """
    kept: list[ShardCard] = []
    version = index.commit(root, _checked(root, cards, kept), note)
    # After the commit: a build that dies between the two cuts what it refused once more, and plans nothing else anew.
    ledger.record(root, kept, rule)
    return DatasetRef(uri=root, version=version)


def _checked(root: str, cards: Iterable[ShardCard], kept: list[ShardCard]) -> Iterator[ShardCard]:
    """The cards, and `kept` without their rows; at the end, before anything is committed, the shards are looked for."""
    for card in cards:
        kept.append(card.model_copy(update={"rows": (), "statistics": {}}))
        yield card
    check_shards_exist(root, kept)
    if not any(card.samples for card in kept) and not index.known_chips(root):
        raise InputError(_nothing(root, kept))


def _nothing(root: str, cards: Sequence[ShardCard]) -> str:
    reasons = Counter(row.reason for card in cards for row in card.rejections)
    if not reasons:
        return (
            f"dataset {root}: there is nothing to seal, no pair was planned; widen the area, the time window or the gap"
        )
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items(), key=lambda r: (-r[1], r[0])))
    example = next(row for card in cards for row in card.rejections if row.reason == reasons.most_common(1)[0][0])
    return (
        f"dataset {root}: every one of {reasons.total()} pairs was refused ({counts}), for example "
        f"{example.chip}: {example.detail}; relax the recipe's quality, or widen its area or time window"
    )
