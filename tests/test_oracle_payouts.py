"""More tests of oracle.py and of the page: payouts (rules 8), and the tables of 5.4. Run by test_oracle.py too."""
import sys
import unittest
from fractions import Fraction
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]
import oracle  # noqa: E402
import oracle_payouts  # noqa: E402
from oracle_pen_payouts import *  # noqa: E402,F403

# Balances of tests/oracle/, as in test_oracle.py; p is paid, r reserved. Those by chance are computed twice instead.
BY_HAND_OF_PAYOUTS = {
    # ann found 30 and 20, 29.7 and 19.8 of it hers; bob found 20; the first version cost 3, the second 5
    "payouts": "fee 700 network_fees -5000 reward -70000 wallet 5000 a:ann 500 p:ann 29000 r:ann 20000 a:bob 800 p:bob 19000",
    # the first batch came back and cost 2, the second brought 7 and cost 12
    "payouts_that_miners_bear": "fee 500 network_fees -7000 reward -50000 wallet 14000 a:ann 700 p:ann 22000 a:bob 19800",
    # found 30, 20, 8, 40; bob's first failed and cost 2, carl's was cancelled, both are proposed again; ann's cost 1
    "payouts_one_by_one": "fee 980 network_fees -3000 reward -98000 wallet 3000 a:ann 700 p:ann 29000 a:bob 800 r:bob 19000 "
                          "a:carl 920 r:carl 7000 a:dan 600 p:dan 39000",
    "payouts_refused": "fee 500 reward -50000 a:ann 29700 a:bob 17800 p:bob 2000",
    # ann's 30, bob's 20 and dan's 9 are orphaned, carl's 9 and bob's 21 stay; bob 20.79 - 19, dan - 6
    "payouts_of_orphans": "fee 300 network_fees -1000 reward -30000 wallet 1000 a:bob 1790 p:bob 19000 a:carl 8910 a:dan -6000 "
                          "r:dan 6000",
    "halts": "fee 500 network_fees -1000 reward -50000 wallet 1000 a:ann 700 p:ann 29000 a:bob 800 p:bob 19000",
    # ann's 30 are orphaned after 29 were paid, and written off
    "write_offs": "fee 200 reserve -29000 reward -20000 p:ann 29000 a:bob 800 p:bob 19000",
}


