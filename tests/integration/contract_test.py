"""What callers and operators may rely on, bad input and bad files included."""

import subprocess
import sys
import tempfile
import unittest

import paths  # noqa: F401

import grpc
import models
import numpy as np
from daemon import Daemon, neumfctl
from google.protobuf import json_format
from promtool import find_promtool
from protos import error_details, model_pb
from protos import recommendation_pb as pb

SERVICE = "neumf.v1.RecommendationService"
TIMEOUT = 20

# Go's names, as the usual dashboards expect them.
GRPC_CODES = [
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded",
    "NotFound", "AlreadyExists", "PermissionDenied", "ResourceExhausted",
    "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal",
    "Unavailable", "DataLoss", "Unauthenticated"]


def handled(method, code):
    """Name and labels of a series, as Daemon.metric() takes them."""
    return {
        "name": "grpc_server_handled_total",
        "grpc_type": "unary",
        "grpc_service": SERVICE,
        "grpc_method": method,
        "grpc_code": code,
    }


class ServingCase(unittest.TestCase):
    """A server with a small model, started once for all tests of a class."""

    @classmethod
    def setUpClass(cls):
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.model = models.random_model(seed=1, users=20, items=50)
        cls.model.publish(cls.directory, 1)
        cls.daemon = cls.enterClassContext(Daemon(cls.directory))
        cls.stub = cls.daemon.recommendations()

    def recommend(self, **fields):
        return self.stub.Recommend(pb.RecommendRequest(**fields),
                                   timeout=TIMEOUT)

    def reloads(self, result):
        return self.daemon.metric("neumf_reload_total", result=result)

    def assert_fails(self, code, call):
        """Returns the grpc.RpcError with which `call()` fails."""
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        self.assertEqual(caught.exception.code(), code,
                         caught.exception.details())
        return caught.exception

    def assert_bad_field(self, field, call):
        error = self.assert_fails(grpc.StatusCode.INVALID_ARGUMENT, call)
        violations = error_details(error)["BadRequest"].field_violations
        self.assertIn(field, [violation.field for violation in violations])


class BadRequestTest(ServingCase):

    def test_names_the_field_that_is_wrong(self):
        user = self.model.user_ids[0]
        cases = [
            ("user_id", {}),
            ("user_id", {"user_id": "x" * 257}),
            ("user_id", {"user_id": "\U0001F600" * 65}),
            ("k", {"user_id": user, "k": -1}),
            ("k", {"user_id": user, "k": 1001}),
            ("k", {"user_id": user, "k": -2**31}),
            ("exclude_item_ids[1]",
             {"user_id": user, "exclude_item_ids": ["a", ""]}),
            ("exclude_item_ids[0]",
             {"user_id": user, "exclude_item_ids": ["x" * 257]}),
            ("exclude_item_ids",
             {"user_id": user, "exclude_item_ids": ["a"] * 10_001}),
            ("seen_policy", {"user_id": user, "seen_policy": 9}),
            ("unknown_user_policy",
             {"user_id": user, "unknown_user_policy": -1}),
            ("model", {"user_id": user, "model": "other"}),
        ]
        for field, fields in cases:
            with self.subTest(field=field, fields=str(fields)[:80]):
                self.assert_bad_field(field, lambda f=fields:
                                      self.recommend(**f))

    def test_names_every_wrong_field(self):
        error = self.assert_fails(
            grpc.StatusCode.INVALID_ARGUMENT,
            lambda: self.recommend(user_id="", k=-1))
        fields = {violation.field for violation in
                  error_details(error)["BadRequest"].field_violations}
        self.assertEqual(fields, {"user_id", "k"})

    def call_with_bytes(self, method, request):
        call = self.daemon.channel().unary_unary(f"/{SERVICE}/{method}")
        return call(request, timeout=TIMEOUT)

    def test_names_the_text_that_is_not_utf8(self):
        self.assert_bad_field("user_id", lambda: self.call_with_bytes(
            "Recommend", b"\x0a\x02\xff\xfe"))
        self.assert_bad_field("exclude_item_ids[1]",
                              lambda: self.call_with_bytes(
                                  "Recommend",
                                  b"\x0a\x01a\x1a\x01b\x1a\x02\xc3\x28"))

    def test_refuses_bytes_that_are_no_message(self):
        for method in ("Recommend", "BatchRecommend"):
            for request in (b"\xff\xff\xff", b"\x0a\x7f", b"\x0a"):
                with self.subTest(method=method, request=request):
                    self.assert_fails(
                        grpc.StatusCode.INVALID_ARGUMENT,
                        lambda m=method, r=request: self.call_with_bytes(m, r))

    def test_skips_fields_that_it_does_not_know(self):
        known = pb.RecommendRequest(user_id=self.model.user_ids[0], k=3)
        unknown = b"\xfa\x07\x03new"  # field 127, 3 bytes
        response = pb.RecommendResponse.FromString(self.call_with_bytes(
            "Recommend", known.SerializeToString() + unknown))
        self.assertEqual(len(response.items), 3)

    def test_does_not_know_other_methods(self):
        error = self.assert_fails(grpc.StatusCode.UNIMPLEMENTED,
                                  lambda: self.call_with_bytes("Guess", b""))
        self.assertEqual(error_details(error)["ErrorInfo"].reason,
                         "UNIMPLEMENTED")
        labels = {"grpc_type": "unary", "grpc_service": "unknown",
                  "grpc_method": "unknown", "grpc_code": "Unimplemented"}
        self.daemon.wait_until(lambda: self.daemon.metric(
            "grpc_server_handled_total", **labels) == 1)


