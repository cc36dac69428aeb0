"""A call that outlives its deadline ends with exactly one trailers block.

gRPC's own deadlines close the stream, and write a second block when the call is
finished after that. Clients of gRPC tolerate it, so this speaks HTTP/2 itself.
"""

import os
import socket
import struct
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["NEUMF_SOURCE_DIR"],
                                "tests", "integration"))

import paths  # noqa: E402,F401

import models  # noqa: E402
from daemon import Daemon  # noqa: E402
from protos import recommendation_pb as pb  # noqa: E402

# An idle scorer waits so long for company: the answer comes after the deadline.
ANSWER_MILLIS = 600
DEADLINE_MILLIS = 100
WATCH_SECONDS = 1.2

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS = 0, 1, 3, 4
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind, flags, stream, payload=b""):
    return (struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) +
            struct.pack(">I", stream) + payload)


def literal(name, value):
    """A header without indexing and without Huffman codes (RFC 7541, 6.2.2)."""
    assert len(name) < 127 and len(value) < 127
    return (b"\x00" + bytes([len(name)]) + name.encode() +
            bytes([len(value)]) + value.encode())


def request_frames(message):
    headers = b"".join(literal(*header) for header in (
        (":method", "POST"), (":scheme", "http"),
        (":path", "/neumf.v1.RecommendationService/Recommend"),
        (":authority", "test"), ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("grpc-timeout", f"{DEADLINE_MILLIS}m")))
    body = b"\x00" + struct.pack(">I", len(message)) + message
    return (frame(HEADERS, END_HEADERS, 1, headers) +
            frame(DATA, END_STREAM, 1, body))


def frames_until(connection, deadline):
    """Kind, flags and stream of every frame that arrives before `deadline`."""
    received = b""
    frames = []
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            chunk = connection.recv(65536)
        except TimeoutError:
            break
        assert chunk, "the server closed the connection"
        received += chunk
        while len(received) >= 9:
            size = int.from_bytes(received[:3], "big")
            if len(received) < 9 + size:
                break
            stream = struct.unpack(">I", received[5:9])[0]
            frames.append((received[3], received[4], stream))
            received = received[9 + size:]
    return frames


def main():
    with tempfile.TemporaryDirectory() as directory:
        model = models.random_model(seed=1, users=20, items=50)
        model.publish(directory, 1)
        flags = (f"--max_queue_delay={ANSWER_MILLIS}ms",)
        with Daemon(directory, *flags) as daemon:
            message = pb.RecommendRequest(
                user_id=model.user_ids[0]).SerializeToString()
            host, port = daemon.addresses["grpc"].rsplit(":", 1)
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(PREFACE + frame(SETTINGS, 0, 0) +
                                   frame(SETTINGS, ACK, 0) +
                                   request_frames(message))
                frames = frames_until(connection,
                                      time.monotonic() + WATCH_SECONDS)
    blocks = [entry for entry in frames
              if entry[0] == HEADERS and entry[2] == 1]
    assert len(blocks) == 1, frames
    assert blocks[0][1] & END_STREAM, frames


if __name__ == "__main__":
    main()
