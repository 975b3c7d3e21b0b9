"""What a dataset is to be: the `dataset` part of a recipe."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from croma.document import Document
from croma.extent import AreaOfInterest, TimeWindow
from croma.grid import LATTICE, check_chip_size

ChipSize = Annotated[int, AfterValidator(check_chip_size)]
Share = Annotated[float, Field(ge=0, le=1)]


class Lattice(Document):
    """Chips side by side on a regular grid of every UTM zone, anchored at the zone's origin."""

    kind: Literal["lattice"] = "lattice"
    step: int = Field(1200, gt=0, multiple_of=LATTICE)
    """Metres between the corners of neighbouring chips; a multiple of 60."""


class Centres(Document):
    """One chip in the middle of each optical scene, snapped to the 60 m lattice: for catalogs of ready-made patches."""

    kind: Literal["centres"] = "centres"


class Labels(Document):
    """A label layer cut beside every chip, from the same catalog."""

    collection: str = "esa-worldcover"
    asset: str = "map"


class Points(Document):
    """One chip round each point of a file."""

    kind: Literal["points"] = "points"
    file: str
    """Address of a CSV with the columns longitude and latitude, a GeoJSON of points, or a GeoParquet of points."""
    min_distance_m: int = Field(0, ge=0)
    """Metres between the middles of chips; of two points that are nearer, the one further up in the file is taken."""


class Cities(Document):
    """Chips around cities, as SSL4EO-S12 draws them: a city, then a place around it with a Gaussian distance."""

    kind: Literal["cities"] = "cities"
    draws: int = Field(gt=0)
    """Places drawn; those outside the area or too near an earlier one are left out."""
    std_km: float = Field(50.0, gt=0)
    """Standard deviation of the distance, north and east each."""
    largest: int = Field(10_000, gt=0)
    """Draw among so many cities of the file, from its top."""
    file: str | None = None
    """Cities as `Points.file`, the largest first; unset: the 10,000 most populous places of the world."""
    min_distance_m: int = Field(0, ge=0)
    """As for points; the earlier draw is taken."""


class Stratified(Document):
    """As many chips of every land-cover class, by the commonest class of each place of a lattice."""

    kind: Literal["stratified"] = "stratified"
    per_class: int = Field(gt=0)
    """At most so many places of a class."""
    classes: tuple[int, ...] = ()
    """Codes of the layer that are wanted; empty: all that occur."""
    layer: Labels = Field(default_factory=Labels)
    """The land-cover layer, from the same catalog; its newest version counts."""
    step: int = Field(1200, gt=0, multiple_of=LATTICE)
    """As for a lattice."""
    min_distance_m: int = Field(0, ge=0)
    """Metres between the middles of chips."""


Placement = Annotated[Lattice | Centres | Points | Cities | Stratified, Field(discriminator="kind")]


class PairRule(Document):
    """Which radar and optical acquisitions make a pair."""

    max_gap_hours: float = Field(72.0, gt=0)
    """Bound on |t_radar − t_optical|; the closest radar pass wins."""
    per_cell: int = Field(4, ge=1)
    """At most this many pairs at one place, spread over `each`."""
    each: Literal["window", "year"] = "window"
    """What `per_cell` counts in: the whole time window, or each calendar year. Take years for a dataset that grows:
    what is taken in a year then never depends on how far the window reaches."""
    max_scene_cloud: float = Field(80.0, ge=0, le=100)
    """Optical scenes cloudier than this (percent, from the catalog) are left out before pairing."""
    same_orbit_state: Literal["ascending", "descending"] | None = None
    """Take radar passes of this direction only."""
    relative_orbits: tuple[int, ...] = ()
    """Take radar passes of these relative orbits only: always the same look at a place; empty: of all."""


class Quality(Document):
    """What a chip may lack. Shares of its pixels."""

    max_cloud: Share = 0.1
    """Cloud, thin cirrus and cloud shadow by the scene classification, where there is one."""
    max_snow: Share = 1.0
    max_saturated: Share = 1.0
    """Saturated pixels by the scene classification, where there is one."""
    max_optical_nodata: Share = 0.0
    max_radar_nodata: Share = 0.0


class SplitRule(Document):
    """How places are divided: whole square blocks of ground go to one split."""

    block_km: float = Field(12.0, gt=0)
    """Side of a block in kilometres."""
    val: Share = 0.1
    test: Share = 0.2
    buffer_m: int = Field(0, ge=0)
    """Chips of the train split nearer than this to a chip's block of another split are left out."""

    @model_validator(mode="after")
    def _leaves_train(self) -> Self:
        if self.val + self.test >= 1:
            raise ValueError("val and test leave nothing to train on: their sum must be below 1")
        return self


class BuildSpec(Document):
    """A dataset. Says what, never where: addresses and credentials belong to the site."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
    """Folder of the dataset in storage: lower-case letters, digits and dashes."""
    area: AreaOfInterest
    window: TimeWindow
    radar: Literal["sentinel-1-rtc"] = "sentinel-1-rtc"
    optical: Literal["sentinel-2-l2a"] = "sentinel-2-l2a"
    chip_size: ChipSize = 264
    """Pixels of 10 m; a multiple of 24."""
    placement: Placement = Field(default_factory=Lattice)
    pair: PairRule = Field(default_factory=PairRule)
    quality: Quality = Field(default_factory=Quality)
    labels: Labels | None = None
    split: SplitRule = Field(default_factory=SplitRule)
    assume_baseline: float | None = None
    """Processing baseline of optical items that do not state one. Unset: such items are an error, since guessing wrong
    shifts reflectance by 0.1."""
    chips_per_shard: int = Field(256, ge=1)
    seed: int = 0
    """Keys the order of chips inside shards and the draw of blocks into splits."""
