"""An office of agents at work: the Python package's own clients, registering, heartbeating, racing for leases, campaigning,
and taking tasks from the queue; some of them fail, and one falls silent. It is what the README's picture shows, and what
looks at the whole page look at.
"""

import random
import threading
from contextlib import suppress

import grpc
from agentkeeper import AgentKeeperClient, PolicyEffect
from keeper import Client

STAFF = [
    ("anna", "Plans the week's reports and hands out the work", ["planning", "search"]),
    ("ben", "Reads web pages and extracts what they say", ["browser", "search"]),
    ("clara", "Summarizes long documents", ["summarize", "browser"]),
    ("dmitri", "Writes and runs SQL against the warehouse", ["sql", "python"]),
    ("elif", "Translates between Turkish, German and English", ["translate"]),
    ("farid", "Draws charts from tables", ["python", "charts"]),
    ("grace", "Reviews what others wrote", ["review", "search"]),
    ("hugo", "Keeps the search index fresh", ["index", "python"]),
    ("ines", "Answers mail that needs no person", ["email", "translate"]),
    ("jonas", "Reads web pages and extracts what they say", ["browser", "search"]),
]
KINDS = [("summarize", "browser"), ("translate", "translate"), ("crawl", "search"), ("chart", "python")]
REASONS = ["the model answered 529", "the page was empty", "no such column: revenue"]


class Office:
    """Works until it is closed. The seed makes the choices repeatable, though not the threads; one agent is silent from
    the start, and UNREACHABLE after so many seconds."""

    def __init__(self, port, seed=7, silent_for=2):
        self.address = ("127.0.0.1", port)
        self.seed = seed
        self.closing = threading.Event()
        self.threads = []
        self.boss = AgentKeeperClient(*self.address)
        for name, effect, subject, action, resource in [
            ("browse", PolicyEffect.ALLOW, "agent:*", "call", "tool:*"),
            ("no-mail-for-ben", PolicyEffect.DENY, "agent:ben", "call", "tool:email"),
            ("reports", PolicyEffect.ALLOW, "team:planners", "read", "report:*"),
        ]:
            self.boss.set_policy(name, subject, action, resource, effect)
        self._begin(self._boss)
        for number, (name, does, tools) in enumerate(STAFF):
            self._begin(self._work, number, name, does, tools)
            self._begin(self._take, number, name, does, tools)
        # By bare calls, so that nothing heartbeats for it.
        silent = Client(port)
        kaori = silent.agent("kaori", ttl=silent_for, description="Transcribes calls", version="2.1.0", tools=["audio"])
        silent.lease("call:2026-11-27/4", kaori, ttl_seconds=600)
        silent.close()

    def _begin(self, what, *arguments):
        self.threads.append(threading.Thread(target=self._until_closed, args=(what, *arguments), daemon=True))
        self.threads[-1].start()

    def _until_closed(self, what, *arguments):
        with suppress(grpc.RpcError, ValueError):
            what(*arguments)

    def _boss(self):
        choice = random.Random(self.seed)
        while not self.closing.is_set():
            kind, tool = choice.choice(KINDS)
            self.boss.create_task(
                kind, b"a document", required_tools=[tool], max_retries=choice.choice([0, 3, 3, 3]), ttl=30
            )
            self.closing.wait(choice.uniform(0.1, 0.6))
        self.boss.close()

    def _work(self, number, name, does, tools):
        """Races for leases, and leads or waits to."""
        choice = random.Random(self.seed * 100 + number)
        with AgentKeeperClient(*self.address) as client:
            with client.register(
                name, does, "1.4.0", tools=tools, metadata={"zone": choice.choice("ab")}, ttl=10
            ) as agent:
                client.campaign(choice.choice(["planners", "indexers", "reviewers"]), agent.agent_id)
                while not self.closing.is_set():
                    task = choice.choice(["report-", "page:/docs/", "shard-"]) + str(choice.randint(1, 30))
                    lease = client.acquire_lease(task, agent.agent_id, ttl=choice.choice([4, 10, 30, 60]))
                    for _ in range(choice.randint(1, 8)):
                        self.closing.wait(choice.uniform(0.1, 0.8))
                        client.check_policy(f"agent:{name}", "call", f"tool:{choice.choice(tools)}")
                    # Now and then a worker forgets to say that it has finished.
                    if lease and choice.random() < 0.7:
                        with suppress(grpc.RpcError):
                            lease.release()

    def _take(self, number, name, does, tools):
        """Takes tasks of the queue, as an agent of its own."""
        choice = random.Random(self.seed * 1000 + number)
        client = AgentKeeperClient(*self.address)
        agent = client.register(f"{name}-queue", does, "1.4.0", tools=tools, ttl=10)
        while not self.closing.is_set():
            task = client.claim_task(agent.agent_id)
            self.closing.wait(choice.uniform(0.5, 4))
            if choice.random() < 0.85:
                client.complete_task(task.id, agent.agent_id, b"done")
            else:
                client.fail_task(task.id, agent.agent_id, choice.choice(REASONS))

    def close(self):
        """Stops all of them. Those that wait for a task end with their process, or with the daemon."""
        self.closing.set()
