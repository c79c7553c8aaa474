"""More tests of oracle.py and of the page: coinbases that pay accounts (rules 11). Run by test_oracle.py too."""
import sys
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]
import oracle  # noqa: E402
import oracle_direct  # noqa: E402
from oracle_pen_direct import *  # noqa: E402,F403


def with_scripts(text):
    """@ann is her account: the script of her letters."""
    return re.sub(r"@([a-z]+)", lambda match: "script:" + script_of(match[1]), text)


BY_HAND_OF_COINBASES = {                            # as BY_HAND of test_oracle.py: thousandths of a base unit
    # a: example 11.5 at 45. b: N = 2, all of it bob's last share before the job: 19.8 to bob, 7 and 9 paid to zoe and cat, whom it
    # owes nothing. c: no outputs, N = 20: bob 2, eve 9, dan 1, ann 3, cat 5 of 9.9
    "coinbases_that_pay": with_scripts(
        "fee 750 reserve -3600 reward -75000 a:@ann -635 i:@ann 1485 p:@ann 14000 a:@bob 19855 i:@bob 990 p:@bob 9000 a:@cat -10725 "
        "i:@cat 2475 p:@cat 32000 a:@dan 4455 i:@dan 495 i:@eve 4455 a:@zoe -7000 p:@zoe 7000"),
    # a, b, c: ann 40, of it 4 given, bob 30, cat 30; A's 30 are ann's (cat has A too), B's 20 bob's; c's list knows bob's half, and
    # none the addresses, which come into force a millisecond later. d: ann 1, bob 3, cat 6; A is bob's, B ann's: 11 and 15 beyond
    # what it owes. e is of a void job: nobody has a weight, so A's 30 are bob's, who comes before cat, and B's 20 ann's. f is solo:
    # fee 1, ann 99 less 9.9, B hers, A bob's. That is 20 more of ann's, and 60 more of bob's
    "coinbases_of_registered_accounts":
        "donation 52900 fee 1000 reserve 100000 reward -600000 a:ann -19000 i:ann 75100 p:ann 80000 r:ann 70000 a:bob -70000 i:bob 10000 "
        "p:bob 70000 r:bob 80000 a:cat 60000 i:cat 90000",
    # the last is 40: 11.88, 3.96, 19.8, 3.96; outputs 14, 9 and 23; before it bob had 4.6, cat -1
    "coinbases_of_orphans": with_scripts("fee 400 reserve -3600 reward -40000 a:@ann -2120 r:@ann 14000 a:@bob -440 r:@bob 9000 "
                                         "a:@cat -4200 r:@cat 23000 i:@dan 3960")}


def said(story, *steps, expects=NOBODY):
    """Statuses of block a, each a word `immature 50`. Position -> the word."""
    states = {}
    for word in steps:
        state, value = word.split()
        at = story.settle(status("a", state, expects, int(value)))
        expects, states[at] = (at, 0), word
    return states


def posted(story, states):
    return [[state, *map(short_names, books), amount] for state, *books, amount in rows_of(run(story), states)]


def balances(story):
    return named(sums(run(story)))


def shown(answer):
    """wants and outputs by name, and the pool's."""
    return (named(answer["wants"]), {short_names(name): amount for name, (_, amount) in answer["outputs"].items()}, answer["pool"])


