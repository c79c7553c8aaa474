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

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import ledger_pen as pen  # noqa: E402
import oracle  # noqa: E402
from oracle_pen import *  # noqa: E402,F403

ID = bytes.fromhex(LEDGER.replace("-", ""))
SEEDS = {"desk": pen.DESK, "gate": pen.GATE, "gate2": pen.GATE2, "clone": pen.GATE, "keeper": pen.KEEPER,
         "settler": pen.SETTLER, "settler2": pen.SETTLER}
SEGMENT = "00000000000000000000.open"
LINE_BYTES = 48


# ---- from a story to bytes -------------------------------------------------------------------------------------------

def genesis_bytes(fields):
    roles = {"desk": 1, "gate": 2, "gate2": 2, "keeper": 3, "settler": 4}
    producers = sorted((pen.public(SEEDS[name]), bytes([role])) for name, role in roles.items())
    (what, needed), = fields["approvals"]
    ethash = fields["algorithm"] == "ethash"
    return pen.event(1, ID + pen.le(4, 1) + pen.short(b"dev") + pen.le(1, 4 if ethash else 1) + b"\x08" + bytes.fromhex(fields["chain"])
                     + pen.le(4, fields["segment_positions"]) + pen.le(8, fields["segment_bytes"]) + b"\1"
                     + pen.le(1, len(APPROVERS)) + b"".join(map(public, APPROVERS)) + bytes([1, what, needed])
                     + pen.le(1, len(producers)) + b"".join(key + role for key, role in producers)
                     + pen.entries_bytes([*pen.ALL_KINDS, 23, 24] if ethash else pen.ALL_KINDS) + oracle.policy_bytes(fields["policy"]))


def fields_bytes(kind, e):
    """(kind's number, fields) of an event as JSON has it."""
    hexes = {name: bytes.fromhex(value) for name, value in e.items()
             if name in ("hash", "coinbase_txid", "header", "thing", "approver", "signature", "prev", "extranonce2", "seal", "seed")}
    expects = struct.pack("<QH", *e["expects"]) if "expects" in e else b""
    money = b"".join(pen.le(16, int(e[name])) for name in ("value", "fees") if "value" in e)
    if kind == "policy":
        return 4, expects + oracle.policy_bytes(e["policy"])
    if kind == "approval":
        return 5, hexes["thing"] + hexes["approver"] + hexes["signature"]
    if kind == "ban":
        return 11, (b"\1\3" + pen.short(e["target"].removeprefix("name:").encode()) + b"\1" + pen.le(8, e["until_ms"])
                    + expects + pen.short(e["reason"].encode()))
    if kind == "adjustment":
        return 12, oracle.adjustment_bytes(e)
    if kind == "heartbeat":
        return 7, b""
    if kind == "worker":
        return 16, (struct.pack("<IH", e["number"], e["pot"]) + pen.short(b"\xaa\xbb") + b"\4" + pen.le(4, 0)
                    + b"\3" + pen.short(e["account"].removeprefix("name:").encode()) + pen.short(b"rig"))
    if kind == "job":
        return 18, (pen.le(4, e["number"]) + struct.pack("<QH", *e["policy"]) + pen.le(8, e["height"])
                    + b"".join(pen.le(16, int(e[name])) for name in ("network_work", "reward", "fees"))
                    + pen.le(4, e["version"]) + hexes["prev"] + pen.le(4, e["nbits"]) + pen.le(4, e["job_time"])
                    + b"\1" + pen.long(b"\1") + pen.long(b"\2") + b"\0")
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
        state = 1 + ("seen", "immature", "confirmed", "orphaned").index(e["state"])
        return 21, hexes["hash"] + expects + bytes([state]) + pen.le(8, e["height"]) + money
    if kind == "block_recovered":
        return 22, hexes["hash"] + pen.le(8, e["height"]) + expects + hexes["coinbase_txid"] + money
    assert kind == "moved", kind
    nobody = 0xFFFFFFFF
    numbers = [nobody if e[name] is None else e[name] for name in ("worker", "job")]
    return 10, (bytes.fromhex(e["from"].replace("-", "")) + struct.pack("<IQQII", e["from_epoch"], e["from_seq"],
                e["base_time"], *numbers) + pen.event(*fields_bytes(e["event"]["kind"], e["event"])))


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
    credits = {share.at: share for share in made.shares}
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
    things = [oracle.thing_of(ID, (0, 0), policy) for policy in (first, second)]
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
    things = [oracle.digest_of(ID, 12, oracle.adjustment_bytes(said)) for said in (finder, back, alone)]
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
    yes = {id(said): [approval(oracle.digest_of(ID, 12, oracle.adjustment_bytes(said)), number) for number in (0, 1)]
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


def not_all_final():
    story = settle(with_shares([("ann", 3), ("cat", 2)]), "a", ("immature", 50))
    story.checkpoint()
    story.settle(status("a", "confirmed", (3, 0)))
    return story


STORIES = (window_unfilled, window_exactly_filled, window_cut_inside_a_share, window_cut_inside_the_finding_share,
           split_with_everything, orphan_and_return, change_of_value, late_reorganisation, two_blocks_at_one_height,
           two_pots_and_two_streams, void_job_and_unknown_pot, nothing_in_the_window, policies, moved_once,
           epochs_number_anew, two_settlers, recovered_blocks, adjustments, adjustments_waiting, one_hash_twice,
           not_all_final, moved_once_in_ethash, two_pots_in_ethash)


def files_of(tell):
    """The story's three files: ending -> text."""
    restart_nonces()
    story = tell()
    if tell is not not_all_final:
        story.checkpoint()
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
