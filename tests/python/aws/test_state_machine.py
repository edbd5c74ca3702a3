"""The state machine of the runs, deployed from the template, on every path: free and busy, failing and locked."""

import json
import time

import pytest

RUN = ["Begin", "WhichSize", "Usual", "LookForOthers", "IsOneRunning", "Run"]
AGAIN = ["LookForOthers", "IsOneRunning", "Run"]
FAILED = ["HasRun", "ReadExitCode", "WhichExitCode"]
TOLD = ["Tell", "Failed"]


@pytest.fixture(scope="module")
def run(deployed):
    """Runs the state machine in a case, or asking the services of the emulator; returns how it ended, and its path."""
    client, arn = deployed.aws.client("stepfunctions"), deployed.outputs("warehouse")["Runs"]

    def start(name: str, case: str = "") -> tuple[str, list[str]]:
        machine = f"{arn}#{case}" if case else arn
        started = client.start_execution(stateMachineArn=machine, input=json.dumps({"run": name}))
        deadline = time.monotonic() + 30
        while (found := client.describe_execution(executionArn=started["executionArn"]))["status"] == "RUNNING":
            assert time.monotonic() < deadline, "it does not end"
            time.sleep(0.05)
        history = client.get_execution_history(executionArn=started["executionArn"], maxResults=500)["events"]
        path = [event["stateEnteredEventDetails"]["name"] for event in history if "stateEnteredEventDetails" in event]
        return found["status"], path

    return start


@pytest.fixture
def tasks(deployed):
    """The tasks of the batch that ECS was asked to run since the test began."""
    ecs, cluster = deployed.aws.client("ecs"), deployed.outputs("foundation")["Cluster"]

    def all_tasks() -> dict[str, dict]:
        arns = [
            arn
            for status in ("RUNNING", "STOPPED")
            for arn in ecs.list_tasks(cluster=cluster, family="retail-warehouse-batch", desiredStatus=status)[
                "taskArns"
            ]
        ]
        found = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
        return {task["taskArn"]: task for task in found}

    before = all_tasks()
    for arn in before:
        ecs.stop_task(cluster=cluster, task=arn)
    return lambda: [task for arn, task in all_tasks().items() if arn not in before]


@pytest.mark.parametrize(
    ("case", "name", "status", "path"),
    [
        ("Free", "nightly", "SUCCEEDED", RUN),
        ("Free", "micro-batch", "SUCCEEDED", RUN),
        ("Busy", "micro-batch", "SUCCEEDED", [*RUN[:-1], "IsMicroBatch", "LeaveItToNext"]),
        ("BusyThenFree", "nightly", "SUCCEEDED", [*RUN[:-1], *["IsMicroBatch", "Wait", *AGAIN[:2]] * 2, "Run"]),
        ("FailsOnce", "nightly", "SUCCEEDED", [*RUN, *FAILED, "CountFailure", "KeepCount", "WaitToTryAgain", *AGAIN]),
        (
            "FailsAlways",
            "nightly",
            "FAILED",
            [*RUN, *FAILED, "CountFailure", "KeepCount", "WaitToTryAgain", *AGAIN, *FAILED, *TOLD],
        ),
        ("WrongSettings", "nightly", "FAILED", [*RUN, *FAILED, *TOLD]),
        ("LockedOnce", "nightly", "SUCCEEDED", [*RUN, *FAILED, "IsMicroBatch", "Wait", *AGAIN]),
        ("LockedOnce", "micro-batch", "SUCCEEDED", [*RUN, *FAILED, "IsMicroBatch", "LeaveItToNext"]),
        (
            "NoImage",
            "nightly",
            "FAILED",
            [*RUN, *FAILED, "CountFailure", "KeepCount", "WaitToTryAgain", *AGAIN, *FAILED, *TOLD],
        ),
        ("NoCapacity", "nightly", "FAILED", [*RUN, "HasRun", *TOLD]),
        ("Late", "nightly", "FAILED", [*RUN, "HasRun", *TOLD]),
    ],
)
def test_path(run, case, name, status, path):
    assert run(name, case) == (status, path)


@pytest.mark.parametrize(("name", "size"), [("nightly", ("2048", "8192")), ("train", ("4096", "16384"))])
def test_under_its_role_it_runs_the_command_of_the_package_and_tells_of_what_never_ends(
    run, tasks, deployed, name, size
):
    # Nothing runs a container here, so the run ends as one that takes too long. IAM judges each call.
    status, path = run(name)
    which = "Large" if name == "train" else "Usual"
    assert (status, path) == ("FAILED", [*RUN[:2], which, *RUN[3:], "HasRun", *TOLD])
    [task] = tasks()
    assert task["taskDefinitionArn"] == deployed.task("retail-warehouse-batch")["taskDefinitionArn"]
    [override] = task["overrides"]["containerOverrides"]
    assert override == {"name": "batch", "command": ["retail-warehouse", "run", name]}
    assert (task["overrides"]["cpu"], task["overrides"]["memory"]) == size


def test_schedules_and_the_marker_start_the_runs_of_their_names(deployed):
    scheduler, arn = deployed.aws.client("scheduler"), deployed.outputs("warehouse")["Runs"]
    found = {}
    for summary in scheduler.list_schedules()["Schedules"]:
        schedule = scheduler.get_schedule(Name=summary["Name"])
        assert schedule["Target"]["Arn"] == arn
        run = json.loads(schedule["Target"]["Input"])["run"]
        found[run] = (schedule["ScheduleExpression"], schedule["State"])
    assert found == {
        "nightly": ("cron(0 2 * * ? *)", "ENABLED"),
        "micro-batch": ("cron(30 4-23 * * ? *)", "DISABLED"),
        "train": ("cron(0 4 ? * SUN *)", "DISABLED"),
    }


def test_a_marker_starts_a_nightly_run_and_a_file_does_not(deployed, tasks):
    client, arn = deployed.aws.client("stepfunctions"), deployed.outputs("warehouse")["Runs"]
    s3, bucket = deployed.aws.client("s3"), deployed.outputs("foundation")["Bucket"]

    def inputs() -> list[str]:
        found = client.list_executions(stateMachineArn=arn)["executions"]
        return [client.describe_execution(executionArn=one["executionArn"])["input"] for one in found]

    before = inputs()
    s3.put_object(Bucket=bucket, Key="raw/online_retail/data.csv", Body=b"x")
    s3.put_object(Bucket=bucket, Key="raw/online_retail/_SUCCESS", Body=b"")
    deadline = time.monotonic() + 10
    while len(inputs()) == len(before) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [json.loads(text) for text in inputs()[: len(inputs()) - len(before)]] == [{"run": "nightly"}]
    for one in client.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]:
        client.stop_execution(executionArn=one["executionArn"])
