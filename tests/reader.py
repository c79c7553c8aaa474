#!/usr/bin/env python3
"""The independent reader of the Orebook ledger, format 0.

Written from schema/LEDGER-FORMAT.md alone ("the page"); numbers in the comments are the page's sections. It reads
DIR/segments/ record by record, recomputes every checksum, hash, root, summary and signature, judges every frame by
section 6 from the frames before it, and stops at the first fault. With --cat it prints the ledger as section 9 says.
What is inside a body is in reader_events.py.
In memory it keeps two tree hashes and 16 bytes of index for a position; everything else is read and let go.
"""
import argparse, hashlib, json, re, signal, struct, sys
from array import array
from bisect import bisect_right
from collections import namedtuple
from functools import lru_cache
from pathlib import Path

from reader_events import Event, Fault, Fields, JOBS, KINDS, PPM, Plain, SHARES, Uuid, need, pays_direct_where_it_can

# ==== 1. Primitives: checksums, hashes, trees =========================================================================
def shift_crc(crc, bits):
    for _ in range(bits):                          # Castagnoli's polynomial, reflected
        crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc

CRC_TABLE = [shift_crc(word, 16) for word in range(1 << 16)]
def crc32c(data):
    words, crc, table = array("H", data[:len(data) & ~1]), 0xFFFFFFFF, CRC_TABLE
    if sys.byteorder == "big":
        words.byteswap()
    for word in words:
        crc = table[(crc ^ word) & 0xFFFF] ^ crc >> 16
    if len(data) & 1:
        crc = shift_crc(crc ^ data[-1], 8)
    return crc ^ 0xFFFFFFFF
def sha256(data):
    return hashlib.sha256(data).digest()
class Tree:
    """A growing RFC 6962 tree that knows its root at every size it has had: all whole subtrees, level by level."""
    def __init__(self, entries=()):
        self.levels = [bytearray()]
        for entry in entries:
            self.append(entry)

    def append(self, entry):
        level, node = 0, sha256(b"\0" + entry)
        while True:
            if level == len(self.levels):
                self.levels.append(bytearray())
            row = self.levels[level]
            row += node
            if len(row) % 64:
                return
            level, node = level + 1, sha256(b"\1" + row[-64:])

    def root(self, size=None):
        root, size = b"", len(self.levels[0]) // 32 if size is None else size
        for level, row in enumerate(self.levels):
            whole = size >> level
            if whole & 1:
                node = row[32 * whole - 32:32 * whole]
                root = sha256(b"\1" + node + root) if root else bytes(node)
        return root or sha256(b"")
def varint(number):
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)

# ==== 1. Ed25519: RFC 8032 without cofactor, strict. A point is (X, Y, Z, T): x = X/Z, y = Y/Z, xy = T/Z ==============
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
D2 = 2 * D % P
IDENTITY, BASE = (0, 1, 1, 0), (4 * pow(5, -1, P) % P).to_bytes(32, "little")

def add(point, other):
    """The formula is complete: it also doubles."""
    (x1, y1, z1, t1), (x2, y2, z2, t2) = point, other
    a, b, c, d = (y1 - x1) * (y2 - x2), (y1 + x1) * (y2 + x2), t1 * t2 % P * D2, 2 * z1 * z2
    e, f, g, h = (b - a) % P, (d - c) % P, (d + c) % P, (b + a) % P
    return e * f % P, g * h % P, f * g % P, e * h % P
def is_small_order(point):
    for _ in range(3):
        point = add(point, point)
    return point[0] == 0 and point[1] == point[2]
def encode_point(point):
    inverse = pow(point[2], -1, P)
    return (point[1] * inverse % P | (point[0] * inverse % P & 1) << 255).to_bytes(32, "little")
