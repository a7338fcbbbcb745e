"""The manifests, rendered as `kubectl apply -k k8s` renders them and checked without a cluster."""

import subprocess

import pytest
import yaml

from conftest import TOOLS, tool

# The oldest Kubernetes whose preStop sleep is on by default, and the newest with schemas here.
VERSIONS = ["1.30", "1.34", "1.37"]
PORT = 50051


def render(directory):
    """The manifests as one YAML text."""
    kubectl = ["kubectl", "kustomize", str(directory)]
    try:
        ran = subprocess.run(kubectl, capture_output=True, text=True)
        if ran.returncode == 0:
            return ran.stdout
    except FileNotFoundError:
        pass
    # No kubectl, or one from before 1.21.
    ran = subprocess.run([tool("kustomize", TOOLS / "bin"), "build", str(directory)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def rendered(root):
    return render(root / "k8s")


@pytest.fixture(scope="module")
def objects(rendered):
    """The objects by kind and name; the ConfigMap's name ends in a hash."""
    return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(rendered)}


@pytest.fixture(scope="module")
def pod(objects):
    return objects["Deployment", "ticker"]["spec"]["template"]


@pytest.fixture(scope="module")
def container(pod):
    (container,) = pod["spec"]["containers"]
    return container


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_fits_its_schema(rendered, version, tmp_path):
    (tmp_path / "k8s.yaml").write_text(rendered)
    command = [
        tool("kubernetes-validate", TOOLS / "venv" / "bin"),
        "--strict",
        "--kubernetes-version",
        version,
        str(tmp_path / "k8s.yaml"),
    ]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_there_is_nothing_more_and_nothing_less(objects):
    assert sorted(kind for kind, _ in objects) == [
        "ConfigMap",
        "Deployment",
        "PodDisruptionBudget",
        "Service",
        "Service",
    ]
    assert not any("namespace" in each["metadata"] for each in objects.values()), "the namespace is the user's choice"


def test_three_replicas_are_selected_by_everything_that_selects(objects, pod):
    labels = pod["metadata"]["labels"]
    deployment = objects["Deployment", "ticker"]["spec"]
    assert deployment["replicas"] == 3
    selectors = [
        deployment["selector"]["matchLabels"],
        objects["Service", "ticker"]["spec"]["selector"],
        objects["Service", "ticker-headless"]["spec"]["selector"],
        objects["PodDisruptionBudget", "ticker"]["spec"]["selector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in pod["spec"]["topologySpreadConstraints"]),
    ]
    assert len(selectors) == 6
    for selector in selectors:
        assert selector and selector.items() <= labels.items()


def test_probes_ask_the_port_that_serves(container):
    assert [port["containerPort"] for port in container["ports"]] == [PORT]
    assert container["startupProbe"]["grpc"] == {"port": PORT}
    assert container["livenessProbe"]["grpc"] == {"port": PORT}, "the service '' is the server as a whole"
    assert container["readinessProbe"]["grpc"] == {"port": PORT, "service": "ticker.v1.TickerStreamService"}


def test_services_lead_to_the_port_that_serves(objects):
    for name in ("ticker", "ticker-headless"):
        (port,) = objects["Service", name]["spec"]["ports"]
        assert (port["port"], port["targetPort"]) == (PORT, PORT)
    assert "clusterIP" not in objects["Service", "ticker"]["spec"]
    assert objects["Service", "ticker-headless"]["spec"]["clusterIP"] == "None"


def test_the_pod_is_restricted(pod, container):
    spec = pod["spec"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & spec.keys()


def test_memory_is_limited_and_cpu_is_not(container):
    assert set(container["resources"]["limits"]) == {"memory"}
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}


def test_workers_are_counted_by_us_and_not_by_the_node(container):
    assert [setting["name"] for setting in container["env"]] == ["TICKER_WORKERS"]


def test_the_grace_period_covers_the_sleep_and_the_end_of_the_process(pod, container):
    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["spec"]["terminationGracePeriodSeconds"] >= sleep + 2


def test_a_new_seed_rolls_the_pods(objects, container, root, tmp_path):
    ((_, name),) = [key for key in objects if key[0] == "ConfigMap"]
    assert set(objects["ConfigMap", name]["data"]) == {"TICKER_SEED"}
    assert container["envFrom"] == [{"configMapRef": {"name": name}}]

    for manifest in (root / "k8s").iterdir():
        text = manifest.read_text()
        (tmp_path / manifest.name).write_text(text.replace("TICKER_SEED=1", "TICKER_SEED=2"))
    renamed = [each["metadata"]["name"] for each in yaml.safe_load_all(render(tmp_path)) if each["kind"] == "ConfigMap"]
    assert renamed != [name]


def test_service_links_do_not_look_like_settings(pod):
    # The Service `ticker` would set TICKER_PORT and the like, in the namespace of our own variables.
    assert pod["spec"]["enableServiceLinks"] is False
