#!/usr/bin/env python3
"""Writes corpus/{event,frame,summary,activity,batch_body,coinbase}/ from the golden pages: whole, cut short, with other lengths, with other bits.

    python3 make_corpus.py           write the inputs anew; what a fuzzer found (`any-found-…`) stays
    python3 make_corpus.py --check   compare only; status 1 if one differs

A name begins with what `schema/tests/fuzz.rs` expects: `valid` decodes, `bad` is refused, `any` is refused or canonical.
The seed is fixed, the numbers are SplitMix64's: the same inputs on every machine. Python's standard library only."""
import pathlib
import re
import sys

SEED = 20_261_121
HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden"
EVENTS = ("genesis schema_set key_change policy approval checkpoint heartbeat recovery_note part moved ban adjustment "
          "worker difficulty job share block_found block_status block_recovered ethash_job "
          "ethash_share void account setting fee_mean payout_proposed payout_signed payout_step payout_cancelled "
          "payout_halt payout_resume write_off inactive_dust reconciled").split()
MASK = 2**64 - 1


class Numbers:
    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        return (z ^ z >> 31) % limit


def cases(page):
    """(name, [(type, offset, length)], bytes) for each case of a golden page."""
    found = []
    for line in (GOLDEN / f"{page}.hex").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            found.append((re.sub(r"[^a-z0-9]+", "-", line[3:].lower()).strip("-"), [], bytearray()))
        elif line.startswith("# ") and found:
            kind = re.match(r"# [^:]*, ([^:]*)", line).group(1)
            found[-1][1].append([kind, line[2:].split(",")[0], len(found[-1][2]), 0])
        elif line and not line.startswith("#"):
            found[-1][2].extend(bytes.fromhex(line))
            found[-1][1][-1][3] = len(found[-1][2]) - found[-1][1][-1][2]
    return [(name, fields, bytes(data)) for name, fields, data in found]


def replaced(data, offset, new):
    return data[:offset] + new + data[offset + len(new):]


def with_length(data):
    """An event whose length is that of its bytes, so that a decoder looks further."""
    return replaced(data, 2, min(len(data), 65_535).to_bytes(2, "little"))


def mutated(data, numbers):
    out = bytearray(data)
    for _ in range(1 + numbers.below(4)):
        at = numbers.below(len(out))
        choice = numbers.below(4)
        if choice == 0:
            out[at] ^= 1 << numbers.below(8)
        elif choice == 1:
            out[at] = (0, 1, 0x7F, 0x80, 0xFF)[numbers.below(5)]
        elif choice == 2:
            out.insert(at, numbers.below(256))
        elif len(out) > 1:
            del out[at]
    return bytes(out)


def length_fields(fields):
    """(name, offset, width) of each length or count inside of an event's fields."""
    widths = {"bytes8": 1, "bytes16": 2}
    for kind, name, offset, _ in fields:
        if name == "n":
            yield f"n-at-{offset}", offset, 1
        elif kind in widths:
            yield f"{name}-at-{offset}", offset, widths[kind]


def event_inputs(numbers):
    for page in EVENTS:
        for number, (name, fields, data) in enumerate(cases(page)):
            label = f"{page}-{name}"
            yield f"valid-{label}", data
            yield f"bad-cut-{label}", data[:numbers.below(len(data))]
            yield f"bad-longer-{label}", with_length(data + b"\x00") if page not in ("share", "moved") else data + b"\x00"
            yield f"any-{label}", with_length(mutated(data, numbers))
            if number:
                continue
            for length in (0, 7, len(data) - 1, len(data) + 1, 32_769, 65_535):
                yield f"bad-length-{length}-{label}", replaced(data, 2, length.to_bytes(2, "little"))
            for field, offset, width in list(length_fields(fields))[:6]:
                value = int.from_bytes(data[offset:offset + width], "little")
                for other in {(value + 1) % 256**width, (value - 1) % 256**width, 256**width - 1} - {value}:
                    yield f"any-{field}-{other}-{label}", replaced(data, offset, other.to_bytes(width, "little"))


def frame_inputs(numbers):
    sizes = (("count", 56, 4), ("body-len", 60, 4), ("summary-len", 188, 4), ("first-seq", 48, 8))
    for name, _, data in cases("frame"):
        yield f"valid-{name}", data
        for cut in (0, 1, 287, 288, 289, len(data) - 1):
            yield f"bad-cut-{cut}-{name}", data[:cut]
        yield f"bad-longer-{name}", data + b"\x00"
        yield f"bad-magic-{name}", b"OREG" + data[4:]
        yield f"bad-version-{name}", replaced(data, 4, b"\x01")
        for field, offset, width in sizes:
            value = int.from_bytes(data[offset:offset + width], "little")
            for other in (value - 1, value + 1, 0, 256**width - 1, 49_153):
                other %= 256**width
                if other != value:
                    yield f"any-{field}-{other}-{name}", replaced(data, offset, other.to_bytes(width, "little"))
        summary_length = int.from_bytes(data[188:192], "little")
        for other in (0, 7, 9, 65_535):
            at = 288 + summary_length + 2
            yield f"bad-event-length-{other}-{name}", replaced(data, at, other.to_bytes(2, "little"))
        for number in range(8):
            rest = bytearray(data)
            for _ in range(3):
                rest[288 + numbers.below(len(data) - 288)] ^= 1 << numbers.below(8)
            yield f"any-bits-{number}-{name}", bytes(rest)


