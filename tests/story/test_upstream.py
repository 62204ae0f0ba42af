# SPDX-License-Identifier: MIT
"""Upstreams that fail: each in its own way, told apart, never made up for by a second request or a made-up end."""
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
from unittest import mock

import harness
from harness import Story
from wire import DEADLINE_S, Door, Truncated, Wire, answer_bytes, free_port, request_bytes

ROUTE = {"path": "/open", "access": "open", "upstream": "@PROJECT@", "limits": []}
HELLO = answer_bytes(200, b"hello")


class Queue(Story):
    """max_open requests are under way, the next max_queue wait, the others are told at once."""

    shared = False

    def start_small(self, **upstream):
        self.start({"routes": [ROUTE], "workers": 1, "upstream": {"max_open": 2, "max_queue": 3} | upstream})
        self.go_on = threading.Semaphore(0)
        self.addCleanup(lambda: [self.go_on.release() for _ in range(100)])

        def held(request, _wire):
            self.go_on.acquire(timeout=DEADLINE_S)
            return answer_bytes(200, request.target.encode())

        self.project.handler = held

    def ask_for(self, i):
        wire = self.wire()
        wire.send(request_bytes("GET", f"/open/{i}"))
        return wire

    def gauge(self, name):
        return self.gateway.metrics()[f"jotgate_upstream_{name}"]

    def fill(self, n=5):
        """Two under way and the others in the queue, where three have room, in this order."""
        wires = []
        for i in range(n):
            wires.append(self.ask_for(i))
            if i < 2:
                self.project.wait_for_requests(i + 1)
            else:
                self.gateway.wait_until(lambda n=i - 1: self.gauge("queued") == n, f"{i - 1} in the queue")
        return wires

    def test_who_comes_later_waits_in_order_and_who_comes_last_is_told(self):
        self.start_small(queue_timeout="20s")
        wires = self.fill()
        refused = self.get("/open/late")
        self.assert_problem(refused, 503, "overloaded")
        self.assertGreaterEqual(int(refused.get("retry-after")), 1)
        self.assertEqual(len(self.project.requests), 2)
        for i in range(3):
            self.go_on.release()
            self.project.wait_for_requests(3 + i)
        for _ in range(2):
            self.go_on.release()
        self.assertEqual([wire.answer().body for wire in wires], [f"/open/{i}".encode() for i in range(5)])
        self.assertEqual([r.target for r in self.project.requests][2:], ["/open/2", "/open/3", "/open/4"])
        self.gateway.wait_until(lambda: self.gauge("overloads_total") == 1, "the refusal to be counted")
        self.assertEqual(len({r.connection for r in self.project.requests}), 2)

    def test_nobody_waits_for_ever(self):
        self.start_small(queue_timeout="300ms")
        for i in range(2):
            self.ask_for(i)
            self.project.wait_for_requests(i + 1)
        for wire in [self.ask_for(i) for i in (2, 3, 4)]:
            answer = wire.answer()
            self.assert_problem(answer, 503, "overloaded")
            self.assertIsNotNone(answer.get("retry-after"))
        self.assertEqual(len(self.project.requests), 2)

    def test_who_leaves_the_queue_is_never_forwarded(self):
        self.start_small(queue_timeout="20s")
        wires = self.fill()
        wires[2].close()
        wires[3].reset()
        self.gateway.wait_until(lambda: self.gauge("queued") == 1, "two to have left the queue")
        for _ in range(3):
            self.go_on.release()
        self.assertEqual(wires[4].answer().body, b"/open/4")
        self.assertEqual([r.target for r in self.project.requests], ["/open/0", "/open/1", "/open/4"])

    def test_an_upload_waits_with_its_body_and_arrives_whole(self):
        self.start_small(queue_timeout="20s")
        self.fill(4)
        body = bytes(range(256)) * 4096
        self.project.handler = lambda r, _w: answer_bytes(200, hashlib.sha256(r.body).hexdigest().encode())
        with self.wire() as wire:
            wire.sock.settimeout(DEADLINE_S)
            sender = threading.Thread(target=wire.send, args=(request_bytes("POST", "/open", body=body),))
            sender.start()
            self.gateway.wait_until(lambda: self.gauge("queued") == 3, "the upload to wait")
            for _ in range(4):
                self.go_on.release()
            self.assertEqual(wire.answer().body.decode(), hashlib.sha256(body).hexdigest())
            sender.join()

    def test_without_a_queue_it_is_told_at_once(self):
        self.start_small(max_queue=0)
        for i in range(2):
            self.ask_for(i)
            self.project.wait_for_requests(i + 1)
        self.assert_problem(self.get("/open/late"), 503, "overloaded")


