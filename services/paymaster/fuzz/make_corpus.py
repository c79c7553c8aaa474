"""Writes the corpus of the target `tx`: good transactions, and one for every way to be none. Names say what becomes of them."""
import pathlib
import struct

FOLDER = pathlib.Path(__file__).parent / "corpus" / "tx"


def size(n):
    for limit, mark, form in ((0xFD, b"", "<B"), (0x10000, b"\xfd", "<H"), (1 << 32, b"\xfe", "<I")):
        if n < limit:
            return mark + struct.pack(form, n)
    return b"\xff" + struct.pack("<Q", n)


def lot(items):
    return size(len(items)) + b"".join(items)


def text(raw):
    return size(len(raw)) + raw


def spend(script=b"", at=0):
    return bytes([at]) * 32 + struct.pack("<I", at) + text(script) + b"\xfd\xff\xff\xff"


def pay(value=1, script=b"\x00\x14" + b"\x07" * 20):
    return struct.pack("<Q", value) + text(script)


def tx(inputs, outputs, witnesses=None, flags=None, extension=b"", version=2, lock=0):
    flags = (1 if witnesses else 0) if flags is None else flags
    mark = bytes([0, flags]) if flags else b""
    body = lot(inputs) + lot(outputs)
    rights = b"".join(lot([text(item) for item in each]) for each in witnesses or [])
    return struct.pack("<I", version) + mark + body + rights + extension + struct.pack("<I", lock)


def main():
    right = [b"\x30" + b"\x01" * 70, b"\x02" + b"\x03" * 32]
    old = text(right[0]) + text(right[1])
    good = {
        "old": tx([spend(old)], [pay()]),
        "old-two": tx([spend(old), spend(old, 1)], [pay(), pay(2)], lock=7),
        "unsigned": tx([spend()], [pay()]),
        "witness": tx([spend()], [pay()], [right]),
        "witness-half": tx([spend(old), spend(b"", 1)], [pay()], [[], right]),
        "witness-of-nothing": tx([spend()], [pay()], [[b""]]),
        "coinbase": tx([b"\0" * 32 + b"\xff" * 4 + text(b"\x03abc") + b"\xff" * 4], [pay(5_000_000_000)]),
        "many": tx([spend(b"", n) for n in range(253)], [pay(n) for n in range(253)], [right] * 253),
        "script-253": tx([spend(b"\x51" * 253)], [pay(1, b"\x6a" * 70_000)]),
        "most-money": tx([spend()], [pay((1 << 64) - 1)], version=0xFFFFFFFF, lock=0xFFFFFFFF),
        "extension": tx([spend()], [pay()], flags=8, extension=b"\0"),
        "extension-witness": tx([spend()], [pay()], [right], flags=9, extension=b"\0"),
    }
    plain, witness = good["old"], good["witness"]
    bad = {
        "short-empty": b"",
        "short-version": plain[:3],
        "short-mark": struct.pack("<I", 2) + b"\0",
        "short-input": plain[:30],
        "short-output": plain[:-12],
        "short-lock": plain[:-1],
        "short-witness": witness[:-40],
        "short-count": struct.pack("<I", 2) + b"\xff" + b"\xff" * 8,
        "short-script": struct.pack("<I", 2) + b"\x01" + b"\0" * 36 + b"\xfe\xff\xff\xff\xff",
        "short-extension": tx([spend()], [pay()], flags=8)[:-4],
        "length-3": plain.replace(b"\x01", b"\xfd\x01\x00", 1),
        "length-5": struct.pack("<I", 2) + b"\xfe\x01\0\0\0" + spend() + lot([pay()]) + b"\0" * 4,
        "length-9": struct.pack("<I", 2) + b"\xff\x01" + b"\0" * 7 + spend() + lot([pay()]) + b"\0" * 4,
        "flags-2": tx([spend()], [pay()], flags=2),
        "flags-16": tx([spend()], [pay()], flags=16),
        "flags-extension": tx([spend()], [pay()], flags=8, extension=b"\x01"),
        "short-no-input": tx([], [pay()], [], flags=0),
        "noinput-none": struct.pack("<I", 2) + b"\0\0" + b"\0" * 4,
        "noinput-witness": tx([], [pay()], flags=1),
        "nooutput": tx([spend()], []),
        "nowitness": tx([spend(old)], [pay()], [[]], flags=1),
        "trailing": plain + b"\0",
        "trailing-two": plain + plain,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, raw in good.items():
        (FOLDER / f"good-{name}.bin").write_bytes(raw)
    for name, raw in bad.items():
        (FOLDER / f"{name}.bin").write_bytes(raw)


if __name__ == "__main__":
    main()
