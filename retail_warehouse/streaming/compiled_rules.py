"""Compiles the SQL of the rules for :mod:`retail_warehouse.streaming.rules`. It is a program of its own, since dbt
takes seconds to import and much memory, which the API should not hold."""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from filelock import FileLock

_DATABASE = "rules"
_STAGED = "stg_online_retail__streamed_lines"
_OF_FILES = "stg_online_retail__invoice_lines"
_VIEWS = ("int_invoice_lines_unioned", "int_invoice_lines_rejected", "int_invoice_lines_classified")
_DOUBTED = "int_invoice_files_doubted"
_SEED = "service_stock_codes"
_SOURCE = "source.retail_warehouse.online_retail.streamed_lines"


def main() -> None:
    """Write the rules as JSON to the file that the first argument names, unless another process has done so meanwhile;
    one does it, and the others wait. Who started it may have ended by then."""
    file = Path(sys.argv[1])
    with FileLock(file.with_name("streaming_rules.lock")):
        if not file.is_file():
            new = file.with_suffix(".new")
            new.write_text(json.dumps(_compiled()), encoding="utf-8")
            new.replace(file)


def _compiled() -> dict[str, Any]:
    from dbt.cli.main import dbtRunner

    with tempfile.TemporaryDirectory() as scratch:
        # Nobody waits for the real warehouse, nor does what it holds decide what is compiled.
        os.environ["WAREHOUSE_PATH"] = str(Path(scratch) / f"{_DATABASE}.duckdb")
        options = ["--quiet", "--target", "dev", "--vars", "{assume_incremental: false}"]
        options += ["--target-path", str(Path(scratch) / "target"), "--log-path", str(Path(scratch) / "logs")]

        def dbt(*arguments: str) -> Any:
            outcome = runner.invoke([*arguments, *options])
            if not outcome.success:
                sys.exit(1)  # dbt has told why
            return outcome.result

        runner = dbtRunner()
        runner = dbtRunner(manifest=dbt("parse"))
        selected = ["--select", _STAGED, _OF_FILES, _DOUBTED, *_VIEWS, _SEED]
        excluded = ["--exclude", "resource_type:test", "resource_type:unit_test"]
        models = dbt("compile", *selected, *excluded)
        inline = "{{ streamed_lines_query(graph.sources['" + _SOURCE + "'], 'landed_events') }}"
        raw = dbt("compile", "--inline", inline)
        name = dbt("compile", "--inline", "{{ source('online_retail', 'streamed_lines') }}")
    node = {result.node.name: result.node for result in models.results}

    def relation(model: str) -> dict:
        return {"relation": node[model].relation_name, "sql": node[model].compiled_code}

    return {
        "database": _DATABASE,
        "raw": {
            "relation": name.results[0].node.compiled_code.strip(),
            "sql": raw.results[0].node.compiled_code,
        },
        "staged": relation(_STAGED),
        "of_files": relation(_OF_FILES)["relation"],
        "doubted": relation(_DOUBTED),
        "views": [relation(model) for model in _VIEWS],
        "seed": {"relation": node[_SEED].relation_name, "path": node[_SEED].original_file_path},
    }


if __name__ == "__main__":
    main()
