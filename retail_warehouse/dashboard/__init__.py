"""One HTML page with the answers of both data sets, made of the tables of schema ``reports``."""
