"""Puts what a table is at the top of its page in dbt's documentation, and hides the project's own settings there.

dbt's page begins a model with its `meta`, which here holds what macros read. `make docs` and `make pages` run this as
`python -m retail_warehouse.docs_site FOLDER` after `dbt docs generate`, on the pages in the folder, and so do runs;
twice is as good as once.
"""

import sys
from pathlib import Path

STYLE = """<style id="retail-warehouse">
.details-content > .detail-group[ng-if="hasData(meta)"], [ng-show="column.meta"] { display: none !important; }
.app-details > .app-frame { display: flex; flex-direction: column; }
.app-details > .app-frame > .section:has(> #description) { order: -1; }
</style>"""


def rearrange(page: Path) -> None:
    """Add the style to a page of dbt's documentation.

    Raises:
        ValueError: It is no such page.
    """
    text = page.read_text(encoding="utf-8")
    if STYLE in text:
        return
    if text.count('ng-if="hasData(meta)"') != 1:
        raise ValueError(f"{page} is no page of dbt's documentation as this program knows it")
    page.write_text(text.replace("<script", f"{STYLE}<script", 1), encoding="utf-8")


if __name__ == "__main__":
    for name in ("index.html", "static_index.html"):
        if (Path(sys.argv[1]) / name).is_file():
            rearrange(Path(sys.argv[1]) / name)
