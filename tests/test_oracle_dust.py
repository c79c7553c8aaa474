"""More tests of oracle.py and of the page: roundings to the fee, and dust (rules 7.2 and 7.3). Run by test_oracle.py too."""
import sys
import unittest
from fractions import Fraction
from pathlib import Path
from unittest import mock

sys.path[:0] = [str(Path(__file__).resolve().parent)]
import oracle  # noqa: E402
from oracle_pen_direct import *  # noqa: E402,F403

DAY = 86_400_000
BY_HAND_OF_DUST = {                                 # as BY_HAND of test_oracle.py: thousandths of a base unit
    # 1,999,999,999: 1 goes when the policy says so, 1 with the split's 1, which then comes and goes; -3 and 5.000000007: 2 go, 7
    # sub-units stay; the last 1 comes when the policy says no
    "roundings_to_the_fee": "fee 4000 reward -1000 rounding 1000.000007 a:ann 333.333333 a:bob 333.333333 a:cat 333.333333 "
                            "a:dan -5000.000006",
    # ann's 7 sub-units and bob's 20 less one; cat has no dust, dan 1 immature, eve a share; fay's 4 to the reserve, which gave all
    "dust_that_moves": "donation 20000.000006 reserve -26000.000006 reward -21000 a:cat 20000 a:dan 3000 i:dan 1000 a:eve 3000"}


def dust(names, expects=NOBODY, cutoff=9, to="donation", reason="silent"):
    return {"kind": "inactive_dust", "cutoff": cutoff, "to": to, "expects": list(expects), "reason": reason,
            "accounts": [name if ":" in name else f"name:{name}" for name in names]}


def adjusts(story, name, amount, book="reserve", expects=NOBODY):
    """amount in sub-units, to the account; the frame's position."""
    said = adjustment(name, abs(amount), expects, book, amount < 0)
    return story.frame("desk", said, *yes_to(said))


def policy_frame(story, expects, **terms):
    said = said_policy(expects, policy_of(pot(1, fee_ppm=0)) | terms)
    return story.frame("desk", said, approval(thing_of(said)))


def behind(answer, index):
    """position -> what its end posts: [debit, credit, sub-units]."""
    rows = {}
    for (position, at), _, debit, credit, amount in answer["postings"]:
        if at == index:
            rows.setdefault(position, []).append([debit.replace("name:", ""), credit.replace("name:", ""), int(amount)])
    return rows


