# SPDX-License-Identifier: MIT
"""TLS on the public listener, met by Python's own client. Certificates are made on the spot by openssl."""
import atexit
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading

from harness import Story, ask, run_program
from wire import DEADLINE_S, Wire, answer_bytes, request_bytes

FOLDER = tempfile.mkdtemp(prefix="story-tls-")
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # how a ClientHello begins


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


def path(name):
    return os.path.join(FOLDER, name)


def certificate(name, san, *kind):
    """{certificate, key} for `san`, signed by the test's authority; P-256 unless `kind` says otherwise."""
    files = {"certificate": path(name + ".crt"), "key": path(name + ".key")}
    if not os.path.exists(files["certificate"]):
        openssl("req", "-x509", "-newkey", *(kind or ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")), "-nodes", "-days", "30",
                "-CA", path("authority.crt"), "-CAkey", path("authority.key"), "-subj", f"/CN={name}", "-addext", f"subjectAltName={san}",
                "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", files["key"], "-out", files["certificate"])  # fmt: skip
    return files


def authority():
    if not os.path.exists(path("authority.crt")):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=authority",
                "-keyout", path("authority.key"), "-out", path("authority.crt"))  # fmt: skip


def good():
    authority()
    return certificate("good", "DNS:good.test")


def client(version=None, alpn=None, ciphers=None):
    """Trusts the authority and checks names."""
    context = ssl.create_default_context(cafile=path("authority.crt"))
    if version:
        context.minimum_version = context.maximum_version = version
    if alpn:
        context.set_alpn_protocols(alpn)
    if ciphers:
        context.set_ciphers(ciphers)
    return context


class TlsStory(Story):
    shared = False
    settings = {"routes": [{"path": "/open", "access": "open", "upstream": "@PROJECT@", "limits": []}]}

    def serve(self, *certificates, **more):
        return self.start({"tls": list(certificates) or [good()], **more}, wait="admin")

    def meet(self, name="good.test", context=None, session=None, port=None):
        """A wire over TLS; its end must be said by close_notify."""
        sock = socket.create_connection(("127.0.0.1", port or self.gateway.port))
        context = context or client()
        try:
            wrapped = context.wrap_socket(sock, server_hostname=name, session=session, suppress_ragged_eofs=False)
        except BaseException:
            sock.close()
            raise
        wire = Wire(wrapped)
        self.addCleanup(wire.close)
        return wire

    def ask_over(self, wire, method="GET", target="/open", headers=(), body=b""):
        wire.send(request_bytes(method, target, headers, body))
        return wire.answer(method)

    def handshakes(self, result):
        return self.gateway.metrics()[f'jotgate_tls_handshakes_total{{result="{result}"}}']

    def wait_for_handshakes(self, result, n):
        self.gateway.wait_until(lambda: self.handshakes(result) == n, f"{n} handshakes that are {result}")


class Handshake(TlsStory):
    def test_both_versions_are_spoken_and_the_upstream_hears_of_https(self):
        self.serve()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            wire = self.meet(context=client(version, alpn=["h2", "http/1.1"]))
            self.assertEqual(wire.sock.selected_alpn_protocol(), "http/1.1")
            self.assertEqual(wire.sock.version(), {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version])
            for _ in range(2):  # and kept alive
                answer = self.ask_over(wire, headers=[("Host", "good.test"), ("X-Forwarded-Proto", "http")])
                seen = {n.lower(): v for n, v in answer.json()["headers"]}
                self.assertEqual((seen["x-forwarded-proto"], seen["x-forwarded-port"]), ("https", "443"))
                self.assertIn("proto=https", seen["forwarded"])
        self.wait_for_handshakes("full", 2)

    def test_old_versions_and_weak_ciphers_are_refused(self):
        self.serve()
        old = client()
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with self.assertRaises(ssl.SSLError) as refused:
            self.meet(context=old)
        self.assertEqual(refused.exception.reason, "TLSV1_ALERT_PROTOCOL_VERSION")
        for weak in ("ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA"):
            with self.assertRaises(ssl.SSLError) as refused:
                self.meet(context=client(ssl.TLSVersion.TLSv1_2, ciphers=weak))
            self.assertEqual(refused.exception.reason, "SSLV3_ALERT_HANDSHAKE_FAILURE")
        self.wait_for_handshakes("failed", 3)

    def test_who_offers_only_other_protocols_is_told_so(self):
        self.serve()
        for offers, is_served in ((["h2"], False), (["http/1.0"], False), (None, True)):
            if is_served:
                self.assertIsNone(self.meet(context=client(alpn=offers)).sock.selected_alpn_protocol())
                continue
            with self.assertRaises(ssl.SSLError) as refused:
                self.meet(context=client(alpn=offers))
            self.assertRegex(str(refused.exception), "(?i)no.application.protocol")

    def test_sessions_are_resumed_on_every_worker(self):
        self.serve(workers=2)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context, session = client(version), None
            for i in range(12):
                wire = self.meet(context=context, session=session)
                self.assertEqual(wire.sock.session_reused, i > 0)
                self.assertEqual(self.ask_over(wire).status, 200)
                session = wire.sock.session
                wire.close()
        self.wait_for_handshakes("resumed", 22)
        self.assertEqual(self.handshakes("full"), 2)


