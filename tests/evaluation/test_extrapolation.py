import pytest

from croma.errors import InputError
from croma.evaluation.bench import Bench
from croma.evaluation.encoders import BandStatistics, untrained
from croma.evaluation.extrapolation import measure
from croma.evaluation.labels import make_task
from croma.evaluation.segmentation import measure as segment
from croma.evaluation.spec import EvalSpec, Extrapolation, Segmentation
from croma.shards.dataset import Dataset, open_dataset
from tests.evaluation.world import CONSTANTS, SIZE, SPEC, labelled_chip, make_dataset

HEAD = Segmentation(inverse_penalties=(0.1, 10.0))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Chips of two land covers each."""
    folder = tmp_path_factory.mktemp("sizes")
    codes = [10, 40, 80]
    chips = {
        split: [labelled_chip(500 * s + n, codes[n % 3], dominance=0.4 + 0.05 * (n % 8)) for n in range(24)]
        for s, split in enumerate(("train", "val", "test"))
    }
    dataset: Dataset = open_dataset(make_dataset(str(folder), folder, chips))
    spec = EvalSpec(target={"kind": "dominant", "min_share": 0.3}, bootstrap={"draws": 20, "block_km": 1.0})
    return Bench(dataset=dataset, task=make_task(dataset, spec), spec=spec, root=str(folder))


def test_a_head_fitted_at_one_size_is_scored_at_others(bench: Bench) -> None:
    encoder = BandStatistics(CONSTANTS, 32, 8)
    found = measure(bench, encoder, "joint", Extrapolation(sizes=(24, 48, 504), segmentation=HEAD))
    assert list(found.values) == ["miou-at-24", "miou-at-48"]
    assert all(values[0] > 0.75 for values in found.values.values())
    assert found.note.endswith("fitted at 32 px")


def test_at_its_own_size_it_is_the_segmentation_protocol(bench: Bench) -> None:
    encoder = BandStatistics(CONSTANTS, SIZE, 8)
    own = measure(bench, encoder, "radar", Extrapolation(sizes=(SIZE,), segmentation=HEAD))
    plain = segment(bench, encoder, "radar", HEAD)
    assert own.values[f"miou-at-{SIZE}"].tolist() == plain.values["miou"].tolist()


def test_a_network_takes_sizes_it_was_not_made_for(bench: Bench) -> None:
    encoder = untrained(SPEC, CONSTANTS, "float32").resized(32)
    short = HEAD.model_copy(update={"epochs": 2})
    found = measure(bench, encoder, "optical", Extrapolation(sizes=(48,), segmentation=short))
    assert 0 < found.values["miou-at-48"][0] <= 1


def test_chips_smaller_than_every_size_are_refused(bench: Bench) -> None:
    with pytest.raises(InputError, match=r"chips of 48 px hold none of the sizes \[504\]"):
        measure(bench, BandStatistics(CONSTANTS, SIZE, 8), "radar", Extrapolation(sizes=(504,)))