def decode_point(data):
    """The point of an encoding, or None: y >= p and encodings of no point are refused."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (v * x * x - u) % P or (x == 0 and sign):
        return None
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P
def comb(point):
    """comb[i][j] = j * 16^i * point: a multiple of the point then costs 64 additions and no doubling."""
    rows = []
    for _ in range(64):
        multiples = [IDENTITY]
        for _ in range(16):
            multiples.append(add(multiples[-1], point))
        point = multiples.pop()
        rows.append(multiples)
    return rows
@lru_cache(maxsize=256)
def comb_of(key, negated):
    """The comb of A or -A, or None if the key is refused. A ledger has few keys and each signs much: this pays."""
    point = decode_point(key)
    if point is None or is_small_order(point):
        return None
    return comb((P - point[0], point[1], 1, P - point[3]) if negated else point)

def signature_is_right(key, message, signature):
    """SB = R + hA, asked as R = SB - hA. R is compared encoded, so an R with y >= p never equals."""
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L
    point, key_comb = IDENTITY, comb_of(key, True)
    if key_comb is None or s >= L:
        return False
    for base_row, key_row in zip(comb_of(BASE, False), key_comb):
        point = add(add(point, base_row[s & 15]), key_row[h & 15])
        s, h = s >> 4, h >> 4
    return encode_point(point) == r and not is_small_order(point)

# ==== 2. Frame ========================================================================================================
Header = namedtuple("Header", "magic version ledger stream coin epoch first_seq count body_len base_time last_time "
                    "previous events_root summary_hash kinds schema_set summary_len key signature raw")
def decode_header(raw):
    h = Header(*struct.unpack("<4sI16s16sIIQIIQQ32s32s32sQII32s64s", raw), raw)
    h = h._replace(kinds={kind for kind in range(64) if h.kinds >> kind & 1})
    need(h.magic == b"OREF" and h.version == 0, "malformed: magic or version of a frame")
    need(1 <= h.count <= 1_000, f"malformed: count {h.count}")
    need(8 <= h.body_len <= 49_152 and 1 <= h.summary_len <= 49_152, "malformed: body_len or summary_len")
    need(0 <= h.last_time - h.base_time < 2**32, "malformed: last_time is not base_time + a dt")
    need(h.kinds and h.kinds <= set(KINDS), f"malformed: kinds {sorted(h.kinds)}")
    return h
class Frame:
    """A frame that stands by itself: decoded, and all that its header says of its bytes is so (6, test 1)."""
    def __init__(self, data):
        need(len(data) >= 288, "malformed: a frame shorter than its header")
        self.header = h = decode_header(data[:288])
        need(len(data) == 288 + h.summary_len + h.body_len, "malformed: the frame's length is not what its header says")
        self.summary, body = data[288:288 + h.summary_len], data[288 + h.summary_len:]
        self.events = [Event(raw, h.base_time) for raw in split_body(body)]
        need(len(self.events) == h.count, f"malformed: count is {h.count}, events are {len(self.events)}")
        need(all(a.dt <= b.dt for a, b in zip(self.events, self.events[1:])), "malformed: dt is not ascending")
        need(self.events[-1].time == h.last_time, "malformed: last_time is not the last event's")
        need(Tree(event.raw for event in self.events).root() == h.events_root, "malformed: events_root")
        need({event.kind for event in self.events} == h.kinds, "malformed: kinds are not the body's")
        need(sha256(self.summary) == h.summary_hash, "malformed: summary_hash")
        for before, event in zip([None, *self.events], self.events):
            need(stands_right(before, event), "malformed: a block_found does not stand right after its share")
def split_body(body):
    offset = 0
    while offset < len(body):
        length = int.from_bytes(body[offset + 2:offset + 4], "little")
        need(8 <= length <= len(body) - offset, f"malformed: length {length} of an event")
        yield body[offset:offset + length]
        offset += length
def stands_right(before, event):
    """3: a block_found stands right after its share (flag 1), a moved one right after its moved share."""
    if event.kind == 20 and before and before.kind == 24:          # an ethash_share's has its nonce and name
        header, txid, name = (event.fields[field] for field in ("header", "coinbase_txid", "hash"))
        right = len(header) == 72 and header[32:40] == before.fields["nonce"] and name == sha256(header[:40])
        return before.fields["block"] and right and not any(txid)
    if event.kind == 20:
        return before and before.kind == 19 and before.fields["block"]
    if event.kind != 10 or event.fields["event"].kind != 20:
        return True
    if not before or before.kind != 10:
        return False
    share, block = before.fields, event.fields
    return stands_right(share["event"], block["event"]) and (
        share["from"], share["from_epoch"], share["from_seq"] + 1) == (
        block["from"], block["from_epoch"], block["from_seq"])

# ==== 4. Summary ======================================================================================================
class Summary:
    def __init__(self):
        self.pots = {}                             # pot -> [effort, {worker: [count, credit]}]

    def add(self, pot, share, job):
        credit = 0                                 # of a void job
        if job.stale_ppm is not None:
            credit = share["work"] * job.stale_ppm.get(pot, 0) // PPM if share["stale"] else share["work"]
        entry = self.pots.setdefault(pot, [0, {}])
        row = entry[1].setdefault(share["worker"], [0, 0])
        entry[0] += credit * 10**12 // job.network_work
        row[:] = row[0] + 1, row[1] + credit
    def encode(self):
        numbers, before_pot = [len(self.pots)], 0
        for pot, (effort, rows) in sorted(self.pots.items()):
            numbers += (pot - before_pot, effort, len(rows))
            before_pot, before_worker = pot, 0
            for worker, (count, credit) in sorted(rows.items()):
                numbers += (worker - before_worker, count, credit)
                before_worker = worker
        return b"".join(map(varint, numbers))

# ==== 6. Admission ====================================================================================================
Job = namedtuple("Job", "stale_ppm network_work")  # pot -> stale_ppm of the job's policy; None if the job is void
THINGS = {3: 1, 4: 2, 11: 3, 12: 4, 26: 5, 27: 6, 38: 9, 39: 10}  # kind of a thing -> the "what" of genesis' approvals

class Stream:
    def __init__(self, header):
        self.key, self.epoch, self.next_seq, self.last_hash = header.key, header.epoch, 0, bytes(32)
        self.closed, self.workers, self.jobs = False, [], []      # pot by worker number, Job by job number of the epoch
        self.first_seqs, self.places = array("Q"), array("Q")     # of its frames: file and offset
    def is_fork(self, header):
        is_next = (header.first_seq, header.previous) == (self.next_seq, self.last_hash)
        return header.first_seq <= self.next_seq and not is_next
    def need_announced(self, worker, job=None):
        announced = worker < len(self.workers) and (job is None or job < len(self.jobs))
        need(announced, f"malformed: worker {worker} or job {job} is not announced")
def subject(event):
    """Of a thing: its kind, and the key, the target, the account or the name; of a policy nothing more."""
    return event.kind, event.fields.get({3: "key", 11: "target", 12: "account", 26: "name", 27: "account",
                                          38: "account"}.get(event.kind))

class Ledger:
    """The state of section 6, a function of the prefix read."""
    def __init__(self, signatures, note):
        self.signatures, self.note, self.unchecked = signatures, note, None   # unchecked: whose signature was left out
        self.paths, self.offset = [], 0            # of the files read until here; of the record in the last of them
        self.position = self.events = self.time = self.final = 0
        self.tree, self.streams, self.genesis = Tree(), {}, None
        self.keys, self.schema_sets = {}, {}       # key in force -> role; number -> set of (kind, version)
        self.policies, self.schemes = {}, {}       # at -> (position of effect, pot -> stale_ppm); pot -> scheme
        self.pending, self.approvals = {}, {}      # thing -> [(at, event)]; thing -> set of approvers
        self.last_obeyed, self.moved = {}, set()   # subject -> at; what was counted as moved
        self.banned = set()                        # targets whose last ban or lift is a ban
        self.registered = {}                       # name -> its workers
    def admit(self, data, append_time, ledger_time):
        """Judges the frame of the next position, test by test, lets its effects take hold, and gives the frame."""
        frame = Frame(data)
        header = frame.header
        if self.position == 0:
            self.establish(frame)
        need(self.position == 0 or 1 not in header.kinds, "malformed: a genesis not in position 0")
        self.test_key(header)
        self.test_signature(header)
        stream = self.streams.get(header.stream) or Stream(header)
        self.test_order(stream, header)
        self.test_prefix(stream, frame)
        right = max(self.time, min(append_time, header.last_time + 600_000))                # 2: ledger time
        need(ledger_time == right, f"ledger time is {ledger_time}, should be {right}")
        self.streams[header.stream] = stream
        stream.first_seqs.append(header.first_seq)
        stream.places.append(len(self.paths) - 1 << 40 | self.offset)
        for index, event in enumerate(frame.events):
            self.effects((self.position, index), event, header)
        stream.next_seq, stream.last_hash = header.first_seq + header.count, sha256(header.raw)
        self.tree.append(struct.pack("<QQ", self.position, ledger_time) + header.raw)     # 2: leaf entry
        self.position, self.events, self.time = self.position + 1, self.events + header.count, ledger_time
        return frame
    def establish(self, frame):
        """5: the genesis frame, and what it sets."""
        h = frame.header
        need(h.count == 1 and frame.events[0].kind == 1, "malformed: position 0 is not a genesis alone")
        need(h.epoch == h.first_seq == h.schema_set == 0 and h.previous == bytes(32), "malformed: header of a genesis")
        self.genesis = fields = frame.events[0].fields
        self.keys, self.schema_sets[0] = dict(fields["producers"]), set(fields["schema_set"])
        need(self.keys.get(h.key) == "desk", "malformed: the genesis' key is not a desk among the producers")
        self.foreign = {18, 19} if fields["algorithm"] in ("ethash", "etchash") else {23, 24, 25}  # 3
        self.obey_policy((0, 0), fields["policy"])
    def test_key(self, header):
        """Tests 1 and 2, as far as a header goes."""
        ours = (header.ledger, header.coin) == (self.genesis["ledger"], self.genesis["coin"])
        need(ours, "malformed: a frame of another ledger or coin")
        need(not header.kinds & self.foreign, "malformed: work of another algorithm")
        need((header.first_seq == 0) == (header.previous == bytes(32)), "malformed: only first_seq 0 has previous zero")
        role, stream = self.keys.get(header.key), self.streams.get(header.stream)
        need(role, f"refused: key {header.key.hex()} is not in force")
        for kind in sorted(header.kinds):
            need(role in KINDS[kind][1], f"refused: role {role} may not say {KINDS[kind][0]}")
        need(stream is None or stream.key == header.key, "refused: the stream was opened by another key")
    def test_signature(self, header):
        due = self.signatures == "all" or self.signatures == "sample" and self.position % 16 == 0
        self.unchecked = None if due else (len(self.paths), self.offset, self.position, header)
        need(not due or is_signed(header), "refused: signature of a frame")
    def test_order(self, stream, header):
        """Tests 3 to 7. A duplicate that stands in the ledger is named a fork."""
        need(not stream.closed, "closed: the stream is closed")
        need(not stream.is_fork(header), "fork: a frame that is not its stream's next stands in the ledger")
        need(header.first_seq == stream.next_seq, f"gap: first_seq is {header.first_seq}, next is {stream.next_seq}")
        need(header.epoch >= stream.epoch, f"stale epoch: {header.epoch} after {stream.epoch}")
    def test_prefix(self, stream, frame):
        """Test 8, with the stream's numbers going on from event to event."""
        header, summary = frame.header, Summary()
        entries = self.schema_sets.get(header.schema_set)
        need(entries, f"malformed: schema set {header.schema_set} is not announced")
        if header.epoch > stream.epoch:
            stream.epoch, stream.workers, stream.jobs = header.epoch, [], []
        for event in frame.events:
            need((event.kind, event.version) in entries, f"malformed: {event.name} is not in the schema set")
            self.test_event(stream, event, summary)
        need(frame.summary == summary.encode(), "malformed: the summary is not that of the body")
    def test_event(self, stream, event, summary):
        kind, fields = event.kind, event.fields
        if kind == 6:
            need(fields["size"] <= self.position, f"malformed: a checkpoint of size {fields['size']} here")
            message = b"orebook/checkpoint/0\n" + self.genesis["ledger"] + event.raw[8:48]      # test 2
            need(self.signatures == "none" or signature_is_right(stream.key, message, fields["signature"]),
                 "refused: signature of a checkpoint")
        elif kind == 16:
            need(fields["number"] == len(stream.workers), f"malformed: worker {fields['number']} is not dense")
            stream.workers.append(fields["pot"])
        elif kind == 17:
            stream.need_announced(fields["worker"])
        elif kind in JOBS:
            need(fields["number"] == len(stream.jobs), f"malformed: job {fields['number']} is not dense")
            # 4: void if there is no obeyed policy, or no checkpoint over the position where it took effect
            effect, stale_ppm = self.policies.get(fields["policy"], (self.final, None))
            stream.jobs.append(Job(stale_ppm if effect < self.final else None, fields["network_work"]))
        elif kind in SHARES:
            stream.need_announced(fields["worker"], fields["job"])
            summary.add(stream.workers[fields["worker"]], fields, stream.jobs[fields["job"]])
        elif kind == 10 and fields["event"].kind in SHARES:
            need(fields["event"].kind not in self.foreign, "malformed: moved work of another algorithm")
            stream.need_announced(fields["worker"], fields["job"])
        before = fields.get("cutoff", fields.get("compared_position", -1))
        need(before < self.position, "malformed: an event cites a position that is not below its own")
        cited = [fields[name] for name in ("expects", "policy", "share", "first") if type(fields.get(name)) is tuple]
        need(all(place[0] < self.position for place in cited), "malformed: an event cites a position that is not below its own")
        need(fields.get("digest_position", 0) <= self.position, "malformed: digests of positions that are not there yet")
    def effects(self, at, event, header):
        fields = event.fields
        if event.kind == 2:
            self.schema_sets.setdefault(fields["number"], set(fields["entries"]))
        elif event.kind in THINGS:
            self.say_thing(at, event)
        elif event.kind == 5:
            self.approve(fields["thing"], fields["approver"], fields["signature"])
        elif event.kind == 6 and self.tree.root(fields["size"]) != fields["root"]:
            self.note(f"a checkpoint of size {fields['size']} is not obeyed, as its root is not the ledger's")
        elif event.kind == 6:
            self.final = max(self.final, fields["size"])
        elif event.kind == 10:
            fields["counts"] = self.counts(fields, header)
    def say_thing(self, at, event):
        pots = event.fields["policy"]["pots"] if event.kind == 4 else []
        other_scheme = any(self.schemes.get(pot["pot"], pot["scheme"]) != pot["scheme"] for pot in pots)
        direct = event.kind != 4 or pays_direct_where_it_can(event.fields["policy"], self.genesis["algorithm"])
        if self.expects_right(event) and not other_scheme and direct and not self.is_too_many(event):      # else refused for ever
            thing = sha256(b"orebook/thing/0\n" + self.genesis["ledger"] + event.raw[:2] + event.raw[8:])
            self.pending.setdefault(thing, []).append((at, event))
            self.take_effect(thing)
    def expects_right(self, event):
        return event.fields["expects"] == self.last_obeyed.get(subject(event), (0, 0))
    def is_too_many(self, event):
        if event.kind == 26:
            known = self.registered.get(event.fields["name"])
            workers = sum(map(len, self.registered.values())) + len(set(event.fields["workers"]) - (known or set()))
            return len(self.registered) + (known is None) > 16_384 or workers > 65_536
        is_ban = event.kind == 11 and event.fields["action"] == "ban"
        return is_ban and event.fields["target"] not in self.banned and len(self.banned) >= 16_384
    def approve(self, thing, approver, signature):
        message = b"orebook/approval/0\n" + self.genesis["ledger"] + thing
        if approver in self.genesis["approvers"] and signature_is_right(approver, message, signature):
            self.approvals.setdefault(thing, set()).add(approver)
            self.take_effect(thing)
    def take_effect(self, thing):
        """The thing takes effect here if it is said, has its approvals, and its subject has not moved since."""
        for at, event in list(self.pending.get(thing, ())):
            unlisted = {11: 0, 12: min(2, len(self.genesis["approvers"])), 26: 0, 27: 0}
            unlisted = unlisted.get(12 if event.kind in (38, 39) else event.kind, 1)     # write_off and dust like an adjustment
            needed = dict(self.genesis["approvals"]).get(THINGS[event.kind], unlisted)
            if event.fields.get("by", "operator") != "operator":
                needed = 0                         # what an account's owner says waits for nobody
            enough = len(self.approvals.get(thing, ())) >= needed
            if enough:                             # asked once: what is refused here is refused for ever
                self.pending[thing].remove((at, event))
            if enough and self.expects_right(event) and not self.is_too_many(event):
                self.last_obeyed[subject(event)] = at
                if event.kind == 4:
                    self.obey_policy(at, event.fields["policy"])
                elif event.kind == 11:
                    change = self.banned.add if event.fields["action"] == "ban" else self.banned.discard
                    change(event.fields["target"])
                elif event.kind == 26:
                    self.registered.setdefault(event.fields["name"], set()).update(event.fields["workers"])
                elif event.kind == 3:              # and docs/rules.md says what an adjustment posts
                    self.keys.pop(event.fields["key"], None)
                    if event.fields["action"] == "in_force":
                        self.keys[event.fields["key"]] = event.fields["role"]
    def obey_policy(self, at, policy):
        self.policies[at] = (self.position, {pot["pot"]: pot["stale_ppm"] for pot in policy["pots"]})
        self.schemes |= {pot["pot"]: pot["scheme"] for pot in policy["pots"]}
    def counts(self, fields, header):
        """A moved event closes its stream, and counts iff that is closed and it was neither admitted nor counted before."""
        name, seq, raw = fields["from"], fields["from_seq"], fields["event"].raw
        stream = self.streams.setdefault(name, Stream(header))
        stream.closed |= stream.key == header.key or stream.key not in self.keys
        before = name != header.stream or seq < header.first_seq    # this very frame is no frame before
        if not stream.closed or before and self.event_at(name, seq) == raw:
            return False
        identity = sha256(name + seq.to_bytes(8, "little") + raw)
        first_time = identity not in self.moved
        self.moved.add(identity)
        return first_time
    def event_at(self, stream, seq):
        """The bytes of the event that was admitted with this seq, or None."""
        if not self.streams[stream].first_seqs:
            return None
        first_seq, (_, events) = self.frame_with(self.streams[stream], seq)
        return events[seq - first_seq] if seq - first_seq < len(events) else None
    def frame_with(self, stream, seq):
        """first_seq, and what frame_at gives, of the stream's last frame that does not begin after the seq."""
        number = bisect_right(stream.first_seqs, seq) - 1
        place = stream.places[number]
        return stream.first_seqs[number], frame_at(self.paths[place >> 40], place & (1 << 40) - 1)
    def close(self, header):
        """7: a closure is the evidence of a fork: the tests up to 5, on a header."""
        stream = self.streams.get(header.stream)
        need(stream, "closure: the stream has no frame")
        self.test_key(header)
        need(self.signatures == "none" or is_signed(header), "refused: signature of a closure's header")
        need(self.frame_with(stream, header.first_seq)[1][0] != header.raw, "closure: its header was admitted")
        need(not stream.closed, "closure: the stream is closed already")
        need(stream.is_fork(header), "closure: its header is not a fork")
        stream.closed = True
