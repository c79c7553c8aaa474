"""More planted faults: of coinbases that pay accounts and of dust (rules 11, 7.2, 7.3). Run by test_oracle.py too."""
import sys
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]
import oracle  # noqa: E402
import oracle_accounts  # noqa: E402
import oracle_direct  # noqa: E402
import oracle_dust  # noqa: E402
import oracle_payouts  # noqa: E402
import oracle_things  # noqa: E402
from test_oracle_faults import COINBASES, check  # noqa: E402

OUTPUTS = "what is a coinbase with outputs"
VALUES = "values before and after confirmed"
LIST_ENDS = "a list ends"
OWNERS = "whose address is in force where the list stands"
WAITING = "who waits is who had the address at the list"
ENDS_OF_ROOM = "a list ends before the first that has no room and tries no other"
OPERATIONS = "signature operations are counted without running"
MIGHT = "what a status might carry"
ACTIVE = "who is active"
FAULTS_OF_DIRECT = (                                # module, what stands there, what shall, the test
    (oracle_direct, "coinbase2.partition(", "coinbase2.rpartition(", OUTPUTS),
    (oracle_direct, "{2: 0xFD, 4: 2**16, 8: 2**32}[size]", "0", OUTPUTS),
    (oracle_direct, "1 <= count <= OUTPUTS_MOST", "1 <= count", OUTPUTS),
    (oracle_direct, "1 <= count <= OUTPUTS_MOST", "1 <= count < OUTPUTS_MOST", OUTPUTS),
    (oracle_direct, "    f.take(4)\n", "", OUTPUTS),
    (oracle_direct, "f.right and not f.data else []", "f.right else []", OUTPUTS),
    (oracle_direct, "in outputs[1:] if", "in outputs if", "the first output is the pools and so is what no account can be"),
    (oracle_direct, "if amount and 1 <=", "if 1 <=", "the first output is the pools and so is what no account can be"),
    (oracle_direct, "1 <= len(script) <= SCRIPT_MOST", "1 <= len(script)", "the first output is the pools and so is what no account can be"),
    (oracle_direct, "1 <= len(script) <= SCRIPT_MOST", "len(script) <= SCRIPT_MOST", "the first output is the pools and so is what no account can be"),
    (oracle_direct, "            if position < size:\n", "            if True:\n", OWNERS),
    (oracle_direct, "past.address(self.times[size - 1])", "past.address(self.time)", OWNERS),
    (oracle_direct, "past.address(self.times[size - 1])", "past.address(self.times[0])", OWNERS),
    (oracle_direct, "min(of or self.moved_to(script, size), key=order_of,", "max(of or self.moved_to(script, size), key=order_of,", OWNERS),
    (oracle_direct, "min(of or self.moved_to(script, size), key=order_of,", "min(of or self.moved_to(script, size),",
     "an account that is the script comes first"),
    (oracle_direct, "min(of or self.moved_to(script, size),", "min(of,", OWNERS),
    (oracle_direct, "min(of or self.moved_to(script, size),", "min(self.moved_to(script, size) or of,", OWNERS),
    (oracle_direct, "if any(position < size for position, *_ in account.changes)]", "if account.changes]", "an account that is the script comes first"),
    (oracle_direct, "in moved if self.address_as_of(name, size) ==", "in moved if self.account(name).address(self.time) ==", OWNERS),
    (oracle_direct, "sum(position < size for", "sum(position <= size for", COINBASES),
    (oracle_direct, 'and block.scheme == "pplns" and int(terms["direct_min"]):', 'and block.scheme == "pplns":',
     "another pots block has its own weights and its outputs are booked"),
    (oracle_direct, 'and block.scheme == "pplns" and int(terms["direct_min"]):', "and False:",
     "neither the finder nor what came after the list moves a part"),
    (oracle_direct, "for (position, _), account, ppm in self.gifts if position < size}", "for (position, _), account, ppm in self.gifts}",
     "donations are those of the list"),
    (oracle_direct, "block.paid.get(owner, 0) + amount", "amount", "outputs to nobody that has a weight"),
    (oracle_direct, 'block.waits |= {f"script:{script}", *self.moved_to(script, size)}', "pass",
     "an account waits from the found block to its first status that is not seen"),
    (oracle_direct, 'min(x, gives["earned", account])', "x", VALUES),
    (oracle_direct, 'block.paid[account] - of_block, block.hash', 'block.paid[account], block.hash', VALUES),
    (oracle_direct, "(immature, available) if more > 0", "(immature, available) if more < 0", VALUES),
    (oracle_direct, '("reserved", account), ("paid", account)', '("paid", account), ("reserved", account)', VALUES),
    (oracle_direct, 'network_work, terms["n_ppm"]', 'network_work, 10**6', COINBASES),
    (oracle_direct, "split(value, fees, terms, weights, None, self.donors)", "split(value, fees, terms, weights, None, {})", COINBASES),
    (oracle_direct, "split(value, fees, terms", "split(value, 0, terms", "kept fees are not shared"),
    (oracle_direct, 'address.startswith("script:") and', "", "addresses that are no script or one of two names are not listed"),
    (oracle_direct, "and address not in [address for address, _ in wants.values()]", "",
     "addresses that are no script or one of two names are not listed"),
    (oracle_direct, "sorted(weights, key=order_of)", "sorted(weights)", COINBASES),
    (oracle_direct, "(-row[1][1], order_of(row[0]))", "(row[1][1], order_of(row[0]))", LIST_ENDS),
    (oracle_direct, "(-row[1][1], order_of(row[0]))", "(-row[1][1], row[0])", COINBASES),
    (oracle_direct, 'block.waits |= {f"script:{script}", *self.moved_to(script, size)}', 'block.waits |= {f"script:{script}"}', WAITING),
    (oracle_direct, 'block.waits |= {f"script:{script}", *self.moved_to(script, size)}', 'block.waits |= {f"script:{script}", owner}', WAITING),
    (oracle_direct, "self.moved_to(script, size)}", "self.moved_to(script, self.at[0])}", WAITING),
    (oracle_dust, "and name not in waiting", "", "dust of who waits stays"),
    (oracle_direct, "output, script = min(want, left),", "output, script = want,", COINBASES),
    (oracle_direct, "if output < least or", "if output <= least or", LIST_ENDS),
    (oracle_direct, "len(outputs) == terms", "len(outputs) > terms", LIST_ENDS),
    (oracle_direct, "size < 0 or cost < 0:", "size <= 0 or cost < 0:", "room"),
    (oracle_direct, "or size < 0 or cost < 0:", "or cost < 0:", ENDS_OF_ROOM),
    (oracle_direct, "or size < 0 or cost < 0:", "or size < 0:", ENDS_OF_ROOM),
    (oracle_direct, "size - 9 - len(script)", "size - 8 - len(script)", ENDS_OF_ROOM),
    (oracle_direct, "0xAE: 20, 0xAF: 20}", "0xAE: 20}", OPERATIONS),
    (oracle_direct, "0xAC: 1, 0xAD: 1,", "0xAC: 1,", OPERATIONS),
    (oracle_direct, "if 0x01 <= op <= 0x4B:", "if 0x01 <= op < 0x4B:", OPERATIONS),
    (oracle_direct, "{0x4C: 1, 0x4D: 2, 0x4E: 4}[op]", "{0x4C: 1, 0x4D: 2, 0x4E: 2}[op]", OPERATIONS),
    (oracle_direct, "elif op in (0x4C, 0x4D, 0x4E):", "elif op in (0x4C, 0x4D):", OPERATIONS),
    # ---- reading 14
    (oracle, "(3 * value + 2 * block.value)", "(3 * value + block.value)", MIGHT),
    (oracle, "(3 * value + 2 * block.value)", "(2 * value + 2 * block.value)", MIGHT),
    (oracle, "+ sum(amount for _, amount in block.postings)", "", MIGHT),
    (oracle, "+ sum(line.amount for line in lines)", "", "lines that an orphan cancels count"),
    (oracle, 'if state == "orphaned" else []\n        might', "\n        might", "lines that an orphan cancels count"),
    (oracle, "+ 3 * sum(block.paid.values()))", "+ 2 * sum(block.paid.values()))", "outputs of a coinbase count three times"),
    (oracle, "self.debits + might < SUM_OF_ALL", "self.debits + might <= SUM_OF_ALL", MIGHT),
    (oracle_direct, "if balance <= 0:\n            return balance", "if balance <= 0:\n            return 0", "what is carried"),
    (oracle_direct, "balance >= self.threshold(name) * SUB_UNITS", "balance > self.threshold(name) * SUB_UNITS", "what is carried"),
    (oracle_direct, "asked and balance >= SUB_UNITS", "asked", "who asked for payment at once carries no base unit"),
    (oracle_direct, "return 0 if waits or paid", "return 0 if paid", "an account waits from the found block to its first status that is not seen"),
    (oracle_direct, 'terms["bonus_ppm"] == 0 and', "", "which pots may pay by the coinbase"),
    (oracle_direct, 'terms["scheme"] == "pplns" and terms', "terms", "which pots may pay by the coinbase"),
    (oracle_direct, " and algorithm not in ETHASH", "", "which pots may pay by the coinbase"),
    (oracle, 'min(event.get("direct", 0), self.at[0])', 'event.get("direct", 0)', "a list beyond the jobs own position ends there"),
    (oracle, 'if size else []\n', '\n', "a job without a list pays nobody whatever its coinbase has"),
    (oracle, 'block.held, block.waits = {}, [], None, set()', 'block.held = {}, [], None',
     "an account waits from the found block to its first status that is not seen"),
    (oracle, "block.held, block.waits = block.held or", "block.held, _ = block.held or", "an account waits from the found block to its first status that is not seen"),
    (oracle, "if block.held else None\n", "if block.posted else None\n", VALUES),
    (oracle, '        if block.held == "immature":\n            self.post_outputs', "        if True:\n            self.post_outputs", VALUES),
    (oracle, "            self.confirm_outputs(block)\n", "", VALUES),
    (oracle, "amount -= of_block.get(account, 0)", "pass", VALUES),
    (oracle_accounts, "account.changes.append((self.at[0],", "account.changes.append((self.at[0] + 9,", OWNERS),
    # ---- dust
    (oracle_dust, "NOTICE_MS = 2_592_000_000", "NOTICE_MS = 2_592_000_001", "notice is thirty days"),
    (oracle_dust, "NOTICE_MS = 2_592_000_000", "NOTICE_MS = 2_591_999_999", "notice is thirty days"),
    (oracle_dust, "self.needed[10]", "0", "how many have to approve an announcement"),
    (oracle_dust, "self.needed[10]", "self.needed[9]", "how many have to approve an announcement"),
    (oracle_dust, "(_, event), self.announced = self.announced, None", "_, event = self.announced", "an announcement moves once"),
    (oracle_dust, '("available", "reserved", "immature")', '("available", "reserved", "reserved")',
     "who has something immature or reserved keeps it"),
    (oracle_dust, "0 < balances[0] <", "-9 < balances[0] <", "only dust moves"),
    (oracle_dust, "balances[0] < self", "balances[0] <= self", "only dust moves"),
    (oracle_dust, '<= event["cutoff"]', '< event["cutoff"]', "the cut off and the last position count"),
    (oracle_dust, '<= event["cutoff"]', '<= event["cutoff"] + 1', "the cut off and the last position count"),
    (oracle_dust, '(event["to"], "")', '("donation", "")', "books and order"),
    (oracle_dust, "if self.fits([(debit, credit, amount)]):", "if True:", "what has no room is not posted"),
    (oracle_dust, ">= SUB_UNITS", "> SUB_UNITS", "rounding goes to the fee at a positions end"),
    (oracle_dust, "// SUB_UNITS * SUB_UNITS", "", "rounding goes to the fee at a positions end"),
    (oracle_dust, 'self.policy["rounding_to_fee"] and', "", "rounding goes to the fee at a positions end"),
    (oracle_dust, "self.time + NOTICE_MS", 'event["time"] + NOTICE_MS', "notice counts from the last approval"),
    (oracle, "            self.move_dust()\n            self.round_to_fee()\n", "            self.round_to_fee()\n            self.move_dust()\n",
     "books and order"),
    (oracle, "            if credit:\n                self.is_active", "            if True:\n                self.is_active", ACTIVE),
    (oracle, "            if credit:\n                self.is_active(worker.account)\n", "", ACTIVE),
    (oracle_accounts, '        self.is_active("name:" + event["name"])\n', "", ACTIVE),
    (oracle_accounts, '        self.is_active(event["account"])\n', "", ACTIVE),
    (oracle_payouts, "            self.is_active(line.account)\n", "", "a line of a proposal is activity also if it was cancelled"),
    (oracle_things, '"to": "- reserve donation fee"', '"to": "- reserve fee donation"', "the bytes of an announcement"),
    (oracle_things, '(39, "cutoff:8 to accounts', '(39, "cutoff:8 accounts to', "the bytes of an announcement"),
)


class FaultsOfDirect(unittest.TestCase):
    def test_each_of_coinbases_and_dust_is_found(self):
        check(self, FAULTS_OF_DIRECT)


if __name__ == "__main__":
    unittest.main()
