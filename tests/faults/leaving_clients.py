"""Clients that cancel at every point, and killed ones, leave nothing behind.

Calls are reset before, within and after their request, while they wait for a
batch, are scored and are answered; with connections it is the same.
"""

import socket

import http2
import trial

NUM_KILLED = 20_000 if trial.LONG else 1000
# What a process may have open by default, with room for ours.
AT_ONCE = 200
NUM_CANCELS = 20_000 if trial.LONG else 1000
# A batch is kept open for so long: many leave while they wait for it.
FLAGS = ("--max_queue_delay=2ms",)
OPENING = http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0) + http2.frame(
    http2.SETTINGS, http2.ACK, 0)


def call(stream, request, deadline="10S"):
    return (http2.frame(
                http2.HEADERS, http2.END_HEADERS, stream,
                http2.request_headers(extra=[("grpc-timeout", deadline)])) +
            http2.frame(http2.DATA, http2.END_STREAM, stream,
                        http2.framed(request.SerializeToString())))


def cancel_calls(address, request):
    """One connection: each call is cut after some bytes, or some time."""
    with http2.Connection(
            address, [(http2.INITIAL_WINDOW_SIZE, 1 << 20)]) as connection:
        for i in range(NUM_CANCELS):
            stream = 2 * i + 1
            content = call(stream, request)
            headers_size = len(content) - 9 - 5 - request.ByteSize()
            # With headers only, or with part of the body not at all.
            connection.send(content if i % 4 else content[:headers_size])
            connection.frames_for(i % 50 / 10_000)  # 0 to 5 ms
            connection.send(
                http2.frame(http2.RST_STREAM, 0, stream, http2.CANCEL))


def kill_clients(address, request):
    """Each dies after another number of bytes of its first call."""
    content = OPENING + call(1, request)
    for start in range(0, NUM_KILLED, AT_ONCE):
        clients = [http2.connect(address) for _ in range(AT_ONCE)]
        for i, client in enumerate(clients, start):
            # Half of them have sent it all.
            sent = len(content) if i % 2 else i % len(content)
            client.sendall(content[:sent])
        for client in clients:
            http2.reset(client)


def half_close_clients(address, request):
    """They will send no more, and yet read their answers."""
    for _ in range(AT_ONCE):
        client = http2.connect(address)
        client.sendall(OPENING + call(1, request))
        client.shutdown(socket.SHUT_WR)
        assert http2.is_closed_within(client, trial.CALL_SECONDS)
        client.close()


def main():
    with trial.server(*FLAGS) as (daemon, request):
        address = daemon.addresses["grpc"]
        for fault in (cancel_calls, kill_clients, half_close_clients):
            print(fault.__name__, flush=True)
            with trial.survived(daemon, request):
                fault(address, request)
        # Each call that has begun has ended, and nothing was our fault.
        for code in ("Internal", "Unknown"):
            assert daemon.metric(
                "grpc_server_handled_total", grpc_type="unary",
                grpc_service="neumf.v1.RecommendationService",
                grpc_method="Recommend", grpc_code=code) == 0


if __name__ == "__main__":
    main()
