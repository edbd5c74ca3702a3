"""The real files: how to get them, and how the downloads are checked."""