class DirectOfPage:
    """Examples of the page, for test_oracle.py's Page."""

    def example_11_2(self, rows):
        text = re.search(r"Example 11\.2: coinbase2 `([0-9a-f ]+)`", PAGE)[1].replace(" ", "")
        outputs = oracle_direct.outputs_of(bytes.fromhex(text))
        self.assertEqual([[str(amount), script.hex()] for amount, script in outputs], [row[:2] for row in rows])
        self.assertEqual([[str(amount), script] for amount, script in oracle_direct.of_accounts(outputs)],
                         [row[:2] for row in rows if row[2] == "an account's"])

    def example_11_3(self, rows):
        told = [(int(position), name.split(",")[0], int(credit)) for position, name, credit, _ in rows]
        self.assertEqual(told, ROWS_OF_PAGE)
        answer = run(block_of_page())
        right = {}
        for (_, name, _), (*_, counts) in zip(told, rows):
            right[name] = right.get(name, 0) + int(counts)
        weighed = {short_names(name): weight for name, weight in weights(answer).items()}
        self.assertEqual(weighed, {name: weight for name, weight in right.items() if weight})
        self.assertEqual(block_of(answer)["N"], "10")

    def example_11_4(self, rows):
        a, x = address_of("A"), address_of("X").replace("evm:", "script:")
        named_so = {"script:A": a, "script:X": x}
        for said_weights, *owners in rows:
            story = Story(direct_pot(), pot(2, "solo"))
            story.frame("desk", registered("ann", a), registered("ben", a), registered("cat", address_of("C")))
            held = re.findall(r"(script:[AX]|[a-z]{3}) (\d+)", said_weights)
            solo, void = "SOLO" in said_weights, "void" in said_weights
            events = [worker(number, name, 1 + solo) | {"account": named_so.get(name, f"name:{name}")} for number, (name, _) in enumerate(held)]
            story.gate(*events, worker(8, "cat"), job(network_work=5), *(share(number, int(credit)) for number, (_, credit) in enumerate(held)))
            outputs = [(7, a[7:]), (3, x[7:])]
            story.gate(direct_job(1, story.size, outputs, pool=40, network_work=5, policy=(8, 8) if void else (0, 0)),
                       *finds(0 if solo else 8, 1, "a", 1))
            right = {named_so.get(name, name): str(amount * GIGA) for name, amount in zip(owners, (7, 3))}
            self.assertEqual(block_of(run(story))["paid"], right, said_weights)
            if void:
                books = {"reward": -50 * GIGA, "reserve": 50 * GIGA, "available:ann": -7 * GIGA, f"available:{x}": -3 * GIGA}
                at = story.settle(status("a", "immature"))
                self.assertEqual(sums(run(story)), books | {"reserved:ann": 7 * GIGA, f"reserved:{x}": 3 * GIGA})
                story.settle(status("a", "confirmed", (at, 0)))
                self.assertEqual(sums(run(story)), books | {"paid:ann": 7 * GIGA, f"paid:{x}": 3 * GIGA})

    def example_11_5(self, rows):
        story = block_of_page()
        states = said(story, "immature 50", "confirmed 50")
        self.assertEqual(posted(story, {at: word.split()[0] for at, word in states.items()}), rows)
        after = {"available:ann": 850_000_000, "available:bob": 550_000_000, "available:cat": 750_000_000,
                 "available:dan": 4_950_000_000, "paid:ann": 14 * GIGA, "paid:bob": 9 * GIGA, "paid:cat": 23 * GIGA,
                 "fee": 500_000_000, "reserve": -3_600_000_000, "reward": -50 * GIGA}
        self.assertEqual(balances(story), after)
        for orphan in (("immature 50", "orphaned 50"), ("immature 50", "confirmed 50", "orphaned 0")):
            story = block_of_page()
            said(story, *orphan)
            self.assertEqual(balances(story), {"available:bob": 4_600_000_000, "available:cat": -GIGA, "reserve": -3_600_000_000})

    def example_11_5b(self, rows):
        story = block_of_page()
        states = said(story, "immature 50", "immature 45", "confirmed 45")
        self.assertEqual(sorted(posted(story, {at: word for at, word in list(states.items())[1:]})), sorted(rows))
        at_once = block_of_page()
        said(at_once, "confirmed 45")
        self.assertEqual(balances(story), balances(at_once))

    def example_11_5c(self, rows):
        """The finding share is stale and paid nothing, so that the window of each next list is that of the block."""
        story, b = Story(direct_pot()), address_of("B")
        story.events[0]["policy"] |= {"threshold": "20", "address_hold_ms": 0}
        story.frame("desk", registered("bob", b), registered("dan", address_of("D")))
        story.gate(worker(0, "bob"), rig(1, "cat"), rig(2, "ann"), worker(3, "dan"), job(network_work=5),
                   share(0, 1), share(1, 5), share(2, 3), share(3, 1))
        for name, amount in (("bob", 4_600_000_000),):
            given = adjustment(name, amount)
            story.frame("desk", given, *yes_to(given))
        outputs, last = [(23, "cat"), (14, "ann"), (9, b[7:])], NOBODY
        moves = {"11": ("bob", "Z"), "12": ("dan", "B")}
        for position, what, waits, line, wants in rows:
            while story.size < int(position):
                story.frame("desk", {"kind": "heartbeat"})
            if "block_found" in what:
                story.gate(direct_job(1, story.size, outputs, network_work=5), share(3, 1, 1, stale=True, block=True), found("a"))
            elif "setting" in what:
                name, letter = moves[position]
                to = address_of(letter).replace("evm:", "script:")
                story.frame("desk", setting(name, "address", to))
            else:
                for state in re.findall("seen|orphaned|immature", what):
                    last = (story.settle(status("a", state, last)), 0)
            made = oracle_of(story)
            waiting = {name.replace(b, "script:B").removeprefix("name:") for name in made.waiting_accounts()} - {
                "script:" + script_of(name) for name in ("ann", "cat")}
            self.assertEqual(waiting, set(filter(None, waits.split(", "))), position)
            debits, credits = made.books["available", "name:bob"]
            may = (credits - debits) // GIGA if "name:bob" not in made.waiting_accounts() else 0
            self.assertEqual(str(may) if may >= 4 else "", line, position)
            self.assertEqual(str(made.list_of(1, 50, 0, 5)["wants"]["name:bob"]), wants, position)
        self.assertEqual(credits - debits, 550_000_000)

    def example_11_6(self, rows):
        story, last = Story(direct_pot()), NOBODY
        story.gate(rig(0, "ann"), job(network_work=5), share(0, 10))
        for position, ppm in ((4, 10_000), (20, 20_000)):
            while story.size < position:
                story.frame("desk", {"kind": "heartbeat"})
            policy = said_policy(last, policy_of(direct_pot(fee_ppm=ppm)))
            last = (story.frame("desk", policy, approval(thing_of(policy))), 0)
        names = {10_000: "P", 20_000: "Q"}
        for stands, follows, wants, *of_jobs in rows:
            size, made = int(stands.removeprefix("S = ")), oracle.Oracle()
            for event in story.events:
                if event["position"] < size:
                    made.apply(event)
            followed = names[made.policy["pots"][0]["fee_ppm"]]
            listed = made.list_of(1, 50, 0, 5)
            self.assertEqual((followed, [str(want) for want in listed["wants"].values()]), (follows, [wants]))
            (_, output), = listed["outputs"].values()
            self.assertEqual(of_jobs, [f"`direct` {size}, pays ann {output}" if cited == followed else "`direct` 0" for cited in "PQ"])
        story.checkpoint()
        story.gate(direct_job(1, 21, [(49, "ann")], pool=1, network_work=5, policy=(4, 0)), *finds(0, 1, "a", 1))
        story.settle(status("a", "confirmed"))
        half = GIGA // 2
        self.assertEqual(balances(story), {"reward": -50 * GIGA, "fee": half, "paid:ann": 49 * GIGA, "available:ann": half})

    def example_11_8(self, rows):
        for script, size, cost in rows:
            data = bytes.fromhex(re.sub(r"(\d+) bytes", lambda match: "00" * int(match[1]), script).replace(",", "").replace(" ", ""))
            self.assertEqual((str(9 + len(data)), str(oracle_direct.cost_of(data))), (size, cost), script)

    def list_of(self, direct=direct_pot(), threshold=20, balances=BALANCES_OF_PAGE):
        """wants and outputs by name, and the pool's."""
        story = give(ledger_of_page(ROWS_OF_PAGE[:4], direct), *balances)
        story.events[0]["policy"]["threshold"] = str(threshold)
        return shown(oracle_of(story).list_of(1, 50, 7, 5))

    def example_11_7(self, rows):
        wants, outputs, pool = self.list_of()
        self.assertEqual(rows[-1], ["the pool", "", "", "", str(pool)])
        told = {name: (want, output) for name, _, _, want, output in rows[:-1]}
        self.assertEqual({name: (str(want), str(outputs.get(name, ""))) for name, want in wants.items()}, told)
        self.assertEqual(list(outputs), [row[0] for row in rows[:-1] if row[4]])
        _, outputs, pool = self.list_of(direct=direct_pot(most=2))
        self.assertEqual((list(outputs), pool), (["cat", "ann"], 13))
        rich = self.list_of(balances=(("bob", 20 * GIGA), ("cat", -GIGA)))
        self.assertEqual(rich[0]["bob"], 4)
        wants, outputs, pool = self.list_of(direct=direct_pot(fee_ppm=0), threshold=100, balances=(("bob", 40 * GIGA), ("cat", -GIGA)))
        self.assertEqual((wants, outputs, pool), ({"ann": 15, "bob": 45, "cat": 24, "dan": 5}, {"bob": 45, "cat": 5}, 0))