class PayoutsOfPage:
    """Examples of the page, for test_oracle.py's Page."""

    def example_5_4b(self, rows):
        story, accounts = Story(pot(1, n_ppm=500_000)), ("ann", "cat")
        story.events[0]["policy"] |= {"auto_pay_limit": "50", "threshold": "20"}
        story.frame("desk", registered("ann", address_of("A")))
        story.gate(*(worker(number, name) for number, name in enumerate(accounts)), job(), share(0, 3), *finds(1, 2, "a"),
                   share(0, 3), *finds(1, 2, "b"))
        happens = {"confirmed": lambda: [status("a", "confirmed")], "orphaned": lambda: [status("a", "orphaned", first)],
                   "next block confirmed": lambda: [status("b", "confirmed")]}
        before, first = 0, None
        for what, change, balance in rows:
            if what.startswith("paid"):
                amount = int(what.split()[1])
                story.frame("payer", *proposes([("ann", "A", amount)]))
                at = (story.frame("payer", signed()), 0)
                story.frame("payer", step("confirmed", at))
            else:
                at = (story.settle(*happens[what.split(",")[0]]()), 0)
                first = first or at
            after = books_after(story).get("available:ann", 0)
            self.assertEqual([str(after - before), str(after)], [change, balance], what)
            before = after
        self.assertEqual(oracle_of(story).refused, [])

    def example_5_4c(self, rows):
        story, refused, last = Story(), [], {}
        story.events[0]["approvals"] += [[4, 1], [9, 1]]
        story.events[0]["policy"]["writeoff_ms"] = 1_000
        for time, what, available, reserve in rows:
            if what.startswith("write-off"):
                event = write_off("ann", last.get("write_off", NOBODY))
            else:
                amount, way, _ = what.split()
                event = adjustment("ann", int(Fraction(amount) * GIGA), last.get("adjustment", NOBODY), "fee", way == "from")
            story.now = START + int(time)
            at = last[event["kind"]] = (story.frame("desk", dict(event), approval(thing_of(event))), 0)
            refused += [at] if what.endswith("refused") else []
            answer = oracle.balances(story.lines(), everything=True)
            books = sums(answer)
            self.assertEqual([str(books.get(name, 0)) for name in ("available:ann", "reserve")], [available, reserve], time)
            self.assertEqual(answer["refused"], refused)
        self.assertEqual(len(refused), 3)

    def example_8_8(self, rows):
        for number, (of, line, blocks, obeyed) in enumerate(rows):
            story = Payer([("ann", 30), ("bob", 1)], threshold=20)
            story.settle(status("of bob", "orphaned", story.block_last["bob"]))
            story.settle(status("of bob", "immature", (story.size - 1, 0)))
            names = {"B1": "of ann", "B2": "of bob"}
            wallet, batch = map(int, of.split(","))
            amount, _, letter, *rest = line.replace(",", "").split()
            if "pay_now" in rest:
                story.frame("desk", setting("ann", "pay_now"))
            fee = int(rest[-1]) if "fee" in rest else 0
            at = story.proposed([("ann", letter, int(amount), fee)], [names[name] for name in blocks.split(", ") if name],
                                wallet=wallet, batch=batch)
            made = oracle_of(story)
            self.assertEqual(made.refused, [] if obeyed.startswith("yes") else [at], rows[number])
            self.assertEqual(sum(map(len, made.batches.values())), obeyed.startswith("yes"))
        self.assertEqual({row[3][:2] for row in rows}, {"ye", "no"})

    def check_rows(self, rows, events, of=lambda posting: True):
        """events: what the page calls it -> position; the postings are the rows, in their order."""
        answer = run(self.story)
        made = [row for row in rows_of(answer, {at: name for name, at in events.items()}) if of(row)]
        self.assertEqual(made, [row for row in rows if row[1]])
        silent = {name.split(" (")[0] for row in rows if not row[1] for name in row[0].split(", ")}
        self.assertEqual({row[3] for row in rows if not row[1]} - {"0"}, set())
        return answer, silent

    def pay_both(self, network_fees, fee, lines=BOTH):
        self.story = Payer(network_fees=network_fees)
        return {"proposed": self.story.proposed(lines, fee=fee)[0]}

    def does(self, events, name, make, *arguments, **named):
        events[name] = self.story.does(make, *arguments, **named)[0]

    def example_8_10a(self, rows):
        events = self.pay_both("pool", 4)
        self.does(events, "signed", signed)
        for name, fee in (("broadcast", 0), ("seen", 0), ("confirmed", 3), ("final", 3)):
            self.does(events, f"{name}, fee {fee}" if fee else name, step, name, fee=fee)
        _, silent = self.check_rows(rows, events)
        self.assertEqual(silent, {"signed", "broadcast", "seen", "final", "fee 3"})
        self.assertEqual(sums(run(self.story))["paid:ann"], 29 * GIGA)

    MINER = [("ann", "A", 29, 5), ("bob", "B", 19, 5)]
    def example_8_10b(self, rows):
        events = self.pay_both("miner", 11, self.MINER)
        self.story.does(signed)
        self.does(events, "confirmed, fee 9", step, "confirmed", fee=9)
        answer, _ = self.check_rows(rows, events)
        self.assertEqual(sums(answer)["network_fees"], GIGA)

    def example_8_10c(self, rows):
        self.pay_both("pool", 4)
        self.story.does(signed)
        self.story.does(step, "confirmed", fee=3)
        events = {}
        self.does(events, "broadcast", step, "broadcast")
        self.does(events, "signed again", signed, "t2")
        self.does(events, "confirmed, fee 5", step, "confirmed", "t2", fee=5)
        self.does(events, "final, fee 5", step, "final", "t2", fee=5)
        self.check_rows(rows, events)
        self.assertEqual(oracle_of(self.story).refused, [])

    def example_8_10d(self, rows):
        self.pay_both("miner", 11, self.MINER)
        before = {"available:ann": 29_700_000_000, "available:bob": 19_800_000_000}
        self.story.does(signed)
        self.story.does(step, "confirmed", fee=9)
        events = {}
        self.does(events, "conflicted", step, "conflicted", "other")
        self.does(events, "cancelled, fee 2", cancelled, by="other", fee=2)
        answer, _ = self.check_rows(rows, events)
        after = sums(answer)
        self.assertEqual({name: after[name] for name in after if name not in ("reward", "fee")},
                         before | {"network_fees": -2 * GIGA, "wallet": 2 * GIGA})

    def example_8_10e(self, rows):
        self.story = Payer([("ann", 30), ("bob", 20), ("carl", 8)])
        events = {"proposed": self.story.proposed([*BOTH, ("carl", "C", 7)], each=True)[0]}
        self.story.does(signed, "t0")
        self.story.does(signed, "t1", tx=1)
        self.does(events, "tx 0 confirmed, fee 1", step, "confirmed", "t0", fee=1)
        self.does(events, "tx 1 failed, fee 2", step, "failed", "t1", fee=2, tx=1)
        self.does(events, "tx 2 cancelled, `by` zero", cancelled, tx=2)
        self.check_rows(rows, events)

    def example_8_11(self, rows):
        cases = []
        for state, *row in rows:
            cases += [(state, [])] if state else []
            cases[-1][1].append(row)
        for state, of in cases:
            story = Payer([("ann", 30)])
            story.proposed(ANN, ["of ann"])
            if state != "unsigned":
                story.does(signed)
            if state == "confirmed":
                story.does(step, "confirmed")
            at = story.orphan("ann")[0]
            answer = run(story)
            made = [row[1:] for row in rows_of(answer, {at: ""}) if "fee" not in row]
            self.assertEqual(made, [row[:3] for row in of], state)
            books = sums(answer)
            after = [str(books.get(f"{book}:ann", 0)).replace("-", "\u2212") for book in ("available", "reserved")]
            self.assertEqual(after, of[-1][3:], state)
            made = oracle_of(story)
            self.assertEqual(made.batches[0][0].txs[0].state, "cancelled" if state == "unsigned" else state)
            self.assertEqual(made.batches[0][0].txs[0].last == (at, 0), state == "unsigned")
        self.assertEqual([state for state, _ in cases], ["unsigned", "signed", "confirmed"])

    def example_8_12(self, rows):
        story, places, resumes = Story(), {}, {}
        while story.size < int(rows[0][0]):
            story.frame("desk", {"kind": "heartbeat"})
        for position, what, halted, last in rows:
            words = what.replace(",", "").split()
            if words[0] == "halt":
                event = halt()
            elif words[0] == "resume":
                event = resumes[position] = resume((int(words[2]), 0), reason=f"said at {position}")
            else:
                event = approval(thing_of(resumes[words[2].removesuffix("'s")]))
            self.assertEqual(story.frame("desk", dict(event)), int(position))
            made = oracle_of(story)
            self.assertEqual(("yes" if 0 in made.halted else "no", made.last["halts", 0]), (halted, (int(last), 0)), position)
        self.assertEqual(made.refused, [(12, 0), (16, 0)])

    def example_8_13(self, rows):
        data = b"of one", b"and two"
        names = {"H": hashlib.sha256(b"".join(data)).hexdigest(), "K": hashlib.sha256(b"k").hexdigest()}
        story, made = Story(), oracle.Oracle()
        for what, whole in rows:
            words = what.replace(",", "").split()
            number = int(words[2]) if words[0] == "part" else 0
            story.pay_at = story.frame("payer", part(names[words[1]], number, int(words[4]), data[number])
                                       if words[0] == "part" else {"kind": words[0]})
            made = oracle_of(story)
            there = [name for name, of in names.items() if made.streams[uuid("payer")].whole(of) is not None]
            self.assertEqual(there, [] if whole == "none" else [whole], what)

    def example_8_14(self, rows):
        """Moves nothing, so the oracle does not know it: recomputed here. Blocks: name -> (place, amount)."""
        def shared(blocks, takes, by_share=0):
            left, told = {name: amount for name, (_, amount) in blocks.items()} | {"share": by_share}, []
            for place, needs in takes:
                before = [name for name in blocks if blocks[name][0] < place]
                took = {}
                for name in [*before, "share", *(name for name in blocks if name not in before)]:
                    took[name] = min(needs, left[name])
                    left[name], needs = left[name] - took[name], needs - took[name]
                told.append((shown(took), needs))
            return told + [(shown(left), 0)]

        def shown(amounts):
            return ", ".join(f"{name} {amount}" for name, amount in amounts.items() if amount)

        blocks, takes = {"A": (10, 30), "B": (20, 20), "C": (50, 40)}, [(int(row[1]), int(row[2])) for row in rows[:-1]]
        of_45, of_60 = {name: blocks[name] for name in "AB"}, {name: blocks[name] for name in "BC"}
        for cell, of in ((3, of_45), (4, of_60)):
            self.assertEqual([row[cell] for row in rows], [amounts for amounts, _ in shared(of, takes)])
        self.assertEqual([amounts for amounts, _ in shared(of_45, takes[::2])][1:], ["A 15", "A 10, B 20"])
        self.assertEqual(shared({"B": blocks["B"]}, takes, 7)[1:], [("B 15, share 7", 6), ("", 15), ("", 0)])


