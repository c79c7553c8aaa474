"""Writes small ledgers for test_reader.py, by an encoder of its own: from LEDGER-FORMAT.md, like the reader, and from
nothing of ours."""
import contextlib
import functools
import hashlib
import io
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import reader  # noqa: E402

# ---- the encoder's own primitives: nothing of the reader's is used -------------------------------------------------

Q = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE_D = -121665 * pow(121666, Q - 2, Q) % Q


def affine_add(a, b):
    """Twisted Edwards addition on (x, y, z) projective points."""
    (x1, y1, z1), (x2, y2, z2) = a, b
    zz = z1 * z2 % Q
    z4, c, d = zz * zz % Q, x1 * x2 % Q, y1 * y2 % Q
    e = CURVE_D * c * d % Q
    f, g = z4 - e, z4 + e
    return (zz * f * ((x1 + y1) * (x2 + y2) - c - d) % Q, zz * g * (d + c) % Q, f * g % Q)


def times(scalar, point):
    result = (0, 1, 1)
    while scalar:
        if scalar & 1:
            result = affine_add(result, point)
        point = affine_add(point, point)
        scalar >>= 1
    return result


def compress(point):
    z = pow(point[2], Q - 2, Q)
    return (point[1] * z % Q | (point[0] * z % Q & 1) << 255).to_bytes(32, "little")


BASE = (15112221349535400772501151409588531511454012693041857206046113283949847762202,
        46316835694926478169428394003475163141307993866256225615783033603165251855960, 1)


@functools.lru_cache(maxsize=None)
def secret_of(seed):
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
    return scalar, digest[32:], compress(times(scalar, BASE))


def public(seed):
    return secret_of(seed)[2]


@functools.lru_cache(maxsize=None)
def sign(seed, message):
    scalar, prefix, key = secret_of(seed)
    r = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % ORDER
    point = compress(times(r, BASE))
    h = int.from_bytes(hashlib.sha512(point + key + message).digest(), "little")
    return point + ((r + h * scalar) % ORDER).to_bytes(32, "little")


def crc(data):
    register = 0xFFFFFFFF
    for byte in data:
        register = CRC_BYTES[(register ^ byte) & 255] ^ register >> 8
    return register ^ 0xFFFFFFFF


def crc_byte(byte):
    for _ in range(8):
        byte = byte // 2 ^ 0x82F63B78 * (byte % 2)
    return byte


CRC_BYTES = [crc_byte(byte) for byte in range(256)]


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def merkle(entries):
    """RFC 6962, 2.1, word by word."""
    if len(entries) < 2:
        return sha(b"\0", entries[0]) if entries else sha()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return sha(b"\1", merkle(entries[:split]), merkle(entries[split:]))


def leb(number):
    out = []
    while True:
        number, low = divmod(number, 128)
        out.append(low + 128 * (number > 0))
        if not number:
            return bytes(out)


def le(size, number):
    return number.to_bytes(size, "little")


def short(data):
    return le(1, len(data)) + data


def long(data):
    return le(2, len(data)) + data


def at(position, index):
    return struct.pack("<QH", position, index)


# ---- the encoder: events, frames, segments -------------------------------------------------------------------------

LEDGER = bytes.fromhex("0190aaaa000070008000000000000001")
DESK, GATE, GATE2, KEEPER, SETTLER, LATE, PAYER = (bytes([n]) * 32 for n in range(1, 8))
APPROVERS = sorted((bytes([n]) * 32 for n in (11, 12)), key=public)
STRANGER = bytes([77]) * 32
ALL_KINDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 21, 22, 26, 27, 28, *range(32, 41)]
START = 1_800_000_000_000
SEGMENT_POSITIONS = 22


def event(kind, fields=b"", dt=0):
    return struct.pack("<BBHI", kind, 0, 8 + len(fields), dt) + fields


def policy_bytes(*pots):
    out = le(1, len(pots))
    for pot, scheme, stale_ppm, *direct in pots:
        out += struct.pack("<HBQIIIBQH", pot, scheme, 2_000_000, 10_000, 0, stale_ppm, 1, *(direct or (0, 0)))
    return out + struct.pack("<III", 3, 100, 6) + le(16, 5_000_000) + le(8, 60_000) + b"\1" + le(16, 10**20) + struct.pack("<IIQB", 6, 12, 2**40, 1)


