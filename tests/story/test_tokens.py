# SPDX-License-Identifier: MIT
"""Tokens: what is let in, and the attacks that are not. Every refusal is 401 and the upstream sees nothing."""
import json
import time

from harness import Project, Story
from tokens import SECRET, Key, Secret, assemble, b64, shared_key, unb64

USER_ROUTE = [{"path": "/mine", "access": "user", "upstream": "@PROJECT@", "limits": []}]
ISSUER = {"name": "supabase", "issuer": "auto", "audience": ["authenticated"], "hs256_secret": SECRET}
NOW = int(time.time())


class Tokens(Story):
    keys = [shared_key("ES256"), shared_key("RS256"), shared_key("EdDSA")]
    settings = {"routes": USER_ROUTE, "issuers": [ISSUER | {"jwks_url": "@PROJECT@/auth/v1/.well-known/jwks.json"}]}

    def refused(self, token, code="bad_jwt", status=401):
        answer = self.get("/mine", token=token)
        body = self.assert_problem(answer, status, code)
        self.assertIn('error="invalid_token"', answer.get("www-authenticate", ""))
        self.assert_nothing_upstream()
        return body

    def accepted(self, token):
        answer = self.get("/mine", token=token)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()


class LetIn(Tokens):
    def test_each_algorithm_that_the_project_publishes(self):
        for key in self.keys:
            with self.subTest(key.algorithm):
                self.accepted(self.token(key))

    def test_hs256_with_the_configured_secret_whatever_its_kid(self):
        self.accepted(self.legacy_token())
        self.accepted(self.legacy_token(kid="a-kid-that-is-published-nowhere"))

    def test_the_same_token_again_and_again(self):
        token = self.token()
        for _ in range(5):
            self.accepted(token)

    def test_bearer_is_normalised_for_the_upstream(self):
        token = self.token()
        for scheme in ("Bearer", "bearer", "BEARER", "Bearer  "):
            self.project.clear()
            self.assertEqual(self.get("/mine", [("Authorization", f"{scheme} {token}")]).status, 200, scheme)
            self.assertEqual(self.project.requests[0].get("authorization"), f"Bearer {token}")

    def test_the_caller_is_told_to_the_upstream(self):
        token = self.token(sub="0b9b9b3e-0000-4000-8000-000000000001")
        self.accepted(token)

    def test_times_within_the_leeway(self):
        self.accepted(self.token(exp=int(time.time()) - 10))
        self.accepted(self.token(nbf=int(time.time()) + 10, iat=int(time.time()) + 10))

    def test_an_audience_among_others(self):
        self.accepted(self.token(aud=["other", "authenticated"]))


