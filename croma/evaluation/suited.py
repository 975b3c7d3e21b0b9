"""What of an evaluation a dataset allows: imported benchmarks may lack a sensor, or label chips instead of pixels."""

from collections.abc import Iterator, Mapping

from croma.errors import InputError
from croma.evaluation.modalities import sensors_of
from croma.evaluation.spec import OF_PIXELS, EvalSpec, Protocol
from croma.sensors import OPTICAL_CHANNELS, RADAR_CHANNELS, Role
from croma.shards.dataset import Dataset

SENSORS: tuple[Role, ...] = ("radar", "optical")

NORMALISED: dict[str, tuple[float, ...]] = {
    "radar_mean": (127.5,) * RADAR_CHANNELS,
    "radar_std": (63.75,) * RADAR_CHANNELS,
    "optical_mean": (128.5,) * OPTICAL_CHANNELS,
    "optical_std": (63.75,) * OPTICAL_CHANNELS,
}
"""Constants that divide pixels which are normalised already by 255; optical ones are kept plus 1."""

_MEANT = {
    "mask": "the class of every pixel",
    "class": "the class of a chip",
    "classes": "several classes of a chip",
    "change": "which pixels changed between two dates",
}


def suited(spec: EvalSpec, dataset: Dataset) -> tuple[EvalSpec, dict[str, int]]:
    """The part of an evaluation that a dataset's sensors allow, and the dataset's chips by what they do not.

    Raises:
        InputError: nothing is left, or the labels are not such as the protocols need.
    """
    wrong = list(_unlabelled(spec, dataset))
    if wrong:
        raise InputError(*wrong)
    missing = [sensor for sensor in SENSORS if sensor not in dataset.header.sensors]
    if not missing:
        return spec, {}
    lacks = f"the dataset has no {' and no '.join(missing)}"
    kept = tuple(m for m in spec.modalities if set(sensors_of((m,))) <= set(dataset.header.sensors))
    protocols = tuple(protocol for protocol in spec.protocols if protocol.kind != "retrieval")
    if not kept or not protocols:
        asked = ", ".join(spec.modalities) if not kept else "retrieval, which takes both sensors"
        raise InputError(f"dataset {dataset.ref}: {lacks}, and the recipe asks for {asked} alone")
    dropped: list[str] = [m for m in spec.modalities if m not in kept]
    dropped += [protocol.name for protocol in spec.protocols if protocol not in protocols]
    notes = {f"{name}/{lacks}": dataset.rows.num_rows for name in dropped}
    return spec.model_copy(update={"modalities": kept, "protocols": protocols}), notes


def constants_for(dataset: Dataset, own: Mapping[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
    """The normalisation of a dataset's pixels by weights whose `own` it is."""
    return dict(NORMALISED if dataset.header.normalised else own)


def _unlabelled(spec: EvalSpec, dataset: Dataset) -> Iterator[str]:
    """A sentence for each protocol whose labels the dataset has not; no labels at all are another matter."""
    header = dataset.header
    if not header.labelled:
        return
    for protocol in spec.protocols:
        if header.labels not in _labels_for(protocol):
            says = _MEANT[header.labels]
            yield f"dataset {dataset.ref}: its labels say {says}, and {protocol.name} needs others; leave it out"
    if header.labels == "classes" and spec.target.kind == "dominant":
        yield f"dataset {dataset.ref}: its chips have several labels; take the target `present`"
    if header.labels == "change" and spec.needs_labels and spec.target.kind != "pixels":
        yield f"dataset {dataset.ref}: its labels say {_MEANT['change']}; take the target `pixels`"


def _labels_for(protocol: Protocol) -> tuple[str, ...]:
    if protocol.kind == "retrieval":
        return tuple(_MEANT)
    if protocol.kind == "change":
        return ("change",)
    return ("mask",) if protocol.kind in OF_PIXELS else ("mask", "class", "classes")
