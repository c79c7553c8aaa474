"""Writes payouts for test_oracle_payouts*.py, by an encoder of its own: batches, their parts, steps, halts and resumes as the
JSON lines of LEDGER-FORMAT.md section 9. An address is `script:0014aa..`, said as "A"; a txid is a word, said as "t1"."""
import hashlib

import oracle
from oracle_pen import *  # noqa: F403

NOBODY = (0, 0)
ANN, BOTH = [("ann", "A", 29)], [("ann", "A", 29), ("bob", "B", 19)]        # lines of a batch


def address_of(letter):
    """A, B, C ... are scripts; W to Z are addresses of EVM chains."""
    byte = letter.lower().encode().hex()
    return f"evm:{byte * 20}" if letter in "WXYZ" else f"script:0014{byte * 20}"


def account_bytes(account):
    form, text = account.split(":")
    data = text.encode() if form == "name" else bytes.fromhex(text)
    return bytes([("script", "evm", "name").index(form) + 1, len(data)]) + data


def batch_body(lines, blocks=()):
    """lines: (name or account, letter or account, amount, fee), in whatever order; blocks: letters, or hashes. As the format has them."""
    rows = []
    for account, address, amount, *fee in lines:
        account = account_bytes(account if ":" in account else f"name:{account}")
        address = account_bytes(address if ":" in address else address_of(address))
        rows.append((account[:1] + account[2:], account + address + amount.to_bytes(16, "little")
                     + (fee[0] if fee else 0).to_bytes(16, "little")))
    named = sorted(bytes.fromhex(block if len(block) == 64 else hash_of(block)) for block in blocks)
    return (len(rows).to_bytes(2, "little") + b"".join(row for _, row in sorted(rows))
            + len(named).to_bytes(2, "little") + b"".join(named))


def part(whole, number, of, data=b"p"):
    return {"kind": "part", "whole": whole, "part_index": number, "of": of, "bytes": data.hex()}


def parts(data, size=32_000):
    whole, pieces = hashlib.sha256(data).hexdigest(), [data[start:start + size] for start in range(0, len(data), size)]
    return [part(whole, number, len(pieces), piece) for number, piece in enumerate(pieces)]


def proposed(lines, blocks=(), /, wallet=0, batch=0, each=False, fee=0, **other):
    """The event of a batch; its body has to be said before. each: a tx for every line. other: fields, as they shall be."""
    return {"kind": "payout_proposed", "wallet": wallet, "batch": batch, "expects": list(NOBODY),
            "txs": len(lines) if each else 1, "lines": len(lines), "total": str(sum(line[2] for line in lines)),
            "fee": str(fee), "body": hashlib.sha256(batch_body(lines, blocks)).hexdigest(), "digest_position": 0,
            "digests": [["projector", "d1" * 32]]} | other


def proposes(lines, blocks=(), /, *numbers, **other):
    return [*parts(batch_body(lines, blocks)), proposed(lines, blocks, *numbers, **other)]


def of_tx(kind, expects, wallet, batch, tx):
    return {"kind": kind, "wallet": wallet, "batch": batch, "tx": tx, "expects": list(expects)}


def signed(txid="t1", expects=NOBODY, tx=0, wallet=0, batch=0, spends="5b" * 36, raw=b"raw", fee=9, **other):
    return of_tx("payout_signed", expects, wallet, batch, tx) | {
        "txid": hash_of(txid), "fee": str(fee), "spends": spends, "body": hashlib.sha256(raw).hexdigest(),
        "raw": raw.hex()} | other


def step(name, expects, txid="t1", fee=0, tx=0, wallet=0, batch=0):
    in_block = name in ("confirmed", "final", "failed")
    return of_tx("payout_step", expects, wallet, batch, tx) | {
        "step": name, "txid": hash_of(txid) if txid else "00" * 32, "height": 800 if in_block else 0,
        "block": "b1" * 32 if in_block else None, "fee": str(fee)}


def cancelled(expects=NOBODY, by=None, fee=0, tx=0, wallet=0, batch=0, reason="no"):
    return of_tx("payout_cancelled", expects, wallet, batch, tx) | {
        "by": by and hash_of(by), "height": 801 if by else 0, "fee": str(fee), "reason": reason}


def halt(wallet=0, reason="stop"):
    return {"kind": "payout_halt", "wallet": wallet, "reason": reason}


def resume(expects, wallet=0, reason="go on"):
    return {"kind": "payout_resume", "wallet": wallet, "expects": list(expects), "reason": reason}


def write_off(account, expects=NOBODY, reason="gone"):
    return {"kind": "write_off", "account": account if ":" in account else f"name:{account}", "expects": list(expects),
            "reason": reason}


def yes_to(said, *numbers):
    return [approval(thing_of(said), number) for number in numbers or (0, 1)]


class Payer(Story):
    """A ledger with coins to pay: each account alone found one block in a SOLO pot with a fee of 1 %, so a block of 30 is
    29.7 available. Accounts a to v have the address of their letter, others that of the evm letter."""

    def __init__(self, found=(("ann", 30), ("bob", 20)), limit=1_000, threshold=5, network_fees="pool", **terms):
        super().__init__(pot(1, "solo"))
        self.terms = {"threshold": str(threshold), "auto_pay_limit": str(limit), "network_fees": network_fees,
                      "address_hold_ms": 0} | terms
        self.events[0]["policy"] |= self.terms
        self.last = {}                              # (wallet, batch, tx) -> place of what moved it last
        names = [name for name, _ in found]
        self.frame("desk", *(registered(name, address_of(name[0].upper())) for name in names))
        self.gate(*(worker(number, name) for number, name in enumerate(names)), job(),
                  *(event for number, name in enumerate(names) for event in finds(number, 1, f"of {name}")))
        self.block_last = {name: (self.settle(status(f"of {name}", "confirmed", value=value)), 0)
                           for name, value in found}

    def pay(self, *events, stream="payer"):
        """One frame; the place of its last event."""
        return self.frame(stream, *map(dict, events)), len(events) - 1

    def proposed(self, *arguments, stream="payer", **named):
        return self.pay(*proposes(*arguments, **named), stream=stream)

    def does(self, make, *arguments, **named):
        """What moves a tx, expecting what moved it last."""
        key = tuple(named.get(name, 0) for name in ("wallet", "batch", "tx"))
        if make is step:
            said = step(arguments[0], self.last.get(key, NOBODY), *arguments[1:], **named)
        else:
            said = make(*arguments, expects=self.last.get(key, NOBODY), **named)
        self.last[key] = self.pay(said)
        return self.last[key]

    def orphan(self, name, value=None):
        at = (self.settle(status(f"of {name}", "orphaned", self.block_last[name], value=value or 0)), 0)
        self.block_last[name] = at
        return at


def books_after(story, stop_at=None):
    return sums(oracle.balances(story.lines(), stop_at, postings=True))


def oracle_of(story):
    made = oracle.Oracle()
    for event in story.events:
        made.apply(event)
    made.check_books()
    return made


def refused_of(story):
    return oracle_of(story).refused
