"""What an operator sees: metrics by Prometheus' own tools, alerts, the dashboard, and the pages that explain them."""

import contextlib
import json
import re
import subprocess
import time
import urllib.parse
import urllib.request

import jsonschema
import pytest
import yaml

from conftest import TOOLS, missing, tool
from grpc_client import V1, Client
from processes import Process, Server

METRICS = "k8s/components/metrics"
JOB = 'job="ticker"'


def scrape(server):
    """The text of `/metrics`."""
    with urllib.request.urlopen(f"http://{server.admin}/metrics", timeout=5) as answer:
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return answer.read().decode()


@pytest.fixture(scope="module")
def rules(root):
    """The groups of rules, in the file of the PrometheusRule."""
    return yaml.safe_load((root / METRICS / "alerts.yaml").read_text())["spec"]


@pytest.fixture(scope="module")
def alerts(rules):
    return {rule["alert"]: rule for group in rules["groups"] for rule in group["rules"]}


@pytest.fixture(scope="module")
def dashboard(root):
    return json.loads((root / METRICS / "dashboard.json").read_text())


def test_promtool_has_no_complaint_about_the_metrics(server):
    promtool = tool("promtool")
    ran = subprocess.run([promtool, "check", "metrics"], input=scrape(server), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not ran.stderr


def test_no_metric_has_a_label_for_a_client_or_a_symbol(server):
    with Client(server.address) as client, client.stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": ["RELIANCE", "NOBODY"]}})
        text = scrape(server)
    labels = set(re.findall(r'[{,](\w+)="', text))
    assert labels == {"code", "engine_version", "kind", "le", "limit", "protocol", "reason", "result", "rpc", "tape_id", "version"}
    assert "RELIANCE" not in text and "NOBODY" not in text


def test_a_scrape_takes_less_than_a_millisecond_of_the_processor(server):
    """Averaged over many, so that it holds on a busy machine: it is processor time, not the time of the clock."""

    def cpu():
        return float(re.search(r"^process_cpu_seconds_total (\S+)$", scrape(server), re.MULTILINE).group(1))

    scrape(server)
    before = cpu()
    for _ in range(200):
        scrape(server)
    assert (cpu() - before) / 201 < 0.001


# For each alert: series that make it fire, and series like them that do not. In the notation of promtool's tests.
CASES = {
    "TickerDown": ({f"up{{{JOB}, instance='a'}}": "0x40"}, {f"up{{{JOB}, instance='a'}}": "1x40"}),
    "TickerReplicaDown": (
        {f"up{{{JOB}, instance='a'}}": "0x40", f"up{{{JOB}, instance='b'}}": "1x40"},
        {f"up{{{JOB}, instance='a'}}": "1x10 0 1x30", f"up{{{JOB}, instance='b'}}": "1x40"},
    ),
    "TickerTapesDiffer": (
        {f"ticker_tape_info{{{JOB}, tape_id='{tape}', instance='{tape}'}}": "1x40" for tape in ("x", "y")},
        {f"ticker_tape_info{{{JOB}, tape_id='x', instance='{instance}'}}": "1x40" for instance in ("a", "b")},
    ),
    "TickerRestarts": (
        {f"process_start_time_seconds{{{JOB}, instance='a'}}": "1x20 2x5 3x5 4x20"},
        {f"process_start_time_seconds{{{JOB}, instance='a'}}": "1x20 2x40"},
    ),
    "TickerDrainStuck": (
        {f"ticker_draining{{{JOB}, instance='a'}}": "0x5 1x40"},
        {f"ticker_draining{{{JOB}, instance='a'}}": "0x5 1 0x40"},
    ),
    "TickerFlushesLate": (
        {
            f"ticker_flush_lateness_seconds_bucket{{{JOB}, instance='a', le='{le}'}}": f"0+{rate}x40"
            for le, rate in (("0.01", 6000), ("0.1", 6600), ("+Inf", 6600))
        },
        {
            f"ticker_flush_lateness_seconds_bucket{{{JOB}, instance='a', le='{le}'}}": f"0+{rate}x40"
            for le, rate in (("0.01", 6590), ("0.1", 6600), ("+Inf", 6600))
        },
    ),
    "TickerGaps": (
        {f"ticker_gaps_total{{{JOB}, instance='a'}}": "0x5 0+1x35"},
        {f"ticker_gaps_total{{{JOB}, instance='a'}}": "7x40"},
    ),
    "TickerConflation": (
        {f"ticker_ticks_conflated_total{{{JOB}}}": "0+60x60", f"ticker_ticks_sent_total{{{JOB}}}": "0+50x60"},
        {f"ticker_ticks_conflated_total{{{JOB}}}": "0+50x60", f"ticker_ticks_sent_total{{{JOB}}}": "0+60x60"},
    ),
    "TickerLimitsReached": (
        {f"ticker_limits_reached_total{{{JOB}, limit='connections'}}": "0x36 1x4"},
        {f"ticker_limits_reached_total{{{JOB}, limit='idle_connections'}}": "0+1x40"},
    ),
    "TickerConnectionsNearLimit": (
        {f"ticker_connections{{{JOB}}}": "81x40", f"ticker_max_connections{{{JOB}}}": "100x40"},
        {f"ticker_connections{{{JOB}}}": "80x40", f"ticker_max_connections{{{JOB}}}": "100x40"},
    ),
    "TickerSubscriptionsNearLimit": (
        {f"ticker_subscriptions{{{JOB}}}": "81x40", f"ticker_max_subscriptions{{{JOB}}}": "100x40"},
        {f"ticker_subscriptions{{{JOB}}}": "80x40", f"ticker_max_subscriptions{{{JOB}}}": "100x40"},
    ),
    "TickerFileDescriptorsNearLimit": (
        {f"process_open_fds{{{JOB}}}": "91x40", f"process_max_fds{{{JOB}}}": "100x40"},
        {f"process_open_fds{{{JOB}}}": "90x40", f"process_max_fds{{{JOB}}}": "100x40"},
    ),
    "TickerMemoryHigh": (
        {f"process_resident_memory_bytes{{{JOB}}}": "450000000x40"},
        {f"process_resident_memory_bytes{{{JOB}}}": "400000000x40"},
    ),
    "TickerHistoryOverloaded": (
        {f"ticker_history_calls_waiting{{{JOB}}}": "1001x40"},
        {f"ticker_history_calls_waiting{{{JOB}}}": "3000x34 0 3000x9"},
    ),
    "TickerFeedFailing": (
        {f"ticker_feed_failing{{{JOB}, instance='a'}}": "0x5 1x35"},
        {f"ticker_feed_failing{{{JOB}, instance='a'}}": "0x30 1 0x9"},
    ),
    "TickerInternalErrors": (
        {f"ticker_rpcs_total{{{JOB}, rpc='a', code='INTERNAL'}}": "0x36 1x4"},
        {f"ticker_rpcs_total{{{JOB}, rpc='a', code='UNAVAILABLE'}}": "0+1x40"},
    ),
}
# Two installations under one Prometheus, such as one for tests and one for production, are apart.
APART = {
    "TickerDown": (
        {f"up{{{JOB}, namespace='prod'}}": "0x40", f"up{{{JOB}, namespace='test'}}": "1x40"},
        {f"up{{{JOB}, namespace='prod'}}": "1x40", f"up{{{JOB}, namespace='test'}}": "1x40"},
    ),
    "TickerTapesDiffer": (
        {
            f"ticker_tape_info{{{JOB}, tape_id='{tape}', namespace='prod', instance='{tape}'}}": "1x40"
            for tape in ("x", "y")
        },
        {
            f"ticker_tape_info{{{JOB}, tape_id='{tape}', namespace='{namespace}'}}": "1x40"
            for tape, namespace in (("x", "prod"), ("y", "test"))
        },
    ),
}
# After so many minutes the alert is looked at.
AT = {"TickerConflation": 55}


def test_every_alert_has_a_case(alerts):
    assert CASES.keys() == alerts.keys()


@pytest.mark.parametrize("fires", [True, False], ids=["fires", "stays silent"])
@pytest.mark.parametrize("alert", list(CASES))
def test_an_alert_fires_when_it_should_and_only_then(rules, alert, fires, tmp_path):
    check(rules, alert, CASES[alert][0 if fires else 1], fires, tmp_path)


@pytest.mark.parametrize("fires", [True, False], ids=["fires", "stays silent"])
@pytest.mark.parametrize("alert", list(APART))
def test_an_alert_keeps_the_namespaces_of_two_installations_apart(rules, alert, fires, tmp_path):
    check(rules, alert, APART[alert][0 if fires else 1], fires, tmp_path)


def test_no_scraped_replica_at_all_is_an_outage(rules, tmp_path):
    check(rules, "TickerDown", {'up{job="another"}': "1x40"}, True, tmp_path)


def check(rules, alert, series, fires, tmp_path):
    """Whether the alert fires on the series, by promtool."""
    # promtool compares an alert with all its texts; whether it fires is what counts here.
    asked = {
        "expr": f'max(ALERTS{{alertname="{alert}", alertstate="firing"}})',
        "eval_time": f"{AT.get(alert, 38)}m",
        "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
    }
    unit = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [asked],
    }
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [unit]}))
    ran = subprocess.run(
        [tool("promtool"), "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_has_its_paragraph_and_every_paragraph_an_alert(alerts, root):
    page = (root / "docs" / "OPERATIONS.md").read_text()
    paragraphs = set(re.findall(r"^### (Ticker\w+)$", page, re.MULTILINE))
    assert paragraphs == alerts.keys()
    for name, alert in alerts.items():
        assert alert["annotations"]["runbook"] == f"docs/OPERATIONS.md#{name.lower()}"
        assert alert["labels"]["severity"] in ("info", "warning", "critical")


def test_every_metric_is_explained(server, root):
    page = (root / "docs" / "OPERATIONS.md").read_text()
    for name in re.findall(r"^# TYPE (\S+) ", scrape(server), re.MULTILINE):
        assert f"`{name}`" in page, f"{name} is not in docs/OPERATIONS.md"


@pytest.fixture(scope="module")
def prometheus(binary, rules, tmp_path_factory):
    """A Prometheus that scrapes three replicas under load: its address."""
    home = tmp_path_factory.mktemp("prometheus")
    program = tool("prometheus")
    with contextlib.ExitStack() as running:
        servers = []
        for _ in range(3):
            servers.append(Server([binary, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]))
            running.callback(servers[-1].check_and_stop)
        (home / "rules.yaml").write_text(yaml.safe_dump(rules))
        job = {
            "job_name": "ticker",
            "scrape_interval": "1s",
            "static_configs": [{"targets": [server.admin for server in servers]}],
        }
        settings = {"global": {"evaluation_interval": "1s"}, "rule_files": ["rules.yaml"], "scrape_configs": [job]}
        (home / "prometheus.yml").write_text(yaml.safe_dump(settings))
        for server in [*servers, *servers]:
            client = running.enter_context(Client(server.address))
            stream = running.enter_context(client.stream(V1, "TickerStream"))
            stream.ask({"subscribe": {"symbols": ["*"]}})
            client.call(V1, "GetTape", {})
            client.call(V1, "GetLastPrices", {"symbols": ["NOBODY"]})
        command = [
            program,
            f"--config.file={home}/prometheus.yml",
            f"--storage.tsdb.path={home}/data",
            "--web.listen-address=127.0.0.1:0",
            "--log.level=info",
        ]
        process = running.enter_context(Process(command))

        def listening():
            return re.search(r"Listening on\" address=(\S+)", "".join(process.stderr))

        assert until(listening, 20), process
        yield listening().group(1)


def query(prometheus, path, **parameters):
    url = f"http://{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        found = json.load(answer)
    assert found["status"] == "success", found
    return found["data"]


def until(what, seconds):
    deadline = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def queries(dashboard):
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def test_every_query_of_the_dashboard_has_data_from_a_real_prometheus(prometheus, dashboard):
    def answers():
        return query(prometheus, "query", query="sum(rate(ticker_ticks_sent_total[5s]))")["result"]

    assert until(answers, 30), "Prometheus has no rate of three replicas"
    found = list(queries(dashboard))
    assert len(found) > 30
    # A start is not to be seen while nothing starts.
    empty = {"Starts"}
    lacking = []

    def lack():
        lacking.clear()
        for title, expression in found:
            text = expression.replace("$__rate_interval", "5s").replace("$job", "ticker").replace("$instance", ".*")
            if not query(prometheus, "query", query=text)["result"] and title not in empty:
                lacking.append((title, text))
        return not lacking

    assert until(lack, 20), lacking


def test_a_line_of_a_quantile_is_named_after_it(dashboard):
    named = 0
    for panel in dashboard["panels"]:
        quantiles = [re.match(r"histogram_quantile\(([\d.]+),", each["expr"]) for each in panel.get("targets", [])]
        if panel["type"] == "timeseries" and len(quantiles) > 1 and all(quantiles):
            names = [f"p{float(found.group(1)) * 100:g}" for found in quantiles]
            assert [each["legendFormat"] for each in panel["targets"]] == names, panel["title"]
            named += 1
    assert named == 2


def test_panels_of_the_dashboard_do_not_overlap(dashboard):
    taken = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_dashboard_shows_every_metric(server, dashboard):
    text = " ".join(expression for _, expression in queries(dashboard))
    # These change only with the settings.
    elsewhere = {"ticker_instruments", "ticker_workers"}
    for name in re.findall(r"^# TYPE (ticker_\S+) ", scrape(server), re.MULTILINE):
        assert name in elsewhere or re.search(rf"\b{name}(_bucket)?\b", text), f"{name} is on no panel"


def test_the_variables_of_the_dashboard_find_the_replicas(prometheus, dashboard):
    replicas = query(prometheus, "series", **{"match[]": "ticker_build_info"})
    assert len({each["instance"] for each in replicas}) == 3
    assert {each["job"] for each in replicas} == {"ticker"}
    assert [each["name"] for each in dashboard["templating"]["list"]] == ["datasource", "job", "instance"]


def test_prometheus_loads_every_alert_and_none_fires(prometheus, alerts):
    rules = []

    def quiet():
        rules[:] = [rule for group in query(prometheus, "rules")["groups"] for rule in group["rules"]]
        assert all(rule["state"] != "firing" for rule in rules), rules
        # A pause of the machine may make one pending for a moment. That flushes are late is true on a busy machine.
        waiting = [rule["name"] for rule in rules if rule["state"] == "pending" and rule["name"] != "TickerFlushesLate"]
        return rules and not waiting and all(rule["lastEvaluation"] > "0001-01-02" for rule in rules)

    assert until(quiet, 90), rules
    assert {rule["name"] for rule in rules} == alerts.keys()
    assert all(rule["health"] == "ok" for rule in rules), rules


@pytest.fixture(scope="module")
def compose(root):
    return yaml.safe_load((root / "compose.yaml").read_text())


def test_the_compose_file_fits_the_published_schema(compose):
    (path,) = list((TOOLS / "schemas").glob("*compose-spec.json")) or [None]
    if not path:
        missing("the schema of compose files (tests/interop/prepare with Go)")
    jsonschema.validate(compose, json.loads(path.read_text()))


def test_the_compose_file_has_three_replicas_of_one_tape_behind_one_name(compose, binary):
    shown = subprocess.run([binary, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    replicas = [each for name, each in compose["services"].items() if name.startswith("ticker-")]
    assert len(replicas) == 3
    for replica in replicas:
        assert replica["networks"]["default"]["aliases"] == ["ticker"]
        assert replica["environment"] == replicas[0]["environment"]
        assert all(f"env: {name}=" in shown for name in replica["environment"])
        assert replica["stop_grace_period"] == "15s"
    assert {name for name, each in compose["services"].items() if "observe" in each.get("profiles", [])} == {
        "grafana",
        "prometheus",
    }


def test_the_prometheus_of_the_compose_file_accepts_its_configuration(compose, tmp_path):
    (tmp_path / "prometheus.yml").write_text(compose["configs"]["prometheus"]["content"])
    ran = subprocess.run([tool("promtool"), "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
