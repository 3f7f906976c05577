"""One data directory, and all that was ever told about it, over as many lives of the daemon as it has."""

import uuid

from compare import Comparison
from keeper import Watcher, payload, pb, seconds
from lives import kill, start
from told import Told
from workload import GROUPS, LEASES, Load, Worker
from world import ROUNDING, World, require

# More than a test makes, so that the end of it can read everything once more.
HISTORY = 1_000_000


class Candidacies:
    """Who must be, and who may be, in line in one group, and since when: as far as answers tell.

    Each agent's calls come from one client, one after the other; only those whose answers were lost leave a doubt.
    """

    def __init__(self, group):
        self.group = group
        self.line = {}  # agent → [not before, not after, surely]

    def learn(self, calls):
        for call in sorted(calls, key=lambda call: call.sent):
            if call.call not in ("Campaign", "Resign") or call.fields["group"] != self.group:
                continue
            agent = call.fields["agent_id"]
            if call.call == "Campaign":
                place = self.line.setdefault(agent, [call.sent, float("inf"), False])
                if call.done:
                    place[1:] = min(place[1], call.ended), True
            elif call.done:
                self.line.pop(agent, None)
            elif agent in self.line:
                self.line[agent][1:] = float("inf"), False

    def check(self, leader):
        """That this agent, and nobody that came before it, is first."""
        if not leader:
            sure = [agent for agent, (_, _, surely) in self.line.items() if surely]
            require(not sure, f"nobody leads {self.group}, and there are candidates: {sure}")
            return
        require(leader in self.line, f"{leader} leads {self.group}, and is no candidate")
        first = self.line[leader][0]
        for agent, (_, latest, surely) in self.line.items():
            require(agent == leader or not surely or latest >= first, f"{agent} was before {leader} in {self.group}")


