"""What is wrong in a raw file costs its own row, or stops the build before anything is replaced."""

import gzip
import shutil

import duckdb
import pytest
from conftest import INSTACART, MODELS, TESTS_OF_BOTH

pytestmark = pytest.mark.slow

# Every model, and no data test but the gate.
GATED = (
    *("build", "--indirect-selection", "empty", "--select", "tag:instacart,resource_type:model"),
    *("rejected_rows", "row_reconciliation", "instacart_rejected_rows_within_limit"),
)
MARTS = ("aisles", "departments", "products", "users", "orders", "order_products", "fct_orders", "fct_order_items")


def marts(dbt) -> dict[str, list[tuple]]:
    return {name: dbt.query(f"select * from instacart.{name} order by all") for name in MARTS}


@pytest.fixture
def clean_marts(built_dbt):
    """The marts of the clean data, which stay in the warehouse."""
    assert built_dbt.rejected() == []
    return marts(built_dbt)


def build_models(dbt, data):
    """Build without data tests; raw rows are accepted or rejected all the same."""
    outcome = dbt(*MODELS, *INSTACART, data=data)
    if outcome.ok:
        dbt.reconciliation()
    return outcome


def test_a_bad_row_is_rejected_and_the_rest_builds(dbt, data, clean_marts):
    files = {
        "aisles": [
            ("135", "wrong_field_count", "1 fields, the header has 2"),
            ('136,"open', "broken_quote", "a double quote is not closed, or stands inside an unquoted field"),
            ("1.5,soap", "unreadable_value", "aisle_id = '1.5'"),
            (",soap", "missing_key", "aisle_id is empty"),
            ("1,first again", "duplicate_key", "aisle_id = 1 is already in an earlier row"),
        ],
        "departments": [("0x1F,hex", "unreadable_value", "department_id = '0x1F'")],
        "products": [
            (f"900009,{'n' * 1001},1,1", "out_of_domain", f"product_name = '{'n' * 100}'"),
            ("900001,Apples, sliced,1,1", "wrong_field_count", "5 fields, the header has 4"),
            ('900002,6" Tart,1,1', "broken_quote", "a double quote is not closed, or stands inside an unquoted field"),
            ("900003,Fig,999,1", "missing_parent", "aisle_id = 999 is not among the accepted aisles"),
            ("900004,Fig,1,99", "missing_parent", "department_id = 99 is not among the accepted departments"),
            ('"900005","Fig, ""dried""","1","1","x"', "wrong_field_count", "5 fields, the header has 4"),
            ("1,Again,1,1", "duplicate_key", "product_id = 1 is already in an earlier row"),
            ("900006,Fig,one,1", "unreadable_value", "aisle_id = 'one'"),
        ],
        "orders": [
            ("900001,900001,prior,1,1,25,", "out_of_domain", "order_hour_of_day = '25'"),
            ("900002,900001,prior,1,1,-1,", "out_of_domain", "order_hour_of_day = '-1'"),
            ("900003,900001,prior,1,7,01,", "out_of_domain", "order_dow = '7'"),
            ("900004,900001,later,1,1,01,", "out_of_domain", "eval_set = 'later'"),
            ("900005,900001,prior,2,1,01,31.0", "out_of_domain", "days_since_prior_order = '31.0'"),
            ("900006,,prior,1,1,01,", "missing_key", "user_id is empty"),
            ("1e3,900001,prior,1,1,01,", "unreadable_value", "order_id = '1e3'"),
            ("99999999999,900001,prior,1,1,01,", "unreadable_value", "order_id = '99999999999'"),
            ("1,900001,prior,1,1,01,", "duplicate_key", "order_id = 1 is already in an earlier row"),
        ],
        "order_products__prior": [
            ("1,1,-1,0", "out_of_domain", "add_to_cart_order = '-1'"),
            ("1,2,5,7", "out_of_domain", "reordered = '7'"),
            ("1,x,5,0", "unreadable_value", "product_id = 'x'"),
            ("1,,5,0", "missing_key", "product_id is empty"),
            ("900001,1,1,0", "missing_parent", "order_id = 900001 is not among the accepted orders"),  # rejected above
            ("987654,1,1,0", "missing_parent", "order_id = 987654 is not among the accepted orders"),
            ("1,987654,1,0", "missing_parent", "product_id = 987654 is not among the accepted products"),
            ("", "wrong_field_count", "1 fields, the header has 4"),
            ("1,3", "wrong_field_count", "2 fields, the header has 4"),  # the file is cut in the middle of a row
        ],
    }
    # Their keys must be free, or they would be duplicates first.
    taken = dbt.query("select count(*) from instacart.order_products where order_id = 1 and product_id in (1, 2)")
    assert taken == [(0,)]
    first_line = data.lines("order_products__train")[1]
    files["order_products__train"] = [
        (
            first_line,
            "duplicate_key",
            "order_id, product_id = {}, {} is already in an earlier row".format(*first_line.split(",")),
        )
    ]
    expected, records = [], {}
    for name, rows in files.items():
        first_row = data.append(name, *(line for line, _, _ in rows))
        for offset, (line, reason, detail) in enumerate(rows):
            expected.append((name, first_row + offset, reason, detail))
            records[name, first_row + offset] = line[:1000]
    # As the first build of all, with every test.
    dbt.clear()
    outcome = dbt.build(data=data)
    assert outcome.ok, outcome.output
    assert dbt.rejected() == sorted(expected)
    stored = dbt.query("select table_name, row_number, file_name, raw_record from audit.rejected_rows")
    assert {(name, row): record for name, row, _, record in stored} == records
    assert {file_name for _, _, file_name, _ in stored} == {f"{name}.csv" for name in files}
    assert marts(dbt) == clean_marts
    reconciliation = dbt.reconciliation()
    for name in files:
        raw = len(data.lines(name)) - 1
        assert reconciliation[f"{name}.csv"] == [raw, raw - len(files[name]), len(files[name])]
    assert "WARN 9 orders_has_no_rejected_rows" in outcome.output
    assert "Rejected rows of orders: 5 out_of_domain" in outcome.output


