"""Planted faults: each changes one place of the oracle, and the named test has to find it. Run by test_oracle.py too. Here are
those of payouts and halts; test_oracle_direct_faults.py has those of coinbases that pay and of dust."""
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]
import oracle  # noqa: E402
import oracle_accounts  # noqa: E402
import oracle_direct  # noqa: E402
import oracle_dust  # noqa: E402
import oracle_payouts  # noqa: E402
import oracle_rules  # noqa: E402
import oracle_things  # noqa: E402
import test_oracle_direct  # noqa: E402
import test_oracle_direct_random  # noqa: E402
import test_oracle_dust  # noqa: E402
import test_oracle_halts  # noqa: E402
import test_oracle_payouts  # noqa: E402
import test_oracle_payouts_random as by_chance  # noqa: E402

MODULES = (oracle_rules, oracle_things, oracle_accounts, oracle_direct, oracle_dust, oracle_payouts, oracle)      # who imports stands after what it imports
SEEDS_OF_FAULTS = 60
RANDOM = "both computations agree"
COINBASES = "both computations of coinbases agree"
TESTS = (test_oracle_payouts, test_oracle_halts, test_oracle_direct, test_oracle_dust)
FAULTS = (                                          # module, what stands there, what shall, the test
    (oracle_payouts, "PARTS_MOST, VERSIONS_MOST = 64, 64", "PARTS_MOST, VERSIONS_MOST = 64, 65", "versions are others and spend the same"),
    (oracle_payouts, "PARTS_MOST, VERSIONS_MOST = 64, 64", "PARTS_MOST, VERSIONS_MOST = 65, 64", "whom a whole needs"),
    (oracle_payouts, '"final": ("confirmed",)', '"final": ("confirmed", "seen")', "the table of 8 9 is what is obeyed"),
    (oracle_payouts, '"failed": LIVE', '"failed": LIVE[1:]', "the table of 8 9 is what is obeyed"),
    (oracle_payouts, '"signed": ("unsigned", "signed",', '"signed": ("unsigned", "signed", "confirmed",', "the table of 8 9 is what is obeyed"),
    (oracle_payouts, '"conflicted": ("signed",', '"conflicted": ("signed", "conflicted",', "the table of 8 9 is what is obeyed"),
    (oracle_payouts, "(reserved, paid, self.amount - self.fee), (reserved, NETWORK_FEES, self.fee)]",
     "(reserved, paid, self.amount)]", "what the chain took is what was said last"),
    (oracle_payouts, 'return sent if self.stands == "held" else []', "return sent", "what the chain took is what was said last"),
    (oracle_payouts, "(paid, available, self.amount - self.fee), (NETWORK_FEES, available, self.fee)]",
     "(paid, available, self.amount - self.fee)]", "what the chain took is what was said last"),
    (oracle_payouts, 'and event["txid"] not in self.txids and len', "and len", "versions are others and spend the same"),
    (oracle_payouts, 'new = event["spends"] == self.spends and ', "new = ", "versions are others and spend the same"),
    (oracle_payouts, 'step in ("conflicted", "unknown") or event["txid"] in self.txids', "True", "versions are others and spend the same"),
    (oracle_payouts, 'return self.state == "unsigned"\n', "return self.state not in ENDS\n", "the table of 8 9 is what is obeyed"),
    (oracle_payouts, 'return self.state in LIVE and event["by"] not in self.txids', "return self.state in LIVE", "versions are others and spend the same"),
    (oracle_payouts, "fee * SUB_UNITS - self.took", "fee * SUB_UNITS", "what the chain took is what was said last"),
    (oracle_payouts, "self.took = self.took if fee is None else fee * SUB_UNITS", "pass", "what the chain took is what was said last"),
    (oracle_payouts, '''            self.name, self.parts, self.of = event["whole"], [], event["of"]
        follows''', '''            self.name, self.of = event["whole"], event["of"]
        follows''', "whom a whole needs"),
    (oracle_payouts, '(event["whole"], event["of"], event["part_index"]) == (self.name, self.of, len(self.parts))',
     '(event["whole"], event["part_index"]) == (self.name, len(self.parts))', "whom a whole needs"),
    (oracle_payouts, "and len(self.parts) == self.of and hash", "and hash", "whom a whole needs"),
    (oracle_payouts, "and hashlib.sha256(data).hexdigest() == name\n", "\n", "parts with the name of another body are none"),
    (oracle_payouts, 'self.streams[event["stream"]].take(event)', 'self.streams[0].take(event)', "a whole is of one stream and may be named twice"),
    (oracle_payouts, "            self.last_paid[line.account] = self.at\n", "", "pay now is once"),
    (oracle_payouts, "total <= int(self.policy", "total < int(self.policy", "how many have to approve"),
    (oracle_payouts, "if total <= int(self.policy[\"auto_pay_limit\"]) else self.needed[7]",
     "if total <= int(self.policy[\"auto_pay_limit\"]) else self.needed[8]", "what is approved is one batch"),
    (oracle_payouts, ' or event["wallet"] in self.halted:\n', ":\n", "what goes on and what does not"),
    (oracle_payouts, 'tuple(event["expects"]) != NONE or ', "", "a proposal is all or nothing"),
    (oracle_payouts, '(event["batch"] == len(batches)\n', '(event["batch"] <= len(batches)\n', RANDOM),
    (oracle_payouts, "for batch in batches for tx in batch.txs)\n                and event",
     "for batch in batches[-1:] for tx in batch.txs)\n                and event", "an old batch that comes back keeps the next waiting"),
    (oracle_payouts, '("confirmed", *ENDS) for', '("confirmed", "final") for', "what goes on and what does not"),
    (oracle_payouts, 'event["txs"] in (1, len(lines)) and event["lines"] == len(lines) and', "", "a proposal is all or nothing"),
    (oracle_payouts, ' and int(event["total"]) == total\n', "\n", "a proposal is all or nothing"),
    (oracle_payouts, 'fee // len(lines) if self.policy["network_fees"] == "miner" else 0', "fee // len(lines)", "what the miner bears"),
    (oracle_payouts, "self.blocks[hash].is_confirmed for", "self.blocks[hash].held for", "a block counts from its confirmed to its orphan"),
    (oracle_payouts, "hash in self.blocks and self.blocks[hash].is_confirmed for", "hash in self.blocks for", "a block counts from its confirmed to its orphan"),
    (oracle_payouts, "and self.debits + total * SUB_UNITS < SUM_OF_ALL)", "and self.debits < SUM_OF_ALL)", "what might not fit is refused"),
    (oracle_payouts, "account.pay_now and account.pay_now > self.last_paid", "account.pay_now and NONE >= self.last_paid", "pay now is once"),
    (oracle_payouts, "(asked or line", "(account.pay_now or line", "pay now is once"),
    (oracle_payouts, "and line[\"amount\"] * SUB_UNITS <= credits - debits", "and line[\"amount\"] * SUB_UNITS <= credits", "one proposal after another takes what is left"),
    (oracle_payouts, 'line["amount"] >= self.threshold(name)', 'line["amount"] > self.threshold(name)', "addresses wait and thresholds do not"),
    (oracle_payouts, 'line["amount"] >= self.threshold(name)', 'line["amount"] - line["fee"] >= self.threshold(name)', "the policy of the place counts"),
    (oracle_payouts, "account.address(self.time) == line", "account.in_force == line", "addresses wait and thresholds do not"),
    (oracle_payouts, 'tx if tx and tx.last == tuple(event["expects"]) else None', "tx", "each expects what moved its tx last"),
    (oracle_payouts, "self.judge(right and self.fits(postings))", "self.judge(right)", "what might not fit is refused"),
    (oracle_payouts, "            tx.go(step, self.at, fee)\n            return", "            tx.go(step, tx.last, fee)\n            return", "each expects what moved its tx last"),
    (oracle_payouts, "free = tx and wallet not in self.halted", "free = tx", "what goes on and what does not"),
    (oracle_payouts, "free = len(self.approved_by[batch.digest]) >= batch.needed", "pass", "what is approved is one batch"),
    (oracle_payouts, '        if free and tx.state == "unsigned":', "        if free and not tx.txids and self.halted:", "how many have to approve"),
    (oracle_payouts, 'in ("confirmed", "final", "failed") else None', 'in ("confirmed", "final") else None', "what the chain took is what was said last"),
    (oracle_payouts, 'in ("confirmed", "final", "failed") else None', 'in ("confirmed", "failed") else None', "what the chain took is what was said last"),
    (oracle_payouts, 'int(event["fee"]) if event["by"] else None', "None", "what the chain took is what was said last"),
    (oracle_payouts, 'if block_hash in batch.blocks\n', "if batch.blocks\n", "an orphan cancels what is unsigned and cites it"),
    (oracle_payouts, 'in batch.txs if tx.state == "unsigned"]', 'in batch.txs if tx.state in ("unsigned", "signed")]', "an orphan cancels what is unsigned and cites it"),
    (oracle_payouts, 'tx.go("cancelled", self.at)', 'tx.go("cancelled", NONE)', RANDOM),
    (oracle_payouts, '        self.last["halts", event["wallet"]] = self.at\n', "", "the next expects the place of the resume"),
    (oracle_payouts, "                 lambda: wallet in self.halted)", "                 lambda: True)", RANDOM),
    (oracle_payouts, 'event, self.needed[8], lambda _: self.halted.discard(wallet)', 'event, self.needed[8], lambda _: self.halted.clear()', "a resume is of its wallet alone"),
    (oracle, "            self.cancel_unsigned(block.hash)\n", "", "an orphan cancels what is unsigned and cites it"),
    (oracle, 'block.is_confirmed and block.state != "orphaned"', "block.is_confirmed", "a block counts from its confirmed to its orphan"),
    (oracle, 'block.state == "confirmed" or block.is_confirmed and block.state != "orphaned"', 'block.state == "confirmed"', "a block counts from its confirmed to its orphan"),
    (oracle_things, 'f.account((1, 2)), f.number(16, 1, 2**80)', 'f.account(), f.number(16, 1, 2**80)', "what is a body"),
    (oracle_things, "f.number(16, 0, amount - 1)", "f.number(16, 0, amount)", "what the miner bears"),
    (oracle_things, "all(a < b for of in (accounts, blocks)", "all(a <= b for of in (accounts, blocks)", "what is a body"),
    (oracle_things, "all(a < b for of in (accounts, blocks)", "all(a < b for of in (accounts,)", "what is a body"),
    (oracle_things, "if not f.right or f.data or", "if not f.right or", "what is a body"),
    (oracle_things, "f.number(2, 0, 1_024)", "f.number(2, 0)", "what is a body"),
    (oracle_things, "for of in (accounts, blocks) for", "for of in ([(form, len(data), data) for form, data in accounts], blocks) for",
     "what is a body"),
    (oracle_payouts, "self.time - since >= self", "self.time - since > self", "who approves and when it counts"),
    (oracle_payouts, "                self.owes_since.pop(account, None)\n", "                pass\n", "a debt begins anew once it is filled"),
    (oracle_payouts, "self.owes_since.setdefault(account, self.time)", "self.owes_since[account] = self.time", "who owes more owes since the first"),
    (oracle_payouts, "            if debits <= credits:", "            if debits < credits:", "nothing is no debt"),
    (oracle_payouts, "event, self.needed[9], lambda", "event, self.needed[4], lambda", "who approves and when it counts"),
    (oracle_payouts, "event, self.needed[9], lambda", "event, 0, lambda", "who approves and when it counts"),
    (oracle, '            self.moved |= {account for book, account in (debit, credit) if book == "available"}\n',
     """            self.moved |= {account for book, account in (debit, credit) if book == "available"}
            self.note_debts()
""", "what stands between two postings of one event is not asked"),
    (oracle_accounts, "self.until <= time", "self.until < time", "addresses wait and thresholds do not"),
    (oracle_accounts, "if named == self.waits:\n            return", "if named == self.waits:\n            pass", "an address said again keeps its time"),
    (oracle_accounts, 'if event["payout"] != account.payout:', "if True:", RANDOM),
    (oracle_accounts, 'if event["threshold"] != account.said_threshold:', "if True:", RANDOM),
    (oracle_accounts, "account.pay_now = self.at ", "account.pay_now = account.pay_now or self.at ", "pay now is once"),
)


