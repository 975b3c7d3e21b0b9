"""Reading bands of chips from files: the right reader for each file, every file opened once, files side by side.

A file whose grid coincides with the chip grid is cut (`window`); any other is resampled (`stack`). The choice is the
file's, and it is recorded.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing, contextmanager
from typing import Literal, NamedTuple, Protocol

from croma.catalog.scene import Scene
from croma.errors import TransientError, UnusableError
from croma.grid import GeoBox
from croma.raster.cog import CogFile
from croma.raster.faults import RefusedError, redact
from croma.raster.header import locate
from croma.raster.radiometry import CLASSES, Pixels, Scaling
from croma.raster.rio import open_rio
from croma.raster.source import open_source
from croma.raster.stack import reach, resample
from croma.raster.tiff import UnsupportedError, read_layout
from croma.raster.window import BlockFile, blank, read_windows

Reader = Literal["window", "stack"]


class Signer(Protocol):
    """Makes stored addresses readable; see `croma.catalog.signing`."""

    def sign(self, href: str) -> str:
        """The address as it must be opened."""
        ...

    def renew(self, refused: str) -> str:
        """Another signature for an address that was refused."""
        ...


class Unsigned:
    """For files that anybody can read."""

    def sign(self, href: str) -> str:
        """The address itself."""
        return href

    def renew(self, refused: str) -> str:
        """The address itself."""
        return refused


class Want(NamedTuple):
    """One band of one chip, and where its pixels go."""

    scene: Scene
    band: str
    """Key of the asset in `scene.assets`."""
    box: GeoBox
    out: Pixels
    """(height, width) of the box, in the stored type. Meaningless afterwards if the band could not be read."""
    scaling: Scaling = CLASSES


def read_wants(wants: Sequence[Want], signer: Signer, pool: Executor) -> list[Reader | UnusableError]:
    """Read all `wants`, each file in one task of `pool`. Says how each was read, or what is wrong with its file.

    Raises:
        TransientError: a server does not answer, or refuses everything.
    """
    by_file: dict[tuple[str, str, str], list[int]] = {}
    for number, want in enumerate(wants):
        by_file.setdefault((want.scene.collection, want.scene.id, want.band), []).append(number)
    # The longest tasks first, so that no thread is left alone with one at the end.
    order = sorted(by_file.values(), key=lambda numbers: -sum(wants[n].out.nbytes for n in numbers))
    tasks = [(numbers, pool.submit(_read_file, [wants[n] for n in numbers], signer)) for numbers in order]
    found: dict[int, Reader | UnusableError] = {}
    try:
        for numbers, task in tasks:
            found |= zip(numbers, task.result(), strict=True)
    finally:
        for _, task in tasks:
            task.cancel()
    refusals = [result for result in found.values() if isinstance(result, RefusedError)]
    if refusals and len(refusals) == len(wants):
        raise TransientError(f"every file is refused, as by a server that wants other credentials: {refusals[0]}")
    return [found[number] for number in range(len(wants))]


def _read_file(wants: Sequence[Want], signer: Signer) -> Sequence[Reader | UnusableError]:
    """All `wants` of one file; with another signature if the first one is refused."""
    scene, band = wants[0].scene, wants[0].band
    asset = scene.assets.get(band)
    results: Sequence[Reader | UnusableError]
    try:
        if asset is None:
            raise UnusableError("the scene has no such asset")
        href = signer.sign(asset.href)
        try:
            results = _read_into(href, wants)
        except RefusedError:
            results = _read_into(signer.renew(href), wants)
    except UnusableError as error:
        results = [error] * len(wants)
    except TransientError as error:
        raise TransientError(f"{scene.id} {band}: {redact(str(error))}") from None
    return [
        type(result)(f"{scene.id} {band}: {redact(str(result))}") if isinstance(result, UnusableError) else result
        for result in results
    ]


def _read_into(href: str, wants: Sequence[Want]) -> list[Reader | UnusableError]:
    with open_file(href) as file:
        return read_boxes(file, [want.box for want in wants], [want.out for want in wants], wants[0].scaling)


@contextmanager
def open_file(href: str) -> Iterator[BlockFile]:
    """Open a raster file for reading block by block: common TIFFs directly, everything else through GDAL.

    Raises:
        RefusedError: the server wants another signature.
        UnusableError: there is no such file, or it is no raster.
        TransientError: the server does not answer.
    """
    with closing(open_source(href)) as source:
        try:
            layout = read_layout(source)
        except UnsupportedError:
            pass
        else:
            yield CogFile(source, layout)
            return
    with open_rio(href) as dataset:
        yield dataset


def read_boxes(
    file: BlockFile, boxes: Sequence[GeoBox], outs: Sequence[Pixels], scaling: Scaling
) -> list[Reader | UnusableError]:
    """One band of a file on several grids; every block that they need is fetched once.

    Where a box reaches beyond the file it is nodata. A broken block is the error of the boxes that need it.

    Args:
        file: where the band is read.
        boxes: the grids.
        outs: where the pixels go: for each grid an array of its height and width, of the scaling's type.
        scaling: how numbers of the file become those of the outs.

    Returns:
        How each box was read, or its error, and then its out means nothing.

    Raises:
        RefusedError: the server wants another signature.
        UnusableError: the file is of no use to any box.
        TransientError: the server does not answer.
    """
    header = file.header
    exact = {n: window for n, box in enumerate(boxes) if (window := locate(header, box))}
    other = {n: reach(header, box) for n, box in enumerate(boxes) if n not in exact}
    near = {n: window for n, window in other.items() if window}
    nowhere = scaling.store(blank(header, 1, 1), header.nodata)
    image = header.window
    for n, out in enumerate(outs):
        if n not in exact or not exact[n].inside(image):
            out[...] = nowhere
    targets = [outs[n] for n in exact]
    errors = read_windows(file, list(exact.values()), targets, lambda pixels: scaling.store(pixels, header.nodata))
    faults = {number: errors[place] for place, number in enumerate(exact) if place in errors}
    raw = [blank(header, window.height, window.width) for window in near.values()]
    errors = read_windows(file, list(near.values()), raw, lambda pixels: pixels) if near else {}
    for place, (number, window) in enumerate(near.items()):
        if place in errors:
            faults[number] = errors[place]
            continue
        pixels, measured = raw[place], scaling.measured(raw[place], header.nodata)
        result = resample(header, window, pixels, measured, boxes[number], scaling.resampling)
        outs[number][...] = scaling.convert(result.pixels, result.measured)
    return [faults.get(n) or ("window" if n in exact else "stack") for n in range(len(boxes))]
