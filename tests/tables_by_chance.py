#!/usr/bin/env python3
"""Tables by chance: statements of every kind, one after another, with the books that the oracle comes to. No pencil has been
here; they are for the folds, which have to come to the same (replay/tests/money/scenarios.rs).

    python3 tests/tables_by_chance.py                          writes those that are checked in, tests/scenarios/by_chance
    python3 tests/tables_by_chance.py FOLDER FIRST LAST        writes these seeds into another folder, to be tried
"""
import random
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]
from oracle_pen_tables import *  # noqa: E402,F403

NAMES = ["ann", "bob", "cat", "dan"]
STEPS, BOOKS_EVERY = 60, 6
KINDS = ("plain", "ethash", "direct")               # what the ledgers are of; seeds of each
SEEDS_OF_TABLES = (1, 2, 3, 4)
NEXT_OF_TX = {                                      # what is said of a tx in this state, more or less often
    "unsigned": ["signed"] * 4 + ["cancelled"], "signed": ["broadcast", "confirmed", "signed again"],
    "broadcast": ["seen", "confirmed", "confirmed", "unknown", "failed", "conflicted"],
    "seen": ["confirmed", "confirmed", "failed", "signed again"],
    "confirmed": ["broadcast", "final", "conflicted", "seen", "unknown", "failed"],
    "conflicted": ["cancelled by=Q", "cancelled by=Q", "confirmed", "cancelled by=itself"],
    "unknown": ["confirmed", "seen", "cancelled by=Q"]}
ANY_OF_TX = ["signed", "broadcast", "seen", "confirmed", "final", "failed", "cancelled", "cancelled by=P", "conflicted", "unknown"]
STATES = ["seen", "immature", "immature", "confirmed", "confirmed", "confirmed", "confirmed", "orphaned", "uncle"]


def figure(amount):
    whole, rest = divmod(abs(amount), GIGA)
    return "-" * (amount < 0) + f"{whole}" + f".{rest:09d}".rstrip("0") * bool(rest)


def written(books):
    """Lines with `=` of books in sub-units."""
    rows = []
    for name, amount in sorted(books.items()):
        book, _, owner = name.partition(":")
        if owner.startswith("script:"):
            owner = bytes.fromhex(owner.removeprefix("script:")).decode().removeprefix("script of ")
        rows += [f"= {owner} {book} {figure(amount)}".replace("  ", " ")] if book != "reward" else []
    return rows or ["= nothing"]


