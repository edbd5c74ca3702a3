"""The comparison of two warehouses tells every difference, and no other."""

import datetime
from decimal import Decimal

import pytest
from redshift_stand_in.compare import Table, difference, relations
from shared.comparison import manifest_of

HERE = Table(["id", "value"], [(1, Decimal("1.50")), (2, None), (2, None)])


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (Table(["id", "value"], [(2, None), (1, Decimal("1.5")), (2, None)]), None),
        (None, "missing on Redshift"),
        (Table(["id", "value"], [(2, None), (1, Decimal("1.5"))]), "only on DuckDB: (2, None)"),
        (Table(["id", "value"], [*HERE.rows, (3, None)]), "only on Redshift: (3, None)"),
        (
            Table(["id", "value"], [(2, None), (1, Decimal("1.51")), (2, None)]),
            "only on DuckDB: (1, Decimal('1.50')); only on Redshift: (1, Decimal('1.51'))",
        ),
        (Table(["value", "id"], [(b, a) for a, b in HERE.rows]), "columns: id, value on DuckDB, value, id on Redshift"),
        (Table(["id", "values"], HERE.rows), "columns: id, value on DuckDB, id, values on Redshift"),
        (Table(["id", "value"], []), "only on DuckDB: (1, Decimal('1.50')), (2, None) x 2"),
    ],
)
def test_a_difference_is_told(there, told):
    assert difference(HERE, there) == told


def test_a_relation_missing_on_duckdb_or_on_both_is_a_difference():
    assert difference(None, HERE) == "missing on DuckDB"
    assert difference(None, None) == "missing on DuckDB and Redshift"


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (1, True),
        (1, 1.0),
        (1, "1"),
        ("", None),
        ("a", "a "),
        (0.1, 0.30000000000000004 - 0.2),
        (datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1)),
        (datetime.datetime(2024, 1, 1), datetime.datetime(2024, 1, 1, microsecond=1)),
        (Decimal("0.1"), Decimal("0.100000000000000000000000000001")),
    ],
)
def test_values_are_compared_exactly(here, there):
    assert difference(Table(["v"], [(here,)]), Table(["v"], [(there,)]))
    assert difference(Table(["v"], [(here,)]), Table(["v"], [(here,)])) is None


@pytest.mark.parametrize(
    ("here", "there", "same"),
    [
        ("DECIMAL(18,3)", "numeric", True),
        ("HUGEINT", "bigint", True),
        ("VARCHAR", "character varying", True),
        ("DOUBLE", "double precision", True),
        ("TIMESTAMP", "timestamp without time zone", True),
        ("TIMESTAMP WITH TIME ZONE", "timestamp with time zone", True),
        ("BOOLEAN", "boolean", True),
        ("DATE", "timestamp without time zone", False),
        ("TIMESTAMP WITH TIME ZONE", "timestamp without time zone", False),
        ("BIGINT", "double precision", False),
        ("BOOLEAN", "integer", False),
        ("VARCHAR", "integer", False),
    ],
)
def test_types_are_compared_by_family(here, there, same):
    told = difference(Table(["v"], [(None,)], [here]), Table(["v"], [(None,)], [there]))
    assert told == (None if same else f"type of v: {here} on DuckDB, {there} on Redshift")


def test_lists_are_told_and_empty_relations_compared_by_their_columns():
    assert difference(Table(["v"], [([1],)]), Table(["v"], [([1],)])) is None
    assert (
        difference(Table(["v"], [([1],)]), Table(["v"], [("[1]",)]))
        == "only on DuckDB: ([1]); only on Redshift: ('[1]')"
    )
    assert difference(Table(["v"], []), Table(["w"], [])) == "columns: v on DuckDB, w on Redshift"


def test_same_values_of_other_spelling():
    assert difference(Table(["v"], [(1,), (float("nan"),)]), Table(["v"], [(float("nan"),), (Decimal("1.0"),)])) is None


def test_floats_alone_are_compared_exactly_and_not_a_number_is_a_value():
    rows = [(float("nan"), 1.5), (float("nan"), 1.5), (None, 0.1)]
    assert difference(Table("vw", rows), Table("vw", rows[::-1])) is None
    assert difference(Table("vw", rows), Table("vw", rows[1:])) == "only on DuckDB: (NaN, 1.5)"
    assert difference(Table("w", [(1.5,), (0.1,)]), Table("w", [(1.5,), (0.1 + 2**-56,)]))
    # A kind that one row alone has.
    assert difference(Table("w", [(1.0,), (2.0,)]), Table("w", [(1.0,), (2,)]))
    assert difference(Table("w", [(True,), (True,)]), Table("w", [(True,), (1,)]))


def test_left_out_columns_must_exist():
    there = Table(["id", "value"], [(1, None), (2, 5), (2, None)])
    assert difference(HERE, there)
    assert difference(HERE, there, {"value"}) is None
    with pytest.raises(ValueError, match="other"):
        difference(HERE, there, {"other"})
    with pytest.raises(ValueError, match="all columns are left out"):
        difference(HERE, there, {"id", "value"})


def test_every_model_and_seed_of_the_manifest_is_compared():
    assert relations(manifest_of("b", "a")) == ["compared.a", "compared.b"]
    assert relations(manifest_of("a", resource_type="seed")) == ["compared.a"]
    assert relations(manifest_of("a", resource_type="test")) == []
    assert relations(manifest_of("a", config={"enabled": True, "materialized": "ephemeral"})) == []
    assert relations(manifest_of("a", config={"enabled": False, "materialized": "table"})) == []
