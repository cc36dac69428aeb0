"""More calls than can be answered in time: those that are taken are answered.

The others are refused when they come, with a time to come back. BatchRecommend
calls that keep the scorer busy do not lock out those about one user.
"""

import threading

import trial  # finds the modules below

import grpc
from protos import error_details, recommendation_grpc, recommendation_pb as pb

# Such a call takes a while.
LARGE_MODEL = {"items": 50_000, "tower": (64, 32)}
NUM_CALLS = 20_000 if trial.LONG else 2_000
DEADLINE_SECONDS = 0.2
# Of one flood of several: a stall of the machine for a deadline spoils it.
FEWEST_ANSWERS = 20
MOST_EXPIRED_FRACTION = 0.5
NUM_FLOODS = 10
MOST_RETRY_SECONDS = 1
BULK_USERS = 300
NUM_SINGLE_CALLS = 20
NUM_TRIES = 10

_CODES = {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE,
          grpc.StatusCode.DEADLINE_EXCEEDED}


def check_refusal(call):
    """It says why, and when to come back."""
    trailers = dict(call.trailing_metadata())
    pushback_ms = int(trailers["grpc-retry-pushback-ms"])
    assert 0 < pushback_ms <= 1e3 * MOST_RETRY_SECONDS, pushback_ms
    details = error_details(call)
    reason = details["ErrorInfo"].reason
    assert reason in ("QUEUE_FULL", "WAIT_TOO_LONG", "OVERLOADED"), reason
    retry_ms = details["RetryInfo"].retry_delay.ToMilliseconds()
    assert abs(retry_ms - pushback_ms) <= 1, (retry_ms, pushback_ms)


def flood(daemon, stub, request):
    """All at once; some of them find the server alone with too many others.

    Whether enough of them were answered, and few enough had to wait in vain.
    """
    expected = stub.Recommend(request, timeout=trial.CALL_SECONDS)
    calls = [stub.Recommend.future(request, timeout=DEADLINE_SECONDS)
             for _ in range(NUM_CALLS)]
    codes = {}
    for call in calls:
        codes[call.code()] = codes.get(call.code(), 0) + 1
        if call.code() == grpc.StatusCode.OK:
            assert call.result() == expected
        elif call.code() == grpc.StatusCode.UNAVAILABLE:
            check_refusal(call)
    assert codes.keys() <= _CODES, codes
    assert codes.get(grpc.StatusCode.UNAVAILABLE, 0) > 0, codes
    shed = sum(value for (name, _), value in daemon.metrics().items()
               if name == "neumf_requests_shed_total")
    assert shed >= codes[grpc.StatusCode.UNAVAILABLE], (shed, codes)
    print(", ".join(f"{code.name} {count}" for code, count in codes.items()))
    expired = codes.get(grpc.StatusCode.DEADLINE_EXCEEDED, 0)
    return (codes.get(grpc.StatusCode.OK, 0) >= FEWEST_ANSWERS and
            expired <= MOST_EXPIRED_FRACTION * NUM_CALLS)


def num_answers_beside_many(stub, request):
    """How many single calls are answered while one about many users is scored."""
    many = pb.BatchRecommendRequest(requests=[request] * BULK_USERS)
    done = threading.Event()
    bulk = stub.BatchRecommend.future(many, timeout=10 * trial.CALL_SECONDS)
    bulk.add_done_callback(lambda _: done.set())
    num_answers = 0
    while not done.is_set() and num_answers < NUM_SINGLE_CALLS:
        stub.Recommend(request, timeout=trial.CALL_SECONDS)
        num_answers += 1
    assert len(bulk.result().results) == BULK_USERS
    return num_answers


def main():
    with trial.server(**LARGE_MODEL) as (daemon, request):
        with trial.restored(daemon, request), grpc.insecure_channel(
                daemon.addresses["grpc"]) as channel:
            stub = recommendation_grpc.RecommendationServiceStub(channel)
            assert any(flood(daemon, stub, request)
                       for _ in range(NUM_FLOODS))
            # A stall on our side can let the large call end first.
            assert any(num_answers_beside_many(stub, request) > 2
                       for _ in range(NUM_TRIES))


if __name__ == "__main__":
    main()
