"""Clients that do all that clients do, at random, and write down what they were told."""

import threading

from keeper import Code, pb
from told import End

LEASES = [f"shared/{number}" for number in range(6)]
GROUPS = [f"group-{number}" for number in range(3)]
POLICIES = [f"policy-{number}" for number in range(8)]

# Nobody dies of silence here: deaths are asked for, and so can be told from lost agents.
AGENT_TTL = 86_400

# Some leases and claims run out, over the crashes too; most do not.
TTLS = (1, 2, 3600, 3600, 3600, 3600)

# How long a client waits in ClaimTask, in seconds. Running out makes one more call whose end is unknown.
CLAIM_PATIENCE = 0.05


class Worker:
    """One client. It lives longer than the daemons do: in each life it has a new connection and its old memory."""

    def __init__(self, number, random, told):
        self.name, self.random, self.told = f"worker-{number}", random, told
        self.made = 0
        self.bulk = 0  # bytes that are added to the input of each task
        self.agents = []
        self.leases = []  # (task, agent, token) that it believes to hold, or has lost, or has released
        self.claims = []  # (task, agent, token)
        self.client = None
        self.lost = False

    def live(self, client, stop):
        """Calls until it is told to stop, or the daemon is gone."""
        self.client, self.lost = client, False
        steps = [step for step, weight in STEPS for _ in range(weight)]
        while not stop.is_set() and not self.lost:
            if self.agents:
                self.random.choice(steps)(self)
            else:
                self.register()

    def tag(self, kind):
        """A text that no other call carries, so that what it made can be recognised."""
        self.made += 1
        return f"{self.name}/{kind}-{self.made}"

    def ask(self, call, **fields):
        asked = self.told.ask(self.client, call, **fields)
        self.lost |= asked.code is Code.UNAVAILABLE
        return asked

    def agent(self):
        return self.random.choice(self.agents)

    # Registry

    def register(self):
        if len(self.agents) >= 4:
            return
        card = dict(name=self.tag("agent"), tools=self.random.sample(["a", "b"], self.random.randint(0, 2)))
        asked = self.ask("Register", card=card, ttl_seconds=AGENT_TTL)
        if asked.done:
            self.agents.append(asked.reply.agent_id)

    def deregister(self):
        if len(self.agents) > 1:
            agent = self.agents.pop(self.random.randrange(len(self.agents)))
            self.ask("Deregister", agent_id=agent)
            self.leases = [each for each in self.leases if each[1] != agent]
            self.claims = [each for each in self.claims if each[1] != agent]

    def heartbeat(self):
        self.ask("Heartbeat", agent_id=self.agent())

    # Leases

    def acquire(self):
        task, agent = self.random.choice(LEASES), self.agent()
        asked = self.ask("AcquireLease", task_id=task, agent_id=agent, ttl_seconds=self.random.choice(TTLS))
        if asked.done and asked.reply.acquired:
            self.leases.append((task, agent, asked.reply.lease.token.value))

    def renew(self):
        if held := self.leases + self.claims:
            task, agent, token = self.random.choice(held)
            fields = dict(task_id=task, agent_id=agent, token=dict(value=token))
            self.ask("RenewLease", **fields, ttl_seconds=self.random.choice((0, *TTLS)))

    def release(self):
        if self.leases:
            # Mostly the newest, sometimes one that is long gone: a repeat must do no harm.
            place = -1 if self.random.random() < 0.8 else self.random.randrange(len(self.leases))
            task, agent, token = self.leases[place]
            asked = self.ask("ReleaseLease", task_id=task, agent_id=agent, token=dict(value=token))
            if asked.end is not End.UNKNOWN and self.random.random() < 0.8:
                self.leases.pop(place)

    # Elections

    def campaign(self):
        self.ask("Campaign", group=self.random.choice(GROUPS), agent_id=self.agent())

    def resign(self):
        self.ask("Resign", group=self.random.choice(GROUPS), agent_id=self.agent())

    # Policies

    def set_policy(self):
        policy = dict(id=self.random.choice(POLICIES), subject="*", action="call", resource=self.tag("resource"))
        policy["effect"] = self.random.choice((pb.POLICY_EFFECT_ALLOW, pb.POLICY_EFFECT_DENY))
        self.ask("SetPolicy", policy=policy)

    def delete_policy(self):
        self.ask("DeletePolicy", id=self.random.choice(POLICIES))

    # Tasks

    def create_task(self):
        fields = dict(type="work", input=self.tag("input").encode() + bytes(self.bulk))
        fields["max_retries"] = self.random.randint(0, 2)
        fields["required_tools"] = self.random.choice(([], [], ["a"], ["a", "b"]))
        self.ask("CreateTask", **fields, ttl_seconds=self.random.choice(TTLS))

    def claim_task(self):
        agent = self.agent()
        asked = self.ask("ClaimTask", agent_id=agent, timeout=CLAIM_PATIENCE)
        if asked.done:
            self.claims.append((asked.reply.task.id, agent, asked.reply.lease.token.value))

    def end_task(self, call, **outcome):
        if self.claims:
            task, agent, token = self.claims.pop(self.random.randrange(len(self.claims)))
            if self.random.random() < 0.5:
                outcome["token"] = dict(value=token)
            self.ask(call, task_id=task, agent_id=agent, **outcome)

    def complete_task(self):
        self.end_task("CompleteTask", output=self.tag("output").encode())

    def fail_task(self):
        self.end_task("FailTask", reason=self.tag("reason"))


STEPS = [
    (Worker.register, 2),
    (Worker.deregister, 1),
    (Worker.heartbeat, 2),
    (Worker.acquire, 8),
    (Worker.renew, 5),
    (Worker.release, 7),
    (Worker.campaign, 3),
    (Worker.resign, 3),
    (Worker.set_policy, 3),
    (Worker.delete_policy, 2),
    (Worker.create_task, 5),
    (Worker.claim_task, 5),
    (Worker.complete_task, 3),
    (Worker.fail_task, 2),
]


class Load:
    """All workers at once, each in a thread with a connection of its own."""

    def __init__(self, daemon, workers):
        self.stop = threading.Event()
        clients = [daemon.client() for _ in workers]
        pairs = zip(workers, clients)
        self.threads = [threading.Thread(target=each.live, args=(client, self.stop)) for each, client in pairs]
        for thread in self.threads:
            thread.start()

    def alive(self):
        return any(thread.is_alive() for thread in self.threads)

    def end(self):
        self.stop.set()
        self.wait()

    def wait(self):
        """Until all have found out that the daemon is gone."""
        for thread in self.threads:
            thread.join()
