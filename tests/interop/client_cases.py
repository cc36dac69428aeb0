"""What every client must meet, whoever wrote it.

    client_cases.run(PythonClient)

runs all of it with one kind of client: `connect(address, tls=None,
service_config=None, gzip=False)` makes one. What it lacks of SERVICE_CONFIG and
UNIX_SOCKETS is skipped.
"""

import json
import os
import tempfile
import time
import unittest

import integration  # noqa: F401

import grpc
import models
import oracle
from certificates import Authority
from clients import (BATCH_RECOMMEND, HEALTH_CHECK, HEALTH_WATCH, RECOMMEND,
                     SOURCE_DIR, WAIT_SECONDS, Tls)
from daemon import Daemon
from protos import details_pb, health_pb
from protos import recommendation_pb as pb

SERVICE_CONFIG = "service config"
UNIX_SOCKETS = "unix sockets"

# Of grpc-js and grpcio, for answers; the server's for requests is 1 MiB.
MOST_ANSWER_BYTES = 4 << 20
MOST_REQUEST_BYTES = 1 << 20
SERVICE = "neumf.v1.RecommendationService"
SERVING = health_pb.HealthCheckResponse.SERVING
NOT_SERVING = health_pb.HealthCheckResponse.NOT_SERVING


def small_model():
    return models.random_model(seed=1, users=20, items=50)


