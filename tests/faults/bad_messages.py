"""What is no message, no UTF-8 or no frame of gRPC gets a clear status.

Never INTERNAL or UNKNOWN, which are for faults of the server; only where gRPC
itself refuses before it has a method, its answer is taken.
"""

import random

import trial  # finds the modules below

import grpc
from protos import error_details

NUM_RANDOM = 20_000 if trial.LONG else 500
MOST_REQUEST_BYTES = 1 << 20

USER_ID, EXCLUDED = 0x0a, 0x1a  # fields 1 and 3, of bytes


def field(tag, content):
    return bytes([tag, len(content)]) + content


INVALID = {
    "a byte": b"\xff",
    "zeros": bytes(100),
    "a field cut short": bytes([USER_ID, 50]) + b"user",
    "a length of 2^63": bytes([USER_ID]) + b"\xff" * 9 + b"\x7f",
    "a varint that does not end": b"\x10" + b"\xff" * 20,
    "a group that does not end": b"\x0b" * 200,
    "a user of invalid UTF-8": field(USER_ID, b"\xc3\x28"),
    "a user of surrogates": field(USER_ID, b"\xed\xa0\x80"),
    "a user of overlong UTF-8": field(USER_ID, b"\xc0\xaf"),
    "an excluded item of invalid UTF-8": field(USER_ID, b"user-0") +
                                         field(EXCLUDED, b"\xff"),
    "no user": b"",
    "a user of 127 newlines and NULs": field(USER_ID, b"\n\x00" * 63 + b"\n"),
}
ALLOWED = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}


def code_of(method, content):
    """None for an answer."""
    try:
        method(content, timeout=trial.CALL_SECONDS)
    except grpc.RpcError as error:
        return error.code()
    return None


def check_large(method):
    """The server says by how much; far above its limit gRPC refuses instead."""
    for size in (MOST_REQUEST_BYTES + 1, 2 * MOST_REQUEST_BYTES):
        try:
            method(bytes(size), timeout=trial.CALL_SECONDS)
            raise AssertionError("it was answered")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
            if size == MOST_REQUEST_BYTES + 1:
                reason = error_details(error)["ErrorInfo"].reason
                assert reason == "REQUEST_TOO_LARGE", error


def check_recommend(channel, request):
    recommend = channel.unary_unary(
        "/neumf.v1.RecommendationService/Recommend")
    for name, content in INVALID.items():
        code = code_of(recommend, content)
        assert code in ALLOWED, (name, code)
    check_large(recommend)
    rng = random.Random(2)
    valid = request.SerializeToString()
    for _ in range(NUM_RANDOM):
        content = bytearray(valid + rng.randbytes(rng.randint(0, 30)))
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        code = code_of(recommend, bytes(content))
        assert code is None or code in ALLOWED, (code, bytes(content))


def check_batch(channel):
    batch = channel.unary_unary(
        "/neumf.v1.RecommendationService/BatchRecommend")
    for content in (b"", b"\xff", bytes([0x0a, 9]) + b"\x0a\x02\xc3\x28"):
        code = code_of(batch, content)
        assert code in ALLOWED, (code, content)


def check_other_services(daemon):
    """Health is asked by everybody; so is what nobody serves."""
    channel = daemon.channel()
    code = code_of(channel.unary_unary("/grpc.health.v1.Health/Check"),
                   field(USER_ID, b"\xff\xfe"))
    assert code in ALLOWED, code
    code = code_of(channel.unary_unary("/no.such.Service/Method"), b"\xff")
    assert code == grpc.StatusCode.UNIMPLEMENTED, code
    admin = daemon.channel("admin")
    for method in ("ListModelVersions", "LoadModelVersion"):
        code = code_of(
            admin.unary_unary(f"/neumf.v1.ModelService/{method}"), b"\xff")
        assert code in ALLOWED | {grpc.StatusCode.UNIMPLEMENTED}, code


def main():
    with trial.server() as (daemon, request):
        with trial.survived(daemon, request), grpc.insecure_channel(
                daemon.addresses["grpc"]) as channel:
            check_recommend(channel, request)
            check_batch(channel)
        check_other_services(daemon)


if __name__ == "__main__":
    main()
