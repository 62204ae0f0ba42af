# SPDX-License-Identifier: MIT
"""jotgate's own API keys: made by the command line, kept in a real redis-server, known to every gateway."""
import hashlib
import hmac
import json
import os
import re
import signal
import tempfile
import time

from harness import Gateway, ask, run_program
from test_redis import RedisStory
from test_sockets import accepted, close_code, handshake, take_frame
from tokens import CURVES, SECRET, Key, b64, der, der_list, openssl, unb64
from wire import Wire, request_bytes


def route(path, **more):
    return {"path": path, "access": "apikey", "upstream": "@PROJECT@", "limits": []} | more


def hold_open(request, wire):
    """A socket or an event stream, as the request asks, that stays open until the gateway leaves."""
    if request.get("upgrade"):
        wire.send(accepted(request))
    else:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    while wire.receive():
        continue


class KeyStory(RedisStory):
    more = {
        "routes": [route("/keys"), route("/counted", limits=["per_key"]), route("/scoped", require={"scope": "write"}), {"path": "/mine", "access": "user", "upstream": "@PROJECT@", "limits": []}],
        "limits": {"per_key": {"key": "apikey", "rate": "1/hour"}},
        "auth_failures": {"rate": "600/minute", "burst": 300},
    }  # fmt: skip

    def begin(self, **more):
        self.gateway_at({"default": "free", "tiers": {"free": {}, "pro": {"default": [{"name": "all", "quota": "1/day"}]}}}, more=self.more | more)
        self.wait_for_redis(self.gateway)
        return self.gateway

    def begin_another(self):
        settings = json.loads(open(self.gateway.config, encoding="utf-8").read())
        for name in ("listen", "admin"):
            del settings[name]
        other = Gateway(self.project, settings)
        self.addCleanup(other.stop)
        self.wait_for_redis(other)
        return other

    def apikeys(self, *words, code=0):
        """The command, with the gateway's settings: (standard output, standard error)."""
        said = run_program("apikeys", *words, "-c", self.gateway.config)
        self.assertEqual(said[0], code, said)
        return said[1:]

    def create(self, *words, subject="ada"):
        return self.apikeys("create", "--subject", subject, *words)[0].strip()

    def show(self, key, path="/keys", gateway=None, headers=()):
        return ask((gateway or self.gateway).port, "GET", path, [("x-api-key", key), *headers])

    def wait_for_status(self, key, status, path="/keys", gateway=None, seconds=20):
        gateway = gateway or self.gateway
        gateway.wait_until(lambda: all(self.show(key, path, gateway).status == status for _ in range(6)), f"status {status} of every worker", seconds)


