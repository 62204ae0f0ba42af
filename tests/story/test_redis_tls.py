# SPDX-License-Identifier: MIT
"""TLS to Sentinels and to a Cluster, under an authority of one's own."""
from test_redis import plan
from test_redis_faults import Cluster, FaultStory, Node, SafeRedis, Sentinel, certificate, free_port, openssl_request, path, tls_options, until
from test_clusters import ClusterStory

OURS = {"ca_file": path("authority.crt")}


class SafeNode(Node):
    def __init__(self):
        self.tls_port = free_port()
        super().__init__(*tls_options(self.tls_port), "--tls-cluster", "yes", "--tls-replication", "yes")


class SafeCluster(Cluster):
    node = SafeNode

    @property
    def url(self):
        return "rediss+cluster://" + ",".join(f"localhost:{node.tls_port}" for node in self.nodes[:2])


class SafeSentinel(Sentinel):
    def __init__(self, configuration):
        self.tls_port = free_port()
        super().__init__(configuration, *tls_options(self.tls_port), "--tls-replication", "yes")


class OnACluster(ClusterStory):
    kind, on_failure = SafeCluster, "share"

    def test_a_limit_is_counted_and_a_killed_master_is_followed_by_its_replica(self):
        gateway = self.start_here(plan(quota="50/day"), **OURS)
        tokens = [self.token(sub=f"user-{i}") for i in range(6)]
        for token in tokens:
            self.assertEqual(self.statuses(2, token), [200] * 2)
        self.assertEqual([self.remaining(token) for token in tokens], [48] * 6)
        self.addCleanup(self.cluster.heal)
        dead = self.cluster.masters[0]
        self.assertEqual(dead.ask("WAIT", 1, 5000), 1)
        dead.kill()
        for token in tokens:
            self.assertEqual(self.statuses(2, token), [200] * 2)
        self.wait_for_cluster(gateway)
        self.settle()
        for token in tokens:
            self.wait_for_remaining(token, 46)


class Watched(FaultStory):
    """A master, its replica and three Sentinels, who speak TLS to one another too."""

    on_failure = "share"

    def setUp(self):
        self.redis = self.redis_here(SafeRedis, "IP:127.0.0.1,DNS:localhost", "--tls-replication", "yes")
        self.replica = self.redis_here(SafeRedis, "IP:127.0.0.1,DNS:localhost", "--tls-replication", "yes", "--replicaof", f"127.0.0.1 {self.redis.tls_port}")
        until(lambda: self.replica.ask("ROLE")[3:4] == ["connected"], "the replica to follow")
        self.sentinels = [self.sentinel() for _ in range(3)]
        until(lambda: all(len(s.ask("SENTINEL", "sentinels", "main")) == 2 and len(s.ask("SENTINEL", "replicas", "main")) == 1 for s in self.sentinels),
              "the Sentinels to know one another")  # fmt: skip

    def sentinel(self):
        sentinel = SafeSentinel(f"sentinel monitor main 127.0.0.1 {self.redis.tls_port} 2\nsentinel down-after-milliseconds main 500\n"
                                "sentinel failover-timeout main 5000\n")  # fmt: skip
        self.addCleanup(sentinel.stop)
        return sentinel

    def test_a_limit_is_counted_and_a_killed_master_is_followed_by_its_replica(self):
        url = "rediss+sentinel://" + ",".join(f"localhost:{s.tls_port}" for s in self.sentinels) + "/main"
        self.gateway_at(plan(quota="10/day"), url=url, **OURS)
        self.wait_for_redis(self.gateway)
        token = self.token()
        self.assertEqual(self.statuses(4, token), [200] * 4)
        until(lambda: len(self.replica.limit_keys()) == 1, "the replica to have it")
        self.redis.kill()
        self.wait_for_redis(self.gateway, is_up=False)
        self.assertEqual(self.statuses(2, token), [200] * 2)  # its share
        self.settle()
        self.assertEqual(self.replica.ask("ROLE")[0], "master")
        self.wait_for_remaining(token, 4)
        self.assertEqual(self.statuses(6, token), [200] * 4 + [429] * 2)


class Refused(FaultStory):
    """Whom nobody vouches for is away, and `on_failure` decides."""

    def meets(self, san, ca_file, on_failure, statuses):
        safe = self.redis_here(SafeRedis, san)
        for kind, end in (("cluster", ""), ("sentinel", "/main")):
            with self.subTest(kind):
                self.gateway_at(plan(quota="2/day"), url=f"rediss+{kind}://localhost:{safe.tls_port}{end}", ca_file=ca_file, on_failure=on_failure)
                line = self.gateway.wait_for_log(lambda line: line["event"] == "Redis is away", "the log to say so")
                self.assertEqual(line["server"], f"localhost:{safe.tls_port}")
                self.assertIn("certificate", line["reason"])
                self.assertEqual(self.statuses(3, self.token()), statuses)
                self.assertEqual(sum(line["event"] == "Redis is away" for line in self.gateway.log()), 1)
                self.gateway.stop()

    def test_another_authority(self):
        self.meets("IP:127.0.0.1,DNS:localhost", openssl_request("stranger"), "closed", [503] * 3)

    def test_a_certificate_for_another_host(self):
        certificate("localhost", "DNS:localhost")
        self.meets("DNS:redis.other", path("authority.crt"), "share", [200, 200, 429])

    def test_no_authority_of_ones_own(self):
        self.meets("IP:127.0.0.1,DNS:localhost", "", "open", [200] * 3)