class Survivor:
    def __init__(self, directory, random, workers=6, begin=start, no_room=()):
        """`no_room`: the calls that may be refused because the disk is full."""
        self.directory, self.random, self.begin = directory, random, begin
        self.flags = (f"--event-history={HISTORY}",)
        self.told, self.world = Told(), World()
        self.comparison = Comparison(self.world, no_room)
        self.workers = [Worker(number, type(random)(random.random()), self.told) for number in range(workers)]
        self.candidacies = [Candidacies(group) for group in GROUPS]
        self.compared_calls = self.compared_events = 0
        self.watcher = self.prober = self.daemon = self.client = None

    # A life

    def open(self, **options):
        """Starts a daemon, and compares what it says with all that was told by those before."""
        self.daemon = self.begin(self.directory, *self.flags, **options)
        self.client = self.daemon.client()
        self.watch()
        if self.prober is None:
            asked = self.told.ask(self.client, "Register", card=dict(name="prober"), ttl_seconds=86_400)
            require(asked.done, f"no agent for the comparison: {asked}")
            self.prober = asked.reply.agent_id
        self.catch_up()

    def watch(self):
        self.watcher = Watcher(self.client.WatchEvents(after_sequence=self.world.sequence, timeout=None))

    def load(self, calls):
        """All clients at once, until so many more calls were answered; they go on."""
        load = Load(self.daemon, self.workers)
        self.told.wait_for(len(self.told.calls) + calls, load.alive)
        return load

    def kill(self, load=None):
        """The end, in the midst of it."""
        require(load is None or load.alive(), "the clients were left without a daemon before it was killed")
        kill(self.daemon, load.wait if load else lambda: None)
        self.read_on(lambda event: event is None)

    def stop(self):
        """The end in good order."""
        require(self.daemon.stop() == 0, f"no good end:\n{self.daemon.output()}")
        self.read_on(lambda event: event is None)

    # What it says

    def read_on(self, is_last):
        while True:
            event = self.watcher.next()
            if event is not None:
                self.world.apply(event)
            if is_last(event):
                return
            require(event is not None, f"the events ended: {self.watcher.error}")

    def follow(self):
        """Reads all events until now."""
        # No other survivor of the same directory, or of a copy of it, must have set the same mark.
        policy = dict(id="marker", subject="*", action="mark", resource=f"marker-{uuid.uuid4()}")
        marker = self.told.ask(self.client, "SetPolicy", policy=policy | dict(effect=pb.POLICY_EFFECT_ALLOW))
        require(marker.done, f"not even a policy can be set: {marker}")
        self.read_on(lambda event: event and event.topic == "policy.set" and payload(event) == marker.reply.policy)
        self.world.settled()

    def catch_up(self):
        """Reads all events until now, and compares everything up to here."""
        self.follow()
        calls, events = self.told.calls[self.compared_calls :], self.world.events[self.compared_events :]
        self.comparison.life(calls, events)
        for candidacies in self.candidacies:
            candidacies.learn(calls)
            for agent in [each for each in candidacies.line if self.world.agents[each].status == pb.AGENT_STATUS_DEAD]:
                del candidacies.line[agent]
        self.compared_calls, self.compared_events = len(self.told.calls), len(self.world.events)

    # What is there

    def check_state(self, of_all=False):
        """Everything that can be read is as the events had it. While nobody else makes calls."""
        self.check_tasks()
        self.check_policies()
        self.check_agents(of_all)
        self.check_leases()
        for candidacies in self.candidacies:
            self.check_election(candidacies.group)

    def check_tasks(self):
        tasks, page = {}, ""
        while True:
            reply = self.client.ListTasks(page_size=5_000, page_token=page)
            tasks |= {task.id: task for task in reply.tasks}
            if not (page := reply.next_page_token):
                break
        claimed = {id for id, task in self.world.tasks.items() if task.status == pb.TASK_STATUS_CLAIMED}
        require(tasks.keys() == self.world.tasks.keys(), "tasks were lost, or came from nowhere")
        for id, task in tasks.items():
            # A claim can run out between the events and this reading: the comparison after this one will tell.
            same = task == self.world.tasks[id] or id in claimed and task.status == pb.TASK_STATUS_PENDING
            require(same, f"this task is\n{task}and should be\n{self.world.tasks[id]}")

    def check_policies(self):
        found = list(self.client.ListPolicies().policies)
        expected = [policy for _, policy in sorted(self.world.policies.items())]
        require(found == expected, f"the policies are\n{found}\nand should be\n{expected}")

    def check_agents(self, of_all):
        alive = {id for id, agent in self.world.agents.items() if agent.status == pb.AGENT_STATUS_ALIVE}
        found = {agent.agent_id for agent in self.client.Find().agents}
        require(found == alive, f"alive are {found}, and should be {alive}")
        for id in self.world.agents if of_all else alive:
            agent, expected = self.client.GetAgent(agent_id=id).agent, self.world.agents[id]
            same = agent.card == expected.card and agent.registered_at == expected.registered_at
            require(same and agent.status == expected.status, f"this agent is\n{agent}and should be\n{expected}")

    def check_leases(self):
        """By trying to take each. What a probe changes is in the next comparison, like every other call."""
        for task in LEASES:
            asked = self.told.ask(self.client, "AcquireLease", task_id=task, agent_id=self.prober)
            require(asked.done, f"{asked}")
            lease, expected = asked.reply.lease, self.world.leases.get(task)
            if asked.reply.acquired:
                held = dict(task_id=task, agent_id=self.prober, token=dict(value=lease.token.value))
                require(self.told.ask(self.client, "ReleaseLease", **held).done, "a lease just acquired was lost")
                continue
            require(expected is not None, f"held, and should be free:\n{lease}")
            same = lease.token == expected.token and lease.holder_agent_id == expected.holder_agent_id
            require(same, f"this lease is\n{lease}and should be\n{expected}")
            kept = seconds(lease.expires_at) >= seconds(expected.expires_at) - ROUNDING
            require(kept, f"this lease was shortened:\n{lease}and should be\n{expected}")

    def leader(self, group):
        stream = self.client.WatchElection(group=group)
        event = next(stream)
        stream.cancel()
        return event, payload(event)

    def check_election(self, group):
        if group in self.world.elections:
            event, state = self.leader(group)
            expected, sequence = self.world.elections[group]
            require(state == expected, f"this election is\n{state}and should be\n{expected}")
            require(event.sequence_number == sequence, f"last changed by event {sequence}, not {event.sequence_number}")

    def drain_election(self, candidacies):
        """Who leads resigns, until nobody is left: so the whole line is seen, in its order."""
        if candidacies.group not in self.world.elections:
            return
        while True:
            _, state = self.leader(candidacies.group)
            candidacies.check(state.leader_agent_id)
            if not state.leader_agent_id:
                return
            fields = dict(group=state.group, agent_id=state.leader_agent_id)
            asked = self.told.ask(self.client, "Resign", **fields)
            require(asked.done, f"the leader cannot resign: {asked}")
            candidacies.line.pop(state.leader_agent_id)

    def check_history(self):
        """All events of all lives, read once more from the first, are those that were seen as they happened."""
        stream = self.client.WatchEvents(after_sequence=0)
        for seen, _ in self.world.events:
            event = next(stream)
            require(event == seen, f"this event is\n{event}and was\n{seen}")
        stream.cancel()
