# SPDX-License-Identifier: MIT
"""What a subject has used: seen and changed by the operator's code and by `jotgate usage`, in memory and in Redis alike."""
import json
import os
import shutil
import signal
import socket
import ssl
import threading

import test_tls
from harness import Gateway, Project, Story, ask, run_program
from test_redis import Redis
from wire import DEADLINE_S, free_port

TOKEN = "an-admin-token-of-more-than-32-bytes"
SETTINGS = {
    "plans": {
        "default": "free",
        "tiers": {
            "free": {"default": [{"name": "daily", "quota": "3/day"}, {"name": "burst", "rate": "60/hour", "burst": 30}]},
            "pro": {"default": [{"name": "daily", "quota": "50/day"}]},
        },
    },
    "limits": {"per_ip": {"key": "ip", "rate": "100000/minute", "for": "anonymous"}},
    "routes": [{"path": "/a", "access": "user", "upstream": "@PROJECT@", "limits": ["plan"]}],
}  # fmt: skip


class Usage(Story):
    """The same for memory and Redis: gateways() says which processes count together."""

    shared = False
    settings = SETTINGS
    env = {"JOTGATE_ADMIN_TOKEN": TOKEN}

    def begin(self):
        self.start()
        return self.gateway, self.gateway

    def admin(self, gateway, method, path, body=None, token=TOKEN):
        data = json.dumps(body).encode() if body is not None else b""
        return ask(gateway.port, method, f"/_jotgate/subjects/{path}", {"Authorization": f"Bearer {token}"}, data)

    def command(self, gateway, *arguments, token=TOKEN):
        """`jotgate usage` as it runs beside a gateway: (exit code, a limit a line, stderr)."""
        code, out, errors = run_program("usage", *arguments, "-c", gateway.config, env={"JOTGATE_ADMIN_TOKEN": token})
        self.assertNotIn(token, out + errors)
        return code, [json.loads(line) for line in out.splitlines()], errors

    def call(self, gateway, token):
        return ask(gateway.port, "GET", "/a", {"Authorization": f"Bearer {token}"}).status

    def used(self, limits):
        return {limit["policy"]: (limit["limit"], limit["used"], limit["remaining"]) for limit in limits}

    def until(self, gateway, token, status):
        """Within a second, and a busy machine's deadline."""
        gateway.wait_until(lambda: self.call(gateway, token) == status, f"status {status}")

    def test_every_gateway_and_the_command_say_the_same(self):
        first, second = self.begin()
        token = self.token(sub="ada")
        self.assertEqual([self.call(first, token), self.call(second, token)], [200, 200])
        expected = {"free/default/daily": (3, 2, 1), "free/default/burst": (30, 2, 28), "pro/default/daily": (50, 2, 48)}
        for gateway in (first, second):
            answer = self.admin(gateway, "GET", "ada/usage")
            self.assertEqual((answer.status, self.used(answer.json()["limits"])), (200, expected))
            code, limits, _ = self.command(gateway, "ada")
            self.assertEqual((code, self.used(limits)), (0, expected))
            own = ask(gateway.port, "GET", "/_jotgate/usage", {"Authorization": f"Bearer {token}"}).json()
            self.assertEqual({limit["policy"]: limit["remaining"] for limit in own["limits"]}, {"daily": 1, "burst": 28})
        self.assertEqual(self.used(self.command(second, "bob")[1])["free/default/daily"], (3, 0, 3))

    def test_a_grant_at_one_lets_a_refused_caller_pass_at_the_other(self):
        first, second = self.begin()
        token = self.token(sub="ada")
        self.assertEqual([self.call(second, token) for _ in range(5)], [200, 200, 200, 429, 429])
        self.assertEqual(self.admin(first, "POST", "ada/grant", {"policy": "daily", "n": 1}).status, 200)
        self.until(second, token, 200)
        self.until(second, token, 429)
        code, limits, _ = self.command(first, "ada", "--grant", "free/default/daily=2")
        self.assertEqual((code, self.used(limits)), (0, {"free/default/daily": (3, 1, 2)}))
        self.until(second, token, 200)

    def test_a_charge_at_one_is_a_debt_at_the_other(self):
        first, second = self.begin()
        token = self.token(sub="ada")
        self.assertEqual(self.call(second, token), 200)
        answer = self.admin(first, "POST", "ada/charge", {"policy": "daily", "n": 9})
        self.assertEqual(self.used(answer.json()["limits"]), {"free/default/daily": (3, 10, 0), "pro/default/daily": (50, 10, 40)})
        self.until(second, token, 429)
        self.admin(first, "POST", "ada/grant", {"policy": "daily", "n": 7})
        self.assertEqual(self.call(second, token), 429)  # 3 of 3 are used still

    def test_a_reset_forgets_all_of_it_and_nobody_elses(self):
        first, second = self.begin()
        ada, bob = self.token(sub="ada"), self.token(sub="bob")
        self.assertEqual([self.call(second, ada) for _ in range(4)], [200, 200, 200, 429])
        self.call(second, bob)
        code, limits, _ = self.command(first, "ada", "--reset")
        self.assertEqual((code, {limit["used"] for limit in limits}), (0, {0}))
        self.until(second, ada, 200)
        self.assertEqual(self.used(self.command(first, "bob")[1])["free/default/daily"], (3, 1, 2))

    def test_a_write_leaves_an_audit_line_and_a_look_none(self):
        first, _ = self.begin()
        self.command(first, "ada")
        self.command(first, "ada/b c", "--reset")
        line = first.wait_for_log(lambda line: line.get("action") == "reset", "the audit line")
        self.assertEqual((line["of"], line["ip"]), ("ada/b c", "127.0.0.1"))
        self.assertEqual([line for line in first.log() if line.get("action") == "usage"], [])

    def test_what_is_wrong_is_refused_and_changes_nothing(self):
        first, _ = self.begin()
        for body in ({"policy": "weekly", "n": 1}, {"policy": "per_ip", "n": 1}, {"policy": "", "n": 1}, {"policy": "daily", "n": 0}, {"policy": "daily", "n": 10**10},
                     {"policy": "daily", "n": "5"}, {"policy": "daily"}, {"policy": "daily", "n": 1, "m": 1}, [], None):  # fmt: skip
            for action in ("grant", "charge"):
                self.assert_problem(self.admin(first, "POST", f"ada/{action}", body), 400)
        self.assert_problem(self.admin(first, "POST", "ada/usage"), 405)
        self.assert_problem(self.admin(first, "GET", "ada/usage", token=TOKEN + "x"), 401)
        self.assert_problem(self.admin(first, "POST", "ada/reset", token="x"), 401)
        code, limits, errors = self.command(first, "ada", "--grant", "weekly=1")
        self.assertEqual((code, limits), (2, []))
        self.assertIn("'weekly'; expected one of: daily, burst\n", errors)
        for wrong in (["--grant", "daily=1", "--reset"], ["bob"], ["--grant", "daily"]):
            self.assertEqual(self.command(first, "ada", *wrong)[:2], (2, []))
        code, limits, errors = self.command(first, "ada", "--reset", token=TOKEN + "x")
        self.assertEqual((code, limits), (1, []))
        self.assertIn("401", errors)
        self.assertEqual(self.used(self.command(first, "ada")[1])["free/default/daily"], (3, 0, 3))