class DustOfPage:
    """Examples of the page, for test_oracle.py's Page."""

    def example_7_2(self, rows):
        """A remainder of 1 is a split's, of three shares of one; more than that is an adjustment's, whatever the row calls it."""
        story = Story(pot(1, fee_ppm=0))
        story.gate(*(worker(number, name) for number, name in enumerate(("ann", "bob", "cat"))), job(network_work=10))
        story.gate(share(0, 1), share(1, 1), *finds(2, 1, "a"))
        story.gate(share(0, 1), share(1, 1), *finds(2, 1, "b"))
        last, adjusted, blocks = NOBODY, NOBODY, {}
        for position, what, remainder, _, _ in rows:
            amount = int(remainder.replace("−", "-"))
            if "policy" in what and "split" not in what:
                at = policy_frame(story, last, rounding_to_fee="yes" in what)
                last = (at, 0)
            elif "orphaned" in what:
                at = story.settle(status("a", "orphaned", blocks["a"], value=1))
            elif amount == 1:
                letter = "ab"[len(blocks)]
                at = story.settle(status(letter, "immature", value=1))
                blocks[letter] = (at, 0)
            else:
                at = adjusts(story, "dan", -amount, "rounding", adjusted)
                adjusted = (at, 0)
            self.assertEqual(at, int(position))
        lines, behind_each = story.lines(), behind(run(story), 65_535)
        before = 0
        for position, _, remainder, to_fee, after in rows:
            remainder, after = remainder.replace("−", "-"), after.replace("−", "-")
            books = sums(oracle.balances(lines, int(position)))
            self.assertEqual(books.get("rounding", 0), int(after), position)
            self.assertEqual(behind_each.get(int(position), []), [["rounding", "fee", int(to_fee)]] if int(to_fee) else [])
            self.assertEqual(before + int(remainder) - int(to_fee), int(after))
            before = int(after)

    def example_7_3a(self, rows):
        story = Story(pot(1, "solo", fee_ppm=0))
        story.events[0]["policy"]["threshold"] = "20"
        story.now = START
        story.gate(*(worker(number, name) for number, name in enumerate(("bob", "dan", "eve"))), job())
        story.gate(*finds(0, 1, "of bob"), *finds(1, 1, "of dan"))
        story.settle(status("of dan", "immature", value=1))
        for name, amount in (("ann", 7), ("bob", -1), ("cat", 20 * GIGA), ("dan", 3 * GIGA), ("eve", 3 * GIGA)):
            at = adjusts(story, name, amount)
        self.assertEqual(at, 9)
        said = dust([row[0] for row in rows])
        anna, ben = yes_to(said)
        story.frame("desk", said, anna)
        story.frame("desk", {"kind": "heartbeat"})
        story.now = START + 1_000
        self.assertEqual(story.frame("desk", ben), 12)
        story.now += 2_592_000_000 - 1
        while story.size < 40:
            if story.size == 30:
                story.settle(status("of bob", "confirmed", value=20))
            else:
                story.frame("desk", {"kind": "heartbeat"})
        story.now += 1
        lines = story.provisional_lines()
        before = sums(oracle.balances(lines, everything=True))
        story.gate(share(2, 1))
        answer = oracle.balances(story.provisional_lines(), everything=True, postings=True)
        told = {row[0]: int(re.sub(r"\D", "", row[4])) for row in rows if "sub-units" in row[4]}
        self.assertEqual(behind(answer, 65_534), {40: [[f"available:{name}", "donation", amount] for name, amount in told.items()]})
        for name, available, other, *_ in rows:
            self.assertEqual(before.get(f"available:{name}", 0), int(Fraction(available) * GIGA), name)
            self.assertEqual(before.get(f"immature:{name}", 0), int(re.sub(r"\D", "", other)) * GIGA, name)

    def example_7_3b(self, rows):
        story, day = Story(), lambda number: START + number * DAY
        story.now = day(0)
        adjusts(story, "ann", 5 * GIGA)
        while story.size < 10:
            story.frame("desk", {"kind": "heartbeat"})
        first, second, third = dust(["ann"]), dust([], (10, 0)), dust(["ann"], (12, 0))
        frames = {"10": [first, *yes_to(first)[:1]], "11": yes_to(first)[1:], "12": [second, *yes_to(second)],
                  "14": [third, *yes_to(third)]}
        for position, at, what, waits, moved in rows:
            story.now = day(int(at))
            self.assertEqual(str(story.frame("desk", *frames.get(position, [{"kind": "heartbeat"}]))), position)
            made = oracle_of(story)
            answer = made.answer(True)
            until = re.search(r"until day (\d+)", waits)
            self.assertEqual(bool(made.announced and made.announced[1]["accounts"]), bool(waits), position)
            self.assertTrue(not until or made.announced[0] == day(int(until[1])), position)
            self.assertEqual(behind(answer, 65_534).get(int(position), []), [["available:ann", "donation", 5 * GIGA]] if moved else [])
            self.assertEqual(answer["refused"], [])


