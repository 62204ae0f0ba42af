# SPDX-License-Identifier: MIT
"""HTTP as an attacker writes it: what two servers could read differently is refused, and the upstream never sees it.

Each row of a table is (name, the bytes, the statuses that are right). A refusal is one answer, then the connection is
closed, and nothing whole reaches the upstream. `@` stands for a route that anyone may call.
"""
from harness import Story, request_bytes
from wire import Wire

OPEN = [{"path": "/open", "access": "open", "upstream": "@PROJECT@", "limits": []}]
BAD = (400,)
H = b"Host: gateway.test\r\n"
SMUGGLED = b"GET /open/smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n"


def get(fields=b"", line=b"GET /open HTTP/1.1"):
    return line + b"\r\n" + H + fields + b"\r\n"


def post(fields, body=b""):
    return b"POST /open HTTP/1.1\r\n" + H + fields + b"\r\n" + body


def chunked(body):
    return post(b"Transfer-Encoding: chunked\r\n", body)


# H01-H05: what the body's length is
LENGTHS = [
    ("length, then chunked", post(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED), BAD),
    ("chunked, then length", post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"0\r\n\r\n" + SMUGGLED), BAD),
    ("both, odd case", post(b"content-LENGTH: 5\r\ntransfer-ENCODING: CHUNKED\r\n", b"0\r\n\r\n"), BAD),
    ("both, on a GET", get(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + b"0\r\n\r\n", BAD),
    ("length 0 and chunked", post(b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), BAD),
    ("xchunked", post(b"Transfer-Encoding: xchunked\r\n", SMUGGLED), (400, 501)),
    ("identity", post(b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n", b"abc"), (400, 501)),
    ("gzip, chunked", post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), (400, 501)),
    ("chunked, identity", post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"), (400, 501)),
    ("a comma first", post(b"Transfer-Encoding: ,chunked\r\n", b"0\r\n\r\n"), (400, 501)),
    ("chunked twice in one", post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"), (400, 501)),
    ("chunked on two lines", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), (400, 501)),
    ("chunked and identity on two lines", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), (400, 501)),
    ("quoted", post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"), (400, 501)),
    ("vertical tab before", post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), (400, 501)),
    ("no-break space before", post(b"Transfer-Encoding: \xa0chunked\r\n", b"0\r\n\r\n"), (400, 501)),
    ("NUL after", post(b"Transfer-Encoding: chunked\x00\r\n", b"0\r\n\r\n"), BAD),
    ("chunked;a=b", post(b"Transfer-Encoding: chunked;a=b\r\n", b"0\r\n\r\n"), (400, 501)),
    ("empty coding", post(b"Transfer-Encoding:\r\n", b"0\r\n\r\n"), (400, 501)),
    ("space before the colon", post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"), BAD),
    ("underscore twin beside a length", post(b"Transfer-Encoding\x0b: chunked\r\nContent-Length: 1\r\n", b"a"), BAD),
    ("chunked on 1.0", b"POST /open HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    ("two lengths, same", post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"), BAD),
    ("two lengths, different", post(b"Content-Length: 3\r\nContent-Length: 60\r\n", b"abc" + SMUGGLED), BAD),
    ("length 1, 1", post(b"Content-Length: 1, 1\r\n", b"a"), BAD),
    ("length 1,2", post(b"Content-Length: 1,2\r\n", b"ab"), BAD),
] + [
    (f"length {value!r}", post(b"Content-Length: " + value + b"\r\n", b"abc"), BAD)
    for value in (
        b"+3", b"-3", b"0x3", b"1_0", b"3Z", b"", b"010", b"3 3", b"3.0", b"1e1", b"18446744073709551616", b"18446744073709551619",
        b"99999999999999999999999999999", b"\xd9\xa3", b"\xef\xbc\x93", b"3\x00", b'"3"', b"3;3",
    )
]  # fmt: skip

# H06-H08: chunks
CHUNKS = [
    (f"chunk size {size!r}", chunked(size + b"\r\nabc\r\n0\r\n\r\n"), BAD)
    for size in (
        b"0x3", b"+3", b"-3", b" 3", b"3_0", b"", b"3these", b"10000000000000003", b"fffffffffffffffff", b"\x003", b"g", b"3\x0b",
        b"0" * 10000 + b"3", b"3,3", b"\xef\xbc\x93",
    )
] + [
    ("bare LF after the size", chunked(b"3\nabc\r\n0\r\n\r\n"), BAD),
    ("bare CR after the size", chunked(b"3\rabc\r\n0\r\n\r\n"), BAD),
    ("extension ended by LF", chunked(b"3;\nab\r\nabc\r\n0\r\n\r\n"), BAD),
    ("extension with a bare CR", chunked(b"3;a\rb\r\nabc\r\n0\r\n\r\n"), BAD),
    ("extension with quoted CRLF", chunked(b'3;a="\r\nabc\r\n0\r\n\r\n' + SMUGGLED), BAD),
    ("extension of a megabyte", chunked(b"3;" + b"a" * (1 << 20) + b"\r\nabc\r\n0\r\n\r\n"), BAD),
    ("data ends with CR X", chunked(b"3\r\nabc\rX0\r\n\r\n"), BAD),
    ("data ends with XX", chunked(b"3\r\nabcXX0\r\n\r\n"), BAD),
    ("data longer than its size", chunked(b"3\r\nabcdef\r\n0\r\n\r\n"), BAD),
    ("data ends with LF alone", chunked(b"3\r\nabc\n0\r\n\r\n"), BAD),
    ("an extra CRLF between chunks", chunked(b"3\r\nabc\r\n\r\n0\r\n\r\n"), BAD),
    ("last chunk ended by LF", chunked(b"3\r\nabc\r\n0\n\r\n"), BAD),
    ("trailer section ended by LF", chunked(b"3\r\nabc\r\n0\r\n\n"), BAD),
    ("trailers of a megabyte", chunked(b"3\r\nabc\r\n0\r\n" + b"a: b\r\n" * 200000 + b"\r\n"), BAD),
]  # fmt: skip

# H10-H14: lines and fields
FIELDS = [
    ("bare LF lines", b"GET /open HTTP/1.1\nHost: gateway.test\n\n", BAD),
    ("one bare LF", b"GET /open HTTP/1.1\r\nHost: gateway.test\nA: b\r\n\r\n", BAD),
    ("bare LF after the request line", b"GET /open HTTP/1.1\nHost: gateway.test\r\n\r\n", BAD),
    ("bare CR lines", b"GET /open HTTP/1.1\rHost: gateway.test\r\r\n\r\n", BAD),
    ("bare CR in a value", get(b"A: b\rc\r\n"), BAD),
    ("CR CR LF", get(b"A: b\r\r\n"), BAD),
    ("end of head is CR LF CR X", b"GET /open HTTP/1.1\r\n" + H + b"\rX\r\n\r\n", BAD),
    ("folded line", get(b"A: b\r\n c\r\n"), BAD),
    ("folded with a tab", get(b"A: b\r\n\tc\r\n"), BAD),
    ("folded first line", b"GET /open HTTP/1.1\r\n A: b\r\n" + H + b"\r\n", BAD),
    ("tab before the first field", b"GET /open HTTP/1.1\r\n\tHost: gateway.test\r\n\r\n", BAD),
    ("folded Authorization", get(b"Authorization:\r\n Bearer x\r\n"), BAD),
    ("a fold that builds a name", get(b"Transfer-\r\n Encoding: chunked\r\n"), BAD),
    ("space before the colon", get(b"A : b\r\n"), BAD),
    ("tab before the colon", get(b"A\t: b\r\n"), BAD),
    ("no colon", get(b"nonsense\r\n"), BAD),
    ("empty name", get(b": b\r\n"), BAD),
    ("empty name with a length", get(b": b\r\nContent-Length: 1\r\n") + b"a", BAD),
    ("NUL in a value", get(b"A: b\x00c\r\n"), BAD),
    ("DEL in a value", get(b"A: b\x7fc\r\n"), BAD),
    ("escape in a value", get(b"A: b\x1b[2Jc\r\n"), BAD),
    ("NUL in a name", get(b"A\x00B: c\r\n"), BAD),
    ("high byte in a name", get(b"A\x85: c\r\n"), BAD),
    ("high byte before a name", get(b"\xa0Host: c\r\n"), BAD),
    ("nothing but CRLF and noise", b"\r\n\r\n\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", BAD),
    ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200 + b"\r\n\r\n", BAD),
] + [
    (f"name with {chr(c)}", get(b"A" + bytes([c]) + b"B: c\r\n"), BAD) for c in b'(),/;<=>?@[\\]{}"'
]  # fmt: skip

