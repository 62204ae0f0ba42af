# SPDX-License-Identifier: MIT
"""N idle WebSockets through the gateway, latency against a second one without any; then N idle connections; see ./tests/bench/sockets."""
import json
import os
import re
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time

ROUNDS, SECONDS, BATCH = 9, 1, 100
CLIENTS_MOST = 5000  # a TLS client in Python is large
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: bench.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SMALL = b"GET /small HTTP/1.1\r\nHost: bench.example\r\n\r\n"
BUILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process):
    until = time.monotonic() + 20
    while time.monotonic() < until and process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nothing listens on {port}")


class Bench:
    def __init__(self, folder, n):
        self.folder, self.n, self.processes = folder, n, []
        self.upstream = free_port()
        self.start([os.path.join(BUILD, "tests/bench/upstream"), str(self.upstream)], self.upstream)

    def start(self, argv, port, **env):
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=os.environ | env)
        self.processes.append(process)
        wait_for_port(port, process)
        return process

    def path(self, name):
        return os.path.join(self.folder, name)

    def certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", self.path("key"), "-out", self.path("certificate")],
            check=True, capture_output=True)  # fmt: skip
        return {"certificate": self.path("certificate"), "key": self.path("key")}

    def tls(self):
        """nginx with a certificate of its own before the upstream."""
        self.certificate()
        port = free_port()
        with open(self.path("nginx.conf"), "w", encoding="utf-8") as file:
            file.write(f"""daemon off; pid {self.path("nginx.pid")}; error_log /dev/null; worker_processes 4;
events {{ worker_connections 16384; }}
http {{ access_log off; proxy_read_timeout 1h;
server {{ listen 127.0.0.1:{port} ssl reuseport backlog=4096; ssl_certificate {self.path("certificate")}; ssl_certificate_key {self.path("key")};
location / {{ proxy_pass http://127.0.0.1:{self.upstream}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }} }} }}
""")
        self.start(["nginx", "-c", self.path("nginx.conf")], port)
        return f"https://localhost:{port}"

    def gateway(self, url, **more):
        port = free_port()
        settings = {
            "listen": f"127.0.0.1:{port}", "admin": "", "workers": 1, "log": {"level": "warn"}, "drain": {"delay": "0s", "timeout": "1s"},
            "supabase": {"url": f"http://127.0.0.1:{self.upstream}"}, "websockets": {"max_per_ip": 0},
            "routes": [
                {"path": "/ws", "access": "open", "upstream": url, "limits": [], "timeouts": {"idle": "1h"}},
                {"path": "/small", "access": "open", "upstream": f"http://127.0.0.1:{self.upstream}", "limits": []},
            ],
        } | more  # fmt: skip
        with open(self.path("jotgate.yaml"), "w", encoding="utf-8") as file:
            json.dump(settings, file)
        argv = [os.path.join(BUILD, "jotgate"), "run", "-c", self.path("jotgate.yaml")]
        return port, self.start(argv, port, SSL_CERT_FILE=self.path("certificate"))

    def latency_us(self, port):
        """The p50 of small requests, one after the other on one connection."""
        argv = [os.path.join(BUILD, "tests/bench/load"), "--port", str(port), "--path", "/small", "--connections", "1", "--seconds", str(SECONDS)]
        row = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
        assert row["errors"] == 0 and set(row["statuses"]) == {"200"}, row
        return row["p50_us"]

    def open_sockets(self, port):
        wires = []
        while len(wires) < self.n:
            batch = [socket.create_connection(("127.0.0.1", port)) for _ in range(min(BATCH, self.n - len(wires)))]
            for wire in batch:
                wire.sendall(HANDSHAKE)
            for wire in batch:
                head = b""
                while b"\r\n\r\n" not in head:
                    data = wire.recv(4096)
                    assert data, f"closed after {len(wires)}: {head!r}"
                    head += data
                assert head.startswith(b"HTTP/1.1 101 "), head
            wires += batch
        return wires

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(20)


def ask(wire):
    """One small request, and its whole answer."""
    wire.sendall(SMALL)
    data = b""
    while b"\r\n\r\n" not in data:
        data += wire.recv(4096)
    head, _, body = data.partition(b"\r\n\r\n")
    left = int(re.search(rb"(?i)content-length: (\d+)", head)[1]) - len(body)
    while left > 0:
        left -= len(wire.recv(4096))
    assert head.startswith(b"HTTP/1.1 200 "), head


def idle_clients(port, n, context):
    """Connections that have asked once and are kept alive."""
    wires = []
    for _ in range(n):
        wire = socket.create_connection(("127.0.0.1", port))
        wires.append(context.wrap_socket(wire) if context else wire)
        ask(wires[-1])
    return wires


def measure_clients(bench, name, version):
    """What a connection between two requests holds, of a client that speaks plain HTTP or this version of TLS."""
    context = None
    if version:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
    port, process = bench.gateway(f"http://127.0.0.1:{bench.upstream}", http={"idle_timeout": "1h"}, tls=[bench.certificate()] if version else [])
    for wire in idle_clients(port, BATCH, context):
        wire.close()
    small, n = memory_bytes(process.pid), min(bench.n, CLIENTS_MOST)
    wires = idle_clients(port, n, context)
    each = (memory_bytes(process.pid) - small) / n
    for wire in wires[::7]:
        ask(wire)
    for wire in wires:
        wire.close()
    print(f"{name:8} {n:7} {each / 1024:10.1f}", flush=True)
    process.terminate()


def memory_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) * 1024


def median(values):
    return sorted(values)[len(values) // 2]


def measure(bench, name, url):
    port, process = bench.gateway(url)
    empty_port, empty = bench.gateway(url)
    bench.latency_us(port), bench.latency_us(empty_port)  # warm
    small = memory_bytes(process.pid)
    wires = bench.open_sockets(port)
    each = (memory_bytes(process.pid) - small) / bench.n
    without, beside = [], []
    for _ in range(ROUNDS):  # in turn, for what else the machine does comes and goes
        without.append(bench.latency_us(empty_port))
        beside.append(bench.latency_us(port))
    for wire in wires:
        wire.sendall(b"\x81\x80\0\0\0\0")
    for wire in wires:
        assert wire.recv(2) == b"\x81\x00", "a socket is dead"
    busy = (memory_bytes(process.pid) - small) / bench.n
    for wire in wires:
        wire.close()
    ratio = median(beside) / median(without)
    print(f"{name:6} {bench.n:7} {each / 1024:10.1f} {busy / 1024:10.1f} {median(without):12.1f} {median(beside):11.1f} {ratio:7.2f}", flush=True)
    process.terminate()
    empty.terminate()


def main(n):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = (hard - 200) // 2
    if n > most:
        print(f"the descriptor limit ({hard}) allows {most}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder, min(n, most))
        try:
            print("        sockets  KiB each   and used    p50 without      with  ratio   (µs)")
            measure(bench, "plain", f"http://127.0.0.1:{bench.upstream}")
            measure(bench, "TLS", bench.tls())
            print("idle     clients   KiB each")
            for name, version in (("plain", None), ("TLS 1.3", ssl.TLSVersion.TLSv1_3), ("TLS 1.2", ssl.TLSVersion.TLSv1_2)):
                measure_clients(bench, name, version)
        finally:
            bench.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]))
