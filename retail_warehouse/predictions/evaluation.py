"""Judges the predictions from end to end. Orders are hidden from the raw files; features are built, models are trained
on other users, and their predictions and those of plain rules are compared with the hidden orders."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from retail_warehouse.errors import DataError
from retail_warehouse.predictions import SEED, baskets, boosting, buy_again, metrics, predicting, suggesting, training
from retail_warehouse.predictions.baselines import TOP, Baselines, Query, first_without
from retail_warehouse.predictions.dataset import Candidates, Features
from retail_warehouse.predictions.model_folder import Model
from retail_warehouse.predictions.rotation import Hidden, Rotation
from retail_warehouse.project import require_project_folder

SUSPICIOUS_AUC = 0.87  # never reached on real orders: above it, a feature probably leaks what is predicted
# Groups of features, by what a name begins with or contains; the first group that fits counts.
GROUPS = {
    "user": ("user_",),
    "product": ("product_", "department_id"),
    "aisle": ("aisle_", "share_of_aisle"),
    "time": (
        "days_",
        "due_ratio",
        "_days_between",
        "order_dow",
        "order_hour",
        "same_dow",
        "mean_hour",
        "max_days",
        "min_days",
    ),
    "place in the cart": ("position",),
    "habit": ("streak", "pattern", "was_in_last", "next_order_repeat", "rank_by", "orders_since"),
    "counts": ("",),
}
_ABLATION_SPLIT = boosting.Split(4, 1)


@dataclass(frozen=True)
class Source:
    """A data set to judge on.

    Attributes:
        name: Name in the results.
        data: Folder of the six Instacart files.
        companion: Folder of further users of the same shop, who are trained on and never judged.
        carts_are_ordered: Whether ``add_to_cart_order`` is the order in which products were added.
        is_real: Whether people made the orders; a check then fails if the AUC is too good to be true.
        first_turns: Number of turns that are run; all if None.
        ablation: Whether to show what each group of features adds.
    """

    name: str
    data: Path
    companion: Path | None = None
    carts_are_ordered: bool = True
    is_real: bool = True
    first_turns: int | None = None
    ablation: bool = False


@dataclass
class Result:
    """The result of an evaluation.

    Attributes:
        source: The data set.
        facts: Users, orders and so on, by name.
        figures: Measures of the model alone, such as AUC, each with its interval.
        comparisons: Measures of model and plain rules (``metrics.compared``).
        calibration: Groups of pairs by probability.
        checks: What must hold, and whether it does.
        ablation: Figures by groups of features.
    """

    source: Source
    facts: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, metrics.Estimate] = field(default_factory=dict)
    comparisons: dict[str, list[dict]] = field(default_factory=dict)
    calibration: list[metrics.CalibrationGroup] = field(default_factory=list)
    checks: list[tuple[str, bool]] = field(default_factory=list)
    ablation: list[tuple[str, int, metrics.Estimate, metrics.Estimate]] = field(default_factory=list)


class _Columns:
    """Columns to which rows are appended in parts."""

    def __init__(self) -> None:
        self._parts: dict[str, list[NDArray]] = {}

    def add(self, **columns: Any) -> None:
        for name, values in columns.items():
            self._parts.setdefault(name, []).append(np.asarray(values))

    def __bool__(self) -> bool:
        return bool(self._parts)

    def __getitem__(self, name: str) -> NDArray:
        return np.concatenate(self._parts[name])

    def __iter__(self):
        return iter(self._parts)


def build_features(data: Path, warehouse: Path) -> None:
    """Build marts and features from raw files with dbt, in a new warehouse.

    Raises:
        DataError: dbt failed; the text ends with what it said.
    """
    require_project_folder()
    profiles = Path.cwd() if Path("profiles.yml").is_file() else warehouse.parent
    if profiles == warehouse.parent:
        (profiles / "profiles.yml").write_text(
            Path("profiles.yml.example").read_text(encoding="utf-8"), encoding="utf-8"
        )
    environment = {
        "INSTACART_DATA": str(data.resolve()),
        "WAREHOUSE_PATH": str(warehouse),
        "DBT_PROFILES_DIR": str(profiles),
        "DBT_TARGET_PATH": str(warehouse.parent / "target"),
        "DBT_LOG_PATH": str(warehouse.parent / "logs"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dbt")), "--quiet", "run", "--target", "dev", "--select", "+tag:features"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DataError(f"dbt could not build the features of {data}:\n{(done.stdout + done.stderr)[-2_000:]}")


def evaluate(source: Source, turns: int, on_step: Callable[[str], object] = lambda step: None) -> Result:
    """Judge the models on a data set.

    Args:
        source: The data set.
        turns: Number of parts of the users; each turn hides the last orders of one part.
        on_step: Called with a few words before each part.

    Raises:
        DataError: The data cannot be read or built.
    """
    judged = _Judged(Result(source))
    with tempfile.TemporaryDirectory() as scratch:
        hidden = Hidden(source.data, turns, source.companion)
        for number in range(min(turns, source.first_turns or turns)):
            work = Path(scratch) / str(number)
            on_step(f"{source.name}, turn {number + 1}: features")
            _judge_turn(judged, hidden.turn(number, work), work, number, on_step)
    result = judged.result
    result.facts["turns"] = f"{min(turns, source.first_turns or turns)} of {turns}"
    _conclude(result, judged.pairs, judged.orders, judged.firsts, judged.carts)
    result.checks.append(("No user is both trained on and judged", judged.is_disjoint))
    if judged.pairs:
        result.checks.append(("Every product that was bought again is a candidate", judged.missed == 0))
    if judged.shuffled is not None:
        _check_shuffled(result, judged.shuffled)
    for name, found in judged.reduced.items():
        f1 = metrics.mean(*_f1_of(found))
        result.ablation.append(
            (name, int(found["features"][0]), metrics.auc(found["p"], found["y"], found["user"]), f1)
        )
    return result


@dataclass
class _Judged:
    """What the turns have found so far.

    Attributes:
        result: The result, which the turns add facts to.
        pairs, orders, firsts, carts: Predicted pairs of user and product, orders, first purchases and carts.
        reduced: Scores of the pairs by trees of fewer features, by name of the group.
        missed: Products bought again that were not candidates.
        is_disjoint: No user was both trained on and judged.
        shuffled: AUC of trees that were trained on shuffled labels.
    """

    result: Result
    pairs: _Columns = field(default_factory=_Columns)
    orders: _Columns = field(default_factory=_Columns)
    firsts: _Columns = field(default_factory=_Columns)
    carts: _Columns = field(default_factory=_Columns)
    reduced: dict[str, _Columns] = field(default_factory=dict)
    missed: int = 0
    is_disjoint: bool = True
    shuffled: metrics.Estimate | None = None


def _judge_turn(judged: _Judged, rotation: Rotation, work: Path, number: int, on_step: Callable[[str], object]) -> None:
    """Build, train and predict without the hidden orders of one turn, and compare with them."""
    source = judged.result.source
    build_features(rotation.data, work / "warehouse.duckdb")
    plain = Baselines(rotation)
    features = Features(work / "warehouse.duckdb")
    users = np.array(sorted(set(plain.users.values())), np.int64)
    features.exclude(users)
    on_step(f"{source.name}, turn {number + 1}: training")
    model = training.train(features)
    judged.is_disjoint &= not model.trained_users & set(users.tolist())
    on_step(f"{source.name}, turn {number + 1}: predictions")
    if plain.history:
        predicting.predict(features, model, [predicting.run_of(model.card)], work / "predictions")
        judged.missed += _judge_reorders(work / "predictions", plain, judged.pairs, judged.orders)
        _judge_first_purchases(work / "predictions", plain, judged.firsts)
        if number == 0 and model.boosters["buy_again"]:
            on_step(f"{source.name}: shuffled labels")
            # Measured by the shuffled labels of users that the trees were not trained on: an AUC above .5 means that
            # they were. (By the true labels, any function of one good feature is above .5.)
            nothing = buy_again.train(features, SEED, shuffled=True)
            judged.shuffled = metrics.Estimate(**nothing.card["auc"])
        truth = {plain.users[order]: bought for order, bought in plain.bought_again.items()}
        for name, names in _ablations(features.reorder_features()) if source.ablation else ():
            on_step(f"{source.name}, turn {number + 1}: {name}")
            fewer = buy_again.train(features, SEED, names=names, split=_ABLATION_SPLIT)
            columns = judged.reduced.setdefault(name, _Columns())
            _score_hidden(features, fewer.boosters, names, users, truth, columns)
    queries = plain.queries(carts_are_ordered=source.carts_are_ordered)
    on_step(f"{source.name}, turn {number + 1}: {len(queries):,} carts")
    _judge_carts(features, model, plain, queries, judged.carts)
    _note_turn(judged.result, model, rotation.users)
    features.close()


def _note_turn(result: Result, model: Model, hidden_orders: int) -> None:
    for task, card in model.card["tasks"].items():
        result.facts.setdefault(f"{task} training targets, answered by", []).append(
            f"{card['targets']:,} {card.get('way', 'trees')}"
        )
    result.facts["hidden orders"] = result.facts.get("hidden orders", 0) + hidden_orders


def _check_shuffled(result: Result, auc: metrics.Estimate) -> None:
    result.figures["AUC with shuffled labels"] = auc
    holds = auc.low <= 0.5 <= auc.high
    result.checks.append(("With shuffled labels the AUC is .5 within its interval", holds))


def _judge_reorders(folder: Path, plain: Baselines, pairs: _Columns, orders: _Columns) -> int:
    """Collect pairs and orders; returns the number of products bought again that were not candidates."""
    with duckdb.connect() as connection:
        wanted = sorted(plain.users)
        rows = connection.execute(
            f"""
            select order_id, product_id, cast(probability as double) as probability, rank, is_in_basket
            from read_parquet('{folder}/predicted_reorders.parquet') where order_id in (select unnest(?))
            order by order_id, rank""",
            [wanted],
        ).fetchall()
        none = dict(
            connection.execute(
                f"""
            select order_id, includes_none from read_parquet('{folder}/predicted_baskets.parquet')
            where order_id in (select unnest(?))""",
                [wanted],
            ).fetchall()
        )
    ranked: dict[int, list[tuple]] = {}
    for order, *row in rows:
        ranked.setdefault(order, []).append(row)
    rules = {
        "repeat the last order": plain.repeat_last(),
        "its reordered products": plain.repeat_last_reordered(),
        "top N by decayed count": plain.top_by_decay(),
    }
    missed = 0
    for order in sorted(ranked):
        found, bought, user = ranked[order], plain.bought_again.get(order, set()), plain.users[order]
        products = [product for product, *_ in found]
        label = [product in bought for product in products]
        missed += len(bought) - sum(label)
        pairs.add(p=[chance for _, chance, *_ in found], y=label, user=[user] * len(found))
        basket = {product for product, _, _, is_in in found if is_in}
        values = {"model": _f1(basket, none[order], bought)}
        values |= {name: _f1(chosen.get(order, set()), None, bought) for name, chosen in rules.items()}
        recalls = {"model": np.nan, "decayed count": np.nan}
        if bought:
            recalls = {
                "model": metrics.recall_at(products, bought),
                "decayed count": metrics.recall_at(plain.decayed.get(order, []), bought),
            }
        orders.add(
            user=[user], **{f"F1 {n}": [v] for n, v in values.items()}, **{f"R {n}": [v] for n, v in recalls.items()}
        )
    return missed


def _f1(chosen: set[int], includes_none: bool | None, bought: set[int]) -> float:
    """F1 of one order. Without ``includes_none``, "None" is predicted if nothing is chosen."""
    none = not chosen if includes_none is None else includes_none
    arrays = (np.array([value]) for value in (len(chosen & bought), len(chosen), len(bought), none))
    return float(baskets.f1(*arrays)[0])


def _judge_first_purchases(folder: Path, plain: Baselines, firsts: _Columns) -> None:
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"""
            select user_id, product_id from read_parquet('{folder}/predicted_first_purchases.parquet')
            order by user_id, rank"""
        ).fetchall()
    suggested: dict[int, list[int]] = {}
    for user, product in rows:
        suggested.setdefault(user, []).append(product)
    popular, covisited = plain.popular_first(), plain.covisited()
    for order in sorted(plain.bought_first):
        if order not in plain.history:
            continue
        bought, user = plain.bought_first[order], plain.users[order]
        found = {"model": suggested.get(user, []), "popularity": popular[order], "co-visitation": covisited[order]}
        recalls = {name: metrics.recall_at(products, bought) for name, products in found.items()}
        firsts.add(
            user=[user],
            **{f"R {name}": [value] for name, value in recalls.items()},
            **{f"H {name}": [value > 0] for name, value in recalls.items()},
        )


def _judge_carts(
    features: Features, model: training.Model, plain: Baselines, queries: list[Query], carts: _Columns
) -> None:
    asked = [suggesting.Cart(query.query_id, plain.users[query.order_id], list(query.cart)) for query in queries]
    answers = {answer.query_id: answer.products for answer in suggesting.suggest(features, model, asked)}
    after_last = plain.after_last(queries)
    for query in queries:
        cart = set(query.cart)
        own = plain.decayed.get(query.order_id)
        found = {
            "model": answers[query.query_id],
            "popularity": first_without(plain.popular, cart),
            "last item": first_without([*after_last.get(query.cart[-1], []), *plain.popular], cart),
            "the user's decayed counts": first_without(own or [], cart),
        }
        carts.add(
            user=[plain.users[query.order_id]],
            place=[query.place],
            known=[own is not None],
            **{name: [metrics.reciprocal_rank(products[:TOP], query.product)] for name, products in found.items()},
        )


def _score_hidden(
    features: Features,
    boosters: list,
    names: list[str],
    users: NDArray[np.int64],
    truth: dict[int, set[int]],
    into: _Columns,
) -> None:
    """Score the hidden orders with trees of fewer features."""
    candidates = features.candidates(names, users)
    bought = [
        product in truth.get(user, ())
        for user, product in zip(candidates.users.tolist(), candidates.products.tolist(), strict=True)
    ]
    into.add(
        p=buy_again.probabilities(boosters, candidates, names),
        y=bought,
        user=candidates.users,
        product=candidates.products,
        features=[len(names)],
    )


def _f1_of(found: _Columns) -> tuple[NDArray, NDArray]:
    """F1 of each user's best basket, with an uncalibrated chance of "None", and the users."""
    order = np.lexsort((found["product"], found["user"]))
    users, none = found["user"][order], np.zeros(len(order), np.int64)
    candidates = Candidates(users, found["product"][order], none, none, none.astype(np.int8), np.zeros((len(order), 0)))
    ranked = buy_again.ranked(candidates, found["p"][order], baskets.NoneCalibration())
    labels = found["y"][order][ranked.order]
    best = ranked.baskets
    return buy_again.basket_f1(ranked.ranks(), labels, ranked.starts, best.sizes, best.includes_none), ranked.users


