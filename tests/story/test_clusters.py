# SPDX-License-Identifier: MIT
"""Everything that gateways keep in Redis, on a real Cluster, whose keys are on different nodes."""
import hashlib
import itertools
import json
import signal
import time

from harness import Gateway, ask, run_program
from test_apikeys import KeyStory
from test_apikeys import route as key_route
from test_concurrent import Concurrent, streams
from test_redis import plan
from test_redis_faults import ADMIN_TOKEN, Cluster, FaultStory, slot_of
from test_sockets import handshake
from test_subjects import Admin
from wire import Wire, request_bytes

NUMBERS = itertools.count(1)


class ClusterStory(FaultStory):
    """One Cluster for the class; each test has a prefix of its own."""

    env = {"JOTGATE_ADMIN_TOKEN": ADMIN_TOKEN}
    kind = Cluster

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = cls.kind()
        cls.addClassCleanup(cls.cluster.stop)

    def setUp(self):
        self.prefix = f"{next(NUMBERS)}:"

    def start_here(self, plans=None, more=None, **redis):
        gateway = self.gateway_at(plans or plan(quota="100/day"), url=self.cluster.url, more=more, prefix=self.prefix, **redis)
        self.wait_for_cluster(gateway)
        return gateway

    def wait_for_cluster(self, gateway):
        gateway.wait_until(lambda: gateway.metrics()["jotgate_redis_up"] == 3 * self.read_settings()["workers"], "three masters for each worker")

    def read_settings(self):
        """Of the last gateway, for another like it."""
        with open(self.gateway.config, encoding="utf-8") as file:
            settings = json.load(file)
        return {name: value for name, value in settings.items() if name not in ("listen", "admin")}


class Leases(ClusterStory):
    mode, on_failure = "leased", "open"
    limits = {"per_ip": {"key": "ip", "quota": "100000/day"}, "everybody": {"key": "global", "quota": "19/day"}}

    def start_limited_by(self, quota, *names):
        """On one worker."""
        route = {"path": "/limited", "access": "public", "upstream": "@PROJECT@", "limits": list(names)}
        return self.start_here(plan(quota=quota), {"limits": self.limits, "routes": [route], "workers": 1})

    def keeper(self, caller):
        return self.cluster.keeper(slot_of("%s{%s}" % (self.prefix, caller)))

    def calls_of(self, n, token, subject):
        """What the subject's master was asked while n calls were made, and their statuses."""
        node = self.keeper("subject:" + subject)
        before = node.script_calls()
        statuses = self.statuses(n, token)
        return node.script_calls() - before, statuses

    def test_who_is_denied_asks_every_few_seconds_whatever_else_limits_the_request(self):
        self.start_limited_by("30/day", "per_ip", "plan")
        began, token = time.monotonic(), self.token(sub="ada")
        self.assertEqual(self.statuses(31, token), [200] * 30 + [429])
        calls, statuses = self.calls_of(500, token, "ada")
        self.assertEqual(set(statuses), {429})
        self.assertLessEqual(calls, 3 + 2 * (time.monotonic() - began) / 3)

    def freeze(self, node):
        """And nobody takes its place."""
        for each in self.cluster.nodes:
            each.ask("CONFIG", "SET", "cluster-require-full-coverage", "no")
            each.ask("CONFIG", "SET", "cluster-replica-no-failover", "yes")
        self.addCleanup(self.cluster.heal)
        node.signal(signal.SIGSTOP)

    def test_a_denial_stands_although_the_node_of_another_limit_is_frozen(self):
        self.start_limited_by("5/day", "plan", "everybody")
        everybodys = self.keeper("global:")
        subject = next(s for s in (f"user-{i}" for i in range(1000)) if self.keeper("subject:" + s) != everybodys)
        began, token = time.monotonic(), self.token(sub=subject)
        self.assertEqual(self.statuses(5, token), [200] * 5)
        self.freeze(everybodys)
        calls, statuses = self.calls_of(500, token, subject)
        self.assertEqual(set(statuses), {429})
        self.assertLessEqual(calls, 3 + 2 * (time.monotonic() - began) / 3)
        self.assertEqual(set(self.statuses(5, self.token(sub="somebody-else"))), {200})  # open: nobody knows better


