# SPDX-License-Identifier: MIT
"""Every way to Redis, and everything that goes wrong on it: real servers of the test's own, and one that is played word by word."""
import atexit
import concurrent.futures
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from harness import ask
from test_redis import SERVER, Redis, RedisStory, plan
from wire import DEADLINE_S, Door, Wire, answer_bytes, free_port, request_bytes

ADMIN_TOKEN = "an-admin-token-of-more-than-32-bytes"
FOLDER = tempfile.mkdtemp(prefix="story-redis-tls-")
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def path(name):
    return os.path.join(FOLDER, name)


def openssl_request(name, *more):
    """A new P-256 key, and a certificate for it."""
    if not os.path.exists(path(name + ".crt")):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={name}",
                        "-keyout", path(name + ".key"), "-out", path(name + ".crt"), *more], check=True, capture_output=True, timeout=60)  # fmt: skip
    return path(name + ".crt")


def certificate(name, san):
    authority = openssl_request("authority")
    return openssl_request(name, "-CA", authority, "-CAkey", path("authority.key"), "-addext", f"subjectAltName={san}",
                           "-addext", "basicConstraints=critical,CA:FALSE")  # fmt: skip


def until(condition, what, seconds=DEADLINE_S):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def tls_options(port, san="IP:127.0.0.1,DNS:localhost"):
    name = san.split(":")[1].split(",")[0]
    certificate(name, san)
    return ("--tls-port", str(port), "--tls-cert-file", path(name + ".crt"), "--tls-key-file", path(name + ".key"),
            "--tls-ca-cert-file", path("authority.crt"), "--tls-auth-clients", "no")  # fmt: skip


class SafeRedis(Redis):
    """Speaks TLS on a port of its own, besides the plain one that the test asks through."""

    def __init__(self, san="IP:127.0.0.1,DNS:localhost", *options):
        self.tls_port = free_port()
        super().__init__(*tls_options(self.tls_port, san), *options)


class FaultStory(RedisStory):
    on_failure = "closed"

    def redis_here(self, kind=Redis, *options):
        redis = kind(*options)
        self.addCleanup(redis.stop)
        return redis

    def away_lines(self):
        return [line for line in self.gateway.log() if line.get("event") == "Redis is away" and line.get("kind") == "redis"]

    def assert_away(self, reason, token=None):
        """Nobody is let in, and the log says why in clear text, once."""
        self.gateway.wait_for_log(lambda line: line.get("event") == "Redis is away", "the log to say so")
        for _ in range(3):
            self.assert_problem(self.get("/limited", token=token or self.token()), 503, "limits_unavailable")
        lines = self.away_lines()
        self.assertEqual([reason in line["reason"] for line in lines], [True] * len(lines), lines)
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(self.why(), "^Redis is away since 2.*Z: ")
        self.assertIn(reason, self.why())

    def why(self):
        answer = ask(self.gateway.admin_port, "GET", "/readyz")
        self.assertEqual((answer.status, answer.json()["ready"]), (200, True))
        return answer.json()["why"]

    def remaining(self, token, policy="main"):
        """As Redis has it; None while it is away."""
        limits = self.get("/_jotgate/usage", token=token).json().get("limits", [])
        return next((limit.get("remaining") for limit in limits if limit["policy"] == policy), None)

    def settle(self, gateway=None):
        """Redis is back, and has heard of everything."""
        gateway = gateway or self.gateway
        self.wait_for_redis(gateway)
        gateway.wait_until(lambda: gateway.metrics()["jotgate_redis_unsettled"] == 0, "Redis to be told")

    def wait_for_remaining(self, token, n):
        self.gateway.wait_until(lambda: self.remaining(token) == n, f"{n} to remain")


