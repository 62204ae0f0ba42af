# SPDX-License-Identifier: MIT
"""Floods of tokens whose check fails: each costs a signature, and none of that is taken from callers whose token is known."""
import base64
import collections
import os
import threading
import time

from harness import Story, ask
from wire import DEADLINE_S, Wire, request_bytes

ROUTES = [{"path": "/mine", "access": "user", "upstream": "@PROJECT@", "limits": []}]
STRANGER, NEWCOMER = "127.0.0.2", "127.0.0.3"


def forge(token):
    """The same token with another signature each time: no cache knows it."""
    head, body, _ = token.split(".")
    return f"{head}.{body}.{base64.urlsafe_b64encode(os.urandom(64)).decode().rstrip('=')}"


def bearer(token):
    return [("Authorization", f"Bearer {token}")]


class Flood:
    """Clients at these addresses, a connection each, that send forged tokens until it is left; what they were told is counted."""

    def __init__(self, port, token, addresses):
        self.port, self.token = port, token
        self.told, self.errors = collections.Counter(), []
        self.changed, self.is_over = threading.Condition(), threading.Event()
        self.threads = [threading.Thread(target=self.send, args=(a,), daemon=True) for a in addresses]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join(DEADLINE_S)
        assert not self.errors, self.errors[:3]

    def send(self, address):
        try:
            with Wire.to(self.port, source=address) as wire:
                while not self.is_over.is_set():
                    wire.send(request_bytes("GET", "/mine", bearer(forge(self.token))))
                    answer = wire.answer()
                    with self.changed:
                        self.told[answer.status, answer.json()["code"]] += 1
                        self.changed.notify_all()
        except Exception as error:  # a thread's error is the test's
            self.errors.append(error)

    def wait(self, condition, what):
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self.told), DEADLINE_S), f"waited for {what}: {self.told}"


class Checks(Story):
    shared = False
    settings = {"routes": ROUTES, "workers": 1}

    def one(self, token, source):
        with Wire.to(self.gateway.port, source=source) as wire:
            wire.send(request_bytes("GET", "/mine", bearer(token) + [("Connection", "close")]))
            return wire.answer()

    def test_one_address_is_refused_before_its_next_check_and_nobody_else(self):
        self.start({"auth_failures": {"rate": "1/hour", "burst": 20}})
        known = self.token()
        self.assertEqual(self.get("/mine", token=known).status, 200)
        with Flood(self.gateway.port, known, [STRANGER] * 6) as flood:
            flood.wait(lambda told: told[429, "too_many_failures"] >= 100, "refusals")
            self.assertEqual({self.get("/mine", token=known).status for _ in range(50)}, {200})
            self.assertEqual(self.one(self.token(), NEWCOMER).status, 200)  # who has to be checked, too
            self.assertEqual(self.one(known, STRANGER).status, 200)  # what is remembered needs no check, whoever brings it
            refused = self.one(self.token(), STRANGER)
            self.assertEqual((refused.status, refused.get("ratelimit-policy")), (429, '"auth_failures";q=20;w=72000'))
            self.assertEqual(refused.get("ratelimit"), f'"auth_failures";r=0;t={refused.get("retry-after")}')
        self.assertEqual(set(flood.told), {(401, "bad_jwt"), (429, "too_many_failures")})
        # Those that were waiting for their check when the last of the twenty failed are checked still.
        self.assertIn(flood.told[401, "bad_jwt"], range(20, 20 + 6))
        self.assertEqual(len(self.project.requests), 1 + 50 + 1 + 1)

    def test_a_new_token_that_is_no_good_counts_but_not_one_that_has_only_expired_or_is_remembered(self):
        self.start({"auth_failures": {"rate": "1/hour", "burst": 2}})
        bad = [self.token(exp=int(time.time()) - 1000), self.token(aud="others"), forge(self.token())]
        for token in bad + bad:
            self.assertEqual(self.one(token, STRANGER).status, 401)
        self.assertEqual(self.one(self.token(), STRANGER).status, 429)
        self.assertEqual(self.one(self.token(), NEWCOMER).status, 200)

    def test_many_addresses_wait_in_their_lines_and_the_known_do_not(self):
        self.start({"tokens": {"check_share": "1%", "check_queue": 8}, "auth_failures": {"rate": "1000000/hour"}})
        known = self.token()
        self.assertEqual(self.get("/mine", token=known).status, 200)
        with Flood(self.gateway.port, known, [f"127.0.1.{n}" for n in range(1, 33)]) as flood:
            flood.wait(lambda told: told[401, "bad_jwt"] >= 32 and told[503, "overloaded"] > 0, "checks and refusals")
            self.assertEqual({self.get("/mine", token=known).status for _ in range(50)}, {200})
            newcomer = self.token()  # it waits its turn, or is told to come again
            self.gateway.wait_until(lambda: self.one(newcomer, NEWCOMER).status == 200, "a newcomer's turn")
        self.assertEqual(set(flood.told), {(401, "bad_jwt"), (503, "overloaded")})
        self.assertEqual(len(self.project.requests), 1 + 50 + 1)
        self.gateway.wait_until(lambda: self.gateway.metrics()["jotgate_token_checks_waiting"] == 0, "the lines to be empty")
        self.assertEqual(ask(self.gateway.port, "GET", "/mine", bearer(known)).status, 200)
