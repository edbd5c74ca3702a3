"""Settings of a Redshift that does not exist, for tests of what dbt does without a server."""

# A port on which nobody listens: a command that connects fails.
REDSHIFT = {
    "REDSHIFT_HOST": "127.0.0.1",
    "REDSHIFT_PORT": "9",
    "REDSHIFT_DATABASE": "d",
    "REDSHIFT_USER": "u",
    "REDSHIFT_PASSWORD": "p",
    "REDSHIFT_SCHEMA": "s",
}
