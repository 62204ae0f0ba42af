# SPDX-License-Identifier: MIT
"""The servers of the benchmarks: jotgate and its peers, each one process on core 0; the upstream and the load on core 1."""
import json
import os
import resource
import socket
import subprocess
import time

PROXY_CORE, LOAD_CORE = "0", "1"
ISSUER = "https://bench.example/auth/v1"
PLENTY = 1_000_000_000
PAGE_MS = 1000 // os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), 0.2):
                return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nothing listens on {port}")


class Server:
    """One process of its own; what it used of the processor so far, by the kernel's account of all its threads."""

    def __init__(self, bench, name, port, argv, core=PROXY_CORE, env=None):
        self.name, self.port = name, port
        self.log = open(os.path.join(bench.work, f"{name}.log"), "ab")
        pinned = ["taskset", "-c", core, *argv] if core else argv
        self.process = subprocess.Popen(
            pinned, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})})
        bench.servers.append(self)
        try:
            wait_for_port(port, self.process)
        except RuntimeError as error:
            with open(self.log.name, encoding="utf-8", errors="replace") as said:
                raise RuntimeError(f"{error}: {said.read()[-2000:]}") from error

    def cpu_ns(self):
        total, tasks = 0, f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total

    def user_and_system_ms(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return int(fields[11]) * PAGE_MS, int(fields[12]) * PAGE_MS

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    def forget_log(self):
        self.log.truncate(0)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


class Bench:
    """A scratch folder, keys and tokens, the servers that were started, and how to run the load."""

    def __init__(self, root, work):
        self.root, self.work, self.servers = root, work, []
        self.jotgate = os.path.join(root, "build", "jotgate")
        self.load_program = os.path.join(root, "build", "tests", "bench", "load")
        self.upstream_program = os.path.join(root, "build", "tests", "bench", "upstream")
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.keys, self.jwks, self.tokens = {}, [], {}
        self.secret = "a-secret-that-is-long-enough-for-HMAC-with-SHA-256"
        self.upstream = self.start("upstream", lambda port: [self.upstream_program, str(port)], core=LOAD_CORE)
        self.cache = {}

    def path(self, name):
        return os.path.join(self.work, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def start(self, name, argv_of, core=PROXY_CORE, env=None):
        port = free_port()
        return Server(self, name, port, argv_of(port), core, env)

    def once(self, name, make):
        """Started at its first use, shared by all who measure it."""
        if name not in self.cache:
            self.cache[name] = make()
        return self.cache[name]

    def stop(self):
        for server in reversed(self.servers):
            server.stop()

    # ---- keys and tokens

    def make_keys(self):
        for algorithm in ("ES256", "RS256", "EdDSA"):
            key = self.path(f"{algorithm}.pem")
            jwk = subprocess.check_output([self.jotgate, "mint", "--new-key", key, "--alg", algorithm])
            public = self.path(f"{algorithm}.pub.pem")
            subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True, stderr=subprocess.DEVNULL)
            self.keys[algorithm] = key
            self.jwks.append(json.loads(jwk))
        self.write("jwks.json", json.dumps({"keys": self.jwks}))

    def mint(self, name, algorithm, count=1, subject="bench", ttl="6h", subjects=False):
        """A file of tokens, one a line; `subjects`: each for another subject."""
        if name in self.tokens:
            return self.tokens[name]
        key = ["--secret-env", "BENCH_SECRET"] if algorithm == "HS256" else ["--key", self.keys[algorithm]]
        argv = [self.jotgate, "mint", "--alg", algorithm, *key, "--ttl", ttl, "--claim", f"iss={ISSUER}",
                "--claim", "session_id=6f1ba7a0-7a6e-4b1e-9d8f-2f3f5d9e9a10", "--claim", "email=someone@example.com"]
        if not subjects:
            argv += ["--sub", subject]
        argv += ["--count", str(count)]
        out = self.path(f"{name}.tokens")
        with open(out, "wb") as file:
            subprocess.run(argv, check=True, stdout=file, env={**os.environ, "BENCH_SECRET": self.secret})
        self.tokens[name] = out
        return out

    # ---- peers

    def jotgate_server(self, name, workers=1, rate=f"{PLENTY}/second", extra="", upstream=None, core=PROXY_CORE):
        def argv_of(port):
            config = self.write(f"{name}.yaml", f"""
listen: "127.0.0.1:{port}"
admin: ""
workers: {workers}
drain: {{ delay: 0s, timeout: 1s }}
supabase: {{ url: "{upstream or f'http://127.0.0.1:{self.upstream.port}'}" }}
issuers:
  - name: supabase
    issuer: "{ISSUER}"
    jwks_file: {self.path("jwks.json")}
    hs256_secret: "{self.secret}"
plans: {{ default: all, tiers: {{ all: {{ default: [ {{ name: burst, rate: {rate} }} ] }} }} }}
{extra}
""")
            return [self.jotgate, "-c", config]
        ca = {"SSL_CERT_FILE": self.path("tls.pem")} if upstream else None
        return self.once(name, lambda: self.start(name, argv_of, core, ca))

    def haproxy(self, algorithm):
        """Checks alg, signature, exp, iss and aud, and tracks the subject in a stick table with a limit that is never met."""
        if algorithm == "HS256":
            key = f'"{self.secret}"'
        else:
            key = f'"{self.path(algorithm + ".pub.pem")}"'

        def argv_of(port):
            config = self.write(f"haproxy-{algorithm}.cfg", f"""
global
  maxconn 8192
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout tunnel 1h
  timeout http-request 15s
backend subjects
  stick-table type string len 64 size 1m expire 60s store http_req_rate(60s)
frontend front
  bind 127.0.0.1:{port}
  http-request set-var(txn.token) http_auth_bearer
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_header_query('$.alg') -m str {algorithm} }}
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify("{algorithm}",{key}) -m int 1 }}
  http-request set-var(txn.now) date()
  http-request set-var(txn.left) var(txn.token),jwt_payload_query('$.exp','int'),sub(txn.now)
  http-request deny deny_status 401 if {{ var(txn.left) -m int lt 0 }}
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.iss') -m str {ISSUER} }}
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.aud') -m str authenticated }}
  http-request track-sc0 var(txn.token),jwt_payload_query('$.sub') table subjects
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {PLENTY} }}
  default_backend up
backend up
  http-reuse always
  server u 127.0.0.1:{self.upstream.port}
""")
            return ["haproxy", "-db", "-q", "-f", config]
        return self.once(f"haproxy-{algorithm}", lambda: self.start(f"haproxy-{algorithm}", argv_of))

    def haproxy_plain(self):
        def argv_of(port):
            config = self.write("haproxy-plain.cfg", f"""
global
  maxconn 8192
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout tunnel 1h
frontend front
  bind 127.0.0.1:{port}
  default_backend up
backend up
  http-reuse always
  server u 127.0.0.1:{self.upstream.port}
""")
            return ["haproxy", "-db", "-q", "-f", config]
        return self.once("haproxy-plain", lambda: self.start("haproxy-plain", argv_of))

    def nginx_plain(self):
        """One process, no log, no buffering of bodies: nothing on."""
        def argv_of(port):
            config = self.write("nginx.conf", f"""
daemon off; master_process off; pid {self.path("nginx.pid")}; error_log /dev/null;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 0;
  client_body_temp_path {self.work}; proxy_temp_path {self.work}; fastcgi_temp_path {self.work}; uwsgi_temp_path {self.work}; scgi_temp_path {self.work};
  map $http_upgrade $up {{ default upgrade; '' ''; }}
  upstream u {{ server 127.0.0.1:{self.upstream.port}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://u; proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off;
      proxy_set_header Connection $up; proxy_set_header Upgrade $http_upgrade;
    }}
  }}
}}
""")
            return ["nginx", "-p", self.work, "-c", config]
        return self.once("nginx-plain", lambda: self.start("nginx-plain", argv_of))

    def tls_upstream(self):
        """nginx in front of the upstream, speaking TLS."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", self.path("tls.key"), "-out", self.path("tls.pem"), "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)

        def argv_of(port):
            config = self.write("nginx-tls.conf", f"""
daemon off; master_process off; pid {self.path("nginx-tls.pid")}; error_log /dev/null;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {self.work}; proxy_temp_path {self.work}; fastcgi_temp_path {self.work}; uwsgi_temp_path {self.work}; scgi_temp_path {self.work};
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {self.path("tls.pem")}; ssl_certificate_key {self.path("tls.key")};
    location / {{ default_type application/json; return 200 '{{"id":1,"name":"{"0" * 177}"}}'; }}
  }}
}}
""")
            return ["nginx", "-p", self.work, "-c", config]
        return self.once("tls-upstream", lambda: self.start("tls-upstream", argv_of, LOAD_CORE))

    def redis(self):
        return self.once("redis", lambda: self.start(
            "redis", lambda port: ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", self.work],
            LOAD_CORE))

    def fastify(self):
        def argv_of(port):
            return ["node", os.path.join(self.root, "tests", "bench", "fastify", "gateway.mjs"), str(port), f"http://127.0.0.1:{self.upstream.port}",
                    ISSUER, self.path("ES256.pub.pem"), f"redis://127.0.0.1:{self.redis().port}"]
        return self.once("fastify", lambda: self.start("fastify", argv_of))

    # ---- load

    def load(self, port, seconds, tokens=None, connections=64, path="/rest/v1/todos", method="GET", body=0, rate=0, flags=()):
        argv = ["taskset", "-c", LOAD_CORE, self.load_program, "--port", str(port), "--connections", str(connections), "--seconds", str(seconds),
                "--path", path, "--method", method, *flags]
        if tokens:
            argv += ["--tokens", tokens]
        if body:
            argv += ["--body", str(body)]
        if rate:
            argv += ["--rate", str(rate)]
        return json.loads(subprocess.check_output(argv, timeout=seconds + 60))
