"""As much HTTP/2 as tests need that do what no gRPC client does."""

import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE = 4


def frame(kind, flags, stream, payload=b""):
    return (struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) +
            struct.pack(">I", stream) + payload)


def literal(name, value):
    """A header without indexing and without Huffman codes (RFC 7541, 6.2.2)."""
    assert len(name) < 127 and len(value) < 127
    return (b"\x00" + bytes([len(name)]) + name.encode() +
            bytes([len(value)]) + value.encode())


class Connection:
    """Sends what it is told to and grants no window, unless the settings do."""

    def __init__(self, address, settings=()):
        """`settings` are pairs of an identifier and a value."""
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)))
        payload = b"".join(struct.pack(">HI", *pair) for pair in settings)
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0, payload) +
                             frame(SETTINGS, ACK, 0))
        self._received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def call(self, stream, path, message, timeout_millis):
        """Starts a call; `message` is a serialized request."""
        headers = b"".join(literal(*header) for header in (
            (":method", "POST"), (":scheme", "http"), (":path", path),
            (":authority", "test"), ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("grpc-timeout", f"{timeout_millis}m")))
        body = b"\x00" + struct.pack(">I", len(message)) + message
        self._socket.sendall(frame(HEADERS, END_HEADERS, stream, headers) +
                             frame(DATA, END_STREAM, stream, body))

    def frames_for(self, seconds):
        """Kind, flags and stream of every frame that arrives meanwhile."""
        deadline = time.monotonic() + seconds
        frames = []
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                chunk = self._socket.recv(65536)
            except TimeoutError:
                break
            assert chunk, "the server closed the connection"
            self._received += chunk
            frames.extend(self._whole_frames())
        return frames

    def _whole_frames(self):
        while len(self._received) >= 9:
            size = int.from_bytes(self._received[:3], "big")
            if len(self._received) < 9 + size:
                break
            stream = struct.unpack(">I", self._received[5:9])[0]
            yield self._received[3], self._received[4], stream
            self._received = self._received[9 + size:]
