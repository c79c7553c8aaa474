"""More tests of oracle.py and of the page: registered accounts and settings (rules 10). Run by test_oracle.py too."""
import sys
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]
import oracle  # noqa: E402
from oracle_pen import *  # noqa: E402,F403


class SettingsOfPage:
    """Examples of the page, for test_oracle.py's Page."""

    def example_10_2(self, rows):
        said = {"account ann": lambda expects: registered("ann", expects=expects),
                "threshold": lambda expects: setting("ann", "threshold", "9", expects),
                "donation": lambda expects: setting("ann", "donation", 9, expects),
                "pay_now": lambda expects: setting("evm:" + "aa" * 20, "pay_now", expects=expects)}
        story = Story()
        for position, what, expects, _ in rows:
            at = tuple(map(int, expects.strip("()").split(", "))) if "(" in expects else (0, 0)
            self.assertEqual(story.frame("desk", said[what.split(", ")[-1]](at)), int(position))
        made = oracle.Oracle()
        for event in oracle.final_events(story.lines()):
            made.apply(event)
        self.assertEqual(made.refused, [(int(at), 0) for at, _, _, obeyed in rows if obeyed == "no"])
        self.assertEqual((made.donors, made.account("name:ann").own_threshold), ({"name:ann": 9}, 9))
        self.assertEqual(made.account("evm:" + "aa" * 20).pay_now, (8, 0))

    ADDRESSES = {letter: "script:0014" + letter.lower() * 40 for letter in "ABCD"}

    def told(self, rows, said, policy):
        """Yields (row, the oracle) after each row's position; said: what, expects, policy's place -> event."""
        story, made, last = Story(), oracle.Oracle(), {}
        story.events[0]["policy"] |= policy
        for event in story.events:
            made.apply(event)
        for row in rows:
            story.now = int(row[1]) if row[1].isdigit() else None
            kind, event = said(row[-4] if len(row) > 3 else row[1], last)
            yes, size = [approval(thing_of(event))] if kind == "policy" else [], len(story.events)
            at = (story.frame("desk", event, *yes), 0)
            self.assertEqual(at[0], int(row[0]))
            for event in story.events[size:]:
                made.apply(event)
            last[kind] = at
            yield row, made
        self.assertEqual(made.refused, [])

    def example_10_4(self, rows):
        def said(what, last):
            kind, *words = what.replace(",", "").split()
            expects = last.get(kind, (0, 0))
            if kind == "account":
                rigs = [f"rig{number}" for number in range(400)] if "workers" in words else ["rig"]
                return kind, registered("ann", self.ADDRESSES[words[1]], workers=rigs, expects=expects)
            if kind == "setting":
                return kind, setting("ann", "address", self.ADDRESSES[words[1]], expects)
            if kind == "policy":
                return kind, said_policy(expects, policy_of(pot(1)) | {"address_hold_ms": int(words[1])})
            return kind, {"kind": "heartbeat"}

        for row, made in self.told(rows, said, {"address_hold_ms": 1_000}):
            _, time, what, now, waits, until = row
            ann = made.account("name:ann")
            self.assertEqual(ann.address(int(time)), self.ADDRESSES[now], row)
            self.assertEqual(ann.waits, self.ADDRESSES.get(waits), row)
            self.assertEqual(str(ann.until) if ann.waits else "", until, row)

    def example_10_5(self, rows):
        def said(what, last):
            kind, figure = what.replace(",", "").split()[0], re.search(r"threshold (\d+)", what)[1]
            expects = last.get(kind, (0, 0))
            if kind == "account":
                return kind, registered("ann", threshold=figure, expects=expects,
                                        workers=["rig", "rig2"] if "workers" in what else ["rig"])
            if kind == "setting":
                return kind, setting("ann", "threshold", figure, expects)
            return kind, said_policy(expects, policy_of(pot(1)) | {"threshold": figure})

        for row, made in self.told(rows, said, {"threshold": "50"}):
            self.assertEqual(str(made.threshold("name:ann")), row[2], row)

    def example_10_6(self, rows):
        # 2 and 3 have nothing of ann's; two approvals for what the operator says
        story = Story()
        story.events[0]["approvals"] = [[2, 1], [6, 1]]
        for _ in range(2):
            story.frame("desk", {"kind": "heartbeat"})
        first, second = donation("ann", 10_000), donation("ann", 0, (4, 0), "operator")
        for events in ([first], [], [second], [], [], [{"kind": "heartbeat"}, approval(thing_of(second))]):
            story.frame("desk", *(events or [{"kind": "heartbeat"}]))
        made = oracle.Oracle()
        in_force = {}
        for event in oracle.final_events(story.lines()):
            made.apply(event)
            in_force[made.at] = made.donors.get("name:ann", 0)
        for at, ppm in rows:
            asked = tuple(map(int, at.strip("()").split(", ")))
            before = max(place for place in in_force if place <= asked)
            self.assertEqual(in_force[before], int(ppm), at)


