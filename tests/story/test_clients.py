# SPDX-License-Identifier: MIT
"""Clients that are slow, silent, gone or too many: each costs little and for a bounded time, and harms nobody else."""
import concurrent.futures
import resource
import threading
import time
import unittest

from harness import PROGRAM, Story, ask
from wire import DEADLINE_S, Truncated, Wire, answer_bytes, echo, request_bytes, streaming

MIB = 1 << 20
SLACK = 24 * MIB  # what sanitizers keep of freed memory; a flood is more than twice as much
OPEN = {"path": "/open", "access": "open", "upstream": "@PROJECT@", "limits": []}
GET = request_bytes("GET", "/open")
HEALTH = request_bytes("GET", "/_jotgate/health")


def post(length, body=b""):
    return b"POST /open HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: %d\r\n\r\n" % length + body


def is_sanitized():
    """Sanitizers keep what was freed for a while."""
    with open(PROGRAM, "rb") as file:
        data = file.read()
    return any(name in data for name in (b"__asan_init", b"__tsan_init"))


class ClientStory(Story):
    shared = False
    settings = {"routes": [OPEN]}

    def begin(self, workers=2, **http):
        return self.start({"http": http, "workers": workers})

    def hold_upstream(self):
        """The upstream answers nobody until the returned event is set."""
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        self.project.handler = lambda request, wire: go_on.wait(DEADLINE_S * 3) and echo(request, wire)
        return go_on

    def hold_requests(self, n, **more):
        wires = [self.wire(**more) for _ in range(n)]
        for wire in wires:
            wire.send(GET)
        return wires

    def metric(self, name):
        return self.gateway.metrics().get(name, 0)

    def wait_for_metric(self, name, value):
        """Counters of other rooms are copied out once a second."""
        self.gateway.wait_until(lambda: self.metric(name) == value, f"{name} to be {value}")

    def assert_others_are_served(self):
        self.assertEqual(self.get("/open").status, 200)

    def trickle(self, wire, every_s=0.02):
        """One byte now and then, until the gateway has something to say about it; what it says."""
        until = time.monotonic() + DEADLINE_S
        wire.sock.settimeout(every_s)
        while time.monotonic() < until:
            wire.try_send(b"x")
            try:
                if not wire.receive() or b"\r\n\r\n" in wire.buffer:
                    wire.sock.settimeout(DEADLINE_S)
                    return wire.answer()
            except TimeoutError:
                continue
        raise AssertionError(f"{DEADLINE_S} s of a byte now and then, and the gateway waits on")


class Slow(ClientStory):
    def test_a_head_that_takes_too_long(self):
        self.begin(head_timeout="500ms")
        wire = self.wire()
        wire.send(b"GET /open HTTP/1.1\r\nHost: gateway.test\r\nA: ")
        self.assert_problem(self.trickle(wire), 408, "request_timeout")
        wire.closed()
        self.assert_nothing_upstream()
        self.assert_others_are_served()

    def test_a_body_that_stops(self):
        self.begin(body_timeout="500ms")
        wire = self.wire()
        wire.send(post(100, b"half of it"))
        self.assert_problem(wire.answer("POST"), 408, "request_timeout")
        wire.closed()
        self.project.wait(lambda: self.project.open_connections == 0, what="the upstream's half of a request to be let go")
        self.assert_others_are_served()

    def test_a_body_that_trickles(self):
        self.begin(body_timeout="1s", min_body_rate="1KiB")
        wire = self.wire()
        wire.send(post(MIB))
        self.assert_problem(self.trickle(wire), 408, "request_timeout")
        wire.closed()
        self.project.wait(lambda: self.project.open_connections == 0, what="the upstream's half of a request to be let go")

    def test_a_trickle_where_any_byte_will_do(self):
        self.begin(body_timeout="3s", min_body_rate="0")
        wire = self.wire()
        wire.send(post(16))
        pause = threading.Event()
        began = time.monotonic()
        for _ in range(16):
            pause.wait(0.25)
            wire.send(b"x")
        self.assertGreater(time.monotonic() - began, 3)
        self.assertEqual(wire.answer("POST").status, 200)

    def test_an_upload_whose_upstream_is_slow_is_not_late(self):
        self.begin(body_timeout="500ms", min_body_rate="1KiB")
        pause = threading.Event()

        @streaming
        def slow(request, wire):
            pause.wait(2)  # longer than the patience with the client
            return answer_bytes(200, b"%d" % sum(map(len, wire.body_pieces(request))))

        self.project.handler = slow
        wire = self.wire()
        body = b"x" * (16 * MIB)
        wire.send(post(len(body), body))
        self.assertEqual(wire.answer("POST").body, b"%d" % len(body))

    def test_a_whole_request_that_takes_too_long(self):
        self.begin(request_timeout="1s", min_body_rate="0")
        wire = self.wire()
        wire.send(post(MIB))
        self.assert_problem(self.trickle(wire), 408, "request_timeout")
        wire.closed()

    def test_an_answer_that_takes_longer_than_a_request_may(self):
        self.begin(request_timeout="300ms", body_timeout="300ms", head_timeout="300ms")
        pause = threading.Event()
        self.project.handler = lambda request, wire: pause.wait(1) or echo(request, wire)
        self.assertEqual(self.get("/open").status, 200)
        self.assertEqual(self.ask("POST", "/open", body=b"abc").status, 200)

    def test_a_reader_that_takes_nothing(self):
        self.begin(write_timeout="500ms")

        def flood(_request, wire):
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
            try:
                while True:
                    wire.send(b"x" * 65536)
            except OSError:
                return None

        self.project.handler = flood
        wire = self.wire(receive_buffer=4096)
        wire.send(GET)
        line = self.gateway.wait_for_log(lambda l: l.get("path") == "/open", "the request to end")
        self.assertEqual(line.get("status"), 200, line)
        self.project.wait(lambda: self.project.open_connections == 0, what="the upstream to be let go")
        with self.assertRaises((Truncated, OSError)):
            wire.answer()


