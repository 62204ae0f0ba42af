# SPDX-License-Identifier: MIT
"""Uploads: resumable ones stay with the gateway, expectations are the upstream's to meet, and whoever is refused early is told why."""
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from harness import Story
from wire import DEADLINE_S, Answer, Wire, answer_bytes, free_port, request_bytes, streaming

SETTINGS = {
    "routes": [
        {"path": "/open", "access": "open", "upstream": "@PROJECT@", "limits": []},
        {"path": "/below", "access": "open", "upstream": "@PROJECT@/base", "strip": "/below", "limits": []},
        {"path": "/small", "access": "open", "upstream": "@PROJECT@", "limits": [], "max_body": "1KiB"},
    ],
    "trust": {"client_ip": {"x-forwarded-for": 1}},
}
PROXIED = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https")]
EXPECTING = b"POST /open HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Tus(Story):
    """TUS 1.0: the upload is created with POST, and goes on with PATCH at the Location of that answer."""

    settings = SETTINGS

    def setUp(self):
        super().setUp()
        self.stored = b""
        self.project.handler = self.serve

    def serve(self, request, _wire):
        resumable = [("Tus-Resumable", "1.0.0")]
        if request.method == "POST":
            place = f"{self.project.url}{request.target}/abc?x=1"
            return answer_bytes(201, b"", resumable + [("Location", place)], "Created")
        if request.method == "HEAD":
            return answer_bytes(200, b"", resumable + [("Upload-Offset", str(len(self.stored)))])
        if int(request.get("upload-offset")) != len(self.stored):
            return answer_bytes(409, b"", resumable, "Conflict")
        self.stored += request.body
        return answer_bytes(204, b"", resumable + [("Upload-Offset", str(len(self.stored)))], "No Content")

    def create(self, target, headers=()):
        return self.ask("POST", target, [("Tus-Resumable", "1.0.0"), ("Upload-Length", "9"), *headers])

    def test_an_upload_goes_on_through_the_gateway(self):
        answer = self.create("/storage/v1/upload/resumable")
        self.assertEqual(answer.status, 201)
        place = answer.get("location")
        self.assertEqual(place, "http://gateway.test/storage/v1/upload/resumable/abc?x=1")
        target = place[len("http://gateway.test") :]
        for offset, piece in ((0, b"first"), (5, b"rest")):
            patch = [("Upload-Offset", str(offset)), ("Content-Type", "application/offset+octet-stream")]
            answer = self.ask("PATCH", target, patch, piece)
            self.assertEqual((answer.status, answer.get("upload-offset")), (204, str(len(self.stored))))
        self.assertEqual(self.stored, b"firstrest")
        self.assertEqual(self.ask("HEAD", target).get("upload-offset"), "9")
        self.assertEqual(self.ask("PATCH", target, [("Upload-Offset", "3")], b"x").status, 409)
        self.assertEqual(self.project.requests[1].get("content-type"), "application/offset+octet-stream")

    def test_a_caller_over_tls_goes_on_over_tls(self):
        place = self.create("/storage/v1/upload/resumable", PROXIED).get("location")
        self.assertEqual(place, "https://gateway.test/storage/v1/upload/resumable/abc?x=1")

    def test_a_stripped_prefix_comes_back(self):
        answer = self.create("/below/files")
        self.assertEqual(answer.get("location"), "http://gateway.test/below/files/abc?x=1")
        request = self.project.requests[0]
        self.assertEqual((request.target, request.get("x-forwarded-prefix")), ("/base/files", "/below"))


