"""From the recipe's words to places: the strategies of placement."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from croma.building.placement import CentreSites, LatticeSites, ListedSites, Sites, lattice_in, snapped
from croma.building.points import read_points
from croma.building.spec import BuildSpec, Centres, Cities, Lattice, Points, Stratified
from croma.building.thinning import apart
from croma.catalog.footprint import area_in_degrees, to_degrees
from croma.catalog.scene import Scene
from croma.errors import InputError
from croma.keyed import hashed, uniform
from croma.places import Floats, Integers, Places
from croma.raster.coarse import commonest_classes
from croma.raster.read import Signer, Unsigned

PLAIN = Unsigned()
CITIES = Path(__file__).with_name("cities.csv")


def sites(spec: BuildSpec, layer: Sequence[Scene] = (), signer: Signer = PLAIN) -> Sites:
    """Where the chips of a dataset may lie. A function of the recipe, its files and the layer's pixels.

    Args:
        spec: the dataset.
        layer: scenes of the land-cover layer, for a stratified placement; nothing else reads pixels.
        signer: signs the addresses of the layer.

    Raises:
        InputError: a file of points is wrong, or no place is left.
    """
    rule, size, area = spec.placement, spec.chip_size, area_in_degrees(spec.area)
    if isinstance(rule, Lattice):
        return LatticeSites(rule.step, size, area)
    if isinstance(rule, Centres):
        return CentreSites(size, area)
    if isinstance(rule, Stratified):
        return ListedSites(_stratified(rule, area, size, spec.seed, layer, signer), size, rule.step)
    places = _points(rule, area, size) if isinstance(rule, Points) else _cities(rule, area, size, spec.seed)
    return ListedSites(places, size)


def _points(rule: Points, area: BaseGeometry, size: int) -> Places:
    return _listed(*read_points(rule.file), area, size, rule.min_distance_m, f"point of {rule.file}")


def _cities(rule: Cities, area: BaseGeometry, size: int, seed: int) -> Places:
    longitude, latitude = read_points(rule.file or str(CITIES))
    draws = np.arange(rule.draws)
    city = (uniform(seed, draws, 0) * min(rule.largest, len(longitude))).astype(np.int64)
    # two independent normal numbers as a direction and a distance (Box and Muller 1958)
    distance = rule.std_km * 1000 * np.sqrt(-2 * np.log(1 - uniform(seed, draws, 1)))
    azimuth = 360 * uniform(seed, draws, 2)
    x, y, _ = Geod(ellps="WGS84").fwd(longitude[city], latitude[city], azimuth, distance)
    return _listed(x, y, area, size, rule.min_distance_m, "place drawn around a city")


def _listed(longitude: Floats, latitude: Floats, area: BaseGeometry, size: int, distance: int, what: str) -> Places:
    """Snapped points in the area, each place once and far enough from those before it."""
    longitude = (longitude + 180) % 360 - 180
    inside = np.asarray(shapely.intersects_xy(area, longitude, latitude)) & (np.abs(latitude) < 84)
    if not inside.any():
        raise InputError(f"no {what} lies in the area, between 84° south and 84° north")
    places = snapped(longitude[inside], latitude[inside], size)
    _, first = np.unique(places.keys, return_index=True)
    places = places.take(np.sort(first))
    return places.take(apart(*_middles(places, size), distance))


def _stratified(
    rule: Stratified, area: BaseGeometry, size: int, seed: int, layer: Sequence[Scene], signer: Signer
) -> Places:
    places = lattice_in(area, rule.step, size)
    order = np.argsort(hashed(seed, places.keys), kind="stable")
    places = places.take(order)
    newest = max((scene.time for scene in layer), default=None)
    tiles = sorted((scene for scene in layer if scene.time == newest), key=lambda scene: scene.id)
    classes = commonest_classes([tile.assets["label"].href for tile in tiles], places, size, signer)
    wanted = np.isin(classes, rule.classes) if rule.classes else classes != 0
    places, classes = places.take(wanted), classes[wanted]
    far = apart(*_middles(places, size), rule.min_distance_m)
    places, classes = places.take(far), classes[far]
    places = places.take(_rank_in_class(classes) < rule.per_class)
    if len(places.left) == 0:
        raise InputError(
            f"no place of the area has a wanted class in {rule.layer.collection} ({len(tiles)} tiles of it were read)"
        )
    return places


def _rank_in_class(classes: Integers) -> Integers:
    """The position of each row among those of its class, from 0."""
    ranks = np.empty(len(classes), np.int64)
    for code in np.unique(classes):
        ranks[classes == code] = np.arange(np.sum(classes == code))
    return ranks


def _middles(places: Places, size: int) -> tuple[Floats, Floats]:
    """Longitudes and latitudes of the middles of chips."""
    longitude, latitude = np.zeros(len(places.left)), np.zeros(len(places.left))
    for epsg in np.unique(places.epsg):
        here = places.epsg == epsg
        longitude[here], latitude[here] = to_degrees(int(epsg)).transform(*places.take(here).centres(size).T)
    return longitude, latitude
