# SPDX-License-Identifier: MIT
"""What a caller and an operator get: answers of the gateway's own, headers, the access log, health, metrics."""
import json

from harness import Story, ask
from wire import answer_bytes

ORIGIN = [("Origin", "https://app.test")]


class OwnAnswers(Story):
    settings = {"routes": [{"path": "/mine", "access": "user", "upstream": "@PROJECT@", "limits": []}]}

    def test_the_body_is_one_problem_document(self):
        answer = self.get("/mine")
        body = self.assert_problem(answer, 401, "no_authorization")
        self.assertEqual(answer.get("content-type").split(";")[0], "application/json")
        self.assertEqual(int(answer.get("content-length")), len(answer.body))
        self.assertRegex(answer.get("proxy-status"), r"^jotgate; *error=[a-z_]+")
        self.assertTrue(answer.get("x-request-id"))
        self.assertTrue(answer.get("date"))
        self.assertEqual(body["detail"], body["message"])

    def test_problem_json_for_those_who_ask(self):
        answer = self.get("/mine", [("Accept", "application/problem+json")])
        self.assertEqual(answer.get("content-type").split(";")[0], "application/problem+json")

    def test_head_gets_the_same_head_and_no_body(self):
        get, head = self.get("/mine"), self.ask("HEAD", "/mine")
        self.assertEqual(head.status, get.status)
        self.assertEqual(set(head.names()) ^ set(get.names()), set())
        self.assertEqual(head.get("content-length"), get.get("content-length"))

    def test_browsers_can_read_it(self):
        for path in ("/mine", "/nowhere"):
            answer = self.get(path, ORIGIN)
            self.assertIn(answer.get("access-control-allow-origin"), ("*", "https://app.test"))
            exposed = answer.get("access-control-expose-headers", "").lower()
            self.assertIn("x-request-id", exposed)
        self.assertIsNone(self.get("/mine").get("access-control-allow-origin"))

    def test_each_service_reads_its_own_shape(self):
        bad = self.token()[:-4] + "AAAA"
        body = self.assert_problem(self.get("/functions/v1/x", ORIGIN, token=bad), 401, "bad_jwt")
        answer = self.get("/functions/v1/x", ORIGIN, token=bad)
        self.assertEqual(answer.get("x-relay-error"), "true")
        self.assertIn("x-relay-error", answer.get("access-control-expose-headers").lower())
        self.assertNotIn("error_code", body)
        answer = self.get("/auth/v1/a%zz")
        self.assertEqual(answer.status, 400)
        self.assertIsNone(self.get("/rest/v1/x", token=bad).get("x-relay-error"))

    def test_two_causes_never_have_the_same_words(self):
        key = self.project.keys[0]
        tokens = {
            "signature": self.token()[:-4] + "AAAA", "expired": self.token(exp=1000000000), "audience": self.token(aud="x"),
            "issuer": self.token(iss="https://x.test"), "future": self.token(nbf=4000000000), "kid": key.token(self.claims(), {"kid": "x"}),
            "algorithm": key.token(self.claims(), {"alg": "HS256"}), "form": "a.b", "none": None,
        }  # fmt: skip
        words = {name: self.get("/mine", token=token).json()["message"] for name, token in tokens.items()}
        self.assertEqual(len(set(words.values())), len(words), words)

    def test_a_request_id_is_made_or_kept_and_told_upstream(self):
        kept = self.get("/rest/v1/x", [("X-Request-Id", "abc-123")])
        self.assertEqual(kept.status, 200)
        seen = self.project.requests[0].get("x-request-id")
        self.assertTrue(seen)
        for hostile in ("a b", "<script>", "x" * 300, ""):
            answer = self.get("/rest/v1/x", [("X-Request-Id", hostile)])
            self.assertNotEqual(answer.get("x-request-id"), hostile)

    def test_preflights_of_known_routes_are_answered_here(self):
        asked = ORIGIN + [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization, x-client-info")]
        for path in ("/mine", "/rest/v1/todos", "/functions/v1/hello", "/auth/v1/token"):
            answer = self.ask("OPTIONS", path, asked)
            self.assertIn(answer.status, (200, 204), path)
            self.assertIn(answer.get("access-control-allow-origin"), ("*", "https://app.test"))
            self.assertIn("POST", answer.get("access-control-allow-methods"))
            allowed = answer.get("access-control-allow-headers").lower()
            self.assertTrue(allowed == "*" or ("authorization" in allowed and "x-client-info" in allowed))
        self.assert_nothing_upstream()

    def test_a_browser_can_read_why_its_url_was_refused(self):
        long = b"GET /rest/v1/x?id=in.(" + b"1," * 20000 + b") HTTP/1.1\r\nHost: a\r\nOrigin: https://app.test\r\n\r\n"
        answer = self.send_raw(long)[0]
        self.assert_problem(answer, 414)
        self.assertEqual(answer.get("access-control-allow-origin"), "*")


class Passed(Story):
    """Answers of the upstream."""

    def answer_with(self, data):
        self.project.handler = lambda _request, _wire: data
        return self.get("/rest/v1/x", ORIGIN)

    def test_status_fields_and_body_are_its_own(self):
        fields = [("Content-Range", "0-9/*"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Empty", ""), ("Server", "pg")]
        answer = self.answer_with(answer_bytes(206, b"hello", fields, "Partial"))
        self.assertEqual((answer.status, answer.body), (206, b"hello"))
        self.assertEqual(answer.all("set-cookie"), ["a=1", "b=2"])
        self.assertEqual((answer.get("content-range"), answer.get("x-empty")), ("0-9/*", ""))

    def test_odd_statuses_pass(self):
        for status in (201, 204, 304, 402, 404, 418, 429, 500, 503, 520, 544, 546):
            self.assertEqual(self.answer_with(answer_bytes(status, b"")).status, status)

    def test_interim_answers_are_not_relayed_as_final(self):
        data = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer_bytes(200, b"x")
        self.assertEqual(self.answer_with(data).status, 200)

    def test_hop_by_hop_and_fly_names_stay_behind(self):
        fields = [("Connection", "x-hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5"), ("Fly-Replay", "app=evil"), ("fly-replay-cache", "x")]
        answer = self.answer_with(answer_bytes(200, b"x", fields))
        for name in ("x-hop", "keep-alive", "fly-replay", "fly-replay-cache"):
            self.assertEqual(answer.all(name), [], name)

    def test_cors_of_the_upstream_is_there_once(self):
        answer = self.answer_with(answer_bytes(200, b"x", [("Access-Control-Allow-Origin", "https://app.test")]))
        self.assertEqual(len(answer.all("access-control-allow-origin")), 1)

    def test_a_chunked_answer_stays_whole(self):
        data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: y\r\n\r\n"
        self.assertEqual(self.answer_with(data).body, b"abcde")

    def test_an_answer_that_ends_with_the_connection(self):
        def until_close(_request, wire):
            wire.send(b"HTTP/1.1 200 OK\r\n\r\nhello")

        self.project.handler = until_close
        self.assertEqual(self.get("/rest/v1/x").body, b"hello")


class Operator(Story):
    def test_health(self):
        self.assertEqual(self.get("/_jotgate/health").status, 200)
        self.assertEqual(ask(self.gateway.admin_port, "GET", "/healthz").status, 200)
        self.assertEqual(ask(self.gateway.admin_port, "GET", "/readyz").status, 200)

    def test_reserved_paths_are_never_forwarded(self):
        for path in ("/_jotgate", "/_jotgate/", "/_jotgate/nothing", "/_jotgate/subjects/a", "/_jotgate/%2e%2e/rest/v1/x"):
            self.assertIn(self.get(path).status, (400, 401, 404))
        self.assert_nothing_upstream()

    def test_usage_is_the_callers_own(self):
        answer = self.get("/_jotgate/usage", token=self.token())
        self.assertEqual(answer.status, 200)
        json.loads(answer.body)
        self.assertEqual(self.get("/_jotgate/usage", token=self.token(exp=1000000000)).status, 401)

    def test_the_public_listener_shows_nothing_of_the_operators(self):
        for path in ("/metrics", "/status", "/readyz", "/healthz"):
            self.assertEqual(self.get(path).status, 404)

    def test_the_admin_listener_only_reads(self):
        for method in ("POST", "PUT", "DELETE"):
            self.assertGreaterEqual(ask(self.gateway.admin_port, method, "/metrics").status, 400)

    def test_metrics_count_and_have_no_subjects(self):
        token = self.token(sub="0b9b9b3e-aaaa-4000-8000-00000000beef")
        self.get("/rest/v1/x", token=token)
        self.get("/rest/v1/x", token=token[:-4] + "AAAA")
        text = ask(self.gateway.admin_port, "GET", "/metrics").body.decode()
        self.assertIn("# TYPE", text)
        self.assertIn("jotgate_", text)
        self.assertNotIn("beef", text)
        self.assertTrue(self.gateway.metrics())

    def test_one_log_line_a_request_without_secrets(self):
        token = self.token(sub="0b9b9b3e-bbbb-4000-8000-000000000001")
        answer = self.get("/rest/v1/logged?apikey=sb_publishable_logged&x=private", [("apikey", "sb_publishable_logged")], token=token)
        self.assertEqual(answer.status, 200)
        line = self.gateway.wait_for_log(lambda l: "/rest/v1/logged" in json.dumps(l), "the access log's line")
        text = json.dumps(line)
        for secret in (token, token.split(".")[2], "private", "sb_publishable_logged"):
            self.assertNotIn(secret, text)
        self.assertEqual(line["status"], 200)
        self.assertEqual(line["method"], "GET")

    def test_control_characters_never_reach_the_log_as_they_are(self):
        self.get("/rest/v1/%0a%0d%1b[31m", [("User-Agent", "a\tb\x85c")])
        for line in self.gateway.log():
            self.assertIsInstance(line, dict)
