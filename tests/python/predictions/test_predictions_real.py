"""Real users are predicted better than by plain rules. Their orders are no part of the project (see their licence)."""

from pathlib import Path

import pytest
from conftest import REAL_DATA

pytest.importorskip("lightgbm", reason="predictions are not installed: make predictions", exc_type=ImportError)

from retail_warehouse.predictions import boosting, buy_again, evaluation, metrics, next_in_cart

REAL_USERS = Path(REAL_DATA) / "instacart_400_users"


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not REAL_DATA or not REAL_USERS.is_dir(),
        reason="RETAIL_WAREHOUSE_REAL_DATA names no folder with instacart_400_users, a real extract",
    ),
]


def test_real_users_are_predicted_better_than_by_plain_rules(build_features, monkeypatch):
    """A quarter of them, with fewer trees than `make predictions` trains."""

    monkeypatch.setattr(evaluation, "build_features", build_features)
    monkeypatch.setattr(buy_again, "_FEW", boosting.Split(5, 2))
    monkeypatch.setattr(next_in_cart, "_MOST_QUERIES", dict.fromkeys(next_in_cart.FEATURES, 800))
    result = evaluation.evaluate(evaluation.Source("real", REAL_USERS, first_turns=1), 4)
    assert all(holds for _, holds in result.checks), result.checks
    assert 0.82 < result.figures["AUC"].value < 0.87
    f1 = result.comparisons["Buy again"][0]
    assert f1["estimates"]["model"]["value"] > 0.36
    assert f1["differences"]["top N by decayed count"]["value"] > 0.01
    assert metrics.calibration_error(result.calibration) < 0.015
