# SPDX-License-Identifier: MIT
"""Both ends of the wire, in exact bytes: a raw client (Wire) and a scripted upstream (Upstream).

Nothing here goes through an HTTP library, so that a test says byte for byte what is sent and sees what came. Whoever
waits has a deadline and waits for an event, never for a while.
"""
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import socket
import struct
import tempfile
import threading
import time

PORTS = range(10000, 32000)
LAST_PORT = os.path.join(tempfile.gettempdir(), f"jotgate-tests-{os.getuid()}-last-port")
DEADLINE_S = 20  # for anything that must happen; generous, because sanitizers and busy machines are slow


class Truncated(AssertionError):
    """The peer closed before its message was complete."""


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port():
    """A free port below the range that the kernel gives to clients. All processes of tests take theirs in turn, so that none is
    given twice before who asked for it listens there.
    """
    with open(LAST_PORT, "a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        port = int(file.read() or PORTS[-1])
        while True:
            port = port + 1 if port + 1 in PORTS else PORTS[0]
            if is_free(port):
                break
        file.truncate(0)
        file.write(str(port))
        return port


class Head:
    """A message's first line and fields, as they came."""

    def __init__(self, raw):
        self.raw = raw
        lines = raw[: raw.index(b"\r\n\r\n")].split(b"\r\n")
        self.line = lines[0].decode("latin-1")
        self.headers = []
        for line in lines[1:]:
            name, colon, value = line.decode("latin-1").partition(":")
            assert colon, f"field without colon: {line!r}"
            self.headers.append((name, value.strip(" \t")))

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def get(self, name, default=None):
        """The one value of this name; several are a test's failure."""
        values = self.all(name)
        assert len(values) < 2, f"{name} is there {len(values)} times: {values}"
        return values[0] if values else default

    def names(self):
        return [n.lower() for n, _ in self.headers]


class Answer(Head):
    body = b""
    interim = ()

    @property
    def status(self):
        return int(self.line.split(" ")[1])

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.line} {self.headers} {self.body[:300]!r}>"


class Request(Head):
    body = b""
    connection = 0  # which of the upstream's connections it came on

    @property
    def method(self):
        return self.line.split(" ")[0]

    @property
    def target(self):
        return self.line.split(" ")[1]


class Wire:
    """A connection as a client, an upstream or anything else sees it."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(DEADLINE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.ended = False

    @classmethod
    def to(cls, port, host="127.0.0.1", receive_buffer=None, source=None):
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(DEADLINE_S)
        if source:
            sock.bind((source, 0))
        sock.connect((host, port))
        return cls(sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Close with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def vanish(self):
        """From now on the kernel drops what comes for this socket: no acknowledgement, no FIN, no RST, as of a machine without power."""
        drop_all = struct.pack("HBBI", 0x06, 0, 0, 0)  # BPF: return 0 bytes of the packet
        room = ctypes.create_string_buffer(drop_all)
        self.sock.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", 1, ctypes.addressof(room)))  # SO_ATTACH_FILTER

    def finish(self):
        """Say that nothing more will be sent."""
        self.sock.shutdown(socket.SHUT_WR)

    def send(self, data):
        self.sock.sendall(data)

    def try_send(self, data):
        """Send to a peer that may have closed: a test looks at what it answered, not at the send."""
        try:
            self.sock.sendall(data)
        except OSError:
            pass

    def receive(self):
        """More bytes into the buffer; False at the end of the stream."""
        if self.ended:
            return False
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        self.ended = not data
        self.buffer += data
        return bool(data)

    def take(self, n):
        while len(self.buffer) < n:
            if not self.receive():
                raise Truncated(f"{n} bytes expected, the peer closed after {len(self.buffer)}: {self.buffer[:200]!r}")
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def take_line(self):
        while b"\r\n" not in self.buffer:
            if not self.receive():
                raise Truncated(f"a line expected, the peer closed after {self.buffer[:200]!r}")
        return self.take(self.buffer.index(b"\r\n") + 2)[:-2]

    def head(self):
        """The bytes of the next head, or None when the peer closed before it sent any."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.receive():
                if self.buffer:
                    raise Truncated(f"the peer closed inside a head: {self.buffer[:200]!r}")
                return None
        return self.take(self.buffer.index(b"\r\n\r\n") + 4)

    def chunks(self):
        while True:
            line = self.take_line()
            size = int(line.split(b";")[0], 16)
            if size == 0:
                while self.take_line():
                    pass
                return
            yield self.take(size)
            assert self.take(2) == b"\r\n", "a chunk does not end with CRLF"

    def body_pieces(self, message, until_close=False):
        codings = message.all("transfer-encoding")
        length = message.get("content-length")
        assert not (codings and length), f"both Content-Length and Transfer-Encoding: {message.headers}"
        if codings:
            assert [c.lower() for c in codings] == ["chunked"], codings
            yield from self.chunks()
        elif length is not None:
            left = int(length)
            while left:
                if not self.buffer and not self.receive():
                    raise Truncated(f"{left} bytes of the body are missing")
                piece = self.take(min(left, len(self.buffer)))
                left -= len(piece)
                yield piece
        elif until_close:
            while self.buffer or self.receive():
                yield self.take(len(self.buffer))

    def answer(self, method="GET", with_body=True):
        """The next final answer, interim ones noted in .interim; None when the peer closed instead."""
        interim = []
        while True:
            raw = self.head()
            if raw is None:
                return None
            answer = Answer(raw)
            if not 100 <= answer.status < 200 or answer.status == 101:
                break
            interim.append(answer)
        answer.interim = interim
        bodyless = method == "HEAD" or answer.status in (101, 204, 304)
        if with_body and not bodyless:
            answer.body = b"".join(self.body_pieces(answer, until_close=True))
        return answer

    def closed(self):
        """Wait for the peer to close; what it still sent."""
        while self.receive():
            pass
        rest, self.buffer = self.buffer, b""
        return rest


