"""reload.rollback_ms: what a rollback to the version before takes."""

import pathlib
import shutil
import statistics
import tempfile
import time

import grpc
import processes

CALL_SECONDS = 60
MODEL = "/neumf.v1.ModelService/"


def text_field(text):
    """Field 1 of a message, serialized."""
    return b"\x0a" + bytes([len(text)]) + text.encode()


class Admin:
    """A client of ModelService, without the generated code."""

    def __init__(self, address):
        self._channel = grpc.insecure_channel(address)

    def call(self, method, request, version):
        """The milliseconds until `version` is served."""
        rpc = self._channel.unary_unary(MODEL + method)
        begin = time.perf_counter()
        try:
            answer = rpc(request, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            raise processes.Failed(f"{method}: {error.code().name}: {error.details()}") from error
        took = time.perf_counter() - begin
        # Both answers begin with the record, and that with its version.
        if text_field(version) not in answer[:8]:
            raise processes.Failed(f"{method} did not answer with version {version}")
        return took * 1000

    def close(self):
        self._channel.close()


def rollback(session):
    """From a version that was loaded by name to the one before, kept warm.

    Each round loads it again, as a rollback drops what it leaves. The time is that
    of the whole call: the swap, and the fsync of serving.json.
    """
    name = "reload.rollback_ms"
    if not session.wants(name):
        return
    model = session.model("A", 3706)
    with tempfile.TemporaryDirectory() as folder:
        for version in (1, 2):
            shutil.copy(model / "1.safetensors",
                        pathlib.Path(folder) / f"{version}.safetensors")
        command = [session.server, f"--checkpoint_dir={folder}", "--listen=127.0.0.1:0",
                   "--metrics_listen=127.0.0.1:0"]
        with processes.Server(command) as server:
            admin = Admin(server.addresses["admin"])
            times = []
            for _ in range(session.rounds):
                admin.call("LoadModelVersion", text_field("1"), "1")
                times.append(admin.call("RollbackModelVersion", b"", "2"))
            admin.close()
    session.figure(name, statistics.median(times), "ms", session.weights(model), slowest=max(times),
                   rounds=len(times))
