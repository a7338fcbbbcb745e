"""The manifests, rendered as `kubectl apply -k` renders them and checked without a cluster."""

import copy
import json
import re
import shutil
import subprocess

import jsonschema
import pytest
import yaml

from conftest import TOOLS, missing, tool

# The oldest Kubernetes whose preStop sleep is on by default, and the newest with schemas here.
VERSIONS = ["1.30", "1.34", "1.37"]
PORT, ADMIN = 50051, 9090
OVERLAYS = [".", "overlays/dev", "overlays/prod"]
COMPONENTS = ["autoscaling", "gateway", "jwt", "metrics", "mtls", "nats", "network-policy", "tls"]
# Set-ups beside the overlays: their name, what they start from, and the components that are added.
SETUPS = {
    **{f"components/{name}": ("base", [name]) for name in COMPONENTS if name != "mtls"},
    "components/tls, mtls": ("base", ["tls", "mtls"]),
    "prod, tls": ("overlays/prod", ["tls"]),
    "prod, tls, mtls": ("overlays/prod", ["tls", "mtls"]),
    "prod, jwt": ("overlays/prod", ["jwt"]),
    "prod, nats": ("overlays/prod", ["nats", "jwt"]),
    "prod, all": ("overlays/prod", ["tls", "mtls", "jwt", "gateway", "autoscaling"]),
}
NAMES = {"app.kubernetes.io/name": "ticker"}


def build(directory):
    """Runs the renderer: kubectl, or kustomize where prepare has built it because kubectl is missing or too old."""
    kustomize = TOOLS / "bin" / "kustomize"
    renderer = [str(kustomize), "build"] if kustomize.exists() else [tool("kubectl"), "kustomize"]
    return subprocess.run([*renderer, str(directory)], capture_output=True, text=True)


def render(directory):
    """The manifests as one YAML text."""
    ran = build(directory)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def with_components(root, home, start, components):
    """A set-up of what it starts from and components."""
    shutil.copytree(root / "k8s", home / "k8s")
    listed = "".join(f"  - ../components/{name}\n" for name in components)
    (home / "k8s" / "setup").mkdir()
    (home / "k8s" / "setup" / "kustomization.yaml").write_text(f"resources: [../{start}]\ncomponents:\n{listed}")
    return home / "k8s" / "setup"


@pytest.fixture(scope="module", params=[*OVERLAYS, *SETUPS])
def setup(request):
    return request.param


@pytest.fixture(scope="module")
def rendered(setup, root, tmp_path_factory):
    if setup in OVERLAYS:
        return render(root / "k8s" / setup)
    return render(with_components(root, tmp_path_factory.mktemp("k8s"), *SETUPS[setup]))


@pytest.fixture(scope="module")
def components(setup):
    """The components of the set-up beside those of its overlay."""
    return SETUPS.get(setup, (setup, []))[1]


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


@pytest.fixture(scope="module")
def environment(container):
    return {setting["name"]: setting["value"] for setting in container["env"]}


def is_core(each):
    """Whether Kubernetes itself defines the object."""
    return not each["apiVersion"].startswith(("cert-manager.io/", "gateway.networking.k8s.io/", "monitoring.coreos.com/"))


