"""Large models, and a directory in which they take turns as versions."""

import calendar
import json
import os
import pathlib
import re
import subprocess
import time

import processes

WAIT_SECONDS = 120
POLL = "--poll_interval=20ms"
# A hundred reloads take longer than connections last by default.
CONNECTIONS_STAY = "--max_connection_age=24h"
EVENT = re.compile(r"^(\S+)\.(\d+)Z event=(\w+)(?: version=(\d+))?", re.MULTILINE)


def write_large_model(path, towers, **flags):
    """Gives "trained" or "random"."""
    done = subprocess.run(
        [processes.BUILD / "bench" / "write_large_model", f"--towers={towers}", f"--out={path}",
         *(f"--{key}={value}" for key, value in flags.items())],
        capture_output=True, text=True, check=False)
    if done.returncode:
        raise processes.Failed(f"write_large_model: {done.stderr.strip()}")
    return json.loads(done.stdout)["weights"]


class LargeModels:
    """Files of one size; made when first asked for, kept as long as the session."""

    def __init__(self, session, users, items):
        self._session = session
        self._size = {"users": users, "items": items}
        self.weights = None

    def file(self, **seeds):
        name = "-".join(f"{key}{value}" for key, value in {**self._size, **seeds}.items())
        path = self._session.scratch / f"{name}.safetensors"
        weights_of = path.with_suffix(".weights")
        if not path.exists():
            weights_of.write_text(
                write_large_model(path, self._session.towers, **self._size, **seeds),
                encoding="utf-8")
        self.weights = weights_of.read_text(encoding="utf-8")
        return path


def events(log):
    """(seconds since the epoch, event, version) of each line that has them."""
    for stamp, fraction, event, version in EVENT.findall(log):
        seconds = calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S"))
        yield seconds + float(f"0.{fraction}"), event, int(version or 0)


class Directory:
    """Version v is a hard link to file (v - 1) mod their number."""

    def __init__(self, folder, files):
        self._folder = pathlib.Path(folder)
        self._files = files
        self.version = 0
        self.publish()

    def publish(self):
        """The next version is there all at once; the one before the last goes."""
        self.version += 1
        temporary = self._folder / "next"
        os.link(self._files[(self.version - 1) % len(self._files)], temporary)
        temporary.rename(self._path(self.version))
        self._path(self.version - 2).unlink(missing_ok=True)

    def _path(self, version):
        return self._folder / f"{version}.safetensors"

    def server(self, session, *flags):
        """Serves this; one version in memory, so each swap frees the one before."""
        return processes.Neumf(session.server, self._folder, "--keep_versions=1", POLL,
                               CONNECTIONS_STAY, *flags)

    def swap(self, server):
        """Publishes, and waits until the version before is freed. Gives the begin of the
        load and the end of the freeing, on the monotonic clock."""
        begin = server.log_bytes()
        self.publish()
        found = wait_for_events(server, begin, {"checkpoint_loading": self.version,
                                                "checkpoint_freed": self.version - 1})
        wall = time.time() - time.monotonic()
        return found["checkpoint_loading"] - wall, found["checkpoint_freed"] - wall


def wait_for_events(server, offset, wanted):
    """When each event came with its version."""
    give_up = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < give_up:
        found = {event: when for when, event, version in events(server.log(offset))
                 if wanted.get(event) == version}
        if len(found) == len(wanted):
            return found
        if server.process.poll() is not None:
            break
        time.sleep(0.005)
    raise processes.Failed(f"waited in vain for {wanted}: {server.failed()}")
