#!/usr/bin/env python3
"""The other hand: every balance once more, from the lines of `orebook ledger cat` alone.

    orebook ledger cat --data DIR | python3 tests/oracle.py [--at POSITION] [--all | --final] [--postings]

Written from docs/rules.md ("rules 3.2") and schema/LEDGER-FORMAT.md ("format 6") by someone who has not read the folds.
Slow and obvious on purpose: every share is kept in a list and every window is walked backwards, one share at a time.
oracle_rules.py has the rules as functions of numbers, oracle_things.py the bytes and signatures of what is approved,
oracle_accounts.py the registered accounts and settings, oracle_payouts.py batches and halts, oracle_direct.py what coinbases
pay themselves, oracle_dust.py what each position posts behind its events.
What the lines do not hold is not judged: keys, frames' signatures, the roots of checkpoints (all with a newer size are
taken as obeyed) and whether moved events count (reader.py judges that: here the line's "counts" is taken).
"""
import argparse, json, signal, sys
from collections import defaultdict, namedtuple
from oracle_accounts import Accounts
from oracle_direct import Direct, may_pay_by_coinbase, of_accounts, outputs_of
from oracle_dust import Dust
from oracle_payouts import Payouts
from oracle_rules import *
from oracle_things import *

SHARES = ("share", "ethash_share")                  # format 3: what is said of shares and jobs holds for both
NOT_MONEY = "ban schema_set key_change heartbeat recovery_note difficulty reconciled".split()

# ---- the ledger, event by event --------------------------------------------------------------------------------------
Worker = namedtuple("Worker", "account pot name")
Job = namedtuple("Job", "policy_at terms void network_work subsidy list_size outputs")     # size 0: no direct job
Share = namedtuple("Share", "at worker job credit pay donor_ppm nonce")
class Block:
    def __init__(self, at, event, share, donors):
        self.at, self.hash, self.height, self.share, self.donors = at, event["hash"], event["height"], share, donors
        self.finder, self.pot = (share.worker.account, share.worker.pot) if share else (None, None)
        self.terms = share.job.terms.get(self.pot) if share else None       # none of a void job or without its pot
        self.scheme = self.terms["scheme"] if self.terms else None
        self.weights, self.n, self.effort = {}, None, None
        self.lent = None                            # the PROP round that has its weights as well: rules 3.5.1
        self.state, self.value, self.fees = "found", 0, 0
        self.is_confirmed = False                   # said so, and no orphan since: rules 8.8
        self.held, self.posted, self.postings = None, {}, []        # the accounts' book; what is posted, how it came so
        self.paid, self.waits = {}, set()           # rules 11: account -> x_a; the accounts that wait for it
