# SPDX-License-Identifier: MIT
"""The real binary between a raw client and a scripted Supabase project.

    class ATest(Story):
        settings = {"limits": …}                  # on top of what every story needs; JSON, which is YAML
        def test_it(self):
            answer = self.get("/rest/v1/todos", token=self.token())

A Story starts one gateway for its class (its tests must not disturb one another) or, with self.start(), one a test.
At its end the gateway is asked to drain, must exit with 0 and must not have upset a sanitizer.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from tokens import SECRET, Secret, shared_key, user_claims
from wire import DEADLINE_S, Upstream, Wire, answer_bytes, echo, free_port, request_bytes

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PROGRAM = os.environ.get("JOTGATE", os.path.join(ROOT, "build-tests", "jotgate"))
UPSET = re.compile(r"(ERROR: (?:Address|Leak|Undefined|Memory)\w*Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion .* failed)")

# jotgate reads these; a story starts from none of them.
OUR_NAMES = ("SUPABASE_", "LIMIT", "REDIS_", "JOTGATE_", "FLY_", "PORT", "SSL_CERT_")


def clean_environment(extra=None):
    environment = {n: v for n, v in os.environ.items() if not n.startswith(OUR_NAMES)}
    return environment | (extra or {})


def run_program(*arguments, env=None, stdin="", seconds=DEADLINE_S * 2):
    """A command that ends by itself: (exit code, stdout, stderr)."""
    done = subprocess.run(
        [PROGRAM, *arguments], input=stdin, env=clean_environment(env), capture_output=True, text=True, timeout=seconds, check=False
    )
    assert not UPSET.search(done.stderr), done.stderr
    return done.returncode, done.stdout, done.stderr


class Project(Upstream):
    """A stand-in for a Supabase project: an upstream that also publishes keys, as Supabase Auth does.

    keys        what the JWKS holds; tests add and remove
    key_fetches how often it was asked for (conditional ones included)
    key_answer  a handler that answers instead of the JWKS (faults)
    """

    def __init__(self, handler=echo, keys=None, issuer=None):
        self.keys = [shared_key()] if keys is None else keys
        self.key_requests = []
        self.discovery_requests = []
        self.key_answer = None
        super().__init__(handler)
        self.issuer = issuer or f"{self.url}/auth/v1"
        self.max_age_s = 600

    @property
    def key_fetches(self):
        return len(self.key_requests)

    def jwks(self):
        return json.dumps({"keys": [k if isinstance(k, dict) else k.jwk() for k in self.keys]}).encode()

    def serve_one(self, request, wire):
        if request.target.split("?")[0].endswith("/.well-known/openid-configuration"):
            with self.changed:
                self.discovery_requests.append(request)
            known = {"issuer": self.issuer, "jwks_uri": self.issuer + "/.well-known/jwks.json"}
            wire.send(answer_bytes(200, json.dumps(known).encode(), [("Content-Type", "application/json")]))
            return True
        if not request.target.split("?")[0].endswith("/.well-known/jwks.json"):
            return super().serve_one(request, wire)
        with self.changed:
            self.key_requests.append(request)
            self.changed.notify_all()
        if self.key_answer:
            answer = self.key_answer(request, wire)
            if answer is not None:
                wire.send(answer)
            return answer is not None
        body = self.jwks()
        tag = f'"{hash(body) & 0xFFFFFFFF:x}"'
        headers = [("Content-Type", "application/json"), ("ETag", tag), ("Cache-Control", f"public, max-age={self.max_age_s}")]
        if request.get("if-none-match") == tag:
            wire.send(answer_bytes(304, b"", headers, "Not Modified"))
        else:
            wire.send(answer_bytes(200, body, headers))
        return True


class Gateway:
    """A running jotgate. `settings` is laid over what a story needs; None in it leaves a key out, @PROJECT@ is its URL.

    wait: "ready" (it listens and is ready), "admin" (the same, asked of the admin listener alone), "listening", or "".
    is_bare: without a file, as the environment says; its admin listener is where it always is then.
    """

    def __init__(self, project=None, settings=None, env=None, arguments=(), text=None, wait="ready", redirect="", is_bare=False):
        self.port, self.admin_port = free_port(), 9091 if is_bare else free_port()
        self.lines, self.errors = [], []
        self.changed = threading.Condition()
        self.folder = tempfile.TemporaryDirectory(prefix="story-")
        self.config = os.path.join(self.folder.name, "jotgate.yaml")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text.format(self=self) if text else self.compose(project, settings or {}))
        began = time.monotonic()
        shell = ["/bin/sh", "-c", f'exec "$0" "$@" {redirect}'] if redirect else []
        if is_bare:
            env = {"SUPABASE_URL": project.url, "PORT": str(self.port)} | (env or {})
        self.process = subprocess.Popen(
            [*shell, PROGRAM, "run", *([] if is_bare else ["-c", self.config]), *arguments], env=clean_environment(env),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
        )  # fmt: skip
        self.pid = self.process.pid
        self.readers = [
            threading.Thread(target=self.read, args=(self.process.stdout, self.lines), daemon=True),
            threading.Thread(target=self.read, args=(self.process.stderr, self.errors), daemon=True),
        ]
        for reader in self.readers:
            reader.start()
        try:
            if wait and wait != "admin":
                self.wait_until(lambda: self.speaks("/_jotgate/health", self.port), "the gateway to listen")
                self.listening_s = time.monotonic() - began
            if wait in ("ready", "admin"):
                self.wait_until(lambda: self.speaks("/readyz", self.admin_port), "/readyz to say 200")
        except BaseException:
            self.kill()
            raise

    def compose(self, project, settings):
        base = {
            "listen": f"127.0.0.1:{self.port}", "admin": f"127.0.0.1:{self.admin_port}", "workers": 2,
            "drain": {"delay": "0s", "timeout": "5s"},
        }  # fmt: skip
        if project:
            base["supabase"] = {"url": project.url}
        for name, value in settings.items():
            merged = isinstance(value, dict) and isinstance(base.get(name), dict)
            base[name] = base[name] | value if merged else value
        text = json.dumps({n: v for n, v in base.items() if v is not None}, indent=1)
        return text.replace("@PROJECT@", project.url if project else "")

    def read(self, stream, lines):
        for line in stream:
            with self.changed:
                lines.append(line.rstrip("\n"))
                self.changed.notify_all()

    def speaks(self, path, port):
        try:
            return ask(port, "GET", path).status == 200
        except (OSError, AssertionError, AttributeError):
            return False

    def wait_until(self, condition, what, seconds=DEADLINE_S):
        """Until condition() holds; fails at once when the process ends, and at the deadline."""
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"waited {seconds} s for {what}; it said:\n" + self.said()
            try:
                self.process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            for reader in self.readers:
                reader.join(2)
            if condition():  # of its last words, perhaps
                return
            raise AssertionError(f"jotgate ended with {self.process.returncode} before {what}; it said:\n" + self.said())

    def said(self):
        return "\n".join(self.lines[-20:] + self.errors[-60:])

    def log(self):
        """Every JSON line so far, parsed; what is no JSON object fails the test."""
        with self.changed:
            lines = list(self.lines)
        return [json.loads(line) for line in lines if line]

    def wait_for_log(self, condition, what, seconds=DEADLINE_S):
        """The first log line (a dict) for which condition holds."""
        found = []

        def look():
            found[:] = [line for line in self.log() if condition(line)][:1]
            return bool(found)

        self.wait_until(look, what, seconds)
        return found[0]

    def memory_bytes(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) * 1024

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def open_sockets(self):
        links = []
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                links.append(os.readlink(f"/proc/{self.pid}/fd/{name}"))
            except OSError:
                continue
        return sum(link.startswith("socket:") for link in links)

    def metrics(self):
        """{'name{labels}': value} of the admin listener."""
        text = ask(self.admin_port, "GET", "/metrics").body.decode()
        rows = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in rows}

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        self.folder.cleanup()

    def stop(self, code=0):
        """Drain; the exit code must be `code`, and no sanitizer may have complained."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            status = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("jotgate did not end after SIGTERM; it said:\n" + self.said()) from None
        for reader in self.readers:
            reader.join(DEADLINE_S)
        self.process.stdout.close()
        self.process.stderr.close()
        self.folder.cleanup()
        errors = "\n".join(self.errors)
        assert not UPSET.search(errors), errors
        assert status == code, f"jotgate ended with {status}, not {code}; it said:\n" + self.said()