class Doors(FaultStory):
    """TLS, users, sockets."""

    def test_tls_with_a_private_authority_a_user_and_a_database(self):
        safe = self.redis_here(SafeRedis)
        safe.ask("ACL", "SETUSER", "gate", "on", ">p@ss/w:rd", "~jotgate:*", "+@read", "+@write", "+eval", "+evalsha", "+time", "+select")
        self.gateway_at(plan(quota="3/day"), url=f"rediss://gate:p%40ss%2Fw%3Ard@127.0.0.1:{safe.tls_port}/3", ca_file=path("authority.crt"))
        self.wait_for_redis(self.gateway)
        self.assertEqual(self.statuses(4, self.token()), [200] * 3 + [429])
        self.assertEqual(safe.limit_keys(), [])
        self.assertIn("db3:keys=", safe.ask("INFO", "keyspace"))
        for secret in ("p@ss", "p%40ss"):
            self.assertNotIn(secret, "\n".join(self.gateway.lines + self.gateway.errors))

    def test_tls_checks_the_host_by_its_name_too(self):
        safe = self.redis_here(SafeRedis, "DNS:localhost")
        self.gateway_at(plan(quota="1/day"), url=f"rediss://localhost:{safe.tls_port}", ca_file=path("authority.crt"))
        self.wait_for_redis(self.gateway)
        self.assertEqual(self.statuses(2, self.token()), [200, 429])

    def refused(self, url, reason, **more):
        self.gateway_at(plan(quota="3/day"), url=url, **more)
        self.assert_away(reason)

    def test_an_authority_that_nobody_trusts(self):
        safe = self.redis_here(SafeRedis)
        self.refused(f"rediss://127.0.0.1:{safe.tls_port}", "certificate", ca_file=openssl_request("stranger"))

    def test_a_certificate_for_another_host(self):
        safe = self.redis_here(SafeRedis, "DNS:redis.other")
        self.refused(f"rediss://127.0.0.1:{safe.tls_port}", "certificate", ca_file=path("authority.crt"))

    def test_a_wrong_password(self):
        safe = self.redis_here(SafeRedis)
        safe.ask("CONFIG", "SET", "requirepass", "opensesame")
        self.refused(f"rediss://:opensezame@127.0.0.1:{safe.tls_port}", "password", ca_file=path("authority.crt"))
        self.assertNotIn("opensezame", "\n".join(self.gateway.lines))

    def test_no_password_where_one_is_wanted(self):
        self.redis.ask("CONFIG", "SET", "requirepass", "opensesame")
        self.refused(self.redis.url, "password")

    def test_a_user_who_may_not_run_scripts(self):
        self.redis.ask("ACL", "SETUSER", "gate", "on", ">secret", "~*", "+time", "+get", "+set")
        self.gateway_at(plan(quota="3/day"), url=f"redis://gate:secret@127.0.0.1:{self.redis.port}")
        self.assert_problem(self.get("/limited", token=self.token()), 503, "limits_unavailable")
        self.assert_away("may not do what is needed")

    def test_a_plain_server_where_tls_is_wanted(self):
        self.refused(f"rediss://127.0.0.1:{self.redis.port}", "", ca_file=openssl_request("authority"))

    def test_a_tls_server_that_is_spoken_to_in_plain(self):
        safe = self.redis_here(SafeRedis)
        self.refused(f"redis://127.0.0.1:{safe.tls_port}", "")

    def test_a_unix_socket(self):
        where = os.path.join(self.redis.folder.name, "redis.sock")
        self.redis.kill()
        self.redis.options = ("--unixsocket", where)
        self.redis.spawn()
        self.gateway_at(plan(quota="2/day"), url=f"unix://{where}?db=1")
        self.wait_for_redis(self.gateway)
        self.assertEqual(self.statuses(3, self.token()), [200, 200, 429])
        self.assertIn("db1:keys=", self.redis.ask("INFO", "keyspace"))

    def test_the_operator_sees_it_go_and_come_back(self):
        redis = self.redis_here()
        self.gateway_at(plan(quota="3/day"), url=redis.url)
        self.wait_for_redis(self.gateway)
        self.assertEqual(self.why(), "")
        up = {"state": "up", "servers": 1, "up": 1, "mode": self.mode, "on_failure": "closed"}
        self.assertEqual(self.redis_status(), up)
        redis.kill()
        self.gateway.wait_until(self.why, "/readyz to name it")
        self.assertRegex(self.why(), rf"^Redis is away since 2.*Z: 127\.0\.0\.1:{redis.port}: .")
        away = self.redis_status()
        self.assertEqual((away["state"], away["servers"], away["up"], away["server"]), ("away", 1, 0, f"127.0.0.1:{redis.port}"))
        self.assertTrue(away["since"] and away["reason"])
        redis.spawn()
        self.gateway.wait_until(lambda: not self.why(), "/readyz to be content")
        self.assertEqual(self.redis_status(), up)

    def redis_status(self):
        return ask(self.gateway.admin_port, "GET", "/status").json()["redis"]

    def test_a_unix_socket_that_is_not_there(self):
        self.refused("unix:///nowhere/redis.sock", "")


def slot_of(key):
    crc = 0
    tag = key.split("{", 1)[1].split("}", 1)[0] if "{" in key else key
    for byte in tag.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc % 16384