class Slots(ClusterStory):
    """How many may be under way."""

    on_failure = "share"
    play, hold, until_free = Concurrent.play, Concurrent.hold, Concurrent.until_free

    def start_pair(self, n):
        """Two gateways; the one that is not self.gateway, whose end the test may decide."""
        more = streams(n)
        first = self.start_here(more=more)
        self.start_here(more=more)
        return first

    def slots(self):
        key = "%s{ip:127.0.0.1}streams:slots" % self.prefix
        return self.cluster.keeper(slot_of(key)).ask("ZRANGE", key, 0, -1)

    def test_of_many_at_two_gateways_exactly_so_many_are_let_in(self):
        other = self.start_pair(7)
        self.play()
        wires = [Wire.to((self.gateway, other)[i % 2].port) for i in range(40)]
        for wire in wires:
            self.addCleanup(wire.close)
            wire.send(request_bytes("GET", "/held"))
        refusals = 'jotgate_refusals_total{verdict="too_many_concurrent"}'
        self.gateway.wait_until(lambda: sum(gateway.metrics()[refusals] for gateway in (self.gateway, other)) == 33, "33 refusals")
        self.go_on.set()
        statuses = [wire.answer().status for wire in wires]
        self.assertEqual((statuses.count(200), statuses.count(429)), (7, 33))
        self.gateway.wait_until(lambda: not self.slots(), "all to be given back")

    def test_what_a_killed_gateway_held_is_free_in_seconds(self):
        self.start_here(more=streams(1))
        dying = Gateway(self.project, self.read_settings(), self.env)
        self.addCleanup(dying.kill)
        self.wait_for_cluster(dying)
        self.play(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\n")
        with Wire.to(dying.port) as wire:
            wire.send(request_bytes("GET", "/held"))
            self.project.wait_for_requests(1)
            self.assert_problem(self.get("/held"), 429, "too_many_streams")
            dying.kill()
            self.until_free()

    def test_a_killed_masters_replica_knows_who_is_under_way(self):
        other = self.start_pair(1)
        self.play()
        wire = self.hold(data=handshake("/held"))
        self.assertEqual(wire.answer().status, 101)
        master = self.cluster.keeper(slot_of("%s{ip:127.0.0.1}" % self.prefix))
        self.addCleanup(self.cluster.heal)
        self.assertEqual(master.ask("WAIT", 1, 5000), 1)
        master.kill()
        self.gateway.wait_until(self.slots, "the slot to be told to the replica")
        for gateway in (self.gateway, other):
            self.wait_for_cluster(gateway)
        for gateway in (self.gateway, other):
            self.assert_problem(ask(gateway.port, "GET", "/held"), 429, "too_many_streams")
        wire.reset()
        self.until_free()
        self.gateway.wait_until(lambda: not self.slots(), "all to be given back")


class Keys(ClusterStory):
    """jotgate's own API keys: their records are on all nodes."""

    apikeys, create, show, wait_for_status = KeyStory.apikeys, KeyStory.create, KeyStory.show, KeyStory.wait_for_status

    def start_pair(self):
        more = {"routes": [key_route("/keys")], "workers": 1}
        first = self.start_here(more=more)
        return first, self.start_here(more=more)

    def record(self, key):
        name = self.prefix + "k:" + hashlib.sha256(key.encode()).hexdigest()
        return self.cluster.keeper(slot_of(name)), name

    def test_keys_are_made_listed_and_revoked_on_every_node(self):
        first, second = self.start_pair()
        keys = []
        while len(keys) < 12 or len({self.record(key)[0] for key in keys}) < 3:
            keys.append(self.create("--name", f"number {len(keys)}"))
        lines = self.apikeys("list")[0].splitlines()
        self.assertEqual((len(lines), sum("number" in line for line in lines)), (len(keys) + 1, len(keys)))
        for key in keys[:6]:
            self.assertEqual([self.show(key, gateway=gateway).status for gateway in (first, second)], [200, 200])
        for key in keys[:6]:
            self.apikeys("revoke", key)
        for key in keys[:6]:
            for gateway in (first, second):
                self.wait_for_status(key, 401, gateway=gateway, seconds=3)
            self.assert_problem(self.show(key, gateway=first), 401, "bad_api_key")
        self.assertEqual([self.show(key, gateway=first).status for key in keys[6:]], [200] * (len(keys) - 6))
        self.assertEqual(len(self.apikeys("list")[0].splitlines()), 1 + len(keys) - 6)
        self.apikeys("revoke", keys[0], code=1)

    def test_a_killed_masters_replica_knows_the_keys(self):
        first, second = self.start_pair()
        known, unknown = self.create(), self.create()
        while self.record(unknown)[0] != self.record(known)[0]:
            unknown = self.create()
        master, name = self.record(known)
        self.wait_for_status(known, 200, gateway=first)
        self.addCleanup(self.cluster.heal)
        self.assertEqual(master.ask("WAIT", 1, 5000), 1)
        master.kill()
        self.assertEqual(self.show(known, gateway=first).status, 200)  # remembered
        self.assertIn(self.show(unknown, gateway=first).status, (200, 503))
        for gateway in (first, second):
            self.wait_for_status(unknown, 200, gateway=gateway)
        self.apikeys("revoke", known)
        for gateway in (first, second):
            self.wait_for_status(known, 401, gateway=gateway)
        self.assertEqual(self.show(unknown, gateway=second).status, 200)


class Subjects(ClusterStory):
    """Records, denials, what was used."""

    admin, status_at = Admin.admin, Admin.status_at
    TIERS = {"default": "free", "tiers": {"free": {"default": [{"name": "main", "quota": "2/day"}]}, "pro": {"default": [{"name": "main", "quota": "50/day"}]}}}

    def start_pair(self, plans=None):
        first, second = (self.start_here(plans or self.TIERS) for _ in range(2))
        for gateway in (first, second):
            gateway.wait_until(lambda g=gateway: 0 <= g.metrics()["jotgate_feed_age_seconds"] < 1, "the feed to be read")
        return first, second

    def until_status(self, gateway, token, status):
        gateway.wait_until(lambda: self.status_at(gateway, token, "/limited") == status, f"status {status}")

    def test_records_on_every_node_are_seen_by_another_process(self):
        first, second = self.start_pair()
        names = [next(s for s in (f"user-{i}" for i in range(1000)) if self.cluster.keeper(slot_of(f"{self.prefix}s:{s}")) == node) for node in self.cluster.masters]
        for name in names:
            token = self.token(sub=name)
            self.until_status(second, token, 429)
            self.assertEqual(self.admin("PUT", f"subjects/{name}", {"plan": "pro"}, ADMIN_TOKEN, first).status, 200)
            self.until_status(second, token, 200)
            self.assertEqual(self.admin("GET", f"subjects/{name}", None, ADMIN_TOKEN, second).json()["plan"], "pro")
            self.assertEqual(self.admin("PUT", f"subjects/{name}", {}, ADMIN_TOKEN, second).status, 200)
            self.until_status(first, token, 429)
            self.assertIsNone(self.admin("GET", f"subjects/{name}", None, ADMIN_TOKEN, first).json()["plan"])

    def test_who_is_denied_is_out_of_both_and_in_again(self):
        first, second = self.start_pair(plan(quota="100000/day"))
        token = self.token(sub="ada")
        for lasting, status in (("1h", 403), ("0s", 200)):
            self.assertEqual(self.admin("POST", "deny", {"subject": "ada", "for": lasting}, ADMIN_TOKEN, first).status, 200)
            self.until_status(second, token, status)
        self.assert_problem(self.admin("POST", "deny", {"subject": "ada"}, "not the token" * 4, first), 401)

    def test_the_command_looks_and_changes(self):
        first, second = self.start_pair()
        token = self.token(sub="ada")
        self.assertEqual([self.status_at(second, token, "/limited") for _ in range(3)], [200, 200, 429])

        def usage(*words, code=0):
            said = run_program("usage", "ada", *words, "-c", first.config, env={"JOTGATE_ADMIN_TOKEN": ADMIN_TOKEN})
            self.assertEqual(said[0], code, said)
            return {limit["policy"]: (limit["used"], limit["remaining"]) for limit in map(json.loads, said[1].splitlines())}

        self.assertEqual(usage(), {"free/default/main": (2, 0), "pro/default/main": (2, 48)})
        self.assertEqual(usage("--grant", "main=1")["free/default/main"], (1, 1))
        self.until_status(second, token, 200)
        self.assertEqual(usage("--reset")["free/default/main"], (0, 2))
        self.until_status(second, token, 200)
        usage("--grant", "nothing=1", code=2)
