"""Getting the real files."""

#: Of the official archive of Online Retail.
ONLINE_RETAIL_URL = "https://archive.ics.uci.edu/static/public/352/online+retail.zip"
