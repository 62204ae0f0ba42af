# SPDX-License-Identifier: MIT
"""Limits: exactly as many calls pass as were allowed, and everybody else is told when to come back."""
import concurrent.futures
import math
import re
import threading
import time

from harness import Project, Story
from wire import Wire, answer_bytes, request_bytes


def one_tier(rate, burst, **more):
    return {"default": "free", "tiers": {"free": {"default": [{"name": "burst", "rate": rate, "burst": burst} | more]}}}


def route(limits, path="/limited", access="public"):
    return [{"path": path, "access": access, "upstream": "@PROJECT@", "limits": limits}]


class LimitStory(Story):
    shared = False

    def statuses(self, n, **more):
        return [self.get("/limited", **more).status for _ in range(n)]


class Users(LimitStory):
    def test_a_user_has_a_burst_and_then_waits(self):
        self.start({"plans": one_tier("60/hour", 3), "routes": route(["plan"])})
        token = self.token()
        self.assertEqual(self.statuses(3, token=token), [200] * 3)
        answer = self.get("/limited", token=token)
        body = self.assert_problem(answer, 429, "rate_limited")
        self.assertTrue(body["message"])
        self.assertRegex(answer.get("retry-after"), r"^[1-9][0-9]*$")
        self.assertLessEqual(int(answer.get("retry-after")), 60)
        self.assertEqual(len(self.project.requests), 3)

    def test_a_call_that_costs_more_than_the_limit_ever_has_is_told_so(self):
        limits = {"rate": {"key": "ip", "rate": "60/hour", "burst": 3}, "quota": {"key": "ip", "quota": "3/day"}}
        self.start({"limits": limits, "routes": [dict(route([name], f"/{name}", "open")[0], cost=5) for name in limits]})
        for name, code in (("rate", "rate_limited"), ("quota", "quota_exceeded")):
            with self.subTest(name):
                answer = self.get(f"/{name}")
                body = self.assert_problem(answer, 429, code)
                self.assertEqual(body["hint"], "This call counts as 5, more than the limit ever allows.")
                self.assertEqual(answer.get("retry-after"), "86400")
                self.assertRegex(answer.get("ratelimit"), rf'^"{name}";r=3;t=[0-9]{{1,5}}$')
        self.assertEqual(self.project.requests, [])

    def test_a_users_tokens_share_and_users_do_not(self):
        self.start({"plans": one_tier("60/hour", 2), "routes": route(["plan"])})
        ada, bob = (dict(sub=f"0b9b9b3e-0000-4000-8000-00000000000{i}") for i in (1, 2))
        self.assertEqual([self.get("/limited", token=self.token(**ada)).status for _ in range(3)], [200, 200, 429])
        self.assertEqual([self.get("/limited", token=self.token(**bob)).status for _ in range(3)], [200, 200, 429])

    def test_bad_tokens_use_nobodys_allowance(self):
        self.start({"plans": one_tier("60/hour", 2), "routes": route(["plan"])})
        sub = "0b9b9b3e-0000-4000-8000-000000000003"
        forged = self.token(sub=sub)[:-4] + "AAAA"
        self.assertEqual({self.get("/limited", token=forged).status for _ in range(5)}, {401})
        self.assertEqual(self.statuses(3, token=self.token(sub=sub)), [200, 200, 429])

    def test_the_tier_is_read_from_the_token(self):
        plans = {
            "claim": "app_metadata.plan", "default": "free",
            "tiers": {
                "free": {"default": [{"name": "burst", "rate": "60/hour", "burst": 1}]},
                "pro": {"default": [{"name": "burst", "rate": "60/hour", "burst": 4}]},
            },
        }  # fmt: skip
        self.start({"plans": plans, "routes": route(["plan"])})
        pro = self.token(app_metadata={"plan": "pro"})
        self.assertEqual(self.statuses(5, token=pro), [200] * 4 + [429])
        for odd in ({"plan": "gold"}, {"plan": 7}, {}, {"plan": None}):
            self.assertEqual(self.statuses(2, token=self.token(app_metadata=odd)), [200, 429], odd)

    def test_a_quota_is_refused_until_its_windows_true_end(self):
        plans = {"default": "free", "tiers": {"free": {"default": [{"name": "daily", "quota": "2/day", "timezone": "Asia/Tokyo"}]}}}
        self.start({"plans": plans, "routes": route(["plan"])})
        token = self.token()
        self.assertEqual(self.statuses(2, token=token), [200] * 2)
        midnight = 86400 - (time.time() + 9 * 3600) % 86400
        answer = self.get("/limited", token=token)
        self.assert_problem(answer, 429, "quota_exceeded")
        self.assertAlmostEqual(int(answer.get("retry-after")), midnight, delta=30)
        self.assertEqual(answer.get("ratelimit-policy"), '"daily";q=2;w=86400')
        self.assertEqual(answer.get("ratelimit"), f'"daily";r=0;t={answer.get("retry-after")}')

    def test_a_change_of_plan_keeps_what_was_used(self):
        plans = {
            "claim": "app_metadata.plan", "default": "free",
            "tiers": {name: {"default": [{"name": "daily", "quota": f"{n}/day"}]} for name, n in (("free", 2), ("pro", 5))},
        }  # fmt: skip
        self.start({"plans": plans, "routes": route(["plan"])})
        free, pro = (self.token(sub="0b9b9b3e-0000-4000-8000-000000000005", app_metadata={"plan": plan}) for plan in ("free", "pro"))
        self.assertEqual(self.statuses(3, token=free), [200, 200, 429])
        self.assertEqual(self.statuses(4, token=pro), [200, 200, 200, 429])
        self.assertEqual(self.statuses(1, token=free), [429])

    def test_a_group_of_a_route_counts_apart(self):
        tiers = {"free": {"default": [{"name": "burst", "rate": "60/hour", "burst": 3}], "ai": [{"name": "ai", "rate": "60/hour", "burst": 1}]}}
        routes = route(["plan"]) + route(["plan", "plan.ai"], "/ai")
        self.start({"plans": {"default": "free", "tiers": tiers}, "routes": routes})
        token = self.token()
        self.assertEqual([self.get("/ai", token=token).status for _ in range(2)], [200, 429])
        # What the narrow limit refused was not counted by the wide one.
        self.assertEqual(self.statuses(3, token=token), [200, 200, 429])


