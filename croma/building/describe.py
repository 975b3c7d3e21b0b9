"""Describing a version: its report and its published metadata, stored beside its statistics.

`versions/<n>/` holds report.html, checks.json, collection.json, items.parquet, croissant.json and README.md.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from croma import storage
from croma.building.publish.card import attribution, card, describe
from croma.building.publish.collection import collection
from croma.building.publish.croissant import croissant
from croma.building.publish.items import write_items
from croma.building.report.checks import Check, run_checks
from croma.building.report.looks import CHIPS, look
from croma.building.report.page import collect, commit_of, render
from croma.document import Document
from croma.errors import InputError
from croma.shards.dataset import Dataset, open_dataset
from croma.shards.ref import DatasetRef


class Description(Document):
    """What is stored with a version."""

    folder: str
    """Address of `versions/<n>`."""
    checks: tuple[Check, ...]

    @property
    def report(self) -> str:
        """Address of the page."""
        return storage.join(self.folder, "report.html")

    @property
    def failed(self) -> tuple[Check, ...]:
        """Checks that found something wrong."""
        return tuple(check for check in self.checks if check.verdict == "failed")


def describe_version(ref: DatasetRef, left_out: Mapping[str, int] | None = None, chips: int = CHIPS) -> Description:
    """Write the report and the metadata of a version, unless they are there.

    Args:
        ref: the version.
        left_out: places that became no pair when it was planned, by reason.
        chips: how many the checks look at.

    Raises:
        InputError: there is no such version, it has no chips, or it was imported.
        ContractError: a chip is damaged.
    """
    dataset = open_dataset(ref)
    folder = storage.join(dataset.ref.uri, "versions", str(dataset.ref.version))
    kept = storage.join(folder, "checks.json")
    if storage.exists(kept):
        return Description.parse({"folder": folder, "checks": json.loads(storage.read(kept))}, kept)
    commit_of(dataset)
    _check_built(dataset)
    checks = run_checks(dataset.rows, dataset.layout.size, look(dataset, chips))
    storage.write(storage.join(folder, "report.html"), render(collect(dataset, checks, left_out)).encode())
    _publish(dataset, folder, checks)
    # Last: where it is, everything else is.
    storage.write(kept, _json([check.model_dump(mode="json") for check in checks]))
    return Description(folder=folder, checks=checks)


def _check_built(dataset: Dataset) -> None:
    header, rows = dataset.header, dataset.rows
    unknown = rows["longitude"].null_count + rows["optical_time"].null_count + rows["radar_time"].null_count
    if len(header.sensors) < 2 or header.normalised or not header.native or unknown:
        raise InputError(
            f"{dataset.ref}: it was imported; a report needs pairs of known place and time, as a build makes them"
        )


def _publish(dataset: Dataset, folder: str, checks: tuple[Check, ...]) -> None:
    version, _ = commit_of(dataset)
    about = describe(dataset)
    with TemporaryDirectory(prefix="croma-") as scratch:
        items = Path(scratch, "items.parquet")
        write_items(dataset, items)
        with items.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        storage.upload(items, storage.join(folder, "items.parquet"))
    documents = {
        "collection.json": _json(collection(dataset, version, about)),
        "croissant.json": _json(croissant(dataset, version, about, attribution(dataset), sha256)),
        "README.md": card(dataset, version, checks).encode(),
    }
    for name, content in documents.items():
        storage.write(storage.join(folder, name), content)


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
