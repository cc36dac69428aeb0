"""What the server does with more calls than it can answer in time."""

import statistics

from processes import Callers, Failed, Neumf, load_test
from scrape import growth, quantile

# A large catalog: a user takes a while, and few calls a second are too many.
LARGE = ("B", 100_000)
SMALL = ("A", 3706)
GOAL_SECONDS = 0.05
TIMES_THE_RATE = 3
START_RATE = 500
BURST_CALLS = 1000
BURST_DEADLINE_MS = 1
BULK_USERS = 1000
USERS_SCORED = "neumf_batch_users_sum"
PASSES = "neumf_batch_users_count"
REFUSALS = "neumf_refusal_duration_seconds"


def users_of_full_batch(server, callers):
    """How many the server scores in one pass when there are plenty."""
    before = server.metrics()
    callers.window("batch", BULK_USERS, 0)
    after = server.metrics()
    return growth(before, after, USERS_SCORED) / growth(before, after, PASSES)


def expired_work(session):
    """Work for callers who left: calls that all come at once and wait for a millisecond.

    A user who was scored, wholly or in part, and whose caller has no answer counts whole.
    """
    name = "serve.expired_work_batches"
    if not session.wants(name):
        return
    wasted = {}
    for tower, items in (SMALL, LARGE):
        model = session.model(tower, items)
        with Neumf(session.server, model) as server, Callers(server, model) as callers:
            callers.ask("recommend", 1, session.seconds)  # so that it knows its speed
            full_batch = users_of_full_batch(server, callers)
            rounds = []
            for _ in range(session.rounds):
                before = server.metrics()
                burst = callers.ask("burst", BURST_CALLS, BURST_DEADLINE_MS)
                scored = growth(before, server.metrics(), USERS_SCORED)
                rounds.append((scored - burst["ok"]) / full_batch)
        wasted[items] = statistics.mean(rounds)
    session.figure(name, max(wasted.values()), "batches", session.model(*SMALL),
                   calls=BURST_CALLS, **{f"of_{items}_items": value
                                         for items, value in wasted.items()})


def highest_rate(session, server, model):
    """At which p99 stays within the goal. Latencies count from when calls were due, so a
    client that lags makes it lower, too."""
    rate = load_test(server, model, "--sweep", f"--rate={START_RATE}",
                     f"--goal={GOAL_SECONDS}s", f"--max_lag={GOAL_SECONDS}s",
                     f"--duration={session.seconds * 2}s", "--warmup=500ms")["highest_rate"]
    if not rate:
        raise Failed("no rate keeps the goal")
    return rate


def overload_round(session, server, model):
    """Searches the rate, then offers three times as much, while the machine is as it was."""
    rate = highest_rate(session, server, model)
    before = server.metrics()
    run = load_test(server, model, f"--rate={TIMES_THE_RATE * rate}",
                    f"--deadline={GOAL_SECONDS}s", f"--duration={session.seconds * 4}s",
                    "--warmup=500ms", f"--max_lag={GOAL_SECONDS}s")
    after = server.metrics()
    refused = growth(before, after, "neumf_requests_shed_total")
    admitted = growth(before, after, "grpc_server_started_total",
                      'grpc_method="Recommend"') - refused
    return {"goodput_fraction": run["goodput"] / rate,
            "expired_fraction": growth(before, after, "neumf_requests_expired_total") / admitted,
            "refusal_p99_ms": 1e3 * quantile(before, after, REFUSALS, 0.99),
            "highest_rate": rate, "goodput": run["goodput"],
            "refused_fraction": refused / (refused + admitted),
            "lag_p99_ms": 1e3 * run["lag"]["p99_seconds"]}


def overload(session):
    """Three times the highest rate that the server keeps."""
    units = {"goodput_fraction": "of the rate", "expired_fraction": "of admitted calls",
             "refusal_p99_ms": "ms"}
    names = {what: f"serve.overload{TIMES_THE_RATE}x.{what}" for what in units}
    if not session.wants(*names.values()):
        return
    model = session.model(*LARGE)
    with Neumf(session.server, model) as server:
        rounds = [overload_round(session, server, model)
                  for _ in range(session.rounds // 2 + 1)]
    medians = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
    about = {key: value for key, value in medians.items() if key not in units}
    about["over_best_rate"] = medians["goodput"] / max(r["highest_rate"] for r in rounds)
    for what, unit in units.items():
        session.figure(names[what], medians[what], unit, model, **about)