def plain(outputs=OUTPUTS_OF_PAGE, jobs=None, **terms):
    """ann 3, bob 1 of N = 10 in a pot of 1 %, then cat finds by a direct job over all before her."""
    story = Story(direct_pot(**terms))
    at = story.gate(rig(0, "ann"), rig(1, "bob"), rig(2, "cat"), job(network_work=5), share(0, 3), share(1, 1))
    story.gate(*(jobs or [direct_job(1, at + 1, outputs, network_work=5)]), *finds(2, 4, "a", 1))
    return story


class Coinbases(unittest.TestCase):
    def check_outputs(self, data, right):
        self.assertEqual([amount for amount, _ in oracle_direct.outputs_of(bytes.fromhex(data))], right)

    def test_what_is_a_coinbase_with_outputs(self):
        aa, bb = (4, "aa"), (5, "bb")
        for data, right in (
                (coinbase2(aa), [4]), (coinbase2(aa, bb), [4, 5]), (coinbase2(aa, bb, before=""), [4, 5]),
                (coinbase2(aa, bb, behind="ffffffff"), [4, 5]), (coinbase2(aa, bb, behind="000000"), []),
                (coinbase2(aa, bb, behind="0000000000"), []), (coinbase2(aa, count=2), []), (coinbase2(aa, bb, count=1), []),
                (coinbase2(), []), (coinbase2(*[aa] * 252), [4] * 252), (coinbase2(*[aa] * 253), [4] * 253),
                (coinbase2(*[aa] * 2_000), [4] * 2_000), (coinbase2(*[aa] * 2_001), []),
                (coinbase2((4, "aa", 3)), []), (coinbase2((4, "aa" * 252)), [4]), (coinbase2((4, "aa" * 253)), [4]),
                (coinbase2((4, "aa" * 253, 5)), []), (coinbase2(aa).replace("ffffffff01", "fffffffffd0100"), []),
                (coinbase2(aa).replace("ffffffff01", "fffffffe01"), []), ("02", []), ("", []), ("ffffffff", []),
                (coinbase2((0xFFFFFFFF, "aa"), before="ff"), []),      # the first four in a row are one byte before
                (coinbase2((2**64 - 1, "")), [2**64 - 1])):
            with self.subTest(data[:40]):
                self.check_outputs(data, right)

    def test_the_first_output_is_the_pools_and_so_is_what_no_account_can_be(self):
        outputs = [(4, b"a"), (0, b"b"), (5, b""), (6, b"c" * 64), (7, b"d" * 65), (8, b"e")]
        self.assertEqual([amount for amount, _ in oracle_direct.of_accounts(outputs)], [6, 8])
        self.assertEqual(oracle_direct.of_accounts([]), [])


