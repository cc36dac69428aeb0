"""Runs neumf-server for a test.

    with Daemon(directory) as daemon:
        stub = daemon.recommendations()
        ...

Ports are the system's choice. The end of the block sends SIGTERM and checks that
the server drained: exit code 0, and nothing on stderr but log events.
"""

import contextlib
import os
import pathlib
import re
import shlex
import signal
import subprocess
import tempfile
import time
import urllib.request

import paths  # noqa: F401

import grpc
from protos import health_grpc, health_pb, model_grpc, recommendation_grpc

START_SECONDS = 60
STOP_SECONDS = 60
WAIT_SECONDS = 60

_EVENT = re.compile(r"\S+Z event=\w+( |$)")


def neumfctl(*arguments):
    """Runs neumfctl and returns its subprocess.CompletedProcess, as text."""
    program = os.path.join(os.environ["NEUMF_BIN_DIR"], "neumfctl")
    return subprocess.run(
        [program, *arguments], check=False, capture_output=True, text=True,
        timeout=WAIT_SECONDS)


def run_server(checkpoint_dir, *flags):
    """Runs neumf-server that is to end by itself; its CompletedProcess."""
    program = os.path.join(os.environ["NEUMF_BIN_DIR"], "neumf-server")
    return subprocess.run(
        [program, f"--checkpoint_dir={checkpoint_dir}", "--listen=127.0.0.1:0",
         "--metrics_listen=127.0.0.1:0", "--device=cpu", *flags],
        check=False, capture_output=True, text=True, timeout=START_SECONDS)


def _stands_still(pid):
    """The signal stops one thread after the other, some time after it was sent."""
    try:
        stats = [file.read_text() for file in
                 pathlib.Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):  # a thread that ended
        return False
    # The state follows the name, which may hold spaces and brackets.
    return all(stat.rpartition(") ")[2].startswith("T") for stat in stats)


class Daemon:
    """One server over a checkpoint directory."""

    def __init__(self, checkpoint_dir, *flags, start=subprocess.Popen):
        """`start` takes the place of subprocess.Popen."""
        self._scratch = tempfile.TemporaryDirectory()
        self._port_file = os.path.join(self._scratch.name, "ports")
        self._log_path = os.path.join(self._scratch.name, "log")
        self._channels = []
        self._command = [
            os.path.join(os.environ["NEUMF_BIN_DIR"], "neumf-server"),
            f"--checkpoint_dir={checkpoint_dir}",
            "--listen=127.0.0.1:0", "--metrics_listen=127.0.0.1:0",
            "--admin_listen=127.0.0.1:0", f"--port_file={self._port_file}",
            "--poll_interval=50ms", "--device=cpu", *flags]
        self._start = start
        self._process = None
        self._was_killed = False
        self.addresses = {}

    def __enter__(self):
        with open(self._log_path, "wb") as log:
            self._process = self._start(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.wait_until(self._is_ready, START_SECONDS)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, exception_type, exception, traceback):
        for channel in self._channels:
            channel.close()
        try:
            if exception_type is None and not self._was_killed:
                self.stop()
        finally:
            self._kill()

    @property
    def pid(self):
        return self._process.pid

    def _is_ready(self):
        if not os.path.exists(self._port_file):
            return False
        with open(self._port_file, encoding="utf-8") as file:
            self.addresses = dict(
                line.rstrip("\n").split("=", 1) for line in file)
        return True

    def _kill(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._scratch.cleanup()

    def kill(self):
        """Ends the server as a machine does that loses its power."""
        self._was_killed = True
        self._process.kill()
        self._process.wait()

    def wait_for_exit(self):
        """Of a server that ends by itself; its exit code."""
        self._was_killed = True
        return self._process.wait(STOP_SECONDS)

    @contextlib.contextmanager
    def suspended(self):
        """Stands still, as in a debugger, until the end of the block."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            self.wait_until(lambda: _stands_still(self.pid))
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self):
        """Ends the server as an operator does, and checks how it went."""
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(STOP_SECONDS)
        assert code == 0, f"exit code {code}:\n{self.log()}"
        surprises = [line for line in self.log().splitlines()
                     if not _EVENT.match(line)]
        assert not surprises, "unexpected on stderr:\n" + "\n".join(surprises)

    def wait_until(self, condition, seconds=WAIT_SECONDS):
        """Returns the first true value of `condition()`."""
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            code = self._process.poll()
            assert code is None, f"exited with {code}:\n{self.log()}"
            assert time.monotonic() < deadline, f"too slow:\n{self.log()}"
            time.sleep(0.01)

    def log(self):
        with open(self._log_path, encoding="utf-8") as file:
            return file.read()

    def events(self, name):
        """The log events called `name`, each a dictionary of its fields."""
        events = []
        for line in self.log().splitlines():
            # Values with spaces are in double quotes, with backslash escapes.
            fields = dict(word.split("=", 1)
                          for word in shlex.split(line)[1:] if "=" in word)
            if fields.get("event") == name:
                events.append(fields)
        return events

    def channel(self, listener="grpc"):
        channel = grpc.insecure_channel(self.addresses[listener])
        self._channels.append(channel)
        return channel

    def recommendations(self):
        return recommendation_grpc.RecommendationServiceStub(self.channel())

    def models(self):
        return model_grpc.ModelServiceStub(self.channel("admin"))

    def health(self, service=""):
        """The name of the serving status, as the data listener gives it."""
        reply = health_grpc.HealthStub(self.channel()).Check(
            health_pb.HealthCheckRequest(service=service), timeout=10)
        return health_pb.HealthCheckResponse.ServingStatus.Name(reply.status)

    def metrics_text(self):
        url = f'http://{self.addresses["metrics"]}/metrics'
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.read().decode()

    def metric(self, name, **labels):
        """The value of the series with exactly these labels; None if absent."""
        return self.metrics().get((name, frozenset(labels.items())))

    def metrics(self):
        """All series: values by (name, frozenset of label and value)."""
        series = {}
        for line in self.metrics_text().splitlines():
            if line and not line.startswith("#"):
                text, value = line.rsplit(" ", 1)
                name, _, labels = text.partition("{")
                pairs = frozenset(re.findall(r'(\w+)="([^"]*)"', labels))
                series[name, pairs] = float(value)
        return series
