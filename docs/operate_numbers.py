"""The sizes and costs of docs/operate.md, from measured figures and stated prices: `python docs/operate_numbers.py`.

Prints the tables; `--write` puts them into docs/operate.md, and a test holds the two together.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).with_name("operate.md")
BEGIN, END = "<!-- made by docs/operate_numbers.py -->\n", "<!-- end -->\n"

# Measured on two cores (EPYC, Zen 5): floor of reading, inflating and cutting by how many chips a scene gives.
CHIPS_A_SECOND_A_CORE = {16: 39.0, 64: 41.0, 256: 62.0, 1024: 155.0}
IMAGERY_MB_A_CHIP = {16: 7.25, 64: 6.4, 256: 4.2, 1024: 1.6}
# At 20 ms to the imagery a reader reaches 28 of 51 chips a second: the rest is waiting.
REACHED = 28.1 / 51.0

# Measured on one H100, compiled, bfloat16, 120 px at 75 % masking (benchmarks/gpu.py).
SAMPLES_A_SECOND_A_GPU = {"base": 4787.0, "large": 1603.8}
PARAMETERS = {"base": 199.7e6, "large": 10.86e9 / 16}
SCALING = {1: 1.0, 8: 0.97, 64: 0.94}
"""Published for networks of this kind: 94 % on 128 GPUs, 97 % within a machine."""

# Assumed prices, US dollars before tax, of the order of AWS Frankfurt in 2026: put yours here.
CORE_HOUR_SPOT = 0.02
GPU_HOUR_SPOT = 4.0
S3_GB_MONTH = 0.0245
S3_PUT_THOUSAND = 0.0054
NAT_GB = 0.052

CHIP = 120
CHIPS_A_SHARD = 512
EPOCHS = 300


@dataclass(frozen=True)
class Build:
    """A dataset of `chips` chips of 120 px, `a_scene` from each pair of scenes, on `cores` cores."""

    chips: int
    a_scene: int
    cores: int

    @property
    def gigabytes(self) -> float:
        """Stored: four 10 m bands, six at 20 m, two at 60 m, two of radar, 2 bytes each, native resolution."""
        values = CHIP**2 * (4 + 6 / 4 + 2 / 36 + 2)
        return self.chips * values * 2 / 1e9

    @property
    def hours(self) -> float:
        """From the first request to the last shard."""
        return self.chips / (CHIPS_A_SECOND_A_CORE[self.a_scene] * REACHED * self.cores) / 3600

    @property
    def imagery_gigabytes(self) -> float:
        """Read from the catalog's storage."""
        return self.chips * IMAGERY_MB_A_CHIP[self.a_scene] / 1e3

    @property
    def shards(self) -> int:
        """Files."""
        return -(-self.chips // CHIPS_A_SHARD)

    @property
    def dollars(self) -> float:
        """Cores and writes."""
        return self.hours * self.cores * CORE_HOUR_SPOT + 2 * self.shards / 1000 * S3_PUT_THOUSAND

    @property
    def row(self) -> tuple[str, ...]:
        """For the table."""
        return (
            f"{self.chips:,}",
            f"{self.a_scene:,}",
            f"{self.gigabytes:,.0f} GB in {self.shards:,}",
            f"{self.imagery_gigabytes:,.0f} GB",
            f"{self.cores}",
            _clock(self.hours),
            f"${self.dollars:,.2f}",
            f"${self.gigabytes * S3_GB_MONTH:,.2f}",
            f"${self.imagery_gigabytes * NAT_GB:,.0f}",
        )


@dataclass(frozen=True)
class Training:
    """`EPOCHS` passes over a million chips."""

    size: str
    gpus: int
    chips: int = 1_000_000

    @property
    def samples_a_second(self) -> float:
        """Over all GPUs."""
        return self.gpus * SCALING[self.gpus] * SAMPLES_A_SECOND_A_GPU[self.size]

    @property
    def hours(self) -> float:
        """Of the clock."""
        return EPOCHS * self.chips / self.samples_a_second / 3600

    @property
    def checkpoint_gigabytes(self) -> float:
        """Parameters and the two moments of AdamW, float32."""
        return PARAMETERS[self.size] * 12 / 1e9

    @property
    def row(self) -> tuple[str, ...]:
        """For the table."""
        bytes_a_sample = Build(1, 16, 1).gigabytes
        return (
            self.size,
            f"{self.gpus}",
            f"{self.samples_a_second:,.0f}",
            f"{self.samples_a_second * bytes_a_sample:.1f} GB/s",
            _clock(self.hours),
            f"{self.hours * self.gpus:,.0f}",
            f"${self.hours * self.gpus * GPU_HOUR_SPOT:,.0f}",
            f"{self.checkpoint_gigabytes:.1f} GB",
        )


BUILDS = (Build(10_000, 16, 4), Build(1_000_000, 256, 32), Build(10_000_000, 1024, 128))
TRAININGS = tuple(Training(size, gpus) for size in PARAMETERS for gpus in SCALING)


def tables() -> str:
    """Both tables in Markdown."""
    build = (
        "chips",
        "a scene",
        "stored in shards",
        "imagery read",
        "cores",
        "time",
        "cost",
        "a month",
        "through a NAT",
    )
    train = ("size", "H100", "samples/s", "decoded", f"{EPOCHS} epochs", "GPU hours", "spot", "checkpoint")
    return f"{_markdown(build, [b.row for b in BUILDS])}\n\n{_markdown(train, [t.row for t in TRAININGS])}\n"


def _clock(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"


def _markdown(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def written() -> str:
    """The document with the tables of now."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    return before + BEGIN + tables() + END + rest.partition(END)[2]


if __name__ == "__main__":
    if "--write" in sys.argv:
        DOCUMENT.write_text(written())
    sys.stdout.write(tables())
