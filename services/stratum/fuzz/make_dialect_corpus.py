#!/usr/bin/env python3
"""Writes corpus/dialect/: what ethash miners say in each dialect, and what looks like it (background: protocols 2 and 5).

    python3 make_dialect_corpus.py           write the inputs anew; what a fuzzer found (`any-found-…`) stays
    python3 make_dialect_corpus.py --check   compare only; status 1 if one differs

The first byte of an input chooses the session: 0 eth-proxy, 1 NiceHash, 2 EthereumStratum/2.0.0, 3 legacy, each logged in as
addr.rig1 with the nonce's prefix af4c, 4 a new connection. A name begins with what `services/stratum/tests/dialect_faults.rs`
expects: `share`, `asked` (for the gateway), `answered`, `silent`, `refused`, `closed`, or `any`. The seed is fixed, the numbers
are SplitMix64's. Python's standard library only."""
import json
import pathlib
import sys

SEED = 20_261_122
CORPUS = pathlib.Path(__file__).resolve().parent / "corpus" / "dialect"
MASK = 2**64 - 1
SEAL, MIX = "64" * 32, "d1" * 32
MUTATIONS = 60
SHARES = {
    0: ("eth_submitWork", ["0xaf4c6a909d9bbc0f", "0x" + SEAL, "0x" + MIX]),
    1: ("mining.submit", ["addr.rig1", "bf0488aa", "6a909d9bbc0f"]),
    2: ("mining.submit", ["bf0488aa", "6a909d9bbc0f", "w-0"]),
    3: ("mining.submit", ["addr.rig1", SEAL, "0xaf4c6a909d9bbc0f", "0x" + SEAL, "0x" + MIX]),
}
NONCE = {0: 0, 1: 2, 2: 1, 3: 2}
NAMES = ["eth-proxy", "nicehash", "two", "legacy", "new"]


class Numbers:
    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        return (z ^ z >> 31) % limit


def line(number, method, params=None, **more):
    said = {"id": 4, "method": method, **({} if params is None else {"params": params}), **more}
    return bytes([number]) + json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def share(number, at=None, value=None, **more):
    method, params = SHARES[number]
    params = list(params)
    if at is not None:
        params[at] = value
    return line(number, method, params, **more)


def post(path, body, head="", length=None):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = len(body) if length is None else length
    return f"\x04POST {path} HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n".encode() + body


def shares():
    for number, name in enumerate(NAMES[:4]):
        good = share(number)
        yield "share", name, good
        yield "share", name + "-upper", good.replace(b"6a909d9bbc0f", b"6A909D9BBC0F")
        yield "share", name + "-worker", share(number, worker="rig1")
        yield "share", name + "-jsonrpc", share(number, jsonrpc="2.0")
        yield "share", name + "-carriage-return", good[:-1] + b"\r\n"
        yield "share", name + "-twice", good + good[1:]
        yield "share", name + "-escaped", good.replace(b"6a909d", b"6a\\u0039\\u00309d")
        yield "share", name + "-behind-blanks", good[:1] + b"\n \r\n" + good[1:]
        yield "silent", name + "-cut", good[:-1]
        yield "silent", name + "-empty", good[:1]
        for label, nonce in [("empty", ""), ("short", "6a909d9bbc0"), ("long", "6a909d9bbc0f00"), ("letters", "6a909d9bbc0g"), ("space", " a909d9bbc0f"),
                             ("sign", "+a909d9bbc0f"), ("prefix-only", "0x"), ("huge", "a" * 5_000), ("number", 5), ("null", None), ("list", []),
                             ("other-session", "af4d6a909d9bbc0f" if number in (1, 2) else "0x4d6a909d9bbc0f")]:
            yield "refused", f"{name}-nonce-{label}", share(number, NONCE[number], nonce)
        yield "refused", name + "-params-none", line(number, SHARES[number][0])
        yield "refused", name + "-params-object", line(number, SHARES[number][0], {})
        yield "refused", name + "-params-two", line(number, SHARES[number][0], SHARES[number][1][:2])
        yield "refused", name + "-method", line(number, "mining.unsubscribe", [])
        yield "refused", name + "-not-json", bytes([number]) + b"nonsense\n"
        yield "refused", name + "-batch", good[:1] + b"[" + good[1:-1] + b"]\n"
        yield "refused", name + "-deep", bytes([number]) + b"[" * 8_000 + b"\n"
        yield "closed", name + "-endless", bytes([number]) + b"a" * 20_000
        yield "closed", name + "-too-long", bytes([number]) + b"{" * 16_385
        yield "answered", name + "-rate", line(number, "eth_submitHashrate", ["0x" + "5".zfill(64), "0x" + MIX])
        yield "answered", name + "-rate-nonsense", line(number, "eth_submitHashrate", [[], 5])
        yield "answered", name + "-noop", line(number, "mining.noop")
    yield "share", "nicehash-whole", share(1, 2, "af4c6a909d9bbc0f")
    yield "share", "nicehash-login-only", share(1, 0, "addr")
    yield "share", "legacy-login-only", share(3, 0, "addr")
    yield "refused", "legacy-job-other", share(3, 1, "65" * 32)
    yield "refused", "nicehash-job-upper", share(1, 1, "BF0488AA")
    yield "refused", "two-token", share(2, 2, "w-1")
    yield "refused", "eth-proxy-seal-short", share(0, 1, "0x64")
    yield "refused", "eth-proxy-mix-null", share(0, 2, None)