def is_signed(header):
    return signature_is_right(header.key, b"orebook/frame/0\n" + header.raw[:224], header.signature)

# ==== 7. Segment files ================================================================================================
@lru_cache(maxsize=64)
def frame_at(path, offset):
    """Header and events, in bytes, of a frame that was read before."""
    with open(path, "rb") as file:
        file.seek(offset + 8)
        data = file.read(int.from_bytes(file.read(8)[:4], "little"))[24:]
    return data[:288], list(split_body(data[288 + decode_header(data[:288]).summary_len:]))

FRAME, CLOSURE, FOOTER = 1, 2, 3
class Segment:
    """One file: its header, then its records; checks what a file lets one check without the ledger."""
    def __init__(self, path, file):
        self.sealed, self.file = path.suffix == ".seg", file
        self.offset, self.hash, self.taken = 0, hashlib.sha256(), b""

    def take(self, length):
        data = self.file.read(length)
        need(len(data) == length, "truncated: the file ends inside a record" if self.sealed else "torn tail")
        self.taken += data
        return data

    def records(self):
        """Gives (type, payload); self.offset is then the record's, self.hash that of the bytes before it."""
        kind = None
        while kind != FOOTER:
            self.hash.update(self.taken)
            self.offset, self.taken = self.offset + len(self.taken), b""
            if not self.sealed and self.is_zero_tail():
                return
            head = self.take(16)
            kind, zero, length, crc = struct.unpack("<4xB3sII", head)
            need(head[:4] == b"ORER" and crc == crc32c(head[:12]), "record head: magic or CRC32C")
            need(kind in (FRAME, CLOSURE, FOOTER) and zero == b"\0\0\0", "record head: type or zeros")
            payload = self.take(length)
            need(self.take(4) == struct.pack("<I", crc32c(payload)), "record: CRC32C of the payload")
            need(not any(self.take(-len(self.taken) % 8)), "record: padding is not zero")
            yield kind, payload
        need(not any(self.file.read()) if not self.sealed else not self.file.read(1), "bytes after the footer")

    def is_zero_tail(self):
        """An open file is zero from its last whole record to its end."""
        if any(self.file.read(16)):
            self.file.seek(self.offset)
            return False
        while chunk := self.file.read(1 << 20):
            need(not any(chunk), "torn tail or damage: the end of the open file is not zero")
        return True