class Oracle(Accounts, Payouts, Direct, Dust):
    def __init__(self):
        Accounts.__init__(self)
        Payouts.__init__(self)
        Direct.__init__(self)
        Dust.__init__(self)
        self.at, self.covered, self.refused = None, 0, []   # the event's place; size of the newest obeyed checkpoint
        self.time, self.policy = 0, None            # ledger time; the newest obeyed policy
        self.policies, self.schemes = {}, {}        # (position of effect, pot -> terms) at its place; pot -> for ever
        self.last = defaultdict(lambda: NONE)       # subject -> place of its last obeyed event
        self.waiting, self.approved_by = defaultdict(list), defaultdict(set)    # digest -> its things, its approvers
        self.mean_fees = 0                          # of FPPS
        self.workers, self.jobs, self.shares, self.last_share = {}, {}, {}, None    # shares: place -> each that counts
        self.entries = defaultdict(list)            # pot -> (account, credit) in ledger order: rules 3.2, 3.3, 3.5
        self.blocks, self.rounds, self.round_starts = {}, defaultdict(list), defaultdict(int)     # starts: in entries
        self.frame_pay, self.unpaid = defaultdict(int), set()       # account -> pay; frames that did not fit: 3.6.2
        self.open, self.credits = defaultdict(int), defaultdict(int)    # pot -> effort of its open round, all credit
        self.books, self.debits = defaultdict(lambda: [0, 0]), 0    # (book, account) -> [debits, credits]; all debits
        self.postings, self.outside = [], []        # all; those for no block's sake
    def apply(self, event):
        kind, at = event["kind"], (event["position"], event["index"])
        position, index = self.at or (-1, 0)
        need(at in ((position, index + 1), (position + 1, 0)), f"{at}: a hole after {self.at}")
        need((kind == "genesis") == (at == NONE), "the ledger begins with its genesis, and has one")
        need(kind in NOT_MONEY or hasattr(self, "on_" + kind), f"{at}: a kind that this page does not know: {kind}")
        if at[1] == 0:
            self.end_frame()
        self.at, self.time = at, event["ledger_time"]
        self.times += [self.time] if at[1] == 0 else []
        if kind not in NOT_MONEY:
            getattr(self, "on_" + kind)(event)
        self.note_debts()
    def in_time(self, subject, event, allowed=True):        # or refused for ever
        right = allowed and self.last[subject] == tuple(event["expects"])
        self.refused += [] if right else [self.at]
        return right
    def obeyed(self, subject, event, allowed=True):         # the same, of an event that waits for no approval
        right = self.in_time(subject, event, allowed)
        self.last[subject] = self.at if right else self.last[subject]
        return right
    # ---- policies, approvals, adjustments: rules 2, 7.5, 8.7, format 6
    def on_genesis(self, event):
        self.algorithm = event["algorithm"]
        self.approvers, self.ledger = event["approvers"], bytes.fromhex(event["ledger"].replace("-", ""))
        two = min(2, len(event["approvers"]))
        self.needed = {2: 1, 4: two, 5: 0, 6: 0, 7: two, 8: 1, 9: two, 10: two} | dict(event["approvals"])
        self.obey_policy(NONE, event["policy"])
    def obey_policy(self, at, policy):
        self.policy = policy
        self.policies[at] = (self.at[0], {pot["pot"]: pot for pot in policy["pots"]})
        self.schemes |= {pot["pot"]: pot["scheme"] for pot in policy["pots"]}
    def on_policy(self, event):
        known = all(self.schemes.get(pot["pot"], pot["scheme"]) == pot["scheme"]
                    and may_pay_by_coinbase(pot, self.algorithm) for pot in event["policy"]["pots"])
        self.say("policy", event, self.needed[2], lambda at: self.obey_policy(at, event["policy"]),
                 lambda: known)
    def say(self, subject, event, needed, obey, allowed=lambda: True):
        if self.in_time(subject, event, allowed()):
            digest = digest_of(self.ledger, event)
            self.waiting[digest].append((self.at, subject, event, needed, obey, allowed))
            self.take_effect(digest)
    def on_approval(self, event):
        digest, key, signature = (bytes.fromhex(event[name]) for name in ("thing", "approver", "signature"))
        message = b"orebook/approval/0\n" + self.ledger + digest
        if event["approver"] in self.approvers and signature_is_right(key, message, signature):
            self.approved_by[digest].add(key)
            self.take_effect(digest)
    def take_effect(self, digest):
        enough = lambda needed: len(self.approved_by[digest]) >= needed
        ready = [said for said in self.waiting[digest] if enough(said[3])]
        self.waiting[digest] = [said for said in self.waiting[digest] if not enough(said[3])]
        for at, subject, event, _, obey, allowed in ready:      # asked here a last time: what fails is dead
            if self.last[subject] == tuple(event["expects"]) and allowed():
                self.last[subject] = at
                obey(at)
    def on_adjustment(self, event):
        self.say(("adjustments", event["account"]), event, self.needed[4], lambda _: self.adjust(event))
    def adjust(self, said):
        pair, amount = [(said["book"], ""), ("available", said["account"])], int(said["amount"])
        if self.debits + amount < SUM_OF_ALL:       # rules 9, 18: else it posts nothing
            self.post(*(pair if said["direction"] == "to_account" else reversed(pair)), amount, said["block"])
    def on_checkpoint(self, event):
        need(event["size"] <= self.at[0], f"{self.at}: a checkpoint over positions that are not there")
        self.covered = max(self.covered, event["size"])
    # ---- shares: rules 2 and 3
    def on_worker(self, event):
        worker = Worker(event["account"], event["pot"], event["name"])
        self.workers[event["stream"], event["epoch"], event["number"]] = worker
    def on_job(self, event):
        policy_at, subsidy = tuple(event["policy"]), int(event["reward"]) - int(event["fees"])
        effect, terms = self.policies.get(policy_at, (self.covered, {}))
        void = effect >= self.covered               # rules 2.5: never obeyed, or not final before the job
        size = min(event.get("direct", 0), self.at[0])      # rules 11.1, 11.2: an ethash-like's job has none
        outputs = of_accounts(outputs_of(bytes.fromhex(event["coinbase2"]))) if size else []
        job = Job(policy_at, {} if void else terms, void, int(event["network_work"]), subsidy, size, outputs)
        self.jobs[event["stream"], event["epoch"], event["number"]] = job
    def on_share(self, event):
        self.credit(event, event, True)
    on_ethash_job, on_ethash_share = on_job, on_share
    def credit(self, said, event, counts):
        """event: the one whose stream has the numbers of its worker and job."""
        worker, job = (known.get((event["stream"], event["epoch"], event[name]))
                       for known, name in ((self.workers, "worker"), (self.jobs, "job")))
        need(worker and job, f"{self.at}: a share of a worker or job that is not announced")
        terms = job.terms.get(worker.pot)
        paid_ppm = PPM if not said["stale"] else terms["stale_ppm"] if terms else 0
        credit = 0 if job.void else part(int(said["work"]), paid_ppm)       # rules 2.3 and 2.5
        pay = pay_of(credit, terms, job, self.mean_fees) if terms and terms["scheme"] in PER_SHARE else 0
        self.last_share = Share(self.at, worker, job, credit, pay, self.donors.get(worker.account, 0), said["nonce"])
        if counts:
            self.shares[self.at] = self.last_share
            if credit:
                self.is_active(worker.account)
            self.enter(worker.pot, worker.account, credit)
            self.frame_pay[worker.account] += pay
            self.credits[worker.pot] += credit
            self.open[worker.pot] += credit * EFFORT_UNITS // job.network_work
    def end_frame(self):
        """Rules 3.6.2 and 4.7.1: what the frame's shares earned, all of it or, where it might not fit, nothing. Then rules 7.3, 7.2."""
        pays = [(("available", account), pay, part(pay, self.donors.get(account, 0)))
                for account, pay in sorted(self.frame_pay.items())]
        self.frame_pay.clear()
        self.unpaid |= set() if self.pay(pays) else {self.at[0]}
        if self.at:
            self.move_dust()
            self.round_to_fee()
        self.note_debts()
    def pay(self, pays, sign=1):                    # sign -1 takes back
        fits = self.debits + sum(pay + donation for _, pay, donation in pays) < SUM_OF_ALL - 1
        for book, pay, donation in pays if fits else []:
            self.post(*(RESERVE, book)[::sign], pay)
            self.post(*(book, DONATION)[::sign], donation)
        return fits
    def on_void(self, event):
        at, (share, first) = tuple(event["share"]), (self.shares.get(tuple(event[name])) for name in ("share", "first"))
        twice = share and first and share.nonce == first.nonce and self.last["void", at] == NONE    # rules 9, 20
        if self.obeyed(("void", at), event, twice):
            self.enter(share.worker.pot, share.worker.account, -share.credit)
            if at[0] not in self.unpaid:            # rules 3.6.4, 4.7.1
                self.pay([(("available", share.worker.account), share.pay, part(share.pay, share.donor_ppm))], -1)
    def on_fee_mean(self, event):
        if self.obeyed("mean", event, int(event["mean"]) <= MOST):
            self.mean_fees = int(event["mean"])
    def on_moved(self, event):
        if event["event"]["kind"] in SHARES:
            self.credit(event["event"], event, event["counts"])
        elif event["counts"]:
            self.on_block_found(event["event"])
    # ---- blocks: rules 3 to 6, format 3
    def on_block_found(self, event):
        share, (position, index) = self.last_share, self.at
        need(share and share.at == (position, index - 1), f"{self.at}: a block_found without its share before it")
        if event["hash"] in self.blocks:            # found or recovered before: names no finder
            return self.refused.append(self.at)
        block = self.blocks[event["hash"]] = Block(self.at, event, share, self.donors.copy())
        entries = self.entries[block.pot]
        if block.scheme == "solo":
            block.weights = {block.finder: 1}
        elif block.scheme == "pplns":
            block.n = max(1, part(share.job.network_work, block.terms["n_ppm"]))
            block.weights = weights_of(window(reversed(entries), block.n))
        elif block.scheme == "prop":
            block.weights = weights_of(entries[self.round_starts[block.pot]:])
        self.weigh_direct(block)
        self.round_starts[block.pot], block.effort = len(entries), self.open.pop(block.pot, 0)
        self.rounds[block.pot].append(block)
    def on_block_recovered(self, event):
        found = self.blocks.get(event["hash"])
        if self.obeyed(("recovered", event["height"]), event, not (found and found.share)) and not found:
            self.blocks[event["hash"]] = Block(self.at, event, None, {})
    def on_block_status(self, event):
        block, value = self.blocks.get(event["hash"]), int(event["value"])
        if not self.obeyed(("block", event["hash"]), event, block and value <= MOST and self.has_room(block, event["state"], value)):
            return
        was_orphan, block.state = block.state == "orphaned", event["state"]
        block.value, block.fees = value, int(event["fees"])
        if block.scheme == "prop" and was_orphan != (block.state == "orphaned"):
            self.lend(block, self.entries[block.pot], len(self.rounds[block.pot]))
        block.is_confirmed = block.state == "confirmed" or block.is_confirmed and block.state != "orphaned"
        if block.state == "orphaned":
            self.cancel_unsigned(block.hash)
            for (debit, credit), amount in reversed(block.postings.copy()):
                self.post(credit, debit, amount, block.hash, block.postings)
            block.posted, block.postings, block.held, block.waits = {}, [], None, set()
        elif block.state != "seen" or block.held:
            self.settle(block)
    def has_room(self, block, state, value):
        """Reading 14: what a status might post, whatever it posts."""
        lines = self.unsigned_lines(block.hash) if state == "orphaned" else []
        might = ((3 * value + 2 * block.value) * SUB_UNITS + sum(amount for _, amount in block.postings)
                 + sum(line.amount for line in lines) + 3 * sum(block.paid.values()))
        return self.debits + might < SUM_OF_ALL
    def lend(self, block, entries, this_round):
        """Rules 3.5.1 and 3.5.2: a PROP orphan's weights are in the round that is open then, until it returns."""
        weights, open_round = list(block.weights.items()), entries[self.round_starts[block.pot]:]
        if block.state != "orphaned" and block.lent == this_round:
            entries += [(account, -weight) for account, weight in weights]
        block.lent = None
        if block.state == "orphaned" and sum(work for _, work in open_round + weights) < ROUND_OF_ALL:
            block.lent = this_round
            entries += weights
    def settle(self, block):                        # posts what the split has and the books have not; then the move
        before, of_block = block.posted, self.of_block(block) if block.held else None
        block.held, block.waits = block.held or "immature", set()
        block.posted = split(block.value, block.fees, block.terms, block.weights, block.finder, block.donors)
        for pair in sorted(before.keys() | block.posted.keys(), key=lambda pair: (pair[0] != REWARD, pair)):
            change = block.posted.get(pair, 0) - before.get(pair, 0)
            books = [(block.held if name == "earned" else name, account) for name, account in pair]
            self.post(*(books if change > 0 else reversed(books)), abs(change), block.hash, block.postings)
        if block.held == "immature":
            self.post_outputs(block, of_block)
        if block.state == "confirmed" and block.held == "immature":
            self.confirm_outputs(block)
            block.held, of_block = "available", self.of_block(block)
            for (name, account), amount in sorted(balances_of(block.posted.items()).items()):
                if name == "earned":
                    amount -= of_block.get(account, 0)
                    self.post(("immature", account), ("available", account), amount, block.hash, block.postings)
    def post(self, debit, credit, amount, block_hash=None, of_block=None):
        if amount:                                  # rules 9, 13
            (self.outside if of_block is None else of_block).append(((debit, credit), amount))
            self.debits += amount
            self.books[debit][0] += amount
            self.books[credit][1] += amount
            self.moved |= {account for book, account in (debit, credit) if book == "available"}
            names = (":".join(book).rstrip(":") for book in (debit, credit))
            self.postings.append([self.at, block_hash, *names, str(amount)])
    # ---- conservation, and what is printed
    def check_books(self):
        need({sum(side) for side in zip([0, 0], *self.books.values())} == {self.debits}, "debits are not credits")
        right = balances_of(self.outside)           # every book again, from the blocks as they stand now
        for block in self.blocks.values():
            for (name, account), amount in balances_of(block.posted.items()).items():
                right[block.held if name == "earned" else name, account] += amount
            for key, amount in self.books_of_outputs(block):
                right[key] += amount
        for key, (debits, credits) in ({key: (0, 0) for key in right} | self.books).items():
            need(credits - debits == right[key], f"{key} has {credits - debits}, the blocks say {right[key]}")
    def answer(self, postings):
        self.end_frame()
        self.check_books()
        out = {"position": self.at[0] if self.at else None, "final": self.covered, "refused": self.refused,
               "accounts": {}, "books": {}, "pots": {}, "blocks": list(map(self.block_answer, self.blocks.values())),
               "policies": [{"at": at, "effect": effect} for at, (effect, _) in self.policies.items()]}
        for (book, account), (debits, credits) in self.books.items():
            place = out["accounts"].setdefault(account, {}) if account else out["books"]
            place[book] = {"debits": str(debits), "credits": str(credits)}
        for pot in self.credits.keys() | self.rounds.keys():
            rounds = [{"hash": b.hash, "effort": str(b.effort), "end": b.share.at} for b in self.rounds[pot]]
            out["pots"][pot] = {"rounds": rounds, "open": str(self.open[pot]), "credit": str(self.credits[pot])}
        return out | ({"postings": self.postings} if postings else {})
    def block_answer(self, block):
        share, sums = block.share, balances_of(block.posted.items()).items()
        said = {"at": block.at, "hash": block.hash, "height": block.height, "state": block.state, "held": block.held,
                "value": str(block.value), "fees": str(block.fees), "W": str(sum(block.weights.values())),
                "weights": {account: str(weight) for account, weight in block.weights.items()},
                "credits": {account: str(amount) for (_, account), amount in sums if account and amount},
                "others": {book: str(amount) for (book, account), amount in sums if not account and amount > 0}}
        if share:
            said |= {"paid": {account: str(x) for account, x in block.paid.items()}} if share.job.list_size else {}
            said |= {"pot": block.pot, "finder": block.finder, "worker": share.worker.name, "void": share.job.void,
                     "policy": share.job.policy_at, "N": block.n and str(block.n), "effort": str(block.effort)}
        return said | {"recovered": share is None}