def entries_bytes(kinds=ALL_KINDS):
    return le(1, len(kinds)) + b"".join(bytes([kind, 0]) for kind in kinds)


def genesis_event(policy, algorithm=1, kinds=ALL_KINDS, approvals=((2, 2),)):
    producers = sorted((public(seed), bytes([role])) for seed, role in
                       ((DESK, 1), (GATE, 2), (GATE2, 2), (KEEPER, 3), (SETTLER, 4), (PAYER, 5)))
    return event(1, LEDGER + le(4, 1) + short(b"test-coin") + le(1, algorithm) + b"\x08" + b"\x0f" * 32 + le(4, SEGMENT_POSITIONS)
                 + le(8, 65_536) + b"\1" + le(1, 2) + b"".join(map(public, APPROVERS)) + le(1, len(approvals)) + b"".join(map(bytes, approvals))
                 + le(1, len(producers)) + b"".join(key + role for key, role in producers)
                 + entries_bytes(kinds) + policy)


def worker_event(number, pot, account, name=b"rig-1"):
    return event(16, struct.pack("<IH", number, pot) + short(b"\xaa\xbb") + b"\4" + le(4, 0x1FFFE000) + account
                 + short(name))


def job_event(number, policy, network_work=10**9):
    return event(18, le(4, number) + policy + le(8, 700) + le(16, network_work) + le(16, 5_000) + le(16, 12)
                 + le(4, 0x20000000) + b"\x33" * 32 + le(4, 0x1D00FFFF) + le(4, 1_800_000_000) + b"\1"
                 + long(b"\1\2\3") + long(b"\4") + b"\1" + b"\x44" * 32 + bytes(8))


def share_event(worker, job, work, flags=0, dt=0, extranonce2=b"\x0a\x0b"):
    return event(19, struct.pack("<IIQHIII", worker, job, work, flags, 9, 8, 7) + extranonce2, dt)


def found_event(dt=0):
    return event(20, b"\x55" * 32 + le(8, 700) + b"\x66" * 32 + short(b"\x77" * 80), dt)


SEAL = b"\x5e" * 32


def ethash_job_event(number, policy, network_work=10**9, fees=12):
    return event(23, le(4, number) + policy + le(8, 700) + le(16, network_work) + le(16, 5_000) + le(16, fees)
                 + SEAL + b"\x5d" * 32 + le(4, 1_800_000_000) + b"\1")


def ethash_share_event(worker, job, work, flags=0, dt=0, nonce=0xA100031F08AA5B9C):
    return event(24, struct.pack("<IIQHQ", worker, job, work, flags, nonce), dt)


def ethash_found_event(dt=0, nonce=0xA100031F08AA5B9C, **changes):
    header = SEAL + nonce.to_bytes(8, "big") + b"\x31" * 32
    said = {"hash": sha(header[:40]), "txid": bytes(32), "header": header} | changes
    return event(20, said["hash"] + le(8, 700) + said["txid"] + short(said["header"]), dt)


def moved_event(stream, epoch, seq, base_time, inner, worker=0xFFFFFFFF, job=0xFFFFFFFF):
    return event(10, stream + struct.pack("<IQQII", epoch, seq, base_time, worker, job) + inner)


def recovered_event(height, expects, value, fees, dt=0):
    return event(22, b"\x58" * 32 + le(8, height) + expects + b"\x68" * 32 + le(16, value) + le(16, fees), dt)


def ban_event(target, expects, action=1, until=0, reason=b"botnet"):
    return event(11, target + le(1, action) + le(8, until) + expects + short(reason))


def adjustment_event(account, expects, amount, book=1, direction=1, block=bytes(32), reason=b"paid twice"):
    return event(12, account + expects + le(1, book) + le(1, direction) + le(16, amount) + block + short(reason))


def void_event(share, first, expects=bytes(10)):
    return event(25, share + first + expects)


