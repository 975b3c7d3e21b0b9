"""What a search must answer, whatever server holds the items. Inherit, and give a fixture `address` of one.

The server holds `world()`.
"""

from typing import Any

import pytest

from croma.catalog.dialects import GENERIC
from croma.catalog.find import find
from croma.catalog.found import Found
from croma.errors import InputError
from croma.extent import AreaOfInterest, TimeWindow
from tests.catalog.builders import item, optical, polygon, radar

AREA = AreaOfInterest(bbox=(13, 48, 14, 49))
JUNE = TimeWindow.model_validate({"start": "2021-06-01", "end": "2021-06-30"})
TRIANGLE = {"type": "Polygon", "coordinates": [[[13.9, 47], [15, 47], [15, 48.2], [13.9, 47]]]}
CUT = {
    "type": "MultiPolygon",
    "coordinates": [polygon(179, 20, 180, 21)["coordinates"], polygon(-180, 20, -179, 21)["coordinates"]],
}


def world() -> list[dict[str, Any]]:
    """Items that match a search of `AREA` in `JUNE`, and every kind that must not."""
    inside = [optical(f"in-{n:02d}", f"2021-06-{n % 30 + 1:02d}T10:{n % 60:02d}:00Z") for n in range(23)]
    edge = [optical("first", "2021-06-01T00:00:00Z"), optical("last", "2021-06-30T23:59:59.999999Z")]
    outside = [
        optical("before", "2021-05-31T23:59:59.999Z"),
        optical("after", "2021-07-01T00:00:00Z"),
        optical("elsewhere", geometry=polygon(23, 48, 24, 49)),
        optical("box-only", geometry=TRIANGLE),
    ]
    broken = optical("broken")
    del broken["assets"]["B02"]
    label = item(
        "cover",
        "esa-worldcover",
        "2021-01-01T00:00:00Z",
        polygon(12, 48, 15, 51),
        {"map": {"href": "https://example.org/map.tif"}},
    )
    dateline = [
        optical("cut", geometry=CUT),
        optical("beyond", geometry=polygon(179, 30, 181, 31)),
        optical("beyond-west", geometry=polygon(-181, 40, -179, 41)),
    ]
    return [
        *inside,
        *edge,
        *outside,
        broken,
        label,
        *dateline,
        radar("radar"),
        radar("far", geometry=polygon(0, 0, 1, 1)),
    ]


class CatalogContract:
    """Laws of `croma.catalog.find.find`."""

    def find(
        self, address: str, collection: str = "sentinel-2-l2a", area: AreaOfInterest = AREA, **kwargs: Any
    ) -> Found:
        return find(address, GENERIC, collection, area, kwargs.pop("window", JUNE), **kwargs)

    def test_exactly_what_matches_in_a_fixed_order(self, address: str) -> None:
        found = self.find(address)
        names = [scene.id for scene in found.scenes]
        assert sorted(names) == sorted([f"in-{n:02d}" for n in range(23)] + ["first", "last"])
        assert names == [s.id for s in sorted(found.scenes, key=lambda s: (s.time, s.id))]
        assert [(r.scene, r.reason) for r in found.refused] == [("broken", "no-asset")]

    def test_the_footprint_decides_not_its_box(self, address: str) -> None:
        corner = AreaOfInterest(bbox=(13.85, 47.9, 13.95, 48.19))
        assert "box-only" not in [scene.id for scene in self.find(address, area=corner).scenes]
        touched = AreaOfInterest(bbox=(14.8, 47.1, 14.9, 47.2))
        assert [scene.id for scene in self.find(address, area=touched).scenes] == ["box-only"]

    def test_an_area_may_be_a_polygon(self, address: str) -> None:
        found = self.find(address, area=AreaOfInterest(geometry=polygon(23.2, 48.2, 23.4, 48.4)))
        assert [scene.id for scene in found.scenes] == ["elsewhere"]

    def test_small_pages_lose_nothing(self, address: str) -> None:
        from dataclasses import replace

        found = find(address, replace(GENERIC, page_size=3), "sentinel-2-l2a", AREA, JUNE)
        assert found == self.find(address)

    def test_other_collections(self, address: str) -> None:
        assert [scene.id for scene in self.find(address, "sentinel-1-rtc").scenes] == ["radar"]
        [cover] = self.find(address, "esa-worldcover", window=None, label_asset="map").scenes
        assert list(cover.assets) == ["label"]

    @pytest.mark.parametrize("west", [179.2, -179.8])
    @pytest.mark.parametrize(("south", "name"), [(20, "cut"), (30, "beyond"), (40, "beyond-west")])
    def test_both_sides_of_the_antimeridian(self, address: str, west: float, south: float, name: str) -> None:
        area = AreaOfInterest(bbox=(west, south + 0.2, west + 0.5, south + 0.4))
        assert [scene.id for scene in self.find(address, area=area).scenes] == [name]

    def test_an_area_across_the_antimeridian(self, address: str) -> None:
        area = AreaOfInterest(bbox=(179.5, 19, -179.5, 42))
        names = [scene.id for scene in self.find(address, area=area).scenes]
        assert sorted(names) == ["beyond", "beyond-west", "cut"]

    def test_nothing_found_is_an_empty_answer(self, address: str) -> None:
        found = self.find(address, area=AreaOfInterest(bbox=(100, -50, 101, -49)))
        assert found == Found(scenes=(), refused=())

    def test_a_collection_that_does_not_exist_is_named(self, address: str) -> None:
        with pytest.raises(InputError, match="no collection 'io-lulc'; it has esa-worldcover, sentinel-1-rtc"):
            self.find(address, "io-lulc", label_asset="data")
