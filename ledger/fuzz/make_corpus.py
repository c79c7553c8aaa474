#!/usr/bin/env python3
"""Writes ledger/fuzz/corpus/segment from the oracle's fixtures: whole segment files, cut and changed. A name begins with
how many records stand before the first wrong one, or with `none`. With --check it compares and writes nothing."""
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
FIXTURES = HERE.parent.parent / "tests" / "oracle"
FILE_HEADER, HEAD = 72, 16


def records(data):
    """(offset, length) of each record: head 16, payload, CRC32C 4, zeros to a multiple of 8."""
    at, found = FILE_HEADER, []
    while at + HEAD <= len(data) and data[at:at + 4] == b"ORER":
        payload = struct.unpack_from("<I", data, at + 8)[0]
        length = -(-(HEAD + payload + 4) // 8) * 8
        found.append((at, length))
        at += length
    return found


def inputs():
    for path in sorted(FIXTURES.glob("*.hex")):
        data = bytes.fromhex("".join(path.read_text().split()))
        name, parts = path.stem, records(data)
        data = data[:parts[-1][0] + parts[-1][1]]
        count, (at, length) = len(parts), parts[len(parts) // 2]
        middle = len(parts) // 2

        def changed(offset, value):
            return data[:offset] + bytes([value]) + data[offset + 1:]

        yield f"{count}-whole-{name}", data
        yield f"{count}-zeros_follow-{name}", data + bytes(64)
        yield f"{count - 1}-torn-{name}", data[:-1]
        yield f"{middle}-cut_in_head-{name}", data[:at + 7]
        yield f"{middle}-cut_in_payload-{name}", data[:at + length // 2]
        yield f"{middle}-magic-{name}", changed(at, data[at] ^ 0x20)
        yield f"{middle}-type-{name}", changed(at + 4, 9)
        yield f"{middle}-length-{name}", changed(at + 8, data[at + 8] ^ 8)
        yield f"{middle}-payload-{name}", changed(at + HEAD + 30, data[at + HEAD + 30] ^ 1)
        yield f"{middle}-last_byte-{name}", changed(at + length - 1, data[at + length - 1] ^ 1)
        yield f"none-file_magic-{name}", changed(0, 0)
        yield f"none-file_crc-{name}", changed(64, data[64] ^ 1)
        yield f"none-short-{name}", data[:FILE_HEADER - 1]


def main():
    folder = HERE / "corpus" / "segment"
    wanted = {f"{name}.bin": data for name, data in inputs()}
    if "--check" in sys.argv:
        found = {path.name: path.read_bytes() for path in folder.iterdir()}
        sys.exit(0 if found == wanted else "the corpus is not what this script writes")
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, data in wanted.items():
        (folder / name).write_bytes(data)
    print(len(wanted), "inputs")


if __name__ == "__main__":
    main()
