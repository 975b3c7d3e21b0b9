"""Log lines say which run, dataset and shard they are about, as JSON where the environment asks for it."""

import json
import logging
import subprocess
import sys
from contextvars import copy_context
from threading import Thread

import pytest

from croma.logs import JsonLines, about

log = logging.getLogger("croma.test")


def parsed(caplog: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    return [json.loads(JsonLines().format(record)) for record in caplog.records]


def test_a_line_says_what_it_is_about(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="croma")
    with about(dataset="s3://bucket/x@3"):
        with about(shard="abc"):
            log.info("%d chips", 7)
        log.info("sealed")
    log.info("nothing in particular")
    inner, outer, after = parsed(caplog)
    assert (inner["message"], inner["level"], inner["logger"]) == ("7 chips", "INFO", "croma.test")
    assert inner["time"].endswith("+00:00")
    assert (inner["dataset"], inner["shard"]) == ("s3://bucket/x@3", "abc")
    assert outer["dataset"] == "s3://bucket/x@3"
    assert "shard" not in outer
    assert not {"run", "dataset", "shard"} & set(after)


def test_a_thread_that_is_given_the_context_says_it_too(caplog: pytest.LogCaptureFixture) -> None:
    with about(run="demo-1"):
        inside = Thread(target=copy_context().run, args=(log.warning, "inside"))
        for thread in (inside, Thread(target=log.warning, args=["alone"])):
            thread.start()
            thread.join()
    told, silent = parsed(caplog)
    assert told["run"] == "demo-1"
    assert "run" not in silent


def test_a_traceback_stays_in_its_line(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("no room")
    except ValueError:
        log.exception("failed\nwith two lines")
    line = JsonLines().format(caplog.records[0])
    assert "\n" not in line
    assert "ValueError: no room" in json.loads(line)["error"]


def test_a_fact_that_nobody_looks_for_is_refused() -> None:
    with pytest.raises(ValueError, match="logs say run, dataset, shard; run_id is none of them"), about(run_id="x"):
        pass


@pytest.mark.parametrize("wanted", ["json", ""])
def test_what_a_program_prints(wanted: str) -> None:
    code = (
        "import logging; from croma import logs; logs.configure('croma')\n"
        "with logs.about(run='r'): logging.getLogger('croma.x').info('hello'); logging.getLogger('vendor').info('no')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"CROMA_LOGS": wanted}, capture_output=True, text=True, check=True
    )
    (line,) = done.stderr.splitlines()
    if wanted:
        assert json.loads(line) | {"time": ""} == {
            "time": "",
            "level": "INFO",
            "logger": "croma.x",
            "message": "hello",
            "run": "r",
        }
    else:
        assert line.endswith(" I hello")
