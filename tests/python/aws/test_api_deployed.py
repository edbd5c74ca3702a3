"""The API, started as the deployed task definition says, under the task's role, with tokens of the deployed pool."""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import pytest
import requests
from botocore.exceptions import ClientError
from conftest import PROJECT
from shared.api_server import GOOD, Client, copy_rules, row, wait_until

from retail_warehouse.errors import DataError
from retail_warehouse.streaming.player import ApiTarget, play

CUSTOMER = GOOD["CustomerID"]


class Task(Client):
    """What ECS would run: command and environment of the task definition, with credentials of its role. Only where AWS
    is, and the port, are of this machine."""

    def __init__(self, deployed, folder) -> None:
        task = deployed.task("retail-api")
        [container] = task["containerDefinitions"]
        self.folder, self.log = folder, folder / "log.txt"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        [mapping] = container["portMappings"]
        ports = {str(mapping["containerPort"]): str(self.port)}
        program, *arguments = [ports.get(word, word) for word in container["command"]]
        assert program == "retail-warehouse"
        given = deployed.environment("retail-api")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(PROJECT),
            **given,
            "REQUESTS_CA_BUNDLE": given["AWS_CA_BUNDLE"],
            "COGNITO_JWKS_URL": f"{deployed.aws.url}/{deployed.outputs('api')['Pool']}/.well-known/jwks.json",
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "retail_warehouse", *arguments],
                cwd=folder / "project",
                env=environment,
                stdout=log,
                stderr=log,
            )
        super().__init__(f"http://127.0.0.1:{self.port}", None)
        wait_until(self._is_ready, 60)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        with suppress(requests.ConnectionError):
            return requests.get(f"{self.url}/ready", timeout=5).ok
        return False


@pytest.fixture(scope="module")
def api(deployed, compiled, tmp_path_factory):
    folder = tmp_path_factory.mktemp("task")
    copy_rules(folder / "project")
    task = Task(deployed, folder)
    yield task
    task.process.terminate()
    task.process.wait(20)


@pytest.fixture(scope="module")
def token(deployed):
    """Asks the pool for a token, as a client of the template."""

    def ask(client: str, scope: str) -> requests.Response:
        pool, cognito = deployed.outputs("api")["Pool"], deployed.aws.client("cognito-idp")
        clients = cognito.list_user_pool_clients(UserPoolId=pool)["UserPoolClients"]
        [name] = [one["ClientId"] for one in clients if one["ClientName"] == client]
        secret = cognito.describe_user_pool_client(UserPoolId=pool, ClientId=name)["UserPoolClient"]["ClientSecret"]
        form = {"grant_type": "client_credentials", "scope": scope}
        return deployed.aws.post("/oauth2/token", auth=(name, secret), data=form)

    return ask


@pytest.fixture(scope="module")
def gateway(deployed, api):
    """The HTTP API, whose integration leads to the process in place of the VPC link."""
    client = deployed.aws.client("apigatewayv2")
    [found] = [one for one in client.get_apis()["Items"] if one["Name"] == "retail-api"]
    [integration] = client.get_integrations(ApiId=found["ApiId"])["Items"]
    assert integration["ConnectionType"] == "VPC_LINK"
    client.update_integration(
        ApiId=found["ApiId"],
        IntegrationId=integration["IntegrationId"],
        IntegrationUri=api.url,
        ConnectionType="INTERNET",
    )
    return f"{deployed.aws.url}/_aws/execute-api/{found['ApiId']}/$default"


def bearer(answer: requests.Response) -> dict[str, str]:
    assert answer.ok, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture(scope="module")
def callers(token):
    """The headers of a till, of who looks up transactions, of who looks up predictions, and of nobody."""
    return {
        "till": bearer(token("till", "transactions/write")),
        "reader": bearer(token("reader", "transactions/read")),
        "shop": bearer(token("reader", "predictions/read")),
        "nobody": {},
        "forger": {"Authorization": "Bearer x.y.z"},
    }


