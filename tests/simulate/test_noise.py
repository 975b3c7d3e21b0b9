import numpy as np
import pytest

from croma.simulate.noise import Field, blurred, enlarge, mix, unit


@pytest.mark.parametrize(("factor", "height", "width"), [(4, 13, 22), (8, 16, 8), (1, 5, 7), (16, 1, 3)])
def test_enlarge_is_linear_interpolation(factor: int, height: int, width: int) -> None:
    nodes = np.random.default_rng(0).normal(size=(-(-height // factor) + 1, -(-width // factor) + 1)).astype(np.float32)
    rows, columns = np.arange(height) / factor, np.arange(width) / factor
    across = np.stack([np.interp(columns, np.arange(nodes.shape[1]), row) for row in nodes])
    expected = np.stack([np.interp(rows, np.arange(nodes.shape[0]), column) for column in across.T], axis=1)
    np.testing.assert_allclose(enlarge(nodes, factor, height, width), expected, atol=1e-6)


def test_mix_is_uniform_and_depends_on_every_part() -> None:
    many = np.arange(-50_000, 50_000)
    counts = np.bincount(mix(many, 3) % 64, minlength=64)
    assert np.abs(counts / counts.mean() - 1).max() < 0.12
    assert abs(np.corrcoef(unit(mix(many, 3)), unit(mix(many, 4)))[0, 1]) < 0.02
    assert abs(np.corrcoef(unit(mix(many, 3)), unit(mix(many, 3), 16))[0, 1]) < 0.02
    assert np.array_equal(mix(many, 3), mix(many, 3))


@pytest.mark.parametrize(
    "field",
    [
        Field.smooth("a", wavelength=400.0, pixel=50.0, size=128),
        Field.fractal("a", longest=2000.0, slope=2.2, pixel=50.0, size=128),
    ],
)
def test_fields_are_standardised_and_periodic(field: Field) -> None:
    assert field.values.mean() == pytest.approx(0, abs=1e-5)
    assert field.values.std() == pytest.approx(1, abs=1e-4)
    x, y = np.random.default_rng(1).uniform(-9000, 9000, (2, 200)).astype(np.float32)
    period = np.float32(field.pixel * field.size)
    np.testing.assert_allclose(field.at(x, y), field.at(x + period, y - period), atol=1e-2)
    on_grid = np.rint(x / 50) * 50, np.rint(y / 50) * 50
    np.testing.assert_allclose(field.at(*on_grid), field.pick(x, y), atol=1e-4)


def test_smooth_fields_have_the_wavelength_asked_for() -> None:
    field = Field.smooth("w", wavelength=400.0, pixel=50.0, size=256)
    power = np.abs(np.fft.fft(field.values, axis=1)[:, 1:128]) ** 2
    cycles = np.arange(1, 128) / (256 * 50.0)
    assert 1 / np.average(cycles, weights=power.sum(0)) == pytest.approx(500, rel=0.35)


def test_blur_keeps_the_mean_and_the_edges() -> None:
    flat = np.full((9, 11), 3.0, np.float32)
    np.testing.assert_allclose(blurred(flat, 0.2), flat, rtol=1e-6)
    point = np.zeros((9, 9), np.float32)
    point[4, 4] = 1
    spot = blurred(point, 0.2)
    assert spot.sum() == pytest.approx(1)
    assert spot[4, 4] == pytest.approx(0.36)
    assert spot[3, 4] == spot[4, 3] == pytest.approx(0.12)