class Gone(ClientStory):
    def stream(self):
        """An upstream that tells the time for ever, and an event that says when it was let go."""
        left, pause = threading.Event(), threading.Event()
        self.addCleanup(pause.set)

        def tick(_request, wire):
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            try:
                while not pause.wait(0.02):
                    wire.send(b"6\r\ndata:\n\r\n")
            except OSError:
                left.set()

        self.project.handler = tick
        return left

    def test_a_machine_that_vanished(self):
        """No FIN and no RST comes, and the few bytes of a stream fill no buffer: only what is not acknowledged tells."""
        self.begin(write_timeout="1s")
        left = self.stream()
        wire = self.wire()
        wire.send(GET)
        wire.answer(with_body=False)
        wire.vanish()
        self.assertTrue(left.wait(DEADLINE_S), "the stream of a client that is gone goes on")

    def test_a_machine_that_is_there_and_only_listens(self):
        self.begin(write_timeout="1s")
        left = self.stream()
        wire = self.wire()
        wire.send(GET)
        until = time.monotonic() + 4
        for _ in wire.body_pieces(wire.answer(with_body=False)):
            if time.monotonic() > until:
                break
        self.assertFalse(left.is_set())

    def test_resets_and_ends_at_every_point_of_a_request(self):
        self.begin()
        whole = post(20, b"x" * 20) + GET
        wires = [self.wire() for _ in range(0, len(whole), 3)]
        for cut, wire in enumerate(wires):
            wire.send(whole[: cut * 3])
            (wire.reset if cut % 2 else wire.close)()
        self.assert_others_are_served()
        self.gateway.wait_until(lambda: self.metric("jotgate_requests_open") == 0 and self.metric("jotgate_connections") == 0, "all to be over")

    def test_resets_while_the_answer_is_awaited(self):
        self.begin(max_requests=5, max_requests_per_ip=5, workers=1)
        self.project.handler = lambda _request, wire: wire.closed() and None  # waits until it is let go
        for _ in range(4):
            wires = self.hold_requests(5)
            self.project.wait(lambda: self.project.open_connections == 5, what="five requests")
            for wire in wires:
                wire.reset()
            self.project.wait(lambda: self.project.open_connections == 0, what="none")


