"""Headers and counts of the complete official files.

Sources: "The Instacart Online Grocery Shopping Dataset 2017", and Daqing Chen, *Online Retail*, UCI Machine Learning
Repository, 2015, doi 10.24432/C5BW33.
"""

from decimal import Decimal

#: Of Instacart: columns and number of rows of each file.
INSTACART = {
    "aisles.csv": (("aisle_id", "aisle"), 134),
    "departments.csv": (("department_id", "department"), 21),
    "products.csv": (("product_id", "product_name", "aisle_id", "department_id"), 49_688),
    "orders.csv": (
        (
            "order_id",
            "user_id",
            "eval_set",
            "order_number",
            "order_dow",
            "order_hour_of_day",
            "days_since_prior_order",
        ),
        3_421_083,
    ),
    "order_products__prior.csv": (("order_id", "product_id", "add_to_cart_order", "reordered"), 32_434_489),
    "order_products__train.csv": (("order_id", "product_id", "add_to_cart_order", "reordered"), 1_384_617),
}

#: Of Online Retail: the columns of the file.
ONLINE_RETAIL = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
ONLINE_RETAIL_HEADER = ",".join(ONLINE_RETAIL)
ONLINE_RETAIL_ROWS = 541_909
#: Counted on the official file by several means; the same stand in
#: tests/singular/marts/assert_the_complete_online_retail_file_is_as_published.sql, which checks the warehouse.
ONLINE_RETAIL_FIGURES = {
    "rows": Decimal(ONLINE_RETAIL_ROWS),
    "invoices": Decimal(25_900),
    "rows without a customer": Decimal(135_080),
    "countries": Decimal(38),
    "sales": Decimal(530_103),
    "amount of sales": Decimal("10655622.484"),
    "cancellations": Decimal(9_288),
    "amount of cancellations": Decimal("-896812.490"),
}
