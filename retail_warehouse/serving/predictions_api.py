"""The part of the API that serves predictions, and the shop page that shows them."""

import base64
import hashlib
import re
from collections.abc import Callable, Coroutine
from importlib import resources
from typing import Annotated, Any

import orjson
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from retail_warehouse.serving.access import Authorize
from retail_warehouse.serving.bodies import read_body, require_json
from retail_warehouse.serving.parameters import asked, checked, parameter
from retail_warehouse.serving.product_search import LONGEST, Product
from retail_warehouse.serving.published import Loaded, Published
from retail_warehouse.serving.responses import json_response, problems, refusal
from retail_warehouse.serving.shop_statistics import MOST_ITEMS
from retail_warehouse.serving.tokens import READ_PREDICTIONS, Caller
from retail_warehouse.serving.user_predictions import MILLION, UserPredictions

MOST_CART_BYTES = 64 << 10  # of a body; 500 items take a sixth of it
ALSO_LIKELY = 10  # products after the basket
LAST_ORDERS = 3  # that are shown
SHOP_USERS = 20  # that the shop page offers
_NOBODY = -1  # a user that does not exist, which a bound token asks for in place of another's
_LARGE_CART = 60  # items, from which on a thread ranks
_THREADS = 2  # that rank large carts, or read where the store is on this machine
_THREADS_AWAY = 40  # that read from a store on another one
_MOST_ID = 10**18 - 1

_USER_ID = {"type": "string", "pattern": r"^[0-9]{1,18}$", "maxLength": 18, "examples": ["1"]}
_TEXT = {"type": "string", "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$", "maxLength": LONGEST}
_SEARCH = _TEXT | {"examples": ["yogurt"]}
_PRODUCT_LIMIT = {"type": "string", "pattern": r"^([1-9][0-9]?|100)$", "maxLength": 3}

_user_id = checked("user_id", "path", _USER_ID, as_key=False)
_search, _aisle = checked("search", "query", _SEARCH, as_key=False), checked("aisle", "query", _TEXT, as_key=False)
_product_limit = checked("limit", "query", _PRODUCT_LIMIT, as_key=False)

# Gives the predictions of a user, if there are any.
UserOf = Callable[[Loaded, int], Coroutine[Any, Any, UserPredictions | None]]
Id = Annotated[int, Field(ge=0, le=_MOST_ID)]


