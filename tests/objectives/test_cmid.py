import math
from dataclasses import replace

import pytest
import torch

from croma.model.towers_spec import TowersSpec
from croma.objectives.choose import build
from croma.objectives.cmid import Cmid
from croma.objectives.distillation import at, match
from croma.objectives.spec import CmidSpec
from croma.objectives.views import draw_window, look
from tests.objectives.contract import ObjectiveContract, train, whole

VIT = TowersSpec(towers=("optical",), dim=48, depth=2, heads=4, patch=4, image=(24, 16))
RESNET = TowersSpec(towers=("joint",), backbone="resnet", width=8, blocks=(1, 1), patch=8, image=(24, 16))
SWIN = TowersSpec(towers=("optical",), backbone="swin", width=32, blocks=(2, 2), patch=8, image=(24, 16))
SMALL = CmidSpec(model=VIT, mask_patch=8, hidden=32, projection=16, queue=64, prototypes=24, matches=6)


def seeded(spec: CmidSpec) -> Cmid:
    torch.manual_seed(0)
    objective = build(spec)
    assert isinstance(objective, Cmid)
    return objective


class CmidContract(ObjectiveContract):
    falling = ("pixels", "frequencies")  # the queue fills with the very batch that is learnt, so the rest may rise


class TestOptical(CmidContract):
    @classmethod
    def build(cls) -> Cmid:
        return seeded(SMALL)


class TestRadarWithoutQueue(CmidContract):
    @classmethod
    def build(cls) -> Cmid:
        return seeded(replace(SMALL, model=replace(VIT, towers=("radar",)), global_branch="byol"))


class TestBothSensorsWithResNet(CmidContract):
    @classmethod
    def build(cls) -> Cmid:
        return seeded(replace(SMALL, model=RESNET))


class TestSwin(CmidContract):
    test_two_processes_give_the_gradient_of_one = None  # what is shared does not depend on the network

    @classmethod
    def build(cls) -> Cmid:
        return seeded(replace(SMALL, model=SWIN))


def test_the_teacher_starts_as_the_student_and_follows_it_slowly() -> None:
    objective, batch = seeded(SMALL), ObjectiveContract.batch()
    pairs = list(zip(objective.teacher.parameters(), objective.model.towers["optical"].parameters(), strict=True))
    assert all(torch.equal(teacher, student) for teacher, student in pairs)
    before = [teacher.clone() for teacher, _ in pairs]
    train(objective, batch, steps=1)
    for old, (teacher, student) in zip(before, pairs, strict=True):
        torch.testing.assert_close(teacher, torch.lerp(old, student, 1 - 0.996))
    assert not any(teacher.requires_grad for teacher, _ in pairs)


def test_the_last_step_leaves_the_teacher_nearly_still() -> None:
    objective = seeded(SMALL)
    with torch.no_grad():
        objective.model.towers["optical"].embed.weight.add_(1.0)
    old = objective.teacher.embed.weight.clone()
    objective.update(step=99, steps=100)
    moved = (objective.teacher.embed.weight - old).mean()
    assert 0 < float(moved) < 1e-5


def test_the_queue_takes_each_key_of_the_batch_once_and_forgets_the_oldest() -> None:
    objective, batch = seeded(SMALL), ObjectiveContract.batch()
    torch.testing.assert_close(objective.queue.norm(dim=1), torch.ones(64))
    old = objective.queue.clone()
    for step in range(5):
        local = objective(batch)
        objective.coupled(local.features)
        objective.update(step, 5)
        place = 16 * step % 64
        keys = local.features["keys"]
        assert torch.equal(objective.queue[place : place + 16], torch.cat((keys[:, 0], keys[:, 1])))
        assert int(objective.oldest) == (place + 16) % 64
    assert not torch.equal(objective.queue[:16], old[:16])


def test_a_batch_larger_than_the_queue_leaves_its_last_keys() -> None:
    objective = seeded(replace(SMALL, queue=10))
    keys = torch.nn.functional.normalize(torch.randn(8, 2, 16), dim=2)
    objective.coupled({"queries": keys, "keys": keys, "scores": torch.zeros(8, 24)})
    objective.update(0, 1)
    assert torch.equal(objective.queue, keys.transpose(0, 1).flatten(0, 1)[-10:])


def test_the_centre_follows_the_scores_of_the_global_batch() -> None:
    objective, batch = seeded(SMALL), ObjectiveContract.batch()
    local = objective(batch)
    objective.coupled(local.features)
    objective.update(0, 1)
    torch.testing.assert_close(objective.centre, 0.1 * local.features["scores"].mean(dim=0))


def test_an_update_without_a_step_before_it_keeps_queue_and_centre() -> None:
    objective = seeded(SMALL)
    queue = objective.queue.clone()
    objective.update(0, 10)
    assert torch.equal(objective.queue, queue)
    assert not objective.centre.any()


