"""Raw files with made-up, life-like data."""

#: Of the bundled sample.
SAMPLE_USERS = 250
SAMPLE_INVOICES = 400
SAMPLE_SEED = 1
