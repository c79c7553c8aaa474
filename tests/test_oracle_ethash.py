"""Shares of ethash in oracle.py: one story told in either kind of shares has the same balances. Run by test_oracle.py."""
import json
import unittest

import oracle
from oracle_pen import Story, finds, job, pot, restart_nonces, share, status, worker

SEAL = "5e" * 32


def in_ethash(event):
    """The same event as a ledger of ethash has it; what is moved too."""
    kind = event.get("kind")                        # a closure has none
    if kind == "genesis":
        return event | {"algorithm": "ethash"}
    if kind == "moved":
        return event | {"event": in_ethash(event["event"])}
    if kind == "job":
        kept = ("version", "prev", "nbits", "coinbase1", "coinbase2", "branches")
        said = {name: value for name, value in event.items() if name not in kept}
        return said | {"kind": "ethash_job", "seal": SEAL, "seed": "5d" * 32}
    if kind == "share":
        said = {name: value for name, value in event.items() if name not in ("ntime", "version", "extranonce2")}
        return said | {"kind": "ethash_share", "nonce": f"{event['nonce']:016x}"}
    return event


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


class Ethash(unittest.TestCase):
    def test_the_same_balances(self):
        lines = told()
        ethash = [json.dumps(in_ethash(json.loads(line)), separators=(",", ":")) for line in lines]
        self.assertEqual(sum('"ethash_share"' in line for line in ethash), 10)
        answer = oracle.balances(ethash, postings=True)
        self.assertEqual(answer, oracle.balances(lines, postings=True))
        self.assertEqual([len(block["weights"]) for block in answer["blocks"]], [2, 1, 2])

    def test_faults(self):
        ethash = [json.dumps(in_ethash(json.loads(line)), separators=(",", ":")) for line in told()]
        for text, old, new in (
                ("a worker or job that is not announced", '"ethash_share","worker":0,"job":0', '"ethash_share","worker":9,"job":0'),
                ("job number announced twice", '"ethash_job","number":2', '"ethash_job","number":1'),
                ("was moved before", '"counts":false', '"counts":true')):
            changed = [line.replace(old, new) for line in ethash]
            with self.assertRaises(oracle.Wrong) as caught:
                oracle.balances(changed)
            self.assertIn(text, str(caught.exception))
