"""Who starts calls only to reset them is cut, and costs less than 512 MiB.

A reset frees its stream at once, so the limit of concurrent streams does not
bound what such a peer makes the server do (CVE-2023-44487). On plain TCP, with
methods that scorer, health, reflection and nobody answer; over TLS; and on a unix
socket, where all peers have one name.
"""

import os
import ssl
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["NEUMF_SOURCE_DIR"],
                                "tests", "integration"))

import trial  # noqa: E402
import certificates  # noqa: E402
import http2  # noqa: E402
from protos import health_pb, reflection_pb  # noqa: E402

NUM_RESETS = 200_000
CALLS_A_SEND = 100
WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
UNKNOWN = "/no.such.Service/Method"
PATIENCE_SECONDS = 20
# For a server that may read no more.
STANDSTILL_SECONDS = 4
# The threads that make calls race with those that notice; without the cut it
# would be gigabytes.
trial.MOST_GROWTH_BYTES *= 8


def reset_call(stream, path, message):
    """A call that is over before anybody can answer it."""
    return (http2.frame(http2.HEADERS, http2.END_HEADERS, stream,
                        http2.request_headers(path)) +
            http2.frame(http2.DATA, http2.END_STREAM, stream,
                        http2.framed(message)) +
            http2.frame(http2.RST_STREAM, 0, stream, http2.CANCEL))


def flood(connection, path, message):
    """Resets calls until the server hangs up; returns whether it did.

    Where calls are over as soon as they came, the answers that nobody reads may fill
    the connection first: then gRPC reads no more of it, which stops a flood as well.
    """
    connection.settimeout(
        STANDSTILL_SECONDS if path == REFLECTION else PATIENCE_SECONDS)
    sent = 0
    with connection:
        try:
            connection.sendall(http2.PREFACE +
                               http2.frame(http2.SETTINGS, 0, 0))
            while sent < NUM_RESETS:
                connection.sendall(b"".join(
                    reset_call(2 * (sent + i) + 1, path, message)
                    for i in range(CALLS_A_SEND)))
                sent += CALLS_A_SEND
        except TimeoutError:
            return False
        except (ConnectionError, ssl.SSLError):
            pass
    assert sent < NUM_RESETS
    return True


def peak_bytes(daemon):
    """The most memory that the server ever had."""
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def cuts(daemon):
    """Events of them: who resets and resets hears as little as who sends headers
    without end, and may be taken for that."""
    return daemon.events("rapid_reset") + daemon.events("endless_headers")


def check(daemon, connect, path, message):
    """A server that is new to floods cuts this one."""
    before = peak_bytes(daemon)
    is_cut = flood(connect(), path, message)
    assert is_cut or path == REFLECTION
    daemon.wait_until(
        lambda: daemon.metric("neumf_connections_cut_total") == is_cut)
    growth = peak_bytes(daemon) - before
    print(f"{path}: {growth >> 20} MiB", flush=True)
    assert growth < trial.MOST_GROWTH_BYTES, growth
    daemon.wait_until(lambda: len(cuts(daemon)) >= is_cut)
    assert len(cuts(daemon)) == is_cut, daemon.log()


def check_plain(path, message=b""):
    with trial.server() as (daemon, request):
        with trial.survived(daemon, request):
            check(daemon, lambda: http2.connect(daemon.addresses["grpc"]), path,
                  message or request.SerializeToString())
        for event in cuts(daemon):
            assert event["peer"].startswith("ipv4:127.0.0.1:"), event


def check_unix(folder):
    with trial.server(f"--listen=unix:{folder}/socket") as (daemon, request):
        with trial.survived(daemon, request):
            check(daemon, lambda: http2.connect(daemon.addresses["grpc"]),
                  http2.RECOMMEND, request.SerializeToString())


def check_tls(folder):
    ca = certificates.Authority(folder, "ca")
    pair = ca.issue("server", "DNS:localhost,IP:127.0.0.1")
    context = ssl.create_default_context(cafile=ca.cert)
    context.set_alpn_protocols(["h2"])
    with trial.server(f"--tls_cert={pair.cert}",
                      f"--tls_key={pair.key}") as (daemon, request):

        def connect():
            return context.wrap_socket(http2.connect(daemon.addresses["grpc"]),
                                       server_hostname="localhost")

        check(daemon, connect, http2.RECOMMEND, request.SerializeToString())
        assert certificates.served_certificate(daemon.addresses["grpc"])


def main():
    check_plain(http2.RECOMMEND)
    check_plain(WATCH, health_pb.HealthCheckRequest(
        service="neumf.v1.RecommendationService").SerializeToString())
    check_plain(REFLECTION, reflection_pb.ServerReflectionRequest(
        file_containing_symbol="neumf.v1.RecommendationService"
    ).SerializeToString())
    check_plain(UNKNOWN)
    with tempfile.TemporaryDirectory() as folder:
        check_unix(folder)
        check_tls(folder)


if __name__ == "__main__":
    main()
