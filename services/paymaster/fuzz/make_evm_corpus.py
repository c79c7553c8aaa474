#!/usr/bin/env python3
"""Writes corpus/evm/: published transactions, and what looks like them.

    python3 make_evm_corpus.py           write the inputs anew; what a fuzzer found (`any-found-...`) stays
    python3 make_evm_corpus.py --check   compare only; status 1 if one differs

A name begins with what `services/paymaster/tests/evm.rs` expects: `taken`, or the cause of the refusal, or `any`. The vectors are
tests/vectors/evm_transactions.json. The seed is fixed, the numbers are SplitMix64's. Python's standard library only."""
import json
import pathlib
import sys

SEED = 20_261_122
HERE = pathlib.Path(__file__).resolve().parent
CORPUS = HERE / "corpus" / "evm"
VECTORS = HERE.parents[2] / "tests" / "vectors" / "evm_transactions.json"
MASK = 2**64 - 1
MUTATIONS = 60


def numbers():
    state = SEED
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        yield z ^ z >> 31


def string(data):
    if len(data) == 1 and data[0] < 128:
        return data
    return head(128, len(data)) + data


def head(kind, size):
    if size <= 55:
        return bytes([kind + size])
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([kind + 55 + len(digits)]) + digits


def number(value):
    return string(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def wrap(items):
    body = b"".join(items)
    return head(192, len(body)) + body


def items_of(raw):
    """The items of a list, each as it is written; only short strings and lists are in transactions."""
    at, out = 1 if raw[0] <= 0xF7 else 2, []
    while at < len(raw):
        size = 1 if raw[at] < 128 else raw[at] - (127 if raw[at] < 192 else 191)
        out.append(raw[at:at + size])
        at += size
    return out


def inputs():
    raws = [bytes.fromhex(vector["raw"]) for vector in json.loads(VECTORS.read_text())]
    for index, raw in enumerate(raws):
        yield f"taken-{index}", raw
    for kind, raw in [("legacy", raws[0]), ("market", raws[12])]:
        first = b"" if kind == "legacy" else raw[:1]
        items = items_of(raw[len(first):])
        nonce, value = (0, 4) if kind == "legacy" else (1, 6)

        def changed(place, item):
            return first + wrap(items[:place] + [item] + items[place + 1:])

        assert changed(nonce, items[nonce]) == raw
        yield f"trailing-byte-{kind}", raw + b"\0"
        yield f"trailing-item-{kind}", first + wrap(items + [b"\1"])
        yield f"end-cut-{kind}", raw[:-1]
        yield f"end-item-{kind}", first + wrap(items[:-1])
        yield f"end-nothing-{kind}", first + b"\xc0"
        yield f"spelling-zero_before-{kind}", changed(nonce, b"\x82\x00\x09")
        yield f"spelling-zero_byte-{kind}", changed(nonce, b"\x00")
        yield f"spelling-one_in_string-{kind}", changed(nonce, b"\x81\x09")
        yield f"spelling-long_length-{kind}", changed(nonce, b"\xb8\x02\x09\x09")
        body = b"".join(items)
        yield f"spelling-zero_in_length-{kind}", first + bytes([0xF9, 0, len(body)]) + body
        yield f"size-nonce-{kind}", changed(nonce, string(b"\x01" * 9))
        yield f"size-value-{kind}", changed(value, string(b"\x01" * 17))
        yield f"size-to-{kind}", changed(value - 1, string(b"\x01" * 19))
        yield f"size-nobody-{kind}", changed(value - 1, b"\x80")
        yield f"size-r-{kind}", changed(len(items) - 2, string(b"\x01" * 33))
        yield f"kind-nonce-{kind}", changed(nonce, b"\xc0")
        yield f"payload-data-{kind}", changed(value + 1, b"\x01")
        yield f"signature-zero-{kind}", changed(len(items) - 1, b"\x80")
        yield f"signature-high-{kind}", changed(len(items) - 1, string(b"\xf0" * 32))
        yield f"any-other_value-{kind}", changed(value, number(7))
    legacy, market = items_of(raws[0]), items_of(raws[12][1:])
    yield "chain-none-legacy", wrap(legacy[:6] + [number(27)] + legacy[7:])
    yield "chain-zero-legacy", wrap(legacy[:6] + [number(36)] + legacy[7:])
    yield "chain-zero-market", b"\2" + wrap([number(0)] + market[1:])
    yield "chain-high-market", b"\2" + wrap([number(2**63)] + market[1:])
    yield "fees-market", b"\2" + wrap(market[:2] + [number(10), number(9)] + market[4:])
    yield "payload-access-market", b"\2" + wrap(market[:8] + [b"\xc1\xc0"] + market[9:])
    yield "kind-access-market", b"\2" + wrap(market[:8] + [b"\x80"] + market[9:])
    yield "signature-parity-market", b"\2" + wrap(market[:9] + [number(2)] + market[10:])
    yield "type-empty", b""
    yield "type-one", b"\1" + raws[12][1:]
    yield "type-string", string(raws[12])
    yield "long-list", head(192, 24_000) + bytes(24_000)
    yield "end-huge", b"\xff" + b"\xff" * 8
    random = numbers()
    for index in range(MUTATIONS):
        raw = bytearray(raws[next(random) % len(raws)])
        for _ in range(1 + next(random) % 3):
            raw[next(random) % len(raw)] = next(random) & 255
        yield f"any-changed-{index}", bytes(raw)


def main():
    wanted = {name + ".bin": data for name, data in inputs()}
    there = {path.name: path for path in CORPUS.glob("*.bin") if not path.name.startswith("any-found-")}
    if "--check" in sys.argv:
        differ = [n for n in sorted(wanted.keys() | there.keys()) if n not in wanted or n not in there or there[n].read_bytes() != wanted[n]]
        print("\n".join(differ) or "equal")
        return bool(differ)
    CORPUS.mkdir(parents=True, exist_ok=True)
    for name in there.keys() - wanted.keys():
        there[name].unlink()
    for name, data in wanted.items():
        (CORPUS / name).write_bytes(data)
    print(f"{len(wanted)} inputs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
