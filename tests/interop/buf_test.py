"""npm's buf: reads the .proto files, and calls a server that it only knows by
reflection."""

import base64
import json
import os
import subprocess
import sys
import tempfile
import unittest

import integration  # noqa: F401

import models
from clients import MODULES_DIR, RECOMMEND, SOURCE_DIR, WAIT_SECONDS
from daemon import Daemon
from google.protobuf import json_format
from protos import details_pb
from protos import recommendation_pb as pb
from tools import need_node

BUF = os.path.join(MODULES_DIR, ".bin", "buf")
PROTO_DIR = os.path.join(SOURCE_DIR, "proto")
# buf's exit code is 8 times the code of gRPC.
INVALID_ARGUMENT = 3 * 8


def buf(*arguments):
    return subprocess.run([BUF, *arguments], check=False, capture_output=True,
                          text=True, timeout=WAIT_SECONDS)


class ProtoTest(unittest.TestCase):

    def test_passes_lint(self):
        result = buf("lint", PROTO_DIR)
        self.assertEqual((result.returncode, result.stdout, result.stderr),
                         (0, "", ""))

    def test_breaks_nobody_who_uses_the_last_release(self):
        tag = subprocess.run(
            ["git", "-C", SOURCE_DIR, "describe", "--tags", "--abbrev=0"],
            check=False, capture_output=True, text=True).stdout.strip()
        if not tag:
            self.skipTest("there is no release to compare with")
        result = buf("breaking", PROTO_DIR, "--against",
                     f"{SOURCE_DIR}/.git#tag={tag},subdir=proto")
        self.assertEqual((result.returncode, result.stdout), (0, ""),
                         result.stderr)


class CurlTest(unittest.TestCase):

    def setUp(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        models.random_model(seed=1).publish(directory, 1)
        self.daemon = self.enterContext(Daemon(directory))
        self.url = f'http://{self.daemon.addresses["grpc"]}'

    def curl(self, *arguments, protocol="grpc"):
        return buf("curl", f"--protocol={protocol}", *arguments)

    def test_finds_the_methods(self):
        result = self.curl("--list-methods", self.url)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(set(result.stdout.split()), {
            "neumf.v1.RecommendationService/Recommend",
            "neumf.v1.RecommendationService/BatchRecommend",
            "grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch",
            "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"})

    def test_calls_what_it_found(self):
        result = self.curl("--data", '{"userId": "user-0", "k": 3}',
                           self.url + RECOMMEND)
        self.assertEqual(result.returncode, 0, result.stderr)
        expected = self.daemon.recommendations().Recommend(
            pb.RecommendRequest(user_id="user-0", k=3), timeout=WAIT_SECONDS)
        self.assertEqual(
            json_format.Parse(result.stdout, pb.RecommendResponse()), expected)

    def test_shows_what_is_wrong(self):
        result = self.curl("--data", '{"k": -1}', self.url + RECOMMEND)
        self.assertEqual(result.returncode, INVALID_ARGUMENT, result.stderr)
        error = json.loads(result.stderr)
        self.assertEqual(error["code"], "invalid_argument")
        detail = error["details"][0]
        self.assertEqual(detail["type"], "google.rpc.BadRequest")
        violations = details_pb.BadRequest.FromString(
            base64.b64decode(detail["value"] + "==")).field_violations
        self.assertEqual([violation.field for violation in violations],
                         ["user_id", "k"])

    def test_is_refused_when_it_speaks_another_protocol(self):
        # At its first call, which is for reflection.
        for protocol in ("connect", "grpcweb"):
            call = ("--data", '{"userId": "user-0"}', self.url + RECOMMEND)
            self.assertNotEqual(self.curl(*call, protocol=protocol).returncode, 0)
            self.assertEqual(self.curl(*call).returncode, 0)


if __name__ == "__main__":
    need_node("@bufbuild/buf")
    sys.exit(unittest.main())
