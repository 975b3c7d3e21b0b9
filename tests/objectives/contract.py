"""The suite that every objective inherits: what `croma.training.step` relies on, and law 5."""

import socket
from typing import Any

import pytest
import torch
from torch import Tensor
from torch import distributed as dist
from torch import multiprocessing as mp

from croma.batches.batch import Batch
from croma.distributed import gather, world_size
from croma.objectives.objective import Objective

BATCH = 8


class ObjectiveContract:
    """Inherit as `class TestMine(ObjectiveContract)` and say how to `build` the objective."""

    channels = (2, 12)
    size = (24, 16)
    tolerance = 1e-5
    """Of losses and gradients in float32, relative to the largest number of a tensor."""

    falling: tuple[str, ...] | None = None
    """Terms that fall while one batch is learnt; all of them together unless named."""

    @classmethod
    def build(cls) -> Any:
        """A small objective, with the same weights at every call."""
        raise NotImplementedError

    @classmethod
    def batch(cls) -> Batch:
        """`BATCH` images, the same at every call."""
        draw = torch.Generator().manual_seed(7)
        radar, optical = (torch.rand(BATCH, count, *cls.size, generator=draw) for count in cls.channels)
        keys = torch.randint(-(2**63), 2**63 - 1, (BATCH,), generator=draw)
        return Batch(radar=radar, optical=optical, keys=keys, ids=tuple(str(i) for i in range(BATCH)))

    @pytest.fixture(autouse=True)
    def _quiet(self) -> None:
        torch.set_num_threads(1)

    def test_keeps_the_protocol(self) -> None:
        objective, batch = self.build(), self.batch()
        assert isinstance(objective, Objective)
        assert isinstance(objective, torch.nn.Module)
        local = objective(batch)
        terms = local.terms | objective.coupled(local.features)
        assert set(terms) == set(objective.weights)
        assert all(term.shape == () for term in terms.values())
        assert all(len(feature) == BATCH for feature in local.features.values())

    def test_is_finite_and_moves_every_parameter(self) -> None:
        objective = self.build()
        loss = whole(objective, self.batch())
        loss.backward()
        still = [
            name
            for name, parameter in objective.named_parameters()
            if parameter.requires_grad and (parameter.grad is None or not parameter.grad.abs().sum() > 0)
        ]
        assert loss.isfinite()
        assert not still, "these parameters receive no gradient; use them or freeze them"
        assert all(p.grad.isfinite().all() for p in objective.parameters() if p.grad is not None)

    def test_repeats_whatever_the_generator_does(self) -> None:
        objective, batch = self.build(), self.batch()
        torch.manual_seed(1)
        one = objective(batch)
        torch.manual_seed(2)
        other, alone = objective(batch), objective.features(batch)
        assert one.features.keys() == other.features.keys() == alone.keys()
        for name in one.features:
            assert torch.equal(one.features[name], other.features[name])
            assert_close(alone[name], one.features[name], self.tolerance)
        assert all(torch.equal(one.terms[name], other.terms[name]) for name in one.terms)

    def test_draws_follow_the_keys(self) -> None:
        objective, batch = self.build(), self.batch()
        losses = [float(whole(objective, one).detach()) for one in (batch, batch._replace(keys=batch.keys + 1))]
        assert losses[0] != losses[1]

    @pytest.mark.parametrize("pieces", [2, 8])
    def test_micro_batches_give_the_gradient_of_one_batch(self, pieces: int) -> None:
        expected = gradients(self.build(), lambda objective: whole(objective, self.batch()).backward())
        found = gradients(self.build(), lambda objective: in_pieces(objective, self.batch(), pieces))
        self.assert_same(found, expected)

    @pytest.mark.slow
    def test_two_processes_give_the_gradient_of_one(self) -> None:
        expected = gradients(self.build(), lambda objective: whole(objective, self.batch()).backward())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        context = mp.get_context("spawn")
        results = context.SimpleQueue()
        workers = mp.spawn(_worker, (type(self), address, results), nprocs=2, join=False)
        found = [results.get() for _ in range(2)]
        workers.join()
        for gradient in found:
            self.assert_same({name: torch.from_numpy(array) for name, array in gradient.items()}, expected)

    def test_survives_saving(self) -> None:
        objective, batch = self.build(), self.batch()
        train(objective, batch, steps=2)
        again = self.build()
        again.load_state_dict(objective.state_dict(), strict=True)
        assert torch.equal(whole(again, batch), whole(objective, batch))

    def test_goes_on_as_if_it_had_never_stopped(self) -> None:
        whole_run, first, second = self.build(), self.build(), self.build()
        train(whole_run, self.batch(), steps=4)
        momentum = train(first, self.batch(), steps=4, stop=2)
        second.load_state_dict(first.state_dict(), strict=True)
        train(second, self.batch(), steps=4, start=2, state=momentum)
        for name, tensor in whole_run.state_dict().items():
            assert torch.equal(second.state_dict()[name], tensor), name

    def test_learns(self) -> None:
        objective, batch = self.build(), self.batch()
        losses = []
        for _ in range(2):
            local = objective(batch)
            terms = local.terms | objective.coupled(local.features)
            losses.append(float(weigh(objective, {name: terms[name] for name in self.falling or terms}).detach()))
            train(objective, batch, steps=12)
        assert losses[1] < losses[0]

    def test_computes_in_bfloat16(self) -> None:
        objective, batch = self.build(), self.batch()
        exact = float(whole(objective, batch).detach())
        with torch.autocast("cpu", torch.bfloat16):
            narrow = whole(objective, batch)
        narrow.backward()
        assert narrow.dtype == torch.float32
        assert abs(float(narrow.detach()) - exact) < 1e-2 * abs(exact)

    def assert_same(self, found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            assert_close(found[name], tensor, self.tolerance, name)


def whole(objective: Any, batch: Batch) -> Tensor:
    """The loss of the global batch in one piece; with workers, of everyone's rows."""
    local = objective(batch)
    features = {name: gather(rows) for name, rows in local.features.items()}
    return weigh(objective, local.terms | objective.coupled(features))


def in_pieces(objective: Any, batch: Batch, pieces: int) -> None:
    """Leaves the gradient of the global batch, computed piece by piece (GradCache)."""
    parts = split(batch, pieces)
    with torch.no_grad():
        made = [objective.features(part) for part in parts]
    features = {name: torch.cat([one[name] for one in made]).requires_grad_() for name in made[0]}
    coupled = objective.coupled(features)
    if coupled:
        weigh(objective, coupled).backward()
    for number, part in enumerate(parts):
        local = objective(part)
        loss = weigh(objective, local.terms) / pieces
        for name, rows in local.features.items():
            gradient = features[name].grad
            if gradient is not None:
                loss = loss + (rows * gradient.chunk(pieces)[number]).sum()
        loss.backward()


def split(batch: Batch, pieces: int) -> list[Batch]:
    """`batch` in `pieces` equal pieces, in order."""
    size = len(batch.keys) // pieces
    return [Batch(*(column[i * size : (i + 1) * size] for column in batch)) for i in range(pieces)]


def weigh(objective: Any, terms: dict[str, Tensor]) -> Tensor:
    return sum((objective.weights[name] * term for name, term in terms.items()), torch.zeros(()))


def train(objective: Any, batch: Batch, steps: int, start: int = 0, stop: int | None = None, state: Any = None) -> Any:
    """Steps `start` to `stop` of `steps` on one batch; returns the optimiser's state."""
    optimiser = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=1e-3)
    if state is not None:
        optimiser.load_state_dict(state)
    for step in range(start, steps if stop is None else stop):
        optimiser.zero_grad()
        whole(objective, batch).backward()
        optimiser.step()
        objective.update(step, steps)
    return optimiser.state_dict()


def gradients(objective: Any, run: Any) -> dict[str, Tensor]:
    run(objective)
    return {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}


def assert_close(found: Tensor, expected: Tensor, tolerance: float, name: str = "") -> None:
    """Equal to `tolerance` of the largest number of `expected`."""
    assert (found - expected).abs().max() <= tolerance * expected.abs().max() + 1e-8, name


def _worker(rank: int, contract: type[ObjectiveContract], address: str, results: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    objective = contract.build()
    whole(objective, split(contract.batch(), 2)[rank]).backward()
    found = {}
    for name, parameter in objective.named_parameters():
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            found[name] = (parameter.grad / world_size()).numpy()
    results.put(found)
    dist.barrier()  # who leaves while the other still receives makes gloo abort it
    dist.destroy_process_group()
