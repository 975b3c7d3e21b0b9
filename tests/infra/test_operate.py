"""The runbook: its numbers are those of its script, its anchors and files are there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SCRIPT, DOCUMENT = REPOSITORY / "docs" / "operate_numbers.py", REPOSITORY / "docs" / "operate.md"


def test_the_tables_are_those_of_the_script() -> None:
    printed = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=True).stdout
    assert printed.count("\n| ") > 8
    assert printed in DOCUMENT.read_text(), "run python docs/operate_numbers.py --write"


@pytest.fixture(scope="module")
def numbers() -> dict[str, object]:
    namespace: dict[str, object] = {"__name__": "numbers", "__file__": str(SCRIPT)}
    exec(compile(SCRIPT.read_text(), str(SCRIPT), "exec", dont_inherit=True), namespace)
    return namespace


def test_against_figures_from_elsewhere(numbers: dict[str, object]) -> None:
    build, training = numbers["Build"], numbers["Training"]
    # A chip of 120 px on native grids as it was counted byte by byte.
    assert build(1, 16, 1).gigabytes * 1e9 == pytest.approx(217_600)  # type: ignore[operator]
    # The rate of matrix products of the GPU that was measured, the share of it reached, operations of a sample.
    for size, reached, gigaflops in (("base", 0.410, 67.05), ("large", 0.461, 225.21)):
        rate = 783e12 * reached / (gigaflops * 1e9)
        assert training(size, 1).hours == pytest.approx(300e6 / rate / 3600, rel=0.01)  # type: ignore[operator]
    assert training("base", 1).checkpoint_gigabytes == pytest.approx(2.40, rel=0.01)  # type: ignore[operator]
    # More cores take less time and not less money; more GPUs cost what they lose in scaling.
    one, two = build(10_000, 64, 1), build(10_000, 64, 2)  # type: ignore[operator]
    assert one.hours == pytest.approx(2 * two.hours)
    assert one.dollars == pytest.approx(two.dollars)
    assert training("base", 64).hours * 64 > training("base", 1).hours  # type: ignore[operator]


def test_what_the_runbook_points_to_is_there() -> None:
    text = DOCUMENT.read_text()
    headings = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert {link[1:] for link in links if link.startswith("#")} <= headings
    files = [link.partition("#")[0] for link in links if not link.startswith(("#", "http"))]
    assert all((DOCUMENT.parent / file).exists() for file in files)
    named = re.findall(r"`((?:infra|docker|tools|tests|docs)/[\w./-]+\.\w+)`", text)
    assert named
    assert [path for path in named if not (REPOSITORY / path).exists()] == []
