"""reload.rename_to_served_ms: how soon a version is served that was renamed into place."""

import statistics
import tempfile
import time

import processes
from memory import SMALL
from versions import Directory, LargeModels, wait_for_events

# So that renames do not fall into step with the polls.
GAPS = (0.3, 0.7, 1.1, 1.9)


def rename_to_served(session):
    """With the flags that a server has by itself."""
    name = "reload.rename_to_served_ms"
    if not session.wants(name):
        return
    models = LargeModels(session, *SMALL)
    with tempfile.TemporaryDirectory(dir=session.scratch) as folder:
        directory = Directory(folder, [models.file(seed=1), models.file(seed=2)])
        times = []
        with processes.Neumf(session.server, folder) as server:
            for swap in range(session.rounds):
                time.sleep(GAPS[swap % len(GAPS)])
                written = server.log_bytes()
                begin = time.time()
                directory.publish()
                found = wait_for_events(server, written,
                                        {"checkpoint_serving": directory.version})
                times.append(1e3 * (found["checkpoint_serving"] - begin))
    session.figure(name, statistics.median(times), "ms", models.weights, slowest=max(times),
                   rounds=len(times))
