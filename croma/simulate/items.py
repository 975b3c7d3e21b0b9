"""STAC items and collections of a world, as Planetary Computer writes them: asset keys, properties, quirks."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from croma.grid import GeoBox
from croma.sensors import SENTINEL_2_L2A
from croma.simulate.spec import OpticalPass, RadarPass

Json = dict[str, Any]

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_EXTENSIONS = "https://stac-extensions.github.io"

_OPTICAL_NAMES = {
    "B01": ("Band 1 - Coastal aerosol - 60m", "coastal", 0.443, 0.027),
    "B02": ("Band 2 - Blue - 10m", "blue", 0.49, 0.098),
    "B03": ("Band 3 - Green - 10m", "green", 0.56, 0.045),
    "B04": ("Band 4 - Red - 10m", "red", 0.665, 0.038),
    "B05": ("Band 5 - Vegetation red edge 1 - 20m", "rededge", 0.704, 0.019),
    "B06": ("Band 6 - Vegetation red edge 2 - 20m", "rededge", 0.74, 0.018),
    "B07": ("Band 7 - Vegetation red edge 3 - 20m", "rededge", 0.783, 0.028),
    "B08": ("Band 8 - NIR - 10m", "nir", 0.842, 0.145),
    "B09": ("Band 9 - Water vapor - 60m", None, 0.945, 0.026),
    "B11": ("Band 11 - SWIR (1.6) - 20m", "swir16", 1.61, 0.143),
    "B12": ("Band 12 - SWIR (2.2) - 20m", "swir22", 2.19, 0.242),
    "B8A": ("Band 8A - Vegetation red edge 4 - 20m", "rededge", 0.865, 0.033),
}
"""In Planetary Computer's order, in which B8A comes last."""

_SCL_SHARES = {
    "s2:dark_features_percentage": (2,),
    "s2:cloud_shadow_percentage": (3,),
    "s2:vegetation_percentage": (4,),
    "s2:not_vegetated_percentage": (5,),
    "s2:water_percentage": (6,),
    "s2:unclassified_percentage": (7,),
    "s2:medium_proba_clouds_percentage": (8,),
    "s2:high_proba_clouds_percentage": (9,),
    "s2:thin_cirrus_percentage": (10,),
    "s2:snow_ice_percentage": (11,),
    "s2:saturated_defective_pixel_percentage": (1,),
    "eo:cloud_cover": (8, 9, 10),
}

