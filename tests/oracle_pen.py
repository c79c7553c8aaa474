"""Writes small ledgers for test_oracle*.py as the JSON lines of LEDGER-FORMAT.md section 9, from nothing of ours but the
encoder and signatures of ledger_pen.py. An account is `name:ann`, said as "ann"; a hash is a letter, said as "a"."""
import hashlib
import json
import re
from pathlib import Path

import oracle
from ledger_pen import APPROVERS, public, sign

LEDGER = "0190aaaa-0000-7000-8000-000000000001"
START = 1_800_000_000_000
STREAMS = {"desk": 1, "gate": 2, "keeper": 3, "settler": 4, "gate2": 5, "settler2": 6, "clone": 7, "payer": 8, "payer2": 9}


def uuid(stream):
    return "0190bbbb-0000-7000-8000-%012x" % STREAMS[stream]


def hash_of(letter):
    return hashlib.sha256(letter.encode()).hexdigest()


def pot(number, scheme="pplns", n_ppm=2_000_000, fee_ppm=10_000, bonus_ppm=0, stale_ppm=0, keep_tx_fees=False):
    return {"pot": number, "scheme": scheme, "n_ppm": n_ppm, "fee_ppm": fee_ppm, "bonus_ppm": bonus_ppm,
            "stale_ppm": stale_ppm, "keep_tx_fees": keep_tx_fees, "direct_min": "0", "direct_outputs": 0}


def policy_of(*pots):
    return {"pots": list(pots), "immature_depth": 1, "confirmed_depth": 6, "orphan_depth": 3, "threshold": "1000000",
            "address_hold_ms": 86_400_000, "network_fees": "pool",
            "auto_pay_limit": "0", "payout_depth": 6, "payout_final_depth": 100, "writeoff_ms": 7_776_000_000,
            "rounding_to_fee": False}


def worker(number, account, pot=1):
    return {"kind": "worker", "number": number, "pot": pot, "extranonce1": "aabb", "extranonce2_size": 4,
            "version_mask": 0, "account": f"name:{account}", "name": "rig"}


def job(number=0, policy=(0, 0), network_work=10, reward=50, fees=7):
    return {"kind": "job", "number": number, "policy": list(policy), "height": 700, "network_work": str(network_work),
            "reward": str(reward), "fees": str(fees), "version": 2, "prev": "33" * 32, "nbits": 0x207FFFFF,
            "job_time": 1_800_000_000, "clean": True, "coinbase1": "01", "coinbase2": "02", "branches": [],
            "direct": 0}


NONCES = [0]


def restart_nonces():
    """So that a story has the same bytes whenever it is told."""
    NONCES[0] = 0


def next_nonce():
    NONCES[0] += 1
    return NONCES[0]


def share(worker, work, job=0, stale=False, block=False, nonce=None):
    return {"kind": "share", "worker": worker, "job": job, "work": str(work), "block": block, "stale": stale,
            "nonce": nonce or next_nonce(), "ntime": 8, "version": 2, "extranonce2": "0a0b"}


def found(letter, height=700):
    return {"kind": "block_found", "hash": hash_of(letter), "height": height, "coinbase_txid": "66" * 32,
            "header": "77"}


def finds(worker, work, letter, job=0, stale=False, height=700):
    return [share(worker, work, job, stale, True), found(letter, height)]


SEAL = "5e" * 32


def name_of(nonce):
    """Of a share of ethash and its block."""
    return hashlib.sha256(bytes.fromhex(SEAL) + nonce.to_bytes(8, "big")).hexdigest()


def in_ethash(events):
    """The same events as a ledger of ethash has them: a block is named by the share before it, wherever it is spoken of."""
    names, nonce, told = {}, None, []

    def turned(event):
        nonlocal nonce
        kind = event.get("kind")                    # a closure has none
        if kind == "genesis":
            return event | {"algorithm": "ethash"}
        if kind == "moved":
            return event | {"event": turned(event["event"])}
        if kind == "job":
            kept = ("version", "prev", "nbits", "coinbase1", "coinbase2", "branches", "direct")
            said = {name: value for name, value in event.items() if name not in kept}
            return said | {"kind": "ethash_job", "seal": SEAL, "seed": "5d" * 32}
        if kind == "share":
            nonce = event["nonce"]
            said = {name: value for name, value in event.items() if name not in ("ntime", "version", "extranonce2")}
            return said | {"kind": "ethash_share", "nonce": f"{nonce:016x}"}
        if kind == "block_found":
            names.setdefault(event["hash"], name_of(nonce))
            return event | {"hash": name_of(nonce), "coinbase_txid": "00" * 32,
                            "header": f"{SEAL}{nonce:016x}{'31' * 32}"}
        return event | {"hash": names[event["hash"]]} if kind == "block_status" else event

    for event in events:
        told.append(turned(event))
    return told


