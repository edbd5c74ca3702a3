"""docs/aws.md and docs/aws_operations.md say what `make deploy` takes, what the templates hold, and what it costs."""

import re
import shlex

import click
import pytest
from cfnlint.decode import cfn_yaml
from conftest import PROJECT

PAGE = (PROJECT / "docs/aws.md").read_text()
OPERATIONS = (PROJECT / "docs/aws_operations.md").read_text()
BOTH = PAGE + OPERATIONS
TEMPLATES = {path.stem: cfn_yaml.load(str(path)) for path in (PROJECT / "infrastructure").glob("*.yaml")}


@pytest.fixture
def deploy(_infrastructure_on_path) -> click.Command:
    from deploy import main

    return main


def wrong_commands(text: str, command: click.Command) -> list[str]:
    """Commands and options of a page that the program does not take."""
    found = []
    for arguments in re.findall(r'make deploy ARGS="([^"]*)"', text):
        try:
            command.make_context("deploy", shlex.split(arguments), resilient_parsing=False)
        except click.ClickException as error:
            found.append(f"{arguments}: {error.format_message()}")
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    named = set(re.findall(r"`(--[a-z-]+)", text)) - known
    return found + sorted(named)


def unknown_parameters(text: str) -> list[str]:
    """Parameters such as `lake.FirstMonth` that no template has."""
    named = re.findall(r"\b(foundation|warehouse|api|lake|github)\.([A-Z]\w+)", text)
    return [f"{stack}.{name}" for stack, name in named if name not in TEMPLATES[stack]["Parameters"]]


def test_commands_and_parameters_are_those_of_the_program(deploy):
    assert len(re.findall("make deploy ARGS=", BOTH)) > 15
    assert wrong_commands(BOTH, deploy) == []
    assert unknown_parameters(BOTH) == []
    for wrong in ('make deploy ARGS="--emial x@y.z"', 'make deploy ARGS="--api-tasks 51"', "`--dry`"):
        assert wrong_commands(wrong, deploy)
    assert unknown_parameters("`lake.FirstMoth` and `api.ApiTasks`") == ["lake.FirstMoth"]


def test_what_the_page_names_is_in_the_templates():
    assert {stack for stack in TEMPLATES if f"| `retail-{stack}` |" in PAGE} == set(TEMPLATES)
    queries = {
        resource["Properties"]["Name"]
        for resource in TEMPLATES["lake"]["Resources"].values()
        if resource["Type"] == "AWS::Athena::NamedQuery"
    }
    assert set(re.findall(r"saved query \*([^*]+)\*", PAGE)) <= queries
    outputs = re.findall(r"\$\(output (\w+) (\w+)\)|`output (\w+) (\w+)`", OPERATIONS)
    named = {(first or third, second or fourth) for first, second, third, fourth in outputs}
    assert ("warehouse", "Runs") in named
    assert [one for one in named if one[1] not in TEMPLATES[one[0]]["Outputs"]] == []
    defaults = {
        (stack, name): parameter.get("Default")
        for stack, template in TEMPLATES.items()
        for name, parameter in template["Parameters"].items()
    }
    assert (
        f"budget ({defaults['foundation', 'MonthlyBudget']} dollars unless `--budget` says otherwise)"
        in PAGE.replace("**", "")
    )
    assert defaults["lake", "FirstMonth"] == "2009-12-01"
    assert "from `FirstMonth`, December 2009, to a year from now" in PAGE
    assert defaults["lake", "ScanLimit"] == 10 * 1024**3
    assert "stops at 10 GiB" in PAGE
    assert defaults["warehouse", "NightlySchedule"] == "cron(0 2 * * ? *)"
    assert "at two in the morning, UTC" in PAGE
    assert defaults["api", "RequestsPerSecond"] == 100


def idle(page: str) -> dict[str, list[float]]:
    """The figures of the column for a month without use, by the first words of the row."""
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE)
    return {piece: [float(figure) for figure in re.findall(r"\d+\.\d\d", cost)] for piece, cost in rows}


@pytest.mark.usefixtures("_infrastructure_on_path")
def test_costs_are_those_that_a_deployment_tells():
    import deployment
    import redshift_users

    found = idle(PAGE)
    assert found["API on Fargate, 0.5 vCPU and 1 GB"] == [*deployment.API_TASK.values(), deployment.ADDRESS]
    assert found["Cognito, each client"] == [deployment.CLIENT]
    assert found["HTTP API, VPC link, private name"] == [deployment.ENTRY]
    assert found["images, logs, alarms and their key, the secret of Redshift"] == [deployment.REST]
    task = deployment.API_TASK["X86_64"] + deployment.ADDRESS
    entry = deployment.ENTRY + 2 * deployment.CLIENT
    total, without = task + entry + deployment.REST, entry + deployment.REST
    assert f"So: about **{total:.0f}** idle" in PAGE
    assert f"It costs about {total:.0f} dollars a month while nothing happens, {without:.0f} without" in PAGE
    assert f"entry and clients still cost about {entry:.0f} dollars a month" in " ".join(PAGE.split())
    hours = 730 * (0.5 * 0.04048 + 1 * 0.004445)  # of Fargate on X86_64, by vCPU and GB
    assert round(hours, 1) == deployment.API_TASK["X86_64"]
    assert f"`--rpu-hours` ({redshift_users.DEFAULT_RPU_HOURS} a month)" in PAGE


def test_the_environment_of_the_containers_is_that_of_the_templates():
    rows = re.findall(r"^\| (`[A-Z].*`) \| (yes)? ?\| (yes)? ?\| ", OPERATIONS, re.MULTILINE)
    said = {
        (container, name)
        for names, api, batch in rows
        for name in re.findall(r"`(\w+)`", names)
        for container, is_one in (("api", api), ("batch", batch))
        if is_one
    }
    tasks = {
        definition["Name"]: definition["Environment"]
        for stack in ("api", "warehouse")
        for resource in TEMPLATES[stack]["Resources"].values()
        if resource["Type"] == "AWS::ECS::TaskDefinition"
        for definition in resource["Properties"]["ContainerDefinitions"]
    }
    assert said == {(name, variable["Name"]) for name, given in tasks.items() for variable in given}


def test_nobody_says_that_it_was_deployed_before_the_record_does():
    record = (PROJECT / "docs/aws_runs.md").read_text()
    deployments = re.findall(r"^\| \d{4}-\d\d-\d\d \|", record, re.MULTILINE)
    said = {
        "README.md": "Deployed on AWS: never",
        "docs/aws.md": "**Deployed on AWS: never.**",
        "docs/aws_runs.md": "Deployed on AWS: **never**",
    }
    for name, text in said.items():
        assert (text in (PROJECT / name).read_text()) == (deployments == []), name
