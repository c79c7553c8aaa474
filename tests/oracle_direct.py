"""Coinbases that pay accounts: part of the oracle (oracle.py), from docs/rules.md 11 and schema/LEDGER-FORMAT.md alone."""
from collections import defaultdict
from oracle_accounts import Account
from oracle_rules import NONE, SUB_UNITS, balances_of, part, split, weights_of, window
from oracle_things import NAMES, Bytes

OUTPUTS_MOST, SCRIPT_MOST = 2_000, 64               # rules 11.2
COST_OF_OPERATION = 4                               # rules 11.8
ETHASH = ("ethash", "etchash")
def order_of(account):
    """Format 3: accounts ascend by their kind, then by their bytes."""
    form, text = account.split(":")
    return NAMES["form"].index(form), text.encode() if form == "name" else bytes.fromhex(text)
def may_pay_by_coinbase(terms, algorithm):          # format 5 and 6: a pot's terms in a policy
    wanted = terms["scheme"] == "pplns" and terms["bonus_ppm"] == 0 and algorithm not in ETHASH
    return int(terms["direct_min"]) == 0 or wanted

# ---- a coinbase's outputs: rules 11.2 --------------------------------------------------------------------------------
def compact_size(f):
    first = f.number(1)
    size = {0xFD: 2, 0xFE: 4, 0xFF: 8}.get(first)
    return f.number(size, {2: 0xFD, 4: 2**16, 8: 2**32}[size]) if size else first
def outputs_of(coinbase2):
    """(amount in base units, script) of each output; none if it is not as 11.2 has it."""
    _, sequence, behind = coinbase2.partition(b"\xff" * 4)
    f, outputs = Bytes(behind), []
    count = compact_size(f)
    if not sequence or not f.right or not 1 <= count <= OUTPUTS_MOST:
        return []
    for _ in range(count):
        amount = f.number(8)
        outputs.append((amount, f.take(compact_size(f))))
    f.take(4)
    return outputs if f.right and not f.data else []
def of_accounts(outputs):                           # the others are the pool's
    return [(amount, script.hex()) for amount, script in outputs[1:] if amount and 1 <= len(script) <= SCRIPT_MOST]

def cost_of(script):
    """Rules 11.8, of its bytes: signature operations, counted without running."""
    f, count = Bytes(script), 0
    while f.data:
        op = f.number(1)
        if 0x01 <= op <= 0x4B:
            f.take(op)
        elif op in (0x4C, 0x4D, 0x4E):
            f.take(f.number({0x4C: 1, 0x4D: 2, 0x4E: 4}[op]))
        if f.right:
            count += {0xAC: 1, 0xAD: 1, 0xAE: 20, 0xAF: 20}.get(op, 0)
    return COST_OF_OPERATION * count

