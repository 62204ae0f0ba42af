# SPDX-License-Identifier: MIT
"""Everything that gateways keep in Redis, on a real Cluster, whose keys are on different nodes."""
import itertools
import signal
import time

from test_redis import plan
from test_redis_faults import ADMIN_TOKEN, Cluster, FaultStory, slot_of


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
        return self.gateway_at(plans or plan(quota="100/day"), url=self.cluster.url, more=more, prefix=self.prefix, **redis)


class Leases(ClusterStory):
    mode, on_failure = "leased", "open"
    limits = {"per_ip": {"key": "ip", "quota": "100000/day"}, "everybody": {"key": "global", "quota": "19/day"}}

    def start_limited_by(self, quota, *names):
        """On one worker."""
        route = {"path": "/limited", "access": "public", "upstream": "@PROJECT@", "limits": list(names)}
        gateway = self.start_here(plan(quota=quota), {"limits": self.limits, "routes": [route], "workers": 1})
        gateway.wait_until(lambda: gateway.metrics()["jotgate_redis_up"] == 3, "three masters")
        return gateway

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
