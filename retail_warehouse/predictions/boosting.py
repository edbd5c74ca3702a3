"""Trains boosted trees (LightGBM). Users are split into folds: some train, some stop the training, some measure it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

_COMMON = {
    "verbosity": -1,
    # The same trees for the same data and seed, on any number of cores.
    "deterministic": True,
    "force_row_wise": True,
    "bagging_freq": 1,
    "max_bin": 63,
}
# With fewer rows, one thread is faster than several.
_BY_THREADS = 200_000


def _threads(rows: int) -> int:
    """Threads for a number of rows; 0 is one per core."""
    return 0 if rows >= _BY_THREADS else 1


@dataclass(frozen=True)
class Split:
    """How users are divided: fold ``i`` measures member ``i``, the next fold stops its training, all others train it.

    Attributes:
        folds: Number of equal parts of the users.
        members: Number of members to train: as many as folds, so that each user is measured once, or fewer.
    """

    folds: int
    members: int

    def of(self, users: NDArray, seed: int) -> NDArray[np.int64]:
        """The fold of each row: that of its user."""
        every, index = np.unique(users, return_inverse=True)
        fold = np.random.default_rng(seed).permutation(len(every)) % self.folds
        return fold[index]


@dataclass
class Rows:
    """Training rows, sorted by query where there are queries.

    Attributes:
        values: A row per candidate, a column per feature; nan where a feature is unknown.
        labels: 1 where the candidate came true, else 0.
        users: User of each row.
        judges: Rows of targets that may stop the training; the others only train. All of them if None.
        queries: Which query a row belongs to, for rankings; rows of a query stand together.
    """

    values: NDArray[np.float32]
    labels: NDArray
    users: NDArray
    judges: NDArray[np.bool_] | None = None
    queries: NDArray | None = None


@dataclass
class Fitted:
    """The result of training.

    Attributes:
        boosters: The trained members.
        scores: Score of each row by a member that was not trained on its user; nan where there is none.
        gains: Share of each feature in the gains of all splits, in order of the features.
    """

    boosters: list[lightgbm.Booster]
    scores: NDArray[np.float64]
    gains: NDArray[np.float64]


def fit(
    rows: Rows,
    features: list[str],
    parameters: dict[str, Any],
    split: Split,
    seed: int,
    on_member: Callable[[], object] = lambda: None,
) -> Fitted:
    """Train the members.

    Args:
        rows: The training rows.
        features: Names of their columns.
        parameters: Those of LightGBM, and ``rounds``, the most trees of a member, and ``patience``, the number of
            trees without improvement after which it stops.
        split: How users are divided.
        seed: Seed of the split and of LightGBM.
        on_member: Called after each member.
    """
    parameters = dict(parameters)
    rounds, patience = parameters.pop("rounds"), parameters.pop("patience")
    fold = split.of(rows.users, seed)
    judges = np.ones(len(fold), np.bool_) if rows.judges is None else rows.judges
    scores = np.full(len(fold), np.nan)
    boosters, gains = [], np.zeros(len(features))
    for member in range(split.members):
        tests, stops = fold == member, fold == (member + 1) % split.folds
        data = _dataset(rows, ~tests & ~stops, features)
        booster = lightgbm.train(
            {**_COMMON, **parameters, "seed": seed + member, "num_threads": _threads(len(fold))},
            data,
            rounds,
            [_dataset(rows, stops & judges, features, data)],
            callbacks=[lightgbm.early_stopping(patience, verbose=False)],
        )
        scores[tests] = _scored(booster, rows.values[tests])
        gains += booster.feature_importance("gain")
        booster.free_dataset()
        boosters.append(booster)
        on_member()
    return Fitted(boosters, scores, gains / max(gains.sum(), 1e-300))


def _dataset(
    rows: Rows, wanted: NDArray[np.bool_], features: list[str], reference: lightgbm.Dataset | None = None
) -> lightgbm.Dataset:
    group = None
    if rows.queries is not None:
        queries = rows.queries[wanted]
        group = np.diff(np.flatnonzero(np.append(np.insert(queries[1:] != queries[:-1], 0, True), True)))
    return lightgbm.Dataset(
        rows.values[wanted],
        rows.labels[wanted],
        group=group,
        feature_name=features,
        reference=reference,
        free_raw_data=True,
    )


def score(boosters: list[lightgbm.Booster], values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mean score of the members, one per row."""
    if not len(values):
        return np.zeros(0)
    return np.mean([_scored(booster, values) for booster in boosters], axis=0)


def _scored(booster: lightgbm.Booster, values: NDArray[np.float32]) -> NDArray[np.float64]:
    return booster.predict(values, num_threads=_threads(len(values)))