class Watched(FaultStory):
    """A master, its replica and three Sentinels."""

    on_failure = "share"

    def setUp(self):
        super().setUp()
        self.replica = self.redis_here(Redis, "--replicaof", f"127.0.0.1 {self.redis.port}")
        until(lambda: self.role(self.replica)[3:4] == ["connected"], "the replica to follow")
        self.sentinels = [self.sentinel() for _ in range(3)]
        until(lambda: all(len(s.ask("SENTINEL", "sentinels", "main")) == 2 and len(s.ask("SENTINEL", "replicas", "main")) == 1 for s in self.sentinels),
                   "the Sentinels to know one another")  # fmt: skip

    @staticmethod
    def role(redis):
        return redis.ask("ROLE")

    def sentinel(self):
        sentinel = Sentinel(f"sentinel monitor main 127.0.0.1 {self.redis.port} 2\nsentinel down-after-milliseconds main 500\n"
                            "sentinel failover-timeout main 5000\n")  # fmt: skip
        self.addCleanup(sentinel.stop)
        return sentinel

    @property
    def url(self):
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{s.port}" for s in self.sentinels) + "/main"

    def test_a_killed_master_is_followed_by_its_replica_and_the_count_goes_on(self):
        self.gateway_at(plan(quota="10/day"), url=self.url)
        self.wait_for_redis(self.gateway)
        token = self.token()
        self.assertEqual(self.statuses(4, token), [200] * 4)
        until(lambda: len(self.replica.limit_keys()) == 1, "the replica to have it")
        self.redis.kill()
        self.wait_for_redis(self.gateway, is_up=False)
        self.assertEqual(self.statuses(2, token), [200] * 2)  # its share
        self.wait_for_redis(self.gateway)
        self.assertEqual(self.role(self.replica)[0], "master")
        self.wait_for_remaining(token, 4)
        self.assertEqual(self.statuses(6, token), [200] * 4 + [429] * 2)

    def test_a_service_that_no_sentinel_knows(self):
        self.on_failure = "closed"
        self.gateway_at(plan(quota="10/day"), url=self.url.replace("/main", "/other"))
        self.assert_away("the Sentinels do not know the service")

    def test_sentinels_that_are_gone_change_nothing_while_the_master_is_there(self):
        self.gateway_at(plan(quota="3/day"), url=self.url)
        self.wait_for_redis(self.gateway)
        for sentinel in self.sentinels:
            sentinel.kill()
        self.assertEqual(self.statuses(4, self.token()), [200] * 3 + [429])


class Sentinel(Redis):
    def __init__(self, configuration, *options):
        self.configuration = configuration
        super().__init__(*options)

    def spawn(self):
        file = os.path.join(self.folder.name, "sentinel.conf")
        with open(file, "w", encoding="utf-8") as out:
            out.write(f"port {self.port}\nbind 127.0.0.1\ndir {self.folder.name}\n" + self.configuration)
        self.listen([SERVER, file, "--sentinel", *self.options])


class Node(Redis):
    def __init__(self, *options):
        self.bus_port = free_port()
        super().__init__("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port), "--cluster-node-timeout", "1000",
                         "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0", *options)  # fmt: skip
        self.id = self.ask("CLUSTER", "MYID")