class Reader:
    """Reads a folder's segments in order into a Ledger. on_frame and on_closure see what stands, as it stands."""
    def __init__(self, folder, signatures="all", note=print, on_frame=lambda *_: None, on_closure=lambda *_: None):
        self.folder, self.on_frame, self.on_closure = Path(folder) / "segments", on_frame, on_closure
        self.ledger = Ledger(signatures, lambda text: note(f"{self.place()}: {text}"))
        self.positions = self.frame_bytes = 0      # of this segment; until its first frame, of the one before
        frame_at.cache_clear()

    def read(self):
        for path in self.segment_paths():
            with open(path, "rb") as file:
                self.read_segment(path, Segment(path, file))
        last = self.ledger.unchecked if self.ledger.signatures == "sample" else None
        if last and not is_signed(last[-1]):       # the last frame's is checked too
            files, self.ledger.offset, self.ledger.position, _ = last
            del self.ledger.paths[files:]
            raise Fault("refused: signature of a frame")

    def place(self):
        path = self.ledger.paths[-1] if self.ledger.paths else self.folder
        return f"{path} offset {self.ledger.offset} position {self.ledger.position}"

    def segment_paths(self):
        paths = sorted(path for path in self.folder.iterdir() if path.suffix in (".seg", ".open"))
        need(paths, "no segment files")
        for path in paths:
            need(re.fullmatch("[0-9]{20}", path.stem), f"the name of {path.name} is not 20 digits")
        need([path.suffix for path in paths] == sorted((path.suffix for path in paths), reverse=True), "an open segment before a sealed one")
        return paths

    def read_segment(self, path, segment):
        self.ledger.paths.append(path)
        self.offsets, self.index, self.closures, self.ledger.offset = array("Q"), [], 0, 0
        self.read_header(path, segment.take(72))
        for kind, payload in segment.records():
            self.ledger.offset = segment.offset
            if kind == FRAME:
                self.read_frame(payload)
            elif kind == CLOSURE:
                self.read_closure(payload)
            else:
                self.read_footer(Fields(payload), segment.hash.digest())

    def read_header(self, path, data):
        magic, self.header_ledger, self.first, root, crc, zero = struct.unpack("<8s16sQ32sII", data)
        need(magic == b"ORESEG0\n" and crc == crc32c(data[:64]) and zero == 0, "file header: magic, CRC32C or zero")
        need(self.first == int(path.stem) == self.ledger.position, f"file header: first position is {self.first}")
        need(root == self.ledger.tree.root(), "file header: root")
        need(self.first == 0 or self.header_ledger == self.ledger.genesis["ledger"], "file header: another ledger")

    def read_frame(self, payload):
        need(len(payload) >= 24, "a frame record is too short")
        position, ledger_time, append_time = struct.unpack_from("<QQQ", payload)
        need(position == self.ledger.position, f"position is {position}, should be {self.ledger.position}")
        frame = self.ledger.admit(payload[24:], append_time, ledger_time)
        need(frame.header.ledger == self.header_ledger, "file header: another ledger")
        self.test_end_of_segment(position, len(payload) - 24)
        self.offsets.append(self.ledger.offset)
        self.index.append(struct.pack(">16sQQ", frame.header.stream, frame.header.first_seq, position))
        self.on_frame(position, ledger_time, frame)

    def test_end_of_segment(self, position, length):
        """A segment ends before the position that would be too much for it, and not sooner."""
        most, first = self.ledger.genesis, position == self.first
        too_much = self.positions >= most["segment_positions"] or self.frame_bytes + length > most["segment_bytes"]
        need(too_much or not first or position == 0, "the segment before ended too soon")
        need(first or not too_much, "the segment should have ended before this position")
        self.positions, self.frame_bytes = (1, length) if first else (self.positions + 1, self.frame_bytes + length)

    def read_closure(self, payload):
        need(len(payload) == 304, "a closure record is not of 304 bytes")
        position, header = int.from_bytes(payload[:8], "little"), decode_header(payload[16:])
        need(position == self.ledger.position, f"closure: position is {position}, next is {self.ledger.position}")
        need(position > self.first, "closure: not in the segment of the position before its own")
        self.ledger.close(header)
        self.closures += 1
        self.on_closure(position, header)

    def read_footer(self, f, file_hash):
        n, index = len(self.offsets), (struct.unpack(">16sQQ", entry) for entry in sorted(self.index))
        need(n, "footer: the segment has no position")
        for f.name, right in {
                "first position": struct.pack("<Q", self.first), "positions": struct.pack("<I", n),
                "closures": struct.pack("<I", self.closures), "root": self.ledger.tree.root(), "SHA-256": file_hash,
                "offsets": struct.pack(f"<{n}Q", *self.offsets),
                "index": b"".join(struct.pack("<16sQQ", *entry) for entry in index)}.items():
            need(f.take(len(right)) == right, f"footer: {f.name}")
        need(not f.rest(), "footer: trailing bytes")