RADAR_TITLES = {
    "vv": ("VV: vertical transmit, vertical receive", "vertical", "vertical"),
    "vh": ("VH: vertical transmit, horizontal receive", "vertical", "horizontal"),
    "hh": ("HH: horizontal transmit, horizontal receive", "horizontal", "horizontal"),
    "hv": ("HV: horizontal transmit, vertical receive", "horizontal", "vertical"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class OpticalNames:
    """The names of one tile of an optical pass."""

    scene: OpticalPass
    tile: str

    @property
    def sensed(self) -> str:
        """Sensing time as in product names."""
        return f"{self.scene.time:%Y%m%dT%H%M%S}"

    @property
    def orbit(self) -> int:
        """Absolute orbit number: 143 orbits in 10 days."""
        days = (self.scene.time - datetime(2021, 4, 20, tzinfo=self.scene.time.tzinfo)).days
        return (30_437 if self.scene.platform == "S2A" else 21_529) + round(days * 14.3)

    @property
    def id(self) -> str:
        """Item id: it does not name the baseline, and of two products only the second time tells them apart."""
        return f"{self._mission}_{self.sensed}_R{self.scene.relative_orbit:03d}_T{self.tile}_{self._made}"

    @property
    def product(self) -> str:
        """Product name."""
        number = self.scene.baseline.replace(".", "")
        orbit = f"R{self.scene.relative_orbit:03d}"
        return f"{self._mission}_{self.sensed}_N{number}_{orbit}_T{self.tile}_{self._made}.SAFE"

    def href(self, band: str, resolution: int) -> str:
        """Address of a band's file, relative to the world's folder."""
        return f"{SENTINEL_2_L2A.name}/{self.product}/T{self.tile}_{self.sensed}_{band}_{resolution}m.tif"

    @property
    def _mission(self) -> str:
        return f"{self.scene.platform}_MSIL2A"

    @property
    def _made(self) -> str:
        return f"{self.scene.generated:%Y%m%dT%H%M%S}"


def optical_item(
    names: OpticalNames, box: GeoBox, footprint: Json, classes: npt.NDArray[np.uint8], sun: tuple[float, float]
) -> Json:
    """The item of a Sentinel-2 tile; `classes` is its SCL, `sun` zenith and azimuth in degrees."""
    scene = names.scene
    stamp = f"{scene.generated:%Y%m%dT%H%M%S}"
    granule = f"{scene.platform}_OPER_MSI_L2A_TL_MSFT_{stamp}_A{names.orbit:06d}_T{names.tile}_N{scene.baseline}"
    strip = f"{scene.platform}_OPER_MSI_L2A_DS_MSFT_{stamp}_S{names.sensed}_N{scene.baseline}"
    properties: Json = {
        "datetime": _rfc(scene.time),
        "platform": f"Sentinel-2{scene.platform[-1]}",
        "proj:epsg": box.epsg,
        "instruments": ["msi"],
        "s2:mgrs_tile": names.tile,
        "constellation": "Sentinel 2",
        "s2:granule_id": granule,
        "s2:datatake_id": f"G{scene.platform}_{names.sensed}_{names.orbit:06d}_N{scene.baseline}",
        "s2:product_uri": names.product,
        "s2:datastrip_id": strip,
        "s2:product_type": "S2MSI2A",
        "sat:orbit_state": "descending",
        "s2:datatake_type": "INS-NOBS",
        "s2:generation_time": _rfc(scene.generated),
        "sat:relative_orbit": scene.relative_orbit,
        "s2:mean_solar_zenith": sun[0],
        "s2:mean_solar_azimuth": sun[1],
        "s2:processing_baseline": scene.baseline,
        "s2:reflectance_conversion_factor": 1.0,
        "s2:degraded_msi_data_percentage": 0.0,
        **_shares(classes),
    }
    assets = {name: _optical_asset(names, name, box) for name in (*_OPTICAL_NAMES, "SCL")}
    return _item(
        SENTINEL_2_L2A.name, names.id, footprint, properties, assets, ("eo/v1.0.0", "sat/v1.0.0", "projection/v1.1.0")
    )


def _shares(classes: npt.NDArray[np.uint8]) -> Json:
    counts = np.bincount(classes.ravel(), minlength=12)
    valid = max(int(counts[1:].sum()), 1)
    shares = {name: round(100 * float(counts[list(codes)].sum()) / valid, 6) for name, codes in _SCL_SHARES.items()}
    return {**shares, "s2:nodata_pixel_percentage": round(100 * float(counts[0]) / classes.size, 6)}


def _optical_asset(names: OpticalNames, name: str, tile: GeoBox) -> Json:
    resolution = 20 if name == "SCL" else next(b.resolution for b in SENTINEL_2_L2A.bands if b.name == name)
    side = tile.height * 10 // resolution
    left, bottom, right, top = map(float, tile.bounds)
    asset: Json = {
        "href": names.href(name, resolution),
        "proj:bbox": [left, bottom, right, top],
        "proj:shape": [side, side],
        "proj:transform": [float(resolution), 0.0, left, 0.0, -float(resolution), top],
        "gsd": float(resolution),
        "type": COG,
        "roles": ["data"],
        "title": "Scene classfication map (SCL)",
    }
    if name != "SCL":
        title, common, centre, width = _OPTICAL_NAMES[name]
        band: Json = {"name": name, "description": title.rsplit(" - ", 1)[0], "center_wavelength": centre}
        asset |= {"title": title, "eo:bands": [{**band, "full_width_half_max": width}]}
        if common:
            asset["eo:bands"][0]["common_name"] = common
    return asset


@dataclass(frozen=True, kw_only=True, slots=True)
class RadarNames:
    """The names of one scene of a radar pass."""

    scene: RadarPass
    slice_number: int
    """Scenes of a pass follow one another, 3 s apart."""

    @property
    def middle(self) -> datetime:
        """Time at the middle of the scene."""
        return self.scene.time + timedelta(seconds=3 * (self.slice_number - 1))

    @property
    def start(self) -> datetime:
        """First line."""
        return self.middle - timedelta(seconds=6.216699)

    @property
    def end(self) -> datetime:
        """Last line."""
        return self.middle + timedelta(seconds=6.216699)

    @property
    def orbit(self) -> int:
        """Absolute orbit number: the one near the date that has the relative orbit; 175 orbits in 12 days."""
        days = (self.scene.time - datetime(2021, 4, 19, 17, tzinfo=self.scene.time.tzinfo)) / timedelta(days=1)
        near, shift = (37_566, 73) if self.scene.platform == "S1A" else (26_582, 27)
        guess = near + round(days * 175 / 12)
        lag = (guess - shift) % 175 + 1 - self.scene.relative_orbit
        return guess - (lag + 87) % 175 + 87

    @property
    def datatake(self) -> int:
        """Number of the datatake."""
        return self.orbit * 8 - 2_526

    @property
    def product(self) -> str:
        """Product name, without the checksum at its end."""
        letters = {("VV", "VH"): "DV", ("VV",): "SV", ("HH", "HV"): "DH", ("HH",): "SH"}[self.scene.polarizations]
        kind = f"{self.scene.platform}_{self.scene.mode}_GRD{'H' if self.scene.mode == 'IW' else 'M'}_1S{letters}"
        return f"{kind}_{self.start:%Y%m%dT%H%M%S}_{self.end:%Y%m%dT%H%M%S}_{self.orbit:06d}_{self.datatake:06X}"

    @property
    def id(self) -> str:
        """Item id."""
        return f"{self.product}_rtc"

    def href(self, channel: str) -> str:
        """Address of a channel's file, relative to the world's folder."""
        return f"sentinel-1-rtc/{self.product}/measurement/{self.scene.mode.lower()}-{channel}.rtc.tiff"


def radar_item(names: RadarNames, box: GeoBox, footprint: Json, sizes: dict[str, int], total: int) -> Json:
    """The item of a Sentinel-1 scene.

    Args:
        names: Of the scene.
        box: What the item says of the grid; wrong where the pass has a stale transform.
        footprint: GeoJSON.
        sizes: Bytes of each channel's file.
        total: Scenes of the pass.
    """
    scene = names.scene
    wide = scene.mode == "EW"
    properties: Json = {
        "datetime": _rfc(names.middle),
        "platform": f"SENTINEL-{scene.platform[1:]}",
        "s1:shape": [box.width, box.height],
        "proj:bbox": [float(edge) for edge in box.bounds],
        "proj:epsg": box.epsg,
        "proj:shape": [box.height, box.width],
        # A space where RFC 3339 has a T: so it is in the catalog.
        "end_datetime": str(names.end),
        "constellation": "Sentinel-1",
        "s1:resolution": "medium" if wide else "high",
        "proj:transform": [*map(float, box.transform), 0.0, 0.0, 1.0],
        "s1:datatake_id": str(names.datatake),
        "start_datetime": str(names.start),
        "s1:orbit_source": "RESORB",
        "s1:slice_number": str(names.slice_number),
        "s1:total_slices": str(total),
        "sar:looks_range": 6 if wide else 5,
        "sat:orbit_state": scene.orbit_state,
        "sar:product_type": "GRD",
        "sar:looks_azimuth": 2 if wide else 1,
        "sar:polarizations": list(scene.polarizations),
        "sar:frequency_band": "C",
        "sat:absolute_orbit": names.orbit,
        "sat:relative_orbit": scene.relative_orbit,
        "s1:processing_level": "1",
        "sar:instrument_mode": scene.mode,
        "sar:center_frequency": 5.405,
        "sar:resolution_range": 93 if wide else 20,
        "s1:product_timeliness": "Fast-24h",
        "sar:resolution_azimuth": 87 if wide else 22,
        "sar:pixel_spacing_range": 10,
        "sar:observation_direction": "right",
        "sar:pixel_spacing_azimuth": 10,
        "sar:looks_equivalent_number": 10.7 if wide else 4.4,
        "s1:instrument_configuration_ID": "7" if scene.platform == "S1A" else "1",
        "sat:platform_international_designator": "2014-016A" if scene.platform == "S1A" else "2016-025A",
    }
    assets = {channel: _radar_asset(names, channel, sizes[channel]) for channel in sorted(sizes)}
    extensions = ("sar/v1.0.0", "sat/v1.0.0", "projection/v1.1.0", "file/v2.0.0", "raster/v1.1.0")
    return _item("sentinel-1-rtc", names.id, footprint, properties, assets, extensions)


def _radar_asset(names: RadarNames, channel: str, size: int) -> Json:
    title, sent, received = RADAR_TITLES[channel]
    return {
        "href": names.href(channel),
        "file:size": size,
        "type": COG,
        "roles": ["data"],
        "title": title,
        "description": (
            f"Terrain-corrected gamma naught values of signal transmitted with {sent} polarization and received with "
            f"{received} polarization with radiometric terrain correction applied."
        ),
        "raster:bands": [{"nodata": -32768, "data_type": "float32", "spatial_resolution": 10.0}],
    }


def _rfc(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _item(
    collection: str, name: str, footprint: Json, properties: Json, assets: Json, extensions: tuple[str, ...]
) -> Json:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [f"{_EXTENSIONS}/{extension}/schema.json" for extension in extensions],
        "id": name,
        "collection": collection,
        "geometry": footprint,
        "bbox": bbox_of(footprint),
        "properties": properties,
        "assets": assets,
        "links": [collection_link(collection)],
    }


def collection_link(collection: str) -> Json:
    """The link from `items.json` to a collection, without which an item may not name it."""
    return {"rel": "collection", "type": "application/json", "href": f"./collections/{collection}.json"}


def bbox_of(geometry: Json) -> list[float]:
    """West, south, east, north of a GeoJSON Polygon or MultiPolygon."""
    polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    points = np.array([point for polygon in polygons for ring in polygon for point in ring])
    return [*map(float, points.min(axis=0)), *map(float, points.max(axis=0))]
