import numpy as np

from croma.building.candidates import Candidates
from croma.building.layers import label_sets
from croma.catalog.footprint import from_degrees
from croma.places import Places
from tests.catalog.builders import polygon
from tests.scenes import label, optical


def rows(epsg: int, corners: list[tuple[int, int]]) -> Candidates:
    lefts, tops = zip(*corners, strict=True)
    numbers = np.zeros(len(corners), np.int64)
    return Candidates(Places.of(epsg, lefts, tops).keys, numbers, numbers)


def test_a_chip_across_the_antimeridian_meets_the_tiles_of_both_sides() -> None:
    tiles = [
        label("east", geometry=polygon(177, 48, 180, 51)),
        label("west", geometry=polygon(-180, 48, -177, 51)),
        label("home", geometry=polygon(-3, 48, 3, 51)),
    ]
    x, y = from_degrees(32660).transform(180.0, 49.0)
    across, before = (int(x // 60) * 60 - 600, int(y // 60) * 60), (int(x // 60) * 60 - 3000, int(y // 60) * 60)
    numbers, sets = label_sets(rows(32660, [across, before]), [optical("a")], tiles, 120)
    assert [[tiles[i].id for i in sets[n]] for n in numbers] == [["east", "west"], ["east"]]


def test_a_chip_without_labels_has_the_empty_set() -> None:
    numbers, sets = label_sets(rows(32633, [(500_400, 5_400_000)]), [optical("a")], [], 120)
    assert [sets[n] for n in numbers] == [()]
    far = label("far", geometry=polygon(-3, 48, 3, 51))
    numbers, sets = label_sets(rows(32633, [(500_400, 5_400_000)]), [optical("a")], [far], 120)
    assert [sets[n] for n in numbers] == [()]
    none = label_sets(Candidates(*(np.zeros(0, np.int64),) * 3), [optical("a")], [far], 120)
    assert len(none[0]) == 0
