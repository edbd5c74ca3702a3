"""The best basket against brute force, and the measures against figures worked out by hand."""

import itertools
import math

import pytest

np = pytest.importorskip("numpy", reason="predictions are not installed: make predictions")

from retail_warehouse.predictions import baskets, metrics  # noqa: E402


def expectation(p, chosen: int, with_none: bool, none: float) -> float:
    """Expected F1 of the likeliest products, over every outcome; outcomes with a purchase share what None leaves."""
    nothing = np.prod(1 - p)
    expected = 0.0
    for outcome in itertools.product((False, True), repeat=len(p)):
        bought = np.array(outcome)
        chance = float(np.prod(np.where(bought, p, 1 - p)))
        chance = none if not any(outcome) else chance * (1 - none) / (1 - nothing)
        hits = int(bought[:chosen].sum()) + (with_none and not any(outcome))
        expected += chance * 2 * hits / (chosen + with_none + max(1, int(bought.sum())))
    return expected


def test_the_best_basket_is_that_of_brute_force():
    generator = np.random.default_rng(1)
    users = [np.sort(generator.uniform(0, top, count))[::-1] for count in (1, 2, 5, 7) for top in (0.1, 0.5, 1.0)]
    starts = np.cumsum([0, *map(len, users)])
    none = generator.uniform(0, 1, len(users))
    found = baskets.best_baskets(np.concatenate(users), starts, none)
    for user, p in enumerate(users):
        every = {
            (k, with_none): expectation(p, k, with_none, none[user])
            for k in range(len(p) + 1)
            for with_none in (False, True)
            if k or with_none
        }
        assert found.expected_f1[user] == pytest.approx(max(every.values()), abs=1e-12)
        chosen = int(found.sizes[user]), bool(found.includes_none[user])
        assert every[chosen] == pytest.approx(max(every.values()), abs=1e-12)


def test_products_beyond_the_largest_basket_count_among_what_may_be_bought():
    rest = 4 * baskets.LARGEST_BASKET
    p = np.concatenate([[0.9], np.full(rest, 0.02)])
    found = baskets.best_baskets(p, np.array([0, len(p)]), np.array([0.0]))
    others = [math.comb(rest, n) * 0.02**n * 0.98 ** (rest - n) for n in range(rest + 1)]
    wanted = 0.9 * sum(chance * 2 / (2 + n) for n, chance in enumerate(others)) / (1 - 0.1 * others[0])
    assert (found.sizes[0], bool(found.includes_none[0])) == (1, False)
    assert found.expected_f1[0] == pytest.approx(wanted, abs=1e-12)


def test_a_batch_gives_what_single_users_give():
    generator = np.random.default_rng(2)
    counts = generator.integers(0, 150, 60)
    users = [np.sort(generator.beta(0.5, 4, count))[::-1] for count in counts]
    none = generator.uniform(0, 0.3, len(users))
    starts = np.concatenate([[0], np.cumsum(counts)])
    together = baskets.best_baskets(np.concatenate(users), starts, none)
    for user, p in enumerate(users):
        alone = baskets.best_baskets(p, np.array([0, len(p)]), none[user : user + 1])
        assert together.sizes[user] == alone.sizes[0]
        assert together.includes_none[user] == alone.includes_none[0]
        assert together.expected_f1[user] == pytest.approx(alone.expected_f1[0], abs=1e-12)


def test_a_user_without_products_gets_none():
    found = baskets.best_baskets(np.zeros(0), np.array([0, 0]), np.array([0.7]))
    assert (found.sizes[0], bool(found.includes_none[0]), found.expected_f1[0]) == (0, True, 0.7)


def test_rising_probabilities_are_refused():
    with pytest.raises(ValueError, match="descend"):
        baskets.best_baskets(np.array([0.1, 0.2]), np.array([0, 2]), np.array([0.1]))
    baskets.best_baskets(np.array([0.1, 0.2]), np.array([0, 1, 2]), np.array([0.1, 0.1]))


