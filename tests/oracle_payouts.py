"""Payouts, halts, resumes and write-offs: part of the oracle (oracle.py), from docs/rules.md 5.4 and 8 and schema/LEDGER-FORMAT.md alone."""
import hashlib
from collections import defaultdict, namedtuple
from oracle_rules import NETWORK_FEES, NONE, RESERVE, SUB_UNITS, SUM_OF_ALL, WALLET
from oracle_things import body_of, digest_of

PARTS_MOST, VERSIONS_MOST = 64, 64                  # rules 8.13, 8.9
LIVE = ("signed", "broadcast", "seen", "confirmed", "unknown", "conflicted")        # rules 8.6: a version, and no end
ENDS = ("final", "failed", "cancelled")
FROM = {                                            # rules 8.9: what is said -> the states that it may be said in
    "signed": ("unsigned", "signed", "broadcast", "seen", "unknown", "conflicted"),
    "broadcast": ("signed", "seen", "confirmed", "unknown", "conflicted"),
    "seen": ("signed", "broadcast", "confirmed", "unknown", "conflicted"),
    "confirmed": ("signed", "broadcast", "seen", "unknown", "conflicted"),
    "final": ("confirmed",),
    "conflicted": ("signed", "broadcast", "seen", "confirmed", "unknown"),
    "unknown": ("signed", "broadcast", "seen", "confirmed", "conflicted"),
    "failed": LIVE}
Batch = namedtuple("Batch", "digest needed blocks txs")
class Line:
    def __init__(self, said):
        self.account, self.amount, self.fee = said["account"], said["amount"] * SUB_UNITS, said["fee"] * SUB_UNITS
        self.stands = "held"                        # rules 8.10: then sent, returned
    def moves(self, step):
        """Rules 8.10: what the line posts at confirmed, failed or cancelled, as (debit, credit, sub-units)."""
        available, reserved, paid = ((name, self.account) for name in ("available", "reserved", "paid"))
        if step == "confirmed":
            sent = [(reserved, paid, self.amount - self.fee), (reserved, NETWORK_FEES, self.fee)]
            return sent if self.stands == "held" else []
        if self.stands == "held":
            return [(reserved, available, self.amount)]
        return [(paid, available, self.amount - self.fee), (NETWORK_FEES, available, self.fee)]
class Tx:
    def __init__(self, lines):
        self.lines, self.state, self.last = lines, "unsigned", NONE
        self.txids, self.spends, self.took = [], None, 0    # of its versions; what the chain took
    def may_be_signed(self, event, is_free_to, raw_is_there):
        """Rules 8.9, both rows of signed."""
        again = self.state != "unsigned"
        new = event["spends"] == self.spends and event["txid"] not in self.txids and len(self.txids) < VERSIONS_MOST
        return self.state in FROM["signed"] and is_free_to and raw_is_there and (new or not again)
    def may_step(self, event):
        step = event["step"]
        return self.state in FROM[step] and (step in ("conflicted", "unknown") or event["txid"] in self.txids)
    def may_be_cancelled(self, event):
        if event["by"] is None:
            return self.state == "unsigned"
        return self.state in LIVE and event["by"] not in self.txids
    def postings(self, step, fee=None):
        """Rules 8.10: of the lines, then of what the chain took, where it says: fee in base units, or None."""
        moves = step in ("confirmed", "failed", "cancelled")
        posted = [posting for line in self.lines if moves for posting in line.moves(step)]
        more = 0 if fee is None else fee * SUB_UNITS - self.took
        return posted + [(NETWORK_FEES, WALLET, more) if more > 0 else (WALLET, NETWORK_FEES, -more)]
    def go(self, step, at, fee=None):
        self.state, self.last = step, at
        self.took = self.took if fee is None else fee * SUB_UNITS
        for line in self.lines:
            line.stands = {"confirmed": "sent", "failed": "returned", "cancelled": "returned"}.get(step, line.stands)

class Stream:
    """Rules 8.13: the parts of one stream, as far as they are a whole or may become one."""
    def __init__(self):
        self.name, self.parts, self.of = None, [], 0
    def take(self, event):
        if event["part_index"] == 0:
            self.name, self.parts, self.of = event["whole"], [], event["of"]
        follows = (event["whole"], event["of"], event["part_index"]) == (self.name, self.of, len(self.parts))
        if not follows or self.of > PARTS_MOST:
            self.name = None
        self.parts.append(bytes.fromhex(event["bytes"]))
    def whole(self, name):
        """The bytes, if the stream has the whole of that name."""
        data = b"".join(self.parts)
        is_there = name == self.name and len(self.parts) == self.of and hashlib.sha256(data).hexdigest() == name
        return data if is_there else None

