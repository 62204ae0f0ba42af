# SPDX-License-Identifier: MIT
"""What the operator's code says of subjects holds at once: in this process without Redis, in every process with it."""
import contextlib
import json
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

from harness import Gateway, Story, ask, free_port, run_program
from test_sockets import accepted, close_code, handshake, take_frame
from wire import DEADLINE_S, Wire, request_bytes

TOKEN = "an-admin-token-of-more-than-32-bytes"
PLANS = {
    "default": "free",
    "tiers": {
        "free": {"default": [{"name": "daily", "quota": "2/day"}]},
        "pro": {"default": [{"name": "daily", "quota": "50/day"}]},
    },
}
SETTINGS = {
    "plans": PLANS,
    "routes": [{"path": path, "access": "user", "upstream": "@PROJECT@", "limits": limits} for path, limits in (("/a", ["plan"]), ("/free", []))],
}
EVENTS_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def events(_request, wire):
    """An event stream that stays open until the gateway leaves."""
    wire.send(EVENTS_HEAD + b"5\r\nhello\r\n")
    while wire.receive():
        continue


class Admin:
    """Calls of the admin API, of any gateway."""

    def admin(self, method, path, body=None, token=TOKEN, gateway=None):
        headers = [("Authorization", f"Bearer {token}")] if token else []
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        return ask((gateway or self.gateway).port, method, f"/_jotgate/{path}", headers, data)

    @contextlib.contextmanager
    def open_events(self, gateway, token):
        """An event stream whose first event has come: the rest of it, piece by piece."""
        self.project.handler = events
        with Wire.to(gateway.port) as wire:
            wire.send(request_bytes("GET", "/a", [("Authorization", f"Bearer {token}")]))
            pieces = wire.body_pieces(wire.answer(with_body=False))
            self.assertEqual(next(pieces), b"hello")
            yield pieces

    def status_at(self, gateway, token, path="/free"):
        return ask(gateway.port, "GET", path, [("Authorization", f"Bearer {token}")]).status

    def wait_for_status(self, gateway, token, status, path="/free"):
        gateway.wait_until(lambda: self.status_at(gateway, token, path) == status, f"status {status}")


