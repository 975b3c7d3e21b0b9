"""Which vectors a network gives for radar, optical and both together. Travels with served models: needs torch alone."""

import torch
from torch import Tensor

from croma.model.croma import Encodings
from croma.model.towers_spec import NetworkSpec, TowersSpec
from croma.sensors import MODALITIES, Modality, Role


def modalities_of(spec: NetworkSpec) -> tuple[Modality, ...]:
    """What a network can be asked for; two towers that do not know of each other give a joint vector side by side."""
    towers = spec.towers if isinstance(spec, TowersSpec) else MODALITIES
    pair = {"radar", "optical"} <= set(towers)
    return tuple(each for each in MODALITIES if each in towers or (each == "joint" and pair))


def sensors_of(modalities: tuple[Modality, ...]) -> tuple[Role, ...]:
    """The sensors whose images are needed for all of them."""
    sensors: tuple[Role, ...] = ("radar", "optical")
    return tuple(sensor for sensor in sensors if sensor in modalities or "joint" in modalities)


def pooled(found: Encodings, modality: Modality) -> Tensor:
    """(b, d), the vector of each image that the published protocols use."""
    return _given(found.radar_gap, found.optical_gap, found.joint_gap, modality)


def mean(found: Encodings, modality: Modality) -> Tensor:
    """(b, d), the mean of the patch encodings of each image."""
    return patches(found, modality).float().mean(dim=1)


def patches(found: Encodings, modality: Modality) -> Tensor:
    """(b, patches, d), row by row."""
    return _given(found.radar, found.optical, found.joint, modality)


def _given(radar: Tensor | None, optical: Tensor | None, joint: Tensor | None, modality: Modality) -> Tensor:
    vectors = {"radar": radar, "optical": optical, "joint": joint}[modality]
    if vectors is None and radar is not None and optical is not None:
        vectors = torch.cat([radar, optical], dim=-1)
    if vectors is None:
        raise ValueError(f"this network has no {modality} vector for what it was given")
    return vectors
