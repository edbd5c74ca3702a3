"""The workflows keep no key and may do no more than they need; what the lint and these rules guard against is found."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT

WORKFLOWS = sorted((PROJECT / ".github/workflows").glob("*.yml"))
BIN = Path(sys.executable).parent
# What a job may do beyond reading the repository, and why.
RIGHTS = {
    ("deploy.yml", "deploy"): {"id-token": "write"},  # the role of AWS
    ("pages.yml", "deploy"): {"id-token": "write", "pages": "write"},  # GitHub Pages
}
READS = {"contents": "read"}
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def breaches(name: str, text: str) -> list[str]:
    """What a workflow does against the rules of the project."""
    workflow = yaml.safe_load(text)
    found = [f"not pinned: {used}" for used in re.findall(r"uses: *(.+)", text) if not PINNED.fullmatch(used)]
    if workflow.get("permissions") != {}:
        found.append("permissions of all jobs")
    if "secrets." in text or re.search(r"(?i)aws_(access_key|secret)", text):
        found.append("a kept key")
    for job, of in workflow["jobs"].items():
        wanted = RIGHTS.get((name, job), {})
        if of.get("permissions", {}).items() - READS.items() != wanted.items():
            found.append(f"{job}: {of.get('permissions')}")
        if not of.get("timeout-minutes"):
            found.append(f"{job}: no end")
        is_approved = of.get("environment") == "production" and of.get("if") == "github.ref == 'refs/heads/main'"
        found += [f"{job}: {problem}" for step in of["steps"] for problem in breaches_of_step(step, is_approved)]
    return found


def breaches_of_step(step: dict, is_approved: bool) -> list[str]:
    used, given = step.get("uses", ""), step.get("with")
    found = [
        f"make {made} is nothing" for made in re.findall(r"make ([\w-]+)", step.get("run", "")) if made not in TARGETS
    ]
    if used.startswith("actions/checkout@") and given != {"persist-credentials": False}:
        found.append("the token stays in the checkout")
    if used.startswith("aws-actions/configure-aws-credentials@"):
        if not is_approved:
            found.append("takes a role of AWS without approval")
        if set(given) != {"role-to-assume", "aws-region"}:
            found.append(f"takes a role with {given}")
    return found


TARGETS = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
TEXTS = {path.name: path.read_text() for path in WORKFLOWS}


def test_workflows_keep_to_the_rules():
    assert set(TEXTS) == {"ci.yml", "deploy.yml", "pages.yml"}
    for name, text in TEXTS.items():
        assert breaches(name, text) == [], name


def test_an_action_is_pinned_to_one_version():
    pins = {pin for text in TEXTS.values() for pin in re.findall(r"uses: *(.+)", text)}
    assert len({pin.partition("@")[0] for pin in pins}) == len(pins)


def test_nobody_but_a_person_starts_a_deployment():
    workflow = yaml.safe_load(TEXTS["deploy.yml"])
    assert workflow[True] == {"workflow_dispatch": None}  # `on` is a truth value in YAML 1.1
    assert workflow["concurrency"] == {"group": "deploy", "cancel-in-progress": False}


CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
KEPT = "        with:\n          persist-credentials: false\n"
# Workflow, what is planted, in place of what, and who finds it.
FAULTS = [
    ("ci.yml", CHECKOUT, "actions/checkout@v7", "rules"),
    ("ci.yml", CHECKOUT, "actions/checkout@v7", "zizmor unpinned-uses"),
    ("ci.yml", CHECKOUT, "actions/checkout@v3", "actionlint action"),
    ("ci.yml", KEPT, "", "rules"),
    ("ci.yml", KEPT, "", "zizmor artipacked"),
    ("ci.yml", "permissions: {}\n", "", "rules"),
    ("ci.yml", "permissions: {}\n", "permissions: write-all\n", "rules"),
    ("ci.yml", "  pull_request:", "  pull_request_target:", "zizmor dangerous-triggers"),
    ("ci.yml", "run: make check", "run: echo ${{ github.head_ref }}", "zizmor template-injection"),
    ("ci.yml", "run: make check", "run: make chek", "rules"),
    ("ci.yml", "needs: check", "needs: chek", "actionlint job-needs"),
    ("ci.yml", "    timeout-minutes: 15\n", "", "rules"),
    ("ci.yml", "ubuntu-latest", "ubuntu-newest", "actionlint runner-label"),
    ("ci.yml", "matrix.python", "matrix.pyhton", "actionlint expression"),
    ("deploy.yml", "    environment: production\n", "", "rules"),
    ("deploy.yml", "    if: github.ref == 'refs/heads/main'\n", "", "rules"),
    ("deploy.yml", "vars.AWS_STACK_ROLE", "secrets.AWS_SECRET_ACCESS_KEY", "rules"),
    ("deploy.yml", "contents: read", "contents: write", "rules"),
    ("deploy.yml", "vars.AWS_REGION", "inputs.region", "actionlint expression"),
    ("deploy.yml", "role-to-assume", "role-to-asume", "rules"),
]


def says(program: str, *arguments: str) -> list[dict]:
    done = subprocess.run([BIN / program, *arguments], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> list[set[str]]:
    """For each fault, who finds it; each program looks at all of them at once."""
    folder = tmp_path_factory.mktemp("faults") / ".github/workflows"
    folder.mkdir(parents=True)
    of_each = []
    for number, (name, old, new, _) in enumerate(FAULTS):
        text = TEXTS[name].replace(old, new, 1)
        assert text != TEXTS[name], old
        (folder / f"{number}.yml").write_text(text)
        of_each.append({"rules"} if set(breaches(name, text)) - set(breaches(name, TEXTS[name])) else set())
    files = [str(path) for path in folder.iterdir()]
    for finding in says("zizmor", "--offline", "--quiet", "--no-progress", "--format", "json", *files):
        for location in finding["locations"]:
            number = Path(location["symbolic"]["key"]["Local"]["verbatim_path"]).stem
            of_each[int(number)].add(f"zizmor {finding['ident']}")
    for finding in says("actionlint", "-format", "{{json .}}", *files):
        of_each[int(Path(finding["filepath"]).stem)].add(f"actionlint {finding['kind']}")
    return of_each


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[(fault[2] or fault[1]).strip() for fault in FAULTS])
def test_a_fault_is_found(found, number):
    assert FAULTS[number][3] in found[number]
