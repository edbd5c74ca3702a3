"""Tools around the Retail Warehouse dbt project: raw files, streaming, API, predictions and dashboard."""