def account_event(name, expects, payout=b"\1\1\x51", threshold=0, token=bytes(32), flags=0, workers=()):
    return event(26, short(name) + expects + payout + le(16, threshold) + token + le(1, flags) + le(2, len(workers))
                 + b"".join(map(short, workers)))


def setting_event(account, expects, by, what, value, proof=b""):
    return event(27, account + expects + le(1, by) + le(1, what) + value + long(proof))


def mean_event(height, expects, mean):
    return event(28, le(8, height) + expects + le(16, mean))


def body_bytes(lines, blocks=()):
    return le(2, len(lines)) + b"".join(
        account + address + le(16, amount) + le(16, fee) for account, address, amount, fee in lines) \
        + le(2, len(blocks)) + b"".join(blocks)


def proposed_event(body, batch=0, expects=bytes(10), txs=1, lines=1, total=250_000, fee=141, positions=1,
                   digests=((b"http://one", b"\x61" * 32),)):
    return event(32, le(2, 0) + le(8, batch) + expects + le(2, txs) + le(2, lines) + le(16, total) + le(16, fee) + sha(body)
                 + le(8, positions) + le(1, len(digests)) + b"".join(short(who) + digest for who, digest in digests))


def tx_of(expects=bytes(10), batch=0, tx=0):
    return le(2, 0) + le(8, batch) + le(2, tx) + expects


def signed_event(expects=bytes(10), fee=300, spends=b"\x62" * 36, raw=b"\x02\0"):
    return event(33, tx_of(expects) + b"\x63" * 32 + le(16, fee) + short(spends) + sha(raw) + long(raw))


def step_event(step, expects=bytes(10), height=0, block=bytes(32), fee=0):
    return event(34, tx_of(expects) + le(1, step) + b"\x63" * 32 + le(8, height) + block + le(16, fee))


def cancelled_event(expects=bytes(10), by=bytes(32), height=0, fee=0, reason=b"gone"):
    return event(35, tx_of(expects) + by + le(8, height) + le(16, fee) + short(reason))


def halt_event(reason=b"they differ"):
    return event(36, le(2, 0) + short(reason))


def resume_event(expects=bytes(10), reason=b"mended"):
    return event(37, le(2, 0) + expects + short(reason))


def dust_event(owners, expects=bytes(10), cutoff=0, to=2, reason=b"silent"):
    return event(39, le(8, cutoff) + le(1, to) + le(2, len(owners)) + b"".join(owners) + expects + short(reason))


def reconciled_event(position, differences=0, report=b""):
    return event(40, le(2, 0) + le(8, position) + b"\x37" * 32 + le(16, 2**128 - 1) + le(16, 9) + struct.pack("<III", 12, 3, differences)
                 + long(report))


def write_off_event(account, expects=bytes(10), reason=b"gone"):
    return event(38, account + expects + short(reason))


def thing_of(thing):
    return sha(b"orebook/thing/0\n", LEDGER, thing[:2], thing[8:])


def approval_event(thing, seed, signature=None):
    signature = signature or sign(seed, b"orebook/approval/0\n" + LEDGER + thing)
    return event(5, thing + public(seed) + signature)


def summary_bytes(pots):
    """pots: {pot: (effort, {worker: (count, credit)})}"""
    out, last = leb(len(pots)), 0
    for pot in sorted(pots):
        effort, rows = pots[pot]
        out += leb(pot - last) + leb(effort) + leb(len(rows))
        last, last_worker = pot, 0
        for worker in sorted(rows):
            out += leb(worker - last_worker) + leb(rows[worker][0]) + leb(rows[worker][1])
            last_worker = worker
    return out


def record(kind, payload):
    head = b"ORER" + bytes([kind, 0, 0, 0]) + le(4, len(payload))
    data = head + le(4, crc(head)) + payload + le(4, crc(payload))
    return data + bytes(-len(data) % 8)


class Stream:
    def __init__(self, number, seed):
        self.uuid = bytes.fromhex("0190bbbb00007000800000000000%04x" % number)
        self.seed, self.seq, self.previous, self.epoch = seed, 0, bytes(32), 0


