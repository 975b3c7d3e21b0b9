import pytest
import torch

from croma.objectives.distillation import PrototypeHead, at, match, prototype_loss


def test_published_value() -> None:
    """33.108643 with NJU-LHRS/official-CMID at 6e1de74: 2,048 prototypes, 20 cells of 4 images, temperature 0.04."""
    draw = torch.Generator().manual_seed(3)
    for _ in range(2):
        torch.randn(4, 3, 64, 64, generator=draw)
    student, teacher = (torch.randn(4, 2048, 20, generator=draw).transpose(1, 2) for _ in range(2))
    assert float(prototype_loss(student, teacher, torch.zeros(2048), 0.04)) == pytest.approx(33.108643, abs=1e-4)


def test_matches_are_the_nearest_cells() -> None:
    places, others = torch.rand(3, 12, 2), torch.rand(3, 9, 2)
    found = match(places, others, 5)
    for image in range(3):
        distance = torch.cdist(places[image], others[image])
        expected = sorted(range(12), key=lambda cell: float(distance[cell].min()))[:5]
        assert found.of[image].tolist() == expected
        assert found.to[image].tolist() == [int(distance[cell].argmin()) for cell in expected]


def test_the_same_ground_matches_itself() -> None:
    places = torch.rand(1, 20, 2)
    shuffled = torch.randperm(20)
    found = match(places, places[:, shuffled], 20)
    assert torch.equal(places[0, found.of[0]], places[0, shuffled][found.to[0]])


def test_tokens_are_picked_by_cell() -> None:
    tokens, cells = torch.rand(2, 6, 3), torch.tensor([[5, 0], [2, 2]])
    assert torch.equal(at(tokens, cells), torch.stack([tokens[0, [5, 0]], tokens[1, [2, 2]]]))


def test_the_teacher_receives_no_gradient() -> None:
    student, teacher = (torch.rand(3, 7, requires_grad=True) for _ in range(2))
    prototype_loss(student, teacher, torch.zeros(7), 0.05).backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_scores_are_cosines() -> None:
    scores = PrototypeHead(8, 16, 4, 30)(torch.randn(2, 5, 8) * 100)
    assert scores.shape == (2, 5, 30)
    assert float(scores.abs().max()) <= 1 + 1e-6
