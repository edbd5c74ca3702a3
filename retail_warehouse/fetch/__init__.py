"""The real files: how to get them, and checks of what was got."""
