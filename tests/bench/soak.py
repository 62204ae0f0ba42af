# SPDX-License-Identifier: MIT
"""Clients that do everything at once, an upstream that can be told to misbehave, and a watch on what the gateway holds.

A scenario is a function whose name begins with `does_`. It is one client's visit, chosen by lot: it knows what it provokes, so anything
else that it gets is an error, whatever the status. Meanwhile the settings are reloaded and keys change; at the end all clients
leave, and the gateway must hold what it held at the start."""
import argparse
import base64
import collections
import hashlib
import json
import os
import random
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "story"))
from harness import Gateway, Project  # noqa: E402
from tokens import Key, user_claims  # noqa: E402
from wire import DEADLINE_S, Truncated, Wire, answer_bytes, echo, request_bytes, streaming  # noqa: E402

KIB, MIB = 1 << 10, 1 << 20
PATTERN = bytes(range(256)) * 256  # 64 KiB
WEIGHTS = {"keep_alive": 6, "post": 4, "idle": 2}  # all others 1
GROWTH_MOST = 6 * MIB  # of the median between the second quarter of the run and the last
HANDSHAKE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
ACCEPT = base64.b64encode(hashlib.sha1(b"dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def pattern(n):
    return (PATTERN * (n // len(PATTERN) + 1))[:n]


def chunked(data, size):
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def frame(payload, mask=False):
    """A final binary frame; its mask, which clients must have, is all zeros and so changes nothing."""
    n = len(payload)
    length = bytes([n]) if n < 126 else b"\x7e" + n.to_bytes(2, "big") if n < 1 << 16 else b"\x7f" + n.to_bytes(8, "big")
    return b"\x82" + bytes([length[0] | (0x80 if mask else 0)]) + length[1:] + (bytes(4) if mask else b"") + payload


def take_frame(wire):
    first, second = wire.take(2)
    n = second & 0x7F
    if n > 125:
        n = int.from_bytes(wire.take(2 if n == 126 else 8), "big")
    if second & 0x80:
        wire.take(4)
    assert first == 0x82, f"a frame begins with {first:#x}"
    return wire.take(n)


class Site(Project):
    """The project's side: what the path's last part says, done; it keeps no record of what came."""

    raw = property(lambda self: b"", lambda self, value: None)

    def __init__(self, key):
        self.counts = collections.Counter()
        super().__init__(self.do, keys=[key])

    def note(self, request):
        pass

    def count(self, what):
        with self.changed:
            self.counts[what] += 1

    @streaming
    def do(self, request, wire):
        name, _, query = request.target.rpartition("/")[2].partition("?")
        more = dict(pair.split("=") for pair in query.split("&") if "=" in pair)
        return getattr(self, "serve_" + name, self.serve_echo)(request, wire, **more)

    def serve_echo(self, request, wire, **_):
        if (request.get("expect") or "").lower() == "100-continue":
            wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = b"".join(wire.body_pieces(request))
        return echo(request, wire)

    def serve_bytes(self, _request, _wire, n, chunk="0"):
        data, size = pattern(int(n)), int(chunk)
        if not size:
            return answer_bytes(200, data)
        return answer_bytes(200, chunked(data, size), [("Transfer-Encoding", "chunked")])

    def serve_events(self, _request, wire, n):
        wire.send(answer_bytes(200, b"", [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]))
        try:
            for i in range(int(n)):
                wire.send(chunked(b"data: %d\n\n" % i, 64)[:-5])
                time.sleep(0.01)
        except OSError:
            self.count("stream left")
            raise
        return b"0\r\n\r\n"

    def serve_early(self, _request, wire):
        wire.send(answer_bytes(422, b"enough", [("Connection", "close")], "Unprocessable"))
        # Closing on what was not read would reset the connection, and the answer with it.
        wire.finish()
        wire.closed()

    def serve_garbage(self, _request, wire):
        wire.send(b"this is no answer\r\n\r\n")

    def serve_nothing(self, _request, _wire):
        return None

    def serve_short(self, _request, wire):
        wire.send(answer_bytes(200, b"half of it", [("Content-Length", "20")]))

    def serve_reset(self, _request, wire):
        wire.send(answer_bytes(200, b"5\r\nhello\r\n", [("Transfer-Encoding", "chunked")]))
        wire.reset()

    def serve_unwelcome(self, _request, _wire):
        return answer_bytes(401, b'{"message":"not you"}', [("Content-Type", "application/json")], "Unauthorized")

    def serve_websocket(self, request, wire):
        assert request.get("upgrade").lower() == "websocket", request.headers
        wire.send(answer_bytes(101, b"", {**HANDSHAKE, "Sec-WebSocket-Accept": ACCEPT}.items(), "Switching Protocols").replace(b"Content-Length: 0\r\n", b""))
        self.count("socket opened")
        try:
            while True:
                wire.send(frame(take_frame(wire)))
        finally:
            self.count("socket gone")


def certificate(folder):
    """A certificate of its own for the listener: what `tls` names, and a client that takes it as it is."""
    files = {"certificate": os.path.join(folder, "certificate"), "key": os.path.join(folder, "key")}
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=soak",
         "-addext", "subjectAltName=DNS:soak.test", "-keyout", files["key"], "-out", files["certificate"]],
        check=True, capture_output=True, timeout=60)  # fmt: skip
    client = ssl.create_default_context(cafile=files["certificate"])
    return files, client


class Soak:
    def __init__(self, seed, names, is_tls):
        self.random = random.Random(seed)
        self.key = Key()
        self.site = Site(self.key)
        self.tokens = self.make_tokens()
        plans = {"default": "all", "tiers": {"all": {"default": [{"name": "burst", "rate": "1000000/second"}], "slow": [{"name": "slow", "rate": "20/second"}]}}}
        self.settings = {
            "plans": plans, "auth_failures": {"rate": "1000000/minute"}, "jwks": {"cooldown": "1s"},
            "limits": {"per_ip": {"key": "ip", "rate": "1000000/second"}},
            "routes": [{"path": "/slow", "access": "user", "limits": ["plan.slow"]}, {"path": "/small", "access": "open", "limits": [], "max_body": "1KiB"}],
        }  # fmt: skip
        self.folder, self.context = tempfile.TemporaryDirectory(), None
        if is_tls:
            files, self.context = certificate(self.folder.name)
            self.settings["tls"] = [files]
        self.gateway = Gateway(self.site, self.settings, wait="admin")
        self.lock = threading.Lock()
        self.outcomes, self.errors, self.upsets = collections.Counter(), [], []
        self.stopped = threading.Event()
        self.samples = []  # (seconds, resident bytes, descriptors)
        self.reloads = []  # what each was to be: ok, failed
        self.n_lines = self.n_rotations = 0
        visits = [name[len("does_") :] for name in dir(self) if name.startswith("does_")]
        self.visits = [name for name in visits if not names or name in names]
        self.weights = [WEIGHTS.get(name, 1) for name in self.visits]

    def make_tokens(self):
        stranger = Key(kid=self.key.kid)
        claims = lambda **changes: user_claims(self.site.issuer, **changes)  # noqa: E731
        return {
            "good": [self.key.token(claims()) for _ in range(40)],
            "expired": [self.key.token(claims(exp=int(time.time()) - 3600)) for _ in range(4)],
            "forged": [stranger.token(claims()) for _ in range(10)],
            "unknown kid": [Key(kid=f"nobody-{i}").token(claims()) for i in range(2)],
            "broken": ["a.b.c", "eyJhbGciOiJub25lIn0.e30.", "." * 30],
        }

    # ---- what clients do ---------------------------------------------------------------------------------------------

    def count(self, what, n=1):
        with self.lock:
            self.outcomes[what] += n

    def wire(self, **more):
        wire = Wire.to(self.gateway.port, **more)
        return Wire(self.context.wrap_socket(wire.sock, server_hostname="soak.test")) if self.context else wire

    def good(self, rng):
        return {"Authorization": f"Bearer {rng.choice(self.tokens['good'])}"}

    def expect(self, wire, status, what, method="GET"):
        answer = wire.answer(method)
        assert answer is not None, f"{what}: closed without an answer"
        assert answer.status == status, f"{what}: {answer}"
        self.count(f"{what}: {status}")
        return answer

    def does_keep_alive(self, rng):
        kinds = ["good"] * 6 + ["nobody", "expired", "forged", "unknown kid", "broken"]
        with self.wire() as wire:
            for _ in range(rng.randrange(1, 30)):
                kind, mark = rng.choice(kinds), rng.randrange(1 << 40)
                fields = {"Authorization": f"Bearer {rng.choice(self.tokens[kind])}"} if kind != "nobody" else {}
                status = 200 if kind in ("good", "nobody") else 200 if kind == "broken" else 401
                wire.send(request_bytes("GET", f"/rest/v1/echo?mark={mark}", fields))
                answer = wire.answer()
                assert answer, f"GET with a {kind} token: closed"
                if kind == "broken":  # what is no token of a known issuer is not ours to judge on a public route
                    status = answer.status if answer.status in (200, 401) else 0
                assert answer.status == status, f"GET with a {kind} token: {answer}"
                assert status != 200 or answer.json()["target"] == f"/rest/v1/echo?mark={mark}", "another's answer"
                self.count(f"GET, {kind}: {status}")

    def does_post(self, rng):
        with self.wire() as wire:
            for _ in range(rng.randrange(1, 6)):
                body = pattern(rng.choice([0, 1, 1000, 16 * KIB, 65 * KIB, 300 * KIB]) + rng.randrange(100))
                fields, sent = self.good(rng), body
                if rng.random() < 0.5:
                    fields["Transfer-Encoding"], sent = "chunked", chunked(body, rng.choice([7 * KIB, 64 * KIB]))
                waits = body != b"" and rng.random() < 0.2
                head = request_bytes("POST", "/rest/v1/echo", fields | ({"Expect": "100-continue"} if waits else {}) | ({} if "Transfer-Encoding" in fields else {"Content-Length": len(sent)}))
                wire.send(head if waits else head + sent)
                if waits:
                    head = wire.head()
                    assert head and head.startswith(b"HTTP/1.1 100 "), f"no 100 Continue: {head}"
                    wire.send(sent)
                seen = self.expect(wire, 200, "POST, expecting 100" if waits else "POST").json()
                assert seen["sha256"] == hashlib.sha256(body).hexdigest(), "another body"

    def does_large_answer(self, rng):
        n = rng.randrange(3 * MIB)
        with self.wire(receive_buffer=16 * KIB) as wire:
            wire.send(request_bytes("GET", f"/storage/v1/bytes?n={n}&chunk={rng.choice([0, 900, 64 * KIB])}", self.good(rng)))
            answer, got = wire.answer(with_body=False), hashlib.sha256()
            assert answer.status == 200, answer
            for piece in wire.body_pieces(answer):
                got.update(piece)
                if rng.random() < 0.05:
                    time.sleep(0.02)
        assert got.digest() == hashlib.sha256(pattern(n)).digest(), "other bytes"
        self.count("slow reader: 200")

    def does_stream(self, rng):
        n = rng.randrange(1, 60)
        with self.wire() as wire:
            wire.send(request_bytes("GET", f"/functions/v1/events?n={n}", self.good(rng)))
            assert self.expect(wire, 200, "event stream, to its end").body == b"".join(b"data: %d\n\n" % i for i in range(n))

    def does_stream_and_leave(self, rng):
        with self.wire() as wire:
            wire.send(request_bytes("GET", "/functions/v1/events?n=100000", self.good(rng)))
            answer = wire.answer(with_body=False)
            pieces = wire.body_pieces(answer)
            assert [next(pieces) for _ in range(rng.randrange(1, 9))][0] == b"data: 0\n\n"
            self.leave(wire, rng)
        self.count("event stream, left")

    def leave(self, wire, rng):
        return rng.choice([wire.reset, wire.close])()

    def does_upload_and_leave(self, rng):
        with self.wire() as wire:
            body = pattern(rng.choice([100, 40 * KIB, 400 * KIB]))
            coding = rng.choice([{"Content-Length": 2 * len(body)}, {"Transfer-Encoding": "chunked"}])
            wire.send(request_bytes("POST", "/storage/v1/echo", self.good(rng) | coding))
            wire.send(b"%x\r\n" % (2 * len(body)) * ("Transfer-Encoding" in coding) + body)
            self.leave(wire, rng)
        self.count("upload, left")

    def does_ask_and_leave(self, rng):
        with self.wire() as wire:
            wire.send(request_bytes("GET", f"/storage/v1/bytes?n={rng.choice([0, 1000, MIB])}", self.good(rng)))
            self.leave(wire, rng)
        self.count("question, left")

    def does_early_answer(self, rng):
        with self.wire() as wire:
            wire.try_send(request_bytes("POST", "/storage/v1/early", self.good(rng), pattern(200 * KIB)))
            self.expect(wire, 422, "answered before all was sent", "POST")

    def does_large_body(self, rng):
        with self.wire() as wire:
            wire.try_send(request_bytes("POST", "/small", self.good(rng), pattern(rng.choice([2 * KIB, 70 * KIB]))))
            self.expect(wire, 413, "body above max_body", "POST")

    def does_pipeline(self, rng):
        marks = [rng.randrange(1 << 40) for _ in range(rng.randrange(2, 12))]
        with self.wire() as wire:
            wire.send(b"".join(request_bytes("GET", f"/rest/v1/echo?mark={m}", self.good(rng)) for m in marks))
            for mark in marks:
                assert self.expect(wire, 200, "GET, pipelined").json()["target"].endswith(f"={mark}"), "out of order"

    def does_other_methods(self, rng):
        with self.wire() as wire:
            wire.send(request_bytes("HEAD", "/rest/v1/bytes?n=0", self.good(rng)))
            self.expect(wire, 200, "HEAD", "HEAD")
            wire.send(request_bytes("OPTIONS", "/rest/v1/x", {"Origin": "https://a.test", "Access-Control-Request-Method": "GET"}))
            self.expect(wire, 204, "preflight")
            wire.send(request_bytes("GET", "/no/route", {}))
            self.expect(wire, 404, "no route")
            wire.send(request_bytes("GET", "/_jotgate/usage", self.good(rng)))
            self.expect(wire, 200, "usage")

    def does_slow_limit(self, rng):
        with self.wire() as wire:
            for _ in range(10):
                wire.send(request_bytes("GET", "/slow/echo", {"Authorization": f"Bearer {self.tokens['good'][0]}"}))
                answer = wire.answer()
                assert answer and answer.status in (200, 429), answer
                self.count(f"GET at a limit: {answer.status}")

    def does_broken_upstream(self, rng):
        how = rng.choice(["garbage", "nothing", "short", "reset"])
        with self.wire() as wire:
            wire.send(request_bytes(rng.choice(["GET", "POST"]), f"/rest/v1/{how}", self.good(rng)))
            try:
                answer = wire.answer()
            except Truncated:
                answer = None
            # What breaks after its head is cut, unless nothing of it was sent yet.
            assert how in ("short", "reset") if answer is None else answer.status == 502, f"upstream, {how}: {answer}"
            self.count(f"upstream, {how}: {answer.status if answer else 'cut'}")

    def does_malformed(self, rng):
        what, status = rng.choice([
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400), (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400), (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
            (b"POST /rest/v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            (b"GET /" + b"a" * 17 * KIB + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414), (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 200 + b"\r\n", 431),
        ])  # fmt: skip
        with self.wire() as wire:
            wire.try_send(what)
            self.expect(wire, status, "malformed")
            assert wire.closed() == b"", "more than an answer"

    def does_idle(self, rng):
        with self.wire() as wire:
            wire.send(rng.choice([b"", b"G", b"GET /rest/v1/echo HTTP/1.1\r\nHost: a"]))
            time.sleep(rng.random() * 0.3)
            self.leave(wire, rng)
        self.count("connection without a request, left")

    def does_socket(self, rng):
        with self.wire() as wire:
            wire.send(request_bytes("GET", "/realtime/v1/websocket", HANDSHAKE | self.good(rng)))
            answer = self.expect(wire, 101, "socket")
            assert answer.get("sec-websocket-accept") == ACCEPT, answer
            for _ in range(rng.randrange(12)):
                payload = pattern(rng.choice([0, 5, 125, 126, 4 * KIB, 65535, 65536, 200 * KIB]))
                wire.send(frame(payload, mask=True))
                assert take_frame(wire) == payload, "another message"
                self.count("socket message, echoed")
            if rng.random() < 0.3 and not self.context:  # Python's TLS cannot close one side alone
                wire.finish()
                assert wire.closed() == b"", "what nobody sent"
                self.count("socket, half closed")
            else:
                if rng.random() < 0.3:  # with much under way
                    wire.send(frame(pattern(300 * KIB), mask=True)[: rng.randrange(300 * KIB)])
                self.leave(wire, rng)
                self.count("socket, left")

    def does_unwelcome_socket(self, rng):
        with self.wire() as wire:
            wire.send(request_bytes("GET", "/realtime/v1/unwelcome", HANDSHAKE | self.good(rng)))
            assert self.expect(wire, 401, "socket that the project refuses").json() == {"message": "not you"}
            kind = rng.choice(["expired", "forged"])
        with self.wire() as wire:
            wire.send(request_bytes("GET", "/realtime/v1/websocket", HANDSHAKE | {"Authorization": f"Bearer {rng.choice(self.tokens[kind])}"}))
            self.expect(wire, 401, "socket with a bad token")

    # ---- the run -----------------------------------------------------------------------------------------------------

    def client(self, seed):
        rng = random.Random(seed)
        while not self.stopped.is_set():
            name = rng.choices(self.visits, self.weights)[0]
            try:
                getattr(self, "does_" + name)(rng)
            except Exception:  # whatever it is, nobody provoked it
                with self.lock:
                    self.errors.append(f"{name}: {traceback.format_exc(limit=4)}")
                if len(self.errors) > 20:
                    self.stopped.set()

    def reload(self):
        """Another route and another log level; every third file cannot be read and changes nothing."""
        self.reloads.append("failed" if len(self.reloads) % 3 == 2 else "ok")
        path, result = f"/reload-{len(self.reloads)}", self.reloads[-1]
        routes = self.settings["routes"] + [{"path": path, "access": "open", "limits": []}]
        text = self.gateway.compose(self.site, self.settings | {"routes": routes, "log": {"level": "info" if len(self.reloads) % 2 else "warn"}})
        with open(self.gateway.config, "w", encoding="utf-8") as file:
            file.write(text + "nonsense" * (result == "failed"))
        self.gateway.signal(signal.SIGHUP)
        reloads = f'jotgate_reloads_total{{result="{result}"}}'
        self.wait_for(lambda: self.gateway.metrics()[reloads] == self.reloads.count(result), f"a reload that has {result}")
        status = self.status_of("GET", f"{path}/echo")
        if status != (200 if result == "ok" else 404):
            self.errors.append(f"a reload that has {result}: its route answers {status}")

    def rotate(self):
        """A key joins; its tokens are good as soon as it is known, which an unknown kid may delay by a cooldown."""
        self.n_rotations += 1
        self.site.keys = [self.key, Key()]
        token = self.site.keys[-1].token(user_claims(self.site.issuer))
        self.wait_for(lambda: self.status_of("GET", "/rest/v1/echo", {"Authorization": f"Bearer {token}"}) == 200, "a new key to be known")
        self.count("new key: 200")

    def wait_for(self, condition, what):
        until = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() > until:
                self.errors.append(f"waited {DEADLINE_S} s for {what}")
                return
            time.sleep(0.1)

    def status_of(self, method, target, fields=()):
        with self.wire() as wire:
            wire.send(request_bytes(method, target, fields))
            return wire.answer().status

    def descriptors(self):
        return self.gateway.open_files()

    def watch(self, began):
        self.samples.append((time.monotonic() - began, self.gateway.memory_bytes(), self.descriptors()))
        with self.gateway.changed:
            lines, self.gateway.lines[:] = list(self.gateway.lines), []
        self.n_lines += len(lines)
        self.upsets += [line for line in lines if '"level":"error"' in line and "settings" not in line]
        if self.gateway.process.poll() is not None:
            self.errors.append("jotgate ended:\n" + self.gateway.said())
            self.stopped.set()

    def run(self, seconds, n_clients):
        at_start, began = self.descriptors(), time.monotonic()
        clients = [threading.Thread(target=self.client, args=(self.random.random(),), daemon=True) for _ in range(n_clients)]
        for client in clients:
            client.start()
        turn = 0
        while time.monotonic() - began < seconds and not self.stopped.wait(0.5):
            turn += 1
            self.watch(began)
            if turn % 9 == 0:
                self.reload()
            if turn % 20 == 0:
                self.rotate()
        self.stopped.set()
        for client in clients:
            client.join(DEADLINE_S * 2)
            if client.is_alive():
                self.errors.append("a client hangs")
        self.settle(at_start)

    def settle(self, at_start):
        """Everybody has left: what was opened must be closed."""
        with self.site.changed:
            wires = list(self.site.wires)
        streams = "jotgate_requests_open"
        try:
            self.gateway.wait_until(lambda: self.gateway.metrics().get(streams, 0) == 0, "requests to end")
            for wire in wires:  # idle ones of the pool, all
                wire.finish()
            self.gateway.wait_until(lambda: self.descriptors() <= at_start, f"the {at_start} descriptors of the start, now {self.descriptors()}")
            self.count("descriptors as at the start")
            opened, gone = self.site.counts["socket opened"], self.site.counts["socket gone"]
            assert opened == gone, f"{opened} sockets opened at the upstream, {gone} gone"
            self.gateway.stop()
        except (AssertionError, OSError) as error:
            self.errors.append(str(error))

    def growth(self):
        """(the median resident size in the second quarter, in the last)."""
        quarter = max(1, len(self.samples) // 4)
        sizes = [size for _, size, _ in self.samples]
        return statistics.median(sizes[quarter : 2 * quarter] or sizes), statistics.median(sizes[-quarter:])

    def report(self):
        for what, n in sorted(self.outcomes.items()):
            print(f"{n:9} {what}")
        print(f"{self.n_lines:9} log lines, {self.reloads.count('ok')} reloads, {self.reloads.count('failed')} refused ones, {self.n_rotations} new keys, {sum(self.outcomes.values())} outcomes")
        early, late = self.growth()
        most = max(fds for _, _, fds in self.samples)
        print(f"resident memory, median: {early / MIB:.1f} MiB in the second quarter, {late / MIB:.1f} MiB in the last; descriptors at most {most}")
        if late - early > GROWTH_MOST:
            self.errors.append(f"memory grew by {(late - early) / MIB:.1f} MiB, at most {GROWTH_MOST / MIB:.0f} are allowed")
        for text in self.errors[:10] + self.upsets[:10]:
            print(f"---- {text}")
        print(f"{len(self.errors)} errors that nobody provoked, {len(self.upsets)} log lines of level error")
        return 1 if self.errors or self.upsets else 0


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=300)
    options.add_argument("--clients", type=int, default=24)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", default="")
    options.add_argument("--tls", action="store_true")
    given = options.parse_args()
    soak = Soak(given.seed, set(filter(None, given.only.split(","))), given.tls)
    soak.run(given.seconds, given.clients)
    return soak.report()


if __name__ == "__main__":
    sys.exit(main())