def summary_inputs(numbers):
    for name, _, data in cases("summary"):
        yield f"valid-{name}", data
        for cut in range(min(len(data), 8)):
            yield f"bad-cut-{cut}-{name}", data[:cut]
        yield f"bad-longer-{name}", data + b"\x00"
        yield f"bad-too-long-a-varint-{name}", bytes([data[0] | 0x80, 0]) + data[1:]
        yield f"bad-pots-{name}", bytes([data[0] + 1]) + data[1:]
        for number in range(10):
            yield f"any-{number}-{name}", mutated(data, numbers)
    yield "bad-most-pots", b"\xff\xff\x03"
    yield "bad-most-rows", b"\x01\x00\x00\xff\xff\x03"
    yield "bad-no-rows", b"\x01\x00\x00\x00"
    yield "bad-no-count", b"\x01\x00\x00\x01\x00\x00\x00"
    yield "bad-u128-and-one", b"\x01\x00" + b"\xff" * 18 + b"\x04" + b"\x01\x00\x01\x00"


def activity_inputs(numbers):
    for name, fields, whole in cases("activity"):
        yield f"valid-{name}", whole
        for kind, field, offset, length in fields:
            if kind in ("u8", "u16", "u32") or field == "magic":
                changed = bytes(byte ^ 0xFF for byte in whole[offset:offset + length])
                yield f"any-{name}-{field.replace(' ', '-')}-at-{offset}", replaced(whole, offset, changed)
        for cut in (0, 4, 101, 102, len(whole) - 65, len(whole) - 1):
            yield f"bad-{name}-cut-{cut}", whole[:cut]
        yield f"bad-{name}-longer", whole + b"\x00"
        for number in range(12):
            yield f"any-{name}-mutated-{number}", mutated(whole, numbers)
    yield "bad-too-long", cases("activity")[0][2].ljust(65_537, b"\x00")


def batch_body_inputs(numbers):
    for name, fields, whole in cases("batch_body"):
        yield f"valid-{name}", whole
        for kind, field, offset, length in fields:
            if kind in ("u8", "u16"):
                changed = bytes(byte ^ 0xFF for byte in whole[offset:offset + length])
                yield f"any-{name}-{field.replace(' ', '-')}-at-{offset}", replaced(whole, offset, changed)
        for cut in (0, 1, 2, 36, len(whole) - 33, len(whole) - 1):
            yield f"bad-{name}-cut-{cut}", whole[:cut]
        yield f"bad-{name}-longer", whole + b"\x00"
        yield f"bad-{name}-no-lines", b"\0\0" + whole[2:]
        for number in range(12):
            yield f"any-{name}-mutated-{number}", mutated(whole, numbers)
    yield "bad-too-many-lines", (2_001).to_bytes(2, "little") + bytes(40)
    yield "bad-too-many-blocks", cases("batch_body")[1][2][:-2] + (1_025).to_bytes(2, "little") + bytes(32)
    yield "bad-one-account-twice", b"\2\0" + 2 * cases("batch_body")[1][2][2:-2] + b"\0\0"


def coinbase_inputs(numbers):
    def whole(outputs, count=None, text=b"/1"):
        size = len(outputs) if count is None else count
        sized = bytes([size]) if size < 0xFD else b"\xfd" + size.to_bytes(2, "little")
        paid = b"".join(amount.to_bytes(8, "little") + bytes([len(script)]) + script for amount, script in outputs)
        return text + b"\xff" * 4 + sized + paid + bytes(4)
    pool, ann, bob = (4, b"\xaa"), (23, b"\xbb" * 22), (9, b"\xcc" * 64)
    for name, outputs in (("one", [pool, ann]), ("two", [pool, ann, bob, (0, b"\x6a\x24")]), ("many", [pool] + [ann] * 300)):
        made = whole(outputs)
        yield f"valid-{name}", made
        for cut in (0, 1, 5, 7, len(made) - 5, len(made) - 1):
            yield f"bad-{name}-cut-{cut}", made[:cut]
        yield f"bad-{name}-longer", made + b"\x00"
        yield f"bad-{name}-one-more", whole(outputs, len(outputs) + 1)
        yield f"bad-{name}-one-less", whole(outputs, len(outputs) - 1)
        for number in range(12):
            yield f"any-{name}-mutated-{number}", mutated(made, numbers)
    yield "bad-nobody", whole([pool])
    yield "bad-nothing", whole([pool, (0, b"\xbb")])
    yield "bad-long-script", whole([pool, (9, b"\xbb" * 65)])
    yield "bad-no-outputs", whole([])
    yield "bad-long-size", b"/1" + b"\xff" * 4 + b"\xfd\x02\x00" + whole([pool, ann])[7:]
    yield "bad-too-many", whole([pool] + [(1, b"\xaa")] * 2_000)
    yield "valid-most", whole([pool] + [(1, b"\xaa")] * 1_999)


def inputs():
    numbers = Numbers(SEED)
    for folder, makes in (("event", event_inputs), ("frame", frame_inputs), ("summary", summary_inputs),
                          ("activity", activity_inputs), ("batch_body", batch_body_inputs),
                          ("coinbase", coinbase_inputs)):
        for name, data in makes(numbers):
            yield HERE / "corpus" / folder / f"{name}.bin", data


def main():
    made = dict(inputs())
    stored = {path for path in (HERE / "corpus").glob("*/*.bin") if not path.name.startswith("any-found-")}
    if sys.argv[1:] == ["--check"]:
        differ = [path for path in stored | set(made) if path not in made or path not in stored
                  or path.read_bytes() != made[path]]
        if differ:
            sys.exit(f"{len(differ)} inputs are not as make_corpus.py writes them, such as {differ[0].name}")
        return
    for path in stored - set(made):
        path.unlink()
    for path, data in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"{len(made)} inputs")


if __name__ == "__main__":
    main()
