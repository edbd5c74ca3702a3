"""Raw files as Parquet, which Amazon Redshift loads with COPY."""