def test_an_open_quote_costs_one_row_and_not_its_neighbours(dbt, data, clean_marts):
    lines = data.lines("products")
    data.write("products", [*lines[:5], '900001,"Never closed,1,1', *lines[5:]])
    assert dbt.build(*INSTACART, *TESTS_OF_BOTH, data=data).ok
    assert [row[:3] for row in dbt.rejected()] == [("products", 6, "broken_quote")]
    assert marts(dbt) == clean_marts


def test_a_child_of_a_rejected_parent_is_rejected(built_dbt, data):
    dbt = built_dbt
    order_id = data.lines("order_products__train")[1].split(",")[0]
    orders = data.lines("orders")
    row = next(n for n, line in enumerate(orders) if line.startswith(f"{order_id},"))
    data.replace_line("orders", row + 1, orders[row].replace(",train,", ",later,"))
    lines = [line for line in data.lines("order_products__train") if line.startswith(f"{order_id},")]
    limits = "{max_rejected_rows: 1000}"
    outcome = dbt.build(*INSTACART, *TESTS_OF_BOTH, "--vars", limits, data=data)
    assert outcome.ok, outcome.output
    assert [row[2] for row in dbt.rejected()] == ["missing_parent"] * len(lines) + ["out_of_domain"]
    assert dbt.query(f"select count(*) from instacart.order_products where order_id = {order_id}") == [(0,)]


def _quote_everything(text: str) -> bytes:
    import csv
    import io

    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(csv.reader(io.StringIO(text)))
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _turn_columns(text: str) -> bytes:
    import csv
    import io

    out = io.StringIO()
    rows = [[*reversed(row), "extra" if n == 0 else "x, y"] for n, row in enumerate(csv.reader(io.StringIO(text)))]
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def _short_numbers(text: str) -> bytes:
    header, *rows = text.splitlines()
    rows = [",".join(p.removesuffix(".0").lstrip("0") or "0" if p else p for p in row.split(",")) for row in rows]
    # No newline at the end, and LF and CRLF mixed.
    return ("\r\n".join([header, *rows[:9]]) + "\r\n" + "\n".join(rows[9:])).encode()