class Direct:
    """What Oracle does with direct jobs, and the lists that they should have."""
    def __init__(self):
        self.algorithm, self.times = None, []       # of the chain; ledger time of each position
        self.gifts, self.places = [], defaultdict(list)     # (place, account, ppm); pot -> the position of each entry
    def enter(self, pot, account, credit):
        self.entries[pot].append((account, credit))
        self.places[pot].append(self.at[0])
    def address_as_of(self, name, size):            # rules 11.4, after so many positions
        past = Account(name)
        for position, *change in self.account(name).changes:
            if position < size:
                past.change_address(*change)
        return past.address(self.times[size - 1])
    def moved_to(self, script, size):               # accounts that changed their address, and it is this one
        moved = [name for name, account in self.accounts.items() if any(position < size for position, *_ in account.changes)]
        return [name for name in moved if self.address_as_of(name, size) == f"script:{script}"]
    def whose(self, script, weights, size):
        of = [name for name in weights if self.address_as_of(name, size) == f"script:{script}"]
        return min(of or self.moved_to(script, size), key=order_of, default=f"script:{script}")
    def waiting_accounts(self):                     # rules 11.5.2
        return set().union(*(block.waits for block in self.blocks.values()))
    # ---- a block of a direct job
    def weigh_direct(self, block):
        """Rules 11.3, where they hold; 11.4 and 11.5.2."""
        job = block.share.job
        size, terms = job.list_size, block.terms
        if size and block.scheme == "pplns" and int(terms["direct_min"]):
            counted = sum(position < size for position in self.places[block.pot])
            block.weights = weights_of(window(reversed(self.entries[block.pot][:counted]), block.n))
            block.donors = {account: ppm for (position, _), account, ppm in self.gifts if position < size}
        for amount, script in job.outputs:
            owner = self.whose(script, block.weights, size)
            block.paid[owner] = block.paid.get(owner, 0) + amount * SUB_UNITS
            block.waits |= {f"script:{script}", *self.moved_to(script, size)}
    def of_block(self, block):                      # rules 11.5: account -> o_a, by the split as it is posted
        gives = balances_of(block.posted.items())
        return {account: min(x, gives["earned", account]) for account, x in block.paid.items()}
    def post_outputs(self, block, before):
        """Rules 11.5, the first three rows and the next two. before: the o_a that are posted, None of nothing."""
        for account, of_block in sorted(self.of_block(block).items(), key=lambda row: order_of(row[0])):
            immature, available, reserved = ((name, account) for name in ("immature", "available", "reserved"))
            if before is None:
                self.post(immature, reserved, of_block, block.hash, block.postings)
                self.post(available, reserved, block.paid[account] - of_block, block.hash, block.postings)
            else:
                more = of_block - before[account]
                self.post(*((immature, available) if more > 0 else (available, immature)), abs(more), block.hash, block.postings)
    def confirm_outputs(self, block):
        for account in sorted(block.paid, key=order_of):
            self.post(("reserved", account), ("paid", account), block.paid[account], block.hash, block.postings)
    def books_of_outputs(self, block):
        """Where the outputs of a block that is held stand, as (book, sub-units), beside its split."""
        for account, of_block in self.of_block(block).items():
            x = block.paid[account]
            if block.held == "immature":
                yield from ((("immature", account), -of_block), (("available", account), of_block - x), (("reserved", account), x))
            elif block.held:
                yield from ((("available", account), -x), (("paid", account), x))
    # ---- the list: rules 11.6 to 11.8
    def list_of(self, pot, value, fees, network_work, room=None):
        """Of the positions applied, by the newest obeyed policy. value and fees of the coinbase in base units; room: bytes for
        accounts' outputs, and their cost. Gives wants and outputs by account, in the order of the list, and what is the pool's;
        None if the pot pays none so."""
        self.end_frame()
        terms = next((terms for terms in self.policy["pots"] if terms["pot"] == pot), None)
        least = int(terms["direct_min"]) if terms else 0
        if not least:
            return None
        weights = weights_of(window(reversed(self.entries[pot]), max(1, part(network_work, terms["n_ppm"]))))
        gives = balances_of(split(value, fees, terms, weights, None, self.donors).items())
        waiting, wants, outputs, left = self.waiting_accounts(), {}, {}, value
        size, cost = room or (float("inf"), float("inf"))
        for name in sorted(weights, key=order_of):
            address = self.account(name).address(self.time)
            if address and address.startswith("script:") and address not in [address for address, _ in wants.values()]:
                wants[name] = (address, max(0, (gives["earned", name] + self.carried(name, name in waiting)) // SUB_UNITS))
        for name, (address, want) in sorted(wants.items(), key=lambda row: (-row[1][1], order_of(row[0]))):
            output, script = min(want, left), bytes.fromhex(address.removeprefix("script:"))
            size, cost = size - 9 - len(script), cost - cost_of(script)
            if output < least or len(outputs) == terms["direct_outputs"] or size < 0 or cost < 0:
                break
            outputs[name], left = (address, output), left - output
        return {"wants": {name: want for name, (_, want) in wants.items()}, "outputs": outputs, "pool": left}
    def carried(self, name, waits):                 # rules 11.6: k
        debits, credits = self.books["available", name]
        balance, account = credits - debits, self.account(name)
        if balance <= 0:
            return balance
        asked = account.pay_now and account.pay_now > self.last_paid.get(name, NONE)
        paid = balance >= self.threshold(name) * SUB_UNITS or asked and balance >= SUB_UNITS
        return 0 if waits or paid else balance