class UserTest(ServingCase):

    def test_does_not_know_every_user(self):
        for user in ("nobody", "x" * 256, "a\0b", "\U0001F600"):
            with self.subTest(user=user[:8]):
                error = self.assert_fails(
                    grpc.StatusCode.NOT_FOUND,
                    lambda u=user: self.recommend(user_id=u))
                info = error_details(error)["ErrorInfo"]
                self.assertEqual((info.reason, info.domain),
                                 ("UNKNOWN_USER", "neumf"))

    def test_falls_back_to_popular_items(self):
        popularity = self.model.tensors["item.popularity"]
        order = np.argsort(-popularity, kind="stable")
        best = [self.model.item_ids[row] for row in order]
        response = self.recommend(
            user_id="nobody", k=5, exclude_item_ids=[best[1]],
            unknown_user_policy=pb.UNKNOWN_USER_POLICY_POPULAR)
        self.assertEqual([item.item_id for item in response.items],
                         best[:1] + best[2:6])
        self.assertEqual(response.served_from, pb.SERVED_FROM_POPULAR)
        self.assertEqual(response.candidate_count, len(best) - 1)
        self.assertEqual(response.items[0].score, popularity[order[0]])

    def test_serves_known_users_from_the_model_under_either_policy(self):
        user = self.model.user_ids[0]
        with_fallback = self.recommend(
            user_id=user, unknown_user_policy=pb.UNKNOWN_USER_POLICY_POPULAR)
        self.assertEqual(with_fallback, self.recommend(user_id=user))
        self.assertEqual(with_fallback.served_from, pb.SERVED_FROM_MODEL)
        self.assertEqual(with_fallback.model_version, "1")

    def test_gives_ten_items_when_not_told_how_many(self):
        response = self.recommend(user_id=self.model.user_ids[0])
        self.assertEqual(len(response.items), 10)

    def test_says_why_an_answer_is_short(self):
        user = self.model.user_ids[0]
        response = self.recommend(
            user_id=user, exclude_item_ids=self.model.item_ids)
        self.assertEqual(len(response.items), 0)
        self.assertEqual(response.candidate_count, 0)
        self.assertEqual(response.shortfall_reason,
                         pb.SHORTFALL_REASON_ELIGIBLE_ITEMS)


