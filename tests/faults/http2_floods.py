"""Floods of small frames cost the server no memory and other callers nothing.

One connection each: SETTINGS, PING, empty DATA, CONTINUATION, WINDOW_UPDATE,
PRIORITY. None of them reads what the server answers.
"""

import struct

import http2
import trial

NUM_FRAMES = 5_000_000 if trial.LONG else 300_000
FRAMES_A_SEND = 1000
# A server that has enough hangs up, or stops to read.
PATIENCE_SECONDS = 2
if trial.LONG:  # what headers that never end bring between two looks at them
    trial.MOST_GROWTH_BYTES *= 4

OPEN_CALL = http2.frame(
    http2.HEADERS, http2.END_HEADERS, 1,
    http2.request_headers(extra=[("grpc-timeout", "60S")]))
# Headers that go on for ever.
ENDLESS_HEADERS = http2.frame(http2.HEADERS, 0, 1, http2.request_headers())

# What comes first, and what is repeated.
FLOODS = {
    "SETTINGS": (b"", http2.frame(http2.SETTINGS, 0, 0)),
    "SETTINGS that change": (b"", http2.frame(
        http2.SETTINGS, 0, 0,
        struct.pack(">HI", http2.HEADER_TABLE_SIZE, 4096) +
        struct.pack(">HI", http2.INITIAL_WINDOW_SIZE, 1 << 20))),
    "PING": (b"", http2.frame(http2.PING, 0, 0, bytes(8))),
    "empty DATA": (OPEN_CALL, http2.frame(http2.DATA, 0, 1)),
    "padded DATA": (OPEN_CALL, http2.frame(
        http2.DATA, http2.PADDED, 1, b"\x08" + bytes(8))),
    "empty CONTINUATION": (ENDLESS_HEADERS,
                           http2.frame(http2.CONTINUATION, 0, 1)),
    "CONTINUATION": (ENDLESS_HEADERS, http2.frame(
        http2.CONTINUATION, 0, 1, http2.literal("x", "y" * 100))),
    "WINDOW_UPDATE": (b"", http2.frame(
        http2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))),
    "PRIORITY": (b"", http2.frame(
        http2.PRIORITY, 0, 1, struct.pack(">IB", 0, 16))),
}


def flood(address, first, repeated):
    with http2.Connection(address) as connection:
        connection.send(first)
        connection.socket.settimeout(PATIENCE_SECONDS)
        try:
            for _ in range(NUM_FRAMES // FRAMES_A_SEND):
                connection.send(repeated * FRAMES_A_SEND)
        except (TimeoutError, ConnectionError):
            pass


def main():
    with trial.server() as (daemon, request):
        for name, (first, repeated) in FLOODS.items():
            print(name, flush=True)
            with trial.survived(daemon, request):
                flood(daemon.addresses["grpc"], first, repeated)


if __name__ == "__main__":
    main()
