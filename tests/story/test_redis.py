# SPDX-License-Identifier: MIT
"""Limits in a real redis-server, as several gateways share them; and what they do while it is away."""
import concurrent.futures
import os
import signal
import socket
import subprocess
import tempfile
import time

from harness import Gateway, Project, Story, ask
from wire import DEADLINE_S, Door, Wire, free_port, request_bytes


SERVER = os.environ.get("REDIS_SERVER", "redis-server")  # or valkey-server


class Redis:
    """A redis-server of the test's own, on a port that it keeps over restarts."""

    def __init__(self, *options):
        self.folder = tempfile.TemporaryDirectory(prefix="story-redis-")
        self.port, self.options, self.process = free_port(), options, None
        self.spawn()

    def spawn(self):
        self.listen([SERVER, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder.name, *self.options])

    def listen(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + DEADLINE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < until, "redis-server does not listen"
                time.sleep(0.02)

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def ask(self, *words):
        """One command: an integer, text, None, a list; Redis' errors are raised."""
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE_S) as connection, connection.makefile("rb") as stream:
            data = [str(word).encode() for word in words]
            connection.sendall(b"*%d\r\n" % len(data) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in data))
            return self.reply(stream)

    def reply(self, stream):
        line = stream.readline().decode().rstrip("\r\n")
        kind, rest = line[0], line[1:]
        if kind == "-":
            raise RuntimeError(rest)
        if kind == "$":
            return None if rest == "-1" else stream.read(int(rest) + 2)[:-2].decode()
        if kind == "*":
            return [self.reply(stream) for _ in range(int(rest))]
        return int(rest) if kind == ":" else rest

    def limit_keys(self, prefix="jotgate:"):
        return [key for key in self.ask("KEYS", f"{prefix}*") if not key.endswith("machines")]

    def script_calls(self):
        """How many scripts were run since the last CONFIG RESETSTAT."""
        lines = [line for line in self.ask("INFO", "commandstats").splitlines() if line.startswith(("cmdstat_evalsha:", "cmdstat_eval:"))]
        return sum(int(line.split("calls=")[1].split(",")[0]) for line in lines)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.kill()
        self.folder.cleanup()


def plan(**policy):
    return {"default": "free", "tiers": {"free": {"default": [{"name": "main"} | policy]}}}


class RedisStory(Story):
    shared = False
    mode, on_failure = "exact", "share"
    timeout = "250ms"  # a busy machine may take longer: who counts on every answer waits longer, too

    def setUp(self):
        super().setUp()
        self.redis = Redis()
        self.addCleanup(self.redis.stop)

    def gateway_at(self, plans, url=None, more=None, **redis):
        """A gateway that counts in self.redis, and knows that it does."""
        settings = {
            "plans": plans, "limits": {"per_ip": {"key": "ip", "rate": "100000/minute"}},
            "routes": [{"path": "/limited", "access": "public", "upstream": "@PROJECT@", "limits": ["plan"]}],
            "redis": {"url": url or self.redis.url, "mode": self.mode, "on_failure": self.on_failure, "timeout": self.timeout} | redis,
        }  # fmt: skip
        self.start(settings | (more or {}), project=getattr(self, "project", None))
        return self.gateway

    def wait_for_redis(self, gateway, is_up=True, seconds=DEADLINE_S):
        gateway.wait_until(lambda: (gateway.metrics()["jotgate_redis_breakers_open"] == 0) == is_up, "Redis to be seen", seconds)

    def begin(self, **policy):
        gateway = self.gateway_at(plan(**policy))
        self.wait_for_redis(gateway)
        gateway.wait_until(lambda: gateway.metrics()["jotgate_redis_machines"] > 0, "its first beat to be counted")
        return gateway

    def statuses(self, n, token, gateway=None):
        port = (gateway or self.gateway).port
        request = request_bytes("GET", "/limited", {"Authorization": f"Bearer {token}"})
        with Wire.to(port) as wire:
            found = []
            for _ in range(n):
                wire.send(request)
                found.append(wire.answer().status)
            return found


