"""reload.p99_ratio and reload.errors: what callers notice of a reload."""

import collections
import pathlib
import statistics
import tempfile
import time

import processes
from versions import Directory, LargeModels

ITEMS = 100_000
USERS = 1_000_000
# Callers ask for these alone, spread over all, whose answers are learned first.
KNOWN_USERS = 2000
SHARE_OF_CAPACITY = 0.6
# More are answered faster in batches, until the server refuses some.
CAPACITY_CALLERS = (4, 8, 16)
LEARNING_TRIES = 9
# A server that was idle is slow for a moment; these calls do not count.
WARM_UP_SECONDS = 1
# Before each reload: how many can be answered, ...
CAPACITY_SECONDS = 2
# ... and some thousands of calls to compare with.
QUIET_SECONDS = 4


class Caller(processes.Answering):
    """Paced calls until they are ended."""

    def __init__(self, server, users):
        super().__init__([processes.BUILD / "bench" / "paced_callers",
                          f"--target={server.address}", f"--users={users}"])

    def learn(self):
        """Again where a server that a neighbour keeps waiting refused a call."""
        if not any(self.ask("learn")["ok"] for _ in range(LEARNING_TRIES)):
            raise processes.Failed("a call failed while nothing was loaded")

    def run_while(self, rate, action):
        """The calls made while `action()` ran."""
        self.process.stdin.write(f"run {rate}\n")
        self.process.stdin.flush()
        try:
            action()
        finally:
            calls = self.ask("stop")
        return calls


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def p99_ms(calls):
    return 1e3 * quantile([call.ended - call.due for call in calls], 0.99)


Call = collections.namedtuple("Call", "due sent ended")


class Rounds:
    """All calls so far, by whether a reload went on when they were due."""

    def __init__(self):
        self.quiet, self.reloading = [], []
        self.ratios = []
        self.failed = self.failed_before = self.inconsistent = 0

    def add(self, calls, begin, end):
        """A reload went on from `begin` to `end`; before it, it was quiet."""
        each = [Call(*times) for times in zip(calls["due"], calls["sent"], calls["ended"])]
        warm = calls["due"][0] + WARM_UP_SECONDS
        quiet = [call for call in each if warm <= call.due < begin]
        reloading = [call for call in each if begin <= call.due <= end]
        self.ratios.append(p99_ms(reloading) / p99_ms(quiet))
        self.quiet += quiet
        self.reloading += reloading
        for number in calls["failed"]:
            self.failed += begin <= each[number].due <= end
            self.failed_before += warm <= each[number].due < begin
        self.inconsistent += calls["inconsistent"]

    def ratio(self):
        """Over all calls, as both tails come from bursts: the few seconds before one reload
        have often none, its many seconds hardly ever."""
        return p99_ms(self.reloading) / p99_ms(self.quiet)

    def details(self):
        lags = [call.sent - call.due for call in self.quiet + self.reloading]
        return {"calls": len(lags), "failed": self.failed,
                "failed_before": self.failed_before, "inconsistent": self.inconsistent,
                "lag_p99_ms": 1e3 * quantile(lags, 0.99),
                "median_of_reloads": statistics.median(self.ratios),
                "p99_quiet_ms": p99_ms(self.quiet), "p99_reloading_ms": p99_ms(self.reloading)}


def flood_rate(session, server, model):
    """Answers a second to callers who each wait for theirs, with the best number of them."""
    with processes.Callers(server, model) as callers:
        def rate(count):
            window = callers.ask("flood", count, session.seconds)
            return window["ok"] / window["seconds"]

        return statistics.median(max(map(rate, CAPACITY_CALLERS)) for _ in range(3))


def capacity(caller, offered):
    """Answers a second when calls come one by one, and more than can be answered."""
    calls = caller.run_while(offered, lambda: time.sleep(CAPACITY_SECONDS))
    return (len(calls["due"]) - len(calls["failed"])) / (calls["due"][-1] - calls["due"][0])


def one_swap(directory, server, caller, rate):
    """The calls, and from when to when the reload went on."""
    span = {}

    def swap():
        time.sleep(WARM_UP_SECONDS + QUIET_SECONDS)
        span["begin"], span["end"] = directory.swap(server)

    return caller.run_while(rate, swap), span


def swaps(session):
    """Every tensor changes, at three fifths of the calls that can be answered."""
    if not session.wants("reload.p99_ratio", "reload.errors"):
        return
    models = LargeModels(session, USERS, ITEMS)
    with tempfile.TemporaryDirectory(dir=session.scratch) as folder:
        directory = Directory(folder, [models.file(seed=1), models.file(seed=2)])
        users = pathlib.Path(folder) / "users"
        # Both models know them (large_model.h).
        users.write_text("".join(f"u{2 + i * (USERS // KNOWN_USERS)}\n"
                                 for i in range(KNOWN_USERS)), encoding="utf-8")
        with directory.server(session) as server, Caller(server, users) as caller:
            caller.learn()
            directory.swap(server)
            caller.learn()
            offered = flood_rate(session, server, pathlib.Path(folder))
            rounds, spans, rates = Rounds(), [], []
            for _ in range(session.swaps):
                # Each time: a machine that others use has another every few minutes.
                rates.append(SHARE_OF_CAPACITY * capacity(caller, offered))
                calls, span = one_swap(directory, server, caller, rates[-1])
                rounds.add(calls, span["begin"], span["end"])
                spans.append(span["end"] - span["begin"])
    about = {"swaps": session.swaps, "rate": statistics.median(rates),
             "rates": [min(rates), max(rates)], "share_of_capacity": SHARE_OF_CAPACITY,
             "reload_seconds": statistics.median(spans), **rounds.details()}
    session.figure("reload.p99_ratio", rounds.ratio(), "x", models.weights, **about)
    session.figure("reload.errors", rounds.failed + rounds.inconsistent, "answers",
                   models.weights, **about)