class Pen:
    """Writes a ledger. changes: name of a step -> arguments of frame() that this step shall have instead."""

    def __init__(self, changes):
        self.changes, self.entries, self.time, self.clock = changes, [], 0, START
        self.files = {}
        self.closures, self.steps = [], {}
        self.start_segment()

    def start_segment(self):
        head = b"ORESEG0\n" + LEDGER + le(8, len(self.entries)) + merkle(self.entries)
        self.first, self.data = len(self.entries), head + le(4, crc(head)) + bytes(4)
        self.offsets, self.index, self.closed = [], [], 0

    def seal(self, **change):
        n = len(self.offsets)
        parts = {"first": le(8, self.first), "positions": le(4, n), "closures": le(4, self.closed),
                 "root": merkle(self.entries), "hash": sha(self.data),
                 "offsets": b"".join(le(8, offset) for offset in self.offsets),
                 "index": b"".join(stream + le(8, seq) + le(8, at) for stream, seq, at in sorted(self.index))}
        self.data += record(3, b"".join((parts | change).values()))
        self.files["%020d.seg" % self.first] = self.data
        self.start_segment()

    def header(self, who, events, summary=b"\0", **change):
        key = change.pop("seed", who.seed)
        body = b"".join(events)
        fields = {
            "magic": b"OREF", "version": le(4, 0), "ledger": LEDGER, "stream": who.uuid, "coin": le(4, 1),
            "epoch": le(4, who.epoch), "first_seq": le(8, who.seq), "count": le(4, len(events)),
            "body_len": le(4, len(body)), "base_time": le(8, self.clock),
            "last_time": le(8, self.clock + int.from_bytes(events[-1][4:8], "little")), "previous": who.previous,
            "events_root": merkle(events), "summary_hash": sha(summary),
            "kinds": le(8, sum(1 << kind for kind in {e[0] for e in events})), "schema_set": le(4, 0),
            "summary_len": le(4, len(summary)), "key": public(key)}
        data = b"".join((fields | change).values())
        assert len(data) == 224
        return data + sign(key, b"orebook/frame/0\n" + data)

    def frame(self, name, stream, events, **arguments):
        arguments = {"events": events, "summary": b"\0"} | arguments | self.changes.get(name, {})
        append = arguments.pop("append", self.clock + 5)
        tamper = {key: arguments.pop(key) for key in ("position", "ledger_time", "bad_signature") if key in arguments}
        if len(self.offsets) == SEGMENT_POSITIONS:
            self.seal()
        header = self.header(stream, **arguments)
        if "bad_signature" in tamper:
            header = header[:230] + bytes([header[230] ^ 1]) + header[231:]
        last_time = int.from_bytes(header[72:80], "little")
        self.time = tamper.get("ledger_time", max(self.time, min(append, last_time + 600_000)))
        position = len(self.entries)
        self.steps[name] = position
        self.offsets.append(len(self.data))
        self.index.append((stream.uuid, int.from_bytes(header[48:56], "little"), position))
        self.data += record(1, struct.pack("<QQQ", tamper.get("position", position), self.time, append)
                            + header + arguments["summary"] + b"".join(arguments["events"]))
        self.entries.append(le(8, position) + le(8, self.time) + header)
        stream.seq, stream.previous = stream.seq + len(arguments["events"]), sha(header)
        self.clock += 1_000
        return position

    def closure(self, name, header):
        change = self.changes.get(name, {})
        position = change.get("position", len(self.entries))
        self.data += record(2, le(8, position) + le(8, self.clock) + change.get("header", header))
        self.closed += 1
        self.closures.append(header)

    def checkpoint(self, name, stream, size, root=None, **arguments):
        said = le(8, size) + (root or merkle(self.entries[:size]))
        signature = arguments.pop("inner", None) or sign(stream.seed, b"orebook/checkpoint/0\n" + LEDGER + said)
        self.frame(name, stream, [event(6, said + signature)], **arguments)

    def finish(self):
        self.files["%020d.open" % self.first] = self.data + bytes(1000)
        return self


POTS = ((1, 1, 500_000), (2, 4, 0))