def test_f1_counts_none_as_an_item():
    cases = [  # hits, predicted, bought, None predicted, F1
        (2, 4, 3, False, 4 / 7),
        (2, 4, 3, True, 4 / 8),
        (0, 0, 0, True, 1.0),
        (0, 2, 0, True, 2 / 4),
        (0, 2, 0, False, 0.0),
        (0, 0, 2, True, 0.0),
        (0, 0, 2, False, 0.0),
    ]
    hits, predicted, bought, none, wanted = (np.array(column) for column in zip(*cases, strict=True))
    assert baskets.f1(hits, predicted, bought, none) == pytest.approx(wanted)


def test_none_is_the_product_of_the_rest():
    found = baskets.none_of(np.array([0.5, 0.5, 0.2, 1.0]), np.array([0, 2, 2, 3, 4]))
    assert found == pytest.approx([0.25, 1.0, 0.8, 0.0], abs=1e-8)


def test_the_chance_of_none_is_calibrated():
    generator = np.random.default_rng(3)
    independent = generator.uniform(0.001, 0.6, 4_000)
    truth = 1 / (1 + np.exp(-(0.8 + 1.3 * np.log(independent / (1 - independent)))))
    is_none = generator.uniform(size=len(truth)) < truth
    fitted = baskets.NoneCalibration.fitted(independent, is_none)
    assert fitted.intercept == pytest.approx(0.8, abs=0.2)
    assert fitted.slope == pytest.approx(1.3, abs=0.15)
    assert fitted(independent).mean() == pytest.approx(is_none.mean(), abs=0.003)


def test_few_orders_hardly_change_the_chance_of_none():
    fitted = baskets.NoneCalibration.fitted(np.array([0.2, 0.3]), np.array([False, False]))
    assert 0.05 < fitted(np.array([0.2]))[0] < 0.2
    assert baskets.NoneCalibration()(np.array([0.2])) == pytest.approx(0.2)


SCORES = np.array([0.9, 0.8, 0.8, 0.4, 0.3, 0.2])
LABELS = np.array([1, 0, 1, 1, 0, 0])
USERS = np.array([1, 1, 2, 2, 3, 3])


def test_auc_and_pr_auc_count_ties_by_half_and_as_one_step():
    # Of nine pairs of a positive and a negative, 0.8 ties with 0.8, and 0.4 is below 0.8: 7.5 are in order.
    assert metrics.auc(SCORES, LABELS, USERS).value == pytest.approx(7.5 / 9)
    # Precision at the three levels with a positive: 1 of 1, 2 of 3, 3 of 4.
    assert metrics.pr_auc(SCORES, LABELS, USERS).value == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


def test_intervals_are_of_users_not_of_pairs():
    """A thousand copies of a user tell no more than one."""
    generator = np.random.default_rng(4)
    values = generator.normal(size=40)
    users = np.arange(40)
    once = metrics.mean(values, users)
    copied = metrics.mean(np.repeat(values, 50), np.repeat(users, 50))
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    assert once.low < 0 < once.high
    assert once.high - once.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(40), rel=0.15)


def test_a_paired_difference_is_sharper_than_its_sides():
    generator = np.random.default_rng(5)
    one = generator.normal(size=200)
    paired = metrics.difference(one + 0.1, one, np.arange(200))
    assert paired.low == pytest.approx(0.1)
    alone = metrics.mean(one, np.arange(200))
    assert alone.high - alone.low > 0.2


def test_calibration():
    table = metrics.calibration_table(np.repeat([0.1, 0.6], 50), np.repeat([0, 1], 50))
    assert [group.pairs for group in table] == [10] * 10
    assert metrics.calibration_error(table) == pytest.approx((0.1 + 0.4) / 2)


def test_ranks():
    assert metrics.recall_at([5, 6, 7], {7, 8}, k=2) == 0
    assert metrics.recall_at([5, 6, 7], {7, 8}, k=3) == 0.5
    assert metrics.reciprocal_rank([5, 6, 7], 7) == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank([5, 6, 7], 8) == 0