class Strangers(LimitStory):
    def test_an_address_without_a_user(self):
        limits = {"per_ip": {"key": "ip", "rate": "60/hour", "burst": 2, "for": "anonymous"}}
        self.start({"limits": limits, "routes": route(["per_ip"])})
        self.assertEqual(self.statuses(3), [200, 200, 429])
        self.assertEqual(self.statuses(3, token=self.token()), [200] * 3)

    def test_everybody_together(self):
        limits = {"all": {"key": "global", "rate": "60/hour", "burst": 4, "for": "everyone"}}
        self.start({"limits": limits, "routes": route(["all"])})
        self.assertEqual(self.statuses(2) + self.statuses(3, token=self.token()), [200] * 4 + [429])

    def test_a_claim(self):
        limits = {"org": {"key": "claim:org_id", "rate": "60/hour", "burst": 2, "for": "everyone"}}
        self.start({"limits": limits, "routes": route(["org"])})
        self.assertEqual([self.get("/limited", token=self.token(org_id="o1")).status for _ in range(3)], [200, 200, 429])
        self.assertEqual([self.get("/limited", token=self.token(org_id="o2")).status for _ in range(3)], [200, 200, 429])

    def test_a_header(self):
        self.start({"limits": {"device": {"key": "header:X-Device", "rate": "60/hour", "burst": 1}}, "routes": route(["device"], access="open")})
        one, two = ([("x-device", name)] for name in ("one", "two"))
        self.assertEqual([self.get("/limited", headers).status for headers in (one, one, two, [], [])], [200, 429, 200, 200, 429])

    def test_a_client_cannot_choose_its_address(self):
        limits = {"per_ip": {"key": "ip", "rate": "60/hour", "burst": 2, "for": "everyone"}}
        self.start({"limits": limits, "routes": route(["per_ip"]), "trust": {"client_ip": "peer"}})
        statuses = [
            self.get("/limited", [("X-Forwarded-For", f"10.0.0.{i}"), ("Fly-Client-IP", f"10.0.1.{i}"), ("Forwarded", f"for=10.0.2.{i}")]).status
            for i in range(3)
        ]
        self.assertEqual(statuses, [200, 200, 429])