class DustOracle(unittest.TestCase):
    def silent(self, amount=5 * GIGA, **terms):
        """ann has dust; positions 2 to 4 are before the cut-off, 4."""
        story = Story(pot(1, "solo", fee_ppm=0))
        story.events[0]["policy"] |= {"threshold": "20"} | terms
        story.now = START
        story.gate(worker(0, "ann"), job(), share(0, 1), share(0, 1))
        adjusts(story, "ann", amount)
        story.gate(share(0, 1))
        return story

    def announce(self, story, *names, **named):
        said = dust(names or ["ann"], **{"cutoff": 4} | named)
        return story.frame("desk", said, *yes_to(said)), 0

    def moved(self, story, *last, days=30):
        """What moves by a last frame, 30 days after now."""
        story.now += days * DAY
        story.frame("desk", *(last or [{"kind": "heartbeat"}]))
        return behind(run(story), 65_534).get(story.size - 2, [])

    def test_who_is_active(self):
        active, quiet = [], [["available:ann", "donation", 5 * GIGA]]
        for name, events, right in (
                ("a share", [share(0, 1)], active), ("a stale share that is paid nothing", [share(0, 1, stale=True)], quiet),
                ("a share of a void job", [job(1, (8, 8)), share(0, 1, 1)], quiet),
                ("a worker", [worker(1, "ann")], quiet), ("a job", [job(1)], quiet),
                ("a share of another", [worker(1, "bob"), share(1, 1)], quiet)):
            story = self.silent()
            self.announce(story)
            story.gate(*events)
            self.assertEqual(self.moved(story), right, name)
        for name, events, right in (
                ("a setting", [setting("ann", "donation", 5)], active), ("a threshold", [setting("ann", "threshold", "6")], active),
                ("pay_now", [setting("ann", "pay_now")], active), ("a refused setting", [setting("ann", "pay_now", None, (1, 0))], quiet),
                ("an account", [registered("ann")], active), ("another account", [registered("anne")], quiet),
                ("a setting of another", [setting("evm:" + "aa" * 20, "pay_now")], quiet)):
            story = self.silent()
            self.announce(story)
            story.frame("desk", *events)
            self.assertEqual(self.moved(story), right, name)

    def test_moved_shares_and_voids(self):
        for counts, right in ((True, []), (False, [["available:ann", "donation", 5 * GIGA]])):
            story = self.silent()
            self.announce(story)
            story.frame("clone", worker(5, "ann"), job(5), story.moved("gate", 9, share(0, 3), counts, worker=5, job=5))
            self.assertEqual(self.moved(story), right)
        story = self.silent()
        story.gate(share(0, 1, nonce=77), share(0, 1, nonce=77))
        self.announce(story, cutoff=5)
        story.frame("keeper", void((5, 1), (5, 0)))
        self.assertEqual(len(self.moved(story)), 1)

    def test_the_cut_off_and_the_last_position_count(self):
        for cutoff, right in ((3, 0), (4, 1), (5, 1)):
            story = self.silent()
            self.announce(story, cutoff=cutoff)
            self.assertEqual(len(self.moved(story)), right, cutoff)
        story = self.silent()
        self.announce(story)
        self.assertEqual(self.moved(story, setting("ann", "pay_now")), [])
        self.assertEqual(self.moved(story), [])     # an announcement moves once
        story = self.silent()
        self.announce(story)
        self.assertEqual(len(self.moved(story)), 1)
        self.assertEqual(self.moved(story, setting("ann", "pay_now")), [])

    def test_a_setting_counts_where_it_takes_effect(self):
        story = self.silent()
        story.events[0]["approvals"] = [[2, 1], [6, 1]]
        said = setting("ann", "donation", 5)
        story.frame("desk", dict(said))
        self.announce(story, cutoff=5)
        self.assertEqual(len(self.moved(story)), 1)
        story = self.silent()
        story.events[0]["approvals"] = [[2, 1], [6, 1]]
        story.frame("desk", dict(said))
        self.announce(story, cutoff=5)
        story.frame("desk", approval(thing_of(said)))
        self.assertEqual(self.moved(story), [])

    def test_a_line_of_a_proposal_is_activity_also_if_it_was_cancelled(self):
        for wallet, refused, right in ((0, 0, 0), (1, 1, 1)):       # batch 0 of wallet 1 expects what it must not
            story = self.silent(auto_pay_limit="1000", address_hold_ms=0)
            story.frame("desk", registered("ann", address_of("A"), 20), setting("ann", "pay_now"))
            self.announce(story, cutoff=5)
            story.frame("payer", *proposes([("ann", "A", 1)], wallet=wallet, expects=[wallet, 0]))
            if not refused:
                story.frame("payer", cancelled())
            made = oracle_of(story)
            self.assertEqual((len(made.refused), made.books["available", "name:ann"]), (refused, [(1 - refused) * GIGA, (6 - refused) * GIGA]))
            self.assertEqual(len(self.moved(story)), right)

    def test_only_dust_moves(self):
        for amount, right in ((1, 1), (20 * GIGA - 1, 1), (20 * GIGA, 0), (-1, 0)):
            story = self.silent(amount)
            self.announce(story)
            self.assertEqual([row[2] for row in self.moved(story)], [amount] * right)
        story = self.silent()                       # a threshold of her own, said before the cut-off
        story.frame("desk", setting("ann", "threshold", "5"))
        self.announce(story, cutoff=5)
        self.assertEqual(self.moved(story), [])
        story = self.silent()                       # the policy's, as of then
        self.announce(story)
        self.assertEqual(len(self.moved(story, *(lambda said: (said, approval(thing_of(said))))(
            said_policy(NOBODY, policy_of(pot(1, "solo")) | {"threshold": "5"})))), 0)

    def test_an_announcement_moves_once(self):
        story = self.silent(20 * GIGA)
        self.announce(story)
        self.assertEqual(self.moved(story), [])
        adjusts(story, "ann", -1, expects=(3, 0))
        self.assertEqual(sums(run(story))["available:ann"], 20 * GIGA - 1)
        self.assertEqual(self.moved(story), [])

    def test_books_and_order(self):
        for to in ("reserve", "donation", "fee"):
            story = self.silent()
            adjusts(story, "bob", GIGA)
            before = sums(run(story))
            self.announce(story, "ann", "bob", "cat", cutoff=5, to=to)
            self.assertEqual(self.moved(story), [["available:ann", to, 5 * GIGA], ["available:bob", to, GIGA]])
            self.assertEqual(sums(run(story)).get(to, 0) - before.get(to, 0), 6 * GIGA)

        story = self.silent(rounding_to_fee=True)
        self.announce(story)
        story.now += 30 * DAY
        adjusts(story, "bob", -GIGA, "rounding")
        self.assertEqual([row[0][1] for row in run(story)["postings"][-2:]], [65_534, 65_535])

    def test_who_has_something_immature_or_reserved_keeps_it(self):
        for state, right in (("immature", 0), ("confirmed", 0), ("orphaned", 1)):
            story = self.silent()
            story.gate(*finds(0, 1, "a"))
            at = story.settle(status("a", "immature", value=17))
            story.settle(status("a", state, (at, 0), value=17))
            self.announce(story, cutoff=7)
            self.assertEqual(len(self.moved(story)), right, state)

    def test_a_later_announcement_takes_the_place(self):
        said = lambda *names, expects: (lambda thing: (thing, *yes_to(thing)))(dust(names, expects, 4, reason="later"))
        story = self.silent()
        first = self.announce(story)
        self.assertEqual(self.moved(story, *said(expects=first)), [])           # where it would have moved
        story = self.silent()
        first = self.announce(story)
        self.assertEqual(len(self.moved(story, dust([], first))), 1)            # nobody approved it
        story = self.silent()
        first = self.announce(story)
        story.frame("desk", *said("ann", expects=NOBODY))                       # refused
        self.assertEqual(len(self.moved(story)), 1)
        self.assertEqual(len(oracle_of(story).refused), 1)

    def test_how_many_have_to_approve_an_announcement(self):
        for approvals, numbers, right in (([], (0,), 0), ([], (0, 1), 1), ([[10, 1]], (0,), 1)):
            story = self.silent()
            story.events[0]["approvals"] = [[2, 1], *approvals]
            said = dust(["ann"], cutoff=4)
            story.frame("desk", said, *(approval(thing_of(said), number) for number in numbers))
            self.assertEqual(len(self.moved(story)), right)

    def test_notice_is_thirty_days(self):
        for short, right in ((0, 1), (1, 0)):
            story = self.silent()
            self.announce(story)
            story.now -= short
            self.assertEqual(len(self.moved(story)), right)

    def test_notice_counts_from_the_last_approval(self):
        story = self.silent()
        said = dust(["ann"], cutoff=4)
        anna, ben = yes_to(said)
        story.frame("desk", said, anna)
        story.now += 20 * DAY
        story.frame("desk", ben)
        self.assertEqual(self.moved(story, days=29), [])
        self.assertEqual(len(self.moved(story, days=1)), 1)

    def test_rounding_goes_to_the_fee_at_a_positions_end(self):
        for told, amount, right in ((True, GIGA, GIGA), (True, GIGA - 1, 0), (True, 3 * GIGA - 1, 2 * GIGA), (False, 5 * GIGA, 0)):
            story = self.silent(rounding_to_fee=told)
            adjusts(story, "bob", -amount, "rounding")
            books = sums(run(story))
            self.assertEqual((books.get("fee", 0), books.get("rounding", 0)), (right, amount - right))

    def test_what_comes_and_goes_within_a_position_is_not_asked(self):
        story = self.silent(rounding_to_fee=True)
        first = adjustment("bob", 2 * GIGA, NOBODY, "rounding", True)
        back = adjustment("bob", 2 * GIGA - 5, (story.size, 0), "rounding")
        story.frame("desk", *(lambda one, two: (first, *one, back, *two))(yes_to(first), yes_to(back)))
        self.assertEqual(sums(run(story)), {"available:ann": 5 * GIGA, "available:bob": -5, "rounding": 5, "reserve": -5 * GIGA})

    def test_the_bytes_of_an_announcement(self):
        said = dust(["evm:" + "aa" * 20, "ann"], (7, 3), 9, "fee", "no")
        self.assertEqual(oracle.packed(said, oracle.THINGS["inactive_dust"][1]).hex(), "0900000000000000" "03" "0200" "0214" + "aa" * 20
                         + "0303" + b"ann".hex() + "0700000000000000" "0300" "02" + b"no".hex())
        self.assertEqual(oracle.THINGS["inactive_dust"][0], 39)

    def test_what_has_no_room_is_not_posted(self):
        story = self.silent(rounding_to_fee=True)
        adjusts(story, "bob", -2 * GIGA - 3, "rounding")
        self.announce(story, cutoff=5)
        self.assertEqual((len(self.moved(story)), behind(run(story), 65_535)), (1, {5: [["rounding", "fee", 2 * GIGA]]}))
        for of_all, right in ((5 * GIGA + 2 * GIGA + 3 + 2 * GIGA + 5 * GIGA, (0, 1)), (5 * GIGA + 2 * GIGA + 3 + 2 * GIGA, (0, 0)),
                              (5 * GIGA + 2 * GIGA + 3 + 2 * GIGA + 5 * GIGA + 1, (1, 1))):
            with mock.patch.object(sys.modules["oracle_payouts"], "SUM_OF_ALL", of_all):
                self.assertEqual(tuple(len(behind(run(story), index)) for index in (65_534, 65_535)), right)


if __name__ == "__main__":
    unittest.main()
