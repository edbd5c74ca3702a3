"""What programs and people ask: the API, its tokens, and the stores that it answers from."""
