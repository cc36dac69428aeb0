"""Peers that begin and do not go on harm nobody, and are cut after 10 seconds.

Silence, half a preface, a preface at one byte a second, calls whose headers and
whose body stop half-way. The long form also has peers that vanish without a word: a
keepalive finds them.
"""

import time

import http2
import trial

NUM_EACH = 50
HANDSHAKE_SECONDS = 10
# A connection of which nothing more comes: 60 s until a ping, 20 s for its answer.
KEEPALIVE_SECONDS = 80
SPARE_SECONDS = 5


def open_peers(address):
    """Sockets that have sent so much of a connection."""
    call = (http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0) +
            http2.frame(http2.HEADERS, http2.END_HEADERS, 1,
                        http2.request_headers()))
    body = http2.frame(http2.DATA, http2.END_STREAM, 1, http2.framed(b"abc"))
    unfinished = [b"", http2.PREFACE[:12]]
    half_calls = [call[:-20], call + body[:-2]]
    return ([open_peer(address, start)
             for start in unfinished for _ in range(NUM_EACH)],
            [open_peer(address, start)
             for start in half_calls for _ in range(NUM_EACH)])


def open_peer(address, start):
    peer = http2.connect(address)
    peer.sendall(start)
    return peer


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
    deadline = time.monotonic() + seconds
    for peer in peers:
        assert http2.is_closed_within(
            peer, max(0.01, deadline - time.monotonic())), "still open"
        peer.close()


def main():
    with trial.server() as (daemon, request):
        address = daemon.addresses["grpc"]
        with trial.survived(daemon, request):
            unfinished, half_calls = open_peers(address)
            slow = send_slowly(address, HANDSHAKE_SECONDS)
            assert_cut(unfinished + slow, SPARE_SECONDS)
            if trial.LONG:
                assert_cut(half_calls, KEEPALIVE_SECONDS + SPARE_SECONDS)
            for peer in half_calls:
                peer.close()


if __name__ == "__main__":
    main()
