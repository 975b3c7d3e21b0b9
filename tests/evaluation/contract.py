"""What every probe must do, to be inherited: chance on noise, near perfect on separable data, one answer a seed."""

from typing import Any

import numpy as np
import pytest
import torch

from croma.evaluation.problem import Part, Prediction, Problem


def problem(kind: str, *, classes: int = 4, several: bool = False, size: int = 240, dim: int = 16) -> Problem:
    """Gaussian blobs (`separable`), or features that know nothing of the labels (`noise`)."""
    generator = torch.Generator().manual_seed(7)
    centres = torch.randn(classes, dim, generator=generator) * 6

    def part(n: int) -> Part:
        labels = torch.randint(classes, (n,), generator=generator)
        features = torch.randn(n, dim, generator=generator) * 0.5
        if several:
            second = torch.randint(classes, (n,), generator=generator)
            many = torch.nn.functional.one_hot(torch.stack([labels, second]), classes).amax(0).bool()
            return Part(features + (many.float() @ centres if kind == "separable" else 0), many)
        return Part(features + (centres[labels] if kind == "separable" else 0), labels)

    return Problem(fit=part(size), select=part(size // 2), score=part(size), classes=classes)


def accuracy(prediction: Prediction, labels: torch.Tensor) -> float:
    return float((prediction.scores.argmax(1) == labels).float().mean())


class ProbeContract:
    """Set `spec` and `predict` (a static method) in the subclass."""

    spec: Any
    predict: Any

    def test_perfect_on_separable_data(self) -> None:
        task = problem("separable")
        assert accuracy(self.predict(task, self.spec, 0), task.score.labels) >= 0.98

    def test_chance_on_noise(self) -> None:
        task = problem("noise", size=800)
        assert accuracy(self.predict(task, self.spec, 0), task.score.labels) == pytest.approx(0.25, abs=0.06)

    def test_probabilities_of_every_chip(self) -> None:
        task = problem("noise")
        scores = self.predict(task, self.spec, 0).scores
        assert scores.shape == (len(task.score.labels), 4)
        torch.testing.assert_close(scores.sum(1), torch.ones(len(scores)))

    def test_one_answer_a_seed(self) -> None:
        task = problem("noise")
        first, again = (self.predict(task, self.spec, 3) for _ in range(2))
        torch.testing.assert_close(first.scores, again.scores, rtol=0, atol=0)
        assert first.note == again.note

    def test_features_of_any_scale(self) -> None:
        """A constant feature and a huge one neither break nor blind the probe."""
        task = problem("separable")
        spoilt = [
            part._replace(features=torch.cat([part.features, torch.full((len(part.labels), 1), 1e-3)], dim=1))
            for part in (task.fit, task.select, task.score)
        ]
        task = Problem(fit=spoilt[0], select=spoilt[1], score=spoilt[2], classes=4)
        assert accuracy(self.predict(task, self.spec, 0), task.score.labels) >= 0.98

    def test_several_labels_a_chip(self) -> None:
        task = problem("separable", several=True)
        scores = self.predict(task, self.spec, 0).scores.numpy()
        agreement = ((scores > 0.5) == task.score.labels.numpy()).mean()
        assert agreement >= 0.95
        blind = problem("noise", several=True, size=800)
        scores = self.predict(blind, self.spec, 0).scores.numpy()
        truth = blind.score.labels.numpy()
        order = np.argsort(-scores[:, 0])
        assert truth[order[:200], 0].mean() == pytest.approx(truth[:, 0].mean(), abs=0.1)
