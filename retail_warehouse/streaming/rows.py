"""A row of Online Retail in a request: the API reads it, and the player writes it."""

import csv
import io
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from retail_warehouse.streaming.rules import Event

MOST_ROWS = 10_000
MOST_CHARACTERS = 1_000_000  # of a line that is sent as it stands

EventId = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+:([2-9]|[1-9][0-9]{1,8})$", max_length=250),
    Field(
        description="Delivery and number of the row there, which counts from 2 as in a file with a header.",
        examples=["till-1/2026-11-22:2"],
    ),
]
# A line break would make another row of a file. A landed line must not exceed the 16 MiB that dbt reads, though a
# character may take twelve bytes there.
_NO_LINE_BREAK = r"^[^\r\n]*$"
Text = Annotated[str, StringConstraints(pattern=_NO_LINE_BREAK, max_length=100_000)]
WholeLine = Annotated[str, StringConstraints(pattern=_NO_LINE_BREAK, max_length=MOST_CHARACTERS)]


# The examples look up what stands in the bundled sample and in the complete file.
class Row(BaseModel):
    """A row with the columns of the raw file. Each value is text, as it would be in the file."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Row")

    event_id: EventId = Field(examples=["till-1/2026-11-22:2"])
    InvoiceNo: Text | None = Field(examples=["536380"])
    StockCode: Text | None = Field(examples=["22961"])
    Description: Text | None = Field(examples=["JAM MAKING SET PRINTED"])
    Quantity: Text | None = Field(examples=["24"])
    InvoiceDate: Text | None = Field(examples=["12/1/2010 9:41"])
    UnitPrice: Text | None = Field(examples=["1.45"])
    CustomerID: Text | None = Field(examples=["12374"])
    Country: Text | None = Field(examples=["United Kingdom"])

    def event(self) -> Event:
        """The line that the row would be in a file."""
        line = io.StringIO()
        values = (getattr(self, column) for column in COLUMNS)
        csv.writer(line, lineterminator="").writerow(["" if value is None else value for value in values])
        return Event(self.event_id, line.getvalue())


COLUMNS = tuple(name for name in Row.model_fields if name != "event_id")


class RawRow(BaseModel):
    """A row that cannot be split into columns, sent as the whole line."""

    model_config = ConfigDict(extra="forbid", strict=True, title="RawRow")

    event_id: EventId
    raw_record: WholeLine = Field(examples=["536365,85123A,not all columns"])

    def event(self) -> Event:
        """The line itself."""
        return Event(self.event_id, self.raw_record)


def _kind(value: Any) -> str:
    return "line" if isinstance(value, dict) and "raw_record" in value else "columns"


AnyRow = Annotated[Annotated[Row, Tag("columns")] | Annotated[RawRow, Tag("line")], Discriminator(_kind)]
