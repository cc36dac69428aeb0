"""A real Prometheus scrapes real servers, and its alerts fire."""

import json
import os
import pathlib
import sys
import tempfile
import time
import unittest

import paths  # noqa: F401

import grpc
import models
from certificates import Authority, read, replace
from daemon import Daemon
from prometheus_server import PrometheusServer
from promtool import find_prometheus
from protos import recommendation_grpc
from protos import recommendation_pb as pb

DASHBOARD = pathlib.Path(os.environ["NEUMF_SOURCE_DIR"],
                         "deploy/grafana/dashboards/neumf.json")
# What Grafana puts in place of these.
VARIABLES = {"$job": "neumf", "$instance": ".+", "$__rate_interval": "1m"}
TIMEOUT = 20
NUM_CALLS = 50
USERS_A_CALL = 20
LONG_AGO = "2020-01-01T00:00:00Z"
# Promtool alone has these: they take a GPU, a server that hangs and answers
# scrapes, or a machine that is slow by itself.
ONLY_SIMULATED = {"NeumfDeviceErrors", "NeumfIsStuck",
                  "NeumfLatencyBudgetBurnsFast", "NeumfLatencyBudgetBurnsSlow"}


def now_rfc3339():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class PrometheusTest(unittest.TestCase):
    """One server is well. All that can go wrong goes wrong with the other."""

    @classmethod
    def setUpClass(cls):
        cls.model = models.random_model(seed=1)
        directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.model.publish(directory, 1, created_at=now_rfc3339())
        cls.healthy = cls.enterClassContext(Daemon(directory))
        cls.start_sick()
        cls.healthy_stub = cls.healthy.recommendations()
        cls.healthy_target = cls.healthy.addresses["metrics"]
        cls.sick_target = cls.sick.addresses["metrics"]
        cls.prometheus = cls.enterClassContext(
            PrometheusServer([cls.healthy_target, cls.sick_target]))
        cls.prometheus.wait_until(
            lambda: cls.prometheus.query("up") == {
                cls.healthy_target: 1, cls.sick_target: 1})

    @classmethod
    def start_sick(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        authority = Authority(folder, "ca")
        tomorrow = time.gmtime(time.time() + 86400)
        cls.pair = authority.issue("server", "DNS:localhost,IP:127.0.0.1",
                                   until=time.strftime("%Y%m%d%H%M%SZ", tomorrow))
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.sick = cls.enterClassContext(Daemon(
            cls.directory, "--wait_for_checkpoint", "--max_queue_users=1",
            f"--tls_cert={cls.pair.cert}", f"--tls_key={cls.pair.key}"))
        channel = cls.enterClassContext(grpc.secure_channel(
            cls.sick.addresses["grpc"],
            grpc.ssl_channel_credentials(read(authority.cert))))
        cls.sick_stub = recommendation_grpc.RecommendationServiceStub(channel)

    def call_healthy(self):
        self.healthy_stub.Recommend(
            pb.RecommendRequest(user_id=self.model.user_ids[0]),
            timeout=TIMEOUT)

    def call_sick(self):
        """Many calls at once; how they end does not matter."""
        request = pb.BatchRecommendRequest(requests=[
            pb.RecommendRequest(user_id=user)
            for user in self.model.user_ids[:USERS_A_CALL]])
        calls = [self.sick_stub.BatchRecommend.future(request, timeout=TIMEOUT)
                 for _ in range(NUM_CALLS)]
        for call in calls:
            call.exception()

    def fires(self, alert, **labels):
        wanted = {"alertname": alert, **labels}.items()
        return any(wanted <= firing.items()
                   for firing in self.prometheus.firing())

    def wait_for(self, alert, meanwhile=lambda: None, **labels):
        """Until the alert fires, again and again doing `meanwhile()`."""
        def done():
            meanwhile()
            return self.fires(alert, **labels)
        self.prometheus.wait_until(done)
        self.fired.add(alert)

    def wait_for_sick(self, alert, **options):
        self.wait_for(alert, instance=self.sick_target, **options)

    def test_answers_queries_from_what_it_scrapes(self):
        prometheus = self.prometheus
        self.assertEqual(
            prometheus.query("neumf_catalog_items")[self.healthy_target], 50)
        self.call_healthy()
        labels = {"grpc_type": "unary", "grpc_method": "Recommend",
                  "grpc_service": "neumf.v1.RecommendationService",
                  "grpc_code": "OK"}
        name = "grpc_server_handled_total"
        selected = ",".join(f'{key}="{value}"' for key, value in labels.items())
        prometheus.wait_until(
            lambda: prometheus.query(f"{name}{{{selected}}}")
            [self.healthy_target] == self.healthy.metric(name, **labels) > 0)

    def test_every_panel_of_the_dashboard_shows_something(self):
        panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
        for panel in panels:
            for target in panel.get("targets", ()):
                expression = target["expr"]
                if "neumf_gpu_memory_bytes" in expression:
                    continue
                for name, value in VARIABLES.items():
                    expression = expression.replace(name, value)
                with self.subTest(panel=panel["title"], expression=expression):
                    # Rates are of what happens meanwhile.
                    self.prometheus.wait_until(
                        lambda e=expression: self.call_healthy() or
                        self.prometheus.series(e))

    def test_every_alert_fires_on_a_sick_server_and_none_on_a_healthy_one(self):
        self.fired = set()
        self.lack_a_model()
        self.refuse_files()
        self.serve_an_old_model()
        self.wait_for_sick("NeumfRefusesCalls", meanwhile=self.call_sick)
        self.sick.kill()
        self.wait_for_sick("NeumfDown")
        self.prometheus.wait_until(
            lambda: not any(labels.get("instance") == self.healthy_target
                            for labels in self.prometheus.firing()))

        rules = self.prometheus.rules()
        self.assertEqual([rule for rule in rules if rule["health"] != "ok"], [])
        alerts = {rule["name"] for rule in rules if rule["type"] == "alerting"}
        self.assertEqual(self.fired, alerts - ONLY_SIMULATED)

    def lack_a_model(self):
        self.wait_for_sick("NeumfServesNoModel")
        for alert in ("NeumfErrorBudgetBurnsFast", "NeumfErrorBudgetBurnsSlow"):
            self.wait_for(alert, meanwhile=self.call_sick, job="neumf")

    def refuse_files(self):
        models.publish_bytes(self.directory, 1, models.foreign_file_bytes())
        self.wait_for_sick("NeumfReloadRefused", result="corrupt")
        self.wait_for_sick("NeumfCertificateExpires")
        replace(self.pair.key, b"no key")
        self.wait_for_sick("NeumfConfigRefused", file="tls")

    def serve_an_old_model(self):
        self.model.publish(self.directory, 2, created_at=LONG_AGO)
        self.wait_for_sick("NeumfModelIsStale")
        self.prometheus.wait_until(lambda: not self.fires("NeumfServesNoModel"))


if __name__ == "__main__":
    if find_prometheus() is None:
        print("skipped: no prometheus: scripts/setup fetches one")
        sys.exit(77)
    unittest.main()
