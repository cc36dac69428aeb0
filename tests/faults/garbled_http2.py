"""Malformed frames, oversized headers and HPACK bombs end their connection only.

Among them what made gRPC abort or leak elsewhere: CVE-2023-1428 (te and :scheme
that it does not know in headers that are too large), CVE-2023-32732 (binary
headers that are no base64), CVE-2023-33953 (HPACK).
"""

import collections
import os
import random
import struct
import tempfile
import time

import http2
import trial

NUM_RANDOM = 5000 if trial.LONG else 200
# Above the 8 KiB that the server takes.
LARGE = "x" * 10_000
READ_SECONDS = 0.05


def headers(block, flags=http2.END_HEADERS):
    return http2.frame(http2.HEADERS, flags, 1, block)


def call(extra=(), **changed):
    """A whole call, but for its headers a right one."""
    return (headers(http2.request_headers(extra=extra, **changed)) +
            http2.frame(http2.DATA, http2.END_STREAM, 1, http2.framed(b"")))


def hpack_bomb():
    """Kilobytes on the wire that stand for megabytes: one header, remembered
    once and named by its index ever after."""
    remembered = http2.literal("bomb", "x" * 3900, first=0x40)
    return headers(http2.request_headers() + remembered + b"\xbe" * 8000)


CASES = {
    "no preface": b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "a frame that is too long": b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(
        100_000),
    "an unknown frame": http2.frame(0x77, 0xff, 1, bytes(1000)),
    "SETTINGS of five bytes": http2.frame(http2.SETTINGS, 0, 0, bytes(5)),
    "SETTINGS of a stream": http2.frame(http2.SETTINGS, 0, 1, bytes(6)),
    "a window above 2^31": http2.frame(http2.SETTINGS, 0, 0, struct.pack(
        ">HI", http2.INITIAL_WINDOW_SIZE, 1 << 31)),
    "PING of three bytes": http2.frame(http2.PING, 0, 0, bytes(3)),
    "WINDOW_UPDATE by 0": http2.frame(http2.WINDOW_UPDATE, 0, 0, bytes(4)),
    "WINDOW_UPDATE over 2^31": http2.frame(
        http2.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 3,
    "RST_STREAM of no stream": http2.frame(
        http2.RST_STREAM, 0, 0, http2.CANCEL),
    "RST_STREAM of a stream that never was": http2.frame(
        http2.RST_STREAM, 0, 99, http2.CANCEL),
    "DATA of no stream": http2.frame(http2.DATA, 0, 0, bytes(10)),
    "DATA of a stream that never was": http2.frame(http2.DATA, 0, 7, bytes(9)),
    "HEADERS of no stream": http2.frame(
        http2.HEADERS, http2.END_HEADERS, 0, http2.request_headers()),
    "HEADERS of an even stream": http2.frame(
        http2.HEADERS, http2.END_HEADERS, 2, http2.request_headers()),
    "padding longer than its frame": http2.frame(
        http2.DATA, http2.PADDED, 1, b"\xff" + bytes(3)),
    "CONTINUATION of nothing": http2.frame(http2.CONTINUATION, 0, 1),
    "HEADERS cut by a PING": headers(http2.request_headers(), flags=0) +
                             http2.frame(http2.PING, 0, 0, bytes(8)),
    "no headers": headers(b""),
    "no path": headers(http2.literal(":method", "POST")),
    "an empty path": call(path=""),
    "an unknown method": call(path="/a/b"),
    "a GET": call(method="GET"),
    "pseudo headers last": headers(
        http2.literal("a", "b") + http2.request_headers()),
    "bytes in a name": call(extra=[(b"\x00\xff\n", b"\x00\r\n\xff")]),
    "a deadline that is no number": call(extra=[("grpc-timeout", "x" * 40)]),
    "a deadline that overflows": call(
        extra=[("grpc-timeout", "9" * 30 + "H")]),
    "the longest deadline that a header can say": call(
        extra=[("grpc-timeout", "99999999H")]),
    "an encoding that nobody knows": call(extra=[("grpc-encoding", "bomb")]),
    "large headers": call(extra=[("large", LARGE)]),
    "a thousand headers": call(extra=[(f"h{i}", "x" * 90) for i in range(170)]),
    "large headers with te: x": call(extra=[("te", "x"), ("large", LARGE)]),
    "large headers, then te: x": call(extra=[("large", LARGE), ("te", "x")]),
    "large headers with a bad scheme": call(
        scheme="ftp", extra=[("large", LARGE)]),
    "a bad scheme": call(scheme="ftp"),
    "a large scheme": call(scheme=LARGE),
    "binary headers that are no base64": call(extra=[("foo-bin", "!!!!")]),
    "binary headers of a base64 cut short": call(extra=[("foo-bin", "AAAAA")]),
    "an HPACK bomb": hpack_bomb(),
    "an index of 0": headers(b"\x80"),
    "an index that nothing has": headers(http2.integer(5000, 7, 0x80)),
    "an index that overflows": headers(b"\xff" * 12 + b"\x7f"),
    "a string longer than its frame": headers(b"\x00\x7f\xff\xff\x03abc"),
    "a string of 2^40 bytes": headers(
        b"\x00" + http2.integer(1 << 40, 7) + b"abc"),
    "Huffman codes of nothing": headers(b"\x00\x84\xff\xff\xff\xff\x00"),
    "a table of 1 GB": headers(
        http2.integer(1 << 30, 5, 0x20) + http2.request_headers()),
}


def send_case(address, content):
    connection = http2.connect(address)
    with connection:
        try:
            if content[:1] not in (b"G", b"\x16"):  # those bring no preface
                connection.sendall(
                    http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0))
            connection.sendall(content)
        except ConnectionError:
            return
        http2.is_closed_within(connection, READ_SECONDS)


def mutated(rng):
    """A call of which some bytes are others."""
    content = bytearray(call(extra=[("a-bin", "AAAA")]) * 2)
    for _ in range(rng.randint(1, 8)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content)


def check_log(daemon, seconds):
    """gRPC complains of peers, from each place in its source once a minute."""
    events = daemon.wait_until(lambda: daemon.events("grpc_error"))
    places = collections.Counter(event["place"] for event in events)
    assert max(places.values()) <= 1 + seconds // 60, places


def main():
    started = time.monotonic()
    rng = random.Random(1)
    # Every call of a caller is written down, whatever it says of itself.
    with tempfile.TemporaryDirectory() as folder, trial.server(
            f"--request_log={os.path.join(folder, 'requests')}",
            "--request_log_sample=1") as (daemon, request):
        address = daemon.addresses["grpc"]
        with trial.survived(daemon, request):
            for name, content in CASES.items():
                print(name, flush=True)
                send_case(address, content)
                # An abort is told from the case that caused it.
                trial.answer(daemon, request)
        with trial.survived(daemon, request):
            for _ in range(NUM_RANDOM):
                send_case(address, mutated(rng))
        assert daemon.metric("neumf_request_log_calls_total",
                             result="failed") == 0
        check_log(daemon, time.monotonic() - started)


if __name__ == "__main__":
    main()