def test_the_teacher_s_temperature_rises_then_stays() -> None:
    objective = seeded(SMALL)
    found = []
    for done in (0.0, 0.0625, 0.125, 0.9):
        objective.progress.fill_(done)
        found.append(float(objective._teacher_temperature()))
    assert found == pytest.approx([0.04, 0.055, 0.07, 0.07])


def test_blocks_are_hidden_for_each_view_anew() -> None:
    objective, keys = seeded(SMALL), torch.arange(300)
    one, other = objective._hide(keys, 0), objective._hide(keys, 1)
    assert one.shape == (300, 3, 2)
    assert one.sum(dim=(1, 2)).unique().tolist() == [math.ceil(0.6 * 6)]
    assert not torch.equal(one, other)
    assert (one.mean(dim=0) - 4 / 6).abs().max() < 0.12


def test_the_student_does_not_see_hidden_pixels() -> None:
    objective, batch = seeded(SMALL), ObjectiveContract.batch()
    views = objective._look(batch)
    hidden = views.hidden.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)[:, None]
    # Swapping two hidden pixels keeps the image's mean, which is what hidden pixels are filled with.
    swapped = views.images.clone()
    for image, mask in zip(swapped, hidden[:, 0] > 0, strict=True):
        image[:, mask] = image[:, mask].flip(1)
    with torch.no_grad():
        seen = objective._encode_masked(views)
        again = objective._encode_masked(views._replace(images=swapped))
    torch.testing.assert_close(seen, again, atol=1e-5, rtol=1e-4)


def test_the_global_branch_equals_the_double_loop() -> None:
    """MoCo v2 over the queue, both directions; BYOL's distance of unit vectors."""
    objective, batch = seeded(SMALL), ObjectiveContract.batch()
    found = objective(batch).features
    queries, keys = found["queries"].detach(), found["keys"]
    total = 0.0
    for i in range(len(keys)):
        for view in (0, 1):
            query, key = queries[i, view], keys[i, 1 - view]
            scores = [float(query @ key) / 0.2, *(float(query @ past) / 0.2 for past in objective.queue)]
            total += math.log(sum(math.exp(score) for score in scores)) - scores[0]
    assert float(objective.coupled(found)["global"].detach()) == pytest.approx(total / (2 * len(keys)), rel=1e-5)
    other = seeded(replace(SMALL, global_branch="byol"))
    away = sum(float((queries[i, v] - keys[i, 1 - v]).square().sum()) for i in range(len(keys)) for v in (0, 1))
    assert float(other.coupled(found)["global"].detach()) == pytest.approx(away / (2 * len(keys)), rel=1e-5)


def test_matched_cells_show_the_same_ground() -> None:
    """An image of its own coordinates: what the student's cells show is what the teacher's matched cells show."""
    objective = seeded(replace(SMALL, model=replace(VIT, image=96), mask_patch=24, matches=5))
    ys, xs = torch.meshgrid(torch.arange(96) + 0.5, torch.arange(96) + 0.5, indexing="ij")
    keys = torch.arange(40)
    image = torch.stack((ys, xs))[None].expand(40, -1, -1, -1)
    seen, places = [], []
    for view in (0, 1):
        window = draw_window(keys, view, (96, 96), 0.3)
        seen.append(look(image, window).unflatten(3, (24, 4)).unflatten(2, (24, 4)).mean(dim=(3, 5)).flatten(2))
        places.append(window.places(24, 24).flatten(1, 2))
    pairs = match(places[0], places[1], objective.spec.matches)
    one, other = (at(shown.transpose(1, 2), cells) for shown, cells in ((seen[0], pairs.of), (seen[1], pairs.to)))
    assert float((one - other).norm(dim=2).max()) < 2.5  # a cell is 4 px of a view, at most 4 of the image


def test_the_queue_makes_the_next_step_harder() -> None:
    """A key that is in the queue is its own rival."""
    objective, batch = seeded(SMALL), ObjectiveContract.batch()
    before = float(objective.coupled(objective(batch).features)["global"].detach())
    objective.update(0, 10**6)
    after = float(objective.coupled(objective(batch).features)["global"].detach())
    assert after > before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mask_patch": 6}, "mask_patch is 6; it is a multiple of 4 that divides the image"),
        ({"matches": 25}, "matches is 25; it is from 1 to 24, the cells of an image"),
        ({"model": replace(VIT, towers=("radar", "optical"))}, "CMID has one"),
        ({"queue": 0, "momentum": 1.5}, "queue is 0; it is at least 1.*momentum is 1.5"),
        ({"global_branch": "none"}, "global_branch is 'none'; it is 'moco' or 'byol'"),
        ({"teacher_temperatures": (0.0, 0.1)}, "all are above 0"),
    ],
)
def test_wrong_recipes_are_refused(change: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(SMALL, **change)


def test_whole_loss_has_four_parts() -> None:
    objective, batch = seeded(SMALL), ObjectiveContract.batch()
    assert set(objective.weights) == {"pixels", "frequencies", "global", "local"}
    assert float(whole(objective, batch).detach()) > 0