class Batches(unittest.TestCase):
    """A batch pays ann 29 and bob 19, of 29.7 and 19.8, unless a test says otherwise."""

    def check(self, story, *refused):
        made = oracle_of(story)
        self.assertEqual(made.refused, list(refused))
        return made

    def test_the_digests_are_those_of_the_bytes(self):
        ledger = bytes.fromhex(LEDGER.replace("-", ""))
        said = proposed(BOTH, (), 258, 3, True, 7, digest_position=9, digests=[["a b", "d1" * 32], ["c", "d2" * 32]])
        again = resume((7, 3), 258, "why")
        for event, kind, fields in (
                (said, 32, b"\2\1" + b"\3" + bytes(7) + bytes(10) + b"\2\0\2\0" + b"\x30" + bytes(15) + b"\7" + bytes(15)
                 + bytes.fromhex(said["body"]) + b"\x09" + bytes(7) + b"\2\3a b" + b"\xd1" * 32 + b"\1c" + b"\xd2" * 32),
                (again, 37, b"\2\1" + b"\7" + bytes(7) + b"\3\0" + b"\3why")):
            digest = hashlib.sha256(b"orebook/thing/0\n" + ledger + bytes([kind, 0]) + fields).digest()
            self.assertEqual(oracle.digest_of(ledger, event), digest)

    def test_what_is_a_body(self):
        line, most = ("ann", "A", 5, 2), 2**80
        many = [(f"n{number:04}", "X", 1, 0) for number in range(2_001)]
        hashes = [str(number) for number in range(1_025)]
        script, short = "script:" + "00" * 64, "script:01"
        right = [([line], ()), ([("ann", "A", 1)], ()), ([("ann", "A", most, most - 1)], ()), (many[:2_000], ()),
                 ([line], hashes[:1_024]), ([(script, script, 1), (short, short, 1)], ()), ([line, ("bob", "A", 1)], ("a",)),
                 ([("n" * 32, "X", 1), ("evm:" + "ff" * 20, "A", 1), ("0-_", "A", 1)], ())]
        for lines, blocks in right:
            body = oracle_payouts.body_of(batch_body(lines, blocks))
            self.assertEqual(len(body["lines"]), len(lines))
            self.assertEqual(body["blocks"], sorted(map(hash_of, blocks)))
            said = sorted((of["account"].removeprefix("name:"), of["address"], of["amount"], of["fee"]) for of in body["lines"])
            self.assertEqual(said, sorted((name, to if ":" in to else address_of(to), *amounts, *[0] * (2 - len(amounts)))
                                          for name, to, *amounts in lines))
        wrong = [([], ()), ([("ann", "A", 0)], ()), ([("ann", "A", most + 1)], ()), ([("ann", "A", 5, 5)], ()), (many, ()),
                 ([line], hashes), ([line, line], ()), ([line], ("a", "a")), ([("script:", "A", 1)], ()),
                 ([("script:" + "00" * 65, "A", 1)], ()), ([("evm:" + "00" * 19, "A", 1)], ()), ([("Ann", "A", 1)], ()),
                 ([("evm:" + "00" * 21, "A", 1)], ()), ([("n" * 33, "A", 1)], ()), ([("name:", "A", 1)], ()),
                 ([("ann", "name:ann", 1)], ()), ([("ann", "evm:" + "00" * 19, 1)], ())]
        bodies = [batch_body(*of) for of in wrong] + [b"", None]
        body = batch_body([line, ("bob", "B", 1)], ("a", "b"))
        one = (len(body) - 2 - 2 - 64) // 2         # bytes of a line
        bodies += [body[:-1], body + b"\0", body[:2] + body[2 + one:2 + 2 * one] + body[2:2 + one] + body[2 + 2 * one:],
                   body[:-64] + body[-32:] + body[-64:-32], body[:2] + b"\4" + body[3:], body[:2] + b"\0" + body[3:]]
        bodies += [body[:length] for length in range(0, len(body), 7)]
        for data in bodies:
            self.assertIsNone(oracle_payouts.body_of(data), data and data.hex()[:99])
        self.assertIsNotNone(oracle_payouts.body_of(body))

    def test_whom_a_whole_needs(self):
        body, story = batch_body(BOTH), Payer()
        for pieces, right in (
                (parts(body, 3), True), (parts(body, len(body)), True), ([], False), (parts(body, 9)[:-1], False),
                (parts(body, 9)[1:], False), (parts(body, 9)[::-1], False), (parts(body, 9) + parts(body, 9)[-1:], False),
                (parts(body, 9)[:3] + parts(body, 9), True), (parts(body, 9) + [part("ab" * 32, 0, 1)], False),
                ([part("ab" * 32, 1, 2)] + parts(body, 9), True), (parts(body, 9)[:2] + parts(body, 9)[3:], False),
                ([*parts(body, 9)[:3], {"kind": "heartbeat"}, *parts(body, 9)[3:]], True),
                ([one | {"whole": "cd" * 32} if one["part_index"] == 2 else one for one in parts(body, 9)], False),
                ([one | {"of": 99} if one["part_index"] == 2 else one for one in parts(body, 9)], False),
                ([one | {"of": one["of"] + 1} for one in parts(body, 9)], False),
                ([one | {"whole": "cd" * 32} for one in parts(body, 9)], False),
                (parts(batch_body(ANN), 9), False), (parts(body, 3)[:2] + parts(body, 9), True)):
            story, at = Payer(), None
            if pieces:
                story.pay(*pieces)
            at = story.pay(proposed(BOTH))
            self.check(story, *[] if right else [at])
        for count, right in ((64, True), (65, False)):
            data, stream = bytes(range(count)), oracle_payouts.Stream()
            for piece in parts(data, 1):
                self.assertEqual(piece["of"], count)
                stream.take(piece)
            self.assertEqual(stream.whole(hashlib.sha256(data).hexdigest()), data if right else None)

    def test_parts_with_the_name_of_another_body_are_none(self):
        said, other = [("ann", "A", 20), ("bob", "B", 10)], [("ann", "A", 19), ("bob", "B", 11)]
        for lines, right in ((said, True), (other, False)):
            story = Payer()
            name = proposed(said)["body"]
            at = story.pay(*(one | {"whole": name} for one in parts(batch_body(lines), 50)), proposed(said))
            self.check(story, *[] if right else [at])

    def test_a_whole_is_of_one_stream_and_may_be_named_twice(self):
        story = Payer()
        pieces = parts(batch_body(BOTH), 60)
        story.pay(*pieces[:1], stream="payer2")
        story.pay(*pieces)
        first = story.pay(proposed(BOTH), stream="payer2")
        story.epochs["payer"] = 1
        second = story.pay(proposed(BOTH, batch=1))
        third = story.pay(proposed(BOTH))
        fourth = story.pay(proposed(BOTH, wallet=1))
        self.check(story, first, second, fourth)    # the last: ann has no 29 any more
        self.assertEqual(third[1], 0)

    def test_a_proposal_is_all_or_nothing(self):
        for name, right, *arguments in (
                ("as it should be", True, BOTH), ("less than there is", True, [("ann", "A", 5)]),
                ("a tx each", True, BOTH, (), 0, 0, True), ("cites a confirmed block", True, BOTH, ["of ann"]),
                ("one above what is available", False, [("ann", "A", 29), ("bob", "B", 20)]),
                ("one below the threshold", False, [("ann", "A", 29), ("bob", "B", 4)]),
                ("one to another's address", False, [("ann", "A", 29), ("bob", "A", 19)]),
                ("one whom nobody knows", False, [("ann", "A", 29), ("zoe", "B", 5)]),
                ("one with a fee", False, [("ann", "A", 29), ("bob", "B", 19, 1)]),
                ("not the next batch", False, BOTH, (), 0, 1), ("another wallet", True, BOTH, (), 65_535),
                ("cites one that nobody found", False, BOTH, ["nobody's"])):
            with self.subTest(name):
                story = Payer()
                at = story.proposed(*arguments)
                self.check(story, *[] if right else [at])
                amount = -sum(line[2] for line in arguments[0]) * GIGA * right
                after = books_after(story)
                self.assertEqual(sum(after.get(f"available:{of}", 0) for of in ("ann", "bob")), 49_500_000_000 + amount)
                self.assertEqual(sum(after.get(f"reserved:{of}", 0) for of in ("ann", "bob")), -amount)
        for other in ({"expects": [1, 0]}, {"total": "47"}, {"lines": 1}, {"txs": 3}, {"body": "ab" * 32}):
            story = Payer()
            self.check(story, story.proposed(BOTH, **other))

    def test_what_the_miner_bears(self):
        for network_fees, fee, each, right in (("pool", 9, (0, 0), True), ("pool", 9, (4, 4), False),
                                               ("miner", 9, (4, 4), True), ("miner", 9, (0, 0), False),
                                               ("miner", 9, (4, 5), False), ("miner", 1, (0, 0), True),
                                               ("miner", 10, (5, 5), True), ("miner", 38, (19, 19), False)):
            story = Payer(network_fees=network_fees)
            at = story.proposed([(*line, of) for line, of in zip(BOTH, each)], fee=fee)
            self.check(story, *[] if right else [at])

    def test_the_policy_of_the_place_counts(self):
        story = Payer()
        policy = said_policy(NOBODY, policy_of(pot(1, "solo")) | story.terms | {"network_fees": "miner", "threshold": "19"})
        story.frame("desk", dict(policy))
        story.proposed([("ann", "A", 10)])          # not approved yet
        story.does(signed)
        story.does(step, "confirmed")
        story.frame("desk", approval(thing_of(policy)))
        late = story.proposed([("bob", "B", 10, 3)], batch=1, fee=3), story.proposed([("bob", "B", 19)], batch=1, fee=3)
        story.proposed([("bob", "B", 19, 3)], batch=1, fee=3)
        self.check(story, *late)

    def test_pay_now_is_once(self):
        story, asked, refused = Payer(threshold=20), NOBODY, []
        few, batch = [("ann", "A", 2)], 0

        def ask():
            nonlocal asked
            asked = (story.frame("desk", setting("ann", "pay_now", expects=asked)), 0)

        def pays(right, lines=few):
            nonlocal batch
            at = story.proposed(lines, batch=batch)
            if right:
                story.last.clear()
                story.does(cancelled, batch=batch)
            batch += right
            refused.extend([] if right else [at])
        pays(False)
        ask()
        pays(False, [("ann", "B", 2)])              # refused: it uses nothing up
        pays(True)
        pays(False)
        ask()
        pays(True, [("ann", "A", 20)])
        pays(False)
        ask()
        ask()
        pays(True)
        pays(False)
        pays(False, [("ann", "A", 1), ("bob", "B", 1)])
        self.check(story, *refused)

    def test_addresses_wait_and_thresholds_do_not(self):
        story = Payer(address_hold_ms=10)
        start = story.now = START + 1_000
        story.frame("desk", setting("ann", "address", address_of("C")), setting("ann", "threshold", "11", (story.size, 0)))
        refused = []
        for after, address, amount, right in ((9, "C", 11, False), (9, "A", 10, False), (10, "A", 11, False),
                                              (10, "C", 11, True)):
            story.now = start + after
            at = story.proposed([("ann", address, amount)])
            refused += [] if right else [at]
        self.check(story, *refused)

    def test_an_address_said_again_keeps_its_time(self):
        story = Payer(address_hold_ms=10)
        start, expects, refused = START + 1_000, NOBODY, []
        for after in (0, 5):
            story.now = start + after
            expects = (story.frame("desk", setting("ann", "address", address_of("C"), expects)), 0)
        for after, address in ((9, "C"), (10, "C")):
            story.now = start + after
            refused.append(story.proposed([("ann", address, 11)]))
        self.check(story, *refused[:1])

    def test_who_has_no_address_is_not_paid(self):
        story = Payer([("ann", 30)])
        story.gate(worker(1, "dan"), *finds(1, 1, "of dan"))
        story.settle(status("of dan", "confirmed"))
        refused = [story.proposed([("dan", letter, 9)]) for letter in "AD"]
        story.gate(worker(2, "x") | {"account": address_of("Y")}, *finds(2, 1, "of y"))
        story.settle(status("of y", "confirmed"))
        story.proposed([(address_of("Y"), "Y", 49)])
        self.check(story, *refused)

    def test_how_many_have_to_approve(self):
        for limit, listed, yes, right in ((48, None, (), True), (47, None, (0,), False), (47, None, (0, 0), False),
                                          (47, None, (1, 0), True), (0, 1, (), False), (0, 1, (1,), True), (49, 2, (), True)):
            for before in (False, True):
                story = Payer(limit=limit)
                story.events[0]["approvals"] += [[7, listed]] if listed else []
                given = [approval(thing_of(proposed(BOTH)), number) for number in yes]
                if given and before:
                    story.frame("desk", *given)
                story.proposed(BOTH)
                if given and not before:
                    story.frame("desk", *given)
                at = story.does(signed)
                self.check(story, *[] if right else [at])

    def test_a_later_policy_asks_no_more_of_a_batch(self):
        for limit, later, right in ((48, 0, True), (0, 48, False)):
            story = Payer(limit=limit)
            story.proposed(BOTH)
            policy = said_policy(NOBODY, policy_of(pot(1, "solo")) | story.terms | {"auto_pay_limit": str(later)})
            story.frame("desk", dict(policy), approval(thing_of(policy)))
            at = story.does(signed)
            self.check(story, *[] if right else [at])

    def test_what_is_approved_is_one_batch(self):
        story = Payer(limit=0)
        other = proposed(BOTH, fee=1)
        story.frame("desk", *yes_to(other))
        story.proposed(BOTH)
        story.frame("desk", approval(thing_of(proposed(BOTH)), 0), approval(thing_of(proposed(BOTH)), 1, forged=True))
        self.check(story, story.does(signed))

    PATHS = {"unsigned": "", "signed": "signed", "broadcast": "signed broadcast", "seen": "signed seen",
             "confirmed": "signed confirmed", "final": "signed confirmed final", "conflicted": "signed conflicted",
             "failed": "signed failed", "unknown": "signed unknown", "cancelled": "cancelled"}
    def test_the_table_of_8_9_is_what_is_obeyed(self):
        section = PAGE[PAGE.index("**8.9"):PAGE.index("**8.10")]
        table = {row[0]: row[1].split(", ") for line in section.splitlines() if line.startswith("| ")
                 for row in [[cell.strip() for cell in line.strip("|").split("|")]]}
        del table["event"]
        self.assertEqual(len(table), 11)
        self.assertLessEqual({state for states in table.values() for state in states}, set(self.PATHS))
        for state, path in self.PATHS.items():
            for name, states in table.items():
                if name == "signed again" and state == "unsigned":
                    continue                        # then it is the first
                story = Payer()
                story.proposed(BOTH)
                for word in path.split():
                    story.does({"signed": signed, "cancelled": cancelled}.get(word, step), *[word] * (word not in ("signed", "cancelled")))
                if name.startswith("signed"):
                    at = story.does(signed, "t2")
                    right = state in table["signed"] + table["signed again"]
                elif name.startswith("cancelled"):
                    at = story.does(cancelled, by="other" if "set" in name else None)
                    right = state in states
                else:
                    at, right = story.does(step, name), state in states
                with self.subTest(state=state, event=name):
                    made = self.check(story, *[] if right else [at])
                    tx = made.batches[0][0].txs[0]
                    self.assertEqual(tx.state, name.split()[0].strip(",") if right else state)

    def test_each_expects_what_moved_its_tx_last(self):
        for make, *arguments in ((signed, "t2"), (step, "broadcast"), (step, "confirmed"), (cancelled,)):
            for expects in (NOBODY, (7, 7), "proposal"):
                story = Payer()
                place = story.proposed(BOTH)
                story.does(signed)
                expects = place if expects == "proposal" else expects
                said = step(*arguments, expects) if make is step else make(*arguments, expects=expects)
                at = story.pay(said if make is not cancelled else cancelled(expects, by="other"))
                self.check(story, at)

    def test_other_txs_batches_and_wallets_are_refused(self):
        story = Payer()
        story.proposed(BOTH, each=True)
        refused = [story.pay(signed(**of)) for of in ({"tx": 2}, {"batch": 1}, {"wallet": 1})]
        story.does(signed, tx=1)
        refused.append(story.pay(step("seen", (story.size - 1, 0))))     # tx 0 expects none, and is unsigned
        self.check(story, *refused)

    def test_what_a_version_has_to_be(self):
        raw, other = b"raw" * 30, b"raw" * 31
        digest = hashlib.sha256(raw).hexdigest()
        for name, pieces, event, right in (
                ("in its event", [], signed(raw=raw), True),
                ("not these bytes", [], signed(raw=raw, body="ab" * 32), False),
                ("in parts", parts(raw, 40), signed(raw=b"", body=digest), True),
                ("in no parts", [], signed(raw=b"", body=digest), False),
                ("in other parts", parts(other, 40), signed(raw=b"", body=digest), False),
                ("nothing at all", [], signed(raw=b""), False),
                ("both, and the event's are wrong", parts(raw, 40), signed(raw=other, body=digest), False)):
            with self.subTest(name):
                story = Payer()
                story.proposed(BOTH)
                at = story.pay(*pieces, event)
                self.check(story, *[] if right else [at])

    def test_versions_are_others_and_spend_the_same(self):
        story = Payer()
        story.proposed(BOTH)
        story.does(signed, "v0")
        last, refused = story.last[0, 0, 0], []
        for event in (signed("v0", last), signed("v1", last, spends="5c" * 36)):
            refused.append(story.pay(event))
        for number in range(1, 64):
            story.does(signed, f"v{number}")
        refused.append(story.pay(signed("v64", story.last[0, 0, 0])))
        refused.append(story.pay(step("confirmed", story.last[0, 0, 0], "v64")))
        refused.append(story.pay(cancelled(story.last[0, 0, 0], by="v63")))
        story.does(step, "confirmed", "v0")
        self.check(story, *refused)

    def test_two_txs_may_have_versions_of_one_name(self):
        story = Payer()
        story.proposed(BOTH, each=True)
        story.does(signed, "v")
        story.does(signed, "v", tx=1)
        story.does(signed, "w", tx=1)
        story.does(cancelled, by="w")
        self.check(story)

    def test_a_wallet_waits_for_all_of_its_batches(self):
        for path, free in (("", False), ("signed", False), ("signed seen", False), ("signed unknown", False),
                           ("signed conflicted", False), ("signed confirmed", True), ("signed confirmed broadcast", False),
                           ("signed confirmed final", True), ("signed failed", True), ("cancelled", True)):
            for each in (False, True):
                story = Payer([("ann", 30), ("bob", 20), ("carl", 30)])
                story.proposed(BOTH, each=each)
                if each:                            # tx 1 stays confirmed; tx 0 goes the path
                    story.does(signed, "t", tx=1)
                    story.does(step, "confirmed", "t", tx=1)
                for word in path.split():
                    if word in ("signed", "cancelled"):
                        story.does(signed if word == "signed" else cancelled)
                    else:
                        story.does(step, word)
                at = story.proposed([("carl", "C", 9)], batch=1)
                self.check(story, *[] if free else [at])
                at = story.proposed([("carl", "C", 9)], wallet=1)
                self.assertNotIn(at, refused_of(story))

    def test_an_old_batch_that_comes_back_keeps_the_next_waiting(self):
        story = Payer([("ann", 30), ("bob", 20), ("carl", 30)])
        for batch, line in enumerate([("ann", "A", 29), ("bob", "B", 19)]):
            story.proposed([line], batch=batch)
            story.does(signed, batch=batch)
            story.does(step, "confirmed", batch=batch)
        story.does(step, "seen")
        at = story.proposed([("carl", "C", 9)], batch=2)
        story.does(step, "confirmed")
        story.proposed([("carl", "C", 9)], batch=2)
        self.check(story, at)

    def test_one_proposal_after_another_takes_what_is_left(self):
        story = Payer()
        story.proposed([("ann", "A", 20)])
        at = story.proposed([("ann", "A", 10)], wallet=1)
        story.proposed([("ann", "A", 9)], wallet=1)
        self.check(story, at)
        self.assertEqual(books_after(story)["available:ann"], 700_000_000)