class WithoutRedis(Admin, Story):
    shared = False
    settings = SETTINGS
    env = {"JOTGATE_ADMIN_TOKEN": TOKEN}

    def test_a_payer_who_was_over_quota_is_let_in(self):
        self.start()
        token = self.token(sub="ada")
        self.assertEqual([self.status_at(self.gateway, token, "/a") for _ in range(3)], [200, 200, 429])
        self.assertEqual(self.admin("PUT", "subjects/ada", {"plan": "pro"}).status, 200)
        self.wait_for_status(self.gateway, token, 200, "/a")
        self.assertEqual(self.admin("GET", "subjects/ada").json()["plan"], "pro")

    def test_a_denied_caller_is_out_and_its_event_stream_ends(self):
        self.start()
        token = self.token(sub="ada", session_id="s1")
        with self.open_events(self.gateway, token) as pieces:
            self.assertEqual(self.admin("POST", "deny", {"session_id": "s1", "for": "1h"}).status, 200)
            self.assertEqual(b"".join(pieces), b"")  # whole: the last chunk came
        self.assert_problem(self.get("/a", token=token), 401, "bad_jwt")

    def test_who_is_denied_while_the_upstream_holds_its_head_back_gets_no_stream(self):
        denied, answers = threading.Event(), {"/a": EVENTS_HEAD, "/free": None}

        def late(request, wire):
            denied.wait(DEADLINE_S)
            wire.send((answers[request.target] or accepted(request)) + b"5\r\nhello\r\n")
            while wire.receive():
                continue

        self.start()
        self.project.handler = late
        authorization = [("Authorization", f"Bearer {self.token(sub='ada')}")]
        with Wire.to(self.gateway.port) as stream, Wire.to(self.gateway.port) as socket:
            stream.send(request_bytes("GET", "/a", authorization))
            socket.send(handshake("/free", authorization))
            self.project.wait_for_requests(2)
            self.assertEqual(self.admin("POST", "deny", {"subject": "ada"}).status, 200)
            self.wait_for_status(self.gateway, self.token(sub="ada"), 403)
            denied.set()
            self.assertEqual(stream.answer().body, b"")  # whole: the last chunk came
            self.assertEqual(socket.answer(with_body=False).status, 101)
            opcode, payload = take_frame(socket)
            self.assertEqual((opcode, close_code(payload), payload[2:]), (8, 1008, b"access was denied"))

    def test_a_write_leaves_an_audit_line_without_the_token(self):
        self.start()
        self.admin("PUT", "subjects/ada", {"plan": "pro"})
        line = self.gateway.wait_for_log(lambda line: line.get("action") == "put", "the audit line")
        self.assertEqual((line["of"], line["ip"]), ("ada", "127.0.0.1"))
        self.assertNotIn(TOKEN, "\n".join(self.gateway.lines))

    def test_a_subject_is_text(self):
        self.start()
        for subject in ("%ff", "caf%c3", "%00", "a%0ab", "%"):
            self.assert_problem(self.admin("PUT", f"subjects/{subject}", {"plan": "pro"}), 400)
        self.assertEqual(self.admin("PUT", "subjects/caf%C3%A9", {"plan": "pro"}).json()["subject"], "café")

    def test_a_body_in_pieces(self):
        self.start()
        with Wire.to(self.gateway.port) as wire:
            body = b'{"plan":"pro"}'
            wire.send(request_bytes("PUT", "/_jotgate/subjects/ada", [("Authorization", f"Bearer {TOKEN}"), ("Content-Length", str(len(body)))]))
            for at in range(len(body)):
                wire.send(body[at:at + 1])
            self.assertEqual(wire.answer("PUT").status, 200)

    def test_without_the_token_nothing_is_there(self):
        self.start(env={"JOTGATE_ADMIN_TOKEN": TOKEN})
        self.assert_problem(self.admin("PUT", "subjects/ada", {}, token=None), 401)
        self.assert_problem(self.admin("PUT", "subjects/ada", {}, token=TOKEN + "x"), 401)
        self.assert_problem(self.admin("PUT", "subjects/ada", b"plan=pro"), 400)


