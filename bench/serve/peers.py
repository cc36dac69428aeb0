"""Requests a second against servers around LibTorch and PyTorch, each at its best."""

import contextlib
import os
import statistics
import subprocess
import sys

from answers import difference
from processes import BUILD, ROOT, Callers, Failed, Fleet, Neumf

MODEL = ("A", 3706)
CALLERS = (8, 32, 64, 128)
COMPARED_USERS = 100
PYTHON = "/usr/bin/python3"  # the one that has the distribution's PyTorch
CPP_SERVER = BUILD / "bench" / "torch_server"
PYTHON_SERVER = ROOT / "bench" / "serve" / "torch_server.py"
CORES = os.cpu_count()


class Contestant:
    """A server and those who call it."""

    def __init__(self, name, server, model, stack):
        self.name = name
        stack.enter_context(server)
        self._callers = stack.enter_context(Callers(server, model))
        self._callers.window("flood", CALLERS[0], 0.2)  # caches and pools
        self.answers = self._callers.ask("answers", COMPARED_USERS)["answers"]
        self.best_callers = None
        self.best_rate = 0
        self.windows = []

    def find_best(self, seconds):
        """How many callers it answers the most requests a second."""
        for count in CALLERS:
            rate = self._rate(count, seconds)
            if rate > self.best_rate:
                self.best_callers, self.best_rate = count, rate

    def measure(self, seconds):
        self.windows.append(self._rate(self.best_callers, seconds))

    def _rate(self, callers, seconds):
        """Answers a second: whoever is refused calls again at once, for nothing."""
        window = self._callers.ask("flood", callers, seconds)
        return window["ok"] / window["seconds"]


def has_pytorch():
    return subprocess.run([PYTHON, "-c", "import grpc.aio, torch"], capture_output=True,
                          check=False).returncode == 0


def cpp_command(model, workers):
    return [CPP_SERVER, f"--checkpoint_dir={model}", f"--workers={workers}"]


def python_command(model, form, workers):
    return [PYTHON, PYTHON_SERVER, f"--checkpoint_dir={model}", f"--form={form}",
            f"--workers={workers}"]


def compare(session, name, baseline, forms):
    """How many times as many requests a second as the fastest of `forms`, which gives a
    list of commands by name: of servers that share the callers."""
    if not session.wants(name):
        return
    model = session.model(*MODEL)
    with contextlib.ExitStack() as stack:
        ours = Contestant("neumf-server", Neumf(session.server, model), model, stack)
        peers = [Contestant(form, Fleet(commands), model, stack)
                 for form, commands in forms(model).items()]
        for peer in peers:
            found = difference(ours.answers, peer.answers)
            if found:
                raise Failed(f"{name}: other answers: {found}")
        for contestant in (ours, *peers):
            contestant.find_best(session.seconds / 2)
        peer = max(peers, key=lambda peer: peer.best_rate)
        for _ in range(session.rounds):
            for contestant in (ours, peer):
                contestant.measure(session.seconds)
    ratios = [one / other for one, other in zip(ours.windows, peer.windows)]
    session.figure(name, statistics.median(ratios), "times", model, baseline=baseline,
                   form=peer.name, callers=ours.best_callers, peer_callers=peer.best_callers,
                   requests_per_second=statistics.median(ours.windows),
                   peer_requests_per_second=statistics.median(peer.windows))


def vs_cpp_torch(session):
    name = "serve.vs_cpp_torch"
    if not CPP_SERVER.exists():
        print(f"{name}: built without LibTorch: left out", file=sys.stderr)
        return
    compare(session, name, "C++ callback server, LibTorch, folded first layer + topk",
            lambda model: {f"workers={workers}": [cpp_command(model, workers)]
                           for workers in (1, CORES)})


def vs_python_torch(session):
    baseline = "Python server, PyTorch, folded first layer + topk"
    names = "serve.vs_python_torch", "serve.vs_python_torch_processes"
    if not session.wants(*names):
        return
    if not has_pytorch():
        print(f"{names[0]}: no python3-torch: left out", file=sys.stderr)
        return
    compare(session, names[0], baseline,
            lambda model: {f"{form}, workers={workers}": [python_command(model, form, workers)]
                           for form, workers in (("aio", 1), ("aio", CORES), ("threads", 1))})
    # A load balancer would have to stand before them.
    compare(session, names[1], f"{baseline}, a process a core",
            lambda model: {f"aio, processes={CORES}": [python_command(model, "aio", 1)] * CORES})