class Reorganisations(unittest.TestCase):
    def test_what_the_chain_took_is_what_was_said_last(self):
        """ann 29 with a fee of 5; what was confirmed, with which fee, and what stands."""
        for path, sent, took in (
                ("confirmed 3", True, 3), ("confirmed 3, seen, confirmed 3", True, 3), ("confirmed 3, seen, confirmed 7", True, 7),
                ("confirmed 3, unknown, confirmed 1", True, 1), ("confirmed 3, final 3", True, 3),
                ("confirmed 3, final 8", True, 8), ("confirmed 0", True, 0), ("confirmed 3, broadcast, failed 2", False, 2),
                ("confirmed 3, failed 4", False, 4), ("failed 4", False, 4), ("confirmed 3, conflicted, by 0", False, 0),
                ("confirmed 3, by 9", False, 9), ("by 9", False, 9), ("confirmed 3, broadcast, conflicted", True, 3)):
            with self.subTest(path):
                story = Payer([("ann", 30)], network_fees="miner")
                story.proposed([("ann", "A", 29, 5)], fee=5)
                story.does(signed)
                for word, _, fee in (said.partition(" ") for said in path.split(", ")):
                    if word == "by":
                        story.does(cancelled, by="other", fee=int(fee))
                    else:
                        story.does(step, word, fee=int(fee or 0))
                books = books_after(story)
                self.assertEqual(refused_of(story), [])
                right = {"reward": -30 * GIGA, "fee": 300_000_000, "available:ann": (700_000_000 if sent else 29_700_000_000),
                         "paid:ann": 24 * GIGA * sent, "network_fees": (5 * sent - took) * GIGA, "wallet": took * GIGA}
                self.assertEqual(books, {name: amount for name, amount in right.items() if amount})

    def test_an_orphan_cancels_what_is_unsigned_and_cites_it(self):
        story = Payer([("ann", 30), ("bob", 20), ("carl", 9), ("dan", 9)])
        story.proposed([*BOTH, ("carl", "C", 5)], ["of ann", "of dan"], each=True)
        story.proposed([("dan", "D", 6)], ["of carl"], wallet=3)
        story.does(signed, tx=1)
        at = story.orphan("dan")
        answer, made = run(story), oracle_of(story)
        self.assertEqual([tx.state for tx in made.batches[0][0].txs], ["cancelled", "signed", "cancelled"])
        self.assertEqual(made.batches[3][0].txs[0].state, "unsigned")
        self.assertEqual([row[1:] for row in rows_of(answer, {at[0]: ""})][:2],
                         [["reserved:ann", "available:ann", "29000000000"], ["reserved:carl", "available:carl", "5000000000"]])
        self.assertEqual(sums(answer)["available:dan"], 8_910_000_000 - 6 * GIGA - 8_910_000_000)
        late = [story.pay(signed("u")), story.pay(signed("u", at)), story.pay(cancelled(at, tx=2))]
        self.assertEqual(refused_of(story), late)

    def test_a_block_counts_from_its_confirmed_to_its_orphan(self):
        for states, right in (("seen", False), ("immature", False), ("uncle", False), ("confirmed", True),
                              ("confirmed immature", True), ("confirmed uncle", True), ("confirmed seen", True),
                              ("confirmed orphaned", False), ("confirmed orphaned immature", False),
                              ("confirmed orphaned confirmed", True), ("orphaned confirmed", True)):
            story, expects = Payer([("ann", 30)]), NOBODY
            story.gate(worker(1, "dan"), *finds(1, 1, "d"))
            for state in states.split():
                expects = (story.settle(status("d", state, expects)), 0)
            at = story.proposed(ANN, ["d"])
            self.assertEqual(refused_of(story), [] if right else [at], states)

    def test_an_orphan_that_is_not_obeyed_cancels_nothing(self):
        story = Payer()
        story.proposed(BOTH, ["of ann"])
        at = (story.settle(status("of ann", "orphaned")), 0)
        made = oracle_of(story)
        self.assertEqual((made.refused, made.batches[0][0].txs[0].state), ([at], "unsigned"))

    def test_a_recovered_block_may_be_cited(self):
        story = Payer()
        story.settle(recovered("r"))
        story.settle(status("r", "confirmed"))
        story.proposed(BOTH, ["r"])
        self.assertEqual(refused_of(story), [])

    def test_below_zero_nothing_is_paid_until_credits_fill_it(self):
        story = Payer([("ann", 30)])
        story.proposed(ANN)
        story.does(signed)
        story.does(step, "confirmed")
        story.orphan("ann")
        self.assertEqual(books_after(story)["available:ann"], -29 * GIGA)
        late = story.proposed([("ann", "A", 5)], batch=1)
        story.gate(*finds(0, 1, "more"))
        story.settle(status("more", "confirmed", value=40))
        late = [late, story.proposed([("ann", "A", 11)], batch=1)]       # 39.6 - 29 = 10.6
        story.proposed([("ann", "A", 10)], batch=1)
        self.assertEqual(refused_of(story), late)

    def test_what_might_not_fit_is_refused(self):
        """The sum over all books is what a quarter of a million of the largest adjustments would leave."""
        for room, events in ((48 * GIGA, 0), (48 * GIGA + 1, 1), (96 * GIGA, 1), (96 * GIGA + 1, 2), (99 * GIGA, 2),
                             (99 * GIGA + 1, 3)):
            story, made = Payer(), oracle.Oracle()
            size = len(story.events)
            story.proposed(BOTH)
            story.does(signed)
            story.does(step, "confirmed")           # 48 to paid
            story.last[0, 0, 0] = (story.size - 1 if events > 1 else story.size - 2, 0)
            story.does(step, "final", fee=3) if events > 1 else None
            for number, event in enumerate(story.events):
                if number == size:
                    made.debits = 2**128 - room
                made.apply(event)
            states = {0: None, 1: "signed", 2: "confirmed", 3: "final"}
            self.assertEqual(made.batches[0][0].txs[0].state if made.batches[0] else None, states[events], room)


if __name__ == "__main__":
    unittest.main()
