#!/usr/bin/env python3
"""Writes corpus/proxy/: what load balancers say before a miner's first byte, and what looks like it.

    python3 make_proxy_corpus.py           write the inputs anew; what a fuzzer found (`any-found-…`) stays
    python3 make_proxy_corpus.py --check   compare only; status 1 if one differs

A name begins with what `services/stratum/tests/proxy.rs` expects: `from`, `own`, `more` (it goes on), `refused`, or `any`.
Python's standard library only."""
import ipaddress
import pathlib
import struct
import sys

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus" / "proxy"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LINE = b'{"id":1,"method":"mining.subscribe"}\n'


def v2(command, family, body, length=None):
    return SIGNATURE + struct.pack(">BBH", command, family, len(body) if length is None else length) + body


def of(source, target="203.0.113.9"):
    source, target = ipaddress.ip_address(source), ipaddress.ip_address(target)
    return source.packed + target.packed + struct.pack(">HH", 51234, 3333)


def tlv(kind, value):
    return struct.pack(">BH", kind, len(value)) + value


V4, V6 = of("198.51.100.7"), of("2001:db8::7", "2001:db8::1")
GOOD1 = b"PROXY TCP4 198.51.100.7 203.0.113.9 51234 3333\r\n"
LONGEST1 = b"PROXY TCP6 " + b" ".join([b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] * 2) + b" 65535 65535\r\n"


