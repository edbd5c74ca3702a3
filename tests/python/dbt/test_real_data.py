"""The real extract of 64 users builds without a rejected row. It is not part of the project (see its licence)."""

from pathlib import Path

import pytest
from conftest import REAL_DATA

EXTRACT = Path(REAL_DATA) / "instacart_64_users"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not REAL_DATA or not EXTRACT.is_dir(),
        reason="RETAIL_WAREHOUSE_REAL_DATA names no folder with instacart_64_users, the real extract of 64 users",
    ),
]


def test_the_real_extract_builds(dbt):
    outcome = dbt("build", "--vars", "{complete_histories: true}", data=EXTRACT.resolve())
    assert outcome.ok, outcome.output
    assert "WARN=0 ERROR=0 SKIP=0" in outcome.output
    assert dbt.rejected() == []
    assert dbt.reconciliation() == {
        "aisles.csv": [134, 134, 0],
        "departments.csv": [21, 21, 0],
        "products.csv": [2861, 2861, 0],
        "orders.csv": [1000, 1000, 0],
        "order_products__prior.csv": [8538, 8538, 0],
        "order_products__train.csv": [438, 438, 0],
    }
    assert dbt.query("select count(*) from instacart.users") == [(64,)]
    assert dbt.query("select count(*), sum(reordered) from instacart.order_products") == [(8976, 4761)]
    # Every name as in the file, byte for byte.
    assert dbt.query(
        f"""
        select count(*) from instacart.products
        full join read_csv('{EXTRACT}/products.csv', quote = '"', escape = '"', all_varchar = true) as file
            on file.product_id::integer = products.product_id and trim(file.product_name, ' ') = products.product_name
        where products.product_id is null or file.product_id is null
        """
    ) == [(0,)]
