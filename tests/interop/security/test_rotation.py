"""Certificates that are replaced while clients are connected."""

import os
import shutil
import time
import urllib.request

import raw_http2
from conftest import ROOT, TOOLS, tool
from grpc_client import V1
from replicas.harness import Fleet, wait_until
from security.certificates import Authority
from security.handshake import closed_with, context, serial

CONNECTIONS, STREAMS = 50, 500


def mount(folder, name, pair, ca):
    """Puts files where a server reads them, as the kubelet mounts a Secret: a link to a folder is replaced."""
    (folder / name).mkdir(parents=True)
    for source, target in [(pair.cert, "cert.pem"), (pair.key, "key.pem"), (ca.file, "ca.pem")]:
        shutil.copy(source, folder / name / target)
    os.symlink(name, folder / "next")
    os.replace(folder / "next", folder / "current")


def tls_flags_of(folder):
    """The flags of a server with mutual TLS of mounted files."""
    current = folder / "current"
    return ["--tls-cert", current / "cert.pem", "--tls-key", current / "key.pem", "--tls-client-ca", current / "ca.pem"]


def metric(server, name):
    """The value of a metric with its labels."""
    with urllib.request.urlopen(f"http://{server.admin}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.removeprefix(name)) for line in lines if line.startswith(name + " "))


def test_a_certificate_and_a_ca_are_rotated_under_500_streams(serve_secure, authority, server_pair, tmp_path):
    go, other = tool("replicas-go", TOOLS / "bin"), Authority(tmp_path / "other", "Another CA")
    client, fresh = authority.client("fleet.example"), authority.server()
    mount(tmp_path / "mounted", "1", server_pair, authority)
    server = serve_secure(*tls_flags_of(tmp_path / "mounted"))
    flags = [f"-target={server.address}", f"-service-config={ROOT / 'docs' / 'service-config.json'}", "-symbols=TEST.SQUARE"]
    load = [f"-streams={STREAMS}", f"-channels={CONNECTIONS}", "-calls=false"]
    secured = [f"-ca={authority.file}", f"-cert={client.cert}", f"-key={client.key}"]
    fleet = Fleet("grpc-go", [go, *flags, *load, *secured])
    try:
        streams = f'ticker_streams{{rpc="{V1}/TickerStream"}}'
        wait_until(lambda: metric(server, streams) == STREAMS, 15, lambda: f"{metric(server, streams)} streams")
        old = context(authority, client)
        assert serial(server.address, old) == server_pair.serial
        # The new certificate is of the same CA, and clients of the old CA are not trusted any more.
        mount(tmp_path / "mounted", "2", fresh, other)
        new = context(authority, other.client())
        start = time.monotonic()
        wait_until(lambda: serial(server.address, new) == fresh.serial, 5, "the old certificate is still in use")
        assert raw_http2.call(server.address, f"/{V1}/GetTape", bytes(5), tls=new)["grpc-status"] == "0"
        assert "alert unknown ca" in closed_with(server.address, old)
        print(f"rotated after {time.monotonic() - start:.1f} s")
        time.sleep(1.5)
        assert metric(server, streams) == STREAMS
        report = fleet.report()
    finally:
        fleet.kill()
    assert (report["streams"], report["codes"]) == (STREAMS, {}), "no stream has ended"
    assert (report["missing"], report["twice"], report["out_of_order"]) == (0, 0, 0)
    assert max(report["silences"], default=0) < 2_500
    assert "reloaded the certificates of TLS" in server.log


def test_files_that_cannot_be_used_change_nothing_and_are_logged(serve_secure, authority, server_pair, tmp_path):
    def break_certificate(folder):
        (folder / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\nhalf of one")

    def break_pair(folder):
        shutil.copy(authority.server().key, folder / "key.pem")

    def break_ca(folder):
        (folder / "ca.pem").write_text("no certificate")

    def remove_key(folder):
        (folder / "key.pem").unlink()

    broken = {
        break_certificate: "cert.pem has no certificate in PEM (-----BEGIN CERTIFICATE-----)",
        break_pair: "cert.pem and {folder}/key.pem are no pair of a certificate and its key: ",
        break_ca: "ca.pem has no certificate in PEM (-----BEGIN CERTIFICATE-----)",
        remove_key: "cannot read {folder}/key.pem: No such file or directory",
    }
    tls = context(authority, authority.client())
    servers = []
    for number, act in enumerate(broken):
        mounted = tmp_path / str(number)
        mount(mounted, "1", server_pair, authority)
        servers.append((mounted / "current", serve_secure(*tls_flags_of(mounted))))
    # They have the same time to notice.
    for act, (folder, _) in zip(broken, servers):
        act(folder)
    for problem, (folder, server) in zip(broken.values(), servers):
        wait_until(lambda: "cannot reload" in server.log, 5, lambda: server.log)
        assert "cannot reload the certificates of TLS: what was loaded before stays in use" in server.log
        assert problem.format(folder=folder) in server.log
        assert serial(server.address, tls) == server_pair.serial
        # Not again and again.
        assert server.log.count("cannot reload") == 1
    # Once the files are whole again they are used.
    fresh = authority.server()
    folder, server = servers[0]
    mount(folder.parent, "2", fresh, authority)
    wait_until(lambda: serial(server.address, tls) == fresh.serial, 5, "the old certificate is still in use")


def test_a_pair_of_which_one_file_is_new_is_not_used(serve_secure, authority, server_pair, tmp_path):
    mount(tmp_path / "mounted", "1", server_pair, authority)
    server = serve_secure(*tls_flags_of(tmp_path / "mounted"))
    current, tls = tmp_path / "mounted" / "current", context(authority, authority.client())
    for _ in range(5):
        fresh, logged = authority.server(), len(server.log)
        shutil.copy(fresh.cert, current / "cert.pem")
        copied = time.monotonic()
        time.sleep(0.5)
        shutil.copy(fresh.key, current / "key.pem")
        apart = time.monotonic() - copied
        wait_until(lambda: serial(server.address, tls) == fresh.serial, 5, "the old certificate is still in use")
        # The server looks every second, and may complain when it has seen the same wrong pair twice.
        if apart < 0.9:
            break
    assert "cannot reload" not in server.log[logged:]