class Maker:
    """A table that grows; what is said is mostly right, and sometimes not."""

    def __init__(self, kind, seed):
        self.r = random.Random(f"{kind} {seed}")
        self.ethash, self.direct = kind == "ethash", kind == "direct"
        first = self.policy(True)
        restart_nonces()
        self.lines = ["policy " + first]
        self.table = Table(" " + first)
        self.blocks, self.named, self.count, self.gates, self.recovered = [], 0, 0, set(), False

    def policy(self, first=False):
        r = self.r
        words = [f"fee={r.choice([0, 10000, 33333])}", f"n={r.choice([300000, 1000000, 2000000])}", f"threshold={r.choice([1, 5, 9])}"]
        if not r.randrange(3):
            words.append(f"stale={r.choice([500000, 1000000, 333333])}")
        if not r.randrange(3):
            words.append("keep=yes")
        if self.direct:
            words += [f"direct={r.choice([1, 5])}"]
        elif not r.randrange(3):
            words.append(f"bonus={r.choice([20000, 333333])}")
        if not r.randrange(3):
            words.append("bears=miner")
        if not r.randrange(3):
            words.append(f"limit={r.choice([0, 10])}")
        if not r.randrange(2):
            words.append(f"hold={r.choice(['1h', '24h'])}")
        if not r.randrange(2):
            words.append(f"writeoff={r.choice(['1h', '10d'])}")
        if not r.randrange(2):
            words.append("rounding=fee")
        if first and self.ethash:
            words.append("chain=ethash")
        return " ".join(words)

    def say(self, line):
        self.table.say(line)
        self.lines.append(line)

    def books(self):
        self.lines += written(sums(self.table.oracle.answer(True)))

    def name(self):
        return self.r.choice(NAMES)

    def job(self, gate=None):
        r = self.r
        g = gate or f"g{r.randrange(1, 4)}"
        words = [f"{g} job {r.choice([1, 10, 30, 100])}"]
        if not r.randrange(10):
            words.append("void")
        words.append(f"pays={r.choice([50, 7, 100])}")
        words.append(f"fees={r.choice([0, 1, 7])}")
        if self.direct:
            if r.randrange(4):
                outs = ",".join(f"{r.choice('XYZQ')}:{r.choice([1, 5, 12, 30])}" for _ in range(r.randrange(1, 4)))
                words.append(f"direct={r.choice(['now', 'now', 'mark', '9999'])} pool={r.randrange(9)} outs={outs}")
            else:
                words.append("plain")
        self.gates.add(g)
        self.say(" ".join(words))

    def share(self):
        r = self.r
        who = self.name() + r.choice(["", "", "", "@solo", "@prop", "@prop", "@pps", "@fpps"])
        text = f"{who} {r.choice([1, 3, 7, 20, 60])}" + (" stale" if not r.randrange(6) else "")
        if self.ethash and not r.randrange(3):
            self.named += 1
            text += f" as s{self.named}"
            known = list(self.table.shares)
            if known and r.randrange(2):
                text += f" like {r.choice(known)}"
        elif not r.randrange(4):
            self.count += 1
            letter = f"B{self.count}"
            self.blocks.append(letter)
            text += f" finds {letter}"
        return text

    def frame(self):
        r = self.r
        if not self.gates:
            return self.job("g1")
        g = r.choice(sorted(self.gates))
        if self.table.gates[g].left is None and not r.randrange(12) and not self.ethash:
            return self.say(f"{g} restarts")
        return self.say(f"{g} frame: " + ", ".join(self.share() for _ in range(r.randrange(1, 4))))

    def status(self):
        r = self.r
        if not self.blocks:
            return
        letter = r.choice(self.blocks[-5:])
        state = r.choice(STATES)
        value = r.choice([50, 50, 45, 100, 1, 0, 17])
        fees = r.choice([0, 0, min(1, value), min(7, value)])
        self.say(f"{letter} {state} {value}" + (f" fees={fees}" if fees else "") + (" late" if not r.randrange(12) else ""))

    def recover(self):
        self.count += 1
        letter = f"R{self.count}"
        self.say(f"recovered {'again ' if self.recovered else ''}{letter}")
        if not self.recovered:
            self.recovered = True
            self.blocks.append(letter)

    def adjust(self):
        r = self.r
        amount, book = r.choice(["3", "0.5", "24.7", "0.000000001", "0.999999999"]), r.choice(oracle.BOOKS)
        self.say(f"adjust {self.name()} {r.choice('+-')}{amount} {book}" + (" late" if not r.randrange(15) else ""))

    def mean(self):
        self.say(f"mean {self.r.choice([0, 3, 11])}")

    def donates(self):
        self.say(f"donates {self.name()} {self.r.choice([0, 15000, 333333, 1000000])}")

    def lives(self):
        self.say(f"lives {self.name()} {self.r.choice('XYZW')}")

    def setting(self):
        self.say(self.r.choice([f"threshold {self.name()} {self.r.choice([0, 2, 9])}", f"wants {self.name()}"]))

    def new_policy(self):
        self.say("policy " + self.policy())

    def batch(self):
        r, t = self.r, self.table
        wallet = r.choice([0, 0, 0, 1])
        lines, fee, miner = [], r.choice([0, 2, 5]), t.oracle.policy["network_fees"] == "miner"
        who = sorted(set(self.name() for _ in range(3)))
        rows = []
        for name in who:
            debits, credits = t.oracle.books["available", f"name:{name}"]
            have, account = (credits - debits) // GIGA, f"name:{name}"
            enough = have > 0 and (have >= t.oracle.threshold(account) or not r.randrange(8))
            if enough and t.oracle.account(account).in_force or not r.randrange(12):
                rows.append((name, max(1, have - r.choice([0, 0, 0, 1]))))
        if not rows:
            return
        each = fee // len(rows) if miner else 0
        for name, amount in rows:
            if amount <= each:
                return
            lines.append(f"{name} {amount}" + (f" fee {each}" if each else ""))
        confirmed = [b for b in self.blocks if (x := t.oracle.blocks.get(t.hash_of(b))) and x.is_confirmed]
        cited = sorted(set(r.sample(confirmed, min(len(confirmed), r.randrange(3)))))
        if not r.randrange(12) and self.blocks:
            cited = [r.choice(self.blocks)]
        words = [f"fee={fee}"] if fee else []
        if len(rows) > 1 and r.randrange(2):
            words.append(f"txs={len(rows)}")
        if cited:
            words.append("of=" + ",".join(cited))
        if wallet:
            words.append("wallet=1")
        if not r.randrange(20):
            words.append(r.choice(["late", "lost", "number=5", "total=3"]))
        self.say(" ".join(["batch", *words]).rstrip() + ": " + ", ".join(lines))
        if r.randrange(4):
            self.say(f"approve {wallet}") if t.oracle.batches[wallet] else None
        if r.randrange(3):
            for _ in range(r.randrange(2, 9)):
                self.tx(wallet)

    def tx(self, wallet=None):
        r, t = self.r, self.table
        wallet = r.choice([0, 0, 0, 1]) if wallet is None else wallet
        batches = t.oracle.batches[wallet]
        if not batches:
            return
        batch = len(batches) - 1 if r.randrange(6) else r.randrange(len(batches))
        number = r.randrange(len(batches[batch].txs))
        tx = batches[batch].txs[number]
        verb = r.choice(NEXT_OF_TX.get(tx.state, ["confirmed"]) if r.randrange(7) else ANY_OF_TX)
        words = [f"tx {number} {verb}"]
        if verb.split()[0] in ("confirmed", "final", "failed") or "by=" in verb:
            words.append(f"fee={r.randrange(6)}")
        if wallet:
            words.append("wallet=1")
        if batch != len(batches) - 1:
            words.append(f"batch={batch}")
        if not r.randrange(20):
            words.append("late")
        if not r.randrange(20) and verb.split()[0] == "confirmed":
            words.append("version=0")
        self.say(" ".join(words))

    def approve(self):
        wallet = self.r.randrange(2)
        if self.table.oracle.batches[wallet]:
            self.say(f"approve {wallet}")

    def halt(self):
        self.say(self.r.choice(["halts 0", "halts 1", "resumes 0", "resumes 0", "resumes 0", "resumes 1", "resumes 1", "resumes 0 late"]))

    def passes(self):
        self.say(f"passes {self.r.choice(['1h', '24h', '10d', '30d'])}")

    def write_off(self):
        self.say(f"write-off {self.name()}")

    def dust(self):
        names = sorted(set(self.name() for _ in range(3))) if self.r.randrange(6) else ["nobody"]
        to = self.r.choice(["reserve", "donation", "fee"])
        self.say(f"dust {', '.join(names)} to {to}" + (" since=mark" if not self.r.randrange(3) else ""))

    def set_mark(self):
        self.say("mark")

    def void(self):
        t = self.table
        pairs = [(a, b) for a, (place, nonce) in t.shares.items() for b, (first, other) in t.shares.items()
                 if first < place and (nonce == other or not self.r.randrange(9))]
        if pairs:
            self.say("void {} of {}".format(*self.r.choice(pairs)))

    def lost(self):
        if self.ethash or not self.gates:
            return
        g = self.r.choice(sorted(self.gates))
        gate = self.table.gates[g]
        if gate.left is None and not gate.lost:
            self.say(f"{g} lost: " + ", ".join(self.share() for _ in range(2)))
            for _ in range(self.r.randrange(1, 3)):
                self.say(f"{g} moves{self.r.choice(['', ' twice'])}")

    def make(self, steps):
        self.job("g1")
        for name, place in zip(NAMES, "XYZ"):
            if self.r.randrange(4):
                self.say(f"lives {name} {place}")
        often = ((self.frame, 12), (self.status, 14), (self.job, 3), (self.batch, 8), (self.tx, 12), (self.adjust, 3), (self.approve, 2),
                 (self.passes, 2), (self.dust, 2), (self.void, 4 * self.ethash))
        once = [self.recover, self.mean, self.donates, self.lives, self.setting, self.new_policy, self.halt, self.write_off, self.set_mark, self.lost]
        pool = once + [say for say, times in often for _ in range(times)]
        for n in range(steps):
            self.r.choice(pool)()
            if n % BOOKS_EVERY == BOOKS_EVERY - 1:
                self.books()
        if not self.lines[-1].startswith("="):
            self.books()
        return "\n".join(self.lines) + "\n"


def write(folder, kinds, seeds):
    for kind in kinds:
        for seed in seeds:
            (Path(folder) / f"{kind}_{seed}.table").write_text(Maker(kind, seed).make(STEPS))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        write(sys.argv[1], KINDS, range(int(sys.argv[2]), int(sys.argv[3])))
    else:
        write(HERE / "scenarios" / "by_chance", KINDS, SEEDS_OF_TABLES)
