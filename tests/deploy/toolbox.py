"""The pinned tools and schemas that the deployment is checked with, as `task deploy:tools` leaves them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.protocols import Validator
from referencing import Registry, Resource

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm/prognetwork"
COMPOSE = ROOT / "infra/compose"

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Programs by name, and the schemas of everything that the chart makes."""

    place: Path

    def run(
        self, name: str, *arguments: str, cwd: Path = ROOT, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [str(self.place / "bin" / name), *arguments]
        return subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60, env=environment
        )

    @property
    def kubernetes_versions(self) -> list[str]:
        return sorted(path.name for path in (self.place / "kubernetes").iterdir())

    def template(self, *values: Path, sets: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """`helm template` of the chart as the release `demo`."""
        options = [option for path in values for option in ("--values", str(path))]
        options += [option for value in sets for option in ("--set-json", value)]
        return self.run("helm", "template", "demo", str(CHART), "--kube-version", "1.34", *options)

    def manifests(self, *values: Path, sets: Sequence[str] = ()) -> list[Manifest]:
        """What the chart makes of some values; each caller gets objects of its own."""
        return deepcopy(_rendered(self, values, tuple(sets)))

    def problems(self, manifest: Manifest, kubernetes_version: str) -> Iterator[str]:
        """What the API server would refuse, unknown fields among it."""
        group, _, version = manifest["apiVersion"].rpartition("/")
        kind: str = manifest["kind"]
        validator = _custom(self.place, group, version, kind) or _built_in(
            self.place / "kubernetes" / kubernetes_version, group, version, kind
        )
        for error in validator.iter_errors(manifest):
            yield f"{kind} {manifest['metadata']['name']}: {error.json_path} {error.message}"


@cache
def _built_in(folder: Path, group: str, version: str, kind: str) -> Validator:
    """Of the strict schemas of one Kubernetes: none has room for a field that it does not know."""
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], version) if part)
    return Draft202012Validator(_read_json(folder / f"{name}.json"), registry=_definitions(folder))


@cache
def _definitions(folder: Path) -> Registry[Any]:
    definitions = Resource.from_contents(_read_json(folder / "_definitions.json"))
    return (definitions @ Registry()).crawl()


@cache
def _custom(place: Path, group: str, version: str, kind: str) -> Validator | None:
    for path in (place / "crds").iterdir():
        definition = _read_yaml(path)["spec"]
        if definition["group"] == group and definition["names"]["kind"] == kind:
            served = next(each for each in definition["versions"] if each["name"] == version)
            return Draft7Validator(_closed(served["schema"]["openAPIV3Schema"]))
    return None


@cache
def _rendered(tools: Toolbox, values: tuple[Path, ...], sets: tuple[str, ...]) -> list[Manifest]:
    done = tools.template(*values, sets=sets)
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.load_all(done.stdout, Loader=_NoDuplicates) if manifest]


@cache
def _read_json(path: Path) -> Any:
    return json.loads(path.read_text())


@cache
def _read_yaml(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader=yaml.CSafeLoader)


def _closed(schema: Any) -> Any:
    """The schema with no room for unknown fields: an API server would prune them silently."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed


class _NoDuplicates(yaml.CSafeLoader):
    """A loader that refuses a key which comes twice: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key comes twice: {keys}"
        return super().construct_mapping(node, deep)


def of_kind(manifests: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def pods(manifests: Sequence[Manifest]) -> list[Manifest]:
    """The pod templates, each with the name of what makes it."""
    makers = of_kind(manifests, "Deployment", "Job", "StatefulSet", "DaemonSet", "CronJob")
    return [maker["spec"]["template"] | {"of": maker["metadata"]["name"]} for maker in makers]


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector with `matchLabels` alone takes in an object with these labels."""
    assert set(selector) <= {"matchLabels"}
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())
