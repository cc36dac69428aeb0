"""A server that was stopped for seconds drops what is stale and goes on.

SIGSTOP, as by a debugger or by a machine that is moved: calls whose deadlines passed meanwhile cost no scoring.
"""

import time

import trial  # finds the modules below

import grpc
from protos import recommendation_grpc

STOPPED_SECONDS = 10 if trial.LONG else 3
NUM_CALLS = 200
DEADLINE_SECONDS = 1
# One batch may have been on its way into the scorer.
MOST_BATCHES = 1


def suspend(daemon, channel, request):
    """Calls arrive while it stands still, and expire."""
    stub = recommendation_grpc.RecommendationServiceStub(channel)
    stub.Recommend(request, timeout=trial.CALL_SECONDS)
    batches = daemon.metric("neumf_batch_users_count")
    with daemon.suspended():
        calls = [stub.Recommend.future(request, timeout=DEADLINE_SECONDS)
                 for _ in range(NUM_CALLS)]
        time.sleep(STOPPED_SECONDS)
    for call in calls:
        assert call.code() == grpc.StatusCode.DEADLINE_EXCEEDED, call.code()
    scored = daemon.metric("neumf_batch_users_count") - batches
    assert scored <= MOST_BATCHES, scored


def main():
    with trial.server() as (daemon, request):
        with trial.restored(daemon, request), grpc.insecure_channel(
                daemon.addresses["grpc"]) as channel:
            suspend(daemon, channel, request)


if __name__ == "__main__":
    main()
