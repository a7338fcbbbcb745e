"""What clients inside a cluster lose while pods and nodes are restarted, drained, scaled and killed.

    python tests/cluster/run.py [SCENARIO…]        # all that can be run, without names

It takes the cluster that KUBECONFIG names (or the command in KUBECTL), applies k8s/ in the namespace `market`, runs 100 streams of
every tick of grpc-go and 100 of `ticker watch` in two pods during each scenario, and prints one table. The environment has:

    TICKER_IMAGE     the image of the service, such as registry/ticker:0.1.0
    CLIENTS_IMAGE    an image that holds /ticker and /replicas-go (tests/interop/replicas/go)
    CLIENTS_NODE     the node of the clients; by default the first that has a replica
    CRASH_NODE, BOOT_NODE    commands that end and boot the node that is their last argument
    ON_NODE          a command that runs what follows the name of a node on that node, as root

Only the owner of the machines has the last three. A scenario that needs one that is not there is skipped, and says so.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "interop"), str(ROOT / "tests" / "interop" / "replicas")]
from harness import table  # noqa: E402

NAMESPACE, APP = "market", "app.kubernetes.io/name=ticker"
STREAMS = int(os.environ.get("STREAMS", "100"))
# Before a scenario begins all streams must be open; after it, clients have this time to come back.
BEFORE, AFTER = 8, 10


def kubectl(*arguments, check=True, text=None):
    """The output of kubectl in our namespace."""
    command = [*shlex.split(os.environ.get("KUBECTL", "kubectl")), "--namespace", NAMESPACE, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, input=text)
    if check and ran.returncode:
        raise SystemExit(f"{' '.join(command)}\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def hook(name, *arguments):
    """Runs a command of the machines' owner."""
    subprocess.run([*shlex.split(os.environ[name]), *arguments], check=True)


def replicas():
    """The nodes of the pods of the service that run, by pod."""
    found = json.loads(kubectl("get", "pods", "-l", APP, "-o", "json"))["items"]
    return {
        pod["metadata"]["name"]: pod["spec"].get("nodeName")
        for pod in found
        if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
    }


def settled(count=None):
    """Waits until the Deployment is as it should be."""
    if count:
        kubectl("scale", "deployment/ticker", f"--replicas={count}")
    kubectl("rollout", "status", "deployment/ticker", "--timeout=180s")


def other_node(home):
    """A node with a replica that does not have the clients."""
    nodes = sorted(node for node in set(replicas().values()) if node != home)
    if not nodes:
        raise SystemExit("every replica is on the node of the clients: restart the Deployment, and try again")
    return nodes[0]


def restart(_):
    kubectl("rollout", "restart", "deployment/ticker")
    settled()


def drain(home):
    node = other_node(home)
    kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s", f"--pod-selector={APP}")
    settled()
    kubectl("uncordon", node)


def scale(_):
    settled(6)
    time.sleep(5)
    settled(2)
    time.sleep(20)
    settled(3)


def crash(home):
    node = other_node(home)
    hook("CRASH_NODE", node)
    time.sleep(60)
    hook("BOOT_NODE", node)
    time.sleep(20)


def freeze(home):
    node = other_node(home)
    hook("ON_NODE", node, "pkill", "-STOP", "-x", "ticker")
    time.sleep(30)
    hook("ON_NODE", node, "pkill", "-CONT", "-x", "ticker")


def kill(home):
    """What the kernel does to a process when memory runs out."""
    hook("ON_NODE", other_node(home), "pkill", "-KILL", "-x", "ticker")
    time.sleep(5)


def fill(home):
    """The disk of a node is full: the kubelet evicts pods there, and lets no new ones in."""
    node = other_node(home)
    room = "$(($(stat -f -c %a /var/lib/kubelet) * $(stat -f -c %S /var/lib/kubelet)))"
    hook("ON_NODE", node, "sh", "-c", f"fallocate -l {room} /var/lib/kubelet/fill; df -h /var/lib/kubelet")
    time.sleep(60)
    print(kubectl("get", "events", "--field-selector", "reason=Evicted", "-o", "name"), flush=True)
    hook("ON_NODE", node, "rm", "/var/lib/kubelet/fill")


