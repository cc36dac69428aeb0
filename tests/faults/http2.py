"""As much HTTP/2 as tests need that do what no gRPC client does."""

import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 6, 7, 8, 9
END_STREAM, END_HEADERS, PADDED, ACK = 1, 4, 8, 1
HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE = 1, 4
CANCEL = struct.pack(">I", 8)

RECOMMEND = "/neumf.v1.RecommendationService/Recommend"


def frame(kind, flags, stream, payload=b""):
    return (struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) +
            struct.pack(">I", stream) + payload)


def integer(value, prefix_bits, first=0):
    """An integer of HPACK, whose first byte has `first` above it (RFC 7541, 5.1)."""
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes([first | value])
    text, value = bytes([first | most]), value - most
    while value >= 128:
        text, value = text + bytes([value % 128 | 128]), value // 128
    return text + bytes([value])


def literal(name, value, first=0):
    """A header without Huffman codes; `first` 0x40 has the peer remember it."""
    name, value = (text.encode() if isinstance(text, str) else text
                   for text in (name, value))
    return (bytes([first]) + integer(len(name), 7) + name +
            integer(len(value), 7) + value)


def request_headers(path=RECOMMEND, extra=(), **changed):
    """The headers of a call; `changed` has other values of :method and so on."""
    pseudo = {"method": "POST", "scheme": "http", "path": path,
              "authority": "test", **changed}
    return b"".join(literal(*header) for header in (
        *((f":{name}", value) for name, value in pseudo.items()),
        ("te", "trailers"), ("content-type", "application/grpc"), *extra))


def framed(message):
    """A message as gRPC puts it into DATA."""
    return b"\x00" + struct.pack(">I", len(message)) + message


def connect(address):
    """A socket; the address is one of TCP, or of a unix socket as flags have it."""
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(address[len("unix:"):])
        return connection
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=20)


def heard_until_closed(connection, seconds):
    """What the peer of a socket says before it hangs up; None if it does not."""
    deadline = time.monotonic() + seconds
    heard = []
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            heard.append(connection.recv(1 << 16))
        except TimeoutError:
            break
        except ConnectionError:
            heard.append(b"")
        if not heard[-1]:
            return b"".join(heard)
    return None


def is_closed_within(connection, seconds):
    """Whether the peer of a socket hangs up."""
    return heard_until_closed(connection, seconds) is not None


def kinds_of(frames):
    """Of the frames that follow each other there, the last perhaps in part."""
    kinds = []
    while len(frames) >= 9:
        kinds.append(frames[3])
        frames = frames[9 + int.from_bytes(frames[:3], "big"):]
    return kinds


def reset(connection):
    """Closes a socket the way a killed process with unread answers does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack("ii", 1, 0))
    connection.close()


class Connection:
    """Sends what it is told to and grants no window, unless the settings do."""

    def __init__(self, address, settings=()):
        """`settings` are pairs of an identifier and a value."""
        self.socket = connect(address)
        payload = b"".join(struct.pack(">HI", *pair) for pair in settings)
        self.send(PREFACE + frame(SETTINGS, 0, 0, payload) +
                  frame(SETTINGS, ACK, 0))
        self._received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, content):
        self.socket.sendall(content)

    def call(self, stream, path, message, timeout_millis):
        """Starts a call; `message` is a serialized request."""
        headers = request_headers(
            path, [("grpc-timeout", f"{timeout_millis}m")])
        self.send(frame(HEADERS, END_HEADERS, stream, headers) +
                  frame(DATA, END_STREAM, stream, framed(message)))

    def frames_for(self, seconds):
        """Kind, flags and stream of every frame that arrives meanwhile."""
        deadline = time.monotonic() + seconds
        frames = []
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                chunk = self.socket.recv(65536)
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