def requests():
    yield "asked", "eth-proxy-login", line(0, "eth_submitLogin", ["ad.rig", "x"], worker="rig")
    yield "asked", "eth-proxy-work", line(0, "eth_getWork", [])
    yield "asked", "eth-proxy-height", line(0, "eth_getBlockByNumber", ["pending", False])
    yield "refused", "eth-proxy-height-number", line(0, "eth_getBlockByNumber", ["0x5", False])
    yield "asked", "nicehash-login", line(1, "mining.authorize", ["ad.rig2", "x"])
    yield "answered", "nicehash-subscribe-again", line(1, "mining.subscribe", ["a", "EthereumStratum/1.0.0"])
    yield "answered", "two-hello-again", line(2, "mining.hello", {"proto": "EthereumStratum/2.0.0", "agent": "a\u00e9"})
    yield "refused", "two-hello-other", line(2, "mining.hello", {"proto": "EthereumStratum/3.0.0"})
    yield "answered", "two-rate", line(2, "mining.hashrate", ["500000", "w-0"])
    yield "closed", "two-bye", line(2, "mining.bye")
    yield "answered", "legacy-ping", line(3, "mining.ping", [])
    for name, said in [("login", line(4, "eth_submitLogin", ["ad.rig"])), ("subscribe", line(4, "mining.subscribe", ["a"])),
                       ("nicehash", line(4, "mining.subscribe", ["a", "EthereumStratum/1.0.0"])),
                       ("legacy", line(4, "mining.subscribe", [], jsonrpc="2.0"))]:
        yield "asked", "new-" + name, said
    yield "answered", "new-hello", line(4, "mining.hello", {"proto": "EthereumStratum/2.0.0"})
    yield "refused", "new-hello-none", line(4, "mining.hello")
    yield "refused", "new-foreign", line(4, "login", {})
    yield "refused", "new-early", line(4, "eth_getWork")
    yield "closed", "new-tls", b"\x04\x16\x03\x01\x02\x00"
    work = {"id": 1, "method": "eth_getWork", "params": []}
    submit = {"id": 2, "method": SHARES[0][0], "params": SHARES[0][1]}
    yield "asked", "http-work", post("/addr/rig", work)
    yield "asked", "http-dot", post("/addr.rig", work)
    yield "asked", "http-basic", post("/", work, "Authorization: Basic YWRkci5yaWc6eA==\r\n")
    yield "share", "http-share", post("/addr/rig", submit)
    yield "share", "http-closing", post("/addr/rig", submit, "Connection: close\r\n")
    yield "share", "http-two", post("/addr/rig", submit) + post("/addr/two", submit)[1:]
    yield "asked", "http-login-refused", post("/odd/rig", submit)
    yield "refused", "http-nobody", post("/", submit)
    yield "refused", "http-body", post("/addr/rig", b"{")
    yield "refused", "http-method", post("/addr/rig", {"id": 1, "method": "eth_call"})
    yield "refused", "http-path", post("/a/b/c", work)
    yield "refused", "http-put", b"\x04PUT /addr HTTP/1.1\r\n\r\n"
    yield "answered", "http-get", b"\x04GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    yield "answered", "http-head", b"\x04HEAD / HTTP/1.0\r\n\r\n"
    yield "silent", "http-cut-head", b"\x04POST / HTTP/1.1\r\nContent-Le"
    yield "silent", "http-cut-body", post("/addr", b"{", length=50)
    yield "silent", "http-cut-method", b"\x04POS"
    yield "closed", "http-no-length", b"\x04POST / HTTP/1.1\r\n\r\n"
    yield "closed", "http-large", post("/addr", b"", length=4_097)
    yield "closed", "http-length-sign", post("/addr", b"", length="-1")
    yield "closed", "http-chunked", post("/addr", work, "Transfer-Encoding: chunked\r\n")
    yield "closed", "http-head-long", post("/addr", work, "X: " + "a" * 8_192 + "\r\n")
    yield "closed", "http-many", post("/addr", work, "X: a\r\n" * 65)
    yield "closed", "http-line-feeds", b"\x04POST / HTTP/1.1\nContent-Length: 0\r\n\r\n"
    yield "closed", "http-version", b"\x04POST / HTTP/2\r\n\r\n"


def inputs():
    numbers = Numbers(SEED)
    all_of = list(shares()) + list(requests())
    sources = [said for _, _, said in all_of if 20 < len(said) < 600]
    for index in range(MUTATIONS):
        out = bytearray(sources[numbers.below(len(sources))])
        for _ in range(1 + numbers.below(3)):
            at = 1 + numbers.below(len(out) - 1)
            kind = numbers.below(3)
            if kind == 0:
                out[at] ^= 1 << numbers.below(8)
            elif kind == 1:
                del out[at:min(len(out), at + 1 + numbers.below(6))]
                out += b"}"
            else:
                out[at:at] = b'"\\,:[]{}0x -'[numbers.below(12):][:1]
        all_of.append(("any", f"mutated-{index:02}", bytes(out)))
    return {f"{outcome}-{name}.bin": said for outcome, name, said in all_of}


def main():
    wanted = inputs()
    stored = {path.name: path for path in CORPUS.glob("*") if not path.name.startswith("any-found-")} if CORPUS.is_dir() else {}
    if "--check" in sys.argv[1:]:
        wrong = sorted(set(wanted) ^ set(stored)) + [name for name, path in sorted(stored.items())
                                                     if name in wanted and path.read_bytes() != wanted[name]]
        for name in wrong:
            print(f"corpus/dialect/{name} is not what make_dialect_corpus.py writes")
        return 1 if wrong else 0
    CORPUS.mkdir(parents=True, exist_ok=True)
    for name in set(stored) - set(wanted):
        stored[name].unlink()
    for name, said in wanted.items():
        (CORPUS / name).write_bytes(said)
    print(f"{len(wanted)} inputs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
