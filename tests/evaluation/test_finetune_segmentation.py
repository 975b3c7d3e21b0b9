from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from croma.batches.augment import augment, draw_window
from croma.batches.batch import RawBatch
from croma.batches.spec import Augmentation
from croma.errors import InputError
from croma.evaluation.bench import Bench
from croma.evaluation.encoders import untrained
from croma.evaluation.finetune import layer_rates
from croma.evaluation.finetune_segmentation import Segmenter, measure, turned
from croma.evaluation.labels import make_task
from croma.evaluation.spec import EvalSpec, FineTuneSegmentation
from croma.shards.dataset import Dataset, open_dataset
from tests.evaluation.world import CONSTANTS, SPEC, labelled_chip, make_dataset

FAST = FineTuneSegmentation(head="linear", shares=(1.0,), learning_rates=(3e-3,), epochs=8, batch=8)
PIXELS = EvalSpec(protocols=(FAST,), target={"kind": "pixels"}, bootstrap={"draws": 20, "block_km": 1.0})


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Chips of two land covers each, the border at another row in every chip."""
    folder = tmp_path_factory.mktemp("mixed")
    chips = {
        split: [labelled_chip(500 * s + n, [10, 40, 80][n % 3], dominance=(2 + n % 3) / 6) for n in range(18)]
        for s, split in enumerate(("train", "val", "test"))
    }
    return open_dataset(make_dataset(str(folder), folder, chips))


def bench_of(dataset: Dataset, root: Path) -> Bench:
    return Bench(dataset=dataset, task=make_task(dataset, PIXELS), spec=PIXELS, root=str(root))


@pytest.mark.slow
def test_it_finds_the_border_between_land_covers_and_leaves_the_encoder_alone(mixed: Dataset, tmp_path: Path) -> None:
    encoder = untrained(SPEC, CONSTANTS, "float32", torch.device("cpu"))
    before = [parameter.clone() for parameter in encoder.model.parameters()]
    found = measure(bench_of(mixed, tmp_path), encoder, "joint", FAST)
    assert found.values["miou"][0] > 0.85
    assert found.n == 18
    for old, new in zip(before, encoder.model.parameters(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=0)


@pytest.mark.slow
def test_chance_where_the_masks_know_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    chips = {}
    for s, split in enumerate(("train", "val", "test")):
        members = [labelled_chip(500 * s + n, 10) for n in range(12)]
        for chip in members:
            chip.label[:] = np.kron(rng.choice([10, 40], (6, 6)), np.ones((8, 8)))
            chip.facts["label_shares"] = {10: 0.5, 40: 0.5}
        chips[split] = members
    dataset = open_dataset(make_dataset(str(tmp_path), tmp_path, chips))
    encoder = untrained(SPEC, CONSTANTS, "float32", torch.device("cpu"))
    found = measure(bench_of(dataset, tmp_path), encoder, "radar", FAST.model_copy(update={"epochs": 4}))
    assert found.values["pixel-accuracy"][0] == pytest.approx(0.5, abs=0.1)


@pytest.mark.slow
def test_few_labels_have_names_and_a_seed_repeats(mixed: Dataset, tmp_path: Path) -> None:
    encoder = untrained(SPEC, CONSTANTS, "float32", torch.device("cpu"))
    short = FAST.model_copy(update={"epochs": 1, "shares": (0.1, 1.0), "head": "decoder"})
    first, again = (measure(bench_of(mixed, tmp_path), encoder, "optical", short) for _ in range(2))
    assert {"miou-at-10", "miou-at-100", "macro-f1-at-10"} <= set(first.values)
    np.testing.assert_array_equal(first.values["miou-at-100"], again.values["miou-at-100"])


@pytest.mark.slow
def test_one_class_is_told_from_the_rest(mixed: Dataset, tmp_path: Path) -> None:
    encoder = untrained(SPEC, CONSTANTS, "float32", torch.device("cpu"))
    found = measure(bench_of(mixed, tmp_path), encoder, "joint", FAST.model_copy(update={"told": (80,), "epochs": 4}))
    assert set(found.by_class) == {"water", "rest"}
    assert found.values["miou"][0] > 0.8
    with pytest.raises(InputError, match="has the class 50"):
        measure(bench_of(mixed, tmp_path), encoder, "joint", FAST.model_copy(update={"told": (50,)}))


@pytest.mark.parametrize("crop", [(48, 48), (32, 32), (24, 40)])
def test_masks_are_cropped_and_turned_as_their_images(crop: tuple[int, int]) -> None:
    """An image that is its own mask is still its own mask after both were turned."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.randint(0, 2, (16, 6, 6), generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
    keys = torch.randint(1 << 62, (16,), generator=generator)
    plane = (mask * 250 + 1).to(torch.uint16)[:, None]
    optical = {10: plane.expand(-1, 12, -1, -1).contiguous()}
    raw = RawBatch(radar=torch.zeros(16, 2, 48, 48, dtype=torch.float16), optical=optical, keys=keys, ids=("",) * 16)
    constants = SimpleNamespace(**CONSTANTS | {"optical_mean": (126.0,) * 12, "optical_std": (62.5,) * 12})
    turns = Augmentation(crop=crop, turns=True)
    seen = augment(raw, constants, turns, 32).optical[:, 0]
    found = turned(mask, draw_window(keys, 48, turns), 32)
    sharp = (seen < 0.01) | (seen > 0.99)
    assert sharp.float().mean() > 0.7
    assert ((seen > 0.5) == (found == 1))[sharp].all()


def test_every_parameter_learns_once_and_the_input_slowest() -> None:
    encoder = untrained(SPEC, CONSTANTS, "float32", torch.device("cpu"))
    model = Segmenter(encoder, "joint", 3, "linear")
    rates = {id(p): group["lr"] for group in layer_rates(model, 1.0, 0.5) for p in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    rate = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    assert rate["head.linear.weight"] == 1.0
    assert rate["body.optical_encoder.embed.weight"] == min(rates.values())


def test_labels_of_one_class_are_refused(tmp_path: Path) -> None:
    chips = {
        split: [labelled_chip(n + 10 * s, 10) for n in range(3)] for s, split in enumerate(("train", "val", "test"))
    }
    dataset = open_dataset(make_dataset(str(tmp_path), tmp_path, chips))
    with pytest.raises(InputError, match="1 class"):
        bench_of(dataset, tmp_path)