def test_every_folder_is_rendered_by_a_test(root):
    assert sorted(path.name for path in (root / "k8s" / "components").iterdir()) == COMPONENTS
    assert sorted(f"overlays/{path.name}" for path in (root / "k8s" / "overlays").iterdir()) == OVERLAYS[1:]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_of_kubernetes_fits_its_schema(objects, version, tmp_path):
    core = [each for each in objects.values() if is_core(each)]
    (tmp_path / "k8s.yaml").write_text(yaml.safe_dump_all(core))
    command = [
        tool("kubernetes-validate", TOOLS / "venv" / "bin"),
        "--strict",
        "--kubernetes-version",
        version,
        str(tmp_path / "k8s.yaml"),
    ]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def without_unknown_fields(schema):
    """The schema of a custom resource, which then allows no field that it does not name."""
    if isinstance(schema, list):
        return [without_unknown_fields(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: without_unknown_fields(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and "additionalProperties" not in found:
        found["additionalProperties"] = bool(found.get("x-kubernetes-preserve-unknown-fields"))
    if isinstance(found.get("pattern"), str):
        # Go has flags anywhere in a regular expression, Python at its start only.
        found["pattern"] = re.sub(r"^\^\(\?i\)", "(?i)^", found["pattern"])
    if found.pop("x-kubernetes-int-or-string", False):
        found.pop("type", None)
    return found


def test_every_custom_resource_fits_its_published_schema(objects):
    custom = [each for each in objects.values() if not is_core(each)]
    schemas = {}
    for path in (TOOLS / "schemas").glob("*.yaml"):
        spec = yaml.safe_load(path.read_text())["spec"]
        for version in spec["versions"]:
            schema = copy.deepcopy(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object", "additionalProperties": True}
            schemas[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = without_unknown_fields(schema)
    if custom and not schemas:
        missing("schemas of custom resources (tests/interop/prepare with Go)")
    for each in custom:
        jsonschema.validate(each, schemas[each["apiVersion"], each["kind"]])


def test_the_base_has_nothing_more_and_nothing_less(root):
    kinds = sorted(each["kind"] for each in yaml.safe_load_all(render(root / "k8s")))
    assert kinds == ["ConfigMap", "Deployment", "PodDisruptionBudget", "Service", "Service"]


def test_the_namespace_is_the_users_choice(objects):
    assert not any("namespace" in each["metadata"] for each in objects.values())


def selectors(objects, pod):
    """Everything that selects our pods."""
    for (kind, _), each in objects.items():
        spec = each.get("spec", {})
        if kind == "Service":
            yield spec["selector"]
        if kind in ("Deployment", "PodDisruptionBudget", "PodMonitor"):
            yield spec["selector"]["matchLabels"]
        if kind == "NetworkPolicy":
            yield spec["podSelector"]["matchLabels"]
    for each in pod["spec"]["topologySpreadConstraints"]:
        assert each["matchLabelKeys"] == ["pod-template-hash"]
        yield each["labelSelector"]["matchLabels"]


def test_everything_that_selects_selects_our_pods_and_no_others(objects, pod):
    found = list(selectors(objects, pod))
    assert len(found) >= 6
    for selector in found:
        assert selector == NAMES
    assert NAMES.items() <= pod["metadata"]["labels"].items()
    deployments = [key for key in objects if key[0] in ("Deployment", "StatefulSet", "DaemonSet", "Job", "Pod")]
    assert deployments == [("Deployment", "ticker")]


def test_every_object_has_the_recommended_labels(objects, pod, root):
    version = re.search(r'^version = "(.*)"$', (root / "Cargo.toml").read_text(), re.MULTILINE).group(1)
    expected = {
        "app.kubernetes.io/component": "server",
        "app.kubernetes.io/part-of": "ticker",
        "app.kubernetes.io/version": version,
    }
    for metadata in [pod["metadata"], *(each["metadata"] for key, each in objects.items() if key[0] in ("Deployment", "Service"))]:
        assert (expected | NAMES).items() <= metadata["labels"].items(), metadata["name"]


def test_the_ports_are_those_that_the_server_listens_on(objects, container, environment):
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"grpc": PORT, "admin": ADMIN}
    assert environment["TICKER_ADMIN"] == f"0.0.0.0:{ADMIN}"
    for name in ("ticker", "ticker-headless"):
        (port,) = objects["Service", name]["spec"]["ports"]
        assert (port["port"], port["targetPort"]) == (PORT, PORT), "clients of the headless one dial the pod's port"
    assert "clusterIP" not in objects["Service", "ticker"]["spec"]
    assert objects["Service", "ticker-headless"]["spec"]["clusterIP"] == "None"


def test_whatever_names_a_port_names_one_of_the_pod(objects, container):
    names = {port["name"] for port in container["ports"]}
    for (kind, _), each in objects.items():
        if kind == "NetworkPolicy" and "Ingress" in each["spec"]["policyTypes"]:
            assert {port["port"] for rule in each["spec"]["ingress"] for port in rule["ports"]} == names
        if kind == "PodMonitor":
            assert [point["port"] for point in each["spec"]["podMetricsEndpoints"]] == ["admin"]
        if kind == "GRPCRoute":
            ((rule,),) = [each["spec"]["rules"]]
            assert rule["backendRefs"] == [{"name": "ticker", "port": PORT}]


def handler(probe):
    """How a probe asks, which must be one way."""
    found = {name: probe[name] for name in ("exec", "grpc", "httpGet", "tcpSocket") if name in probe}
    assert len(found) == 1, found
    return found


def test_probes_ask_the_port_that_serves(container, components):
    probes = [container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    startup, readiness, liveness = map(handler, probes)
    if "tls" not in components:
        assert startup == {"grpc": {"port": PORT}}
        assert readiness == {"grpc": {"port": PORT, "service": "ticker.v1.TickerStreamService"}}
        assert liveness == {"grpc": {"port": PORT}}, "the service '' is the server as a whole"
        return
    command = ["/ticker", "health", f"--endpoint=https://localhost:{PORT}", "--tls-ca=/etc/ticker/tls/ca.crt"]
    identity = ["--cert=/etc/ticker/probe/tls.crt", "--key=/etc/ticker/probe/tls.key"] if "mtls" in components else []
    assert startup == {"exec": {"command": [*command, *identity]}}
    assert readiness == {"exec": {"command": [*command, "--service=ticker.v1.TickerStreamService", *identity]}}
    assert liveness == {"httpGet": {"path": "/livez", "port": "admin"}}


def test_the_command_of_a_probe_is_one_that_the_program_has(container, binary):
    commands = [probe["exec"]["command"] for name, probe in container.items() if name.endswith("Probe") and "exec" in probe]
    shown = subprocess.run([binary, "health", "--help"], capture_output=True, text=True, check=True).stdout
    for program, command, *flags in commands:
        assert (program, command) == ("/ticker", "health")
        for flag in flags:
            assert re.search(rf"^ +(-\w, )?{flag.partition('=')[0]} ", shown, re.MULTILINE), flag


def test_a_probe_outlasts_the_timeout_of_its_command(container, binary):
    shown = subprocess.run([binary, "health", "--help"], capture_output=True, text=True, check=True).stdout
    timeout = int(re.search(r"TICKER_HEALTH_TIMEOUT=\]\s+\[default: (\d+)s\]", shown).group(1))
    for name, probe in container.items():
        if name.endswith("Probe") and "exec" in probe:
            assert probe["timeoutSeconds"] > timeout, name


def test_mutual_tls_without_tls_is_not_rendered(root, tmp_path):
    ran = build(with_components(root, tmp_path, "overlays/prod", ["mtls"]))
    assert ran.returncode != 0
    assert "startupProbe/exec/command" in ran.stderr


def mounted(pod, container):
    """The objects whose files are in the container, by directory."""
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
    found = {}
    for mount in container.get("volumeMounts", []):
        assert mount["readOnly"] is True
        assert "subPath" not in mount, "files of a subPath are never renewed"
        volume = volumes.pop(mount["name"])
        sources = volume["projected"]["sources"] if "projected" in volume else [volume]
        for source in sources:
            assert "optional" not in json.dumps(source), "a pod without its files must not start"
            names = [
                ("Secret", source["secret"].get("secretName") or source["secret"]["name"])
                if "secret" in source
                else ("ConfigMap", source["configMap"]["name"])
            ]
            found.setdefault(mount["mountPath"], []).extend(names)
    assert not volumes, "each volume is mounted"
    return found


def test_every_file_of_a_setting_or_probe_is_mounted(pod, container, environment, components):
    expected = {}
    if "tls" in components:
        expected["/etc/ticker/tls"] = [("Secret", "ticker-tls")]
    if "mtls" in components:
        expected["/etc/ticker/client-ca"] = [("ConfigMap", "ticker-client-ca")]
        expected["/etc/ticker/probe"] = [("Secret", "ticker-probe")]
    if "jwt" in components:
        expected["/etc/ticker/auth"] = [("Secret", "ticker-auth"), ("ConfigMap", "ticker-roles")]
    assert mounted(pod, container) == expected
    commands = [probe.get("exec", {}).get("command", []) for name, probe in container.items() if name.endswith("Probe")]
    named = [word for word in [*environment.values(), *(word for command in commands for word in command)] if "/etc/" in word]
    directories = {word.partition("=")[2] or word for word in named}
    assert {file.rpartition("/")[0] for file in directories} == set(expected)
    # Files of a Secret belong to root and the group of the pod.
    assert pod["spec"]["securityContext"].get("fsGroup") == (65532 if expected else None)


def test_a_certificate_is_for_every_name_of_the_server(objects, components):
    certificates = {name: each["spec"] for (kind, name), each in objects.items() if kind == "Certificate"}
    assert set(certificates) == {name for name, of in [("ticker", "tls"), ("ticker-probe", "mtls")] if of in components}
    if "ticker" in certificates:
        services = [name for kind, name in objects if kind == "Service"]
        endings = ["", ".market", ".market.svc", ".market.svc.cluster.local"]
        expected = {"localhost", *(name + ending for name in services for ending in endings)}
        assert set(certificates["ticker"]["dnsNames"]) == expected
        assert certificates["ticker"]["secretName"] == "ticker-tls"
        assert "server auth" in certificates["ticker"]["usages"]
    if "ticker-probe" in certificates:
        assert certificates["ticker-probe"]["uris"] == ["spiffe://cluster.local/ns/market/sa/ticker-probe"]
        assert certificates["ticker-probe"]["secretName"] == "ticker-probe"
        assert "client auth" in certificates["ticker-probe"]["usages"]


def test_services_say_whether_their_port_is_encrypted(objects, components):
    expected = "https" if "tls" in components else "kubernetes.io/h2c"
    for name in ("ticker", "ticker-headless"):
        assert [port["appProtocol"] for port in objects["Service", name]["spec"]["ports"]] == [expected]


def test_the_pod_is_restricted(pod, container):
    """The profile `restricted` of the Pod Security Standards."""
    spec = pod["spec"]
    expected = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert spec["securityContext"].items() >= expected.items()
    assert spec["securityContext"].keys() - expected.keys() <= {"fsGroup"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"} & spec.keys()
    assert not any("hostPort" in port for port in container["ports"])
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    for volume in spec.get("volumes", []):
        assert volume.keys() - {"name"} <= allowed


def test_memory_and_disk_are_limited_and_cpu_is_not(container):
    assert set(container["resources"]["limits"]) == {"memory", "ephemeral-storage"}
    assert set(container["resources"]["requests"]) == {"cpu", "memory", "ephemeral-storage"}


def test_every_setting_is_one_that_the_server_reads(environment, container, objects, binary):
    shown = subprocess.run([binary, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"env: (TICKER_\w+)=", shown)) | {"TICKER_LOG"}
    assert len(known) > 15
    configured = [objects["ConfigMap", source["configMapRef"]["name"]]["data"] for source in container["envFrom"]]
    for name in [*environment, *(name for data in configured for name in data)]:
        assert name in known, f"{name} is none of {sorted(known)}"


def test_the_grace_period_covers_the_sleep_and_the_drain(pod, container, environment):
    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    deadline = int(environment.get("TICKER_DRAIN_DEADLINE", "10s").removesuffix("s"))
    assert pod["spec"]["terminationGracePeriodSeconds"] >= sleep + deadline + 1


def test_a_new_seed_rolls_the_pods(root, tmp_path):
    def config_map(directory):
        objects = list(yaml.safe_load_all(render(directory)))
        (found,) = [each for each in objects if each["kind"] == "ConfigMap"]
        (deployment,) = [each for each in objects if each["kind"] == "Deployment"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["envFrom"] == [{"configMapRef": {"name": found["metadata"]["name"]}}]
        return found

    before = config_map(root / "k8s")
    assert set(before["data"]) == {"TICKER_SEED"}
    shutil.copytree(root / "k8s", tmp_path / "k8s")
    base = tmp_path / "k8s" / "base" / "kustomization.yaml"
    base.write_text(base.read_text().replace("TICKER_SEED=1", "TICKER_SEED=2"))
    assert config_map(tmp_path / "k8s")["metadata"]["name"] != before["metadata"]["name"]


def test_service_links_do_not_look_like_settings(pod):
    # The Service `ticker` would set TICKER_PORT and the like, in the namespace of our own variables.
    assert pod["spec"]["enableServiceLinks"] is False


def test_the_number_of_replicas_has_one_owner(objects):
    scaled = ("HorizontalPodAutoscaler", "ticker") in objects
    assert ("replicas" in objects["Deployment", "ticker"]["spec"]) != scaled


def test_the_route_leads_to_every_service_of_the_server(root, tmp_path, server):
    rendered = render(with_components(root, tmp_path, "base", ["gateway"]))
    (route,) = [each for each in yaml.safe_load_all(rendered) if each["kind"] == "GRPCRoute"]
    routed = {match["method"]["service"] for match in route["spec"]["rules"][0]["matches"]}
    listed = subprocess.run(
        [tool("grpcurl", TOOLS / "bin"), "-plaintext", server.address, "list"], capture_output=True, text=True, check=True
    )
    assert routed == set(listed.stdout.split())


def test_the_dashboard_of_the_config_map_is_the_file(root, tmp_path):
    rendered = render(with_components(root, tmp_path, "base", ["metrics"]))
    (found,) = [each for each in yaml.safe_load_all(rendered) if each["metadata"]["name"] == "ticker-dashboard"]
    file = root / "k8s" / "components" / "metrics" / "dashboard.json"
    assert json.loads(found["data"]["ticker.json"]) == json.loads(file.read_text())
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