def test_a_till_gets_no_token_for_reading(token):
    assert token("till", "transactions/read").status_code == 400
    assert token("till", "predictions/read").status_code == 400
    assert token("reader", "transactions/write").status_code == 400
    assert token("bi", "transactions/write").status_code == 400


def test_a_client_that_was_added_is_let_through(deployed, api, gateway, token):
    headers = bearer(token("bi", "transactions/read"))
    verify = deployed.aws.environment["AWS_CA_BUNDLE"]
    for base in (api.url, gateway):
        found = [
            requests.request(method, base + path, headers=headers, json=[], verify=verify).status_code
            for method, path in (asked[:2] for asked in ASKED[:4])
        ]
        # 404: nothing has been published yet.
        assert [status in (200, 404) for status in found] == [False, True, True, False], base
        assert (found[0], found[3]) == (403, 403), base


# The routes, and who alone is let through to them.
ASKED = [
    ("POST", "/transactions", "till"),
    ("GET", "/transactions?InvoiceNo=536365&StockCode=85123A", "reader"),
    ("GET", f"/customers/{CUSTOMER}/invoices", "reader"),
    ("GET", "/users/1/next-order", "shop"),
    ("POST", "/carts/next", "shop"),
    ("GET", "/products?search=yogurt", "shop"),
]


@pytest.mark.parametrize("way", ["straight", "through the gateway"])
@pytest.mark.parametrize(("method", "path", "who"), ASKED)
def test_who_is_let_through(deployed, api, gateway, callers, way, method, path, who):
    base = api.url if way == "straight" else gateway
    body = [row(2, delivery="let-through")] if path == "/transactions" else {"product_ids": [1]}

    def status(caller: str) -> int:
        options = {"json": body} if method == "POST" else {}
        answer = requests.request(
            method, base + path, headers=callers[caller], verify=deployed.aws.environment["AWS_CA_BUNDLE"], **options
        )
        return answer.status_code

    # Nothing is published, so who may ask for predictions is told so.
    assert {caller: status(caller) for caller in callers} == {
        caller: (503 if who == "shop" else 200) if caller == who else 401 if caller in ("nobody", "forger") else 403
        for caller in callers
    }


def test_the_gateway_leads_to_health_and_to_nothing_else(deployed, gateway, callers):
    assert deployed.aws.get(gateway.removeprefix(deployed.aws.url) + "/health").status_code == 200
    ready = gateway.removeprefix(deployed.aws.url) + "/ready"
    found = {who: deployed.aws.get(ready, headers=caller).status_code for who, caller in callers.items()}
    assert found == {"till": 200, "reader": 403, "shop": 403, "nobody": 401, "forger": 401}
    for path in ("/metrics", "/docs", "/openapi.json", "/shop"):
        for caller in callers.values():
            assert deployed.aws.get(gateway.removeprefix(deployed.aws.url) + path, headers=caller).status_code == 404


def test_a_row_is_in_the_bucket_in_both_tables_and_can_be_looked_up(deployed, api, callers):
    foundation, dynamodb = deployed.outputs("foundation"), deployed.aws.client("dynamodb")
    sent = row(7, delivery="till-1/monday", InvoiceNo="581587", CustomerID="12680")
    answer = requests.post(f"{api.url}/transactions", json=[sent, sent], headers=callers["till"], timeout=30)
    assert [result["status"] for result in answer.json()["rows"]] == ["accepted", "duplicate"]

    s3, bucket = deployed.aws.client("s3"), foundation["Bucket"]
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket, Prefix="streamed/")["Contents"]]
    landed = b"".join(s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys)
    events = [json.loads(line) for line in landed.splitlines()]
    assert [event["event_id"] for event in events].count(sent["event_id"]) == 1
    assert all(key.startswith("streamed/day=") for key in keys)

    event = dynamodb.get_item(TableName=foundation["EventsTable"], Key={"event_id": {"S": sent["event_id"]}})
    assert event["Item"]["landed_in"]["S"] in [key.removeprefix("streamed/") for key in keys]
    [line] = [
        item
        for item in dynamodb.scan(TableName=foundation["LinesTable"])["Items"]
        if item.get("customer_id") == {"S": "12680"}
    ]
    assert (line["invoice_no"]["S"], line["quantity"]["N"]) == ("581587", "6")

    asked = {"InvoiceNo": "581587", "StockCode": "85123A"}
    found = requests.get(f"{api.url}/transactions", params=asked, headers=callers["reader"], timeout=30).json()
    assert [one["line_amount"] for one in found["lines"]] == ["15.300"]
    invoices = requests.get(f"{api.url}/customers/12680/invoices", headers=callers["reader"], timeout=30).json()
    assert [invoice["invoice_no"] for invoice in invoices["invoices"]] == ["581587"]


