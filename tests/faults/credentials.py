"""Certificates and tokens that are wrong, expired, torn and rotated, under load.

While the files change, callers with good ones get the right answer to every call,
on connections that stay as on new ones, and nobody else is served at any moment.
"""

import contextlib
import functools
import hashlib
import os
import tempfile
import threading

import trial  # finds the modules below
import grpc
import models
from certificates import Authority, in_der, read, replace, served_certificate
from daemon import Daemon
from protos import recommendation_grpc
from protos import recommendation_pb as pb

NUM_ROTATIONS = 100 if trial.LONG else 2
SANS = "DNS:localhost,IP:127.0.0.1"
LONG_AGO = "20210101000000Z"
TOKEN = "token-of-the-shop"


def line(token, name):
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()} {name} recommend\n"


class Site:
    """A server that knows its callers by certificate and token, and its files."""

    def __init__(self, folder):
        self.ca = Authority(folder, "ca")
        self.strangers = Authority(folder, "strangers")
        self.served = self.ca.issue("server", SANS)
        self.client = self.ca.issue("client", "DNS:web.example.com")
        self.tokens = os.path.join(folder, "tokens")
        replace(self.tokens, line(TOKEN, "shop").encode())
        self.flags = (f"--tls_cert={self.served.cert}", f"--tls_key={self.served.key}",
                      f"--tls_client_ca={self.ca.cert}",
                      f"--auth_tokens_file={self.tokens}")

    def credentials(self, pair=None):
        """Of a client; without a certificate of its own where there is no pair."""
        own = (read(pair.key), read(pair.cert)) if pair else ()
        return grpc.ssl_channel_credentials(read(self.ca.cert), *own)


def connect(daemon, credentials):
    # Channels share connections, unless their arguments differ.
    options = [("grpc.use_local_subchannel_pool", 1)]
    address = daemon.addresses["grpc"]
    return (grpc.secure_channel(address, credentials, options) if credentials
            else grpc.insecure_channel(address, options))


def call(channel, request, token=TOKEN):
    metadata = [("authorization", f"Bearer {token}")] if token else None
    return recommendation_grpc.RecommendationServiceStub(channel).Recommend(
        request, timeout=trial.CALL_SECONDS, metadata=metadata)


def call_anew(credentials, daemon, request):
    """On a connection of its own."""
    with connect(daemon, credentials) as channel:
        return call(channel, request)


def code_of(daemon, request, credentials, token):
    """How a call ends that is to be refused."""
    try:
        with connect(daemon, credentials) as channel:
            call(channel, request, token)
        return grpc.StatusCode.OK
    except grpc.RpcError as error:
        return error.code()


class Intruders:
    """Everybody who is to be turned away, one after the other."""

    def __init__(self, site, daemon, request):
        unavailable = grpc.StatusCode.UNAVAILABLE  # the connection is not made
        unknown = grpc.StatusCode.UNAUTHENTICATED
        denied = grpc.StatusCode.PERMISSION_DENIED
        late = site.ca.issue("late", "DNS:late.example.com", LONG_AGO)
        stranger = site.strangers.issue("stranger", "DNS:web.example.com")
        good = site.credentials(site.client)
        self._cases = [
            ("in plain text", None, TOKEN, unavailable),
            ("without a certificate", site.credentials(), TOKEN, unavailable),
            ("expired", site.credentials(late), TOKEN, unavailable),
            ("of another authority", site.credentials(stranger), TOKEN, unavailable),
            ("unknown token", good, "token-of-nobody", unknown),
            # The file knows no caller by its certificate.
            ("no token", good, None, denied)]
        self._code_of = functools.partial(code_of, daemon, request)
        self.num_refused = 0

    def __call__(self):
        for name, credentials, token, expected in self._cases:
            code = self._code_of(credentials, token)
            assert code == expected, f"{name}: {code}"
            self.num_refused += 1


@contextlib.contextmanager
def repeated(*actions):
    """Each over and over, in a thread of its own, until the end of the block."""
    stop = threading.Event()
    failures = []

    def repeat(action):
        try:
            while not stop.wait(0.005):
                action()
        except (grpc.RpcError, AssertionError) as error:
            failures.append(error)

    threads = [threading.Thread(target=repeat, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures


def in_force(daemon, file):
    return daemon.metric("neumf_config_last_reload_successful", file=file) == 1


def rotate_certificate(site, daemon, number):
    """Nothing but the new pair, whole, takes the place of the old one."""
    before = served_certificate(daemon.addresses["grpc"])
    new = site.ca.issue(f"server-{number}", SANS)
    late = site.ca.issue(f"late-{number}", SANS, LONG_AGO)
    whole = read(new.cert)
    for cert, key in ((whole[:len(whole) // 2], None),  # torn
                      (read(late.cert), read(late.key)), (whole, None)):
        replace(site.served.cert, cert)
        if key:
            replace(site.served.key, key)
        daemon.wait_until(lambda: not in_force(daemon, "tls"))
        assert served_certificate(daemon.addresses["grpc"]) == before
    replace(site.served.key, read(new.key))
    daemon.wait_until(
        lambda: served_certificate(daemon.addresses["grpc"]) == in_der(new))
    daemon.wait_until(lambda: in_force(daemon, "tls"))


def replace_tokens(site, daemon, number, code):
    """Who was in the file before is not known any more; broken ones change nothing."""
    ok, unknown = grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED
    guest = f"token-of-guest-{number}"
    content = line(TOKEN, "shop") + line(guest, "guest")
    replace(site.tokens, content.encode())
    daemon.wait_until(lambda: code(guest) == ok)
    replace(site.tokens, b"token-of-the-shop shop recommend\n")
    daemon.wait_until(lambda: not in_force(daemon, "auth_tokens"))
    os.remove(site.tokens)
    assert code(guest) == ok
    replace(site.tokens, line(TOKEN, "shop").encode())
    daemon.wait_until(lambda: code(guest) == unknown)
    daemon.wait_until(lambda: in_force(daemon, "auth_tokens"))


def main():
    with contextlib.ExitStack() as stack:
        site = Site(stack.enter_context(tempfile.TemporaryDirectory()))
        checkpoints = stack.enter_context(tempfile.TemporaryDirectory())
        model = models.random_model(seed=1)
        model.publish(checkpoints, 1)
        daemon = stack.enter_context(Daemon(checkpoints, *site.flags))
        request = pb.RecommendRequest(user_id=model.user_ids[0], k=10)
        good = site.credentials(site.client)
        ask = functools.partial(call_anew, good)
        expected = ask(daemon, request)
        lasting = stack.enter_context(connect(daemon, good))

        def same(answer):
            assert answer == expected, answer

        intruders = Intruders(site, daemon, request)
        call(lasting, request)
        with trial.restored(daemon, request, ask), repeated(
                lambda: same(call(lasting, request)),
                lambda: same(ask(daemon, request)), intruders):
            for number in range(NUM_ROTATIONS):
                rotate_certificate(site, daemon, number)
                replace_tokens(site, daemon, number,
                               functools.partial(code_of, daemon, request, good))
        assert intruders.num_refused > 0
        assert "token-of" not in daemon.log()


if __name__ == "__main__":
    main()