def inputs():
    yield "from-v1-four", GOOD1 + LINE
    yield "from-v1-four-alone", GOOD1
    yield "from-v1-six", b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 3333\r\n" + LINE
    yield "from-v1-mapped", b"PROXY TCP6 ::ffff:198.51.100.7 ::1 1 2\r\n"
    yield "from-v1-longest", LONGEST1
    yield "from-v1-port-zero", b"PROXY TCP4 198.51.100.7 203.0.113.9 0 0\r\n"
    yield "own-v1-unknown", b"PROXY UNKNOWN\r\n"
    yield "own-v1-unknown-more", b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n" + LINE
    yield "own-v1-unknown-longest", b"PROXY UNKNOWN ".ljust(105, b"x") + b"\r\n"
    yield "more-v1-unknown-105", b"PROXY UNKNOWN ".ljust(106, b"x")
    yield "refused-v1-unknown-too-long", b"PROXY UNKNOWN ".ljust(107, b"x") + b"\r\n"
    yield "refused-v1-line-feed-alone", GOOD1.replace(b"\r\n", b"\n")
    yield "refused-v1-other-family", GOOD1.replace(b"TCP4", b"TCP5")
    yield "refused-v1-small", GOOD1.replace(b"TCP4", b"tcp4")
    yield "refused-v1-udp", GOOD1.replace(b"TCP4", b"UDP4")
    yield "refused-v1-two-spaces", GOOD1.replace(b"TCP4 ", b"TCP4  ")
    yield "refused-v1-space-at-the-end", GOOD1.replace(b"\r\n", b" \r\n")
    yield "refused-v1-too-few", b"PROXY TCP4 198.51.100.7 203.0.113.9 51234\r\n"
    yield "refused-v1-six-as-four", b"PROXY TCP4 ::1 ::1 1 2\r\n"
    yield "refused-v1-four-as-six", b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"
    yield "refused-v1-zeros", b"PROXY TCP4 198.051.100.007 203.0.113.9 1 2\r\n"
    yield "refused-v1-octet", b"PROXY TCP4 198.51.100.256 203.0.113.9 1 2\r\n"
    yield "refused-v1-hex", b"PROXY TCP4 0x7f.0.0.1 203.0.113.9 1 2\r\n"
    yield "refused-v1-three-octets", b"PROXY TCP4 127.1 203.0.113.9 1 2\r\n"
    yield "refused-v1-zone", b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"
    yield "refused-v1-port-large", b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n"
    yield "refused-v1-port-sign", b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n"
    yield "refused-v1-port-zeros", b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"
    yield "refused-v1-port-none", b"PROXY TCP4 1.2.3.4 1.2.3.4  2\r\n"
    yield "refused-v1-not-utf8", b"PROXY TCP4 \xff 1.2.3.4 1 2\r\n"
    yield "refused-v1-zero-byte", b"PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n"
    yield "refused-v1-nothing", b"PROXY \r\n"
    yield "refused-v1-endless", b"PROXY TCP4 " + b"1" * 500
    yield "from-v2-four", v2(0x21, 0x11, V4) + LINE
    yield "from-v2-six", v2(0x21, 0x21, V6) + LINE
    yield "from-v2-mapped", v2(0x21, 0x21, of("::ffff:198.51.100.7", "::1"))
    yield "from-v2-tlvs", v2(0x21, 0x11, V4 + tlv(0x01, b"stratum") + tlv(0x05, b"a" * 64)) + LINE
    yield "from-v2-longest", v2(0x21, 0x11, V4.ljust(520, b"\xee")) + LINE
    yield "refused-v2-too-long", v2(0x21, 0x11, V4.ljust(521, b"\xee"))
    yield "refused-v2-longest-said", v2(0x21, 0x11, V4, 65_535)
    yield "own-v2-local", v2(0x20, 0x00, b"")
    yield "own-v2-local-of-somebody", v2(0x20, 0x11, V4) + LINE
    yield "own-v2-local-any-family", v2(0x20, 0xff, b"xx")
    yield "own-v2-unspec", v2(0x21, 0x00, b"ignored")
    yield "own-v2-unix", v2(0x21, 0x31, b"/run/a.sock".ljust(216, b"\0"))
    yield "refused-v2-unix-short", v2(0x21, 0x31, b"/run/a.sock")
    yield "refused-v2-datagram-four", v2(0x21, 0x12, V4)
    yield "refused-v2-datagram-six", v2(0x21, 0x22, V6)
    yield "refused-v2-version-one", v2(0x11, 0x11, V4)
    yield "refused-v2-version-three", v2(0x31, 0x11, V4)
    yield "refused-v2-command-two", v2(0x22, 0x11, V4)
    yield "refused-v2-family-four", v2(0x21, 0x41, V4)
    yield "refused-v2-transport-three", v2(0x21, 0x13, V4)
    yield "refused-v2-addresses-cut", v2(0x21, 0x11, V4[:11])
    yield "refused-v2-six-in-four", v2(0x21, 0x21, V4)
    yield "more-v2-four-cut", v2(0x21, 0x11, V4)[:-1]
    yield "more-v2-signature", SIGNATURE
    yield "more-v2-line-ends", b"\r\n\r\n"
    yield "more-nothing", b""
    yield "more-p", b"P"
    yield "more-v1-word", b"PROXY"
    yield "more-v1-cut", GOOD1[:-1]
    yield "refused-stratum", LINE
    yield "refused-tls", b"\x16\x03\x01\x02\x00\x01\x00"
    yield "refused-http", b"GET / HTTP/1.1\r\n\r\n"
    yield "refused-space-before", b" " + GOOD1
    yield "refused-signature-wrong", SIGNATURE[:-1] + b"\0" + v2(0x21, 0x11, V4)[12:]


def main():
    wanted = {f"{name}.bin": data for name, data in inputs()}
    stored = {path.name: path for path in CORPUS.glob("*") if not path.name.startswith("any-found-")} if CORPUS.is_dir() else {}
    if "--check" in sys.argv[1:]:
        wrong = sorted(set(wanted) ^ set(stored)) + [name for name, path in sorted(stored.items())
                                                     if name in wanted and path.read_bytes() != wanted[name]]
        for name in wrong:
            print(f"corpus/proxy/{name} is not what make_proxy_corpus.py writes")
        return 1 if wrong else 0
    CORPUS.mkdir(parents=True, exist_ok=True)
    for name in set(stored) - set(wanted):
        stored[name].unlink()
    for name, data in wanted.items():
        (CORPUS / name).write_bytes(data)
    print(f"{len(wanted)} inputs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
