"""The durable truth: which needs are known, where each job stands, what is still to be told.

Every public method of the parts is one operation: it runs inside a transaction that somebody else opens and commits
(`encoder_bridge.commits`), speaks explicit SQL, and puts what it changes into the outbox in that same transaction.
Afterwards `Store.take_news` tells what happened.  Times are milliseconds since 1970 UTC.
"""

from __future__ import annotations

from encoder_bridge.commits import Connection
from encoder_bridge.sealing import Seal
from encoder_bridge.store.cards import Cards
from encoder_bridge.store.guests import Guests
from encoder_bridge.store.ledger import Ledger, News, Rules
from encoder_bridge.store.needs import Needs
from encoder_bridge.store.outbox import Outbox
from encoder_bridge.store.recovery import Recovery
from encoder_bridge.store.requests import Requests
from encoder_bridge.store.retention import Retention
from encoder_bridge.store.subscriptions import Subscriptions
from encoder_bridge.store.turns import Turns
from encoder_bridge.store.waiting import Waiting
from encoder_bridge.store.work import Work

__all__ = ["News", "Rules", "Store"]


class Store:
    """All operations over one open, prepared connection."""

    def __init__(self, connection: Connection, rules: Rules, seal: Seal) -> None:
        ledger = Ledger(connection, rules, seal)
        self.needs = Needs(ledger)
        self.turns = Turns(ledger)
        self.work = Work(ledger)
        self.waiting = Waiting(ledger)
        self.recovery = Recovery(ledger)
        self.requests = Requests(ledger)
        self.cards = Cards(ledger)
        self.guests = Guests(ledger)
        self.outbox = Outbox(ledger)
        self.subscriptions = Subscriptions(ledger)
        self.retention = Retention(ledger)
        self.take_news = ledger.take_news
