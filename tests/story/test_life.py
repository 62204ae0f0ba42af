# SPDX-License-Identifier: MIT
"""The process: how it starts, says what is wrong, drains and ends; and the commands beside `run`."""
import concurrent.futures
import json
import os
import re
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from harness import Gateway, Project, Story, run_program
from tokens import Key, Secret, b64, shared_key
from wire import DEADLINE_S, Upstream, Wire, answer_bytes, free_port, request_bytes

SETTINGS = {"routes": [{"path": "/open", "access": "open", "upstream": "@PROJECT@", "limits": []}]}


class Output(Story):
    shared = False
    settings = SETTINGS

    def test_a_stdout_that_is_closed_does_not_become_a_socket(self):
        gateway = self.start(redirect=">&-")
        self.assertEqual(os.readlink(f"/proc/{gateway.pid}/fd/1"), "/dev/null")
        self.assertEqual(self.get("/open").status, 200)

    def test_a_stderr_that_is_closed_does_not_become_a_socket(self):
        gateway = self.start(redirect="2>&-")
        self.assertEqual(os.readlink(f"/proc/{gateway.pid}/fd/2"), "/dev/null")
        self.assertEqual(self.get("/open").status, 200)

    def dropped(self):
        return self.gateway.metrics()["jotgate_log_dropped_total"]

    def wait_for_dropped(self, n=1):
        self.gateway.wait_until(lambda: self.dropped() >= n, "lost lines to be counted")

    def assert_said_once(self, why):
        said = [line for line in self.gateway.errors if "log lines are lost" in line]
        self.assertEqual([line.split("why=")[1] for line in said], [f'"{why}"'])

    def test_a_full_disk_stops_nothing_and_is_counted_and_said_once(self):
        self.start(redirect=">/dev/full")
        for _ in range(5):
            self.assertEqual(self.get("/open").status, 200)
        self.wait_for_dropped(5)
        self.assert_said_once("No space left on device")

    def test_a_disk_that_has_room_again_is_written_again(self):
        folder = tempfile.TemporaryDirectory(prefix="story-")
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "log")
        gateway = self.start(redirect=f">{path}")
        self.get("/open/before")
        gateway.wait_until(lambda: "/open/before" in open(path, encoding="utf-8").read(), "the line before")
        unlimited = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (os.path.getsize(path) + 10, resource.RLIM_INFINITY))
        for _ in range(5):
            self.assertEqual(self.get("/open/lost").status, 200)
        self.wait_for_dropped(5)
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, unlimited)
        self.get("/open/after")
        gateway.wait_until(lambda: "log lines dropped" in open(path, encoding="utf-8").read(), "the return")
        lines = open(path, encoding="utf-8").read().splitlines()
        torn = [line for line in lines if len(line) == 10]
        whole = [json.loads(line) for line in lines if line not in torn]
        self.assertEqual(len(torn), 1)
        self.assertEqual([line["path"] for line in whole if "path" in line and line["path"].startswith("/open")], ["/open/before", "/open/after"])
        self.assertEqual([line["lines"] for line in whole if line["event"] == "log lines dropped"], [self.dropped()])
        self.assert_said_once("File too large")

    def start_with_pipe(self):
        """stdout is a pipe that the test may read, or not."""
        folder = tempfile.TemporaryDirectory(prefix="story-")
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "log")
        os.mkfifo(path)
        end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.start(redirect=f">{path}")
        return end

    def test_a_log_whose_reader_is_gone_stops_nothing(self):
        os.close(self.start_with_pipe())
        for _ in range(5):
            self.assertEqual(self.get("/open").status, 200)
        self.wait_for_dropped(5)
        self.assert_said_once("Broken pipe")

    def test_a_log_that_nobody_reads_holds_neither_a_request_nor_the_end(self):
        end = self.start_with_pipe()
        self.addCleanup(os.close, end)
        with Wire.to(self.gateway.port) as wire:
            for _ in range(1200):
                wire.send(request_bytes("GET", "/open/" + "x" * 1024))
                self.assertEqual(wire.answer().status, 200)
        self.wait_for_dropped()
        self.gateway.stop()

    def test_a_log_that_is_read_again_says_what_was_lost(self):
        end = self.start_with_pipe()
        with Wire.to(self.gateway.port) as wire:
            for _ in range(1200):
                wire.send(request_bytes("GET", "/open/" + "x" * 1024))
                self.assertEqual(wire.answer().status, 200)
        self.wait_for_dropped()
        os.set_blocking(end, True)
        dropped = self.dropped()
        with open(end, encoding="utf-8") as log:
            lines = [json.loads(log.readline())]
            while lines[-1]["event"] != "log lines dropped":
                lines.append(json.loads(log.readline()))
            self.assertEqual(lines[-1]["lines"], dropped)
            self.gateway.signal(signal.SIGTERM)
            lines += map(json.loads, log)
        self.assertEqual(sum(line.get("path", "").startswith("/open/x") for line in lines) + dropped, 1200)
        self.assertIn("stopped", [line["event"] for line in lines])


