# SPDX-License-Identifier: MIT
"""SIGHUP: the file and its secrets are read again, and nothing else starts anew."""
import json
import os
import signal
import tempfile
import threading
import time

from harness import Story, ask, free_port
from tokens import SECRET, Key
from wire import DEADLINE_S, answer_bytes, request_bytes


def route(path, **more):
    return {"path": path, "access": "open", "upstream": "@PROJECT@", "limits": []} | more


class Reload(Story):
    shared = False
    settings = {"routes": [route("/open")]}
    shares_threads = True

    def write(self, settings, text=None):
        with open(self.gateway.config, "w", encoding="utf-8") as file:
            file.write(text or self.gateway.compose(self.project, self.settings | settings))

    def outcomes(self):
        metrics = self.gateway.metrics()
        return metrics['jotgate_reloads_total{result="ok"}'], metrics['jotgate_reloads_total{result="failed"}']

    def reload(self, settings=None, text=None, fails=False):
        """Write, hang up, wait for the outcome; the line that tells of it."""
        if settings is not None or text:
            self.write(settings or {}, text)
        before = self.outcomes()
        self.gateway.signal(signal.SIGHUP)
        self.gateway.wait_until(lambda: self.outcomes() != before, "the outcome of a reload")
        self.assertEqual(self.outcomes()[1] - before[1], int(fails), self.gateway.said())
        words, n = ("settings not reloaded", self.outcomes()[1]) if fails else ("settings reloaded", self.outcomes()[0])
        self.gateway.wait_until(lambda: len(self.lines(words)) == n, "a line that tells of it")
        return self.lines(words)[-1]

    def lines(self, words):
        return [line for line in self.gateway.log() if line["event"].startswith(words)]

    def status_until(self, path, status, **more):
        """A worker takes other settings on within its turn: soon, not at once."""
        self.gateway.wait_until(lambda: self.get(path, **more).status == status, f"{path} to answer {status}")

    def test_routes_come_and_go(self):
        self.start()
        self.assertEqual((self.get("/open").status, self.get("/new").status), (200, 404))
        line = self.reload({"routes": [route("/new")]})
        self.assertEqual((line["routes"], line["routes_before"]), (line["routes_before"], line["routes"]))
        for _ in range(20):  # both workers
            self.status_until("/new", 200)
            self.status_until("/open", 404)

    def test_a_bad_file_changes_nothing_and_says_why(self):
        self.start()
        for text, words in (
            ("supabase: { url: http://a }\nbananas: 1\n", ":2:1:"),
            ("listen: [\n", "jotgate.yaml:"),
            ("supabase: { url: 'http://${NOBODY_SETS_THIS}/' }\n", "NOBODY_SETS_THIS"),
        ):
            line = self.reload(text=text, fails=True)
            self.assertIn(words, line["error"])
            self.assertEqual(line["level"], "error")
            self.assertEqual(self.get("/open").status, 200)
            status = json.loads(self.ask_admin("/status").body)
            self.assertIn(words, status["settings"]["error"])
        os.unlink(self.gateway.config)
        self.assertIn("No such file", self.reload(fails=True)["error"])
        self.assertEqual(self.get("/open").status, 200)
        self.reload({})
        self.assertEqual(json.loads(self.ask_admin("/status").body)["settings"]["error"], "")

    def test_a_pipe_that_nobody_writes_holds_neither_the_reload_nor_the_drain(self):
        words = "a pipe that nobody has written to its end"
        self.start()
        pipe = os.path.join(self.gateway.folder.name, "pipe")
        os.mkfifo(pipe)
        self.assertIn(words, self.reload({"tls": [{"certificate": pipe, "key": pipe}]}, fails=True)["error"])
        self.assertEqual(self.get("/open").status, 200)
        self.reload({"issuers": [{"name": "piped", "issuer": "a", "jwks_file": pipe}]})
        self.gateway.wait_for_log(lambda line: line.get("issuer") == "piped" and words in line.get("error", ""), "its keys to be missed")
        self.status_until("/open", 200)
        os.unlink(self.gateway.config)
        os.mkfifo(self.gateway.config)
        self.gateway.signal(signal.SIGHUP)
        self.gateway.signal(signal.SIGTERM)  # it waits behind the other
        self.gateway.wait_for_log(lambda line: line["event"] == "draining", "the drain")
        self.assertEqual(self.lines("settings not reloaded")[-1]["error"], f"{self.gateway.config}:1:1: cannot be read: {words}")

    def ask_admin(self, path):
        return ask(self.gateway.admin_port, "GET", path)

    def test_what_check_finds_is_said_at_a_reload_too(self):
        self.start()
        self.reload({"routes": [route("/u", access="user")]})
        self.gateway.wait_for_log(lambda line: "/u" in line.get("finding", ""), "a finding")

    def test_a_limit_that_did_not_change_keeps_its_count(self):
        limits = {"few": {"key": "ip", "rate": "3/hour", "for": "everyone"}}
        self.start({"limits": limits, "routes": [route("/open", limits=["few"])]})
        self.assertEqual([self.get("/open").status for _ in range(2)], [200, 200])
        self.reload({"limits": limits, "routes": [route("/open", limits=["few"]), route("/new", limits=["few"])]})
        self.status_until("/new/", 200)
        self.assertEqual(self.get("/open").status, 429)
        limits = {"few": {"key": "ip", "rate": "9/hour", "for": "everyone"}}
        self.reload({"limits": limits, "routes": [route("/open", limits=["few"])]})
        self.status_until("/open", 200)

    def test_counters_go_on(self):
        self.start()
        self.get("/open")
        name = 'jotgate_requests_total{route="/open",class="2xx"}'
        self.gateway.wait_until(lambda: self.gateway.metrics().get(name) == 1, "one request to be counted")
        loaded = self.gateway.metrics()["jotgate_settings_loaded_timestamp_seconds"]
        self.assertGreater(loaded, 1_600_000_000)
        self.reload({"routes": [route("/first"), route("/open")]})
        self.status_until("/first", 200)
        self.get("/open")
        self.gateway.wait_until(lambda: self.gateway.metrics().get(name) == 2, "the second to be counted where the first was")
        self.reload({"routes": [route("/first")]})
        self.status_until("/open", 404)
        self.assertEqual(self.gateway.metrics()[name], 2)
        self.assertGreaterEqual(self.gateway.metrics()["jotgate_settings_loaded_timestamp_seconds"], loaded)

    def test_keys_that_were_had_are_not_asked_for_again(self):
        self.start({"routes": [route("/user", access="user")]})
        self.assertEqual(self.get("/user", token=self.token()).status, 200)
        fetches = self.project.key_fetches
        for n in range(5):
            self.reload({"routes": [route("/user", access="user"), route(f"/{n}")]})
            self.status_until(f"/{n}", 200)
            self.assertEqual(self.get("/user", token=self.token()).status, 200)
        self.assertEqual(self.project.key_fetches, fetches)

    def test_an_issuer_that_is_new_is_asked_and_one_that_is_gone_is_nobody(self):
        other = Key("ES256", kid="other")
        self.start({"routes": [route("/user", access="user")]})
        own = {"name": "supabase", "issuer": self.project.issuer, "jwks_url": self.project.issuer + "/.well-known/jwks.json"}
        more = {"name": "more", "issuer": "https://more.test", "jwks_file": self.gateway.folder.name + "/more.json"}
        with open(more["jwks_file"], "w", encoding="utf-8") as file:
            json.dump({"keys": [other.jwk()]}, file)
        token = other.token(self.claims(iss="https://more.test"))
        self.assertEqual(self.get("/user", token=token).status, 401)
        self.reload({"issuers": [more, own], "routes": [route("/user", access="user")]})
        self.status_until("/user", 200, token=token)
        self.assertEqual(self.get("/user", token=self.token()).status, 200)  # by the keys of before: the place is the same
        self.reload({"issuers": [own], "routes": [route("/user", access="user")]})
        self.status_until("/user", 401, token=token)
        self.assertEqual(self.get("/user", token=self.token()).status, 200)

    def test_secrets_are_read_anew_from_their_files(self):
        with tempfile.NamedTemporaryFile("w", suffix=".secret") as file:
            file.write(SECRET + "\n")
            file.flush()
            self.start({"routes": [route("/user", access="user")]}, env={"SUPABASE_JWT_SECRET_FILE": file.name})
            old, new = self.legacy_token(), self.legacy_token(secret="another-secret-of-at-least-32-bytes")
            self.status_until("/user", 200, token=old)
            self.assertEqual(self.get("/user", token=new).status, 401)
            file.seek(0)
            file.truncate()
            file.write("another-secret-of-at-least-32-bytes\n")
            file.flush()
            self.reload()
            self.status_until("/user", 200, token=new)
            self.status_until("/user", 401, token=old)
            self.assertEqual(self.get("/user", token=self.token()).status, 200)  # the published keys stay

    def start_bare(self, env):
        """From the environment alone; another gateway on this machine may have the one address of its admin listener for a while."""
        until = time.monotonic() + 3 * DEADLINE_S
        while True:
            try:
                return self.start(env=env, is_bare=True)
            except AssertionError as error:
                if "9091 for admin" not in str(error) or time.monotonic() > until:
                    raise

    def test_the_environment_alone_is_read_again_for_its_secrets_files(self):
        with tempfile.NamedTemporaryFile("w", suffix=".secret") as file:
            file.write(SECRET)
            file.flush()
            self.start_bare({"SUPABASE_JWT_SECRET_FILE": file.name, "LIMIT_PER_USER": "7/hour"})
            path, other = "/_jotgate/usage", "another-secret-of-at-least-32-bytes"
            old, new = self.legacy_token(), self.legacy_token(secret=other)
            self.status_until(path, 200, token=old)
            self.assertEqual(self.get(path, token=new).status, 401)
            file.seek(0)
            file.truncate()
            file.write("short")
            file.flush()
            self.assertIn("env:SUPABASE_JWT_SECRET: is 5 bytes long", self.reload_bare(1)["error"])
            self.assertEqual(self.get(path, token=old).status, 200)
            file.seek(0)
            file.write(other)
            file.flush()
            self.assertEqual(self.reload_bare(0)["settings"], "environment")
            self.status_until(path, 200, token=new)
            self.status_until(path, 401, token=old)
        self.reload_bare(1)  # its file is gone
        self.assertEqual(self.get(path, token=new).status, 200)

    def reload_bare(self, fails):
        words = ("settings reloaded", "settings not reloaded")[fails]
        n = len(self.lines(words))
        self.gateway.signal(signal.SIGHUP)
        self.gateway.wait_until(lambda: len(self.lines(words)) > n, words)
        return self.lines(words)[-1]

    def test_a_setting_that_needs_a_restart_is_named_and_stays(self):
        self.start()
        other = free_port()
        changes = {"listen": f"127.0.0.1:{other}", "admin": "", "workers": 1, "limit_buckets": 77, "log": {"format": "text"}}
        self.reload(changes)
        warned = {line["setting"] for line in self.gateway.log() if "setting" in line and line["level"] == "warn"}
        self.assertEqual(warned, {"listen", "admin", "workers", "limit_buckets", "log.format"})
        self.assertEqual(self.get("/open").status, 200)
        self.assertFalse(self.gateway.speaks("/_jotgate/health", other))

    def test_a_request_under_way_ends_under_its_own_settings(self):
        self.start({"routes": [route("/slow", max_body="10KiB")]})
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def handler(request, _wire):
            if request.target == "/slow":
                go_on.wait(DEADLINE_S)
            return answer_bytes(200, b"finished")

        self.project.handler = handler
        wire = self.wire()
        wire.send(request_bytes("GET", "/slow"))
        self.project.wait_for_requests(1)
        self.reload({"routes": [route("/other")]})
        self.status_until("/other", 200)
        self.assertEqual(self.get("/slow").status, 404)
        go_on.set()
        answer = wire.answer()
        self.assertEqual((answer.status, answer.body), (200, b"finished"))
        wire.send(request_bytes("GET", "/other"))  # and its connection lives on
        self.assertEqual(wire.answer().status, 200)

    def test_a_request_that_waits_for_keys_begins_anew(self):
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        self.start({"jwks": {"cooldown": "0s"}, "routes": [route("/user", access="user")]})
        late = Key("ES256", kid="late")

        def slowly(_request, _wire):
            go_on.wait(DEADLINE_S)
            return answer_bytes(200, json.dumps({"keys": [late.jwk()]}).encode())

        self.project.key_answer = slowly
        wire = self.wire()
        wire.send(request_bytes("GET", "/user", [("Authorization", "Bearer " + late.token(self.claims()))]))
        self.gateway.wait_until(lambda: self.project.key_fetches > 1, "the keys to be asked for")
        self.reload({"jwks": {"cooldown": "0s"}, "routes": [route("/user", access="user", strip="/user")]})
        go_on.set()
        self.assertEqual(wire.answer().status, 200)
        self.assertEqual(self.project.requests[-1].target, "/")

    def test_limits_of_http_change_for_what_comes_after(self):
        self.start()
        self.reload({"http": {"max_head": "1KiB"}})
        self.gateway.wait_until(lambda: self.get("/open", [("X-Long", "x" * 2000)]).status == 431, "a shorter head to be refused")
        self.reload({"http": {"max_connections_per_ip": 1}})
        self.reload({"http": {"max_connections_per_ip": 0}})
        self.status_until("/open", 200)

    def test_many_in_a_row_are_one_after_the_other(self):
        self.start()
        for n in range(30):
            self.write({"routes": [route("/open"), route(f"/{n}")]})
            self.gateway.signal(signal.SIGHUP)
        self.status_until("/29", 200)
        self.assertEqual(self.get("/open").status, 200)

    def test_while_it_drains_nothing_is_reloaded(self):
        self.start({"drain": {"delay": "2s", "timeout": "5s"}})
        self.gateway.signal(signal.SIGTERM)
        self.gateway.wait_for_log(lambda line: line["event"] == "draining", "the drain")
        self.gateway.signal(signal.SIGHUP)
        self.gateway.wait_for_log(lambda line: "not reloaded" in line["event"], "a line that says so")
        self.assertEqual(self.get("/open").status, 200)
        self.assertEqual(self.gateway.process.wait(DEADLINE_S), 0)