class DirectBlocks(unittest.TestCase):
    def after(self, story, *steps):
        said(story, *steps)
        return balances(story)

    def test_neither_the_finder_nor_what_came_after_the_list_moves_a_part(self):
        # 100 less 1: ann 3/4, bob 1/4; cat, who finds, has nothing of it
        books = self.after(plain([(74, "ann"), (24, "bob")]), "confirmed 100")
        self.assertEqual(books, {"reward": -100 * GIGA, "fee": GIGA, "paid:ann": 74 * GIGA, "paid:bob": 24 * GIGA,
                                 "available:ann": 250_000_000, "available:bob": 750_000_000})

    def test_a_list_beyond_the_jobs_own_position_ends_there(self):
        for size in (3, 4, 2**64 - 1):
            jobs = [direct_job(1, size, [(74, "ann")], network_work=5)]
            self.assertEqual(self.after(plain(jobs=jobs), "immature 100")["immature:bob"], 24_750_000_000)

    def test_a_list_of_nothing_gives_all_to_the_reserve(self):
        jobs = [direct_job(1, 2, [(74, "ann")], network_work=5)]
        books = self.after(plain(jobs=jobs), "immature 100", "confirmed 100")
        self.assertEqual(books, {"reward": -100 * GIGA, "fee": GIGA, "reserve": 99 * GIGA, "available:ann": -74 * GIGA,
                                 "paid:ann": 74 * GIGA})

    def test_a_job_without_a_list_pays_nobody_whatever_its_coinbase_has(self):
        jobs = [direct_job(1, 0, [(74, "ann")], network_work=5)]
        books = self.after(plain(jobs=jobs), "immature 80")        # ann 3, bob 1, cat 4
        self.assertEqual(books, {"reward": -80 * GIGA, "fee": 800_000_000, "immature:ann": 29_700_000_000,
                                 "immature:bob": 9_900_000_000, "immature:cat": 39_600_000_000})

    def test_another_pots_block_has_its_own_weights_and_its_outputs_are_booked(self):
        # in a PPLNS pot without direct_min ann 3, bob 1, cat 4; in a SOLO pot cat
        for terms, right in ((pot(1), {"immature:ann": 5_700_000_000, "immature:bob": 9_900_000_000, "immature:cat": 39_600_000_000}),
                             (pot(1, "solo"), {"immature:cat": 79_200_000_000, "available:ann": -24 * GIGA})):
            story = plain([(24, "ann")])
            story.events[0]["policy"]["pots"] = [terms]
            self.assertEqual(self.after(story, "immature 80"),
                             right | {"reward": -80 * GIGA, "reserved:ann": 24 * GIGA, "fee": 800_000_000})

    def test_a_block_that_is_the_reserves_books_its_outputs(self):
        story = plain([(24, "ann")])
        story.events[0]["policy"]["pots"] = [pot(1, "pps")]
        before, books = balances(story), self.after(story, "immature 80")
        changes = {name: amount - before.get(name, 0) for name, amount in books.items() if amount != before.get(name, 0)}
        self.assertEqual(changes, {"reward": -80 * GIGA, "reserve": 80 * GIGA, "available:ann": -24 * GIGA, "reserved:ann": 24 * GIGA})

    def test_a_void_job_gives_all_to_the_reserve_and_books_what_was_paid(self):
        jobs = [direct_job(1, 3, [(24, "ann")], network_work=5, policy=(1, 0))]
        books = self.after(plain(jobs=jobs), "immature 80")
        self.assertEqual(books, {"reward": -80 * GIGA, "reserve": 80 * GIGA, "available:ann": -24 * GIGA, "reserved:ann": 24 * GIGA})

    def test_outputs_to_nobody_that_has_a_weight(self):
        books = self.after(plain([(7, "zoe"), (3, "ann"), (4, "ann"), (1, "76a9")]), "immature 100", "confirmed 100")
        self.assertEqual(books, {"reward": -100 * GIGA, "fee": GIGA, "available:zoe": -7 * GIGA, "paid:zoe": 7 * GIGA,
                                 "available:ann": 67_250_000_000, "paid:ann": 7 * GIGA, "available:bob": 24_750_000_000,
                                 "available:script:76a9": -GIGA, "paid:script:76a9": GIGA})

    def test_values_before_and_after_confirmed(self):
        for steps in (("immature 40", "immature 100", "confirmed 100"), ("immature 100", "confirmed 40", "confirmed 100"),
                      ("seen 1", "confirmed 100"), ("immature 7", "orphaned 7", "seen 3", "confirmed 100"),
                      ("confirmed 7", "orphaned 7", "immature 100", "confirmed 100"), ("immature 0", "confirmed 100"),
                      ("immature 100", "seen 20", "confirmed 100"), ("immature 0", "confirmed 0", "immature 100")):
            with self.subTest(steps):
                books = self.after(plain([(90, "ann")]), *steps)
                self.assertEqual(books, {"reward": -100 * GIGA, "fee": GIGA, "paid:ann": 90 * GIGA,
                                         "available:ann": -15_750_000_000, "available:bob": 24_750_000_000})
        books = self.after(plain([(20, "ann")]), "immature 100", "immature 20", "immature 40")     # 75 %: 74.25, 14.85, 29.7
        self.assertEqual((books["reserved:ann"], books["immature:ann"], books.get("available:ann", 0)), (20 * GIGA, 9_700_000_000, 0))

    def test_an_orphan_undoes_the_last_first(self):
        story = plain([(80, "ann"), (5, "bob")])
        at = list(said(story, "immature 100", "confirmed 100", "orphaned 100"))
        rows = run(story)["postings"]
        done, undone = [row for row in rows if row[0][0] != at[2]], [row for row in rows if row[0][0] == at[2]]
        self.assertEqual([row[2:] for row in undone], [[credit, debit, amount] for *_, debit, credit, amount in reversed(done)])
        self.assertEqual(balances(story), {})

    def test_donations_are_those_of_the_list(self):
        # ann's tenth is said before the list, bob's half after it; each o_a is of what is left after the donation
        story = Story(direct_pot())
        story.frame("desk", donation("script:" + script_of("ann"), 100_000))
        story.gate(rig(0, "ann"), rig(1, "bob"), rig(2, "cat"), job(network_work=5), share(0, 3), share(1, 1))
        story.frame("desk", donation("script:" + script_of("bob"), 500_000))
        story.gate(direct_job(1, 4, [(70, "ann")], network_work=5), *finds(2, 4, "a", 1))
        self.assertEqual(self.after(story, "immature 100"),
                         {"reward": -100 * GIGA, "fee": GIGA, "donation": 7_425_000_000, "available:ann": -3_175_000_000,
                          "reserved:ann": 70 * GIGA, "immature:bob": 24_750_000_000})

    def test_a_moved_share_follows_the_job_that_moved_names(self):
        story = Story(direct_pot())
        at = story.gate(rig(0, "ann"), rig(2, "cat"), job(network_work=5), share(0, 3))
        story.frame("clone", rig(7, "cat"), direct_job(5, at + 1, [(74, "ann")], network_work=5),
                    story.moved("gate", 9, share(2, 4), worker=7, job=5), story.moved("gate", 10, found("a")))
        self.assertEqual(self.after(story, "immature 100"), {"reward": -100 * GIGA, "fee": GIGA, "reserved:ann": 74 * GIGA,
                                                             "immature:ann": 25 * GIGA})


