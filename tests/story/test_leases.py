# SPDX-License-Identifier: MIT
"""Limits in a real redis-server with `mode: leased`: few calls, and what they promise all the same."""
import concurrent.futures
import json
import signal
import time

from harness import Project, ask
from test_redis import RedisStory, Together as ExactTogether, plan
from wire import Wire, request_bytes

ADMIN = "an-admin-token-of-more-than-32-bytes"
TIERS = {
    "default": "free",
    "tiers": {"free": {"default": [{"name": "main", "quota": "2/day"}]}, "pro": {"default": [{"name": "main", "quota": "500/day"}]}},
}


class LeasedStory(RedisStory):
    mode = "leased"
    env = {"JOTGATE_ADMIN_TOKEN": ADMIN}

    def two(self, plans, **redis):
        self.project = Project()
        self.addCleanup(self.project.close)
        gateways = [self.gateway_at(plans, **redis) for _ in range(2)]
        for gateway in gateways:
            self.wait_for_redis(gateway)
            gateway.wait_until(lambda g=gateway: 0 <= g.metrics()["jotgate_feed_age_seconds"] < 1, "the feed to be read")
        return gateways

    def calls_of(self, n, token, gateway=None):
        """What Redis was asked while n calls were made, and their statuses."""
        before = self.redis.script_calls()
        statuses = self.statuses(n, token, gateway)
        return self.redis.script_calls() - before, statuses

    def remaining(self, token, gateway=None):
        return ask((gateway or self.gateway).port, "GET", "/_jotgate/usage", {"Authorization": f"Bearer {token}"}).json()["limits"][0]["remaining"]

    def admin(self, gateway, method, path, body):
        return ask(gateway.port, method, f"/_jotgate/{path}", {"Authorization": f"Bearer {ADMIN}"}, json.dumps(body).encode())


class Cheaper(LeasedStory):
    timeout = "5s"

    def test_a_hot_subject_at_a_tenth_of_its_limit_asks_at_most_50_times_in_1000(self):
        self.begin(rate="10000/minute")
        calls, statuses = self.calls_of(1000, self.token())
        self.assertEqual(set(statuses), {200})
        self.assertLessEqual(calls, 50)

    def test_four_gateways_ask_at_most_50_times_in_1000_too(self):
        self.project = Project()
        self.addCleanup(self.project.close)
        gateways, token = [self.begin(rate="10000/minute") for _ in range(4)], self.token()
        calls = [self.calls_of(250, token, gateway) for gateway in gateways]
        self.assertEqual({status for _, statuses in calls for status in statuses}, {200})
        self.assertLessEqual(sum(n for n, _ in calls), 50)

    def test_exact_asks_once_for_each_of_1000(self):
        self.mode = "exact"
        self.begin(rate="10000/minute")
        calls, statuses = self.calls_of(1000, self.token())
        self.assertEqual(set(statuses), {200})
        self.assertIn(calls, range(1000, 1010))  # and the machine's own beat

    def test_who_is_denied_asks_every_few_seconds(self):
        self.begin(quota="10/day")
        token = self.token()
        self.assertEqual(self.statuses(11, token), [200] * 10 + [429])
        began = time.monotonic()
        calls, statuses = self.calls_of(1000, token)
        self.assertEqual(set(statuses), {429})
        self.assertLessEqual(calls, 3 + 2 * (time.monotonic() - began) / 3)  # one question, and one beat

    def test_who_is_far_over_a_rate_asks_less_than_once_in_4(self):
        self.begin(rate="60000/minute", burst=1000)
        token = self.token()
        self.statuses(1200, token)
        calls, statuses = self.calls_of(3000, token)
        self.assertLess(calls, max(statuses.count(200), 300) + 50)

    def test_the_answers_are_those_of_memory(self):
        self.begin(rate="1/hour", burst=200)
        token = self.token()
        answers = [self.get("/limited", token=token) for _ in range(203)]
        self.assertEqual([a.status for a in answers], [200] * 200 + [429] * 3)
        self.assertEqual([a.get("ratelimit").split(";")[1] for a in answers], [f"r={max(0, 199 - i)}" for i in range(203)])
        self.assertEqual({a.get("ratelimit-policy") for a in answers}, {'"main";q=200;w=720000'})
        for answer in answers[200:]:
            self.assert_problem(answer, 429, "rate_limited")
            self.assertIn(int(answer.get("retry-after")), range(3500, 3601))
        self.assertEqual(self.remaining(token), 0)

    def test_a_price_told_by_the_answer_is_right_with_leases(self):
        prices = iter([3, 0, 10, 1] * 10)
        self.project = Project()
        self.addCleanup(self.project.close)
        self.project.handler = lambda _request, wire: wire.send(b"HTTP/1.1 200 OK\r\nX-Price: %d\r\nContent-Length: 0\r\n\r\n" % next(prices))
        route = {"path": "/priced", "access": "public", "upstream": "@PROJECT@", "limits": ["plan"], "cost": {"reserve": 2, "settle": "header:x-price"}}
        self.gateway_at(plan(quota="1000/day"), more={"routes": [route]})
        self.wait_for_redis(self.gateway)
        token = self.token()
        for _ in range(40):
            self.assertEqual(self.get("/priced", token=token).status, 200)
        self.gateway.stop()
        self.gateway_at(plan(quota="1000/day"))
        self.wait_for_redis(self.gateway)
        self.assertEqual(self.remaining(token), 1000 - 140)


