import pytest
import torch

from croma.batches.batch import Batch
from croma.evaluation.reach import PARTS, attention_distances
from croma.model.croma import Croma
from tests.evaluation.world import SPEC


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(
        radar=torch.rand(2, 2, 48, 48, generator=generator),
        optical=torch.rand(2, 12, 48, 48, generator=generator),
        keys=torch.arange(2),
    )


def grid() -> torch.Tensor:
    """(36, 36) distances between patches of 48 px."""
    places = [(row, column) for row in range(6) for column in range(6)]
    return torch.tensor([[((a - c) ** 2 + (b - d) ** 2) ** 0.5 for c, d in places] for a, b in places])


def blind(model: Croma) -> Croma:
    """Attention that does not look at its input: position alone decides."""
    for name, parameter in model.named_parameters():
        if name.endswith(("qkv.weight", "query.weight", "kv.weight")):
            parameter.data.zero_()
    return model


def test_attention_by_position_alone_is_that_of_alibi(batch: Batch) -> None:
    found = attention_distances(blind(Croma(SPEC)), batch)
    assert list(found) == list(PARTS.values())
    slopes = torch.tensor([2.0 ** (-8 * (head + 1) / 4) for head in range(4)])
    expected = torch.stack([(torch.softmax(-slope * grid(), 1) * grid()).sum(1).mean() for slope in slopes])
    assert {name: tuple(each.shape) for name, each in found.items()} == {
        "radar": (1, 4),
        "optical": (2, 4),
        "joint, itself": (1, 4),
        "joint, optical": (1, 4),
    }
    for distances in found.values():
        torch.testing.assert_close(distances, expected.expand_as(distances), atol=1e-5, rtol=1e-5)


def test_what_is_measured_is_what_the_network_does(batch: Batch) -> None:
    """A head that looks at one patch alone, whatever stands there, looks as far as that patch is away on average."""
    torch.manual_seed(0)
    model = Croma(SPEC)
    attention = model.radar_encoder.blocks[0].attention
    attention.register_forward_pre_hook(lambda _, inputs: (inputs[0], inputs[1] + wall))
    wall = torch.zeros(36, 36).fill_(-1e4)
    wall[:, 7] = 0
    (distances,) = attention_distances(model, batch)["radar"]
    torch.testing.assert_close(distances, grid()[:, 7].mean().expand(4), atol=1e-4, rtol=1e-4)


def test_training_moves_it(batch: Batch) -> None:
    torch.manual_seed(0)
    seen, blinded = attention_distances(Croma(SPEC), batch), attention_distances(blind(Croma(SPEC)), batch)
    assert all((seen[part] - blinded[part]).abs().max() > 1e-4 for part in seen)