class Life(KeyStory):
    def test_a_key_that_was_made_lets_its_subject_in_and_goes_no_further(self):
        self.begin()
        key = self.create()
        self.assertRegex(key, r"^jg_[A-Za-z0-9_-]{47}$")
        for headers in ([("x-api-key", key)], [("Authorization", f"Bearer {key}")], [("apikey", key), ("Authorization", f"Bearer {key}")]):
            self.project.clear()
            self.assertEqual(self.get("/keys", headers).status, 200, headers)
            seen = self.project.requests[-1]
            self.assertIsNone(seen.get("x-api-key"))
            self.assertNotIn("jg_", str(vars(seen)))
        self.assert_problem(self.show(key, "/mine"), 401, "bad_api_key")
        self.assertNotIn(key, "\n".join(self.gateway.lines))

    def test_only_the_hash_is_kept(self):
        self.begin()
        key = self.create("--name", "CI job")
        kept = self.redis.ask("GET", f"jotgate:k:{hashlib.sha256(key.encode()).hexdigest()}")
        self.assertEqual(json.loads(kept)["subject"], "ada")
        for name in self.redis.ask("KEYS", "*"):
            self.assertNotIn(key, name)
        self.assertNotIn(key, kept)
        listed = self.apikeys("list")[0]
        self.assertIn(hashlib.sha256(key.encode()).hexdigest()[:12], listed)
        self.assertIn("CI job", listed)
        self.assertNotIn(key[3:], listed)

    def test_many_keys_are_listed_by_subject(self):
        self.begin()
        for number in range(150):  # more than one page; as other gateways' command would have kept them
            name = hashlib.sha256(str(number).encode()).hexdigest()
            self.redis.ask("ZADD", "jotgate:keys", "+inf", name)
            self.redis.ask("SET", f"jotgate:k:{name}", json.dumps({"subject": f"s{number % 3}", "created": 1}))
        self.redis.ask("ZADD", "jotgate:keys", 1, "f" * 64)  # went long ago
        lines = self.apikeys("list")[0].splitlines()
        self.assertEqual(len(lines), 151)
        self.assertEqual(len(self.apikeys("list", "--subject", "s1")[0].splitlines()), 51)
        self.assertEqual(self.redis.ask("ZCARD", "jotgate:keys"), 150)

    def test_a_revoked_key_is_refused_by_every_gateway(self):
        self.begin(workers=1)
        other = self.begin_another()
        keys = [self.create() for _ in range(3)]
        ids = [hashlib.sha256(key.encode()).hexdigest() for key in keys]
        for key, name in zip(keys, (keys[0], ids[1], ids[2][:12])):
            self.assertEqual([self.show(key).status, self.show(key, gateway=other).status], [200, 200])
            self.assertIn("revoked", self.apikeys("revoke", name)[0])
            began = time.monotonic()
            for gateway in (self.gateway, other):
                self.wait_for_status(key, 401, gateway=gateway, seconds=3)
            self.assertLess(time.monotonic() - began, 3)
            self.assert_problem(self.show(key, gateway=other), 401, "bad_api_key")
        self.assertEqual(len(self.apikeys("list")[0].splitlines()), 1)
        self.apikeys("revoke", ids[0], code=1)
        self.apikeys("revoke", "0123456789", code=1)

    def test_what_begins_like_two_keys_revokes_neither(self):
        self.begin()
        for end in "01":
            self.redis.ask("ZADD", "jotgate:keys", "+inf", "a" * 63 + end)
            self.redis.ask("SET", f"jotgate:k:{'a' * 63 + end}", '{"subject":"ada","created":1}')
        self.assertIn("2 keys", self.apikeys("revoke", "aaaaaa", code=1)[1])
        self.assertEqual(self.redis.ask("ZCARD", "jotgate:keys"), 2)

    def test_an_expired_key_says_so_and_one_that_lives_does_not(self):
        self.begin()
        key, lasting = self.create("--expires", "2s"), self.create("--expires", "1h")
        self.wait_for_status(key, 401)
        self.assertIn("expired", self.assert_problem(self.show(key), 401, "bad_api_key")["detail"])
        self.assertEqual(self.show(lasting).status, 200)
        self.assertIn("(expired)", self.apikeys("list")[0])

    def test_keys_that_nobody_made_are_refused(self):
        self.begin()
        key = self.create()
        unknown = self.create()
        self.redis.ask("DEL", f"jotgate:k:{hashlib.sha256(unknown.encode()).hexdigest()}")
        other_character = "A" if key[10] != "A" else "B"
        for bad in (unknown, key[:-1], key + "x", key[:10] + other_character + key[11:], "jg_", key.upper()):
            with self.subTest(bad=bad):
                self.project.clear()
                self.assertEqual(self.show(bad).status, 401)
                self.assert_nothing_upstream()
        self.assertIn("x-api-key", self.assert_problem(self.get("/keys"), 401, "no_authorization")["hint"])
        self.assertNotIn("x-api-key", self.assert_problem(self.get("/mine"), 401, "no_authorization")["hint"])
        self.assert_problem(self.get("/keys", [("x-api-key", key)], token=self.token()), 400, "invalid_request")

    def test_scopes_and_plans_count(self):
        self.begin()
        self.gateway.wait_until(lambda: self.gateway.metrics()["jotgate_feed_age_seconds"] >= 0, "the feed")
        self.assertEqual(self.show(self.create("--scopes", "read,write"), "/scoped").status, 200)
        self.assert_problem(self.show(self.create("--scopes", "read,rewrite"), "/scoped"), 403, "insufficient_scope")
        self.assertIn("no tier", self.apikeys("create", "--subject", "ada", "--plan", "gold", code=2)[1])

    def test_what_no_key_can_have_is_refused(self):
        self.begin()
        year = time.gmtime().tm_year + 2
        for day in (f"{year}-02-30", f"{year}-04-31", f"{year}-13-01", f"{year}-01-31T24:00:00Z", f"{year}-01-31T12:00:60Z", f"{year}-01-31x", "2001-01-01"):
            self.assertIn("--expires", self.apikeys("create", "--subject", "ada", "--expires", day, code=2)[1], day)
        for subject in (b"\xff", b"caf\xc3", b"a\nb", b"\x7f", b"\xed\xa0\x80", b""):
            self.assertIn("--subject", self.apikeys("create", "--subject", subject, code=2)[1], subject)
        self.assertEqual(self.apikeys("list")[0].count("\n"), 1)  # the heading
        for subject, expires in (("café", f"{year}-01-31"), ("ada", f"{year}-12-31T23:59:59Z")):
            self.assertEqual(self.show(self.create("--expires", expires, subject=subject)).status, 200)

    def test_what_is_denied_to_a_user_is_denied_to_their_keys(self):
        admin = "an-admin-token-of-more-than-32-bytes"
        self.env = {"JOTGATE_ADMIN_TOKEN": admin}
        self.begin()
        tell = lambda path, body=b"": ask(self.gateway.port, "POST", f"/_jotgate/{path}", [("Authorization", f"Bearer {admin}")], body)
        key = self.create()
        self.assertEqual(self.show(key).status, 200)
        self.assertEqual(tell("deny", b'{"subject": "ada", "for": "1h"}').status, 200)
        self.wait_for_status(key, 403)
        self.assertEqual(tell("deny", b'{"subject": "ada", "for": "0s"}').status, 200)
        self.wait_for_status(key, 200)
        self.assertEqual(tell("subjects/ada/revoke").status, 200)
        self.wait_for_status(key, 401)
        self.gateway.wait_until(lambda: self.show(self.create()).status == 200, "a key that was made later")
        self.assertEqual(self.show(key).status, 401)

    def test_a_limit_counts_each_key_apart(self):
        self.begin()
        keys = [self.create() for _ in range(2)]
        for key in keys:
            self.assertEqual([self.show(key, "/counted").status for _ in range(2)], [200, 429])

    def test_what_keys_were_worth_is_counted(self):
        self.begin(workers=1)
        key = self.create()
        for _ in range(3):
            self.assertEqual(self.show(key).status, 200)
        self.apikeys("revoke", key)
        self.wait_for_status(key, 401)
        self.gateway.wait_until(lambda: self.gateway.metrics()["jotgate_api_keys_revoked_total"] == 1, "the revocation to be counted")
        metrics = self.gateway.metrics()
        self.assertGreaterEqual(metrics['jotgate_api_keys_total{result="good"}'], 3)
        self.assertGreaterEqual(metrics['jotgate_api_keys_total{result="unknown"}'], 1)
        self.assertGreaterEqual(metrics["jotgate_api_key_fetches_total"], 2)

    def test_the_command_needs_a_redis_that_answers(self):
        self.begin()
        settings = open(self.gateway.config, encoding="utf-8").read()
        self.redis.ask("CONFIG", "SET", "requirepass", "opensesame")
        self.assert_lost("it wants a password")
        self.redis.kill()
        self.assert_lost("connection refused")
        for kind, end in (("cluster", ""), ("sentinel", "/main")):
            with open(self.gateway.config, "w", encoding="utf-8") as file:
                file.write(settings.replace(self.redis.url, self.redis.url.replace("redis", f"redis+{kind}", 1) + end))
            self.assert_lost("connection refused")
        with open(self.gateway.config, "w", encoding="utf-8") as file:
            file.write(settings)
        self.redis.spawn()
        self.assertEqual(self.apikeys("list")[0].count("\n"), 1)

    def assert_lost(self, reason):
        """All that is said is why."""
        said = f"jotgate apikeys: Redis does not answer: 127.0.0.1:{self.redis.port}: {reason}\n"
        for words in (("list",), ("create", "--subject", "ada"), ("revoke", "0123456789")):
            self.assertEqual(self.apikeys(*words, code=1), ("", said))


