"""The commands ``train``, ``predict``, ``suggest`` and ``evaluate``."""

import contextlib
from pathlib import Path

import click

from retail_warehouse.errors import DataError, errors_reported
from retail_warehouse.predictions import SEED


def predictions_folder() -> Path:
    """Folder where predictions are written and dbt reads them."""
    from retail_warehouse.settings import ProjectSettings

    return ProjectSettings().predictions_data


_features_option = click.option(
    "--features",
    "unloaded",
    help="Folder or s3:// prefix of features that Redshift unloaded; without it, the features of the warehouse.",
)
_models_option = click.option(
    "--models",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the trained models, by version; without it, models in the folder of the predictions.",
)
_model_option = click.option("--model", "version", help="Version of the model; without it, the one trained last.")


def _folder_of_models(models: Path | None) -> Path:
    return models or predictions_folder() / "models"


def _open(unloaded: str | None):
    """Open the features. Their libraries take seconds to import, so they are imported here."""
    from retail_warehouse.predictions.libraries import require_installed

    require_installed()
    from retail_warehouse.predictions.dataset import Features
    from retail_warehouse.project import warehouse

    return Features(warehouse(), unloaded)


@click.command("train")
@_features_option
@_models_option
@click.option("--seed", type=click.IntRange(min=0), default=SEED, show_default=True, help="Of all that is drawn.")
def train(unloaded: str | None, models: Path | None, seed: int) -> None:
    """Train the models: buy again, try for the first time, add to the cart next.

    Reads the features, which dbt build --selector features makes, and writes a folder with the model, its card and a
    page for people. The same data and seed give the same model on one machine.
    """
    with errors_reported(), contextlib.closing(_open(unloaded)) as features:
        from tqdm import tqdm

        from retail_warehouse.predictions import model_folder, report, training

        folder = _folder_of_models(models)
        with tqdm(desc="Training", total=len(training.STEPS), disable=None) as bar:

            def tell(step: str) -> None:
                bar.set_description(f"Training: {step}")
                bar.update()

            model = training.train(features, seed, on_step=tell)
        path = folder / model.version
        model_folder.write(model, path, report.page(model.card))
    for line in training.summary(model.card):
        click.echo(line)
    click.echo(f"The model is in {path}; open {path / model_folder.REPORT} in a browser.")
    click.echo("Next: retail-warehouse predict")


@click.command("predict")
@_features_option
@_models_option
@_model_option
@click.option(
    "--only-new-orders",
    is_flag=True,
    help="Score only users with new orders since the last time; all, if another model wrote the files.",
)
def predict(unloaded: str | None, models: Path | None, version: str | None, only_new_orders: bool) -> None:
    """Predict the next order of every user, and write files that dbt build --selector predictions reads.

    PREDICTIONS_DATA names the folder of the files; the default is predictions.
    """
    with errors_reported(), contextlib.closing(_open(unloaded)) as features:
        from tqdm import tqdm

        from retail_warehouse.predictions import model_folder, predicting

        folder = _folder_of_models(models)
        model = model_folder.read(model_folder.latest(folder) if version is None else folder / version)
        runs = [predicting.run_of(card) for card in model_folder.cards(folder)]
        users = features.users()
        with tqdm(desc="Predicting", total=len(users), unit=" users", disable=None) as bar:
            written = predicting.predict(
                features, model, runs, predictions_folder(), only_new_orders=only_new_orders, on_users=bar.update
            )
    for name, rows in written.rows.items():
        click.echo(f"{rows:>12,} rows in {predictions_folder() / name}.parquet")
    if written.kept:
        click.echo(f"{written.kept:,} users without new orders were left as they were.")
    click.echo("Next: dbt build --selector predictions")


@click.command("suggest")
@click.option(
    "--carts",
    "carts_file",
    type=click.Path(path_type=Path),
    required=True,
    help="CSV: query_id,user_id,position,product_id; the user may be empty.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="CSV to write: query_id,rank,product_id,score.",
)
@click.option("--ranks", type=click.IntRange(10, 1_000), default=10, show_default=True, help="Products for each cart.")
@_features_option
@_models_option
@_model_option
def suggest(
    carts_file: Path, out: Path, ranks: int, unloaded: str | None, models: Path | None, version: str | None
) -> None:
    """Rank the products to add to carts next; products in the cart are left out.

    An unknown user or product is no error: the answer then uses the cart alone, what is popular in its aisles, or what
    is popular overall.
    """
    with errors_reported():
        from retail_warehouse.predictions.libraries import require_installed

        require_installed()
        from tqdm import tqdm

        from retail_warehouse.predictions import model_folder, suggesting

        carts = suggesting.read_carts(carts_file)
        with (
            contextlib.closing(_open(unloaded)) as features,
            tqdm(total=len(carts), unit=" carts", disable=None) as bar,
        ):
            folder = _folder_of_models(models)
            model = model_folder.read(model_folder.latest(folder) if version is None else folder / version)
            found = suggesting.suggest(features, model, carts, ranks, bar.update)
        rows = suggesting.write_suggestions(found, out)
    click.echo(f"{rows:>12,} rows in {out}")


@click.command("evaluate")
@click.option(
    "--data",
    "named",
    multiple=True,
    metavar="NAME=FOLDER",
    help="Instacart files to judge on, several times; without it, those of INSTACART_DATA or the bundled sample.",
)
@click.option(
    "--turns", type=click.IntRange(2, 20), default=4, show_default=True, help="Parts that users are hidden in."
)
@click.option("--ablation", is_flag=True, help="Also show what each group of features adds.")
def evaluate(named: tuple[str, ...], turns: int, ablation: bool) -> None:
    """Judge the models: hide the last order of every user once, train on the others, and compare with simple rules.

    Each turn builds a warehouse of its own from the raw files without the hidden orders. Takes minutes.
    """
    with errors_reported():
        from retail_warehouse.predictions.libraries import require_installed

        require_installed()
        from retail_warehouse.predictions import evaluation
        from retail_warehouse.settings import ProjectSettings

        sources = []
        default = ProjectSettings().instacart_data
        for text in named or (f"{default or 'the bundled sample'}={default or 'seeds/samples/instacart'}",):
            name, _, folder = text.rpartition("=")
            if not name or not Path(folder).is_dir():
                raise DataError(f"--data {text}: NAME=FOLDER is wanted, of a folder that exists.")
            is_real = bool(named or default)
            sources.append(evaluation.Source(name, Path(folder), is_real=is_real, ablation=ablation))
        for source in sources:
            result = evaluation.evaluate(source, turns, lambda step: click.echo(step, err=True))
            click.echo(evaluation.as_text(result))