class Counting(RedisStory):
    def test_the_answers_are_those_of_memory(self):
        self.begin(rate="60/hour", burst=3)
        token = self.token()
        answers = [self.get("/limited", token=token) for _ in range(4)]
        self.assertEqual([a.status for a in answers], [200, 200, 200, 429])
        self.assertEqual([a.get("ratelimit-policy") for a in answers], ['"main";q=3;w=180'] * 4)
        self.assertEqual([a.get("ratelimit").split(";")[1] for a in answers], ["r=2", "r=1", "r=0", "r=0"])
        self.assert_problem(answers[3], 429, "rate_limited")
        self.assertIn(int(answers[3].get("retry-after")), range(50, 61))
        self.assertEqual(len(self.project.requests), 3)
        usage = self.get("/_jotgate/usage", token=token).json()["limits"][0]
        self.assertEqual((usage["policy"], usage["limit"], usage["remaining"]), ("main", 3, 0))

    def test_two_gateways_share_a_limit_and_restarts_keep_it(self):
        first = self.begin(quota="4/day")
        second = self.begin(quota="4/day")
        token = self.token()
        self.assertEqual(self.statuses(2, token, first) + self.statuses(3, token, second), [200] * 4 + [429])
        third = self.begin(quota="4/day")
        self.assertEqual(self.statuses(1, token, third), [429])

    def test_a_subject_has_one_key_a_policy_and_every_key_expires(self):
        self.begin(rate="60/minute", burst=30)
        for i in range(5):
            self.statuses(3, self.token(sub=f"0b9b9b3e-0000-4000-8000-00000000000{i}"))
        keys = self.redis.limit_keys()
        self.assertEqual(len(keys), 5)
        for key in keys:
            self.assertTrue(key.startswith("jotgate:{subject:"), key)
        for key in self.redis.ask("KEYS", "*"):
            self.assertGreater(self.redis.ask("PTTL", key), 0, key)

    def test_scripts_that_redis_forgot_are_sent_again(self):
        self.begin(quota="10/day")
        token = self.token()
        self.assertEqual(self.statuses(1, token), [200])
        self.redis.ask("SCRIPT", "FLUSH")
        self.assertEqual(self.statuses(2, token), [200] * 2)
        self.assertEqual(self.get("/_jotgate/usage", token=token).json()["limits"][0]["remaining"], 7)

    def test_a_client_that_leaves_while_redis_thinks(self):
        self.begin(quota="100/day")
        token = self.token()
        self.redis.signal(signal.SIGSTOP)
        for _ in range(5):
            with Wire.to(self.gateway.port) as wire:
                wire.send(request_bytes("GET", "/limited", {"Authorization": f"Bearer {token}"}))
        self.redis.signal(signal.SIGCONT)
        self.wait_for_redis(self.gateway)
        self.assertEqual(self.statuses(1, token), [200])

    def test_a_password_and_no_word_of_it_in_the_log(self):
        closed = Redis("--requirepass", "opensesame")
        self.addCleanup(closed.stop)
        self.gateway_at(plan(quota="2/day"), url=f"redis://:opensesame@127.0.0.1:{closed.port}")
        self.wait_for_redis(self.gateway)
        self.assertEqual(self.statuses(3, self.token()), [200, 200, 429])
        self.assertNotIn("opensesame", self.gateway.said())


class Together(RedisStory):
    timeout = "5s"

    def admitted(self, mode):
        self.mode = mode
        self.project = Project()
        self.addCleanup(self.project.close)
        gateways = [self.begin(quota="1000/day") for _ in range(4)]
        token = self.token()
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            calls = [pool.submit(self.statuses, 250, token, gateways[i % 4]) for i in range(40)]
            statuses = [status for call in calls for status in call.result()]
        self.assertEqual((len(statuses), set(statuses)), (10000, {200, 429}))
        for gateway in gateways:
            self.assertEqual(gateway.metrics()['jotgate_limits_degraded_total{how="share"}'], 0)
        return statuses.count(200)

    def test_of_ten_thousand_calls_at_four_gateways_exactly_the_quota_passes(self):
        self.assertEqual(self.admitted("exact"), 1000)


