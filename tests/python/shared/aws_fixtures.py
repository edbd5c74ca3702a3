"""Fixtures of AWS, for all tests: an emulator, and the stacks deployed to it by deploy.py."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

INFRASTRUCTURE = Path(__file__).parents[3] / "infrastructure"
DIGEST = "sha256:" + "0" * 64


@dataclass
class Deployed:
    """The stacks in the emulator, and what deploy.py said while it deployed them."""

    aws: "Emulator"  # noqa: F821
    said: list[str]

    def outputs(self, stack: str) -> dict[str, str]:
        """Outputs of a stack such as ``foundation``, by their keys."""
        [found] = self.aws.client("cloudformation").describe_stacks(StackName=f"retail-{stack}")["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}

    def task(self, family: str) -> dict:
        """The task definition of a family, as CloudFormation has resolved it."""
        return self.aws.client("ecs").describe_task_definition(taskDefinition=family)["taskDefinition"]

    def environment(self, family: str) -> dict[str, str]:
        """What the container of a task finds: its environment, credentials of its role, and where AWS is here."""
        task = self.task(family)
        [container] = task["containerDefinitions"]
        role = self.aws.as_role(task["taskRoleArn"])
        return {
            **{given["name"]: given["value"] for given in container["environment"]},
            **{name.upper(): text for name, text in role.items()},
            **self.aws.environment,
        }


@pytest.fixture(scope="session")
def _infrastructure_on_path():
    """The modules of infrastructure/ can be imported, as they are when deploy.py runs."""
    if str(INFRASTRUCTURE) not in sys.path:
        sys.path.insert(0, str(INFRASTRUCTURE))


@pytest.fixture(scope="session")
def start_emulator(tmp_path_factory, _infrastructure_on_path):
    """Starts emulators, which end with the session."""
    from shared.aws_emulator import Emulator
    from shared.state_machine_cases import MOCKS

    started = []

    def start() -> Emulator:
        folder = tmp_path_factory.mktemp("aws")
        (folder / "mocks.json").write_text(json.dumps(MOCKS))
        mocked = {"SFN_MOCK_CONFIG": str(folder / "mocks.json"), "SFN_WAIT_SCALE": "0.001"}
        started.append(Emulator(folder, **mocked))
        return started[-1].wait()

    yield start
    for emulator in started:
        emulator.close()


@pytest.fixture(scope="session")
def deploying(_infrastructure_on_path):
    """Makes a deployment on an emulator, from the templates without the types that it lacks; ``changed`` are further
    changes of a template's text, by stack."""
    import deployment

    from shared.aws_emulator import without

    real = deployment.template_of

    def make(aws, said: list[str], changed=None, **wanted) -> deployment.Deployment:
        def template_of(folder: Path, stack: str) -> str:
            return (changed or {}).get(stack, lambda text: text)(without(real(folder, stack)))

        deployment.template_of = template_of
        given = {"image": f"retail@{DIGEST}", "architecture": "X86_64", "has_redshift": False, "pause": 0.02}
        email = {"foundation": {"AlarmEmail": "you@example.com"}}
        return deployment.Deployment(
            aws.session, deployment.Wanted(**{**given, "parameters": email, **wanted}), said.append
        )

    yield make
    deployment.template_of = real


@pytest.fixture(scope="session")
def deployed(start_emulator, deploying) -> Deployed:
    """All stacks, deployed once for the tests of a worker, with a third client, ``bi``; do not change them."""
    aws, said = start_emulator(), []
    parameters = {"foundation": {"AlarmEmail": "you@example.com"}, "github": {"Repository": "owner/name"}}
    deploying(aws, said, parameters=parameters, clients={"bi": ["transactions/read"]}).deploy()
    return Deployed(aws, said)


@pytest.fixture
def stubbed():
    """A client whose answers are told beforehand; it checks what it is asked."""
    import boto3
    from botocore.stub import Stubber

    stubbers = []

    def make(service: str) -> tuple:
        client = boto3.client(service, region_name="eu-west-2", aws_access_key_id="a", aws_secret_access_key="b")
        stubbers.append(Stubber(client))
        stubbers[-1].activate()
        return client, stubbers[-1]

    yield make
    for stubber in stubbers:
        stubber.assert_no_pending_responses()
