"""Rows that arrive one by one: judged, landed for dbt, and taken into the warehouse in micro-batches."""
