"""What the server tells of itself is what its .proto files say."""

import os
import subprocess
import sys
import tempfile
import unittest

import integration  # noqa: F401

import grpc
import models
from clients import PROTO_DIRS, WAIT_SECONDS
from daemon import Daemon
from google.protobuf import descriptor_pb2
from protos import details_pb, health_pb, model_pb, status_pb
from protos import recommendation_pb as pb

METHOD = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def reflection_messages(folder):
    """The module of the reflection service, generated into `folder`."""
    subprocess.run(
        ["protoc", *(f"-I{place}" for place in PROTO_DIRS),
         f"--python_out={folder}", "grpc/reflection/v1alpha/reflection.proto"],
        check=True)
    grpc.__path__.append(os.path.join(folder, "grpc"))
    # pylint: disable-next=import-outside-toplevel,import-error
    from grpc.reflection.v1alpha import reflection_pb2
    return reflection_pb2


class ReflectionTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.messages = reflection_messages(folder)
        directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        models.random_model(seed=1).publish(directory, 1)
        cls.daemon = cls.enterClassContext(Daemon(directory))

    def ask(self, listener="grpc", **question):
        request = self.messages.ServerReflectionRequest(**question)
        call = self.daemon.channel(listener).stream_stream(
            METHOD, type(request).SerializeToString,
            self.messages.ServerReflectionResponse.FromString)
        return next(call(iter([request]), timeout=WAIT_SECONDS))

    def services(self, listener):
        answer = self.ask(listener, list_services="*")
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
                  "grpc.reflection.v1alpha.ServerReflection"}
        self.assertEqual(self.services("grpc"),
                         common | {"neumf.v1.RecommendationService"})
        self.assertEqual(self.services("admin"),
                         common | {"neumf.v1.ModelService"})

    def test_tells_services_and_what_they_use(self):
        service = "neumf.v1.RecommendationService"
        self.assert_tells(service, pb.DESCRIPTOR)
        self.assert_tells(service, status_pb.DESCRIPTOR)
        self.assert_tells("grpc.health.v1.Health", health_pb.DESCRIPTOR)
        self.assert_tells("neumf.v1.ModelService", model_pb.DESCRIPTOR, "admin")

    def test_tells_the_details_of_errors(self):
        self.assert_tells("google.rpc.RetryInfo", details_pb.DESCRIPTOR)

    def test_says_what_it_does_not_know(self):
        answer = self.ask(file_containing_symbol="no.such.Service")
        self.assertEqual(answer.error_response.error_code,
                         grpc.StatusCode.NOT_FOUND.value[0])


if __name__ == "__main__":
    sys.exit(unittest.main())
