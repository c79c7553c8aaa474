"""The rules of money as functions of numbers: part of the oracle (oracle.py), from docs/rules.md alone. No events here."""
from collections import defaultdict

SUB_UNITS, PPM, EFFORT_UNITS = 10**9, 10**6, 10**12         # rules 1.5: of a base unit; 6.1
MOST, SUM_OF_ALL, ROUND_OF_ALL = 2**80, 2**128, 2**127      # rules 9, 14: of a value, of all books; 3.5.1
NONE = (0, 0)                                       # format 1: "none"; genesis stands there as well, and that is meant
BOOKS = ["reserve", "donation", "fee", "rounding"]  # format 3: the other side of an adjustment
RESERVE, DONATION, FEE, ROUNDING, REWARD, NETWORK_FEES, WALLET = (
    (name, "") for name in (*BOOKS, "reward", "network_fees", "wallet"))
PER_SHARE = ("pps", "fpps")                         # the schemes that pay each share, whatever becomes of blocks
class Wrong(Exception):
    """The lines cannot be of a ledger, or its books do not balance."""
def need(condition, text):
    if not condition:
        raise Wrong(text)

# ---- the rules as functions of numbers -------------------------------------------------------------------------------
def part(amount, ppm):
    return amount * ppm // PPM
def summed(entries):                                # name -> sum, of (name, number)
    sums = defaultdict(int)
    for name, number in entries:
        sums[name] += number
    return sums
def balances_of(postings):                          # book -> credits - debits, of ((debit, credit), sub-units)
    return summed(side for (debit, credit), amount in postings for side in ((debit, -amount), (credit, amount)))
def window(backwards, n):
    """Rules 3.2. backwards: (account, credit) of a pot's entries, the finding share first. Gives those that count."""
    for account, credit in backwards:
        if n <= 0:
            return
        yield account, min(credit, n)
        n -= credit
def weights_of(entries):                            # rules 3.2, 3.3, 3.5: account -> weight, if it has any
    return {account: weight for account, weight in summed(entries).items() if weight > 0}
def pay_of(credit, terms, job, mean_fees):
    """Rules 3.6, sub-units of one share. The job's subsidy and mean_fees in base units."""
    subsidy, mean_fees = job.subsidy if job.subsidy <= MOST else 0, mean_fees if terms["scheme"] == "fpps" else 0
    pay = credit * subsidy * SUB_UNITS * (PPM - terms["fee_ppm"]) // (job.network_work * PPM)
    return pay + credit * mean_fees * SUB_UNITS // job.network_work
def split(value, fees, terms, weights, finder, donors):
    """Rules 4. value and fees in base units; terms: the pot's, or None; donors: account -> ppm. Gives what is posted,
    (debit, credit) -> sub-units; the book `earned` stands for immature or available."""
    gross, posted = value * SUB_UNITS, defaultdict(int)
    if not terms or terms["scheme"] in PER_SHARE:   # recovered, void, without a pot (rules 9, 6); or paid already
        return {(REWARD, RESERVE): gross} if gross else {}
    kept = fees * SUB_UNITS if terms["keep_tx_fees"] else 0
    bonus = part(gross - kept, terms["bonus_ppm"])
    fee = part(gross - kept - bonus, terms["fee_ppm"])
    rest, total = gross - kept - bonus - fee, sum(weights.values())
    posted[REWARD, FEE] = kept + fee
    posted[REWARD, ("earned", finder)] = bonus
    earned = {account: rest * weight // total for account, weight in weights.items()}
    posted[REWARD, ROUNDING if total else RESERVE] = rest - sum(earned.values())
    for account, amount in earned.items():
        posted[REWARD, ("earned", account)] += amount
        posted[("earned", account), DONATION] = part(amount, donors.get(account, 0))
    need(balances_of(posted.items())[REWARD] == -gross, "rules 4.6: a split does not add up to what the chain paid")
    return {pair: amount for pair, amount in posted.items() if amount}
