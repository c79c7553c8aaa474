#!/usr/bin/env python3
"""The other hand: every balance once more, from the lines of `orebook ledger cat` alone.

    orebook ledger cat --data DIR | python3 tests/oracle.py [--at POSITION] [--all | --final] [--postings]

Written from docs/rules.md ("rules 3.2") and schema/LEDGER-FORMAT.md ("format 6") by someone who has not read the folds.
Slow and obvious on purpose: every share is kept in a list and every window is walked backwards, one share at a time.
What the lines do not hold is not judged: keys, frames' signatures, the roots of checkpoints (all with a newer size are
taken as obeyed) and the bytes of moved events (the line's "counts" is taken, and contradicted where that can be seen).
"""
import argparse, hashlib, json, signal, struct, sys
from collections import defaultdict, namedtuple

SUB_UNITS = 10**9                                   # rules 1.5: of a base unit
PPM, EFFORT_UNITS = 10**6, 10**12                   # rules 6.1
NONE = (0, 0)                                       # format 1: "none"; genesis stands there as well, and that is meant
MONEY = {"genesis", "policy", "approval", "checkpoint", "moved", "worker", "job", "share", "block_found",
         "block_status", "block_recovered", "adjustment", "ethash_job", "ethash_share"}
SHARES = ("share", "ethash_share")                  # format 3: what is said of shares and jobs holds for both
NOT_MONEY = {"ban", "schema_set", "key_change", "heartbeat", "recovery_note", "part", "difficulty"}
BOOKS = ["reserve", "donation", "fee", "rounding"]  # format 3: the other side of an adjustment
SCHEMES = {"pplns": 1, "solo": 2, "prop": 3, "pps": 4, "fpps": 5}

class Wrong(Exception):
    """The lines cannot be of a ledger, or the books do not balance, or a rule is met that is not built."""
def need(condition, text):
    if not condition:
        raise Wrong(text)

# ---- the rules as functions of numbers -------------------------------------------------------------------------------
def credit_of(work, stale, pot_terms, void):
    """Rules 2.3 and 2.5. pot_terms: the pot's entry in the job's policy, or None."""
    paid_ppm = PPM if not stale else pot_terms["stale_ppm"] if pot_terms else 0
    return 0 if void else work * paid_ppm // PPM
