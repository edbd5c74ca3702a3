"""Users, roles and the limit of use on Redshift: what `make deploy` asks for, and what the stand-in makes of it."""

import os

import psycopg2
import pytest
from conftest import PROJECT
from redshift_stand_in import INSTALL, StandIn, find_postgres
from redshift_stand_in.rewrite import rewrite

from retail_warehouse.errors import DataError

pytestmark = pytest.mark.usefixtures("_infrastructure_on_path")

WORKGROUP = "arn:aws:redshift-serverless:eu-west-2:123456789012:workgroup/1"


def _users(stubbed, outcomes: list[str | None]):
    """An administrator whose statements end so: None well, or with an error."""
    from redshift_users import Administrator

    serverless, stub = stubbed("redshift-serverless")
    data, statements = stubbed("redshift-data")
    stub.add_response(
        "get_namespace", {"namespace": {"adminPasswordSecretArn": "arn:secret"}}, {"namespaceName": "retail-warehouse"}
    )
    asked = []
    data.meta.events.register(
        "provide-client-params.redshift-data.ExecuteStatement", lambda params, **_: asked.append(params)
    )
    for number, outcome in enumerate(outcomes):
        statements.add_response("execute_statement", {"Id": str(number)})
        statements.add_response("describe_statement", {"Id": str(number), "Status": "STARTED"}, {"Id": str(number)})
        ended = {"Status": "FINISHED"} if outcome is None else {"Status": "FAILED", "Error": outcome}
        statements.add_response("describe_statement", {"Id": str(number), **ended}, {"Id": str(number)})
    return Administrator(serverless, data, "retail-warehouse", "retail-warehouse", 0), asked


SQL = PROJECT / "infrastructure/redshift-users.sql"
EXISTS = 'ERROR: user "IAMR:retail-warehouse-batch" already exists'


def test_users_are_made_and_found_the_second_time(stubbed):
    administrator, asked = _users(stubbed, [None] * 5)
    said = []
    administrator.run(SQL, "retail-warehouse-batch", said.append)
    assert said == ["redshift: 5 statements of redshift-users.sql ran; the rest had already been applied"]
    assert {(call["WorkgroupName"], call["Database"], call["SecretArn"]) for call in asked} == {
        ("retail-warehouse", "retail", "arn:secret")
    }
    assert asked[0]["Sql"] == 'create user "IAMR:retail-warehouse-batch" password disable'
    assert asked[1]["Sql"] == 'grant create, temporary on database retail to "IAMR:retail-warehouse-batch"'
    assert not [call["Sql"] for call in asked if "--" in call["Sql"] or "$" in call["Sql"] or ";" in call["Sql"]]

    administrator, _ = _users(stubbed, [EXISTS, None, EXISTS, EXISTS, None])
    administrator.run(SQL, "retail-warehouse-batch", said.append)
    assert said[1].startswith("redshift: 2 statements")


def test_a_statement_that_redshift_refuses_is_told(stubbed):
    administrator, _ = _users(stubbed, [None, "ERROR: permission denied for database retail"])
    with pytest.raises(DataError, match="permission denied for database retail It was: grant create"):
        administrator.run(SQL, "retail-warehouse-batch", lambda text: None)


def _limit(stubbed, amounts: list[int], rpu_hours: int | None, then: str | None) -> list[str]:
    from redshift_users import Administrator

    client, stub = stubbed("redshift-serverless")
    limits = [{"usageLimitId": "1", "period": "monthly", "amount": amount} for amount in amounts]
    stub.add_response(
        "list_usage_limits",
        {"usageLimits": limits} if limits else {},
        {"resourceArn": WORKGROUP, "usageType": "serverless-compute"},
    )
    if then == "create_usage_limit":
        wanted = {"resourceArn": WORKGROUP, "usageType": "serverless-compute", "amount": rpu_hours or 120}
        stub.add_response(then, {}, {**wanted, "period": "monthly", "breachAction": "deactivate"})
    elif then:
        stub.add_response(then, {}, {"usageLimitId": "1", "amount": rpu_hours})
    said: list[str] = []
    Administrator(client, None, "w", "n").limit(WORKGROUP, rpu_hours, said.append)
    return said


@pytest.mark.parametrize(
    ("amounts", "rpu_hours", "then"),
    [
        ([], None, "create_usage_limit"),
        ([], 40, "create_usage_limit"),
        ([120], None, None),
        ([40], None, None),
        ([40], 40, None),
        ([40], 80, "update_usage_limit"),
    ],
)
def test_the_limit_of_use_is_made_once_and_changed_when_asked(stubbed, amounts, rpu_hours, then):
    assert bool(_limit(stubbed, amounts, rpu_hours, then)) == bool(then)


def test_on_the_stand_in_the_users_get_what_they_need_and_no_more(tmp_path):
    from redshift_users import statements_of

    if find_postgres() is None:
        if os.environ.get("REDSHIFT_STAND_IN_REQUIRED"):
            pytest.fail(INSTALL)
        pytest.skip(f"NOT TESTED: the users of Redshift. {INSTALL}")
    with StandIn(tmp_path, log=tmp_path / "log.jsonl") as redshift:
        database = redshift.environment["REDSHIFT_DATABASE"]
        statements = statements_of(SQL.read_text(), batch="IAMR:retail-warehouse-batch", database=database)
        for sql in statements:
            redshift.query(rewrite(sql))
        for sql in statements:
            if sql.startswith("create"):
                with pytest.raises(psycopg2.Error, match="already exists"):
                    redshift.query(rewrite(sql))
            else:
                redshift.query(rewrite(sql))
        # Redshift folds names to lower case.
        rights = "select has_database_privilege('{0}', '{1}', 'create'), has_database_privilege('{0}', '{1}', 'temp')"
        found = {
            name: redshift.query(rights.format(name, database))
            for name in ("iamr:retail-warehouse-batch", "developers", "analysts")
        }
        assert found["iamr:retail-warehouse-batch"] == found["developers"] == [(True, True)]
        assert found["analysts"][0][0] is False
        superusers = redshift.query(
            "select count(*) from pg_roles where rolsuper and rolname in ('developers', 'analysts')"
        )
        assert superusers == [(0,)]