class Registered(unittest.TestCase):
    def test_the_digest_of_an_account_event(self):
        ledger = bytes.fromhex(LEDGER.replace("-", ""))
        for said, fields in (
                (registered("ann", "script:00ff", "513", ["b", "a"], (7, 3)),
                 b"\3ann" + b"\7" + bytes(7) + b"\3\0" + b"\1\2\0\xff" + b"\1\2" + bytes(14) + bytes(32) + b"\0" + b"\2\0\1a\1b"),
                (registered("b", workers=()) | {"token": "5a" * 32, "registered_only": True},
                 b"\1b" + bytes(10) + b"\2\x14" + b"\xaa" * 20 + bytes(16) + b"\x5a" * 32 + b"\1\0\0")):
            digest = hashlib.sha256(b"orebook/thing/0\n" + ledger + b"\x1a\0" + fields).digest()
            self.assertEqual(oracle.digest_of(ledger, said), digest)

    def test_too_many_are_refused_where_they_are_said_and_where_they_take_effect(self):
        names = {f"n{number}": {"rig"} for number in range(16_383)}
        rigs = {"big": {f"r{number}" for number in range(65_535)}}
        for known, first, second in ((names, registered("ann"), registered("bob")),
                                     (rigs, registered("ann"), registered("bob")),
                                     (rigs, registered("big", workers=["new", "r7"]), registered("bob"))):
            for needed, refused in ((0, [(3, 0)]), (1, [])):
                story, made = Story(), oracle.Oracle()
                story.events[0]["approvals"] += [[5, needed]] if needed else []
                yes = [approval(thing_of(said)) for said in (first, second)]
                for said in (first, second):
                    story.frame("desk", dict(said))
                story.frame("desk", *yes)
                made.registered |= {name: set(workers) for name, workers in known.items()}
                for event in story.events:
                    made.apply(event)
                self.assertEqual(made.refused, refused)
                self.assertEqual((first["name"] in made.registered, "bob" in made.registered), (True, False))
                self.assertEqual(made.last["account", "bob"], (0, 0))

    def test_an_account_of_an_address_has_it_from_the_beginning(self):
        evm, other = "evm:" + "11" * 20, "evm:" + "22" * 20
        story, made = Story(), oracle.Oracle()
        story.now = START + 5
        story.frame("desk", setting(evm, "address", other), setting("ann", "address", other))
        for event in story.events:
            made.apply(event)
        hold = 86_400_000
        for account, before, after in ((evm, evm, other), ("name:ann", other, other), ("name:bob", None, None)):
            self.assertEqual(made.account(account).address(START + 4 + hold), before)
            self.assertEqual(made.account(account).address(START + 5 + hold), after)


