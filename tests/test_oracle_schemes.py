"""More tests of oracle.py: PROP, PPS, FPPS and donations (rules 3.5, 3.6, 4.7). Run by test_oracle.py too."""
import sys
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]
import oracle  # noqa: E402
from oracle_pen import *  # noqa: E402,F403


BY_HAND_OF_SCHEMES = {                              # as BY_HAND of test_oracle.py: thousandths of a base unit
    # a: 70, 69.3 to ann 6, cat 1; b's 14 are in c's round, with dan 5 and ann 1: 49.5 to ann 7, bob 3, cat 5, dan 5 of 20
    "prop_orphans": "fee 1200 reward -120000 i:ann 59400 i:cat 9900 a:ann 17325 a:bob 7425 a:cat 12375 a:dan 12375",
    # units of 1/7: 2 of 49.5, twice, and 2 of 3; then 1 of 49.5 and of 5; 2 of both | 3 of 49.5, then 1. Block p: 51
    # ann 14.142857142 twice + 0.857142857 + 7.071428571 + 0.714285714 + 14.142857142 + 1.428571428
    # bob 21.214285714 + 7.071428571; f came and went
    "paid_per_share": "reserve -29785.714281 reward -51000 a:ann 52499.999996 a:bob 28285.714285",
    # a as example 4.7; b: 59.4 to ann 4 of 6, who gives nothing any more, and cat, who gives 19.8
    "donations": "donation 38020.95 fee 1050 reward -105000 a:ann 26329.05 i:ann 39600",
    # ann 28.285714284 + 7.142857142, of which 0.531428571 are given; bob 7.071428571; ann the same, all given
    "donations_per_share": "donation 7602.857142 reserve -49571.428568 a:ann 34897.142855 a:bob 7071.428571",
    # a is 50 in the end, b was
    "uncles": "fee 500 reward -50000 a:ann 29700 a:cat 19800"}


def story_of(steps, *pots, **accounts):
    """steps: words. `ann6`: a share; `ann6=a`: it finds block a; `a:orphaned` or `a:orphaned:45`: a status; `job1`, on a
    policy that nobody said; `/`: only what follows is of that void job. Gives the story and word -> position."""
    story, last, at, number = Story(*pots), {}, {}, 0
    names = sorted({re.match(r"[a-z]+", word)[0] for word in steps.split() if re.match(r"[a-z]{2,}\d", word)})
    story.gate(*(worker(number, name) for number, name in enumerate(names)), job(), job(1, (9, 9)))
    for word in steps.split():
        if word == "/":
            number = 1 - number
        elif ":" in word:
            letter, state, value = (word + ":70").split(":")[:3]
            at[word] = story.settle(status(letter, state, last.get(letter, (0, 0)), int(value)))
            last[letter] = (at[word], 0)
        else:
            name, work, _, letter = re.fullmatch(r"([a-z]+)(\d+)(=(.))?", word).groups()
            events = finds(names.index(name), int(work), letter, number) if letter else [
                share(names.index(name), int(work), number)]
            at[word] = story.gate(*events)
    return story, at


def prop(steps, **terms):
    return run(story_of(steps, pot(1, "prop", **{"fee_ppm": 0} | terms))[0])