class Trouble(KeyStory):
    def test_without_redis_known_keys_go_on_for_max_stale_and_others_wait(self):
        self.begin(apikeys={"max_stale": "4s"}, workers=1)
        key, other = self.create(), self.create()
        self.assertEqual(self.show(key).status, 200)
        self.redis.kill()
        self.wait_for_redis(self.gateway, is_up=False)
        self.assertEqual(self.show(key).status, 200)
        self.assertEqual(self.assert_problem(self.show(other), 503, "keys_unavailable")["hint"], "Try again; API keys cannot be looked up at the moment.")
        self.wait_for_status(key, 503)
        self.redis.spawn()  # empty
        self.wait_for_redis(self.gateway)
        self.wait_for_status(key, 401)

    def test_a_flood_of_unknown_keys_costs_redis_little(self):
        self.begin(workers=1, auth_failures={"rate": "1/hour", "burst": 10})
        good, unknown = self.create(), [self.create() for _ in range(20)]
        for key in unknown:
            self.redis.ask("DEL", f"jotgate:k:{hashlib.sha256(key.encode()).hexdigest()}")
        self.assertEqual(self.show(good).status, 200)
        self.redis.ask("CONFIG", "RESETSTAT")
        gets = lambda: int((re.search(r"cmdstat_get:calls=(\d+)", self.redis.ask("INFO", "commandstats")) or [0, 0])[1])
        for _ in range(50):
            self.assertEqual(self.show(unknown[0]).status, 401)
        self.assertLessEqual(gets(), 4)  # one in three seconds; and the machine may be slow
        for _ in range(3):
            statuses = [self.show(key).status for key in unknown]
        self.assertEqual(set(statuses[10:]), {429})
        self.assertLessEqual(gets(), 30)
        self.assertNotEqual(self.show(unknown[15], gateway=self.gateway).status, 200)
        self.assertEqual(self.show(good).status, 200)  # remembered

    def test_what_a_revoked_key_opened_is_closed(self):
        self.begin()
        other = self.begin_another()
        key, kept = self.create(), self.create()
        self.project.handler = hold_open
        with Wire.to(other.port) as events, Wire.to(other.port) as socket, Wire.to(other.port) as others:
            for wire, shown in ((events, key), (others, kept)):
                wire.send(request_bytes("GET", "/keys", [("x-api-key", shown)]))
            socket.send(handshake("/keys", [("x-api-key", key)]))
            pieces, more = (wire.body_pieces(wire.answer(with_body=False)) for wire in (events, others))
            self.assertEqual([next(pieces), next(more)], [b"hello", b"hello"])
            self.assertEqual(socket.answer(with_body=False).status, 101)
            self.apikeys("revoke", key)
            self.assertEqual(b"".join(pieces), b"")  # whole: the last chunk came
            opcode, payload = take_frame(socket)
            self.assertEqual((opcode, close_code(payload), payload[2:]), (8, 1008, b"the API key was revoked"))
            self.apikeys("revoke", kept)
            self.assertEqual(b"".join(more), b"")

    def test_a_stream_outlives_a_gap_in_the_feed_and_not_the_loss_of_its_key(self):
        self.begin()
        key = self.create()
        self.project.handler = hold_open
        with Wire.to(self.gateway.port) as events:
            events.send(request_bytes("GET", "/keys", [("x-api-key", key)]))
            pieces = events.body_pieces(events.answer(with_body=False))
            self.assertEqual(next(pieces), b"hello")
            fetches = self.gateway.metrics()["jotgate_api_key_fetches_total"]
            self.apikeys("revoke", self.create())  # an entry to miss, once it was read
            self.gateway.wait_until(lambda: self.gateway.metrics()["jotgate_api_keys_revoked_total"] > 0, "the feed")
            self.assertEqual(self.redis.ask("DEL", "jotgate:{feed}log"), 1)
            self.apikeys("revoke", self.create())
            self.gateway.wait_until(lambda: self.gateway.metrics()["jotgate_api_key_fetches_total"] > fetches, "the key to be asked for again")
            self.redis.ask("FLUSHALL")
            self.apikeys("revoke", self.create())
            self.assertEqual(b"".join(pieces), b"")