class Together(LeasedStory):
    timeout, admitted = "5s", ExactTogether.admitted

    def test_of_ten_thousand_calls_at_four_gateways_990_to_1000_pass(self):
        self.assertIn(self.admitted("leased"), range(990, 1001))

    def test_what_one_holds_no_other_spends(self):
        first, second = self.two(plan(quota="400/day"))
        token = self.token()
        self.assertEqual(set(self.statuses(100, token, first)), {200})
        self.assertEqual(self.statuses(500, token, second).count(200) + self.statuses(100, token, first).count(200), 300)

    def test_draining_gives_back_what_is_left(self):
        first, second = self.two(plan(quota="1000/day"))
        token = self.token()
        self.statuses(60, token, first)
        self.assertLess(self.remaining(token, second), 940)  # the first holds some
        first.stop()
        self.assertEqual(self.remaining(token, second), 940)

    def test_what_a_machine_that_hangs_holds_is_a_twentieth_at_most(self):
        first, second = self.two(plan(quota="1000/day"))
        token = self.token()
        self.statuses(60, token, first)
        first.signal(signal.SIGSTOP)
        self.addCleanup(first.signal, signal.SIGCONT)
        self.assertIn(self.statuses(1000, token, second).count(200), range(890, 941))


class Forgetting(LeasedStory):
    def denied_at_both(self, plans):
        first, second = self.two(plans)
        token = self.token(sub="ada")
        self.assertEqual(self.statuses(2, token, first), [200, 200])
        for gateway in (first, second):
            self.assertEqual(self.statuses(2, token, gateway), [429, 429])
        return first, second, token

    def let_in(self, gateway, token):
        """How long until it is: far less than the seconds after which a denial is asked for again."""
        began = time.monotonic()
        gateway.wait_until(lambda: self.statuses(1, token, gateway) == [200], "who was denied", 2)
        return time.monotonic() - began

    def test_a_grant_is_seen_by_another_process(self):
        first, second, token = self.denied_at_both(TIERS)
        answer = self.admin(first, "POST", "subjects/ada/grant", {"policy": "main", "n": 2})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertLess(self.let_in(second, token), 2)
        self.assertEqual(self.statuses(2, token, second), [200, 429])

    def test_another_plan_is_seen_by_another_process(self):
        first, second, token = self.denied_at_both(TIERS)
        answer = self.admin(first, "PUT", "subjects/ada", {"plan": "pro"})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertLess(self.let_in(second, token), 2)
        second.wait_until(lambda: self.statuses(20, token, second) == [200] * 20, "its other worker", 2)

    def test_a_smaller_plan_ends_leases(self):
        first, second = self.two({"default": "pro", "tiers": {"free": {"default": [{"name": "main", "quota": "20/day"}]}, "pro": {"default": [{"name": "main", "quota": "9000/day"}]}}})
        token = self.token(sub="ada")
        self.assertEqual(set(self.statuses(100, token, second)), {200})
        self.assertEqual(self.admin(first, "PUT", "subjects/ada", {"plan": "free"}).status, 200)
        second.wait_until(lambda: self.statuses(1, token, second) == [429], "the smaller plan", 2)


class Away(LeasedStory):
    def test_a_lease_is_spent_while_redis_is_away_and_all_stays_within_the_limit(self):
        self.begin(quota="1000/day")
        token = self.token()
        self.assertEqual(set(self.statuses(200, token)), {200})
        self.redis.kill()
        self.wait_for_redis(self.gateway, is_up=False)
        self.assertEqual(self.statuses(1000, token).count(200), 800)

    def test_no_denial_stands_where_open_lets_all_pass(self):
        self.on_failure = "open"
        self.begin(quota="2/day")
        token = self.token()
        self.assertEqual(self.statuses(4, token), [200, 200, 429, 429])
        self.redis.kill()
        self.wait_for_redis(self.gateway, is_up=False)
        self.assertEqual(self.statuses(4, token), [200] * 4)

    def test_who_leaves_while_redis_thinks_loses_no_lease(self):
        self.begin(quota="1000/day")
        token = self.token()
        self.statuses(40, token)
        request = request_bytes("GET", "/limited", {"Authorization": f"Bearer {token}"})
        self.redis.signal(signal.SIGSTOP)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: self.leave(request), range(30)))
        self.redis.signal(signal.SIGCONT)
        self.wait_for_redis(self.gateway)
        self.assertEqual(self.statuses(1, token), [200])
        self.gateway.stop()

    def leave(self, request):
        with Wire.to(self.gateway.port) as wire:
            wire.send(request)