def ask(port, method, target, headers=(), body=b"", host="gateway.test"):
    """One request on a connection of its own."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
    with Wire.to(port) as wire:
        wire.send(request_bytes(method, target, pairs + [("Connection", "close")], body, host))
        return wire.answer(method)


class Story(unittest.TestCase):
    """A gateway and a project for the class, unless `shared` is False; see the module."""

    shared = True
    settings = {}
    env = {}
    keys = None  # what the project publishes; None: one ES256 key
    shares_threads = False  # also run under ThreadSanitizer
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.project = cls.gateway = None
        if cls.shared:
            cls.project = Project(keys=cls.keys)
            cls.addClassCleanup(cls.project.close)
            cls.gateway = Gateway(cls.project, cls.settings, cls.env)

    @classmethod
    def tearDownClass(cls):
        if cls.shared and cls.gateway:
            cls.gateway.stop()

    def setUp(self):
        if self.shared:
            self.project.handler = echo
            self.project.clear()

    def start(self, settings=None, env=None, keys=None, project=None, **more):
        """A project and a gateway for this test alone."""
        assert not self.shared, "a story that starts its own gateways says shared = False"
        if project is None:
            project = Project(keys=keys)
            self.addCleanup(project.close)
        self.project = project
        self.gateway = Gateway(project, self.settings | (settings or {}), self.env | (env or {}), **more)
        self.addCleanup(self.gateway.stop)
        return self.gateway

    # -- what tests say ------------------------------------------------------------------------------------------------

    def wire(self, **more):
        wire = Wire.to(self.gateway.port, **more)
        self.addCleanup(wire.close)
        return wire

    def ask(self, method, target, headers=(), body=b"", token=None):
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        if token:
            pairs.append(("Authorization", f"Bearer {token}"))
        return ask(self.gateway.port, method, target, pairs, body)

    def get(self, target, headers=(), token=None):
        return self.ask("GET", target, headers, token=token)

    def send_raw(self, data):
        """Exactly these bytes on a fresh connection: (answers, whether the gateway closed by itself)."""
        with Wire.to(self.gateway.port) as wire:
            wire.try_send(data)
            answers = []
            while (answer := wire.answer()) is not None:
                answers.append(answer)
            return answers

    def claims(self, **changes):
        return user_claims(self.project.issuer, **changes)

    def token(self, key=None, header=None, **changes):
        """A user's token, signed by the project's first key."""
        key = key or self.project.keys[0]
        return key.token(self.claims(**changes), header)

    def legacy_token(self, secret=SECRET, kid=None, **changes):
        return Secret(secret, kid=kid).token(self.claims(**changes))

    def assert_problem(self, answer, status, code=None):
        """An answer of the gateway's own: status, code, and a body that reads well in every client."""
        self.assertIsNotNone(answer, "closed without an answer")
        self.assertEqual(answer.status, status, answer)
        self.assertIn("jotgate", answer.get("proxy-status", ""), answer)
        body = answer.json()
        for name in ("code", "message", "hint", "details", "type", "title", "status", "detail"):
            self.assertIn(name, body)
        self.assertEqual(body["status"], status)
        if code:
            self.assertEqual(body["code"], code, answer)
        return body

    def assert_nothing_upstream(self):
        self.assertEqual([r.line for r in self.project.requests], [], "the upstream saw a request")


if __name__ == "__main__":
    sys.exit("tests/story/run.py runs the stories")
