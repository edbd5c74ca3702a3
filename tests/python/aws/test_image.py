"""The container image: what it is made of, and that API and builds run in it.

`make test-image` builds it: with Docker and the base image that the Dockerfile names, or, where there is no Docker, as
root with buildah on a Debian that mmdebstrap makes. The gate does neither; it tests what can be read from the files.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import PROJECT

DOCKERFILE = (PROJECT / "Dockerfile").read_text()
IS_REQUIRED = os.environ.get("IMAGE_REQUIRED") == "1"
TAG = "localhost/retail-warehouse:tested"
BASE = "localhost/debian-python:tested"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
PACKAGES = "python3,python3-venv,ca-certificates,libgomp1"


def stages() -> dict[str, str]:
    """The stages of the Dockerfile; the last has no name."""
    parts = re.split(r"^FROM (\S+)(?: AS (\w+))?\n", DOCKERFILE, flags=re.MULTILINE)[1:]
    return {name or "": f"from {base}\n{text}" for base, name, text in zip(*[iter(parts)] * 3, strict=True)}


def test_packages_are_installed_by_hash_in_a_stage_of_its_own():
    install, final = stages()["install"], stages()[""]
    assert re.search(r"pip install --require-hashes --no-deps --only-binary :all: .*requirements-image.txt", install)
    assert [line for line in install.splitlines() if "pip install" in line and "--no-deps" not in line] == []
    assert "pip install" not in final
    assert "apt-get" not in final
    lock = (PROJECT / "requirements-image.txt").read_text()
    packages = re.split(r"\n(?=[a-z])", lock.strip())[1:]
    assert len(packages) > 100
    assert [package.split()[0] for package in packages if "--hash=sha256:" not in package] == []


def test_the_image_has_the_versions_that_are_tested():
    versions = {
        name: dict(re.findall(r"^([\w.-]+)==(\S+)", (PROJECT / name).read_text(), re.MULTILINE))
        for name in (
            "requirements-image.txt",
            "requirements.txt",
            "requirements-predictions.txt",
            "requirements-dev.txt",
        )
    }
    image = versions.pop("requirements-image.txt")
    assert set(versions["requirements-predictions.txt"]) <= set(image)
    for name, others in versions.items():
        assert {package for package in image.keys() & others.keys() if image[package] != others[package]} == set(), name
    assert set(image) <= set(versions["requirements-dev.txt"])


def test_the_program_is_nobody_special_and_its_files_are_not_its_own():
    final = stages()[""]
    assert re.findall(r"^USER (\S+)", final, re.MULTILINE) == ["retail"]
    assert "useradd --uid 1000" in final
    assert "--chown" not in final
    assert final.index("USER retail") < final.index("streaming.rules")
    assert DOCKERFILE.startswith("#")
    assert "ARG BASE=" in DOCKERFILE
    assert stages()["base"].startswith("from ${BASE}")


def test_nothing_but_what_is_copied_is_sent_to_the_builder():
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert ignored[-1] == "**/__pycache__"
    sent = {line.removeprefix("!") for line in ignored[1:-1]}
    copied = set()
    for words in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        copied |= set(words.split())
    assert copied == sent
    assert [path for path in sent if not (PROJECT / path).exists()] == []
    assert not any(re.search("profiles.yml$|env|key|[.]duckdb", path) for path in sent)


class Docker:
    def build(self, folder: Path) -> None:
        run("docker", "build", "--tag", TAG, str(PROJECT))

    def settings(self) -> dict:
        return json.loads(run("docker", "image", "inspect", TAG))[0]["Config"]

    def command(self, *command: str, **environment: str) -> list[str]:
        given = [option for name, value in environment.items() for option in ("--env", f"{name}={value}")]
        return ["docker", "run", "--rm", "--network", "host", *given, TAG, *command]

    def close(self) -> None:
        """Each command had a container of its own, which is gone."""


class Buildah:
    """Needs no daemon and no namespaces, which a machine that is a container itself may not make."""

    def build(self, folder: Path) -> None:
        os.environ.update(BUILDAH_ISOLATION="chroot", STORAGE_DRIVER="overlay")
        rootfs, settings = folder / "rootfs.tar", folder / "pip.conf"
        suite = re.search("VERSION_CODENAME=(.+)", Path("/etc/os-release").read_text())[1]
        run("mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(rootfs))
        made = run("buildah", "from", "scratch").strip()
        run("buildah", "add", made, str(rootfs), "/")
        run("buildah", "commit", "--rm", made, BASE)
        rootfs.unlink()
        # pip trusts whom this machine trusts. Neither file becomes a part of the image.
        settings.write_text(f"[global]\ncert = {CERTIFICATES}\n")
        volumes = [f"--volume={CERTIFICATES}:{CERTIFICATES}:ro", f"--volume={settings}:/etc/pip.conf:ro"]
        run("buildah", "bud", "--build-arg", f"BASE={BASE}", *volumes, "--tag", TAG, str(PROJECT))
        self.container = run("buildah", "from", TAG).strip()

    def settings(self) -> dict:
        return json.loads(run("buildah", "inspect", "--type", "image", TAG))["OCIv1"]["config"]

    def command(self, *command: str, **environment: str) -> list[str]:
        given = [f"--env={name}={value}" for name, value in environment.items()]
        return ["buildah", "run", *given, self.container, "--", *command]

    def close(self) -> None:
        run("buildah", "rm", self.container)


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def builder() -> Docker | Buildah | str:
    """What can build an image here, or what is missing."""
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        return Docker()
    if os.geteuid() == 0 and shutil.which("buildah") and shutil.which("mmdebstrap"):
        return Buildah()
    return "neither Docker, nor, as root, buildah with mmdebstrap (apt-get install buildah crun mmdebstrap)"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    if not IS_REQUIRED:
        pytest.skip("THE IMAGE IS NOT BUILT: it takes minutes; make test-image")
    made = builder()
    if isinstance(made, str):
        pytest.fail(f"The image cannot be built here: {made}.")
    made.build(tmp_path_factory.mktemp("image"))
    yield made
    made.close()


@pytest.mark.slow
def test_it_runs_as_a_user_without_tools_to_build(image):
    settings = image.settings()
    assert settings["User"] == "retail"
    assert settings["Cmd"] == ["retail-warehouse", "serve", "--host", "0.0.0.0", "--port", "8000"]
    assert settings.get("Entrypoint") is None
    assert list(settings["ExposedPorts"]) == ["8000/tcp"]
    look = """
        id -u; for tool in pip pip3 gcc cc make git curl flit; do command -v $tool; done
        ls /opt/venv/lib/python3*/site-packages | grep -E '^(pip|flit_core)(-|$)'
        touch /project/dbt_project.yml /opt/venv/x 2>&1 | grep -c denied; ls target/streaming_rules_*.json
    """
    user, refused, rules = run(*image.command("sh", "-c", look)).split()
    assert (user, refused) == ("1000", "2")
    assert rules.startswith("target/streaming_rules_")
    installed = run(
        *image.command("python", "-c", "import importlib.metadata as m; print(len(list(m.distributions())))")
    )
    assert int(installed) > 100


@pytest.mark.slow
def test_a_warehouse_is_built_and_predicted_from_in_it(image):
    told = run(*image.command("dbt", "build"))
    assert re.search(r"Done\. PASS=\d{3,} WARN=\d+ ERROR=0 SKIP=0", told), told[-2000:]
    # What runs look for before they begin: libraries of predictions, dashboard and lineage.
    look = "from retail_warehouse.runs import site; from retail_warehouse.predictions import libraries;"
    run(*image.command("python", "-c", look + "site.require_installed(); libraries.require_installed()"))
    refused = subprocess.run(image.command("retail-warehouse", "run", "nightly"), capture_output=True, text=True)
    assert (refused.returncode, json.loads(refused.stdout.splitlines()[-1])["status"]) == (2, "failed")


@pytest.mark.slow
def test_the_api_is_ready_within_seconds_in_it(image):
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(port) if word == "8000" else word for word in image.settings()["Cmd"]]
    start = time.monotonic()
    started = image.command(*command, ONLINE_RETAIL_LANDING="/project/landing")
    served = subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while not answers(f"http://127.0.0.1:{port}/ready"):
            assert served.poll() is None, served.communicate()[0]
            # With rules that it had to compile it would say so for 20 s on a quiet machine.
            assert time.monotonic() - start < 60, "it is not ready"
            time.sleep(0.2)
        assert answers(f"http://127.0.0.1:{port}/health")
        assert not answers(f"http://127.0.0.1:{port}/transactions?InvoiceNo=1&StockCode=1")  # without a token
    finally:
        served.terminate()
        served.wait(30)


def answers(address: str) -> bool:
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(address, timeout=5).status == 200
    return False
