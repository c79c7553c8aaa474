"""A hex assembler: fields with a type, a name and a meaning become bytes, and pages that a person can check.

It knows the primitives of LEDGER-FORMAT.md, section 1, and the head of an event. Nothing here was taken from the encoder."""
import hashlib

WIDTH = 32


class Field:
    def __init__(self, kind, name, data, meaning):
        self.kind, self.name, self.data, self.meaning = kind, name, bytes(data), str(meaning)


def integer(bits):
    def field(name, value, meaning=None):
        return Field(f"u{bits}", name, value.to_bytes(bits // 8, "little"), f"{value:,}" if meaning is None else meaning)
    return field


u8, u16, u32, u64, u128 = (integer(bits) for bits in (8, 16, 32, 64, 128))


def raw(name, data, meaning="", kind=None):
    return Field(kind or f"{len(data)} bytes", name, data, meaning)


def hash32(name, data, meaning=""):
    assert len(data) == 32
    return Field("hash", name, data, meaning)


def bytes8(name, data, meaning=""):
    return Field("bytes8", name, len(data).to_bytes(1, "little") + data, f"{len(data)} bytes {meaning}".rstrip())


def bytes16(name, data, meaning=""):
    return Field("bytes16", name, len(data).to_bytes(2, "little") + data, f"{len(data)} bytes {meaning}".rstrip())


def at(name, position, index):
    data = position.to_bytes(8, "little") + index.to_bytes(2, "little")
    return Field("at", name, data, f"position {position:,}, index {index:,}" if position or index else "none, or genesis")


def varint(name, value, meaning=None):
    out, rest = [], value
    while rest >= 128:
        out.append(rest % 128 + 128)
        rest //= 128
    out.append(rest)
    return Field("varint", name, out, f"{value:,}" if meaning is None else meaning)


def joined(fields):
    return b"".join(field.data for field in fields)


def event(kind, kind_name, dt, fields):
    length = 8 + len(joined(fields))
    assert length <= 32768
    return [u8("kind", kind, f"{kind}, {kind_name}"), u8("version", 0), u16("length", length), u32("dt", dt), *fields]


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root(leaves):
    """RFC 6962, 2.1, over leaf hashes."""
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01", root(leaves[:split]), root(leaves[split:]))


def leaf(entry):
    return sha256(b"\x00", entry)


def hex_lines(data):
    return [data[start:start + WIDTH].hex() for start in range(0, len(data), WIDTH)]


def golden_page(title, cases):
    """The text of a golden file: cases with their fields, each a comment and its bytes."""
    lines = [f"# {title}", "# Written by make.py from LEDGER-FORMAT.md alone. `## name` opens a case, `#` is a comment."]
    for name, fields in cases:
        lines += ["", f"## {name}"]
        for field in fields:
            lines.append(f"# {field.name}, {field.kind}: {field.meaning}".rstrip(": "))
            lines += hex_lines(field.data)
    return "\n".join(lines) + "\n"


def example_block(fields):
    """Lines of `offset  hex | name, type: meaning`, at most 16 bytes each."""
    lines, offset = ["```text"], 0
    for field in fields:
        label = f" | {field.name}, {field.kind}: {field.meaning}".rstrip(": ")
        for start in range(0, len(field.data), 16):
            part = field.data[start:start + 16].hex()
            lines.append(f"{offset + start:4}  {part:32}{label if start == 0 else ' |'}")
        offset += len(field.data)
    return "\n".join([*lines, "```"])
