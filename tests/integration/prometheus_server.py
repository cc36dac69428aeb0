"""A real Prometheus over the rules of deploy/prometheus, for a test.

    with PrometheusServer([daemon.addresses["metrics"]]) as prometheus:
        prometheus.firing()

It has deploy/prometheus/prometheus.yml and the rules beside it, but for three
things, so that a test need not take minutes: its targets are the given ones, it
scrapes and evaluates several times a second, and what an alert has to hold
`for:` is nothing. Conditions and windows of rates stay as they are.
"""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

from promtool import find_prometheus

RULES_DIR = pathlib.Path(os.environ["NEUMF_SOURCE_DIR"], "deploy/prometheus")
START_SECONDS = 60
WAIT_SECONDS = 60

_LISTENING = re.compile(r'msg="Listening on" address=(\S+)')


def _replace(pattern, replacement, text):
    replaced, count = re.subn(pattern, replacement, text)
    assert count > 0, f"{pattern} is not in\n{text}"
    return replaced


def write_configuration(folder, targets):
    """Returns the path of the file that Prometheus reads."""
    for path in RULES_DIR.glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        if path.name == "prometheus.yml":
            text = _replace(r"targets: \[.*\]",
                            f"targets: {json.dumps(targets)}", text)
            text = _replace(r"scrape_interval: \w+", "scrape_interval: 500ms\n"
                            "  evaluation_interval: 250ms", text)
        text = re.sub(r"for: \w+", "for: 0s", text)
        pathlib.Path(folder, path.name).write_text(text, encoding="utf-8")
    return os.path.join(folder, "prometheus.yml")


class PrometheusServer:
    """On loopback, at a port of its own choice; its data go with it."""

    def __init__(self, targets):
        self._targets = targets
        self._folder = tempfile.TemporaryDirectory()
        self._log_path = os.path.join(self._folder.name, "log")
        self._process = None
        self._address = None

    def __enter__(self):
        config = write_configuration(self._folder.name, self._targets)
        with open(self._log_path, "wb") as log:
            self._process = subprocess.Popen(
                [find_prometheus(), f"--config.file={config}",
                 f"--storage.tsdb.path={self._folder.name}/data",
                 "--web.listen-address=127.0.0.1:0"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._address = self.wait_until(
                lambda: _LISTENING.search(self.log()), START_SECONDS)[1]
            self.wait_until(lambda: "Server is ready" in self.log(),
                            START_SECONDS)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, *exception):
        self._kill()

    def _kill(self):
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def log(self):
        with open(self._log_path, encoding="utf-8") as file:
            return file.read()

    def _get(self, path, **parameters):
        url = (f"http://{self._address}/api/v1/{path}?"
               f"{urllib.parse.urlencode(parameters)}")
        with urllib.request.urlopen(url, timeout=30) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        return answer["data"]

    def series(self, expression):
        """What it is now: series with their labels, values and times."""
        return self._get("query", query=expression)["result"]

    def query(self, expression):
        """Its values now, by instance; each must have another one."""
        found = self.series(expression)
        values = {series["metric"]["instance"]: float(series["value"][1])
                  for series in found}
        assert len(values) == len(found), found
        return values

    def rules(self):
        """All rules of all groups, as the API describes them."""
        return [rule for group in self._get("rules")["groups"]
                for rule in group["rules"]]

    def firing(self):
        """The labels of each alert that fires."""
        return [alert["labels"] for alert in self._get("alerts")["alerts"]
                if alert["state"] == "firing"]

    def wait_until(self, condition, seconds=WAIT_SECONDS):
        """Returns the first true value of `condition()`."""
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, f"too slow:\n{self.log()}"
            time.sleep(0.05)
