"""More tests of oracle.py: halts and resumes (rules 8.12), write-offs (rules 5.4). Run by test_oracle.py too."""
import sys
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]
import oracle  # noqa: E402
from oracle_pen_payouts import *  # noqa: E402,F403

class WriteOffs(unittest.TestCase):
    """ann was paid 29 of 29.7, and her block is orphaned: she owes 29. Frames stand a millisecond apart."""

    def owing(self, *frames, wait=100, limit=100, **genesis):
        story = Payer([("ann", 30)], writeoff_ms=limit)
        story.events[0] |= genesis
        story.proposed(ANN)
        story.does(signed)
        story.does(step, "confirmed")
        since = story.orphan("ann")[0]
        for events in frames:
            story.now = START + since + wait
            story.frame("desk", *map(dict, events))
        return story

    def test_who_approves_and_when_it_counts(self):
        said = write_off("ann")
        yes, gone = yes_to(said), {"available:ann": 0, "reserve": -29 * GIGA}
        owes = {"available:ann": -29 * GIGA, "reserve": 0}
        for name, right, frames, more in (
                ("as it should be", gone, [[said, *yes]], {}), ("one approval", owes, [[said, yes[0]]], {}),
                ("one is asked", gone, [[said, yes[0]]], {"approvals": [[9, 1]]}),
                ("approved before", gone, [yes, [said]], {}), ("a millisecond too soon", owes, [[said, *yes]], {"wait": 99}),
                ("said twice", gone, [[said, said], yes], {}), ("no time at all", gone, [[said, *yes]], {"wait": 0, "limit": 0}),
                ("another's", owes, [[write_off("bob"), *yes_to(write_off("bob"))]], {}),
                ("of other words", owes, [[said, *yes_to(said | {"reason": "no"})]], {}),
                ("one that is an adjustment's", owes, [[said, yes[0]]], {"approvals": [[4, 1], [7, 1], [8, 1]]})):
            with self.subTest(name):
                books = books_after(self.owing(*frames, **more))
                self.assertEqual({of: books.get(of, 0) for of in right}, right)

    def test_a_refused_one_is_the_last_all_the_same(self):
        said = write_off("ann")
        story = self.owing([said, *yes_to(said)], wait=99)
        at = (story.size - 1, 0)
        for expects in (NOBODY, at):
            story.now += 1
            said = write_off("ann", expects)
            story.frame("desk", dict(said), *yes_to(said))
        self.assertEqual(refused_of(story), [at, (story.size - 2, 0)])
        self.assertEqual(books_after(story)["reserve"], -29 * GIGA)

    def test_the_time_and_the_policy_are_those_of_the_effect(self):
        said, policy = write_off("ann"), policy_of(pot(1, "solo")) | {"writeoff_ms": 300}
        changed = said_policy(NOBODY, policy)
        for wait, written in ((299, False), (300, True)):
            story = self.owing([said, yes_to(said)[0]], [changed, approval(thing_of(changed))])
            story.now += wait - 100
            story.frame("desk", yes_to(said)[1])
            self.assertEqual("reserve" in books_after(story), written)

    def test_a_debt_begins_anew_once_it_is_filled(self):
        for value, begins in ((29, False), (30, True)):     # 28.71 or 29.7 of 29: it is filled from 29 on
            story = self.owing([{"kind": "heartbeat"}], wait=10)
            story.now += 40
            story.gate(*finds(0, 1, "b"))
            at = story.settle(status("b", "confirmed", value=value))
            story.settle(status("b", "orphaned", (at, 0)))
            said = write_off("ann")
            story.now += 50
            story.frame("desk", dict(said), *yes_to(said))
            self.assertEqual("reserve" in books_after(story), not begins)

    def test_what_stands_between_two_postings_of_one_event_is_not_asked(self):
        # ann gives all of her block away and owes 5: 10 more of it are hers until she gives them in the same event
        story = Story(pot(1, "solo", fee_ppm=0))
        story.frame("desk", donation("ann", 10**6))
        story.gate(worker(0, "ann"), job(), *finds(0, 1, "a"))
        at = story.settle(status("a", "confirmed"))
        back, first = adjustment("ann", 5 * GIGA, back=True), START + 100
        story.now = first
        story.frame("desk", back, *yes_to(back))
        story.now += 3
        story.settle(status("a", "confirmed", (at, 0), 60))
        self.assertEqual([posting[2:] for posting in run(story)["postings"][-2:]],
                         [["reward", "available:name:ann", str(10 * GIGA)], ["available:name:ann", "donation", str(10 * GIGA)]])
        self.assertEqual(oracle_of(story).owes_since, {"name:ann": first})

    def test_nothing_is_no_debt(self):
        story = Story(pot(1, "solo", fee_ppm=0))
        story.frame("desk", donation("ann", 10**6))
        story.gate(worker(0, "ann"), job(), *finds(0, 1, "a"))
        at = story.settle(status("a", "confirmed"))
        story.settle(status("a", "confirmed", (at, 0), 60))
        made = oracle_of(story)
        self.assertEqual((made.books["available", "name:ann"], made.owes_since), ([10 * GIGA] * 2, {}))

    def test_who_owes_more_owes_since_the_first(self):
        story = Story()
        story.gate(worker(0, "ann"), job(), *finds(0, 1, "a"))
        at = story.settle(status("a", "confirmed"))
        back = adjustment("ann", 49 * GIGA, back=True)
        story.frame("desk", back, *yes_to(back))
        first = story.now = START + 100             # 49.5 - 49, then 48.51 and 47.52
        at = story.settle(status("a", "confirmed", (at, 0), 49))
        story.now += 3
        story.settle(status("a", "confirmed", (at, 0), 48))
        self.assertEqual(oracle_of(story).owes_since, {"name:ann": first})

    def test_the_digest_of_a_write_off(self):
        ledger = bytes.fromhex(LEDGER.replace("-", ""))
        fields = b"\3\3ann" + b"\7" + bytes(7) + b"\3\0" + b"\4gone"
        digest = hashlib.sha256(b"orebook/thing/0\n" + ledger + b"\x26\0" + fields).digest()
        self.assertEqual(oracle.digest_of(ledger, write_off("ann", (7, 3))), digest)


