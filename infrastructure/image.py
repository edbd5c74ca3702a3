"""The container image: built with docker or buildah, pushed to ECR, and known by its digest from then on."""

import base64
import hashlib
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stacks import aws_errors_told

from retail_warehouse.errors import DataError

# By what `platform.machine` may say.
ARCHITECTURES = {"x86_64": "X86_64", "amd64": "X86_64", "arm64": "ARM64", "aarch64": "ARM64"}


def architecture() -> str:
    """The processor of this machine, for which images are built here: ``X86_64`` or ``ARM64``.

    Raises:
        DataError: Fargate has no such processor.
    """
    machine = platform.machine().lower()
    if machine not in ARCHITECTURES:
        raise DataError(
            f"Fargate has no processor like that of this machine, {machine}. Build elsewhere and use --image."
        )
    return ARCHITECTURES[machine]


def files_of_image(project: Path) -> Iterator[Path]:
    """The files that the image is built from: those that ``.dockerignore`` lets in, and the Dockerfile.

    Args:
        project: The project's folder.

    Raises:
        DataError: ``.dockerignore`` or the Dockerfile is missing.
    """
    ignore, dockerfile = project / ".dockerignore", project / "Dockerfile"
    for path in (ignore, dockerfile):
        if not path.is_file():
            raise DataError(f"{path} is missing: the checkout is not complete.")
    yield dockerfile
    for line in ignore.read_text(encoding="utf-8").splitlines():
        if line.startswith("!"):
            found = project / line[1:].strip().strip("/")
            for path in sorted(found.rglob("*")) if found.is_dir() else [found]:
                if path.is_file() and "__pycache__" not in path.parts:
                    yield path


def tag_of_image(project: Path) -> str:
    """The tag of the image that would be built here now. The same files on the same kind of machine give the same tag,
    so that an image that was pushed is not built again."""
    digest = hashlib.sha256()
    for path in files_of_image(project):
        digest.update(path.relative_to(project).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{architecture().lower()}-{digest.hexdigest()[:20]}"


def push(ecr: Any, repository: str, project: Path, tell: Callable[[str], None]) -> str:
    """Build the image and push it, unless it is there already.

    Args:
        ecr: A boto3 client of ECR.
        repository: Address of the repository, ``<account>.dkr.ecr.<region>.amazonaws.com/<name>``.
        project: The project's folder.
        tell: Gets a line for people.

    Returns:
        The image with its digest, ``<repository>@sha256:...``.

    Raises:
        DataError: There is neither docker nor buildah, or building or pushing fails.
    """
    tag = tag_of_image(project)
    digest = _digest(ecr, repository, tag)
    if digest:
        tell(f"image: {tag} is there")
        return f"{repository}@{digest}"
    builder = _builder()
    name = f"{repository}:{tag}"
    tell(f"image: {builder} builds {tag}")
    _run([builder, "build", "--tag", name, "--file", str(project / "Dockerfile"), str(project)], "build the image")
    _log_in(ecr, builder, repository)
    tell("image: pushing")
    _run([builder, "push", name], "push the image")
    digest = _digest(ecr, repository, tag)
    if not digest:
        raise DataError(f"{name} was pushed, but ECR does not know it. Deploy again.")
    return f"{repository}@{digest}"


def _digest(ecr: Any, repository: str, tag: str) -> str | None:
    name = repository.partition("/")[2]
    with aws_errors_told():
        try:
            [found] = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}])["imageDetails"]
        except ecr.exceptions.ImageNotFoundException:
            return None
    return found["imageDigest"]


def _builder() -> str:
    for name in ("docker", "buildah"):
        if shutil.which(name):
            return name
    raise DataError("Neither docker nor buildah is installed. Install one, or name an image that is in ECR: --image.")


def _log_in(ecr: Any, builder: str, repository: str) -> None:
    with aws_errors_told():
        [data] = ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    # By standard input, so that no list of processes shows it.
    command = [builder, "login", "--username", user, "--password-stdin", repository.partition("/")[0]]
    _run(command, "log in to ECR", password)


def _run(command: list[str], doing: str, given: str | None = None) -> None:
    done = subprocess.run(command, input=given, text=True, check=False, stdout=subprocess.DEVNULL if given else None)
    if done.returncode:
        raise DataError(f"{command[0]} could not {doing} (exit code {done.returncode}); see its output above.")
