"""More tests of oracle.py: adjustments, their approvals and what is refused (rules 7.5, 8.7; LEDGER-FORMAT.md 6).

    python3 tests/test_oracle_desk.py       (test_oracle.py runs them too)
"""
import json
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]
import oracle  # noqa: E402
from oracle_pen import *  # noqa: E402,F403

MOST = 2**80 * 10**9                                # sub-units that one adjustment may move

def yes(said, *numbers):
    return [approval(thing_of(said), number) for number in numbers or (0, 1)]


class Adjustments(unittest.TestCase):
    def check(self, frames, postings, refused=(), **genesis):
        """postings: (position, index), debit, credit, sub-units."""
        story = Story()
        story.events[0] |= genesis
        for events in frames:                       # the first of them is at position 2
            story.frame("desk", *map(dict, events))
        answer = oracle.balances(story.lines(), postings=True)
        self.assertEqual([(at, debit, credit, int(amount)) for at, _, debit, credit, amount in answer["postings"]],
                         list(postings))
        self.assertEqual(answer["refused"], list(refused))
        return answer

    def test_approvals_before_the_thing(self):
        said = adjustment("ann", 5)
        paid = ("reserve", "available:name:ann", 5)
        self.check([yes(said), [said]], [((3, 0), *paid)])
        self.check([yes(said, 1), [said], yes(said, 0)], [((4, 0), *paid)])
        again = yes(said, 1)
        self.check([[*again, *again, said, *again, *yes(said, 0), *again]], [((2, 4), *paid)])

    def test_who_is_no_approver_and_what_is_no_signature(self):
        said = adjustment("ann", 5)
        first, second = yes(said)
        stranger = bytes([99]) * 32
        message = b"orebook/approval/0\n" + bytes.fromhex(LEDGER.replace("-", "") + second["thing"])
        signed = second | {"approver": public(stranger).hex(), "signature": sign(stranger, message).hex()}
        for name, wrong in (("a stranger", signed), ("forged", approval(thing_of(said), 1, forged=True)),
                            ("the other's signature", second | {"signature": first["signature"]}),
                            ("for other words", yes(said | {"reason": "paid thrice"}, 1)[0]),
                            ("for another block", yes(said | {"block": hash_of("a")}, 1)[0]),
                            ("for another account", yes(adjustment("bob", 5), 1)[0])):
            with self.subTest(name):
                self.check([[said, first, wrong]], [])

    def test_how_many(self):
        said, keys = adjustment("ann", 5), [public(seed).hex() for seed in APPROVERS]
        sixteen = sorted(keys + [f"{number:064x}" for number in range(14)])
        paid = ("reserve", "available:name:ann", 5)
        for approvers, listed, at in ((keys, [], (2, 2)), (sixteen, [], (2, 2)), (keys[:1], [], (2, 1)),
                                      (keys, [[4, 1]], (2, 1)), (sixteen, [[4, 3]], None),
                                      (keys, [[1, 1], [2, 1], [3, 1]], (2, 2))):
            with self.subTest(approvers=len(approvers), listed=listed):
                self.check([[said, *yes(said)]], [(at, *paid)] if at else [], approvers=approvers, approvals=listed)

    def test_no_amount_does_without_approvals(self):
        self.check([[adjustment("ann", 1)], [adjustment("ann", MOST)]], [])

    def test_what_expects_one_that_waits_is_refused_and_may_be_said_again(self):
        first, second = adjustment("ann", 5), adjustment("ann", 7, (2, 0))
        late = [[first], [second], yes(first), yes(second)]
        paid = ((4, 1), "reserve", "available:name:ann", 5)
        self.check(late, [paid], [(3, 0)])
        # said again it is another event, of the same digest: the approvals are there, and now it is right
        self.check([*late, [second]], [paid, ((6, 0), "reserve", "available:name:ann", 7)], [(3, 0)])

    def test_the_first_of_the_same_words_is_obeyed(self):
        said, own, second = adjustment("ann", 5), adjustment("ann", 7, (2, 0)), adjustment("ann", 7, (3, 0))
        before = [[said], [said], yes(said)]
        paid = ((4, 1), "reserve", "available:name:ann", 5)
        self.check([*before, [own, *yes(own)]], [paid, ((5, 2), "reserve", "available:name:ann", 7)])
        self.check([*before, [second, *yes(second)]], [paid], [(5, 0)])

    def test_the_next_expects_the_place_of_the_thing_and_not_of_its_effect(self):
        said, next_one = adjustment("ann", 5), adjustment("ann", 7, (3, 1))
        self.check([[said], yes(said), [next_one, *yes(next_one)]], [((3, 1), "reserve", "available:name:ann", 5)],
                   [(4, 0)])

    def test_of_two_that_wait_the_first_approved_is_obeyed(self):
        one, two = adjustment("ann", 5), adjustment("ann", 7)
        self.check([[one, two], [*yes(one, 0), *yes(two), *yes(one)]],
                   [((3, 2), "reserve", "available:name:ann", 7)])

    def test_accounts_and_policies_are_subjects_of_their_own(self):
        hexes = "ee" * 20
        accounts = [f"name:{'ee' * 10}", f"script:{hexes}", f"evm:{hexes}"]
        said = [adjustment("x", 5) | {"account": account} for account in accounts]
        policy = policy_of(pot(1, fee_ppm=5))
        thing = thing_of(said_policy((0, 0), policy))
        answer = self.check([[one, *yes(one)] for one in said[:2]] + [[said_policy((0, 0), policy), approval(thing)]]
                            + [[said[2], *yes(said[2])]],
                            [((at, 2), "reserve", f"available:{name}", 5) for at, name in zip((2, 3, 5), accounts)])
        self.assertEqual([policy["at"] for policy in answer["policies"]], [(0, 0), (4, 0)])

    def test_both_directions_go_below_zero(self):
        for number, book in enumerate(oracle.BOOKS):
            to, back = adjustment("ann", 5, (0, 0), book), adjustment("bob", 7, (0, 0), book, back=True)
            answer = self.check([[to, *yes(to)], [back, *yes(back)]], [
                ((2, 2), book, "available:name:ann", 5), ((3, 2), "available:name:bob", book, 7)])
            self.assertEqual(answer["books"], {book: {"debits": "5", "credits": "7"}})
            self.assertEqual(answer["accounts"]["name:bob"], {"available": {"debits": "7", "credits": "0"}})

    def test_the_orphan_of_its_block_takes_nothing_of_it_back(self):
        said, story = adjustment("ann", 5, block="r"), Story()
        story.settle(recovered("r"))
        story.settle(status("r", "confirmed"))
        story.frame("desk", dict(said), *yes(said))
        story.settle(status("r", "orphaned", (3, 0)))
        answer = oracle.balances(story.lines(), postings=True)
        self.assertEqual(answer["books"]["reserve"], {"debits": str(50 * 10**9 + 5), "credits": str(50 * 10**9)})
        self.assertEqual(answer["accounts"]["name:ann"], {"available": {"debits": "0", "credits": "5"}})

    def test_the_least_and_the_most(self):
        for amount in (1, MOST):
            said = adjustment("ann", amount)
            self.check([[said, *yes(said)]], [((2, 2), "reserve", "available:name:ann", amount)])

    def test_what_might_not_fit_posts_nothing_and_is_the_last_all_the_same(self):
        first, second, third = adjustment("ann", 5), adjustment("ann", 4, (2, 0)), adjustment("ann", 1, (3, 0))
        story, made = Story(), oracle.Oracle()
        for said in (first, second, third):
            story.frame("desk", dict(said), *yes(said))
        for line in story.lines():
            made.apply(json.loads(line))
            if made.at == (1, 0):                   # what a quarter of a million of the largest ones would leave
                made.post(("reserve", ""), ("fee", ""), 2**128 - 5)
        self.assertEqual([(posting[0], posting[4]) for posting in made.postings[1:]], [((3, 2), "4")])
        self.assertEqual((made.last["adjustments", "name:ann"], made.refused), ((4, 0), []))


if __name__ == "__main__":
    unittest.main()