def private_jwk(key):
    """An EC key as Supabase's tools print it."""
    sec1 = der_list(der(openssl("ec", "-in", key.path, "-outform", "DER"))[1])
    return key.jwk(d=b64(sec1[1][1]), key_ops=["sign", "verify"])


def is_signed(token, key):
    """By openssl."""
    text, signature = token.rsplit(".", 1)
    signature = unb64(signature)
    if isinstance(key, str):
        return hmac.compare_digest(signature, hmac.new(key.encode(), text.encode(), hashlib.sha256).digest())
    if key.algorithm in CURVES:
        integers = b""
        for half in (signature[:32], signature[32:]):
            half = half.lstrip(b"\0") or b"\0"
            half = (b"\0" if half[0] & 0x80 else b"") + half
            integers += b"\x02" + bytes([len(half)]) + half
        signature = b"\x30" + bytes([len(integers)]) + integers
    with tempfile.TemporaryDirectory() as folder:
        for name, data in (("signature", signature), ("public", key.public_pem)):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
        return b"OK" in openssl("dgst", "-sha256", "-verify", f"{folder}/public", "-signature", f"{folder}/signature", data=text.encode())


class AsUser(KeyStory):
    """credential: user."""

    issuers = [
        {"name": "main", "issuer": "https://id.test/auth/v1", "jwks_url": "@PROJECT@/auth/v1/.well-known/jwks.json"},
        {"name": "other", "issuer": "https://other.test", "jwks_url": "@PROJECT@/auth/v1/.well-known/jwks.json"},
    ]

    def begin_with(self, signing_key):
        self.folder = tempfile.TemporaryDirectory(prefix="story-key-")
        self.addCleanup(self.folder.cleanup)
        self.key_file = os.path.join(self.folder.name, "signing")
        self.write(signing_key)
        self.env = {"SUPABASE_SIGNING_KEY_FILE": self.key_file}
        more = self.more | {"routes": [route("/rest", credential="user")], "issuers": self.issuers}
        self.gateway_at({"default": "free", "tiers": {"free": {}}}, more=more)
        self.wait_for_redis(self.gateway)

    def write(self, signing_key):
        with open(self.key_file, "w", encoding="utf-8") as file:
            file.write(signing_key if isinstance(signing_key, str) else json.dumps(signing_key))

    def apikeys(self, *words, code=0):
        said = run_program("apikeys", *words, "-c", self.gateway.config, env=self.env)
        self.assertEqual(said[0], code, said)
        return said[1:]

    def token_sent(self, key, headers=()):
        """What the upstream got for it."""
        self.project.clear()
        self.assertEqual(self.show(key, "/rest", headers=headers).status, 200)
        fields = self.project.requests[-1].all("authorization")
        self.assertEqual(len(fields), 1)
        self.assertTrue(fields[0].startswith("Bearer "))
        return fields[0][7:]

    def test_the_user_behind_the_key_is_shown_by_each_kind_of_signing_key(self):
        es256, rs256 = Key("ES256"), Key("RS256")
        for name, given, key in (("jwk", private_jwk(es256), es256), ("pem", rs256.private_pem, rs256), ("secret", SECRET, SECRET)):
            with self.subTest(name):
                self.begin_with(given)
                shown = self.create("--scopes", "read", "--plan", "free", subject="7d1f0a52-0000-4000-8000-000000000001")
                token = self.token_sent(shown, [("Authorization", "Bearer sb_publishable_x")])
                header, claims = (json.loads(unb64(part)) for part in token.split(".")[:2])
                self.assertEqual(header["alg"], "HS256" if key is SECRET else key.algorithm)
                self.assertEqual(header.get("kid"), es256.kid if key is es256 else header.get("kid"))
                self.assertTrue(is_signed(token, key))
                self.assertEqual((claims["sub"], claims["role"], claims["aud"], claims["scope"]), ("7d1f0a52-0000-4000-8000-000000000001", "authenticated", "authenticated", "read"))
                self.assertEqual((claims["iss"], claims["exp"] - claims["iat"], claims["app_metadata"]), ("https://id.test/auth/v1", 60, {"plan": "free"}))
                self.assertLessEqual(abs(claims["iat"] - time.time()), 30)
                said = "\n".join(self.gateway.lines + self.gateway.errors)
                self.assertNotIn(token.split(".")[2], said)
                self.assertNotIn(SECRET, said)

    def test_a_user_keeps_its_own_token(self):
        self.begin_with(SECRET)
        own = self.project.keys[0].token(self.claims(iss="https://id.test/auth/v1"))
        self.assertEqual(self.get("/rest", token=own).status, 200)
        self.assertEqual(self.project.requests[-1].get("authorization"), f"Bearer {own}")

    def test_another_issuers_user_is_none_of_the_projects(self):
        self.begin_with(SECRET)
        self.assert_problem(self.show(self.create(subject="other:ada"), "/rest"), 403, "insufficient_scope")
        token = self.token_sent(self.create(subject="main:ada"))
        self.assertEqual(json.loads(unb64(token.split(".")[1]))["sub"], "ada")

    def test_a_reload_signs_with_the_new_key_and_a_bad_one_changes_nothing(self):
        self.begin_with(SECRET)
        shown, other = self.create(), "another-secret-of-more-than-32-bytes-for-tests"
        self.assertTrue(is_signed(self.token_sent(shown), SECRET))
        self.write("too-short")
        self.gateway.signal(signal.SIGHUP)
        line = self.gateway.wait_for_log(lambda line: "not reloaded" in line["event"], "the refusal")
        self.assertIn("SUPABASE_SIGNING_KEY", line["error"])
        self.assertNotIn("too-short", "\n".join(self.gateway.lines))
        self.assertTrue(is_signed(self.token_sent(shown), SECRET))
        self.write(other)
        self.gateway.signal(signal.SIGHUP)
        self.gateway.wait_for_log(lambda line: line["event"] == "settings reloaded", "the reload")
        self.gateway.wait_until(lambda: is_signed(self.token_sent(shown), other), "the new key's token")

    def test_a_route_without_a_signing_key_is_refused_by_line(self):
        self.begin_with(SECRET)
        code, _, said = run_program("check", "-c", self.gateway.config)
        self.assertEqual(code, 2)
        self.assertRegex(said, r"jotgate\.yaml:\d+:\d+: credential: needs supabase\.signing_key")