class WithRedis(Admin, Story):
    """Two gateways, one Redis: what one is told the other knows a second later."""

    shared = False
    settings = SETTINGS
    env = {"JOTGATE_ADMIN_TOKEN": TOKEN}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        said = run_program("check", env={"SUPABASE_URL": "http://127.0.0.1:1", "REDIS_URL": "redis://127.0.0.1:1"})
        if "not built yet" in said[2]:
            raise unittest.SkipTest("limits in Redis are not built yet")

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="story-redis-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.redis_port = free_port()
        self.redis = None
        self.start_redis()
        self.addCleanup(self.kill_redis)
        self.start(env={"REDIS_URL": f"redis://127.0.0.1:{self.redis_port}"})
        self.other = Gateway(self.project, self.settings, self.env | {"REDIS_URL": f"redis://127.0.0.1:{self.redis_port}"})
        self.addCleanup(self.other.stop)
        for gateway in (self.gateway, self.other):
            self.wait_for_feed(gateway)

    def start_redis(self):
        self.redis = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.redis_port), "--save", "", "--dir", self.folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + DEADLINE_S
        while self.redis_says(b"PING\r\n") != b"+PONG\r\n":
            assert time.monotonic() < until, "redis-server does not answer"
            time.sleep(0.02)

    def kill_redis(self):
        self.redis.kill()
        self.redis.wait(DEADLINE_S)

    def redis_says(self, command):
        try:
            with Wire.to(self.redis_port) as wire:
                wire.send(command)
                wire.receive()
                return wire.buffer
        except OSError:
            return b""

    def wait_for_feed(self, gateway):
        gateway.wait_until(lambda: 0 <= gateway.metrics()["jotgate_feed_age_seconds"] < 1, "the feed to be read")

    def test_a_paid_invoice_is_seen_by_another_process(self):
        token = self.token(sub="ada")
        self.wait_for_status(self.other, token, 429, "/a")
        self.assertEqual(self.admin("PUT", "subjects/ada", {"plan": "pro"}).status, 200)
        self.wait_for_status(self.other, token, 200, "/a")
        self.assertEqual(self.admin("GET", "subjects/ada", gateway=self.other).json()["plan"], "pro")

    def test_a_denied_session_is_out_of_another_process_and_its_stream_ends(self):
        token = self.token(sub="ada", session_id="s1")
        with self.open_events(self.other, token) as pieces:
            self.assertEqual(self.admin("POST", "deny", {"session_id": "s1"}).status, 200)
            self.assertEqual(b"".join(pieces), b"")
        self.assertEqual(self.status_at(self.other, token), 401)

    def test_who_was_revoked_signs_in_anew(self):
        before, after = self.token(sub="ada", iat=int(time.time()) - 5), self.token(sub="ada", iat=int(time.time()) + 20)
        self.assertEqual(self.admin("POST", "subjects/ada/revoke").status, 200)
        self.wait_for_status(self.other, before, 401)
        self.assertEqual(self.status_at(self.other, after), 200)

    def test_with_redis_killed_the_last_state_holds_and_writes_are_refused(self):
        token = self.token(sub="ada")
        self.admin("POST", "deny", {"subject": "ada"})
        self.wait_for_status(self.other, token, 403)
        self.kill_redis()
        self.other.wait_until(lambda: self.other.metrics()["jotgate_feed_age_seconds"] > 1, "the feed to age")
        self.assertEqual(self.status_at(self.other, token), 403)
        self.assert_problem(self.admin("POST", "deny", {"subject": "bob"}), 503)
        self.start_redis()  # empty: a gap
        self.wait_for_status(self.other, token, 200)

    def test_what_a_frozen_redis_had_heard_is_not_done_when_it_thaws(self):
        self.assertEqual(self.admin("PUT", "subjects/ada", {"plan": "pro"}).status, 200)
        self.redis.send_signal(signal.SIGSTOP)
        self.assert_problem(self.admin("PUT", "subjects/ada", {"plan": "free"}), 503)
        self.redis.send_signal(signal.SIGCONT)
        for gateway in (self.gateway, self.other):
            self.wait_for_feed(gateway)
            gateway.wait_until(lambda g=gateway: self.admin("GET", "subjects/ada", gateway=g).status == 200, "Redis to be used again")
            self.assertEqual(self.admin("GET", "subjects/ada", gateway=gateway).json()["plan"], "pro")
        self.redis.send_signal(signal.SIGSTOP)
        self.assert_problem(self.admin("POST", "deny", {"subject": "ada"}), 503)
        self.redis.send_signal(signal.SIGCONT)
        self.gateway.wait_until(lambda: self.admin("PUT", "subjects/ada", {}).status == 200, "Redis to be used again")
        self.assertEqual(self.redis_says(b"EXISTS jotgate:{feed}deny\r\n"), b":0\r\n")
        self.assertIsNone(self.admin("GET", "subjects/ada", gateway=self.other).json()["plan"])

    def test_a_gap_is_read_whole(self):
        self.assertEqual(self.redis_says(b"SCRIPT FLUSH\r\n"), b"+OK\r\n")
        self.admin("POST", "deny", {"subject": "ada"})
        self.wait_for_status(self.other, self.token(sub="ada"), 403)
        self.assertEqual(self.redis_says(b"DEL jotgate:{feed}log\r\n"), b":1\r\n")
        self.admin("POST", "deny", {"subject": "bob"})
        self.wait_for_status(self.other, self.token(sub="bob"), 403)
        self.assertEqual(self.status_at(self.other, self.token(sub="ada")), 403)

    def test_no_subject_names_anothers_key(self):
        for subject in ("a/b c", "s:ada", "{feed}deny", "x" * 200, "ünï"):
            path = "subjects/" + urllib.parse.quote(subject, safe="")
            self.assertEqual(self.admin("PUT", path, {"plan": "pro"}).status, 200, subject)
            self.assertEqual(self.admin("GET", path, gateway=self.other).json()["subject"], subject)
        self.assertIsNone(self.admin("GET", "subjects/ada").json()["plan"])
        self.assertEqual(self.redis_says(b"EXISTS jotgate:{feed}deny\r\n"), b":0\r\n")