def test_copies_in_other_dialects_are_the_same_data(dbt, data, clean_marts, tmp_path):
    numbers_only = ("orders", "order_products__prior", "order_products__train")
    dialects = {
        "BOM, CRLF, all strings quoted": (_quote_everything, ".csv"),
        "columns in another order, one more column": (_turn_columns, ".csv"),
        "gzip": (str.encode, ".csv.gz"),
        "7 for 7.0 and 8 for 08": (_short_numbers, ".csv"),
        "Latin-1": (lambda text: text.encode("latin-1"), ".csv"),
    }
    for dialect, (write, suffix) in dialects.items():
        folder = tmp_path / "dialect"
        folder.mkdir()
        for path in data.glob("*.csv"):
            text = path.read_text(encoding="utf-8")
            content = text.encode() if write is _short_numbers and path.stem not in numbers_only else write(text)
            (folder / f"{path.stem}{suffix}").write_bytes(gzip.compress(content) if suffix == ".csv.gz" else content)
        outcome = build_models(dbt, folder)
        assert outcome.ok, f"{dialect}: {outcome.output}"
        assert dbt.rejected() == [], dialect
        assert marts(dbt) == clean_marts, dialect
        assert {name.removesuffix(".gz") for name in dbt.reconciliation()} == {path.name for path in data.glob("*.csv")}
        shutil.rmtree(folder)


def test_a_carriage_return_alone_loses_nothing(dbt, data, clean_marts):
    """DuckDB would drop the byte after it in a file with CRLF: such a file is refused, one with LF is read."""
    path = data / "order_products__prior.csv"
    content = path.read_bytes()
    lines = content.split(b"\n")
    path.write_bytes(b"\n".join(lines[:50]) + b"\r" + b"\n".join(lines[50:]))
    outcome = build_models(dbt, data)
    assert outcome.ok, outcome.output
    assert dbt.rejected() == []
    assert marts(dbt) == clean_marts
    path.write_bytes(b"\r\n".join(lines[:50]) + b"\r" + b"\r\n".join(lines[50:]))
    outcome = dbt.build(*INSTACART, *TESTS_OF_BOTH, data=data)
    assert not outcome.ok
    assert "file order_products__prior.csv ends its lines with CRLF, but holds a carriage return" in outcome.output
    path.write_bytes(content.replace(b"\n", b"\r\n"))
    assert build_models(dbt, data).ok
    assert marts(dbt) == clean_marts


def test_letters_that_are_not_utf8_cost_their_row(dbt, data, clean_marts):
    path = data / "order_products__train.csv"
    path.write_bytes(path.read_bytes() + b"1,2,\xe9,0\n")
    outcome = build_models(dbt, data)
    assert outcome.ok, outcome.output
    assert "File order_products__train.csv is not valid UTF-8 and is read as Latin-1." in outcome.output
    assert [row[2:] for row in dbt.rejected()] == [("unreadable_value", "add_to_cart_order = 'é'")]
    assert marts(dbt) == clean_marts


def test_a_file_larger_than_a_read_buffer(dbt, data):
    """LF and CRLF mixed over 48 MB, the header's CRLF included; DuckDB reads some 32 MB at a time."""
    rows = [f"{n},1,1,0" for n in range(1, 3_000_001)]
    with (data / "order_products__train.csv").open("w", newline="") as file:
        file.write("order_id,product_id,add_to_cart_order,reordered\r\n")
        for start in range(0, len(rows), 1000):
            ends = "\n" if start % 3000 else "\r\n"
            file.write(ends.join(rows[start : start + 1000]) + ends)
    outcome = dbt("run", "--select", "stg_instacart__order_products__train", data=data)
    assert outcome.ok, outcome.output
    assert dbt.query(
        "select count(*), count(rejection_reason), bool_and(order_id = row_number - 1), max(row_number)"
        " from staging.stg_instacart__order_products__train"
    ) == [(3_000_000, 0, True, 3_000_001)]


def _rewrite_header(name: str, old: str, new: str):
    def change(data):
        lines = data.lines(name)
        assert old in lines[0]
        data.write(name, [lines[0].replace(old, new), *lines[1:]])

    return change


