"""The oracle reads the tables of tests/scenarios, which the folds' tests read too: two hands, one pencil. Run by test_oracle.py too."""
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
import tables_by_chance  # noqa: E402
from oracle_pen_tables import *  # noqa: E402,F403
from test_oracle_faults import plant  # noqa: E402

STORIES = {path.stem: path.read_text() for path in sorted((HERE / "scenarios").glob("*.table"))}
FAULTS_OF_TABLES = (                                # module, what stands there, what shall, the table that finds it
    (oracle, "        if counts:\n            self.shares", "        if True:\n            self.shares", "a_gateway_dies_and_its_shares_are_moved"),
    (oracle, "terms = job.terms.get(worker.pot)\n", 'terms = next(pot for pot in self.policy["pots"] if pot["pot"] == worker.pot)\n',
     "a_policy_changes_inside_a_round"),
    (oracle_rules, "donors.get(account, 0))\n    need", "0)\n    need", "donations_of_all_kinds"),
    (oracle_rules, 'if not terms or terms["scheme"] in PER_SHARE:', "if not terms:", "one_pot_of_each_scheme"),
    (oracle_payouts, "(paid, available, self.amount - self.fee), (NETWORK_FEES, available, self.fee)]",
     "(paid, available, self.amount - self.fee)]", "payouts_line_by_line"),
    (oracle_payouts, 'return sent if self.stands == "held" else []', "return sent", "payouts_through_a_reorganisation"),
    (oracle, 'else terms["stale_ppm"] if terms else 0', "else PPM", "pps_through_bad_luck"),
    (oracle, "and block.lent == this_round:", "and block.lent is not None:", "prop_orphans_and_returns"),
    (oracle, "block.posted, block.postings, block.held, block.waits = {}, [], None, set()",
     "block.postings, block.held, block.waits = [], None, set()", "an_orphan_after_its_credit"),
    (oracle, 'elif block.state != "seen" or block.held:', 'elif block.state not in ("seen", "uncle") or block.held:', "an_uncle_and_back"),
    (oracle, 'block.held, block.waits = block.held or "immature", set()', 'block.held, block.waits = "immature", set()', "an_uncle_and_back"),
    (oracle_rules, "yield account, min(credit, n)", "yield account, credit", "two_blocks_at_one_height"),
    (oracle_payouts, 'long = since is not None and self.time - since >= self.policy["writeoff_ms"]', "long = since is not None",
     "a_deep_reorganisation_is_written_off"),
    (oracle_accounts, "self.waits, self.until = named, time + hold", "self.waits, self.until = named, time", "addresses_change_on_the_way"),
    (oracle_accounts, "        self.waits = None\n        if in_force", "        if in_force", "addresses_change_on_the_way"),
    (oracle_payouts, 'and all(line["fee"] == each and', 'and any(line["fee"] == each and', "one_line_that_cannot_be_paid"),
    (oracle_payouts, "all(hash in self.blocks and self.blocks[hash].is_confirmed for", "all(True for", "one_line_that_cannot_be_paid"),
    (oracle, 'if event["hash"] in self.blocks:            # found', 'if event["hash"] in self.blocks and self.blocks[event["hash"]].share:  #',
     "a_recovered_block_gets_its_finder"),
    (oracle_rules, 'mean_fees if terms["scheme"] == "fpps" else 0', "mean_fees", "fpps_beside_pps"),
    (oracle_rules, 'bonus = part(gross - kept, terms["bonus_ppm"])', 'bonus = part(gross, terms["bonus_ppm"])', "bonus_kept_fees_and_donations"),
    (oracle, "block.weights = {block.finder: 1}", "block.weights = weights_of([(block.finder, share.credit)])", "solo_is_the_finders_alone"),
    (oracle_payouts, "each = fee // len(lines)", "each = -(-fee // len(lines))", "miners_bear_the_network_fee"),
    (oracle, "            self.cancel_unsigned(block.hash)\n", "", "a_cited_block_is_orphaned_before_signing"),
    (oracle_payouts, "fee * SUB_UNITS - self.took", "fee * SUB_UNITS", "conflicts_and_replacements"),
    (oracle_payouts, 'new = event["spends"] == self.spends and ', "new = ", "conflicts_and_replacements"),
    (oracle_payouts, 'moves = step in ("confirmed", "failed", "cancelled")', 'moves = step in ("confirmed", "cancelled")',
     "a_transaction_with_status_zero"),
    (oracle, "            self.enter(share.worker.pot, share.worker.account, -share.credit)\n", "", "shares_credited_twice_are_voided"),
    (oracle, "share and first and share.nonce == first.nonce and", "share and first and", "shares_credited_twice_are_voided"),
    (oracle_dust, "and balances[1:] == [0, 0]", "", "dust_after_thirty_days"),
    (oracle_dust, "if not self.announced or self.time < self.announced[0]:", "if not self.announced:", "dust_after_thirty_days"),
    (oracle_dust, "credits - debits >= SUB_UNITS", "credits - debits > SUB_UNITS", "roundings_go_to_the_fee"),
    (oracle_direct, 'if size and block.scheme == "pplns" and int(terms["direct_min"]):', "if False:", "a_coinbase_pays_and_is_orphaned"),
    (oracle, "            self.confirm_outputs(block)\n", "", "a_coinbase_pays_and_is_orphaned"),
    (oracle_direct, "min(of or self.moved_to(script, size),", "min(of,", "coinbases_of_jobs_that_pay_nobody"),
    (oracle_direct, 'block.waits |= {f"script:{script}", *self.moved_to(script, size)}', "pass", "coinbases_of_jobs_that_pay_nobody"),
    (oracle_dust, "and name not in waiting", "", "coinbases_of_jobs_that_pay_nobody"),
    (oracle_payouts, "free = tx and wallet not in self.halted", "free = tx", "a_wallet_is_halted_and_resumed"),
    (oracle, 'right = allowed and self.last[subject] == tuple(event["expects"])', "right = allowed", "two_settlers_say_the_same"),
    (oracle_payouts, 'tx if tx and tx.last == tuple(event["expects"]) else None', "tx", "two_paymasters_say_the_same"),
    (oracle_payouts, '(asked or line["amount"] >= self.threshold(name))', "True", "thresholds_and_who_wants_to_be_paid_now"),
    (oracle_payouts, "            self.last_paid[line.account] = self.at\n", "", "thresholds_and_who_wants_to_be_paid_now"),
)


