"""What several test modules share: processes, files, fixtures and comparisons. Nothing here is a test."""