TEXTS = {module: Path(module.__file__).read_text() for module in MODULES}
CODES = {module: compile(text, module.__file__, "exec") for module, text in TEXTS.items()}
SIGNATURES = oracle_things.signature_is_right       # what it has judged it keeps


def plant(module=None, right="", wrong=""):
    """Runs the modules anew in their places, one of them with the fault."""
    codes = dict(CODES)
    if module:
        assert TEXTS[module].count(right) == 1, (right, TEXTS[module].count(right))
        codes[module] = compile(TEXTS[module].replace(right, wrong), module.__file__, "exec")
    for each in MODULES:
        exec(codes[each], each.__dict__)
    oracle.signature_is_right = oracle_things.signature_is_right = SIGNATURES


def finds_it(name):
    """Whether the test of that name fails now."""
    if name == RANDOM:
        return not by_chance.agree_until_they_do_not(range(SEEDS_OF_FAULTS))
    if name == COINBASES:
        return not isinstance(test_oracle_direct_random.coinbases_agree(range(SEEDS_OF_FAULTS * 5)), dict)
    method = "test_" + name.replace(" ", "_")
    case = next(case for tests in TESTS for case in vars(tests).values() if isinstance(case, type) and hasattr(case, method))
    result = unittest.TestResult()
    result.failfast = True
    case(method).run(result)
    return not result.wasSuccessful()


def check(test, faults):
    try:
        for module, right, wrong, name in faults:
            with test.subTest(fault=wrong, by=name):
                plant(module, right, wrong)
                test.assertTrue(finds_it(name))
    finally:
        plant()
    for name in sorted({name for *_, name in faults} - {RANDOM, COINBASES}):
        test.assertFalse(finds_it(name), f"{name}, without a fault")


class Faults(unittest.TestCase):
    def test_each_is_found(self):
        check(self, FAULTS)


if __name__ == "__main__":
    unittest.main()
