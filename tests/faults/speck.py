"""A speck of a world, and builds of it: what the tests of this folder disturb."""

import hashlib
import json
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from croma import storage
from croma.building.fill import UNSIGNED, fill
from croma.building.prepare import prepare, read_plan
from croma.building.seal import seal
from croma.building.spec import BuildSpec
from croma.errors import TransientError
from croma.raster.read import Signer
from croma.shards import ledger
from croma.shards.dataset import Dataset, open_dataset
from croma.simulate.server import absolute
from croma.simulate.spec import OPTICAL, RADAR, WorldSpec

WORLD = WorldSpec(tile=252, step=228, optical=OPTICAL[2:4], radar=RADAR[5:6])
"""One date on four tiles of 2.5 km in two zones, a datatake that was processed twice among them."""

RECIPE: dict[str, Any] = {
    "name": "speck",
    "area": {"bbox": (11.9, 54.2, 12.1, 54.4)},
    "window": {"start": "2021-01-01", "end": "2022-12-31"},
    "chip_size": 48,
    "placement": {"kind": "lattice", "step": 480},
    "quality": {"max_cloud": 0.3},
    "split": {"block_km": 0.96, "val": 0.25, "test": 0.25},
    "chips_per_shard": 12,
}
"""Without labels, which take most of the time of so small a build."""


def spec(**changes: Any) -> BuildSpec:
    """The recipe of the speck, with changes."""
    return BuildSpec.parse(RECIPE | changes, "speck")


def items(world: Path, base: str) -> list[dict[str, Any]]:
    """Items of the world in a folder, their files at `base`."""
    return list(absolute(json.loads((world / "items.json").read_text()), base)["features"])


def build(recipe: BuildSpec, catalog: str, uri: str, signer: Signer = UNSIGNED) -> Dataset:
    """Search, plan, fill and seal, as the flow does in its tasks."""
    prepared = prepare(recipe, catalog, uri)
    cards = [fill(read_plan(prepared.plan, shard), uri, signer) for shard in prepared.shards]
    return open_dataset(seal(uri, cards, {}, recipe.quality.fingerprint))


def build_at_last(*job: Any, runs: int = 12) -> tuple[Dataset, list[TransientError]]:
    """`build`, again and again while it stops for what may pass; the sentences of those that stopped."""
    stopped: list[TransientError] = []
    for _ in range(runs):
        try:
            return build(*job), stopped
        except TransientError as error:
            assert_clear(error)
            stopped.append(error)
    raise AssertionError([str(error) for error in stopped])


def assert_clear(error: Exception) -> None:
    """One sentence that a person can read, with nothing in it that nobody may."""
    text = str(error)
    assert 20 < len(text) < 500, text
    assert not any(word in text for word in ("\n", "Traceback", "SECRET", "sig=")), text


def crcs(built: Dataset) -> dict[str, int]:
    """Checksum of the bytes of every chip of a version; each is there once."""
    found = dict(zip(built.rows["chip"].to_pylist(), built.rows["crc32"].to_pylist(), strict=True))
    assert len(found) == built.rows.num_rows
    return found


def refusals(uri: str) -> list[dict[str, Any]]:
    """The ledger."""
    address = ledger.ledger_address(uri)
    if not storage.exists(address):
        return []
    table = DeltaTable(address, storage_options=storage.delta_options(address))
    return list(table.to_pyarrow_table().to_pylist())


def refused(uri: str) -> set[tuple[str, str]]:
    """Chip and reason of every entry of the ledger; each is there once."""
    rows = [(row["chip"], row["reason"]) for row in refusals(uri)]
    assert len(rows) == len(set(rows))
    return set(rows)


def unreadable(uri: str) -> list[dict[str, Any]]:
    """The entries of the ledger that blame a file."""
    return [row for row in refusals(uri) if row["reason"] == "unreadable"]


def shards(uri: str) -> dict[str, str]:
    """sha256 of every tar and card of a dataset by its name."""
    found = {}
    for folder in ("cards", "shards/train", "shards/val", "shards/test"):
        for name in storage.list_names(storage.join(uri, folder)):
            if name.startswith("."):
                continue  # what a killed build was writing: nobody takes it for a file
            data = storage.read(storage.join(uri, folder, name))
            found[f"{folder}/{name}"] = hashlib.sha256(data).hexdigest()
    return found
