"""More tests of oracle.py: shares that were credited twice (rules 3.3 and 3.6.4, reading 20). Run by test_oracle.py too."""
import sys
import unittest
from collections import defaultdict
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]
from oracle_pen import *  # noqa: E402,F403

BY_HAND_OF_VOIDS = {                                # as BY_HAND of test_oracle.py: thousandths of a base unit
    # b: ann 11, bob 11. Then PPLNS, N = 8, backwards: bob 1, voids of 3 and 4, ann 3, ann 4, bob 3, ann 4 of 6: 4 and 4.
    # PROP after b: void of 5, ann 7, bob 1: 2 and 1. d is bob's. Each has 49.5: ann 24.75 + 24.75 + 33, bob 24.75 twice,
    # 16.5 and 49.5. PPS: 7 of 10/4 each are 17.325; the 3 of the second, 7.425, come back. ann gives a tenth of all
    "voids_in_ethash": "donation 9982.5 fee 2000 reserve -17325 reward -200000 a:ann 15592.5 i:ann 74250 i:bob 115500"}


class Ledger:
    """Shares of one gateway and voids of them, in ethash. A word is a frame: `ann6` a share, `ann6x` one whose nonce is
    that of x, `-2:0` a void of share 2 as a copy of share 0, `cat1=a` a block, `?` a stale share."""

    def __init__(self, words, *pots, scheme="pplns"):
        self.story, self.shares, self.voids = Story(*(pots or (pot(1, scheme),))), [], []
        names = sorted(set(re.findall(r"[a-z]{3}", words)))
        self.story.gate(*(worker(number, name) for number, name in enumerate(names)), job())
        for word in words.split():
            if word.startswith("-"):
                twice, first = (self.shares[int(number)] for number in word[1:].split(":"))
                self.voids.append(self.story.frame("keeper", void(twice, first)))
                continue
            name, work, stale, copy, _, letter = re.fullmatch(r"([a-z]{3})(\d+)(\?)?([x-z])?(=(.))?", word).groups()
            nonce = 1_000 + "xyz".index(copy) if copy else None
            events = [share(names.index(name), int(work), stale=bool(stale), block=bool(letter), nonce=nonce)]
            at = self.story.gate(*events, *([found(letter)] if letter else []))
            self.shares.append((at, 0))

    def answer(self):
        return run(self.story)


class VoidsOfPage:
    """Examples of the page, for test_oracle.py's Page."""

    def check_voids(self, rows):
        """Rows are the pot's entries. The first of each two is in pot 2, before all; a share that a void takes back and
        that no row above says was before the table too."""
        shares = [(account, int(credit)) for account, credit, _ in rows]
        voids = [(account[5:], credit) for account, credit in shares if account.startswith("void ")]
        names, story, at = sorted({account.removeprefix("void ") for account, _ in shares}), Story(pot(1), pot(2)), {}
        story.gate(*(worker(number, name) for number, name in enumerate(names)), worker(9, "eve", 2), job())
        firsts = {of: (story.gate(share(9, 1, nonce=5_000 + number)), 0) for number, of in enumerate(voids)}
        right = defaultdict(int)

        def say(account, credit):
            nonce = 5_000 + voids.index((account, credit)) if (account, credit) in voids else None
            at[account, credit] = (story.gate(share(names.index(account), credit, nonce=nonce)), 0)

        for account, credit in voids:
            if (account, credit) not in shares[:shares.index((f"void {account}", credit))]:
                say(account, credit)
        for (account, credit), (_, _, counts) in zip(shares, rows):
            name = account.removeprefix("void ")
            right[name] += int(counts.replace("\u2212", "-"))
            if name != account:
                story.frame("keeper", void(at[name, credit], firsts[name, credit]))
            elif (account, credit) != shares[-1]:
                say(account, credit)
        story.gate(*finds(names.index(shares[-1][0]), shares[-1][1], "a"))
        answer = run(story)
        self.assertEqual(answer["refused"], [])
        self.assertEqual(weights(answer), {name: weight for name, weight in right.items() if weight > 0})
        return block_of(answer)

    def example_3_3a(self, rows):
        self.assertEqual(self.check_voids(rows)["W"], "4")

    def example_3_3b(self, rows):
        self.assertEqual(self.check_voids(rows)["W"], "24")

    def example_3_3c(self, rows):
        self.assertEqual(self.check_voids(rows)["W"], "22")

    def example_3_3d(self, rows):
        self.assertEqual(self.check_voids(rows)["W"], str(1 + 13 + 6))


