"""Random ledgers of dust and roundings through oracle.py and through a second computation of rules 7.2 and 7.3, which looks up
what stands when, and keeps nothing on the way but amounts with their positions. Run by test_oracle.py too."""
import random
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path[:0] = [str(Path(__file__).resolve().parent)]
import oracle  # noqa: E402
from oracle_pen_direct import *  # noqa: E402,F403
from test_oracle_dust import DAY, dust  # noqa: E402
from test_oracle_payouts_random import GOOD  # noqa: E402

DUST_SEEDS, RIGS = 250, ("ann", "bob", "cat")


class DustTold:
    """A random ledger, and by its side what it says."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        rand = self.random.randrange
        self.story = Story(pot(1, "solo", fee_ppm=0, stale_ppm=rand(2) * 500_000))
        first = self.story.events[0]["policy"] | {"threshold": "20", "rounding_to_fee": bool(rand(2))}
        self.story.events[0]["policy"] = first
        self.times, self.story.now = [START, START + 1], START + 2
        self.amounts, self.active, self.said, self.policies = [], [], [], [(0, 20, first["rounding_to_fee"])]
        self.last, self.blocks = {}, []
        self.frame("gate", *(worker(number, name) for number, name in enumerate(RIGS)), job())
        for _ in range(rand(10, 60)):
            self.random.choice([self.share, self.adjust, self.adjust, self.setting, self.announce, self.announce, self.policy,
                                self.find, self.status, self.beat, self.beat])()

    def frame(self, stream, *events):
        self.times.append(self.story.now)
        at = self.story.frame(stream, *events)
        self.story.now += self.random.choice([1, DAY, 7 * DAY, 15 * DAY, 30 * DAY])
        return at

    def yes(self, said):
        return [{"kind": "approval", "thing": thing_of(said).hex(), "approver": public(key).hex(), "signature": GOOD} for key in APPROVERS]

    def thing(self, subject, make):
        """The position of an event of that subject, approved in its frame."""
        said = make(self.last.get(subject, NOBODY))
        at = self.frame("desk", said, *self.yes(dict(said)))
        self.last[subject] = (at, 0)
        return at

    def beat(self):
        self.frame("desk", {"kind": "heartbeat"})

    def share(self):
        number, stale = self.random.randrange(3), not self.random.randrange(3)
        at = self.frame("gate", share(number, self.random.randrange(1, 4), stale=stale))
        work = int(self.story.events[-1]["work"])
        if not stale or work * self.story.events[0]["policy"]["pots"][0]["stale_ppm"] // 10**6:
            self.active.append((at, RIGS[number]))

    def adjust(self):
        name, book = self.random.choice(RIGS), self.random.choice(["reserve", "rounding"])
        amount = self.random.choice([1, -1]) * self.random.choice([1, GIGA // 2, 4 * GIGA, 25 * GIGA])
        at = self.thing(("adjusted", name), lambda expects: adjustment(name, abs(amount), expects, book, amount < 0))
        self.amounts += [(at, f"available:{name}", amount), (at, book, -amount)]

    def setting(self):
        name = self.random.choice(RIGS)
        at = self.thing(("set", name), lambda expects: setting(name, "pay_now", None, expects))
        self.active.append((at, name))

    def announce(self):
        rand = self.random.randrange
        names, to = [name for name in RIGS if rand(5)] * bool(rand(6)), self.random.choice(["reserve", "donation", "fee"])
        cutoff = rand(self.story.size)
        at = self.thing("dust", lambda expects: dust(names, expects, cutoff, to))
        self.said.append((at, names, cutoff, to))

    def policy(self):
        threshold, rounds = self.random.choice([2, 20, 100]), bool(self.random.randrange(2))
        at = self.thing("policy", lambda expects: said_policy(expects, policy_of(
            pot(1, "solo")) | {"threshold": str(threshold), "rounding_to_fee": rounds}))
        self.policies.append((at, threshold, rounds))

    def find(self):
        number, letter = self.random.randrange(3), f"block {len(self.blocks)}"
        self.active.append((self.frame("gate", *finds(number, 1, letter)), RIGS[number]))
        self.blocks.append([letter, RIGS[number], NOBODY, "found"])

    def status(self):
        block = next((block for block in self.blocks if block[3] in ("found", "immature")), None)
        if block:
            letter, name, expects, before = block
            state = "immature" if before == "found" else self.random.choice(["confirmed", "orphaned"])
            at = self.frame("settler", status(letter, state, expects, value=9))
            block[2:] = (at, 0), state
            debit, credit = {"immature": ("reward", f"immature:{name}"), "confirmed": (f"immature:{name}", f"available:{name}"),
                             "orphaned": (f"immature:{name}", "reward")}[state]
            self.amounts += [(at, debit, -9 * GIGA), (at, credit, 9 * GIGA)]


def second_of(told):
    """(position, from, to, amount) of all that positions post behind their events; the amounts of all books."""
    amounts, behind_all = list(told.amounts), []

    def balance(book, at):
        return sum(amount for position, of, amount in amounts if of == book and position <= at)

    def move(at, debit, credit, amount):
        behind_all.append((at, debit, credit, amount))
        amounts.extend([(at, debit, -amount), (at, credit, amount)])

    for at, time in enumerate(told.times):
        _, threshold, rounds = [policy for policy in told.policies if policy[0] <= at][-1]
        for number, (place, names, cutoff, to) in enumerate(told.said):
            ripe = [later for later in range(place, at + 1) if told.times[later] - told.times[place] >= 30 * DAY]
            withdrawn = any(later <= at for later, *_ in told.said[number + 1:])
            for name in names if ripe[:1] == [at] and not withdrawn else []:
                active = any(cutoff < position <= at for position, of in told.active if of == name)
                available = balance(f"available:{name}", at)
                if 0 < available < threshold * GIGA and not balance(f"immature:{name}", at) and not active:
                    move(at, f"available:{name}", to, available)
        if rounds and balance("rounding", at) >= GIGA:
            move(at, "rounding", "fee", balance("rounding", at) - balance("rounding", at) % GIGA)
    return behind_all, {book: total for book in {book for _, book, _ in amounts} if (total := balance(book, len(told.times)))}


def dust_agrees(seeds):
    """Whether both computations say the same of all these ledgers; how much they met, or the seed."""
    met = {"moved": 0, "withdrawn": 0, "rounded": 0}
    for seed in seeds:
        told = DustTold(seed)
        with mock.patch.object(oracle, "signature_is_right", lambda key, message, signature: signature.hex() == GOOD):
            answer = oracle_of(told.story).answer(True)
        rows, books = second_of(told)
        said = [(at[0], debit.replace("name:", ""), credit.replace("name:", ""), int(amount))
                for at, _, debit, credit, amount in answer["postings"] if at[1] >= 65_534]
        if (said, sums(answer), answer["refused"]) != (rows, books, []):
            return seed
        met["moved"] += sum(debit != "rounding" for _, debit, *_ in rows)
        met["rounded"] += sum(debit == "rounding" for _, debit, *_ in rows)
        met["withdrawn"] += sum(1 for (_, *_), (_, names, *_) in zip(told.said, told.said[1:]) if not names)
    return met


class DustRandom(unittest.TestCase):
    def test_both_computations_of_dust_agree(self):
        met = dust_agrees(range(DUST_SEEDS))
        self.assertIsInstance(met, dict, f"seed {met}")
        self.assertGreater(min(met.values()), 50, met)


if __name__ == "__main__":
    unittest.main()
