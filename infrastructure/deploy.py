"""Deploys the warehouse to AWS, takes it down again, and shows before what would change. `make deploy` runs it."""

from typing import Any

import boto3
import click
from clients import parsed
from deployment import STACKS, Deployment, Wanted
from image import ARCHITECTURES
from stacks import aws_errors_told

from retail_warehouse.errors import DataError, errors_reported

# The parameter of a template that an option sets.
PARAMETERS = {
    "email": ("foundation", "AlarmEmail"),
    "budget": ("foundation", "MonthlyBudget"),
    "domain_prefix": ("api", "DomainPrefix"),
    "api_tasks": ("api", "ApiTasks"),
    "micro_batches": ("warehouse", "MicroBatches"),
    "training": ("warehouse", "Training"),
    "github": ("github", "Repository"),
}


def _parameters(options: dict[str, Any], more: tuple[str, ...], bi_cidr: str | None) -> dict[str, dict[str, str]]:
    """Parameters by stack, of the options that were given and of ``--set``.

    Raises:
        DataError: ``--set`` is of another form.
    """
    found: dict[str, dict[str, str]] = {}
    for option, (stack, parameter) in PARAMETERS.items():
        value = options.get(option)
        if value is not None:
            text = {True: "ENABLED", False: "DISABLED"}[value] if isinstance(value, bool) else str(value)
            found.setdefault(stack, {})[parameter] = text
    if bi_cidr is not None:
        found.setdefault("foundation", {})["BiCidr"] = bi_cidr
        found.setdefault("warehouse", {})["IsPublic"] = "true" if bi_cidr else "false"
    for text in more:
        target, is_one, value = text.partition("=")
        stack, _, parameter = target.partition(".")
        if not is_one or stack not in STACKS or not parameter:
            raise DataError(f"--set {text} is not <stack>.<Parameter>=<value>, such as warehouse.BaseCapacity=16.")
        found.setdefault(stack, {})[parameter] = value
    return found


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--name", envvar="AWS_STACKS_NAME", default="retail", show_default=True, help="Begins the names of the stacks."
)
@click.option("--region", help="Region of AWS; by default that of the environment.")
@click.option("--email", help="Who is told of failed runs and of the budget. Needed the first time.")
@click.option("--bucket", default="", help="Name of the data bucket.  [default: <name>-<account>-<region>]")
@click.option("--budget", type=click.IntRange(1), help="Dollars a month, of the whole account.  [default: 60]")
@click.option("--bi-cidr", help="Addresses of BI tools that reach Redshift; '' for none.  [default: none]")
@click.option("--domain-prefix", help="Of the address for tokens.  [default: <name>-<account>]")
@click.option("--api-tasks", type=click.IntRange(0, 50), help="Processes of the API.  [default: 1]")
@click.option("--micro-batches/--no-micro-batches", default=None, help="Build streamed rows by day.  [default: no]")
@click.option("--training/--no-training", default=None, help="Train every week.  [default: no]")
@click.option(
    "--rpu-hours", type=click.IntRange(1), help="Monthly limit of Redshift compute, in RPU-hours.  [default: 120]"
)
@click.option("--client", "clients", multiple=True, metavar="NAME=SCOPE,SCOPE", help="One more client for tokens.")
@click.option("--revoke-client", "revoked", multiple=True, metavar="NAME", help="Delete such a client.")
@click.option("--set", "more", multiple=True, metavar="STACK.PARAMETER=VALUE", help="Any parameter of a template.")
@click.option("--image", default="", help="Image with its digest, in place of one that is built here.")
@click.option(
    "--architecture",
    "processor",
    type=click.Choice(sorted(set(ARCHITECTURES.values()))),
    help="Processor architecture of --image.",
)
@click.option("--github", metavar="OWNER/NAME", help="Also create the roles that let this GitHub repository deploy.")
@click.option("--stack-role", envvar="AWS_STACK_ROLE", default="", help="Role that CloudFormation works under.")
@click.option("--skip-redshift", is_flag=True, help="Leave users and the limit of use on Redshift as they are.")
@click.option("--allow-replacement", is_flag=True, help="Also replace what cannot be made again.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--destroy", is_flag=True, help="Delete the stacks. The data bucket and the tables stay.")
@click.option("--delete-data", is_flag=True, help="With --destroy: delete these too.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def main(
    name: str,
    region: str | None,
    bucket: str,
    bi_cidr: str | None,
    rpu_hours: int | None,
    clients: tuple[str, ...],
    revoked: tuple[str, ...],
    more: tuple[str, ...],
    image: str,
    processor: str | None,
    stack_role: str,
    skip_redshift: bool,
    allow_replacement: bool,
    dry_run: bool,
    destroy: bool,
    delete_data: bool,
    yes: bool,
    **options: Any,
) -> None:
    """Deploy the warehouse to AWS: bucket, Redshift, runs, API and lake.

    An option that is not given leaves what is deployed as it is. Run it again after an error: it goes on where it
    ended, and does nothing where nothing has changed.
    """
    if delete_data and not destroy:
        raise click.UsageError("--delete-data is for --destroy.")
    if dry_run and destroy:
        raise click.UsageError("--dry-run shows a deployment; --destroy asks before it deletes.")
    if rpu_hours and skip_redshift:
        raise click.UsageError("--rpu-hours is set on Redshift, which --skip-redshift leaves as it is.")
    with errors_reported():
        wanted = Wanted(
            name,
            bucket,
            _parameters(options, more, bi_cidr),
            image,
            processor or "",
            stack_role,
            not skip_redshift,
            rpu_hours,
            dict(map(parsed, clients)),
            revoked,
            allow_replacement,
        )
        with aws_errors_told():
            session = boto3.Session(region_name=region)
        deployment = Deployment(session, wanted, click.echo)
        if dry_run:
            deployment.show()
        elif destroy:
            what = "the stacks AND ALL DATA" if delete_data else "the stacks; the data stay"
            where = f"{name}-* in {deployment.region} of account {deployment.account}"
            if not yes:
                click.confirm(f"Delete {what}: {where}?", abort=True)
            deployment.destroy(delete_data)
        else:
            deployment.deploy()
            click.echo(deployment.next_steps())


if __name__ == "__main__":
    main()