class Halts(unittest.TestCase):
    def test_what_goes_on_and_what_does_not(self):
        story = Payer([("ann", 30), ("bob", 20), ("carl", 30)], limit=0)
        said = proposed(BOTH, each=True)
        story.proposed(BOTH, each=True)
        story.frame("desk", *yes_to(said))
        story.does(signed)
        stop = (story.pay(halt())[0], 0)
        refused = [story.pay(signed(tx=1)), story.pay(signed("t2", story.last[0, 0, 0]))]
        story.does(step, "broadcast")
        story.does(step, "confirmed")
        story.does(cancelled, tx=1)
        refused.append(story.proposed([("carl", "C", 9)], batch=1))
        story.proposed([("carl", "C", 9)], wallet=1)
        again = resume(stop)
        story.frame("desk", again, approval(thing_of(again)))
        story.proposed([("carl", "C", 9)], batch=1)
        self.assertEqual(refused_of(story), refused)

    def test_what_is_approved_while_halted_may_be_signed_later(self):
        story = Payer(limit=0)
        story.proposed(BOTH)
        stop = (story.frame("desk", halt()), 0)
        story.frame("desk", *yes_to(proposed(BOTH)))
        again = resume(stop)
        story.frame("desk", again, approval(thing_of(again)))
        story.does(signed)
        self.assertEqual(refused_of(story), [])

    def test_how_a_resume_takes_effect(self):
        """halt at 2; the frames after it; halted at the end, and what is refused."""
        one, two = resume((2, 0)), resume((2, 0), reason="other")
        yes, no = approval(thing_of(one)), approval(thing_of(one), forged=True)
        for name, frames, halted, refused, genesis in (
                ("approved with it", [[one, yes]], False, [], []), ("approved before", [[yes], [one]], False, [], []),
                ("not approved", [[one]], True, [], []), ("forged", [[one, no]], True, [], []),
                ("two are asked", [[one, yes]], True, [], [[8, 2]]),
                ("two are there", [[one, yes], [approval(thing_of(one), 1)]], False, [], [[8, 2]]),
                ("one says it twice", [[one, yes, yes]], True, [], [[8, 2]]),
                ("halted again meanwhile", [[one], [halt()], [yes]], True, [], []),
                ("halted again after", [[one, yes], [halt()]], True, [], []),
                ("another wallet's", [[resume((2, 0), 1)]], True, [(3, 0)], []),
                ("expects nothing", [[resume(NOBODY)]], True, [(3, 0)], []),
                ("another was sooner", [[one], [two, approval(thing_of(two))], [yes]], False, [], []),
                ("said again while it waits", [[one], [one], [yes]], False, [], []),
                ("said again after", [[one, yes], [one]], False, [(4, 0)], []),
                ("an adjustment's two do not count", [[one, yes]], False, [], [[4, 2], [7, 2]])):
            with self.subTest(name):
                story = Story()
                story.events[0]["approvals"] += genesis
                for events in [[halt()], *frames]:
                    story.frame("desk", *map(dict, events))
                made = oracle_of(story)
                self.assertEqual((0 in made.halted, made.refused), (halted, refused))

    def test_the_next_expects_the_place_of_the_resume(self):
        story = Story()
        story.frame("payer", halt())
        one = resume((2, 0))
        story.frame("desk", dict(one))
        story.frame("desk", approval(thing_of(one)))
        self.assertEqual(oracle_of(story).last["halts", 0], (3, 0))

    def test_a_resume_is_of_its_wallet_alone(self):
        story = Story()
        story.frame("desk", halt(), halt(1), halt(2))
        one = resume((2, 1), 1)
        story.frame("desk", dict(one), approval(thing_of(one)))
        self.assertEqual(oracle_of(story).halted, {0, 2})

    def test_wallets_that_nobody_named(self):
        made = oracle_of(Story())
        self.assertEqual((made.halted, made.batches), (set(), {}))


if __name__ == "__main__":
    unittest.main()
