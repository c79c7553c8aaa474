"""Tests of oracle.py, and of docs/rules.md: small ledgers, balances by hand; every table of the page, recomputed.

    python3 tests/test_oracle.py
"""
import json
import math
import re
import subprocess
import sys
import unittest
from fractions import Fraction
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "oracle")]
import make  # noqa: E402
import oracle  # noqa: E402
from ledger_pen import event, reader, secret_of  # noqa: E402
from oracle_pen import *  # noqa: E402,F403
from test_oracle_desk import *  # noqa: E402,F403
from test_oracle_direct import *  # noqa: E402,F403
from test_oracle_direct_faults import *  # noqa: E402,F403
from test_oracle_direct_random import *  # noqa: E402,F403
from test_oracle_dust import *  # noqa: E402,F403
from test_oracle_dust_random import *  # noqa: E402,F403
from test_oracle_ethash import *  # noqa: E402,F403
from test_oracle_faults import *  # noqa: E402,F403
from test_oracle_halts import *  # noqa: E402,F403
from test_oracle_payouts import *  # noqa: E402,F403
from test_oracle_payouts_random import *  # noqa: E402,F403
from test_oracle_random import *  # noqa: E402,F403
from test_oracle_schemes import *  # noqa: E402,F403
from test_oracle_settings import *  # noqa: E402,F403
from test_oracle_states import *  # noqa: E402,F403
from test_oracle_voids import *  # noqa: E402,F403
from test_scenarios import *  # noqa: E402,F403

U = 2**32


