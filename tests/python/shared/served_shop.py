"""An API with a small published shop and some transactions."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from conftest import PROJECT

from retail_warehouse.serving.metrics import Metrics
from retail_warehouse.serving.predictions_api import predictions_routes
from retail_warehouse.serving.predictions_store import SqlitePredictions
from retail_warehouse.serving.published import Published
from retail_warehouse.serving.tokens import READ, READ_PREDICTIONS, WRITE, LocalIssuer
from retail_warehouse.streaming import rules
from retail_warehouse.streaming.rules import Rules
from shared.api_server import Client, Server, row
from shared.predicted_shop import Shop


@dataclasses.dataclass
class Served:
    api: Server
    published: Published
    metrics: Metrics

    def token(self, *scopes: str, **bound: str) -> str:
        """A token of these scopes, of all for none, bound to a customer, a user or deliveries."""
        return self.api.issuer.token(scopes or (READ, WRITE, READ_PREDICTIONS), **bound)

    def of(self, *scopes: str, **bound: str) -> Client:
        """Asks with such a token."""
        return self.api.of(self.token(*scopes, **bound))


def publish(shop: Shop, folder: Path) -> None:
    """What `retail-warehouse publish predictions` makes of the shop, beside `serving.sqlite`."""
    said = shop.done("publish", "predictions", SERVING_STORE=str(folder / "serving.sqlite"))
    assert "90 users can be looked up" in said


@contextlib.contextmanager
def serving(shop_published: Path, folder: Path) -> Iterator[Served]:
    """The API on a folder that is there."""
    os.link(shop_published / "serving.predictions.sqlite", folder / "serving.predictions.sqlite")
    store, metrics = SqlitePredictions(folder / "serving.predictions.sqlite"), Metrics()
    published = Published(store, lambda shop: metrics.predictions(shop.model_version, shop.predicted_at, shop.users))
    published.look()
    routes = [predictions_routes(published, has_shop=True)]
    judge, issuer = Rules(rules.load(PROJECT)), LocalIssuer(folder / "issuer")
    api = Server(folder, judge, issuer, further=routes, metrics=metrics)
    sent = [
        row(2),
        row(3, StockCode="22961"),
        row(4, InvoiceNo="536380", CustomerID="12374"),
        # Two customers have lines of it, and one line has no customer.
        row(5, InvoiceNo="536400", CustomerID="17850", Quantity="1"),
        row(6, InvoiceNo="536400", CustomerID="12374", Quantity="10"),
        row(7, InvoiceNo="536400", CustomerID="", Quantity="100"),
    ]
    with contextlib.closing(api):
        assert api.post(sent).json()["accepted"] == len(sent)
        yield Served(api, published, metrics)