def _ablations(names: list[str]) -> list[tuple[str, list[str]]]:
    """Sets of features: all; then counts alone, and one more group at a time."""
    group = {name: next(key for key, parts in GROUPS.items() if any(part in name for part in parts)) for name in names}
    found: list[tuple[str, list[str]]] = []
    so_far: set[str] = set()
    for key in reversed(GROUPS):
        so_far.add(key)
        chosen = [name for name in names if group[name] in so_far]
        if any(group[name] == key for name in names):
            found.append((key if not found else f"+ {key}", chosen))
    return found


def _conclude(result: Result, pairs: _Columns, orders: _Columns, firsts: _Columns, carts: _Columns) -> None:
    if pairs:
        p, y, user = pairs["p"], pairs["y"], pairs["user"]
        result.figures["AUC"] = metrics.auc(p, y, user)
        result.figures["PR-AUC"] = metrics.pr_auc(p, y, user)
        result.calibration = metrics.calibration_table(p, y)
        result.facts["pairs of user and product"] = len(p)
        result.facts["calibration error"] = f"{metrics.calibration_error(result.calibration):.4f}"
        if result.source.is_real:
            result.checks.append(
                (
                    f"The AUC is below {SUSPICIOUS_AUC}; above it, a leak is suspected",
                    result.figures["AUC"].value <= SUSPICIOUS_AUC,
                )
            )
        some = ~np.isnan(orders["R model"])
        result.comparisons["Buy again"] = [
            metrics.compared("F1 with None", _named(orders, "F1 "), orders["user"]),
            metrics.compared(
                "recall@10 of products bought again",
                {name: values[some] for name, values in _named(orders, "R ").items()},
                orders["user"][some],
            ),
        ]
    if firsts:
        result.comparisons["Try for the first time"] = [
            metrics.compared("recall@10", _named(firsts, "R "), firsts["user"]),
            metrics.compared("hit@10", _named(firsts, "H "), firsts["user"]),
        ]
    if not carts:
        return
    for known, title in ((True, "Add to the cart next"), (False, "Add to the cart next, user not known")):
        found = []
        for place in dict.fromkeys(carts["place"].tolist()):
            wanted = (carts["place"] == place) & (carts["known"] == known)
            if not wanted.any():
                continue
            ranks = {name: carts[name][wanted] for name in carts if name not in ("user", "place", "known")}
            if not known:
                del ranks["the user's decayed counts"]
            where = {"last": "last product", "middle": "product in the middle", "any": "any product"}[place]
            user = carts["user"][wanted]
            found.append(metrics.compared(f"hit@10, {where}", {n: v > 0 for n, v in ranks.items()}, user))
            found.append(metrics.compared(f"MRR@10, {where}", ranks, user))
        if found:
            result.comparisons[title] = found


