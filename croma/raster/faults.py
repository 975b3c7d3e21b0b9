"""What can go wrong with a raster file, told apart: refused, gone, broken, or only not answering now.

A missing or broken file is `UnusableError`: it costs the chips that need it. A server that does not answer is
`TransientError`: the shard is tried again later, so that an outage never looks like bad data.
"""

import re

from croma.errors import CromaError, TransientError, UnusableError


class RefusedError(UnusableError):
    """The server says 401 or 403: a fresh signature may help."""


_AGAIN = {408, 425, 429, 500, 502, 503, 504, 507, 509}
_QUERY = re.compile(r"\?[^\s'\"<>]*")


def redact(text: str) -> str:
    """`text` without the query part of any address in it, which is where signatures are; one line of it."""
    return " ".join(_QUERY.sub("", text).split())


def from_status(status: int) -> CromaError:
    """The error that an HTTP status other than success means for a reader of files."""
    if status in (401, 403):
        return RefusedError(f"access refused (HTTP {status})")
    if status in _AGAIN:
        return TransientError(f"the server answers HTTP {status}")
    return UnusableError("not found (HTTP 404)" if status == 404 else f"the server answers HTTP {status}")
