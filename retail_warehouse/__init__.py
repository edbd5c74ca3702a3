"""Tools around the Retail Warehouse dbt project: sample and full-size data."""
