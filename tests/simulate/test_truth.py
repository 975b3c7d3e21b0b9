"""Do satellites see what they would see? Classes against published ranges, seasons against the calendar."""

from datetime import UTC, datetime

import numpy as np
import pytest

from croma.simulate.backscatter import NEPER, echoes
from croma.simulate.frame import Column, Frame
from croma.simulate.ground import Land
from croma.simulate.kinds import VARIANTS, Kind, kind_of
from croma.simulate.optics import Camera, OpticalTile
from croma.simulate.radar import Antenna
from croma.simulate.sky import Relief, Sun
from croma.simulate.spec import OPTICAL, RADAR, TINY, OpticalPass
from croma.simulate.spectra import reflectance

pytestmark = pytest.mark.slow

SPRING, EARLY_SUMMER, LATE_SUMMER, WINTER = 105, 140, 225, 40


def ndvi(kind: Kind, day: int) -> float:
    """Mean over the variants of a kind."""
    spectra = reflectance(0, day)[0][kind * VARIANTS : (kind + 1) * VARIANTS]
    return float(((spectra[:, 7] - spectra[:, 3]) / (spectra[:, 7] + spectra[:, 3])).mean())


def test_vegetation_is_green_in_its_season() -> None:
    assert ndvi(Kind.BROADLEAF, LATE_SUMMER) > 0.75 > 0.6 > ndvi(Kind.BROADLEAF, WINTER)
    assert ndvi(Kind.CONIFER, WINTER) > 0.65
    assert ndvi(Kind.WINTER_CEREAL, EARLY_SUMMER) > 0.7 > 0.45 > ndvi(Kind.WINTER_CEREAL, LATE_SUMMER)
    assert ndvi(Kind.MAIZE, LATE_SUMMER) > 0.75 > 0.4 > ndvi(Kind.MAIZE, SPRING)
    assert ndvi(Kind.MEADOW, EARLY_SUMMER) > 0.55
    assert ndvi(Kind.SEA, EARLY_SUMMER) < 0
    assert abs(ndvi(Kind.SAND, EARLY_SUMMER)) < 0.25
    assert ndvi(Kind.FLAT_ROOF, EARLY_SUMMER) < 0.2


def test_rape_flowers_yellow_in_may() -> None:
    spectra = reflectance(0, 128)[0][Kind.RAPESEED * VARIANTS : (Kind.RAPESEED + 1) * VARIANTS].mean(0)
    blue, green, red = spectra[1], spectra[2], spectra[3]
    assert green > 2 * blue
    assert red > 2 * blue


@pytest.mark.parametrize("day", [WINTER, SPRING, EARLY_SUMMER, LATE_SUMMER])
def test_reflectance_is_physical(day: int) -> None:
    means, slopes = reflectance(0, day)
    assert means.min() > 0
    assert means.max() < 0.95
    assert np.isfinite(slopes).all()
    water = means[: 3 * VARIANTS]
    assert water[:, 7].max() < 0.05, "near infrared of water"


def test_summer_fields_grass_and_woods_overlap_in_every_band() -> None:
    """What makes means a poor guide: within two deviations, classes share their values in each band."""
    means = reflectance(0, EARLY_SUMMER)[0].reshape(len(Kind), VARIANTS, 12)
    for one, other in ((Kind.WINTER_CEREAL, Kind.MEADOW), (Kind.SCRUB, Kind.BROADLEAF), (Kind.RAW_SOIL, Kind.FALLOW)):
        apart = np.abs(means[one].mean(0) - means[other].mean(0)) / (means[one].std(0) + means[other].std(0))
        assert apart.max() < 2.2, (one, other, apart.round(1))


@pytest.mark.parametrize(
    ("kind", "vv", "vh"),
    [
        (Kind.CONIFER, (-11, -7), (-17, -12)),
        (Kind.BROADLEAF, (-11, -7), (-17, -12)),
        (Kind.MEADOW, (-15, -10), (-22, -17)),
        (Kind.WINTER_CEREAL, (-17, -10), (-23, -17)),
        (Kind.TILE_ROOF, (-8, -2), (-15, -9)),
        (Kind.SAND, (-20, -15), (-28, -22)),
        (Kind.SEA, (-24, -17), (-32, -25)),
    ],
)
def test_backscatter_is_in_the_published_range(kind: Kind, vv: tuple[float, float], vh: tuple[float, float]) -> None:
    levels = echoes(0, 140, "ascending", wet=0.3, wind=0.3)
    rows = np.s_[kind * VARIANTS : (kind + 1) * VARIANTS]
    for name, (low, high) in (("vv", vv), ("vh", vh)):
        assert low < float(levels[name][0][rows].mean()) / NEPER < high, name


def test_rain_brightens_bare_soil_and_wind_brightens_water() -> None:
    dry, wet = (echoes(0, SPRING, "ascending", wet=wet, wind=0.3)["vv"][0] for wet in (0.0, 1.0))
    calm, rough = (echoes(0, SPRING, "ascending", wet=0.3, wind=wind)["vv"][0] for wind in (0.0, 1.0))
    soil, sea, forest = (np.s_[k * VARIANTS : (k + 1) * VARIANTS] for k in (Kind.RAW_SOIL, Kind.SEA, Kind.CONIFER))
    assert (wet - dry)[soil].mean() / NEPER > 1.5
    assert (rough - calm)[sea].mean() / NEPER > 4
    assert np.abs(wet - dry)[forest].max() == 0


