"""What the chart's objects mean: every process can run, is asked how it is, is let through, has bounds, and scales."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from prog_broker import producers
from prog_contracts.topics import DOMAINS, consumed_by
from prog_infra.cli import _modules
from prog_infra.commands.worker import app as worker_command
from prog_kit.probes import TURN_SECONDS
from prog_kit.settings import documented
from prog_kit.telemetry import CONSUMER_LAG
from tests.deploy.toolbox import CHART, Manifest, Toolbox, containers, of_kind, pods, selects

SETS = sorted((CHART / "ci").glob("*.yaml"))
REDIS, KAFKA, MINIMAL = CHART / "ci/redis.yaml", CHART / "ci/kafka.yaml", CHART / "ci/minimal.yaml"
COMPONENTS = {"edge", "relay", "scheduler", *(f"worker-{domain}" for domain in DOMAINS)}
SETTINGS = {name for name, _, _ in documented()}
PRODUCERS = "PROG_PRODUCERS_FILE"

every_set = pytest.mark.parametrize("values", SETS, ids=lambda path: path.stem)
both_brokers = pytest.mark.parametrize("values", [REDIS, KAFKA], ids=lambda path: path.stem)


def component(manifest: Manifest) -> str:
    return str(manifest["metadata"]["labels"].get("app.kubernetes.io/component", ""))


def by_component(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {component(manifest): manifest for manifest in of_kind(manifests, kind)}


def variables(container: Manifest) -> dict[str, Any]:
    names = [entry["name"] for entry in container["env"]]
    assert len(names) == len(set(names))
    return {entry["name"]: entry.get("value") for entry in container["env"]}


@every_set
def test_every_part_of_the_platform_has_a_deployment(tools: Toolbox, values: Path) -> None:
    assert set(by_component(tools.manifests(values), "Deployment")) == COMPONENTS


@every_set
def test_every_container_runs_a_command_that_exists(tools: Toolbox, values: Path) -> None:
    for pod in pods(tools.manifests(values)):
        for container in containers(pod):
            assert container["command"] == ["prog"]
            name, *arguments = container["args"]
            assert name in _modules(), name
            if name == "worker":
                assert arguments == [pod["of"].rpartition("-worker-")[2]]
                refused = CliRunner().invoke(worker_command, [*arguments, "nobody"])
                assert "nobody: choose from" in re.sub(r"[│\s]+", " ", refused.output)


@every_set
def test_every_variable_is_a_setting_and_every_secret_file_is_mounted(tools: Toolbox, values: Path) -> None:
    for pod in pods(tools.manifests(values)):
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for container in containers(pod):
            given = {name: text for name, text in variables(container).items() if name != PRODUCERS}
            assert {name.removesuffix("_FILE") for name in given} <= SETTINGS
            mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
            for name, file in given.items():
                if name.endswith("_FILE"):
                    folder, _, item = file.rpartition("/")
                    assert mounts[folder]["readOnly"]
                    paths = {each["path"] for each in volumes[mounts[folder]["name"]]["secret"]["items"]}
                    assert item in paths
                    assert name.removesuffix("_FILE") not in given


@every_set
def test_workers_read_who_may_publish_and_the_migration_needs_no_such_file(tools: Toolbox, values: Path) -> None:
    """The migration runs before the release's own objects are there."""
    manifests = tools.manifests(values)
    (config,) = of_kind(manifests, "ConfigMap")
    assert PRODUCERS in SETTINGS
    for pod in pods(manifests):
        sources = {volume["configMap"]["name"] for volume in pod["spec"]["volumes"] if "configMap" in volume}
        if "-worker-" not in pod["of"]:
            assert sources == set()
            continue
        assert sources == {config["metadata"]["name"]}
        (container,) = containers(pod)
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert variables(container)[PRODUCERS] == f"{mounts['producers']}/producers.json"