class SchemesOfPage:
    """Examples of the page, for test_oracle.py's Page."""

    ROUNDS = {"stays immature": "A:immature B", "orphaned between A and B": "A:immature A:orphaned B",
              "orphaned between A and B, immature again before B": "A:immature A:orphaned A:immature B",
              "orphaned between A and B, immature again after B": "A:immature A:orphaned B A:immature",
              "orphaned after B, before B is immature": "A:immature B A:orphaned"}
    PAID_BY = ({"immature:ann": 60, "immature:cat": 10 + 40, "immature:bob": 30}, {"ann": 30, "bob": 15, "cat": 25},
               {}, {"ann": 90, "bob": 15, "cat": 35}, {})

    def example_3_5(self, rows):
        for number, (what, *right) in enumerate(rows):
            steps = self.ROUNDS[what].replace("B", "bob3 cat4=b").replace("A", "a")
            answer = prop(f"ann6 cat1=a {steps} b:immature dan1=c")
            got = weights(answer, "b")
            self.assertEqual([str(got.get(name, 0)) for name in ("ann", "bob", "cat")], right[:3], what)
            self.assertEqual(block_of(answer, "b")["W"], right[3])
            self.assertEqual(weights(answer, "a"), {"ann": 6, "cat": 1})
            if number in (1, 3):
                self.assertEqual(sums(answer), {f"immature:{name}": units * GIGA for name, units in
                                                self.PAID_BY[number].items()} | {"reward": (-70, -140)[number // 2] * GIGA})
            self.assertEqual(weights(answer, "c"), {"ann": 6, "cat": 1, "dan": 1} if number == 4 else {"dan": 1})

    SHARES = [("ann", 2, {}), ("ann", 2, {}), ("bob", 7, {"stale": True}), ("cat", 5, {"job": 1})]

    def frame_of_3_6(self, scheme, *voids, finds_a=False, donor_ppm=0, **terms):
        """Genesis and checkpoint; 2: the mean, 3: ann's donation, 4: the workers and jobs, 5: the shares."""
        story = Story(pot(1, scheme, stale_ppm=500_000, **{"fee_ppm": 10_000} | terms))
        story.settle(fee_mean(3))
        story.frame("desk", donation("ann", donor_ppm))
        names = ["ann", "bob", "cat"]
        story.gate(*(worker(number, name) for number, name in enumerate(names)),
                   *(job(number, policy, 7, 51, 1) for number, policy in ((0, (0, 0)), (1, (9, 9)))))
        shares = [share(names.index(name), work, **more) for name, work, more in self.SHARES]
        shares[2:3] = [shares[2] | {"block": True}, found("a")] if finds_a else shares[2:3]
        story.gate(*shares)
        for number, said in enumerate(voids):
            story.frame("keeper", void(*said))
        return story

    def example_3_6(self, rows):
        for scheme, columns in (("pps", [2]), ("fpps", [2, 3])):
            story = self.frame_of_3_6(scheme)
            made = oracle.Oracle()
            for event in oracle.final_events(story.lines()):
                made.apply(event)
            shares = list(made.shares.values())
            self.assertEqual([str(of.credit) for of in shares], [row[1] for row in rows])
            self.assertEqual([of.pay for of in shares], [sum(int(row[column]) for column in columns) for row in rows])
            total = {"ann": sum(of.pay for of in shares[:2]), "bob": shares[2].pay}
            self.assertEqual(made.answer(True)["postings"], [
                [(5, 3), None, "reserve", f"available:name:{name}", str(amount)] for name, amount in total.items()])
            for amount in total.values():
                self.assertIn(f"{amount:,}", PAGE)
        books = sums(run(self.frame_of_3_6("pps")))
        self.assertEqual(books, {"available:ann": 28_285_714_284, "available:bob": 21_214_285_714, "reserve": -49_499_999_998})
        self.assertIn("\u221249,499,999,998", PAGE)
        self.assertEqual(4 * 50 * GIGA * 990_000 // (7 * 10**6), 28_285_714_285)
        story = self.frame_of_3_6("pps", finds_a=True, keep_tx_fees=True, bonus_ppm=9)
        immature = story.settle(status("a", "immature", value=51, fees=1))
        self.assertEqual(sums(run(story)), books | {"reward": -51 * GIGA, "reserve": 51 * GIGA - 49_499_999_998})
        story.settle(status("a", "orphaned", (immature, 0), value=51))
        self.assertEqual(sums(run(story)), books)

    def example_4_7(self, rows):
        story, states = Story(), {}
        story.frame("desk", donation("ann", 15_000), donation("cat", 10**6))
        story.gate(worker(0, "ann"), worker(1, "cat"), job(), share(0, 3), *finds(1, 2, "a"))
        story.frame("desk", donation("ann", 999_999, (2, 0)), donation("cat", 0, (2, 1)))      # too late for a
        expects = (0, 0)
        for word in ("immature 50", "immature 45", "confirmed 45"):
            at = story.settle(status("a", word.split()[0], expects, int(word.split()[1])))
            expects, states[at] = (at, 0), word
        answer = run(story)
        made = [[row[0], *row[1:]] for row in rows_of(answer, states)]
        self.assertEqual(sorted(made), sorted(rows))
        self.assertEqual(sums(answer), {"reward": -45 * GIGA, "fee": 450_000_000, "donation": 18_220_950_000,
                                        "available:ann": 26_329_050_000})
        self.assertIn("`donation` has 18,220,950,000", PAGE)
        story.settle(status("a", "orphaned", expects))
        self.assertEqual(sums(run(story)), {})
        frame = self.frame_of_3_6("pps", ((5, 1), (5, 0)), donor_ppm=15_000)                  # ann's second of two
        frame.events = [event | ({"share": [5, 1]} if event.get("kind") == "void" else {}) for event in frame.events]
        nonces = [event for event in frame.events if event.get("position") == 5]
        nonces[1]["nonce"] = nonces[0]["nonce"]                                               # one name
        self.assertEqual([posting[2:] for posting in run(frame)["postings"]], [
            ["reserve", "available:name:ann", "28285714284"], ["available:name:ann", "donation", "424285714"],
            ["reserve", "available:name:bob", "21214285714"],
            ["available:name:ann", "reserve", "14142857142"], ["donation", "available:name:ann", "212142857"]])
        self.assertIn("424,285,714 of 28,285,714,284", PAGE)
        self.assertIn("212,142,857 from `donation`", PAGE)


class Prop(unittest.TestCase):
    def check(self, steps, right, letter="b", **terms):
        answer = prop(steps, **terms)
        self.assertEqual(weights(answer, letter), right)
        return answer

    def test_a_round_is_from_block_to_block(self):
        answer = self.check("ann6 ann2=a bob3 ann1 cat4=b dan9", {"ann": 1, "bob": 3, "cat": 4})
        self.assertEqual(weights(answer, "a"), {"ann": 8})
        self.assertIsNone(block_of(answer)["N"])
        self.check("ann6 cat0=a".replace("cat0", "cat1"), {"ann": 6, "cat": 1}, "a", n_ppm=1)      # no N

    def test_the_split_is_as_ever(self):
        # value 70, bonus 1 %: 0.7; fee 10 % of 69.3: 6.93; 62.37 to 2 and 1: 41.58 and 20.79
        answer = prop("ann2 cat1=a a:confirmed", bonus_ppm=10_000, fee_ppm=100_000)
        self.assertEqual(sums(answer), {"reward": -70 * GIGA, "fee": 6_930_000_000, "available:ann": 41_580_000_000,
                                        "available:cat": 21_490_000_000})

    def test_every_way_to_become_an_orphan_and_to_return(self):
        with_a, without = {"ann": 6, "bob": 3, "cat": 1}, {"bob": 3}
        for steps, right in (("a:orphaned", with_a), ("a:seen a:orphaned", with_a), ("a:orphaned a:orphaned", with_a),
                             ("a:immature a:orphaned", with_a), ("a:confirmed a:orphaned", with_a),
                             ("a:orphaned a:seen", without), ("a:orphaned a:seen a:immature a:confirmed", without),
                             ("a:orphaned a:uncle", without), ("a:orphaned a:confirmed a:orphaned", with_a),
                             ("a:orphaned a:orphaned a:seen a:orphaned a:immature", without)):
            with self.subTest(steps):
                self.check(f"ann6 cat1=a {steps} bob3=b", right)
                self.check(f"ann6 cat1=a bob1 {steps} bob2=b", right)

    def test_what_is_said_after_the_round_is_of_the_next(self):
        answer = self.check("ann6 cat1=a bob3=b a:orphaned dan2=c", {"ann": 6, "cat": 1, "dan": 2}, "c")
        self.assertEqual(weights(answer, "b"), {"bob": 3})
        answer = self.check("ann6 cat1=a a:orphaned bob3=b a:seen dan2=c", {"dan": 2}, "c")
        self.assertEqual(weights(answer, "b"), {"ann": 6, "bob": 3, "cat": 1})
        # orphaned once more, it adds them once more
        self.check("ann6 cat1=a a:orphaned bob3=b a:seen a:orphaned dan2=c", {"ann": 6, "cat": 1, "dan": 2}, "c")
        self.check("ann6 cat1=a a:orphaned bob3=b a:seen a:orphaned a:seen dan2=c", {"dan": 2}, "c")

    def test_an_orphan_gives_on_what_it_was_given(self):
        steps = "ann6 cat1=a a:orphaned bob3=b b:orphaned dan2=c"
        everything = {"ann": 6, "bob": 3, "cat": 1, "dan": 2}
        self.check(steps, everything, "c")
        self.check("ann6 cat1=a a:orphaned bob3=b b:orphaned a:immature dan2=c", everything, "c")   # a's went to b's round
        self.check("ann6 cat1=a a:orphaned bob3=b b:orphaned b:immature dan2=c", {"dan": 2}, "c")
        self.check("ann6=a bob3=b a:orphaned b:orphaned a:seen cat1=c", {"bob": 3, "cat": 1}, "c")

    def test_a_block_without_a_scheme_ends_the_round_and_has_no_weights(self):
        answer = self.check("ann6 / cat9 cat1=a / a:orphaned bob3=b a:confirmed", {"bob": 3})
        self.assertEqual(weights(answer, "a"), {})
        self.assertEqual(sums(answer), {"reward": -70 * GIGA, "reserve": 70 * GIGA})

    def test_a_round_of_nothing_is_the_reserves(self):
        story = Story(pot(1, "prop", bonus_ppm=100_000))
        story.gate(worker(0, "ann"), job(), share(0, 9), *finds(0, 1, "a"), *finds(0, 5, "b", stale=True))
        story.settle(status("b", "immature"))
        self.assertEqual(sums(run(story)), {"reward": -50 * GIGA, "immature:ann": 5 * GIGA, "fee": 450_000_000,
                                            "reserve": 44_550_000_000})

    def test_an_addition_that_is_too_large_is_left_out(self):
        # the limit itself is 2^127, and a share is below 2^63: here the limit is small instead. bob 1, then 7 come: 8
        limit = oracle.ROUND_OF_ALL
        try:
            for oracle.ROUND_OF_ALL, right in ((9, {"ann": 6, "bob": 2, "cat": 1}), (8, {"bob": 2})):
                self.check("ann6 cat1=a bob1 a:orphaned bob1=b", right)
                self.check("ann6 cat1=a bob1 a:orphaned a:seen bob1=b", {"bob": 2})
            oracle.ROUND_OF_ALL = 9                 # 1 + 7 is added and comes back, 2 + 7 is not and does not
            self.check("ann6 cat1=a ann1 a:orphaned a:seen ann1 a:orphaned a:seen bob1=b", {"ann": 2, "bob": 1})
        finally:
            oracle.ROUND_OF_ALL = limit
        self.assertEqual(limit, 2**127)


class PerShare(unittest.TestCase):
    """S = 50, network work 10, no fee: a share of w earns 5 w by S."""

    def books(self, *frames, scheme="fpps", fee_ppm=0, subsidy=50, more=()):
        """frames: lists of events, or one event of who else says it. Workers 0 ann and 1 bob of pot 1, 2 ann of more."""
        story = Story(pot(1, scheme, fee_ppm=fee_ppm), *more)
        story.gate(worker(0, "ann"), worker(1, "bob"), worker(2, "ann", 2), worker(3, "cat", 9),
                   job(0, reward=subsidy + 1, fees=1), job(1, (9, 9), reward=51, fees=1), job(2, network_work=7, reward=51, fees=1))
        for events in frames:
            if isinstance(events, list):
                story.gate(*events)
            else:
                story.frame("settler" if events["kind"] == "fee_mean" else "desk", events)
        self.answer = run(story)
        return sums(self.answer)

    def test_what_pays_nothing(self):
        self.assertEqual(self.books([share(0, 7, stale=True), share(0, 7, job=1), share(3, 7), *finds(0, 7, "a", job=1)]), {})
        self.assertEqual(self.answer["postings"], [])

    def test_a_pot_that_the_policy_of_the_job_lacks_pays_nothing(self):
        story, policy = Story(pot(1, "pps"), pot(2, "pps", fee_ppm=0)), policy_of(pot(1, "pps"))
        said = said_policy((0, 0), policy)
        story.frame("desk", said, approval(thing_of(said_policy((0, 0), policy))))
        story.checkpoint()
        story.gate(worker(0, "ann", 2), job(0, (2, 0)), job(1, reward=51, fees=1), share(0, 3), share(0, 2, job=1))
        answer = run(story)
        self.assertEqual(sums(answer), {"available:ann": 10 * GIGA, "reserve": -10 * GIGA})
        self.assertEqual(answer["pots"][2]["credit"], "5")

    def test_the_mean_is_the_last_obeyed_one_before_the_share(self):
        # by f: 10 of 10 are f, and by S 50
        for said, f in (([], 0), ([fee_mean(3)], 3), ([fee_mean(3), fee_mean(9)], 3), ([fee_mean(3), fee_mean(9, (3, 0))], 9),
                        ([fee_mean(2**80)], 2**80), ([fee_mean(2**80 + 1), fee_mean(4)], 4), ([fee_mean(0)], 0)):
            with self.subTest(said=said):
                self.assertEqual(self.books(*map(dict, said), [share(0, 10)]),
                                 {"available:ann": (50 + f) * GIGA, "reserve": -(50 + f) * GIGA})
        self.assertEqual(self.books([share(0, 10)], fee_mean(3), [share(0, 10)])["available:ann"], 103 * GIGA)
        self.assertEqual(self.books(fee_mean(3), [share(0, 10)], scheme="pps")["available:ann"], 50 * GIGA)
        self.assertEqual(self.books(fee_mean(3), [share(0, 10)], fee_ppm=500_000)["available:ann"], 28 * GIGA)

    def test_a_subsidy_that_no_chain_pays_is_none(self):
        for subsidy, paid in ((2**80, 2**80 + 3), (2**80 + 1, 3)):
            self.assertEqual(self.books(fee_mean(3), [share(0, 10)], subsidy=subsidy)["available:ann"], paid * GIGA)

    def test_one_posting_a_frame_and_account(self):
        # 1 of 7: 7,142,857,142 each; of pot 2, fee 50 %: 3,571,428,571
        self.books([share(0, 1, 2), share(1, 1, 2), share(2, 1, 2), share(0, 1, 2)], [share(0, 1, 2)],
                   scheme="pps", more=[pot(2, "fpps", fee_ppm=500_000)])
        self.assertEqual([(at[0], book, int(amount)) for at, _, _, book, amount in self.answer["postings"]], [
            (3, "available:name:ann", 2 * 7_142_857_142 + 3_571_428_571), (3, "available:name:bob", 7_142_857_142),
            (4, "available:name:ann", 7_142_857_142)])

    def test_a_gift_is_of_the_sum_of_the_frame(self):
        # 2 · 7,142,857,142 · 333,333 / 10^6 = 4,761,899,999.8; share by share it would be twice 2,380,949,999
        books = self.books(donation("ann", 333_333), [share(0, 1, 2), share(0, 1, 2)], scheme="pps")
        self.assertEqual(books["donation"], 14_285_714_284 * 333_333 // 10**6)
        self.assertNotEqual(books["donation"], 2 * (7_142_857_142 * 333_333 // 10**6))

    def test_a_moved_share_is_paid_where_it_stands(self):
        story, lost = Story(pot(1, "fpps", fee_ppm=0)), share(0, 10)
        story.gate(worker(0, "ann"), job(0, reward=51, fees=1))
        story.closure("gate")
        story.settle(fee_mean(3))
        story.frame("gate2", worker(0, "ann"), job(0, reward=11, fees=1), story.moved("gate", 2, lost, True, START, 0, 0),
                    story.moved("gate", 2, lost, False, START, 0, 0))
        self.assertEqual(sums(run(story))["available:ann"], 13 * GIGA)

    def test_a_block_is_the_reserves_whatever_it_is(self):
        for state in ("immature", "uncle", "confirmed"):
            story = Story(pot(1, "pps", bonus_ppm=10**6, keep_tx_fees=True))
            story.frame("desk", donation("ann", 10**6))
            story.gate(worker(0, "ann"), job(), *finds(0, 1, "a", stale=True))
            first = story.settle(status("a", state, value=50, fees=7))
            self.assertEqual(sums(run(story)), {"reward": -50 * GIGA, "reserve": 50 * GIGA})
            story.settle(status("a", state, (first, 0), value=43))
            self.assertEqual(sums(run(story)), {"reward": -43 * GIGA, "reserve": 43 * GIGA})

    def test_a_frame_that_might_not_fit_is_not_paid_and_its_void_takes_nothing(self):
        # ann would be paid 50 and give 25, bob be paid 500; a void of 75 fits where they did not, and takes nothing
        for left, paid in ((575 * GIGA + 2, True), (575 * GIGA + 1, False)):
            story, made = Story(pot(1, "pps", fee_ppm=0)), oracle.Oracle()
            story.frame("desk", donation("ann", 500_000))
            story.gate(worker(0, "ann"), worker(1, "bob"), job(0, reward=51, fees=1))
            story.gate(share(0, 1, nonce=5, stale=True))
            story.gate(share(1, 100), share(0, 10, nonce=5))
            story.frame("keeper", void((5, 1), (4, 0)))
            for event in oracle.final_events(story.lines()):
                made.apply(event)
                if made.at == (2, 0):
                    made.post(oracle.RESERVE, oracle.FEE, 2**128 - left)
            self.assertEqual([int(posting[4]) for posting in made.postings[1:]], [50 * GIGA, 25 * GIGA, 500 * GIGA] * paid)
            self.assertEqual((made.refused, made.entries[1][-2:]), ([], [("name:ann", 10), ("name:ann", -10)]))

    def test_a_void_posts_what_fits(self):
        for left, number in ((149, 1), (152, 2)):
            story, made = Story(pot(1, "pps", fee_ppm=0)), oracle.Oracle()
            story.gate(worker(0, "ann"), job(0, reward=51, fees=1), share(0, 10, nonce=5), share(0, 10, nonce=5))
            story.frame("keeper", void((2, 3), (2, 2)))
            for event in oracle.final_events(story.lines()):
                made.apply(event)
                if made.at == (1, 0):
                    made.post(oracle.RESERVE, oracle.FEE, 2**128 - left * GIGA)
            self.assertEqual(len(made.postings) - 1, number)
            self.assertEqual(made.entries[1][-1], ("name:ann", -10))


if __name__ == "__main__":
    unittest.main()