def see(frame: Frame, land: Land, scene: OpticalPass) -> OpticalTile:
    camera = Camera.over(frame, scene, Relief(frame.spec.seed))
    return camera.look(land, np.ones((land.box.height, land.box.width), bool))


def test_overlapping_tiles_see_the_same(frame: Frame, lands: dict[Column, Land]) -> None:
    first, second = (tile for tile in frame.tiles() if tile.column == "west")
    scene = OPTICAL[0]
    tiles = [see(frame, lands["west"].window(tile.box), scene) for tile in (first, second)]
    down = round(first.box.top - second.box.top) // 10
    for name, factor in (("B03", 1), ("B11", 2), ("B09", 6)):
        upper = tiles[0].bands[name][down // factor :].astype(int)
        lower = tiles[1].bands[name][: upper.shape[0]].astype(int)
        inner = np.s_[3:-3, 3:-3]
        # The air is interpolated from other points in each tile; the ground and the noise are the same.
        assert np.median(np.abs(upper - lower)[inner]) <= 2, name
        assert np.corrcoef(upper[inner].ravel(), lower[inner].ravel())[0, 1] > 0.99, name


def test_the_offset_is_a_property_of_the_product(frame: Frame, lands: dict[Column, Land]) -> None:
    old, new = OPTICAL[2], OPTICAL[3]
    assert old.time == new.time
    land = lands["west"].window(frame.tiles()[0].box)
    before, after = (see(frame, land, scene).bands["B04"].astype(int) for scene in (old, new))
    assert np.median(after - before) == pytest.approx(1000, abs=15)
    assert before.min() >= 1, "0 is nodata, never a dark pixel"


def test_clouds_are_bright_and_have_shadows_away_from_the_sun(frame: Frame, lands: dict[Column, Land]) -> None:
    scene = OPTICAL[0].model_copy(update={"cloud": 0.2})
    land = lands["east"].window(frame.tiles()[2].box)
    tile = see(frame, land, scene)
    clear = see(frame, land, scene.model_copy(update={"cloud": 0.0}))
    gain = tile.bands["B8A"].astype(int) - clear.bands["B8A"].astype(int)
    assert np.median(gain[np.isin(tile.classes, (8, 9))]) > 1000
    assert np.median(gain[tile.classes == 3]) < -300
    sun = Sun.over(frame, scene)
    assert 40 < sun.zenith < 50, "20 April, 10:20 UTC, 54° north"
    assert 140 < sun.azimuth < 180
    assert sun.shadow[1] > 500, "the sun stands in the south, so shadows fall to the north"


def test_the_classification_knows_water_and_plants(frame: Frame, lands: dict[Column, Land]) -> None:
    scene = OPTICAL[1].model_copy(update={"cloud": 0.0, "haze": 0.1})
    for tile in frame.tiles():
        land = lands[tile.column].window(tile.box)
        classes, cover = see(frame, land, scene).classes, land.cover()[::2, ::2]
        for code, expected, share in ((80, 6, 0.8), (10, 4, 0.75), (30, 4, 0.6)):
            if (cover == code).mean() > 0.02:
                assert (classes[cover == code] == expected).mean() > share, (tile.name, code)


def test_speckle_has_the_looks_of_the_product(frame: Frame, lands: dict[Column, Land]) -> None:
    land = lands["west"]
    units = np.full_like(land.units, Kind.MEADOW * VARIANTS)
    flat = Land(box=land.box, units=units, texture=np.zeros_like(land.texture))
    power = Antenna.over(frame, RADAR[0]).listen(flat, "vv")[:300, :300].astype(float)
    looks = 1 / (power.std() / power.mean()) ** 2
    assert looks == pytest.approx(4.4, rel=0.12)
    along = np.corrcoef(power[:, :-1].ravel(), power[:, 1:].ravel())[0, 1]
    assert 0.3 < along < 0.8, "neighbours share echoes: 20 m are sampled every 10 m"
    assert abs(np.corrcoef(power[:, :-4].ravel(), power[:, 4:].ravel())[0, 1]) < 0.15


def test_forest_edges_face_one_look_and_hide_from_the_other(frame: Frame) -> None:
    box = frame.ground_box("east")._replace(height=200, width=200)
    units = np.full((200, 200), Kind.MEADOW * VARIANTS, np.uint16)
    units[:, 100:] = Kind.CONIFER * VARIANTS
    land = Land(box=box, units=units, texture=np.zeros((200, 200), np.int8))
    same = {"time": datetime(2021, 6, 1, tzinfo=UTC)}
    up, down = (
        Antenna.over(frame, RADAR[0].model_copy(update={**same, "orbit_state": state})).listen(land, "vv")
        for state in ("ascending", "descending")
    )
    edge = np.s_[:, 98:102]
    # Ascending, it looks east: the western edge of a wood faces it.
    assert up[edge].mean() > 1.3 * down[edge].mean()
    assert up[:, 120:].mean() == pytest.approx(down[:, 120:].mean(), rel=0.02)


def test_kinds_of_the_tiny_world_are_many(lands: dict[Column, Land]) -> None:
    kinds = set(np.unique(kind_of(np.concatenate([land.units.ravel() for land in lands.values()]))))
    assert len(kinds) > 18
    assert TINY.rows == 2
