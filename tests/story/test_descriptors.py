# SPDX-License-Identifier: MIT
"""Descriptors run out: what is open goes on, what is new waits or is told, nothing spins, and all is well when there are some again."""
import os
import resource
import signal
import tempfile
import threading
import time
from unittest import mock

import harness
from harness import Story
from test_redis import RedisStory
from tokens import Key, shared_key
from wire import DEADLINE_S, Wire, answer_bytes, request_bytes

ROUTES = [
    {"path": "/open", "access": "open", "upstream": "@PROJECT@", "limits": []},
    {"path": "/limited", "access": "user", "upstream": "@PROJECT@", "limits": ["plan"]},
]
MEASURED_S = 1.5


class Out(RedisStory):
    def setUp(self):
        super().setUp()
        self.gateway_at({"default": "free", "tiers": {"free": {"default": [{"name": "all", "quota": "100000/day"}]}}},
                        more={"routes": ROUTES, "workers": 1, "jwks": {"cooldown": "1s", "timeout": "2s"}})  # fmt: skip
        self.wait_for_redis(self.gateway)
        self.kept = self.wire()
        self.assertEqual(self.ask_kept("/open").status, 200)
        self.limit = resource.prlimit(self.gateway.pid, resource.RLIMIT_NOFILE)
        self.addCleanup(self.relieve)

    def starve(self):
        """Not one can be opened any more; those that are open stay."""
        resource.prlimit(self.gateway.pid, resource.RLIMIT_NOFILE, (3, self.limit[1]))

    def relieve(self):
        if self.gateway.process.poll() is None:
            resource.prlimit(self.gateway.pid, resource.RLIMIT_NOFILE, self.limit)

    def ask_kept(self, path, token=None):
        self.kept.send(request_bytes("GET", path, [("Authorization", f"Bearer {token}")] if token else []))
        return self.kept.answer()

    def newcomers(self, port, path):
        wires = [Wire.to(port) for _ in range(5)]
        for wire in wires:
            self.addCleanup(wire.close)
            wire.send(request_bytes("GET", path))
        return wires

    def cpu_s(self):
        with open(f"/proc/{self.gateway.pid}/stat", encoding="ascii") as file:
            ticks = file.read().rsplit(")", 1)[1].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def wait_for_event(self, event):
        return self.gateway.wait_for_log(lambda line: line["event"] == event, event)

    def test_newcomers_wait_without_a_spin_and_are_served_later(self):
        self.starve()
        wires = self.newcomers(self.gateway.port, "/open") + self.newcomers(self.gateway.admin_port, "/metrics")
        self.wait_for_event("accepting rests: out of descriptors or memory")
        before = self.cpu_s()
        time.sleep(MEASURED_S)
        self.assertLess(self.cpu_s() - before, MEASURED_S / 5)
        self.assertEqual(self.ask_kept("/open").status, 200)
        self.relieve()
        self.assertEqual([wire.answer().status for wire in wires], [200] * 10)
        self.assertEqual(sum(line["event"].startswith("accepting rests") for line in self.gateway.log()), 1)

    def test_an_upstream_that_needs_a_new_connection_is_unreachable_for_a_while(self):
        self.project.handler = lambda _request, _wire: answer_bytes(200, b"", [("Connection", "close")])
        self.assertEqual(self.ask_kept("/open").status, 200)
        self.starve()
        self.assert_problem(self.ask_kept("/open"), 502, "upstream_unreachable")
        self.gateway.wait_for_log(lambda line: line.get("reason") == "no socket to connect with", "the reason")
        self.relieve()
        self.assertEqual(self.ask_kept("/open").status, 200)

    def test_a_redis_that_cannot_be_connected_to_is_away_for_a_while(self):
        token = self.token()
        self.assertEqual(self.ask_kept("/limited", token).status, 200)
        self.starve()
        self.redis.ask("CLIENT", "KILL", "TYPE", "normal")
        self.wait_for_event("Redis is away")
        self.assertEqual(self.ask_kept("/limited", token).status, 200)
        self.relieve()
        self.wait_for_event("Redis is back")

    def test_settings_and_keys_that_cannot_be_read_leave_those_in_force(self):
        key = Key("ES256", kid="new")
        self.starve()
        self.gateway.signal(signal.SIGHUP)
        self.assertIn("Too many open files", self.wait_for_event("settings not reloaded: those in force stay")["error"])
        self.project.keys.append(key)
        time.sleep(1.1)  # the cooldown
        self.assert_problem(self.ask_kept("/limited", self.token(key)), 503, "keys_unavailable")
        self.assertEqual(self.ask_kept("/limited", self.token(shared_key())).status, 200)
        self.relieve()
        self.gateway.wait_until(lambda: self.ask_kept("/limited", self.token(key)).status == 200, "the new key")
        self.gateway.signal(signal.SIGHUP)
        self.wait_for_event("settings reloaded")


class Few(Story):
    """64 of them: as many connections as can be forwarded, and who is one too many is told."""

    shared = False

    def start_with(self, n):
        folder = tempfile.TemporaryDirectory(prefix="story-")
        self.addCleanup(folder.cleanup)
        program = os.path.join(folder.name, "jotgate")
        with open(program, "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\nulimit -n {n}\nexec {harness.PROGRAM} "$@"\n')
        os.chmod(program, 0o755)
        with mock.patch.object(harness, "PROGRAM", program):
            self.start({"routes": ROUTES[:1]})

    def test_who_is_let_in_is_forwarded_and_the_others_are_told(self):
        self.start_with(64)
        line = self.gateway.wait_for_log(lambda line: line["event"].startswith("fewer connections"), "the warning")
        self.assertEqual(line["descriptors"], 64)
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def hold(_request, _wire):
            go_on.wait(DEADLINE_S)
            return answer_bytes(200, b"held")

        self.project.handler = hold
        wires = [self.wire() for _ in range(60)]
        for wire in wires:
            wire.try_send(request_bytes("POST", "/open", body=b"x"))
        self.project.wait_for_requests(line["connections"] // 2)  # of two workers one at least is full
        go_on.set()
        statuses = [answer.status for answer in (wire.answer("POST") for wire in wires) if answer]
        self.assertLessEqual(set(statuses), {200, 503})  # of a reset that overtakes its 503 nothing is heard
        self.assertIn(200, statuses)
        self.assertLessEqual(statuses.count(200), line["connections"])
        self.assertEqual(self.get("/open").status, 200)