class InRedis(Usage):
    mode = "exact"

    def begin(self):
        self.redis = Redis()
        self.addCleanup(self.redis.stop)
        settings = self.settings | {"redis": {"url": self.redis.url, "mode": self.mode, "timeout": "250ms"}}
        project = Project()
        self.addCleanup(project.close)
        self.start(settings, project=project)
        second = Gateway(project, settings, self.env)
        self.addCleanup(second.stop)
        for gateway in (self.gateway, second):
            gateway.wait_until(lambda gateway=gateway: 0 <= gateway.metrics()["jotgate_feed_age_seconds"] < 1, "the feed to be read")
            gateway.wait_until(lambda gateway=gateway: gateway.metrics()["jotgate_redis_breakers_open"] == 0, "Redis to be seen")
        return self.gateway, second

    def test_with_redis_away_nothing_is_said_and_nothing_changed(self):
        first, _ = self.begin()
        self.call(first, self.token(sub="ada"))
        self.redis.kill()
        first.wait_until(lambda: first.metrics()["jotgate_redis_breakers_open"] > 0, "Redis to be missed")
        self.assert_problem(self.admin(first, "GET", "ada/usage"), 503)
        self.assert_problem(self.admin(first, "POST", "ada/grant", {"policy": "daily", "n": 1}), 503)
        self.assert_problem(self.admin(first, "POST", "ada/reset"), 503)
        code, limits, errors = self.command(first, "ada")
        self.assertEqual((code, limits), (1, []))
        self.assertIn("503", errors)

    def test_a_change_is_told_to_the_feed(self):
        first, _ = self.begin()
        self.admin(first, "POST", "ada/charge", {"policy": "daily", "n": 1})
        self.admin(first, "POST", "ada/reset")
        self.admin(first, "GET", "ada/usage")
        entries = self.redis.ask("XRANGE", "jotgate:{feed}log", "-", "+")
        self.assertEqual([entry[1] for entry in entries], [["event", "grant", "of", "ada"]] * 2)


class Leased(InRedis):
    mode = "leased"