class Away(RedisStory):
    def degraded(self, how):
        return self.gateway.metrics()[f'jotgate_limits_degraded_total{{how="{how}"}}']

    def test_share_goes_on_within_the_limit_and_redis_is_used_again_at_once(self):
        self.begin(quota="10/day")
        token = self.token()
        self.assertEqual(self.statuses(4, token), [200] * 4)
        self.redis.kill()
        self.wait_for_redis(self.gateway, is_up=False)
        self.assertEqual(self.statuses(8, token), [200] * 6 + [429] * 2)
        self.assertEqual(self.degraded("share"), 8)
        self.gateway.wait_for_log(lambda line: line.get("limits") == "share", "an answer that bears its mark")
        self.redis.spawn()
        self.wait_for_redis(self.gateway, seconds=4)

    def test_machines_that_saw_each_other_divide_what_was_left(self):
        self.project = Project()
        self.addCleanup(self.project.close)
        first, second = (self.gateway_at(plan(quota="100/day"), timeout="5s") for _ in range(2))
        for gateway in (first, second):
            gateway.wait_until(lambda g=gateway: g.metrics()["jotgate_redis_machines"] == 2, "the other machine")
        token = self.token()
        self.statuses(10, token, first)
        self.statuses(10, token, second)
        self.redis.kill()
        for gateway in (first, second):
            self.wait_for_redis(gateway, is_up=False)
        passed = [self.statuses(60, token, gateway).count(200) for gateway in (first, second)]
        self.assertEqual(passed, [45, 40])  # each half of what it saw last: 90 and 80

    def test_expected_machines_divide_at_a_cold_start(self):
        self.redis.kill()
        self.gateway_at(plan(quota="12/day"), expected_machines=3)
        self.assertEqual(self.statuses(5, self.token()), [200] * 4 + [429])

    def test_usage_does_not_guess_while_redis_is_away(self):
        self.begin(quota="100/day")
        token = self.token()
        self.assertEqual(self.statuses(3, token), [200] * 3)
        usage = self.get("/_jotgate/usage", token=token).json()
        self.assertEqual((usage.get("degraded"), usage["limits"][0]["remaining"]), (None, 97))
        self.redis.kill()
        self.wait_for_redis(self.gateway, is_up=False)
        usage = self.get("/_jotgate/usage", token=token).json()
        self.assertEqual((usage["degraded"], usage["limits"][0]["limit"], usage["limits"][0]["per"]), ("share", 100, "day"))
        self.assertFalse({"remaining", "reset_seconds"} & usage["limits"][0].keys(), usage)
        self.redis.spawn()
        self.wait_for_redis(self.gateway, seconds=4)
        self.assertNotIn("degraded", self.get("/_jotgate/usage", token=token).json())

    def test_open_passes_all_and_marks_it(self):
        self.on_failure = "open"
        self.begin(quota="2/day")
        self.redis.kill()
        self.wait_for_redis(self.gateway, is_up=False)
        token = self.token()
        self.assertEqual(self.statuses(5, token), [200] * 5)
        self.assertIsNone(self.get("/limited", token=token).get("ratelimit"))
        self.assertEqual(self.degraded("open"), 6)

    def test_closed_passes_nobody_and_says_when_to_come_back(self):
        self.on_failure = "closed"
        self.begin(quota="2/day")
        self.redis.kill()
        self.wait_for_redis(self.gateway, is_up=False)
        answer = self.get("/limited", token=self.token())
        self.assert_problem(answer, 503, "limits_unavailable")
        self.assertRegex(answer.get("retry-after"), r"^[1-9][0-9]*$")
        self.assertIsNone(answer.get("ratelimit"))
        self.assertIsNone(answer.get("ratelimit-policy"))
        self.assert_problem(self.get("/_jotgate/usage", token=self.token()), 503, "limits_unavailable")
        self.assertEqual(self.degraded("closed"), 2)
        self.assert_nothing_upstream()
        self.redis.spawn()
        self.wait_for_redis(self.gateway, seconds=4)
        self.assertEqual(self.statuses(3, self.token()), [200, 200, 429])

    def test_frozen_it_is_done_without_and_each_call_is_counted_once_when_it_thaws(self):
        self.begin(quota="100/day")
        token = self.token()
        self.assertEqual(self.statuses(1, token), [200])
        self.redis.signal(signal.SIGSTOP)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            statuses = [s for found in pool.map(lambda _: self.statuses(5, token), range(8)) for s in found]
        self.assertEqual(statuses, [200] * 40)
        self.wait_for_redis(self.gateway, is_up=False)
        self.redis.signal(signal.SIGCONT)
        self.wait_for_redis(self.gateway, seconds=4)
        self.gateway.wait_until(lambda: self.get("/_jotgate/usage", token=token).json()["limits"][0].get("remaining") == 59, "what passed to be told, once")

    def test_a_peer_that_talks_nonsense_is_as_good_as_away(self):
        def babble(connection):
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 1000)

        door = Door(babble)
        self.addCleanup(door.close)
        self.gateway_at(plan(quota="3/day"), url=f"redis://127.0.0.1:{door.port}")
        self.assertEqual(self.statuses(4, self.token()), [200] * 3 + [429])
        self.assertEqual(self.degraded("share"), 4)
