"""Whatever becomes of the checkpoint directory, what is served stays or a newer
version takes its place, and callers get the same items all the while.

All versions are the same model, so that their answers differ in the version
alone; reloads are slowed down, so that files change while they are read.
"""

import contextlib
import os
import shutil
import tempfile

import trial  # finds the modules below

import models
from daemon import Daemon
from protos import recommendation_pb as pb

NUM_VERSIONS = 1000
SLOW_RELOADS = "--reload_io_mbps=1"
REQUEST = pb.RecommendRequest(user_id="user-1", k=10)


def path_of(directory, version):
    return os.path.join(directory, f"{version}.safetensors")


def served(daemon):
    return int(trial.answer(daemon, REQUEST).model_version)


def wait_until_served(daemon, version):
    daemon.wait_until(lambda: served(daemon) == version)


def is_logged(daemon, name, version):
    return any(event["version"] == str(version)
               for event in daemon.events(name))


def is_open(daemon, path):
    folder = f"/proc/{daemon.pid}/fd"
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(os.path.join(folder, name)) == path:
                return True
    return False


def begin_reload(daemon, directory, version, model):
    """Returns the path of a file that is being read."""
    path = models.publish_bytes(directory, version, model.file_bytes())
    daemon.wait_until(lambda: is_open(daemon, path) or
                      is_logged(daemon, "checkpoint_serving", version))
    return path


def flip_last_byte(path):
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))


def change_what_is_read(daemon, directory, model):
    """Whoever has begun to read a file goes on with it, and takes no half.

    Returns the version that is served.
    """
    os.remove(begin_reload(daemon, directory, 2, model))
    wait_until_served(daemon, 2)
    begin_reload(daemon, directory, 3, model)
    models.publish_bytes(directory, 3, b"junk")
    wait_until_served(daemon, 3)

    version = 3
    for damage in (lambda path: os.truncate(path, os.path.getsize(path) // 2),
                   flip_last_byte):
        refused = False
        while not refused:  # a machine that stalls may be done with it already
            good, version = version, version + 1
            damage(begin_reload(daemon, directory, version, model))
            daemon.wait_until(
                lambda: is_logged(daemon, "checkpoint_serving", version) or
                is_logged(daemon, "checkpoint_refused", version))
            refused = is_logged(daemon, "checkpoint_refused", version)
        assert served(daemon) == good
        models.publish_bytes(directory, version, model.file_bytes())
        wait_until_served(daemon, version)
    return version


def remove_and_restore(daemon, directory, model, version):
    shutil.rmtree(directory)
    daemon.wait_until(lambda: daemon.events("checkpoint_directory_unreadable"))
    assert served(daemon) == version
    os.mkdir(directory)
    # By a publisher that has lost count. What is refused was tried after it
    # would have been.
    model.publish(directory, 1)
    models.publish_bytes(directory, version + 1, b"junk")
    daemon.wait_until(
        lambda: is_logged(daemon, "checkpoint_refused", version + 1))
    assert served(daemon) == version
    model.publish(directory, version + 2)
    wait_until_served(daemon, version + 2)


def fill(daemon, directory, model):
    """A thousand versions, then a thousand that are none."""
    source = path_of(directory, 1)
    for version in range(1000, 1000 + NUM_VERSIONS):
        os.link(source, path_of(directory, version))
    last = 1000 + NUM_VERSIONS
    model.publish(directory, last)
    wait_until_served(daemon, last)
    for version in range(last + 1, last + 1 + NUM_VERSIONS):
        models.publish_bytes(directory, version, b"junk")
    daemon.wait_until(
        lambda: is_logged(daemon, "checkpoint_refused", last + NUM_VERSIONS))
    assert served(daemon) == last
    model.publish(directory, last + NUM_VERSIONS + 1)
    wait_until_served(daemon, last + NUM_VERSIONS + 1)


def swap_volume(volume, model, version):
    """As Kubernetes does: new files in a folder of their own, one rename."""
    name = f"..folder_{version}"
    os.mkdir(os.path.join(volume, name))
    model.publish(os.path.join(volume, name), version)
    data = os.path.join(volume, "..data")
    previous = os.path.realpath(data) if os.path.lexists(data) else None
    os.symlink(name, os.path.join(volume, "..data_tmp"))
    os.rename(os.path.join(volume, "..data_tmp"), data)
    os.symlink(path_of("..data", version), path_of(volume, version))
    if previous:
        shutil.rmtree(previous)
        os.remove(path_of(volume, version - 1))


def swap_volumes(model):
    with tempfile.TemporaryDirectory() as volume:
        swap_volume(volume, model, 1)
        with Daemon(volume) as daemon, trial.same_items(daemon, REQUEST):
            for version in range(2, 6):
                swap_volume(volume, model, version)
                wait_until_served(daemon, version)


def main():
    small = models.random_model(seed=1)
    # A second of reading.
    large = models.random_model(seed=1, items=9000)
    with tempfile.TemporaryDirectory() as parent:
        directory = os.path.join(parent, "checkpoints")
        os.mkdir(directory)
        large.publish(directory, 1)
        with Daemon(directory, SLOW_RELOADS) as daemon, \
                trial.same_items(daemon, REQUEST):
            version = change_what_is_read(daemon, directory, large)
            remove_and_restore(daemon, directory, large, version)
            fill(daemon, directory, large)
    swap_volumes(small)


if __name__ == "__main__":
    main()
