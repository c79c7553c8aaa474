"""What the independent reader makes of announcements of dust, reconciliations and pots that pay by the coinbase."""
import io
import unittest
from contextlib import redirect_stdout

from ledger_pen import (APPROVERS, DESK, PAYER, POTS, START, Folder, Pen, Stream, approval_event, at, dust_event, event,
                        genesis_event, policy_bytes, reader, reconciled_event, short, thing_of)

ANN, BEN = b"\3" + short(b"ann"), b"\3" + short(b"ben")
SCRIPT = b"\1" + short(b"\x51" * 2)
DUST = (39, None)                                   # the one subject


def approved(thing, approvers=APPROVERS):
    return [approval_event(thing_of(thing), approver) for approver in approvers]


def read(*frames, policy=POTS, algorithm=1, approvals=((2, 2),), payer=()):
    """The reader that read a ledger of these frames of the desk, and its fault."""
    pen, desk = Pen({}), Stream(1, DESK)
    pen.frame("genesis", desk, [genesis_event(policy_bytes(*policy), algorithm, approvals=approvals)])
    for events in frames:
        pen.frame("things", desk, events)
    for events in payer:
        pen.frame("paid", Stream(7, PAYER), events)
    with Folder(pen.finish().files) as folder:
        return folder.read()


class Dust(unittest.TestCase):
    def last(self, *frames, **options):
        found, fault = read(*frames, **options)
        self.assertIsNone(fault)
        return found.ledger.last_obeyed.get(DUST)

    def test_compare_and_set(self):
        first, second = dust_event([ANN]), dust_event([BEN], at(1, 0))
        self.assertEqual(self.last([first], approved(first, APPROVERS[:1])), None)
        self.assertEqual(self.last([first], approved(first)), (1, 0))
        one = ((2, 2), (10, 1))
        self.assertEqual(self.last([first], approved(first, APPROVERS[:1]), approvals=one), (1, 0))
        self.assertEqual(self.last([first], approved(first), [second], approved(second)), (3, 0))
        self.assertEqual(self.last([event(7)], [second], approved(second)), None)

    def test_what_is_read(self):
        self.assertIsNone(read([dust_event([])], [dust_event([SCRIPT, ANN, BEN], cutoff=1)])[1])
        self.assertIsNone(read(payer=[[reconciled_event(0)]])[1])
        for text, events in (
                ("below its own", [dust_event([ANN], cutoff=1)]),
                ("below its own", [dust_event([ANN], at(1, 0))]),
                ("not ascending", [dust_event([BEN, ANN])]),
                ("not ascending", [dust_event([ANN, ANN])]),
                ("accounts: 401", [dust_event([b"\3" + short(b"%03d" % n) for n in range(401)])]),
                ("to: 4 is unknown", [dust_event([ANN], to=4)]),
                ("role desk may not say reconciled", [reconciled_event(0)])):
            with self.subTest(text=text):
                self.assertIn(text, read(events)[1] or "accepted")
        for text, said in (
                ("below its own", reconciled_event(1)), ("limit that another sets", reconciled_event(0, 1)),
                ("limit that another sets", reconciled_event(0, 0, b"one")), ("report: 4097", reconciled_event(0, 1, b"~" * 4_097)),
                ("report: a character", reconciled_event(0, 1, b"\t"))):
            with self.subTest(text=text):
                self.assertIn(text, read(payer=[[said]])[1] or "accepted")

    def test_what_cat_prints(self):
        pen, desk = Pen({}), Stream(1, DESK)
        pen.frame("genesis", desk, [genesis_event(policy_bytes(*POTS))])
        pen.frame("dust", desk, [dust_event([SCRIPT, ANN], cutoff=0)])
        pen.frame("paid", Stream(7, PAYER), [reconciled_event(1, 2, b"a\nb \\ \"c\"\n")])
        with Folder(pen.finish().files) as folder:
            printed = io.StringIO()
            printed.buffer = io.BytesIO()
            with redirect_stdout(printed):
                self.assertIsNone(reader.main([str(folder.path), "--cat"]))
        lines = printed.buffer.getvalue().decode().splitlines()
        self.assertIn('"kind":"inactive_dust","cutoff":0,"to":"donation","accounts":["script:5151","name:ann"],"expects":[0,0],'
                      '"reason":"silent"}', lines[1])
        self.assertIn('"kind":"reconciled","wallet":0,"compared_position":1,"money":"%s","wallet_expected":"%d",'
                      '"wallet_found":"9","transactions":12,"blocks":3,"differences":2,"report":"a\\nb \\\\ \\"c\\"\\n"}'
                      % ("37" * 32, 2**128 - 1), lines[2])


class Direct(unittest.TestCase):
    def obeyed(self, *pots, algorithm=1):
        """Whether a policy of these pots is obeyed."""
        policy = event(4, at(0, 0) + policy_bytes(*pots))
        found, fault = read([policy], approved(policy), policy=((9, 1, 0),), algorithm=algorithm)
        self.assertIsNone(fault)
        return (1, 0) in found.ledger.policies

    def test_who_may_pay_by_the_coinbase(self):
        for scheme, can in ((1, True), (2, False), (3, False), (4, False), (5, False)):
            for algorithm, is_bitcoin_like in ((1, True), (2, True), (3, True)):
                self.assertEqual(self.obeyed((1, scheme, 0, 5, 1), algorithm=algorithm), can and is_bitcoin_like)
            self.assertTrue(self.obeyed((1, scheme, 0)))
        for algorithm in (4, 5):
            with self.subTest(algorithm=algorithm):
                self.assertIn("limit that another sets", read(policy=((1, 1, 0, 5, 1),), algorithm=algorithm)[1] or "accepted")
        self.assertIn("limit that another sets", read(policy=((1, 4, 0, 5, 1),))[1] or "accepted")

    def test_outputs(self):
        for direct, text in (((0, 1), "direct_outputs without"), ((1, 0), "direct_outputs without"), ((1, 501), "direct_outputs: 501")):
            said = event(4, at(0, 0) + policy_bytes((1, 1, 0, *direct)))
            with self.subTest(direct=direct), self.assertRaises(reader.Fault) as caught:
                reader.Event(said, START)
            self.assertIn(text, str(caught.exception))


if __name__ == "__main__":
    unittest.main()
