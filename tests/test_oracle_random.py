"""Random small ledgers through oracle.py and through a second computation of the rules: no postings there, no order of
events in money, only what stands at the end. Seeds are printed. Run by test_oracle.py too."""
import random
import sys
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]
import oracle  # noqa: E402
from oracle_pen import *  # noqa: E402,F403

SEEDS = 300
SCHEMES = {1: "pplns", 2: "solo", 3: "prop", 4: "pps", 5: "fpps"}
ACCOUNTS = ["ann", "bob", "cat", "dan"]


class Told:
    """A random ledger, and by its side what it says: all obeyed, as (place, what)."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        rand = self.random.randrange
        self.terms = {number: pot(number, scheme, n_ppm=rand(1, 4_000_000), fee_ppm=rand(200_000), bonus_ppm=rand(2) * rand(99_999),
                                  stale_ppm=rand(1_000_001), keep_tx_fees=bool(rand(2))) for number, scheme in SCHEMES.items()}
        self.story = Story(*self.terms.values())
        self.story.events[0]["algorithm"] = "ethash"
        self.shares, self.blocks, self.gifts, self.means, self.voids, self.refused = [], [], [], [], [], []
        self.last = {}
        self.workers = [(account, number) for number in SCHEMES for account in ACCOUNTS]
        self.works = [(rand(1, 60), rand(10, 60)) for _ in range(3)]
        self.story.gate(*(worker(number, *of) for number, of in enumerate(self.workers)),
                        *(self.ethash(job(number, (0, 0), work, reward, rand(9)))
                          for number, (work, reward) in enumerate(self.works)), self.ethash(job(3, (8, 8))))
        self.jobs = [event for event in self.story.events if event["kind"] == "ethash_job"]
        for _ in range(rand(5, 40)):
            self.random.choice([self.frame, self.frame, self.frame, self.status, self.status, self.status, self.gift,
                                self.mean, self.void])()

    @staticmethod
    def ethash(event):
        return in_ethash([event])[0]

    def frame(self):
        rand, events = self.random.randrange, []
        for _ in range(rand(1, 6)):
            number, job_number, stale = rand(len(self.workers)), min(rand(13), 11) // 3, not rand(4)
            said = self.ethash(share(number, rand(1, 30), job_number, stale, not rand(5), rand(1, 9)))
            account, pot_number = self.workers[number]
            terms = self.terms[pot_number]
            credit = 0 if job_number == 3 else int(said["work"]) * (terms["stale_ppm"] if stale else 10**6) // 10**6
            place = (self.story.size, len(events))
            self.shares.append((place, account, pot_number, credit, job_number, said["nonce"]))
            events.append(said)
            if said["block"]:
                letter = f"block {len(self.blocks)}"
                self.blocks.append((letter, len(self.shares) - 1, []))
                events.append(found(letter))
        self.story.gate(*events)

    def subject(self, place, subject, expects):
        """Whether it is obeyed."""
        right = self.last.get(subject, (0, 0)) == expects
        if right:
            self.last[subject] = place
        else:
            self.refused.append(place)
        return right

    def expects(self, subject):
        return self.last.get(subject, (0, 0)) if self.random.randrange(9) else (1, 0)

    def status(self):
        if self.blocks:
            letter, _, history = self.random.choice(self.blocks)
            expects = self.expects(letter)
            state = self.random.choice(["seen", "immature", "confirmed", "orphaned", "uncle"])
            value = self.random.randrange(100)
            fees = self.random.randrange(value + 1)
            place = (self.story.settle(status(letter, state, expects, value, fees)), 0)
            if self.subject(place, letter, expects):
                history.append((place, state, value, fees))

    def gift(self):
        account, ppm = self.random.choice(ACCOUNTS), self.random.choice([0, 1, 333_333, 10**6])
        expects = self.expects(account)
        place = (self.story.frame("desk", donation(account, ppm, expects)), 0)
        if self.subject(place, account, expects):
            self.gifts.append((place, account, ppm))

    def mean(self):
        expects, mean = self.expects("mean"), self.random.randrange(50)
        place = (self.story.settle(fee_mean(mean, expects)), 0)
        if self.subject(place, "mean", expects):
            self.means.append((place, mean))

    def void(self):
        if len(self.shares) > 1:
            first, twice = sorted(self.random.sample(self.shares, 2))
            place = (self.story.frame("keeper", void(twice[0], first[0])), 0)
            same = (twice[4] == 3) == (first[4] == 3) and twice[5] == first[5] or twice[5] == first[5]
            if same and twice[0] not in {share[0] for _, share in self.voids}:
                self.voids.append((place, twice))
            else:
                self.refused.append(place)


class Second:
    """What stands at the end, from the definitions."""

    def __init__(self, told):
        self.told, self.books = told, {}
        self.per_share()
        self.found = [(letter, told.shares[number], history) for letter, number, history in told.blocks]
        self.weighed = {}
        for letter, _, _ in self.found:
            self.settle(letter)

    def give(self, debit, credit, amount):
        self.books[debit] = self.books.get(debit, 0) - amount
        self.books[credit] = self.books.get(credit, 0) + amount

    def gift_of(self, account, place):
        return ([0] + [ppm for at, of, ppm in self.told.gifts if of == account and at < place])[-1]

    def pay(self, share):
        place, _, number, credit, job_number, _ = share
        scheme, terms = SCHEMES[number], self.told.terms[number]
        if scheme not in ("pps", "fpps") or job_number == 3:
            return 0
        said = self.told.jobs[job_number]
        work, subsidy = int(said["network_work"]), int(said["reward"]) - int(said["fees"])
        mean = ([0] + [mean for at, mean in self.told.means if at < place])[-1] if scheme == "fpps" else 0
        return credit * subsidy * GIGA * (10**6 - terms["fee_ppm"]) // (work * 10**6) + credit * mean * GIGA // work

    def per_share(self):
        for place, account in sorted({(share[0][0], share[1]) for share in self.told.shares}):
            pay = sum(self.pay(share) for share in self.told.shares if (share[0][0], share[1]) == (place, account))
            gift = pay * self.gift_of(account, (place, 0)) // 10**6
            self.give("reserve", f"available:{account}", pay)
            self.give(f"available:{account}", "donation", gift)
        for _, share in self.told.voids:
            account, pay = share[1], self.pay(share)
            self.give(f"available:{account}", "reserve", pay)
            self.give("donation", f"available:{account}", pay * self.gift_of(account, share[0]) // 10**6)

    def entries(self, number, before):
        """(place, account, work) of a pot, up to a place."""
        of = [(share[0], share[1], share[3]) for share in self.told.shares if share[2] == number]
        of += [(place, share[1], -share[3]) for place, share in self.told.voids if share[2] == number]
        return sorted(entry for entry in of if entry[0] <= before)

    def previous(self, number, place):
        """The place of the pot's last finding share before one; of the ledger's beginning."""
        return max([share[0] for _, share, _ in self.found if share[2] == number and share[0] < place], default=(0, 0))

    def weights(self, letter):
        if letter not in self.weighed:
            share = next(share for of, share, _ in self.found if of == letter)
            place, finder, number, _, job_number, _ = share
            scheme = SCHEMES[number] if job_number < 3 else None
            self.weighed[letter] = {"solo": lambda: {finder: 1}, "prop": lambda: self.prop(number, place),
                                    "pplns": lambda: self.pplns(number, place, job_number)}.get(scheme, dict)()
        return self.weighed[letter]

    @staticmethod
    def added(entries):
        return {account: work for account in ACCOUNTS if (work := sum(work for of, work in entries if of == account)) > 0}

    def pplns(self, number, place, job_number):
        n = max(1, self.told.terms[number]["n_ppm"] * self.told.works[job_number][0] // 10**6)
        entries = [entry[1:] for entry in self.entries(number, place)]
        sums = [sum(work for _, work in entries[start:]) for start in range(len(entries))]
        starts = [start for start in range(len(entries)) if sums[start] >= n]
        if not starts:
            return self.added(entries)
        start = max(starts)                         # the newest from which N is there
        return self.added([(entries[start][0], entries[start][1] - (sums[start] - n)), *entries[start + 1:]])

    def prop(self, number, place):
        since = self.previous(number, place)
        entries = [(account, work) for at, account, work in self.entries(number, place) if at > since]
        for letter, share, history in self.found:
            if share[2] == number and share[4] < 3 and share[0] < place:
                lent = None                         # where it was added
                for before, (at, state, _, _) in zip([(None, "found")] + history, history):
                    if since < at < place:
                        entries += self.weights(letter).items() if state == "orphaned" != before[1] else []
                        if before[1] == "orphaned" != state and lent and lent > since:
                            entries += [(account, -work) for account, work in self.weights(letter).items()]
                    lent = at if state == "orphaned" != before[1] else lent
        return self.added(entries)

    def settle(self, letter):
        share, history = next((share, history) for of, share, history in self.found if of == letter)
        place, finder, number, _, job_number, _ = share
        since = [state for _, state, _, _ in history]
        since = history[len(since) - since[::-1].index("orphaned") if "orphaned" in since else 0:]
        while since and since[0][1] == "seen":
            since = since[1:]
        if not since:
            return
        book = "available" if any(state == "confirmed" for _, state, _, _ in since) else "immature"
        value, fees = since[-1][2] * GIGA, since[-1][3] * GIGA
        if job_number == 3 or SCHEMES[number] in ("pps", "fpps"):
            return self.give("reward", "reserve", value)
        terms, weights = self.told.terms[number], self.weights(letter)
        kept = fees if terms["keep_tx_fees"] else 0
        bonus = (value - kept) * terms["bonus_ppm"] // 10**6
        fee = (value - kept - bonus) * terms["fee_ppm"] // 10**6
        rest = left = value - kept - bonus - fee
        self.give("reward", "fee", kept + fee)
        self.give("reward", f"{book}:{finder}", bonus)
        for account, weight in weights.items():
            part = rest * weight // sum(weights.values())
            left -= part
            self.give("reward", f"{book}:{account}", part)
            self.give(f"{book}:{account}", "donation", part * self.gift_of(account, place) // 10**6)
        self.give("reward", "rounding" if weights else "reserve", left)


class Random(unittest.TestCase):
    def test_both_computations_agree(self):
        met = {"void": 0, "orphan": 0, "gift": 0, "round": 0}
        for seed in range(SEEDS):
            with self.subTest(seed=seed):
                told = Told(seed)
                answer, second = run(told.story), Second(told)
                self.assertEqual(answer["refused"], sorted(told.refused))
                for letter, _, _ in told.blocks:
                    self.assertEqual(weights(answer, letter), second.weights(letter), letter)
                self.assertEqual(sums(answer), {name: amount for name, amount in second.books.items() if amount})
                self.assertEqual(sum(sums(answer).values()), 0)
            met["void"] += len(told.voids)
            met["gift"] += "donation" in second.books
            met["orphan"] += any(state == "orphaned" for _, _, history in told.blocks for _, state, _, _ in history)
            met["round"] += sum(SCHEMES[told.shares[number][2]] == "prop" for _, number, _ in told.blocks)
        self.assertGreater(min(met.values()), 50, met)


if __name__ == "__main__":
    unittest.main()
