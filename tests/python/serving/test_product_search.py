"""Products are found by name, in spite of accents and typing errors."""

import pytest

from retail_warehouse.serving.product_search import Product, ProductSearch, folded

pytestmark = pytest.mark.slow


CATALOGUE = ProductSearch(
    [
        Product(1, "Banana", "fresh fruits", 900),
        Product(2, "Bag of Organic Bananas", "fresh fruits", 1000),
        Product(3, "Banana Bread", "bakery", 5),
        Product(4, "Crème Fraîche", "specialty cheeses", 50),
        Product(5, "2% Reduced Fat Milk", "milk", 80),
        Product(6, "1% Low Fat Milk", "milk", 90),
        Product(7, "Jalapeño Peppers", "fresh vegetables", 70),
        Product(8, "Coca-Cola Classic", "soft drinks", 60),
        Product(9, "Amy's Strawberry Yogurt", "yogurt", 40),
        Product(10, None, "missing", 1),
        Product(11, "Smørrebrød Straße", "bakery", 2),
        Product(12, "Tea", "tea", 2),
        Product(13, "Sea Salt", "spices seasonings", 3),
    ]
)


@pytest.mark.parametrize(
    ("text", "aisle", "found"),
    [
        ("banana", None, [1, 3, 2]),
        ("BANANAS", None, [2, 1, 3]),
        ("bannana", None, [1, 3, 2]),
        ("vanana", None, [1, 3, 2]),
        ("banaan", None, [1, 3, 2]),
        ("ban", None, [2, 1, 3]),
        ("bananna bred", None, [3]),
        ("bread banana", None, [3]),
        ("creme fraiche", None, [4]),
        ("CRÈME", None, [4]),
        ("cre\u0300me fraiche", None, [4]),
        ("jalapeno", None, [7]),
        ("jalapño", None, [7]),
        ("2 milk", None, [5]),
        ("3 milk", None, []),
        ("coca cola", None, [8]),
        ("cocacola", None, []),
        ("amys", None, [9]),
        ("stawber yog", None, [9]),
        ("smorrebrod", None, [11]),
        ("strasse", None, [11]),
        ("sea", None, [13]),
        ("product 10", None, [10]),
        ("banana", "Bakery", [3]),
        ("", "FRESH FRUÎTS", [2, 1]),
        ("", "nowhere", []),
        ("banana", "nowhere", []),
        ("%", None, []),
        ("xyzzy", None, []),
        ("'; drop table", None, []),
    ],
)
def test_names_are_found_in_spite_of_accents_and_typing_errors(text, aisle, found):
    assert [product.product_id for product in CATALOGUE.find(text, aisle)] == found


def test_an_empty_search_finds_all_by_their_orders():
    assert [product.product_id for product in CATALOGUE.find("")][:3] == [2, 1, 6]
    assert folded("ﬁne ŒUVRE İ") == "fine oeuvre i"


def test_products_are_found_through_the_api(served, predicted):
    api = served.of()
    [(name, aisle)] = predicted.query(
        "select product_name, aisle from instacart.products inner join instacart.aisles using (aisle_id)"
        " where length(product_name) <= 100 order by length(product_name) desc, product_id limit 1"
    )
    answer = api.get("/products", search=name.upper()).json()
    assert answer["products"][0]["product_name"] == name
    assert {"aisle": aisle, "product_count": 1} in answer["aisles"] or answer["product_count"] > 1
    all_ = api.get("/products", limit="100").json()
    [(count,)] = predicted.query("select count(*) from instacart.products")
    assert all_["product_count"] == count == sum(one["product_count"] for one in all_["aisles"])
    assert len(all_["products"]) == 100
    assert api.get("/products", aisle=aisle).json()["aisles"][0]["aisle"] == aisle
    for wrong in ({"search": "a" * 101}, {"search": "a\n"}, {"limit": "0"}, {"limit": "101"}, {"limit": "x"}):
        assert api.get("/products", **wrong).status_code == 422, wrong
