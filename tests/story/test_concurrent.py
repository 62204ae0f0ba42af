# SPDX-License-Identifier: MIT
"""So many at once: a request, an event stream and a WebSocket hold their slot as long as they live, whatever ends them."""
import contextlib
import os
import signal
import socket
import threading

from harness import Gateway, Story, ask
from test_redis import Redis
from test_sockets import accepted, handshake
from wire import DEADLINE_S, Door, Wire, answer_bytes, request_bytes


def route(path="/held", limits=("streams",)):
    return {"path": path, "access": "public", "upstream": "@PROJECT@", "limits": list(limits)}


def streams(n, **more):
    return {"limits": {"streams": {"key": "ip", "concurrent": n} | more}, "routes": [route()]}


class Concurrent(Story):
    shared = False
    shares_threads = True

    def play(self, opening=b""):
        """The upstream sends `opening` at once, and ends its answer when the test says so."""
        self.go_on = threading.Event()
        self.addCleanup(self.go_on.set)

        def held(request, wire):
            if request.get("upgrade"):
                wire.send(accepted(request))
            elif opening:
                wire.send(opening)
            self.go_on.wait(DEADLINE_S * 3)
            return None if opening or request.get("upgrade") else answer_bytes(200, b"late")

        self.project.handler = held

    def hold(self, token=None, data=None):
        wire = self.wire()
        n = len(self.project.requests)
        wire.send(data or request_bytes("GET", "/held", {"Authorization": f"Bearer {token}"} if token else {}))
        self.project.wait_for_requests(n + 1)
        return wire

    def until_free(self, token=None):
        self.project.handler = lambda _request, _wire: answer_bytes(200, b"in")
        self.gateway.wait_until(lambda: self.get("/held", token=token).status == 200, "a slot to be free")

    def remaining(self, token=None):
        limits = self.get("/_jotgate/usage", token=token).json()["limits"]
        return next(limit["remaining"] for limit in limits if limit["policy"] == "streams")

    def test_one_too_many_waits_for_an_answers_end(self):
        self.start(streams(2))
        self.play()
        wires = [self.hold(), self.hold()]
        self.assertEqual(self.remaining(), 0)
        answer = self.get("/held")
        body = self.assert_problem(answer, 429, "too_many_streams")
        self.assertIn('"streams"', body["details"])
        self.assertEqual(answer.get("ratelimit-policy"), '"streams";q=2;qu="concurrent-requests"')
        self.assertEqual(answer.get("ratelimit"), '"streams";r=0')
        self.assertRegex(answer.get("retry-after"), r"^([1-9]|10)$")
        self.go_on.set()
        self.assertEqual([wire.answer().status for wire in wires], [200, 200])
        self.gateway.wait_until(lambda: self.remaining() == 2, "both slots to be free")
        line = self.gateway.wait_for_log(lambda line: line.get("status") == 429, "the refusal's line")
        self.assertEqual((line["verdict"], line["limit"]), ("too_many_concurrent", "streams"))

    def test_an_event_stream_holds_until_its_client_leaves(self):
        self.start(streams(1))
        self.play(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\n")
        wire = self.hold()
        self.assertEqual(wire.answer(with_body=False).status, 200)
        self.assert_problem(self.get("/held"), 429, "too_many_streams")
        wire.reset()
        self.until_free()

    def test_a_websocket_holds_to_its_end(self):
        self.start(streams(1))
        self.play()
        wire = self.hold(data=handshake("/held"))
        self.assertEqual(wire.answer().status, 101)
        self.assert_problem(self.get("/held"), 429, "too_many_streams")
        wire.reset()
        self.until_free()

    def test_an_upstream_that_breaks_frees_the_slot(self):
        self.start(streams(1))
        for answer in (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", b"", b"nonsense\r\n\r\n"):
            self.project.handler = lambda _request, wire, answer=answer: wire.send(answer)
            with self.wire() as wire:
                wire.send(request_bytes("GET", "/held"))
                wire.head()
            self.until_free()

    def test_users_hold_apart_by_their_plan(self):
        plans = {
            "claim": "app_metadata.plan", "default": "free",
            "tiers": {name: {"default": [{"name": "streams", "concurrent": n}]} for name, n in (("free", 1), ("pro", 2))},
        }  # fmt: skip
        self.start({"plans": plans, "routes": [route(limits=["plan"])]})
        self.play()
        ada = [self.token(sub="ada", app_metadata={"plan": plan}) for plan in ("free", "pro")]
        self.hold(ada[0])
        self.assert_problem(self.get("/held", token=ada[0]), 429, "too_many_streams")
        self.hold(ada[1])  # what is open counts on under the larger plan
        self.assert_problem(self.get("/held", token=ada[1]), 429, "too_many_streams")
        self.hold(self.token(sub="bob"))

    def test_a_reload_keeps_what_is_held(self):
        self.start(streams(1))
        self.play()
        self.hold()
        with open(self.gateway.config, "w", encoding="utf-8") as file:
            file.write(self.gateway.compose(self.project, self.settings | streams(2)))
        os.kill(self.gateway.pid, signal.SIGHUP)
        self.gateway.wait_until(lambda: self.gateway.metrics()['jotgate_reloads_total{result="ok"}'] == 1, "the reload")
        self.gateway.wait_until(lambda: self.remaining() == 1, "one of two")
        self.hold()
        self.assert_problem(self.get("/held"), 429, "too_many_streams")

    def test_shadow_counts_and_refuses_nobody(self):
        self.start(streams(1, shadow=True))
        self.play()
        wires = [self.hold(), self.hold()]
        self.go_on.set()
        self.assertEqual([wire.answer().status for wire in wires], [200, 200])
        self.gateway.wait_for_log(lambda line: line.get("shadow_limit") == "streams", "the shadow limit in the log")


class Workers(Concurrent):
    settings = {"workers": 2}

    def test_of_many_at_once_exactly_so_many_are_let_in(self):
        self.start(streams(7))
        self.play()
        wires = [self.wire() for _ in range(40)]
        for wire in wires:
            wire.send(request_bytes("GET", "/held"))
        self.gateway.wait_until(lambda: self.gateway.metrics()['jotgate_refusals_total{verdict="too_many_concurrent"}'] == 33, "33 refusals")
        self.project.wait_for_requests(7)
        self.go_on.set()
        statuses = [wire.answer().status for wire in wires]
        self.assertEqual((statuses.count(200), statuses.count(429)), (7, 33))


class Gate:
    """Stands before a Redis: while it is shut Redis hears everything, and nobody hears what Redis says."""

    def __init__(self, redis):
        self.redis, self.is_open = redis, threading.Event()
        self.is_open.set()
        self.door = Door(self.take)
        self.url = f"redis://127.0.0.1:{self.door.port}"

    def take(self, client):
        server = socket.create_connection(("127.0.0.1", self.redis.port), DEADLINE_S)
        for way in ((client, server, False), (server, client, True)):
            threading.Thread(target=self.pump, args=way, daemon=True).start()

    def pump(self, source, sink, is_gated):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_gated:
                    self.is_open.wait(DEADLINE_S * 3)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.is_open.set()
        self.door.close()


class Machines(Concurrent):
    """The same over gateways that share a Redis, which may be away."""

    settings = {"workers": 2}
    shares_threads = False
    on_failure = "share"

    def setUp(self):
        super().setUp()
        self.redis = Redis()
        self.addCleanup(self.redis.stop)

    def shared_by_all(self, settings):
        return self.settings | {"redis": {"url": self.redis.url, "timeout": "250ms", "on_failure": self.on_failure}} | settings

    def start(self, settings=None, **more):
        super().start(self.shared_by_all(settings or {}), **more)
        self.wait_for_redis(self.gateway)

    def wait_for_redis(self, gateway, is_up=True):
        gateway.wait_until(lambda: (gateway.metrics()["jotgate_redis_breakers_open"] == 0) == is_up, "Redis to be seen")

    def two(self, n, **more):
        """Two gateways before one project; the one that is not self.gateway."""
        self.start(streams(n, **more))
        first, project = self.gateway, self.project
        self.start(streams(n, **more), project=project)
        return first

    def slots(self):
        """Of every key, the slots in it by when they are lost."""
        keys = self.redis.ask("KEYS", "jotgate:*:slots")
        return {key: self.redis.ask("ZRANGE", key, "0", "-1", "WITHSCORES") for key in keys}

    def remaining_at(self, gateway):
        return next(limit["remaining"] for limit in ask(gateway.port, "GET", "/_jotgate/usage").json()["limits"] if limit["policy"] == "streams")

    def test_two_gateways_share_them_and_say_the_same(self):
        other = self.two(2)
        self.play()
        mine = self.hold()
        with Wire.to(other.port) as theirs:
            theirs.send(request_bytes("GET", "/held"))
            self.project.wait_for_requests(2)
            self.assertEqual([self.remaining_at(gateway) for gateway in (self.gateway, other)], [0, 0])
            for gateway in (self.gateway, other):
                self.assert_problem(ask(gateway.port, "GET", "/held"), 429, "too_many_streams")
            self.go_on.set()
            self.assertEqual([wire.answer().status for wire in (mine, theirs)], [200, 200])
        other.wait_until(lambda: self.remaining_at(other) == 2, "both slots to be free")
        self.assertEqual(self.slots(), {})

    def test_a_subjects_usage_says_what_is_under_way_everywhere(self):
        plans = {"default": "free", "tiers": {name: {"default": [{"name": "streams", "concurrent": n}]} for name, n in (("free", 2), ("pro", 1))}}
        settings, admin = {"plans": plans, "routes": [route(limits=["plan"])]}, "an-admin-token-of-more-than-32-bytes"
        self.start(settings, env={"JOTGATE_ADMIN_TOKEN": admin})
        other = Gateway(self.project, self.shared_by_all(settings), {"JOTGATE_ADMIN_TOKEN": admin})
        self.addCleanup(other.stop)
        self.wait_for_redis(other)
        self.play()
        self.hold(self.token(sub="ada"))
        for gateway in (self.gateway, other):
            for subject, used in (("ada", 1), ("bob", 0)):
                answer = ask(gateway.port, "GET", f"/_jotgate/subjects/{subject}/usage", {"Authorization": f"Bearer {admin}"})
                rows = [(row["policy"], row["limit"], row["used"], row["remaining"]) for row in answer.json()["limits"]]
                self.assertEqual(rows, [("free/default/streams", 2, used, 2 - used), ("pro/default/streams", 1, used, 1 - used)])

    def test_what_a_killed_machine_held_is_free_in_seconds(self):
        self.start(streams(1))
        dying = Gateway(self.project, self.shared_by_all(streams(1)))
        self.addCleanup(dying.kill)
        self.wait_for_redis(dying)
        self.play(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\n")
        with Wire.to(dying.port) as wire:
            wire.send(request_bytes("GET", "/held"))
            self.project.wait_for_requests(1)
            self.assert_problem(self.get("/held"), 429, "too_many_streams")
            dying.kill()
            self.until_free()

    def test_what_lasts_is_told_again_and_again(self):
        self.start(streams(1))
        self.play()
        wire = self.hold(data=handshake("/held"))
        self.assertEqual(wire.answer().status, 101)
        key, (name, lost_us) = next(iter(self.slots().items()))
        self.assertEqual(key, "jotgate:{ip:127.0.0.1}streams:slots")
        self.gateway.wait_until(lambda: float(self.slots()[key][1]) > float(lost_us), "the slot to be renewed")
        self.assertEqual(self.slots()[key][0], name)
        self.assertGreater(self.redis.ask("PTTL", key), 0)
        self.redis.ask("FLUSHALL")
        self.gateway.wait_until(lambda: self.slots().get(key), "a Redis that forgot to be told")
        self.assert_problem(self.get("/held"), 429, "too_many_streams")
        wire.reset()
        self.gateway.wait_until(lambda: not self.slots(), "the slot to be given back")

    def test_a_client_that_leaves_while_redis_thinks_holds_nothing(self):
        self.start(streams(1))
        self.until_free()  # Redis knows the scripts
        self.redis.signal(signal.SIGSTOP)
        self.wire().send(request_bytes("GET", "/held"))
        self.wire().reset()
        self.redis.signal(signal.SIGCONT)
        self.wait_for_redis(self.gateway)
        self.until_free()

    def test_what_redis_gave_unheard_is_given_back_when_it_is_heard_again(self):
        gate = Gate(self.redis)
        self.addCleanup(gate.close)
        self.start(streams(2) | {"redis": {"url": gate.url, "timeout": "250ms", "on_failure": "share"}})
        self.until_free()
        self.gateway.wait_until(lambda: not self.slots(), "its slot to be given back")
        self.play()
        gate.is_open.clear()
        wire = self.hold()
        key, (name, _lost_us) = next(iter(self.slots().items()))
        self.redis.ask("ZADD", key, "XX", "9000000000000000", name)  # so that it is not lost by itself
        self.redis.ask("PERSIST", key)
        self.go_on.set()
        self.assertEqual(wire.answer().status, 200)
        gate.is_open.set()
        self.gateway.wait_until(lambda: not self.slots(), "the slot to be given back")

    def test_with_redis_away_each_machine_has_its_share(self):
        other = self.two(4)
        for gateway in (self.gateway, other):
            gateway.wait_until(lambda gateway=gateway: gateway.metrics()["jotgate_redis_machines"] == 2, "the other machine")
        self.play()
        self.hold()
        self.redis.kill()
        self.wait_for_redis(self.gateway, is_up=False)
        self.hold()
        self.assert_problem(self.get("/held"), 429, "too_many_streams")
        self.gateway.wait_for_log(lambda line: line.get("limits") == "share" and line.get("status") == 429, "the mark")
        self.redis.spawn()
        self.wait_for_redis(self.gateway)
        self.gateway.wait_until(lambda: [len(slots) for slots in self.slots().values()] == [4], "both to be told")  # names and times
        self.hold()

    def test_open_lets_all_in(self):
        self.on_failure = "open"
        self.start(streams(1))
        self.redis.kill()
        self.wait_for_redis(self.gateway, is_up=False)
        self.play()
        for _ in range(3):
            self.hold()

    def test_closed_lets_nobody_in(self):
        self.on_failure = "closed"
        self.start(streams(1))
        self.redis.kill()
        self.wait_for_redis(self.gateway, is_up=False)
        answer = self.get("/held")
        self.assert_problem(answer, 503, "limits_unavailable")
        self.assertRegex(answer.get("retry-after"), r"^[1-9][0-9]*$")
        self.assertEqual(self.gateway.metrics()['jotgate_limits_degraded_total{how="closed"}'], 1)
        self.assert_nothing_upstream()

    def test_of_many_at_once_exactly_so_many_are_let_in(self):
        other = self.two(7)
        self.play()
        wires = [Wire.to((self.gateway, other)[i % 2].port) for i in range(40)]
        for wire in wires:
            self.addCleanup(wire.close)
            wire.send(request_bytes("GET", "/held"))
        refusals = 'jotgate_refusals_total{verdict="too_many_concurrent"}'
        self.gateway.wait_until(lambda: sum(gateway.metrics()[refusals] for gateway in (self.gateway, other)) == 33, "33 refusals")
        self.project.wait_for_requests(7)
        self.go_on.set()
        statuses = [wire.answer().status for wire in wires]
        self.assertEqual((statuses.count(200), statuses.count(429)), (7, 33))
