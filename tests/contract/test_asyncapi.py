"""The AsyncAPI document is what the official parser accepts, and what its examples and keys say is true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from prog_contracts import asyncapi
from prog_contracts.envelope import Envelope
from prog_contracts.messages import Message, all_messages
from prog_contracts.topics import TOPICS

CHECK = Path(__file__).parents[2] / "infra" / "asyncapi" / "check.mjs"
MODELS = list(all_messages())
DOCUMENT = asyncapi.document()


def parsed(document: dict[str, Any]) -> dict[str, Any]:
    node = Path(sys.executable).parent / "node"
    done = subprocess.run(
        [str(node), str(CHECK)],
        check=False,
        input=json.dumps(document),
        capture_output=True,
        text=True,
        env=os.environ,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.stderr}\nrun `task setup`: it installs the parser"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_official_parser_accepts_it_without_a_word_of_weight() -> None:
    found = parsed(DOCUMENT)
    assert [told for told in found["diagnostics"] if told["level"] in ("error", "warning")] == []
    assert found["accepted"] is True
    assert (found["channels"], found["messages"]) == (len(TOPICS), len(MODELS))


def test_the_official_parser_refuses_what_is_wrong() -> None:
    broken = json.loads(json.dumps(DOCUMENT))
    name, message = next(iter(broken["components"]["messages"].items()))
    message["examples"][0]["payload"] = 17
    broken["components"]["messages"] = {name: message}  # alone: the parser takes its time for each
    for channel in broken["channels"].values():
        channel["messages"] = {told: where for told, where in channel["messages"].items() if told == name}
    broken["operations"]["send-users-events"]["action"] = "shout"
    levels = {told["level"] for told in parsed(broken)["diagnostics"]}
    assert "error" in levels


def message(model: type[Message]) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["components"]["messages"][asyncapi._name(model)]
    return found


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]}, format_checker=FormatChecker())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.TYPE)
def test_an_example_is_a_message(model: type[Message]) -> None:
    [example] = message(model)["examples"]
    validator(message(model)["payload"]).validate(example["payload"])
    validator(DOCUMENT["components"]["schemas"]["Envelope"]).validate(example["headers"])
    body = model.model_validate_json(json.dumps(example["payload"]))
    envelope = Envelope.parse(json.dumps(example["headers"]).encode(), body.model_dump_json().encode())
    assert envelope.type == model.TYPE


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.TYPE)
def test_the_partition_key_is_what_the_document_says(model: type[Message]) -> None:
    told, [example] = message(model)["x-partition-key"], message(model)["examples"]
    body = model.model_validate(example["payload"])
    if told == "the tenant":
        assert body.partition_key is None
        assert example["headers"]["partitionkey"] == example["headers"]["tenantid"]
    elif model.KEY_RULE is None:
        assert body.partition_key == str(example["payload"][told]) == example["headers"]["partitionkey"]
    else:
        assert told == model.KEY_RULE
        assert example["headers"]["partitionkey"] == body.partition_key
    overrides = model.partition_key is not Message.partition_key
    assert overrides == (model.KEY_RULE is not None), "a key of its own making is put into words"
