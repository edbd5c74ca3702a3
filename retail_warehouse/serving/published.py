"""The predictions that an API serves: one generation, loaded in full, until a newer one is."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from retail_warehouse.errors import DataError
from retail_warehouse.serving.predictions_store import Generation, PredictionsStore, PublishedError
from retail_warehouse.serving.shop_statistics import Shop
from retail_warehouse.serving.store import StoreError
from retail_warehouse.serving.user_predictions import UserPredictions

LOOK_SECONDS = 2.0  # between two looks for a newer generation
_log = logging.getLogger("retail_warehouse.predictions")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A generation that is ready to answer. A request reads from one alone, whatever is published meanwhile.

    Args:
        generation: Where users are read from.
        shop: What is the same for all users.
    """

    generation: Generation
    shop: Shop

    def user(self, user_id: int) -> UserPredictions | None:
        """What is predicted of a user, or none if there is no such user.

        Raises:
            StoreError: The store cannot be read, or holds something else.
        """
        packed = self.generation.user(user_id)
        try:
            return UserPredictions.unpack(packed) if packed is not None else None
        except PublishedError as error:
            raise StoreError(f"The predictions: {error}. Publish them again.") from error


class Published:
    """Follows a store of predictions.

    Attributes:
        is_local: Whether the store answers from this machine.
    """

    def __init__(self, store: PredictionsStore, on_loaded: Callable[[Shop], None] = lambda shop: None) -> None:
        """Load nothing yet.

        Args:
            store: Where predictions are published.
            on_loaded: Gets what is served from now on.
        """
        self.is_local = store.is_local
        self._store = store
        self._on_loaded = on_loaded
        self._mark: str | None = None
        self._loaded: Loaded | None = None
        self._problem = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="predictions", daemon=True)

    def now(self) -> Loaded | None:
        """The generation to answer from; none while nothing could be loaded."""
        return self._loaded

    def look(self) -> None:
        """Load what was published since the last look. What cannot be read is logged once, and the last one serves
        on."""
        try:
            mark = self._store.mark()
            if mark == self._mark:
                return
            generation = self._store.open()
            if generation is not None:
                shop = Shop(generation.statistics())
                try:
                    shop.prepare()
                except DataError as error:
                    _log.error("Carts are not answered: %s", error)
                self._loaded = Loaded(generation, shop)
                self._on_loaded(shop)
            self._mark, self._problem = mark, ""
        except (StoreError, PublishedError, DataError) as error:
            if str(error) != self._problem:
                _log.error("Predictions cannot be loaded: %s", error)
            self._problem = str(error)

    def start(self) -> None:
        """Look for newer generations from now on, every ``LOOK_SECONDS``."""
        self._thread.start()

    def _follow(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            self.look()

    def close(self) -> None:
        """Look no more."""
        self._stopped.set()
