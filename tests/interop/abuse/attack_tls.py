"""Clients that make TLS handshakes and nothing else."""

import socket
import ssl
import threading
import time

# The beginning of a ClientHello of 512 bytes.
HALF = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


def handshakes(address, begin, seconds, rate, threads=4):
    """Completes `rate` handshakes a second, each on a connection that is closed then. `made` says how many there were."""
    host, port = address.rsplit(":", 1)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    made, failed = [0] * threads, [0] * threads
    begin()
    start = time.monotonic()

    def run(number):
        for turn in range(int(rate * seconds / threads)):
            due = start + (turn * threads + number) / rate
            time.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() > start + seconds:
                return
            try:
                with socket.create_connection((host, int(port)), 5, (f"127.0.0.{2 + turn % 20}", 0)) as plain:
                    context.wrap_socket(plain).close()
                made[number] += 1
            except OSError:
                failed[number] += 1

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return {"made": sum(made), "failed": sum(failed), "rate": round(sum(made) / (time.monotonic() - start))}


def half_handshakes(address, begin, count, seconds):
    """Opens sockets that send half a ClientHello. `open` says how many the server still holds after `seconds`."""
    host, port = address.rsplit(":", 1)
    begin()
    held = []
    for number in range(count):
        peer = socket.create_connection((host, int(port)), 5, (f"127.0.0.{2 + number % 20}", 0))
        peer.send(HALF)
        peer.setblocking(False)
        held.append(peer)
    time.sleep(seconds)
    still = 0
    for peer in held:
        try:
            still += bool(peer.recv(4_096))
        except BlockingIOError:
            still += 1
        except OSError:
            pass
    return {"made": len(held), "open": still}


ATTACKS = {"handshakes": handshakes, "half_handshakes": half_handshakes}
