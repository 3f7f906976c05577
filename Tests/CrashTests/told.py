"""What clients asked for and what they were told: the one half of every comparison after a crash.

A call has one of three ends. DONE: the daemon answered, so it must stand. REFUSED: the daemon answered that it did
nothing. UNKNOWN: the answer was lost, with the daemon or on a deadline; it may have happened, but never half.
"""

import threading
import time
from dataclasses import dataclass, field
from enum import Enum

import grpc

from keeper import PATIENCE, Code


class End(Enum):
    DONE = 1
    REFUSED = 2
    UNKNOWN = 3


# With these, nobody says whether the call took effect.
LOST = {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELLED, Code.UNKNOWN}


@dataclass
class Asked:
    """One call: its request's fields, when it was sent and when it ended (monotonic seconds), and how."""

    call: str
    fields: dict
    sent: float
    ended: float = float("inf")
    end: End = End.UNKNOWN
    reply: object = None
    code: grpc.StatusCode | None = None
    details: str = ""

    @property
    def done(self):
        return self.end is End.DONE

    def __str__(self):
        what = ", ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"{self.call}({what}) → {self.end.name} {self.code.name if self.code else ''} {self.details}"


@dataclass
class Told:
    """All calls of all clients, in the order in which they ended. Shared by their threads."""

    calls: list = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def ask(self, client, call, timeout=PATIENCE, **fields):
        """Makes a call and writes down how it ended."""
        asked = Asked(call, fields, time.monotonic())
        try:
            asked.reply = getattr(client, call)(timeout=timeout, **fields)
            asked.end = End.DONE
        except grpc.RpcError as error:
            asked.code, asked.details = error.code(), error.details()
            asked.end = End.UNKNOWN if asked.code in LOST else End.REFUSED
        asked.ended = time.monotonic()
        with self.changed:
            self.calls.append(asked)
            self.changed.notify_all()
        return asked

    def wait_for(self, count, alive):
        """Until so many calls have ended, or `alive` says that nobody makes any more."""
        with self.changed:
            while len(self.calls) < count and alive():
                self.changed.wait(0.05)