class Payouts:
    """What Oracle does with parts and kinds 32 to 38."""
    def __init__(self):
        self.streams, self.batches = defaultdict(Stream), defaultdict(list)     # of a stream; of a wallet
        self.halted, self.last_paid = set(), {}     # wallets; account -> place of the last proposal with a line of it
        self.moved, self.owes_since = set(), {}     # accounts whose available moved; account -> ledger time
    def on_part(self, event):
        self.streams[event["stream"]].take(event)
    def fits(self, postings):
        return self.debits + sum(amount for *_, amount in postings) < SUM_OF_ALL
    def judge(self, right):
        self.refused += [] if right else [self.at]
        return right
    # ---- proposals: rules 8.8
    def on_payout_proposed(self, event):
        body = body_of(self.streams[event["stream"]].whole(event["body"]))
        if not self.judge(self.is_right(event, body)):
            return
        total, lines = int(event["total"]), [Line(line) for line in body["lines"]]
        for line in lines:
            self.post(("available", line.account), ("reserved", line.account), line.amount)
            self.last_paid[line.account] = self.at
            self.is_active(line.account)
        txs = [Tx(lines)] if event["txs"] == 1 else [Tx([line]) for line in lines]
        needed = 0 if total <= int(self.policy["auto_pay_limit"]) else self.needed[7]
        batch = Batch(digest_of(self.ledger, event), needed, body["blocks"], txs)
        self.batches[event["wallet"]].append(batch)
    def is_right(self, event, body):
        batches, fee = self.batches[event["wallet"]], int(event["fee"])
        if not body or tuple(event["expects"]) != NONE or event["wallet"] in self.halted:
            return False
        lines, total = body["lines"], sum(line["amount"] for line in body["lines"])
        each = fee // len(lines) if self.policy["network_fees"] == "miner" else 0
        return (event["batch"] == len(batches)
                and all(tx.state in ("confirmed", *ENDS) for batch in batches for tx in batch.txs)
                and event["txs"] in (1, len(lines)) and event["lines"] == len(lines) and int(event["total"]) == total
                and all(line["fee"] == each and self.line_is_right(line) for line in lines)
                and all(hash in self.blocks and self.blocks[hash].is_confirmed for hash in body["blocks"])
                and self.debits + total * SUB_UNITS < SUM_OF_ALL)
    def line_is_right(self, line):
        name, account = line["account"], self.account(line["account"])
        debits, credits = self.books["available", name]
        asked = account.pay_now and account.pay_now > self.last_paid.get(name, NONE)        # rules 8.8.1
        return (account.address(self.time) == line["address"] and line["amount"] * SUB_UNITS <= credits - debits
                and (asked or line["amount"] >= self.threshold(name)))
    # ---- what moves a tx: rules 8.9
    def tx_of(self, event):                         # or None
        batches = self.batches[event["wallet"]]
        txs = batches[event["batch"]].txs if event["batch"] < len(batches) else []
        tx = txs[event["tx"]] if event["tx"] < len(txs) else None
        return tx if tx and tx.last == tuple(event["expects"]) else None
    def move(self, event, tx, step, right, fee=None):
        postings = tx.postings(step, fee) if right else []
        if self.judge(right and self.fits(postings)):
            for posting in postings:
                self.post(*posting)
            tx.go(step, self.at, fee)
            return True
    def on_payout_signed(self, event):
        tx, wallet = self.tx_of(event), event["wallet"]
        if event["raw"]:
            raw_is_there = hashlib.sha256(bytes.fromhex(event["raw"])).hexdigest() == event["body"]
        else:
            raw_is_there = self.streams[event["stream"]].whole(event["body"]) is not None
        free = tx and wallet not in self.halted
        if free and tx.state == "unsigned":         # rules 8.7.1
            batch = self.batches[wallet][event["batch"]]
            free = len(self.approved_by[batch.digest]) >= batch.needed
        if self.move(event, tx, "signed", tx and tx.may_be_signed(event, free, raw_is_there)):
            tx.txids.append(event["txid"])
            tx.spends = event["spends"]
    def on_payout_step(self, event):
        tx, step = self.tx_of(event), event["step"]
        fee = int(event["fee"]) if step in ("confirmed", "final", "failed") else None
        self.move(event, tx, step, tx and tx.may_step(event), fee)
    def on_payout_cancelled(self, event):
        tx, fee = self.tx_of(event), int(event["fee"]) if event["by"] else None
        self.move(event, tx, "cancelled", tx and tx.may_be_cancelled(event), fee)
    def unsigned_of(self, block_hash):              # rules 8.11: txs of batches that cite a block, in their order
        return [tx for _, batches in sorted(self.batches.items()) for batch in batches if block_hash in batch.blocks
                for tx in batch.txs if tx.state == "unsigned"]
    def unsigned_lines(self, block_hash):
        return [line for tx in self.unsigned_of(block_hash) for line in tx.lines]
    def cancel_unsigned(self, block_hash):
        for tx in self.unsigned_of(block_hash):
            for posting in tx.postings("cancelled"):
                self.post(*posting)
            tx.go("cancelled", self.at)
    # ---- halts: rules 8.12
    def on_payout_halt(self, event):
        self.halted.add(event["wallet"])
        self.last["halts", event["wallet"]] = self.at
    def on_payout_resume(self, event):
        wallet = event["wallet"]
        self.say(("halts", wallet), event, self.needed[8], lambda _: self.halted.discard(wallet),
                 lambda: wallet in self.halted)
    # ---- write-offs: rules 5.4
    def note_debts(self):
        """After each event: who owes, and since when."""
        for account in self.moved:
            debits, credits = self.books["available", account]
            if debits <= credits:
                self.owes_since.pop(account, None)
            else:
                self.owes_since.setdefault(account, self.time)
        self.moved.clear()
    def on_write_off(self, event):
        self.say(("write-offs", event["account"]), event, self.needed[9], lambda at: self.write_off(at, event["account"]))
    def write_off(self, at, account):
        since, (debits, credits) = self.owes_since.get(account), self.books["available", account]
        long = since is not None and self.time - since >= self.policy["writeoff_ms"]
        posting = (RESERVE, ("available", account), debits - credits)
        if long and self.fits([posting]):
            self.post(*posting)
        else:                                       # its account's last all the same
            self.refused.append(at)