class Pipelined(ClientStory):
    def test_answers_come_in_order(self):
        self.begin()
        wire = self.wire()
        sender = threading.Thread(target=wire.send, args=(b"".join(request_bytes("GET", f"/open/{i}") for i in range(500)),))
        sender.start()
        self.assertEqual([wire.answer().json()["target"] for _ in range(500)], [f"/open/{i}" for i in range(500)])
        sender.join()

    def test_a_bad_one_is_answered_last(self):
        self.begin()
        wire = self.wire()
        wire.send(GET + b"GET /open HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + GET)
        self.assertEqual(wire.answer().status, 200)
        self.assert_problem(wire.answer(), 400, "bad_request")
        self.assertEqual(wire.closed(), b"")
        self.assertEqual(len(self.project.requests), 1)

    def test_a_flood_that_reads_nothing_is_bounded(self):
        self.begin(write_timeout="60s")
        before = self.gateway.memory_bytes()
        wire = self.wire(receive_buffer=4096)
        wire.sock.settimeout(2)
        flood, sent = HEALTH * 1000, 0
        with self.assertRaises(TimeoutError):
            while sent < 64 * MIB:
                sent += wire.sock.send(flood)
        self.assert_others_are_served()
        self.assertLess(self.gateway.memory_bytes() - before, SLACK)


class Full(ClientStory):
    def test_who_comes_when_all_are_busy_is_refused_at_once(self):
        self.begin(max_connections=4, workers=1)
        go_on = self.hold_upstream()
        wires = self.hold_requests(4)
        self.project.wait(lambda: self.project.open_connections == 4, what="four requests")
        for _ in range(3):
            refused = self.get("/open")
            self.assertEqual((refused.status, refused.json()["code"]), (503, "overloaded"))
            self.assertRegex(refused.get("retry-after"), r"^[1-9]")
            self.assertEqual(refused.get("connection"), "close")
        self.wait_for_metric('jotgate_connections_refused_total{reason="full"}', 3)
        go_on.set()
        self.assertEqual([wire.answer().status for wire in wires], [200] * 4)
        self.assert_others_are_served()

    def test_who_is_idle_gives_way(self):
        self.begin(max_connections=4, workers=1)
        idle = self.hold_requests(3)
        self.assertEqual([wire.answer().status for wire in idle], [200] * 3)
        for _ in range(6):
            self.assert_others_are_served()
        evicted = self.metric("jotgate_connections_evicted_total")
        newcomers = [self.wire() for _ in range(4)]
        for wire in newcomers:
            wire.send(GET)
            self.assertEqual(wire.answer().status, 200)
        for wire in idle:
            self.assertEqual(wire.closed(), b"")
        self.gateway.wait_until(lambda: self.metric("jotgate_connections_evicted_total") > evicted, "evictions to be counted")
        self.assertEqual(self.metric('jotgate_connections_refused_total{reason="full"}'), 0)

    def test_connections_of_one_address_over_all_workers(self):
        self.begin(max_connections_per_ip=6)
        busy = [self.wire(source="127.0.0.2") for _ in range(6)]
        for wire in busy:
            wire.send(GET)
            self.assertEqual(wire.answer().status, 200)
        for _ in range(8):
            with Wire.to(self.gateway.port, source="127.0.0.2") as wire:
                self.assertEqual(wire.answer().status, 503)
        with Wire.to(self.gateway.port, source="127.0.0.3") as wire:
            wire.send(GET)
            self.assertEqual(wire.answer().status, 200)
        busy.pop().close()

        def may_connect():
            with Wire.to(self.gateway.port, source="127.0.0.2") as wire:
                wire.try_send(GET)
                return wire.answer().status == 200

        self.gateway.wait_until(may_connect, "the place that became free")
        self.gateway.wait_until(lambda: self.metric('jotgate_connections_refused_total{reason="per_ip"}') >= 8, "the refusals to be counted")

    def test_requests_under_way_and_health(self):
        self.begin(max_requests=3, workers=1)
        go_on = self.hold_upstream()
        wires = self.hold_requests(3)
        self.project.wait(lambda: self.project.open_connections == 3, what="three requests")
        with Wire.to(self.gateway.port) as wire:
            for _ in range(3):
                wire.send(GET)
                self.assert_problem(wire.answer(), 503, "overloaded")
                wire.send(HEALTH)
                self.assertEqual(wire.answer().status, 200)
            go_on.set()
            self.assertEqual([w.answer().status for w in wires], [200] * 3)
            wire.send(GET)
            self.assertEqual(wire.answer().status, 200)
        self.assertEqual(self.metric('jotgate_refusals_total{verdict="overloaded"}'), 3)

    def test_requests_of_one_client_over_all_workers(self):
        self.begin(max_requests_per_ip=5)
        go_on = self.hold_upstream()
        wires = self.hold_requests(5)
        self.project.wait(lambda: self.project.open_connections == 5, what="five requests")
        for _ in range(8):
            refused = self.get("/open", [("Origin", "https://app.test")])
            self.assert_problem(refused, 429, "too_many_streams")
            self.assertEqual(refused.get("retry-after"), "1")
            self.assertEqual(refused.get("ratelimit-policy"), '"http.max_requests_per_ip";q=5;qu="concurrent-requests"')
            self.assertEqual(refused.get("ratelimit"), '"http.max_requests_per_ip";r=0')
        with Wire.to(self.gateway.port, source="127.0.0.2") as other:
            other.send(GET)
            self.project.wait(lambda: self.project.open_connections == 6, what="the request of another")
            go_on.set()
            self.assertEqual(other.answer().status, 200)
        self.assertEqual([wire.answer().status for wire in wires], [200] * 5)
        self.assert_others_are_served()
        self.assertEqual(self.metric('jotgate_refusals_total{verdict="too_many_at_once"}'), 8)


class Idle(ClientStory):
    def test_five_thousand_idle_connections(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 16000:
            raise unittest.SkipTest(f"{hard} descriptors are too few")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.begin()
        self.assert_others_are_served()
        before = self.gateway.memory_bytes()

        def connect(_):
            wire = Wire.to(self.gateway.port)
            wire.send(HEALTH)
            self.assertEqual(wire.answer().status, 200)
            return wire

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            wires = list(pool.map(connect, range(5000)))
        for wire in wires:
            self.addCleanup(wire.close)
        self.gateway.wait_until(lambda: self.metric("jotgate_connections") >= 5000, "all to be counted")
        each = (self.gateway.memory_bytes() - before) / 5000
        self.assertLess(each, 32 * 1024 if is_sanitized() else 1024, "bytes of an idle connection")
        for wire in wires[::97]:
            wire.send(GET)
            self.assertEqual(wire.answer().status, 200)
        for wire in wires:
            wire.close()
        self.wait_for_metric("jotgate_connections", 0)
        self.assertEqual(ask(self.gateway.port, "GET", "/open").status, 200)