UNREADABLE = {
    "header column missing": (
        _rewrite_header("orders", ",order_dow", ""),
        ["file orders.csv", "column order_dow is missing"],
    ),
    "header column misspelt": (
        _rewrite_header("products", "product_name", "produkt_name"),
        ["file products.csv", "column product_name is missing", "produkt_name", "correct the first line: cat"],
    ),
    "header column twice": (
        _rewrite_header("aisles", "aisle_id", "aisle"),
        ["file aisles.csv", "column aisle_id is missing", "column aisle is more than once"],
    ),
    "no header": (
        lambda data: data.write("aisles", data.lines("aisles")[1:]),
        ["file aisles.csv", "column aisle_id, aisle is missing"],
    ),
    "file missing": (
        lambda data: (data / "departments.csv").unlink(),
        ["file departments.csv (or departments.csv.gz, or CSV files in a folder departments) is missing"],
    ),
    "file empty": (
        lambda data: (data / "order_products__train.csv").write_bytes(b""),
        ["file order_products__train.csv is empty", "order_products__train.csv'"],
    ),
    "file twice": (
        lambda data: (data / "aisles.csv.gz").write_bytes(gzip.compress((data / "aisles.csv").read_bytes())),
        ["both aisles.csv and aisles.csv.gz", "rm '", "/aisles.csv.gz'"],
    ),
    "folder missing": (shutil.rmtree, ["the folder is missing or has no CSV file"]),
}


def test_unreadable_files_stop_the_build_before_anything_is_replaced(dbt, data, clean_marts, tmp_path):
    before = dbt.query("select * from raw_instacart.data_files order by all")
    for what, (change, messages) in UNREADABLE.items():
        folder = type(data)(tmp_path / "changed")
        shutil.copytree(data, folder)
        change(folder)
        outcome = dbt.build(*INSTACART, *TESTS_OF_BOTH, data=folder)
        assert not outcome.ok, what
        for message in [str(folder), "INSTACART_DATA", *messages]:
            assert message in outcome.output, f"{what}: {outcome.output}"
        assert outcome.output.count("cannot be read:") == 1, what
        assert marts(dbt) == clean_marts, what
        assert dbt.query("select * from raw_instacart.data_files order by all") == before, what
        shutil.rmtree(folder, ignore_errors=True)


def test_all_problems_are_told_at_once(dbt, data):
    (data / "departments.csv").unlink()
    _rewrite_header("orders", ",order_dow", "")(data)
    outcome = dbt.build(*INSTACART, *TESTS_OF_BOTH, data=data)
    assert "file departments.csv" in outcome.output
    assert "column order_dow" in outcome.output


def test_only_the_files_of_selected_models_are_needed(dbt, data):
    (data / "orders.csv").unlink()
    outcome = dbt("run", "--select", "stg_instacart__aisles", data=data)
    assert outcome.ok, outcome.output
    outcome = dbt("run", "--select", "+fct_orders", data=data)
    assert "file orders.csv" in outcome.output


def test_a_file_without_rows_builds(built_dbt, data):
    dbt = built_dbt
    data.write("order_products__train", data.lines("order_products__train")[:1])
    outcome = dbt.build(*INSTACART, *TESTS_OF_BOTH, data=data)
    assert outcome.ok, outcome.output
    assert dbt.reconciliation()["order_products__train.csv"] == [0, 0, 0]