def request_bytes(method, target, headers=(), body=b"", host="gateway.test"):
    """A well-formed request; `headers` is a dict or a list of pairs."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
    names = [n.lower() for n, _ in pairs]
    lines = [f"{method} {target} HTTP/1.1"]
    if "host" not in names:
        lines.append(f"Host: {host}")
    lines += [f"{n}: {v}" for n, v in pairs]
    if (body or method in ("POST", "PUT", "PATCH")) and not {"content-length", "transfer-encoding"} & set(names):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def answer_bytes(status=200, body=b"", headers=(), reason="OK"):
    lines = [f"HTTP/1.1 {status} {reason}"] + [f"{n}: {v}" for n, v in headers]
    if not {"content-length", "transfer-encoding"} & {n.lower() for n, _ in headers} and status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def echo(request, _wire):
    """What the upstream answers by default: what it saw, as JSON."""
    seen = {
        "method": request.method, "target": request.target, "headers": request.headers,
        "body_bytes": len(request.body), "sha256": hashlib.sha256(request.body).hexdigest(),
    }  # fmt: skip
    return answer_bytes(200, json.dumps(seen).encode(), [("Content-Type", "application/json")])


class Door:
    """A listener of the test's own; each connection is given to `take`, in the thread that accepts.

    close() waits until nobody accepts any more: a thread that came back to accept() after it would do so on whatever has the
    descriptor by then, and take the connections of another test's server.
    """

    def __init__(self, take, listener=None):
        self.take = take
        self.listener = listener or socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                sock = self.listener.accept()[0]
            except OSError:
                return
            with contextlib.suppress(OSError):
                self.take(sock)

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(DEADLINE_S)
        self.listener.close()


class Upstream:
    """A server that remembers exactly what it was sent and answers what `handler` says.

    handler(request, wire) returns the answer's bytes, or None when it has used the wire by itself (the connection is then
    closed unless it returns KEEP). Every connection has a thread of its own.
    """

    KEEP = object()

    def __init__(self, handler=echo):
        self.handler = handler
        self.requests = []  # those of the application
        self.raw = b""  # every byte that came, on all connections in the order of arrival
        self.n_connections = 0
        self.open_connections = 0
        self.changed = threading.Condition()
        self.wires = set()
        self.door = Door(self.take)
        self.port = self.door.port

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def close(self):
        self.door.close()
        with self.changed:
            wires = list(self.wires)
        for wire in wires:
            try:
                wire.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def take(self, sock):
        wire = RecordingWire(sock, self)
        with self.changed:
            self.n_connections += 1
            self.open_connections += 1
            self.wires.add(wire)
            number = self.n_connections
            self.changed.notify_all()
        threading.Thread(target=self.serve, args=(wire, number), daemon=True).start()

    def serve(self, wire, number):
        try:
            while True:
                raw = wire.head()
                if raw is None:
                    return
                request = Request(raw)
                request.connection = number
                if not self.serve_one(request, wire):
                    return
        except (OSError, Truncated):
            pass
        finally:
            wire.close()
            with self.changed:
                self.open_connections -= 1
                self.wires.discard(wire)
                self.changed.notify_all()

    def serve_one(self, request, wire):
        streams = getattr(self.handler, "streams", False)
        if not streams:
            request.body = b"".join(wire.body_pieces(request))
        self.note(request)
        answer = self.handler(request, wire)
        if answer is not None and answer is not self.KEEP:
            wire.send(answer)
        return answer is not None

    def note(self, request):
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()

    def wait(self, condition, seconds=DEADLINE_S, what="the upstream"):
        """Until condition() holds, looked at whenever something happened here; fails after the deadline."""
        until = time.monotonic() + seconds
        with self.changed:
            while not condition():
                left = until - time.monotonic()
                assert left > 0, f"waited {seconds} s for {what}; requests: {[r.line for r in self.requests]}"
                self.changed.wait(min(left, 0.05))

    def wait_for_requests(self, n):
        self.wait(lambda: len(self.requests) >= n, what=f"{n} requests")
        return self.requests[:n]

    def clear(self):
        with self.changed:
            self.requests = []
            self.raw = b""


class RecordingWire(Wire):
    def __init__(self, sock, upstream):
        super().__init__(sock)
        self.upstream = upstream
        self.sock.settimeout(None)  # an upstream waits as long as its client lives

    def receive(self):
        before = len(self.buffer)
        more = super().receive()
        with self.upstream.changed:
            self.upstream.raw += self.buffer[before:]
        return more


def streaming(handler):
    """Marks a handler that reads the request's body from the wire by itself."""
    handler.streams = True
    return handler