def request_of_size(user_id, size):
    """A request of so many bytes; what it excludes does not exist."""
    request = pb.RecommendRequest(user_id=user_id, k=1)
    framing = 2  # bytes of a text shorter than 128
    text = "x" * 120
    num_texts = (size - request.ByteSize()) // (len(text) + framing) - 1
    request.exclude_item_ids.extend([text] * num_texts)
    rest = size - request.ByteSize()
    request.exclude_item_ids.append("y" * (rest // 2 - framing))
    request.exclude_item_ids.append("y" * (rest - rest // 2 - framing))
    assert request.ByteSize() == size
    return request


class ClientCase(unittest.TestCase):
    """A folder of checkpoints, and clients of the kind that is tested."""

    connect = None  # by run()
    lacks = ()

    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.model = small_model()
        self.request = pb.RecommendRequest(user_id=self.model.user_ids[0])

    def serve(self, *flags):
        self.model.publish(self.directory, 1)
        return self.enterContext(Daemon(self.directory, *flags))

    def client_of(self, daemon, **how):
        return self.enterContext(
            type(self).connect(daemon.addresses["grpc"], **how))

    def answer(self, client, path, request, **how):
        messages, status = client.start(
            path, request, timeout=WAIT_SECONDS, **how).end()
        self.assertEqual(status.code, grpc.StatusCode.OK, status)
        message, = messages
        return message

    def failure(self, code, client, path, request, **how):
        """The Status."""
        how.setdefault("timeout", WAIT_SECONDS)
        status = client.start(path, request, **how).status()
        self.assertEqual(status.code, code, status)
        return status

    def calls(self, daemon, series, **labels):
        return daemon.metric(
            f"grpc_server_{series}_total", grpc_type="unary",
            grpc_service=SERVICE, grpc_method="Recommend", **labels)

    def need(self, feature):
        if feature in self.lacks:
            self.skipTest(f"this client knows no {feature}")


class AnswerTest(ClientCase):
    """One connection bears all of it."""

    @classmethod
    def setUpClass(cls):
        directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        small_model().publish(directory, 1)
        cls.daemon = cls.enterClassContext(Daemon(directory))
        cls.client = cls.enterClassContext(
            cls.connect(cls.daemon.addresses["grpc"]))

    def assert_right(self, response, user_row, k):
        self.assertEqual(response.model_version, "1")
        answered = [(item.item_id, item.score) for item in response.items]
        self.assertIsNone(oracle.explains(
            self.model.checkpoint, user_row, answered, k))

    def test_recommends(self):
        for row in (0, 7):
            request = pb.RecommendRequest(user_id=self.model.user_ids[row], k=5)
            self.assert_right(
                self.answer(self.client, RECOMMEND, request), row, k=5)

    def test_recommends_in_a_batch_that_fails_in_part(self):
        requests = [self.request, pb.RecommendRequest(user_id="nobody"),
                    pb.RecommendRequest(user_id=self.model.user_ids[3])]
        results = self.answer(
            self.client, BATCH_RECOMMEND,
            pb.BatchRecommendRequest(requests=requests)).results
        self.assertEqual(len(results), 3)
        self.assert_right(results[0].response, 0, k=10)
        self.assert_right(results[2].response, 3, k=10)
        error = results[1].error
        self.assertEqual(error.code, grpc.StatusCode.NOT_FOUND.value[0])
        info = details_pb.ErrorInfo()
        self.assertTrue(error.details[0].Unpack(info))
        self.assertEqual(info.reason, "UNKNOWN_USER")

    def test_says_why_a_user_gets_nothing(self):
        status = self.failure(grpc.StatusCode.NOT_FOUND, self.client, RECOMMEND,
                              pb.RecommendRequest(user_id="nobody"))
        self.assertIn("does not know this user", status.message)
        info = status.details["ErrorInfo"]
        self.assertEqual((info.reason, info.domain), ("UNKNOWN_USER", "neumf"))

    def test_names_the_fields_that_are_wrong(self):
        status = self.failure(grpc.StatusCode.INVALID_ARGUMENT, self.client,
                              RECOMMEND, pb.RecommendRequest(k=-1))
        fields = [violation.field for violation
                  in status.details["BadRequest"].field_violations]
        self.assertEqual(fields, ["user_id", "k"])

    def test_lacks_methods_and_services(self):
        for path in (f"/{SERVICE}/Guess", "/no.such.Service/Recommend"):
            self.failure(grpc.StatusCode.UNIMPLEMENTED, self.client, path,
                         self.request)

    def test_takes_a_request_up_to_its_limit(self):
        user_id = self.model.user_ids[0]
        fits = request_of_size(user_id, MOST_REQUEST_BYTES)
        self.assertEqual(
            len(self.answer(self.client, RECOMMEND, fits).items), 1)
        for size in (MOST_REQUEST_BYTES + 1, MOST_ANSWER_BYTES,
                     MOST_ANSWER_BYTES + 1):
            self.failure(grpc.StatusCode.RESOURCE_EXHAUSTED, self.client,
                         RECOMMEND, request_of_size(user_id, size))
        self.answer(self.client, RECOMMEND, self.request)

    def test_refuses_what_is_compressed(self):
        client = self.client_of(self.daemon, gzip=True)
        self.failure(grpc.StatusCode.UNIMPLEMENTED, client, RECOMMEND,
                     request_of_size(self.model.user_ids[0], 4096))

    def test_bears_metadata_of_others(self):
        self.answer(self.client, RECOMMEND, self.request, metadata=(
            ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01"),
            ("x-text", "x" * 4000), ("x-bytes-bin", bytes(range(256)))))

    def test_tells_its_health(self):
        for service in ("", SERVICE):
            request = health_pb.HealthCheckRequest(service=service)
            self.assertEqual(
                self.answer(self.client, HEALTH_CHECK, request).status, SERVING)
        self.failure(grpc.StatusCode.NOT_FOUND, self.client, HEALTH_CHECK,
                     health_pb.HealthCheckRequest(service="other"))

    def test_watches_what_may_come(self):
        watch = self.client.start(
            HEALTH_WATCH, health_pb.HealthCheckRequest(service="other"))
        self.assertEqual(watch.next().status,
                         health_pb.HealthCheckResponse.SERVICE_UNKNOWN)
        watch.cancel()
        self.assertEqual(watch.status().code, grpc.StatusCode.CANCELLED)

    def test_answers_by_the_service_config_that_we_recommend(self):
        self.need(SERVICE_CONFIG)
        with open(os.path.join(SOURCE_DIR, "deploy", "service_config.json"),
                  encoding="utf-8") as file:
            client = self.client_of(self.daemon, service_config=json.load(file))
        self.assert_right(
            self.answer(client, RECOMMEND, self.request), 0, k=10)


class LargestAnswerTest(ClientCase):

    def setUp(self):
        super().setUp()
        self.model = models.random_model(
            seed=2, users=1, items=1000, seen=False,
            item_ids=[f"{row:0256}" for row in range(1000)])
        self.request.user_id = self.model.user_ids[0]

    def batch(self, *ks):
        return pb.BatchRecommendRequest(requests=[
            pb.RecommendRequest(user_id=self.request.user_id, k=k) for k in ks])

    def test_fits_what_clients_take_by_default(self):
        client = self.client_of(self.serve())
        # An item takes 267 bytes on the wire: 4 MiB are 15,708 of them.
        answer = self.answer(
            client, BATCH_RECOMMEND, self.batch(*[1000] * 15, 640))
        self.assertEqual(sum(len(result.response.items)
                             for result in answer.results), 15_640)
        self.assertGreater(answer.ByteSize(), 0.99 * MOST_ANSWER_BYTES)
        status = self.failure(grpc.StatusCode.INVALID_ARGUMENT, client,
                              BATCH_RECOMMEND, self.batch(*[1000] * 15, 720))
        self.assertEqual(
            status.details["BadRequest"].field_violations[0].field, "requests")


class LeavingTest(ClientCase):

    def test_a_call_that_has_begun_is_cancelled(self):
        # The longest that a batch may wait for calls that fill it.
        daemon = self.serve("--max_queue_delay=10s")
        call = self.client_of(daemon).start(RECOMMEND, self.request)
        daemon.wait_until(lambda: daemon.metric("neumf_inflight_requests") == 1)
        call.cancel()
        self.assertEqual(call.status().code, grpc.StatusCode.CANCELLED)
        daemon.wait_until(
            lambda: self.calls(daemon, "handled", grpc_code="Canceled") == 1)
        daemon.wait_until(lambda: daemon.metric("neumf_inflight_requests") == 0)

    def test_a_deadline_passes_while_the_server_sleeps(self):
        daemon = self.serve()
        client = self.client_of(daemon)
        answer = self.answer(client, RECOMMEND, self.request)
        with daemon.suspended():
            self.failure(grpc.StatusCode.DEADLINE_EXCEEDED, client, RECOMMEND,
                         self.request, timeout=0.3)
        self.assertEqual(self.answer(client, RECOMMEND, self.request), answer)


class NotReadyTest(ClientCase):

    def setUp(self):
        super().setUp()
        self.daemon = self.enterContext(
            Daemon(self.directory, "--wait_for_checkpoint"))

    def test_says_when_to_come_back(self):
        status = self.failure(
            grpc.StatusCode.UNAVAILABLE, self.client_of(self.daemon), RECOMMEND,
            self.request)
        self.assertEqual(status.details["ErrorInfo"].reason, "NO_MODEL")
        delay = status.details["RetryInfo"].retry_delay.ToMilliseconds()
        self.assertGreater(delay, 0)
        self.assertEqual(status.trailers["grpc-retry-pushback-ms"], str(delay))

    def test_a_client_comes_back_when_told(self):
        self.need(SERVICE_CONFIG)
        client = self.client_of(self.daemon, service_config={"methodConfig": [{
            "name": [{"service": SERVICE}],
            # Of its own accord it would have given up at once.
            "retryPolicy": {
                "maxAttempts": 5, "initialBackoff": "0.001s",
                "maxBackoff": "0.001s", "backoffMultiplier": 1,
                "retryableStatusCodes": ["UNAVAILABLE"]}}]})
        started = time.monotonic()
        call = client.start(RECOMMEND, self.request, timeout=WAIT_SECONDS)
        self.daemon.wait_until(lambda: self.calls(
            self.daemon, "handled", grpc_code="Unavailable") >= 1)
        self.model.publish(self.directory, 1)
        self.assertEqual(call.next().model_version, "1")
        self.assertEqual(call.status().code, grpc.StatusCode.OK)
        self.assertGreaterEqual(time.monotonic() - started, 1)


class DrainTest(ClientCase):

    def test_calls_that_run_are_answered_and_watchers_are_told(self):
        daemon = self.serve("--max_queue_delay=2s")
        client = self.client_of(daemon)
        watch = client.start(
            HEALTH_WATCH, health_pb.HealthCheckRequest(service=SERVICE))
        self.assertEqual(watch.next().status, SERVING)
        call = client.start(RECOMMEND, self.request, timeout=WAIT_SECONDS)
        daemon.wait_until(lambda: self.calls(daemon, "started") == 1)
        daemon.stop()
        self.assertEqual(len(call.next().items), 10)
        self.assertEqual(call.status().code, grpc.StatusCode.OK)
        self.assertEqual(watch.next().status, NOT_SERVING)
        self.assertEqual(watch.status().code, grpc.StatusCode.UNAVAILABLE)
        self.failure(
            grpc.StatusCode.UNAVAILABLE, client, RECOMMEND, self.request)

    def test_a_client_finds_the_next_server_by_itself(self):
        self.need(UNIX_SOCKETS)
        place = f"--listen=unix:{self.directory}/socket"
        first = self.serve(place)
        client = self.client_of(first)
        answer = self.answer(client, RECOMMEND, self.request)
        first.stop()
        second = self.serve(place)
        # Until it has tried again it says UNAVAILABLE.
        messages, _ = second.wait_until(lambda: self.unless_unavailable(
            client.start(RECOMMEND, self.request, WAIT_SECONDS).end()))
        self.assertEqual(messages, [answer])

    def unless_unavailable(self, end):
        _, status = end
        return end if status.code != grpc.StatusCode.UNAVAILABLE else None


class IdentityTest(ClientCase):

    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.ca = Authority(self.folder, "ca")
        self.clients = Authority(self.folder, "clients")
        server = self.ca.issue("server", "DNS:localhost,IP:127.0.0.1")
        callers = os.path.join(self.folder, "callers")
        with open(callers, "w", encoding="utf-8") as file:
            # The hash of "token".
            file.write("sha256:3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457"
                       "465a40b0da4153e0 shop recommend\n")
        self.daemon = self.serve(
            f"--tls_cert={server.cert}", f"--tls_key={server.key}",
            f"--tls_client_ca={self.clients.cert}",
            f"--auth_tokens_file={callers}")

    def shown(self, authority):
        return Tls(self.ca.cert, *authority.issue("caller", "DNS:caller"))

    def test_a_certificate_and_a_token_open_the_door(self):
        client = self.client_of(self.daemon, tls=self.shown(self.clients))
        self.answer(client, RECOMMEND, self.request,
                    metadata=(("authorization", "Bearer token"),))
        status = self.failure(
            grpc.StatusCode.UNAUTHENTICATED, client, RECOMMEND, self.request,
            metadata=(("authorization", "Bearer other"),))
        self.assertEqual(status.details["ErrorInfo"].reason, "UNKNOWN_TOKEN")

    def test_nobody_enters_without_a_certificate_of_the_ca(self):
        stranger = Authority(self.folder, "stranger")
        for tls in (Tls(self.ca.cert), self.shown(stranger)):
            client = self.client_of(self.daemon, tls=tls)
            status = client.start(RECOMMEND, self.request, WAIT_SECONDS).status()
            self.assertNotEqual(status.code, grpc.StatusCode.OK)
        self.assertEqual(self.calls(self.daemon, "started"), 0)


def run(connect, lacks=()):
    ClientCase.connect = connect
    ClientCase.lacks = lacks
    unittest.main(module=__name__)
