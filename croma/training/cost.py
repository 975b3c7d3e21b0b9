"""What a sample costs, counted without computing anything: the yardstick of comparisons at equal compute."""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from croma.batches.batch import Batch
from croma.objectives.choose import build
from croma.objectives.spec import ObjectiveSpec
from croma.training.reporting import flops_of_a_sample


def training_flops(spec: ObjectiveSpec) -> float:
    """Floating-point operations of one sample, forward and backward, of all networks that an objective runs.

    Matrix products, convolutions and attention are counted, 2 for a multiply-add. What couples a sample to the rest of
    its batch is left out: it grows with the batch.
    """
    # Tensors without content, so that a network of any size is counted in seconds and without memory.
    with FakeTensorMode(), torch.random.fork_rng(devices=[]):
        size, model = spec.model.size, spec.model
        images = Batch(
            radar=torch.rand(1, model.radar_channels, *size),
            optical=torch.rand(1, model.optical_channels, *size),
            keys=torch.zeros(1, dtype=torch.int64),
        )
        return flops_of_a_sample(build(spec), images)
