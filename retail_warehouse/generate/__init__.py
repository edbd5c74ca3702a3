"""Made-up raw files in the official formats, at any size."""
