#!/usr/bin/env python3
"""Fixtures: whole small ledgers with the balances that belong to them, for whoever computes balances.

    python3 tests/oracle/make.py            writes NAME.hex, NAME.jsonl and NAME.json for every story below

NAME.hex is segments/00000000000000000000.open of a real ledger (signed frames, roots; no zeros at its end),
NAME.jsonl what `orebook ledger cat` prints of it, NAME.json what `tests/oracle.py --postings` prints of that.
"""
import json
import struct
import sys
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import ledger_pen as pen  # noqa: E402
import oracle  # noqa: E402
from oracle_pen_direct import *  # noqa: E402,F403
from test_oracle_direct_random import DirectTold  # noqa: E402
from test_oracle_dust import DAY, adjusts, dust, policy_frame  # noqa: E402
from test_oracle_dust_random import DustTold  # noqa: E402
from test_oracle_payouts_random import CHANCE_STEPS, GOOD, PayoutsTold  # noqa: E402

ID = bytes.fromhex(LEDGER.replace("-", ""))
SEEDS = {"desk": pen.DESK, "gate": pen.GATE, "gate2": pen.GATE2, "clone": pen.GATE, "keeper": pen.KEEPER,
         "settler": pen.SETTLER, "settler2": pen.SETTLER, "payer": pen.PAYER, "payer2": pen.PAYER}
SEGMENT = "00000000000000000000.open"
LINE_BYTES = 48
SEED_OF_COINBASES, SEED_OF_DUST = 335, 292              # of ledgers in which much happens


# ---- from a story to bytes -------------------------------------------------------------------------------------------

def genesis_bytes(fields):
    roles = {"desk": 1, "gate": 2, "gate2": 2, "keeper": 3, "settler": 4, "payer": 5}
    producers = sorted((pen.public(SEEDS[name]), bytes([role])) for name, role in roles.items())
    approvals = fields["approvals"]
    ethash = fields["algorithm"] == "ethash"
    return pen.event(1, ID + pen.le(4, 1) + pen.short(b"dev") + pen.le(1, 4 if ethash else 1) + b"\x08" + bytes.fromhex(fields["chain"])
                     + pen.le(4, fields["segment_positions"]) + pen.le(8, fields["segment_bytes"]) + b"\1"
                     + pen.le(1, len(APPROVERS)) + b"".join(map(public, APPROVERS)) + bytes([len(approvals)]) + b"".join(map(bytes, approvals))
                     + pen.le(1, len(producers)) + b"".join(key + role for key, role in producers)
                     + pen.entries_bytes(sorted([*pen.ALL_KINDS, 23, 24, 25]) if ethash else pen.ALL_KINDS) + oracle.packed(fields, "policy"))


def fields_bytes(kind, e):
    """(kind's number, fields) of an event as JSON has it."""
    hexes = {name: bytes.fromhex(value) for name, value in e.items()
             if name in ("hash", "coinbase_txid", "header", "thing", "approver", "signature", "prev", "extranonce2", "seal", "seed")}
    expects = struct.pack("<QH", *e["expects"]) if "expects" in e else b""
    money = b"".join(pen.le(16, int(e[name])) for name in ("value", "fees") if {"value", "fees"} <= e.keys())
    if kind == "policy":
        return 4, oracle.packed(e, "expects policy")
    if kind == "approval":
        return 5, hexes["thing"] + hexes["approver"] + hexes["signature"]
    if kind == "ban":
        return 11, (b"\1\3" + pen.short(e["target"].removeprefix("name:").encode()) + b"\1" + pen.le(8, e["until_ms"])
                    + expects + pen.short(e["reason"].encode()))
    if kind == "adjustment":
        return 12, oracle.packed(e, oracle.THINGS["adjustment"][1])
    if kind == "inactive_dust":
        return 39, oracle.packed(e, oracle.THINGS["inactive_dust"][1])
    if kind == "heartbeat":
        return 7, b""
    if kind == "worker":
        return 16, (struct.pack("<IH", e["number"], e["pot"]) + pen.short(b"\xaa\xbb") + b"\4" + pen.le(4, 0)
                    + account_bytes(e["account"]) + pen.short(e["name"].encode()))
    if kind == "job":
        return 18, (pen.le(4, e["number"]) + struct.pack("<QH", *e["policy"]) + pen.le(8, e["height"])
                    + b"".join(pen.le(16, int(e[name])) for name in ("network_work", "reward", "fees"))
                    + pen.le(4, e["version"]) + hexes["prev"] + pen.le(4, e["nbits"]) + pen.le(4, e["job_time"])
                    + b"\1" + pen.long(b"\1") + pen.long(bytes.fromhex(e["coinbase2"])) + b"\0" + pen.le(8, e["direct"]))
    if kind == "share":
        return 19, struct.pack("<IIQHIII", e["worker"], e["job"], int(e["work"]), e["block"] | e["stale"] << 1,
                               e["nonce"], e["ntime"], e["version"]) + hexes["extranonce2"]
    if kind == "ethash_job":
        return 23, (pen.le(4, e["number"]) + struct.pack("<QH", *e["policy"]) + pen.le(8, e["height"])
                    + b"".join(pen.le(16, int(e[name])) for name in ("network_work", "reward", "fees"))
                    + hexes["seal"] + hexes["seed"] + pen.le(4, e["job_time"]) + b"\1")
    if kind == "ethash_share":
        return 24, struct.pack("<IIQHQ", e["worker"], e["job"], int(e["work"]), e["block"] | e["stale"] << 1,
                               int(e["nonce"], 16))
    if kind == "block_found":
        return 20, hexes["hash"] + pen.le(8, e["height"]) + hexes["coinbase_txid"] + pen.short(hexes["header"])
    if kind == "block_status":
        state = 1 + ("seen", "immature", "confirmed", "orphaned", "uncle").index(e["state"])
        return 21, hexes["hash"] + expects + bytes([state]) + pen.le(8, e["height"]) + money
    if kind == "block_recovered":
        return 22, hexes["hash"] + pen.le(8, e["height"]) + expects + hexes["coinbase_txid"] + money
    if kind == "void":
        return 25, b"".join(struct.pack("<QH", *e[name]) for name in ("share", "first", "expects"))
    if kind == "account":
        form, payout = e["payout"].split(":")
        return 26, (pen.short(e["name"].encode()) + expects + {"script": b"\1", "evm": b"\2"}[form]
                    + pen.short(bytes.fromhex(payout)) + pen.le(16, int(e["threshold"])) + bytes.fromhex(e["token"] or "00" * 32)
                    + bytes([e["registered_only"]]) + pen.le(2, len(e["workers"]))
                    + b"".join(pen.short(name.encode()) for name in e["workers"]))
    if kind == "setting":
        return 27, oracle.packed(e, oracle.THINGS["setting"][1].replace("*", oracle.FIELDS[e["what"]]))
    if kind == "fee_mean":
        return 28, pen.le(8, e["height"]) + expects + pen.le(16, int(e["mean"]))
    if kind == "part":
        return 9, bytes.fromhex(e["whole"]) + struct.pack("<HH", e["part_index"], e["of"]) + pen.long(bytes.fromhex(e["bytes"]))
    if kind.startswith("payout_") or kind == "write_off":
        return payout_bytes(kind, e, expects)
    assert kind == "moved", kind
    nobody = 0xFFFFFFFF
    numbers = [nobody if e[name] is None else e[name] for name in ("worker", "job")]
    return 10, (bytes.fromhex(e["from"].replace("-", "")) + struct.pack("<IQQII", e["from_epoch"], e["from_seq"],
                e["base_time"], *numbers) + pen.event(*fields_bytes(e["event"]["kind"], e["event"])))


