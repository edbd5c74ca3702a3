"""The page of the API: its description holds for whatever is sent."""

import re

import pytest
import schemathesis
from conftest import PROJECT
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from shared.api_server import Server, row, statuses

from retail_warehouse.serving.tokens import READ, WRITE
from retail_warehouse.streaming.rules import Rules


@pytest.fixture(scope="module")
def described(tmp_path_factory, compiled, issuer):
    server = Server(tmp_path_factory.mktemp("described"), Rules(compiled), issuer)
    server.post([row(2), row(3, InvoiceNo="1", StockCode="0")])
    yield server
    server.close()


CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.positive_data_acceptance,
]
OPERATIONS = [
    "POST /transactions",
    "GET /transactions",
    "GET /customers/{customer_id}/invoices",
    "GET /health",
    "GET /ready",
]


def fuzz(described: Server, operation: str, mode: GenerationMode, examples: int, headers: dict, of_checks: list) -> set:
    """Statuses of what a description has schemathesis send. Its own plug-in does not know this pytest."""
    told = described.get("/openapi.json").json()
    for schema in (told["components"]["schemas"][name]["properties"] for name in ("Row", "RawRow")):
        for text in (one for part in schema.values() for one in (part, *part.get("anyOf", ()))):
            if "maxLength" in text:
                text["maxLength"] = min(text["maxLength"], 250)  # schemathesis takes minutes for long texts
    description = schemathesis.openapi.from_dict(told)
    operations = {found.ok().label: found.ok() for found in description.get_all_operations()}
    assert set(operations) == set(OPERATIONS)
    seen = set()

    @given(case=operations[operation].as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case) -> None:
        answer = case.call_and_validate(described.url, headers=headers, checks=of_checks)
        seen.add(answer.status_code)

    send()
    return seen


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("operation", OPERATIONS[:3])
def test_the_description_holds_for_whatever_is_sent(described, operation, mode):
    seen = fuzz(described, operation, mode, 60, dict(described.session.headers), CHECKS)
    assert seen <= ({200, 404} if mode == GenerationMode.POSITIVE else {200, 401, 404, 405, 415, 422})


@pytest.mark.parametrize("operation", OPERATIONS[:3])
def test_whatever_is_sent_without_a_token_is_refused(described, operation):
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        assert fuzz(described, operation, mode, 20, {}, CHECKS[:4]) <= {401, 429}


def test_the_page_needs_no_other_address(described):
    page = described.of(None).get("/docs")
    assert page.status_code == 200
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {part.rpartition(".")[2] for part in parts} == {"js", "css", "png"}
    for part in parts:
        assert part.startswith("/")
        assert described.of(None).get(part).status_code == 200


def test_the_examples_of_the_page_work(serve):
    api = serve()
    root = api.of(None).session.get(f"{api.url}/")
    assert (root.status_code, root.url) == (200, f"{api.url}/docs")
    paths = api.of(None).get("/openapi.json").json()["paths"]
    body = paths["/transactions"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert statuses(api.post(body)) == ["accepted"]
    for path in ("/transactions", "/customers/{customer_id}/invoices"):
        given = {
            (one["in"], one["name"]): one["schema"]["examples"][0]
            for one in paths[path]["get"]["parameters"]
            if one["required"]
        }
        for (place, name), text in given.items():
            path = path.replace(f"{{{name}}}", text) if place == "path" else path
        asked = {name: text for (place, name), text in given.items() if place == "query"}
        answer = api.get(path, **asked)
        assert answer.status_code == 200, answer.text
        assert answer.json().get("customer_id", "12374") == "12374"
    # `make stream` plays the sample, and the page of its API shall find something.
    sample = (PROJECT / "seeds/samples/online_retail/data.csv").read_text(encoding="latin-1")
    assert re.search(r"^536380,22961,.*,12374,[^,]*$", sample, re.MULTILINE)
    assert (body["InvoiceNo"], body["StockCode"], body["CustomerID"]) == ("536380", "22961", "12374")


def test_the_page_can_be_off(serve):
    api = serve(docs=False)
    paths = ("/", "/docs", "/openapi.json", "/redoc", "/docs/oauth2-redirect", "/static-offline-docs/swagger-ui.css")
    assert {api.of(None).get(path).status_code for path in paths} == {404}
    assert statuses(api.post(row(2))) == ["accepted"]


def test_answers_are_private_and_what_they_say_they_are(api):
    nobody = api.of(None)
    got = [api.post(row(2)), api.pair(), api.pair("1"), api.post(b"x"), nobody.pair(), nobody.get("/docs")]
    got += [nobody.get("/health"), nobody.get("/nothing"), api.session.put(f"{api.url}/transactions")]
    assert {answer.status_code for answer in got} == {200, 401, 404, 405, 422}
    for answer in got:
        assert (answer.headers["Cache-Control"], answer.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


def test_the_description_is_whole(described):
    told = described.of(None).get("/openapi.json").json()
    references = set()

    def look(part) -> None:
        if isinstance(part, dict):
            references.update([part["$ref"]] if "$ref" in part else [])
            assert "$defs" not in part
            part = list(part.values())
        for one in part if isinstance(part, list) else ():
            look(one)

    look(told)
    assert references == {f"#/components/schemas/{name}" for name in told["components"]["schemas"]}
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            scope = {"get": READ, "post": WRITE}[method]
            assert operation.get("security") == (None if path in ("/health", "/ready") else [{"token": [scope]}])
    for method, others in (("get", {"404"}), ("post", {"408", "413", "415", "500"})):
        statuses_of = set(told["paths"]["/transactions"][method]["responses"])
        assert statuses_of == {"200", "401", "403", "422", "429", "503"} | others
    body = told["paths"]["/transactions"]["post"]["requestBody"]["content"]
    assert list(body) == ["application/json"]
