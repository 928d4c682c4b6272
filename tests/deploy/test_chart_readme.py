"""The chart's README names every value with its default, and no other."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.deploy.toolbox import CHART

WHOLE = {"resources", "keys", "podAnnotations"}
"""Values that are documented as one, whatever is in them."""


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value and (not path or path[-1] not in WHOLE):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    else:
        yield ".".join(path), value


def values() -> dict[str, Any]:
    return dict(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))


def documented() -> list[tuple[str, Any]]:
    rows = re.findall(r"^\| `([\w.]+)` \| `(.+?)` \| (.+) \|$", (CHART / "README.md").read_text(), re.M)
    assert all(text.strip() for _, _, text in rows)
    return [(name, json.loads(default)) for name, default, _ in rows]


def test_every_value_is_documented_with_its_default() -> None:
    assert dict(documented()) == values()


def test_each_once_and_in_the_order_of_the_file() -> None:
    assert [name for name, _ in documented()] == list(values())


def test_the_schema_knows_every_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    for name in values():
        here = schema
        for part in name.split("."):
            while "$ref" in here:
                here = schema["$defs"][here["$ref"].rpartition("/")[2]]
            assert part in here["properties"], name
            here = here["properties"][part]


def test_what_is_required_is_said_to_be() -> None:
    text = (CHART / "README.md").read_text()
    for name in ("publicUrl", "secret.name"):
        assert re.search(rf"^\| `{name}` \| `\"\"` \| \*\*required\*\*", text, re.M)
