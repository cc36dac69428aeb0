"""Peers that begin and do not go on harm nobody, and are cut in time.

Silence, half a preface, a preface at one byte a second; connections without a call;
calls whose headers and whose body stop half-way. The long form also has peers that
vanish without a word: a keepalive finds them.
"""

import time

import http2
import trial

NUM_EACH = 50
HANDSHAKE_SECONDS = 3
# Of --max_connection_idle, --max_connection_age and its grace.
LIMIT_SECONDS = 1
# A connection of which nothing more comes: 60 s until a ping, 20 s for its answer.
KEEPALIVE_SECONDS = 80
SPARE_SECONDS = 5


HELLO = http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0)
CALL = HELLO + http2.frame(http2.HEADERS, http2.END_HEADERS, 1,
                           http2.request_headers())
BODY = http2.frame(http2.DATA, http2.END_STREAM, 1, http2.framed(b"abc"))
UNFINISHED = (b"", http2.PREFACE[:12])
HALF_CALLS = (CALL[:-20], CALL + BODY[:-2])


def open_peers(address, starts):
    """Sockets that have sent so much of a connection."""
    peers = []
    for start in starts:
        for _ in range(NUM_EACH):
            peers.append(http2.connect(address))
            peers[-1].sendall(start)
    return peers


def send_slowly(address, seconds):
    """One byte a second of a preface, over `NUM_EACH` connections."""
    peers = [http2.connect(address) for _ in range(NUM_EACH)]
    for i in range(seconds):
        for peer in peers:
            try:
                peer.sendall(http2.PREFACE[i:i + 1])
            except ConnectionError:
                pass
        time.sleep(1)
    return peers


def assert_cut(peers, seconds):
    """Within that time, and returns what each of them had been told."""
    deadline = time.monotonic() + seconds
    heard = []
    for peer in peers:
        heard.append(http2.heard_until_closed(
            peer, max(0.01, deadline - time.monotonic())))
        assert heard[-1] is not None, "still open"
        peer.close()
    return heard


def try_beginners():
    with trial.server(f"--handshake_timeout={HANDSHAKE_SECONDS}s") as (
            daemon, request):
        address = daemon.addresses["grpc"]
        with trial.survived(daemon, request):
            unfinished = open_peers(address, UNFINISHED)
            half_calls = open_peers(address, HALF_CALLS)
            slow = send_slowly(address, HANDSHAKE_SECONDS)
            assert_cut(unfinished + slow, SPARE_SECONDS)
            if trial.LONG:
                assert_cut(half_calls, KEEPALIVE_SECONDS + SPARE_SECONDS)
            for peer in half_calls:
                peer.close()


def try_lasting(peer_starts, *flags):
    """The flags cut such peers, with a word; who calls loses no call by them."""
    with trial.server(*(f"{flag}={LIMIT_SECONDS}s" for flag in flags)) as (
            daemon, request):
        with trial.survived(daemon, request):
            peers = open_peers(daemon.addresses["grpc"], peer_starts)
            for heard in assert_cut(peers, 2.2 * LIMIT_SECONDS + SPARE_SECONDS):
                # Else a client could not know which calls were never begun.
                assert http2.GOAWAY in http2.kinds_of(heard), heard


def main():
    try_beginners()
    try_lasting([HELLO], "--max_connection_idle")
    try_lasting(HALF_CALLS[1:], "--max_connection_age",
                "--max_connection_age_grace")


if __name__ == "__main__":
    main()