class Names(TlsStory):
    def names(self, name, **more):
        wire = self.meet(name, **more)
        return [value for _, value in wire.sock.getpeercert()["subjectAltName"]]

    def test_the_certificate_is_chosen_by_name(self):
        authority()
        self.serve(good(), certificate("wild", "DNS:*.wild.test"), certificate("exact", "DNS:exact.wild.test,IP:127.0.0.1"))
        self.assertEqual(self.names("good.test"), ["good.test"])
        self.assertEqual(self.names("a.wild.test"), ["*.wild.test"])
        self.assertEqual(self.names("exact.wild.test"), ["exact.wild.test", "127.0.0.1"])
        self.assertEqual(self.names("127.0.0.1"), ["exact.wild.test", "127.0.0.1"])  # no SNI: by the address
        for stranger in ("a.b.wild.test", "wild.test", "other.test"):
            with self.assertRaises(ssl.SSLCertVerificationError) as refused:
                self.meet(stranger)
            self.assertIn("Hostname mismatch", str(refused.exception))
        anybody = client()
        anybody.check_hostname = False
        self.assertEqual(self.names("other.test", context=anybody), ["good.test"])  # the first

    def test_two_kinds_of_key_for_one_name(self):
        authority()
        self.serve(good(), certificate("rsa", "DNS:good.test", "rsa:2048"), certificate("other", "DNS:other.test", "rsa:2048"))
        for kind in ("ECDSA", "RSA"):
            with self.subTest(kind):
                wire = self.meet(context=client(ssl.TLSVersion.TLSv1_2, ciphers=f"ECDHE-{kind}-AES128-GCM-SHA256"))
                self.assertEqual(self.ask_over(wire).status, 200)
        with self.assertRaises(ssl.SSLError):  # of this name there is no ECDSA
            self.meet("other.test", context=client(ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256"))


class Bytes(TlsStory):
    def test_large_bodies_pass_both_ways_unharmed(self):
        self.serve()
        body = os.urandom(1 << 16) * 256  # 16 MiB
        self.project.handler = lambda request, _wire: answer_bytes(200, request.body)
        wire = self.meet()
        answer = self.ask_over(wire, "POST", body=body)
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.body == body, "the body came back another one")

    def test_a_complete_answer_ends_with_close_notify_and_a_cut_one_without(self):
        self.serve()
        chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        for end, is_whole in ((b"0\r\n\r\n", True), (b"", False)):
            with self.subTest(is_whole=is_whole):
                has_begun = threading.Event()  # else it breaks with its head, which is a 502

                def answer(_request, wire, end=end, has_begun=has_begun):
                    wire.send(chunk)
                    has_begun.wait(10)
                    if end:
                        wire.send(end)

                self.project.handler = answer
                wire = self.meet()
                wire.send(b"GET /open HTTP/1.0\r\nHost: good.test\r\n\r\n")  # so its body ends with the stream
                came, cut = b"", None
                try:
                    while data := wire.sock.recv(65536):
                        came += data
                        has_begun.set()
                except (ssl.SSLEOFError, ConnectionResetError) as error:
                    cut = error
                self.assertEqual(cut is None, is_whole, f"{cut!r} {came!r}")
                if is_whole:
                    self.assertTrue(came.endswith(b"\r\n\r\nabc"), came)

    def test_a_request_that_the_client_cuts_is_not_taken_for_whole(self):
        self.serve()
        wire = self.meet()
        wire.send(b"POST /open HTTP/1.1\r\nHost: good.test\r\nContent-Length: 10\r\n\r\nabc")
        self.project.wait(lambda: self.project.open_connections > 0, what="the request to begin")
        wire.reset()
        self.project.wait(lambda: self.project.open_connections == 0, what="the request to be cut")
        self.assert_nothing_upstream()


class Strangers(TlsStory):
    def test_plain_http_is_told_to_speak_tls(self):
        self.serve()
        answer = ask(self.gateway.port, "GET", "/open")
        self.assertEqual((answer.status, answer.json()["code"]), (400, "bad_request"))
        self.assertIn("TLS", answer.json()["message"])
        self.wait_for_handshakes("plain_http", 1)
        with Wire.to(self.gateway.port) as wire:
            wire.try_send(b"\x00" * 100)
            self.assertEqual(wire.closed()[:5], b"")
        self.wait_for_handshakes("failed", 1)
        self.assert_nothing_upstream()

    def test_a_handshake_that_does_not_go_on_is_cut(self):
        self.serve(http={"head_timeout": "300ms"})
        silent, half = Wire.to(self.gateway.port), Wire.to(self.gateway.port)
        half.send(HELLO)
        self.assertEqual((silent.closed(), half.closed()), (b"", b""))
        silent.close()
        half.close()
        self.wait_for_handshakes("timeout", 2)
        Wire.to(self.gateway.port).close()  # as a balancer looks whether a port is open
        self.wait_for_handshakes("client_left", 1)
        self.assertEqual(self.ask_over(self.meet()).status, 200)

    def test_who_is_refused_hears_nothing(self):
        self.serve(workers=1, http={"max_connections": 1})
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        self.project.handler = lambda _request, _wire: go_on.wait(DEADLINE_S) and answer_bytes(200)
        wire = self.meet()
        wire.send(request_bytes("GET", "/open"))
        self.project.wait_for_requests(1)
        with Wire.to(self.gateway.port) as second:
            self.assertEqual(second.closed(), b"")
        go_on.set()
        self.assertEqual(wire.answer().status, 200)

    def test_a_client_that_shakes_no_hands_gives_way(self):
        self.serve(workers=1, http={"max_connections": 1})
        with Wire.to(self.gateway.port) as silent:
            self.assertEqual(self.ask_over(self.meet()).status, 200)
            self.assertEqual(silent.closed(), b"")

    def test_what_clients_do_wrong_is_no_warning(self):
        self.serve(log={"level": "debug"})
        ask(self.gateway.port, "GET", "/open")
        line = self.gateway.wait_for_log(lambda line: "no TLS with a client" in line.values(), "the client's mistake")
        self.assertEqual(line["level"], "debug")
        self.assertEqual(line["peer"], "127.0.0.1")


class Settings(TlsStory):
    def write(self, tls):
        file = tempfile.NamedTemporaryFile("w", suffix=".yaml", dir=FOLDER, delete=False)
        with file:
            file.write(f"supabase: {{ url: http://127.0.0.1:1 }}\ntls: {tls if isinstance(tls, str) else json.dumps(tls)}\n")
        return file.name

    def check(self, tls):
        file = self.write(tls)
        code, _, said = run_program("check", "-c", file)
        return code, said.replace(file, "FILE")

    def test_files_that_cannot_serve_are_refused_by_name(self):
        fine = good()
        other = certificate("other", "DNS:other.test", "rsa:2048")
        weak = certificate("weak", "DNS:weak.test", "rsa:1024")
        locked = path("locked.key")
        openssl("pkey", "-in", fine["key"], "-aes256", "-passout", "pass:secret", "-out", locked)
        garbage, broken = path("garbage.pem"), path("broken.pem")
        with open(garbage, "w", encoding="ascii") as file:
            file.write("-----BEGIN NONSENSE-----\nAAAA\n-----END NONSENSE-----\n")
        with open(broken, "w", encoding="ascii") as file, open(fine["certificate"], encoding="ascii") as whole:
            text = whole.read()
            file.write(text + text[: len(text) // 2])
        for change, words in (
            ({"certificate": path("none.crt")}, ("the certificate", "none.crt", "No such file")),
            ({"key": path("none.key")}, ("the key", "none.key", "No such file")),
            ({"certificate": FOLDER}, ("the certificate", "directory")),
            ({"certificate": garbage}, ("garbage.pem", "BEGIN CERTIFICATE")),
            ({"certificate": broken}, ("broken.pem", "followed by")),
            ({"key": garbage}, ("garbage.pem", "BEGIN PRIVATE KEY")),
            ({"key": fine["certificate"]}, ("good.crt", "BEGIN PRIVATE KEY")),
            ({"key": locked}, ("locked.key", "passphrase")),
            ({"key": other["key"]}, ("other.key", "does not belong", "good.crt")),
            (weak, ("weak.crt", "key too small")),
        ):
            with self.subTest(change):
                code, said = self.check([fine | change])
                self.assertEqual(code, 2, said)
                self.assertTrue(said.startswith("FILE:2:7: tls: "), said)
                for word in words:
                    self.assertIn(word, said)
        code, said = self.check([fine, {"certificate": path("none.crt"), "key": fine["key"]}])
        self.assertIn(": tls: the certificate", said)
        self.assertFalse(said.startswith("FILE:2:7:"), said)  # it is the second that is wrong

    def test_a_start_says_the_same(self):
        code, _, said = run_program("run", "-c", self.write([{"certificate": path("none.crt"), "key": path("none.key")}]))
        self.assertEqual(code, 3)
        self.assertIn("none.crt cannot be read", said)

    def test_a_key_that_everybody_can_read_is_a_finding(self):
        fine = good()
        open_key = path("open.key")
        shutil.copy(fine["key"], open_key)
        os.chmod(open_key, 0o644)
        code, said = self.check([fine | {"key": open_key}])
        self.assertEqual(code, 1, said)
        self.assertIn("open.key can be read by everybody", said)
        self.assertNotIn("PRIVATE KEY", said)
        self.assertEqual(self.check([fine]), (0, ""))


class ReloadTls(TlsStory):
    def test_certificates_are_read_anew_and_what_is_open_lives_on(self):
        files = {"certificate": path("renewed.crt"), "key": path("renewed.key")}
        for name in ("certificate", "key"):
            shutil.copy(good()[name], files[name])
        other = certificate("other", "DNS:other.test")
        self.serve(files)
        open_wire = self.meet()
        self.assertEqual(self.ask_over(open_wire).status, 200)
        for name in ("certificate", "key"):
            shutil.copy(other[name], files[name])
        self.gateway.signal(signal.SIGHUP)
        self.gateway.wait_for_log(lambda line: line["event"] == "settings reloaded", "the reload")

        def shows_the_other():
            try:
                return self.ask_over(self.meet("other.test")).status == 200
            except ssl.SSLError:
                return False

        self.gateway.wait_until(shows_the_other, "the other certificate to be shown")
        self.assertEqual(self.ask_over(open_wire).status, 200)

    def test_a_certificate_that_cannot_be_used_keeps_the_old_one(self):
        files = {"certificate": path("broken.crt"), "key": path("broken.key")}
        for name in ("certificate", "key"):
            shutil.copy(good()[name], files[name])
        self.serve(files)
        with open(files["certificate"], "w", encoding="utf-8") as file:
            file.write("no certificate\n")
        self.gateway.signal(signal.SIGHUP)
        line = self.gateway.wait_for_log(lambda line: line["event"].startswith("settings not reloaded"), "the refusal")
        self.assertIn("broken.crt", line["error"])
        self.assertEqual(self.ask_over(self.meet()).status, 200)
