"""Online Retail lines of every kind, as files and as landed rows."""

import json
from pathlib import Path

from conftest import MODELS, ONLINE_RETAIL, PROJECT

from retail_warehouse import official

SAMPLE = PROJECT / "seeds/samples/online_retail/data.csv"
GOOD = "536365,85123A,HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom"
# A line for every reason, and lines that look odd and are none the worse.
LINES = (
    GOOD,
    GOOD,
    "c536366, 85123a , HOLDER ,-6.0,2010-12-01 08:26:00,2.550,17850.0,",
    "A536367,B,Adjust bad debt,1,12/1/10 8:26,11062.06,,United Kingdom",
    "536368,POST,,0,12/1/2010 8:26,18,,France",
    "536368,22960,FREE,1,12/1/2010 8:26,0,,France",
    '536369,22961,"JAM ""SET"", RED",1,12/1/2010 8:26,0.001,,"France"',
    '"536369","22961","needless quotes","1","12/1/2010 8:26","1","",France',
    "536369,é,Ångström,1,12/1/2010 8:26,1,,Österreich",
    "536370,85123A,HOLDER,1.5,12/1/2010 8:26,1,,France",
    "536370,85123A,HOLDER,1,13/13/2010 8:26,1,,France",
    "536370,85123A,HOLDER,1,13/12/2010 8:26,1,,France",
    "536370,85123A,HOLDER,1,12/1/2010 8:26,1.2345,,France",
    "536370,85123A,HOLDER,1,12/1/2010 8:26,abc,,France",
    "536370,85123A,HOLDER,1,12/1/2010 8:26,1,17850.5,France",
    "X536370,85123A,HOLDER,1,12/1/2010 8:26,1,,France",
    ",85123A,HOLDER,1,12/1/2010 8:26,1,,France",
    "536370, ,HOLDER,1,12/1/2010 8:26,1,,France",
    "536370,85123A,HOLDER,,12/1/2010 8:26,1,,France",
    "536370,85123A,HOLDER,1000001,12/1/2010 8:26,1,,France",
    "536370,85123A,HOLDER,1,12/1/1910 8:26,1,,France",
    f"536370,85123A,{'x' * 1001},1,12/1/2010 8:26,1,,France",
    f"536370,85123A,x,1,12/1/2010 8:26,1,,{'F' * 101}",
    f"536370,{'8' * 51},x,1,12/1/2010 8:26,1,,France",
    "536370,85123A,HOLDER,1",
    "536370,85123A,HOLDER,1,12/1/2010 8:26,1,,France,more",
    '536370,85123A,"HOLDER,1,12/1/2010 8:26,1,,France',
    '536370,85123A,HOL"DER,1,12/1/2010 8:26,1,,France',
    "",
    " , , , , , , , ",
    "536372,85123A,HOLDER,1,12/30/2010 8:26,1.25,,France",  # a file's dates are read month first, and this one must be
)
LENIENT = ("--vars", "{max_rejected_rows: 1000}")
BUILD = (*MODELS, *LENIENT, *ONLINE_RETAIL)


def write(folder: Path, *lines: str, name: str = "data.csv") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join([official.ONLINE_RETAIL_HEADER, *lines]) + "\n", encoding="utf-8")
    return folder


def land(landing: Path, name: str, events: dict[str, str], **verdict: str) -> None:
    """Land events as the API would; with a verdict, as what is kept of a long line that was rejected."""
    day = landing / "day=2026-11-22"
    day.mkdir(parents=True, exist_ok=True)
    rows = (
        {"event_id": event_id, "landing_position": position, "line": line, **verdict}
        for position, (event_id, line) in enumerate(events.items(), start=1)
    )
    (day / f"{name}.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
