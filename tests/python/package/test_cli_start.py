"""The command line starts at once: what takes long to import waits for the command that needs it."""

import subprocess
import sys

# Each takes a tenth of a second or more to import.
SLOW = ("boto3", "dbt", "duckdb", "fastapi", "numpy", "pydantic", "requests")


def test_help_imports_nothing_slow():
    program = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from retail_warehouse.cli import main\n"
        "outcome = CliRunner().invoke(main, ['--help'])\n"
        "assert outcome.exit_code == 0 and 'predict' in outcome.output, outcome.output\n"
        f"print([name for name in {SLOW} if name in sys.modules])\n"
    )
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert imported == "[]\n"
