"""What one request costs: CPU time, latency, metrics, and calls against one batch."""

import json
import statistics
import subprocess

from processes import BUILD, Callers, Neumf, RankAlone
from scrape import growth

TOWER = "A"
ITEMS = 3706
# Enough that the server never waits for them.
CALLERS = 32


def median(windows, of):
    return statistics.median(map(of, windows))


def batch_users(before, after):
    """Mean users a pass over the catalog between two scrapes."""
    return (growth(before, after, "neumf_batch_users_sum") /
            growth(before, after, "neumf_batch_users_count"))


def cpu_over_bound(session):
    """CPU time of a Recommend over that of a Health Check and of the scoring alone."""
    name = "serve.cpu_over_bound"
    if not session.wants(name):
        return
    model = session.model(TOWER, ITEMS)
    rounds = []
    with Neumf(session.server, model) as server, Callers(server, model) as callers, \
            RankAlone(model) as rank:
        callers.window("recommend", CALLERS, session.seconds)
        for _ in range(session.rounds):
            before = server.metrics()
            request = callers.window("recommend", CALLERS, session.seconds)
            batch = batch_users(before, server.metrics())
            health = callers.window("health", CALLERS, session.seconds)
            kernel = rank.window(round(batch), session.seconds / 2)
            rounds.append({
                "request_us": request["server_cpu_us"], "health_us": health["server_cpu_us"],
                "kernel_us": kernel["cpu_us_per_user"], "batch_users": batch,
                "requests_per_second": request["calls"] / request["seconds"]})
    value = median(rounds, lambda r: r["request_us"] / (r["health_us"] + r["kernel_us"]))
    session.figure(name, value, "times", model, callers=CALLERS,
                   **{key: median(rounds, lambda r, key=key: r[key]) for key in rounds[0]})


def p50_minus_inprocess(session):
    """What a lone caller waits beyond the scoring."""
    name = "serve.p50_minus_inprocess_us"
    if not session.wants(name):
        return
    model = session.model(TOWER, ITEMS)
    rounds = []
    with Neumf(session.server, model) as server, Callers(server, model) as callers, \
            RankAlone(model) as rank:
        callers.window("recommend", 1, session.seconds)
        for _ in range(session.rounds):
            rounds.append({
                "p50_us": callers.window("recommend", 1, session.seconds)["p50_us"],
                "inprocess_us": rank.window(1, session.seconds / 2)["p50_us"],
                "health_p50_us": callers.window("health", 1, session.seconds / 2)["p50_us"]})
    session.figure(name, median(rounds, lambda r: r["p50_us"] - r["inprocess_us"]), "us", model,
                   **{key: median(rounds, lambda r, key=key: r[key]) for key in rounds[0]})


def batch_over_sequential(session):
    """1,000 users in one call against as many calls one after the other."""
    name = "serve.batch1000_over_sequential"
    if not session.wants(name):
        return
    model = session.model(TOWER, ITEMS)
    rounds = []
    with Neumf(session.server, model) as server, Callers(server, model) as callers:
        callers.window("batch", 1000, session.seconds)
        for _ in range(session.rounds):
            batch = callers.window("batch", 1000, session.seconds)
            calls = callers.window("recommend", 1, session.seconds)
            rounds.append({"batch_ms": 1e3 * batch["seconds"] / batch["calls"],
                           "sequential_ms": 1e6 * calls["seconds"] / calls["calls"]})
    session.figure(name, median(rounds, lambda r: r["sequential_ms"] / r["batch_ms"]), "times",
                   model, **{key: median(rounds, lambda r, key=key: r[key]) for key in rounds[0]})


def metrics_cost(session):
    """CPU time of all observations that a request makes over that of the request."""
    name = "serve.metrics_cost_fraction"
    if not session.wants(name):
        return
    model = session.model(TOWER, ITEMS)
    rounds = []
    with Neumf(session.server, model) as server, Callers(server, model) as callers:
        callers.window("recommend", CALLERS, session.seconds)
        for _ in range(session.rounds):
            request = callers.window("recommend", CALLERS, session.seconds)
            alone = subprocess.run([BUILD / "bench" / "metrics_bench", "--quick", "--only=ns.t1"],
                                   capture_output=True, check=True)
            rounds.append({"metrics_us": json.loads(alone.stdout)["value"] / 1e3,
                           "request_us": request["server_cpu_us"]})
    session.figure(name, median(rounds, lambda r: r["metrics_us"] / r["request_us"]),
                   "of a request", model,
                   **{key: median(rounds, lambda r, key=key: r[key]) for key in rounds[0]})