# ==== 9. orebook ledger cat ===========================================================================================
DECIMALS = {"work", "network_work", "reward", "fees", "value", "amount", "threshold", "mean", "total", "fee", "auto_pay_limit",
            "direct_min", "wallet_expected", "wallet_found"}
def json_value(value, name=""):
    if value is None or isinstance(value, (bool, str)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return f'"{value}"' if name in DECIMALS and not isinstance(value, Plain) else str(int(value))
    if isinstance(value, bytes):
        return f'"{value if isinstance(value, Uuid) else value.hex()}"'
    if isinstance(value, Event):
        value = {"kind": value.name, "time": value.time} | value.fields
    if isinstance(value, dict):
        return "{" + json_members(value) + "}"
    return "[" + ",".join(map(json_value, value)) + "]"
def json_members(members):
    return ",".join(f'"{name}":{json_value(value, name)}' for name, value in members.items())
def print_line(*groups):
    line = "{" + ",".join(json_members(group) for group in groups if group) + "}\n"
    sys.stdout.buffer.write(line.encode("utf-8"))
def cat_frame(position, ledger_time, frame):
    h = frame.header
    for index, event in enumerate(frame.events):
        print_line({"position": position, "index": index, "ledger_time": ledger_time, "stream": Uuid(h.stream),
                    "epoch": h.epoch, "seq": h.first_seq + index, "time": event.time, "kind": event.name}, event.fields)
def cat_closure(position, header):
    print_line({"position": position, "closed": Uuid(header.stream), "header_hash": sha256(header.raw)})
def main(arguments=None):
    parser = argparse.ArgumentParser(description="Reads an Orebook ledger and checks all that its format lets check.")
    parser.add_argument("folder", metavar="DIR", help="a folder that contains segments/")
    parser.add_argument("--cat", action="store_true", help="print every event as a line of JSON")
    parser.add_argument("--quiet", action="store_true", help="say nothing of a ledger without a fault")
    parser.add_argument("--signatures", choices=("all", "sample", "none"), default="all", help="sample: every 16th")
    options = parser.parse_args(arguments)
    note = lambda text: options.quiet or print(f"note: {text}", file=sys.stderr)
    reader = Reader(options.folder, options.signatures, note, *((cat_frame, cat_closure) if options.cat else ()))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # who reads our lines may go: that is no fault of the ledger's
    try:
        reader.read()
    except (Fault, OSError) as fault:
        return f"fault: {reader.place()}: {fault}"
    ledger, root = reader.ledger, reader.ledger.tree.root().hex()
    if not options.cat and not options.quiet:
        print(f"ok: {ledger.position} positions, {ledger.events} events, final {ledger.final}, root {root}")

if __name__ == "__main__":
    sys.exit(main())                               # exits with 1 and the fault on stderr, or with 0
