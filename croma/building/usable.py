"""Which scenes of a search a build can use, and the sentence to say where it can use none."""

from collections import Counter
from collections.abc import Iterable

from croma.building.spec import BuildSpec
from croma.catalog.items import assume_baseline
from croma.catalog.scene import Refusal, Scene
from croma.errors import InputError
from croma.pairing import refuse_optical, refuse_radar

Refusals = tuple[Refusal, ...]


def in_order(scenes: Iterable[Scene]) -> list[Scene]:
    """Each scene once, by time and id."""
    return sorted({scene.id: scene for scene in scenes}.values(), key=lambda scene: (scene.time, scene.id))


def usable_optical(spec: BuildSpec, scenes: Iterable[Scene]) -> tuple[list[Scene], Refusals]:
    """Optical scenes with a known or assumed processing baseline, by time and id, and those that are left out.

    Raises:
        InputError: none is left, or a baseline is unknown and the recipe does not say what to assume.
    """
    given = in_order(scenes)
    usable, refused = _usable(spec, given, [refuse_optical(s, spec.pair.max_scene_cloud) for s in given], spec.optical)
    unknown = [scene for scene in usable if scene.baseline is None]
    if spec.assume_baseline is not None:
        assumed = spec.assume_baseline
        return [assume_baseline(s, assumed) if s.baseline is None else s for s in usable], refused
    if unknown:
        names = ", ".join(scene.id for scene in unknown[:3]) + (" …" if len(unknown) > 3 else "")
        raise InputError(
            f"{len(unknown)} of {len(usable)} optical items do not state their processing baseline ({names}), and it "
            "decides whether 1000 is subtracted: set assume_baseline in the recipe (below 4: nothing is subtracted)"
        )
    return usable, refused


def usable_radar(spec: BuildSpec, scenes: Iterable[Scene]) -> tuple[list[Scene], Refusals]:
    """Radar scenes of the right mode, polarisation and direction, by time and id, and those that are left out.

    Raises:
        InputError: none is left.
    """
    given = in_order(scenes)
    rule = spec.pair
    refusals = [refuse_radar(scene, rule.same_orbit_state, rule.relative_orbits) for scene in given]
    return _usable(spec, given, refusals, spec.radar)


def _usable(
    spec: BuildSpec, scenes: list[Scene], refusals: list[Refusal | None], name: str
) -> tuple[list[Scene], Refusals]:
    usable = [scene for scene, refusal in zip(scenes, refusals, strict=True) if refusal is None]
    refused = tuple(refusal for refusal in refusals if refusal is not None)
    if not usable:
        where = "the polygon of the area" if spec.area.bbox is None else f"the box {list(spec.area.bbox)}"
        when = f"from {spec.window.start} to {spec.window.end}"
        if not refused:
            raise InputError(
                f"the search found no {name} scene in {where} {when}: take a longer window or another area, or look "
                "whether the catalog covers it"
            )
        reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(Counter(r.reason for r in refused).items()))
        raise InputError(
            f"none of the {len(refused)} {name} scenes in {where} {when} can be used ({reasons}; "
            f"for example {refused[0].scene}: {refused[0].detail})"
        )
    return usable, refused
