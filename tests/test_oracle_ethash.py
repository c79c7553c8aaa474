"""Shares of ethash in oracle.py: one story told in either kind of shares has the same balances. Run by test_oracle.py."""
import json
import unittest

import oracle
from oracle_pen import Story, finds, in_ethash, job, pot, restart_nonces, share, status, worker

BY_HAND_IN_ETHASH = {                               # as of the same stories in other shares
    "moved_once_in_ethash": "fee 500 reward -50000 i:ann 49500",
    "two_pots_in_ethash": "fee 1119.99938 reward -81000 rounding 0.000002 i:ann 21214.285714 i:bob 14142.857142 "
                          "i:cat 33742.857542 i:dan 10780.00022"}


def told():
    restart_nonces()
    story = Story(pot(1, stale_ppm=500_000, bonus_ppm=5_000), pot(2, "solo"))
    story.gate(worker(0, "ann"), worker(1, "ben"), worker(2, "cat", 2), job(0), job(1, (9, 9)), job(2, network_work=30))
    story.gate(share(0, 7), share(1, 30), share(0, 9, stale=True), share(1, 50, job=1), *finds(0, 5, "a", job=2))
    story.gate(share(2, 3), *finds(2, 4, "b"), share(1, 2))
    lost = finds(1, 6, "c")
    story.closure("gate")
    story.frame("gate2", worker(0, "ben"), job(0),
                story.moved("gate", story.seqs["gate"], lost[0], worker=0, job=0),
                story.moved("gate", story.seqs["gate"] + 1, lost[1]),
                story.moved("gate", story.seqs["gate"], lost[0], counts=False, worker=0, job=0))
    for letter in "abc":
        seen = story.settle(status(letter, "immature", value=1_000_003, fees=11))
        if letter != "c":
            story.settle(status(letter, "confirmed", (seen, 0), value=1_000_003, fees=11))
    return story.lines()


def lines_in_ethash(lines):
    return [json.dumps(event, separators=(",", ":")) for event in in_ethash(map(json.loads, lines))]


class Ethash(unittest.TestCase):
    def test_the_same_balances(self):
        lines = told()
        ethash = lines_in_ethash(lines)
        self.assertEqual(sum('"ethash_share"' in line for line in ethash), 10)
        answer = oracle.balances(ethash, postings=True)
        plain = oracle.balances(lines, postings=True)
        said = json.dumps(plain)
        for block, of_ethash in zip(plain["blocks"], answer["blocks"]):
            said = said.replace(block["hash"], of_ethash["hash"])
        self.assertEqual(json.dumps(answer), said)
        self.assertEqual([len(block["weights"]) for block in answer["blocks"]], [2, 1, 2])

    def test_faults(self):
        ethash = lines_in_ethash(told())
        for text, old, new in (
                ("a worker or job that is not announced", '"ethash_share","worker":0,"job":0', '"ethash_share","worker":9,"job":0'),
                ("a block_found without its share", '"kind":"ethash_share"', '"kind":"heartbeat"')):
            changed = [line.replace(old, new) for line in ethash]
            with self.assertRaises(oracle.Wrong) as caught:
                oracle.balances(changed)
            self.assertIn(text, str(caught.exception))
