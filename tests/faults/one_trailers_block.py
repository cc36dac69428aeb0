"""A call that outlives its deadline ends with exactly one trailers block.

gRPC's own deadlines close the stream, and write a second block when the call is
finished after that. Clients of gRPC tolerate it, so this speaks HTTP/2 itself.
"""

import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["NEUMF_SOURCE_DIR"],
                                "tests", "integration"))

import paths  # noqa: E402,F401

import http2  # noqa: E402
import models  # noqa: E402
from daemon import Daemon  # noqa: E402
from protos import recommendation_pb as pb  # noqa: E402

# An idle scorer waits so long for company: the answer comes after the deadline.
ANSWER_MILLIS = 600
DEADLINE_MILLIS = 100
WATCH_SECONDS = 1.2


def main():
    with tempfile.TemporaryDirectory() as directory:
        model = models.random_model(seed=1, users=20, items=50)
        model.publish(directory, 1)
        flags = (f"--max_queue_delay={ANSWER_MILLIS}ms",)
        with Daemon(directory, *flags) as daemon:
            request = pb.RecommendRequest(user_id=model.user_ids[0])
            with http2.Connection(daemon.addresses["grpc"]) as connection:
                connection.call(1, "/neumf.v1.RecommendationService/Recommend",
                                request.SerializeToString(), DEADLINE_MILLIS)
                frames = connection.frames_for(WATCH_SECONDS)
    blocks = [flags for kind, flags, stream in frames
              if kind == http2.HEADERS and stream == 1]
    assert len(blocks) == 1, frames
    assert blocks[0] & http2.END_STREAM, frames


if __name__ == "__main__":
    main()