class Stale(Story):
    """A kept connection that dies under a request: what may be repeated is sent once more, what may not is told."""

    settings = {"routes": [ROUTE], "workers": 1}

    def kill_kept(self):
        """Answers every second request on a connection by closing it."""
        seen = set()

        def handler(request, wire):
            if request.connection in seen:
                return None
            seen.add(request.connection)
            return answer_bytes(200, request.target.encode())

        self.project.handler = handler

    def lines(self):
        return [r.line.rsplit(" ", 1)[0] for r in self.project.requests]

    def test_a_get_is_sent_once_more_on_a_fresh_connection(self):
        self.kill_kept()
        self.assertEqual(self.get("/open/1").status, 200)
        self.assertEqual(self.get("/open/2").status, 200)
        self.assertEqual(self.lines(), ["GET /open/1", "GET /open/2", "GET /open/2"])

    def test_a_second_death_is_not_followed_by_a_third_try(self):
        self.assertEqual(self.get("/open/1").status, 200)
        self.project.handler = lambda _request, _wire: None
        self.assert_problem(self.get("/open/2"), 502, "upstream_broken")
        self.assertEqual(self.lines(), ["GET /open/1", "GET /open/2", "GET /open/2"])

    def test_what_may_not_be_repeated_is_sent_once(self):
        for method, body in (("POST", b""), ("POST", b"x"), ("PATCH", b"x"), ("PUT", b"x"), ("DELETE", b"x")):
            with self.subTest(method, body=body):
                self.project.clear()
                self.project.handler = lambda _request, _wire: HELLO
                self.assertEqual(self.get("/open/first").status, 200)
                self.project.handler = lambda _request, _wire: None
                self.assert_problem(self.ask(method, "/open/second", body=body), 502, "upstream_broken")
                self.assertEqual([line for line in self.lines() if "second" in line], [f"{method} /open/second"])

    def test_a_get_whose_answer_has_begun_is_not_repeated(self):
        self.assertEqual(self.get("/open/1").status, 200)
        self.project.handler = lambda _request, wire: wire.send(b"HTTP/1.1 200 OK\r\nContent-")
        self.assert_problem(self.get("/open/2"), 502, "upstream_broken")
        self.assertEqual(self.lines(), ["GET /open/1", "GET /open/2"])


class Forms(Story):
    """Upstreams that are old, speak through a file, or say things in their own way."""

    settings = {"routes": [ROUTE], "workers": 1}

    def test_a_body_until_the_close_is_whole_for_new_and_old_clients(self):
        self.project.handler = lambda _request, wire: wire.send(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 100000)
        with Wire.to(self.gateway.port) as wire:
            wire.send(request_bytes("GET", "/open") + b"GET /open HTTP/1.0\r\n\r\n")
            new = wire.answer()
            self.assertEqual((new.get("transfer-encoding"), new.body), ("chunked", b"x" * 100000))
            old = wire.answer()
            self.assertEqual((old.get("transfer-encoding"), old.get("content-length")), (None, None))
            self.assertEqual(old.body, b"x" * 100000)

    def test_a_body_until_the_close_that_is_reset_is_not_whole(self):
        more = threading.Event()

        def handler(_request, wire):
            wire.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
            more.wait(DEADLINE_S)
            wire.reset()

        self.project.handler = handler
        with Wire.to(self.gateway.port) as wire:
            wire.send(request_bytes("GET", "/open"))
            answer = wire.answer(with_body=False)
            pieces = wire.body_pieces(answer)
            self.assertEqual(next(pieces), b"abc")
            more.set()
            with self.assertRaises((Truncated, ValueError)):
                list(pieces)

    def test_a_half_closed_upstream_is_heard_and_not_kept(self):
        def handler(_request, wire):
            wire.send(HELLO)
            wire.finish()
            wire.closed()

        self.project.handler = handler
        for i in range(3):
            self.assertEqual(self.ask("POST", "/open", body=b"x").body, b"hello")
            with self.project.changed:  # until the FIN is there, the next POST may well take this connection
                heard = self.project.changed.wait_for(lambda: not self.project.open_connections, DEADLINE_S)
            self.assertTrue(heard, "the gateway never closed its side")
        self.assertEqual(len({r.connection for r in self.project.requests}), 3)


