"""The generated messages and stubs under short names, and error details."""

import paths  # noqa: F401

from google.rpc import error_details_pb2 as details_pb
from google.rpc import status_pb2 as status_pb
from grpc.health.v1 import health_pb2 as health_pb
from grpc.health.v1 import health_pb2_grpc as health_grpc
from grpc.reflection.v1 import reflection_pb2 as reflection_pb
from neumf.v1 import model_service_pb2 as model_pb
from neumf.v1 import model_service_pb2_grpc as model_grpc
from neumf.v1 import recommendation_service_pb2 as recommendation_pb
from neumf.v1 import recommendation_service_pb2_grpc as recommendation_grpc

__all__ = [
    "details_pb",
    "error_details",
    "health_grpc",
    "health_pb",
    "model_grpc",
    "model_pb",
    "recommendation_grpc",
    "recommendation_pb",
    "reflection_pb",
]


def error_details(error):
    """The google.rpc details of a failed call, by the name of their type.

    Checks that the status they come with is the status of the call.
    """
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb.Status.FromString(
        trailers.get("grpc-status-details-bin", b"")
    )
    if status.code:
        assert status.code == error.code().value[0], (status, error)
        assert status.message == error.details(), (status, error)
    details = {}
    for packed in status.details:
        name = packed.type_url.rsplit(".", 1)[1]
        message = getattr(details_pb, name)()
        assert packed.Unpack(message), packed.type_url
        details[name] = message
    return details
