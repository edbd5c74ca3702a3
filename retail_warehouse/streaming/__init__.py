"""The streaming process of Online Retail: rows come in through an API, are landed for dbt, and can be looked up."""
