"""More tests of oracle.py and of the page: uncles, and what chains pay (rules 3.8, 5.3 to 5.9). Run by test_oracle.py too."""
import sys
import unittest
from fractions import Fraction
from itertools import groupby
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]
from oracle_pen import *  # noqa: E402,F403

COIN = 10**18                                       # wei


class Chain:
    """Rewards by height: (from, reward) and, on ETC, eras."""

    STEPS = {"ethereum": [(0, 5), (4_370_000, 3), (7_280_000, 2), (15_537_394, None)],
             "expanse": [(0, 8), (800_000, 4), (8_570_000, None)]}

    def __init__(self, name):
        self.name = name

    def reward(self, height):
        if self.name == "ethereum-classic":
            era = self.era(height)
            return 5 * COIN * 4**era // 5**era
        coins = [coins for start, coins in self.STEPS[self.name] if start <= height][-1]
        return coins and coins * COIN

    def era(self, height):
        return max(0, height - 1) // 5_000_000

    def uncle(self, height, included):
        assert 1 <= included - height <= 6
        if self.name == "ethereum-classic" and self.era(included):
            return self.reward(included) // 32
        return (8 - (included - height)) * self.reward(included) // 8


class StatesOfPage:
    """Examples of the page, for test_oracle.py's Page."""

    def check_uncle(self, rows):
        """The rows' own states, one status each; what they post is what the page says."""
        story, expects, states = two_accounts(), (0, 0), {}
        for said, _ in groupby(row[0] for row in rows):
            state, value = said.split(", value ")
            at = story.settle(status("a", state, expects, int(value)))
            expects, states[at] = (at, 0), said
        answer = run(story)
        self.assertEqual(sorted(rows_of(answer, states)), sorted(row for row in rows if row[1]))
        return answer

    def example_5_3b(self, rows):
        answer = self.check_uncle(rows)
        self.assertEqual(sums(answer), {"reward": -50 * GIGA, "fee": 500_000_000, "available:ann": 29_700_000_000,
                                        "available:cat": 19_800_000_000})
        self.assertEqual((430_000_000, 25_542_000_000, 17_028_000_000),
                         tuple(43 * GIGA * parts // 500 for parts in (5, 297, 198)))

    def example_5_3c(self, rows):
        answer = self.check_uncle(rows)
        self.assertEqual(sums(answer), {})
        # here the order of the rows is the page's: the last posting is undone first
        of = [row for row in rows if row[0].startswith("orphaned")]
        self.assertEqual([set(row[1:3]) for row in of][:2], [{f"available:{name}", f"immature:{name}"}
                                                             for name in ("cat", "ann")])
        undone = [posting for posting in answer["postings"] if posting[0][0] == answer["postings"][-1][0][0]]
        self.assertEqual([posting[2:] for posting in undone],
                         [[credit, debit, amount] for _, _, debit, credit, amount in
                          reversed(answer["postings"][:len(undone)])])

    def example_5_6b(self, rows):
        for name, height, reward in rows:
            self.assertEqual(reward, str(Chain(name).reward(int(height)) or "none"))
            self.assertTrue(int(height) == 0 or Chain(name).reward(int(height)) != Chain(name).reward(int(height) - 1))
        self.assertEqual(len(rows), sum(map(len, Chain.STEPS.values())))

    def example_5_7(self, rows):
        for name, *figures, fees, value in rows:
            height, uncles, used, price, base = map(int, figures)
            reward = Chain(name).reward(height)
            self.assertEqual(int(fees), used * (price - base))
            self.assertEqual(int(value), reward + uncles * (reward // 32) + used * (price - base))

    def example_5_8(self, rows):
        for name, height, included, value in rows:
            self.assertEqual(int(value), Chain(name).uncle(int(height), int(included)))


class Uncles(unittest.TestCase):
    IMMATURE = {"reward": -50 * GIGA, "fee": 500_000_000, "immature:ann": 29_700_000_000, "immature:cat": 19_800_000_000}
    AVAILABLE = {name.replace("immature", "available"): amount for name, amount in IMMATURE.items()}

    def test_uncle_posts_as_immature_does(self):
        for said, right in (
                ("uncle 50", self.IMMATURE), ("seen 50, uncle 50", self.IMMATURE), ("uncle 50, uncle 50", self.IMMATURE),
                ("immature 90, uncle 50", self.IMMATURE), ("uncle 20, immature 50", self.IMMATURE),
                ("uncle 50, seen 50", self.IMMATURE), ("uncle 20, seen 50", self.IMMATURE),
                ("uncle 50, confirmed 50", self.AVAILABLE), ("uncle 20, confirmed 50", self.AVAILABLE),
                ("confirmed 50, uncle 50", self.AVAILABLE), ("confirmed 90, uncle 50", self.AVAILABLE),
                ("confirmed 90, uncle 20, confirmed 50", self.AVAILABLE),
                ("uncle 50, orphaned 50", {}), ("uncle 50, orphaned 50, seen 50", {}),
                ("immature 90, orphaned 0, uncle 50", self.IMMATURE), ("uncle 0", {})):
            with self.subTest(said):
                story, expects = two_accounts(), (0, 0)
                for word in said.split(", "):
                    expects = (story.settle(status("a", word.split()[0], expects, int(word.split()[1]))), 0)
                answer = run(story)
                self.assertEqual(sums(answer), right)
                self.assertEqual(block_of(answer)["state"], word.split()[0])

    def test_fees_of_an_uncle_are_taken_as_said(self):
        # keep_tx_fees: 43 with fees 3, then an uncle of 43 without
        story = shares_story([("ann", 5)], pot(1, keep_tx_fees=True))
        first = story.settle(status("a", "immature", value=43, fees=3))
        story.settle(status("a", "uncle", (first, 0), value=43))
        self.assertEqual(sums(run(story)), {"reward": -43 * GIGA, "fee": 430_000_000, "immature:ann": 42_570_000_000})

    def test_a_recovered_uncle_is_the_reserves(self):
        story = Story()
        story.settle(recovered("u", value=43))
        story.settle(status("u", "uncle", value=43))
        self.assertEqual(sums(run(story)), {"reward": -43 * GIGA, "reserve": 43 * GIGA})

    def test_the_mean_of_fees(self):
        self.assertEqual(100 * 5 + 44 * 7, 808)
        self.assertEqual(808 // 144, 5)
        self.assertIn("floor(808 / 144) = 5", PAGE)
        self.assertEqual(Fraction(808, 144).__floor__(), 5)


if __name__ == "__main__":
    unittest.main()