def test_too_many_rejected_rows_fail_the_build_and_keep_the_marts(dbt, data, clean_marts):
    first = data.append("orders", *(f"{n},9,prior,1,1,25," for n in range(900_001, 900_009)), "a,b", "c,d,e")
    at_the_limit = dbt.build(*INSTACART, *TESTS_OF_BOTH, data=data)
    assert at_the_limit.ok, at_the_limit.output
    data.append("orders", "x,9,prior,1,1,1,")
    data.append("aisles", "135,new aisle")
    over = dbt.build(*INSTACART, *TESTS_OF_BOTH, data=data)
    assert not over.ok
    assert "instacart_rejected_rows_within_limit" in over.output
    for told in (
        "Rejected rows of orders: 8 out_of_domain",
        "Rejected rows of orders: 2 wrong_field_count",
        "Rejected rows of orders: 1 unreadable_value",
        "intermediate.int_orders_rejected",
    ):
        assert told in over.output
    # Not one mart is replaced, the aisles neither, whose own file is good. What was rejected can be looked up.
    assert marts(dbt) == clean_marts
    assert [row[:2] for row in dbt.rejected()] == [("orders", row) for row in range(first, first + 11)]
    dbt.reconciliation()
    # Above one limit only, it warns.
    for limits in ("{max_rejected_rows: 11}", "{max_rejected_share: 0.5}"):
        outcome = dbt(*GATED, "--vars", limits, data=data)
        assert outcome.ok, outcome.output
        assert "PASS instacart_rejected_rows_within_limit" in outcome.output
        dbt.reconciliation()


def test_an_open_reader_is_named(dbt, data):
    assert dbt("run", "--select", "tag:instacart", data=data).ok
    with duckdb.connect(str(dbt.warehouse), read_only=True):
        outcome = dbt("run", "--select", "tag:instacart", data=data)
    assert not outcome.ok
    assert "Conflicting lock is held" in outcome.output
    assert dbt("run", "--select", "tag:instacart", data=data).ok


def test_the_official_spelling_and_any_other_are_read_alike(dbt, data):
    """Lines in the official spelling come without their record and are not checked again; others take the long way."""
    lines = {
        "999999999,999999999,9999,1": (999_999_999, 999_999_999, 9999, 1, True, None),
        "1000000000,1,1,0": (1_000_000_000, 1, 1, 0, False, None),
        "2147483647,1,1,0": (2_147_483_647, 1, 1, 0, False, None),
        "2147483648,1,1,0": (None, 1, 1, 0, False, "unreadable_value"),
        "1,1,32767,0": (1, 1, 32_767, 0, False, None),
        "1,1,32768,0": (1, 1, None, 0, False, "unreadable_value"),
        "01,1,1,0": (1, 1, 1, 0, False, None),
        "1,1,1,0 ": (1, 1, 1, 0, False, None),
        '1,1,"1",0': (1, 1, 1, 0, False, None),
        "0,1,1,0": (0, 1, 1, 0, False, None),
        "1,1,0,0": (1, 1, 0, 0, False, "out_of_domain"),
        "1,1,1,2": (1, 1, 1, 2, False, "out_of_domain"),
        "1,1,1,1e0": (1, 1, 1, None, False, "unreadable_value"),
        "1,1,1": (None, None, None, None, False, "wrong_field_count"),
    }
    orders = {
        "9,8,test,1,0,00,": (9, 8, "test", 1, 0, 0, None, True, None),
        "9,8,test,1,0,0,": (9, 8, "test", 1, 0, 0, None, False, None),
        "9,8,prior,2,6,23,30.0": (9, 8, "prior", 2, 6, 23, 30, True, None),
        "9,8,prior,2,6,23,0.0": (9, 8, "prior", 2, 6, 23, 0, True, None),
        "9,8,prior,2,6,23,07.0": (9, 8, "prior", 2, 6, 23, 7, False, None),
        "9,8,prior,2,6,23,31.0": (9, 8, "prior", 2, 6, 23, 31, False, "out_of_domain"),
        "9,8,prior,2,6,24,3.0": (9, 8, "prior", 2, 6, 24, 3, False, "out_of_domain"),
        "9,8,Prior,2,6,23,3.0": (9, 8, "Prior", 2, 6, 23, 3, False, "out_of_domain"),
    }
    first = data.append("order_products__train", *lines), data.append("orders", *orders)
    models = ("stg_instacart__order_products__train", "stg_instacart__orders")
    assert dbt("run", "--select", *models, data=data).ok
    for row_number, model, expected in zip(first, models, (lines, orders), strict=True):
        staged = dbt.query(
            "select * exclude (file_name, row_number, raw_record, rejection_reason, rejection_detail),"
            f" raw_record is null, rejection_reason from staging.{model} where row_number >= {row_number}"
            " order by row_number"
        )
        assert dict(zip(expected, staged, strict=True)) == expected