class BatchTest(ServingCase):

    def batch(self, requests):
        return self.stub.BatchRecommend(
            pb.BatchRecommendRequest(requests=requests), timeout=TIMEOUT)

    def test_refuses_none_and_too_many_requests(self):
        request = pb.RecommendRequest(user_id=self.model.user_ids[0], k=1)
        self.assert_bad_field("requests", lambda: self.batch([]))
        self.assert_bad_field("requests", lambda: self.batch([request] * 1001))
        self.assertEqual(len(self.batch([request] * 1000).results), 1000)

    def test_lets_each_request_fail_on_its_own(self):
        user = self.model.user_ids[0]
        good = pb.RecommendRequest(user_id=user)
        results = self.batch([
            good, pb.RecommendRequest(user_id=user, k=-1),
            pb.RecommendRequest(user_id="nobody"), good]).results
        self.assertEqual([result.error.code for result in results],
                         [0, grpc.StatusCode.INVALID_ARGUMENT.value[0],
                          grpc.StatusCode.NOT_FOUND.value[0], 0])
        single = self.stub.Recommend(good, timeout=TIMEOUT)
        self.assertEqual(results[0].response, single)
        self.assertEqual(results[3].response, single)
        self.assertIn("requests[1].k", str(results[1].error.message))
        self.assertTrue(results[2].error.details[0].type_url.startswith(
            "type.googleapis.com/google.rpc."))


class MetricsTest(ServingCase):

    def test_counts_every_call_by_its_code(self):
        calls = [("OK", {"user_id": self.model.user_ids[0]}),
                 ("InvalidArgument", {"user_id": ""}),
                 ("NotFound", {"user_id": "nobody"})]
        for code, fields in calls:
            with self.subTest(code=code):
                series = handled("Recommend", code)
                before = self.daemon.metric(**series)
                for _ in range(3):
                    try:
                        self.recommend(**fields)
                    except grpc.RpcError:
                        pass
                self.daemon.wait_until(
                    lambda: self.daemon.metric(**series) == before + 3)

    def test_has_every_method_and_code_from_the_start(self):
        for method in ("Recommend", "BatchRecommend"):
            for code in GRPC_CODES:
                with self.subTest(method=method, code=code):
                    self.assertIsNotNone(
                        self.daemon.metric(**handled(method, code)))

    def test_shows_what_is_served(self):
        text = self.daemon.metrics_text()
        self.assertRegex(text, r'neumf_model_info{[^}]*version="1"[^}]*} 1\n')
        self.assertEqual(self.daemon.metric("neumf_catalog_items"), 50)
        self.assertEqual(self.daemon.metric("neumf_known_users"), 20)
        self.assertEqual(self.reloads("ok"), 1)
        for start in ("neumf_build_info{", "process_cpu_seconds_total ",
                      "grpc_server_handling_seconds_bucket{",
                      "neumf_stage_duration_seconds_bucket{"):
            self.assertIn(f"\n{start}", text)

    def test_never_shows_whom_it_serves(self):
        user = self.model.user_ids[0]
        self.recommend(user_id=user)
        self.assertNotIn(user, self.daemon.metrics_text())

    def test_passes_promtool(self):
        promtool = find_promtool()
        if promtool is None:
            self.skipTest("no promtool in NEUMF_PROMTOOL, on PATH or in "
                          "build/tools; scripts/setup fetches one")
        check = subprocess.run(
            [promtool, "check", "metrics"], check=False, capture_output=True,
            input=self.daemon.metrics_text().encode())
        self.assertEqual((check.returncode, check.stdout, check.stderr),
                         (0, b"", b""))


class NeumfctlTest(ServingCase):

    def run_with_listener(self, listener, *arguments):
        result = neumfctl(*arguments, self.daemon.addresses[listener])
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def test_asks_the_server(self):
        user = self.model.user_ids[0]
        text = self.run_with_listener(
            "grpc", "recommend", "--user", user, "-k", "3", "--json",
            "--server")
        self.assertEqual(
            json_format.Parse(text, pb.RecommendResponse()),
            self.recommend(user_id=user, k=3))

    def test_checks_its_health(self):
        self.assertEqual(
            self.run_with_listener("grpc", "health", "--server"), "SERVING\n")

    def test_lists_its_versions(self):
        self.assertRegex(
            self.run_with_listener("admin", "versions", "--admin"),
            r"(?m)^ +1  SERVING ")

    def test_passes_on_what_the_server_refuses(self):
        result = neumfctl("recommend", "--user", "nobody", "--server",
                          self.daemon.addresses["grpc"])
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertRegex(result.stderr, r"\ANOT_FOUND: .*\n\Z")


