# SPDX-License-Identifier: MIT
"""Answers of Redis that come too late: whoever asked has gone on alone by then, and each call is counted once all the same."""
import concurrent.futures
import socket
import threading

from test_redis import RedisStory, plan
from wire import DEADLINE_S, Door

N = 8


class Line:
    """Between a gateway and its Redis: holds back what either says, until it may pass, or cuts them off."""

    def __init__(self, port):
        self.to = ("127.0.0.1", port)
        self.questions, self.answers = threading.Event(), threading.Event()
        self.sockets = []
        self.flow()
        self.door = Door(self.take)
        self.url = f"redis://127.0.0.1:{self.door.port}"

    def flow(self):
        self.questions.set()
        self.answers.set()

    def take(self, near):
        far = socket.create_connection(self.to, DEADLINE_S)
        far.settimeout(None)
        self.sockets += [near, far]
        for start, end, may_pass in ((near, far, self.questions), (far, near, self.answers)):
            threading.Thread(target=self.pass_on, args=(start, end, may_pass), daemon=True).start()

    @staticmethod
    def pass_on(start, end, may_pass):
        try:
            while data := start.recv(65536):
                may_pass.wait()
                end.sendall(data)
        except OSError:
            pass
        for side in (start, end):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        for side in self.sockets:
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.flow()

    def close(self):
        self.door.close()
        self.cut()
        for side in self.sockets:
            side.close()


class LateStory(RedisStory):
    timeout = "1s"  # the first call is not to be late

    def setUp(self):
        super().setUp()
        self.line = Line(self.redis.port)
        self.addCleanup(self.line.close)

    def begin_behind_it(self, **policy):
        self.gateway_at(plan(**policy), url=self.line.url, more={"workers": 1})
        self.wait_for_redis(self.gateway)
        self.caller = self.token()

    def counted(self):
        """What Redis has of the only subject."""
        (key,) = [key for key in self.redis.limit_keys() if "main:day" in key and ":told:" not in key]
        return int(self.redis.ask("GET", key).split(":")[1])

    def each_once(self, n=N):
        """n calls at the same time, from n connections."""
        with concurrent.futures.ThreadPoolExecutor(n) as pool:
            return [status for found in pool.map(lambda _: self.statuses(1, self.caller), range(n)) for status in found]

    def wait_till_settled(self):
        def is_settled(values):
            return values['jotgate_redis_calls_total{verdict="late"}'] > 0 and values["jotgate_redis_breakers_open"] + values["jotgate_redis_unsettled"] == 0

        self.gateway.wait_until(lambda: is_settled(self.gateway.metrics()), "Redis to be told")


class Exact(LateStory):
    def start_and_call_once(self, **policy):
        self.begin_behind_it(**policy)
        self.assertEqual(self.statuses(1, self.caller), [200])
        self.assertEqual(self.counted(), 1)

    def executed(self):
        """How many of the N calls Redis counted in time: what waits for a packet is not sent while others are unanswered."""
        n = self.counted() - 1
        self.assertIn(n, range(1, N + 1))
        return n

    def test_what_redis_counted_and_answered_too_late_is_counted_once(self):
        self.start_and_call_once(quota="100/day")
        self.line.answers.clear()
        self.assertEqual(self.each_once(), [200] * N)
        self.executed()
        self.line.flow()
        self.wait_till_settled()
        self.assertEqual(self.counted(), 1 + N)
        self.assertEqual(self.statuses(100, self.caller), [200] * (99 - N) + [429] * (1 + N))
        self.assertEqual(self.gateway.metrics()["jotgate_redis_connects_total"], 1)

    def test_what_redis_heard_too_late_is_told_once(self):
        self.start_and_call_once(quota="100/day")
        self.line.questions.clear()
        self.assertEqual(self.each_once(), [200] * N)
        self.assertEqual(self.counted(), 1)
        self.line.flow()
        self.wait_till_settled()
        self.assertEqual(self.counted(), 1 + N)

    def test_a_connection_that_is_cut_before_the_answer_counts_twice_at_most(self):
        self.start_and_call_once(quota="100/day")
        self.line.answers.clear()
        self.assertEqual(self.each_once(), [200] * N)
        n = self.executed()
        self.line.cut()
        self.wait_till_settled()
        self.assertEqual(self.counted(), 1 + N + n)

    def test_whom_nobody_let_in_redis_does_not_count(self):
        self.on_failure = "closed"
        self.start_and_call_once(quota="100/day")
        self.line.answers.clear()
        self.assertEqual(self.each_once(), [503] * N)
        self.executed()
        self.line.flow()
        self.wait_till_settled()
        self.assertEqual(self.counted(), 1)

    def test_what_redis_refused_too_late_and_a_share_let_pass_is_told(self):
        self.start_and_call_once(quota="100/day")
        key = [key for key in self.redis.limit_keys() if "main:day" in key][0]
        end = self.redis.ask("GET", key).split(":")[0]
        self.redis.ask("SET", key, f"{end}:100", "KEEPTTL")  # others used it up, and this machine has not seen it
        self.line.answers.clear()
        self.assertEqual(self.each_once(), [200] * N)
        self.line.flow()
        self.wait_till_settled()
        self.assertEqual(self.counted(), 100 + N)


class Leased(LateStory):
    mode = "leased"

    def test_no_call_counts_twice_and_no_lease_is_lost(self):
        self.begin_behind_it(quota="1000/day")
        statuses = self.statuses(30, self.caller)
        self.line.answers.clear()
        statuses += self.statuses(60, self.caller)  # from the lease; one asks and waits; the others do not wait
        self.line.flow()
        self.wait_till_settled()
        self.assertEqual(statuses, [200] * 90)
        statuses += self.statuses(1200, self.caller)
        self.assertEqual(statuses.count(200), 1000)
        self.assertEqual(self.counted(), 1000)
        self.assertEqual(self.gateway.metrics()["jotgate_redis_connects_total"], 1)
