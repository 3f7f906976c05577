"""The world as the events tell it: what a daemon must know after it has said so much.

A watcher that resumes over all crashes has every change in its order. Replayed here, they must make sense one after the
other (a lease is acquired only when nobody holds it, a death ends all that the agent held, and so on), and give the
state that the daemon then shows. A Fault is a broken promise.
"""

from keeper import payload, pb, seconds


class Fault(AssertionError):
    """What the daemon did cannot be."""


def require(condition, what):
    if not condition:
        raise Fault(what)


# Wall-clock stamps are rounded and read a moment after the clock by which leases run out, and a lease's end is reckoned
# anew at a restart: in seconds.
ROUNDING = 0.005


class World:
    def __init__(self):
        self.sequence = 0
        self.events = []
        self.agents = {}  # id → AgentInfo
        self.leases = {}  # task → Lease, held
        self.ended = {}  # token → how it ended
        self.elections = {}  # group → (ElectionState, sequence)
        self.policies = {}  # id → Policy
        self.tasks = {}  # id → Task
        self.ended_claims = set()  # (task id, claimed_at)
        self.ended_by = set()  # (task id, agent, topic): which agents have finished or failed a task
        self.holders = {}  # token → (task, agent), of every lease there ever was
        self.leaders = {}  # (group, term) → leader
        self.requeued = {}  # sequence number → when the claim had begun that ended so
        self.owed = set()  # what a death has still to bring
        self.by_death = set()  # the sequence numbers of what deaths brought
        self.early = {}  # sequence number → token: leases that ended before their time

    def apply(self, event):
        require(
            event.sequence_number == self.sequence + 1, f"event {event.sequence_number} came after {self.sequence}"
        )
        try:
            value = payload(event)
            duty = self._duty(event.topic, value)
            require(not self.owed or duty in self.owed, f"a death was not finished: {self.owed}")
            if duty in self.owed:
                self.owed.remove(duty)
                self.by_death.add(event.sequence_number)
            getattr(self, "_" + event.topic.replace(".", "_"))(value, event)
        except Fault as fault:
            raise Fault(f"event {event.sequence_number}, {event.topic}: {fault}\n{event}\n{value}") from None
        self.sequence = event.sequence_number
        self.events.append((event, value))

    def _duty(self, topic, value):
        match topic:
            case "lease.expired":
                return "lease", value.task_id
            case "task.requeued":
                return "task", value.id
            case "leader.changed":
                return "group", value.group
        return None

    def settled(self):
        require(not self.owed, f"a death is finished by half: {self.owed}")

    # Agents

    def _agent_registered(self, agent, _):
        require(agent.agent_id not in self.agents, "it was registered before")
        require(agent.status == pb.AGENT_STATUS_ALIVE, "it is not alive")
        self.agents[agent.agent_id] = agent

    def _agent_unreachable(self, agent, _):
        require(self.living(agent.agent_id).status == pb.AGENT_STATUS_ALIVE, "it was not alive")
        self.agents[agent.agent_id] = agent

    def _agent_recovered(self, agent, _):
        require(self.living(agent.agent_id).status == pb.AGENT_STATUS_UNREACHABLE, "it was not unreachable")
        self.agents[agent.agent_id] = agent

    def _agent_died(self, agent, _):
        before = self.living(agent.agent_id)
        require(agent.card == before.card, "another card")
        require(agent.status == pb.AGENT_STATUS_DEAD, "it is not dead")
        self.agents[agent.agent_id] = agent
        self.owed |= {("lease", task) for task, lease in self.leases.items() if lease.holder_agent_id == agent.agent_id}
        claimed = (task for task in self.tasks.values() if task.status == pb.TASK_STATUS_CLAIMED)
        self.owed |= {("task", task.id) for task in claimed if task.claimed_by_agent_id == agent.agent_id}
        led = ((group, state) for group, (state, _) in self.elections.items())
        self.owed |= {("group", group) for group, state in led if state.leader_agent_id == agent.agent_id}

    def living(self, agent_id):
        require(agent_id in self.agents, f"no such agent: {agent_id}")
        require(self.agents[agent_id].status != pb.AGENT_STATUS_DEAD, f"a dead agent: {agent_id}")
        return self.agents[agent_id]

    # Leases

    def held(self, lease):
        held = self.leases.get(lease.task_id)
        require(held is not None, "nobody holds it")
        require(held.token == lease.token and held.holder_agent_id == lease.holder_agent_id, f"held as\n{held}")
        return held

    def _lease_acquired(self, lease, _):
        require(lease.task_id not in self.leases, "a second holder")
        require(lease.token.value not in self.ended, "a token used again")
        self.living(lease.holder_agent_id)
        self.leases[lease.task_id] = lease
        self.holders[lease.token.value] = lease.task_id, lease.holder_agent_id

    def _lease_renewed(self, lease, _):
        require(lease.acquired_at == self.held(lease).acquired_at, "acquired at another time")
        self.leases[lease.task_id] = lease

    def _lease_released(self, lease, _):
        self._end(lease, "released")

    def _lease_expired(self, lease, event):
        if seconds(event.occurred_at) < seconds(self.held(lease).expires_at) - ROUNDING:
            self.early[event.sequence_number] = lease.token.value
        self._end(lease, "expired")

    def _end(self, lease, how):
        self.held(lease)
        del self.leases[lease.task_id]
        self.ended[lease.token.value] = how

    # Elections

    def _leader_changed(self, state, event):
        before, _ = self.elections.get(state.group, (pb.ElectionState(), 0))
        require(state.term == before.term + 1, f"after term {before.term}")
        require(state.leader_agent_id != before.leader_agent_id, "the same leader")
        if state.leader_agent_id:
            self.living(state.leader_agent_id)
        self.elections[state.group] = state, event.sequence_number
        self.leaders[state.group, state.term] = state.leader_agent_id

    # Policies

    def _policy_set(self, policy, _):
        self.policies[policy.id] = policy

    def _policy_deleted(self, policy, _):
        require(self.policies.pop(policy.id, None) == policy, "no such policy was there")

    # Tasks

    def _move(self, task, came_from, to, topic=None):
        before = self.tasks.get(task.id)
        require(before is not None, "no such task")
        require(before.status == came_from, f"it was {pb_status(before.status)}")
        require(task.status == to, f"it is {pb_status(task.status)}")
        for name in ("type", "input", "required_tools", "max_retries", "created_at"):
            require(getattr(task, name) == getattr(before, name), f"another {name}")
        self.tasks[task.id] = task
        if topic:
            self.ended_by.add((task.id, before.claimed_by_agent_id, topic))
        if came_from == pb.TASK_STATUS_CLAIMED != to:
            self.ended_claims.add((task.id, seconds(before.claimed_at)))
        return before

    def _task_created(self, task, _):
        require(task.id not in self.tasks, "it was created before")
        require(task.status == pb.TASK_STATUS_PENDING and task.retry_count == 0, "not as new")
        self.tasks[task.id] = task

    def _task_claimed(self, task, _):
        self._move(task, pb.TASK_STATUS_PENDING, pb.TASK_STATUS_CLAIMED)
        tools = self.living(task.claimed_by_agent_id).card.tools
        require(set(task.required_tools) <= set(tools), f"the agent has only {tools}")

    def _task_renewed(self, task, _):
        before = self._move(task, pb.TASK_STATUS_CLAIMED, pb.TASK_STATUS_CLAIMED)
        require(task.claimed_by_agent_id == before.claimed_by_agent_id, "another agent's")

    def _task_requeued(self, task, event):
        before = self._move(task, pb.TASK_STATUS_CLAIMED, pb.TASK_STATUS_PENDING)
        self.requeued[event.sequence_number] = seconds(before.claimed_at)
        require(task.retry_count == before.retry_count, "a retry was spent")

    def _task_completed(self, task, _):
        before = self._move(task, pb.TASK_STATUS_CLAIMED, pb.TASK_STATUS_COMPLETED, "task.completed")
        require(task.claimed_by_agent_id == before.claimed_by_agent_id, "by another agent")

    def _task_failed(self, task, _):
        before = self._move(task, pb.TASK_STATUS_CLAIMED, pb.TASK_STATUS_PENDING, "task.failed")
        require(task.retry_count == before.retry_count + 1 <= task.max_retries, "not one retry spent")

    def _task_dead(self, task, _):
        before = self._move(task, pb.TASK_STATUS_CLAIMED, pb.TASK_STATUS_DEAD, "task.failed")
        require(before.retry_count == task.retry_count == task.max_retries, "there were retries left")


def pb_status(number):
    return next(name for name, value in vars(pb).items() if name.startswith("TASK_STATUS_") and value == number)
