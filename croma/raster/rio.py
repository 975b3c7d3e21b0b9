"""Raster files through GDAL: reads everything, and is the only choice for what is not a tiled TIFF."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window as RioWindow

from croma.errors import CromaError, TransientError, UnusableError
from croma.raster.faults import from_status, redact
from croma.raster.header import Header, Window
from croma.raster.window import Block, Use

ENVIRONMENT: dict[str, str | int] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # else dozens of 404s a file
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",  # the header in one request
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "60",
    "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/",  # GDAL remembers failures too, and repeats them after a renewal
    "GDAL_CACHEMAX": 64 << 20,  # bytes: every block is decoded once
}

_PIXELS_AT_ONCE = 4 << 20
"""Neighbouring blocks are read together up to this many pixels."""


class RioFile:
    """An open dataset, as a `BlockFile`. Belongs to the thread that opened it."""

    def __init__(self, href: str, dataset: rasterio.DatasetReader) -> None:
        self._href = href
        self._dataset = dataset
        self.header = _header(dataset)

    def read_blocks(self, blocks: Sequence[Block], use: Use) -> dict[Block, UnusableError]:
        """See `BlockFile`."""
        broken: dict[Block, UnusableError] = {}
        most = _PIXELS_AT_ONCE // (self.header.block_height * self.header.block_width)
        for rectangle in rectangles(blocks, most):
            broken |= self._read(rectangle, use)
        return broken

    def _read(self, rectangle: list[Block], use: Use) -> dict[Block, UnusableError]:
        header, first, last = self.header, rectangle[0], rectangle[-1]
        row, col = first.row * header.block_height, first.col * header.block_width
        height = (last.row - first.row + 1) * header.block_height
        width = (last.col - first.col + 1) * header.block_width
        part = Window(row, col, height, width).within(header.window)
        try:
            with translated():
                pixels = self._dataset.read(1, window=RioWindow(part.col, part.row, part.width, part.height))
        except UnusableError as error:
            if len(rectangle) > 1:
                return {block: fault for one in rectangle for block, fault in self._read([one], use).items()}
            self._ask_server()
            return {first: UnusableError(f"block {first.row}, {first.col} cannot be read: {error}")}
        for block in rectangle:
            top, left = (block.row - first.row) * header.block_height, (block.col - first.col) * header.block_width
            use(block, pixels[top : top + header.block_height, left : left + header.block_width])
        return {}

    def _ask_server(self) -> None:
        """Raise what is wrong with the server, if it is the server: GDAL calls an HTTP 503 a short read."""
        if "://" in self._href:
            with translated():
                rasterio.open(self._href, sharing=False).close()


@contextmanager
def open_rio(href: str) -> Iterator[RioFile]:
    """Open a raster file at a path, http(s):// or s3:// address; only its first band is looked at.

    Raises:
        RefusedError: the server wants another signature.
        UnusableError: there is none, or it is no raster.
        TransientError: the server does not answer.
    """
    with rasterio.Env(**ENVIRONMENT):
        with translated():
            dataset = rasterio.open(href, sharing=False)
        with dataset:
            yield RioFile(href, dataset)


def rectangles(blocks: Sequence[Block], most: int) -> list[list[Block]]:
    """Partition sorted blocks into full rectangles of at most `most` (or 1) blocks: runs of a row, then equal runs.

    Law: every block is in exactly one rectangle, and each lists its blocks in order.
    """
    runs: list[list[Block]] = []
    for block in blocks:
        run = runs[-1] if runs else []
        if run and run[-1] == (block.row, block.col - 1) and len(run) < most:
            run.append(block)
        else:
            runs.append([block])
    stacked: list[list[Block]] = []
    for run in runs:
        above = stacked[-1] if stacked else []
        fits = len(above) + len(run) <= most and above[-len(run) :] == [Block(b.row - 1, b.col) for b in run]
        if above and fits and above[0].col == run[0].col:
            above.extend(run)
        else:
            stacked.append(run)
    return stacked


def _header(dataset: rasterio.DatasetReader) -> Header:
    height, width = dataset.block_shapes[0]
    crs = dataset.crs
    return Header(
        epsg=crs.to_epsg() if crs else None,
        crs=crs.to_wkt() if crs else "",
        transform=tuple(dataset.transform)[:6],
        height=dataset.height,
        width=dataset.width,
        block_height=height,
        block_width=width,
        dtype=dataset.dtypes[0],
        nodata=dataset.nodata,
    )


@contextmanager
def translated() -> Iterator[None]:
    """GDAL's errors as ours."""
    try:
        yield
    except RasterioError as error:
        raise _meaning(error) from None


def _meaning(error: BaseException) -> CromaError:
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(redact(str(cause)))
        cause = cause.__cause__
    said = "; ".join(texts)
    if status := re.search(r"HTTP response code[^:]*: (\d{3})|HTTP error code: (\d{3})", said):
        return from_status(int(status[1] or status[2]))
    if "CURL error" in said or "timed out" in said.lower():
        return TransientError(said)
    return UnusableError(said)


class _Redacting(logging.Filter):
    """GDAL's warnings name the whole address, signature included."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        return True


for _name in ("rasterio", "rasterio._env", "rasterio._err", "rasterio._io", "rasterio._base"):
    logging.getLogger(_name).addFilter(_Redacting())
