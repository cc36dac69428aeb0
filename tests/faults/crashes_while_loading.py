"""A server that ends while it loads comes back with a valid version, and does
not load for a third time what it ended on twice.

Reloads are slowed down, so that kill -9 meets them at points all along the way.
"""

import os
import tempfile
import time

import trial  # finds the modules below

import models
from daemon import Daemon
from protos import model_pb, recommendation_pb as pb

NUM_POINTS = 200 if trial.LONG else 20
# What the model takes to be read with this flag.
SLOW_RELOADS = "--reload_io_mbps=1"
LOAD_SECONDS = 0.5
ITEMS = 5000
REQUEST = pb.RecommendRequest(user_id="user-1", k=10)


def publish(directory, version):
    """The same model under a digest of its own; its path."""
    model = models.random_model(seed=1, items=ITEMS)
    return model.publish(directory, version,
                         created_at=f"{2000 + version}-01-01T00:00:00Z")


def loading(daemon, version):
    return any(event["version"] == str(version)
               for event in daemon.events("checkpoint_loading"))


def kill_at_each_point(directory, state):
    """Each start serves the newest version, the one that was read half."""
    publish(directory, 1)
    items = None
    for point in range(NUM_POINTS):
        version = point + 1
        started = time.monotonic()
        with Daemon(directory, SLOW_RELOADS, f"--state_dir={state}") as daemon:
            answer = trial.answer(daemon, REQUEST)
            assert time.monotonic() - started < trial.RECOVERY_SECONDS
            assert answer.model_version == str(version), answer
            items = items or list(answer.items)
            assert list(answer.items) == items
            publish(directory, version + 1)
            daemon.wait_until(
                lambda daemon=daemon, next=version + 1: loading(daemon, next))
            time.sleep(LOAD_SECONDS * point / NUM_POINTS)
            daemon.kill()


def unfinished_loads(state):
    """How often a load began that did not end; of one file at most."""
    try:
        with open(os.path.join(state, "unfinished_loads"),
                  encoding="utf-8") as file:
            return int((file.read().split() or ["", "0"])[1])
    except FileNotFoundError:
        return 0


def crash_on(directory, state, poison):
    """Ends a server while it loads `poison`, which appears while it serves."""
    hidden = poison + ".hidden"
    os.rename(poison, hidden)
    before = unfinished_loads(state)
    with Daemon(directory, SLOW_RELOADS, f"--state_dir={state}") as daemon:
        os.rename(hidden, poison)
        # Or it is over already, on a machine that stalls.
        daemon.wait_until(lambda: unfinished_loads(state) > before or
                          len(daemon.events("checkpoint_serving")) > 1)
        daemon.kill()


def skip_poison(directory, state):
    publish(directory, 1)
    poison = publish(directory, 2)
    while unfinished_loads(state) < 2:
        crash_on(directory, state, poison)
    with Daemon(directory, f"--state_dir={state}") as daemon:
        assert trial.answer(daemon, REQUEST).model_version == "1"
        assert daemon.metric("neumf_reload_total", result="crashed_loading") == 1
        stub = daemon.models()
        listed = stub.ListModelVersions(model_pb.ListModelVersionsRequest(),
                                        timeout=trial.CALL_SECONDS)
        reasons = [record.reason for record in listed.versions
                   if record.version == "2"]
        assert len(reasons) == 1 and "ended twice" in reasons[0], listed
        # Whoever asks for it by name knows better.
        stub.LoadModelVersion(model_pb.LoadModelVersionRequest(version="2"),
                              timeout=trial.CALL_SECONDS)
        assert trial.answer(daemon, REQUEST).model_version == "2"
        assert unfinished_loads(state) == 0


def serve_without_state(directory, state):
    """A state directory that cannot be made costs a line of the log."""
    blocked = os.path.join(state, "unfinished_loads", "below_a_file")
    with Daemon(directory, f"--state_dir={blocked}") as daemon:
        publish(directory, 3)
        daemon.wait_until(
            lambda: trial.answer(daemon, REQUEST).model_version == "3")
        # A version answers before it is remembered, and before the log says so.
        failed = daemon.wait_until(lambda: len(
            daemon.events("state_file_failed")) >= 2 and [
                event["file"] for event in daemon.events("state_file_failed")])
        assert sorted(failed) == ["last_known_good", "unfinished_loads"], failed


def main():
    with tempfile.TemporaryDirectory() as root:
        folders = [os.path.join(root, name) for name in ("a", "b")]
        state = os.path.join(root, "state")
        for folder in folders:
            os.mkdir(folder)
        kill_at_each_point(folders[0], state)
        state = os.path.join(root, "other_state")
        skip_poison(folders[1], state)
        # A load by name pins; this one follows the largest again.
        os.remove(os.path.join(folders[1], "serving.json"))
        serve_without_state(folders[1], state)


if __name__ == "__main__":
    main()