class Owners(unittest.TestCase):
    """Whose an output to script A is. `ann` and `bob` are registered, with shares before the list."""

    def owner(self, *frames, size=None):
        story = Story(direct_pot())
        story.events[0]["policy"]["address_hold_ms"] = 1_000
        story.now = START + 100
        for events in frames:
            if isinstance(events, int):
                story.now = START + events
            else:
                story.frame("desk", *events)
        story.gate(worker(0, "ann"), worker(1, "bob"), worker(2, "zed"), job(network_work=5), share(0, 3), share(1, 1))
        return story, size or story.size

    def paid(self, story, size, *after):
        for events in after:
            if isinstance(events, int):
                story.now = START + events
            else:
                story.frame("desk", *events)
        story.gate(direct_job(1, size, [(9, address_of("A")[7:])], network_work=5), *finds(2, 4, "a", 1))
        (name, amount), = block_of(run(story))["paid"].items()
        self.assertEqual(amount, str(9 * GIGA))
        return name

    def test_whose_address_is_in_force_where_the_list_stands(self):
        a, b = address_of("A"), address_of("B")
        to_b, to_a = setting("ann", "address", b), setting("bob", "address", a)
        both = [registered("ann", a), registered("bob", b)]
        same = [registered("bob", a), registered("ann", a)]
        for before, after, right in (
                ([], [], a), ([both], [], "name:ann"), ([same], [], "name:ann"), ([[registered("bob", a)]], [], "name:bob"),
                ([[registered("zed", a)]], [], "name:zed"),                     # has no weight, and nobody who has one lives there
                ([[registered("zed", a)]], [[setting("zed", "address", b)], 2_000, [{"kind": "heartbeat"}]], "name:zed"),
                ([[registered("amy", a), registered("bob", a)]], [], "name:bob"),
                ([[registered("zed", a), registered("amy", a)]], [], "name:amy"),
                ([both, [to_b]], [], "name:ann"),                              # it waits
                ([both, [to_b], 1_100], [], a), ([both, [to_b], 1_099], [], "name:ann"),
                ([both, [to_b], 1_099], [2_000, [{"kind": "heartbeat"}]], "name:ann"),      # in force after the list
                ([both, [to_b, to_a], 1_100], [], "name:bob"),
                ([[registered("bob", b)]], [[registered("ann", a)]], a)):     # registered after the list
            with self.subTest(right=right, frames=len(before)):
                self.assertEqual(self.paid(*self.owner(*(list(map(dict, each)) if isinstance(each, list) else each for each in before)),
                                           *after), right)

    def test_an_account_that_is_the_script_comes_first(self):
        story, size = self.owner([registered("ann", address_of("A"))])
        story.gate(rig(3, "bob") | {"account": address_of("A")}, share(3, 1))
        self.assertEqual(self.paid(story, size), "name:ann")
        story, size = self.owner([registered("ann", address_of("A"))])
        story.gate(rig(3, "bob") | {"account": address_of("A")}, share(3, 1))
        self.assertEqual(self.paid(story, size + 1), address_of("A"))
        # zed lives there, and so does the script itself: it comes first iff it said an address before the list
        for before, after, right in (([], [setting(address_of("A"), "address", address_of("A"))], "name:zed"),
                                     ([setting(address_of("A"), "address", address_of("A"))], [], address_of("A"))):
            story, size = self.owner([registered("zed", address_of("A")), *before])
            self.assertEqual(self.paid(story, size, *([after] if after else [])), right)
        story, size = self.owner()                  # a script that lives elsewhere now is nobody's address any more
        story.frame("desk", setting(address_of("A"), "address", address_of("B")))
        story.now = START + 2_000
        story.frame("desk", {"kind": "heartbeat"})
        self.assertEqual(self.paid(story, story.size), address_of("A"))