@functools.lru_cache(maxsize=1)
def plain_story():
    return story()


def story(**changes):
    """The ledger of these tests. changes: step name with _ for space -> arguments of Pen.frame."""
    pen = Pen({name.replace("_", " "): change for name, change in changes.items()})
    desk, gate, keeper = Stream(1, DESK), Stream(2, GATE), Stream(3, KEEPER)
    pen.frame("genesis", desk, [genesis_event(policy_bytes(*POTS))])
    pen.frame("workers", gate, [
        worker_event(0, 1, b"\1" + short(b"\x51")), worker_event(1, 2, b"\2" + short(b"\xee" * 20)),
        worker_event(2, 1, b"\3" + short(b"some_one-1"), b"a.b"), event(17, le(4, 0) + le(8, 1_000)),
        job_event(0, at(0, 0)), share_event(0, 0, 1_000, dt=40)],
        summary=summary_bytes({1: (0, {0: (1, 0)})}))          # void: no checkpoint yet
    pen.checkpoint("checkpoint", keeper, 2)
    pen.frame("shares", gate, [
        job_event(1, at(0, 0)), share_event(0, 1, 1_000), share_event(0, 1, 3, 2), share_event(2, 1, 5, 2),
        share_event(1, 1, 7), share_event(1, 1, 11, 2, dt=3), share_event(2, 1, 2_000_000, 1, dt=4),
        found_event(dt=4), share_event(0, 0, 9, dt=5)],
        summary=summary_bytes({1: (1_000_000 + 1_000 + 2_000 + 2_000_000_000, {0: (3, 1_001), 2: (2, 2_000_002)}),
                               2: (7_000, {1: (2, 7)})}))
    policy = event(4, at(0, 0) + policy_bytes((1, 1, 250_000, 2**64 - 1, 500), (3, 2, 1_000_000)))
    pen.frame("policy", desk, [policy, approval_event(thing_of(policy), APPROVERS[0]),
                               approval_event(thing_of(policy), APPROVERS[0]),      # the same one again
                               approval_event(thing_of(policy), STRANGER),
                               approval_event(thing_of(policy), APPROVERS[1], bytes(64))])
    pen.frame("approval", desk, [approval_event(thing_of(policy), APPROVERS[1])])
    pen.frame("void job", gate, [job_event(2, at(4, 0)), share_event(0, 2, 100)],
              summary=summary_bytes({1: (0, {0: (1, 0)})}))
    pen.checkpoint("second checkpoint", keeper, 6)             # covers position 5, where the policy took effect
    pen.frame("new policy", gate, [
        job_event(3, at(4, 0), 3 * 10**12), share_event(0, 3, 10, 2), share_event(1, 3, 10), share_event(1, 3, 10, 2),
        share_event(0, 2, 10)],
        summary=summary_bytes({1: (0, {0: (2, 2)}), 2: (3, {1: (2, 10)})}))      # 2 / 3 and 10 / 3, rounded down
    late = event(3, public(LATE) + b"\4\1" + at(0, 0))
    pen.frame("key", desk, [approval_event(thing_of(late), APPROVERS[0]), late])   # the approval comes before
    settler = Stream(4, LATE)
    pen.frame("status", settler, [event(21, b"\x55" * 32 + at(0, 0) + b"\2" + struct.pack("<Q", 700) + le(16, 2**70)
                                        + le(16, 12)), recovered_event(701, at(0, 0), 2**70, 2**70)],
              append=pen.clock + 700_000)
    pen.frame("note", keeper, [event(8, b"\2" + long('Grüße "an" \\ alle'.encode())),
                               event(9, b"\x99" * 32 + le(2, 1) + le(2, 2) + long(b"part"))], append=0)
    pen.frame("set", desk, [event(2, le(4, 9) + entries_bytes([7, 10, 16, 18]))])
    pen.frame("beat", gate, [event(7)], schema_set=le(4, 9))
    pen.checkpoint("wrong checkpoint", keeper, 3, b"\x13" * 32)
    lost = pen.clock                                           # what gate would have said next, and did not get in
    old = GateMemory(gate, lost)
    pen.closure("closure", pen.header(gate, [event(7)], first_seq=le(8, gate.seq - 1)))
    gate2 = Stream(5, GATE)
    pen.frame("moved", gate2, [
        worker_event(0, 2, b"\1" + short(b"\x52")), job_event(0, at(4, 0)),
        moved_event(gate.uuid, 0, 7, START + 3_000, share_event(0, 1, 1_000), 0, 0),     # admitted: does not count
        moved_event(gate.uuid, 0, old.seq, lost, share_event(1, 3, 50, 1, dt=6), 0, 0),
        moved_event(gate.uuid, 0, old.seq + 1, lost, found_event(dt=6)),
        moved_event(gate.uuid, 0, old.seq, lost, share_event(1, 3, 50, 1, dt=6), 0, 0),  # counted before
        share_event(0, 0, 4)], summary=summary_bytes({2: (4_000, {0: (1, 4)})}))
    gate2.epoch = 3
    pen.frame("epoch", gate2, [worker_event(0, 1, b"\1" + short(b"\x53")), job_event(0, at(4, 0)),
                               share_event(0, 0, 4)], summary=summary_bytes({1: (4_000, {0: (1, 4)})}))
    gone = event(3, public(LATE) + b"\4\2" + at(9, 1))
    pen.frame("revoked", desk, [gone, approval_event(thing_of(gone), APPROVERS[1])])
    banned = ban_event(b"\1\1" + short(b"\x52"), at(0, 0))
    network = ban_event(b"\2" + short(bytes.fromhex("20010db8") + bytes(12)) + b"\x20", at(0, 0), 1, 2**63, b'"~\\')
    finder = adjustment_event(b"\3" + short(b"some_one-1"), at(0, 0), 2**80 * 10**9, block=b"\x58" * 32)
    pen.frame("desk", desk, [banned, network, finder, approval_event(thing_of(finder), APPROVERS[1])])
    pen.frame("lift", desk, [ban_event(b"\1\1" + short(b"\x52"), at(len(pen.entries) - 1, 0), 2, 0, b"it was not he")])
    ann, here = b"\3" + short(b"ann"), len(pen.entries)
    pen.frame("accounts", desk, [
        account_event(b"ann", at(0, 0), threshold=250_000, token=b"\x5c" * 32, workers=[b"a", b"rig-2"]),
        setting_event(ann, at(0, 0), 2, 2, b"\2" + short(b"\xee" * 20), b"\7\7"),
        setting_event(ann, at(0, 0), 1, 3, le(4, 1)), setting_event(ann, at(0, 0), 1, 1, le(16, 9))])    # too late
    pen.frame("changes", desk, [
        account_event(b"ann", at(here, 0), b"\2" + short(b"\xee" * 20), flags=1),
        setting_event(ann, at(here, 1), 3, 3, le(4, 20_000), b"x"), setting_event(ann, at(here, 2), 3, 4, b"", b"\1")])
    pen.frame("mean", Stream(6, SETTLER), [
        mean_event(840_001, at(0, 0), 2**80),
        event(21, b"\x56" * 32 + at(0, 0) + b"\5" + struct.pack("<Q", 700) + le(16, 7) + le(16, 0))])
    body, here = body_bytes([(ann, b"\1\1\x51", 250_000, 141)], [b"\x56" * 32]), len(pen.entries)
    pen.frame("payout", Stream(7, PAYER), [
        event(9, sha(body) + le(2, 0) + le(2, 1) + long(body)), proposed_event(body), signed_event(), step_event(1),
        step_event(3, height=701, block=b"\x64" * 32, fee=281), cancelled_event(), cancelled_event(by=b"\x65" * 32, height=9, fee=2),
        halt_event(), reconciled_event(1, 2, b"a\nb\n")])
    owed = write_off_event(ann)
    pen.frame("owed", desk, [resume_event(at(here, 0)), halt_event(b"I say so"), owed, approval_event(thing_of(owed), APPROVERS[0]),
                             approval_event(thing_of(owed), APPROVERS[1]), dust_event([ann])])
    while len(pen.entries) < SEGMENT_POSITIONS + 5:
        pen.frame(f"beat {len(pen.entries)}", desk, [event(7)])
    pen.checkpoint("last checkpoint", keeper, SEGMENT_POSITIONS + 1)
    pen.frame("last", desk, [event(7)])
    return pen.finish()


