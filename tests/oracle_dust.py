"""Roundings to the fee, and dust of who is not active: part of the oracle (oracle.py), from docs/rules.md 7.2 and 7.3 alone."""
from oracle_rules import FEE, ROUNDING, SUB_UNITS

NOTICE_MS = 2_592_000_000                           # rules 7.3.1: 30 days
MOVES, ROUNDS = 65_534, 65_535                      # the places of what a position posts behind its events

class Dust:
    """What Oracle does with kind 39, and behind the events of each position."""
    def __init__(self):
        self.announced, self.active = None, {}      # (when it moves, the event) that waits; account -> position
    def on_inactive_dust(self, event):
        self.say("dust", event, self.needed[10], lambda _: self.announce(event))
    def announce(self, event):                      # rules 7.3.2: in the place of what waits
        self.announced = (self.time + NOTICE_MS, event)
    def is_active(self, account):                   # here: rules 7.3.3
        self.active[account] = self.at[0]
    def move_dust(self):
        if not self.announced or self.time < self.announced[0]:
            return
        (_, event), self.announced = self.announced, None
        waiting = self.waiting_accounts()
        for name in event["accounts"]:
            balances = [credits - debits for debits, credits in (self.books.get((book, name), (0, 0)) for book in ("available", "reserved", "immature"))]
            is_dust = 0 < balances[0] < self.threshold(name) * SUB_UNITS and balances[1:] == [0, 0] and name not in waiting
            if is_dust and self.active.get(name, 0) <= event["cutoff"]:
                self.post_behind(MOVES, ("available", name), (event["to"], ""), balances[0])
    def round_to_fee(self):
        debits, credits = self.books.get(ROUNDING, (0, 0))
        if self.policy["rounding_to_fee"] and credits - debits >= SUB_UNITS:
            self.post_behind(ROUNDS, ROUNDING, FEE, (credits - debits) // SUB_UNITS * SUB_UNITS)
    def post_behind(self, index, debit, credit, amount):
        if self.fits([(debit, credit, amount)]):
            at, self.at = self.at, (self.at[0], index)
            self.post(debit, credit, amount)
            self.at = at
