"""PostgreSQL with PostGIS: one database each for Prefect, MLflow, MLflow's users and pgstac."""

import os
import pwd
import shutil
import signal
from contextlib import closing
from pathlib import Path

import psycopg2
from psycopg2 import sql

from infra.local.stack.process import Process, StackError, run
from infra.local.stack.site import HOST, StackSite

DATABASES = ("prefect", "mlflow", "mlflow_users", "pgstac")
_DEBIAN = Path("/usr/lib/postgresql")


def process(site: StackSite) -> Process:
    """The server, listening on loopback alone."""
    options = {
        "listen_addresses": HOST,
        "port": str(site.port("postgres")),
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "64MB",
    }
    flags = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    return Process(
        name="postgres",
        command=(*_as_server(), _program("postgres"), "-D", str(_data(site)), *flags),
        environment={},
        folder=site.home / "postgres",
        answers=lambda: _answers(site),
        before=lambda: _make_cluster(site),
        after=lambda: _make_databases(site),
        farewell=signal.SIGINT,  # ends sessions, then stops in order
    )


def execute(site: StackSite, database: str, statement: str) -> None:
    """Run one statement as the superuser."""
    with closing(_connect(site, database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


def address(site: StackSite, database: str, driver: str = "postgresql") -> str:
    """The address of a database, with its password: for a server's environment, never for a log."""
    return f"{driver}://postgres:{site.secrets['postgres']}@{HOST}:{site.port('postgres')}/{database}"


def _make_cluster(site: StackSite) -> None:
    if shutil.which(_program("initdb")) is None:
        raise StackError("PostgreSQL is missing; run tools/system-packages.sh as root, or install it with PostGIS")
    data = _data(site)
    if (data / "PG_VERSION").exists():
        return
    password = data.with_name(f"{data.name}.password")
    data.mkdir(parents=True, exist_ok=True)
    password.touch(0o600)
    password.write_text(site.secrets["postgres"])
    if os.geteuid() == 0:
        shutil.chown(data, "postgres")
        shutil.chown(password, "postgres")
    words = ["-D", str(data), "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password}", "-E", "UTF8"]
    try:
        run([*_as_server(), _program("initdb"), *words, "--locale=C.UTF-8", "--no-sync"])
    finally:
        password.unlink()


def _make_databases(site: StackSite) -> None:
    with closing(_connect(site)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("select datname from pg_database")
            there = {row[0] for row in cursor.fetchall()}
            for name in DATABASES:
                if name not in there:
                    cursor.execute(sql.SQL("create database {}").format(sql.Identifier(name)))


def _connect(site: StackSite, database: str = "postgres") -> "psycopg2.extensions.connection":
    return psycopg2.connect(address(site, database), connect_timeout=3)


def _answers(site: StackSite) -> bool:
    try:
        _connect(site).close()
    except psycopg2.OperationalError:
        return False
    return True


def _program(name: str) -> str:
    """Debian keeps the server's programs out of PATH."""
    versions = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(versions[-1]) if versions else name


def _as_server() -> tuple[str, ...]:
    """PostgreSQL refuses to run as root: then it runs as its own user."""
    if os.geteuid() != 0:
        return ()
    return ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--")


def _data(site: StackSite) -> Path:
    """In the stack's home, unless the server's user cannot go there: then beside the system's own databases."""
    folder = (site.home / "postgres" / "data").resolve()
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in folder.parents if parent.exists()):
        return folder
    return Path(pwd.getpwnam("postgres").pw_dir) / site.runtime.name
