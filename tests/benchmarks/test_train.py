import pytest

from benchmarks.train import checkpoints, scaling
from croma.model.spec import ModelSpec

TINY = ModelSpec(encoder_dim=16, encoder_depth=2, encoder_heads=2, decoder_dim=16, decoder_heads=2, image=16, patch=4)


@pytest.mark.slow
def test_workers_are_compared() -> None:
    rows = scaling(TINY, batch=4, steps=2, rounds=1)
    assert [row["workers"] for row in rows] == [1, 2, 4]
    assert rows[0]["efficiency"] == 1.0
    assert all(row["samples_per_second"] > 0 for row in rows)


def test_checkpoints_are_timed() -> None:
    found = checkpoints(TINY, rounds=2)
    assert 0 <= found["seconds_held_up"] <= found["seconds_until_written"]