def window_size(n_ppm, network_work):
    """Rules 3.1: N."""
    return max(1, n_ppm * network_work // PPM)
def window(backwards, n):
    """Rules 3.2. backwards: (account, credit) of a pot's entries, the finding share first. Gives account -> weight."""
    weights, left = defaultdict(int), n
    for account, credit in backwards:
        counted = min(credit, left)
        weights[account] += counted
        left -= counted
        if left == 0:
            break
    return {account: weight for account, weight in weights.items() if weight}
def split(value, fees, terms, weights, finder):
    """Rules 4. value and fees in base units; terms: the pot's. Gives (book, account) -> sub-units."""
    parts = defaultdict(int)
    gross = value * SUB_UNITS
    kept = fees * SUB_UNITS if terms["keep_tx_fees"] else 0
    shared = gross - kept
    bonus = shared * terms["bonus_ppm"] // PPM
    fee = (shared - bonus) * terms["fee_ppm"] // PPM
    rest = shared - bonus - fee
    parts["fee", ""] += kept + fee
    parts["earned", finder] += bonus
    total, left = sum(weights.values()), rest
    for account, weight in weights.items():
        parts["earned", account] += rest * weight // total
        left -= rest * weight // total
    parts["rounding" if total else "reserve", ""] += left
    need(sum(parts.values()) == gross, "rules 4.6: a split does not add up to what the chain paid")
    return {key: amount for key, amount in parts.items() if amount}

# ---- Ed25519, for approvals (format 1 and 5) -------------------------------------------------------------------------
Q = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE_D = -121665 * pow(121666, -1, Q) % Q
ROOT_OF_MINUS_ONE = pow(2, (Q - 1) // 4, Q)
BASE = (4 * pow(5, -1, Q) % Q).to_bytes(32, "little")
def add(a, b):
    """Affine points of the twisted Edwards curve."""
    e = CURVE_D * a[0] * b[0] * a[1] * b[1]
    return ((a[0] * b[1] + b[0] * a[1]) * pow(1 + e, -1, Q) % Q, (a[1] * b[1] + a[0] * b[0]) * pow(1 - e, -1, Q) % Q)
def times(scalar, point):
    result = (0, 1)
    for bit in bin(scalar)[2:]:
        result = add(result, result)
        result = add(result, point) if bit == "1" else result
    return result
def point_of(data):
    """The point, or None if it is no encoding of one, or one of small order."""
    y, sign = int.from_bytes(data, "little") & (1 << 255) - 1, data[31] >> 7
    xx = (y * y - 1) * pow(CURVE_D * y * y + 1, -1, Q) % Q
    root = pow(xx, (Q + 3) // 8, Q)
    for x in (root, root * ROOT_OF_MINUS_ONE % Q):
        point = (x if x & 1 == sign else -x % Q, y)
        if x * x % Q == xx and y < Q and point[0] & 1 == sign and times(8, point) != (0, 1):
            return point
    return None
def signature_is_right(key, message, signature):
    public, r, s = point_of(key), point_of(signature[:32]), int.from_bytes(signature[32:], "little")
    if public is None or r is None or s >= ORDER:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    return times(s, point_of(BASE)) == add(r, times(h, public))
def policy_bytes(policy):
    """Format 5."""
    out = bytes([len(policy["pots"])])
    for pot in policy["pots"]:
        out += struct.pack("<HBQIIIB", pot["pot"], SCHEMES[pot["scheme"]], pot["n_ppm"], pot["fee_ppm"],
                           pot["bonus_ppm"], pot["stale_ppm"], pot["keep_tx_fees"])
    out += struct.pack("<III", policy["immature_depth"], policy["confirmed_depth"], policy["orphan_depth"])
    return out + int(policy["threshold"]).to_bytes(16, "little") + bytes([policy["network_fees"] == "miner"])
def digest_of(ledger, kind, fields):
    """Format 6: what approvals name."""
    return hashlib.sha256(b"orebook/thing/0\n" + ledger + bytes([kind, 0]) + fields).digest()
def thing_of(ledger, expects, policy):
    return digest_of(ledger, 4, struct.pack("<QH", *expects) + policy_bytes(policy))
def adjustment_bytes(said):
    """Format 3: the fields of kind 12."""
    form, name = said["account"].split(":")
    name = name.encode() if form == "name" else bytes.fromhex(name)
    sides = BOOKS.index(said["book"]) + 1, {"to_account": 1, "from_account": 2}[said["direction"]]
    amount, reason = int(said["amount"]), said["reason"].encode()
    need(0 < amount <= 2**80 * SUB_UNITS and 0 < len(reason) <= 200, "an adjustment that format 3 does not know")
    return (bytes([{"script": 1, "evm": 2, "name": 3}[form], len(name)]) + name
            + struct.pack("<QHBB", *said["expects"], *sides) + amount.to_bytes(16, "little")
            + bytes.fromhex(said["block"] or "00" * 32) + bytes([len(reason)]) + reason)

# ---- the ledger, event by event --------------------------------------------------------------------------------------
Worker = namedtuple("Worker", "account pot name")
Job = namedtuple("Job", "policy_at terms void network_work")
Share = namedtuple("Share", "at worker job credit")
def fields_of(event):
    names = "kind worker job work block stale nonce ntime version extranonce2 hash height coinbase_txid header"
    return tuple(event.get(name) for name in names.split())

class Block:
    def __init__(self, at, fields, share):
        self.at, self.hash, self.height, self.share = at, fields["hash"], fields["height"], share
        self.state, self.value, self.fees, self.last_obeyed = "found", 0, 0, NONE
        self.terms, self.weights, self.n, self.effort = None, {}, None, None
        self.held = None                            # None, or the book that has the accounts' parts
        self.parts, self.postings = {}, []          # what is posted now, and how it came so, since nothing was

class Oracle:
    def __init__(self):
        self.at, self.covered = None, 0             # the event's place; size of the newest obeyed checkpoint
        self.genesis, self.policies, self.schemes = None, {}, {}
        self.last = defaultdict(lambda: NONE)       # subject of things -> place of its last obeyed one
        self.waiting, self.approved_by = defaultdict(list), defaultdict(set)    # digest -> its things, its approvers
        self.adjusted = defaultdict(int)            # book -> what adjustments alone made of it
        self.workers, self.jobs = {}, {}
        self.shares = []                            # every share that counts, in ledger order
        self.last_share, self.admitted = None, set()        # said just before; hashes of what came in its own stream
        self.moved, self.moved_from = set(), {}     # what counted as moved; stream -> position of the first of them
        self.blocks, self.recovered_at, self.rounds = {}, {}, defaultdict(list)
        self.open, self.credits = defaultdict(int), defaultdict(int)    # pot -> effort of its open round, all credit
        self.books = defaultdict(lambda: [0, 0])    # (book, account) -> [debits, credits]
        self.refused, self.every_posting = [], []
    def apply(self, event):
        if "closed" in event:
            return
        self.check_place(event)
        kind = event["kind"]
        need((kind == "genesis") == (self.at == NONE), "the ledger begins with its genesis, and has one")
        need(kind in MONEY | NOT_MONEY, f"{self.at}: a kind that this page does not know: {kind}")
        if kind in MONEY:
            getattr(self, "on_" + kind)(event)
        if kind not in (*SHARES, "moved"):
            self.last_share = None
    def check_place(self, event):
        at, stream = (event["position"], event["index"]), event["stream"]
        position, index = self.at or (-1, 0)
        need(at in ((position, index + 1), (position + 1, 0)), f"{at}: a hole after {self.at}")
        self.last_share = self.last_share if at[1] else None        # a block_found's share stands in its own frame
        need(self.moved_from.get(stream, at[0]) >= at[0], f"{at}: stream {stream} goes on after events of it moved")
        self.at = at

    # ---- policies, approvals, adjustments: rules 2, 7.5, 8.7, format 6

    def on_genesis(self, event):
        self.genesis, self.ledger = event, bytes.fromhex(event["ledger"].replace("-", ""))
        self.obey_policy(NONE, event["policy"])
    def obey_policy(self, at, policy):
        self.policies[at] = (self.at[0], {pot["pot"]: pot for pot in policy["pots"]})
        self.schemes |= {pot["pot"]: pot["scheme"] for pot in policy["pots"]}
    def on_policy(self, event):
        expects, policy = tuple(event["expects"]), event["policy"]
        if any(self.schemes.get(pot["pot"], pot["scheme"]) != pot["scheme"] for pot in policy["pots"]):
            return self.refused.append(self.at)
        thing = thing_of(self.ledger, expects, policy)
        self.say("policy", expects, thing, self.needed(2, 1), lambda at: self.obey_policy(at, policy))
    def needed(self, what, unlisted):
        return dict(self.genesis["approvals"]).get(what, unlisted)
    def say(self, subject, expects, digest, needed, obey):
        if self.last[subject] != expects:           # at its own position: refused for ever
            return self.refused.append(self.at)
        self.waiting[digest].append((self.at, subject, expects, needed, obey))
        self.take_effect(digest)
    def on_approval(self, event):
        digest, key, signature = (bytes.fromhex(event[name]) for name in ("thing", "approver", "signature"))
        message = b"orebook/approval/0\n" + self.ledger + digest
        if event["approver"] in self.genesis["approvers"] and signature_is_right(key, message, signature):
            self.approved_by[digest].add(key)
            self.take_effect(digest)
    def take_effect(self, digest):
        for at, subject, expects, needed, obey in self.waiting[digest]:     # what the subject moved past stays dead
            if len(self.approved_by[digest]) >= needed and self.last[subject] == expects:
                self.last[subject] = at
                obey(at)
    def on_adjustment(self, event):
        digest = digest_of(self.ledger, 12, adjustment_bytes(event))
        needed = self.needed(4, min(2, len(self.genesis["approvers"])))
        self.say(event["account"], tuple(event["expects"]), digest, needed, lambda _: self.adjust(event))
    def adjust(self, said):
        pair, amount = [(said["book"], ""), ("available", said["account"])], int(said["amount"])
        debit, credit = pair if said["direction"] == "to_account" else reversed(pair)
        if sum(debits for debits, _ in self.books.values()) + amount < 2**128:  # rules 9, 18: else it posts nothing
            self.adjusted[debit] -= amount
            self.adjusted[credit] += amount
            self.enter(said["block"], debit, credit, amount)
    def on_checkpoint(self, event):
        need(event["size"] <= self.at[0], f"{self.at}: a checkpoint over positions that are not there")
        self.covered = max(self.covered, event["size"])

    # ---- shares: rules 2 and 3

    def on_worker(self, event):
        name = (event["stream"], event["epoch"], event["number"])
        need(name not in self.workers, f"{self.at}: worker number announced twice")
        self.workers[name] = Worker(event["account"], event["pot"], event["name"])
    def on_job(self, event):
        policy_at, name = tuple(event["policy"]), (event["stream"], event["epoch"], event["number"])
        need(name not in self.jobs, f"{self.at}: job number announced twice")
        effect, terms = self.policies.get(policy_at, (self.covered, {}))
        void = effect >= self.covered               # rules 2.5: never obeyed, or not final before the job
        self.jobs[name] = Job(policy_at, {} if void else terms, void, int(event["network_work"]))
    def on_share(self, event):
        self.admitted.add(hash(((event["stream"], event["seq"]), fields_of(event), event["time"])))
        self.credit(event, event["stream"], event["epoch"], event["worker"], event["job"], True)
    on_ethash_job, on_ethash_share = on_job, on_share
    def credit(self, said, stream, epoch, worker, job, counts):
        worker, job = self.workers.get((stream, epoch, worker)), self.jobs.get((stream, epoch, job))
        need(worker and job, f"{self.at}: a share of a worker or job that is not announced")
        credit = credit_of(int(said["work"]), said["stale"], job.terms.get(worker.pot), job.void)
        self.last_share = Share(self.at, worker, job, credit)
        if counts:
            need(credit == 0 or self.schemes.get(worker.pot) not in ("prop", "pps", "fpps"),
                 f"{self.at}: a share in a pot whose scheme is not in the ledger yet (rules 3.5, 3.6)")
            self.shares.append(self.last_share)
            self.credits[worker.pot] += credit
            self.open[worker.pot] += credit * EFFORT_UNITS // job.network_work
    def on_moved(self, event):
        inner, place = event["event"], (event["from"], event["from_seq"])
        fields, offset = fields_of(inner), inner["time"] - event["base_time"]
        if event["counts"]:
            need((place, fields, offset) not in self.moved, f"{self.at}: counts, but was moved before")
            need(hash((place, fields, inner["time"])) not in self.admitted, f"{self.at}: counts, but was admitted")
            self.moved.add((place, fields, offset))
            self.moved_from.setdefault(event["from"], self.at[0])
        if inner["kind"] in SHARES:
            self.credit(inner, event["stream"], event["epoch"], event["worker"], event["job"], event["counts"])
        elif event["counts"]:
            self.on_block_found(inner)
        self.last_share = self.last_share if inner["kind"] in SHARES else None

    # ---- blocks: rules 3 to 6, format 3

    def on_block_found(self, event):
        share = self.last_share
        need(share is not None, f"{self.at}: a block_found without its share before it")
        if event["hash"] in self.blocks:            # found or recovered before: names no finder
            return self.refused.append(self.at)
        block = self.blocks[event["hash"]] = Block(self.at, event, share)
        pot, block.terms = share.worker.pot, share.job.terms.get(share.worker.pot)
        if block.terms and block.terms["scheme"] == "solo":
            block.weights = {share.worker.account: 1}
        elif block.terms and block.terms["scheme"] == "pplns":
            block.n = window_size(block.terms["n_ppm"], share.job.network_work)
            backwards = ((s.worker.account, s.credit) for s in reversed(self.shares) if s.worker.pot == pot)
            block.weights = window(backwards, block.n)
        block.effort = self.open.pop(pot, 0)
        self.rounds[pot].append(block)
    def on_block_recovered(self, event):
        height, found = event["height"], self.blocks.get(event["hash"])
        if tuple(event["expects"]) != self.recovered_at.get(height, NONE) or found and found.share:
            return self.refused.append(self.at)
        self.recovered_at[height] = self.at
        self.blocks.setdefault(event["hash"], Block(self.at, event, None))
    def on_block_status(self, event):
        block = self.blocks.get(event["hash"])
        if block is None or tuple(event["expects"]) != block.last_obeyed or int(event["value"]) > 2 ** 80:
            return self.refused.append(self.at)
        block.last_obeyed, block.state = self.at, event["state"]
        block.value, block.fees = int(event["value"]), int(event["fees"])
        if block.state == "orphaned":
            for debit, credit, amount in list(reversed(block.postings)):
                self.post(block, credit, debit, amount)
            block.parts, block.postings, block.held = {}, [], None
        elif block.state != "seen" or block.held:
            self.settle(block)
    def parts_of(self, block):
        if block.terms is None:                     # recovered, of a void job, or of a pot that its policy has not
            return {("reserve", ""): block.value * SUB_UNITS} if block.value else {}
        need(block.terms["scheme"] in ("pplns", "solo"), f"{self.at}: a block of a scheme not in the ledger yet")
        return split(block.value, block.fees, block.terms, block.weights, block.share.worker.account)
    def settle(self, block):
        """Posts what the split has and the books have not; at `confirmed` all moves to available."""
        block.held = block.held or "immature"
        parts = self.parts_of(block)
        for key in sorted(parts.keys() | block.parts.keys()):
            change = parts.get(key, 0) - block.parts.get(key, 0)
            book = (block.held if key[0] == "earned" else key[0], key[1])
            if change:
                self.post(block, *((("reward", ""), book) if change > 0 else (book, ("reward", ""))), abs(change))
        block.parts = parts
        if block.state == "confirmed" and block.held == "immature":
            for (name, account), amount in sorted(parts.items()):
                if name == "earned":
                    self.post(block, ("immature", account), ("available", account), amount)
            block.held = "available"
    def post(self, block, debit, credit, amount):
        block.postings.append((debit, credit, amount))
        self.enter(block.hash, debit, credit, amount)
    def enter(self, block_hash, debit, credit, amount):
        need(amount > 0, "a posting moves something")
        self.books[debit][0] += amount
        self.books[credit][1] += amount
        names = (":".join(filter(None, book)) for book in (debit, credit))
        self.every_posting.append([self.at, block_hash, *names, str(amount)])

    # ---- conservation, and what is printed

    def check_books(self):
        need(sum(debits - credits for debits, credits in self.books.values()) == 0, "debits are not credits")
        right = self.adjusted.copy()                # every book again, adjusted, from the blocks as they stand now
        for block in self.blocks.values():
            right["reward", ""] -= block.value * SUB_UNITS if block.held else 0
            for (name, account), amount in block.parts.items():
                right[block.held if name == "earned" else name, account] += amount
        for key in self.books.keys() | right.keys():
            debits, credits = self.books.get(key, (0, 0))
            need(credits - debits == right[key], f"{key} has {credits - debits}, the blocks say {right[key]}")
    def answer(self, postings):
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
        return out | ({"postings": self.every_posting} if postings else {})

    @staticmethod
    def block_answer(block):
        said = {"at": block.at, "hash": block.hash, "height": block.height, "state": block.state, "held": block.held,
                "value": str(block.value), "fees": str(block.fees), "W": str(sum(block.weights.values())),
                "weights": {account: str(weight) for account, weight in block.weights.items()},
                "credits": {account: str(amount) for (_, account), amount in block.parts.items() if account},
                "others": {book: str(amount) for (book, account), amount in block.parts.items() if not account}}
        if block.share:
            worker, job = block.share.worker, block.share.job
            said |= {"pot": worker.pot, "finder": worker.account, "worker": worker.name, "policy": job.policy_at,
                     "void": job.void, "N": str(block.n) if block.n else None, "effort": str(block.effort)}
        return said | {"recovered": block.share is None}
def final_events(lines, everything=False):
    """The events of final positions, each as soon as a checkpoint covers it; or everything."""
    final, waiting = 0, []
    for line in lines:
        event = json.loads(line)
        waiting.append(event)
        if event.get("kind") == "checkpoint" and event["size"] > final:
            final = event["size"]
            yield from (event for event in waiting if event["position"] < final)
            waiting = [event for event in waiting if event["position"] >= final]
    yield from waiting if everything else ()

def balances(lines, stop_at=None, everything=False, postings=False):
    """What the command prints, as an object."""
    oracle = Oracle()
    for event in final_events(lines, everything):
        if stop_at is not None and event["position"] > stop_at:
            break
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