class Locations(Story):
    settings = SETTINGS

    def located(self, target, value, status=302, name="Location"):
        self.project.handler = lambda _request, _wire: answer_bytes(status, b"", [(name, value)], "Found")
        return self.get(target).get(name.lower())

    def test_what_does_not_name_the_upstream_is_not_touched(self):
        port = self.project.port
        for value in (
            "https://accounts.google.com/o/oauth2/v2/auth?redirect_uri=" + self.project.url + "/auth/v1/callback",
            "https://app.example/#access_token=x",
            "/rest/v1/todos?id=eq.1",
            "todos",
            "//127.0.0.1/x",
            f"https://127.0.0.1:{port}/x",
            f"http://127.0.0.1:{port + 1}/x",
            f"http://127.0.0.1:{port}.evil.test/x",
            f"http://127.0.0.1:{port}@evil.test/x",
            "app.example:/login",
            "",
        ):
            with self.subTest(value):
                self.assertEqual(self.located("/open", value), value)

    def test_auth_redirects_are_never_touched(self):
        value = self.project.url + "/welcome#access_token=x"
        self.assertEqual(self.located("/auth/v1/verify", value, 303), value)
        self.assertEqual(self.located("/functions/v1/x", value, 303), "http://gateway.test/welcome#access_token=x")

    def test_content_location_leads_to_the_gateway_too(self):
        value = self.project.url + "/open/1"
        self.assertEqual(self.located("/open", value, 200, "Content-Location"), "http://gateway.test/open/1")
        self.assertEqual(self.located("/open", value, 200, "X-Location"), value)


class Expectations(Story):
    settings = SETTINGS
    shares_threads = True

    def setUp(self):
        super().setUp()
        self.arrived, self.go_on = threading.Event(), threading.Event()
        self.addCleanup(self.go_on.set)

    def silent(self, wire, seconds=0.2):
        """Nothing comes for a while."""
        wire.sock.settimeout(seconds)
        try:
            data = wire.sock.recv(1, socket.MSG_PEEK)
            self.fail(f"{data!r} came")
        except TimeoutError:
            wire.sock.settimeout(DEADLINE_S)

    def when(self, act):
        """The upstream notes that the head has come, waits for go_on, and acts."""

        @streaming
        def handler(request, wire):
            self.arrived.set()
            self.go_on.wait(DEADLINE_S)
            return act(request, wire)

        self.project.handler = handler

    def body_of(self, request, wire):
        return answer_bytes(200, b"".join(wire.body_pieces(request)))

    def test_the_client_is_told_to_continue_only_when_the_upstream_says_so(self):
        def act(request, wire):
            wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + CONTINUE + CONTINUE)
            return self.body_of(request, wire)

        self.when(act)
        with Wire.to(self.gateway.port) as wire:
            wire.send(EXPECTING)
            self.assertTrue(self.arrived.wait(DEADLINE_S))
            self.silent(wire)
            self.go_on.set()
            self.assertEqual(wire.head(), CONTINUE)
            wire.send(b"abc")
            answer = wire.answer("POST")
        self.assertEqual((answer.body, list(answer.interim)), (b"abc", []))
        self.assertEqual(self.project.requests[0].get("expect"), "100-continue")

    def test_a_refusal_comes_without_the_body(self):
        for status in (401, 413, 417):
            self.arrived.clear()
            self.when(lambda _request, wire, status=status: wire.send(answer_bytes(status, b"no")))
            self.go_on.set()
            with self.subTest(status), Wire.to(self.gateway.port) as wire:
                wire.send(EXPECTING)
                answer = wire.answer("POST")
                self.assertEqual((answer.status, answer.body, list(answer.interim)), (status, b"no", []))
                self.assertEqual(answer.get("connection"), "close")
                self.assertEqual(wire.closed(), b"")

    def test_a_silent_upstream_is_not_waited_for_without_end(self):
        self.when(self.body_of)
        self.go_on.set()
        with Wire.to(self.gateway.port) as wire:
            began = time.monotonic()
            wire.send(EXPECTING)
            self.assertEqual(wire.head(), CONTINUE)
            self.assertGreater(time.monotonic() - began, 0.9)
            wire.send(b"abc")
            self.assertEqual(wire.answer("POST").body, b"abc")

    def test_a_client_that_does_not_wait_is_not_held_up(self):
        self.when(self.body_of)
        self.go_on.set()
        with Wire.to(self.gateway.port) as wire:
            wire.send(EXPECTING + b"abc" + request_bytes("POST", "/open", body=b"next"))
            self.assertEqual([wire.answer("POST").body for _ in range(2)], [b"abc", b"next"])

    def test_nobody_hears_100_who_did_not_ask(self):
        self.when(lambda request, wire: wire.send(CONTINUE) or self.body_of(request, wire))
        self.go_on.set()
        old = b"POST /open HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"
        with Wire.to(self.gateway.port) as wire:
            wire.send(request_bytes("POST", "/open", body=b"abc"))
            answer = wire.answer("POST")
            self.assertEqual((answer.body, list(answer.interim)), (b"abc", []))
        with Wire.to(self.gateway.port) as wire:
            wire.send(old)
            self.assertEqual(Answer(wire.head()).status, 200)
        self.assertEqual([r.get("expect") for r in self.project.requests], [None, None])

    def test_our_own_refusal_asks_nobody(self):
        with Wire.to(self.gateway.port) as wire:
            wire.send(b"POST /small HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1025\r\n\r\n")
            answer = wire.answer("POST")
        self.assert_problem(answer, 413, "payload_too_large")
        self.assertEqual(list(answer.interim), [])
        self.assert_nothing_upstream()