def test_the_sender_of_the_project_sends_through_the_gateway(deployed, api, gateway, callers, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", deployed.aws.environment["AWS_CA_BUNDLE"])
    rows = [row(number, delivery="till-1/sender") for number in range(2, 9)]
    told: list[str] = []
    target = ApiTarget(gateway, callers["till"]["Authorization"].removeprefix("Bearer "), told.append)
    assert target.identity() == requests.get(f"{api.url}/ready", timeout=30).json()["landing"]
    for status in ("accepted", "duplicate"):
        progress = play(rows, target, 0, 3, lambda part, progress: None)
        assert (progress.sent, getattr(progress, status), told) == (7, 7, []), status
    reader = ApiTarget(gateway, callers["reader"]["Authorization"].removeprefix("Bearer "))
    with pytest.raises(DataError, match="403"):
        reader.identity()


class Echo(BaseHTTPRequestHandler):
    """Answers with the headers that it is asked with."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({name.lower(): text for name, text in self.headers.items()}).encode())

    def log_message(self, *_) -> None:
        pass


def test_the_gateway_says_who_calls_and_no_client_can(deployed, api, gateway):
    client = deployed.aws.client("apigatewayv2")
    [found] = [one for one in client.get_apis()["Items"] if one["Name"] == "retail-api"]
    [integration] = client.get_integrations(ApiId=found["ApiId"])["Items"]
    key = {"ApiId": found["ApiId"], "IntegrationId": integration["IntegrationId"]}
    read = deployed.environment("retail-api")["CALLER_HEADER"]
    forged = {read: "192.0.2.1", "X-Forwarded-For": "192.0.2.1"}
    # The emulator does not know the address of a caller; so a text stands for it.
    [(header, address)] = integration["RequestParameters"].items()
    assert address == "$context.identity.sourceIp"
    with HTTPServer(("127.0.0.1", 0), Echo) as echo:
        threading.Thread(target=echo.serve_forever, daemon=True).start()
        echoed = {
            "IntegrationUri": f"http://127.0.0.1:{echo.server_port}",
            "RequestParameters": {header: "198.51.100.7"},
        }
        client.update_integration(**key, **echoed)
        try:
            asked = deployed.aws.get(gateway.removeprefix(deployed.aws.url) + "/health", headers=forged).json()
        finally:
            client.update_integration(**key, IntegrationUri=api.url, RequestParameters={header: address})
            echo.shutdown()
    assert asked[read.lower()] == "198.51.100.7"


def refusal(action) -> str:
    """Why AWS refuses; empty if it does not."""
    try:
        action()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return ""


def test_the_api_may_do_nothing_else(deployed):
    foundation, role = deployed.outputs("foundation"), deployed.aws.as_role(deployed.task("retail-api")["taskRoleArn"])
    s3, dynamodb = (deployed.aws.client(service, **role) for service in ("s3", "dynamodb"))
    bucket, lines = foundation["Bucket"], foundation["LinesTable"]
    assert refusal(lambda: s3.put_object(Bucket=bucket, Key="streamed/x", Body=b"")) == ""
    for key in ("raw/x", "exports/x", "streamed", "models/x"):
        assert refusal(lambda key=key: s3.put_object(Bucket=bucket, Key=key, Body=b"")) == "AccessDenied", key
    assert refusal(lambda: s3.delete_object(Bucket=bucket, Key="streamed/x")) == "AccessDenied"
    assert refusal(lambda: s3.list_objects_v2(Bucket=bucket)) == "AccessDenied"
    assert refusal(lambda: dynamodb.scan(TableName=lines)) == "AccessDeniedException"
    assert refusal(lambda: dynamodb.delete_table(TableName=lines)) == "AccessDeniedException"
    item = {"key": {"S": "current"}, "part": {"N": "0"}}
    table = foundation["PredictionsTable"]
    assert refusal(lambda: dynamodb.put_item(TableName=table, Item=item)) == "AccessDeniedException"
    assert refusal(lambda: deployed.aws.client("iam", **role).list_roles()) == "AccessDenied"


def test_the_bucket_is_reached_by_tls_alone(deployed):
    role = deployed.aws.as_role(deployed.task("retail-api")["taskRoleArn"])
    bucket = deployed.outputs("foundation")["Bucket"]
    plain = boto3.client("s3", endpoint_url=deployed.aws.plain_url, region_name="eu-west-2", **role)
    by_tls = deployed.aws.client("s3", **role)
    assert refusal(lambda: plain.put_object(Bucket=bucket, Key="streamed/x", Body=b"")) == "AccessDenied"
    assert refusal(lambda: by_tls.put_object(Bucket=bucket, Key="streamed/x", Body=b"")) == ""


POST, LOOK_UP, INVOICES = (asked[:2] for asked in ASKED[:3])
ROUTE = (
    "RouteKey: POST /transactions\n      AuthorizationType: JWT\n      AuthorizerId: !Ref Tokens\n"
    "      AuthorizationScopes: "
)
# A fault in api.yaml: what stands there, what instead, the request that must not succeed, and how it is answered.
FAULTS = {
    "look-ups may not query": (
        "Action: [dynamodb:BatchGetItem, dynamodb:BatchWriteItem, dynamodb:Query]",
        "Action: [dynamodb:BatchGetItem, dynamodb:BatchWriteItem]",
        (*LOOK_UP, "reader", "straight", 503),
    ),
    "no right to the index": ("/index/by_customer", "/index/by_product", (*INVOICES, "reader", "straight", 503)),
    "another prefix": ("/streamed/*]]", "/landed/*]]", (*POST, "till", "straight", 503)),
    "no right to the list of events": (
        "Action: [dynamodb:GetItem, dynamodb:BatchGetItem, dynamodb:PutItem, dynamodb:UpdateItem, "
        "dynamodb:BatchWriteItem]",
        "Action: [dynamodb:GetItem]",
        (*POST, "till", "straight", 503),
    ),
    "scope of a route": (
        f"{ROUTE}[transactions/write]",
        f"{ROUTE}[transactions/send]",
        (*POST, "till", "through the gateway", 403),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_template_is_found(deployed, deploying, api, gateway, callers, fault):
    text, instead, (method, path, who, way, expected) = FAULTS[fault]

    def status(number: int) -> int:
        body = [row(number, delivery=fault.replace(" ", "-"))] if method == "POST" else None
        base = api.url if way == "straight" else gateway
        verify = deployed.aws.environment["AWS_CA_BUNDLE"]
        return requests.request(method, base + path, json=body, headers=callers[who], verify=verify).status_code

    def planted(template: str) -> str:
        assert template.count(text) == 1
        return template.replace(text, instead)

    assert status(2) == 200
    try:
        deploying(deployed.aws, [], {"api": planted}).deploy()
        assert status(3) == expected
    finally:
        deploying(deployed.aws, []).deploy()
    assert status(4) == 200