class Cluster:
    """Three masters, each with a replica; the slots are split as redis-cli does."""

    RANGES = [(0, 5460), (5461, 10922), (10923, 16383)]
    node = Node

    def __init__(self):
        self.nodes = []
        try:
            for _ in range(6):
                self.nodes.append(self.node())
            self.join()
        except BaseException:
            self.stop()
            raise

    def join(self):
        for epoch, node in enumerate(self.nodes, 1):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for node, (first, last) in zip(self.nodes, self.RANGES):
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self.nodes[0].bus_port)
        until(lambda: all("cluster_known_nodes:6" in node.ask("CLUSTER", "INFO") for node in self.nodes), "the nodes to meet")
        for master, replica in zip(self.nodes[:3], self.nodes[3:]):
            until(lambda m=master, r=replica: m.id in r.ask("CLUSTER", "NODES"), "a replica to know its master")
            replica.ask("CLUSTER", "REPLICATE", master.id)
        until(lambda: all("cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes), "the Cluster")
        until(lambda: all(replica.ask("ROLE")[3:4] == ["connected"] for replica in self.nodes[3:]), "the replicas to follow")

    @property
    def url(self):
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])

    def keeper(self, slot):
        """The master that has it; of a pair either, after a failover."""
        at = next(i for i, (first, last) in enumerate(self.RANGES) if first <= slot <= last)
        found = []

        def look():
            pair = [node for node in (self.nodes[at], self.nodes[at + 3]) if node.process.poll() is None]
            found[:] = [node for node in pair if node.ask("ROLE")[0] == "master"]
            return len(found) == 1

        until(look, "a master")
        return found[0]

    @property
    def masters(self):
        return [self.keeper(first) for first, _last in self.RANGES]

    def keys(self):
        return sorted(key for node in self.nodes[:3] for key in node.limit_keys())

    def heal(self):
        """As it was at the start, but that a replica may be the master now."""
        for node in self.nodes:
            node.signal(signal.SIGCONT)
            if node.process.poll() is not None:
                node.spawn()
        for node in self.nodes:
            node.ask("CONFIG", "SET", "cluster-require-full-coverage", "yes")
            node.ask("CONFIG", "SET", "cluster-replica-no-failover", "no")
        until(lambda: all("cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes), "the Cluster to heal")
        until(lambda: sorted(self.rank(node) for node in self.nodes) == ["connected"] * 3 + ["master"] * 3, "the replicas to follow")

    @staticmethod
    def rank(node):
        """master, or how it stands to its own."""
        role = node.ask("ROLE")
        return role[0] if role[0] == "master" else role[3]

    def stop(self):
        for node in self.nodes:
            node.stop()


class OnACluster(FaultStory):
    env = {"JOTGATE_ADMIN_TOKEN": ADMIN_TOKEN}

    def setUp(self):
        super().setUp()
        self.cluster = Cluster()
        self.addCleanup(self.cluster.stop)

    def start_on_cluster(self, quota="100/day", more=None, **redis):
        self.gateway_at(plan(quota=quota), url=self.cluster.url, more=more, **redis)
        self.gateway.wait_until(lambda: self.gateway.metrics()["jotgate_redis_up"] == 6, "three masters for two workers")
        return self.gateway

    def key_of(self, subject):
        return "jotgate:{subject:%s}plan/default/main:day" % subject

    def subject_in(self, node):
        first, last = Cluster.RANGES[self.cluster.nodes.index(node)]
        return next(s for s in (f"user-{i}" for i in range(1000)) if first <= slot_of(self.key_of(s)) <= last)

    def test_what_one_key_kind_refuses_another_gives_back(self):
        tight = {"per_ip": {"key": "ip", "quota": "5/day"}, "everybody": {"key": "global", "quota": "100/day"}}
        route = {"path": "/limited", "access": "public", "upstream": "@PROJECT@", "limits": ["per_ip", "everybody", "plan"]}
        self.start_on_cluster("3/day", more={"limits": tight, "routes": [route]})
        tokens = [self.token(sub=f"user-{i}") for i in range(3)]
        self.assertEqual(self.statuses(5, tokens[0]), [200] * 3 + [429] * 2)
        self.assertEqual(self.statuses(3, tokens[1]), [200] * 2 + [429])
        self.assertEqual(self.statuses(2, tokens[2]), [429] * 2)
        for policy, left in (("per_ip", 0), ("everybody", 95), ("main", 3)):
            self.gateway.wait_until(lambda p=policy, n=left: self.remaining(tokens[2], p) == n, f"{left} of {policy} to remain")
        self.assertEqual(self.remaining(tokens[1]), 1)

    def test_scripts_that_every_node_forgot(self):
        self.start_on_cluster()
        tokens = [self.token(sub=self.subject_in(node)) for node in self.cluster.nodes[:3]]
        for token in tokens:
            self.assertEqual(self.statuses(2, token), [200] * 2)
        for node in self.cluster.nodes[:3]:
            node.ask("SCRIPT", "FLUSH")
        for token in tokens:
            self.assertEqual(self.statuses(2, token), [200] * 2)
            self.assertEqual(self.remaining(token), 96)

    def test_a_slot_that_moves_under_the_count(self):
        gateway = self.start_on_cluster()
        source, target = self.cluster.nodes[0], self.cluster.nodes[1]
        subject = self.subject_in(source)
        slot, token = slot_of(self.key_of(subject)), self.token(sub=subject)
        self.assertEqual(self.statuses(2, token), [200] * 2)
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        self.assertEqual(self.statuses(2, token), [200] * 2)  # still there
        source.ask("MIGRATE", "127.0.0.1", target.port, self.key_of(subject), 0, 5000)
        self.assertEqual(self.statuses(2, token), [200] * 2)  # ASK
        for node in (target, source, self.cluster.nodes[2]):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)
        self.assertEqual(self.statuses(2, token), [200] * 2)  # MOVED
        self.assertEqual(self.remaining(token), 92)
        self.assertEqual(gateway.metrics()['jotgate_redis_calls_total{verdict="error"}'], 0)
        self.assertEqual(gateway.metrics()['jotgate_limits_degraded_total{how="closed"}'], 0)
        self.assertEqual(target.ask("CLUSTER", "COUNTKEYSINSLOT", slot), 1)

    def test_a_killed_master_its_replica_goes_on_and_the_others_never_stop(self):
        gateway = self.start_on_cluster()
        dead, alive = self.cluster.nodes[0], self.cluster.nodes[1]
        lost, kept = self.token(sub=self.subject_in(dead)), self.token(sub=self.subject_in(alive))
        self.assertEqual(self.statuses(3, lost), [200] * 3)
        self.assertEqual(dead.ask("WAIT", 1, 5000), 1)
        dead.kill()
        self.assertEqual(self.statuses(3, kept), [200] * 3)
        gateway.wait_until(lambda: self.statuses(1, lost) == [200], "the replica to be used")
        gateway.wait_until(lambda: (self.remaining(lost) or 100) <= 96, "what was counted before to stand")
        self.assertEqual(self.cluster.nodes[3].ask("ROLE")[0], "master")

    def test_the_feed_is_read_on_a_cluster_and_after_its_master_was_killed(self):
        first = self.start_on_cluster()
        second = self.start_on_cluster()
        tokens = [self.token(sub=name) for name in ("ada", "bob")]

        def status(gateway, token):
            return ask(gateway.port, "GET", "/limited", [("Authorization", f"Bearer {token}")]).status

        def deny(subject):
            body = json.dumps({"subject": subject, "for": "1h"}).encode()
            return ask(first.port, "POST", "/_jotgate/deny", [("Authorization", f"Bearer {ADMIN_TOKEN}")], body).status

        self.assertEqual([status(second, token) for token in tokens], [200, 200])
        self.assertEqual(deny("ada"), 200)
        for gateway in (first, second):
            gateway.wait_until(lambda g=gateway: status(g, tokens[0]) == 403, "the denial to be seen")
        keeper = self.cluster.keeper(slot_of("jotgate:{feed}log"))
        self.assertEqual(keeper.ask("WAIT", 1, 5000), 1)
        keeper.kill()
        for gateway in (first, second):
            gateway.wait_until(lambda: deny("bob") == 200, "a master that takes it")
            gateway.wait_until(lambda g=gateway: status(g, tokens[1]) == 403, "the second denial to be seen")
            self.assertEqual(status(gateway, tokens[0]), 403)


class Between:
    """Stands before a real server and passes everything on; what it says to a script the test decides: bytes, or a function of the connection."""

    def __init__(self, redis):
        self.redis = redis
        self.answer, self.greeting = None, None
        self.n_lost, self.tellings = 0, []  # replies to tellings that are still to be lost; all that came
        self.connections = []
        self.door = Door(self.take)

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.door.port}"

    def take(self, connection):
        self.connections.append(connection)
        threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError, ValueError, IndexError), connection, connection.makefile("rb") as stream:
            with socket.create_connection(("127.0.0.1", self.redis.port), DEADLINE_S) as server, server.makefile("rb") as replies:
                while command := self.one(stream):
                    answer = self.answer_to(command)
                    if answer is None:
                        server.sendall(command)
                        answer = self.one(replies)
                    if b":told:" in command and self.is_lost(command, answer):
                        return
                    if callable(answer):
                        answer(connection)
                    else:
                        connection.sendall(answer)

    def one(self, stream):
        """A command or a reply, as it is."""
        line = stream.readline()
        if line[:1] == b"$" and line != b"$-1\r\n":
            return line + stream.read(int(line[1:]) + 2)
        if line[:1] == b"*":
            return line + b"".join(self.one(stream) for _ in range(int(line[1:])))
        return line

    def answer_to(self, command):
        words = command.split(b"\r\n")[2::2]
        if words[0] == b"TIME":
            return self.greeting
        return self.answer if words[0] in (b"EVAL", b"EVALSHA") else None

    def is_lost(self, command, answer):
        if answer.startswith(b"-NOSCRIPT"):
            return False
        self.tellings.append(command.split(b":told:")[1][:16])
        self.n_lost -= 1
        return self.n_lost >= 0

    def close(self):
        self.door.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def trickle(connection):
    """A reply that never comes to its end."""
    connection.sendall(b"*4\r\n")
    for _ in range(1000):
        connection.sendall(b":")
        time.sleep(0.05)


