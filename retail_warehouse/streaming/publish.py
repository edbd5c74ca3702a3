"""Fills the serving store from the warehouse, or repairs it."""

from collections.abc import Callable, Collection

import duckdb

from retail_warehouse.deliveries import DataError
from retail_warehouse.project import warehouse
from retail_warehouse.streaming.serving import Line, ServingStore, StoreError

_PROCESSED = """
select file_name from audit.processed_files
where table_name = 'streamed_lines' and model_name = 'invoice_lines'
"""
# What dbt has read and does not count: it was rejected, or stands in another file or delivery. Only of files that the
# mart stands for as they were read last.
_NOT_COUNTED = """
with settled as (
    select table_name, file_name, fingerprint from audit.processed_files where model_name = 'invoice_lines'
    intersect
    select table_name, file_name, fingerprint from audit.processed_files
    where model_name in ('stg_online_retail__invoice_lines', 'stg_online_retail__streamed_lines')
), staged as (
    select invoice_no, stock_code, file_name, row_number from staging.stg_online_retail__invoice_lines
    where file_name in (select file_name from settled where table_name = 'invoice_lines')
    union
    select invoice_no, stock_code, file_name, row_number from staging.stg_online_retail__streamed_lines
    where landing_file in (select file_name from settled where table_name = 'streamed_lines')
)
select invoice_no, stock_code, file_name || ':' || row_number from staged
where invoice_no is not null and stock_code is not null
except
select invoice_no, stock_code, invoice_line_id from online_retail.invoice_lines
"""
_PART = 10_000  # lines; the API writes in between
_COLUMNS = ", ".join(Line.__dataclass_fields__)


def publish(
    store: ServingStore, only: bool, tell: Callable[[int], None] = lambda lines: None, landed: Collection[str] = ()
) -> int:
    """Put every line of the warehouse into the serving store and return their number. What dbt has read and does not
    count is removed: a line that was streamed, and that a file of the same name holds as well, is looked up once.

    Args:
        store: Gets them.
        only: Also remove lines that the warehouse does not hold. No API may take in rows meanwhile: dbt may not have
            seen them yet.
        tell: Gets the number of lines after each part.
        landed: Files of streamed lines, as paths below the landing folder.

    Raises:
        DataError: The warehouse cannot be read, or the store cannot be written; run it again. Or lines that were landed
            are to be removed, since dbt has not read them yet.
    """
    file = warehouse()
    if not file.is_file():
        raise DataError(f"There is no warehouse {file}; run dbt build first.")
    count = 0
    ids: list[str] = []
    try:
        with duckdb.connect(str(file), read_only=True) as connection:
            if only:
                pending = set(landed) - {name for (name,) in connection.execute(_PROCESSED).fetchall()}
                if pending:
                    raise DataError(
                        f"{len(pending):,} landed files are not in the warehouse yet, such as {min(pending)}; their "
                        "lines would be removed. Start and stop the API, which hands over what is left, run "
                        "`retail-warehouse process --once`, and then this again."
                    )
            found = connection.execute(f"select {_COLUMNS} from online_retail.invoice_lines")
            while some := found.fetchmany(_PART):
                store.put(Line(*values) for values in some)
                count += len(some)
                tell(count)
                if only:
                    ids.extend(values[0] for values in some)
            not_counted = connection.execute(_NOT_COUNTED).fetchall()
        store.remove(not_counted)
        if only:
            store.keep_only(ids)
    except duckdb.CatalogException as error:
        raise DataError(f"{file} holds no invoice lines; run dbt build first.") from error
    except duckdb.Error as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    except StoreError as error:
        raise DataError(f"{error} What was published before stays; run it again.") from error
    return count