def test_the_producers_are_such_as_workers_understand(tools: Toolbox, tmp_path: Path) -> None:
    for values, names in ((REDIS, set()), (KAFKA, {"shop"})):
        (config,) = of_kind(tools.manifests(values), "ConfigMap")
        file = tmp_path / "producers.json"
        file.write_text(config["data"]["producers.json"])
        assert set(producers.read(file)) == names


def test_no_secret_is_made_and_no_value_holds_one(tools: Toolbox) -> None:
    for values in SETS:
        manifests = tools.manifests(values)
        assert of_kind(manifests, "Secret") == []
        for pod in pods(manifests):
            for container in containers(pod):
                given = variables(container)
                assert not {"PROG_DATABASE_URL", "PROG_REDIS_URL", "PROG_SECRET_KEYS", "PROG_STRIPE_API_KEY"} & set(
                    given
                )


@every_set
def test_every_process_is_asked_how_it_is(tools: Toolbox, values: Path) -> None:
    for deployment in of_kind(tools.manifests(values), "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        given = variables(container)
        port = "http" if component(deployment) == "edge" else "metrics"
        setting = "PROG_PORT" if port == "http" else "PROG_METRICS_PORT"
        assert container["ports"] == [{"name": port, "containerPort": int(given[setting])}]
        assert given["PROG_HOST"] == "0.0.0.0"
        for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            assert container[probe]["httpGet"] == {"path": path, "port": port}
            assert container[probe]["timeoutSeconds"] > TURN_SECONDS


@every_set
def test_every_container_asks_for_resources_and_is_bounded(tools: Toolbox, values: Path) -> None:
    for pod in pods(tools.manifests(values)):
        for container in containers(pod):
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
        (tmp,) = [volume for volume in pod["spec"]["volumes"] if "emptyDir" in volume]
        assert "sizeLimit" in tmp["emptyDir"]


@every_set
def test_every_pod_keeps_to_the_restricted_standard(tools: Toolbox, values: Path) -> None:
    """The controls of Kubernetes' Pod Security Standards, level restricted, and a root that cannot be written."""
    manifests = tools.manifests(values)
    for account in of_kind(manifests, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    accounts = {account["metadata"]["name"] for account in of_kind(manifests, "ServiceAccount")}
    for pod in pods(manifests):
        spec = pod["spec"]
        assert spec["serviceAccountName"] in accounts
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert all({"secret", "emptyDir", "configMap"} & set(volume) for volume in spec["volumes"])
        for container in containers(pod):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert any(mount["mountPath"] == "/tmp" for mount in container["volumeMounts"])


@both_brokers
def test_a_drain_is_given_its_time(tools: Toolbox, values: Path) -> None:
    for deployment in of_kind(tools.manifests(values, sets=["drainSeconds=45"]), "Deployment"):
        spec = deployment["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert (before > 0) is (component(deployment) == "edge")
        assert variables(container)["PROG_DRAIN_SECONDS"] == "45"
        assert spec["terminationGracePeriodSeconds"] > 45 + before


@both_brokers
def test_every_deployment_has_a_disruption_budget_of_its_own(tools: Toolbox, values: Path) -> None:
    manifests = tools.manifests(values)
    budgets = of_kind(manifests, "PodDisruptionBudget")
    for deployment in of_kind(manifests, "Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        mine = [budget for budget in budgets if selects(budget["spec"]["selector"], labels)]
        assert len(mine) == 1
        assert mine[0]["spec"]["maxUnavailable"] == 1
    assert len(budgets) == len(COMPONENTS)


@both_brokers
def test_pods_of_one_kind_are_spread(tools: Toolbox, values: Path) -> None:
    for deployment in of_kind(tools.manifests(values), "Deployment"):
        template = deployment["spec"]["template"]
        constraints = template["spec"]["topologySpreadConstraints"]
        assert {each["topologyKey"] for each in constraints} == {
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        }
        for each in constraints:
            assert selects(each["labelSelector"], template["metadata"]["labels"])
            assert each["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == component(deployment)


@every_set
def test_selectors_choose_their_own_pods_alone(tools: Toolbox, values: Path) -> None:
    manifests = tools.manifests(values)
    labels = {pod["of"]: pod["metadata"]["labels"] for pod in pods(manifests)}
    for deployment in of_kind(manifests, "Deployment"):
        chosen = [name for name, given in labels.items() if selects(deployment["spec"]["selector"], given)]
        assert chosen == [deployment["metadata"]["name"]]
    services = {component(service): service for service in of_kind(manifests, "Service")}
    chosen = [
        name for name, given in labels.items() if selects({"matchLabels": services["edge"]["spec"]["selector"]}, given)
    ]
    assert chosen == ["demo-prognetwork-edge"]
    chosen = [
        name
        for name, given in labels.items()
        if selects({"matchLabels": services["metrics"]["spec"]["selector"]}, given)
    ]
    assert {name.removeprefix("demo-prognetwork-") for name in chosen} == COMPONENTS - {"edge"}


class TestNetwork:
    """Nothing is open but what a process needs, and all of that is."""

    def policies(self, manifests: list[Manifest], pod: Manifest) -> list[Manifest]:
        labels = pod["metadata"]["labels"]
        return [each for each in of_kind(manifests, "NetworkPolicy") if selects(each["spec"]["podSelector"], labels)]

    def out(self, manifests: list[Manifest], pod: Manifest) -> list[tuple[int, list[Any]]]:
        return [
            (port["port"], rule.get("to", []))
            for policy in self.policies(manifests, pod)
            for rule in policy["spec"].get("egress", [])
            for port in rule["ports"]
        ]

    @both_brokers
    def test_every_pod_is_closed_by_default(self, tools: Toolbox, values: Path) -> None:
        manifests = tools.manifests(values)
        for pod in pods(manifests):
            kinds = {kind for policy in self.policies(manifests, pod) for kind in policy["spec"]["policyTypes"]}
            assert kinds == {"Ingress", "Egress"}
            for policy in self.policies(manifests, pod):
                assert {} not in policy["spec"].get("ingress", []) + policy["spec"].get("egress", [])

    @both_brokers
    def test_every_process_reaches_names_and_its_servers(self, tools: Toolbox, values: Path) -> None:
        manifests = tools.manifests(values)
        wanted = {53, 5432, 6379} | ({9092} if values is KAFKA else set())
        for pod in pods(manifests):
            reached = {port for port, _ in self.out(manifests, pod)}
            assert wanted <= reached
            outside = reached - wanted
            name = pod["of"].removeprefix("demo-prognetwork-")
            assert outside == {
                "edge": {443},
                "worker-users": {443},
                "worker-payments": {443},
                "worker-email": {443, 465, 587},
            }.get(name, set())

    @both_brokers
    def test_what_calls_the_outside_reaches_nothing_inside_that_way(self, tools: Toolbox, values: Path) -> None:
        manifests = tools.manifests(values)
        for pod in pods(manifests):
            for port, to in self.out(manifests, pod):
                if port in (443, 465, 587):
                    (peer,) = to
                    assert "10.0.0.0/8" in peer["ipBlock"]["except"]
                    assert "169.254.0.0/16" in peer["ipBlock"]["except"]

    def test_servers_can_be_named(self, tools: Toolbox) -> None:
        peer = {"ipBlock": {"cidr": "10.1.2.3/32"}}
        change = 'networkPolicy.postgres={"port":6432,"to":[{"ipBlock":{"cidr":"10.1.2.3/32"}}]}'
        manifests = tools.manifests(REDIS, sets=[change])
        for pod in pods(manifests):
            assert (6432, [peer]) in self.out(manifests, pod)

    @both_brokers
    def test_every_port_that_a_container_has_is_open_and_no_other(self, tools: Toolbox, values: Path) -> None:
        manifests = tools.manifests(values)
        for pod in pods(manifests):
            own = {port["name"] for container in containers(pod) for port in container.get("ports", [])}
            opened = {
                port["port"]
                for policy in self.policies(manifests, pod)
                for rule in policy["spec"].get("ingress", [])
                for port in rule["ports"]
            }
            assert opened == own

    def test_metrics_are_for_those_who_were_named(self, tools: Toolbox) -> None:
        manifests = tools.manifests(REDIS)
        monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        for pod in pods(manifests):
            rules = [rule for policy in self.policies(manifests, pod) for rule in policy["spec"].get("ingress", [])]
            assert all(monitoring in rule["from"] for rule in rules)


class TestScaling:
    """Workers scale on the project's own figure, alike on both brokers; no figure never means no work."""

    @both_brokers
    def test_every_domain_has_a_scaled_object(self, tools: Toolbox, values: Path) -> None:
        manifests = tools.manifests(values)
        objects = of_kind(manifests, "ScaledObject")
        deployments = by_component(manifests, "Deployment")
        assert {component(each) for each in objects} == {f"worker-{domain}" for domain in DOMAINS}
        for each in objects:
            deployment = deployments[component(each)]
            assert each["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
            assert "replicas" not in deployment["spec"], "an upgrade would undo what the autoscaler decided"

    @both_brokers
    def test_it_asks_for_the_lag_of_its_own_group(self, tools: Toolbox, values: Path) -> None:
        for each in of_kind(tools.manifests(values), "ScaledObject"):
            (trigger,) = each["spec"]["triggers"]
            assert trigger["type"] == "prometheus"
            query = trigger["metadata"]["query"]
            found = re.fullmatch(r"sum\(max by \(([a-z, ]+)\) \((\w+)\{(.+)\}\)\)", query)
            assert found is not None, query
            labels = set(found[1].split(", "))
            matchers = dict(part.split("=") for part in found[3].split(","))
            assert found[2] == CONSUMER_LAG._name
            assert labels | {"group"} == set(CONSUMER_LAG._labelnames)
            assert matchers["group"] == f'"{component(each).removeprefix("worker-")}"'

    def test_a_shared_prometheus_is_asked_for_this_namespace_alone(self, tools: Toolbox) -> None:
        for each in of_kind(tools.manifests(REDIS), "ScaledObject"):
            assert 'namespace="default"' in each["spec"]["triggers"][0]["metadata"]["query"]

    @both_brokers
    def test_it_never_scales_to_nothing_and_a_missing_figure_takes_nobody_away(
        self, tools: Toolbox, values: Path
    ) -> None:
        for each in of_kind(tools.manifests(values), "ScaledObject"):
            spec = each["spec"]
            assert spec["minReplicaCount"] >= 1
            assert "idleReplicaCount" not in spec
            metadata = spec["triggers"][0]["metadata"]
            assert metadata["ignoreNullValues"] == "false", "an absent series would count as no lag"
            assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
            assert spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]
            assert spec["triggers"][0]["metricType"] == "AverageValue", "KEDA's fallback knows no other"
            assert float(metadata["activationThreshold"]) > 0
            assert float(metadata["threshold"]) > 0

    @both_brokers
    def test_no_worker_more_than_there_are_shards(self, tools: Toolbox, values: Path) -> None:
        for each in of_kind(tools.manifests(values), "ScaledObject"):
            shards = sum(topic.partitions for topic in consumed_by(component(each).removeprefix("worker-")))
            assert 1 < each["spec"]["maxReplicaCount"] <= shards

    def test_without_keda_the_number_is_given(self, tools: Toolbox) -> None:
        manifests = tools.manifests(MINIMAL)
        assert of_kind(manifests, "ScaledObject") == []
        for name, deployment in by_component(manifests, "Deployment").items():
            assert ("replicas" in deployment["spec"]) is (name != "edge")

    def test_a_domain_of_its_own_size(self, tools: Toolbox) -> None:
        objects = by_component(tools.manifests(KAFKA), "ScaledObject")
        assert objects["worker-payments"]["spec"]["maxReplicaCount"] == 4
        assert objects["worker-users"]["spec"]["maxReplicaCount"] == 8

    @both_brokers
    def test_the_edge_scales_by_processor_and_if_wanted_by_requests(self, tools: Toolbox, values: Path) -> None:
        manifests = tools.manifests(values)
        (scaler,) = of_kind(manifests, "HorizontalPodAutoscaler")
        edge = by_component(manifests, "Deployment")["edge"]
        assert scaler["spec"]["scaleTargetRef"]["name"] == edge["metadata"]["name"]
        assert "replicas" not in edge["spec"]
        names = [metric["resource"]["name"] if metric["type"] == "Resource" else metric["pods"]["metric"]["name"]
                 for metric in scaler["spec"]["metrics"]]  # fmt: skip
        assert names == (["cpu", "prog_http_in_flight"] if values is REDIS else ["cpu"])


class TestMigration:
    """It runs before everything, with nothing that the release has yet to make."""

    def test_it_runs_before_the_release(self, tools: Toolbox) -> None:
        manifests = tools.manifests(REDIS)
        (job,) = of_kind(manifests, "Job")
        hooks = [each for each in manifests if "helm.sh/hook" in each["metadata"].get("annotations", {})]
        assert {each["kind"] for each in hooks} == {"Job", "ServiceAccount"}
        for each in hooks:
            assert each["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
            assert "before-hook-creation" in each["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
        account = next(each for each in hooks if each["kind"] == "ServiceAccount")
        spec = job["spec"]["template"]["spec"]
        assert spec["serviceAccountName"] == account["metadata"]["name"]
        weight = "helm.sh/hook-weight"
        assert int(account["metadata"]["annotations"][weight]) < int(job["metadata"]["annotations"][weight])
        assert [container["args"] for container in containers(job["spec"]["template"])] == [
            ["migrate"], ["topics", "sync"],
        ]  # fmt: skip

    def test_it_can_be_left_out(self, tools: Toolbox) -> None:
        assert of_kind(tools.manifests(MINIMAL), "Job") == []


@both_brokers
def test_the_broker_is_the_one_that_was_chosen(tools: Toolbox, values: Path) -> None:
    for pod in pods(tools.manifests(values)):
        for container in containers(pod):
            url = variables(container).get("PROG_BROKER_URL")
            expected = "kafka://kafka-0.kafka:9092,kafka-1.kafka:9092,kafka-2.kafka:9092" if values is KAFKA else None
            assert url == expected


def test_each_role_has_its_image_and_a_digest_wins(tools: Toolbox) -> None:
    digest = "sha256:" + "a" * 64
    manifests = tools.manifests(KAFKA, sets=[f'image.digests={{"relay":"{digest}"}}'])
    images = {pod["of"].removeprefix("demo-prognetwork-"): containers(pod)[0]["image"] for pod in pods(manifests)}
    base = "registry.example.com/team/prognetwork"
    assert images["relay"] == f"{base}-relay@{digest}"
    assert images["worker-users"] == images["worker-events"] == f"{base}-worker:0.1.0"
    assert images["migrate"] == f"{base}-migrate:0.1.0"
    assert {containers(pod)[0]["image"] for pod in pods(tools.manifests(CHART / "ci/development.yaml"))} == {
        "prognetwork:0.1.0"
    }


def test_one_image_can_serve_all_roles_whatever_the_release_is_called(tools: Toolbox) -> None:
    long = tools.run(
        "helm", "template", "a-release-with-a-name-that-is-rather-long-indeed", str(CHART), "--kube-version", "1.34",
        "--values", str(REDIS),
    )  # fmt: skip
    assert long.returncode == 0
    names = re.findall(r"^  name: (.+)$", long.stdout, re.M)
    assert names
    assert max(len(name) for name in names) <= 63