def _named(columns: _Columns, prefix: str) -> dict[str, NDArray]:
    return {name.removeprefix(prefix): columns[name] for name in columns if name.startswith(prefix)}


def as_markdown(result: Result) -> str:
    """The result as a section of Markdown."""
    lines = [f"## {result.source.name}", ""]
    for name, fact in result.facts.items():
        lines.append(
            f"* {name}: {', '.join(fact) if isinstance(fact, list) else f'{fact:,}' if isinstance(fact, int) else fact}"
        )
    for text, holds in result.checks:
        lines.append(f"* {'Holds' if holds else '**FAILS**'}: {text}.")
    for name, figure in result.figures.items():
        lines.append(f"* {name}: {figure}")
    for title, comparisons in result.comparisons.items():
        for comparison in comparisons:
            lines += [
                "",
                f"{title}, {comparison['measure']}, {comparison['orders']:,} cases of {comparison['users']:,} users",
            ]
            lines += ["", "| | value | model less this |", "|---|---|---|"]
            for rule, estimate in comparison["estimates"].items():
                gap = comparison["differences"].get(rule)
                less = f"{gap['value']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}]" if gap else ""
                lines.append(f"| {rule} | {metrics.Estimate(**estimate)} | {less} |")
    if result.calibration:
        lines += ["", "Calibration, ten groups of pairs", "", "| pairs | predicted | bought |", "|---|---|---|"]
        lines += [f"| {g.pairs:,} | {g.probability:.4f} | {g.share:.4f} |" for g in result.calibration]
    if result.ablation:
        lines += ["", "What groups of features add, one member instead of several", ""]
        lines += ["| features | number | AUC | F1 |", "|---|---|---|---|"]
        lines += [f"| {name} | {count} | {auc} | {f1} |" for name, count, auc, f1 in result.ablation]
    return "\n".join(lines) + "\n"


def as_text(result: Result) -> str:
    """The result for a terminal."""
    return as_markdown(result).replace("**", "")
