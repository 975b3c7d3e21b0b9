"""Items that contradict themselves about their offset: what their pixels say is what is stored."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

from croma.building.doubts import settle_doubts
from croma.building.fill import fill
from croma.catalog.dialects import EARTH_SEARCH
from croma.catalog.scene import Scene
from croma.raster.offset import offset_left_in
from croma.raster.read import Unsigned
from croma.shards.dataset import shard_address
from croma.shards.layout import ChipLayout, decode
from tests.building.plans import make_plan
from tests.catalog.test_dialects import recorded
from tests.raster.scenes import make_scene, write_optical, write_radar, write_tiff

RED, INFRARED = 420, 3100
"""Of vegetation, reflectance × 10,000."""


def write_scene(folder: Path, left_in: bool, red: int = RED, infrared: int = INFRARED) -> dict[str, Path]:
    """Files of a scene of one colour with a little noise, with or without the offset in its numbers."""
    files = write_optical(folder)
    rng = np.random.default_rng(0)
    for band, value in (("B04", red), ("B08", infrared)):
        pixels = value + rng.integers(-40, 40, (120, 120)) + 1000 * left_in
        write_tiff(files[band], pixels.astype(np.uint16), nodata=0)
    return files


def earth_search_scene(real_samples: Path, files: dict[str, Path], removed: bool) -> Scene:
    """The recorded item that contradicts itself, with its flag as given and files of ours."""
    [entry] = recorded(real_samples, "es_search_s2_landsat_20231008.json", "sentinel-2-l2a")
    entry["properties"]["earthsearch:boa_offset_applied"] = removed
    for key, asset in entry["assets"].items():
        for band in asset.get("raster:bands", []):
            band["offset"] = -0.1 if removed else 0
        names = [band for band, keys in EARTH_SEARCH.keys["sentinel-2-l2a"].items() if key in keys]
        if names:
            asset["href"] = str(files[names[0]])
    found = EARTH_SEARCH.scene(entry, "sentinel-2-l2a")
    assert isinstance(found, Scene)
    return found


@pytest.mark.parametrize("left_in", [True, False])
@pytest.mark.parametrize("removed", [True, False])
def test_the_pixels_decide_and_not_the_flag(real_samples: Path, tmp_path: Path, left_in: bool, removed: bool) -> None:
    scene = earth_search_scene(real_samples, write_scene(tmp_path, left_in), removed)
    assert scene.offset_in_doubt
    (found,), refused = settle_doubts([scene], 100, Unsigned())
    assert refused == []
    assert not found.offset_in_doubt
    assert {a.offset for band, a in found.assets.items() if band != "SCL"} == {-1000.0 if left_in else 0.0}
    assert found.assets["SCL"].offset == 0

    radar = make_scene("radar", write_radar(tmp_path), time=found.time)
    plan = make_plan([(radar, found)], [(0, 0)])
    card = fill(plan, str(tmp_path / "root"))
    data = Path(shard_address(str(tmp_path / "root"), "train", plan.id)).read_bytes()
    planes = decode(data[card.rows[0].offset :], ChipLayout(size=24, label=False))
    assert planes["s2_10m"][2].mean() == pytest.approx(RED, abs=20)


def test_scenes_that_cannot_tell_are_refused_by_name(real_samples: Path, tmp_path: Path) -> None:
    bright = earth_search_scene(real_samples, write_scene(tmp_path / "bright", False, red=6000, infrared=6200), True)
    gone = bright.model_copy(
        update={
            "id": "gone",
            "assets": bright.assets | {"B04": bright.assets["B04"].model_copy(update={"href": "/no"})},
        }
    )
    clear = bright.model_copy(update={"id": "clear", "offset_in_doubt": False})
    cloudy = gone.model_copy(update={"id": "cloudy", "cloud_cover": 99.0})
    scenes, refused = settle_doubts([bright, clear, gone, cloudy], 80, Unsigned())
    assert [scene.id for scene in scenes] == ["clear", "cloudy"]
    assert [(refusal.scene, refusal.reason) for refusal in refused] == [(bright.id, "offset"), ("gone", "offset")]
    assert "neither vegetation nor dark ground" in refused[0].detail
    assert "cannot be read" in refused[1].detail


def patch(**values: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Red and near infrared of 10,000 pixels, of which one in fifty is different."""
    pixels = np.full((2, 100, 100), [[[values["red"]]], [[values["infrared"]]]], np.uint16)
    pixels[0, ::5, ::10], pixels[1, ::5, ::10] = values["few_red"], values["few_infrared"]
    return pixels[0], pixels[1]


@pytest.mark.parametrize(
    ("ground", "expected"),
    [
        ({"red": 400, "infrared": 3500, "few_red": 60, "few_infrared": 40}, False),  # vegetation
        ({"red": 1500, "infrared": 2200, "few_red": 400, "few_infrared": 3500}, False),  # few plants on soil
        ({"red": 2500, "infrared": 3000, "few_red": 300, "few_infrared": 120}, False),  # desert with a pond
        ({"red": 2500, "infrared": 3000, "few_red": 2600, "few_infrared": 3100}, None),  # desert
        ({"red": 8000, "infrared": 7800, "few_red": 8100, "few_infrared": 7900}, None),  # snow, cloud
        ({"red": 0, "infrared": 0, "few_red": 0, "few_infrared": 0}, None),  # nothing
    ],
)
def test_what_pixels_can_tell(ground: dict[str, int], expected: bool | None) -> None:
    red, infrared = patch(**ground)
    assert offset_left_in(red, infrared) is expected
    measured = (red > 0).astype(np.uint16) * 1000
    shifted = offset_left_in(red + measured, infrared + measured)
    vegetated = ground["infrared"] - ground["red"] > 2000 or ground["few_infrared"] - ground["few_red"] > 2000
    assert shifted is (True if vegetated else None)


def test_real_scenes(real_samples: Path) -> None:
    """One of the published chips of TerraMesh carries the offset."""
    found, raised = {}, {}
    folders = [*(real_samples / "terramind").glob("*_S2L2A"), *(real_samples / "bigearthnet").glob("S2*")]
    for folder in folders:
        red, infrared = (read(next(folder.glob(f"*{band}.tif"))) for band in ("B04", "B08"))
        found[folder.name] = offset_left_in(red, infrared)
        raised[folder.name] = offset_left_in(red + 1000, infrared + 1000)
    assert len(found) == 7
    assert {name for name, left in found.items() if left} == {"433D_629L_3_1_S2L2A"}
    assert None not in found.values()
    # Were it left in, snow under cloud could not tell, nor could what carries it already.
    assert {name for name, left in raised.items() if not left} == {
        "433D_629L_3_1_S2L2A",
        "S2B_MSIL2A_20180204T94161_57_38",
    }


def read(path: Path) -> npt.NDArray[Any]:
    with rasterio.open(path) as file:
        return np.asarray(file.read(1))