class CartIn(BaseModel):
    """A cart that is asked about."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Cart")

    user_id: Id | None = Field(None, description="Whose cart it is; null: nobody is known.", examples=[1])
    product_ids: list[Id] = Field(
        max_length=MOST_ITEMS, description="In the order in which they were put in.", examples=[[24852, 13176]]
    )
    limit: int = Field(10, ge=1, le=100, description="Most products of the answer.")


class ProductOut(BaseModel):
    """A product of the catalogue."""

    product_id: int
    product_name: str
    aisle: str


class FoundOut(ProductOut):
    """A product that was found."""

    order_count: int = Field(description="Orders with it.")


class AgainOut(ProductOut):
    """A product that was bought before."""

    rank: int
    probability: float = Field(description="That the next order has it; six decimals.")
    why: str = Field(description="What speaks for it, in words.")


class FirstTimeOut(ProductOut):
    """A product that the user has never bought."""

    rank: int
    score: float = Field(description="To be compared within one answer alone.")
    why: str


class NextOut(ProductOut):
    """A product to put into the cart next."""

    rank: int
    score: float = Field(description="To be compared within one answer alone.")
    why: str


class PastOrder(BaseModel):
    """An order that was placed."""

    days_before: int = Field(description="Days from it to the order that is predicted.")
    products: list[ProductOut]


class NextOrderOut(BaseModel):
    """The next order of a user."""

    user_id: int
    order_id: int | None = Field(description="The open order that is predicted; null: the order to come.")
    model_version: str
    predicted_at: str = Field(description="As of when, in UTC.")
    expected_size: float = Field(description="Number of products bought again that is expected.")
    none_probability: float = Field(description="That nothing is bought again.")
    includes_none: bool = Field(description="Whether the basket reckons with that.")
    basket: list[AgainOut]
    also_likely: list[AgainOut]
    first_time: list[FirstTimeOut]
    last_orders: list[PastOrder]


class CartOut(BaseModel):
    """What may be put into a cart next."""

    based_on: str = Field(description="`user and cart`, `cart`, `user` or `popularity`.")
    model_version: str
    predicted_at: str
    products: list[NextOut]


class AisleOut(BaseModel):
    """An aisle, and how many products were found there."""

    aisle: str
    product_count: int


class ProductsOut(BaseModel):
    """Products that were found, the best first."""

    product_count: int = Field(description="Of all that were found.")
    products: list[FoundOut]
    aisles: list[AisleOut] = Field(description="Where they stand, most products first.")


def predictions_routes(published: Published, has_shop: bool) -> Callable[[FastAPI, Authorize], None]:
    """What adds the routes of predictions to the API.

    Args:
        published: The predictions.
        has_shop: Whether the shop page is served, too; never in production.
    """
    large = CapacityLimiter(_THREADS if published.is_local else _THREADS_AWAY)

    def loaded() -> Loaded:
        found = published.now()
        if found is None:
            raise HTTPException(503, "No predictions are published", {"Retry-After": "30"})
        return found

    async def user_of(found: Loaded, user_id: int) -> UserPredictions | None:
        if published.is_local:
            return found.user(user_id)
        return await to_thread.run_sync(found.user, user_id, limiter=large)

    def add(app: FastAPI, authorize: Authorize) -> None:
        _add_next_order(app, authorize, loaded, user_of)
        _add_carts(app, authorize, loaded, user_of, large)
        _add_products(app, authorize, loaded)
        if has_shop:
            _add_shop(app, authorize, loaded)

    return add


def _add_next_order(app: FastAPI, authorize: Authorize, loaded: Callable[[], Loaded], user_of: UserOf) -> None:
    @app.get(
        "/users/{user_id}/next-order",
        summary="Look up what a user will buy next",
        response_model=NextOrderOut,
        responses=problems(401, 403, 404, 422, 429, 503),
        openapi_extra={
            "parameters": [parameter("user_id", "path", _USER_ID)],
            "security": [{"token": [READ_PREDICTIONS]}],
        },
    )
    async def get_next_order(request: Request) -> Response:
        """The basket with probabilities, what else is likely, and what may be bought for the first time."""
        caller = await authorize(request, READ_PREDICTIONS)
        user_id = _seen_by(caller, int(_user_id(request.path_params["user_id"])))
        found = loaded()
        user = await user_of(found, user_id)
        if user is None:
            raise HTTPException(404, "There is no such user")
        return json_response(_next_order(found, user))


def _add_carts(
    app: FastAPI, authorize: Authorize, loaded: Callable[[], Loaded], user_of: UserOf, large: CapacityLimiter
) -> None:
    @app.post(
        "/carts/next",
        summary="Rank what to put into a cart next",
        response_model=CartOut,
        responses=problems(401, 403, 408, 413, 415, 422, 429, 503),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": CartIn.model_json_schema(),
                        "example": {"user_id": 1, "product_ids": [24852, 13176]},
                    }
                },
            },
            "security": [{"token": [READ_PREDICTIONS]}],
        },
    )
    async def post_cart(request: Request) -> Response:
        """Products that are not in the cart, best first. A user or product that is not known is no error: the
        answer rests on what is known."""
        caller = await authorize(request, READ_PREDICTIONS)
        require_json(request)
        cart = _cart(await read_body(request, most=MOST_CART_BYTES))
        if isinstance(cart, Response):
            return cart
        found = loaded()
        if not found.shop.can_rank:
            raise HTTPException(503, "Carts are not answered here", {"Retry-After": "30"})
        user = None
        if cart.user_id is not None:
            user = await user_of(found, _seen_by(caller, cart.user_id))
        if len(cart.product_ids) > _LARGE_CART:
            return await to_thread.run_sync(_next_in_cart, found, cart, user, limiter=large)
        return _next_in_cart(found, cart, user)


def _add_products(app: FastAPI, authorize: Authorize, loaded: Callable[[], Loaded]) -> None:
    @app.get(
        "/products",
        summary="Find products by name",
        response_model=ProductsOut,
        responses=problems(401, 403, 422, 429, 503),
        openapi_extra={
            "parameters": [
                parameter("search", "query", _SEARCH, False)
                | {"description": "Words of the name, or their beginnings; accents and typing errors are forgiven."},
                parameter("aisle", "query", _TEXT, False) | {"description": "Only products of this aisle."},
                parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, False),
            ],
            "security": [{"token": [READ_PREDICTIONS]}],
        },
    )
    async def get_products(request: Request) -> Response:
        """Products whose names fit, the best first, and the aisles where they stand."""
        await authorize(request, READ_PREDICTIONS)
        given = asked(request)
        text, aisle = given.get("search"), given.get("aisle")
        text = "" if text is None else _search(text)
        aisle = None if aisle is None else _aisle(aisle)
        limit = int(_product_limit(given["limit"])) if "limit" in given else 20
        return json_response(_found(loaded().shop.products.find(text, aisle), limit))


def _seen_by(caller: Caller, user_id: int) -> int:
    """The user, or nobody where a bound token asks for another: the store looks, and finds nothing."""
    if not caller.is_bound:
        return user_id
    own = caller.user or ""
    return user_id if own.isascii() and own.isdigit() and int(own[:19]) == user_id else _NOBODY


def _product(product: Product) -> dict[str, Any]:
    return {"product_id": product.product_id, "product_name": product.name, "aisle": product.aisle}


def _next_order(found: Loaded, user: UserPredictions) -> dict[str, Any]:
    shop = found.shop
    order = user.ranks.argsort(kind="stable")[: user.basket_size + ALSO_LIKELY].tolist()
    likely = [
        _product(shop.product(int(user.products[at])))
        | {
            "rank": int(user.ranks[at]),
            "probability": int(user.probabilities[at]) / MILLION,
            "why": user.why_again(at),
        }
        for at in order
    ]
    new = zip(user.new_products.tolist(), user.new_scores.tolist(), user.new_because.tolist(), strict=True)
    days = user.cart_days.tolist()
    return {
        "user_id": user.user_id,
        "order_id": user.order_id or None,
        "model_version": shop.model_version,
        "predicted_at": shop.predicted_at,
        "expected_size": round(int(user.probabilities.sum(dtype="int64")) / MILLION, 2),
        "none_probability": user.none_probability / MILLION,
        "includes_none": user.includes_none,
        "basket": likely[: user.basket_size],
        "also_likely": likely[user.basket_size :],
        "first_time": [
            _product(known := shop.product(product))
            | {
                "rank": rank,
                "score": score,
                "why": f"goes with {shop.product(because).name}, which this user buys"
                if because
                else f"popular in {known.aisle}",
            }
            for rank, (product, score, because) in enumerate(new, start=1)
        ],
        "last_orders": [
            {"days_before": day, "products": [_product(shop.product(product)) for product in cart.tolist()]}
            for day, cart in zip(days, user.carts(LAST_ORDERS), strict=False)
        ],
    }


def _next_in_cart(found: Loaded, cart: CartIn, user: UserPredictions | None) -> Response:
    shop = found.shop
    known = any(product in shop.products.by_id for product in cart.product_ids)
    has_history = user is not None and len(user.products) > 0
    parts = [name for name, is_known in (("user", has_history), ("cart", known)) if is_known]
    ranked = shop.next_in_cart(cart.product_ids, user, cart.limit)
    return json_response(
        {
            "based_on": " and ".join(parts) or "popularity",
            "model_version": shop.model_version,
            "predicted_at": shop.predicted_at,
            "products": [
                _product(one.product) | {"rank": rank, "score": one.score, "why": one.why}
                for rank, one in enumerate(ranked, start=1)
            ],
        }
    )


def _found(products: list[Product], limit: int) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for product in products:
        counts[product.aisle] = counts.get(product.aisle, 0) + 1
    return {
        "product_count": len(products),
        "products": [_product(product) | {"order_count": product.order_count} for product in products[:limit]],
        "aisles": [
            {"aisle": aisle, "product_count": count}
            for aisle, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ],
    }


def _cart(body: bytes) -> CartIn | Response:
    try:
        return CartIn.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        return refusal([{"type": "json_invalid", "loc": (), "msg": f"Invalid JSON: {error}"}], ("body",))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        unknown = "Unknown field; the fields are user_id, product_ids and limit"
        told = [
            one | {"type": "nonsense", "msg": unknown if one["type"] == "extra_forbidden" else one["msg"]}
            for one in found
        ]
        return refusal(told, ("body",))


# The page


def page() -> str:
    """The shop page."""
    return resources.files(__package__).joinpath("shop.html").read_text(encoding="utf-8")


def content_security_policy(html: str) -> str:
    """What the page may do: run its own script and styles, and ask the API that it comes from.

    Args:
        html: The page, with one script and one style sheet.
    """

    def hashed(element: str) -> str:
        [content] = re.findall(rf"<{element}>(.*?)</{element}>", html, re.DOTALL)
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; script-src {hashed('script')}; style-src {hashed('style')}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _add_shop(app: FastAPI, authorize: Authorize, loaded: Callable[[], Loaded]) -> None:
    html = page()
    headers = {"Content-Security-Policy": content_security_policy(html), "Referrer-Policy": "no-referrer"}

    @app.get("/shop", include_in_schema=False)
    async def get_shop(_: Request) -> Response:
        return Response(html, media_type="text/html", headers=headers)

    @app.get("/shop/users", include_in_schema=False)
    async def get_users(request: Request) -> Response:
        """Some users to choose from."""
        caller = await authorize(request, READ_PREDICTIONS)
        found = loaded()
        if caller.is_bound:
            return json_response({"users": [int(caller.user)] if (caller.user or "").isdigit() else [], "count": 1})
        users = await to_thread.run_sync(found.generation.first_users, SHOP_USERS)
        return json_response({"users": users, "count": found.shop.users})