def ethash_story(**changes):
    """A ledger of etchash: a void job, a block, and what a second stream moves of the first."""
    pen = Pen({name.replace("_", " "): change for name, change in changes.items()})
    desk, gate, keeper, gate2 = Stream(1, DESK), Stream(2, GATE), Stream(3, KEEPER), Stream(5, GATE)
    pen.frame("genesis", desk, [genesis_event(policy_bytes(*POTS), 5, sorted([*ALL_KINDS, 23, 24, 25]))])
    pen.frame("void", gate, [
        worker_event(0, 1, b"\2" + short(b"\xee" * 20)), worker_event(1, 2, b"\3" + short(b"some_one-1")),
        ethash_job_event(0, at(0, 0)), ethash_share_event(0, 0, 1_000)], summary=summary_bytes({1: (0, {0: (1, 0)})}))
    pen.checkpoint("checkpoint", keeper, 2)
    pen.frame("shares", gate, [
        ethash_job_event(1, at(0, 0)), ethash_share_event(0, 1, 1_000), ethash_share_event(0, 1, 3, 2),
        ethash_share_event(1, 1, 7, nonce=0), ethash_share_event(0, 1, 2_000_000, 1, dt=4), ethash_found_event(dt=4)],
        summary=summary_bytes({1: (2_001_001_000, {0: (3, 2_001_001)}), 2: (7_000, {1: (1, 7)})}))
    lost, seq = pen.clock, gate.seq
    moved = [ethash_share_event(0, 1, 9, 1, nonce=5), ethash_found_event(nonce=5)]
    pen.frame("moved", gate2, [
        worker_event(0, 1, b"\2" + short(b"\xee" * 20)), ethash_job_event(0, at(0, 0)),
        moved_event(gate.uuid, 0, 5, START + 3_000, ethash_share_event(0, 1, 1_000), 0, 0),   # admitted: does not count
        moved_event(gate.uuid, 0, seq, lost, moved[0], 0, 0), moved_event(gate.uuid, 0, seq + 1, lost, moved[1]),
        ethash_share_event(0, 0, 4, dt=1)], summary=summary_bytes({1: (4_000, {0: (1, 4)})}))
    pen.frame("twice", keeper, [void_event(at(4, 3), at(3, 1))])
    pen.checkpoint("last checkpoint", keeper, 6)
    return pen.finish()