def status(letter, state, expects=(0, 0), value=50, fees=0, height=700):
    return {"kind": "block_status", "hash": hash_of(letter), "expects": list(expects), "state": state, "height": height,
            "value": str(value), "fees": str(fees)}


def recovered(letter, expects=(0, 0), value=50, fees=0, height=701):
    return {"kind": "block_recovered", "hash": hash_of(letter), "height": height, "expects": list(expects),
            "coinbase_txid": "66" * 32, "value": str(value), "fees": str(fees)}


def void(share, first, expects=(0, 0)):
    return {"kind": "void", "share": list(share), "first": list(first), "expects": list(expects)}


def setting(account, what, value=None, expects=(0, 0), by="operator"):
    """The proof of who is no operator is judged by nobody who counts money."""
    return {"kind": "setting", "account": account if ":" in account else f"name:{account}", "expects": list(expects),
            "by": by, "what": what, "value": value, "proof": "" if by == "operator" else "abcd"}


def donation(account, ppm, expects=(0, 0), by="signed"):
    return setting(account, "donation", ppm, expects, by)


def registered(name, payout="evm:" + "aa" * 20, threshold=0, workers=("rig",), expects=(0, 0)):
    return {"kind": "account", "name": name, "expects": list(expects), "payout": payout, "threshold": str(threshold),
            "token": None, "registered_only": False, "workers": sorted(workers)}


def fee_mean(mean, expects=(0, 0), height=600):
    return {"kind": "fee_mean", "height": height, "expects": list(expects), "mean": str(mean)}


def said_policy(expects, policy):
    return {"kind": "policy", "expects": list(expects), "policy": policy}


def adjustment(account, amount, expects=(0, 0), book="reserve", back=False, block=None, reason="paid twice"):
    """amount in sub-units; back: from the account to the book; block: a letter."""
    return {"kind": "adjustment", "account": f"name:{account}", "expects": list(expects), "book": book,
            "direction": "from_account" if back else "to_account", "amount": str(amount),
            "block": block and hash_of(block), "reason": reason}


def ban(account, expects=(0, 0), reason="botnet"):
    return {"kind": "ban", "target": f"name:{account}", "action": "ban", "until_ms": 0, "expects": list(expects),
            "reason": reason}


def thing_of(said):
    return oracle.digest_of(bytes.fromhex(LEDGER.replace("-", "")), said)


def approval(thing, number=0, forged=False):
    signature = sign(APPROVERS[number], b"orebook/approval/0\n" + bytes.fromhex(LEDGER.replace("-", "")) + thing)
    return {"kind": "approval", "thing": thing.hex(), "approver": public(APPROVERS[number]).hex(),
            "signature": (signature[:63] + bytes([signature[63] ^ forged])).hex()}