class Listener(Story):
    """The commands find the gateway's own listener wherever the settings say that it is, and tell nobody else the token."""

    shared = False
    settings = SETTINGS
    env = {"JOTGATE_ADMIN_TOKEN": TOKEN}

    def usage(self, config, *more):
        code, out, errors = run_program("usage", "ada", *more, "-c", config, env=self.env)
        self.assertNotIn(TOKEN, out + errors)
        return code, [json.loads(line)["used"] for line in out.splitlines()], errors

    def listens(self):
        """Every form of an address: {what it is: what the settings say}."""
        socket_file = os.path.join(test_tls.FOLDER, "own.sock")
        return {form: form.format(port=free_port(), file=socket_file) for form in
                ("127.0.0.1:{port}", "0.0.0.0:{port}", "[::1]:{port}", "[::]:{port}", ":{port}", "unix:{file}")}  # fmt: skip

    def test_every_address_over_tls_and_plain(self):
        for tls in ([test_tls.good()], None):
            for form, listen in self.listens().items():
                with self.subTest(form, tls=bool(tls)):
                    gateway = self.start({"listen": listen, "tls": tls}, wait="admin")
                    self.assertEqual(self.usage(gateway.config), (0, [0, 0, 0], ""))
                    self.assertEqual(run_program("health", "-c", gateway.config), (0, "ok\n", ""))
                    gateway.stop()

    def test_over_tls_it_changes_what_it_says(self):
        self.start({"tls": [test_tls.good()]}, wait="admin")
        context = test_tls.client()
        with socket.create_connection(("127.0.0.1", self.gateway.port)) as sock, context.wrap_socket(sock, server_hostname="good.test") as wire:
            wire.sendall(f"GET /a HTTP/1.0\r\nHost: a\r\nAuthorization: Bearer {self.token(sub='ada')}\r\n\r\n".encode())
            self.assertTrue(wire.recv(100).startswith(b"HTTP/1.1 200"))
        self.assertEqual(self.usage(self.gateway.config), (0, [1, 1, 1], ""))
        self.assertEqual(self.usage(self.gateway.config, "--grant", "burst=1"), (0, [0], ""))
        self.assertEqual(self.usage(self.gateway.config, "--reset"), (0, [0, 0, 0], ""))

    def test_any_of_several_certificates_will_do(self):
        test_tls.authority()
        first = test_tls.certificate("first", "DNS:first.test", "rsa:2048")
        self.start({"tls": [first, test_tls.certificate("local", "DNS:localhost")]}, wait="admin")
        self.assertEqual(self.usage(self.gateway.config)[:2], (0, [0, 0, 0]))

    def config_for(self, port, files):
        path = test_tls.path(f"{port}.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"listen": f"127.0.0.1:{port}", "admin": "", "supabase": {"url": "http://127.0.0.1:1"}, "tls": files}, file)
        return path

    def stranger(self, files=None):
        """A server with these files (None: that speaks no TLS): (port, what it was sent, in the clear)."""
        context, heard = None, []
        if files:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(files["certificate"], files["key"])
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            sock, _ = listener.accept()
            sock.settimeout(DEADLINE_S)
            with sock:
                try:
                    wire = context.wrap_socket(sock, server_side=True) if context else sock
                    heard.append(wire.recv(65536))
                    wire.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps({"limits": []}).encode())
                    if context:
                        wire.unwrap()
                except OSError as failure:
                    heard.append(repr(failure).encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        return listener.getsockname()[1], heard, thread

    def test_a_stranger_is_not_told_the_token(self):
        fine = test_tls.good()
        twin = test_tls.certificate("twin", "DNS:good.test,DNS:localhost,IP:127.0.0.1")
        for files, words in ((twin, ("none of the certificates under 'tls'", "SIGHUP", "sent nothing")), (None, ("no TLS: ", "wrong version number"))):
            with self.subTest(words):
                port, heard, thread = self.stranger(files)
                code, limits, errors = self.usage(self.config_for(port, [fine]))
                self.assertEqual((code, limits), (1, []))
                self.assertRegex(errors, f"^jotgate usage: no answer on 127.0.0.1:{port}: [^\n]+\n$")
                for word in words:
                    self.assertIn(word, errors)
                thread.join(DEADLINE_S)
                self.assertNotIn(TOKEN.encode(), b"".join(heard))
                self.assertNotIn(b"_jotgate", b"".join(heard))
        port, heard, thread = self.stranger(fine)
        self.assertEqual(self.usage(self.config_for(port, [twin, fine]))[:2], (0, []))
        thread.join(DEADLINE_S)
        self.assertIn(TOKEN.encode(), b"".join(heard))

    def test_a_renewed_key_is_known_when_the_gateway_has_read_it(self):
        files = {"certificate": test_tls.path("rolled.crt"), "key": test_tls.path("rolled.key")}
        for name in files:
            shutil.copy(test_tls.good()[name], files[name])
        self.start({"tls": [files]}, wait="admin")
        other = test_tls.certificate("after", "DNS:good.test")
        for name in files:
            shutil.copy(other[name], files[name])
        self.assertEqual(self.usage(self.gateway.config)[0], 1)
        self.assertEqual(run_program("health", "-c", self.gateway.config)[0], 1)
        self.gateway.signal(signal.SIGHUP)
        self.gateway.wait_for_log(lambda line: line["event"] == "settings reloaded", "the reload")
        self.gateway.wait_until(lambda: self.usage(self.gateway.config)[0] == 0, "the new key to be shown")

    def test_files_that_cannot_be_read_are_told(self):
        port, _, _ = self.stranger()
        config = self.config_for(port, [{"certificate": test_tls.path("none.crt"), "key": test_tls.path("none.key")}])
        code, _, errors = self.usage(config)
        self.assertEqual(code, 1)
        self.assertIn("none.crt cannot be read: No such file", errors)