# H15-H18: the request line and Host
LINES = [
    ("HTTP/0.9", b"GET /open\r\n\r\n", (400, 505)),
    ("HTTP/1.32", get(line=b"GET /open HTTP/1.32"), (400, 505)),
    ("HTTP/1.2", get(line=b"GET /open HTTP/1.2"), (400, 505)),
    ("HTTP/2.0", get(line=b"GET /open HTTP/2.0"), (400, 505)),
    ("HTTP/3", get(line=b"GET /open HTTP/3"), (400, 505)),
    ("http/1.1", get(line=b"GET /open http/1.1"), (400, 505)),
    ("HTTP/01.1", get(line=b"GET /open HTTP/01.1"), (400, 505)),
    ("HTTP/1.1 and more", get(line=b"GET /open HTTP/1.1 x"), BAD),
    ("HTTP/4294967295.255", get(line=b"GET /open HTTP/4294967295.255"), (400, 505)),
    ("the HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
    ("two spaces", get(line=b"GET  /open HTTP/1.1"), BAD),
    ("two spaces before the version", get(line=b"GET /open  HTTP/1.1"), BAD),
    ("tabs for spaces", get(line=b"GET\t/open\tHTTP/1.1"), BAD),
    ("a leading space", get(line=b" GET /open HTTP/1.1"), BAD),
    ("a space in the target", get(line=b"GET /open /x HTTP/1.1"), BAD),
    ("no method", get(line=b"/open HTTP/1.1"), BAD),
    ("garbage method", get(line=b"G(T /open HTTP/1.1"), BAD),
    ("NUL in the method", get(line=b"GE\x00T /open HTTP/1.1"), BAD),
    ("a method of a megabyte", get(line=b"G" * (1 << 20) + b" /open HTTP/1.1"), (400, 414, 431, 501)),
    ("CONNECT", get(line=b"CONNECT gateway.test:443 HTTP/1.1"), (400, 405, 501)),
    ("control in the target", get(line=b"GET /open\x01 HTTP/1.1"), BAD),
    ("NUL in the target", get(line=b"GET /open\x00 HTTP/1.1"), BAD),
    ("high byte in the target", get(line=b"GET /open\xff HTTP/1.1"), BAD),
    ("a fragment", get(line=b"GET /open#x HTTP/1.1"), BAD),
    ("no slash", get(line=b"GET open HTTP/1.1"), BAD),
    ("asterisk with GET", get(line=b"GET * HTTP/1.1"), BAD),
    ("authority form with GET", get(line=b"GET gateway.test:80 HTTP/1.1"), BAD),
    ("another scheme", get(line=b"GET file:///open HTTP/1.1"), BAD),
    ("user info in the target", get(line=b"GET http://a@gateway.test/open HTTP/1.1"), BAD),
    ("a target without authority", get(line=b"GET http:///open HTTP/1.1"), BAD),
    ("%00 in the path", get(line=b"GET /open/%00 HTTP/1.1"), BAD),
    ("broken escape", get(line=b"GET /open/%zz HTTP/1.1"), BAD),
    ("an escape cut short", get(line=b"GET /open/% HTTP/1.1"), BAD),
    ("a target of 20,000", get(line=b"GET /open/" + b"a" * 20000 + b" HTTP/1.1"), (414,)),
    ("a line that never ends", b"GET /open/" + b"a" * 300000, (414, 431)),
    ("a head of 100 KB", get(b"".join(b"A%d: %s\r\n" % (i, b"b" * 1000) for i in range(100))), (431,)),
    ("129 fields", get(b"".join(b"A%d: b\r\n" % i for i in range(128))), (431,)),
    ("an expectation", get(b"Expect: 200-maybe\r\n"), (417,)),
    ("two expectations", post(b"Expect: 100-continue, x\r\nContent-Length: 1\r\n", b"a"), (400, 417)),
    ("no Host", b"GET /open HTTP/1.1\r\n\r\n", BAD),
    ("two Hosts", get(H), BAD),
    ("two Hosts, odd case", get(b"hOsT: other.test\r\n"), BAD),
] + [
    (f"Host {value!r}", b"GET /open HTTP/1.1\r\nHost: " + value + b"\r\n\r\n", BAD)
    for value in (
        b"a b", b"a@b", b"a/b", b"a:b", b"a:99999", b"a:80:80", b"[::1", b"::1", b"[g::]", b"a,b", b"a?b", b"a#b", b"a\\b",
        b"<script>", b"http://a", b"a:-1",
    )
]  # fmt: skip

# What looks odd and is right: exactly one well-formed request goes on.
RIGHT = [
    ("plain", get()),
    ("an empty line first", b"\r\n" + get()),
    ("no space after the colon", get(b"A:b\r\n")),
    ("an empty value", get(b"A:\r\n")),
    ("high bytes in a value", get(b"A: \xc3\xa9\r\n")),
    ("tabs in a value", get(b"A: b\tc\r\n")),
    ("absolute form", get(line=b"GET http://gateway.test/open HTTP/1.1")),
    ("HTTP/1.0", get(line=b"GET /open HTTP/1.0")),
    ("HTTP/1.0 without Host", b"GET /open HTTP/1.0\r\n\r\n"),
    ("a body on GET", get(b"Content-Length: 3\r\n") + b"abc"),
    ("a body on DELETE", b"DELETE /open HTTP/1.1\r\n" + H + b"Content-Length: 3\r\n\r\nabc"),
    ("length 0", post(b"Content-Length: 0\r\n")),
    ("chunks", chunked(b"3\r\nabc\r\n0\r\n\r\n")),
    ("chunk size with zeros", chunked(b"0003\r\nabc\r\n000\r\n\r\n")),
    ("chunk size in capitals", chunked(b"A\r\n0123456789\r\n0\r\n\r\n")),
    ("chunk extensions", chunked(b'3;a=b;c="d"\r\nabc\r\n0;e\r\n\r\n')),
    ("trailers", chunked(b"3\r\nabc\r\n0\r\nX: y\r\n\r\n")),
    ("128 fields", get(b"".join(b"A%d: b\r\n" % i for i in range(126)) + b"Connection: close\r\n")),
    ("a field of 16 KB", get(b"A: " + b"b" * 16000 + b"\r\n")),
    ("a target of 16,000", get(line=b"GET /open/" + b"a" * 16000 + b" HTTP/1.1")),
    ("Host as an address", b"GET /open HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"),
    ("a method of the upstream's own", get(line=b"PROPFIND /open HTTP/1.1")),
]


class Refused(Story):
    settings = {"routes": OPEN}
    shares_threads = True

    def check(self, rows):
        for name, data, statuses in rows:
            with self.subTest(name):
                self.project.clear()
                answers = self.send_raw(data)
                self.assertEqual(len(answers), 1, answers)
                self.assertIn(answers[0].status, statuses, answers[0])
                self.assertEqual(answers[0].get("connection", "").lower(), "close")
                self.assert_problem(answers[0], answers[0].status)
                self.assert_nothing_upstream()
                self.assertNotIn(b"smuggled", self.project.raw)

    def test_bodies_of_two_lengths(self):
        self.check(LENGTHS)

    def test_malformed_chunks(self):
        self.check(CHUNKS)

    def test_malformed_fields(self):
        self.check(FIELDS)

    def test_malformed_request_lines_and_hosts(self):
        self.check(LINES)

    def test_the_answer_is_the_same_however_the_bytes_are_cut(self):
        for data, status in ((get(b"A : b\r\n"), 400), (get(), 200), (chunked(b"3\r\nabc\r\n0\r\nX: y\r\n\r\n"), 200)):
            for cut in range(1, len(data)):
                with Wire.to(self.gateway.port) as wire:
                    wire.try_send(data[:cut])
                    wire.try_send(data[cut:])
                    self.assertEqual(wire.answer().status, status, (data[:cut], data[cut:]))

    def test_a_refusal_does_not_stop_the_next_connection(self):
        self.send_raw(b"\x00\r\n\r\n")
        self.assertEqual(self.get("/open").status, 200)


class Accepted(Story):
    settings = {"routes": OPEN}

    def test_odd_but_right_requests_arrive_once(self):
        for name, data in RIGHT:
            with self.subTest(name):
                self.project.clear()
                with Wire.to(self.gateway.port) as wire:
                    wire.send(data)
                    answer = wire.answer()
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(len(self.project.requests), 1)
                seen = self.project.requests[0]
                self.assertEqual(seen.line.split(" ")[2], "HTTP/1.1")
                self.assertLessEqual(len(seen.all("content-length") + seen.all("transfer-encoding")), 1)
                self.assertEqual(seen.all("trailer"), [])

    def test_method_path_and_query_arrive_byte_for_byte(self):
        for target in (
            "/open/a%20b?q=%2f&r=a+b&&=", "/open/%e2%82%ac", "/open/?", "/open?select=*&id=in.(1,2)&x='\"", "/open/a;b=c/d",
            "/open/caf%c3%a9/%7Ex", "/open/:,@!$&()*+=~",
        ):  # fmt: skip
            for method in ("GET", "POST", "PATCH", "DELETE"):
                self.project.clear()
                self.assertEqual(self.ask(method, target).status, 200, target)
                self.assertEqual(self.project.requests[0].line, f"{method} {target} HTTP/1.1")

    def test_end_to_end_fields_arrive_in_order_and_hop_by_hop_ones_do_not(self):
        sent = [("X-One", "1"), ("Prefer", "return=representation"), ("X-One", "2"), ("Accept-Encoding", "gzip"), ("X-Empty", "")]
        hop = [("Connection", "x-secret-hop"), ("X-Secret-Hop", "1"), ("Keep-Alive", "timeout=5"), ("TE", "trailers")]
        hop += [("Proxy-Authorization", "Basic x"), ("Proxy-Connection", "keep-alive"), ("Trailer", "X")]
        with Wire.to(self.gateway.port) as wire:
            wire.send(request_bytes("GET", "/open", sent + hop))
            self.assertEqual(wire.answer().status, 200)
        seen = self.project.requests[0]
        names = {n.lower() for n, _ in sent}
        self.assertEqual([(n.lower(), v) for n, v in seen.headers if n.lower() in names], [(n.lower(), v) for n, v in sent])
        for name, _ in hop[1:]:
            self.assertEqual(seen.all(name), [], name)
        self.assertNotIn("x-secret-hop", seen.get("connection", ""))

    def test_the_connection_field_cannot_strip_what_matters(self):
        answer = self.get("/open", [("Connection", "close, x-request-id, content-length, x-forwarded-for, host"), ("X-A", "b")])
        self.assertEqual(answer.status, 200)
        seen = self.project.requests[0]
        for name in ("host", "x-request-id", "x-forwarded-for"):
            self.assertEqual(len(seen.all(name)), 1, name)

    def test_gateway_owned_names_do_not_pass(self):
        owned = [
            ("X-Jotgate-Sub", "root"), ("X_Jotgate_Sub", "root"), ("x-jotgate-anything", "1"), ("Sb-Forwarded-For", "1.1.1.1"),
            ("X-Forwarded-For", "6.6.6.6"), ("X_Forwarded_For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6"), ("X-Api-Key", "k"),
            ("X-Forwarded-Host", "evil.test"), ("X-Forwarded-Proto", "gopher"), ("Fly-Client-IP", "6.6.6.6"), ("Fly-Replay-Src", "x"),
            ("X-Forwarded-Port", "1"), ("X-Forwarded-Prefix", "/evil"),
        ]  # fmt: skip
        self.assertEqual(self.get("/open", owned).status, 200)
        seen = self.project.requests[0]
        self.assertNotIn("6.6.6.6", str(seen.headers))
        self.assertNotIn("evil", str(seen.headers))
        self.assertNotIn("root", str(seen.headers))
        self.assertEqual(seen.all("x-api-key") + seen.all("sb-forwarded-for"), [])
        self.assertEqual(seen.get("x-forwarded-for"), "127.0.0.1")
        self.assertEqual(seen.get("x-forwarded-host"), "gateway.test")
        self.assertEqual(seen.get("x-forwarded-proto"), "http")


class Connections(Story):
    settings = {"routes": OPEN + [{"path": "/small", "access": "open", "max_body": "8", "limits": []}]}
    shares_threads = True

    def test_keep_alive_serves_many_requests(self):
        with Wire.to(self.gateway.port) as wire:
            for i in range(20):
                wire.send(request_bytes("GET", f"/open/{i}"))
                self.assertEqual(wire.answer().json()["target"], f"/open/{i}")

    def test_pipelined_requests_are_answered_in_order(self):
        with Wire.to(self.gateway.port) as wire:
            wire.send(b"".join(request_bytes("POST", f"/open/{i}", body=b"x" * i) for i in range(30)))
            for i in range(30):
                seen = wire.answer("POST").json()
                self.assertEqual((seen["target"], seen["body_bytes"]), (f"/open/{i}", i))

    def test_a_bad_request_after_good_ones_is_answered_last_and_closes(self):
        answers = self.send_raw(request_bytes("GET", "/open/1") + request_bytes("GET", "/open/2") + b"GET / HTTP/1.1\nx\n\n" + SMUGGLED)
        self.assertEqual([a.status for a in answers], [200, 200, 400])
        self.assertNotIn(b"smuggled", self.project.raw)

    def test_connection_close_and_http_1_0_close(self):
        self.assertEqual([a.status for a in self.send_raw(get(b"Connection: close\r\n") + SMUGGLED)], [200])
        self.assertEqual([a.status for a in self.send_raw(get(line=b"GET /open HTTP/1.0") + SMUGGLED)], [200])
        self.assertNotIn(b"smuggled", self.project.raw)

    def test_head_gets_the_head_of_get_and_no_body(self):
        with Wire.to(self.gateway.port) as wire:
            wire.send(request_bytes("HEAD", "/open"))
            self.assertEqual(wire.answer("HEAD").status, 200)
            wire.send(request_bytes("GET", "/open/next"))
            self.assertEqual(wire.answer().json()["target"], "/open/next")

    def test_a_client_is_told_to_continue(self):
        with Wire.to(self.gateway.port) as wire:
            wire.send(post(b"Expect: 100-continue\r\nContent-Length: 3\r\n"))
            self.assertEqual(wire.head().split(b"\r\n")[0].split(b" ")[1], b"100")
            wire.send(b"abc")
            self.assertEqual(wire.answer("POST").json()["body_bytes"], 3)

    def test_a_client_that_need_not_continue_is_answered_at_once(self):
        with Wire.to(self.gateway.port) as wire:
            wire.send(b"POST /nowhere HTTP/1.1\r\n" + H + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            answer = wire.answer("POST")
        self.assert_problem(answer, 404, "no_route")
        self.assertEqual(answer.interim, [])

    def test_nothing_follows_an_upgrade_or_a_body_that_was_refused(self):
        upgrade = get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
        too_large = b"POST /small HTTP/1.1\r\n" + H + b"Content-Length: 9\r\n\r\n123456789"
        for data, status in ((upgrade, 400), (too_large, 413)):  # a handshake without its key
            answers = self.send_raw(data + SMUGGLED)
            self.assertEqual([a.status for a in answers], [status])
            self.assertEqual(answers[0].get("connection"), "close")
        self.assertNotIn(b"smuggled", self.project.raw)

    def test_an_early_refusal_reaches_a_client_that_is_still_sending(self):
        with Wire.to(self.gateway.port) as wire:
            wire.send(b"POST /nowhere HTTP/1.1\r\n" + H + b"Content-Length: 400000\r\n\r\n")
            wire.try_send(b"x" * 400000)
            self.assert_problem(wire.answer("POST"), 404, "no_route")

    def test_a_half_sent_body_never_becomes_a_request(self):
        with Wire.to(self.gateway.port) as wire:
            wire.send(post(b"Content-Length: 10\r\n", b"abc"))
            wire.finish()
            wire.closed()
        self.project.wait(lambda: self.project.open_connections == 0 or not self.project.requests, what="quiet")
        self.assert_nothing_upstream()
