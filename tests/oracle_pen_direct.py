"""Writes ledgers whose coinbases pay accounts, for test_oracle_direct*.py: outputs and jobs by rules 11.2. An account said as "ann"
is the script of its three letters, so that it has itself as its address; the page's order is that of their letters."""
from oracle_pen_payouts import *  # noqa: F403

POOL = "00aa"                                       # the pool's own script


def script_of(name):
    return f"0014{name.encode().hex()}"


def compact(number, size=None):
    size = size or (1 if number < 0xFD else 3 if number < 2**16 else 5 if number < 2**32 else 9)
    return {1: b"", 3: b"\xfd", 5: b"\xfe", 9: b"\xff"}[size] + number.to_bytes(max(1, size - 1), "little")


def output(amount, script, size=None):
    script = bytes.fromhex(script)
    return amount.to_bytes(8, "little") + compact(len(script), size) + script


def coinbase2(*outputs, count=None, before="2f31", behind="00000000"):
    """outputs: (amount, script) behind the pool's first, which is here too."""
    return (bytes.fromhex(before) + b"\xff" * 4 + compact(len(outputs) if count is None else count)
            + b"".join(output(*each) for each in outputs) + bytes.fromhex(behind)).hex()


def direct_pot(number=1, least=5, most=100, **terms):
    return pot(number, **terms) | {"direct_min": str(least), "direct_outputs": most}


def direct_job(number, size, outputs=(), pool=4, **other):
    """outputs: (amount, name or script); the pool's comes first."""
    paid = [(amount, script_of(to) if to.isalpha() else to) for amount, to in outputs]
    return job(number, **other) | {"direct": size, "coinbase2": coinbase2((pool, POOL), *paid)}


def rig(number, name, pot_number=1):
    return worker(number, name, pot_number) | {"account": f"script:{script_of(name)}"}


def short_names(text):
    return re.sub(r"script:0014([0-9a-f]{6})\b", lambda match: bytes.fromhex(match[1]).decode(), text)


def named(books):
    return {short_names(name): amount for name, amount in books.items()}


def move(name, amount, expects=NOBODY):
    """An adjustment of one script's account, in sub-units, from or to the reserve."""
    return adjustment("x", abs(amount), expects, back=amount < 0) | {"account": f"script:{script_of(name)}"}


OUTPUTS_OF_PAGE = [(23, "cat"), (14, "ann"), (9, "bob")]
ROWS_OF_PAGE = [(2, "bob", 4), (3, "cat", 5), (4, "ann", 3), (4, "dan", 1), (5, "eve", 9), (6, "bob", 2)]
BALANCES_OF_PAGE = [("bob", 4_600_000_000), ("cat", -GIGA)]


def ledger_of_page(rows, direct=direct_pot()):
    """A frame a position, from 2 on; N is 10."""
    story, names = Story(direct), sorted({name for _, name, _ in rows})
    for position in range(2, rows[-1][0] + 1):
        announced = [rig(number, name) for number, name in enumerate(names)] + [job(network_work=5)] if position == 2 else []
        assert story.gate(*announced, *(share(names.index(name), credit) for at, name, credit in rows if at == position)) == position
    return story


def give(story, *balances):
    for name, amount in balances:
        said = move(name, amount)
        story.frame("desk", said, approval(thing_of(said), 0), approval(thing_of(said), 1))
    return story


def block_of_page(outputs=OUTPUTS_OF_PAGE, size=5, direct=direct_pot(), balances=BALANCES_OF_PAGE):
    """Examples 11.3 and 11.5: the direct job is announced with the last share before the finding one, where the list has gone by."""
    story = ledger_of_page(ROWS_OF_PAGE[:-2], direct)
    position, eve, credit = ROWS_OF_PAGE[-2]
    assert story.gate(rig(4, eve), share(4, credit), direct_job(1, size, outputs, network_work=5)) == position
    story.gate(*finds(1, ROWS_OF_PAGE[-1][2], "a", 1))
    return give(story, *balances)
