"""The Python package as another process beside the SDK: evaluates one expression a line, with a client of the daemon as
`client`, and answers with its value as JSON. usage: python_peer.py HOST PORT"""

import json
import sys
import threading

from agentkeeper import AgentKeeperClient, PolicyEffect

client = AgentKeeperClient(sys.argv[1], int(sys.argv[2]))
# What expressions keep, and the events that were seen.
kept = {"PolicyEffect": PolicyEffect}
events = []
changed = threading.Condition()


def keep(name, value):
    kept[name] = value
    return None


def note(event):
    with changed:
        events.append([event.topic, event.sequence])
        changed.notify_all()


def wait_for_events(count):
    with changed:
        changed.wait_for(lambda: len(events) >= count, timeout=60)
        return events[:count]


scope = {"client": client, "keep": keep, "note": note, "wait_for_events": wait_for_events}
for line in sys.stdin:
    try:
        answer = {"value": eval(line, scope, kept)}
    except Exception as error:
        answer = {"error": repr(error)}
    print(json.dumps(answer, default=str), flush=True)