class Page(DirectOfPage, DustOfPage, PayoutsOfPage, SchemesOfPage, SettingsOfPage, StatesOfPage, VoidsOfPage, unittest.TestCase):
    """One method an example of docs/rules.md; `example_3_2a` is for example 3.2a."""

    def test_every_table_of_the_page_is_recomputed(self):
        methods = {name.removeprefix("example_").replace("_", ".") for name in dir(self) if name.startswith("example_")}
        self.assertEqual(methods, set(TABLES))
        for name, rows in TABLES.items():
            with self.subTest(example=name):
                getattr(self, "example_" + name.replace(".", "_"))(rows)

    def test_the_recomputation_can_fail(self):
        with self.assertRaises(AssertionError):
            self.example_3_1([["2000000", "10", "21"]])
        for name, cell in (("3.2c", 2), ("4a", 1), ("5.1", 3), ("6.1", 2), ("7.5a", 3), ("7.5b", 2), ("5.4b", 2),
                           ("8.10b", 3), ("8.10c", 3), ("8.10d", 3), ("8.10e", 3), ("8.12", 3), ("11.2", 0), ("11.3", 3), ("11.5", 3),
                           ("11.5b", 3), ("11.7", 4), ("7.2", 4)):
            rows = [list(row) for row in TABLES[name]]
            rows[-1][cell] = str(int(rows[-1][cell]) + 1)
            with self.subTest(example=name), self.assertRaises(AssertionError):
                getattr(self, "example_" + name.replace(".", "_"))(rows)
    def example_7_5a(self, rows):
        story, said_at, last = Story(), {}, {}
        story.settle(recovered("r"))
        story.settle(status("r", "confirmed"))
        for what, *_ in rows:
            amount, _, giver, _, taker = what.split()
            account, book = (taker, giver) if giver in oracle.BOOKS else (giver, taker)
            sub_units = int(Fraction(amount) * GIGA)
            said = adjustment(account, sub_units, last.get(account, (0, 0)), book, giver == account)
            thing = thing_of(said)
            at = story.frame("desk", said, approval(thing, 0), approval(thing, 1))
            last[account], said_at[at] = (at, 0), what
        answer = run(story)
        self.assertEqual(rows_of(answer, said_at), rows)
        after = {"reward": -50 * GIGA, "reserve": 500_000_000, "available:ann": 52_500_000_000,
                 "available:bob": -1_999_999_999, "fee": 2 * GIGA, "rounding": -1, "donation": -3 * GIGA}
        self.assertEqual(sums(answer), after)
        for name in after.keys() - {"reward"}:
            self.assertIn(f"{after[name]:,}".replace("-", "\u2212"), PAGE)
    def example_7_5b(self, rows):
        first, second = (adjustment("ann", GIGA, reason=reason) for reason in ("one", "two"))
        third = adjustment("ann", GIGA, (5, 0))
        yes = {name: [approval(thing_of(said), number) for number in (0, 1)]
               for name, said in (("first", first), ("second", second), ("third", third))}
        story = Story()
        for events in ([first], yes["first"][:1], yes["first"][:1], [second], yes["second"], yes["first"][1:],
                       yes["third"][:1], yes["third"][1:], [third], [third]):
            story.frame("desk", *map(dict, events))
        lines = story.lines()
        for position, _, balance in rows:
            answer = oracle.balances(lines, stop_at=int(position))
            self.assertEqual(sums(answer).get("available:ann", 0), int(balance), position)
        self.assertEqual([int(row[0]) for row in rows], list(range(2, 12)))
        self.assertEqual(run(story)["refused"], [(11, 0)])
    def example_1_2(self, rows):
        for algorithm, difficulty, w, target in rows:
            factor = {"sha256d": 1, "scrypt": 65_536}[algorithm]
            self.assertEqual(int(w), round(Fraction(difficulty) * U))
            self.assertEqual(int(target, 16), min(2**256 - 1, (0xFFFF << 208) * factor * U // int(w)))
            self.assertEqual(len(target), 64)
        self.assertGreater((0xFFFF << 208) * 65_536 * U, 2**256 - 1)
        self.assertEqual((0xFFFF << 208) * U, 0xFFFF << 240)
        vectors = json.loads((HERE / "vectors/difficulty.json").read_text())["bitcoin_style"]
        known = {str(vector["difficulty"]): vector for vector in vectors}
        for algorithm, difficulty, _, target in rows:
            if difficulty in known and float(difficulty) >= 1:      # a power of two: w is exact
                self.assertEqual(known[difficulty][f"{algorithm}_target"], target)
    def example_1_3(self, rows):
        for algorithm, nbits, network_work in rows:
            factor, bits = {"sha256d": 1, "scrypt": 65_536}[algorithm], int(nbits, 16)
            target = (bits & 0xFFFFFF) << 8 * ((bits >> 24) - 3)
            self.assertEqual(int(network_work), max(1, (0xFFFF << 208) * factor * U // target))
    def example_1_4(self, rows):
        for w, target in rows:
            self.assertEqual(int(target, 16), min(2**256 - 1, 2**256 // int(w)))
    def example_1_8(self, rows):
        for w, _, shown in rows:
            millionths = round(Fraction(int(w), U) * 10**6) or min(1, int(w))
            self.assertEqual(Fraction(shown), Fraction(millionths, 10**6))
            self.assertFalse("." in shown and shown.endswith("0"))
        self.assertEqual(int(rows[0][0]), 1_000 * round(Fraction("0.003") * U))
    def example_2_3(self, rows):
        for w, stale, stale_ppm, credit in rows:
            story = Story(pot(1, stale_ppm=int(stale_ppm)))
            story.gate(worker(0, "ann"), job(), share(0, int(w), stale=stale == "yes"))
            self.assertEqual(run(story)["pots"][1]["credit"], credit)
    def example_2_5(self, rows):
        # 0 genesis, 1 checkpoint, 2 and 3 beats, 4 policy and approval, 5 the other, 6 gate, 7 checkpoint, 8 gate
        story = Story(pot(1), needed=2)
        story.frame("desk", {"kind": "heartbeat"})
        story.frame("desk", {"kind": "heartbeat"})
        policy = policy_of(pot(1, fee_ppm=20_000))
        thing = thing_of(said_policy((0, 0), policy))
        said_at = story.frame("desk", said_policy((0, 0), policy), approval(thing, 0))
        self.assertEqual((said_at, story.frame("desk", approval(thing, 1))), (4, 5))
        cited = {number: row for number, row in enumerate(rows)}
        early = [number for number, row in cited.items() if row[0] == "6"]
        late = [number for number, row in cited.items() if row[0] == "8"]
        for numbers in (early, late):
            events = [event for number in numbers for event in (
                worker(number, f"row{number}"), job(number, (int(rows[number][1]), 0)), share(number, 100, number))]
            story.gate(*events)
            story.checkpoint(6)
        self.assertEqual((len(early), len(late)), (1, 2))
        made = oracle.Oracle()
        for event in oracle.final_events(story.lines()):
            made.apply(event)
        for number, (_, cites, obeyed, final, credit) in cited.items():
            entry = next(entry for entry in made.shares.values() if entry.worker.account == f"name:row{number}")
            self.assertEqual(str(entry.credit), credit)
            self.assertEqual((int(cites), 0) in made.policies, obeyed == "yes")
            self.assertEqual(entry.job.void, final == "no")
    def example_3_1(self, rows):
        for n_ppm, network_work, n in rows:
            story = Story(pot(1, n_ppm=int(n_ppm)))
            story.gate(worker(0, "ann"), job(0, network_work=int(network_work)), *finds(0, 1, "a"))
            self.assertEqual(block_of(run(story))["N"], n)

    def check_window(self, rows):
        answer = run(shares_story([(account, int(credit)) for account, credit, _ in rows]))
        right = {}
        for account, _, counts in rows:
            right[account] = right.get(account, 0) + int(counts)
        self.assertEqual(block_of(answer)["N"], "20")
        self.assertEqual(weights(answer), {account: weight for account, weight in right.items() if weight})
        self.assertEqual(block_of(answer)["W"], str(sum(right.values())))

    example_3_2a = example_3_2b = example_3_2c = example_3_2d = lambda self, rows: self.check_window(rows)

    def check_split(self, rows, shares, **terms):
        """Rows are steps; the ledger has the same figures, the bonus within cat's."""
        story = shares_story(shares, pot(1, fee_ppm=15_000, bonus_ppm=20_000, **terms))
        story.settle(status("a", "immature", value=100, fees=7))
        books, steps = sums(run(story)), {step: int(amount) for step, amount in rows}
        of_cat = steps["bonus to cat"] + steps.get("cat", 0)
        right = {"reward": -100 * GIGA, "fee": steps.get("T to fee", 0) + steps["F to fee"], "immature:cat": of_cat,
                 "immature:ann": steps.get("ann", 0), "immature:bob": steps.get("bob", 0),
                 "rounding": steps.get("rounding", 0), "reserve": steps.get("reserve", 0)}
        self.assertEqual(books, {name: balance for name, balance in right.items() if balance})
        if "G" in steps:
            self.assertEqual(steps["G"], 100 * GIGA)
            self.assertEqual(steps["G'"], steps["G"] - steps["T to fee"])
            self.assertEqual(steps["R"], steps["G'"] - steps["bonus to cat"] - steps["F to fee"])
            self.assertEqual(steps["R"], sum(steps[name] for name in ("ann", "bob", "cat", "rounding")))
            self.assertEqual(steps["bonus to cat"], steps["G'"] * 2 // 100)

    THREE = [("ann", 1), ("bob", 4), ("cat", 6)]
    def example_4a(self, rows):
        self.check_split(rows, self.THREE, keep_tx_fees=True)
    def example_4b(self, rows):
        self.check_split(rows, self.THREE)
    def example_4c(self, rows):
        self.check_split(rows, self.THREE, scheme="solo")
    def example_4d(self, rows):
        story = Story(pot(1, fee_ppm=15_000, bonus_ppm=20_000))
        story.gate(worker(0, "cat"), job(), *finds(0, 6, "a", stale=True))
        story.settle(status("a", "immature", value=100, fees=7))
        steps = {step: int(amount) for step, amount in rows}
        self.assertEqual(sums(run(story)), {"reward": -100 * GIGA, "immature:cat": steps["bonus to cat"],
                                            "fee": steps["F to fee"], "reserve": steps["reserve"]})

    def check_postings(self, rows, *steps, shown=None):
        """steps: (state, value) of block a, one after another."""
        story, expects, states = two_accounts(), (0, 0), {}
        for state, value in steps:
            position = story.settle(status("a", state, expects, value))
            expects, states[position] = (position, 0), state
        answer = run(story)
        made = [row for row in rows_of(answer, states) if shown is None or row[0] == shown]
        self.assertEqual(sorted(made), sorted(rows))
        return answer
    def example_5_1(self, rows):
        answer = self.check_postings(rows, ("seen", 50), ("immature", 50), ("confirmed", 50))
        ann = answer["accounts"]["name:ann"]
        self.assertEqual(ann["immature"], {"debits": "29700000000", "credits": "29700000000"})
    def example_5_2(self, rows):
        answer = self.check_postings(rows, ("immature", 50), ("orphaned", 0))
        self.assertEqual(sums(answer), {})
        self.assertEqual(answer["books"]["reward"], {"debits": "50000000000", "credits": "50000000000"})
    def example_5_3(self, rows):
        answer = self.check_postings(rows, ("immature", 50), ("immature", 45), ("confirmed", 45))
        self.assertEqual(sums(answer), {"reward": -45 * GIGA, "fee": 450_000_000, "available:ann": 26_730_000_000,
                                        "available:cat": 17_820_000_000})
    def example_5_4a(self, rows):
        answer = self.check_postings(rows, ("immature", 50), ("confirmed", 50), ("orphaned", 50), shown="orphaned")
        self.assertEqual(sums(answer), {})
    def example_5_5(self, rows):
        story = two_accounts(n_ppm=500_000)
        story.gate(*finds(1, 2, "b"))
        story.settle(status("a", "immature"), status("b", "immature"))
        both = story.size - 1
        story.settle(status("b", "orphaned", (both, 1)))
        lines = story.lines()
        for stop_at, cell in ((both, 1), (both + 1, 2)):
            books = sums(oracle.balances(lines, stop_at))
            self.assertEqual({f"immature:{row[0]}": int(row[cell]) for row in rows},
                             {name: balance for name, balance in books.items() if name.startswith("immature")})
        self.assertEqual(weights(oracle.balances(lines), "b"), {"ann": 1, "cat": 4})
    def example_5_6(self, rows):
        for height, era, reward in rows:
            self.assertEqual((int(height) - 1) // 5_000_000, int(era))
            self.assertEqual(5 * 10**18 * 4**int(era) // 5**int(era), int(reward))
    def example_6_1(self, rows):
        # credits 6 and 3 on a job of 10, then 2 (finds) and 1 on a job of 3
        story = Story()
        first, second, third, fourth = rows
        story.gate(worker(0, "ann"), job(0, network_work=int(first[1])), job(1, network_work=int(third[1])),
                   share(0, int(first[0])), share(0, int(second[0])), *finds(0, int(third[0]), "a", job=1),
                   share(0, int(fourth[0]), job=1))
        pots = run(story)["pots"][1]
        ended = sum(int(row[2]) for row in rows if row[3] == "1")
        self.assertEqual([each["effort"] for each in pots["rounds"]], [str(ended)])
        self.assertEqual(pots["open"], fourth[2])
        self.assertIn(f"Round 1 has the effort {ended:,} ({ended / 10**10:.2f} %)", PAGE)
        self.assertIn(f"the open one {int(fourth[2]):,}.", PAGE)
        self.assertIn(f"above, {100 * 10**12 / ended:.2f} %", PAGE)
    def example_6_3(self, rows):
        for n, mean, percent in rows:
            x, n = float(mean) * int(n), int(n)
            worse = 100 * math.exp(-x) * sum(x**k / math.factorial(k) for k in range(n))
            self.assertEqual(percent, f"{worse:.2f}")

    def test_figures_within_sentences(self):
        """Sections without a table: the sentence has the figure, the formula gives it."""
        def section(number):
            return re.search(rf"\n\*\*{re.escape(number)}\b.*?(?=\n\n|\n\*\*\d)", PAGE, re.DOTALL)[0].replace("\n", " ")

        for number, figure in (
                ("3.7", 50 * GIGA), ("3.7", 49_500_000_000),
                ("4.7", 8_161_172_727 * 15_000 // 10**6), ("1.5", 3 * GIGA)):
            self.assertIn(f"{figure:,}", section(number))
        self.assertIn(f"fee {45 * GIGA // 100:,}, ann 26,730,000,000, cat 17,820,000,000", PAGE.replace("\n", " "))
        self.assertIn("9,900,000,000 for ann, 39,600,000,000 for cat", PAGE)
        self.assertEqual((49_500_000_000 * 1 // 5, 49_500_000_000 * 4 // 5), (9_900_000_000, 39_600_000_000))

        def sent(lines, fee, limit):                # 8.3
            while lines and min(lines) - fee // len(lines) < limit:
                lines = [line for line in lines if line - fee // len(lines) >= limit]
            return [line - fee // len(lines) for line in lines], fee - len(lines) * (fee // len(lines))
        self.assertEqual(sent([29, 19, 6], 10, 5), ([24, 14], 0))
        self.assertEqual(sent([29, 19, 6], 11, 5), ([24, 14], 1))
        self.assertIn("24 and 14 are sent, nothing from", section("8.3"))
        self.assertEqual(divmod(29_700_000_000, GIGA), (29, 700_000_000))
        self.assertIn("pays 29, 700,000,000 stay", section("8.2"))
        self.assertIn("99.5 = 99.5", section("7.4"))
        books = sums(run(two_accounts()))
        self.assertEqual(books, {})


class Ledgers(unittest.TestCase):
    """Ledgers by hand. Unless a table says otherwise: fee 1 %, value 50, window ann 3, cat 2:
       fee 0.5, ann 49.5 · 3/5 = 29.7, cat 49.5 · 2/5 = 19.8 base units."""

    PAID = {"reward": -50 * GIGA, "fee": 500_000_000}
    IMMATURE = PAID | {"immature:ann": 29_700_000_000, "immature:cat": 19_800_000_000}
    AVAILABLE = PAID | {"available:ann": 29_700_000_000, "available:cat": 19_800_000_000}

    def settled(self, *steps):
        """Balances after statuses of block a: (state, value), each expecting the one before."""
        story, expects = two_accounts(), (0, 0)
        for state, value in steps:
            expects = (story.settle(status("a", state, expects, value)), 0)
        return sums(run(story))

    def test_what_each_state_does(self):
        for steps, right in (
                ([("seen", 50)], {}),
                ([("seen", 50), ("orphaned", 50)], {}),
                ([("confirmed", 50)], self.AVAILABLE),                                  # reading 10
                ([("immature", 50), ("seen", 50)], self.IMMATURE),
                ([("immature", 50), ("confirmed", 50), ("immature", 50)], self.AVAILABLE),
                ([("immature", 50), ("immature", 50), ("confirmed", 50), ("confirmed", 50)], self.AVAILABLE),
                ([("immature", 40), ("confirmed", 50)], self.AVAILABLE),                # reading 11
                ([("confirmed", 40), ("confirmed", 50)], self.AVAILABLE),
                ([("confirmed", 90), ("confirmed", 50)], self.AVAILABLE),
                ([("immature", 90), ("seen", 50)], self.IMMATURE),
                ([("immature", 50), ("orphaned", 0), ("seen", 50)], {}),
                ([("immature", 50), ("orphaned", 0), ("immature", 50)], self.IMMATURE),  # reading 12
                ([("confirmed", 9), ("orphaned", 9), ("orphaned", 9), ("immature", 9), ("confirmed", 50)],
                 self.AVAILABLE),
                ([("immature", 0)], {})):
            with self.subTest(steps=steps):
                self.assertEqual(self.settled(*steps), right)

    def test_sums_keep_every_posting(self):
        # immature:ann, block a: 50, then 45, orphaned, back with 50, confirmed
        #   debits  2.97 (change) + 29.7 (opposite of the first) + 29.7 (move)        = 62.37
        #   credits 29.7 + 2.97 (opposite of the change) + 29.7 (back)                 = 62.37
        story, expects = two_accounts(), (0, 0)
        for state, value in (("immature", 50), ("immature", 45), ("orphaned", 0), ("immature", 50), ("confirmed", 50)):
            expects = (story.settle(status("a", state, expects, value)), 0)
        answer = run(story)
        ann = answer["accounts"]["name:ann"]
        self.assertEqual(ann["immature"], {"debits": "62370000000", "credits": "62370000000"})
        self.assertEqual(ann["available"], {"debits": "0", "credits": "29700000000"})
        self.assertEqual(sums(answer), self.AVAILABLE)
        story, expects = two_accounts(), (0, 0)                              # orphaned twice: undone once
        for state in ("immature", "orphaned", "orphaned"):
            expects = (story.settle(status("a", state, expects)), 0)
        self.assertEqual(run(story)["books"]["reward"], {"debits": "50000000000", "credits": "50000000000"})

    def test_the_fee_book_takes_a_change_net(self):
        # keep_tx_fees; value 50, fees 10: fee 10 + 0.4 = 10.4; then fees 20: 20 + 0.3 = 20.3, 9.9 more in one posting
        story = shares_story([("ann", 5)], pot(1, keep_tx_fees=True))
        first = story.settle(status("a", "immature", value=50, fees=10))
        story.settle(status("a", "immature", (first, 0), value=50, fees=20))
        answer = run(story)
        self.assertEqual(answer["books"]["fee"], {"debits": "0", "credits": "20300000000"})
        self.assertEqual(answer["accounts"]["name:ann"]["immature"], {"debits": "9900000000", "credits": "39600000000"})

    def test_two_settlers_change_nothing(self):
        story = two_accounts()
        first = story.settle(status("a", "immature"))
        self.assertEqual(first, 3)
        story.frame("settler2", status("a", "immature"))                    # the same, too late: refused
        story.frame("settler2", status("a", "orphaned", (4, 0)))            # expects what was refused: refused
        story.settle(status("a", "confirmed", (first, 0)), status("b", "immature"))    # the hash b: nobody named it
        answer = run(story)
        self.assertEqual(sums(answer), self.AVAILABLE)
        self.assertEqual(answer["refused"], [(4, 0), (5, 0), (6, 1)])

    def test_a_value_that_no_chain_pays_is_refused(self):
        for value, refused in [(2 ** 80, []), (2 ** 80 + 1, [(3, 0)])]:
            story = two_accounts()
            story.settle(status("a", "immature", value=value))
            self.assertEqual(run(story)["refused"], refused)

    def test_shares_after_the_finding_share_are_outside(self):
        story = two_accounts()
        story.gate(share(0, 19), share(1, 19))
        story.settle(status("a", "immature"))
        self.assertEqual(sums(run(story)), self.IMMATURE)

    def test_two_pots_do_not_meet(self):
        # pot 1 PPLNS: ann 3, cat 2 (finds a); pot 2 SOLO: dan 4, cat 1 (finds b)
        #   a: as ever. b, value 20, fee 2 %: fee 0.4, cat 19.6. Sum: fee 0.9, cat 19.8 + 19.6
        story = Story(pot(1), pot(2, "solo", fee_ppm=20_000))
        story.gate(worker(0, "ann"), worker(1, "cat"), worker(2, "dan", 2), worker(3, "cat", 2), job(), share(0, 3),
                   share(2, 4), *finds(3, 1, "b"), *finds(1, 2, "a"), share(2, 5), share(0, 1))
        story.settle(status("a", "immature"), status("b", "immature", value=20))
        answer = run(story)
        self.assertEqual(sums(answer), {"reward": -70 * GIGA, "fee": 900_000_000, "immature:ann": 29_700_000_000,
                                        "immature:cat": 39_400_000_000})
        self.assertEqual(weights(answer, "b"), {"cat": 1})
        self.assertEqual([(pot_, [each["effort"] for each in of["rounds"]], of["open"])
                          for pot_, of in answer["pots"].items()],
                         [(1, ["500000000000"], "100000000000"), (2, ["500000000000"], "500000000000")])

    def test_solo_pays_a_finder_whose_stale_share_is_worth_nothing(self):
        story = Story(pot(1, "solo"))
        story.gate(worker(0, "ann"), job(), *finds(0, 3, "a", stale=True))
        story.settle(status("a", "immature"))
        self.assertEqual(sums(run(story)), self.PAID | {"immature:ann": 49_500_000_000})

    def test_a_stale_share_weighs_what_the_policy_pays(self):
        # stale_ppm 500,000: ann 3, cat 4 stale = 2
        story = Story(pot(1, stale_ppm=500_000))
        story.gate(worker(0, "ann"), worker(1, "cat"), job(), share(0, 3), *finds(1, 4, "a", stale=True))
        story.settle(status("a", "immature"))
        self.assertEqual(sums(run(story)), self.IMMATURE)

    def test_a_void_job_credits_nothing_and_its_block_goes_to_reserve(self):
        story = Story()
        story.gate(worker(0, "ann"), worker(1, "cat"), job(), share(0, 3), job(1, (1, 0)), share(1, 7, 1),
                   *finds(1, 8, "a", job=1), *finds(1, 2, "b"))
        story.settle(status("a", "immature"), status("b", "immature"))
        answer = run(story)
        self.assertEqual(sums(answer), self.IMMATURE | {"reward": -100 * GIGA, "reserve": 50 * GIGA})
        self.assertEqual([each["effort"] for each in answer["pots"][1]["rounds"]], ["300000000000", "200000000000"])

    def test_a_pot_that_the_policy_does_not_have(self):
        story = Story(pot(1))
        story.gate(worker(0, "ann", pot=9), job(), share(0, 5, stale=True), *finds(0, 3, "a"))
        story.settle(status("a", "confirmed"))
        answer = run(story)
        self.assertEqual(sums(answer), {"reward": -50 * GIGA, "reserve": 50 * GIGA})
        self.assertEqual(answer["pots"][9]["credit"], "3")                  # a fresh share does not ask

    def policy_story(self, *, needed=1, expects=(0, 0), approvals=(0,), forged=False, scheme="pplns", before=False):
        """ann 3 on the old policy's job, cat 2 finds on a job that cites the new one (fee 10 %), at 2 or 3."""
        story = Story(needed=needed)
        policy = policy_of(pot(1, scheme, fee_ppm=100_000))
        thing = thing_of(said_policy(expects, policy))
        said, said_yes = [said_policy(expects, policy)], [approval(thing, number, forged) for number in approvals]
        position = story.frame("desk", *(said_yes + said if before else said + said_yes))
        at = (position, len(said_yes) if before else 0)
        story.checkpoint()
        story.gate(worker(0, "ann"), worker(1, "cat"), job(), job(1, at), share(0, 3), *finds(1, 2, "a", job=1))
        story.settle(status("a", "immature"))
        return sums(run(story))

    def test_a_policy_takes_effect_by_approvals_and_expects(self):
        # obeyed: fee 5, ann 45 · 3/5 = 27, cat 18. not: the job is void, its block goes to reserve
        obeyed = {"reward": -50 * GIGA, "fee": 5 * GIGA, "immature:ann": 27 * GIGA, "immature:cat": 18 * GIGA}
        void = {"reward": -50 * GIGA, "reserve": 50 * GIGA}
        for name, right, arguments in (
                ("one is enough", obeyed, {}), ("the approval came before", obeyed, {"before": True}),
                ("nobody approved", void, {"approvals": ()}), ("forged", void, {"forged": True}),
                ("two of two", obeyed, {"needed": 2, "approvals": (0, 1)}),
                ("the same twice", void, {"needed": 2, "approvals": (0, 0)}),
                ("expects another", void, {"expects": (1, 0)}),
                ("another scheme", void, {"scheme": "solo"})):
            with self.subTest(name):
                self.assertEqual(self.policy_story(**arguments), right)

    def test_the_first_of_two_policies_wins(self):
        story = Story(needed=2)
        both = [policy_of(pot(1, fee_ppm=fee_ppm)) for fee_ppm in (100_000, 200_000)]
        things = [thing_of(said_policy((0, 0), policy)) for policy in both]
        story.frame("desk", *(said_policy((0, 0), policy) for policy in both))
        story.frame("desk", *(approval(things[of], number) for of, number in ((1, 0), (0, 0), (1, 1), (0, 1))))
        self.assertEqual(run(story)["policies"], [{"at": (0, 0), "effect": 0}, {"at": (2, 1), "effect": 3}])

    def test_a_policy_that_expects_what_is_not_obeyed_yet_is_refused_for_ever(self):
        story = Story(needed=2)
        first, second = (policy_of(pot(1, fee_ppm=fee_ppm)) for fee_ppm in (100_000, 200_000))
        story.frame("desk", said_policy((0, 0), first))                      # at (2, 0), waits
        story.frame("desk", said_policy((2, 0), second))
        for thing in (thing_of(said_policy((0, 0), first)), thing_of(said_policy((2, 0), second))):
            story.frame("desk", approval(thing, 0), approval(thing, 1))
        answer = run(story)
        self.assertEqual(answer["policies"], [{"at": (0, 0), "effect": 0}, {"at": (2, 0), "effect": 4}])
        self.assertEqual(answer["refused"], [(3, 0)])

    def test_a_strangers_approval_is_none(self):
        story, policy = Story(), policy_of(pot(1, fee_ppm=100_000))
        yes, stranger = approval(thing_of(said_policy((0, 0), policy))), bytes([99]) * 32
        message = b"orebook/approval/0\n" + bytes.fromhex(LEDGER.replace("-", "") + yes["thing"])
        yes |= {"approver": public(stranger).hex(), "signature": sign(stranger, message).hex()}
        story.frame("desk", said_policy((0, 0), policy), yes)
        self.assertEqual(len(run(story)["policies"]), 1)

    def test_signatures(self):
        scalar, _, key = secret_of(APPROVERS[0])
        right = sign(APPROVERS[0], b"yes")
        r, s = right[:32], int.from_bytes(right[32:], "little")
        one = (1).to_bytes(32, "little")                                      # the neutral point, of small order
        h = int.from_bytes(hashlib.sha512(one + key + b"yes").digest(), "little")
        by_nobody = oracle.times(5, oracle.point_of(oracle.BASE))            # R = 5B, S = 5 holds under the neutral key
        by_nobody = (by_nobody[1] | (by_nobody[0] & 1) << 255).to_bytes(32, "little")
        for name, accepted, arguments in (
                ("right", True, (key, b"yes", right)),
                ("another message", False, (key, b"no", right)),
                ("another key", False, (public(APPROVERS[1]), b"yes", right)),
                ("S too large", False, (key, b"yes", r + (s + oracle.ORDER).to_bytes(32, "little"))),
                ("R of small order", False, (key, b"yes", one + (h * scalar % oracle.ORDER).to_bytes(32, "little"))),
                ("key of small order", False, (one, b"yes", by_nobody + (5).to_bytes(32, "little")))):
            with self.subTest(name):
                self.assertEqual(oracle.signature_is_right(*arguments), accepted)
        small = [y for y in range(2, 19) if oracle.point_of(y.to_bytes(32, "little"))]
        self.assertGreater(len(small), 3)
        for y in small:                                                       # y + Q is not below Q
            self.assertIsNone(oracle.point_of((y + oracle.Q).to_bytes(32, "little")))

    def test_a_job_that_cites_a_policy_before_it_is_final_is_void(self):
        story = Story()
        policy = policy_of(pot(1, fee_ppm=100_000))
        thing = thing_of(said_policy((0, 0), policy))
        story.frame("desk", said_policy((0, 0), policy), approval(thing))
        story.gate(worker(0, "ann"), job(0, (2, 0)), share(0, 3))
        story.checkpoint()
        story.gate(share(0, 3), job(1, (2, 0)), share(0, 4, 1))             # job 0 stays void
        self.assertEqual(run(story)["pots"][1]["credit"], "4")

    def test_streams_and_epochs_have_their_own_numbers(self):
        # worker 0 is ann in gate, cat in gate2, bob in gate's next epoch: 3, 2 and 5
        story = Story()
        story.gate(worker(0, "ann"), job(), share(0, 3))
        story.frame("gate2", worker(0, "cat"), job(), share(0, 2))
        story.epochs["gate"] = 1
        story.gate(worker(0, "bob"), job(), *finds(0, 5, "a"))
        self.assertEqual(weights(run(story)), {"ann": 3, "cat": 2, "bob": 5})

    def moved_story(self, *moves):
        """gate: ann 3 at seq 2; its stream is closed; each move (seq, share, counts) comes in gate2 with ann as 1."""
        story = Story()
        self.first = share(0, 3)
        story.gate(worker(0, "ann"), job(), dict(self.first))
        story.closure("gate")
        story.frame("gate2", worker(0, "dan"), worker(1, "ann"), job(),
                    *(story.moved("gate", seq, event, counts, START + 2, 1, 0) for seq, event, counts in moves))
        return story

    def test_moved_shares_count_where_they_stand_and_once(self):
        later = share(0, 4)
        story = self.moved_story((3, later, True), (3, later, False), (4, share(0, 5), True))
        story.frame("gate2", *finds(0, 1, "a"))
        self.assertEqual(weights(run(story)), {"ann": 12, "dan": 1})

    def test_a_moved_block_is_settled_by_its_new_numbers(self):
        story = self.moved_story()
        block, of_it = finds(0, 4, "a")
        story.frame("gate2", story.moved("gate", 3, block, True, START, 1, 0), story.moved("gate", 4, of_it))
        story.frame("clone", worker(0, "dan"), job(),                       # the clone moves both as well
                    story.moved("gate", 3, block, False, START, 0, 0), story.moved("gate", 4, of_it, False))
        answer = run(story)
        self.assertEqual(weights(answer), {"ann": 7})
        self.assertEqual(len(answer["blocks"]), 1)

    def test_counts_is_taken_from_the_line(self):
        for counts, right in ((True, {"ann": 7, "dan": 1}), (False, {"ann": 3, "dan": 1})):
            story = self.moved_story((3, share(0, 4), counts))
            story.frame("gate2", *finds(0, 1, "a"))
            self.assertEqual(weights(run(story)), right)

    def test_one_hash_is_one_block(self):
        story = two_accounts()
        story.gate(*finds(0, 4, "a"))
        answer = run(story)
        self.assertEqual(weights(answer), {"ann": 3, "cat": 2})
        self.assertEqual((len(answer["blocks"]), len(answer["pots"][1]["rounds"]), answer["pots"][1]["open"]),
                         (1, 1, "400000000000"))

    def test_a_recovered_block_is_the_reserves(self):
        story = two_accounts()
        at = story.settle(recovered("r"), recovered("s"), recovered("a", height=700))        # s: expects is wrong
        story.settle(recovered("s", (at, 0)), status("r", "immature", (at, 0)), status("r", "immature", fees=7))
        story.gate(*finds(0, 9, "r"))                                        # after the fact: names no finder
        answer = run(story)
        self.assertEqual(sums(answer), {"reward": -50 * GIGA, "reserve": 50 * GIGA})
        self.assertEqual(answer["refused"], [(3, 1), (3, 2), (4, 1), (5, 1)])
        self.assertEqual([block["recovered"] for block in answer["blocks"]], [False, True, True])
        story.settle(status("r", "orphaned", (4, 2)))
        self.assertEqual(sums(run(story)), {})

    def test_the_digest_of_an_adjustment_is_that_of_its_bytes(self):
        for account, block in (("name:ann", None), ("script:0014" + "10" * 20, "58" * 32), ("evm:" + "ee" * 20, None)):
            for direction in ("to_account", "from_account"):
                said = adjustment("x", 2**80 * GIGA, (7, 3), "rounding") | {
                    "account": account, "block": block, "direction": direction}
                read = reader.Event(event(12, oracle.packed(said, oracle.THINGS["adjustment"][1])), 0).fields
                shown = json.loads("{" + reader.json_members(read) + "}")
                self.assertEqual(shown, {name: value for name, value in said.items() if name != "kind"})

    def test_who_is_the_only_approver_approves_an_adjustment_alone(self):
        for approvers, listed, needed in ((1, None, 1), (2, None, 2), (2, 1, 1), (1, 1, 1)):
            story = Story()
            genesis = story.events[0]
            genesis["approvers"] = genesis["approvers"][:approvers]
            genesis["approvals"] += [[4, listed]] if listed else []
            said = adjustment("ann", GIGA)
            thing = thing_of(said)
            story.frame("desk", said)
            positions = [story.frame("desk", approval(thing, number)) for number in range(2)]
            paid_at = [posting[0][0] for posting in run(story)["postings"]]
            self.assertEqual(paid_at, positions[needed - 1:needed])

    def test_only_final_positions_are_applied(self):
        story = two_accounts()
        story.settle(status("a", "immature"))
        size = story.size
        story.checkpoint(size - 1)                                           # the status stays provisional
        lines = story.provisional_lines()
        self.assertEqual(sums(oracle.balances(lines)), {})
        self.assertEqual(oracle.balances(lines)["position"], size - 2)
        self.assertEqual(sums(oracle.balances(lines, everything=True)), self.IMMATURE)
        with self.assertRaisesRegex(oracle.Wrong, "not final"):
            oracle.balances(lines, stop_at=size - 1)
        self.assertEqual(sums(oracle.balances(lines, stop_at=size - 1, everything=True)), self.IMMATURE)

    def test_lines_that_cannot_be_a_ledger_are_refused(self):
        def but(change):
            lines = [json.loads(line) for line in two_accounts().lines()]
            change(lines)
            return [json.dumps(line) for line in lines]
        for name, change, text in (
                ("hole", lambda lines: lines.pop(4), "a hole"),
                ("no genesis", lambda lines: lines.pop(0), "a hole"),
                ("kind", lambda lines: lines[3].update(kind="new"), "does not know"),
                ("job", lambda lines: lines[5].update(job=9), "not announced"),
                ("share of the block", lambda lines: lines[6].update(kind="heartbeat"), "without its share")):
            with self.subTest(name), self.assertRaisesRegex(oracle.Wrong, text):
                oracle.balances(but(change))

    def test_books_that_do_not_balance_are_found(self):
        story = two_accounts()
        story.settle(status("a", "immature"))
        made = oracle.Oracle()
        for event in oracle.final_events(story.lines()):
            made.apply(event)
        made.check_books()
        for book, side in ((("immature", "name:ann"), 1), (("fee", ""), 0)):
            made.books[book][side] += 1
            with self.assertRaisesRegex(oracle.Wrong, "debits are not credits"):
                made.check_books()
            made.books[book][side] -= 1
        made.books["fee", ""][1] += 1
        made.books["immature", "name:ann"][1] -= 1
        with self.assertRaisesRegex(oracle.Wrong, "the blocks say"):
            made.check_books()


class Fixtures(unittest.TestCase):
    """tests/oracle/: whole ledgers, in bytes, lines and balances. Here are the balances by hand, in thousandths of a base
    unit unless they do not come out even: fee, reserve, reward, rounding, then immature (i) and available (a) accounts."""

    BY_HAND = BY_HAND_IN_ETHASH | BY_HAND_OF_SCHEMES | BY_HAND_OF_VOIDS | BY_HAND_OF_PAYOUTS | BY_HAND_OF_COINBASES | BY_HAND_OF_DUST | {
        # value 50, fee 1 %, 49.5 shared: 6, 3, 1 of 10; then 7, 8, 5 of 20
        "window_unfilled": "fee 500 reward -50000 i:ann 29700 i:bob 14850 i:cat 4950",
        "window_exactly_filled": "fee 500 reward -50000 i:ann 17325 i:bob 19800 i:cat 12375",
        # value 51, 50.49 shared: 2 + 7, 6, 5 of 20
        "window_cut_inside_a_share": "fee 510 reward -51000 a:ann 22720.5 a:bob 15147 a:cat 12622.5",
        "window_cut_inside_the_finding_share": "fee 500 reward -50000 a:bob 49500",
        # example 4a, and cat's bonus of 1.86
        "split_with_everything": "fee 8367.1 reward -100000 rounding 0.000001 i:ann 8161.172727 i:bob 32644.690909 "
                                 "i:cat 50827.036363",
        "orphan_and_return": "fee 500 reward -50000 a:ann 29700 a:cat 19800",
        # the last value is 42: fee 0.42, 41.58 shared 3 to 2
        "change_of_value": "fee 420 reward -42000 a:ann 24948 a:cat 16632",
        "late_reorganisation": "",
        "two_blocks_at_one_height": "fee 500 reward -50000 i:ann 29700 i:cat 19800",
        # a: ann 3, bob 5/2 = 2 and 1/2 = 0, cat 2 of 7 parts of 49.5: 21.214285714, 14.142857142 twice, 2 over
        # b: bonus 0.00002, fee (20 - 0.00002) · 2 % = 0.3999996, cat has the rest; c: 0.000011, 0.21999978, dan the rest
        "two_pots_and_two_streams": "fee 1119.99938 reward -81000 rounding 0.000002 i:ann 21214.285714 "
                                    "i:bob 14142.857142 i:cat 33742.857542 i:dan 10780.00022",
        # a is of a void job, c of a pot that the policy does not have; b: ann 3, cat 2
        "void_job_and_unknown_pot": "fee 500 reserve 100000 reward -150000 i:ann 29700 i:cat 19800",
        # value 100: bonus 2, fee 0.98
        "nothing_in_the_window": "fee 980 reserve 97020 reward -100000 i:cat 2000",
        # a: fee 10 %, 27 and 18; b: fee 1 %, 3 and 4 of 7 parts of 49.5: 21.214285714 and 28.285714285, 1 over
        "policies": "fee 5500 reward -100000 rounding 0.000001 i:ann 48214.285714 i:cat 46285.714285",
        # ann 3 and 4 are all there is before the block; dan's 9 come after it
        "moved_once": "fee 500 reward -50000 i:ann 49500",
        "epochs_number_anew": "fee 500 reward -50000 i:ann 14850 i:bob 24750 i:cat 9900",
        "two_settlers": "fee 500 reward -50000 a:ann 29700 a:cat 19800",
        # r 50 to the reserve, s came and went, a as ever
        "recovered_blocks": "fee 500 reserve 50000 reward -100000 i:ann 29700 i:cat 19800",
        # r is recovered, 49.5 of it go to ann; 2 of cat's to fee; what one approver approved, and a ban, move nothing
        "adjustments": "fee 2500 reserve 500 reward -100000 a:ann 79200 a:cat 17800",
        "adjustments_waiting": f"donation -5000 fee 3000 reserve -10000 rounding -{2**80}000 a:ann 10000 a:bob 2000 "
                               f"a:dan {2**80}000",
        "one_hash_twice": "fee 500 reward -50000 i:ann 29700 i:cat 19800",
        "not_all_final": "fee 500 reward -50000 i:ann 29700 i:cat 19800",
    }

    def test_the_balances_by_hand(self):
        fixtures = {path.stem for path in (HERE / "oracle").glob("*.json")}
        by_chance = {name for name in fixtures if "_by_chance_" in name}
        self.assertEqual((set(self.BY_HAND), len(by_chance)), (fixtures - by_chance, 4))
        for name, text in self.BY_HAND.items():
            with self.subTest(name):
                answer = json.loads((HERE / f"oracle/{name}.json").read_text())
                words = text.split()
                for letter, book in (("i:", "immature:"), ("a:", "available:"), ("p:", "paid:"), ("r:", "reserved:")):
                    words = [book + word[2:] if word.startswith(letter) else word for word in words]
                by_hand = {book: int(Fraction(amount) * 10**6) for book, amount in zip(words[::2], words[1::2])}
                self.assertEqual(sums(answer), by_hand)

    def test_the_files_are_what_make_writes(self):
        for tell in make.STORIES:
            for ending, text in make.files_of(tell).items():
                with self.subTest(tell.__name__, ending=ending):
                    self.assertEqual((HERE / f"oracle/{tell.__name__}.{ending}").read_text(), text)


class Command(unittest.TestCase):
    def command(self, story, *arguments):
        text = "".join(line + "\n" for line in story.lines())
        return subprocess.run([sys.executable, HERE / "oracle.py", *arguments], input=text, capture_output=True,
                              text=True, check=False)

    def test_it_prints_one_canonical_object(self):
        story = two_accounts()
        story.settle(status("a", "immature"))
        done = self.command(story)
        self.assertEqual((done.returncode, done.stderr, done.stdout.count("\n")), (0, "", 1))
        answer = json.loads(done.stdout)
        self.assertEqual(done.stdout, json.dumps(answer, sort_keys=True) + "\n")
        self.assertEqual(sums(answer), Ledgers.IMMATURE)
        self.assertEqual(json.loads(self.command(story, "--final", "--at", "2").stdout)["books"], {})
        self.assertEqual(json.loads(self.command(story, "--at", "2").stdout)["position"], 2)

    def test_it_says_what_is_wrong(self):
        done = self.command(two_accounts(), "--at", "99")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("wrong: position 99", done.stderr)

    def test_it_is_short_and_imports_nothing_of_ours(self):
        standard = {"argparse", "functools", "hashlib", "json", "signal", "struct", "sys", "collections"}
        parts = ["oracle"]
        for part in parts:
            text = (HERE / f"{part}.py").read_text()
            self.assertLessEqual(text.count("\n"), 400, part)
            lines = re.findall(r"^\s*(?:import (.*)|from (\S+) import .*)", text, re.MULTILINE)
            names = {name for line in lines for name in ", ".join(filter(None, line)).split(", ")}
            self.assertLessEqual({name for name in names if not name.startswith("oracle_")}, standard, part)
            parts += sorted(name for name in names - standard if name not in parts)
        self.assertGreater(len(parts), 2)
        self.assertNotIn("oracle_pen", parts)


if __name__ == "__main__":
    unittest.main()
