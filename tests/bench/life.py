# SPDX-License-Identifier: MIT
"""See tests/bench/life, which starts this."""
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

JOTGATE = os.environ["JOTGATE"]
CONNECTIONS = 64
DEADLINE_S = 60


def free_port():
    while True:
        port = random.randrange(10000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def status(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, ""
    except OSError:
        return 0, ""


def wait_until(condition, what):
    until = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > until:
            sys.exit(f"waited {DEADLINE_S} s for {what}")
        time.sleep(0.02)


class Gateway:
    def __init__(self, folder, name, upstream, port=None):
        self.port, self.admin = port or free_port(), free_port()
        self.file = os.path.join(folder, name + ".yaml")
        self.upstream, self.log = upstream, open(os.path.join(folder, name + ".log"), "ab")
        self.write(0)
        self.start()

    def write(self, n):
        """One of two: they differ in a route and in a limit that nobody reaches."""
        text = {
            "listen": f"127.0.0.1:{self.port}", "admin": f"127.0.0.1:{self.admin}", "workers": 2,
            "drain": {"delay": "1s", "timeout": "10s"}, "log": {"level": "warn"},
            "supabase": {"url": f"http://127.0.0.1:{self.upstream}"},
            "limits": {"many": {"key": "ip", "rate": f"{1000000 + n}/second", "for": "everyone"}},
            "routes": [{"path": "/open", "access": "open", "limits": ["many"]}] + [{"path": f"/{n}/{i}", "access": "open"} for i in range(50 * n)],
            "issuers": [{"name": "bench", "issuer": "https://bench", "hs256_secret": "0123456789abcdef0123456789abcdef"}],
        }  # fmt: skip
        with open(self.file, "w", encoding="utf-8") as file:
            json.dump(text, file)

    def start(self):
        self.process = subprocess.Popen([JOTGATE, "-c", self.file], stdout=self.log, stderr=self.log)
        wait_until(lambda: status(self.port, "/_jotgate/health")[0] == 200, "a gateway")

    def reloads(self):
        text = status(self.admin, "/metrics")[1]
        return [int(n) for n in re.findall(r'jotgate_reloads_total\{result="\w+"\} (\d+)', text)] or [0, 0]

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE_S)
        if code != 0:
            sys.exit(f"a gateway ended with {code}; see {self.log.name}")


class Load:
    """wrk until it is told to end; requests, failures and what it said of them."""

    def __init__(self, port):
        command = ["wrk", "-t2", f"-c{CONNECTIONS}", "-d600s", "--timeout", "10s", f"http://127.0.0.1:{port}/open"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        time.sleep(1)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        text = self.process.communicate(timeout=DEADLINE_S)[0]
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        others = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        failed = sum(map(int, errors.groups())) if errors else 0
        failed += int(others[1]) if others else 0
        requests = int(re.search(r"(\d+) requests in", text)[1])
        said = " ".join(match[0] for match in (errors, others) if match)
        return requests, failed, said


def start_upstream(folder, port):
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            f"daemon off; master_process off; pid {folder}/nginx.pid; error_log /dev/null;\n"
            "events { worker_connections 4096; }\n"
            "http { access_log off; keepalive_requests 1000000000; server { listen 127.0.0.1:%d; location / { return 200 'ok'; } } }\n" % port
        )
    return subprocess.Popen(["nginx", "-c", path], stderr=subprocess.DEVNULL)


def start_balancer(folder, port, gateways):
    path = os.path.join(folder, "haproxy.cfg")
    servers = "\n".join(f"    server g{i} 127.0.0.1:{g.port} check inter 100ms fall 1 rise 1" for i, g in enumerate(gateways))
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n    option redispatch 1\n    retries 3\n"
            f"listen front\n    bind 127.0.0.1:{port}\n    balance roundrobin\n    option httpchk GET /_jotgate/health\n{servers}\n"
        )
    return subprocess.Popen(["haproxy", "-f", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure_reloads(folder, upstream, n):
    gateway = Gateway(folder, "reloaded", upstream)
    load = Load(gateway.port)
    memory = []
    for i in range(1, n + 1):
        gateway.write(i % 2)
        gateway.process.send_signal(signal.SIGHUP)
        wait_until(lambda: sum(gateway.reloads()) >= i, "a reload")
        if i in (2, n // 2, n):
            time.sleep(0.5)  # the last requests under the old settings
            memory.append(gateway.memory_kib())
    requests, failed, said = load.end()
    good, bad = gateway.reloads()
    print(f"reloads: {good} ok, {bad} failed; {requests} requests, {failed} failed {said}")
    print(f"         resident KiB after 2, {n // 2} and {n}: {memory}")
    gateway.end()
    return failed + bad


def measure_drains(folder, upstream, n):
    gateways = [Gateway(folder, f"drained-{i}", upstream) for i in range(2)]
    port = free_port()
    balancer = start_balancer(folder, port, gateways)
    wait_until(lambda: status(port, "/open")[0] == 200, "the balancer")
    load = Load(port)
    for i in range(n):
        gateways[i % 2].end()
        gateways[i % 2].start()
        time.sleep(0.5)  # until the balancer has seen it
    requests, failed, said = load.end()
    print(f"drains:  {n}; {requests} requests, {failed} failed {said}")
    balancer.terminate()
    balancer.wait()
    for gateway in gateways:
        gateway.end()
    return failed


def takes_connections(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def time_return(folder, gateway, upstream):
    """Seconds from the upstream's first connection to the gateway's first good answer, and the upstream."""
    nginx = start_upstream(folder, upstream)
    while not takes_connections(upstream):
        pass
    began = time.monotonic()
    while status(gateway.port, "/open")[0] != 200:
        pass
    return time.monotonic() - began, nginx


def measure_kills(folder, nginx, upstream, n):
    gateway = Gateway(folder, "bereft", upstream)
    load = Load(gateway.port)
    returns = []
    for i in range(n):
        nginx.kill()
        nginx.wait()
        wait_until(lambda: status(gateway.port, "/open")[0] == 502, "the failure to show")
        time.sleep(0.1 * (i % 20))  # from a blink to long enough for anything that backs off
        seconds, nginx = time_return(folder, gateway, upstream)
        returns.append(seconds * 1000)
        time.sleep(0.5)  # load
    requests, failed, _ = load.end()
    gateway.end()
    print(f"kills:   {n}; first good answer {statistics.median(returns):.1f} ms after the upstream is back, at worst {max(returns):.1f} ms")
    print(f"         {requests} requests, {failed} failed")
    return nginx, sum(ms > 1000 for ms in returns)


def main(n_reloads, n_drains, n_kills):
    with tempfile.TemporaryDirectory(prefix="life-") as folder:
        upstream = free_port()
        nginx = start_upstream(folder, upstream)
        try:
            wait_until(lambda: status(upstream, "/")[0] == 200, "the upstream")
            failed = measure_reloads(folder, upstream, n_reloads) if n_reloads else 0
            failed += measure_drains(folder, upstream, n_drains) if n_drains else 0
            if n_kills:
                nginx, n_late = measure_kills(folder, nginx, upstream, n_kills)
                failed += n_late
        finally:
            nginx.terminate()
            nginx.wait()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:4])))