class Sixth(Story):
    """An upstream by its IPv6 address."""

    shared = False

    def test_it_answers(self):
        try:
            listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
        except OSError:
            self.skipTest("no IPv6 on loopback")
        self.addCleanup(listener.close)
        port, heads = listener.getsockname()[1], []

        def serve():
            with Wire(listener.accept()[0]) as wire:
                heads.append(wire.head())
                wire.send(HELLO)
                wire.closed()

        threading.Thread(target=serve, daemon=True).start()
        self.start({"routes": [ROUTE | {"upstream": f"http://[::1]:{port}"}]})
        self.assertEqual(self.get("/open").body, b"hello")
        self.assertIn(f"host: [::1]:{port}\r\n".encode(), heads[0].lower())


class Unix(Story):
    """An upstream behind a socket file."""

    shared = False

    def test_it_answers_and_its_connection_is_kept(self):
        folder = tempfile.TemporaryDirectory(prefix="story-")
        self.addCleanup(folder.cleanup)
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        path, heads = os.path.join(folder.name, "up"), []
        listener.bind(path)
        listener.listen(16)

        def serve():
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(DEADLINE_S)
                for _ in range(2):
                    data = b""
                    while b"\r\n\r\n" not in data:
                        data += sock.recv(65536)
                    heads.append(data.lower())
                    sock.sendall(HELLO)
                sock.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        self.start({"routes": [ROUTE | {"upstream": f"unix:{path}"}], "workers": 1})
        for _ in range(2):
            self.assertEqual(self.get("/open/a").body, b"hello")
        self.assertIn(b"\r\nhost: localhost\r\n", heads[0])

    def test_a_file_that_is_not_there_is_unreachable(self):
        self.start({"routes": [ROUTE | {"upstream": "unix:/nonexistent/socket"}]})
        self.assert_problem(self.get("/open"), 502, "upstream_unreachable")


# Answers every request with its own target over and over, in pieces; notes every POST in a file as it comes.
VICTIM = r"""
import os, socket, socketserver, sys, time
notes = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = self.request.recv(65536)
                if not more:
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n")[0].split(b" ")
            if method == b"POST":
                os.write(notes, target + b"\n")
            line = target + b"\n"
            body = line * (1 + len(target) * 37 % 400)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            for at in range(0, len(body), 2000):
                self.request.sendall(body[at : at + 2000])
                time.sleep(0.001)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 256
server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print("listening", flush=True)
server.serve_forever()
"""


class Kill(Story):
    """kill -9 of the upstream under load: 502 or a cut connection, never a wrong or a mixed body, and never a POST twice."""

    shared = False
    CLIENTS, KILLS = 12, 4

    def raise_victim(self):
        victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM, str(self.port), self.notes], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.addCleanup(victim.stdout.close)
        self.addCleanup(victim.wait)
        self.addCleanup(victim.kill)
        self.assertEqual(victim.stdout.readline(), b"listening\n")
        return victim

    def outcome(self, method, target):
        try:
            answer = self.ask(method, target)
        except (Truncated, OSError):
            return "cut"
        if answer is None:
            return "cut"
        if answer.status == 502:
            return "told" if answer.json()["code"].startswith("upstream_") else f"wrong: {answer}"
        line = target.encode() + b"\n"
        whole = line * (1 + len(target) * 37 % 400)
        return "whole" if answer.status == 200 and answer.body == whole else f"wrong: {answer}"

    def client(self, number):
        i = 0
        while not self.over.is_set():
            i += 1
            method = "POST" if i % 3 == 0 else "GET"
            outcome = self.outcome(method, f"/open/{number}/{i}/" + "x" * (i % 50))
            with self.lock:
                self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def count(self, outcome):
        with self.lock:
            return self.outcomes.get(outcome, 0)

    def test_every_request_is_answered_whole_or_told_or_cut(self):
        folder = tempfile.TemporaryDirectory(prefix="story-")
        self.addCleanup(folder.cleanup)
        self.port, self.notes = free_port(), os.path.join(folder.name, "posts")
        self.over, self.lock, self.outcomes = threading.Event(), threading.Lock(), {}
        victim = self.raise_victim()
        self.start({"routes": [ROUTE | {"upstream": f"http://127.0.0.1:{self.port}"}]})
        clients = [threading.Thread(target=self.client, args=(i,), daemon=True) for i in range(self.CLIENTS)]
        for client in clients:
            client.start()
        try:
            for _ in range(self.KILLS):
                before, failed = self.count("whole"), self.count("told") + self.count("cut")
                self.gateway.wait_until(lambda n=before: self.count("whole") > n + 50, "load")
                victim.kill()
                victim.wait()
                self.gateway.wait_until(lambda n=failed: self.count("told") + self.count("cut") > n, "the failure to show")
                victim = self.raise_victim()
                # Back at once: nothing remembers that it was away.
                self.assertEqual(self.outcome("POST", f"/open/after/{before}"), "whole")
        finally:
            self.over.set()
            for client in clients:
                client.join(DEADLINE_S)
        self.assertEqual(set(self.outcomes) - {"whole", "told", "cut"}, set())
        with open(self.notes, encoding="ascii") as file:
            posts = file.read().split()
        self.assertEqual(len(posts), len(set(posts)), "a POST was sent twice")


