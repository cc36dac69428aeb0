"""Idle and slow connections to the metrics port hold a scrape up but little.

Ten of them do not at all. Of more than the port keeps, the oldest are cut for the
newest.
"""

import time

import http2
import trial

STARTS = (b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nhost:")
# How many, and how long a scrape may take.
CASES = ((10, 1), (500, 5))


def open_idle(address, count):
    peers = [http2.connect(address) for _ in range(count)]
    for i, peer in enumerate(peers):
        peer.sendall(STARTS[i % len(STARTS)])
    return peers


def main():
    with trial.server() as (daemon, request):
        for count, most_seconds in CASES:
            with trial.survived(daemon, request):
                peers = open_idle(daemon.addresses["metrics"], count)
                started = time.monotonic()
                daemon.metrics_text()
                seconds = time.monotonic() - started
                for peer in peers:
                    peer.close()
                assert seconds < most_seconds, (count, seconds)


if __name__ == "__main__":
    main()
