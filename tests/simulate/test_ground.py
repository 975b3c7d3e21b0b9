import numpy as np
import pytest
from pyproj import Transformer

from croma.grid import GeoBox
from croma.simulate.frame import MARGIN, Column, Frame
from croma.simulate.ground import STRIP, Ground, Land
from croma.simulate.kinds import COVER, UNITS, Kind, cover_table, kind_of
from croma.simulate.mosaic import gather
from croma.simulate.regimes import QUOTA
from croma.simulate.spec import DEMO, TINY, WorldSpec

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("spec", [DEMO, TINY, WorldSpec(longitude=-6, latitude=-33, tile=600, step=540)])
def test_tiles_lie_on_the_lattice_but_not_on_that_of_chips(spec: WorldSpec) -> None:
    frame = Frame(spec)
    tiles = frame.tiles()
    assert len({tile.name for tile in tiles}) == 2 * spec.rows
    for tile in tiles:
        assert tile.box.left % 60 == tile.box.top % 60 == 0
        assert tile.box.left % 1200
        assert tile.box.epsg % 100 == int(tile.name[:2])
    first, second = (tile.box for tile in tiles if tile.column == "west")
    assert 0 < first.bounds[1] - second.top + (first.top - second.top) < first.top - second.top, "tiles overlap"


def test_the_columns_meet_across_the_zone_border() -> None:
    frame = Frame(TINY)
    border = {}
    for column in ("west", "east"):
        box = frame.ground_box(column)
        transformer = Transformer.from_crs(box.epsg, 4326, always_xy=True)
        xs = [box.left + MARGIN * 10, box.bounds[2] - MARGIN * 10]
        border[column] = transformer.transform(xs, [box.top, box.top])[0]
    assert border["west"][0] < border["east"][0] < 12 < border["west"][1] < border["east"][1]


def test_world_coordinates_equal_the_exact_transform(frame: Frame) -> None:
    box = frame.ground_box("west")
    x, y = frame.world(box)
    exact = Transformer.from_crs(box.epsg, frame.east, always_xy=True)
    rows, columns = np.random.default_rng(0).integers(0, (box.height, box.width), (50, 2)).T
    ex, ey = exact.transform(box.left + 10 * columns + 5, box.top - 10 * rows - 5)
    np.testing.assert_allclose(x[rows, columns], np.asarray(ex) - frame.origin[0], atol=0.02)
    np.testing.assert_allclose(y[rows, columns], np.asarray(ey) - frame.origin[1], atol=0.02)


def test_the_ground_is_a_function_of_seed_and_place(frame: Frame, lands: dict[Column, Land]) -> None:
    again = Ground(Frame(TINY))
    whole = lands["east"]
    part = whole.box._replace(top=whole.box.top - STRIP * 10, height=100)
    assert np.array_equal(again.land(part).units, whole.window(part).units)
    assert np.array_equal(again.land(part).texture, whole.window(part).texture)
    other = Ground(Frame(TINY.model_copy(update={"seed": 1}))).land(part)
    assert (other.units != whole.window(part).units).mean() > 0.5


def test_both_zones_see_the_same_ground(frame: Frame, ground: Ground, lands: dict[Column, Land]) -> None:
    """The overlap, evaluated in the western zone and looked up from there in the eastern one."""
    east = lands["east"].box
    strip = GeoBox(east.epsg, east.left + 400, east.top - 3000, 10, 300, 60)
    there, known = gather({"west": lands["west"], "east": lands["west"]}, strip)
    here = ground.land(strip)
    assert known.all()
    # Half a pixel of displacement moves borders and single houses, nothing else.
    assert (there.cover() == here.cover()).mean() > 0.88
    assert (kind_of(there.units) == kind_of(here.units)).mean() > 0.85


def test_every_seed_has_a_balanced_world() -> None:
    for seed in (0, 7):
        frame = Frame(DEMO.model_copy(update={"seed": seed}))
        ground = Ground(frame)
        points = [frame.nodes(frame.ground_box(column), 16) for column in ("west", "east")]
        rulers = np.concatenate([ground.land_use.potentials(x, y).argmax(0).ravel() for x, y in points])
        shares = np.bincount(rulers, minlength=len(QUOTA)) / rulers.size
        np.testing.assert_allclose(shares, [QUOTA[r] for r in QUOTA], atol=0.03)


def test_units_have_kinds_and_covers() -> None:
    units = np.arange(UNITS, dtype=np.uint16)
    assert {int(kind) for kind in kind_of(units)} == {int(kind) for kind in Kind}
    assert {int(code) for code in cover_table()} == set(COVER.values()) == {10, 20, 30, 40, 50, 60, 80, 90}
    assert all(COVER[Kind(kind)] == code for kind, code in zip(kind_of(units), cover_table(), strict=True))


def test_windows_must_lie_inside(lands: dict[Column, Land]) -> None:
    box = lands["west"].box
    with pytest.raises(AssertionError):
        lands["west"].window(box._replace(left=box.left - 10))