class Promises(LimitStory):
    shares_threads = True

    def test_of_a_thousand_calls_at_once_exactly_the_burst_passes(self):
        self.start({"plans": one_tier("100/hour", 100), "routes": route(["plan"]), "workers": 2})
        token = self.token()
        request = request_bytes("GET", "/limited", {"Authorization": f"Bearer {token}"})

        def caller(n):
            statuses = []
            with Wire.to(self.gateway.port) as wire:
                for _ in range(n):
                    wire.send(request)
                    answer = wire.answer()
                    statuses.append(answer.status)
                    if answer.status == 429:
                        self.assertRegex(answer.get("retry-after"), r"^[1-9][0-9]*$")
            return statuses

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            statuses = [s for done in pool.map(caller, [63] * 8 + [62] * 8) for s in done]
        self.assertEqual(len(statuses), 1000)
        self.assertEqual((statuses.count(200), statuses.count(429)), (100, 900))
        self.assertEqual(len(self.project.requests), 100)

    def test_who_comes_back_when_told_passes_and_not_before(self):
        self.start({"plans": one_tier("60/minute", 1), "routes": route(["plan"])})
        token = self.token()
        clock = threading.Event()  # never set: its wait is a wait for a moment in time
        self.assertEqual(self.get("/limited", token=token).status, 200)
        passed_at = time.monotonic()
        refused = self.get("/limited", token=token)
        self.assertEqual(refused.status, 429)
        told_at = time.monotonic() + int(refused.get("retry-after"))
        if time.monotonic() - passed_at < 0.5:
            clock.wait(0.2)
            if time.monotonic() - passed_at < 0.9:
                self.assertEqual(self.get("/limited", token=token).status, 429)
        clock.wait(max(0, told_at - time.monotonic()))
        self.assertEqual(self.get("/limited", token=token).status, 200)


class Modes(LimitStory):
    tight = {"plans": one_tier("60/hour", 1), "routes": route(["plan"])}

    def test_shadow_refuses_nobody(self):
        self.start(self.tight, {"LIMITS": "shadow"})
        self.assertEqual(self.statuses(4, token=self.token()), [200] * 4)

    def test_off_counts_nothing(self):
        self.start(self.tight, {"LIMITS": "off"})
        token = self.token()
        self.assertEqual(self.statuses(4, token=token), [200] * 4)
        self.assertIsNone(self.get("/limited", token=token).get("ratelimit"))


class Headers(LimitStory):
    def test_accepted_answers_say_what_is_left(self):
        self.start({"plans": one_tier("60/hour", 5), "routes": route(["plan"])})
        token = self.token()
        left = []
        for _ in range(3):
            answer = self.get("/limited", [("Origin", "https://app.test")], token=token)
            self.assertEqual(answer.status, 200)
            self.assertIn('"burst"', answer.get("ratelimit"))
            self.assertIn('"burst"', answer.get("ratelimit-policy"))
            left.append(int(re.search(r";\s*r=(\d+)", answer.get("ratelimit"))[1]))
            self.assertIn("ratelimit", answer.get("access-control-expose-headers", "").lower())
        self.assertEqual(left, [4, 3, 2])

    def test_a_refusal_says_the_same_and_the_wait_is_true(self):
        self.start({"plans": one_tier("60/minute", 2), "routes": route(["plan"])})
        token = self.token()
        for _ in range(3):
            answer = self.get("/limited", [("Origin", "https://app.test")], token=token)
        self.assertEqual(answer.status, 429)
        self.assertRegex(answer.get("ratelimit"), r'"burst";\s*r=0')
        self.assertLessEqual(int(answer.get("retry-after")), math.ceil(60 / 60))
        self.assertIn("retry-after", answer.get("access-control-expose-headers", "").lower())

    def test_preflights_are_not_counted(self):
        self.start({"plans": one_tier("60/hour", 1), "routes": route(["plan"], "/rest/v1")})
        for _ in range(5):
            asked = [("Origin", "https://app.test"), ("Access-Control-Request-Method", "GET")]
            self.assertIn(self.ask("OPTIONS", "/rest/v1/todos", asked).status, (200, 204))
        token = self.token()
        self.assertEqual([self.get("/rest/v1/todos", token=token).status for _ in range(2)], [200, 429])


