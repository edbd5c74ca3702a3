"""The stand-in for Amazon Redshift: it refuses what it should, passes what comes near, and says what it cannot."""

import contextlib
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path

import duckdb
import psycopg2
import pytest
import redshift_connector
from conftest import PROJECT
from redshift_stand_in import INSTALL, StandIn, find_postgres
from redshift_stand_in.cases import SETUP, read_cases, write_objects
from redshift_stand_in.compare import Table, compare, difference
from redshift_stand_in.refusals import RULES, NotEmulated, Refused
from redshift_stand_in.rewrite import rewrite
from redshift_stand_in.words import FUNCTIONS, NOT_EMULATED_FUNCTIONS
from shared.comparison import manifest_of

CASES = read_cases()


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    if find_postgres() is None:
        if os.environ.get("REDSHIFT_STAND_IN_REQUIRED"):
            pytest.fail(INSTALL)
        pytest.skip(f"NOT TESTED: the Redshift target. {INSTALL}")
    folder = tmp_path_factory.mktemp("stand_in")
    with StandIn(folder, log=folder / "log.jsonl") as started:
        write_objects(started.s3)
        started.create_role("reader")
        with through_psycopg2(started) as connection, connection.cursor() as cursor:
            for statement in SETUP.strip().split(";\n"):
                cursor.execute(statement)
            connection.commit()
        yield started


@contextlib.contextmanager
def through_psycopg2(stand_in):
    """A connection through the proxy that sends statements in one message each, unlike dbt's driver."""
    environment = stand_in.environment
    connection = psycopg2.connect(
        host=environment["REDSHIFT_HOST"],
        port=environment["REDSHIFT_PORT"],
        dbname=environment["REDSHIFT_DATABASE"],
        user=environment["REDSHIFT_USER"],
        sslmode="disable",
    )
    try:
        yield connection
    finally:
        connection.close()


def through_the_driver(stand_in):
    environment = stand_in.environment
    return redshift_connector.connect(
        host=environment["REDSHIFT_HOST"],
        port=int(environment["REDSHIFT_PORT"]),
        database=environment["REDSHIFT_DATABASE"],
        user=environment["REDSHIFT_USER"],
        password=environment["REDSHIFT_PASSWORD"],
        ssl=False,
    )


@pytest.fixture(scope="module")
def connection(stand_in):
    with through_psycopg2(stand_in) as opened:
        yield opened


@pytest.fixture
def session(connection):
    with connection.cursor() as cursor:
        yield cursor
    connection.rollback()


def outcome(error: Exception) -> str:
    text = str(error)
    if match := re.match(r"\[redshift: (\w+)\]", text):
        assert RULES[match[1]].url in text
        return f"refused: {match[1]}"
    assert not text.startswith("[stand-in: error]"), text
    return "not emulated" if text.startswith("[stand-in: not emulated] ") else "PostgreSQL refuses"


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(session, case):
    *before, last = case.statements
    for statement in before:
        session.execute(statement)
    try:
        session.execute(last)
        found = "passes"
        rows = session.fetchall() if session.description else []
    except psycopg2.Error as error:
        found = outcome(error)
    expected = f"refused: {case.rule}" if case.outcome == "refused" else case.outcome
    if case.outcome == "missed":
        assert found == "passes", "it is refused now: say so in the case and in README.md"
    elif case.outcome == "false alarm":
        assert found != "passes", "it passes now: say so in the case and in README.md"
    else:
        assert found == expected
        if case.rows is not None:
            assert json.loads(json.dumps(rows, default=plain)) == case.rows


def plain(value):
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_rule_has_a_page_a_refusal_and_a_near_miss(rule):
    assert re.fullmatch(r"https://docs\.aws\.amazon\.com/redshift/latest/dg/[\w-]+\.html", rule.url)
    outcomes = {case.outcome for case in CASES if case.rule == rule.name}
    assert "refused" in outcomes
    assert outcomes & {"passes", "not emulated"}


def test_cases_name_rules_and_outcomes_that_exist():
    assert len({case.name for case in CASES}) == len(CASES)
    outcomes = {"passes", "refused", "PostgreSQL refuses", "not emulated", "false alarm", "missed"}
    assert {case.outcome for case in CASES} <= outcomes
    assert {case.rule for case in CASES} - {None} == set(RULES)
    assert all(case.rule for case in CASES if case.outcome == "refused")


