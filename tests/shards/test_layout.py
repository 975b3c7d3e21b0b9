import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from croma.chip import Chip
from croma.shards.layout import BLOCK, ChipLayout, decode, encode, optical_by_resolution
from croma.shards.writer import write_shard

MakeChip = Callable[..., Chip]


@pytest.mark.parametrize("label", [False, True])
@pytest.mark.parametrize("size", [24, 120, 264])
def test_planes_come_back_without_parsing(make_chip: MakeChip, size: int, label: bool) -> None:
    chip, layout = make_chip(1, size, label), ChipLayout(size=size, label=label)
    planes = decode(encode(chip, layout)[: layout.length], layout)
    np.testing.assert_array_equal(planes["s1"], chip.radar)
    for resolution, bands in optical_by_resolution(planes).items():
        np.testing.assert_array_equal(bands, chip.optical[resolution])
    assert ("label" in planes) == label
    assert all(plane.offset % BLOCK == 0 for plane in layout.planes)


def test_any_tar_and_npy_reader_agrees(make_chip: MakeChip, tmp_path: Path) -> None:
    layout = ChipLayout(size=24, label=True)
    chips = [make_chip(n, 24, True) for n in range(3)]
    written = write_shard(tmp_path / "s.tar", chips, layout)
    with tarfile.open(tmp_path / "s.tar") as tar:
        names = tar.getnames()
        for chip, place in zip(chips, written.places, strict=True):
            member = tar.getmember(f"{chip.id}.s2_20m.npy")
            plane = layout.planes[2]
            assert member.offset_data + BLOCK == place.offset + plane.offset
            content = tar.extractfile(member)
            assert content is not None
            np.testing.assert_array_equal(np.load(io.BytesIO(content.read())), chip.optical[20])
            facts = tar.extractfile(f"{chip.id}.json")
            assert facts is not None
            assert json.load(facts)["optical_scene"] == chip.facts["optical_scene"]
    assert [n.rpartition(".s1.npy")[0] for n in names if n.endswith(".s1.npy")] == [c.id for c in chips]
    assert len(names) == 18


def test_same_chips_same_bytes(make_chip: MakeChip, tmp_path: Path) -> None:
    layout = ChipLayout(size=24, label=False)
    first = write_shard(tmp_path / "a.tar", [make_chip(n) for n in range(4)], layout)
    second = write_shard(tmp_path / "b.tar", [make_chip(n) for n in range(4)], layout)
    assert first == second
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert first.size == (tmp_path / "a.tar").stat().st_size


def test_wrong_shape_is_refused(make_chip: MakeChip) -> None:
    with pytest.raises(ValueError, match=r"s1 should be <f2 \(2, 48, 48\)"):
        encode(make_chip(1, 24), ChipLayout(size=48, label=False))
    with pytest.raises(ValueError, match=r"label should be .* is nothing"):
        encode(make_chip(1, 24), ChipLayout(size=24, label=True))