def flood(connection):
    for _ in range(64):
        connection.sendall(b"$100000000\r\n" + b"x" * 65536)


class Nonsense(FaultStory):
    """Whatever it answers instead of a count, though what only reads is answered: nobody is let in, nobody waits for long, and the log has one line.
    Only a line that was good for a second may be called back, and away again."""

    def setUp(self):
        super().setUp()
        self.fake = Between(self.redis)
        self.addCleanup(self.fake.close)

    def meets(self, answer, reason, greeting=None, timeout="5s"):
        self.gateway_at(plan(quota="100/day"), url=self.fake.url, more={"workers": 1}, timeout=timeout)
        self.wait_for_redis(self.gateway)
        self.assertEqual(self.statuses(1, self.token()), [200])
        began = time.monotonic()
        self.fake.answer, self.fake.greeting = answer, greeting
        self.assertEqual(self.statuses(4, self.token()), [503] * 4)
        self.assertLess(time.monotonic() - began, DEADLINE_S / 2)
        self.gateway.wait_for_log(lambda line: line.get("event") == "Redis is away", "the log to say so")
        for line in self.away_lines():
            self.assertIn(reason, line["reason"])
        for _ in range(10):
            self.assertEqual(self.statuses(1, self.token()), [503])
        self.assertLessEqual(len(self.away_lines()), 1 + (time.monotonic() - began) // 1, self.away_lines())
        self.fake.answer = self.fake.greeting = None
        self.gateway.wait_until(lambda: self.statuses(1, self.token()) == [200], "it to be trusted again")

    def test_loading(self):
        self.meets(b"-LOADING Redis is loading the dataset in memory\r\n", "loading its data")

    def test_loading_from_the_greeting_on(self):
        self.meets(b"-LOADING Redis is loading the dataset in memory\r\n", "loading its data", b"-LOADING Redis is loading the dataset in memory\r\n")

    def test_readonly(self):
        self.meets(b"-READONLY You can't write against a read only replica.\r\n", "replica")

    def test_readonly_inside_a_script(self):
        self.meets(b"-ERR Error running script (call to f_1): @user_script:3: -READONLY You can't write against a read only replica.\r\n", "replica")

    def test_out_of_memory(self):
        self.meets(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "memory is full")

    def test_busy(self):
        self.meets(b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n", "script keeps it busy")

    def test_cannot_save(self):
        self.meets(b"-MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.\r\n", "cannot save")

    def odd(self, answer):
        """What it says is Redis' protocol, and no count: nobody is let in; as it may be about one key, nothing else stops."""
        self.gateway_at(plan(quota="100/day"), url=self.fake.url, more={"workers": 1})
        self.wait_for_redis(self.gateway)
        self.assertEqual(self.statuses(1, self.token()), [200])
        self.fake.answer = answer
        self.assertEqual(self.statuses(4, self.token()), [503] * 4)
        said = "Redis answers what is no count; on_failure decides, as if it were away"
        self.gateway.wait_for_log(lambda line: line["event"] == said, "the log to say so")
        self.assertEqual(self.gateway.metrics()["jotgate_redis_odd_answers_total"], 4)
        self.assertEqual(sum(line["event"] == said for line in self.gateway.log()), 1)
        self.fake.answer = None
        self.assertEqual(self.statuses(1, self.token()), [200])

    def test_an_error_of_the_script_itself(self):
        self.odd(b"-ERR user_script:1: something is wrong script: 0123, on @user_script:1.\r\n")

    def test_scripts_that_are_never_known(self):
        self.odd(b"-NOSCRIPT No matching script. Please use EVAL.\r\n")

    def test_redirections_without_a_cluster(self):
        self.meets(b"-MOVED 1 127.0.0.1:1\r\n", "redis+cluster://")

    def test_another_protocol(self):
        self.meets(b"HTTP/1.1 400 Bad Request\r\n\r\n", "protocol")

    def test_binary(self):
        self.meets(bytes(range(256)) * 20, "protocol")

    def test_an_answer_of_another_shape(self):
        self.odd(b"+OK\r\n")

    def test_numbers_that_cannot_be(self):
        self.odd(b"*6\r\n:1\r\n:1\r\n:-5\r\n:9223372036854775807\r\n:0\r\n:0\r\n")

    def test_too_few_numbers(self):
        self.odd(b"*2\r\n:1700000000000000\r\n:1\r\n")

    def test_arrays_in_arrays(self):
        self.meets(b"*1\r\n" * 5000, "")

    def test_a_huge_text(self):
        self.meets(b"$900000000\r\n" + b"x" * 200000, "larger")

    def test_a_huge_array(self):
        self.meets(b"*900000000\r\n", "larger")

    def test_a_flood(self):
        self.meets(flood, "larger")

    def test_answers_that_nobody_asked_for(self):
        self.meets(b":1\r\n" * 50, "")

    def test_silence(self):
        self.meets(lambda connection: None, "no reply in time", timeout="250ms")

    def test_a_reply_that_trickles(self):
        self.meets(trickle, "no reply", timeout="250ms")

    def test_a_closed_door(self):
        self.meets(lambda connection: connection.shutdown(socket.SHUT_RDWR), "closed")


class Unable(FaultStory):
    """A real server that cannot, and can again."""

    def begins(self, quota):
        self.begin(quota=quota)
        self.mine = self.token()
        self.assertEqual(self.statuses(1, self.mine), [200])

    def meets(self, reason):
        self.assertEqual(self.statuses(2, self.mine), [503] * 2)
        self.gateway.wait_for_log(lambda line: line.get("event") == "Redis is away", "the log to say so")
        for line in self.away_lines():
            self.assertIn(reason, line["reason"])

    def goes_on(self, remaining):
        self.gateway.wait_until(lambda: self.get("/limited", token=self.token(sub="prober")).status == 200, "Redis to be used again")
        self.wait_for_remaining(self.mine, remaining)

    def test_its_memory_is_full(self):
        self.begins("100/day")
        self.redis.ask("CONFIG", "SET", "maxmemory", "1")
        self.meets("memory is full")
        self.redis.ask("CONFIG", "SET", "maxmemory", "0")
        self.goes_on(99)

    def test_it_became_a_replica(self):
        self.begins("100/day")
        self.redis.ask("CONFIG", "SET", "replica-serve-stale-data", "yes")
        self.redis.ask("REPLICAOF", "127.0.0.1", free_port())
        self.meets("replica")
        self.redis.ask("REPLICAOF", "NO", "ONE")
        self.goes_on(99)

    def test_a_script_of_somebody_else_keeps_it_busy(self):
        self.begins("100/day")
        self.redis.ask("CONFIG", "SET", "busy-reply-threshold", "50")
        with socket.create_connection(("127.0.0.1", self.redis.port), DEADLINE_S) as other:
            other.sendall(b"*3\r\n$4\r\nEVAL\r\n$17\r\nwhile true do end\r\n$1\r\n0\r\n")
            self.meets("")
            self.redis.ask("SCRIPT", "KILL")
        self.goes_on(99)

    def test_killed_and_restarted_it_counts_anew_and_every_key_expires(self):
        self.begin(quota="3/day")
        token = self.token()
        self.assertEqual(self.statuses(4, token), [200] * 3 + [429])
        self.redis.kill()
        self.wait_for_redis(self.gateway, is_up=False)
        self.assertEqual(self.statuses(1, token), [503])
        self.redis.spawn()
        self.wait_for_redis(self.gateway)
        self.assertEqual(self.statuses(4, token), [200] * 3 + [429])  # NOSCRIPT has healed
        for key in self.redis.ask("KEYS", "*"):
            self.assertGreater(self.redis.ask("PTTL", key), 0, key)

    def test_a_key_that_holds_something_else(self):
        self.begins("3/day")
        key = next(key for key in self.redis.limit_keys() if "plan/" in key)
        self.redis.ask("SET", key, "nonsense")
        self.assertEqual(self.statuses(1, self.mine), [200])
        self.redis.ask("DEL", key)
        self.redis.ask("LPUSH", key, "a", "list")
        self.assertEqual(self.statuses(1, self.mine), [503])
        self.assertEqual(self.statuses(1, self.token(sub="somebody-else")), [200])


class Frozen(FaultStory):
    def under_load(self, seconds, token):
        """Four clients that call without a pause: how each of their calls ended."""
        until = time.monotonic() + seconds
        request = request_bytes("GET", "/limited", {"Authorization": f"Bearer {token}"})

        def call():
            found = []
            with Wire.to(self.gateway.port) as wire:
                while time.monotonic() < until:
                    wire.send(request)
                    found.append(wire.answer().status)
            return found

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return [status for found in [pool.submit(call) for _ in range(4)] for status in found.result()]

    def test_what_it_had_buffered_changes_nothing(self):
        """Closed: each 200 was counted, each 503 was not."""
        self.begin(quota="100000/day")
        token = self.token()
        self.redis.ask("CLIENT", "NO-EVICT", "off")
        timers = [threading.Timer(at, self.redis.signal, [number]) for at, number in ((0.5, signal.SIGSTOP), (2.0, signal.SIGCONT))]
        for timer in timers:
            timer.start()
        statuses = self.under_load(4, token)
        for timer in timers:
            timer.join()
        self.wait_for_redis(self.gateway)
        self.assertEqual(set(statuses), {200, 503})
        self.assertEqual(statuses[-1], 200)
        self.assertIn(100000 - self.remaining(token) - statuses.count(200), range(5))  # those under way as it froze
        self.assertGreater(self.gateway.metrics()['jotgate_redis_calls_total{verdict="late"}'], 0)

    def test_a_share_of_what_was_left_passes_and_is_told_once(self):
        """What passed while it was frozen is counted when it thaws, each call once, whatever it had buffered."""
        self.on_failure = "share"
        self.begin(quota="100000/day")
        token = self.token()
        timers = [threading.Timer(at, self.redis.signal, [number]) for at, number in ((0.5, signal.SIGSTOP), (2.0, signal.SIGCONT))]
        for timer in timers:
            timer.start()
        statuses = self.under_load(4, token)
        for timer in timers:
            timer.join()
        self.assertEqual(set(statuses), {200})
        self.settle()
        self.assertGreater(self.gateway.metrics()['jotgate_limits_degraded_total{how="share"}'], 0)
        self.assertLessEqual(abs(100000 - self.remaining(token) - len(statuses)), 4)  # those under way as it froze


class Settling(FaultStory):
    """What passed as a share while Redis was away."""

    on_failure = "share"

    def away(self, *gateways):
        self.redis.kill()
        for gateway in gateways:
            self.wait_for_redis(gateway, is_up=False)

    def test_it_is_counted_when_redis_is_back(self):
        self.begin(quota="10/day")
        tokens = [self.token() for _ in range(3)]
        self.away(self.gateway)
        for token in tokens:
            self.assertEqual(self.statuses(3, token), [200] * 3)
        self.redis.spawn()
        self.settle()
        for token in tokens:
            self.assertEqual(self.remaining(token), 7)
            self.assertEqual(self.statuses(8, token), [200] * 7 + [429])

    def test_what_was_refused_or_only_looked_at_is_not(self):
        self.begin(quota="2/day")
        token = self.token()
        self.away(self.gateway)
        self.assertEqual(self.statuses(5, token), [200] * 2 + [429] * 3)
        self.assertIsNone(self.remaining(token))
        self.redis.spawn()
        self.settle()
        self.assertEqual(self.redis.ask("GET", next(k for k in self.redis.limit_keys() if k.endswith(":day"))).split(":")[1], "2")

    def test_the_parts_of_several_machines_add_up(self):
        first, second = self.begin(quota="100/day"), self.begin(quota="100/day")
        for gateway in (first, second):
            gateway.wait_until(lambda g=gateway: g.metrics()["jotgate_redis_machines"] == 2, "the other machine")
        token = self.token()
        self.away(first, second)
        passed = [self.statuses(60, token, gateway).count(200) for gateway in (first, second)]
        self.assertEqual(passed, [50, 50])
        self.redis.spawn()
        for gateway in (first, second):
            self.settle(gateway)
        self.assertEqual(self.statuses(1, token, first) + self.statuses(1, token, second), [429, 429])

    def test_time_pays_for_a_rate(self):
        """An hour of calls is not an hour of debt: what has leaked away meanwhile is not told."""
        self.begin(rate="10/second", burst=10)
        token = self.token()
        self.away(self.gateway)
        until = time.monotonic() + 3
        passed = 0
        while time.monotonic() < until:
            passed += self.statuses(5, token).count(200)
            time.sleep(0.05)
        self.assertGreater(passed, 20)
        self.redis.spawn()
        self.settle()
        self.gateway.wait_until(lambda: self.statuses(1, token) == [200], "a call to pass", 3)

    def test_what_an_answer_said_it_cost_is_told_too(self):
        route = {"path": "/limited", "access": "public", "upstream": "@PROJECT@", "limits": ["plan"], "cost": {"reserve": 5, "settle": "header:x-cost"}}
        self.gateway_at(plan(quota="100/day"), more={"routes": [route]})
        self.wait_for_redis(self.gateway)
        self.project.handler = lambda request, wire: answer_bytes(200, b"", [("X-Cost", "12")])
        token = self.token()
        self.away(self.gateway)
        self.assertEqual(self.statuses(2, token), [200] * 2)
        self.redis.spawn()
        self.settle()
        self.assertEqual(self.remaining(token), 100 - 24)

    def test_a_telling_whose_answer_is_lost_is_told_again_and_counted_once(self):
        between = Between(self.redis)
        self.addCleanup(between.close)
        self.gateway_at(plan(quota="100/day"), url=between.url)
        self.wait_for_redis(self.gateway)
        token = self.token()
        between.answer = b"-LOADING Redis is loading the dataset in memory\r\n"
        self.assertEqual(self.statuses(7, token), [200] * 7)
        between.n_lost, between.answer = 2, None
        self.gateway.wait_until(lambda: len(between.tellings) == 3, "the third telling")
        self.wait_for_remaining(token, 93)
        self.settle()
        self.assertEqual((len(between.tellings), len(set(between.tellings))), (3, 1))

    def test_a_gateway_that_ends_before_says_so(self):
        self.begin(quota="10/day")
        token = self.token()
        self.away(self.gateway)
        self.assertEqual(self.statuses(3, token), [200] * 3)
        self.gateway.stop()
        line = next(line for line in self.gateway.log() if line["event"].startswith("Redis was never told"))
        self.assertEqual((line["counters"], line["calls"]), (1, 3))