class Donations(unittest.TestCase):
    """ann 3, cat 2 (finds), value 50, fee 1 %: ann 29.7, cat 19.8."""

    def donated(self, *frames, expects=0, **genesis):
        """What ann gives of a block that is found after these frames of the desk."""
        story = Story()
        story.events[0] |= genesis
        for events in frames:
            story.frame("desk", *map(dict, events))
        story.gate(worker(0, "ann"), worker(1, "cat"), job(), share(0, 3), *finds(1, 2, "a"))
        story.settle(status("a", "immature"))
        answer = run(story)
        self.assertEqual(len(answer["refused"]), expects)
        books = sums(answer)
        self.assertEqual(books["immature:ann"] + books.get("donation", 0), 29_700_000_000)
        return books.get("donation", 0)

    def test_who_says_it_and_who_has_to_approve(self):
        tenth = 2_970_000_000
        ann = donation("ann", 100_000)
        operators = donation("ann", 100_000, by="operator")
        yes = approval(thing_of(operators))
        two = {"approvals": [[6, 2]]}
        for name, right, frames, genesis in (
                ("signed", tenth, [[ann]], {}), ("token", tenth, [[donation("ann", 100_000, by="token")]], two),
                ("signed waits for nobody", tenth, [[ann]], two), ("operator", tenth, [[operators]], {}),
                ("operator, not approved", 0, [[operators]], two), ("one of two", 0, [[operators, yes]], two),
                ("two of two", tenth, [[operators, yes], [approval(thing_of(operators), 1)]], two),
                ("approved before", tenth, [[yes], [operators]], {"approvals": [[6, 1]]}),
                ("two of adjustments are none of settings", tenth, [[operators]], {"approvals": [[4, 2], [5, 2]]})):
            with self.subTest(name):
                self.assertEqual(self.donated(*frames, **genesis), right)

    def test_the_last_obeyed_one_counts(self):
        one, two = donation("ann", 100_000), donation("ann", 200_000, (2, 0))
        self.assertEqual(self.donated([one], [two]), 5_940_000_000)
        self.assertEqual(self.donated([one], [donation("ann", 0, (2, 0))]), 0)
        self.assertEqual(self.donated([one], [donation("ann", 7)], expects=1), 2_970_000_000)
        self.assertEqual(self.donated([donation("cat", 0), one]), 2_970_000_000)
        self.assertEqual(self.donated([setting("ann", "pay_now"), donation("ann", 100_000, (2, 0))]), 2_970_000_000)
        self.assertEqual(self.donated([setting("ann", "pay_now")], [one], expects=1), 0)
        address = setting("ann", "address", "script:0014" + "10" * 20, (2, 0), "signed")
        self.assertEqual(self.donated([one], [address]), 2_970_000_000)
        self.assertEqual(self.donated([registered("ann")], [one]), 2_970_000_000)

    def test_a_small_part_is_rounded_down(self):
        self.assertEqual(self.donated([donation("ann", 1)]), 29_700)
        story = Story(pot(1, "solo", fee_ppm=0))
        story.frame("desk", donation("ann", 333_333))
        story.gate(worker(0, "ann"), job(), *finds(0, 2, "a"))
        story.settle(status("a", "immature", value=1))
        self.assertEqual(sums(run(story)), {"reward": -GIGA, "donation": 333_333_000, "immature:ann": 666_667_000})

    def test_the_bonus_is_no_part_of_it(self):
        # value 100, bonus 2 %, fee 1.5 %: 2 and 1.47 (example 4c); ann gives all of the other 96.53
        story = Story(pot(1, "solo", fee_ppm=15_000, bonus_ppm=20_000))
        story.frame("desk", donation("ann", 10**6))
        story.gate(worker(0, "ann"), job(), *finds(0, 2, "a"))
        first = story.settle(status("a", "immature", value=100))
        story.settle(status("a", "confirmed", (first, 0), value=100))
        self.assertEqual(sums(run(story)), {"reward": -100 * GIGA, "fee": 1_470_000_000, "donation": 96_530_000_000,
                                            "available:ann": 2 * GIGA})

    def test_what_is_said_between_the_finding_share_and_the_settlement_is_too_late(self):
        story = two_accounts()
        story.frame("desk", donation("ann", 10**6))
        first = story.settle(status("a", "immature", value=90))
        story.settle(status("a", "immature", (first, 0)))
        self.assertNotIn("donation", sums(run(story)))

    def test_the_digest_of_a_setting(self):
        ledger = bytes.fromhex(LEDGER.replace("-", ""))
        for said, fields in (
                (donation("ann", 258, (7, 3), "operator"),
                 b"\3\3ann" + b"\7" + bytes(7) + b"\3\0" + b"\1\3" + b"\2\1\0\0" + b"\0\0"),
                (setting("evm:" + "ee" * 20, "threshold", "513"), b"\2\x14" + b"\xee" * 20 + bytes(10) + b"\1\1\1\2"
                 + bytes(14) + b"\0\0"),
                (setting("script:00ff", "address", "evm:" + "11" * 20), b"\1\2\0\xff" + bytes(10) + b"\1\2\2\x14"
                 + b"\x11" * 20 + b"\0\0"),
                (setting("ann", "pay_now", by="token"), b"\3\3ann" + bytes(10) + b"\3\4" + b"\2\0\xab\xcd")):
            digest = hashlib.sha256(b"orebook/thing/0\n" + ledger + b"\x1b\0" + fields).digest()
            self.assertEqual(oracle.digest_of(ledger, said), digest)


if __name__ == "__main__":
    unittest.main()
