# SPDX-License-Identifier: MIT
"""What lasts: WebSockets (tunnels) and event streams, how they begin, carry and end."""
import base64
import hashlib
import os
import signal
import threading
import time
import unittest

from harness import Story, request_bytes
from tokens import Key
from wire import DEADLINE_S, Wire, answer_bytes

ROUTE = {"path": "/ws", "access": "open", "upstream": "@PROJECT@", "limits": []}
USERS = {"path": "/users", "access": "user", "upstream": "@PROJECT@", "limits": [], "token_from": ["query:access_token", "subprotocol:jwt-"]}
PUBLIC = {"path": "/public", "access": "public", "upstream": "@PROJECT@", "limits": [], "token_from": ["query:apikey"]}
SETTINGS = {"routes": [ROUTE, USERS, PUBLIC], "websockets": {"max_per_ip": 0, "max_per_subject": 0}}
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MIB = 1 << 20


def handshake(target="/ws", headers=(), **changes):
    """A good handshake; a header of `changes` replaces one (None leaves it out)."""
    fields = {
        "Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
    }  # fmt: skip
    fields |= {name.replace("_", "-"): value for name, value in changes.items()}
    return request_bytes("GET", target, [(n, v) for n, v in fields.items() if v is not None] + list(headers))


def accepted(request, headers=()):
    digest = hashlib.sha1((request.get("sec-websocket-key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", base64.b64encode(digest).decode())]
    lines = ["HTTP/1.1 101 Switching Protocols"] + [f"{n}: {v}" for n, v in fields + list(headers)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def frame(payload, opcode=1, mask=None):
    n = len(payload)
    length = bytes([n]) if n < 126 else b"\x7e" + n.to_bytes(2, "big") if n < 65536 else b"\x7f" + n.to_bytes(8, "big")
    if mask is None:
        return bytes([0x80 | opcode]) + length + payload
    return bytes([0x80 | opcode, 0x80 | length[0]]) + length[1:] + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def take_frame(wire):
    """(opcode, payload) of the next frame; unmasked."""
    first, second = wire.take(2)
    n = second & 127
    n = int.from_bytes(wire.take(2), "big") if n == 126 else int.from_bytes(wire.take(8), "big") if n == 127 else n
    mask = wire.take(4) if second & 128 else bytes(4)
    return first & 15, bytes(b ^ mask[i % 4] for i, b in enumerate(wire.take(n)))


def close_code(payload):
    return int.from_bytes(payload[:2], "big")


class SocketStory(Story):
    """self.peer is the upstream's end of the last WebSocket, the test's to play from the moment that it has said 101."""

    def play_socket(self, headers=(), behind=b""):
        self.peers = []
        self.over = threading.Event()
        self.addCleanup(self.over.set)

        def switch(request, wire):
            wire.send(accepted(request, headers) + behind)
            wire.sock.settimeout(DEADLINE_S)
            with self.project.changed:
                self.peers.append(wire)
                self.project.changed.notify_all()
            self.over.wait(DEADLINE_S * 3)

        self.project.handler = switch

    def open(self, target="/ws", behind=b"", **changes):
        wire = self.wire()
        wire.send(handshake(target, **changes) + behind)
        answer = wire.answer()
        self.assertEqual(answer.status, 101, answer)
        n = len(self.peers)
        self.project.wait(lambda: self.peers, what="the upstream's 101")
        return wire, self.peers[n - 1 if n else 0]

    def log_of_socket(self, what="the socket's line in the log"):
        return self.gateway.wait_for_log(lambda line: line.get("status") == 101, what)


class Handshake(SocketStory):
    settings = SETTINGS
    shares_threads = True

    def test_both_sides_shake_hands_through_the_gateway(self):
        self.play_socket([("Sec-WebSocket-Protocol", "phoenix"), ("Sec-WebSocket-Extensions", "permessage-deflate"), ("X-Mine", "1")])
        wire = self.wire()
        wire.send(handshake("/ws/websocket?vsn=2.0.0&apikey=sb", Sec_WebSocket_Protocol="phoenix, other"))
        answer = wire.answer()
        self.assertEqual(answer.line, "HTTP/1.1 101 Switching Protocols")
        self.assertEqual(answer.all("connection") + answer.all("upgrade"), ["Upgrade", "websocket"])
        self.assertEqual(answer.get("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        self.assertEqual(answer.get("sec-websocket-protocol"), "phoenix")
        self.assertEqual(answer.get("sec-websocket-extensions"), "permessage-deflate")
        self.assertEqual(answer.get("x-mine"), "1")
        self.assertIsNone(answer.get("content-length") or answer.get("transfer-encoding"))
        request = self.project.wait_for_requests(1)[0]
        self.assertEqual(request.target, "/ws/websocket?vsn=2.0.0&apikey=sb")
        self.assertEqual((request.get("connection"), request.get("upgrade")), ("upgrade", "websocket"))
        self.assertEqual(request.get("sec-websocket-key"), KEY)
        self.assertEqual(request.get("sec-websocket-version"), "13")
        self.assertEqual(request.get("sec-websocket-protocol"), "phoenix, other")
        self.assertEqual(request.get("sec-websocket-extensions"), "permessage-deflate; client_max_window_bits")

    def test_any_other_answer_is_relayed_and_nothing_sent_ahead_goes_on(self):
        smuggled = b"GET /ws/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        for status, body in ((200, b"no"), (400, b"bad"), (401, b"who"), (426, b"13 please"), (503, b"")):
            with self.subTest(status):
                self.project.clear()
                self.project.handler = lambda _r, _w, status=status, body=body: answer_bytes(status, body, [("Sec-WebSocket-Version", "13")], "So")
                with Wire.to(self.gateway.port) as wire:
                    wire.send(handshake(Sec_WebSocket_Version="99") + smuggled)
                    answer = wire.answer()
                    self.assertEqual((answer.status, answer.body), (status, body))
                    self.assertEqual(answer.get("sec-websocket-version"), "13")
                    self.assertEqual(wire.closed(), b"")
                self.assertEqual(len(self.project.requests), 1)
                self.assertNotIn(b"smuggled", self.project.raw)

    def test_a_101_to_something_else_is_no_answer(self):
        for name, text in {
            "no Upgrade": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\n\r\n",
            "another protocol": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        }.items():
            with self.subTest(name):
                self.project.handler = lambda _r, wire, text=text: (wire.try_send(text), wire.closed(), None)[2]
                with Wire.to(self.gateway.port) as wire:
                    wire.send(handshake())
                    self.assert_problem(wire.answer(), 502, "upstream_broken")

    def test_a_handshake_that_is_none_is_refused(self):
        for name, text in {
            "no key": handshake(Sec_WebSocket_Key=None),
            "a short key": handshake(Sec_WebSocket_Key="c2hvcnQ="),
            "two keys": handshake(headers=[("Sec-WebSocket-Key", KEY)]),
            "no version": handshake(Sec_WebSocket_Version=None),
            "a body": handshake(headers=[("Content-Length", "5")]) + b"hello",
            "POST": handshake(headers=[("Content-Length", "0")]).replace(b"GET", b"POST", 1),
        }.items():
            with self.subTest(name):
                answers = self.send_raw(text + b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assert_problem(answers[0], 400, "bad_request")
                self.assertEqual(len(answers), 1)
        self.assert_nothing_upstream()

    def test_other_upgrades_are_ignored(self):
        for name, headers in {
            "h2c": [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA")],
            "not listed in Connection": [("Upgrade", "websocket"), ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13")],
            "TLS": [("Connection", "upgrade"), ("Upgrade", "TLS/1.0")],
        }.items():
            with self.subTest(name):
                answer = self.get("/ws", headers)
                self.assertEqual(answer.status, 200)
                seen = {n.lower() for n, _ in answer.json()["headers"]}
                self.assertFalse(seen & {"upgrade", "http2-settings", "connection"}, seen)
        with Wire.to(self.gateway.port) as wire:
            wire.send(handshake().replace(b"HTTP/1.1", b"HTTP/1.0"))
            answer = wire.answer()
        self.assertEqual(answer.status, 200)
        self.assertNotIn("upgrade", {n.lower() for n, _ in answer.json()["headers"]})

    def test_a_connection_goes_on_behind_an_upgrade_that_was_ignored(self):
        with Wire.to(self.gateway.port) as wire:
            wire.send(request_bytes("GET", "/ws/1", [("Connection", "Upgrade"), ("Upgrade", "h2c")]) + request_bytes("GET", "/ws/2"))
            self.assertEqual([wire.answer().json()["target"] for _ in range(2)], ["/ws/1", "/ws/2"])

    def test_the_steps_before_come_first(self):
        for target, status in (("/users", 401), ("/nowhere", 404)):
            with Wire.to(self.gateway.port) as wire:
                wire.send(handshake(target) + b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n")
                answer = wire.answer()
                self.assertEqual(answer.status, status)
                if status == 401:
                    self.assertEqual(wire.closed(), b"")
        self.assertFalse([r for r in self.project.requests if r.target != "/ws"])

    def test_an_upstream_that_is_away(self):
        self.project.handler = lambda _r, wire: wire.reset()
        with Wire.to(self.gateway.port) as wire:
            wire.send(handshake())
            self.assert_problem(wire.answer(), 502, "upstream_broken")


class Carrying(SocketStory):
    settings = SETTINGS
    shares_threads = True

    def test_frames_pass_untouched_both_ways(self):
        self.play_socket()
        wire, peer = self.open()
        for payload, opcode in ((b"text", 1), (bytes(range(256)), 2), (b"x" * 70000, 2), (b"", 9), (b"", 10)):
            wire.send(sent := frame(payload, opcode, os.urandom(4)))
            self.assertEqual(peer.take(len(sent)), sent)
            peer.send(sent := frame(payload, opcode))
            self.assertEqual(wire.take(len(sent)), sent)

    def test_what_is_sent_ahead_of_the_handshake_arrives(self):
        self.play_socket(behind=frame(b"hello"))
        wire, peer = self.open(behind=frame(b"ahead", mask=b"abcd"))
        self.assertEqual(take_frame(wire), (1, b"hello"))
        self.assertEqual(take_frame(peer), (1, b"ahead"))

    def test_what_is_no_frame_passes_too(self):
        self.play_socket()
        wire, peer = self.open()
        noise = os.urandom(200_000)
        threading.Thread(target=wire.send, args=(noise,)).start()
        self.assertEqual(peer.take(len(noise)), noise)
        threading.Thread(target=peer.send, args=(noise,)).start()
        self.assertEqual(wire.take(len(noise)), noise)

    def test_an_end_of_one_side_is_an_end_of_writing_to_the_other(self):
        for client_first in (True, False):
            with self.subTest(client_first=client_first):
                self.play_socket()
                wire, peer = self.open()
                first, second = (wire, peer) if client_first else (peer, wire)
                first.send(b"last words")
                first.finish()
                self.assertEqual(second.closed(), b"last words")
                second.send(b"x" * MIB + b"and mine")
                second.finish()
                self.assertEqual(first.closed()[-8:], b"and mine")
                self.over.set()

    def test_a_reset_of_one_side_resets_the_other(self):
        for client_first in (True, False):
            with self.subTest(client_first=client_first):
                self.play_socket()
                wire, peer = self.open()
                first, second = (wire, peer) if client_first else (peer, wire)
                first.reset()
                with self.assertRaises(ConnectionResetError):
                    while second.sock.recv(1):
                        pass
                self.over.set()

    def test_no_request_is_read_out_of_a_tunnel_nor_is_its_connection_used_again(self):
        self.play_socket()
        wire, peer = self.open()
        wire.send(text := request_bytes("GET", "/ws/inside"))
        self.assertEqual(peer.take(len(text)), text)
        peer.send(text := answer_bytes(200, b"inside"))
        self.assertEqual(wire.take(len(text)), text)
        wire.finish()
        self.assertEqual(peer.closed(), b"")
        self.over.set()
        self.assertEqual(wire.closed(), b"")
        self.project.wait(lambda: self.project.open_connections == 0, what="the tunnel's connection to go")
        self.assertEqual(len(self.project.requests), 1)

    def test_the_log_says_what_passed_and_no_query(self):
        self.play_socket()
        wire, peer = self.open("/ws/logged?apikey=very-secret")
        wire.send(b"12345")
        peer.send(b"123")
        self.assertEqual((peer.take(5), wire.take(3)), (b"12345", b"123"))
        wire.finish(), peer.finish()
        line = self.gateway.wait_for_log(lambda line: line.get("path") == "/ws/logged", "the socket's line")
        self.assertEqual((line["status"], line["verdict"], line["method"]), (101, "ok", "GET"))
        self.assertEqual((line["bytes_in"], line["bytes_out"]), (5, 3))
        self.assertNotIn("very-secret", "\n".join(self.gateway.lines))

    def test_the_metrics_count_them(self):
        self.play_socket()
        before = self.gateway.metrics()
        wire, peer = self.open()
        wire.send(b"x" * 100)
        peer.take(100)
        grew = lambda name, n: self.gateway.metrics()[name] - before[name] >= n
        self.gateway.wait_until(lambda: grew("jotgate_websockets_open", 1) and grew("jotgate_websocket_received_bytes_total", 100), "the gauge")
        wire.reset()
        self.gateway.wait_until(lambda: self.gateway.metrics()["jotgate_websockets_open"] <= before["jotgate_websockets_open"], "the gauge to fall")


class Pressure(SocketStory):
    settings = SETTINGS

    def test_a_side_that_reads_nothing_stops_the_other_in_bounded_memory(self):
        for client_sends in (True, False):
            with self.subTest(client_sends=client_sends):
                self.play_socket()
                wire, peer = self.open()
                sender, reader = (wire, peer) if client_sends else (peer, wire)
                before = self.gateway.memory_bytes()
                sender.sock.settimeout(1)
                piece, sent = bytes(range(256)) * 256, 0
                with self.assertRaises(TimeoutError):
                    while sent < 200 * MIB:
                        sent += sender.sock.send(piece)
                self.assertLess(self.gateway.memory_bytes() - before, 8 * MIB)
                sender.finish()
                arrived = 0
                while data := reader.sock.recv(1 << 18):
                    self.assertEqual(data, (piece * 6)[arrived % 256 :][: len(data)])
                    arrived += len(data)
                self.assertEqual(arrived, sent)
                self.over.set()


class Limits(SocketStory):
    shared = False

    def test_sockets_of_an_address(self):
        self.start(SETTINGS | {"websockets": {"max_per_ip": 3}})
        self.play_socket()
        wires = [self.open()[0] for _ in range(3)]
        refused = self.wire()
        refused.send(handshake())
        answer = refused.answer()
        self.assert_problem(answer, 429, "too_many_streams")
        self.assertGreaterEqual(int(answer.get("retry-after")), 1)
        self.assertIn('"websockets.max_per_ip";q=3;qu="concurrent-requests"', answer.get("ratelimit-policy"))
        self.assertIn('"websockets.max_per_ip";r=0', answer.get("ratelimit"))
        self.assertEqual(len(self.project.requests), 3)
        self.assertEqual(self.gateway.metrics()["jotgate_refusals_total{verdict=\"too_many_streams\"}"], 1)
        wires[0].reset()
        self.gateway.wait_until(self.opens, "the place to be free again")

    def opens(self):
        wire = self.wire()
        wire.send(handshake())
        return wire.answer().status == 101

    def test_sockets_of_a_subject_whichever_way_the_token_comes(self):
        self.start(SETTINGS | {"websockets": {"max_per_subject": 2}})
        self.play_socket()
        ada, bob = self.token(sub="ada"), self.token(sub="bob")
        self.open("/users", Authorization=f"Bearer {ada}")
        self.open(f"/users?access_token={ada}")
        for target, changes in (("/users", {"Sec_WebSocket_Protocol": f"chat, jwt-{ada}"}), ("/users", {"Authorization": f"bearer {ada}"})):
            wire = self.wire()
            wire.send(handshake(target, **changes))
            answer = wire.answer()
            self.assert_problem(answer, 429, "too_many_streams")
            self.assertIn('"websockets.max_per_subject";r=0', answer.get("ratelimit"))
        self.open("/users", Sec_WebSocket_Protocol=f"chat, jwt-{bob}")
        self.open("/ws")

    def test_a_refused_handshake_gives_its_place_back(self):
        self.start(SETTINGS | {"websockets": {"max_per_ip": 1}})
        self.project.handler = lambda _r, _w: answer_bytes(400, b"no")
        for _ in range(5):
            with Wire.to(self.gateway.port) as wire:
                wire.send(handshake())
                self.assertEqual(wire.answer().status, 400)
                wire.closed()

    def test_shadow_counts_and_refuses_nobody(self):
        self.start(SETTINGS | {"websockets": {"max_per_ip": 1}, "limits_mode": "shadow"})
        self.play_socket()
        for _ in range(3):
            self.open()
        self.gateway.wait_until(lambda: self.gateway.metrics()["jotgate_websockets_over_ip_limit_total"] == 2, "the count")

    def test_idle_ones_end_and_busy_ones_stay(self):
        self.start(SETTINGS | {"routes": [ROUTE | {"timeouts": {"idle": "2s"}}]})
        self.play_socket()
        busy, busy_peer = self.open()
        idle, idle_peer = self.open()
        opcodes = []
        watcher = threading.Thread(target=lambda: opcodes.append(take_frame(idle)[0]))
        watcher.start()
        while watcher.is_alive():
            busy_peer.send(b"x")
            busy.take(1)
            watcher.join(0.02)
        self.assertEqual(opcodes, [8])
        busy_peer.send(b"x")
        busy.take(1)
        self.assertEqual(idle.closed(), b"")
        self.assertEqual(take_frame(idle_peer)[0], 8)
        self.assertEqual(idle_peer.closed(), b"")


class Tokens(SocketStory):
    settings = SETTINGS

    def status(self, target, **changes):
        wire = self.wire()
        wire.send(handshake(target, **changes))
        return wire.answer()

    def test_a_token_may_stand_where_the_route_says(self):
        self.play_socket()
        token = self.token()
        for target, changes in (
            ("/users", {"Authorization": f"Bearer {token}"}), (f"/users?x=1&access_token={token}", {}),
            ("/users", {"Sec_WebSocket_Protocol": f"jwt-{token}"}), ("/users", {"Sec_WebSocket_Protocol": f"chat , jwt-{token},x"}),
        ):  # fmt: skip
            self.assertEqual(self.status(target, **changes).status, 101)
        seen = self.project.requests[-1].get("sec-websocket-protocol")
        self.assertEqual(seen, f"chat , jwt-{token},x")

    def test_elsewhere_it_does_not_count(self):
        token = self.token()
        for target, changes in (
            (f"/users?token={token}", {}), (f"/users?apikey={token}", {}), ("/users", {"Sec_WebSocket_Protocol": token}),
            ("/users", {"Sec_WebSocket_Protocol": f"bearer-{token}"}), ("/users?access_token=", {}),
        ):  # fmt: skip
            self.assert_problem(self.status(target, **changes), 401, "no_authorization")
        self.assert_nothing_upstream()

    def test_bad_ones_are_refused(self):
        forged = self.token(Key("ES256", kid=self.project.keys[0].kid))
        for target, code in ((f"/users?access_token={forged}", "bad_jwt"), ("/users?access_token=%20x", "bad_jwt"), ("/users?access_token=a.b.c", "bad_jwt")):
            self.assert_problem(self.status(target), 401, code)
        expired = self.token(exp=int(time.time()) - 3600)
        self.assert_problem(self.status("/users", Sec_WebSocket_Protocol=f"jwt-{expired}"), 401, "token_expired")
        self.assert_nothing_upstream()

    def test_two_are_one_too_many(self):
        token = self.token()
        for target, changes in (
            (f"/users?access_token={token}", {"Authorization": f"Bearer {token}"}),
            (f"/users?access_token={token}&access_token={token}", {}),
            (f"/users?access_token={token}", {"Sec_WebSocket_Protocol": f"jwt-{token}"}),
            ("/users", {"Sec_WebSocket_Protocol": f"jwt-{token}, jwt-{token}"}),
        ):
            self.assert_problem(self.status(target, **changes), 400, "invalid_request")
        self.assert_nothing_upstream()

    def test_an_apikey_in_the_query_stands_beside_a_token(self):
        self.play_socket()
        token = self.token()
        self.assertEqual(self.status("/public?apikey=sb_publishable_x", Authorization=f"Bearer {token}").status, 101)
        self.assertEqual(self.status(f"/public?apikey={token}").status, 101)
        self.assertEqual(self.status("/public?apikey=sb_publishable_x").status, 101)

    def test_event_streams_show_theirs_in_the_query(self):
        answer = self.get(f"/users?access_token={self.token()}")
        self.assertEqual(answer.status, 200)


class Expiry(SocketStory):
    shared = False
    settings = SETTINGS | {"close_streams_at_expiry": True, "issuers": None}

    def play_events(self):
        self.stop = threading.Event()
        self.addCleanup(self.stop.set)

        def events(_request, wire):
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\nb\r\ndata: one\n\n\r\n")
            self.stop.wait(DEADLINE_S * 3)

        self.project.handler = events

    def events(self, token):
        wire = self.wire()
        wire.send(request_bytes("GET", "/users", [("Authorization", f"Bearer {token}")]))
        answer = wire.answer(with_body=False)
        pieces = wire.body_pieces(answer)
        self.assertEqual(next(pieces), b"data: one\n\n")
        return pieces

    def expiring(self):
        """One that is in its leeway (30 s) already, and has about two seconds of it left."""
        return self.token(exp=int(time.time()) - 27)

    def test_a_websocket_ends_with_its_token(self):
        self.start()
        self.play_socket()
        wire, peer = self.open("/users", Authorization=f"Bearer {self.expiring()}")
        opcode, payload = take_frame(wire)
        self.assertEqual((opcode, close_code(payload)), (8, 1008))
        self.assertEqual((wire.closed(), take_frame(peer)[0], peer.closed()), (b"", 8, b""))
        line = self.log_of_socket()
        self.assertIn("expired", line["reason"])

    def test_an_event_stream_ends_whole_with_its_token(self):
        self.start()
        self.play_events()
        self.assertEqual(b"".join(self.events(self.expiring())), b"")

    def test_no_close_frame_is_put_into_a_frame(self):
        self.start()
        self.play_socket(behind=frame(b"whole") + frame(b"never finished")[:-3])
        wire, _peer = self.open("/users", Authorization=f"Bearer {self.expiring()}")
        self.assertEqual(wire.closed(), frame(b"whole") + frame(b"never finished")[:-3])

    def test_without_the_setting_they_stay(self):
        self.start({"close_streams_at_expiry": False})
        self.play_socket()
        wire, peer = self.open("/users", Authorization=f"Bearer {self.token(exp=int(time.time()) - 28)}")
        threading.Event().wait(3)
        peer.send(b"still here")
        self.assertEqual(wire.take(10), b"still here")


class Events(Story):
    settings = SETTINGS
    shares_threads = True

    def test_each_chunk_arrives_before_the_next_is_sent(self):
        turn = [threading.Event() for _ in range(8)]

        def events(_request, wire):
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for i, event in enumerate(turn):
                wire.send(b"9\r\ndata: %d\n\n\r\n" % i)
                if not event.wait(DEADLINE_S):
                    return None
            wire.send(b"0\r\n\r\n")
            return self.project.KEEP

        self.project.handler = events
        with Wire.to(self.gateway.port) as wire:
            wire.send(request_bytes("GET", "/ws"))
            pieces = wire.body_pieces(wire.answer(with_body=False))
            for i, event in enumerate(turn):
                self.assertEqual(next(pieces), b"data: %d\n\n" % i)
                event.set()
            self.assertEqual(list(pieces), [])


class Drain(SocketStory):
    shared = False
    settings = SETTINGS
    shares_threads = True

    def test_websockets_end_one_after_the_other(self):
        self.start({"drain": {"delay": "0s", "timeout": "5s"}, "workers": 1})
        self.play_socket()
        wires = [self.open()[0] for _ in range(20)]
        ended = []

        def watch(wire):
            opcode, payload = take_frame(wire)
            ended.append((time.monotonic(), opcode, close_code(payload), wire.closed()))

        threads = [threading.Thread(target=watch, args=(wire,)) for wire in wires]
        for thread in threads:
            thread.start()
        self.gateway.signal(signal.SIGTERM)
        for thread in threads:
            thread.join(DEADLINE_S)
        self.assertEqual({row[1:] for row in ended}, {(8, 1001, b"")})
        times = sorted(row[0] for row in ended)
        self.assertEqual(len(times), 20)
        self.assertGreater(times[-1] - times[0], 1.5, "they ended all at once")
        self.assertEqual(self.gateway.process.wait(DEADLINE_S), 0)

    def test_event_streams_end_whole(self):
        self.start({"drain": {"delay": "0s", "timeout": "2s"}})
        hang = threading.Event()
        self.addCleanup(hang.set)

        def events(_request, wire):
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n")
            hang.wait(DEADLINE_S)

        self.project.handler = events
        wire = self.wire()
        wire.send(request_bytes("GET", "/ws"))
        answer = wire.answer(with_body=False)
        self.gateway.signal(signal.SIGTERM)
        self.assertEqual(b"".join(wire.body_pieces(answer)), b"data: one\n\n")
        self.assertEqual(self.gateway.process.wait(DEADLINE_S), 0)

    def test_a_websocket_that_takes_nothing_holds_up_nobody(self):
        self.start({"drain": {"delay": "0s", "timeout": "2s"}})
        self.play_socket()
        wire, peer = self.open()
        peer.sock.settimeout(1)
        with self.assertRaises(TimeoutError):
            while True:
                peer.sock.send(b"x" * 65536)
        began = time.monotonic()
        self.gateway.signal(signal.SIGTERM)
        self.assertEqual(self.gateway.process.wait(DEADLINE_S), 0)
        self.assertLess(time.monotonic() - began, DEADLINE_S / 2)


if __name__ == "__main__":
    unittest.main()
