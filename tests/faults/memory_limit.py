"""A version that does not fit under a memory limit is refused, not met by the
kernel: no OOM kill, the old version serves, and one that fits is taken.

The limit is that of a cgroup where the test may make one, else RLIMIT_DATA.
"""

import contextlib
import os
import pathlib
import re
import resource
import tempfile

import trial  # finds the modules below

import models
from daemon import Daemon
from protos import recommendation_pb as pb

# Above what the server has: room for requests and small versions, and for half
# of what the large one takes.
SPARE_BYTES = 64 << 20
LARGE_ITEMS = 400_000

REQUEST = pb.RecommendRequest(user_id="user-0", k=10)


def memory_groups():
    """The folders of this process's memory cgroup, and the name of its limit."""
    root = pathlib.Path("/sys/fs/cgroup")
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield root / "memory" / name.lstrip("/"), "memory.limit_in_bytes"
        elif not controllers:
            yield root / name.lstrip("/"), "memory.max"


@contextlib.contextmanager
def new_group():
    """A cgroup of our own: its folder, and the file of its limit; None where
    there can be none."""
    for parent, limit_name in memory_groups():
        group = parent / f"neumf-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / limit_name).exists():
                yield group, group / limit_name
                return
        finally:
            group.rmdir()
    yield None


def lower_limit(daemon, group):
    """Returns the limit's name."""
    if group is None:
        print("no cgroup can be made here: RLIMIT_DATA is the limit")
        status = pathlib.Path(f"/proc/{daemon.pid}/status").read_text()
        used = int(re.search(r"VmData:\s*(\d+) kB", status)[1]) << 10
        resource.prlimit(daemon.pid, resource.RLIMIT_DATA,
                         (used + SPARE_BYTES, resource.RLIM_INFINITY))
        return "RLIMIT_DATA"
    folder, limit = group
    # What the server has already stays with the group that it came from.
    (folder / "cgroup.procs").write_text(str(daemon.pid))
    limit.write_text(str(SPARE_BYTES))
    return limit.name


def main():
    large = models.random_model(
        seed=2, items=LARGE_ITEMS, tower=(64, 8), seen=False).file_bytes()
    assert len(large) > SPARE_BYTES
    with tempfile.TemporaryDirectory() as directory, new_group() as group:
        models.random_model(seed=1).publish(directory, 1)
        with Daemon(directory) as daemon:
            name = lower_limit(daemon, group)
            with trial.survived(daemon, REQUEST):
                models.publish_bytes(directory, 2, large)
                refusal = daemon.wait_until(
                    lambda: daemon.events("checkpoint_refused"))[0]
            assert refusal["version"] == "2", refusal
            assert refusal["result"] == "no_memory", refusal
            assert name in refusal["reason"], refusal
            models.random_model(seed=3).publish(directory, 3)
            daemon.wait_until(
                lambda: trial.answer(daemon, REQUEST).model_version == "3",
                trial.RECOVERY_SECONDS)


if __name__ == "__main__":
    main()