class Drain(Story):
    shared = False
    settings = SETTINGS
    shares_threads = True

    def test_requests_in_flight_finish(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.start()
            go_on = threading.Event()

            def slowly(_request, _wire):
                go_on.wait(DEADLINE_S)
                return answer_bytes(200, b"finished")

            self.project.handler = slowly
            wire = self.wire()
            wire.send(request_bytes("GET", "/open"))
            self.project.wait_for_requests(1)
            self.gateway.signal(number)
            self.gateway.wait_until(lambda: not self.gateway.speaks("/readyz", self.gateway.admin_port), "/readyz to fail")
            go_on.set()
            answer = wire.answer()
            self.assertEqual((answer.status, answer.body), (200, b"finished"))
            self.assertEqual(answer.get("connection", "").lower(), "close")
            self.assertEqual(self.gateway.process.wait(DEADLINE_S), 0)

    def test_what_does_not_finish_is_cut_and_never_looks_whole(self):
        self.start({"drain": {"delay": "0s", "timeout": "1s"}})
        hang = threading.Event()
        self.addCleanup(hang.set)

        def stall(_request, wire):
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            hang.wait(DEADLINE_S)

        self.project.handler = stall
        wire = self.wire()
        wire.send(request_bytes("GET", "/open"))
        answer = wire.answer(with_body=False)
        self.gateway.signal(signal.SIGTERM)
        with self.assertRaises(AssertionError):
            list(wire.body_pieces(answer))
        self.assertEqual(self.gateway.process.wait(DEADLINE_S), 0)

    def test_accepting_goes_on_for_the_delay(self):
        self.start({"drain": {"delay": "3s", "timeout": "3s"}})
        self.gateway.signal(signal.SIGTERM)
        self.gateway.wait_until(lambda: self.get("/_jotgate/health").status == 503, "health to fail")
        answer = self.get("/open")
        self.assertEqual((answer.status, answer.get("connection").lower()), (200, "close"))
        self.assertEqual(self.gateway.process.wait(DEADLINE_S), 0)

    def test_who_connects_while_it_stops_listening_is_not_reset(self):
        self.start({"drain": {"delay": "500ms", "timeout": "5s"}})
        port, outcomes = self.gateway.port, []

        def ask_again_and_again():
            while True:
                sock = socket.socket()
                sock.settimeout(0.3)
                try:
                    sock.connect(("127.0.0.1", port))
                except (ConnectionRefusedError, TimeoutError):
                    return  # who is not heard, or refused, asks somebody else
                with Wire(sock) as wire:
                    wire.send(request_bytes("GET", "/_jotgate/health"))
                    outcomes.append(wire.answer().status)

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            clients = [pool.submit(ask_again_and_again) for _ in range(16)]
            self.gateway.signal(signal.SIGTERM)
            for client in clients:
                client.result(DEADLINE_S * 2)
        self.assertLessEqual(set(outcomes), {200, 503})
        self.assertEqual(self.gateway.process.wait(DEADLINE_S), 0)


class Watching(Story):
    shared = False
    shares_threads = True

    def test_what_was_answered_is_counted_when_one_looks(self):
        self.start({"routes": [{"path": "/mine", "access": "user", "upstream": "@PROJECT@"}]})
        names = ("jotgate_connections_accepted_total", "jotgate_token_checks_total", "jotgate_upstream_connects_total", "jotgate_upstream_reuses_total")
        before = self.gateway.metrics()
        for n in range(1, 21):
            self.assertEqual(self.get("/mine", token=self.token(sub=f"user-{n}")).status, 200)
            now = self.gateway.metrics()
            accepted, checked, connected, reused = (now[name] - before[name] for name in names)
            self.assertEqual((accepted, checked, connected + reused), (n, n, n))


class Crash(Story):
    shared = False
    settings = SETTINGS

    def test_whatever_dies_takes_the_process_down_and_says_so(self):
        gateway = self.start()
        self.assertEqual(self.get("/open").status, 200)
        names = set()
        for task in os.listdir(f"/proc/{gateway.pid}/task"):
            with open(f"/proc/{gateway.pid}/task/{task}/comm", encoding="ascii") as file:
                names.add(file.read().strip())
        self.assertLessEqual({"worker-0", "worker-1"}, names)
        gateway.signal(signal.SIGABRT)
        self.assertEqual(gateway.process.wait(DEADLINE_S), -signal.SIGABRT)
        for reader in gateway.readers:
            reader.join(DEADLINE_S)
        self.assertRegex("\n".join(gateway.errors), r"jotgate: fatal signal 06 in thread \S+")
        self._cleanups = [each for each in self._cleanups if each[0] != gateway.stop]
        gateway.kill()


class Start(Story):
    shared = False
    settings = SETTINGS

    def test_it_listens_quickly_and_is_small(self):
        gateway = self.start()
        self.assertLess(gateway.listening_s, 5)
        self.assertLess(gateway.memory_bytes(), 200 << 20)

    def test_a_port_that_is_taken(self):
        first = self.start()
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            text = {"listen": f"127.0.0.1:{first.admin_port}", "admin": "", "supabase": {"url": self.project.url}}
            file.write(json.dumps(text))
            file.flush()
            code, out, err = run_program("run", "-c", file.name)
        self.assertEqual(code, 3, out + err)
        self.assertIn(str(first.admin_port), out + err)

    def test_settings_that_cannot_be_read(self):
        for name, text, place, words in (
            ("unknown key", "listen: '127.0.0.1:1'\nsupabase: {{ url: 'http://a' }}\nbananas: 1\n", ":3:1", "bananas"),
            ("twice", "listen: '127.0.0.1:1'\nlisten: '127.0.0.1:2'\n", ":2:1", "listen"),
            ("not YAML", "listen: [1, 2\nadmin: x: y\n", ":", ""),
            ("wrong unit", "supabase: {{ url: 'http://a' }}\ndrain: {{ delay: 5 parsecs }}\n", ":2:", "delay"),
            ("wrong rate", "supabase: {{ url: 'http://a' }}\nlimits: {{ a: {{ key: ip, rate: many, burst: 1 }} }}\n", ":2:", "rate"),
        ):
            with self.subTest(name), tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                file.write(text.format())
                file.flush()
                for command in (["run", "-c"], ["check", "-c"]):
                    code, out, err = run_program(*command, file.name)
                    self.assertEqual(code, 2, out + err)
                    self.assertRegex(out + err, re.escape(file.name) + re.escape(place))
                    self.assertIn(words, out + err)

    def test_one_run_tells_everything_that_is_wrong(self):
        text = (
            "listen: nowhere\nroutes:\n  - { path: /a, upstream: nonsense }\n  - { path: /b, methods: [FETCH] }\n"
            "plans: { default: free, tiers: { free: { default: [ { name: daily, quota: 5 } ] } } }\n"
            "supabase: { url: 'http://a' }\nissuers: [ { name: a, algorithms: [none] } ]\nbananas: 1\n"
        )
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            for command in ("run", "check"):
                code, out, err = run_program(command, "-c", file.name, env={"JOTGATE_ADMIN_TOKEN": "short"})
                self.assertEqual((code, out), (2, ""), err)
                places = [line.replace(file.name, "F").split(": ")[0:2] for line in err.splitlines()]
                self.assertEqual(places, [["env:JOTGATE_ADMIN_TOKEN", "is 5 bytes long; expected at least 32"], ["F:1:9", "listen"], ["F:3:27", "upstream"],
                                          ["F:4:26", "methods"], ["F:5:75", "quota"], ["F:7:35", "algorithms"], ["F:8:1", "bananas"]])  # fmt: skip
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("".join(f"banana{i}: 1\n" for i in range(50)))
            file.flush()
            code, _, err = run_program("check", "-c", file.name, env={"SUPABASE_URL": "http://a"})
            self.assertEqual(code, 2)
            self.assertEqual([line.split(":")[1] for line in err.splitlines()], [str(i + 1) for i in range(20)] + [" and 30 more"])

    def test_secrets_that_are_empty_or_short_refuse_to_start(self):
        for value in ("", "short", "x" * 31):
            code, out, err = run_program("check", env={"SUPABASE_URL": "http://127.0.0.1:1", "SUPABASE_JWT_SECRET": value})
            self.assertEqual(code, 2, out + err)
            self.assertIn("SUPABASE_JWT_SECRET", out + err)

    def test_a_name_without_a_value_is_as_good_as_unset(self):
        names = ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY", "JOTGATE_ADMIN_TOKEN", "LIMITS", "LIMIT_PER_USER", "LIMIT_PER_IP", "FLY_APP_NAME")
        code, out, err = run_program("check", env=dict.fromkeys(names, "") | {"SUPABASE_URL": "https://abc.supabase.co"})
        self.assertNotIn("is set", out + err)
        self.assertIn(code, (0, 1), out + err)
        for name in ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY"):
            code, out, err = run_program("check", env={"SUPABASE_URL": "https://abc.supabase.co", name: ""})
            self.assertEqual((code, f"env:{name}: is set but empty" in err), (2, True), out + err)

    def test_without_a_project_it_says_what_to_set(self):
        code, out, err = run_program("run")
        self.assertEqual(code, 2)
        self.assertIn("SUPABASE_URL", out + err)



class Commands(unittest.TestCase):
    def ok(self, *arguments, code=0, **more):
        status, out, err = run_program(*arguments, **more)
        self.assertEqual(status, code, out + err)
        return out

    def test_version_and_help(self):
        self.assertRegex(self.ok("version"), r"jotgate \d+\.\d+\.\d+")
        text = self.ok("help")
        for command in ("run", "demo", "check", "verify", "mint", "health"):
            self.assertIn(command, text)
            self.assertTrue(self.ok("help", command).strip())

    def test_wrong_usage_is_two(self):
        for arguments in (["bananas"], ["run", "--bananas"], ["check", "-c"], ["mint"], ["verify"]):
            self.ok(*arguments, code=2)

    def test_settings_that_cannot_be_read_are_two(self):
        for more in (["--listen", "nope"], ["--listen", "127.0.0.1:70000"]):
            self.ok("demo", "--once", *more, code=2)
        for name, value in (("LIMITS", "nope"), ("SUPABASE_SECRET_KEY", "")):
            status, out, err = run_program("demo", "--once", "--listen", "127.0.0.1:0", env={name: value})
            self.assertEqual((status, f"env:{name}" in err), (2, True), out + err)

    def test_check_shows_the_settings_and_masks_the_secrets(self):
        secret = "a-very-secret-secret-of-forty-characters"
        env = {"SUPABASE_URL": "https://abc.supabase.co", "SUPABASE_JWT_SECRET": secret, "SUPABASE_SECRET_KEY": "sb_secret_hidden_hidden"}
        code, out, err = run_program("check", env=env)
        self.assertIn(code, (0, 1), out + err)
        self.assertIn("/rest/v1", out)
        self.assertNotIn(secret, out + err)
        self.assertNotIn("hidden_hidden", out + err)

    def test_the_reference_file_is_good(self):
        path = os.path.join(os.path.dirname(__file__), "..", "..", "config", "jotgate.yaml")
        code, out, err = run_program("check", "-c", path, env={"SUPABASE_URL": "https://abc.supabase.co"})
        self.assertIn(code, (0, 1), out + err)

    def test_verify_says_one_line_a_token(self):
        key = shared_key()
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"keys": [key.jwk()]}, file)
            file.flush()
            good = key.token({"iss": "i", "aud": "a", "exp": 4000000000, "sub": "s"})
            options = ["verify", "--jwks", file.name, "--issuer", "i", "--audience", "a"]
            line = json.loads(self.ok(*options, good))
            self.assertEqual((line["ok"], line["claims"]["sub"], line["header"]["alg"]), (True, "s", "ES256"))
            code, out, _ = run_program(*options, "-", stdin=f"{good}\n\nrubbish\n{good[:-4]}AAAA\n{good}")
            lines = [json.loads(each) for each in out.splitlines()]
            self.assertEqual([each["ok"] for each in lines], [True, False, False, False, True])
            self.assertEqual(code, 1)
            self.assertTrue(all(each["reason"] for each in lines if not each["ok"]))

    def test_verify_below_the_claims(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            secret = Secret("a-shared-secret-of-thirty-two-bytes!")
            json.dump({"keys": [{"kty": "oct", "kid": "k", "k": b64(secret.secret.encode())}]}, file)
            file.flush()
            token = secret.token("not JSON at all", {"kid": "k"})
            self.assertTrue(json.loads(self.ok("verify", "--jwks", file.name, "--signature-only", token))["ok"])

    def test_mint_makes_tokens_that_verify(self):
        with tempfile.TemporaryDirectory() as folder:
            for algorithm in ("ES256", "RS256", "EdDSA", "PS256", "ES384"):
                private, public = os.path.join(folder, algorithm), os.path.join(folder, algorithm + ".json")
                with open(public, "w", encoding="utf-8") as file:
                    file.write(self.ok("mint", "--new-key", private, "--alg", algorithm))
                tokens = self.ok("mint", "--alg", algorithm, "--key", private, "--sub", "ada", "--count", "3", "--claim", "a=b").split()
                self.assertEqual(len(set(tokens)) >= 1 and len(tokens), 3)
                for token in tokens:
                    line = json.loads(self.ok("verify", "--jwks", public, token))
                    self.assertEqual((line["ok"], line["claims"]["sub"], line["claims"]["a"]), (True, "ada", "b"))

    def test_mint_with_a_secret_from_the_environment(self):
        out = self.ok("mint", "--alg", "HS256", "--secret-env", "S", "--sub", "x", env={"S": "s" * 32})
        self.assertEqual(out.count("."), 2)

    def test_health_asks_a_running_gateway(self):
        project = Project()
        self.addCleanup(project.close)
        gateway = Gateway(project)
        self.addCleanup(gateway.stop)
        self.ok("health", env={"PORT": str(gateway.port)})

    def jwks(self, admin, *words):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
            json.dump({"admin": admin, "supabase": {"url": "http://127.0.0.1:1"}}, file)
            file.flush()
            return run_program("jwks", *words, "-c", file.name)

    def status_of(self, pid):
        """An admin listener that says that it is `pid`."""
        status = json.dumps({"pid": pid, "issuers": [{"name": "supabase", "fetches": 1}]}).encode()
        listener = Upstream(lambda _request, wire: wire.send(answer_bytes(200, status)))  # and closes
        self.addCleanup(listener.close)
        return listener.url.split("//")[1]

    def test_jwks_refresh_makes_the_gateway_fetch(self):
        project = Project()
        self.addCleanup(project.close)
        gateway = Gateway(project)
        self.addCleanup(gateway.stop)
        before = project.key_fetches
        self.assertEqual(self.jwks(f"127.0.0.1:{gateway.admin_port}", "refresh")[0], 0)
        self.assertGreater(project.key_fetches, before)

    def test_jwks_refresh_signals_nobody_but_a_gateway(self):
        with subprocess.Popen(["sleep", "60"]) as stranger:
            self.addCleanup(stranger.kill)
            code, out, said = self.jwks(self.status_of(stranger.pid), "refresh")
            self.assertEqual((code, out), (1, ""))
            self.assertIn(f"(pid {stranger.pid})", said)
            self.assertIsNone(stranger.poll())  # SIGUSR1 would have ended it
            stranger.kill()
        for pid in (1, stranger.pid, 1 << 40, "text"):  # init; nobody any more
            self.assertEqual(self.jwks(self.status_of(pid), "refresh")[0], 1)
        self.assertEqual(self.jwks(self.status_of(1))[0], 0)  # to look is no harm

    def test_the_demo_runs_once(self):
        out = self.ok("demo", "--once", "--listen", f"127.0.0.1:{free_port()}", seconds=60)
        for status in ("200", "401", "429"):
            self.assertIn(status, out)

    def test_tokens_signed_elsewhere_and_minted_here_are_alike(self):
        key = Key("ES256")
        token = self.ok("mint", "--alg", "ES256", "--key", key.path, "--kid", key.kid, "--sub", "x").strip()
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"keys": [key.jwk()]}, file)
            file.flush()
            self.assertTrue(json.loads(self.ok("verify", "--jwks", file.name, token))["ok"])