def payout_bytes(kind, e, expects):
    """Kinds 32 to 38."""
    hexes = {name: bytes.fromhex(e.get(name) or "00" * 32) for name in ("body", "txid", "block", "by")}
    coins = {name: pen.le(16, int(e[name])) for name in ("total", "fee") if name in e}
    reason = pen.short(e.get("reason", "").encode())
    head = b"".join(pen.le(size, e[name]) for name, size in (("wallet", 2), ("batch", 8), ("tx", 2)) if name in e)
    if kind == "payout_proposed":
        digests = b"".join(pen.short(who.encode()) + bytes.fromhex(digest) for who, digest in e["digests"])
        return 32, (head + expects + pen.le(2, e["txs"]) + pen.le(2, e["lines"]) + coins["total"] + coins["fee"] + hexes["body"]
                    + pen.le(8, e["digest_position"]) + pen.le(1, len(e["digests"])) + digests)
    if kind == "payout_signed":
        return 33, (head + expects + hexes["txid"] + coins["fee"] + pen.short(bytes.fromhex(e["spends"])) + hexes["body"]
                    + pen.long(bytes.fromhex(e["raw"])))
    if kind == "payout_step":
        number = 1 + ("broadcast", "seen", "confirmed", "final", "conflicted", "failed", "unknown").index(e["step"])
        return 34, head + expects + bytes([number]) + hexes["txid"] + pen.le(8, e["height"]) + hexes["block"] + coins["fee"]
    if kind == "payout_cancelled":
        return 35, head + expects + hexes["by"] + pen.le(8, e["height"]) + coins["fee"] + reason
    if kind == "write_off":
        return 38, oracle.packed(e, oracle.THINGS["write_off"][1])
    return (36, head + reason) if kind == "payout_halt" else (37, head + expects + reason)


