"""Log lines, for people or as JSON (one object a line, where CROMA_LOGS=json), that know what they are about.

`about` names the run, the dataset or the shard that a block works on; every record made in the block carries these
names, for our JSON as for that of Prefect.
"""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

Fact = Literal["run", "dataset", "shard"]
FACTS: tuple[Fact, ...] = ("run", "dataset", "shard")
_about: ContextVar[dict[str, str]] = ContextVar("croma_about", default={})  # noqa: B039 (never changed, only followed)
_plain = logging.getLogRecordFactory()
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
"""What every record has; `asctime` and `message` come from other formatters."""


def _make_record(*words: object, **named: object) -> logging.LogRecord:
    record = _plain(*words, **named)
    for name, value in _about.get().items():
        setattr(record, name, value)
    return record


logging.setLogRecordFactory(_make_record)


@contextmanager
def about(**facts: str) -> Iterator[None]:
    """Let every record of the block say which run, dataset (with its version, once it has one) or shard it is about.

    Holds in the thread that entered the block; inner blocks add to outer ones.

    Raises:
        ValueError: a fact that is not among `FACTS`.
    """
    unknown = set(facts) - set(FACTS)
    if unknown:
        raise ValueError(f"logs say {', '.join(FACTS)}; {', '.join(sorted(unknown))} is none of them")
    token = _about.set(_about.get() | facts)
    try:
        yield
    finally:
        _about.reset(token)


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, traceback, and what else was given to the record.

    That is what `about` names, and in a flow of Prefect the ids of its run.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD and isinstance(value, str)},
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def as_json() -> bool:
    """Whether the environment asks for JSON."""
    return os.environ.get("CROMA_LOGS", "") == "json"


def configure(*talkative: str) -> None:
    """Write lines to the error stream: from INFO on those of `talkative`, others' only when something is wrong."""
    handler = logging.StreamHandler()
    plain = logging.Formatter("%(asctime)s %(levelname).1s %(message)s", datefmt="%H:%M:%S")
    handler.setFormatter(JsonLines() if as_json() else plain)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for name in talkative:
        logging.getLogger(name).setLevel(logging.INFO)