def test_every_declared_miss_and_false_alarm_stands_in_the_readme():
    readme = (PROJECT / "tests/redshift_stand_in/README.md").read_text()
    for case in CASES:
        if case.outcome in ("missed", "false alarm"):
            assert f"*{case.name}*" in readme


def test_every_function_of_redshift_is_built_or_said_to_be_missing(stand_in):
    built = {name for (name,) in stand_in.query("select proname from pg_proc")}
    of_the_syntax = {"cast", "coalesce", "current_date", "greatest", "grouping", "least", "nullif", "trim"}
    reworded = {"approximate", "datepart", "listagg", "nvl", "replicate", "sysdate"}
    assert FUNCTIONS - built - NOT_EMULATED_FUNCTIONS == of_the_syntax | reworded


def test_the_driver_of_dbt_connects_and_binds_parameters(stand_in):
    connection = through_the_driver(stand_in)
    with connection, connection.cursor() as cursor:
        cursor.execute("select %s, cast(%s as integer) + 1, 7 / 2", ("it's", 41))
        assert [list(row) for row in cursor.fetchall()] == [["it's", 42, 3]]
        with pytest.raises(redshift_connector.error.ProgrammingError, match="redshift: unknown_function"):
            cursor.execute("select string_agg(%s, ',')", ("x",))
        connection.rollback()
        # The same statement again comes as a prepared one.
        for _ in range(2):
            cursor.execute("copy analytics.loaded from 's3://cases/good/' iam_role default format as parquet")
        cursor.execute("select count(*) from analytics.loaded")
        assert list(cursor.fetchone()) == [6]
        connection.rollback()


def test_counts(stand_in):
    def counted():
        return stand_in.counts.statements, stand_in.counts.refused, stand_in.counts.not_emulated

    with through_psycopg2(stand_in) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        before = counted()
        # The first is refused by the proxy, the second by the server.
        for refused in ("select string_agg(1)", "create table analytics.n sortkey (no) as select 1 as a", "vacuum"):
            with pytest.raises(psycopg2.Error):
                cursor.execute(refused)
        cursor.execute("select 1")
    assert [new - old for new, old in zip(counted(), before, strict=True)] == [4, 2, 1]


def test_the_log_holds_each_statement_as_sent_and_as_rewritten(stand_in, session):
    session.execute("select nvl(null, 'logged') as marker")
    lines = (stand_in.s3.parent / "log.jsonl").read_text().splitlines()
    [line] = [json.loads(line) for line in lines if "marker" in line and "nvl(null, 'logged')" in line][-1:]
    assert line["redshift"] == "select nvl(null, 'logged') as marker"
    assert line["postgres"] == "select coalesce(null, 'logged') as marker"
    assert line["error"] is None


def test_a_fault_of_the_stand_in_lets_nothing_pass(stand_in, session, monkeypatch):
    monkeypatch.setattr("redshift_stand_in.proxy.rewrite", lambda sql: sql.no_such_attribute)
    with pytest.raises(psycopg2.Error, match=r"\[stand-in: error\] AttributeError"):
        session.execute("select 1")


@pytest.mark.parametrize("sql", ["select 'open", "select (1", "select a from b where f(("])
def test_what_cannot_be_read_is_no_silent_pass(session, sql):
    with pytest.raises(psycopg2.Error) as caught:
        session.execute(sql)
    assert outcome(caught.value) in ("not emulated", "PostgreSQL refuses")


def test_edits_that_meet_are_not_emulated():
    with pytest.raises(NotEmulated, match="this combination"):
        rewrite("select listagg(nvl(s, 'x'), nvl(k, ',')) within group (order by \"ID\") from a.t")


def test_truncate_commits(stand_in):
    # https://docs.aws.amazon.com/redshift/latest/dg/r_TRUNCATE.html
    connection = through_the_driver(stand_in)
    connection.autocommit = True  # as dbt has it
    with connection, connection.cursor() as cursor:
        cursor.execute("create table analytics.truncated as select 1 as id")
        cursor.execute("begin")
        cursor.execute("insert into analytics.one values (77)")
        cursor.execute('truncate table "dev"."analytics"."truncated"')
        cursor.execute("insert into analytics.truncated values (2)")
        cursor.execute("rollback")
        cursor.execute("select count(*), max(id) from analytics.truncated")
        truncated = list(cursor.fetchone())
        cursor.execute("select count(*) from analytics.one where x = 77")
        inserted = list(cursor.fetchone())
        cursor.execute("delete from analytics.one where x = 77")
        cursor.execute("drop table analytics.truncated")
    assert inserted == [1], "what came before in the transaction is committed with it"
    assert truncated == [1, 2], "what follows is no more part of the transaction"


