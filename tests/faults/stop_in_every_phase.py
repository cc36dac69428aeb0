"""SIGTERM ends the server in order, whatever it is at.

At its start, while it waits for a checkpoint, loads the first or another one,
serves, drains. Exit code 0, soon, and callers hear nothing but UNAVAILABLE.
"""

import os
import signal
import subprocess
import tempfile
import threading
import time

import trial  # finds the modules below

import grpc
import models
from daemon import Daemon
from protos import health_grpc, health_pb, recommendation_grpc
from protos import recommendation_pb as pb

START_STEPS = 200 if trial.LONG else 20
STEP_SECONDS = 0.005
SOON_SECONDS = 20
NUM_CALLERS = 4
NUM_STOPS = 3
# Large enough to be met while it is read.
LARGE_ITEMS = 200_000
# What callers may be told instead of an answer.
REFUSED = grpc.StatusCode.UNAVAILABLE

REQUEST = pb.RecommendRequest(user_id="user-0", k=10)


def stop_at_start(directory):
    """Before the first event nobody listens to signals yet."""
    for step in range(START_STEPS):
        with subprocess.Popen(
                [os.path.join(os.environ["NEUMF_BIN_DIR"], "neumf-server"),
                 f"--checkpoint_dir={directory}", "--listen=127.0.0.1:0",
                 "--metrics_listen=127.0.0.1:0", "--device=cpu"],
                stderr=subprocess.PIPE, text=True) as server:
            time.sleep(step * STEP_SECONDS)
            server.send_signal(signal.SIGTERM)
            _, log = server.communicate(timeout=SOON_SECONDS)
            too_early = server.returncode == -signal.SIGTERM and not log
            assert server.returncode == 0 or too_early, (
                step, server.returncode, log)


def stop_while_waiting():
    with tempfile.TemporaryDirectory() as empty, Daemon(
            empty, "--wait_for_checkpoint") as daemon:
        daemon.stop()


def stop_while_loading(large):
    """The first version, and another one while one is served."""
    with tempfile.TemporaryDirectory() as directory, Daemon(
            directory, "--wait_for_checkpoint") as daemon:
        models.publish_bytes(directory, 1, large)
        daemon.wait_until(lambda: daemon.events("checkpoint_loading"))
        daemon.stop()
    with tempfile.TemporaryDirectory() as directory:
        models.random_model(seed=1).publish(directory, 1)
        with Daemon(directory) as daemon:
            models.publish_bytes(directory, 2, large)
            daemon.wait_until(
                lambda: len(daemon.events("checkpoint_loading")) == 2)
            daemon.stop()


def wait_for_unfinished_load(server, state):
    """Until the server has written down that it has begun one."""
    path = os.path.join(state, "unfinished_loads")
    end = time.monotonic() + SOON_SECONDS
    while not (os.path.exists(path) and os.path.getsize(path) > 0):
        assert server.poll() is None and time.monotonic() < end
        time.sleep(0.001)


def stop_in_first_loads(large):
    """That somebody stops it is not the checkpoint's fault, however often."""
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as state:
        models.publish_bytes(directory, 1, large)
        for _ in range(NUM_STOPS):
            with subprocess.Popen(
                    [os.path.join(os.environ["NEUMF_BIN_DIR"], "neumf-server"),
                     f"--checkpoint_dir={directory}", f"--state_dir={state}",
                     "--listen=127.0.0.1:0", "--metrics_listen=127.0.0.1:0",
                     "--device=cpu"], stderr=subprocess.PIPE, text=True) as server:
                wait_for_unfinished_load(server, state)
                server.send_signal(signal.SIGTERM)
                server.communicate(timeout=SOON_SECONDS)
                assert server.returncode == 0
        with Daemon(directory, f"--state_dir={state}") as daemon:
            assert trial.answer(daemon, REQUEST).model_version == "1"


def call_until_refused(address, failures):
    """Callers that come back, over one connection each, until nobody is there."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options) as channel:
        stub = recommendation_grpc.RecommendationServiceStub(channel)
        while True:
            try:
                stub.Recommend(REQUEST, timeout=trial.CALL_SECONDS)
            except grpc.RpcError as error:
                if error.code() != REFUSED:
                    failures.append(error)
                return


def stop_while_serving(directory):
    """With callers, and a stream that would never end."""
    failures = []
    with Daemon(directory) as daemon:
        address = daemon.addresses["grpc"]
        callers = [threading.Thread(target=call_until_refused,
                                    args=(address, failures))
                   for _ in range(NUM_CALLERS)]
        for caller in callers:
            caller.start()
        watch = health_grpc.HealthStub(daemon.channel()).Watch(
            health_pb.HealthCheckRequest())
        next(watch)
        started = time.monotonic()
        daemon.stop()
        assert time.monotonic() - started < SOON_SECONDS
        for caller in callers:
            caller.join()
    assert not failures, failures


def stop_while_draining(directory):
    """While it waits for load balancers to turn away, it serves; then power fails."""
    with Daemon(directory, "--drain_delay=1h") as daemon:
        os.kill(daemon.pid, signal.SIGTERM)
        daemon.wait_until(lambda: daemon.events("drain_started"))
        # Health says so; calls are still answered.
        assert daemon.health() == "NOT_SERVING"
        trial.answer(daemon, REQUEST)
        daemon.kill()


def main():
    large = models.random_model(
        seed=2, items=LARGE_ITEMS, tower=(32, 8), seen=False).file_bytes()
    with tempfile.TemporaryDirectory() as directory:
        models.random_model(seed=1).publish(directory, 1)
        stop_at_start(directory)
        stop_while_waiting()
        stop_while_loading(large)
        stop_in_first_loads(large)
        stop_while_serving(directory)
        stop_while_draining(directory)


if __name__ == "__main__":
    main()