def final_events(lines, everything=False):          # of positions that a checkpoint covers, or all
    final = max((json.loads(line).get("size", 0) for line in lines if '"checkpoint"' in line), default=0)
    events = map(json.loads, lines)                 # one after another: a ledger of them is large
    return (event for event in events if "kind" in event and (everything or event["position"] < final))
def balances(lines, stop_at=None, everything=False, postings=False):        # what the command prints, as an object
    oracle = Oracle()
    for event in final_events(list(lines), everything):
        if stop_at is None or event["position"] <= stop_at:
            oracle.apply(event)
    need(stop_at is None or oracle.at and oracle.at[0] == stop_at, f"position {stop_at} is not there, or not final")
    return oracle.answer(postings)
def main(arguments=None):
    parser = argparse.ArgumentParser(description="Reproduces every balance from the lines of `orebook ledger cat`.")
    parser.add_argument("--at", type=int, metavar="POSITION", help="stop after this position")
    parser.add_argument("--postings", action="store_true", help="print every posting too")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--final", action="store_true", help="apply final positions only, as folds do (the default)")
    which.add_argument("--all", action="store_true", help="apply provisional positions too")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)   # who reads our line may go
    try:
        print(json.dumps(balances(sys.stdin, options.at, options.all, options.postings), sort_keys=True))
    except Wrong as wrong:
        return f"wrong: {wrong}"

if __name__ == "__main__":
    sys.exit(main())                                # exits with 1 and what is wrong on stderr, or with 0
