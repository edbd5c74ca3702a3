"""The report of a trained model: one HTML file without further files or requests."""

import io
from collections.abc import Callable
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.25rem; margin-top: 2.5rem; border-bottom: 1px solid #ddd }
table { border-collapse: collapse; margin: .8rem 0 }
td, th { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #eee }
td:first-child, th:first-child { text-align: left } th { font-weight: 600; background: #f6f6f6 }
figure { display: inline-block; margin: .5rem 1rem .5rem 0 } figure svg { max-width: 100%; height: auto }
.good { border-left: 4px solid #2a7f62 } .bad { border-left: 4px solid #b5483a }
.basket { padding: .3rem .8rem; margin: .7rem 0 }
.hit { color: #1f6b50; font-weight: 600 } .note { color: #666 }
"""
_TITLES = {
    "buy_again": "Buy again",
    "first_purchases": "Try for the first time",
    "next_in_cart": "Add to the cart next",
    "next_in_cart_anonymous": "Add to the cart next, user not known",
}
_BLUE, _GREY = "#2f6690", "#999999"


def page(card: dict[str, Any]) -> str:
    """The page for a model's card; the same card gives the same page."""
    facts = {
        "model version": card["model_version"],
        "trained at": card["trained_at"],
        "code version": card["code_version"],
        "library": card["library"],
        "seed": card["seed"],
        **{name.replace("_", " "): value for name, value in card["data"].items() if not isinstance(value, list | dict)},
    }
    parts = [
        "<h1>Predictions: the trained model</h1>",
        _table(["", "value"], [[k, _number(v)] for k, v in facts.items()]),
    ]
    for name, task in card["tasks"].items():
        parts.append(_task(name, task))
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Predictions: {escape(card['model_version'])}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _task(name: str, task: dict[str, Any]) -> str:
    parts = [f"<h2>{_TITLES[name]}</h2>", f"<p>{escape(task['about'])}</p>"]
    facts = [[fact.replace("_", " "), _number(task[fact])] for fact in ("targets", "users", "rows") if fact in task]
    if task.get("rounds"):
        facts.append(["rounds of each member", ", ".join(map(str, task["rounds"]))])
    facts += [[key, _number(value)] for key, value in task.get("parameters", {}).items()]
    parts.append(_table(["", "value"], facts))
    for comparison in task.get("comparisons", []):
        parts.append(comparison_table(comparison))
    pictures = []
    if task.get("calibration"):
        error = f"calibration error {task['calibration_error']:.4f}"
        pictures.append(_picture(lambda axes: _calibration(axes, task["calibration"]), f"Ten groups of pairs; {error}"))
    if task.get("precision_recall"):
        pictures.append(_picture(lambda axes: _precision_recall(axes, task), "Precision and recall over all pairs"))
    if task.get("gains"):
        pictures.append(
            _picture(lambda axes: _gains(axes, task["gains"]), "Features by their share in all gains", 6, 5)
        )
    parts += pictures
    parts += [_example(example) for example in task.get("examples", [])]
    return "\n".join(parts)


def comparison_table(comparison: dict[str, Any]) -> str:
    """An HTML table of a measure: model and plain rules, with intervals and paired differences."""
    rows = []
    for name, estimate in comparison["estimates"].items():
        gap = comparison["differences"].get(name)
        rows.append([name, _estimate(estimate), _estimate(gap, sign="+") if gap else ""])
    return _table(
        [f"{comparison['measure']} ({comparison['orders']:,} orders)", "95 % interval", "model less this"], rows
    )


def _estimate(estimate: dict[str, float], sign: str = "") -> str:
    return f"{estimate['value']:{sign}.4f} [{estimate['low']:{sign}.4f}, {estimate['high']:{sign}.4f}]"


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return (
        f"<table><tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>"
        + "".join(f"<tr>{line}</tr>" for line in lines)
        + "</table>"
    )


def _picture(draw: Callable[[Axes], None], caption: str, width: float = 4.2, height: float = 3.6) -> str:
    # With a fixed salt, the same figure gives the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": "retail-warehouse", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    return f"<figure>{svg}<figcaption class='note'>{escape(caption)}</figcaption></figure>"


def _calibration(axes: Axes, table: list[dict[str, float]]) -> None:
    predicted, share = [group["probability"] for group in table], [group["share"] for group in table]
    top = max([*predicted, *share, 0.01]) * 1.05
    axes.plot([0, top], [0, top], color=_GREY, linestyle="--", linewidth=1)
    axes.plot(predicted, share, color=_BLUE, marker="o", markersize=4)
    axes.set(xlabel="predicted probability", ylabel="share bought again", xlim=(0, top), ylim=(0, top))


def _precision_recall(axes: Axes, task: dict[str, Any]) -> None:
    recall, precision = zip(*task["precision_recall"], strict=True)
    axes.plot(recall, precision, color=_BLUE)
    axes.axhline(task["base_rate"], color=_GREY, linestyle="--", linewidth=1)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))


def _gains(axes: Axes, gains: dict[str, float]) -> None:
    best = sorted(gains.items(), key=lambda gain: -gain[1])[:20][::-1]
    axes.barh([name for name, _ in best], [share for _, share in best], color=_BLUE)
    axes.set(xlabel="share of gains")


def _example(example: dict[str, Any]) -> str:
    bought = set(example["bought"])
    predicted = [
        f'<span class="hit">{escape(name)}</span>' if name in bought else escape(name) for name in example["predicted"]
    ]
    missed = [escape(name) for name in example["bought"] if name not in set(example["predicted"])]
    return (
        f'<div class="basket {example["kind"]}"><b>User {example["user_id"]}, F1 {example["f1"]:.2f}</b><br>'
        f"Predicted: {'; '.join(predicted)}<br>Missed: {'; '.join(missed) or 'nothing'}</div>"
    )