def summary_of(events, credits):
    pots = {}
    for event in events:
        if event["kind"] in oracle.SHARES:
            share = credits[event["position"], event["index"]]
            effort, rows = pots.get(share.worker.pot, (0, {}))
            count, credit = rows.get(event["worker"], (0, 0))
            rows[event["worker"]] = (count + 1, credit + share.credit)
            pots[share.worker.pot] = (effort + share.credit * oracle.EFFORT_UNITS // share.job.network_work, rows)
    return pen.summary_bytes(pots)


def segment_of(story):
    """The story as the bytes of one open segment."""
    made, book, streams = oracle.Oracle(), pen.Pen({}), {}
    for event in oracle.final_events(story.provisional_lines(), everything=True):
        made.apply(event)
    credits = {share.at: share for share in made.shares.values()}
    frames = {}
    for event in story.events:
        if "kind" in event:
            frames.setdefault(event["position"], []).append(event)
    names = {uuid(name): name for name in STREAMS}
    for event in story.events:
        if event.get("index") == 0:
            events, name = frames[event["position"]], names[event["stream"]]
            stream = streams.setdefault(name, pen.Stream(STREAMS[name], SEEDS[name]))
            stream.epoch = event["epoch"]
            if story.now:                           # whose ledger times count
                book.clock = event["ledger_time"] - 5    # the pen's log takes 5 ms
            if event["kind"] == "genesis":
                book.frame("genesis", stream, [genesis_bytes(event)])
            elif event["kind"] == "checkpoint":
                book.checkpoint("checkpoint", stream, event["size"])
            else:
                book.frame("frame", stream, [pen.event(*fields_bytes(each["kind"], each)) for each in events],
                           summary=summary_of(events, credits))
        elif "closed" in event:
            stream = streams[names[event["closed"]]]
            book.closure("closure", book.header(stream, [pen.event(7)], first_seq=pen.le(8, stream.seq - 1)))
    return book.data


# ---- the stories -----------------------------------------------------------------------------------------------------

def with_shares(rows, *pots, letter="a"):
    story, accounts = Story(*pots), sorted({account for account, _ in rows})
    events = [worker(number, account) for number, account in enumerate(accounts)] + [job()]
    events += [share(accounts.index(account), credit) for account, credit in rows[:-1]]
    account, credit = rows[-1]
    story.gate(*events, *finds(accounts.index(account), credit, letter))
    return story


def settle(story, letter, *steps, expects=(0, 0)):
    for state, value in steps:
        expects = (story.settle(status(letter, state, expects, value)), 0)
    return story


def window_unfilled():
    return settle(with_shares([("ann", 6), ("bob", 3), ("cat", 1)]), "a", ("seen", 50), ("immature", 50))


def window_exactly_filled():
    return settle(with_shares([("ann", 5), ("bob", 8), ("ann", 7), ("cat", 5)]), "a", ("immature", 50))


def window_cut_inside_a_share():
    """Over three frames, so that the oldest is cut and the one between is taken whole."""
    story = Story()
    story.gate(worker(0, "ann"), worker(1, "bob"), worker(2, "cat"), job(), share(1, 4), share(0, 5))
    story.gate(share(1, 6), share(0, 7))
    story.gate(*finds(2, 5, "a"), share(0, 100))
    return settle(story, "a", ("immature", 51), ("confirmed", 51))


def window_cut_inside_the_finding_share():
    return settle(with_shares([("ann", 9), ("bob", 50)]), "a", ("confirmed", 50))


def split_with_everything():
    terms = pot(1, fee_ppm=15_000, bonus_ppm=20_000, keep_tx_fees=True)
    story = with_shares([("ann", 1), ("bob", 4), ("cat", 6)], terms)
    story.settle(status("a", "immature", value=100, fees=7))
    return story


def orphan_and_return():
    return settle(with_shares([("ann", 3), ("cat", 2)]), "a", ("seen", 50), ("immature", 50), ("orphaned", 0),
                  ("orphaned", 0), ("seen", 50), ("immature", 50), ("confirmed", 50))


def change_of_value():
    return settle(with_shares([("ann", 3), ("cat", 2)]), "a", ("immature", 50), ("immature", 45), ("confirmed", 48),
                  ("confirmed", 40), ("immature", 41), ("seen", 42))


def late_reorganisation():
    return settle(with_shares([("ann", 3), ("cat", 2)]), "a", ("immature", 50), ("confirmed", 50), ("orphaned", 50))


def two_blocks_at_one_height():
    story = with_shares([("ann", 3), ("cat", 2)], pot(1, n_ppm=500_000))
    story.gate(*finds(1, 2, "b"))
    story.settle(status("a", "immature"), status("b", "immature"))
    return settle(story, "b", ("orphaned", 50), expects=(story.size - 1, 1))


def two_pots_and_two_streams():
    story = Story(pot(1, stale_ppm=500_000), pot(2, "solo", fee_ppm=20_000, bonus_ppm=1))
    story.gate(worker(0, "ann"), worker(1, "cat"), worker(2, "dan", 2), worker(3, "cat", 2), job(), share(0, 3),
               share(2, 4), *finds(3, 1, "b"), share(2, 5))
    story.frame("gate2", worker(0, "bob"), job(0, network_work=7), share(0, 5, stale=True), share(0, 1, stale=True))
    story.gate(*finds(1, 2, "a"), *finds(2, 3, "c", stale=True))
    story.settle(*(status(letter, "immature", value=value) for letter, value in (("a", 50), ("b", 20), ("c", 11))))
    return story


def void_job_and_unknown_pot():
    story = Story()
    story.gate(worker(0, "ann"), worker(1, "cat"), worker(2, "dan", 9), job(), share(0, 3), job(1, (1, 0)),
               share(1, 7, 1), *finds(1, 8, "a", job=1), *finds(1, 2, "b"), *finds(2, 4, "c"))
    story.settle(*(status(letter, "immature") for letter in "abc"))
    return story


def nothing_in_the_window():
    story = Story(pot(1, bonus_ppm=20_000))
    story.gate(worker(0, "cat"), job(), *finds(0, 6, "a", stale=True))
    return settle(story, "a", ("immature", 100))


def policies():
    """Two approvals; a job under the old policy, one before the new is final (void), and a second that is too late."""
    story = Story(needed=2)
    first, second = (policy_of(pot(1, fee_ppm=fee_ppm), pot(2, "solo")) for fee_ppm in (100_000, 200_000))
    story.gate(worker(0, "ann"), worker(1, "cat"), job(), share(0, 3))
    things = [thing_of(said_policy((0, 0), policy)) for policy in (first, second)]
    story.frame("desk", said_policy((0, 0), first), approval(things[0], 0))
    story.frame("desk", said_policy((0, 0), second), approval(things[0], 1))
    story.gate(job(1, (3, 0)), share(0, 50, 1))
    story.frame("desk", approval(things[1], 0), approval(things[1], 1))
    story.checkpoint()
    story.gate(job(2, (3, 0)), job(3, (4, 0)), share(0, 60, 3), *finds(1, 2, "a", job=2), *finds(1, 2, "b"))
    story.settle(status("a", "immature"), status("b", "immature"))
    return story


def moved_once():
    """gate forks; its unadmitted share and block come in gate2, then by a clone; so does a share that was admitted."""
    story = Story()
    admitted = share(0, 3)
    clock = pen.START + 2_000                       # of gate's frame at position 2
    story.gate(worker(0, "ann"), job(), dict(admitted))
    story.closure("gate")
    block, of_it = finds(0, 4, "a")
    story.frame("gate2", worker(0, "dan"), worker(1, "ann"), job(),
                story.moved("gate", 2, admitted, False, clock, 1, 0), story.moved("gate", 3, block, True, clock, 1, 0),
                story.moved("gate", 4, of_it, True, clock))
    story.frame("clone", worker(0, "dan"), job(), story.moved("gate", 3, block, False, clock, 0, 0),
                story.moved("gate", 4, of_it, False, clock), share(0, 9))
    return settle(story, "a", ("immature", 50))


def epochs_number_anew():
    story = Story()
    story.gate(worker(0, "ann"), job(), share(0, 3))
    story.frame("gate2", worker(0, "cat"), job(), share(0, 2))
    story.epochs["gate"] = 1
    story.gate(worker(0, "bob"), job(), *finds(0, 5, "a"))
    return settle(story, "a", ("immature", 50))


def two_settlers():
    story = settle(with_shares([("ann", 3), ("cat", 2)]), "a", ("immature", 50))
    story.frame("settler2", status("a", "immature"))
    story.frame("settler2", status("a", "orphaned", (4, 0)))
    story.settle(status("a", "confirmed", (3, 0)), status("b", "immature"))
    return story


def recovered_blocks():
    story = with_shares([("ann", 3), ("cat", 2)])
    story.settle(recovered("r"), recovered("s"), recovered("a", height=700))
    story.settle(recovered("s", (3, 0)), status("r", "immature", (3, 0)), status("r", "immature", fees=7),
                 status("s", "immature"))
    story.gate(*finds(0, 9, "r"))
    story.settle(status("s", "orphaned", (4, 3)), status("a", "immature"))
    return story


def adjustments():
    story = settle(with_shares([("ann", 3), ("cat", 2)]), "a", ("confirmed", 50))
    story.settle(recovered("r"))
    story.settle(status("r", "confirmed"))
    finder = adjustment("ann", 49_500_000_000, book="reserve", block="r", reason="found block 701")
    back, alone = adjustment("cat", 2 * 10**9, book="fee", back=True), adjustment("dan", 7)
    things = [thing_of(said) for said in (finder, back, alone)]
    story.frame("desk", finder, approval(things[0], 0), approval(things[1], 1))
    story.frame("desk", back, approval(things[0], 1), alone, approval(things[2], 0), ban("ann"))
    story.frame("desk", approval(things[1], 0))
    return story


def adjustments_waiting():
    story, giga = Story(), 10**9
    early, other = adjustment("ann", 10 * giga), adjustment("cat", 7)
    waits = adjustment("bob", 3 * giga, book="fee", back=True)
    after = adjustment("bob", 5 * giga, (4, 0), "donation")                     # of `waits`, which is said at (4, 0)
    wrong, most = adjustment("bob", giga, (6, 2)), adjustment("dan", 2**80 * giga, book="rounding")
    yes = {id(said): [approval(thing_of(said), number) for number in (0, 1)]
           for said in (early, waits, other, after, wrong, most)}
    no = yes[id(other)][1]
    stranger, forged = no | {"approver": public(pen.GATE).hex()}, no | {"signature": "15" * 64}
    for events in (yes[id(early)], [early],                                     # 2 and 3: approved before it is said
                   [waits, waits, other],                                       # 4: one of them twice, both wait
                   [after, *yes[id(after)]],                                    # 5: too soon
                   [{"kind": "heartbeat"}, yes[id(waits)][0], yes[id(waits)][1]],      # 6: the first counts
                   [wrong, *yes[id(wrong)]],                                    # 7: expects the place of the effect
                   [after],                                                     # 8: again, and in time
                   [yes[id(other)][0], yes[id(other)][0], stranger, forged],    # 9: one approver is not two
                   [yes[id(most)][1], most, yes[id(most)][0]]):                 # 10
        story.frame("desk", *map(dict, events))
    return story


def told_in_ethash(tell):
    story = tell()
    story.events = in_ethash(story.events)
    return story


def moved_once_in_ethash():
    return told_in_ethash(moved_once)


def two_pots_in_ethash():
    return told_in_ethash(two_pots_and_two_streams)


def one_hash_twice():
    story = with_shares([("ann", 3), ("cat", 2)])
    story.gate(*finds(0, 4, "a"))
    return settle(story, "a", ("immature", 50))


def prop_orphans():
    story = Story(pot(1, "prop"))
    story.gate(*(worker(number, name) for number, name in enumerate(("ann", "bob", "cat", "dan"))), job())
    story.gate(share(0, 6), *finds(2, 1, "a"), share(1, 3))
    settle(story, "a", ("immature", 70), ("orphaned", 70))
    orphan = (story.size - 1, 0)
    story.gate(*finds(2, 4, "b"))                                               # ann 6, bob 3, cat 1 + 4
    settle(story, "b", ("immature", 70))
    settle(story, "a", ("immature", 70), expects=orphan)                        # too late to take anything back
    story.gate(share(3, 5))
    settle(story, "b", ("orphaned", 0), expects=(story.size - 3, 0))
    story.gate(*finds(0, 1, "c"))                                               # ann 6 + 1, bob 3, cat 5, dan 5
    return settle(story, "c", ("confirmed", 50))


def paid_per_share():
    story = Story(pot(1, "pps", stale_ppm=500_000), pot(2, "fpps"))
    story.settle(fee_mean(3))
    story.gate(worker(0, "ann"), worker(1, "ann", 2), worker(2, "bob"), worker(3, "cat"), worker(4, "dan", 9),
               job(0, (0, 0), 7, 51, 1), job(1, (1, 0), 7, 51, 1))
    story.gate(share(0, 2), share(1, 2), share(2, 7, stale=True), share(3, 5, job=1), share(4, 3))
    story.settle(fee_mean(9), fee_mean(5, (2, 0)))                              # the first expects the wrong one
    story.gate(share(1, 1), *finds(2, 1, "p"), *finds(1, 2, "f"))
    settle(story, "p", ("immature", 51), ("confirmed", 51))
    return settle(story, "f", ("confirmed", 60), ("orphaned", 60))


def donations():
    story = Story()
    story.events[0]["approvals"] = [[2, 1], [6, 1]]
    cat = donation("cat", 10**6, by="operator")
    story.frame("desk", registered("ann"), donation("ann", 15_000), dict(cat))
    story.frame("desk", approval(thing_of(cat), 1), donation("ann", 500_000))   # ann's expects the wrong one
    story.gate(worker(0, "ann"), worker(1, "cat"), job(), share(0, 3), *finds(1, 2, "a"))
    story.frame("desk", donation("ann", 0, (2, 1), "token"))
    settle(story, "a", ("immature", 50), ("immature", 45), ("confirmed", 45))
    story.gate(*finds(0, 1, "b"))
    return settle(story, "b", ("immature", 60))


def donations_per_share():
    story = Story(pot(1, "pps"), pot(2, "fpps", fee_ppm=0))
    story.frame("desk", donation("ann", 15_000))
    story.gate(worker(0, "ann"), worker(1, "ann", 2), worker(2, "bob"), job(0, (0, 0), 7, 51, 1), share(0, 2), share(0, 2),
               share(2, 1), share(1, 1))
    story.frame("desk", donation("ann", 10**6, (2, 0)))
    story.gate(share(0, 1))
    return story


def uncles():
    story = with_shares([("ann", 3), ("cat", 2)])
    story.gate(*finds(0, 5, "b"))
    settle(story, "a", ("immature", 50), ("uncle", 43), ("confirmed", 43), ("immature", 50), ("confirmed", 50))
    return settle(story, "b", ("uncle", 43), ("confirmed", 43), ("orphaned", 43))


def voids_in_ethash():
    """Each void says whose share was counted twice; ethash's nonces name them."""
    story = Story(pot(1), pot(2, "prop"), pot(3, "pps", stale_ppm=500_000), pot(4, "solo"))
    story.frame("desk", donation("ann", 100_000))
    story.gate(*(worker(number, name, pot_number) for number, (name, pot_number) in enumerate(
        (("ann", 1), ("bob", 1), ("ann", 2), ("bob", 2), ("ann", 3), ("bob", 4)))), job(0, network_work=4, reward=14, fees=4))
    story.gate(share(0, 6, nonce=901), share(1, 3), share(0, 4, nonce=901), share(2, 6, nonce=902), share(2, 5, nonce=902),
               share(3, 9), share(4, 7, nonce=903), share(4, 7, stale=True, nonce=903), share(5, 8, nonce=904), share(5, 8, nonce=904))
    story.gate(share(0, 3, nonce=901), *finds(3, 2, "b"))
    story.frame("keeper", void((4, 2), (4, 0)), void((4, 4), (4, 3)), void((4, 7), (4, 6)), void((4, 9), (4, 8)),
                void((4, 2), (4, 0)), void((4, 1), (4, 0)), void((5, 0), (4, 2), (4, 2)))
    story.frame("keeper", void((5, 0), (4, 2)), void((4, 2), (4, 0), (6, 0)), void((3, 0), (2, 0)))
    story.gate(*finds(1, 1, "a"), share(2, 7), *finds(3, 1, "c"), *finds(5, 1, "d"))
    for letter in "abcd":
        settle(story, letter, ("immature", 50))
    return told_in_ethash(lambda: story)


def payouts():
    """Two batches of a Bitcoin-like, the pool bears the fees: approvals, parts, a version that is replaced, a reorganisation."""
    story = Payer(limit=20)
    said = proposed(BOTH, ["of ann", "of bob"], fee=4)
    story.frame("desk", approval(thing_of(said), 1))
    story.pay(*parts(batch_body(BOTH, ["of ann", "of bob"]), 50))
    story.pay(said)
    story.pay(signed("too soon"))
    story.frame("desk", approval(thing_of(said), 0))
    story.does(signed)
    for name, fee in (("broadcast", 0), ("seen", 0), ("confirmed", 3), ("broadcast", 0)):
        story.does(step, name, fee=fee)
    story.proposed([("ann", "A", 5)], batch=1)      # the wallet is not free
    story.pay(*parts(b"raw" * 40, 50))
    story.does(signed, "t2", raw=b"", body=hashlib.sha256(b"raw" * 40).hexdigest())
    story.does(step, "confirmed", "t2", fee=5)
    story.gate(*finds(0, 1, "more"))
    story.settle(status("more", "confirmed", value=20))
    story.proposed([("ann", "A", 20)], ["more"], batch=1)
    story.does(step, "final", "t2", fee=5)
    story.does(signed, batch=1)
    return story


def payouts_that_miners_bear():
    story = Payer(network_fees="miner")
    lines = [("ann", "A", 29, 5), ("bob", "B", 19, 5)]
    story.proposed([("ann", "A", 29, 5), ("bob", "B", 19, 6)], fee=11)
    story.proposed(lines, fee=11)
    story.does(signed)
    story.does(step, "confirmed", fee=9)
    story.does(step, "conflicted", "other")
    story.does(cancelled, by="t1", fee=2)           # that is its own
    story.last[0, 0, 0] = (story.size - 2, 0)
    story.does(cancelled, by="other", fee=2)
    story.proposed([("ann", "A", 29, 7)], batch=1, fee=7)
    story.does(signed, batch=1)
    story.does(step, "confirmed", fee=12, batch=1)
    return story


def payouts_one_by_one():
    """A tx for each line, two wallets."""
    story = Payer([("ann", 30), ("bob", 20), ("carl", 8), ("dan", 40)])
    story.proposed([*BOTH, ("carl", "C", 7)], each=True)
    story.proposed([("dan", "D", 39)], wallet=1, each=True)
    story.does(signed, "t0")
    story.does(signed, "t1", tx=1)
    story.does(signed, wallet=1)
    story.does(step, "confirmed", "t0", fee=1)
    story.does(step, "failed", "t1", fee=2, tx=1)
    story.proposed([("bob", "B", 19)], batch=1)
    story.does(cancelled, tx=2)
    story.does(step, "unknown", wallet=1)
    story.proposed([("bob", "B", 19), ("carl", "C", 7)], batch=1, each=True)
    story.does(signed, "t3", tx=1, batch=1)
    story.does(step, "seen", "t3", tx=1, batch=1)
    story.does(step, "confirmed", wallet=1)
    return story


def payouts_refused():
    story = Payer([("ann", 30), ("bob", 20)], threshold=20)
    for lines, blocks, other in (
            ([("ann", "A", 30)], (), {}), ([("ann", "C", 29)], (), {}), ([("ann", "A", 19)], (), {}), (ANN, (), {"batch": 1}),
            ([("ann", "A", 29, 1)], (), {"fee": 1}), (ANN, ["nobody's"], {}), (ANN, (), {"expects": [1, 0]}),
            (ANN, (), {"total": "28"}), (ANN, (), {"lines": 2}), (ANN, (), {"txs": 2}), (ANN, (), {"body": "ab" * 32}),
            ([("ann", "A", 29), ("zoe", "B", 1)], (), {})):
        story.proposed(lines, blocks, **other)
    story.pay(*parts(batch_body(ANN)), part("ab" * 32, 0, 2), proposed(ANN))
    story.pay(*parts(batch_body(ANN)), stream="payer2")
    story.pay(proposed(ANN))
    story.frame("desk", setting("bob", "pay_now"))
    story.proposed([("bob", "B", 2)])
    place = story.size - 1
    for event in (signed(tx=1), signed(wallet=1), signed(batch=1), signed(expects=(place, 1)), signed(body="ab" * 32),
                  signed(raw=b""), step("broadcast", NOBODY), cancelled(by="other")):
        story.pay(event)
    story.does(signed)
    last = story.last[0, 0, 0]
    for event in (signed("t1", last), signed("t2", last, spends="5c" * 36), step("confirmed", last, "t2"), step("final", last),
                  cancelled(last), cancelled(last, by="t1"), step("seen", NOBODY)):
        story.pay(event)
    story.does(step, "confirmed")
    story.proposed([("bob", "B", 2)], batch=1)      # pay_now is used up
    return story


def payouts_of_orphans():
    story = Payer([("ann", 30), ("bob", 20), ("carl", 9), ("dan", 9)])
    story.proposed([*BOTH, ("carl", "C", 5)], ["of ann", "of dan"], each=True)
    story.proposed([("dan", "D", 6)], ["of carl"], wallet=3)
    story.does(signed, tx=1)
    at = story.orphan("dan")                        # cancels tx 0 and 2; dan is below zero, his batch goes on
    story.pay(signed("u", at))
    story.does(step, "confirmed", tx=1, fee=1)
    story.orphan("bob")                             # who was paid 19
    story.proposed([("ann", "A", 29)], ["of ann"], batch=1)
    story.gate(*finds(1, 1, "more"))
    story.settle(status("more", "confirmed", value=21))
    story.orphan("ann")
    story.proposed([("bob", "B", 1)], batch=2)
    return story


def halts():
    story = Payer(limit=20)
    said = proposed(BOTH)
    story.proposed(BOTH)
    stop = (story.pay(halt())[0], 0)
    story.frame("desk", *yes_to(said))
    story.pay(signed())
    one, two = resume(stop), resume(stop, reason="another")
    story.frame("desk", resume(NOBODY), resume(stop, 1), dict(one), dict(two))
    story.frame("desk", halt(1))
    story.frame("desk", approval(thing_of(two)))
    story.does(signed)
    again = (story.frame("desk", approval(thing_of(one)), halt()), 1)
    story.does(step, "confirmed", fee=1)
    story.proposed([("ann", "A", 1)], batch=1)
    story.frame("desk", resume(again))
    return story


def write_offs():
    story = Payer([("ann", 30), ("bob", 20)], writeoff_ms=1_000)
    story.now = START + 2_000
    story.proposed(BOTH)
    story.does(signed)
    story.does(step, "confirmed")
    story.orphan("ann")
    first = write_off("ann")
    story.now += 999
    story.frame("desk", dict(first), *yes_to(first))                            # too soon, and the last all the same
    place = story.size - 1
    story.now += 1
    story.frame("desk", dict(first))                                            # refused
    for said in (write_off("ann", (place, 0)), write_off("bob")):
        story.frame("desk", dict(said), *yes_to(said))
    return story


def chance(seed, tell=lambda seed: PayoutsTold(seed, CHANCE_STEPS)):
    """A random ledger, its approvals signed."""
    fake = lambda key, message, signature: signature.hex() == GOOD
    with mock.patch.object(oracle, "signature_is_right", fake):
        story = tell(seed).story
    for event in story.events:
        if event.get("signature") == GOOD:
            number = [public(approver).hex() for approver in APPROVERS].index(event["approver"])
            event["signature"] = approval(bytes.fromhex(event["thing"]), number)["signature"]
    return story


def payouts_by_chance_1():
    return chance(1)


def payouts_by_chance_2():
    return chance(3)


def coinbases_that_pay():
    """Example 11.5, another value of it; then a block whose outputs name nobody it owes, by a list beyond its job's place."""
    story = block_of_page()
    settle(story, "a", ("seen", 50), ("immature", 50), ("immature", 45), ("confirmed", 45))
    story.gate(direct_job(2, 2**64 - 1, [(7, "zoe"), (0, "ann"), (4, "6a" * 65), (9, "cat")], network_work=1), *finds(0, 7, "b", 2))
    story.gate(direct_job(3, 9, [(6, "ann")]) | {"coinbase2": coinbase2((4, POOL), (6, script_of("ann")), behind="00")}, *finds(0, 1, "c", 3))
    settle(story, "b", ("confirmed", 20))
    return settle(story, "c", ("immature", 10))


def coinbases_of_registered_accounts():
    """Addresses wait, move and are shared; a donation before the list and one after it; a void job's coinbase pays."""
    story, a, b = Story(direct_pot(fee_ppm=0), pot(2, "solo")), address_of("A"), address_of("B")
    story.now = START + 1_000
    story.frame("desk", registered("ann", a), registered("bob", b), registered("cat", a), donation("ann", 100_000))
    story.gate(*(worker(number, name) for number, name in enumerate(("ann", "bob", "cat"))), worker(3, "ann", 2), job(network_work=5),
               share(0, 4), share(1, 3), share(2, 3))
    story.now += 1
    place = story.frame("desk", setting("bob", "address", a), setting("ann", "address", b, (2, 3)))
    story.now += DAY - 1
    story.frame("desk", donation("bob", 500_000, (place, 0)))
    outputs = [(30, a[7:]), (20, b[7:])]
    for number, letter, size in ((1, "a", 4), (2, "b", story.size - 1), (3, "c", story.size)):
        story.gate(direct_job(number, size, outputs, network_work=5), *finds(2, 1, letter, number))
    story.now += 1
    story.frame("desk", {"kind": "heartbeat"})
    story.gate(direct_job(4, story.size, outputs, network_work=5), *finds(0, 1, "d", 4))
    story.gate(direct_job(5, story.size, outputs, policy=(1, 0)), *finds(0, 1, "e", 5))
    story.gate(direct_job(6, story.size, outputs), *finds(3, 1, "f", 6))
    for letter in "abcdef":
        settle(story, letter, ("immature", 100), *([("confirmed", 100)] if letter in "ace" else []))
    return story


def coinbases_of_orphans():
    story = block_of_page()
    return settle(story, "a", ("immature", 50), ("orphaned", 0), ("seen", 0), ("confirmed", 45), ("immature", 60), ("orphaned", 60),
                  ("immature", 40))


def roundings_to_the_fee():
    story, last = with_shares([("ann", 1), ("bob", 1), ("cat", 1)], pot(1, fee_ppm=0)), NOBODY
    adjusted = (adjusts(story, "dan", -2 * GIGA + 1, "rounding"), 0)
    last = (policy_frame(story, last, rounding_to_fee=True), 0)
    settle(story, "a", ("immature", 1), ("orphaned", 1), ("confirmed", 1))      # 1 over: a whole base unit
    adjusted = (adjusts(story, "dan", 3 * GIGA, "rounding", adjusted), 0)
    adjusted = (adjusts(story, "dan", -5 * GIGA - 7, "rounding", adjusted), 0)
    policy_frame(story, last)
    adjusts(story, "dan", -GIGA, "rounding", adjusted)
    return story


def dust_that_moves():
    story = Story(pot(1, "solo", fee_ppm=0))
    story.events[0]["policy"]["threshold"] = "20"
    story.now = START + 1_000
    story.gate(*(worker(number, name) for number, name in enumerate(("bob", "dan", "eve"))), job())
    story.gate(*finds(0, 1, "of bob"), *finds(1, 1, "of dan"))
    settle(story, "of dan", ("immature", 1))
    for name, amount in (("ann", 7), ("bob", -1), ("cat", 20 * GIGA), ("dan", 3 * GIGA), ("eve", 3 * GIGA), ("fay", 4 * GIGA)):
        adjusts(story, name, amount)
    cutoff, last = story.size - 1, NOBODY
    for number, (names, to) in enumerate(((["ann"], "fee"), ([], "fee"), (["ann", "bob", "cat", "dan", "eve"], "donation"),
                                          (["ann", "fay"], "reserve"), (["eve"], "fee"))):
        said = dust(names, last, cutoff, to)
        approved = yes_to(said)
        last = (story.frame("desk", said, approved[0]), 0)
        story.now += 10 * DAY
        story.frame("desk", approved[1])
        if number == 2:
            settle(story, "of bob", ("confirmed", 20))
            story.now += 30 * DAY - 1
            story.frame("desk", {"kind": "heartbeat"})
            story.now += 1
            story.gate(share(2, 1))
        story.now += (number == 3) * 30 * DAY
    story.now += 30 * DAY
    story.frame("desk", {"kind": "heartbeat"})
    return story


def coinbases_by_chance_1():
    return chance(SEED_OF_COINBASES, DirectTold)


def dust_by_chance_1():
    return chance(SEED_OF_DUST, DustTold)


def not_all_final():
    story = settle(with_shares([("ann", 3), ("cat", 2)]), "a", ("immature", 50))
    story.checkpoint()
    story.settle(status("a", "confirmed", (3, 0)))
    return story


STORIES = (window_unfilled, window_exactly_filled, window_cut_inside_a_share, window_cut_inside_the_finding_share,
           split_with_everything, orphan_and_return, change_of_value, late_reorganisation, two_blocks_at_one_height,
           two_pots_and_two_streams, void_job_and_unknown_pot, nothing_in_the_window, policies, moved_once,
           epochs_number_anew, two_settlers, recovered_blocks, adjustments, adjustments_waiting, one_hash_twice,
           not_all_final, moved_once_in_ethash, two_pots_in_ethash, prop_orphans, paid_per_share, donations,
           donations_per_share, uncles, voids_in_ethash, payouts, payouts_that_miners_bear, payouts_one_by_one,
           payouts_refused, payouts_of_orphans, halts, write_offs, payouts_by_chance_1, payouts_by_chance_2,
           coinbases_that_pay, coinbases_of_registered_accounts, coinbases_of_orphans, roundings_to_the_fee, dust_that_moves,
           coinbases_by_chance_1, dust_by_chance_1)


def files_of(tell):
    """The story's three files: ending -> text."""
    restart_nonces()
    story = tell()
    if tell is not not_all_final:
        story.checkpoint()
    with mock.patch.object(pen, "SEGMENT_POSITIONS", story.events[0]["segment_positions"]):
        data = segment_of(story)
    with pen.Folder({SEGMENT: data}) as folder:
        cat = pen.command(folder.path, "--cat")
    assert not cat.stderr, cat.stderr.decode()
    lines = cat.stdout.decode()
    answer = oracle.balances(lines.splitlines(), postings=True)
    by_hand = oracle.balances(story.provisional_lines(), postings=True)
    assert answer == by_hand, "the ledger's lines and the story's give other balances"
    text = data.hex()
    width = 2 * LINE_BYTES
    return {"hex": "".join(text[start:start + width] + "\n" for start in range(0, len(text), width)), "jsonl": lines,
            "json": json.dumps(answer, sort_keys=True, indent=1) + "\n"}


def main():
    for tell in STORIES:
        for ending, text in files_of(tell).items():
            (HERE / f"{tell.__name__}.{ending}").write_text(text)
        print(tell.__name__)


if __name__ == "__main__":
    main()