class Story:
    """A ledger in the making. Each method appends one frame and gives its position."""

    def __init__(self, *pots, needed=1):
        self.events, self.size, self.seqs, self.epochs = [], 0, {}, {}
        self.now = None                             # ledger time of the next frame, if it shall be another
        self.frame("desk", {
            "kind": "genesis", "ledger": LEDGER, "coin": 1, "coin_name": "dev", "algorithm": "sha256d", "decimals": 8,
            "chain": "0f" * 32, "segment_positions": 65_536, "segment_bytes": 268_435_456, "digest_answers": 1,
            "approvers": [public(seed).hex() for seed in APPROVERS], "approvals": [[2, needed]], "producers": [],
            "schema_set": [], "policy": policy_of(*(pots or (pot(1),)))})
        self.checkpoint()

    def frame(self, stream, *events):
        time = self.now or START + self.size
        for index, event in enumerate(events):
            kind = event.pop("kind")
            seq = self.seqs.get(stream, 0)
            self.seqs[stream] = seq + 1
            self.events.append({
                "position": self.size, "index": index, "ledger_time": time, "stream": uuid(stream),
                "epoch": self.epochs.get(stream, 0), "seq": seq, "time": time, "kind": kind} | event)
        self.size += 1
        return self.size - 1

    def gate(self, *events):
        return self.frame("gate", *events)

    def settle(self, *events):
        return self.frame("settler", *events)

    def checkpoint(self, size=None):
        return self.frame("keeper", {"kind": "checkpoint", "size": self.size if size is None else size,
                                     "root": "13" * 32, "signature": "14" * 64})

    def closure(self, stream):
        self.events.append({"position": self.size, "closed": uuid(stream), "header_hash": "15" * 32})

    def moved(self, stream, seq, event, counts=True, base_time=START, worker=None, job=None):
        """A moved event; worker and job are the new stream's numbers."""
        kind = event["kind"]
        inner = {"kind": kind, "time": base_time} | {name: value for name, value in event.items() if name != "kind"}
        return {"kind": "moved", "from": uuid(stream), "from_epoch": 0, "from_seq": seq, "base_time": base_time,
                "worker": worker, "job": job, "counts": counts, "event": inner}

    def lines(self):
        """Everything final, by a last checkpoint."""
        self.checkpoint()
        return self.provisional_lines()

    def provisional_lines(self):
        return [json.dumps(event, separators=(",", ":")) for event in self.events]


# ---- the page's tables, and what the oracle says, in the page's words ------------------------------------------------

PAGE = (Path(__file__).resolve().parent.parent / "docs/rules.md").read_text()
GIGA = 10**9                                        # sub-units of a base unit


def tables(page):
    """Name of an example -> its rows, as lists of cells without thousands' commas."""
    found, name, rows = {}, None, []
    for line in page.splitlines() + [""]:
        if match := re.match(r"Example (\d+(?:\.\d+)?[a-e]?)\b", line):
            name, rows = match[1], []
        elif name and line.startswith("|"):
            rows.append([re.sub(r"(?<=\d),(?=\d)", "", cell.strip()) for cell in line.strip("|").split("|")])
        elif name and rows:
            found[name], name = rows[2:], None      # without head and rule
    return found

TABLES = tables(PAGE)


def run(story, **options):
    return oracle.balances(story.lines(), postings=True, **options)

def sums(answer):
    """book -> balance in sub-units, without those that are zero."""
    books = {name: int(sides["credits"]) - int(sides["debits"]) for name, sides in answer["books"].items()}
    for account, of_account in answer["accounts"].items():
        for book, sides in of_account.items():
            books[f"{book}:{account.removeprefix('name:')}"] = int(sides["credits"]) - int(sides["debits"])
    return {name: balance for name, balance in books.items() if balance}

def block_of(answer, letter="a"):
    return next(block for block in answer["blocks"] if block["hash"] == hash_of(letter))

def weights(answer, letter="a"):
    return {name.removeprefix("name:"): int(weight) for name, weight in block_of(answer, letter)["weights"].items()}

def rows_of(answer, states):
    """The postings as rows of the page: state, debit, credit, sub-units. states: position -> state."""
    return [[states[at[0]], debit.replace("name:", ""), credit.replace("name:", ""), amount]
            for at, _, debit, credit, amount in answer["postings"] if at[0] in states]


def shares_story(rows, *pots, letter="a"):
    """A ledger with one share a row (account, credit); the last finds block `letter`."""
    story = Story(*pots)
    accounts = sorted({account for account, _ in rows})
    events = [worker(number, account) for number, account in enumerate(accounts)] + [job()]
    events += [share(accounts.index(account), credit) for account, credit in rows[:-1]]
    account, credit = rows[-1]
    story.found_at = story.gate(*events, *finds(accounts.index(account), credit, letter))
    return story


def two_accounts(n_ppm=2_000_000):
    """Section 5 of the page: window ann 3, cat 2, fee 1 %."""
    return shares_story([("ann", 3), ("cat", 2)], pot(1, n_ppm=n_ppm))
