"""Random ledgers whose coinbases pay accounts, through oracle.py and through a second computation of rules 11: no postings there,
only what stands at the end, and the list there. Seeds are printed. Run by test_oracle.py too."""
import random
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path[:0] = [str(Path(__file__).resolve().parent)]
import oracle  # noqa: E402
from oracle_pen_direct import *  # noqa: E402,F403
from test_oracle_payouts_random import GOOD  # noqa: E402

DIRECT_SEEDS, DIRECT_STEPS, HOLD = 500, 45, 40
NAMES = ["name:ann", "name:bob", "script:" + script_of("cat"), "script:" + script_of("dan"), "name:eve", "evm:" + "ee" * 20]
ADDRESSES = [address_of("A"), address_of("B"), "script:" + script_of("cat"), "evm:" + "ab" * 20]
SCRIPTS = [address[7:] for address in ADDRESSES[:3]] + [script_of("dan"), "76a9"]
ORDER = {name: place for place, name in enumerate(sorted(
    NAMES + ["script:" + script for script in SCRIPTS], key=lambda name: (("script", "evm", "name").index(name.split(":")[0]), name)))}


class DirectTold:
    """A random ledger, and by its side what it says: all obeyed, each with its position."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        rand = self.random.randrange
        terms = dict(n_ppm=rand(1, 4_000_000), fee_ppm=rand(2) * rand(200_000), keep_tx_fees=bool(rand(2)))
        self.pots = {1: direct_pot(1, rand(1, 9), rand(1, 6), **terms), 2: pot(2, bonus_ppm=50_000, **terms), 3: pot(3, "solo")}
        self.story = Story(*self.pots.values())
        self.story.events[0]["policy"] |= {"threshold": str(rand(1, 30)), "address_hold_ms": HOLD}
        self.story.now = START
        self.shares, self.blocks, self.jobs, self.gifts, self.moves, self.asked, self.given, self.last = [], [], [], [], [], {}, [], {}
        self.workers = [(name, number) for number in (1, 1, 2, 3) for name in NAMES]
        self.tick(self.gate(*(worker(number, "x", of) | {"account": name} for number, (name, of) in enumerate(self.workers)),
                            self.new_job(), self.new_job()))
        for _ in range(rand(2, 6)):
            self.random.choice([self.frame, self.move, self.job])()
        for _ in range(rand(5, DIRECT_STEPS)):
            self.random.choice([self.frame, self.frame, self.frame, self.job, self.job, self.status, self.status, self.gift, self.move,
                                self.move, self.adjust, self.ask])()

    def tick(self, position):
        self.times = getattr(self, "times", [START, START + 1]) + [self.story.now]
        assert len(self.times) == self.story.size == position + 1
        self.story.now += self.random.randrange(20)
        return position

    def gate(self, *events):
        return self.story.gate(*events)

    def desk(self, subject, make):
        """An event of a subject, whose place it becomes."""
        at = self.tick(self.story.frame("desk", make(self.last.get(subject, (0, 0)))))
        self.last[subject] = (at, 0)
        return at

    def new_job(self):
        rand, number = self.random.randrange, len(self.jobs)
        size = max(rand(self.story.size + 9) for _ in range(3)) * min(1, rand(4))
        outputs = [(rand(4) and rand(25), self.random.choice(SCRIPTS[:2] * 2 + SCRIPTS)) for _ in range(rand(6))]
        void, work = not rand(8), rand(1, 60)
        broken = not rand(9)
        said = direct_job(number, size, outputs, network_work=work, policy=(8, 8) if void else (0, 0))
        said["coinbase2"] += "00" if broken else ""
        self.jobs.append((min(size, self.story.size), [] if broken or not size else outputs, work, void))
        return said

    def job(self):
        self.tick(self.gate(self.new_job()))

    def frame(self):
        rand, events = self.random.randrange, []
        for _ in range(rand(1, 5)):
            number, job_number = rand(len(self.workers)), max(rand(len(self.jobs)), rand(len(self.jobs)))
            name, pot_number = self.workers[number]
            work = rand(1, 30)
            is_block = not rand(6)
            events.append(share(number, work, job_number, block=is_block))
            self.shares.append(((self.story.size, len(events) - 1), name, pot_number, 0 if self.jobs[job_number][3] else work, job_number))
            if is_block:
                self.blocks.append((f"block {len(self.blocks)}", self.shares[-1], []))
                events.append(found(self.blocks[-1][0]))
        self.tick(self.gate(*events))

    def status(self):
        if self.blocks:
            letter, _, history = self.random.choice(self.blocks)
            state = self.random.choice(["seen", "immature", "immature", "confirmed", "orphaned"])
            value = self.random.choice([0, self.random.randrange(100)])
            fees = self.random.randrange(value + 1)
            history.append((state, value * GIGA, fees * GIGA))
            at = self.tick(self.story.settle(status(letter, state, self.last.get(letter, (0, 0)), value, fees)))
            self.last[letter] = (at, 0)

    def gift(self):
        name, ppm = self.random.choice(NAMES), self.random.choice([0, 1, 333_333, 10**6])
        at = self.desk(name, lambda expects: setting(name, "donation", ppm, expects))
        self.gifts.append((at, name, ppm))

    def move(self):
        name, to = self.random.choice(NAMES + NAMES[:2] * 3), self.random.choice(ADDRESSES[:2] * 2 + ADDRESSES)
        now = self.story.now
        self.moves.append((self.desk(name, lambda expects: setting(name, "address", to, expects)), now, name, to))

    def ask(self):
        name = self.random.choice(NAMES)
        self.asked[name] = self.desk(name, lambda expects: setting(name, "pay_now", None, expects))

    def adjust(self):
        name, amount = self.random.choice(NAMES), self.random.randrange(1, 30 * GIGA)
        back = not self.random.randrange(3)
        said = adjustment("x", amount, self.last.get(("adjusted", name), (0, 0)), back=back) | {"account": name}
        thing = thing_of(said).hex()
        yes = [{"kind": "approval", "thing": thing, "approver": public(key).hex(), "signature": GOOD} for key in APPROVERS]
        at = self.tick(self.story.frame("desk", said, *yes))
        self.last["adjusted", name] = (at, 0)
        self.given.append((name, -amount if back else amount))


class DirectSecond:
    """What stands at the end, from the definitions."""

    def __init__(self, told):
        self.told, self.books, self.waits = told, {}, set()
        for name, amount in told.given:
            self.give("reserve", f"available:{name}", amount)
        for _, share, history in told.blocks:
            self.settle(share, history)

    def give(self, debit, credit, amount):
        self.books[debit] = self.books.get(debit, 0) - amount
        self.books[credit] = self.books.get(credit, 0) + amount

    def gift_of(self, name, before):
        return ([0] + [ppm for at, of, ppm in self.told.gifts if of == name and at < before])[-1]

    def address(self, name, size):
        """In force after so many positions. A change that another came after before its time was up never was."""
        changes = [(time, to) for at, time, of, to in self.told.moves if of == name and at < size]
        now, address, pending = self.told.times[size - 1], None if name[:5] == "name:" else name, []
        for time, to in [*changes, (now, None)]:
            address = ([address] + [waits for until, waits in pending if until <= time])[-1]
            pending = [entry for entry in pending if entry[0] > time]
            if to and address is None:
                address = to
            elif to and to not in [waits for _, waits in pending]:
                pending = [] if to == address else [(time + HOLD, to)]
        return address

    def weights(self, place, finder, pot_number, job_number):
        size, _, work, void = self.told.jobs[job_number]
        if void:
            return {}
        if pot_number == 3:
            return {finder: 1}
        before = (size, 0) if size and pot_number == 1 else (place[0], place[1] + 1)
        return self.window(pot_number, before, work)

    def window(self, pot_number, before, work):
        left, sums = max(1, self.told.pots[pot_number]["n_ppm"] * work // 10**6), {}
        for _, name, _, credit, _ in reversed([share for share in self.told.shares if share[2] == pot_number and share[0] < before]):
            sums[name], left = sums.get(name, 0) + min(left, credit), left - min(left, credit)
        return {name: weight for name, weight in sums.items() if weight}

    def parts(self, value, fees, terms, weights, donors_before):
        """fee, bonus, of each account (gross, donation), what is over."""
        kept = fees if terms["keep_tx_fees"] else 0
        bonus = (value - kept) * terms["bonus_ppm"] // 10**6
        fee = (value - kept - bonus) * terms["fee_ppm"] // 10**6
        rest = value - kept - bonus - fee
        parts = {name: rest * weight // sum(weights.values()) for name, weight in weights.items()}
        gifts = {name: part * self.gift_of(name, donors_before) // 10**6 for name, part in parts.items()}
        return kept + fee, bonus, parts, gifts, rest - sum(parts.values())

    def settle(self, share, history):
        place, finder, pot_number, _, job_number = share
        size, outputs, _, void = self.told.jobs[job_number]
        weights, paid = self.weights(place, finder, pot_number, job_number), {}
        for amount, script in outputs:
            lives = [name for name in NAMES if self.address(name, size) == f"script:{script}"]
            moved = [name for at, _, name, _ in self.told.moves if at < size and name in lives]
            owner = min([name for name in lives if name in weights] or moved or [f"script:{script}"], key=ORDER.get)
            paid[owner] = paid.get(owner, 0) + amount * GIGA
            if amount and not {"immature", "confirmed", "orphaned"} & {state for state, *_ in history}:
                self.waits |= {f"script:{script}", *lives}
        states = [state for state, *_ in history]
        since = history[len(states) - states[::-1].index("orphaned") if "orphaned" in states else 0:]
        while since and since[0][0] == "seen":
            since = since[1:]
        if not since:
            return
        confirmed = any(state == "confirmed" for state, *_ in since)
        book, (_, value, fees), earned = "available" if confirmed else "immature", since[-1], {}
        if void:
            self.give("reward", "reserve", value)
        else:
            direct = size and pot_number == 1
            fee, bonus, parts, gifts, over = self.parts(value, fees, self.told.pots[pot_number], weights, size if direct else place[0])
            self.give("reward", "fee", fee)
            self.give("reward", "rounding" if weights else "reserve", over)
            self.give("reward", "donation", sum(gifts.values()))
            earned = {name: parts[name] - gifts[name] for name in parts}
            earned[finder] = earned.get(finder, 0) + bonus
        for name in {*earned, *paid}:
            g, x = earned.get(name, 0), paid.get(name, 0)
            self.give("reward", f"{book}:{name}", g)
            if confirmed:
                self.give(f"available:{name}", f"paid:{name}", x)
            else:
                self.give(f"immature:{name}", f"reserved:{name}", min(x, g))
                self.give(f"available:{name}", f"reserved:{name}", max(0, x - g))

    def list_of(self, value, fees, work, room):
        size, terms = self.told.story.size, self.told.pots[1]
        weights = self.window(1, (size, 0), work)
        _, _, parts, gifts, _ = self.parts(value * GIGA, fees * GIGA, terms, weights, size)
        least, rows = int(terms["direct_min"]), []
        for name in sorted(weights, key=ORDER.get):
            address, balance = self.address(name, size), self.books.get(f"available:{name}", 0)
            threshold = int(self.told.story.events[0]["policy"]["threshold"]) * GIGA
            if balance > 0 and (name in self.waits or balance >= threshold or balance >= GIGA and name in self.told.asked):
                balance = 0
            if address and address[:7] == "script:" and address not in [row[3] for row in rows]:
                rows.append((-(max(0, parts[name] - gifts[name] + balance) // GIGA), ORDER[name], name, address))
        outputs, left = {}, value
        for want, _, name, address in sorted(rows):
            room -= 9 + len(address[7:]) // 2
            if min(-want, left) < least or len(outputs) == terms["direct_outputs"] or room < 0:
                break
            outputs[name] = (address, min(-want, left))
            left -= min(-want, left)
        return {"outputs": outputs, "pool": left}


def books_of(made):
    """book:account -> balance, of an oracle."""
    return {":".join(key).rstrip(":"): credits - debits for key, (debits, credits) in made.books.items() if debits != credits}


def coinbases_agree(seeds):
    """Whether both computations say the same of all these ledgers; what they met."""
    met = dict.fromkeys(("carried", "paid", "owes", "list", "left", "waits", "named"), 0)
    for seed in seeds:
        told = DirectTold(seed)
        with mock.patch.object(oracle, "signature_is_right", lambda key, message, signature: signature.hex() == GOOD):
            made = oracle_of(told.story)
        second, rand = DirectSecond(told), random.Random(seed).randrange
        right = {name: amount for name, amount in second.books.items() if amount}
        asked = (rand(100), rand(9), rand(1, 60), rand(10, 100))
        asked = (asked[0], min(asked[:2]), *asked[2:])
        listed = made.list_of(1, *asked[:3], (asked[3], 0))        # no script of these has signature operations
        books, second_list = books_of(made), second.list_of(*asked)
        if (made.refused, books, {name: listed[name] for name in second_list}) != ([], right, second_list):
            return seed
        met["paid"] += any(name.startswith("paid:") for name in books)
        met["carried"] += any(block.held == "immature" and block.paid[name] > of for block in made.blocks.values()
                              for name, of in made.of_block(block).items())
        met["owes"] += any(name.startswith("available:") and amount < 0 for name, amount in books.items())
        met["list"] += bool(listed["outputs"])
        met["left"] += listed["outputs"].keys() != listed["wants"].keys()
        met["waits"] += bool(second.waits)
        met["named"] += any(name.startswith("name:") for block in made.blocks.values() for name in block.paid)
    return met


class DirectRandom(unittest.TestCase):
    def test_both_computations_of_coinbases_agree(self):
        met = coinbases_agree(range(DIRECT_SEEDS))
        self.assertIsInstance(met, dict, f"seed {met}")
        self.assertGreater(min(met.values()), 20, met)


if __name__ == "__main__":
    unittest.main()
