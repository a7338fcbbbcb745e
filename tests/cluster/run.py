"""What clients inside a cluster lose while pods and nodes are restarted, drained, scaled and killed.

    python tests/cluster/run.py [SCENARIO…]        # all that can be run, without names

It takes the cluster that KUBECONFIG names (or the command in KUBECTL), applies k8s/ in the namespace `market`, runs 100 streams of
every tick of grpc-go and 100 of `ticker watch` in two pods during each scenario, and prints one table. The environment has:

    TICKER_IMAGE     the image of the service, such as registry/ticker:0.1.0
    CLIENTS_IMAGE    an image that holds /ticker and /replicas-go (tests/interop/replicas/go)
    CLIENTS_NODE     the node of the clients; by default the first that has a replica
    CRASH_NODE, BOOT_NODE    commands that end and boot the node that is their last argument
    ON_NODE          a command that runs what follows the name of a node on that node, as root
    FILL_NODE        the node whose disk may be filled; the clients are on another
    FILL_DISK, FREE_DISK    commands that fill and free the disk of the node that is their last argument

Only the owner of the machines has these from CRASH_NODE on. A scenario that needs one that is not there is skipped, and says so.
FILL_DISK must fill a disk that no other node and no control plane has. No test can know that, so the owner names the node.
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
# Two symbols of 10 Hz for each stream. A stream that stays silent until the end has no later tick that would show what it misses,
# so the sum of ticks is tested too. The rest is the start of the clients.
TICKS_PER_SECOND, LEAST = 20, 0.95


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


def spread(home):
    """Restarts the Deployment when no replica is where a scenario looks for one."""
    wanted = {os.environ["FILL_NODE"]} if "FILL_NODE" in os.environ else set()
    for _ in range(3):
        nodes = set(replicas().values())
        if nodes - {home} and wanted <= nodes:
            return
        restart(home)
    raise SystemExit(f"no replica where one is needed: they are on {sorted(nodes)}, the clients on {home}")


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
    """A process ends at once, without a word."""
    hook("ON_NODE", other_node(home), "pkill", "-KILL", "-x", "ticker")
    time.sleep(5)


# Puts a file into the memory of the container of `ticker` until its limit is reached. A file is not killed, so the kernel takes
# the process with the highest score: `ticker`. Prints the name of the container's cgroup.
OUT_OF_MEMORY = """
pid=$(pgrep -o -x ticker) || { echo 'no process ticker' >&2; exit 1; }
group=$(sed -n 's/^[0-9]*:memory://p' /proc/$pid/cgroup)
if [ -n "$group" ]; then group=/sys/fs/cgroup/memory$group; limit=$(cat $group/memory.limit_in_bytes)
else group=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$pid/cgroup); limit=$(cat $group/memory.max); fi
case $limit in max | ????????????*) echo "no memory limit: $limit" >&2; exit 1;; esac
sh -c "echo \$\$ > $group/cgroup.procs && exec dd if=/dev/zero of=/run/out-of-memory bs=1M count=$((limit / 1048576 + 64))" || true
rm -f /run/out-of-memory
"""


def oom(home):
    """The container reaches its memory limit, and the kernel kills the process."""
    node = other_node(home)
    before = ends(node, "OOMKilled")
    hook("ON_NODE", node, "sh", "-c", OUT_OF_MEMORY)
    until(lambda: ends(node, "OOMKilled") - before, 20, f"no container on {node} was OOMKilled")


def ends(node, reason):
    """The restarts of containers on a node whose last end had this reason."""
    found = json.loads(kubectl("get", "pods", "-l", APP, "--field-selector", f"spec.nodeName={node}", "-o", "json"))["items"]
    states = [(pod["metadata"]["name"], state) for pod in found for state in pod["status"].get("containerStatuses", [])]
    return {
        (name, state["restartCount"])
        for name, state in states
        if state.get("lastState", {}).get("terminated", {}).get("reason") == reason
    }


def fill(_):
    """The disk of a node is full: the kubelet evicts the pods there at once, and takes no new ones."""
    node = os.environ["FILL_NODE"]
    before = evicted(node)
    try:
        hook("FILL_DISK", node)
        until(lambda: evicted(node) - before, 50, f"no pod was evicted from {node}: is its disk full?")
        time.sleep(10)
    finally:
        hook("FREE_DISK", node)


def evicted(node):
    """The pods that the kubelet of a node has ended because its disk is full. A pod that drains ends as Succeeded, and a pod that
    comes too late is refused with the same reason, so the message of the event tells."""
    events = json.loads(kubectl("get", "events", "--field-selector", "reason=Evicted", "-o", "json"))["items"]
    return {
        event["involvedObject"]["name"]
        for event in events
        if event.get("source", {}).get("host") == node and "low on resource: ephemeral-storage" in event["message"]
    }


def until(what, seconds, text):
    """Waits until a claim holds."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise SystemExit(text)
        time.sleep(0.5)


# The scenario, how long its load lasts, in seconds, what it needs, and whether it is planned: then no call may fail.
SCENARIOS = {
    "restart": (restart, 60, [], True),
    "drain": (drain, 60, [], True),
    "scale": (scale, 100, [], True),
    "crash": (crash, 110, ["CRASH_NODE", "BOOT_NODE"], False),
    "freeze": (freeze, 70, ["ON_NODE"], False),
    "kill": (kill, 40, ["ON_NODE"], False),
    "oom": (oom, 50, ["ON_NODE"], False),
    # The last: a full node deletes images that no container uses, and stays under disk pressure for five minutes.
    "fill": (fill, 90, ["FILL_NODE", "FILL_DISK", "FREE_DISK"], False),
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
    spread(home)
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
    home = os.environ.get("CLIENTS_NODE") or sorted(set(replicas().values()) - {os.environ.get("FILL_NODE")})[0]
    reports, failed = {}, []
    for name in names or SCENARIOS:
        try:
            found = run(name, home, image)
        # What the scenarios before have measured is printed all the same.
        except (SystemExit, subprocess.CalledProcessError) as error:
            failed.append(f"{name}: {error}")
            continue
        reports |= found
        planned = SCENARIOS[name][3]
        for fleet, report in found.items():
            lost = {key: report[key] for key in ("missing", "twice", "out_of_order") if report[key]}
            due = STREAMS * TICKS_PER_SECOND * SCENARIOS[name][1]
            if report["ticks"] < due * LEAST:
                lost["ticks"] = f"{report['ticks']} of about {due}"
            if planned and report["failed_calls"]:
                lost["failed_calls"] = report["failed_calls"]
            if lost:
                failed.append(f"{fleet}: {lost}")
    print(table(reports))
    print("\n".join(failed) or "nothing was lost, and no call failed in what is planned")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