class TurnedAway(Tokens):
    def test_one_bit_changed_anywhere_in_the_signature(self):
        for key in self.keys:
            head, payload, signature = self.token(key).split(".")
            raw = bytearray(unb64(signature))
            for bit in (0, 7, len(raw) * 4, len(raw) * 8 - 1):
                forged = bytearray(raw)
                forged[bit // 8] ^= 1 << (bit % 8)
                self.refused(f"{head}.{payload}.{b64(bytes(forged))}")

    def test_one_character_changed_in_the_payload(self):
        head, payload, signature = self.token().split(".")
        for at in range(0, len(payload), 17):
            other = "A" if payload[at] != "A" else "B"
            self.refused(f"{head}.{payload[:at]}{other}{payload[at + 1:]}.{signature}")

    def test_no_algorithm(self):
        claims = self.claims()
        for name in ("none", "None", "NONE", "nOnE", " none", "", "es256", "ES256 ", "HS257"):
            for signature in (b"", b"x"):
                self.refused(assemble({"alg": name, "typ": "JWT", "kid": self.keys[0].kid}, claims, lambda _, s=signature: s))
        for header in ('{"typ":"JWT"}', '{"alg":null}', '{"alg":1}', '{"alg":["ES256"]}', '{"alg":{}}'):
            self.refused(assemble(header, claims, lambda _: b"x"))

    def test_a_public_key_is_no_secret(self):
        claims = self.claims()
        for key in self.keys:
            for form in (key.public_pem, b" " + key.public_pem, b"\n" + key.public_pem, key.public_pem.strip(), json.dumps(key.jwk()).encode(), b""):
                for kid in (key.kid, None):
                    self.refused(Secret(form, kid=kid).token(claims))

    def test_an_algorithm_that_is_not_the_keys(self):
        es, rs, ed = self.keys
        for signer, kid in ((es, rs.kid), (rs, es.kid), (ed, es.kid), (es, ed.kid)):
            self.refused(signer.token(self.claims(), {"kid": kid}))
        for algorithm in ("RS256", "EdDSA", "ES384", "HS256", "PS256"):
            self.refused(es.token(self.claims(), {"alg": algorithm}))
        for algorithm in ("RS384", "RS512", "PS256"):
            self.refused(rs.token(self.claims(), {"alg": algorithm}))

    def test_keys_that_the_token_brings_itself(self):
        own = Key("ES256")
        fetched = self.project.n_connections
        for header in (
            {"jwk": own.jwk()}, {"jku": f"{self.project.url}/evil.json"}, {"x5u": f"{self.project.url}/evil.pem"},
            {"x5c": [b64(b"certificate")]},
        ):  # fmt: skip
            self.refused(own.token(self.claims(), header | {"kid": self.keys[0].kid}))
        self.assertEqual(self.project.n_connections, fetched)

    def test_critical_headers_that_nobody_understands(self):
        for header in ({"crit": ["bork"]}, {"crit": []}, {"crit": ["exp"]}, {"crit": "exp"}, {"b64": False}, {"b64": False, "crit": ["b64"]}):
            self.refused(self.token(header=header))

    def test_members_that_are_there_twice(self):
        key, claims = self.keys[0], json.dumps(self.claims())
        header = f'{{"alg":"ES256","alg":"ES256","kid":"{key.kid}"}}'
        self.refused(assemble(header, claims, key.sign))
        good = f'{{"alg":"ES256","kid":"{key.kid}"}}'
        for twin in ('"sub":"root"', '"role":"service_role"', '"exp":99999999999', '"s\\u0075b":"root"'):
            self.refused(assemble(good, claims[:-1] + "," + twin + "}", key.sign))

    def test_a_payload_that_is_no_object(self):
        key = self.keys[0]
        good = f'{{"alg":"ES256","kid":"{key.kid}"}}'
        for payload in ("[]", '"x"', "1", "null", "true", "", "{", "{} {}", "{}\x00", '{"a":"\\ud800"}', b"{\"a\":\"\xff\"}", "[" * 10000):
            self.refused(assemble(good, payload, key.sign))

    def test_a_subject_of_more_than_256_bytes(self):
        self.assertIn("256 bytes", self.refused(self.token(sub="s" * 257))["message"])
        self.refused(self.token(sub="ü" * 129))
        self.accepted(self.token(sub="s" * 256))

    def test_base64url_that_is_not_strict(self):
        head, payload, signature = self.token().split(".")
        for token in (
            f"{head}=.{payload}.{signature}", f"{head}.{payload}=.{signature}", f"{head}.{payload}.{signature}=",
            f"{head}.{payload}.{signature}==", f"{head}.{payload}.{signature}A", f"{head}.{payload}.{signature[:-1]}",
            f"{head}.{payload}.+{signature[1:]}", f"{head}.{payload}./{signature[1:]}", f"{head}..{signature}", f".{payload}.{signature}",
            f"{head}.{payload}.", f"{head}.{payload}", f"{head}.{payload}.{signature}.{signature}", "..", "...", "x.y.z",
            "." * 1000,
        ):  # fmt: skip
            self.refused(token)

    def test_signatures_of_another_shape(self):
        key = self.keys[0]
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        shapes = [b"\0" * 64, b"\0" * 63, b"\0" * 65, b"\1" * 128, b"\1" * 9000]
        shapes += [order.to_bytes(32, "big") * 2, (1).to_bytes(32, "big") + order.to_bytes(32, "big")]
        for shape in shapes:
            self.refused(assemble({"alg": "ES256", "kid": key.kid}, self.claims(), lambda _, s=shape: s))

    def test_times(self):
        now = int(time.time())
        self.refused(self.token(exp=now - 100), "token_expired")
        for exp in (None, str(now + 100), "never", -1, 1e300, True, [], {}):
            with self.subTest(exp=exp):
                self.refused(self.token(exp=exp), None)
        self.refused(self.token(nbf=now + 100))
        self.refused(self.token(iat=now + 100))
        self.refused(self.token(nbf="soon"))

    def test_audiences(self):
        for aud in (None, "other", "Authenticated", [], ["other"], "authenticated ", 1, [1], {"authenticated": 1}, ""):
            with self.subTest(aud=aud):
                self.refused(self.token(aud=aud))

    def test_issuers(self):
        issuer = self.project.issuer
        for iss in (
            None, "", issuer + ".evil.test", issuer.upper(), issuer.replace("http", "https"), issuer[:-1], [issuer], 1,
            "https://evil.test/auth/v1",
        ):  # fmt: skip
            with self.subTest(iss=iss):
                self.refused(self.token(iss=iss))

    def test_an_unknown_kid_and_other_odd_ones(self):
        key = self.keys[0]
        for kid in ("unknown", "../../dev/null", "' OR 1=1 --", "\x00", "", 1, [], {}, "k" * 4000):
            with self.subTest(kid=kid):
                self.refused(key.token(self.claims(), {"kid": kid}))

    def test_a_token_of_enormous_size(self):
        answer = self.get("/mine", token=self.token(user_metadata={"x": "y" * 30000}))
        self.assertIn(answer.status, (401, 431))
        self.assert_nothing_upstream()

    def test_a_token_that_is_encrypted_or_in_json(self):
        self.refused("eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d")
        head, payload, signature = self.token().split(".")
        flat = json.dumps({"protected": head, "payload": payload, "signature": signature})
        self.assertIn(self.get("/mine", token=flat).status, (400, 401))
        self.assert_nothing_upstream()

    def test_credentials_that_are_doubled(self):
        good = self.token()
        for pair in ((good, "bad"), ("bad", good), (good, good)):
            answer = self.get("/mine", [("Authorization", f"Bearer {t}") for t in pair])
            self.assert_problem(answer, 400, "invalid_request")
        answer = self.get("/mine", [("Authorization", f"Bearer {good}, Bearer {good}")])
        self.assertIn(answer.status, (400, 401))
        self.assert_nothing_upstream()

    def test_none_at_all(self):
        for headers in ([], [("apikey", "sb_publishable_xxxxxxxxxxxxxxxxxxxxxx_yyyyyyyy")]):
            answer = self.get("/mine", headers)
            self.assert_problem(answer, 401, "no_authorization")
            self.assertEqual(answer.get("www-authenticate"), 'Bearer realm="jotgate"')
        self.assert_nothing_upstream()

    def test_other_schemes_are_no_token(self):
        for value in ("Basic dTpw", "Bearer", "Bearer ", "", "Negotiate x", self.token()):
            answer = self.get("/mine", [("Authorization", value)])
            self.assertIn(answer.status, (400, 401), value)
        self.assert_nothing_upstream()

    def test_a_refusal_never_shows_the_token(self):
        token = self.token(exp=NOW - 1000)
        answer = self.get("/mine", token=token)
        for part in token.split("."):
            self.assertNotIn(part[:40], str(answer.headers) + answer.body.decode())
        self.gateway.wait_for_log(lambda line: line.get("status") == 401, "the access log's line")
        self.assertNotIn(token.split(".")[1][:40], "\n".join(self.gateway.lines))


class TwoIssuers(Story):
    """Each issuer's tokens verify with its own keys and nobody else's."""

    shared = False

    def test_a_key_of_one_issuer_signs_nothing_for_another(self):
        ours, theirs = Key("ES256"), Key("ES256", kid="same")
        other = Project(keys=[theirs])
        self.addCleanup(other.close)
        issuers = [
            {"name": "supabase", "issuer": "auto", "jwks_url": "@PROJECT@/auth/v1/.well-known/jwks.json"},
            {"name": "other", "issuer": other.issuer, "jwks_url": f"{other.url}/auth/v1/.well-known/jwks.json"},
        ]
        self.start({"routes": USER_ROUTE, "issuers": issuers}, keys=[ours])
        good, foreign = self.token(ours), theirs.token(self.claims(iss=other.issuer))
        self.assertEqual(self.get("/mine", token=good).status, 200)
        self.assertEqual(self.get("/mine", token=foreign).status, 200)
        for crossed in (theirs.token(self.claims()), ours.token(self.claims(iss=other.issuer))):
            self.assert_problem(self.get("/mine", token=crossed), 401, "bad_jwt")

    def test_without_a_secret_hs256_is_refused(self):
        self.start({"routes": USER_ROUTE})
        self.assert_problem(self.get("/mine", token=self.legacy_token()), 401, "bad_jwt")
