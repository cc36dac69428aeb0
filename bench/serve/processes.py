"""The programs that the serving figures are measured with, as objects.

Server: neumf-server, or a peer that announces itself in the same way. Callers
(closed_loop), OfferedLoad (offered_load) and RankAlone (rank_alone) answer a line with a
line of JSON.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import urllib.request

import scrape

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Tests say which build is theirs.
BUILD = pathlib.Path(os.environ.get("NEUMF_BIN_DIR", ROOT / "build" / "release" / "bin")).parent
START_SECONDS = 60
MOST_FAILED = 0.02  # of the calls of a window
# All contestants have the processors that there are.
THREADS = os.cpu_count()


class Failed(Exception):
    """A program did not do what it was asked for."""


class Program:
    """A child process. Its threads' CPU time is read without asking it."""

    def __init__(self, command, **popen):
        # Libraries read these when they are loaded. Peers have workers of their
        # own; threads of one operation, which wait for each other by spinning,
        # cost them up to nine tenths of their speed where processors are shared.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._errors = tempfile.TemporaryFile("w+")
        self._name = pathlib.Path(command[0]).name
        self.process = subprocess.Popen(list(map(str, command)), env=environment,
                                        stderr=self._errors, text=True, **popen)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()
        self._errors.close()

    def cpu_seconds(self):
        """Of all its threads, those included that have ended."""
        # The number that clock_getcpuclockid() makes of a process id.
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def log(self, offset=0):
        """What it has written to stderr, from a byte on."""
        return os.pread(self._errors.fileno(), max(self.log_bytes() - offset, 0), offset).decode()

    def log_bytes(self):
        return os.fstat(self._errors.fileno()).st_size

    def memory(self, key="VmRSS"):
        """In bytes, of /proc/PID/status: VmHWM is the peak."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return 1024 * int(re.search(rf"{key}:\s*(\d+) kB", status)[1])

    def forget_peak(self):
        """VmHWM begins again with what there is now."""
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="utf-8")

    def failed(self):
        self._errors.seek(0)
        return Failed(f"{self._name} ended, or did not answer:\n{self._errors.read()[-2000:]}")


class Server(Program):
    """Listens on a free port and says so in a file, a `name=address` a line."""

    def __init__(self, command):
        self._scratch = tempfile.TemporaryDirectory()
        port_file = pathlib.Path(self._scratch.name) / "ports"
        super().__init__([*command, f"--port_file={port_file}"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL)
        give_up = time.monotonic() + START_SECONDS
        while not port_file.exists():
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise self.failed()
            time.sleep(0.02)
        self.addresses = dict(line.split("=", 1) for line in port_file.read_text().splitlines())

    def __exit__(self, *error):
        super().__exit__(*error)
        self._scratch.cleanup()

    @property
    def address(self):
        return self.addresses["grpc"]


class Fleet:
    """Servers behind one list of addresses."""

    def __init__(self, commands):
        with contextlib.ExitStack() as starting:
            self._servers = [starting.enter_context(Server(command)) for command in commands]
            self._stack = starting.pop_all()
        self.address = ",".join(server.address for server in self._servers)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return self._stack.__exit__(*error)

    def cpu_seconds(self):
        return sum(server.cpu_seconds() for server in self._servers)


class Neumf(Server):
    def __init__(self, program, model, *flags):
        super().__init__([program, f"--checkpoint_dir={model}", "--listen=127.0.0.1:0",
                          "--metrics_listen=127.0.0.1:0", "--device=cpu", *flags])

    def metrics(self):
        url = f"http://{self.addresses['metrics']}/metrics"
        with urllib.request.urlopen(url, timeout=10) as response:
            return scrape.parse(response.read().decode())


class Answering(Program):
    """Answers a line of its stdin with a line of JSON."""

    def __init__(self, command):
        super().__init__(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, *words):
        try:
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise self.failed() from error
        line = self.process.stdout.readline()
        if not line:
            raise self.failed()
        return json.loads(line)


class Callers(Answering):
    def __init__(self, server, model, *flags):
        super().__init__([BUILD / "bench" / "closed_loop", f"--target={server.address}",
                          f"--users={model / 'users'}", *flags])
        self._server = server

    def window(self, *words):
        """What closed_loop says of a window, with `server_cpu_us` a call. A server that a
        neighbour keeps waiting may refuse some; more are no measurement."""
        before = self._server.cpu_seconds()
        window = self.ask(*words)
        window["server_cpu_us"] = 1e6 * (self._server.cpu_seconds() - before) / window["calls"]
        if window["ok"] < window["calls"] * (1 - MOST_FAILED):
            raise Failed(f"{window['calls'] - window['ok']} of {window['calls']} calls of "
                         f"'{' '.join(map(str, words))}' failed")
        return window


class OfferedLoad(Answering):
    """Calls that come whatever the server does: ask(rate, seconds, deadline_ms)."""

    def __init__(self, server, model):
        super().__init__([BUILD / "bench" / "offered_load", f"--target={server.address}",
                          f"--users={model / 'users'}"])


class RankAlone(Answering):
    def __init__(self, model, threads=THREADS):
        super().__init__([BUILD / "bench" / "rank_alone", f"--checkpoint_dir={model}",
                          f"--threads={threads}"])

    def window(self, batch, seconds):
        window = self.ask(batch, seconds)
        window["cpu_us_per_user"] = 1e6 * window["cpu_seconds"] / window["users"]
        return window


def write_model(folder, towers, tower, items):
    """A checkpoint in `folder`; gives "trained" or "random"."""
    done = subprocess.run(
        [BUILD / "bench" / "write_model", f"--towers={towers}", f"--tower={tower}",
         f"--items={items}", f"--out={folder}"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"write_model: {done.stderr.strip()}")
    return json.loads(done.stdout)["weights"]
