"""Lines as the stores for look-ups take them."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from retail_warehouse.serving.store import Line

NOON = datetime(2011, 1, 31, 12, 0)


def line(line_id: str = "data.csv:2", **values) -> Line:
    given = Line(
        invoice_line_id=line_id,
        invoice_no="536365",
        stock_code="85123A",
        customer_id="17850",
        description="WHITE HANGING HEART T-LIGHT HOLDER",
        country="United Kingdom",
        transaction_type="sale",
        quantity=6,
        unit_price=Decimal("2.550"),
        line_amount=Decimal("15.300"),
        invoiced_at=NOON,
    )
    return replace(given, **values)
