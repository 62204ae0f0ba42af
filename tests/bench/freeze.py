# SPDX-License-Identifier: MIT
"""See tests/bench/freeze, which starts this."""
import concurrent.futures
import datetime
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROUNDS, MACHINES, WORKERS, CONNECTIONS, QUOTA = 21, 4, 2, 16, 20000
DEADLINE_S = 30
HERE = os.path.dirname(os.path.abspath(__file__))
TOOLS = os.path.join(HERE, "..", "..", "build", "tests", "bench")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what):
    until = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > until:
            sys.exit(f"waited {DEADLINE_S} s for {what}")
        time.sleep(0.005)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Processes:
    """What was started, and is ended by its id."""

    def __init__(self):
        self.all = []

    def start(self, command, port, **more):
        process = subprocess.Popen(command, **({"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | more))
        self.all.append(process)
        wait_until(lambda: listens(port), command[0])
        return process

    def end(self):
        for process in reversed(self.all):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.all:
            process.wait(DEADLINE_S)


class Gateway:
    def __init__(self, processes, folder, name, upstream, limit, redis=0):
        self.port, self.admin, self.log_file = free_port(), free_port(), os.path.join(folder, name + ".log")
        settings = {
            "listen": f"127.0.0.1:{self.port}", "admin": f"127.0.0.1:{self.admin}", "workers": WORKERS,
            "supabase": {"url": f"http://127.0.0.1:{upstream}"}, "limits": {"all": {"key": "global", "for": "everyone"} | limit},
            "routes": [{"path": "/open", "access": "open", "limits": ["all"]}],
            "issuers": [{"name": "bench", "issuer": "https://bench", "hs256_secret": "0123456789abcdef0123456789abcdef"}],
        }  # fmt: skip
        if redis:
            settings["redis"] = {"url": f"redis://127.0.0.1:{redis}", "mode": "exact", "on_failure": "share"}
        file = os.path.join(folder, name + ".yaml")
        with open(file, "w", encoding="utf-8") as out:
            json.dump(settings, out)
        with open(self.log_file, "wb") as log:
            processes.start([os.environ["JOTGATE"], "run", "-c", file], self.port, stdout=log, stderr=log)
        if redis:
            wait_until(lambda: self.metric("jotgate_redis_up") == WORKERS, "Redis to be found")

    def metric(self, name):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=5) as answer:
                found = re.search(rf"^{re.escape(name)} (\S+)$", answer.read().decode(), re.M)
        except urllib.error.URLError:
            return None  # it only just begins
        return float(found[1]) if found else None

    def told(self, event, since_s):
        """When the log said so first, in seconds after since_s; None: not yet."""
        with open(self.log_file, encoding="utf-8") as file:
            for line in file:
                if f'"event":"{event}"' in line:
                    at = datetime.datetime.fromisoformat(json.loads(line)["time"].replace("Z", "+00:00")).timestamp() - since_s
                    if at >= -0.01:
                        return at
        return None

    def passes(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/open", timeout=5) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return False


class Redis:
    def __init__(self, processes, folder):
        self.port = free_port()
        self.process = processes.start(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", folder], self.port)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)
        return time.time()

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)
        return time.time()

    def counted(self):
        """Calls of the one quota, as its key has them."""
        command = ["redis-cli", "-p", str(self.port)]
        key = subprocess.run([*command, "--scan", "--pattern", "*all:day"], capture_output=True, text=True, check=True, timeout=DEADLINE_S).stdout.split()
        value = subprocess.run([*command, "get", key[0]], capture_output=True, text=True, check=True, timeout=DEADLINE_S).stdout
        return int(value.split(":")[1])


def load(port, seconds, rate, connections=CONNECTIONS):
    """Even load: {status: n}, p50 and p99 in ms."""
    command = [os.path.join(TOOLS, "load"), "--port", str(port), "--path", "/open", "--connections", str(connections), "--seconds", str(seconds), "--rate", str(rate)]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + DEADLINE_S).stdout)
    return {int(status): n for status, n in said["statuses"].items()}, (said["p50_us"] / 1000, said["p99_us"] / 1000)


def quiet(turns):
    """The third of the best: whatever else the machine does only adds."""
    return sorted(turns)[2]


class Verdicts:
    n_failed = 0

    def say(self, is_good, text):
        print(("PASS  " if is_good else "FAIL  ") + text, flush=True)
        self.n_failed += not is_good


def measure_latency(verdicts, processes, folder, upstream, seconds, rate):
    redis = Redis(processes, folder)
    plenty = {"quota": "1000000000/day"}
    memory, shared = Gateway(processes, folder, "memory", upstream, plenty), Gateway(processes, folder, "shared", upstream, plenty, redis.port)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(load, shared.port, 3, rate)
        time.sleep(1)
        frozen_s = redis.freeze()
        wait_until(lambda: shared.told("Redis is away", frozen_s) is not None, "the breaker to open")
        opened_s = shared.told("Redis is away", frozen_s)
        statuses, _ = running.result()
    verdicts.say(opened_s <= 0.1 and set(statuses) == {200}, f"the breaker opened {1000 * opened_s:.0f} ms after Redis froze under {rate} requests/s; of {sum(statuses.values())} none failed")
    figures = {"memory": [], "frozen": []}
    turns = [("memory", memory), ("frozen", shared)]
    for _ in range(ROUNDS):
        for name, gateway in turns:
            figures[name].append(load(gateway.port, seconds, rate)[1])
        turns.reverse()  # neither is always the first
    p50, p99 = ({name: quiet([turn[i] for turn in figures[name]]) for name in figures} for i in (0, 1))
    added = p99["frozen"] - p99["memory"]
    verdicts.say(added <= 2, f"p99 with Redis frozen {p99['frozen']:.2f} ms, in memory {p99['memory']:.2f} ms: {added:+.2f} ms "
                 f"(the third best of {ROUNDS} turns each, of {seconds} s at {rate}/s; p50 {p50['frozen']:.2f} and {p50['memory']:.2f} ms)")  # fmt: skip
    redis.thaw()


def measure_share(verdicts, processes, folder, upstream, rate):
    redis = Redis(processes, folder)
    gateways = [Gateway(processes, folder, f"machine-{i}", upstream, {"quota": f"{QUOTA}/day"}, redis.port) for i in range(MACHINES)]
    for gateway in gateways:
        wait_until(lambda g=gateway: g.metric("jotgate_redis_machines") == MACHINES, "the machines to see one another")
    each = rate / MACHINES
    seconds = round(2 * QUOTA / rate)
    with concurrent.futures.ThreadPoolExecutor(MACHINES) as pool:
        running = [pool.submit(load, gateway.port, seconds, each) for gateway in gateways]
        time.sleep(seconds / 6)
        redis.freeze()
        statuses = [call.result()[0] for call in running]
    used = sum(status.get(200, 0) for status in statuses)
    others = {status for found in statuses for status in found} - {200, 429}
    verdicts.say(used <= 1.1 * QUOTA and not others, f"{MACHINES} machines let {used} calls pass of a quota of {QUOTA} with Redis frozen after a sixth of the time: {100 * used / QUOTA:.1f} %")
    thawed_s = redis.thaw()
    for gateway in gateways:
        wait_until(lambda g=gateway: g.told("Redis is back", thawed_s) is not None, "Redis to be used again")
    back_s = max(gateway.told("Redis is back", thawed_s) for gateway in gateways)
    verdicts.say(back_s <= 2, f"all {MACHINES * WORKERS} workers were back {back_s:.2f} s after it thawed")
    for gateway in gateways:
        wait_until(lambda g=gateway: g.metric("jotgate_redis_unsettled") == 0 and g.metric("jotgate_redis_breakers_open") == 0, "Redis to be told")
    counted, most = redis.counted(), MACHINES * CONNECTIONS
    verdicts.say(abs(counted - used) <= most, f"Redis has counted {counted} of them in the end (at most {most} were under way as it froze)")
    verdicts.say(counted < QUOTA or not gateways[0].passes(), "and lets none pass beyond the quota")


def main(seconds, rate):
    verdicts, processes = Verdicts(), Processes()
    with tempfile.TemporaryDirectory(prefix="freeze-") as folder:
        try:
            upstream = free_port()
            processes.start([os.path.join(TOOLS, "upstream"), str(upstream)], upstream)
            measure_latency(verdicts, processes, folder, upstream, seconds, rate)
            measure_share(verdicts, processes, folder, upstream, rate)
        finally:
            processes.end()
    return 1 if verdicts.n_failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
