"""A disk without a byte left: what is served stays, new versions and operators'
changes are served all the same, and what could not be written is made up for.

Checkpoints and state lie on a small disk of their own, a tmpfs, for which the
script goes on in a mount namespace of its own. All versions are the same model,
so that callers get the same items all the while.
"""

import contextlib
import errno
import json
import os
import subprocess
import sys
import tempfile
import time

import trial  # finds the modules below

import models
from daemon import Daemon
from protos import model_pb, recommendation_pb as pb

SKIPPED = 77
IN_OWN_MOUNTS = "--in_own_mounts"
DISK_BYTES = 4 << 20
PAGE_BYTES = 4096
# A version is known as good after a minute, and written then.
PROBATION_SECONDS = 120
REQUEST = pb.RecommendRequest(user_id="user-1", k=10)


def mount_command(folder):
    return ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder]


def enter_own_mounts():
    """Goes on as another process that may mount; ends as skipped if none may."""
    with tempfile.TemporaryDirectory() as folder:
        # As root, or as anybody who may become root of a user namespace.
        for own in (["unshare", "--mount"],
                    ["unshare", "--mount", "--map-root-user"]):
            with contextlib.suppress(FileNotFoundError):
                tried = subprocess.run([*own, *mount_command(folder)],
                                       check=False, stderr=subprocess.DEVNULL)
                if tried.returncode == 0:
                    script = [sys.executable, os.path.abspath(__file__)]
                    os.rmdir(folder)  # exec runs no clean-up; mounted elsewhere
                    os.execvp(own[0], [*own, *script, IN_OWN_MOUNTS])
    print("a disk of its own cannot be mounted here: no mount namespaces")
    sys.exit(SKIPPED)


@contextlib.contextmanager
def disk():
    """A small disk, empty: where it is mounted."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(mount_command(folder), check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)


class Ballast:
    """The file that fills a disk."""

    def __init__(self, root):
        self._path = os.path.join(root, "ballast")

    def fill(self):
        with open(self._path, "ab", buffering=0) as file:
            write_until_full(file, bytes(DISK_BYTES))

    def shed(self, size):
        os.truncate(self._path, os.path.getsize(self._path) - size)

    def remove(self):
        os.remove(self._path)


def write_until_full(file, content):
    try:
        while content:
            content = content[file.write(content):]
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return
    raise AssertionError("the disk is not full")


def path_of(directory, version):
    return os.path.join(directory, f"{version}.safetensors")


def policy(directory):
    """What serving.json says; None without one."""
    try:
        with open(os.path.join(directory, "serving.json"),
                  encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def wait_until_served(daemon, version):
    daemon.wait_until(lambda: trial.answer(
        daemon, REQUEST).model_version == str(version))


def wait_until_holds(daemon, directory, names):
    """Exactly these: what a try to write leaves goes with it."""
    daemon.wait_until(lambda: set(os.listdir(directory)) == set(names))


def copy_half(daemon, directory, model, ballast):
    """A copy that finds no room for its second half is refused."""
    ballast.shed(PAGE_BYTES)
    half = path_of(directory, 9)
    with trial.survived(daemon, REQUEST):
        with open(half, "wb", buffering=0) as file:
            write_until_full(file, model.file_bytes())
        daemon.wait_until(lambda: any(
            event["version"] == "9"
            for event in daemon.events("checkpoint_refused")))
    assert trial.answer(daemon, REQUEST).model_version == "2"
    os.remove(half)
    ballast.fill()


def load(daemon, directory, hidden):
    """A version is served although its load cannot be written down."""
    os.rename(hidden, path_of(directory, 3))
    wait_until_served(daemon, 3)
    daemon.wait_until(lambda: any(
        event["file"] == "unfinished_loads"
        for event in daemon.events("state_file_failed")))


def change(daemon, directory):
    """A rollback and a pin hold, and say that they are not written."""
    stub = daemon.models()
    rolled_back = stub.RollbackModelVersion(
        model_pb.RollbackModelVersionRequest(), timeout=trial.CALL_SECONDS)
    wait_until_served(daemon, 2)
    pinned = stub.LoadModelVersion(
        model_pb.LoadModelVersionRequest(version="1"),
        timeout=trial.CALL_SECONDS)
    wait_until_served(daemon, 1)
    assert (rolled_back.version.version, pinned.version.version) == ("2", "1")
    for answer in (rolled_back, pinned):
        assert ("serving.json could not be written (RESOURCE_EXHAUSTED)"
                in answer.unsaved_reason), answer
    told = daemon.wait_until(lambda: len(
        daemon.events("policy_changed")) >= 2 and
        daemon.events("policy_changed"))
    assert [(event["serve"], event["refuse"], event["written"])
            for event in told] == [("largest", "3", "0"), ("1", "3", "0")], told
    assert policy(directory) is None


def fill_and_change(daemon, directory, state, model, ballast):
    """All that happens while the disk is full."""
    model.publish(directory, 2)
    wait_until_served(daemon, 2)
    hidden = path_of(directory, "hidden")
    with open(hidden, "wb") as file:
        file.write(model.file_bytes())
    ballast.fill()
    copy_half(daemon, directory, model, ballast)
    load(daemon, directory, hidden)
    change(daemon, directory)
    if trial.LONG:
        daemon.wait_until(lambda: any(
            event["file"] == "last_known_good"
            for event in daemon.events("state_file_failed")), PROBATION_SECONDS)
    wait_until_holds(daemon, directory,
                     [f"{version}.safetensors" for version in (1, 2, 3)])
    wait_until_holds(daemon, state, ["unfinished_loads"])


def make_up(daemon, directory, state):
    """All that could not be written is, once it can be."""
    daemon.wait_until(
        lambda: policy(directory) == {"serve": 1, "refuse": [3]},
        trial.RECOVERY_SECONDS)
    daemon.wait_until(
        lambda: daemon.events("policy_changed")[-1]["written"] == "1")
    wait_until_served(daemon, 1)
    if trial.LONG:
        daemon.wait_until(
            lambda: "last_known_good" in os.listdir(state), PROBATION_SECONDS)


def restart(directory, flags, model):
    started = time.monotonic()
    with Daemon(directory, *flags) as daemon:
        assert trial.answer(daemon, REQUEST).model_version == "1"
        assert time.monotonic() - started < trial.RECOVERY_SECONDS
        daemon.models().LoadModelVersion(
            model_pb.LoadModelVersionRequest(version="largest"),
            timeout=trial.CALL_SECONDS)
        model.publish(directory, 4)
        wait_until_served(daemon, 4)
        assert policy(directory) == {"serve": "largest", "refuse": [3]}
        assert not daemon.events("state_file_failed")


def main():
    model = models.random_model(seed=1)
    with disk() as root:
        directory = os.path.join(root, "checkpoints")
        state = os.path.join(root, "state")
        os.mkdir(directory)
        model.publish(directory, 1)
        ballast = Ballast(root)
        flags = [f"--state_dir={state}"]
        with Daemon(directory, *flags) as daemon:
            with trial.same_items(daemon, REQUEST):
                fill_and_change(daemon, directory, state, model, ballast)
                ballast.remove()
                make_up(daemon, directory, state)
            daemon.kill()
        restart(directory, flags, model)


if __name__ == "__main__":
    if IN_OWN_MOUNTS not in sys.argv:
        enter_own_mounts()
    main()
