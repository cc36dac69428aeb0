"""Streams that idle take no thread, and nobody waits for them.

Of reflection, where each has asked a question and read nothing of the answer, or has
not asked yet. A server that stops ends them.
"""

import time

import http2
import trial  # finds the module below
from protos import reflection_pb

NUM_CONNECTIONS = 4
STREAMS_EACH = 125  # of 256 that a connection may have
NUM_STREAMS = NUM_CONNECTIONS * STREAMS_EACH
NUM_QUESTIONS = NUM_STREAMS // 2
IDLE_SECONDS = 3
# A drain would wait for so long for calls that do not end.
DRAIN_SECONDS = 40
SERVICE = "grpc.reflection.v1alpha.ServerReflection"
LABELS = {"grpc_type": "bidi_stream", "grpc_service": SERVICE,
          "grpc_method": "ServerReflectionInfo"}
QUESTION = reflection_pb.ServerReflectionRequest(list_services="*")


def num_threads(daemon):
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("Threads:"))
    return int(line.split()[1])


def open_streams(connection, question=None):
    """None of them is half closed, so more questions may come."""
    headers = http2.request_headers(f"/{SERVICE}/ServerReflectionInfo")
    for stream in range(1, 2 * STREAMS_EACH, 2):
        connection.send(
            http2.frame(http2.HEADERS, http2.END_HEADERS, stream, headers))
        if question is not None:
            connection.send(http2.frame(
                http2.DATA, 0, stream,
                http2.framed(question.SerializeToString())))


def open_all(daemon):
    connections = []
    for i in range(NUM_CONNECTIONS):
        connections.append(http2.Connection(daemon.addresses["grpc"]))
        open_streams(connections[-1], None if i % 2 else QUESTION)
    daemon.wait_until(lambda: daemon.metric(
        "grpc_server_started_total", **LABELS) == NUM_STREAMS)
    daemon.wait_until(lambda: daemon.metric(
        "grpc_server_msg_sent_total", **LABELS) == NUM_QUESTIONS)
    return connections


def num_cancelled(daemon):
    return daemon.metric("grpc_server_handled_total", grpc_code="Canceled",
                         **LABELS)


def idle():
    with trial.server() as (daemon, request):
        with trial.survived(daemon, request):
            before = num_threads(daemon)
            connections = open_all(daemon)
            deadline = time.monotonic() + IDLE_SECONDS
            while time.monotonic() < deadline:
                threads = num_threads(daemon)
                assert threads <= before + trial.SPARE_THREADS, threads
                time.sleep(0.1)
            assert num_cancelled(daemon) == 0
            for connection in connections:
                connection.socket.close()
        daemon.wait_until(lambda: num_cancelled(daemon) == NUM_STREAMS)


def stop():
    with trial.server(f"--drain_timeout={DRAIN_SECONDS}s") as (daemon, _):
        connections = open_all(daemon)
        began = time.monotonic()
        daemon.stop()  # checks the exit code
        assert time.monotonic() - began < DRAIN_SECONDS / 2
        for connection in connections:
            connection.socket.close()


def main():
    idle()
    stop()


if __name__ == "__main__":
    main()
