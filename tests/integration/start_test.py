"""How a server starts: with a model, until there is one, and not at all."""

import os
import subprocess
import sys
import tempfile
import unittest

import paths  # noqa: F401

import grpc
import models
from daemon import Daemon
from protos import error_details, health_grpc, health_pb
from protos import recommendation_pb as pb

SERVICE = "neumf.v1.RecommendationService"
TIMEOUT = 20

# No machine has so many.
NO_SUCH_GPU = "--cuda_device=1023"


class StartTest(unittest.TestCase):

    def run_server(self, *flags):
        program = os.path.join(os.environ["NEUMF_BIN_DIR"], "neumf-server")
        return subprocess.run(
            [program, "--listen=127.0.0.1:0", "--metrics_listen=127.0.0.1:0",
             *flags], check=False, capture_output=True, text=True, timeout=60)

    def test_ends_with_2_when_there_is_nothing_to_serve(self):
        with tempfile.TemporaryDirectory() as directory:
            models.publish_bytes(directory, 1, b"junk")
            result = self.run_server(f"--checkpoint_dir={directory}")
        self.assertEqual(result.returncode, 2, result.stderr)

    def test_ends_with_1_without_the_gpu_that_is_asked_for(self):
        with tempfile.TemporaryDirectory() as directory:
            models.random_model(seed=1).publish(directory, 1)
            result = self.run_server(
                f"--checkpoint_dir={directory}", "--device=cuda", NO_SUCH_GPU)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(
            result.stderr,
            r"\Aneumf-server: --device=cuda: .+; --device=auto scores on the "
            r"CPU where there is no GPU\n\Z")

    def test_serves_from_the_cpu_without_a_gpu_and_says_why(self):
        model = models.random_model(seed=1)
        with tempfile.TemporaryDirectory() as directory:
            model.publish(directory, 1)
            with Daemon(directory, "--device=auto", NO_SUCH_GPU) as daemon:
                answer = daemon.recommendations().Recommend(
                    pb.RecommendRequest(user_id=model.user_ids[0]),
                    timeout=TIMEOUT)
                (serving,) = daemon.wait_until(
                    lambda: daemon.events("checkpoint_serving"))
                (choice,) = daemon.events("device_chosen")
                gpu_series = [name for name, _ in daemon.metrics()
                              if name.startswith("neumf_gpu_")]
        self.assertEqual(answer.served_from, pb.SERVED_FROM_MODEL)
        self.assertEqual(choice["device"], "cpu")
        self.assertIn("CUDA", choice["reason"])
        self.assertRegex(serving["scorer"], "^(cpu|reference)")
        self.assertEqual(gpu_series, [])

    def test_ends_with_1_on_a_bad_configuration(self):
        for flags in (["--no_such_flag=1"], [],
                      ["--checkpoint_dir=.", "--max_k=-1"],
                      ["--checkpoint_dir=.", "--listen=nowhere"]):
            with self.subTest(flags=flags):
                result = self.run_server(*flags)
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertTrue(result.stderr.strip())


class HealthTest(unittest.TestCase):

    def test_says_serving_only_when_there_is_a_model(self):
        with tempfile.TemporaryDirectory() as directory:
            with Daemon(directory, "--wait_for_checkpoint") as daemon:
                self.check_not_serving(daemon)
                watch = health_grpc.HealthStub(daemon.channel()).Watch(
                    health_pb.HealthCheckRequest(service=SERVICE),
                    timeout=TIMEOUT)
                states = (health_pb.HealthCheckResponse.ServingStatus.Name(
                    reply.status) for reply in watch)
                self.assertEqual(next(states), "NOT_SERVING")

                model = models.random_model(seed=1)
                model.publish(directory, 1)

                self.assertEqual(next(states), "SERVING")
                watch.cancel()
                self.assertEqual(daemon.health(), "SERVING")
                self.assertEqual(daemon.health(SERVICE), "SERVING")
                response = daemon.recommendations().Recommend(
                    pb.RecommendRequest(user_id=model.user_ids[0]),
                    timeout=TIMEOUT)
                self.assertEqual(response.model_version, "1")

    def check_not_serving(self, daemon):
        self.assertEqual(daemon.health(), "NOT_SERVING")
        self.assertEqual(daemon.health(SERVICE), "NOT_SERVING")
        with self.assertRaises(grpc.RpcError) as caught:
            daemon.health("unknown")
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)
        with self.assertRaises(grpc.RpcError) as caught:
            daemon.recommendations().Recommend(
                pb.RecommendRequest(user_id="a"), timeout=TIMEOUT)
        error = caught.exception
        self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
        details = error_details(error)
        self.assertEqual(details["ErrorInfo"].reason, "NO_MODEL")
        self.assertGreater(details["RetryInfo"].retry_delay.ToNanoseconds(), 0)
        self.assertGreater(
            int(dict(error.trailing_metadata())["grpc-retry-pushback-ms"]), 0)


if __name__ == "__main__":
    sys.exit(unittest.main())
