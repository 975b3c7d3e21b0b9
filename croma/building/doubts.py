"""Optical items that contradict themselves about the offset of processing baseline 04.00: the pixels decide."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from croma.catalog.items import settle_offset
from croma.catalog.scene import Refusal, Scene
from croma.errors import UnusableError
from croma.pairing import refuse_optical
from croma.raster.offset import read_offset_left_in
from croma.raster.read import Signer

log = logging.getLogger(__name__)

THREADS = 16


def settle_doubts(scenes: Sequence[Scene], max_cloud: float, signer: Signer) -> tuple[tuple[Scene, ...], list[Refusal]]:
    """Optical scenes with every doubt settled, in their order, and those whose pixels cannot tell.

    Args:
        scenes: of the catalog.
        max_cloud: percent; cloudier scenes are not used, so they are not looked at and stay as they are.
        signer: signs addresses.

    Raises:
        TransientError: a server of imagery does not answer.
    """
    doubtful = [scene for scene in scenes if scene.offset_in_doubt and refuse_optical(scene, max_cloud) is None]
    if not doubtful:
        return tuple(scenes), []
    with ThreadPoolExecutor(THREADS) as pool:
        settled = dict(
            zip((scene.id for scene in doubtful), pool.map(partial(settle, signer=signer), doubtful), strict=True)
        )
    refused = [found for found in settled.values() if isinstance(found, Refusal)]
    wrong = sum(isinstance(s, Scene) and s.assets != d.assets for s, d in zip(settled.values(), doubtful, strict=True))
    log.info("the pixels of %d scenes decided about the offset: %d flags were wrong", len(doubtful), wrong)
    found = (settled.get(scene.id, scene) for scene in scenes)
    return tuple(scene for scene in found if isinstance(scene, Scene)), refused


def settle(scene: Scene, signer: Signer) -> Scene | Refusal:
    """A doubtful scene with the offset that its pixels show, or why they show none."""
    try:
        left_in = read_offset_left_in(scene.assets["B04"].href, scene.assets["B08"].href, signer)
    except UnusableError as error:
        return _refused(scene, f"whether its offset was removed is in doubt, and it cannot be read: {error}")
    if left_in is None:
        return _refused(
            scene, "whether its offset was removed is in doubt, and it has neither vegetation nor dark ground"
        )
    return settle_offset(scene, left_in)


def _refused(scene: Scene, detail: str) -> Refusal:
    return Refusal(scene=scene.id, collection=scene.collection, reason="offset", detail=detail)
