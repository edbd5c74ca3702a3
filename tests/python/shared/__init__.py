"""What several tests share: processes, files and comparisons. Nothing here is a test."""