TYPED = """
    create table analytics.typed (
        n numeric(18, 3), i integer, b bigint, s smallint, f double precision, r real, v varchar(20), t timestamp,
        d date, y boolean, month date
    )
"""
WITHOUT_MONTH = """(
    n numeric(18, 3), i integer, b bigint, s smallint, f double precision, r real, v varchar(20), t timestamp, d date,
    y boolean
)"""
ROWS = [
    (
        *(Decimal("-1.500"), 2**31 - 1, -(2**63), 7, 0.1, 0.5, "a \"b\", 'c'\n\\N ö"),
        *(datetime.datetime(2011, 1, 2, 3, 4, 5, 678901), datetime.date(1, 1, 1), True, datetime.date(2011, 1, 1)),
    ),
    (*(None,) * 10, datetime.date(2011, 1, 1)),
    (*(None,) * 6, "", None, None, False, datetime.date(2011, 2, 1)),
    (*(None,) * 6, "\\N", None, None, False, None),
]
UNLOAD = """
    unload ('select * from "dev"."analytics"."typed_rows"') to 's3://bucket/exports/{to}' iam_role default
    format as parquet partition by (month) {options}
"""


def make_typed(session):
    session.execute(TYPED)
    # A backslash in a literal is not emulated.
    rows = [[v.replace("\\", "|") if isinstance(v, str) else v for v in row] for row in ROWS]
    session.executemany(f"insert into analytics.typed values ({', '.join(['%s'] * 11)})", rows)
    session.execute("update analytics.typed set v = replace(v, '|', chr(92))")
    session.execute("create view analytics.typed_rows as select * from analytics.typed")


def test_unload_writes_what_an_uncommitted_view_shows_and_copy_reads_it(stand_in, session):
    make_typed(session)
    session.execute(UNLOAD.format(to="typed/", options="cleanpath"))
    folder = stand_in.s3 / "bucket/exports/typed"
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "month=2011-01-01/0000_part_00.parquet",
        "month=2011-02-01/0000_part_00.parquet",
        "month=__HIVE_DEFAULT_PARTITION__/0000_part_00.parquet",
    ]
    [path] = folder.glob("month=2011-01-01/*")
    with duckdb.connect() as connection:
        types = connection.execute(f"select name, type, duckdb_type from parquet_schema('{path}')").fetchall()[1:]
        rows = connection.execute(f"select * from read_parquet('{folder}/*/*', hive_partitioning = true)").fetchall()
    assert types == [
        ("n", "INT64", "DECIMAL(18,3)"),
        ("i", "INT32", "INTEGER"),
        ("b", "INT64", "BIGINT"),
        ("s", "INT32", "SMALLINT"),
        ("f", "DOUBLE", "DOUBLE"),
        ("r", "FLOAT", "FLOAT"),
        ("v", "BYTE_ARRAY", "VARCHAR"),
        ("t", "INT64", "TIMESTAMP"),
        ("d", "INT32", "DATE"),
        ("y", "BOOLEAN", "BOOLEAN"),
    ]
    assert difference(Table("nibsfrvtdym", rows), Table("nibsfrvtdym", ROWS)) is None

    session.execute(f"create table analytics.again {WITHOUT_MONTH}")
    session.execute("copy analytics.again from 's3://bucket/exports/typed/' iam_role default format as parquet")
    session.execute("select * from analytics.again")
    expected = [row[:10] for row in ROWS]
    assert difference(Table("nibsfrvtdy", session.fetchall()), Table("nibsfrvtdy", expected)) is None


