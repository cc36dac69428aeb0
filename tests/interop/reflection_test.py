"""What the server tells of itself is what its .proto files say."""

import sys
import tempfile
import unittest

import integration  # noqa: F401

import grpc
import models
from clients import WAIT_SECONDS
from daemon import Daemon
from google.protobuf import descriptor_pb2
from protos import details_pb, health_pb, model_pb, reflection_pb, status_pb
from protos import recommendation_pb as pb

VERSIONS = ("v1", "v1alpha")


class ReflectionTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        models.random_model(seed=1).publish(directory, 1)
        cls.daemon = cls.enterClassContext(Daemon(directory))

    def ask(self, listener="grpc", version="v1", **question):
        """The messages of all versions are the same on the wire."""
        request = reflection_pb.ServerReflectionRequest(**question)
        call = self.daemon.channel(listener).stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            type(request).SerializeToString,
            reflection_pb.ServerReflectionResponse.FromString)
        return next(call(iter([request]), timeout=WAIT_SECONDS))

    def services(self, listener, version):
        answer = self.ask(listener, version, list_services="*")
        return {service.name for service in answer.list_services_response.service}

    def assert_tells(self, symbol, file, listener="grpc"):
        """`file` is the descriptor that was generated of the .proto file."""
        answer = self.ask(listener, file_containing_symbol=symbol)
        files = map(descriptor_pb2.FileDescriptorProto.FromString,
                    answer.file_descriptor_response.file_descriptor_proto)
        expected = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(expected)
        self.assertEqual(
            {told.name: told for told in files}[file.name], expected)

    def test_each_listener_lists_its_services(self):
        common = {"grpc.health.v1.Health",
                  *(f"grpc.reflection.{version}.ServerReflection"
                    for version in VERSIONS)}
        for version in VERSIONS:
            self.assertEqual(self.services("grpc", version),
                             common | {"neumf.v1.RecommendationService"})
            self.assertEqual(self.services("admin", version),
                             common | {"neumf.v1.ModelService"})

    def test_tells_services_and_what_they_use(self):
        service = "neumf.v1.RecommendationService"
        self.assert_tells(service, pb.DESCRIPTOR)
        self.assert_tells(service, status_pb.DESCRIPTOR)
        self.assert_tells("grpc.health.v1.Health", health_pb.DESCRIPTOR)
        self.assert_tells("neumf.v1.ModelService", model_pb.DESCRIPTOR, "admin")

    def test_tells_every_service_that_it_lists(self):
        for listener in ("grpc", "admin"):
            for service in self.services(listener, "v1"):
                answer = self.ask(listener, file_containing_symbol=service)
                self.assertFalse(answer.HasField("error_response"), service)

    def test_tells_the_details_of_errors(self):
        self.assert_tells("google.rpc.RetryInfo", details_pb.DESCRIPTOR)

    def test_says_what_it_does_not_know(self):
        answer = self.ask(file_containing_symbol="no.such.Service")
        self.assertEqual(answer.error_response.error_code,
                         grpc.StatusCode.NOT_FOUND.value[0])


if __name__ == "__main__":
    sys.exit(unittest.main())
