"""The chart as Helm and Kubernetes see it: it lints, it renders, and an API server would take every object."""

from pathlib import Path

import pytest

from tests.deploy.toolbox import CHART, Toolbox

SETS = sorted((CHART / "ci").glob("*.yaml"))
GOOD = CHART / "ci/redis.yaml"


@pytest.mark.parametrize("values", SETS, ids=lambda path: path.stem)
def test_it_lints(tools: Toolbox, values: Path) -> None:
    done = tools.run("helm", "lint", "--strict", str(CHART), "--kube-version", "1.34", "--values", str(values))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 chart(s) failed" in done.stdout


@pytest.mark.parametrize("values", SETS, ids=lambda path: path.stem)
def test_kubernetes_takes_every_object(tools: Toolbox, values: Path) -> None:
    manifests = tools.manifests(values)
    assert len(manifests) > 10
    assert len(tools.kubernetes_versions) == 2
    for version in tools.kubernetes_versions:
        assert [problem for manifest in manifests for problem in tools.problems(manifest, version)] == []


def test_the_optional_kinds_are_checked_too(tools: Toolbox) -> None:
    kinds = {manifest["kind"] for manifest in tools.manifests(GOOD)}
    assert kinds == {
        "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Ingress", "Job", "NetworkPolicy", "PodDisruptionBudget",
        "PrometheusRule", "ScaledObject", "Service", "ServiceAccount", "ServiceMonitor",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["Deployment", "ScaledObject", "ServiceMonitor", "NetworkPolicy"])
def test_a_misspelt_field_is_seen(tools: Toolbox, kind: str) -> None:
    manifest = next(each for each in tools.manifests(GOOD) if each["kind"] == kind)
    manifest["spec"]["replicasss"] = 1
    for version in tools.kubernetes_versions:
        assert any("replicasss" in problem for problem in tools.problems(manifest, version))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("edge.replica=1", "additional properties 'replica' not allowed"),
        ("worker.autoscaling.minReplicas=0", "minimum: got 0, want 1"),
        ("workers.payments.autoscaling.minReplicas=0", "minimum: got 0, want 1"),
        ('workers.shipping={"replicas":1}', "additional properties 'shipping' not allowed"),
        ('secret.name=""', "/secret/name"),
        ('publicUrl="http://app.example.com"', "publicUrl must start with https:// in production"),
        ('secret.keys.PROG_STRIPE_API_KEY=""', "the sandbox gateway is refused in production"),
        ('secret.keys.PROG_SMTP_URL=""', "production needs one for mail"),
        ('secret.keys.PROG_DATABASE_URL=""', "secret.keys.PROG_DATABASE_URL is missing"),
        ('settings={"PROG_SECRET_KEYS":"x"}', "PROG_SECRET_KEYS is in settings and in secret.keys"),
        ('settings={"PROG_PORT":"9"}', "invalid propertyName 'PROG_PORT'"),
        ('broker.kind="kafka"', "broker.kafka.servers is empty"),
        ('broker.kind="rabbit"', "/broker/kind"),
        ('keda.prometheus.serverAddress=""', "keda.prometheus.serverAddress is empty"),
        ("edge.ingress.hosts=[]", "edge.ingress.hosts is empty"),
        ('image.digests={"edge":"latest"}', "/image/digests/edge"),
    ],
)
def test_wrong_values_are_refused_with_the_reason(tools: Toolbox, change: str, said: str) -> None:
    done = tools.template(GOOD, sets=[change])
    assert done.returncode != 0
    assert said in done.stderr
