"""TLS as Python's OpenSSL speaks it, for what no gRPC library would do."""

import socket
import ssl


def context(authority, pair=None, alpn=("h2",), versions=(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)):
    """Trusts an authority, and shows the certificate of a pair."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if versions[0] < ssl.TLSVersion.TLSv1_2:
        # OpenSSL refuses old versions by itself otherwise, and the server would not be asked.
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = versions
    context.load_verify_locations(authority.file)
    if pair:
        context.load_cert_chain(pair.cert, pair.key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def connect(address, context, timeout=5):
    """A socket after its handshake."""
    host, port = address.rsplit(":", 1)
    return context.wrap_socket(socket.create_connection((host, int(port)), timeout), server_hostname=host)


def closed_with(address, context, hello=b""):
    """What the server sends after a handshake that it may refuse, or the text of its alert: with TLS 1.3 a client has
    finished the handshake before the server looks at its certificate."""
    try:
        with connect(address, context) as peer:
            peer.sendall(hello)
            answer = b""
            while received := peer.recv(65_536):
                answer += received
            return answer
    except ssl.SSLError as error:
        return str(error)
    except ConnectionError:
        return b""


def serial(address, context):
    """The serial number of the server's certificate."""
    with connect(address, context) as peer:
        return int(peer.getpeercert()["serialNumber"], 16)
