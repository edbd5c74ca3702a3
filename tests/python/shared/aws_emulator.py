"""An AWS on this machine: ministack, a program of PyPI that holds services, IAM and CloudFormation in memory.

Clients reach it by TLS, since a policy of the data bucket refuses everything else. Its own gateway asks it for keys by
plain HTTP, so it listens at a second port. Run as a program, this file is that server."""

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import boto3
import requests
from botocore.config import Config

REGION = "eu-west-2"
ACCOUNT = "000000000000"
# The types that the emulator does not know, with what refers to them in its place: the text of a reference, and text.
# Nothing but cfn-lint and the rules in test_templates.py look at these.
LACKS: dict[str, dict[str, str]] = {
    "AWS::ApiGatewayV2::VpcLink": {"!Ref": "vpc-link"},
    "AWS::Athena::NamedQuery": {},
    "AWS::Budgets::Budget": {},
    "AWS::IAM::OIDCProvider": {"!Ref": f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"},
    "AWS::RedshiftServerless::Namespace": {"!Ref": "retail-warehouse"},
    "AWS::RedshiftServerless::Workgroup": {
        "!Ref": "retail-warehouse",
        ".Workgroup.Endpoint.Address": f"retail-warehouse.{ACCOUNT}.{REGION}.redshift-serverless.amazonaws.com",
        ".Workgroup.WorkgroupArn": f"arn:aws:redshift-serverless:{REGION}:{ACCOUNT}:workgroup/1",
    },
}


def resources_of(template: str) -> dict[str, str]:
    """The types of the resources of a template, by their names."""
    return dict(re.findall(r"^  (\w+):\n(?:    #.*\n)*    Type: (AWS::\S+)", template, re.MULTILINE))


def without(template: str, lacks: dict[str, dict[str, str]] = LACKS) -> str:
    """A template without resources of some types; what refers to one has a text in its place."""
    for name, kind in resources_of(template).items():
        if kind in lacks:
            template = re.sub(rf"^  {name}:\n(?:(?:   .*)?\n)+?(?=  ?\S|\S)", "", template, flags=re.MULTILINE)
            for reference, text in lacks[kind].items():
                pattern = rf"!Ref {name}\b" if reference == "!Ref" else rf"!GetAtt {name}{re.escape(reference)}"
                template = re.sub(pattern, text, template)
            assert not re.search(rf"(!Ref |!GetAtt |\$\{{){name}\b", template), f"{name} is referred to otherwise"
    # It takes the text of a parameter for a number here, and fails.
    return template.replace("DesiredCount: !Ref ApiTasks", "DesiredCount: 1")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


class Emulator:
    """The server, which ends with ``close``. ``environment`` is what another process needs to reach it."""

    def __init__(self, folder: Path, **environment: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log, self._certificate = folder / "emulator.txt", folder / "certificate.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        command += ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", str(folder / "key.pem")]
        subprocess.run([*command, "-out", str(self._certificate)], check=True, capture_output=True)
        self.port, plain = _free_port(), _free_port()
        self.url, self.plain_url = f"https://localhost:{self.port}", f"http://localhost:{plain}"
        self.environment = {"AWS_ENDPOINT_URL": self.url, "AWS_CA_BUNDLE": str(self._certificate)}
        given = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "PYTEST_"))}
        given |= {
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            "GATEWAY_PORT": str(plain),
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(self._certificate),
            "MINISTACK_SSL_KEY": str(folder / "key.pem"),
            "MINISTACK_HOST": "localhost",
            "MINISTACK_REGION": REGION,
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(folder / "s3"),
            "ATHENA_ENGINE": "duckdb",
            "TMPDIR": str(folder),
            **environment,
        }
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(self.port), str(plain)], env=given, stdout=log, stderr=log
            )
        self._clients: dict[tuple, object] = {}

    def wait(self) -> "Emulator":
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log.read_text()[-3000:]
            with contextlib.suppress(requests.RequestException):
                if self.get("/_ministack/health").ok:
                    return self
            time.sleep(0.05)
        raise AssertionError(self.log.read_text()[-3000:])

    def client(self, service: str, **credentials: str):
        """A client of the account's owner, or of other credentials. Making one takes a while, so each is made once."""
        key = (service, *credentials.values())
        if key not in self._clients:
            known = credentials or {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
            config = Config(retries={"total_max_attempts": 2})
            self._clients[key] = boto3.client(
                service,
                region_name=REGION,
                endpoint_url=self.url,
                verify=str(self._certificate),
                config=config,
                **known,
            )
        return self._clients[key]

    @property
    def session(self) -> SimpleNamespace:
        """What deploy.py asks of a boto3 session."""
        return SimpleNamespace(region_name=REGION, client=self.client)

    def as_role(self, arn: str) -> dict[str, str]:
        """Temporary credentials of a role, as a service of AWS gets them for what it runs under it. The role trusts
        that service alone, for this account; nobody here is one, so the owner is trusted for a moment."""
        iam, name = self.client("iam"), arn.rpartition("/")[2]
        trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        owner = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
        for_a_moment = trust | {"Statement": [*trust["Statement"], owner]}
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(for_a_moment))
        found = self.client("sts").assume_role(RoleArn=arn, RoleSessionName="task")["Credentials"]
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
        names = {
            "aws_access_key_id": "AccessKeyId",
            "aws_secret_access_key": "SecretAccessKey",
            "aws_session_token": "SessionToken",
        }
        return {name: found[key] for name, key in names.items()}

    def get(self, path: str, **options) -> requests.Response:
        return requests.get(self.url + path, verify=str(self._certificate), timeout=30, **options)

    def post(self, path: str, **options) -> requests.Response:
        return requests.post(self.url + path, verify=str(self._certificate), timeout=30, **options)

    def close(self) -> None:
        self._process.kill()  # it holds nothing that anybody wants
        self._process.wait()


def _main(tls_port: str, plain_port: str) -> None:
    import hypercorn.asyncio
    import ministack.app

    serve = hypercorn.asyncio.serve

    def serve_both(app, config, **options):
        config.bind = [f"127.0.0.1:{tls_port}"]
        config.insecure_bind = [f"127.0.0.1:{plain_port}"]
        return serve(app, config, **options)

    hypercorn.asyncio.serve = serve_both
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        ministack.app.main()


if __name__ == "__main__":
    ports, sys.argv[1:] = sys.argv[1:], []  # ministack reads arguments of its own
    _main(*ports)