class Addresses(Story):
    """A name with two addresses, which a hosts file of the gateway's own gives it. Needs the right to mount."""

    shared = False

    def own_hosts(self):
        """A program that is the gateway with another /etc/hosts; skips where that may not be."""
        folder = tempfile.TemporaryDirectory(prefix="story-")
        self.addCleanup(folder.cleanup)
        hosts, program = os.path.join(folder.name, "hosts"), os.path.join(folder.name, "jotgate")
        with open(hosts, "w", encoding="ascii") as file:
            file.write("127.0.0.1 localhost\n127.0.0.2 several.test\n127.0.0.3 several.test\n")
        mount = f"mount --bind {hosts} /etc/hosts"
        with open(program, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\nexec unshare -m /bin/sh -c '{mount} && exec {harness.PROGRAM} \"$@\"' sh \"$@\"\n")
        os.chmod(program, 0o755)
        tried = subprocess.run(["unshare", "-m", "/bin/sh", "-c", f"{mount} && getent hosts several.test"], capture_output=True, check=False)
        if tried.returncode != 0:
            self.skipTest("may not mount a hosts file")
        return program

    def serve(self, host):
        def take(sock):
            with Wire(sock) as wire:
                self.seen.append(host)
                if wire.head() and host not in self.broken:
                    wire.send(answer_bytes(200, host.encode(), [("Connection", "close")]))

        self.addCleanup(Door(take, socket.create_server((host, self.port), backlog=64)).close)

    def test_an_address_that_fails_is_left_alone_for_a_while_and_comes_back(self):
        with mock.patch.object(harness, "PROGRAM", self.own_hosts()):
            self.port, self.seen, self.broken = free_port(), [], set()
            for host in ("127.0.0.2", "127.0.0.3"):
                self.serve(host)
            upstream = f"http://several.test:{self.port}"
            self.start({"routes": [ROUTE | {"upstream": upstream}], "workers": 1, "upstream": {"eject": {"failures": 3, "for": "2s"}}})
        first = self.get("/open").body.decode()
        other = {"127.0.0.2": "127.0.0.3", "127.0.0.3": "127.0.0.2"}[first]
        self.broken.add(first)
        for _ in range(3):
            self.assert_problem(self.ask("POST", "/open", body=b"x"), 502, "upstream_broken")
        self.seen.clear()
        self.assertEqual([self.get("/open").body.decode() for _ in range(3)], [other] * 3)
        self.assertEqual(self.seen, [other] * 3)
        line = self.gateway.wait_for_log(lambda line: line["event"] == "upstream address ejected", "the ejection")
        self.assertEqual((line["level"], line["host"], line["address"]), ("warn", "several.test", f"{first}:{self.port}"))
        self.gateway.wait_until(lambda: self.gateway.metrics()["jotgate_upstream_ejections_total"] == 1, "the ejection to be counted")

        self.broken.clear()
        self.gateway.wait_until(lambda: self.get("/open").body.decode() == first, "the address to come back")
        line = self.gateway.wait_for_log(lambda line: line["event"] == "upstream address answers again", "the return")
        self.assertEqual(line["ejections"], 1)