def test_unload_with_cleanpath_empties_the_folders_that_it_writes(stand_in, session):
    make_typed(session)
    folder = stand_in.s3 / "bucket/exports/cleaned"
    for path in ("month=2011-01-01/old.parquet", "month=2010-12-01/old.parquet", "note.txt"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    with pytest.raises(psycopg2.Error, match="redshift: unload_not_empty"):
        session.execute(UNLOAD.format(to="cleaned", options=""))
    session.connection.rollback()
    make_typed(session)
    session.execute(UNLOAD.format(to="cleaned", options="cleanpath"))
    assert not (folder / "month=2011-01-01/old.parquet").exists()
    assert (folder / "month=2011-01-01/0000_part_00.parquet").exists()
    # Nothing is written there: https://docs.aws.amazon.com/redshift/latest/dg/r_UNLOAD.html#cleanpath
    assert (folder / "month=2010-12-01/old.parquet").exists()
    assert (folder / "note.txt").exists()


def test_unload_of_no_rows_writes_nothing(stand_in, session):
    session.execute(TYPED)
    session.execute("create view analytics.typed_rows as select * from analytics.typed")
    session.execute(UNLOAD.format(to="empty/", options="cleanpath"))
    assert not list((stand_in.s3 / "bucket/exports").glob("empty/**/*"))


def test_a_rollback_undoes_copy_but_not_unload(stand_in, session):
    session.execute("copy analytics.loaded from 's3://cases/good/' iam_role default format as parquet")
    session.execute("unload ('select id from analytics.loaded') to 's3://bucket/kept/' iam_role default format parquet")
    session.connection.rollback()
    session.execute("select count(*) from analytics.loaded")
    assert session.fetchall() == [(0,)]
    assert duckdb.read_parquet(f"{stand_in.s3}/bucket/kept/*").count("*").fetchall() == [(3,)]


def test_copy_that_fails_ends_the_transaction(session):
    session.execute("insert into analytics.loaded values (1, 'x')")
    with pytest.raises(psycopg2.Error, match="redshift: copy_type"):
        session.execute("copy analytics.loaded from 's3://cases/bigint/' iam_role default format as parquet")
    with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
        session.execute("select 1")


def test_copies_at_the_same_time_do_not_mix(stand_in):
    counts = {}

    def load(name, file):
        with through_psycopg2(stand_in) as connection, connection.cursor() as cursor:
            cursor.execute(f"create temporary table {name} (id integer, name varchar(4))")
            for _ in range(3):
                cursor.execute(f"copy {name} from 's3://cases/{file}/' iam_role default format as parquet")
            cursor.execute(f"select count(*) from {name}")
            counts[name] = cursor.fetchone()[0]

    threads = [threading.Thread(target=load, args=pair) for pair in (("a", "good"), ("b", "four_bytes"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == {"a": 9, "b": 3}


def test_trailing_blanks_and_overlong_values_are_found(stand_in):
    before = stand_in.trailing_blanks()
    assert before == {"analytics.txt.s": "abc  "}
    assert stand_in.overlong_values() == {}
    with through_psycopg2(stand_in) as connection, connection.cursor() as cursor:
        cursor.execute('create table analytics.checked ("s" varchar(4), t varchar(4), u varchar(4))')
        cursor.execute("insert into analytics.checked values ('öö', 'ööx', 'a ')")
        cursor.execute("create view analytics.checked_view as select u from analytics.checked")
        connection.commit()
        blanks, overlong = stand_in.trailing_blanks(), stand_in.overlong_values()
        cursor.execute("drop table analytics.checked cascade")
        connection.commit()
    assert blanks.keys() - before.keys() == {"analytics.checked.u", "analytics.checked_view.u"}
    assert overlong == {"analytics.checked.t": "ööx"}


def test_keys_and_grants_are_shown_as_dbt_reads_them(stand_in, session):
    session.execute(
        "create table analytics.shown (id integer not null, day date, primary key (id)) diststyle key distkey (id)"
        " compound sortkey (day, id)"
    )
    session.execute("grant select on analytics.shown to reader")
    session.execute("select diststyle, sortkey1, sortkey_num from svv_table_info where \"table\" = 'shown'")
    assert session.fetchall() == [("KEY(id)", "day", 2)]
    session.execute("select \"column\", distkey, sortkey from pg_table_def where tablename = 'shown'")
    assert sorted(session.fetchall()) == [("day", False, 1), ("id", True, 2)]
    session.execute('show grants on table "dev"."analytics"."shown"')
    assert "reader" in {row[3] for row in session.fetchall()}


def test_compare_reads_both_sides(stand_in, tmp_path, capsys):
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(manifest_of("same", "cell", "here", "there")))
    rows = "select 1 as id, cast('2024-01-02 03:04:05.000006' as timestamp) as at, cast({} as decimal(18, 3)) as amount"
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("create schema compared")
        for name in ("same", "cell", "here"):
            connection.execute(f"create table compared.{name} as {rows.format('1.5')}")
    stand_in.query("create schema compared")
    try:
        for name, amount in (("same", "1.50"), ("cell", "1.51"), ("there", "1.5")):
            stand_in.query(f"create view compared.{name} as {rows.format(amount)}")
        arguments = (manifest, tmp_path / "warehouse.duckdb", stand_in)
        found = compare(*arguments)
        left_out = compare(*arguments, leave_out_columns={"compared.cell": {"amount"}})
        with pytest.raises(ValueError, match=r"compared\.other"):
            compare(*arguments, leave_out_columns={"compared.other": {"amount"}})
    finally:
        stand_in.query("drop schema compared cascade")
    assert (found.compared, found.expected) == (2, 4)
    assert found.differences.keys() == {"compared.cell", "compared.here", "compared.there"}
    assert "Decimal('1.510')" in found.differences["compared.cell"]
    assert found.differences["compared.here"] == "missing on Redshift"
    assert found.differences["compared.there"] == "missing on DuckDB"
    assert left_out.differences.keys() == {"compared.here", "compared.there"}
    assert capsys.readouterr() == ("", "")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("signal_name", ["", "SIGTERM", "SIGKILL"])
def test_the_command_runs_a_command_and_leaves_no_server(stand_in, tmp_path, signal_name):
    look = "import os; print(os.environ['REDSHIFT_HOST'], os.getppid(), flush=True); import time; time.sleep({})"
    command = [sys.executable, "-m", "redshift_stand_in", "--folder", str(tmp_path), "--"]
    command += [sys.executable, "-c", look.format(30 if signal_name else 0)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "tests")}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        host, parent = process.stdout.readline().split()
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        [data] = [match[1] for pid in children if (match := re.search(r"-D\0([^\0]+)\0", command_line(pid)))]
        if signal_name:
            getattr(process, {"SIGTERM": "terminate", "SIGKILL": "kill"}[signal_name])()
            if signal_name == "SIGKILL":
                # The command itself is not ours to end when we are killed.
                process.wait()
                [sleeping] = [int(pid) for pid in children if "time.sleep" in command_line(pid)]
                os.kill(sleeping, 15)
        _, error = process.communicate()
    assert host == "127.0.0.1"
    assert process.returncode == {"": 0, "SIGTERM": 143, "SIGKILL": -9}[signal_name], error
    if not signal_name:
        assert "Counts(statements=0, refused=0, not_emulated=0)" in error
    deadline = time.monotonic() + 10
    while any(is_alive(int(pid)) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in children if is_alive(int(pid))]
    folder = Path(data).parent
    # Nobody is left to remove it where all were killed.
    assert folder.exists() == (signal_name == "SIGKILL")
    shutil.rmtree(folder, ignore_errors=True)


def command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""


def test_without_postgres_one_command_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("REDSHIFT_STAND_IN_POSTGRES", str(tmp_path))
    assert find_postgres() is None
    with pytest.raises(RuntimeError, match="apt-get install postgresql"), StandIn(tmp_path):
        pass


def test_an_old_postgres_is_none(monkeypatch, tmp_path):
    for program, version in (("initdb", "15.1"), ("postgres", "14.9")):
        (tmp_path / program).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version} (Debian)'\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("REDSHIFT_STAND_IN_POSTGRES", str(tmp_path))
    assert find_postgres() is None
    (tmp_path / "postgres").write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 15.0 (Debian)'\n")
    assert find_postgres() == tmp_path


def test_refusals_name_rule_detail_and_page():
    with pytest.raises(Refused) as caught:
        rewrite("select string_agg(s) from a.t")
    assert str(caught.value) == (
        "[redshift: unknown_function] the function does not exist: string_agg"
        " (https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_functions.html)"
    )


def test_a_late_binding_view_survives_its_table(stand_in):
    with through_psycopg2(stand_in) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("create schema lasting")
        cursor.execute("create table lasting.one as select 1 as x")
        cursor.execute("create view lasting.v as select x from lasting.one with no schema binding")
        cursor.execute("drop table lasting.one cascade")
        with pytest.raises(psycopg2.Error, match="reads a relation that does not exist"):
            cursor.execute("select x from lasting.v")
        cursor.execute("begin")
        cursor.execute("/* dbt */ create table lasting.one as select 2 as x")
        cursor.execute("commit")
        cursor.execute("select x from lasting.v")
        assert cursor.fetchall() == [(2,)]
        cursor.execute("drop schema lasting cascade")