class GateMemory:
    def __init__(self, stream, clock):
        self.seq, self.clock = stream.seq, clock


# ---- reading back --------------------------------------------------------------------------------------------------

class Folder:
    def __init__(self, files):
        self.holder = tempfile.TemporaryDirectory(prefix="orebook-reader-")
        self.path = Path(self.holder.name)
        (self.path / "segments").mkdir()
        for name, data in files.items():
            (self.path / "segments" / name).write_bytes(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.holder.cleanup()

    def read(self, **options):
        """The reader that read it, and the fault's text or None."""
        notes, lines = [], []
        found = reader.Reader(self.path, note=notes.append, **options)
        found.notes = notes
        try:
            found.read()
        except reader.Fault as fault:
            return found, f"{found.place()}: {fault}"
        return found, None


def fault_of(pen, **options):
    with Folder(getattr(pen, "files", pen)) as folder:
        return folder.read(**options)[1]


def command(folder, *arguments):
    return subprocess.run([sys.executable, HERE / "reader.py", folder, *arguments], capture_output=True, check=False)


def seal_again(data, offset, bit):
    """Flips a bit in the payload of the record at the offset, and mends the payload's CRC32C."""
    length = int.from_bytes(data[offset + 8:offset + 12], "little")
    data = bytearray(data)
    data[offset + 16 + bit // 8] ^= 1 << bit % 8
    end = offset + 16 + length
    data[end:end + 4] = le(4, crc(data[offset + 16:end]))
    return bytes(data)