def as_written(lines):
    """The books of the lines with `=`, in sub-units."""
    books = {}
    for line in lines:
        *owner, book, figure = line.split() if line != "nothing" else ("nothing", "0")
        assert len(owner) < 2, f"no book: {line}"
        name = f"{book}:{account_of(*owner).removeprefix('name:')}" if owner else book
        assert name not in books, f"said twice: {line}"
        books[name] = sub_units(figure)
    books.pop("nothing", None)
    assert all(books.values()), "a book that is said is not zero"
    return books


def statements(text):
    """The policy, then (line number, statements, books) of each group."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    policy, groups, said, books = lines[0][1], [], [], []
    assert policy.startswith("policy"), "the first line is a policy"
    for number, line in lines[1:]:
        if line.startswith("= "):
            books.append((number, line[2:]))
            continue
        if books:
            groups.append((said, books))
            said, books = [], []
        said.append((number, line))
    assert books, "a table ends with books"
    return policy.removeprefix("policy"), [*groups, (said, books)]


class Differs(AssertionError):
    """A table and the oracle have other books, or a line is none."""


def run_table(text):
    """Runs a table, and then its ledger once more from the beginning. Gives the table."""
    restart_nonces()
    policy, groups = statements(text)
    table, read = Table(policy), []
    for said, books in groups:
        for number, line in said:
            try:
                table.say(line)
            except (AssertionError, ValueError, IndexError, KeyError) as why:
                raise Differs(f"line {number}: {line}: {why!r}") from why
        wanted = as_written(line for _, line in books)
        compare(books, sums(table.oracle.answer(True)), wanted, "as it grows")
        read.append((table.size - 1, books, wanted))
    lines = table.provisional_lines()
    for position, books, wanted in read:
        again = oracle.balances(lines, position, everything=True, postings=True)
        compare(books, sums(again), wanted, "from its beginning")
    return table


def compare(books, found, wanted, how):
    """reward is in no table: it is minus the sum of the others, which the oracle asks itself."""
    found = {name: amount for name, amount in found.items() if name != "reward"}
    if found != wanted:
        names = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        text = ", ".join(f"{name} has {found.get(name, 0)}, the table {wanted.get(name, 0)}" for name in names)
        raise Differs(f"lines {books[0][0]} to {books[-1][0]}, {how}: {text}")


def differs(name):
    try:
        run_table(STORIES[name])
    except (Differs, oracle.Wrong):
        return True
    return False


class Scenarios(unittest.TestCase):
    def test_every_table_has_these_books(self):
        self.assertGreaterEqual(len(STORIES), 31)
        for name, text in STORIES.items():
            with self.subTest(name):
                run_table(text)

    def test_a_figure_that_is_another_is_found(self):
        """One more at the end of every seventh figure."""
        for name, text in STORIES.items():
            lines = text.splitlines()
            said = [number for number, line in enumerate(lines) if line.startswith("= ") and line != "= nothing"]
            for number in said[::7]:
                other = lines[number] + ("1" if "." in lines[number] else ".1")
                with self.subTest(name, line=number + 1), self.assertRaises(Differs):
                    run_table("\n".join([*lines[:number], other, *lines[number + 1:]]))

    def test_what_no_table_can_say_is_an_error(self):
        for line in ("nobody does", "g1 job 100 twice", "g1 frame: ann", "batch fees=3: ann 3", "A ripe 50", "A immature 50 fee=1", "tx 0 signed now",
                     "adjust ann 3 wallet", "= ann available 3 4"):
            with self.subTest(line), self.assertRaises((Differs, AssertionError)):
                run_table(f"policy\ng1 job 10\n{line}\n= nothing")


class ByChance(unittest.TestCase):
    def test_the_tables_are_what_is_made_and_have_the_same_books_again(self):
        made = {f"{kind}_{seed}" for kind in tables_by_chance.KINDS for seed in tables_by_chance.SEEDS_OF_TABLES}
        texts = {path.stem: path.read_text() for path in (HERE / "scenarios/by_chance").glob("*.table")}
        self.assertEqual(made, set(texts))
        for name, text in texts.items():
            with self.subTest(name):
                self.assertEqual(tables_by_chance.Maker(*name.split("_")).make(tables_by_chance.STEPS), text)
                run_table(text)

    def test_much_happens_in_them(self):
        text = "\n".join(path.read_text() for path in (HERE / "scenarios/by_chance").glob("*.table"))
        for word in (" paid ", " reserved ", " immature ", "= network_fees", "= wallet", "= rounding", "= donation", " moves", " restarts", "void ",
                     "write-off", "dust ", " uncle ", " orphaned ", "policy ", "halts", "tx 1 "):
            self.assertGreater(text.count(word), 1, word)


class FaultsOfTables(unittest.TestCase):
    def test_each_is_found_and_each_table_finds_one(self):
        self.assertEqual({name for *_, name in FAULTS_OF_TABLES}, set(STORIES))
        try:
            for module, right, wrong, name in FAULTS_OF_TABLES:
                with self.subTest(fault=wrong, by=name):
                    plant(module, right, wrong)
                    self.assertTrue(differs(name))
        finally:
            plant()
        self.assertEqual([name for name in STORIES if differs(name)], [])


if __name__ == "__main__":
    unittest.main()
