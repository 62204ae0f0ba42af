# SPDX-License-Identifier: MIT
"""Keys: fetched, kept, rotated, lost and found again. Our own trouble with them is 503, never 401."""
import concurrent.futures
import json
import threading
import uuid

from harness import Project, Story, ask
from tokens import SECRET, Key, b64, shared_key
from wire import Wire, answer_bytes, request_bytes

ROUTES = [{"path": "/mine", "access": "user", "upstream": "@PROJECT@", "limits": []}]
QUICK = {"routes": ROUTES, "jwks": {"cooldown": "1s", "timeout": "2s"}}
SLOW_COOLDOWN = {"routes": ROUTES, "jwks": {"cooldown": "10m"}, "auth_failures": {"rate": "1000000/minute"}}


class KeysStory(Story):
    shared = False
    settings = QUICK

    def status(self, token):
        return self.get("/mine", token=token).status

    def retry_until(self, token, status):
        """Ask until the answer is `status`: what must come once the cooldown is over."""
        self.gateway.wait_until(lambda: self.status(token) == status, f"status {status}")

    def stranger(self):
        """A token whose kid nobody publishes, to make the gateway look for new keys."""
        return self.token(shared_key(), header={"kid": str(uuid.uuid4())})


class Rotation(KeysStory):
    shares_threads = True

    def test_the_first_token_of_a_new_key_passes_after_one_fetch(self):
        self.start(keys=[shared_key()])
        self.assertEqual(self.status(self.token()), 200)
        fresh = Key("ES256")
        self.project.keys.append(fresh)
        before = self.project.key_fetches
        self.retry_until(self.token(fresh), 200)
        self.assertLessEqual(self.project.key_fetches - before, 2)
        self.assertEqual(self.status(self.token(shared_key())), 200)

    def test_callers_who_wait_for_the_same_fetch_all_resume(self):
        self.start({"jwks": {"cooldown": "1s"}}, keys=[shared_key()])
        fresh = Key("ES256")
        self.project.keys.append(fresh)
        gate, asked = threading.Event(), threading.Event()

        def slowly(_request, _wire):
            asked.set()
            gate.wait(20)
            return answer_bytes(200, self.project.jwks(), [("Content-Type", "application/json")])

        self.project.key_answer = slowly
        before = self.project.key_fetches
        token = self.token(fresh)
        self.gateway.wait_until(lambda: asked.is_set() or self.probe(token), "a fetch")
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            waiting = [pool.submit(self.status, token) for _ in range(16)]
            self.gateway.wait_until(lambda: self.gateway.open_sockets() > 16, "the callers to be connected")
            gate.set()
            self.assertEqual({w.result() for w in waiting}, {200})
        self.assertEqual(self.project.key_fetches - before, 1)

    def probe(self, token):
        """Send a request without waiting for its answer."""
        self.wire().send(request_bytes("GET", "/mine", {"Authorization": f"Bearer {token}"}))
        return False

    def test_a_key_that_is_withdrawn_takes_its_cached_tokens_along(self):
        old, new = Key("ES256"), Key("ES256")
        self.start(keys=[old, new])
        token = self.token(old)
        self.assertEqual(self.status(token), 200)
        self.project.keys[:] = [new]
        self.gateway.wait_until(lambda: self.status(self.stranger()) and self.status(token) == 401, "the old token to be refused")

    def test_a_kid_that_is_given_to_another_key_does_not_keep_the_old_tokens(self):
        old, new = Key("ES256", kid="one"), Key("ES256", kid="one")
        self.start(keys=[old])
        token = self.token(old)
        self.assertEqual(self.status(token), 200)
        self.project.keys[:] = [new]
        self.gateway.wait_until(lambda: self.status(self.stranger()) and self.status(token) == 401, "the old token to be refused")
        self.assertEqual(self.status(self.token(new)), 200)


class Floods(KeysStory):
    settings = SLOW_COOLDOWN

    def test_ten_thousand_unknown_kids_cost_at_most_one_fetch(self):
        self.start()
        head, payload, signature = self.token().split(".")
        before = self.project.key_fetches
        good = self.token()
        with Wire.to(self.gateway.port) as wire:
            for start in range(0, 10000, 100):
                batch = []
                for i in range(start, start + 100):
                    forged = b64(json.dumps({"alg": "ES256", "kid": f"{i}-{head[-4:]}"}).encode())
                    batch.append(request_bytes("GET", "/mine", {"Authorization": f"Bearer {forged}.{payload}.{signature}"}))
                wire.send(b"".join(batch))
                for _ in batch:
                    self.assertEqual(wire.answer().status, 401)
        self.assertLessEqual(self.project.key_fetches - before, 1)
        self.assertEqual(self.status(good), 200)

    def test_hs256_kids_never_cause_a_fetch(self):
        self.start(env={"SUPABASE_JWT_SECRET": SECRET})
        before = self.project.key_fetches
        for i in range(20):
            self.assertEqual(self.status(self.legacy_token(kid=f"kid-{i}")), 200)
            self.assertEqual(self.status(self.legacy_token("another-secret-of-more-than-32-bytes", kid=f"kid-{i}")), 401)
        self.assertEqual(self.project.key_fetches, before)


