"""Tests of reader.py: a ledger from an encoder of its own, accepted as it is and refused with every fault we put in.

    python3 -m unittest tests/test_reader.py        OREBOOK_SEED=n repeats a run's flipped bits
"""
import hashlib
import json
import os
import random
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from ledger_pen import *  # noqa: E402,F403
from ledger_pen import reader  # noqa: E402

PAID = body_bytes([(b"\3" + short(b"ann"), b"\1\1\x51", 250_000, 141)], [b"\x56" * 32])


class Vectors(unittest.TestCase):
    def test_crc32c(self):
        self.assertEqual(reader.crc32c(b"123456789"), 0xE3069283)
        self.assertEqual(reader.crc32c(b""), 0)
        self.assertEqual(reader.crc32c(bytes(32)), 0x8A9136AA)

    def test_rfc_6962_roots(self):
        leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
        roots = """e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
            6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d
            fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125
            aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77
            d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7
            4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4
            76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef
            ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c
            5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328""".split()
        tree = reader.Tree(map(bytes.fromhex, leaves))
        for size, root in enumerate(roots):
            self.assertEqual(tree.root(size).hex(), root)
            self.assertEqual(reader.Tree(map(bytes.fromhex, leaves[:size])).root().hex(), root)
            self.assertEqual(merkle(list(map(bytes.fromhex, leaves[:size]))).hex(), root)

    def test_rfc_8032(self):
        for seed, key, message, signature in (
                ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                 "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                 "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
                 "d25bf5f0595bbe24655141438e7a100b"),
                ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                 "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                 "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
                 "387b2eaeb4302aeeb00d291612bb0c00"),
                ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                 "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
                 "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
                 "4a7c15e9716ed28dc027beceea1ec40a")):
            seed, key, message, signature = map(bytes.fromhex, (seed, key, message, signature))
            self.assertEqual(public(seed), key)
            self.assertEqual(sign(seed, message), signature)
            self.assertTrue(reader.signature_is_right(key, message, signature))
            self.assertFalse(reader.signature_is_right(key, message + b"!", signature))
            for bit in range(0, 512, 7):
                broken = bytearray(signature)
                broken[bit // 8] ^= 1 << bit % 8
                self.assertFalse(reader.signature_is_right(key, message, bytes(broken)))

    def test_strictness(self):
        key, message, signature = public(DESK), b"message", sign(DESK, b"message")
        s = int.from_bytes(signature[32:], "little")
        self.assertFalse(reader.signature_is_right(key, message, signature[:32] + le(32, s + ORDER)))
        one, zero = le(32, 1), bytes(32)
        for small in (one, zero, le(32, Q - 1), le(32, Q), le(32, Q + 1), le(32, 1 | 1 << 255), b"\xff" * 32,
                      bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")):
            self.assertFalse(reader.signature_is_right(small, message, one + zero), small.hex())
        # R of small order, that the equation without this refusal would take: S = hA's scalar times h
        scalar = secret_of(DESK)[0]
        h = int.from_bytes(hashlib.sha512(one + key + message).digest(), "little") % ORDER
        self.assertFalse(reader.signature_is_right(key, message, one + le(32, h * scalar % ORDER)))

    def test_speed_of_a_signature(self):
        key, signature = public(DESK), sign(DESK, b"speed")
        reader.signature_is_right(key, b"speed", signature)
        best = 1.0
        for _ in range(20):
            begin = time.perf_counter()
            reader.signature_is_right(key, b"speed", signature)
            best = min(best, time.perf_counter() - begin)
        self.assertLess(best, 0.003)


class Accepted(unittest.TestCase):
    def test_the_story(self):
        pen = plain_story()
        with Folder(pen.files) as folder:
            for mode in ("all", "sample", "none"):
                found, fault = folder.read(signatures=mode)
                self.assertIsNone(fault)
                self.assertEqual(found.ledger.position, len(pen.entries))
                self.assertEqual(found.ledger.final, SEGMENT_POSITIONS + 1)
                self.assertEqual(found.ledger.tree.root(), merkle(pen.entries))
                self.assertEqual(len(found.notes), 1)
                self.assertIn("size 3 is not obeyed", found.notes[0])
                self.assertNotIn(public(LATE), found.ledger.keys)

    def test_command(self):
        pen = plain_story()
        with Folder(pen.files) as folder:
            run = command(folder.path)
            self.assertEqual(run.returncode, 0, run.stderr)
            root = merkle(pen.entries).hex()
            self.assertRegex(run.stdout.decode(), rf"^ok: {len(pen.entries)} positions, [0-9]+ events, "
                                                  rf"final {SEGMENT_POSITIONS + 1}, root {root}\n$")
            self.assertEqual(command(folder.path, "--quiet").stdout, b"")
            path = folder.path / "segments" / ("0" * 20 + ".seg")
            path.write_bytes(path.read_bytes()[:-8])
            run = command(folder.path, "--signatures", "sample")
            self.assertEqual((run.returncode, run.stdout), (1, b""))
            self.assertRegex(run.stderr.decode().splitlines()[-1],
                             r"^fault: \S+\.seg offset [0-9]+ position [0-9]+: truncated")
            self.assertEqual(command(folder.path / "nowhere").returncode, 1)

    def test_sealed_only_and_open_only(self):
        pen = plain_story()
        sealed = {name: data for name, data in pen.files.items() if name.endswith(".seg")}
        self.assertIsNone(fault_of(sealed))
        empty = Pen({}).finish()
        self.assertIsNone(fault_of(empty))
        self.assertIn("no segment files", fault_of({}))

    def test_reading_while_the_last_segment_has_no_frame(self):
        pen = plain_story()
        files = dict(pen.files)
        name = "%020d.open" % SEGMENT_POSITIONS
        files[name] = files[name][:72] + bytes(4096)
        self.assertIsNone(fault_of(files, signatures="sample"))


class Things(unittest.TestCase):
    """Section 6: what takes effect and what is refused for ever is no fault; only the state tells."""

    def state_after(self, *frames):
        pen, desk = Pen({}), Stream(1, DESK)
        pen.frame("genesis", desk, [genesis_event(policy_bytes(*POTS))])
        for events in frames:
            pen.frame("things", desk, events)
        with Folder(pen.finish().files) as folder:
            found, fault = folder.read()
        self.assertIsNone(fault)
        return found.ledger

    @staticmethod
    def approved(thing, approvers=APPROVERS):
        return [approval_event(thing_of(thing), approver) for approver in approvers]

    def policy(self, expects, *pots):
        return event(4, expects + policy_bytes(*pots))

    def test_policies(self):
        good = self.policy(at(0, 0), (1, 1, 7))
        self.assertEqual(self.state_after([good], self.approved(good)).policies[1, 0], (2, {1: 7}))
        self.assertEqual(self.state_after(self.approved(good), [good]).policies[2, 0], (2, {1: 7}))
        self.assertEqual(list(self.state_after([good], self.approved(good, APPROVERS[:1])).policies), [(0, 0)])
        for refused in (self.policy(at(0, 0), (1, 2, 7)),                     # pot 1 is pplns
                        self.policy(at(1, 0), (1, 1, 7))):                    # nothing was obeyed there
            self.assertEqual(list(self.state_after([event(7)], [refused], self.approved(refused)).policies), [(0, 0)])
        other = self.policy(at(0, 0), (1, 1, 8))
        both = self.state_after([good, other], self.approved(other), self.approved(good))
        self.assertEqual(list(both.policies), [(0, 0), (1, 1)])               # the subject has moved
        after = self.policy(at(1, 0), (3, 2, 9))
        last = self.state_after([good], self.approved(good), [after], self.approved(after))
        self.assertEqual((list(last.policies), last.last_obeyed), ([(0, 0), (1, 0), (3, 0)], {(4, None): (3, 0)}))
        again = self.policy(at(3, 0), (2, 1, 9))                              # pot 2 of genesis is pps: still known
        self.assertNotIn((5, 0), self.state_after(
            [good], self.approved(good), [after], self.approved(after), [again], self.approved(again)).policies)

    def test_keys(self):
        def change(action, expects, role=3):
            return event(3, public(LATE) + bytes([role, action]) + expects)
        new, gone = change(1, at(0, 0)), change(2, at(1, 0))
        one = APPROVERS[:1]
        self.assertEqual(self.state_after([new, *self.approved(new, one)]).keys[public(LATE)], "archiver")
        self.assertNotIn(public(LATE), self.state_after([new], [approval_event(thing_of(new), STRANGER)]).keys)
        self.assertNotIn(public(LATE), self.state_after([new, *self.approved(new, one)],
                                                        [gone, *self.approved(gone, one)]).keys)
        self.assertIn(public(LATE), self.state_after([new, *self.approved(new, one)],
                                                     [change(2, at(0, 0)), *self.approved(change(2, at(0, 0)))]).keys)


    def test_bans(self):
        def ban(name, expects=at(0, 0), action=1):
            return ban_event(b"\1\3" + short(name), expects, action)
        def state(*frames):
            return self.state_after(*frames).banned
        self.assertEqual(state([ban(b"anna"), ban(b"ben")]), {"name:anna", "name:ben"})
        self.assertEqual(state([ban(b"anna")], [ban(b"anna", action=2)]), {"name:anna"})
        self.assertEqual(state([ban(b"anna")], [ban(b"anna", at(1, 0), 2)]), set())
        self.assertEqual(state([ban(b"anna")], [ban(b"anna", at(1, 0), 2)], [ban(b"anna", at(2, 0))]), {"name:anna"})
        full = self.state_after([ban(b"7")])
        full.banned |= {f"name:{n}" for n in range(16_384)}
        for said, is_banned in ((ban(b"anna"), False), (ban(b"7", at(1, 0), 2), False), (ban(b"anna"), True)):
            full.say_thing((2, 0), reader.Event(said, START))
            self.assertEqual("name:anna" in full.banned, is_banned)
        full.genesis["approvals"] = [(3, 1)]       # one that finds no room when it is approved never gets it
        full.banned.remove("name:anna")
        full.say_thing((3, 0), reader.Event(ban(b"ben"), START))
        full.banned.add("name:anna")
        for approver in APPROVERS:
            full.approvals.setdefault(thing_of(ban(b"ben")), set()).add(public(approver))
            full.take_effect(thing_of(ban(b"ben")))
            self.assertNotIn("name:ben", full.banned)
            full.banned.discard("name:anna")
        full.say_thing((4, 0), reader.Event(ban(b"ben"), START))     # the same words said again: another event
        self.assertIn("name:ben", full.banned)

    def test_adjustments(self):
        thing, other = (adjustment_event(b"\3" + short(b"anna"), at(0, 0), amount) for amount in (7, 8))
        subject, one = (12, "name:anna"), APPROVERS[:1]
        for frames, last in (
                (([thing], self.approved(thing)), (1, 0)),
                ((self.approved(thing), [thing]), (2, 0)),
                (([thing], self.approved(thing, one)), None),                 # not listed: needs two of the two
                (([thing], self.approved(thing, one), self.approved(thing, one)), None),
                (([thing, other], self.approved(other), self.approved(thing)), (1, 1))):
            self.assertEqual(self.state_after(*frames).last_obeyed.get(subject), last)


    def test_accounts_and_settings(self):
        ann = b"\3" + short(b"ann")
        first, other = account_event(b"ann", at(0, 0)), account_event(b"ann", at(0, 0), flags=1)
        second = account_event(b"ann", at(1, 0), flags=1)
        def setting(by, expects=at(0, 0)):
            return setting_event(ann, expects, by, 4, b"", b"" if by == 1 else b"x")
        def last(approvals, *frames):
            pen, desk = Pen({}), Stream(1, DESK)
            pen.frame("genesis", desk, [genesis_event(policy_bytes(*POTS), approvals=((2, 2), *approvals))])
            for events in frames:
                pen.frame("things", desk, events)
            with Folder(pen.finish().files) as folder:
                found, fault = folder.read()
            self.assertIsNone(fault)
            obeyed = found.ledger.last_obeyed
            return obeyed.get((26, "ann")), obeyed.get((27, "name:ann"))
        self.assertEqual(last((), [first, other, setting(2)], [second, setting(1, at(1, 2))]), ((2, 0), (2, 1)))
        self.assertEqual(last((), [setting(1), setting(2)]), (None, (1, 0)))
        both = ((5, 1), (6, 2))
        self.assertEqual(last(both, [first, setting(1)]), (None, None))
        self.assertEqual(last(both, [first, setting(1), setting(3)]), (None, (1, 2)))
        self.assertEqual(last(both, [first], self.approved(first, APPROVERS[:1])), ((1, 0), None))
        self.assertEqual(last(both, [setting(1)], self.approved(setting(1), APPROVERS[:1])), (None, None))
        self.assertEqual(last(both, [setting(1)], self.approved(setting(1))), (None, (1, 0)))

    def test_registered_names_and_workers_have_limits(self):
        rigs = [b"a", b"b"]
        full = self.state_after([account_event(b"ann", at(0, 0), workers=rigs)])
        self.assertEqual(full.registered, {"ann": {"a", "b"}})
        def said(name, expects, workers):
            full.say_thing((2, 0), reader.Event(account_event(name, expects, workers=workers), START))
            return full.registered.get(name.decode())
        full.registered["farm"] = {str(n) for n in range(65_536 - 2)}
        self.assertEqual(said(b"ben", at(0, 0), [b"a"]), None)
        self.assertEqual(said(b"ann", at(1, 0), [b"c"]), {"a", "b"})
        self.assertEqual(said(b"ann", at(1, 0), rigs), {"a", "b"})          # they are counted already
        self.assertEqual(full.last_obeyed[26, "ann"], (2, 0))
        full.registered["farm"].pop()
        self.assertEqual(said(b"ann", at(2, 0), [b"c"]), {"a", "b", "c"})
        full.registered |= {f"n{n}": set() for n in range(16_384 - 2)}
        self.assertEqual(said(b"ben", at(0, 0), []), None)
        del full.registered["n7"]
        self.assertEqual(said(b"ben", at(0, 0), []), set())


    def test_write_offs(self):
        ann = b"\3" + short(b"ann")
        def last(approvals, *frames):
            pen, desk = Pen({}), Stream(1, DESK)
            pen.frame("genesis", desk, [genesis_event(policy_bytes(*POTS), approvals=((2, 2), *approvals))])
            for events in frames:
                pen.frame("things", desk, events)
            with Folder(pen.finish().files) as folder:
                found, fault = folder.read()
            self.assertIsNone(fault)
            return found.ledger.last_obeyed.get((38, "name:ann"))
        first, second = write_off_event(ann), write_off_event(ann, at(1, 0))
        self.assertEqual(last((), [first], self.approved(first, APPROVERS[:1])), None)
        self.assertEqual(last((), [first], self.approved(first)), (1, 0))
        self.assertEqual(last(((9, 1),), [first], self.approved(first, APPROVERS[:1]), [first]), (1, 0))
        self.assertEqual(last((), [first], self.approved(first), [second], self.approved(second)), (3, 0))
        self.assertEqual(last((), [event(7)], [second], self.approved(second)), None)


class Desk(unittest.TestCase):
    """What bans and adjustments may not say."""

    def is_read(self, event_bytes):
        try:
            return bool(reader.Event(event_bytes, START))
        except reader.Fault:
            return False

    def test_networks(self):
        mapped = bytes(10) + b"\xff\xff"
        for address, prefix, is_read in (
                (b"\x0a\0\0\0", 8, True), (b"\x0a\0\0\0", 7, False), (b"\x0a\0\0\0", 33, False),
                (b"\x0a\0\0\1", 31, False), (b"\x0a\0\0\2", 31, True), (b"\x0a\0\0", 24, False), (b"", 0, False),
                (b"\x20\1" + bytes(14), 16, True), (b"\x20\1" + bytes(14), 15, False),
                (mapped + bytes(4), 112, False), (mapped + bytes(3) + b"\1", 128, False)):
            target = b"\2" + short(address) + bytes([prefix])
            self.assertEqual(self.is_read(ban_event(target, at(0, 0))), is_read, (address, prefix))

    def test_limits(self):
        anna = b"\3" + short(b"anna")
        def ban(**fields):
            return self.is_read(ban_event(b"\1" + anna, at(0, 0), **fields))
        def adjusted(amount=1, **fields):
            return self.is_read(adjustment_event(anna, at(0, 0), amount, **fields))
        self.assertTrue(ban() and ban(action=2) and ban(until=1) and ban(reason=b" " * 200))
        for fields in ({"action": 0}, {"action": 3}, {"action": 2, "until": 1}, {"reason": b""}, {"reason": b"x" * 201},
                       {"reason": b"\x7f"}, {"reason": b"\n"}, {"reason": "é".encode()}):
            self.assertFalse(ban(**fields), fields)
        self.assertTrue(adjusted() and adjusted(2**80 * 10**9, book=4, direction=2))
        for fields in ({"amount": 0}, {"amount": 2**80 * 10**9 + 1}, {"book": 0}, {"book": 5}, {"direction": 0},
                       {"direction": 3}, {"reason": b""}):
            self.assertFalse(adjusted(**fields), fields)


class Cat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with Folder(plain_story().files) as folder:
            cls.run_ = command(folder.path, "--cat")
        cls.lines = cls.run_.stdout.decode("utf-8").splitlines()

    def lines_of(self, step, kind=None):
        position = plain_story().steps[step]
        lines = [line for line in self.lines if line.startswith(f'{{"position":{position},"index"')]
        return [line for line in lines if kind is None or f'"kind":"{kind}"' in line]

    def fields(self, line):
        return line[line.index('"kind":'):]

    def test_every_event_in_order(self):
        self.assertEqual(self.run_.returncode, 0)
        seen = [json.loads(line) for line in self.lines]
        events = [(line["position"], line["index"]) for line in seen if "closed" not in line]
        self.assertEqual(events, sorted(set(events)))
        self.assertEqual(len(seen), len(events) + 1)

    def test_closure_before_the_events_of_its_position(self):
        pen, position = plain_story(), plain_story().steps["moved"]
        number = next(n for n, line in enumerate(self.lines) if '"closed"' in line)
        self.assertEqual(self.lines[number], '{"position":%d,"closed":"0190bbbb-0000-7000-8000-000000000002",'
                                             '"header_hash":"%s"}' % (position, sha(pen.closures[0]).hex()))
        self.assertEqual(self.lines[number + 1], self.lines_of("moved")[0])

    def test_share(self):
        self.assertEqual(self.lines_of("shares", "share")[-2], (
            '{"position":3,"index":6,"ledger_time":%d,"stream":"0190bbbb-0000-7000-8000-000000000002","epoch":0,'
            '"seq":12,"time":%d,"kind":"share","worker":2,"job":1,"work":"2000000","block":true,"stale":false,'
            '"nonce":9,"ntime":8,"version":7,"extranonce2":"0a0b"}') % (START + 3_005, START + 3_004))

    def test_fields(self):
        for step, expected in (
                ("workers", '"kind":"worker","number":0,"pot":1,"extranonce1":"aabb","extranonce2_size":4,'
                            '"version_mask":536862720,"account":"script:51","name":"rig-1"}'),
                ("workers", f'"account":"evm:{"ee" * 20}","name":"rig-1"}}'),
                ("workers", '"account":"name:some_one-1","name":"a.b"}'),
                ("workers", '"kind":"difficulty","worker":0,"work":"1000"}'),
                ("shares", '"kind":"job","number":1,"policy":[0,0],"height":700,"network_work":"1000000000",'
                           '"reward":"5000","fees":"12","version":536870912,"prev":"%s","nbits":486604799,'
                           '"job_time":1800000000,"clean":true,"coinbase1":"010203","coinbase2":"04","branches":["%s"],"direct":0}'
                           % ("33" * 32, "44" * 32)),
                ("policy", '"kind":"policy","expects":[0,0],"policy":{"pots":[{"pot":1,"scheme":"pplns",'
                           '"n_ppm":2000000,"fee_ppm":10000,"bonus_ppm":0,"stale_ppm":250000,"keep_tx_fees":true,"direct_min":"18446744073709551615","direct_outputs":500},'
                           '{"pot":3,"scheme":"solo","n_ppm":2000000,"fee_ppm":10000,"bonus_ppm":0,'
                           '"stale_ppm":1000000,"keep_tx_fees":true,"direct_min":"0","direct_outputs":0}],"immature_depth":3,"confirmed_depth":100,'
                           '"orphan_depth":6,"threshold":"5000000","address_hold_ms":60000,"network_fees":"miner",'
                           '"auto_pay_limit":"100000000000000000000","payout_depth":6,"payout_final_depth":12,'
                           '"writeoff_ms":1099511627776,"rounding_to_fee":true}}'),
                ("key", '"kind":"key_change","key":"%s","role":"settler","action":"in_force","expects":[0,0]}'
                        % public(LATE).hex()),
                ("status", '"state":"immature","height":700,"value":"1180591620717411303424","fees":"12"}'),
                ("status", '"kind":"block_recovered","hash":"%s","height":701,"expects":[0,0],"coinbase_txid":"%s",'
                           '"value":"1180591620717411303424","fees":"1180591620717411303424"}'
                           % ("58" * 32, "68" * 32)),
                ("note", '"kind":"recovery_note","code":2,"text":"Grüße \\"an\\" \\\\ alle"}'),
                ("note", '"kind":"part","whole":"%s","part_index":1,"of":2,"bytes":"70617274"}' % ("99" * 32)),
                ("desk", '"kind":"ban","target":"script:52","action":"ban","until_ms":0,"expects":[0,0],'
                         '"reason":"botnet"}'),
                ("desk", '"kind":"ban","target":"network:2001:0db8:0000:0000:0000:0000:0000:0000/32","action":"ban",'
                         '"until_ms":9223372036854775808,"expects":[0,0],"reason":"\\"~\\\\"}'),
                ("desk", '"kind":"adjustment","account":"name:some_one-1","expects":[0,0],"book":"reserve",'
                         '"direction":"to_account","amount":"1208925819614629174706176000000000","block":"%s",'
                         '"reason":"paid twice"}' % ("58" * 32)),
                ("lift", '"kind":"ban","target":"script:52","action":"lift","until_ms":0,"expects":[18,0],'
                         '"reason":"it was not he"}'),
                ("accounts", '"kind":"account","name":"ann","expects":[0,0],"payout":"script:51","threshold":"250000",'
                             '"token":"%s","registered_only":false,"workers":["a","rig-2"]}' % ("5c" * 32)),
                ("changes", '"payout":"evm:%s","threshold":"0","token":null,"registered_only":true,"workers":[]}'
                             % ("ee" * 20)),
                ("accounts", '"kind":"setting","account":"name:ann","expects":[0,0],"by":"signed","what":"address",'
                             '"value":"evm:%s","proof":"0707"}' % ("ee" * 20)),
                ("changes", '"by":"token","what":"donation","value":20000,"proof":"78"}'),
                ("accounts", '"by":"operator","what":"threshold","value":"9","proof":""}'),
                ("changes", '"by":"token","what":"pay_now","value":null,"proof":"01"}'),
                ("mean", '"kind":"fee_mean","height":840001,"expects":[0,0],"mean":"1208925819614629174706176"}'),
                ("mean", '"state":"uncle","height":700,"value":"7","fees":"0"}'),
                ("payout", '"kind":"payout_proposed","wallet":0,"batch":0,"expects":[0,0],"txs":1,"lines":1,"total":"250000",'
                           '"fee":"141","body":"%s","digest_position":1,"digests":[["http://one","%s"]]}'
                           % (sha(PAID).hex(), "61" * 32)),
                ("payout", '"kind":"payout_signed","wallet":0,"batch":0,"tx":0,"expects":[0,0],"txid":"%s","fee":"300",'
                           '"spends":"%s","body":"%s","raw":"0200"}' % ("63" * 32, "62" * 36, sha(b"\2\0").hex())),
                ("payout", '"kind":"payout_step","wallet":0,"batch":0,"tx":0,"expects":[0,0],"step":"broadcast","txid":"%s",'
                           '"height":0,"block":null,"fee":"0"}' % ("63" * 32)),
                ("payout", '"step":"confirmed","txid":"%s","height":701,"block":"%s","fee":"281"}' % ("63" * 32, "64" * 32)),
                ("payout", '"kind":"payout_cancelled","wallet":0,"batch":0,"tx":0,"expects":[0,0],"by":null,"height":0,'
                           '"fee":"0","reason":"gone"}'),
                ("payout", '"by":"%s","height":9,"fee":"2","reason":"gone"}' % ("65" * 32)),
                ("payout", '"kind":"payout_halt","wallet":0,"reason":"they differ"}'),
                ("owed", '"kind":"payout_resume","wallet":0,"expects":[23,0],"reason":"mended"}'),
                ("owed", '"kind":"payout_halt","wallet":0,"reason":"I say so"}'),
                ("owed", '"kind":"write_off","account":"name:ann","expects":[0,0],"reason":"gone"}'),
                ("set", '"kind":"schema_set","number":9,"entries":[[7,0],[10,0],[16,0],[18,0]]}'),
                ("beat", f'"time":{START + 13_000},"kind":"heartbeat"}}'),
                ("genesis", '"kind":"genesis","ledger":"0190aaaa-0000-7000-8000-000000000001","coin":1,'
                            '"coin_name":"test-coin","algorithm":"sha256d","decimals":8,"chain":"%s",'
                            '"segment_positions":22,"segment_bytes":65536,"digest_answers":1,"approvers":["%s","%s"],'
                            '"approvals":[[2,2]],"producers":[["'
                            % ("0f" * 32, *(public(seed).hex() for seed in APPROVERS)))):
            self.assertTrue(any(expected in line for line in self.lines_of(step)), (step, self.lines_of(step)))

    def test_moved(self):
        lines = self.lines_of("moved", "moved")
        lost = START + 15_000
        self.assertIn('"kind":"moved","from":"0190bbbb-0000-7000-8000-000000000002","from_epoch":0,"from_seq":7,'
                      f'"base_time":{START + 3_000},"worker":0,"job":0,"counts":false,"event":{{"kind":"share",'
                      f'"time":{START + 3_000},"worker":0,"job":1,"work":"1000",', lines[0])
        self.assertIn('"counts":true,"event":{"kind":"share","time":%d,"worker":1,"job":3,' % (lost + 6), lines[1])
        self.assertIn('"worker":null,"job":null,"counts":true,"event":{"kind":"block_found","time":', lines[2])
        self.assertIn('"counts":false', lines[3])


class Faults(unittest.TestCase):
    def check(self, text, step=None, **changes):
        pen = story(**changes)
        fault = fault_of(pen)
        self.assertIsNotNone(fault, f"accepted: {changes.keys()}")
        self.assertIn(text, fault)
        if step:
            self.assertIn(f" position {pen.steps[step]}:", fault)

    def test_of_frames(self):
        beat = [event(7)]
        void = summary_bytes({1: (0, {0: (1, 0)})})
        for text, step, change in (
                ("summary is not that", "shares", {"summary": b"\0"}),
                ("summary is not that", "void job", {"summary": summary_bytes({1: (100_000, {0: (1, 100)})})}),
                ("summary_hash", "beat", {"summary_hash": bytes(32)}),
                ("worker 3 or job 0 is not announced", "void job",
                 {"events": [share_event(3, 0, 1)], "summary": summary_bytes({1: (1, {3: (1, 1)})})}),
                ("worker 0 or job 2 is not announced", "void job", {"events": [share_event(0, 2, 1)], "summary": void}),
                ("worker 5 is not dense", "void job", {"events": [worker_event(5, 1, b"\1\1\x51")]}),
                ("job 7 is not dense", "void job", {"events": [job_event(7, at(0, 0))]}),
                ("cites a position", "void job", {"events": [job_event(2, at(6, 0))]}),
                ("cites a position", "key", {"events": [event(3, bytes(32) + b"\4\1" + at(9, 0))]}),
                ("cites a position", "status", {"events": [recovered_event(701, at(10, 0), 9, 9)]}),
                ("over the limit that another sets", "status", {"events": [recovered_event(701, at(0, 0), 9, 10)]}),
                ("role desk may not say block_recovered", "approval", {"events": [recovered_event(1, at(0, 0), 9, 9)]}),
                ("role desk may not say fee_mean", "accounts", {"events": [mean_event(1, at(0, 0), 1)]}),
                ("role settler may not say account", "mean", {"events": [account_event(b"ann", at(0, 0))]}),
                ("work of another algorithm", "note", {"events": [void_event(at(2, 0), at(1, 0))]}),
                ("cites a position", "accounts", {"events": [account_event(b"ann", at(20, 0))]}),
                ("cites a position", "accounts", {"events": [setting_event(b"\1\1\x51", at(20, 0), 1, 4, b"")]}),
                ("cites a position", "mean", {"events": [mean_event(1, at(22, 0), 1)]}),
                ("role paymaster may not say write_off", "payout", {"events": [write_off_event(b"\1\1\x51")]}),
                ("role paymaster may not say payout_resume", "payout", {"events": [resume_event()]}),
                ("role desk may not say payout_proposed", "owed", {"events": [proposed_event(PAID)]}),
                ("role settler may not say payout_halt", "mean", {"events": [halt_event()]}),
                ("digests of positions", "payout", {"events": [proposed_event(PAID, positions=24)]}),
                ("cites a position", "payout", {"events": [proposed_event(PAID, expects=at(23, 0))]}),
                ("cites a position", "payout", {"events": [signed_event(at(23, 0))]}),
                ("cites a position", "payout", {"events": [step_event(2, at(23, 0))]}),
                ("cites a position", "payout", {"events": [cancelled_event(at(23, 0))]}),
                ("cites a position", "owed", {"events": [resume_event(at(24, 0))]}),
                ("cites a position", "owed", {"events": [write_off_event(b"\1\1\x51", at(24, 0))]}),
                ("role settler may not say job", "status", {"events": [job_event(0, at(0, 0))]}),
                ("role desk may not say checkpoint", "approval", {"events": [event(6, le(8, 1) + bytes(96))]}),
                ("signature of a frame", "beat", {"bad_signature": True}),
                ("signature of a frame", "last", {"bad_signature": True}),
                ("is not in force", "beat", {"seed": STRANGER}),
                ("is not in force", "last", {"seed": LATE}),                      # that was revoked
                ("opened by another key", "beat", {"seed": GATE2}),
                ("position is 6, should be 5", "approval", {"position": 6}),
                ("ledger time is", "beat", {"ledger_time": START}),
                ("fork", "beat", {"first_seq": le(8, 3)}),
                ("fork", "beat", {"previous": b"\1" * 32}),
                ("gap", "beat", {"first_seq": le(8, 999)}),
                ("only first_seq 0", "moved", {"previous": b"\1" * 32}),
                ("schema set 5 is not announced", "beat", {"schema_set": le(4, 5)}),
                ("checkpoint is not in the schema set", "last checkpoint", {"schema_set": le(4, 9)}),
                ("events_root", "beat", {"events_root": bytes(32)}),
                ("kinds are not", "beat", {"kinds": le(8, 1 << 7 | 1 << 8)}),
                ("kinds [7, 41]", "beat", {"kinds": le(8, 1 << 7 | 1 << 41)}),
                ("last_time", "beat", {"last_time": le(8, START)}),
                ("another ledger or coin", "beat", {"coin": le(4, 2)}),
                ("another ledger or coin", "beat", {"ledger": bytes(16)}),
                ("count is 2", "beat", {"count": le(4, 2)}),
                ("magic or version", "beat", {"version": le(4, 1)}),
                ("genesis not in position 0", "policy", {"events": [genesis_event(policy_bytes(*POTS))]}),
                ("not a genesis alone", "genesis", {"events": beat}),
                ("not ascending", "beat", {"events": [event(7, dt=5), event(7, dt=4)]}),
                ("right after its share", "void job", {"events": [found_event()]}),
                ("right after its share", "void job",
                 {"events": [share_event(0, 0, 1), found_event()], "summary": void}),
                ("right after its share", "moved", {"events": [moved_event(bytes(16), 0, 1, 0, found_event())]}),
                ("stands in the ledger", "moved", {"stream": Stream(1, GATE).uuid, "seed": DESK, "events": beat})):
            with self.subTest(text=text, step=step):
                self.check(text, step, **{step.replace(" ", "_"): change})

    def test_of_sampled_signatures(self):
        last = story(last={"bad_signature": True})
        self.assertIn(f"position {last.steps['last']}: refused: signature", fault_of(last, signatures="sample"))
        self.assertIsNone(fault_of(last, signatures="none"))
        self.assertIsNone(fault_of(story(beat={"bad_signature": True}, closure={}), signatures="none"))

    def test_of_fields(self):
        for text, bad in (
                ("trailing bytes", event(7, b"\0")),
                ("unknown kind 13", event(13)),
                ("unknown kind 7 version 1", b"\7\1" + event(7)[2:]),
                ("length 9", event(7)[:2] + le(2, 9) + event(7)[4:]),
                ("length 7", event(7)[:2] + le(2, 7) + event(7)[4:]),
                ("cut short", event(8, b"\1")),
                ("code: 5", event(8, b"\5" + long(b""))),
                ("not UTF-8", event(8, b"\1" + long(b"\xff"))),
                ("control character", event(8, b"\1" + long(b"\xc2\x85"))),
                ("text: 513", event(8, b"\1" + long(b"a" * 513))),
                ("of a part", event(9, bytes(32) + le(2, 2) + le(2, 2) + long(b"p"))),
                ("bytes: 0", event(9, bytes(32) + le(2, 0) + le(2, 2) + long(b""))),
                ("work, flags", share_event(0, 0, 0)),
                ("work, flags", share_event(0, 0, 2**63)),
                ("work, flags", share_event(0, 0, 1, 4)),
                ("work, flags", share_event(0, 0, 1, extranonce2=bytes(9))),
                ("account: 4 is unknown", worker_event(3, 1, b"\4\1\x51")),
                ("account: 19", worker_event(3, 1, b"\2" + short(bytes(19)))),
                ("account: a character", worker_event(3, 1, b"\3" + short(b"Upper"))),
                ("name: a character", worker_event(3, 1, b"\1\1\x51", b"a b")),
                ("name: a character", worker_event(3, 1, b"\1\1\x51", b"line\n")),
                ("network_work: 0", job_event(4, at(0, 0), 0)),
                ("does not know the schema set entry (30,0)", event(2, le(4, 4) + entries_bytes([7, 30]))),
                ("entries: not ascending", event(2, le(4, 4) + entries_bytes([7, 7]))),
                ("pots: not ascending", event(4, at(0, 0) + policy_bytes((2, 1, 0), (1, 1, 0)))),
                ("scheme: 6 is unknown", event(4, at(0, 0) + policy_bytes((2, 6, 0)))),
                ("stale_ppm: 1000001", event(4, at(0, 0) + policy_bytes((2, 1, 1_000_001)))),
                ("role: 6 is unknown", event(3, bytes(32) + b"\6\1" + at(0, 0))),
                ("action: 3 is unknown", event(3, bytes(32) + b"\1\3" + at(0, 0))),
                ("size: 0", event(6, bytes(104))),
                ("not of kind 19, 20 or 24", moved_event(bytes(16), 0, 0, 0, event(7))),
                ("has a worker or a job", moved_event(bytes(16), 0, 0, 0, found_event(), 0)),
                ("txs: 0", proposed_event(PAID, txs=0)), ("lines: 0", proposed_event(PAID, lines=0)),
                ("lines: 2001", proposed_event(PAID, lines=2_001)), ("total: 0", proposed_event(PAID, total=0)),
                ("total: 1208925819614629174706177", proposed_event(PAID, total=2**80 + 1)),
                ("fee: 1208925819614629174706177", proposed_event(PAID, fee=2**80 + 1)),
                ("digests: 0", proposed_event(PAID, digests=())),
                ("digests: 5", proposed_event(PAID, digests=[(b"w", bytes(32))] * 5)),
                ("digests: a character", proposed_event(PAID, digests=[(b"a b", bytes(32))])),
                ("fee: 1208925819614629174706177", signed_event(fee=2**80 + 1)),
                ("spends: 0", signed_event(spends=b"")), ("spends: 45", signed_event(spends=bytes(45))),
                ("raw: 24001", signed_event(raw=bytes(24_001))),
                ("step: 0 is unknown", step_event(0)), ("step: 8 is unknown", step_event(8)),
                ("limit that another sets", step_event(3)), ("limit that another sets", step_event(4)),
                ("limit that another sets", step_event(6)), ("limit that another sets", step_event(1, height=1)),
                ("limit that another sets", step_event(2, block=b"\1" * 32, fee=1)),
                ("limit that another sets", cancelled_event(height=1)), ("limit that another sets", cancelled_event(fee=1)),
                ("reason: a character", cancelled_event(reason=b"")), ("reason: a character", halt_event(b"\n")),
                ("reason: a character", resume_event(reason=b"~" * 201)),
                ("reason: a character", write_off_event(b"\1\1\x51", reason="\u00e9".encode())),
                ("limit that another sets", void_event(at(3, 1), at(3, 1))),
                ("mean: 1208925819614629174706177", mean_event(1, at(0, 0), 2**80 + 1)),
                ("name: a character", account_event(b"Ann", at(0, 0))),
                ("paid to a name", account_event(b"ann", at(0, 0), b"\3" + short(b"ben"))),
                ("registered_only: 2 is unknown", account_event(b"ann", at(0, 0), flags=2)),
                ("workers: 401", account_event(b"ann", at(0, 0), workers=[b"%03d" % n for n in range(401)])),
                ("workers: not ascending", account_event(b"ann", at(0, 0), workers=[b"b", b"a"])),
                ("workers: a character", account_event(b"ann", at(0, 0), workers=[b"a b"])),
                ("paid to a name", setting_event(b"\1\1\x51", at(0, 0), 1, 2, b"\3" + short(b"ben"))),
                ("value: 1000001", setting_event(b"\1\1\x51", at(0, 0), 1, 3, le(4, 1_000_001))),
                ("by: 4 is unknown", setting_event(b"\1\1\x51", at(0, 0), 4, 4, b"")),
                ("what: 5 is unknown", setting_event(b"\1\1\x51", at(0, 0), 1, 5, b"")),
                ("proof: 1025", setting_event(b"\1\1\x51", at(0, 0), 2, 4, b"", bytes(1_025))),
                ("limit that another sets", setting_event(b"\1\1\x51", at(0, 0), 1, 4, b"", b"x")),
                ("limit that another sets", setting_event(b"\1\1\x51", at(0, 0), 2, 4, b"")),
                ("limit that another sets",
                 event(21, bytes(32) + at(0, 0) + b"\1" + bytes(8) + le(16, 1) + le(16, 2)))):
            with self.subTest(text=text):
                with self.assertRaisesRegex(reader.Fault, "") as caught:
                    reader.Event(next(reader.split_body(bad)), 0)
                self.assertIn(text, str(caught.exception))

    def test_of_checkpoints(self):
        said = le(8, 99) + bytes(32)
        above = event(6, said + sign(KEEPER, b"orebook/checkpoint/0\n" + LEDGER + said))
        self.check("size 99 here", "second checkpoint", second_checkpoint={"events": [above]})
        forged = event(6, le(8, 1) + bytes(96))
        self.check("signature of a checkpoint", "second checkpoint", second_checkpoint={"events": [forged]})

    def test_of_closures(self):
        pen = plain_story()
        gate = Stream(2, GATE)
        admitted = pen.entries[pen.steps["workers"]][16:]
        broken = pen.closures[0][:-1] + b"\0"
        self.check("was admitted", closure={"header": admitted})
        self.check("signature of a closure", closure={"header": broken})
        self.check("no frame", closure={"header": Pen({}).header(Stream(99, GATE), [event(7)])})
        self.check("not a fork", closure={"header": Pen({}).header(gate, [event(7)], first_seq=le(8, 500), previous=b"\1" * 32)})
        self.check("closure: position is 7", closure={"position": 7})

    def test_closed_stream(self):
        gate, last = Stream(2, GATE).uuid, plain_story().entries
        previous = sha(last[plain_story().steps["beat"]][16:])
        seq = int.from_bytes(last[plain_story().steps["beat"]][16 + 48:][:8], "little") + 1
        self.check("the stream is closed", "moved", moved={
            "stream": gate, "events": [event(7)], "summary": b"\0", "first_seq": le(8, seq), "previous": previous})

    def test_of_files(self):
        pen = plain_story()
        sealed, opened = sorted(pen.files)
        data, tail = pen.files[sealed], pen.files[opened]
        head = tail[:32] + bytes(32)
        end = len(tail) - 1000
        for text, change in (
                ("file header: root", {opened: head + le(4, crc(head)) + tail[68:]}),
                ("magic, CRC32C or zero", {opened: tail[:71] + b"\1" + tail[72:]}),
                ("truncated", {sealed: data[:-1]}),
                ("truncated", {sealed: data[:-8 * 20]}),
                ("truncated", {sealed: data[:72]}),
                ("truncated", {sealed: b""}),
                ("bytes after the footer", {sealed: data + bytes(8)}),
                ("torn tail", {opened: tail[:end - 4]}),
                ("not zero", {opened: tail[:-1] + b"\1"}),
                ("record head", {opened: tail[:end] + b"ORER" + bytes(996)})):
            with self.subTest(text=text):
                self.assertIn(text, fault_of(pen.files | change))
        self.assertIn("first position is 22", fault_of({opened: tail}))
        self.assertIn("torn tail", fault_of({"%020d.open" % 0: data[:71]}))
        self.assertIsNone(fault_of({"%020d.open" % 0: data}))       # about to be renamed
        self.assertIsNone(fault_of({"%020d.open" % 0: data, "%020d.open" % 22: tail}))
        self.assertIn("before a sealed one", fault_of({"%020d.open" % 0: data, "%020d.seg" % 22: tail}))

    def test_swapped_positions(self):
        pen = plain_story()
        sealed = "%020d.seg" % 0
        data = pen.files[sealed]
        offsets = [offset for offset in range(72, len(data), 8) if data[offset:offset + 5] == b"ORER\1"]
        a, b, c = offsets[4:7]
        fault = fault_of(pen.files | {sealed: data[:a] + data[b:c] + data[a:b] + data[c:]})
        self.assertIn("position is 5, should be 4", fault)
        self.assertIn(f"offset {a} ", fault)

    def test_footers_and_ends_of_segments(self):
        for text, change in (
                ("footer: first position", {"first": le(8, 1)}), ("footer: positions", {"positions": le(4, 2)}),
                ("footer: closures", {"closures": le(4, 1)}), ("footer: root", {"root": bytes(32)}),
                ("footer: SHA-256", {"hash": bytes(32)}), ("footer: offsets", {"offsets": le(8, 80)}),
                ("footer: index", {"index": bytes(32)}), ("malformed: index: cut short", {"index": b""}),
                ("footer: trailing bytes", {"more": bytes(8)})):
            pen, desk = Pen({}), Stream(1, DESK)
            pen.frame("genesis", desk, [genesis_event(policy_bytes(*POTS))])
            pen.seal(**change)
            self.assertIn(text, fault_of(pen))
        pen, desk = Pen({}), Stream(1, DESK)
        pen.frame("genesis", desk, [genesis_event(policy_bytes(*POTS))])
        pen.seal()
        pen.frame("beat", desk, [event(7)])
        self.assertIn("ended too soon", fault_of(pen.finish()))
        pen, desk = Pen({}), Stream(1, DESK)
        pen.frame("genesis", desk, [genesis_event(policy_bytes(*POTS))])
        for n in range(SEGMENT_POSITIONS):
            pen.offsets.clear()                        # the pen forgets to seal
            pen.frame(f"beat {n}", desk, [event(7)])
        self.assertIn("should have ended", fault_of(pen.finish()))


class Ethash(unittest.TestCase):
    """Kinds 23 and 24."""

    def test_the_story(self):
        pen = ethash_story()
        with Folder(pen.files) as folder:
            found, fault = folder.read()
            lines = command(folder.path, "--cat").stdout.decode().splitlines()
        self.assertIsNone(fault)
        self.assertEqual(found.ledger.tree.root(), merkle(pen.entries))
        said = [line[line.index('"kind":'):] for line in lines]
        self.assertIn('"kind":"ethash_job","number":1,"policy":[0,0],"height":700,"network_work":"1000000000",'
                      '"reward":"5000","fees":"12","seal":"%s","seed":"%s","job_time":1800000000,"clean":true}'
                      % ("5e" * 32, "5d" * 32), said)
        self.assertIn('"kind":"ethash_share","worker":0,"job":1,"work":"2000000","block":true,"stale":false,'
                      '"nonce":"a100031f08aa5b9c"}', said)
        self.assertIn('"kind":"block_found","hash":"%s","height":700,"coinbase_txid":"%s","header":"%s"}' % (
            sha(SEAL, bytes.fromhex("a100031f08aa5b9c")).hex(), "00" * 32,
            "5e" * 32 + "a100031f08aa5b9c" + "31" * 32), said)
        moved = [json.loads(line) for line in lines if '"kind":"moved"' in line]
        self.assertEqual([(line["counts"], line["event"]["kind"]) for line in moved],
                         [(False, "ethash_share"), (True, "ethash_share"), (True, "block_found")])
        self.assertIn('"kind":"void","share":[4,3],"first":[3,1],"expects":[0,0]}', said)
        for events in ([void_event(at(5, 0), at(3, 1))], [void_event(at(4, 3), at(3, 1), at(5, 0))]):
            self.assertIn("cites a position", fault_of(ethash_story(twice={"events": events})))

    def test_faults(self):
        def block(**change):
            return [ethash_share_event(0, 0, 1, 1), ethash_found_event(**change)]
        named = sha(SEAL + bytes(8))
        wrong = "right after its share"
        for text, events in (
                ("worker 2 or job 0 is not announced", [ethash_share_event(2, 0, 1)]),
                ("worker 0 or job 1 is not announced", [ethash_share_event(0, 1, 1)]),
                ("job 2 is not dense", [ethash_job_event(2, at(0, 0))]),
                ("cites a position", [ethash_job_event(1, at(3, 0))]),
                ("over the limit", [ethash_job_event(1, at(0, 0), fees=5_001)]),
                ("network_work: 0", [ethash_job_event(1, at(0, 0), 0)]),
                ("work or flags", [ethash_share_event(0, 0, 0)]), ("work or flags", [ethash_share_event(0, 0, 1, 4)]),
                ("work of another algorithm", [job_event(1, at(0, 0))]),
                ("work of another algorithm", [share_event(0, 0, 1)]),
                ("moved work of another", [moved_event(bytes(16), 0, 1, 0, share_event(0, 0, 1), 0, 0)]),
                (wrong, [ethash_found_event()]), (wrong, [ethash_share_event(0, 0, 1), ethash_found_event()]),
                (wrong, block(nonce=0)), (wrong, block(hash=named)), (wrong, block(txid=b"\1" + bytes(31))),
                (wrong, block(header=(SEAL + bytes.fromhex("a100031f08aa5b9c") + b"\x31" * 31))),
                (wrong, [moved_event(bytes(16), 0, 1, 0, ethash_share_event(0, 0, 1, 1), 0, 0),
                         moved_event(bytes(16), 0, 2, 0, ethash_found_event(nonce=1))])):
            with self.subTest(text=text, events=len(events)):
                pen = ethash_story(shares={"events": events, "summary": b"\0"})
                self.assertIn(text, fault_of(pen) or "accepted")
        pen, desk, gate = Pen({}), Stream(1, DESK), Stream(2, GATE)
        pen.frame("genesis", desk, [genesis_event(policy_bytes(*POTS))])
        pen.frame("jobs", gate, [ethash_job_event(0, at(0, 0))])
        self.assertIn("work of another algorithm", fault_of(pen.finish()))
        for length in (33, 35):
            raw = ethash_share_event(0, 0, 1)[:2] + le(2, length) + (ethash_share_event(0, 0, 1) + b"\0")[4:length]
            with self.assertRaises(reader.Fault):
                reader.Event(raw, 0)


class FlippedBits(unittest.TestCase):
    """No bit of the files is without meaning: each one flipped is a fault."""

    def setUp(self):
        self.seed = int(os.environ.get("OREBOOK_SEED", random.randrange(1 << 32)))
        self.random = random.Random(self.seed)
        print(f"OREBOOK_SEED={self.seed}", file=sys.stderr)

    def test_anywhere(self):
        pen = plain_story()
        with Folder(pen.files) as folder:
            for _ in range(300):
                name = self.random.choice(sorted(pen.files))
                data = bytearray(pen.files[name])
                bit = self.random.randrange(8 * len(data))
                data[bit // 8] ^= 1 << bit % 8
                path = folder.path / "segments" / name
                path.write_bytes(data)
                fault = folder.read(signatures="none")[1]
                path.write_bytes(pen.files[name])
                self.assertIsNotNone(fault, f"seed {self.seed}: bit {bit} of {name}")

    def test_in_payloads_with_the_checksum_mended(self):
        """In the open segment, where no footer tells; the append time (bytes 16 to 23) may be another one."""
        pen = Pen({})
        story_files = plain_story().files
        data = story_files["%020d.seg" % 0]
        footer = data.index(b"ORER\3")
        name = "%020d.open" % 0
        offsets = [offset for offset in range(72, footer, 8) if data[offset:offset + 4] == b"ORER"]
        with Folder({name: data[:footer]}) as folder:
            self.assertIsNone(folder.read()[1])
            for _ in range(300):
                offset = self.random.choice(offsets)
                length = int.from_bytes(data[offset + 8:offset + 12], "little")
                start, end = (16, 24) if data[offset + 4] == 1 else (8, 16)
                bit = self.random.choice([bit for bit in range(8 * length) if not start <= bit // 8 < end])
                (folder.path / "segments" / name).write_bytes(seal_again(data, offset, bit)[:footer])
                fault = folder.read()[1]
                self.assertIsNotNone(fault, f"seed {self.seed}: bit {bit} of the record at {offset}")


if __name__ == "__main__":
    unittest.main()
