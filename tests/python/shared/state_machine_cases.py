"""What the state machine of the runs meets, by case, in the format of Step Functions Local: ECS answers so."""

import json


def _ends(exit_code: int | None) -> dict:
    """A task that ended with an exit code, or before its container began."""
    container = {"Name": "batch"} | ({} if exit_code is None else {"ExitCode": exit_code})
    task = {"Containers": [container], "StoppedReason": "Essential container in task exited", "StopCode": "..."}
    return {"Throw": {"Error": "States.TaskFailed", "Cause": json.dumps(task)}}


# By case: what listTasks and runTask answer, and whether the mail goes out.
CASES = {
    "Free": ("Nobody", "Done"),
    "Busy": ("Somebody", "Done"),
    "BusyThenFree": ("SomebodyThenNobody", "Done"),
    "FailsOnce": ("Nobody", "FailsOnce"),
    "FailsAlways": ("Nobody", "FailsAlways"),
    "WrongSettings": ("Nobody", "WrongSettings"),
    "LockedOnce": ("Nobody", "LockedOnce"),
    "NoImage": ("Nobody", "NoImage"),
    "NoCapacity": ("Nobody", "NoCapacity"),
    "Late": ("Nobody", "Late"),
}
MOCKS = {
    "StateMachines": {
        "retail-warehouse-runs": {
            "TestCases": {
                case: {"LookForOthers": others, "Run": run, "Tell": "Told"} for case, (others, run) in CASES.items()
            }
        }
    },
    "MockedResponses": {
        "Nobody": {"0-99": {"Return": {"TaskArns": []}}},
        "Somebody": {"0-99": {"Return": {"TaskArns": ["arn:aws:ecs:task/1"]}}},
        "SomebodyThenNobody": {
            "0-1": {"Return": {"TaskArns": ["arn:aws:ecs:task/1"]}},
            "2-99": {"Return": {"TaskArns": []}},
        },
        "Done": {"0-99": {"Return": {"Containers": [{"ExitCode": 0}]}}},
        "FailsOnce": {"0": _ends(1), "1-99": {"Return": {}}},
        "FailsAlways": {"0-99": _ends(1)},
        "WrongSettings": {"0-99": _ends(2)},
        "LockedOnce": {"0": _ends(3), "1-99": {"Return": {}}},
        "NoImage": {"0-99": _ends(None)},
        "NoCapacity": {"0-99": {"Throw": {"Error": "ECS.InvalidParameterException", "Cause": "no such subnet"}}},
        "Late": {"0-99": {"Throw": {"Error": "States.Timeout", "Cause": ""}}},
        "Told": {"0-99": {"Return": {"MessageId": "1"}}},
    },
}
