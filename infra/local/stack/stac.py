"""A STAC API over pgstac, in a virtual environment of its own: its web libraries are too new for Prefect."""

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infra.local.stack import postgres
from infra.local.stack.process import Process, listens, run
from infra.local.stack.site import HOST, StackSite

REQUIREMENTS = Path(__file__).with_name("stac-requirements.txt")
_UNLOCKED = {"PIP_CONSTRAINT": ""}
"""The lock of the project does not hold here."""


def process(site: StackSite) -> Process:
    """The API; it can read and not write."""
    return Process(
        name="stac",
        command=(
            *(str(_python(site)), "-m", "uvicorn", "--factory", "stac_fastapi.pgstac.app:create_app"),
            *("--host", HOST, "--port", str(site.port("stac"))),
        ),
        environment=_database(site, "pgstac_read"),
        folder=site.home / "stac",
        answers=lambda: listens(site.address("stac")),
        before=lambda: _make_catalog(site),
    )


def load(site: StackSite, collections: Iterable[Mapping[str, Any]], items: Iterable[Mapping[str, Any]]) -> None:
    """Put collections and items into the catalog, over those of the same id."""
    with TemporaryDirectory() as scratch:
        for kind, documents in (("collections", collections), ("items", items)):
            path = Path(scratch) / f"{kind}.ndjson"
            path.write_text("".join(f"{json.dumps(document)}\n" for document in documents))
            _pypgstac(site, "pgstac_ingest", "load", kind, str(path), "--method", "upsert")


def _make_catalog(site: StackSite) -> None:
    """The environment, the schema, and two roles that can log in."""
    python = _python(site)
    if not python.exists():
        run([sys.executable, "-m", "venv", str(python.parent.parent)])
        try:
            pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            run([*pip, "-r", str(REQUIREMENTS)], _UNLOCKED)
        except BaseException:
            shutil.rmtree(python.parent.parent)  # half an environment would pass for a whole one
            raise
    _pypgstac(site, "postgres", "migrate")
    for role in ("pgstac_read", "pgstac_ingest"):
        postgres.execute(site, "pgstac", f"alter role {role} login password '{site.secrets['stac']}'")
    # Clients may ask how many items there are in all.
    count = "insert into pgstac.pgstac_settings values ('context', 'on') on conflict (name) do update set value = 'on'"
    postgres.execute(site, "pgstac", count)


def _pypgstac(site: StackSite, role: str, *words: str) -> None:
    run([str(_python(site).with_name("pypgstac")), *words], _database(site, role))


def _database(site: StackSite, role: str) -> dict[str, str]:
    password = site.secrets["postgres" if role == "postgres" else "stac"]
    return {
        "PGHOST": HOST,
        "PGPORT": str(site.port("postgres")),
        "PGDATABASE": "pgstac",
        "PGUSER": role,
        "PGPASSWORD": password,
    }


def _python(site: StackSite) -> Path:
    return site.cache / "stac" / "bin" / "python"
