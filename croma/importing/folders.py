"""What importers share: looking for files, split lists, drawing a selection split, dates in names."""

import csv
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

from croma.errors import InputError


def require(layout: str, folder: Path, *names: str) -> None:
    """See that these files or folders are below `folder`.

    Raises:
        InputError: names all that are not.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise InputError(*(f"{folder}: no {name} of {layout} there: give its folder as published" for name in missing))


def find_one(folder: Path, *names: str) -> Path | None:
    """The first of these paths below `folder` that exists."""
    return next((folder / name for name in names if (folder / name).exists()), None)


def lines(path: Path) -> list[str]:
    """Lines of a text file that are not empty."""
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]


def rows(path: Path) -> list[list[str]]:
    """Rows of a CSV file without a heading."""
    with path.open(newline="") as file:
        return [[cell.strip() for cell in row] for row in csv.reader(file) if row]


def records(path: Path, *columns: str) -> list[dict[str, str]]:
    """Rows of a CSV file by heading.

    Raises:
        InputError: a column is missing.
    """
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}; it has {', '.join(reader.fieldnames or ())}")
        return list(reader)


def held_out(names: Iterable[str], share: float = 0.2) -> set[str]:
    """The share of `names`, one at least, that hash lowest: a selection split where a benchmark publishes none.

    Neighbouring chips stay together if `names` are those of images or places, not of chips.
    """
    ordered = sorted(set(names), key=lambda name: blake2b(name.encode(), digest_size=8).digest())
    return set(ordered[: max(1, round(len(ordered) * share))])


def time_in(name: str) -> str | None:
    """The first `20170613T101031` in a product's name, as ISO 8601 in UTC; `20170613` alone is midnight."""
    found = re.search(r"(?<!\d)(\d{8})(?:T(\d{5,6}))?(?!\d)", name)
    if found is None:
        return None
    # early products of BigEarthNet lost a leading zero: 94161 is 09:41:61, and no clock has that second
    clock = (found[2] or "000000").zfill(6)
    hour, minute, second = int(clock[:2]), int(clock[2:4]), min(int(clock[4:]), 59)
    try:
        day = datetime.strptime(found[1], "%Y%m%d")
        return day.replace(hour=hour, minute=minute, second=second, tzinfo=UTC).isoformat()
    except ValueError:
        return None


def none_found(layout: str, folder: Path, what: str) -> InputError:
    """Nothing of the benchmark is there."""
    return InputError(f"{folder}: {layout} has {what} there, and there is none: give its folder as published")


def codes(names: Sequence[str]) -> dict[str, int]:
    """Codes from 1 in the order of the names."""
    return {name: code for code, name in enumerate(names, 1)}
