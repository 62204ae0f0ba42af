# SPDX-License-Identifier: MIT
"""Routes: which rule applies, who may call, and which keys go along."""
from harness import Story
from tokens import SECRET, Secret, user_claims
from wire import Upstream

PUBLISHABLE = "sb_publishable_abcdefghijklmnopqrstuv_12345678"
SECRET_KEY = "sb_secret_abcdefghijklmnopqrstuv_12345678"


def legacy_key(role):
    """What a project's legacy anon and service_role keys look like: HS256, no kid, ten years."""
    return Secret(SECRET).token({"iss": "supabase", "ref": "abc", "role": role, "iat": 1700000000, "exp": 2015360000})


class Builtin(Story):
    """SUPABASE_URL alone."""

    def test_each_service_passes_to_the_project_with_its_path(self):
        for path in (
            "/rest/v1/todos?select=*", "/auth/v1/health", "/functions/v1/hello", "/storage/v1/object/public/a/b.png",
            "/graphql/v1", "/realtime/v1/api/broadcast",
        ):  # fmt: skip
            self.project.clear()
            self.assertEqual(self.get(path).status, 200, path)
            seen = self.project.requests[0]
            self.assertEqual(seen.target, path)
            self.assertEqual(seen.get("host"), f"127.0.0.1:{self.project.port}")

    def test_what_is_no_service_has_no_route(self):
        for path in ("/", "/pg/tables", "/studio", "/restv1", "/rest/v1x", "/rest", "/api/mcp", "/realtime/v1/api/tenants", "/favicon.ico"):
            body = self.assert_problem(self.get(path), 404, "no_route")
            self.assertTrue(body["message"])
        self.assert_nothing_upstream()

    def test_a_path_that_can_be_read_in_two_ways_is_refused_or_has_no_route(self):
        for path in (
            "/rest/v1/../../pg/x", "/rest/v1/%2e%2e/%2e%2e/pg/x", "/rest/v1/%252e%252e/%252e%252e/pg", "/auth/v1/..%2f..%2fpg",
            "/rest%2fv1/todos", "//rest/v1/todos", "/rest//v1/todos", "/rest/v1/..;/..;/pg", "/%72est/v1/../../pg", "\\rest\\v1",
            "/rest/v1%5c..%5c..%5cpg", "/./rest/v1/x", "/REST/v1/x", "/rest/v1/%c0%ae%c0%ae/%c0%ae%c0%ae/pg",
        ):  # fmt: skip
            with self.subTest(path):
                self.project.clear()
                answer = self.get(path)
                if answer.status == 200:  # the same route in every reading, and the upstream gets the bytes that came
                    self.assertEqual(self.project.requests[0].target, path)
                    self.assertTrue(path.startswith("/rest/v1/") and ".." not in path, path)
                else:
                    self.assertIn(answer.status, (400, 404))
                    self.assert_nothing_upstream()

    def test_encoded_slashes_of_storage_objects_stay_as_they_came(self):
        path = "/storage/v1/object/bucket/a%2Fb%20c.png"
        self.assertEqual(self.get(path).status, 200)
        self.assertEqual(self.project.requests[0].target, path)

    def test_strangers_pass_to_public_routes_and_a_bad_user_does_not(self):
        self.assertEqual(self.get("/rest/v1/todos").status, 200)
        self.assertEqual(self.get("/rest/v1/todos", token=self.token()).status, 200)
        self.assert_problem(self.get("/functions/v1/x", token=self.token()[:-4] + "AAAA"), 401, "bad_jwt")
        self.assert_problem(self.get("/rest/v1/todos", token=self.token(exp=1000000000)), 401, "PGRST303")
        self.assert_problem(self.get("/storage/v1/object/a", token=self.token(exp=1000000000)), 401, "token_expired")

    def test_authorization_of_another_kind_is_passed_on_as_it_came(self):
        for value in ("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c", "Basic dTpw"):
            self.project.clear()
            self.assertEqual(self.get("/storage/v1/s3/bucket", [("Authorization", value)]).status, 200)
            self.assertEqual(self.project.requests[0].get("authorization"), value)

    def test_auth_is_open_even_to_a_bad_token(self):
        token = self.token(exp=1000000000)
        self.assertEqual(self.get("/auth/v1/user", token=token).status, 200)
        self.assertEqual(self.project.requests[0].get("authorization"), f"Bearer {token}")

    def test_the_forwarded_path_prefix_and_address_are_told(self):
        self.get("/storage/v1/object/a")
        seen = self.project.requests[0]
        self.assertEqual(seen.get("x-forwarded-for"), "127.0.0.1")
        self.assertIn("for=127.0.0.1", seen.get("forwarded"))
        self.assertIn("jotgate", seen.get("via"))
        self.assertTrue(seen.get("x-request-id"))
        self.assertRegex(seen.get("traceparent"), r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")

    def test_a_loop_is_noticed(self):
        self.get("/auth/v1/health")
        with_via = self.project.requests[0].get("via")
        self.project.clear()
        self.assert_problem(self.get("/auth/v1/health", [("Via", with_via)]), 508)
        self.assert_nothing_upstream()


class Keys(Story):
    """The project's own keys, known by what they are."""

    anon, service = legacy_key("anon"), legacy_key("service_role")
    env = {
        "SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE, "SUPABASE_SECRET_KEY": SECRET_KEY, "SUPABASE_ANON_KEY": anon,
        "SUPABASE_SERVICE_ROLE_KEY": service, "SUPABASE_JWT_SECRET": SECRET,
    }  # fmt: skip
    settings = {
        "routes": [
            {"path": "/functions/v1/admin", "access": "user", "credential": "service", "require": {"app_metadata.role": "admin"}},
            {"path": "/functions/v1/service", "access": "service"},
        ]
    }

    def test_an_apikey_is_added_where_the_caller_sends_none(self):
        self.get("/rest/v1/todos", token=self.token())
        self.assertEqual(self.project.requests[0].get("apikey"), PUBLISHABLE)

    def test_an_apikey_that_the_caller_sends_is_kept(self):
        for key in (PUBLISHABLE, self.anon, "sb_publishable_another"):
            self.project.clear()
            self.assertEqual(self.get("/rest/v1/todos", [("apikey", key)]).status, 200)
            self.assertEqual(self.project.requests[0].get("apikey"), key)

    def test_publishable_and_anon_keys_as_bearer_are_strangers(self):
        for key in (PUBLISHABLE, self.anon, "sb_publishable_another_projects"):
            self.project.clear()
            answer = self.get("/rest/v1/todos", [("apikey", key), ("Authorization", f"Bearer {key}")])
            self.assertEqual(answer.status, 200, key)
            self.assertEqual(self.project.requests[0].get("authorization"), f"Bearer {key}")

    def test_service_callers_are_refused(self):
        for headers in (
            [("apikey", SECRET_KEY)], [("apikey", self.service)], [("apikey", PUBLISHABLE), ("Authorization", f"Bearer {SECRET_KEY}")],
            [("Authorization", f"Bearer {self.service}")],
            [("Authorization", f"Bearer {Secret(SECRET).token({'role': 'service_role', 'exp': 2015360000})}")],
        ):  # fmt: skip
            answer = self.get("/rest/v1/todos", headers)
            self.assert_problem(answer, 403, "service_caller_refused")
        self.assert_nothing_upstream()

    def test_the_secret_key_goes_only_where_the_route_says(self):
        admin = self.token(app_metadata={"role": "admin"})
        self.assertEqual(self.get("/functions/v1/admin", token=admin).status, 200)
        seen = self.project.requests[0]
        self.assertEqual(seen.get("apikey"), SECRET_KEY)
        self.assertNotIn(admin, str(seen.headers))
        self.assertTrue(seen.get("x-jotgate-sub"))
        self.project.clear()
        self.get("/functions/v1/other", token=admin)
        self.assertNotIn(SECRET_KEY, str(self.project.requests[0].headers))

    def test_claims_that_do_not_allow_it(self):
        for role in ("user", "Admin", "", None, 1, ["user"], {"admin": 1}):
            answer = self.get("/functions/v1/admin", token=self.token(app_metadata={"role": role}))
            self.assert_problem(answer, 403, "insufficient_scope")
        self.assert_problem(self.get("/functions/v1/admin"), 401, "no_authorization")
        self.assert_nothing_upstream()

    def test_a_service_route_lets_no_user_in(self):
        self.assertIn(self.get("/functions/v1/service", token=self.token()).status, (401, 403))
        self.assert_nothing_upstream()


class ServiceCallers(Story):
    shared = False

    def test_allowed_ones_pass_and_have_no_users_limit(self):
        env = {"SUPABASE_SECRET_KEY": SECRET_KEY, "LIMIT_PER_USER": "1/hour"}
        self.start({"supabase": {"url": "@PROJECT@", "service_callers": "allow"}}, env)
        for _ in range(3):
            answer = self.get("/rest/v1/todos", [("apikey", SECRET_KEY), ("Authorization", f"Bearer {SECRET_KEY}")])
            self.assertEqual(answer.status, 200)

    def test_only_from_the_networks_that_are_named(self):
        for networks, status in ((["127.0.0.0/8"], 200), (["10.0.0.0/8"], 403)):
            self.start({"supabase": {"url": "@PROJECT@", "service_callers": networks}}, {"SUPABASE_SECRET_KEY": SECRET_KEY})
            self.assertEqual(self.get("/rest/v1/todos", [("apikey", SECRET_KEY)]).status, status)

    def test_legacy_keys_become_the_publishable_one(self):
        env = {"SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE, "SUPABASE_ANON_KEY": legacy_key("anon")}
        self.start({"supabase": {"url": "@PROJECT@", "apikey": "replace"}}, env)
        self.assertEqual(self.get("/rest/v1/todos", [("apikey", legacy_key("anon"))]).status, 200)
        self.assertEqual(self.project.requests[0].get("apikey"), PUBLISHABLE)

    def test_nothing_is_added_when_the_caller_decides(self):
        self.start({"supabase": {"url": "@PROJECT@", "apikey": "keep"}}, {"SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE})
        self.get("/rest/v1/todos")
        self.assertEqual(self.project.requests[0].all("apikey"), [])

    def test_an_anon_key_is_a_stranger_whether_or_not_the_secret_is_known(self):
        for env in ({}, {"SUPABASE_JWT_SECRET": SECRET}):
            self.start(env=env)
            key = legacy_key("anon")
            answer = self.get("/rest/v1/todos", [("apikey", key), ("Authorization", f"Bearer {key}")])
            self.assertEqual(answer.status, 200)


class Own(Story):
    """Routes of the file."""

    shared = False

    def begin(self, routes, **more):
        other = Upstream()
        self.addCleanup(other.close)
        for r in routes:
            if r.get("upstream") == "@OTHER@":
                r["upstream"] = other.url
            r.setdefault("access", "open")
            r.setdefault("limits", [])
        self.start({"routes": routes} | more)
        return other

    def test_the_longest_prefix_wins_and_ends_at_a_segment(self):
        other = self.begin([{"path": "/a", "upstream": "@PROJECT@"}, {"path": "/a/b", "upstream": "@OTHER@"}])
        for path, here in (("/a", False), ("/a/c", False), ("/a/b", True), ("/a/b/c", True), ("/a/bc", False), ("/a/b?x", True)):
            self.project.clear()
            other.clear()
            self.assertEqual(self.get(path).status, 200, path)
            self.assertEqual((len(self.project.requests), len(other.requests)), (0, 1) if here else (1, 0), path)
        self.assertEqual(self.get("/ab").status, 404)

    def test_a_star_opens_the_prefix(self):
        self.begin([{"path": "/rest/v1/rpc/admin_*", "access": "user", "upstream": "@PROJECT@"}])
        self.assertEqual(self.get("/rest/v1/rpc/admin_drop").status, 401)
        self.assertEqual(self.get("/rest/v1/rpc/adminx").status, 200)
        for spelling in (
            "/rest/v1/rpc/admin%5fdrop", "/rest/v1/rpc/%61dmin_drop", "/rest/v1//rpc/admin_drop", "/rest/v1/./rpc/admin_drop",
            "/rest/v1/x/../rpc/admin_drop", "/rest/v1/rpc%2fadmin_drop", "/rest/v1/rpc/admin_drop/", "/rest/v1/rpc/%2561dmin_drop",
            "/rest/v1/rpc;x/admin_drop", "/rest/v1/rpc%5cadmin_drop",
        ):  # fmt: skip
            with self.subTest(spelling):
                self.assertIn(self.get(spelling).status, (400, 401))
        self.assertEqual(len(self.project.requests), 1)

    def test_a_file_wins_over_what_is_built_in(self):
        other = self.begin([{"path": "/rest/v1", "upstream": "@OTHER@"}])
        self.assertEqual(self.get("/rest/v1/todos").status, 200)
        self.assertEqual(len(other.requests), 1)

    def test_methods(self):
        self.begin([{"path": "/a", "methods": ["GET", "POST"], "upstream": "@PROJECT@"}])
        for method, status in (("GET", 200), ("HEAD", 200), ("POST", 200), ("DELETE", 405), ("PUT", 405), ("PROPFIND", 405), ("get", 405)):
            answer = self.ask(method, "/a")
            self.assertEqual(answer.status, status, method)
            if status == 405:
                self.assertIn("GET", answer.get("allow"))
                self.assert_problem(answer, 405, "method_not_allowed")

    def test_strip_takes_the_prefix_off_and_a_base_path_is_put_before(self):
        self.begin([
            {"path": "/api", "strip": "/api", "upstream": "@PROJECT@"}, {"path": "/base", "upstream": "@PROJECT@/under/here"},
        ])  # fmt: skip
        for path, seen in (("/api/x?y", "/x?y"), ("/api", "/"), ("/api/", "/"), ("/base/z", "/under/here/base/z")):
            self.project.clear()
            self.assertEqual(self.get(path).status, 200, path)
            self.assertEqual(self.project.requests[0].target, seen)

    def test_a_body_that_is_too_large(self):
        self.begin([{"path": "/a", "max_body": "1KiB", "upstream": "@PROJECT@"}])
        self.assertEqual(self.ask("POST", "/a", body=b"x" * 1024).status, 200)
        self.assert_problem(self.ask("POST", "/a", body=b"x" * 1025), 413, "payload_too_large")
        chunks = b"400\r\n" + b"x" * 1024 + b"\r\n1\r\ny\r\n0\r\n\r\n"
        answer = self.ask("POST", "/a", [("Transfer-Encoding", "chunked")], chunks)
        self.assertEqual(answer.status, 413)
        self.assertEqual(len(self.project.requests), 1)

    def test_no_built_in_routes(self):
        self.begin([{"path": "/a", "upstream": "@PROJECT@"}], builtin="none")
        self.assertEqual(self.get("/rest/v1/x").status, 404)
        self.assertEqual(self.get("/a").status, 200)

    def test_access_of_each_kind(self):
        self.begin([{"path": f"/{a}", "access": a, "upstream": "@PROJECT@"} for a in ("open", "public", "user", "apikey", "service")])
        user, bad = self.token(), self.token(exp=1000000000)
        expected = {"open": (200, 200, 200), "public": (200, 200, 401), "user": (401, 200, 401), "apikey": (401, 200, 401)}
        for access, statuses in expected.items():
            seen = tuple(self.get(f"/{access}", token=t).status for t in (None, user, bad))
            self.assertEqual(seen, statuses, access)

    def test_two_users_are_told_apart_by_the_subject_header(self):
        self.begin([{"path": "/a", "access": "user", "upstream": "@PROJECT@"}])
        token = self.project.keys[0].token(user_claims(self.project.issuer, sub="ada"))
        self.assertEqual(self.get("/a", [("X-Jotgate-Sub", "bob")], token=token).status, 200)
        self.assertNotIn("bob", str(self.project.requests[0].headers))