class Lists(unittest.TestCase):
    list_of = DirectOfPage.list_of

    def test_what_is_carried(self):
        for balance, least, right in ((0, 20, 4), (4_600_000_000, 20, 9), (-4_949_999_999, 20, 0), (-9 * GIGA, 20, 0),
                                      (-3_950_000_000, 20, 1), (19_999_999_999, 20, 24), (20 * GIGA, 20, 4), (50_000_001, 20, 5),
                                      (50_000_000, 20, 5), (49_999_999, 20, 4), (GIGA, 1, 4)):
            wants, _, _ = self.list_of(threshold=least, balances=[("bob", balance)] if balance else [])
            self.assertEqual(wants["bob"], right, balance)

    def test_who_asked_for_payment_at_once_carries_no_base_unit(self):
        for balance, right in ((4_600_000_000, 4), (GIGA, 4), (GIGA - 1, 5)):
            story = give(ledger_of_page(ROWS_OF_PAGE[:4]), ("bob", balance))
            story.frame("desk", setting("script:" + script_of("bob"), "pay_now"))
            self.assertEqual(shown(oracle_of(story).list_of(1, 50, 0, 5))[0]["bob"], right)

    def test_a_list_ends(self):
        wants = {"ann": 14, "bob": 4, "cat": 24, "dan": 4}
        for least, most, right in ((1, 500, ["cat", "ann", "bob", "dan"]), (1, 3, ["cat", "ann", "bob"]), (4, 4, ["cat", "ann", "bob", "dan"]),
                                   (5, 4, ["cat", "ann"]), (24, 4, ["cat"]), (25, 4, [])):
            told, outputs, pool = self.list_of(direct_pot(least=least, most=most), balances=[])
            self.assertEqual((told, list(outputs), pool), (wants, right, 50 - sum(wants[name] for name in right)))

    def test_room(self):
        made = oracle_of(ledger_of_page(ROWS_OF_PAGE[:4]))      # a script of five bytes takes 14
        for room, names in (((0, 0), 0), ((13, 0), 0), ((14, 0), 1), ((27, 0), 1), ((28, 0), 2), (None, 2)):
            self.assertEqual(len(made.list_of(1, 50, 0, 5, room)["outputs"]), names, room)

    def test_a_list_ends_before_the_first_that_has_no_room_and_tries_no_other(self):
        story = Story(direct_pot())
        story.frame("desk", registered("ann", "script:ac"), registered("bob", "script:51"), registered("cat", "script:51ae"))
        story.gate(*(worker(number, name) for number, name in enumerate(("ann", "bob", "cat"))), job(network_work=5),
                   share(0, 4), share(1, 3), share(2, 2))
        made = oracle_of(story)                     # sizes 10, 10, 11; costs 4, 0, 80
        for room, names in (((99, 3), []), ((99, 4), ["ann", "bob"]), ((99, 83), ["ann", "bob"]), ((99, 84), ["ann", "bob", "cat"]),
                            ((30, 84), ["ann", "bob"]), ((31, 84), ["ann", "bob", "cat"]), ((9, 999), []), ((19, 0), [])):
            self.assertEqual([name[5:] for name in made.list_of(1, 50, 0, 5, room)["outputs"]], names, room)

    def test_signature_operations_are_counted_without_running(self):
        for script, count in (("", 0), ("ac", 1), ("01ac", 0), ("02acac", 0), ("02ac", 0), ("01acac", 1), ("4c01acac", 1), ("4c", 0),
                              ("4d0100acad", 1), ("4d01", 0), ("4e01000000acae", 20), ("4e010000", 0), ("4bac", 0), ("4fac", 1), ("00ac", 1),
                              ("aeaf", 40), ("ac05acacac", 1), ("abb0", 0)):
            self.assertEqual(oracle_direct.cost_of(bytes.fromhex(script)), 4 * count, script)

    def test_pots_that_pay_none(self):
        made = oracle_of(give(ledger_of_page(ROWS_OF_PAGE[:4], pot(1))))
        self.assertIsNone(made.list_of(1, 50, 0, 5))
        self.assertIsNone(oracle_of(ledger_of_page(ROWS_OF_PAGE[:4])).list_of(2, 50, 0, 5))

    def test_kept_fees_are_not_shared(self):
        told = self.list_of(direct_pot(keep_tx_fees=True), balances=[])[0]     # 43 less 1 %
        self.assertEqual(told, {"ann": 12, "bob": 4, "cat": 21, "dan": 4})

    def test_an_account_waits_from_the_found_block_to_its_first_status_that_is_not_seen(self):
        for steps, right in (((), 2), (("seen 50",), 2), (("immature 50",), 3), (("immature 0",), 2), (("orphaned 50",), 3),
                             (("orphaned 50", "seen 50"), 3)):              # of value 0 bob owes 0.1, and 2.375 are left
            story = plain([(1, "bob")])
            said(give(story, ("bob", 900_000_000)), *steps)
            made = oracle_of(story)                 # bob 1 of 8 of 19.8: 2.475, and what is carried of him
            wants = made.list_of(1, 20, 0, 5)["wants"]["script:" + script_of("bob")]
            self.assertEqual(wants, right, steps)
            self.assertEqual(bool(made.waiting_accounts()), steps in ((), ("seen 50",)), steps)

    def test_who_waits_is_who_had_the_address_at_the_list(self):
        a, b = address_of("A"), address_of("B")
        story = Story(direct_pot())
        story.events[0]["policy"]["address_hold_ms"] = 0
        story.frame("desk", registered("ann", a), registered("ben", a), registered("cat", a), registered("dan", b))
        story.frame("desk", setting("cat", "address", b))
        story.gate(worker(0, "ann"), worker(1, "eve"), job(network_work=5), share(0, 9))
        size = story.size
        story.frame("desk", setting("ann", "address", b), setting("dan", "address", a))
        story.gate(direct_job(1, size, [(5, a[7:]), (0, b[7:])], network_work=5), *finds(1, 1, "a", 1))
        self.assertEqual(oracle_of(story).waiting_accounts(), {a, "name:ann", "name:ben"})

    def test_dust_of_who_waits_stays(self):
        for state, right in ((None, []), ("seen", []), ("orphaned", [GIGA // 2]), ("immature", [])):     # then it is reserved
            story = Story(direct_pot())
            story.events[0]["policy"]["threshold"] = "20"
            story.gate(rig(0, "ann"), rig(1, "bob"), job(network_work=5), share(0, 9))
            given = move("ann", GIGA // 2)
            story.frame("desk", given, *yes_to(given))
            story.gate(direct_job(1, story.size, [(5, "ann")], network_work=5), *finds(1, 1, "a", 1))
            if state:
                story.settle(status("a", state))
            said = {"kind": "inactive_dust", "cutoff": story.size - 1, "to": "fee", "expects": list(NOBODY), "reason": "silent",
                    "accounts": ["script:" + script_of("ann")]}
            story.frame("desk", said, *yes_to(said))
            story.now = START + 2_592_100_000
            story.frame("desk", {"kind": "heartbeat"})
            rows = [int(row[4]) for row in run(story)["postings"] if row[0][1] == 65_534]
            self.assertEqual(rows, right, state)

    def test_addresses_that_are_no_script_or_one_of_two_names_are_not_listed(self):
        story = Story(direct_pot())
        a = address_of("A")
        story.frame("desk", registered("ann", a), registered("bob", a), registered("cat"))
        story.gate(*(worker(number, name) for number, name in enumerate(("ann", "bob", "cat", "dan"))), job(network_work=5),
                   share(0, 1), share(1, 4), share(2, 4), share(3, 1))
        made = oracle_of(story)
        self.assertEqual(made.list_of(1, 100, 0, 5), {"wants": {"name:ann": 9}, "outputs": {"name:ann": (a, 9)}, "pool": 91})


class Room(unittest.TestCase):
    """Reading 14: what a status might carry, in base units worked by hand."""

    def check_bound(self, story, said, units):
        """It is refused iff the sum and so much are 2^128 or more."""
        for short, right in ((0, 1), (1, 0)):
            made = oracle_of(story)
            made.debits, before = 2**128 - int(units * GIGA) - short, len(made.refused)
            events = story.events
            story.events = []
            story.settle(dict(said))
            for event in story.events:
                made.apply(event)
            story.events, story.size = events, story.size - 1
            story.seqs["settler"] -= 1
            self.assertEqual(len(made.refused) - before, right, (units, short))

    def test_what_a_status_might_carry(self):
        story = two_accounts()                      # 3 times the value, whatever it posts
        for state in ("seen", "immature", "confirmed", "orphaned"):
            self.check_bound(story, status("a", state), 150)
        at = (story.settle(status("a", "immature")), 0)     # posted: 50. Twice the last value counts, also where it is the same
        self.check_bound(story, status("a", "immature", at, 45), 135 + 100 + 50)
        self.check_bound(story, status("a", "orphaned", at, 0), 100 + 50)
        at = (story.settle(status("a", "seen", at, 20)), 0)         # another value: 30 of difference
        self.check_bound(story, status("a", "confirmed", at, 20), 60 + 40 + 80)
        at = (story.settle(status("a", "orphaned", at, 7)), 0)      # nothing is posted then
        self.check_bound(story, status("a", "confirmed", at, 50), 150 + 14)

    def test_lines_that_an_orphan_cancels_count(self):
        story = Payer()                             # ann's block of 30 posts 30 and moves 29.7
        story.proposed([*BOTH], ["of ann", "of bob"], each=True)
        story.does(signed, tx=1)                    # bob's 19 are not cancelled any more
        at = story.block_last["ann"]
        self.check_bound(story, status("of ann", "orphaned", at, 0), 60 + 59.7 + 29)
        self.check_bound(story, status("of ann", "confirmed", at, 0), 60 + 59.7)

    def test_outputs_of_a_coinbase_count_three_times(self):
        story = block_of_page()                     # 23, 14 and 9
        self.check_bound(story, status("a", "immature"), 150 + 3 * 46)
        at = (story.settle(status("a", "immature")), 0)     # posts 50, 14, 9 and 23
        self.check_bound(story, status("a", "orphaned", at, 0), 100 + 96 + 3 * 46)


class PoliciesOfDirect(unittest.TestCase):
    def test_which_pots_may_pay_by_the_coinbase(self):
        for terms, algorithm, right in (
                (direct_pot(), "sha256d", True), (direct_pot(), "scrypt", True), (direct_pot(), "ethash", False),
                (direct_pot(), "etchash", False), (direct_pot(bonus_ppm=1), "sha256d", False),
                (direct_pot(2, scheme="solo"), "sha256d", False), (direct_pot(2, scheme="prop"), "sha256d", False),
                (direct_pot(2, scheme="pps"), "sha256d", False), (pot(2, "solo", bonus_ppm=1), "etchash", True)):
            story = Story(pot(1))
            story.events[0]["algorithm"] = algorithm
            policy = said_policy((0, 0), policy_of(terms))
            at = story.frame("desk", policy, approval(thing_of(policy)))
            made = oracle_of(story)
            self.assertEqual(((at, 0) in made.policies, made.refused), (right, [] if right else [(at, 0)]))


if __name__ == "__main__":
    unittest.main()
