"""Peers that begin and do not go on harm nobody, and are cut in time.

Silence, half a preface, a preface at one byte a second; connections without a call;
calls whose headers and whose body stop half-way, or go on at one byte a second. The
long form also has peers that vanish without a word: a keepalive finds them.
"""

import tempfile
import time

import http2
import trial

NUM_EACH = 50
HANDSHAKE_SECONDS = 3
IDLE_SECONDS = 1
# And of its grace. More than there is between two bytes.
AGE_SECONDS = 2
# One a second: they take far longer than any of these limits.
SLOW_BYTES = 30
# A connection of which nothing more comes: 60 s until a ping, 20 s for its answer.
KEEPALIVE_SECONDS = 80
SPARE_SECONDS = 5


HELLO = http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0)
CALL = HELLO + http2.frame(http2.HEADERS, http2.END_HEADERS, 1,
                           http2.request_headers())
BODY = http2.frame(http2.DATA, http2.END_STREAM, 1, http2.framed(b"abc"))
UNFINISHED = (b"", http2.PREFACE[:12])
HALF_CALLS = (CALL[:-20], CALL + BODY[:-2])
# More than is sent of it.
SLOW_BODY = http2.frame(http2.DATA, http2.END_STREAM, 1,
                        http2.framed(bytes(100)))


def open_peers(address, starts):
    """Sockets that have sent so much of a connection."""
    peers = []
    for start in starts:
        for _ in range(NUM_EACH):
            peers.append(http2.connect(address))
            peers[-1].sendall(start)
    return peers


def has_ended(peer, heard):
    """Adds to `heard` what has come, and says whether that was the last of it."""
    peer.setblocking(False)
    try:
        while chunk := peer.recv(1 << 16):
            heard += chunk
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


def assert_cut_while_sending(peers, text):
    """At one byte a second, and returns what each of them had been told. Limits that
    began again with every byte would end nobody before the text ends."""
    heard = {peer: bytearray() for peer in peers}
    still_open = peers
    for i in range(len(text)):
        for peer in still_open:
            try:
                peer.sendall(text[i:i + 1])
            except ConnectionError:
                pass
        time.sleep(1)
        still_open = [peer for peer in still_open
                      if not has_ended(peer, heard[peer])]
        if not still_open:
            break
    assert not still_open, f"{len(still_open)} still open"
    for peer in peers:
        peer.close()
    return list(heard.values())


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
            slow = open_peers(address, [b""])
            assert_cut_while_sending(slow, http2.PREFACE[:-1])
            assert_cut(unfinished, SPARE_SECONDS)
            if trial.LONG:
                assert_cut(half_calls, KEEPALIVE_SECONDS + SPARE_SECONDS)
            for peer in half_calls:
                peer.close()


def assert_told(all_heard):
    """Else a client could not know which calls were never begun."""
    for heard in all_heard:
        assert http2.GOAWAY in http2.kinds_of(heard), heard


def try_idle():
    with trial.server(f"--max_connection_idle={IDLE_SECONDS}s") as (
            daemon, request):
        with trial.survived(daemon, request):
            peers = open_peers(daemon.addresses["grpc"], [HELLO])
            assert_told(assert_cut(peers, 2.2 * IDLE_SECONDS + SPARE_SECONDS))


def try_half_calls(*flags):
    """They end with their connections; who calls loses no call by it."""
    with trial.server(f"--max_connection_age={AGE_SECONDS}s",
                      f"--max_connection_age_grace={AGE_SECONDS}s",
                      *flags) as (daemon, request):
        address = daemon.addresses["grpc"]
        with trial.survived(daemon, request):
            halves = open_peers(address, HALF_CALLS[1:])
            slow = open_peers(address, [CALL])
            assert_told(assert_cut_while_sending(slow, SLOW_BODY[:SLOW_BYTES]))
            assert_told(assert_cut(halves, SPARE_SECONDS))


def main():
    try_beginners()
    try_idle()
    try_half_calls()
    with tempfile.TemporaryDirectory() as folder:
        try_half_calls(f"--listen=unix:{folder}/socket")


if __name__ == "__main__":
    main()