class Environment(LimitStory):
    def test_the_two_names_are_enough(self):
        self.start(env={"LIMIT_PER_USER": "2/hour", "LIMIT_PER_IP": "3/hour"})
        token = self.token()
        self.assertEqual([self.get("/rest/v1/todos", token=token).status for _ in range(3)], [200, 200, 429])
        self.assertEqual([self.get("/rest/v1/todos").status for _ in range(4)], [200, 200, 200, 429])

    def test_on_auth_paths_the_code_is_the_one_that_auth_js_knows(self):
        self.start(env={"LIMIT_PER_IP": "1/hour"})
        self.get("/auth/v1/health")
        body = self.assert_problem(self.get("/auth/v1/health"), 429, "over_request_rate_limit")
        self.assertEqual(body["error_code"], "over_request_rate_limit")
        self.assertIn("msg", body)

    def test_token_refresh_is_never_refused_with_429(self):
        self.start(env={"LIMIT_PER_IP": "1/hour"})
        for _ in range(6):
            self.assertEqual(self.ask("POST", "/auth/v1/token?grant_type=refresh_token", body=b"{}").status, 200)


def priced(request, wire):
    cost = request.get("x-price")
    return answer_bytes(200, b"{}", [("x-jotgate-cost", cost), ("x-other", "1")] if cost else [])


class Prices(LimitStory):
    def start_priced(self, header="x-jotgate-cost"):
        limits = {"tokens": {"key": "global", "quota": "100/day"}}
        price = {"reserve": 10, "settle": f"header:{header}"}
        self.start({"limits": limits, "routes": [dict(route(["tokens"], access="open")[0], cost=price)]}, project=Project(handler=priced))

    def left(self):
        return {limit["policy"]: limit["remaining"] for limit in self.get("/_jotgate/usage").json()["limits"]}["tokens"]

    def test_the_answer_says_what_the_call_cost(self):
        self.start_priced()
        answer = self.get("/limited", [("x-price", "3")])
        self.assertEqual((answer.status, answer.get("x-jotgate-cost"), answer.get("x-other")), (200, None, "1"))
        self.assertRegex(answer.get("ratelimit"), '"tokens";r=97;t=')
        self.assertEqual(self.left(), 97)

    def test_debt_is_carried(self):
        self.start_priced()
        self.assertEqual(self.get("/limited", [("x-price", "250")]).status, 200)
        self.assert_problem(self.get("/limited", [("x-price", "1")]), 429, "quota_exceeded")

    def test_an_answer_without_a_price_costs_the_reserve_and_is_told_once(self):
        self.start_priced()
        for price in ("", "lots", "-1"):
            self.assertEqual(self.get("/limited", [("x-price", price)]).status, 200)
        self.assertEqual(self.left(), 70)
        self.gateway.wait_for_log(lambda line: line.get("path") == "/_jotgate/usage", "the last request")  # what comes before it is there, too
        told = [line for line in self.gateway.log() if "did not say what the call cost" in str(line)]
        self.assertEqual(len(told), 1)


class Payment(LimitStory):
    def setUp(self):
        super().setUp()
        tiers = {name: {"default": [{"name": "burst", "rate": f"{n}/hour"}]} for name, n in (("free", 1), ("pro", 3))}
        self.settings = {
            "plans": {"claim": "app_metadata.plan", "default": "free", "tiers": tiers},
            "payment": {"claim": "app_metadata.status", "downgrade": ["past_due"], "refuse": ["canceled"]},
            "routes": route(["plan"]) + [dict(route(["plan"], path="/billing")[0], payment="ignore")],
        }

    def pro(self, status):
        return self.token(app_metadata={"plan": "pro", "status": status})

    def test_who_does_not_pay_is_refused_except_where_it_is_ignored(self):
        self.start(self.settings)
        self.assert_problem(self.get("/limited", token=self.pro("canceled")), 402, "payment_required")
        self.assertEqual(self.get("/billing", token=self.pro("canceled")).status, 200)
        self.assertEqual(self.statuses(4, token=self.pro("active")), [200, 200, 200, 429])

    def test_who_is_behind_has_the_default_plan(self):
        self.start(self.settings)
        self.assertEqual(self.statuses(2, token=self.pro("past_due")), [200, 429])
