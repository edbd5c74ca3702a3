"""Runs the command line as ``python -m retail_warehouse``."""

from retail_warehouse.cli import main

main()
