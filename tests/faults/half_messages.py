"""Requests that never arrive whole take no more memory than they are given.

gRPC gathers messages before any handler sees the call, deadline or not. Small
calls between the halves are answered, so the connection looks alive.
"""

import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.environ["NEUMF_SOURCE_DIR"],
                                "tests", "integration"))

import trial  # noqa: E402
import grpc  # noqa: E402
import http2  # noqa: E402
from protos import recommendation_pb as pb  # noqa: E402

MIB = 1 << 20
REQUEST_MEMORY_MIB = 512
# What the connections may hold of it before the first of them is cut.
CUT_MIB = REQUEST_MEMORY_MIB * 5 // 8
NUM_STREAMS = 240
MESSAGE_BYTES = MIB - 16
FRAME_BYTES = 16384
FRAMES_BETWEEN_CALLS = 32
CALL_TIMEOUT = 60
WHOLE_CALLS = 250
PATIENCE_SECONDS = 60


class Halves(http2.Connection):
    """Sends messages but for their last bytes, as far as the windows allow."""

    def __init__(self, address):
        super().__init__(address)
        self._pending = b""
        self._window = 65535
        self._initial = 65535
        self._granted = {}
        self._left = {2 * i + 1: MESSAGE_BYTES - 1 for i in range(NUM_STREAMS)}
        self._next_call = 2 * NUM_STREAMS + 1
        self.sent = 0
        for stream in self._left:
            self._granted[stream] = -5
            self._window -= 5
            self.send(http2.frame(http2.HEADERS, http2.END_HEADERS, stream,
                                  http2.request_headers()) +
                      http2.frame(http2.DATA, 0, stream,
                                  b"\0" + struct.pack(">I", MESSAGE_BYTES)))

    def send_until(self, num_bytes):
        """False when the server hangs up before that."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            while self.sent < num_bytes and time.monotonic() < deadline:
                self._read_windows()
                self._send_some()
        except ConnectionError:
            return False
        return True

    def _send_some(self):
        frames = []
        for stream, left in self._left.items():
            size = min(left, FRAME_BYTES, self._window,
                       self._initial + self._granted[stream])
            if size <= 0:
                continue
            frames.append(http2.frame(http2.DATA, 0, stream, b"\x0a" * size))
            self._left[stream] -= size
            self._granted[stream] -= size
            self._window -= size
            self.sent += size
            if len(frames) == FRAMES_BETWEEN_CALLS:
                break
        if frames:
            frames.append(http2.frame(
                http2.HEADERS, http2.END_HEADERS, self._next_call,
                http2.request_headers("/grpc.health.v1.Health/Check")))
            frames.append(http2.frame(http2.DATA, http2.END_STREAM,
                                      self._next_call, http2.framed(b"")))
            self._window -= 5
            self._next_call += 2
            self.socket.settimeout(PATIENCE_SECONDS)
            self.send(b"".join(frames))

    def _read_windows(self):
        self.socket.settimeout(0.005)
        try:
            chunk = self.socket.recv(1 << 16)
            if not chunk:
                raise ConnectionResetError
            self._pending += chunk
        except TimeoutError:
            pass
        while len(self._pending) >= 9:
            size = int.from_bytes(self._pending[:3], "big")
            if len(self._pending) < 9 + size:
                break
            kind, flags = self._pending[3:5]
            stream, = struct.unpack(">I", self._pending[5:9])
            payload = self._pending[9:9 + size]
            self._pending = self._pending[9 + size:]
            self._take(kind, flags, stream, payload)

    def _take(self, kind, flags, stream, payload):
        if kind == http2.WINDOW_UPDATE:
            grant, = struct.unpack(">I", payload)
            if stream:
                self._granted[stream] = self._granted.get(stream, 0) + grant
            else:
                self._window += grant
        elif kind == http2.SETTINGS and not flags & http2.ACK:
            for i in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[i:i + 6])
                if name == http2.INITIAL_WINDOW_SIZE:
                    self._initial = value
            self.send(http2.frame(http2.SETTINGS, http2.ACK, 0))
        elif kind == http2.PING and not flags & http2.ACK:
            self.send(http2.frame(http2.PING, http2.ACK, 0, payload))
        elif kind in (http2.HEADERS, http2.RST_STREAM):
            self._left.pop(stream, None)


def memory_bytes(daemon, name):
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith(name))
    return int(line.split()[1]) << 10


def varint(number):
    text = b""
    while number >= 128:
        text, number = text + bytes([number % 128 | 128]), number // 128
    return text + bytes([number])


# Of a message as large as the halves: a field that nobody knows.
PADDING = b"\xfa\x7f" + varint(MESSAGE_BYTES - 64) + bytes(MESSAGE_BYTES - 64)


def check_whole_messages(daemon, request):
    """As many streams with as large messages, all at once, are answered."""
    message = request.SerializeToString() + PADDING
    with grpc.insecure_channel(daemon.addresses["grpc"],
                               [("grpc.enable_retries", 0)]) as channel:
        recommend = channel.unary_unary(
            http2.RECOMMEND,
            response_deserializer=pb.RecommendResponse.FromString)
        expected = recommend(request.SerializeToString(), timeout=CALL_TIMEOUT)
        calls = [recommend.future(message, timeout=CALL_TIMEOUT)
                 for _ in range(WHOLE_CALLS)]
        for call in calls:
            assert call.result() == expected
    assert daemon.metric("neumf_connections_cut_total") == 0


def check_messages_of_health(daemon):
    """Of whole messages that any service has seen, nothing counts as held."""
    with grpc.insecure_channel(daemon.addresses["grpc"],
                               [("grpc.enable_retries", 0)]) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        for _ in range(CUT_MIB + 64):
            check(PADDING, timeout=CALL_TIMEOUT)
    assert daemon.metric("neumf_connections_cut_total") == 0


def num_cut(daemon):
    return daemon.metric("neumf_connections_cut_total")


def check_slow_halves(daemon, request):
    """Above the bound the one that holds most is cut, and nobody else."""
    # Together less than gRPC would end calls of others for, however late the cut
    # comes.
    share, most = CUT_MIB // 4 * MIB, CUT_MIB * 5 // 8 * MIB
    assert CUT_MIB * MIB < 2 * share + most < REQUEST_MEMORY_MIB * MIB
    before = num_cut(daemon)
    address = daemon.addresses["grpc"]
    with trial.survived(daemon, request):
        with Halves(address) as first, Halves(address) as second, \
                Halves(address) as largest:
            assert first.send_until(share)
            assert second.send_until(share)
            largest.send_until(most)
            daemon.wait_until(lambda: num_cut(daemon) > before)
            assert num_cut(daemon) == before + 1, daemon.log()
            assert http2.is_closed_within(largest.socket, PATIENCE_SECONDS)
            # The others are there still, as far as they got.
            assert daemon.metric("neumf_connections") >= 2


def check_fast_halves(daemon, request):
    """As much as comes, gRPC holds what it may, and memory is given back."""
    before = num_cut(daemon)
    address = daemon.addresses["grpc"]
    with trial.restored(daemon, request):
        peers = [Halves(address) for _ in range(4)]
        for _ in range(100):
            peers = [peer for peer in peers
                     if peer.send_until(peer.sent + 2 * MIB)]
            if len(peers) < 2:
                break
        daemon.wait_until(lambda: num_cut(daemon) > before)
        for peer in peers:
            peer.socket.close()


def main():
    flag = f"--request_memory_mb={REQUEST_MEMORY_MIB}"
    with trial.server(flag) as (daemon, request):
        check_whole_messages(daemon, request)
        check_messages_of_health(daemon)
        check_slow_halves(daemon, request)
        check_fast_halves(daemon, request)
        peak = memory_bytes(daemon, "VmHWM")
        print(f"peak: {peak >> 20} MiB", flush=True)
        # The rest is the program itself, and what gRPC's books leave out.
        assert peak < REQUEST_MEMORY_MIB * MIB + trial.MOST_GROWTH_BYTES, peak


if __name__ == "__main__":
    main()
