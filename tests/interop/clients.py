"""Clients that the project did not write, all used in the same way.

    with NodeClient("grpc_js.js", daemon.addresses["grpc"]) as client:
        call = client.start(RECOMMEND, request, timeout=20)
        call.next()    # a message; fails when there is none
        call.end()     # the other messages, and the Status
        call.status()  # the Status; fails when there are other messages

`path` is any method's; one that the server lacks is called as RECOMMEND is.
"""

import base64
import json
import os
import queue
import subprocess
import tempfile
import threading
from typing import NamedTuple

import integration  # noqa: F401

import grpc
from protos import details_pb, error_details, health_pb
from protos import recommendation_pb as pb

SOURCE_DIR = os.environ["NEUMF_SOURCE_DIR"]
NODE_DIR = os.path.join(SOURCE_DIR, "tests", "interop", "node")
TOOLS_DIR = os.path.join(SOURCE_DIR, "build", "tools", "interop")
MODULES_DIR = os.path.join(TOOLS_DIR, "node_modules")
PROTO_DIRS = [os.path.join(SOURCE_DIR, "proto"), "/usr/share/grpc-proto"]
PROTOS = ["neumf/v1/recommendation_service.proto",
          "google/rpc/error_details.proto", "grpc/health/v1/health.proto"]

RECOMMEND = "/neumf.v1.RecommendationService/Recommend"
BATCH_RECOMMEND = "/neumf.v1.RecommendationService/BatchRecommend"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"

# What does not happen within this time never will.
WAIT_SECONDS = 60

_ANSWERS = {
    RECOMMEND: pb.RecommendResponse,
    BATCH_RECOMMEND: pb.BatchRecommendResponse,
    HEALTH_CHECK: health_pb.HealthCheckResponse,
    HEALTH_WATCH: health_pb.HealthCheckResponse,
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def answer_type(path):
    return _ANSWERS.get(path, pb.RecommendResponse)


class Tls(NamedTuple):
    """Paths of PEM files; without `cert` and `key` no certificate is shown."""
    ca: str
    cert: str = ""
    key: str = ""


class Status(NamedTuple):
    """How a call ended; `details` are those of google.rpc by type."""
    code: grpc.StatusCode
    message: str = ""
    details: dict = {}
    trailers: dict = {}


class NodeClient:
    """A program of node/, which does what it is told; see session.js."""

    def __init__(self, script, address, tls=None, **how):
        self._scratch = tempfile.TemporaryDirectory()
        descriptors = os.path.join(self._scratch.name, "descriptors")
        subprocess.run(
            ["protoc", "--include_imports", f"--descriptor_set_out={descriptors}",
             *(f"-I{folder}" for folder in PROTO_DIRS), *PROTOS], check=True)
        settings = {
            "address": address, "proto_dirs": PROTO_DIRS,
            "descriptor_set": descriptors,
            "tls": tls and {name: path for name, path in tls._asdict().items() if path},
            "gzip": how.get("gzip", False), "options": _options(**how)}
        self._process = subprocess.Popen(
            ["node", os.path.join(NODE_DIR, script), json.dumps(settings)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "NODE_PATH": MODULES_DIR,
                 "NODE_NO_WARNINGS": "1"})
        self._calls = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._reader.join()
        self._process.wait()
        self._process.stdout.close()
        self._scratch.cleanup()

    def _read(self):
        for line in self._process.stdout:
            event = json.loads(line)
            self._calls[event["id"]].events.put(event)
        for call in self._calls:
            call.events.put({"error": "the program has ended"})

    def send(self, **command):
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def start(self, path, request, timeout=None, metadata=()):
        call = _NodeCall(self, len(self._calls), answer_type(path))
        self._calls.append(call)
        self.send(
            id=call.id, path=path,
            request=base64.b64encode(request.SerializeToString()).decode(),
            timeout_ms=timeout and timeout * 1000,
            metadata={key: base64.b64encode(value).decode()
                      if key.endswith("-bin") else value
                      for key, value in metadata})
        return call


class _Call:
    """Its messages and its end, which are to be read once."""

    def next(self):
        raise NotImplementedError

    def end(self):
        """The messages that are left, and the Status."""
        raise NotImplementedError

    def status(self):
        messages, status = self.end()
        assert not messages, messages
        return status


class _NodeCall(_Call):

    def __init__(self, client, number, answer):
        self.id = number
        self.events = queue.Queue()
        self._client = client
        self._answer = answer

    def cancel(self):
        self._client.send(id=self.id, cancel=True)

    def next(self):
        return self._message(self.events.get(timeout=WAIT_SECONDS))

    def _message(self, event):
        assert "response" in event, event
        return self._answer.FromString(base64.b64decode(event["response"]))

    def end(self):
        messages = []
        event = self.events.get(timeout=WAIT_SECONDS)
        while "code" not in event:
            messages.append(self._message(event))
            event = self.events.get(timeout=WAIT_SECONDS)
        details = {}
        for detail in event["details"]:
            name = detail["type"].rsplit(".", 1)[1]
            details[name] = getattr(details_pb, name).FromString(
                base64.b64decode(detail["value"]))
        return messages, Status(_CODES[event["code"]], event["message"],
                                details, event["trailers"])


class PythonClient:
    """Debian's grpcio. It reads all answers as streams, which unary ones fit."""

    def __init__(self, address, tls=None, **how):
        # Channels share connections, unless their arguments differ.
        options = [("grpc.use_local_subchannel_pool", 1), *_options(**how).items()]
        if tls:
            self._channel = grpc.secure_channel(
                address, grpc.ssl_channel_credentials(
                    *(_read(path) for path in (tls.ca, tls.key, tls.cert))),
                options)
        else:
            self._channel = grpc.insecure_channel(address, options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._channel.close()

    def start(self, path, request, timeout=None, metadata=()):
        method = self._channel.unary_stream(
            path, type(request).SerializeToString, answer_type(path).FromString)
        return _PythonCall(method(request, timeout=timeout, metadata=metadata))


class _PythonCall(_Call):

    def __init__(self, call):
        self._call = call

    def cancel(self):
        self._call.cancel()

    def next(self):
        return next(self._call)

    def end(self):
        messages = []
        try:
            messages.extend(self._call)
        except grpc.RpcError as error:
            return messages, Status(
                error.code(), error.details(), error_details(error),
                dict(error.trailing_metadata() or ()))
        return messages, Status(self._call.code())


def _options(service_config=None, gzip=False):
    """Of channels, as gRPC calls them in every language."""
    options = {}
    if service_config:
        options["grpc.service_config"] = json.dumps(service_config)
    if gzip:
        options["grpc.default_compression_algorithm"] = grpc.Compression.Gzip.value
    return options


def _read(path):
    if not path:
        return None
    with open(path, "rb") as file:
        return file.read()
