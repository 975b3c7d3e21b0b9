from pathlib import Path

import numpy as np
import pytest
import torch

from croma.batches.batch import RawBatch
from croma.evaluation import embed
from croma.evaluation.encoders import BandStatistics, Network, untrained
from croma.sensors import MODALITIES
from croma.shards.dataset import Dataset
from croma.shards.reader import read_chips
from tests.evaluation.world import CONSTANTS, SIZE, SPEC

STATISTICS = BandStatistics(CONSTANTS, SIZE, 8)


@pytest.fixture(scope="module")
def network() -> Network:
    return untrained(SPEC, CONSTANTS, "float32", torch.device("cpu"))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Calls that computed something."""
    calls: list[object] = []
    real = embed._compute
    monkeypatch.setattr(embed, "_compute", lambda *args: calls.append(args) or real(*args))
    return calls


def test_vectors_are_those_of_the_network_chip_by_chip(tiny: Dataset, network: Network, tmp_path: Path) -> None:
    rows = tiny.table("test")
    found = embed.embed(network, tiny, rows, MODALITIES, str(tmp_path), batch=7)
    for row in (0, 13, 29):
        (raw,) = embed.read_batches(tiny, rows.slice(row, 1).to_pylist(), 1)
        alone = network.encode(raw, MODALITIES, "pooled")
        for modality in MODALITIES:
            torch.testing.assert_close(found[modality][row], alone[modality][0])
    assert found["joint"].shape == (30, SPEC.encoder_dim)


def test_nothing_is_computed_twice(tiny: Dataset, tmp_path: Path, counted: list[object]) -> None:
    encoder, root = STATISTICS, str(tmp_path)
    rows = tiny.table("train")
    radar = embed.embed(encoder, tiny, rows, ["radar"], root)
    assert len(counted) == 2
    both = embed.embed(encoder, tiny, rows, ["radar", "optical"], root)
    assert [call[3] for call in counted[2:]] == [["optical"], ["optical"]]
    torch.testing.assert_close(both["radar"], radar["radar"], rtol=0, atol=0)
    embed.embed(encoder, tiny, rows, ["optical", "radar"], root)
    assert len(counted) == 4


def test_a_new_version_embeds_its_new_shards_alone(tiny: Dataset, tmp_path: Path, counted: list[object]) -> None:
    old = tiny.table("train").slice(0, 20)
    embed.embed(STATISTICS, tiny, old, ["radar"], str(tmp_path))
    embed.embed(STATISTICS, tiny, tiny.table("train"), ["radar"], str(tmp_path))
    assert [len(call[2]) for call in counted] == [20, 10]


def test_other_pixels_under_the_same_name_are_embedded_again(
    tiny: Dataset, tmp_path: Path, counted: list[object]
) -> None:
    rows = tiny.table("train").slice(0, 20)
    embed.embed(STATISTICS, tiny, rows, ["radar"], str(tmp_path))
    position = rows.schema.get_field_index("crc32")
    changed = rows.set_column(position, "crc32", [[crc + 1 for crc in rows["crc32"].to_pylist()]])
    with pytest.raises(Exception, match="damaged"):
        embed.embed(STATISTICS, tiny, changed, ["radar"], str(tmp_path))
    assert len(counted) == 2


def test_patches_of_the_network(tiny: Dataset, network: Network, tmp_path: Path) -> None:
    rows = tiny.table("test").slice(0, 3)
    found = embed.embed(network, tiny, rows, ["optical"], str(tmp_path), layer="patches")
    assert found["optical"].shape == (3, 36, SPEC.encoder_dim)


def test_fingerprints_tell_apart_what_changes_a_vector(network: Network) -> None:
    others = [
        Network("trained", network.model, CONSTANTS, "weights", "float32", torch.device("cpu")),
        Network("trained", network.model, CONSTANTS, "weights", "bfloat16", torch.device("cpu")),
        Network(
            "trained", network.model, {**CONSTANTS, "radar_mean": (0.0, 0.0)}, "weights", "float32", torch.device("cpu")
        ),
        Network("trained", network.model, CONSTANTS, "others", "float32", torch.device("cpu")),
    ]
    others.append(network.resized(24))
    assert len({encoder.fingerprint("pooled") for encoder in [network, *others]}) == 6
    assert untrained(SPEC, CONSTANTS, "float32").fingerprint("pooled") == network.fingerprint("pooled")


def test_bfloat16_is_close(tiny: Dataset, network: Network) -> None:
    half = Network("trained", network.model, CONSTANTS, "w", "bfloat16", torch.device("cpu"))
    (raw,) = embed.read_batches(tiny, tiny.table("test").slice(0, 4).to_pylist(), 4)
    pair = network.encode(raw, ["joint"], "pooled")["joint"], half.encode(raw, ["joint"], "pooled")["joint"]
    assert pair[1].dtype == torch.float32
    assert torch.cosine_similarity(*pair).min() > 0.999


def test_an_untrained_network_is_always_the_same_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = untrained(SPEC, CONSTANTS, "float32")
    assert torch.rand(1) == expected
    again = untrained(SPEC, CONSTANTS, "float32")
    for a, b in zip(first.model.parameters(), again.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_band_statistics_are_means_and_deviations_of_valid_pixels(tiny: Dataset) -> None:
    rows = tiny.table("test").slice(4, 2).to_pylist()
    (raw,) = embed.read_batches(tiny, rows, 2)
    found = STATISTICS.encode(raw, MODALITIES, "pooled")
    assert {modality: vectors.shape[1] for modality, vectors in found.items()} == {
        "radar": 4,
        "optical": 24,
        "joint": 28,
    }
    for number, planes in enumerate(read_chips(tiny, rows)):
        vv = planes["s1"][0].astype(np.float64)
        b04 = planes["s2_10m"][2].astype(np.float64)
        b12 = planes["s2_20m"][5].astype(np.float64)
        b01 = planes["s2_60m"][0].astype(np.float64)
        expected = {0: b01, 3: b04, 11: b12}
        np.testing.assert_allclose(found["radar"][number, :2], [vv.mean(), vv.std()], rtol=1e-4)
        for band, pixels in expected.items():
            moments = found["optical"][number, 2 * band : 2 * band + 2]
            np.testing.assert_allclose(moments, [pixels.mean(), pixels.std()], rtol=1e-4)
    torch.testing.assert_close(found["joint"], torch.cat([found["radar"], found["optical"]], dim=1))


def test_band_statistics_leave_out_what_was_not_measured() -> None:
    radar = torch.full((1, 2, 24, 24), torch.nan, dtype=torch.float16)
    radar[0, 0, :12] = -10
    optical = {
        10: torch.zeros(1, 4, 24, 24, dtype=torch.uint16),
        20: torch.full((1, 6, 12, 12), 500, dtype=torch.uint16),
        60: torch.full((1, 2, 4, 4), 500, dtype=torch.uint16),
    }
    raw = RawBatch(radar=radar, optical=optical, keys=torch.zeros(1, dtype=torch.int64), ids=("a",))
    found = STATISTICS.encode(raw, MODALITIES, "pooled")
    assert found["radar"].tolist() == [[-10.0, 0.0, 0.0, 0.0]]
    assert found["optical"][0, 2:4].tolist() == [0.0, 0.0]
    assert found["optical"][0, :2].tolist() == [500.0, 0.0]


def test_band_statistics_of_patches_are_those_of_the_image_that_a_network_sees(tiny: Dataset) -> None:
    (raw,) = embed.read_batches(tiny, tiny.table("test").slice(0, 2).to_pylist(), 2)
    found = STATISTICS.encode(raw, MODALITIES, "patches")
    assert {modality: vectors.shape for modality, vectors in found.items()} == {
        "radar": (2, 36, 4),
        "optical": (2, 36, 24),
        "joint": (2, 36, 28),
    }
    vh = ((raw.radar[1, 1].float() + 30) / 20).clamp(0, 1)[8:16, 16:24]
    expected = torch.stack([vh.mean(), vh.std(correction=0)])
    torch.testing.assert_close(found["radar"][1, 6 + 2, 2:], expected)


def test_an_encoder_looks_at_the_middle_of_a_chip(tiny: Dataset, network: Network) -> None:
    (raw,) = embed.read_batches(tiny, tiny.table("test").slice(0, 1).to_pylist(), 1)
    whole = STATISTICS.encode(raw, ["radar"], "patches")["radar"].unflatten(1, (6, 6))
    middle = STATISTICS.resized(32).encode(raw, ["radar"], "patches")["radar"].unflatten(1, (4, 4))
    torch.testing.assert_close(middle, whole[:, 1:5, 1:5])
    assert network.resized(32).encode(raw, ["joint"], "patches")["joint"].shape == (1, 16, SPEC.encoder_dim)