class Voids(unittest.TestCase):
    def check(self, words, right, refused=(), **options):
        ledger = Ledger(words, **options)
        answer = ledger.answer()
        self.assertEqual(weights(answer, "a"), right)
        self.assertEqual(answer["refused"], [(ledger.voids[number], 0) for number in refused])
        return answer

    def test_the_copy_is_taken_back_and_the_first_stays(self):
        self.check("ann6x bob3 ann6x -2:0 cat1=a", {"ann": 6, "bob": 3, "cat": 1})
        self.check("ann6x bob3 bob4x -2:0 cat1=a", {"ann": 6, "bob": 3, "cat": 1})     # of another account
        self.check("ann6x ann2x -1:0 cat1=a", {"ann": 6, "cat": 1})                     # of another work

    def test_once_and_only_what_is_one(self):
        three = "ann6x ann6x ann6x "
        self.check(three + "-1:0 -1:0 cat1=a", {"ann": 12, "cat": 1}, [1])
        self.check(three + "-1:0 -2:0 cat1=a", {"ann": 6, "cat": 1})
        self.check(three + "-1:0 -2:1 cat1=a", {"ann": 6, "cat": 1})                    # the first may be void itself
        self.check("ann6x ann6y -1:0 cat1=a", {"ann": 12, "cat": 1}, [0])               # other nonces
        ledger = Ledger("ann6x ann6x -1:0")
        for share_at, first, expects in (((4, 0), (3, 0), (5, 0)), ((2, 0), (1, 0), (0, 0)), ((3, 1), (3, 0), (0, 0)),
                                         ((3, 0), (2, 0), (0, 0)), ((4, 0), (3, 0), (0, 0))):
            ledger.story.frame("keeper", void(share_at, first, expects))
        self.assertEqual(ledger.answer()["refused"], [(at, 0) for at in range(6, 11)])

    def test_what_expects_another_place_than_none_may_be_said_again(self):
        ledger = Ledger("ann6x ann6x")
        ledger.story.frame("keeper", void((4, 0), (3, 0), (2, 0)), void((4, 0), (3, 0)))
        ledger.story.gate(*finds(0, 1, "a"))
        answer = ledger.answer()
        self.assertEqual((answer["refused"], weights(answer)), ([(5, 0)], {"ann": 7}))

    def test_a_block_that_was_found_before_keeps_its_weights(self):
        self.check("ann6x ann6x cat1=a -1:0 dan2=b", {"ann": 12, "cat": 1})
        answer = Ledger("ann6x ann6x cat1=a -1:0 dan2=b").answer()
        self.assertEqual(weights(answer, "b"), {"ann": 6, "cat": 1, "dan": 2})

    def test_credit_is_taken_back_and_not_work(self):
        half = pot(1, stale_ppm=500_000)
        answer = Ledger("ann6x ann7?x -1:0 cat1=a", half).answer()
        self.assertEqual(weights(answer), {"ann": 6, "cat": 1})                         # 6 + 3 - 3
        answer = Ledger("ann6x ann7?x -1:0 cat1=a", pot(1)).answer()                    # nothing is taken of nothing
        self.assertEqual((weights(answer), answer["refused"]), ({"ann": 6, "cat": 1}, []))
        self.assertEqual((answer["pots"][1]["credit"], answer["pots"][1]["rounds"][0]["effort"]), ("7", "700000000000"))

    def test_the_walk_goes_on_for_as_much_more(self):
        # N = 20, backwards: cat 4, void 6: -2, ann 6: 4, bob 16 of 30
        self.check("bob9x bob30 ann6x -2:0 cat4=a", {"bob": 16, "cat": 4})
        # a void right before what fills the window is not reached
        self.check("ann9x ann9x -1:0 bob20=a", {"bob": 20})
        self.check("ann9x ann9x bob1 -1:0 bob20=a", {"bob": 20})
        self.check("ann9x ann9x -1:0 bob19=a", {"bob": 19, "ann": 1})                   # -9, then 9, then 1 of 9

    def test_a_round_of_prop(self):
        for words, right in (("ann6x ann6x -1:0 cat1=a", {"ann": 6, "cat": 1}),
                             ("ann6x ann6x dan1=b -1:0 ann4 cat1=a", {"cat": 1}),       # 4 - 6 is no weight
                             ("ann6x ann6x dan1=b -1:0 ann8 cat1=a", {"ann": 2, "cat": 1})):
            self.check(words, right, scheme="prop")

    def test_solo_asks_nothing(self):
        self.check("cat1x cat1x=a -1:0", {"cat": 1}, scheme="solo")

    def test_moved_shares(self):
        # gate2 has ann's share twice: once moved (it counts), once its own; a moved one that does not count is no share
        story = Story()
        first, lost = share(0, 6, nonce=7), share(0, 6, nonce=7)
        story.gate(worker(0, "ann"), job(), first)
        story.closure("gate")
        story.frame("gate2", worker(0, "ann"), worker(1, "cat"), job(), story.moved("gate", 3, lost, True, START, 0, 0),
                    story.moved("gate", 2, first | {"kind": "share"}, False, START, 0, 0))
        story.frame("keeper", void((3, 3), (2, 2)), void((3, 4), (2, 2)), void((3, 4), (3, 3)))
        story.frame("gate2", *finds(1, 1, "a"))
        answer = run(story)
        self.assertEqual((weights(answer), answer["refused"]), ({"ann": 6, "cat": 1}, [(4, 1), (4, 2)]))

    def test_a_share_that_was_paid_gives_it_back(self):
        # S = 43, network work 10, fee 1 %: 6 are 25.542, below zero where nothing else is there
        answer = Ledger("ann6x ann6x -1:0", scheme="pps").answer()
        self.assertEqual(sums(answer), {"available:ann": 25_542_000_000, "reserve": -25_542_000_000})
        self.assertEqual([posting[0] for posting in answer["postings"]], [(3, 0), (4, 0), (5, 0)])
        answer = Ledger("ann6x bob6x -1:0", scheme="pps").answer()
        self.assertEqual(sums(answer), {"available:ann": 25_542_000_000, "reserve": -25_542_000_000})


if __name__ == "__main__":
    unittest.main()