class ReflectionTest(ServingCase):

    def test_lists_the_services(self):
        # v1alpha asked without generated code: field 7, list_services: "*".
        call = self.daemon.channel().stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        reply = next(call(iter([b"\x3a\x01*"]), timeout=TIMEOUT))
        self.assertIn(SERVICE.encode(), reply)
        self.assertIn(b"grpc.health.v1.Health", reply)
        self.assertNotIn(b"neumf.v1.ModelService", reply)


class HostileCheckpointTest(ServingCase):

    def hostile_files(self):
        """Contents that must not be served, with a word of the reason."""
        good = models.random_model(seed=2)
        content = good.file_bytes()
        middle = len(content) // 2
        with_nan = models.random_model(seed=2)
        with_nan.tensors["item.gmf"][3, 1] = np.nan
        return {
            "empty": (b"", ""),
            "half a length": (content[:4], ""),
            "truncated": (content[:-1], ""),
            "cut in half": (content[:middle], ""),
            "flipped": (content[:-1] + bytes([content[-1] ^ 1]), "sha-256"),
            "longer": (content + b"\0", ""),
            "not a number": (with_nan.file_bytes(), "item.gmf"),
            "foreign": (models.foreign_file_bytes(), ""),
            "text": (b'{"this is": "no checkpoint"}', ""),
        }

    def test_keeps_serving_while_it_refuses_them(self):
        user = self.model.user_ids[0]
        answer = self.recommend(user_id=user)
        files = self.hostile_files()
        for version, (name, (content, word)) in enumerate(files.items(), 2):
            with self.subTest(file=name):
                before = self.reloads("corrupt")
                models.publish_bytes(self.directory, version, content)
                self.daemon.wait_until(
                    lambda b=before: self.reloads("corrupt") == b + 1)
                refusal = self.daemon.wait_until(
                    lambda v=version: self.refusal_of(v))
                self.assertTrue(refusal["reason"])
                self.assertIn(word, refusal["reason"].lower())
                self.assertEqual(self.recommend(user_id=user), answer)
        self.check_versions(len(files))
        self.check_next_good_version(len(files) + 2)

    def refusal_of(self, version):
        refusals = [event for event in self.daemon.events("checkpoint_refused")
                    if event["version"] == str(version)]
        self.assertLessEqual(len(refusals), 1, "logged more than once")
        return refusals[0] if refusals else None

    def check_versions(self, num_refused):
        versions = self.daemon.models().ListModelVersions(
            model_pb.ListModelVersionsRequest(), timeout=TIMEOUT).versions
        refused = [version for version in versions
                   if version.state == model_pb.MODEL_STATE_REFUSED]
        self.assertEqual(len(refused), num_refused)
        self.assertTrue(all(version.reason for version in refused))
        serving = [version.version for version in versions
                   if version.state == model_pb.MODEL_STATE_SERVING]
        self.assertEqual(serving, ["1"])

    def check_next_good_version(self, version):
        self.model.publish(self.directory, version)
        self.daemon.wait_until(
            lambda: self.recommend(user_id=self.model.user_ids[0])
            .model_version == str(version))


class ProbeTest(ServingCase):

    def test_refuses_rows_that_lie_about_their_names(self):
        model = models.random_model(seed=3)
        probes = model.probes(num_users=2, k=5)
        best, fifth = (probes[0]["items"][rank]["item_id"] for rank in (0, 4))
        swapped = {best: fifth, fifth: best}
        model.rename_items([swapped.get(name, name) for name in model.item_ids])
        model.publish(self.directory, 2, probes=probes)
        self.daemon.wait_until(lambda: self.reloads("probe_failed") == 1)
        response = self.recommend(user_id=self.model.user_ids[0])
        self.assertEqual(response.model_version, "1")

    def test_serves_what_passes_its_probes(self):
        model = models.random_model(seed=3)
        model.publish(self.directory, 5,
                      probes=model.probes(num_users=5, k=10))
        self.daemon.wait_until(
            lambda: self.recommend(user_id=model.user_ids[0])
            .model_version == "5")


if __name__ == "__main__":
    sys.exit(unittest.main())
