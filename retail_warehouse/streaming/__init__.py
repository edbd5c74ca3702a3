"""Rows that arrive one by one: they are judged, landed for dbt, and built into the warehouse in micro-batches."""