class Early(Story):
    """Answers that come while the request is still on its way."""

    settings = SETTINGS
    HEAD = b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n"

    def test_an_answer_is_relayed_and_the_rest_of_the_upload_is_not_read_for_ever(self):
        def refuse(_request, wire):
            wire.send(answer_bytes(403, b"stop"))
            return wire.closed() and None

        self.project.handler = streaming(refuse)
        with Wire.to(self.gateway.port) as wire:
            wire.send(self.HEAD + b"x" * 100000)
            answer = wire.answer("POST")
            self.assertEqual((answer.status, answer.body, answer.get("connection")), (403, b"stop", "close"))
            for _ in range(100):  # 50 MB: more than is passed over and than buffers hold
                wire.try_send(b"x" * 500000)
            self.assertEqual(wire.closed(), b"")

    def test_an_answer_may_take_as_long_as_the_upload(self):
        @streaming
        def both(request, wire):
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in wire.body_pieces(request):
                wire.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
            wire.send(b"0\r\n\r\n")
            return self.project.KEEP

        self.project.handler = both
        with Wire.to(self.gateway.port) as wire:
            wire.send(b"POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            answer = wire.answer("POST", with_body=False)
            pieces = wire.body_pieces(answer)
            for piece in (b"one", b"two", b"three"):
                wire.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
                self.assertEqual(next(pieces), piece)
            wire.send(b"0\r\n\r\n")
            self.assertEqual(b"".join(pieces), b"")

    def test_a_body_beyond_the_routes_limit_is_413_in_either_framing(self):
        whole = self.ask("POST", "/small", body=b"x" * 1024)
        self.assertEqual(whole.json()["body_bytes"], 1024)
        self.assert_problem(self.ask("POST", "/small", body=b"x" * 1025), 413, "payload_too_large")
        chunks = b"200\r\n" + b"x" * 512 + b"\r\n201\r\n" + b"x" * 513 + b"\r\n0\r\n\r\n"
        answer = self.ask("POST", "/small", [("Transfer-Encoding", "chunked")], chunks)
        self.assert_problem(answer, 413, "payload_too_large")


class Ranges(Story):
    settings = SETTINGS

    def test_ranges_and_conditions_pass_both_ways(self):
        asked = [
            ("Range", "bytes=2-3"), ("If-Range", '"v1"'), ("If-None-Match", '"v0", W/"v1"'), ("If-Match", "*"),
            ("If-Modified-Since", "Sat, 29 Oct 1994 19:43:31 GMT"), ("If-Unmodified-Since", "Sat, 29 Oct 1994 19:43:31 GMT"),
        ]  # fmt: skip
        given = [("Content-Range", "bytes 2-3/10"), ("ETag", '"v1"'), ("Accept-Ranges", "bytes"), ("Content-Length", "2")]
        self.project.handler = lambda _request, _wire: answer_bytes(206, b"cd", given, "Partial Content")
        answer = self.get("/storage/v1/object/public/a/b", asked)
        self.assertEqual((answer.status, answer.body), (206, b"cd"))
        for name, value in given:
            self.assertEqual(answer.get(name.lower()), value)
        for name, value in asked:
            self.assertEqual(self.project.requests[0].get(name.lower()), value)

    def test_304_has_its_fields_and_no_body(self):
        given = [("ETag", '"v1"'), ("Content-Length", "10"), ("Cache-Control", "max-age=60"), ("Vary", "Accept")]
        self.project.handler = lambda _request, _wire: answer_bytes(304, b"", given, "Not Modified")
        with Wire.to(self.gateway.port) as wire:
            for _ in range(2):  # the second shows that nothing of the first was left
                wire.send(request_bytes("GET", "/open", [("If-None-Match", '"v1"')]))
                answer = wire.answer()
                self.assertEqual(answer.status, 304)
                for name, value in given:
                    self.assertEqual(answer.get(name.lower()), value)

    def test_row_ranges_of_postgrest_pass(self):
        given = [("Content-Range", "0-24/3573458"), ("Range-Unit", "items")]
        self.project.handler = lambda _request, _wire: answer_bytes(206, b"[]", given, "Partial Content")
        answer = self.get("/rest/v1/todos", [("Range", "0-24"), ("Range-Unit", "items"), ("Prefer", "count=exact")])
        self.assertEqual((answer.status, answer.get("content-range")), (206, "0-24/3573458"))
        self.assertEqual(self.project.requests[0].get("range"), "0-24")


NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port}; client_max_body_size 1k; root {folder}/files;
    location /echo {{ proxy_pass {project}; }}
  }}
}}
"""


class Nginx(Story):
    """A real server's way with expectations and ranges."""

    shared = False

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="story-")
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        os.mkdir(os.path.join(folder.name, "files"))
        self.port = free_port()
        with open(os.path.join(folder.name, "files", "digits"), "w", encoding="ascii") as file:
            file.write("0123456789")
        self.start({"routes": [{"path": "/", "access": "open", "upstream": f"http://127.0.0.1:{self.port}", "limits": []}]})
        config = os.path.join(folder.name, "nginx.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(NGINX.format(folder=folder.name, port=self.port, project=self.project.url))
        program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        nginx = subprocess.Popen([program, "-p", folder.name, "-e", f"{folder.name}/error.log", "-c", config], stderr=subprocess.DEVNULL)
        self.addCleanup(nginx.wait, DEADLINE_S)
        self.addCleanup(nginx.kill)
        self.gateway.wait_until(lambda: self.get("/digits").status == 200, "nginx")

    def expecting(self, n):
        wire = self.wire()
        wire.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % n)
        return wire

    def test_it_asks_for_the_body_that_it_takes_and_for_no_other(self):
        wire = self.expecting(3)
        self.assertEqual(wire.head(), CONTINUE)
        wire.send(b"abc")
        self.assertEqual(wire.answer("POST").json()["body_bytes"], 3)
        answer = self.expecting(1025).answer("POST")
        self.assertEqual((answer.status, list(answer.interim), answer.get("proxy-status")), (413, [], None))

    def test_ranges_and_conditions_are_its_own(self):
        answer = self.get("/digits", [("Range", "bytes=2-4")])
        self.assertEqual((answer.status, answer.body, answer.get("content-range")), (206, b"234", "bytes 2-4/10"))
        tag = answer.get("etag")
        self.assertEqual(self.get("/digits", [("If-None-Match", tag)]).status, 304)
        self.assertEqual(self.get("/digits", [("If-Match", '"other"')]).status, 412)
        self.assertEqual(self.get("/digits", [("Range", "bytes=50-")]).status, 416)
        self.assertEqual(self.get("/digits", [("Range", "bytes=2-4"), ("If-Range", '"other"')]).body, b"0123456789")
