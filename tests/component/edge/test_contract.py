"""The OpenAPI document: complete enough to build clients from, and true."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import orjson
import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from prog_edge import scim_errors
from prog_edge.api.reference import _KNOWN_CODES
from prog_edge.app import create_app
from prog_edge.oauth.asking import OAuthError
from prog_edge.problems import MEDIA_TYPE
from prog_edge.process import openapi
from prog_edge.writes import UNAWAITED
from prog_kit.settings import Settings


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def is_scim(name: str) -> bool:
    """Below its prefix the standard says what errors look like, and knows no header of ours."""
    return name.partition(" ")[2].startswith("/scim/")


def test_it_is_openapi_3_1_with_valid_schemas(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_a_validator_of_the_specification_finds_nothing(document: dict[str, Any]) -> None:
    wrong = [f"{list(error.path)}: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
    assert wrong == []


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each body of a request or an answer: where, its media type, and what is said of it."""
    for where, part in [("body", operation.get("requestBody", {})), *operation["responses"].items()]:
        for media_type, content in part.get("content", {}).items():
            yield where, media_type, content


def examples(content: dict[str, Any]) -> list[Any]:
    several = [example["value"] for example in content.get("examples", {}).values()]
    return [content["example"]] if "example" in content else several


def has_gap(value: Any) -> bool:
    """Whether a text is left open for which nobody knew an example."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value == "…" or any(has_gap(item) for item in inner)


def test_every_body_and_answer_has_an_example_that_fits(document: dict[str, Any]) -> None:
    seen: set[bytes] = set()
    for name, operation in operations(document):
        for where, media_type, content in contents(operation):
            shown = examples(content)
            assert shown, f"{name} {where} {media_type}: no example"
            schema = {**content.get("schema", {}), "components": document["components"]}
            for example in shown:
                alike = orjson.dumps([content.get("schema"), example])
                if alike in seen:  # such as the problems, which many have in common
                    continue
                seen.add(alike)
                wrong = [error.message for error in jsonschema_rs.iter_errors(schema, example)]
                assert wrong == [], f"{name} {where}"
                assert not has_gap(example), f"{name} {where}: an example with a gap"
                assert example != {}, f"{name} {where}: an example of nothing"


def errors(operation: dict[str, Any]) -> dict[str, Any]:
    """The contents of the answers that tell of something wrong, by status."""
    answers = operation["responses"].items()
    return {status: answer["content"] for status, answer in answers if status == "default" or status >= "400"}


def has_oauths_errors(name: str, status: str) -> bool:
    """RFC 6749 says what these look like; all else that such an operation refuses is a problem."""
    return is_of_oauth(name) and status in ("400", "401", "403")


def test_every_problem_shows_its_code_and_the_codes_are_described(document: dict[str, Any]) -> None:
    described = {code for code, _, _ in _KNOWN_CODES}
    for name, operation in operations(document):
        wrong = errors(operation)
        assert {"429", "default"} <= set(wrong), name
        for status, content in wrong.items():
            if is_scim(name) or has_oauths_errors(name, status):
                continue
            shown = content[MEDIA_TYPE]["examples"]
            assert shown, f"{name} {status}"
            for code, example in shown.items():
                assert example["value"]["code"] == code
                assert code in described, f"{name} {status}"
                assert status in ("default", str(example["value"]["status"])), name


def test_every_error_of_oauth_shows_what_is_answered_with_its_status(document: dict[str, Any]) -> None:
    seen = set()
    for name, operation in operations(document):
        for status, content in errors(operation).items():
            if has_oauths_errors(name, status):
                (example,) = examples(content["application/json"])
                assert set(example) == {"error", "error_description"}, f"{name} {status}"
                assert str(OAuthError(example["error"], "").status) == status, name
                assert example["error_description"], f"{name} {status}"
                seen.add(status)
    assert seen == {"400", "401", "403"}


def test_every_error_of_scim_shows_its_status_and_a_type_of_the_standard(document: dict[str, Any]) -> None:
    seen = set()
    for name, operation in operations(document):
        for status, content in errors(operation).items() if is_scim(name) else ():
            (example,) = examples(content[scim_errors.MEDIA_TYPE])
            assert example["schemas"] == [scim_errors.SCHEMA], f"{name} {status}"
            assert status in ("default", example["status"]), name
            assert example.get("scimType") in {None, *scim_errors.TYPES.values()}, f"{name} {status}"
            assert example["detail"], f"{name} {status}"
            seen.add(status)
    assert {"400", "401", "403", "404", "429", "default"} <= seen


def test_every_operation_has_a_summary_of_its_own(document: dict[str, Any]) -> None:
    summaries = [operation["summary"] for _, operation in operations(document)]
    assert [text for text in summaries if not 7 <= len(text) <= 140] == []
    assert {text for text in summaries if summaries.count(text) > 1} == set()


def test_every_parameter_is_described(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert "schema" in parameter, name
            assert len(parameter.get("description", "")) > 8, f"{name}: {parameter['name']}"


def test_these_tests_would_see_what_is_missing(document: dict[str, Any]) -> None:
    """An example that does not fit, and one that is not there."""
    content = document["paths"]["/v1/tenants"]["post"]["responses"]["201"]["content"]["application/json"]
    schema = {**content["schema"], "components": document["components"]}
    assert list(jsonschema_rs.iter_errors(schema, {**content["example"], "member_count": "three"}))
    assert examples({"schema": {}}) == []
    assert has_gap({"a": [{"b": "…"}]})


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    known = document["components"]["schemas"]
    assert {ref for ref in references(document) if ref.rpartition("/")[2] not in known} == set()


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert operation.get("description"), name
        assert set(operation["tags"]) <= tags, name
        assert "x-permission" in operation, name


def is_of_oauth(name: str) -> bool:
    """Whether an operation has the forms, the answers and the errors of OAuth, which knows no Idempotency-Key."""
    return name.partition(" ")[2].startswith(("/oauth2/", "/userinfo"))


def test_every_error_is_a_problem(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            if has_oauths_errors(name, status):
                assert set(response["content"]) == {"application/json"}, f"{name} {status}"
            elif status == "default" or status >= "400":
                form = "application/scim+json" if is_scim(name) else "application/problem+json"
                assert set(response["content"]) == {form}, f"{name} {status}"


def test_what_needs_a_credential_says_so(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        public = operation["x-permission"] == "public"
        assert (operation["security"] == []) is public, name
        assert public or "401" in operation["responses"], name


def test_every_post_takes_an_idempotency_key(document: dict[str, Any]) -> None:
    required = set()
    for name, operation in operations(document):
        if name.startswith("POST") and not is_scim(name) and not is_of_oauth(name):
            headers = {item["name"]: item for item in operation["parameters"] if item["in"] == "header"}
            assert "Idempotency-Key" in headers, name
            deferrable = name not in {" ".join(identity) for identity in UNAWAITED}
            assert ("Prefer" in headers) == deferrable, name
            if headers["Idempotency-Key"]["required"]:
                required.add(name)
    assert required == {
        "POST /v1/payment-methods",
        "POST /v1/subscriptions",
        "POST /v1/invoices/{invoice_id}/pay",
    }


def test_every_operation_may_be_too_much(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert "Retry-After" in operation["responses"]["429"]["headers"], name


@pytest.fixture
def whole(settings: Settings) -> FastAPI:
    return create_app(settings)


async def test_the_reference_shows_every_operation_without_a_script(whole: FastAPI, document: dict[str, Any]) -> None:
    transport = httpx.ASGITransport(whole)
    async with httpx.AsyncClient(transport=transport, base_url="https://prog.example") as client:
        page = await client.get("/docs")
        errors = await client.get("/docs/errors")
        contract = await client.get("/openapi.json")
    assert page.status_code == errors.status_code == contract.status_code == 200
    for _, operation in operations(document):
        assert f'id="{operation["operationId"]}"' in page.text
    policy = page.headers["content-security-policy"]
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert f'<style nonce="{nonce}">' in page.text
    assert "script-src" not in policy
    assert "<script" not in page.text
    assert 'id="idempotency_key_in_use"' in errors.text
