"""The API: who may call it, what it takes in, and the stores that answer look-ups and predictions."""
