"""Tests of what reader_events.py reads of batch bodies, which the parts before a proposal hold.

    python3 -m unittest tests/test_reader_bodies.py
"""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from ledger_pen import body_bytes, le, short  # noqa: E402
import reader_events  # noqa: E402

PAID = body_bytes([(b"\3" + short(b"ann"), b"\1\1\x51", 250_000, 141)], [b"\x56" * 32])


class Bodies(unittest.TestCase):
    """What a batch body may not say; the bytes come from the golden page too."""

    ANN, BEN, SCRIPT = b"\3" + short(b"ann"), b"\3" + short(b"ben"), b"\1\1\x51"

    def test_what_is_read(self):
        body = reader_events.batch_body(PAID)
        self.assertEqual(body["lines"], [{"account": "name:ann", "address": "script:51", "amount": 250_000, "fee": 141}])
        self.assertEqual(body["blocks"], [b"\x56" * 32])
        page = (Path(__file__).resolve().parent.parent / "schema/golden/batch_body.hex").read_text(encoding="utf-8")
        cases = page.split("\n## ")[1:]
        read = [reader_events.batch_body(bytes.fromhex("".join(
            line for line in case.splitlines()[1:] if not line.startswith("#")))) for case in cases]
        self.assertEqual([(len(body["lines"]), len(body["blocks"])) for body in read], [(3, 2), (1, 0), (1, 40)])
        # By kind, then by their bytes: a longer script may come before a shorter one.
        lines = [(b"\1\2\x51\x52", self.SCRIPT, 1, 0), (b"\1\1\x53", self.SCRIPT, 1, 0), (self.ANN, self.SCRIPT, 1, 0)]
        self.assertEqual(len(reader_events.batch_body(body_bytes(lines))["lines"]), 3)

    def test_what_is_refused(self):
        line = (self.ANN, self.SCRIPT, 9, 0)
        for text, data in (
                ("u16: 0|: 0", body_bytes([])), ("2001", le(2, 2_001)),
                ("not ascending", body_bytes([line, line])),
                ("not ascending", body_bytes([(self.BEN, self.SCRIPT, 9, 0), line])),
                ("not ascending", body_bytes([line, (self.SCRIPT, self.SCRIPT, 9, 0)])),
                ("paid to a name", body_bytes([(self.ANN, self.ANN, 9, 0)])),
                ("amount: 0", body_bytes([(self.ANN, self.SCRIPT, 0, 0)])),
                ("amount: 1208925819614629174706177", body_bytes([(self.ANN, self.SCRIPT, 2**80 + 1, 0)])),
                ("pays nothing", body_bytes([(self.ANN, self.SCRIPT, 9, 9)])),
                ("1025", body_bytes([line])[:-2] + le(2, 1_025)),
                ("not ascending", body_bytes([line], [b"\1" * 32, b"\1" * 32])),
                ("trailing", PAID + b"\0"), ("2\\^20", bytes(2**20 + 1))):
            with self.subTest(text=text):
                self.assertRaisesRegex(reader_events.Fault, text, reader_events.batch_body, data)
        for length in range(len(PAID)):
            self.assertRaises(reader_events.Fault, reader_events.batch_body, PAID[:length])


if __name__ == "__main__":
    unittest.main()