# The scenario, how long its load lasts, in seconds, what it needs, and whether it is planned: then no call may fail.
SCENARIOS = {
    "restart": (restart, 60, [], True),
    "drain": (drain, 60, [], True),
    "scale": (scale, 100, [], True),
    "crash": (crash, 110, ["CRASH_NODE", "BOOT_NODE"], False),
    "freeze": (freeze, 70, ["ON_NODE"], False),
    "kill": (kill, 40, ["ON_NODE"], False),
    "fill": (fill, 90, ["ON_NODE"], False),
}


def pod(name, home, image, arguments):
    """A pod of clients, which ends by itself."""
    container = {
        "name": "clients",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/replicas-go"],
        "args": arguments,
        "volumeMounts": [{"name": "service-config", "mountPath": "/config"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "restartPolicy": "Never",
        "nodeName": home,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
        "volumes": [{"name": "service-config", "configMap": {"name": "service-config"}}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def run(name, home, image):
    """Runs one scenario under load, and returns the reports."""
    act, seconds, needs, _ = SCENARIOS[name]
    lacking = [need for need in needs if need not in os.environ]
    if lacking:
        print(f"SKIP: {name} needs {', '.join(lacking)}", flush=True)
        return {}
    headless = "ticker-headless:50051"
    flags = [f"-streams={STREAMS}", f"-seconds={seconds}"]
    fleets = {
        "grpc-go": ["-target=dns:///" + headless, "-channels=20", "-service-config=/config/service-config.json"],
        "ticker": ["-target=http://" + headless, "-own=/ticker"],
    }
    for fleet, arguments in fleets.items():
        kubectl("delete", "pod", f"clients-{fleet}", "--ignore-not-found", "--grace-period=0", "--force")
        kubectl("apply", "-f", "-", text=json.dumps(pod(f"clients-{fleet}", home, image, [*arguments, *flags])))
    for fleet in fleets:
        kubectl("wait", f"pod/clients-{fleet}", "--for=condition=Ready", "--timeout=60s")
    time.sleep(BEFORE)
    began = time.monotonic()
    act(home)
    took = time.monotonic() - began
    print(f"{name}: {took:.1f} s", flush=True)
    if took + BEFORE + AFTER > seconds:
        print(f"{name} took longer than its load: {took:.0f} s of {seconds} s", flush=True)
    reports = {}
    for fleet in fleets:
        kubectl("wait", f"pod/clients-{fleet}", "--for=jsonpath={.status.phase}=Succeeded", f"--timeout={seconds + 60}s")
        reports[f"{name}: {fleet}"] = json.loads(kubectl("logs", f"clients-{fleet}").splitlines()[-1])
        kubectl("delete", "pod", f"clients-{fleet}", "--grace-period=0", "--force")
    settled()
    return reports


def set_up():
    """Our manifests with the image, in our namespace."""
    kubectl("create", "namespace", NAMESPACE, check=False)
    image = os.environ.get("TICKER_IMAGE")
    rendered = kubectl("kustomize", str(ROOT / "k8s"))
    if image:
        rendered = rendered.replace("image: ticker:0.1.0", f"image: {image}")
    kubectl("apply", "-f", "-", text=rendered)
    settled()
    kubectl("delete", "configmap", "service-config", "--ignore-not-found")
    kubectl("create", "configmap", "service-config", f"--from-file={ROOT / 'docs' / 'service-config.json'}")


def main(names):
    if "KUBECONFIG" not in os.environ and "KUBECTL" not in os.environ:
        print("SKIP: no cluster. Set KUBECONFIG to one that may be disturbed: pods and nodes are killed.", flush=True)
        return 0
    image = os.environ.get("CLIENTS_IMAGE")
    if not image:
        print("set CLIENTS_IMAGE to an image with /ticker and /replicas-go", flush=True)
        return 2
    set_up()
    home = os.environ.get("CLIENTS_NODE") or sorted(replicas().values())[0]
    reports, failed = {}, []
    for name in names or SCENARIOS:
        found = run(name, home, image)
        reports |= found
        planned = SCENARIOS[name][3]
        for fleet, report in found.items():
            lost = {key: report[key] for key in ("missing", "twice", "out_of_order") if report[key]}
            if planned and report["failed_calls"]:
                lost["failed_calls"] = report["failed_calls"]
            if lost:
                failed.append(f"{fleet}: {lost}")
    print(table(reports))
    print("\n".join(failed) or "nothing was lost, and no call failed in what is planned")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
