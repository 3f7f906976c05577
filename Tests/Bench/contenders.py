"""The servers of the durable benchmark: how each is started in a directory, and how locks are taken in it."""

import hashlib
import re
import shutil
import socket
import sys
import time
import urllib.request

from harness import ACQUIRE, HERE, LONGEST_TTL, REGISTER, REGISTRATION, RELEASE, Server, free_port, message

UNPACKED = HERE.parents[1] / ".build/bench"  # where .ci/setup puts servers that it does not install
TASKS = 100_000  # that the locks are on: each is free again at its next turn
FILLED = 100_000  # agents and leases, or keys, to recover
KEYS_OF_A_TRANSACTION = 100
HOLDER = "0123456789abcdef" * 2  # etcd's value: as long as an agent's id


def fields(encoded):
    """The fields of a protobuf message with numbers and byte strings only, as {number: last value}."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = encoded[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(encoded):
        key, value = varint(), varint()
        if key & 7 == 2:
            at, value = at + value, encoded[at:at + value]
        found[key >> 3] = value
    return found


def program(name):
    found = shutil.which(name) or shutil.which(name, path=UNPACKED)
    return found or sys.exit(f"bench: {name} is not there; .ci/setup bench fetches it")


class Contender:
    """One kind of server. `load` is the benchmark's way to its load generator; see durable.

    Each has:
    - command(folder): the command that serves with its data in the folder
    - locks(server): options of the load generator for the locks, once what they need is in the server
    - fill(server): puts FILLED keys into the server
    - read(server): asks for something that was filled in, until it is there
    - count(server): how many keys the server has
    """

    def __init__(self, name, load, options):
        self.name, self.load, self.options = name, load, options

    def __str__(self):
        return self.name

    def start(self, folder):
        server = Server(self.command(folder), realtime=self.options.realtime)
        server.contender = self
        return server

    def task_names(self):
        return self.load.bodies("tasks", [f"task-{i}".encode() for i in range(TASKS)])


class AgentKeeper(Contender):
    journals = {"agentkeeper": ["--sync", "full"], "agentkeeper-off": ["--sync", "off"], "agentkeeper-memory": None}

    def command(self, folder):
        self.metrics = free_port()
        journal = self.journals[self.name]
        durable = ["--data-dir", folder, *journal] if journal else []
        return [self.options.binary, "--addr", "127.0.0.1:PORT", "--metrics-addr", f"127.0.0.1:{self.metrics}",
                "--threads", 1, *durable]

    def locks(self, server):
        registration = self.load.bodies("registration", [REGISTRATION])
        registered = self.load.once(server, "-u", REGISTER, "-b", registration, "-g")
        agent = fields(bytes.fromhex(registered["first_reply"])[5:])[1].decode()
        requests = [message(_1=f"task-{i}", _2=agent, _3=60) for i in range(TASKS)]
        return ["-u", ACQUIRE, "-r", RELEASE, "-g", "-b", self.load.bodies(f"requests-{agent}", requests)]

    def fill(self, server):
        registration = self.load.bodies("registration", [REGISTRATION])
        filled = self.load.once(server, "-k", "fill", "-u", REGISTER, "-r", ACQUIRE, "-g", "-b", registration,
                                clients=64, runs=FILLED)
        self.agent = re.search("[0-9a-f]{32}", bytes.fromhex(filled["first_reply"]).decode("latin-1"))[0]

    def read(self, server):
        name = self.load.bodies("agent", [message(_1=self.agent)])
        self.load.once(server, "-u", "/agentkeeper.v1.RegistryService/GetAgent", "-g", "-b", name)

    def count(self, server):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics") as page:
            metrics = page.read().decode()
        number = lambda name: int(float(re.search(rf"^{name} (\S+)$", metrics, re.MULTILINE)[1]))
        return min(number("agentkeeper_agents_alive"), number("agentkeeper_leases_active"))


class Etcd(Contender):
    def command(self, folder):
        client, peer = "http://127.0.0.1:PORT", f"http://127.0.0.1:{free_port()}"
        return [program("etcd"), "--data-dir", folder,
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", f"default={peer}"]

    def locks(self, server):
        return ["-k", self.name, "-g", "-b", self.task_names()]

    def fill(self, server):
        put = lambda i: message(_2=message(_1=f"task-{i}", _2=HOLDER))  # RequestOp.request_put
        starts = range(0, FILLED, KEYS_OF_A_TRANSACTION)
        puts = [b"".join(message(_2=put(i)) for i in range(start, start + KEYS_OF_A_TRANSACTION)) for start in starts]
        self.load.once(server, "-u", "/etcdserverpb.KV/Txn", "-g", "-b", self.load.bodies("transactions", puts),
                       clients=8, runs=len(puts))

    def range(self, server, **request):
        body = self.load.bodies("range", [message(**request)])
        reply = self.load.once(server, "-u", "/etcdserverpb.KV/Range", "-g", "-b", body)["first_reply"]
        return fields(bytes.fromhex(reply)[5:]).get(4, 0)  # count

    def read(self, server):
        if self.range(server, _1="task-0") != 1:
            sys.exit("bench: etcd has lost a key")

    def count(self, server):
        return self.range(server, _1=b"\0", _2=b"\0", _9=1)  # all keys, counted only


class Redis(Contender):
    # The least that it takes: the token is the lock's value, and the one of an attempt that found it held is lost.
    take = """
        local token = redis.call("INCR", KEYS[2])
        if redis.call("SET", KEYS[1], token, "NX", "PX", ARGV[1]) then return token end
        return false"""
    give = 'if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0'

    def command(self, folder):
        return [program("redis-server"), "--bind", "127.0.0.1", "--port", "PORT", "--dir", folder,
                "--appendonly", "yes", "--appendfsync", "always", "--save", ""]

    def ask(self, server, *words):
        """The first line of the answer."""
        with socket.create_connection(("127.0.0.1", server.port)) as connection, connection.makefile("rwb") as stream:
            stream.write(b"*%d\r\n" % len(words))
            for word in map(str.encode, map(str, words)):
                stream.write(b"$%d\r\n%s\r\n" % (len(word), word))
            stream.flush()
            return stream.readline().decode().strip()

    def script(self, server, text):
        if self.ask(server, "SCRIPT", "LOAD", text) != "$40":
            sys.exit("bench: redis does not take the script")
        return hashlib.sha1(text.encode()).hexdigest()

    def locks(self, server):
        scripts = ["-u", self.script(server, self.take), "-r", self.script(server, self.give)]
        return ["-k", "redis", *scripts, "-b", self.task_names()]

    def fill(self, server):
        lasting = self.script(server, self.take.replace("ARGV[1]", str(LONGEST_TTL * 1000)))
        self.load.once(server, "-k", "redis", "-u", lasting, "-b", self.task_names(), clients=64, runs=FILLED)

    def read(self, server):
        while (answer := self.ask(server, "GET", "task-0")).startswith("-LOADING"):
            time.sleep(0.001)
        if answer[0] != "$" or answer == "$-1":
            sys.exit(f"bench: redis answers {answer} to GET")

    def count(self, server):
        return int(self.ask(server, "DBSIZE")[1:]) - 1  # the token's own key


CONTENDERS = {**dict.fromkeys(AgentKeeper.journals, AgentKeeper), "redis": Redis, "etcd": Etcd, "etcd-delete": Etcd}
