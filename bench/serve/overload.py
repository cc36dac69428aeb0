"""What the server does with more calls than it can answer in time."""

import statistics

from processes import Callers, Failed, Neumf, OfferedLoad
from scrape import growth, quantile

# A large catalog: a user takes a while, and few calls a second are too many.
LARGE = ("B", 100_000)
SMALL = ("A", 3706)
GOAL_MS = 50
TIMES_THE_RATE = 3
SAME_RATE = 1.05  # a search's precision
START_RATE = 500
LOWEST_RATE = 1
# In a search a call that is late is told by its time.
SEARCH_DEADLINE_MS = 1000
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


def search(trial):
    """The highest rate for which `trial` holds, as far as two trials of it tell: the rate is
    doubled until it fails, or halved until it holds, then bisected by its ratio."""
    kept, missed, rate = 0, 0, START_RATE
    while not (kept and missed and missed <= kept * SAME_RATE):
        if trial(rate):
            kept = rate
        else:
            missed = rate
        if not kept and missed <= LOWEST_RATE:
            raise Failed("no rate keeps the goal")
        if not kept:
            rate = max(missed / 2, LOWEST_RATE)
        elif not missed:
            rate = kept * 2
        else:
            rate = (kept * missed) ** 0.5
    return kept


def highest_rate(session, load):
    """At which p99 stays within the goal. Latencies count from when calls were due, so a
    client that lags makes it lower, too: where it does, nothing is known of the server."""
    def keeps(rate):
        run = load.ask(rate, session.seconds * 2, SEARCH_DEADLINE_MS)
        if run["lag_p99_ms"] > GOAL_MS:
            raise Failed("the client was too slow to find the highest rate")
        return run["p99_ms"] is not None and run["p99_ms"] <= GOAL_MS

    return search(keeps)


def load_above(rate, session, server, load):
    """What becomes of several times that rate."""
    before = server.metrics()
    run = load.ask(TIMES_THE_RATE * rate, session.seconds * 4, GOAL_MS)
    after = server.metrics()
    refused = growth(before, after, "neumf_requests_shed_total")
    admitted = growth(before, after, "grpc_server_started_total",
                      'grpc_method="Recommend"') - refused
    return {"above": rate, "goodput": run["goodput"],
            "expired_fraction": growth(before, after, "neumf_requests_expired_total") / admitted,
            "refusal_p99_ms": 1e3 * quantile(before, after, REFUSALS, 0.99),
            "refused_fraction": refused / (refused + admitted),
            "lag_p99_ms": run["lag_p99_ms"]}


def searches_and_loads(num_rounds, search, load):
    """Rates that were searched, and loads, in turns, as the machine's speed changes.

    A search that something disturbs finds a low rate, which flatters: the best rate of all
    is the one that counts. Each load is above the best so far; those above a lower one than
    the best of all are made again, and come last.
    """
    rates, loads = [], []
    for _ in range(num_rounds):
        rates.append(search())
        loads.append(load(max(rates)))
    best = max(rates)
    counted = [run for run in loads if run["above"] * SAME_RATE >= best]
    again = [load(best) for _ in range(num_rounds - len(counted))]
    return rates, loads, counted + again


def overload(session):
    """Three times the highest rate that the server keeps."""
    units = {"goodput_fraction": "of the rate", "expired_fraction": "of admitted calls",
             "refusal_p99_ms": "ms"}
    names = {what: f"serve.overload{TIMES_THE_RATE}x.{what}" for what in units}
    if not session.wants(*names.values()):
        return
    model = session.model(*LARGE)
    with Neumf(session.server, model) as server, OfferedLoad(server, model) as load:
        rates, loads, counted = searches_and_loads(
            session.rounds // 3 + 1, lambda: highest_rate(session, load),
            lambda rate: load_above(rate, session, server, load))
    best = max(rates)
    medians = {key: statistics.median(run[key] for run in counted) for key in counted[0]}
    medians["goodput_fraction"] = medians["goodput"] / best
    about = {"highest_rate": best, "searched_rates": rates,
             "goodputs": [run["goodput"] for run in counted],
             "paired_fraction": statistics.median(run["goodput"] / rate
                                                  for run, rate in zip(loads, rates)),
             "refused_fraction": medians["refused_fraction"],
             "lag_p99_ms": medians["lag_p99_ms"]}
    for what, unit in units.items():
        session.figure(names[what], medians[what], unit, model, **about)