class Trouble(KeysStory):
    def test_no_keys_at_the_start_heals_by_itself(self):
        project = Project()
        self.addCleanup(project.close)
        project.key_answer = lambda _request, _wire: answer_bytes(500, b"no", reason="Oops")
        self.start(project=project, wait="listening")
        self.assertEqual(ask(self.gateway.port, "GET", "/_jotgate/health").status, 200)
        ready = ask(self.gateway.admin_port, "GET", "/readyz")
        self.assertEqual(ready.status, 503)
        self.assertIn(b"key", ready.body.lower())
        answer = self.get("/mine", token=self.token())
        self.assert_problem(answer, 503, "keys_unavailable")
        self.assertRegex(answer.get("retry-after"), r"^[1-9][0-9]*$")
        self.assert_nothing_upstream()
        project.key_answer = None
        self.gateway.wait_until(lambda: self.status(self.token()) == 200, "keys", 60)
        self.gateway.wait_until(lambda: ask(self.gateway.admin_port, "GET", "/readyz").status == 200, "/readyz")

    def test_keys_are_kept_when_a_fetch_fails(self):
        self.start(keys=[shared_key()])
        token = self.token()
        hang = threading.Event()
        self.addCleanup(hang.set)
        faults = {
            "500": lambda r, w: answer_bytes(500, b"no"),
            "404": lambda r, w: answer_bytes(404, b"no"),
            "html": lambda r, w: answer_bytes(200, b"<html>hello</html>", [("Content-Type", "text/html")]),
            "truncated": lambda r, w: w.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
            "half of the JSON": lambda r, w: answer_bytes(200, self.project.jwks()[:-20]),
            "an array": lambda r, w: answer_bytes(200, b"[]"),
            "huge": lambda r, w: answer_bytes(200, b'{"keys":[' + b" " * (4 << 20) + b"]}"),
            "a redirect": lambda r, w: answer_bytes(302, b"", [("Location", "file:///etc/passwd")]),
            "304 without reason": lambda r, w: answer_bytes(304),
            "closed": lambda r, w: w.close(),
            "no HTTP": lambda r, w: w.send(b"hello\r\n\r\n"),
            "10,000 keys": lambda r, w: answer_bytes(200, json.dumps({"keys": [shared_key().jwk()] * 10000}).encode()),
        }
        for name, fault in faults.items():
            with self.subTest(name):
                self.project.key_answer = fault
                before = self.project.key_fetches
                self.gateway.wait_until(lambda: self.status(self.stranger()) and self.project.key_fetches > before, "a fetch")
                self.assertEqual(self.status(token), 200)

    def ready(self):
        answer = ask(self.gateway.admin_port, "GET", "/readyz")
        self.assertEqual((answer.status, answer.json()["ready"]), (200, True))
        return answer.json()["why"]

    def test_ready_says_that_keys_cannot_be_read_again(self):
        self.start()
        self.assertEqual(self.ready(), "")
        self.project.key_answer = lambda _request, _wire: answer_bytes(500, b"no")
        self.gateway.wait_until(lambda: self.status(self.stranger()) and self.ready(), "/readyz to say so")
        self.assertEqual(self.ready(), "the keys of supabase could not be read again: HTTP status 500")
        self.assertEqual(ask(self.gateway.admin_port, "GET", "/status").json()["why"], self.ready())
        self.project.key_answer = None
        self.gateway.wait_until(lambda: self.status(self.stranger()) and not self.ready(), "/readyz to be content")

    def test_an_unknown_kid_after_a_failed_fetch_is_our_trouble(self):
        self.start(keys=[shared_key()])
        self.project.key_answer = lambda _request, _wire: answer_bytes(500, b"no")
        self.gateway.wait_until(lambda: self.status(self.stranger()) == 503, "503 for an unknown kid")
        self.assertEqual(self.status(self.token(shared_key())), 200)

    def test_one_empty_set_does_not_throw_the_keys_away(self):
        self.start(keys=[shared_key()])
        token = self.token()
        self.project.keys[:] = []
        before = self.project.key_fetches
        self.gateway.wait_until(lambda: self.status(self.stranger()) and self.project.key_fetches > before, "a fetch")
        self.assertEqual(self.status(token), 200)

    def test_a_key_that_cannot_be_used_is_skipped_and_not_the_set(self):
        good = shared_key()
        odd = [
            {"kty": "oct", "kid": "o", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "alg": "HS256"},
            {"kty": "quantum", "kid": "q"}, {"kid": "nothing"}, good.jwk(kid="enc", use="enc"), good.jwk(kid="y", y="AAAA"),
        ]  # fmt: skip
        self.start(keys=odd + [good])
        self.assertEqual(self.status(self.token(good)), 200)
        self.gateway.wait_for_log(lambda line: "q" == line.get("kid"), "a line about the key that was skipped")


class Discovery(KeysStory):
    def test_an_issuer_whose_name_is_not_its_url(self):
        project = Project(issuer="https://abc.supabase.example/auth/v1")
        self.addCleanup(project.close)
        self.start(project=project)
        self.assertEqual(self.status(self.token()), 200)
        self.assertEqual(self.status(self.token(iss="https://evil.example/auth/v1")), 401)

    def test_a_second_fetch_is_conditional(self):
        self.start()
        self.gateway.wait_until(lambda: self.status(self.stranger()) and self.project.key_fetches > 1, "a second fetch")
        self.assertIsNotNone(self.project.key_requests[1].get("if-none-match"))
        self.assertEqual(self.status(self.token()), 200)
