#!/usr/bin/env python3
"""Writes corpus/line/: lines as miners, proxies, load balancers and attackers send them (background: protocols 1 and 5).

    python3 make_corpus.py           write the inputs anew; what a fuzzer found (`any-found-…`) stays
    python3 make_corpus.py --check   compare only; status 1 if one differs

A name begins with what `services/stratum/tests/lines.rs` expects in a session that is subscribed, has the users addr.rig1 and
addr.rig2, extranonces of four bytes, and may roll 1fffe000: `submit`, `asked` (for the gateway to decide), `answered`,
`silent`, `refused`, `closed`, or `any`. The seed is fixed, the numbers are SplitMix64's. Python's standard library only."""
import json
import pathlib
import sys

SEED = 20_261_121
CORPUS = pathlib.Path(__file__).resolve().parent / "corpus" / "line"
MASK = 2**64 - 1
SHARE = ["addr.rig1", "1", "00000000", "6b011d6c", "8d000000"]
ROLLED = SHARE + ["00006000"]
MUTATIONS = 90


class Numbers:
    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        return (z ^ z >> 31) % limit


def tight(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def request(method, params, ident=4):
    return tight({"id": ident, "method": method, "params": params})


def submit(params, ident=4):
    return request("mining.submit", params, ident)


def changed(index, text, of=None):
    params = list(of or SHARE)
    params[index] = text
    return submit(params)


def submits():
    """Shares that are well formed, in every spelling."""
    yield "cpuminer", '{"method": "mining.submit", "params": ["addr.rig1", "1", "00000000", "6b011d6c", "8d000000"], "id":4}'
    yield "tight", submit(SHARE)
    yield "rolled", submit(ROLLED)
    yield "rolled-zero", changed(5, "00000000", ROLLED)
    yield "rolled-full", changed(5, "1fffe000", ROLLED)
    yield "rolled-upper", changed(5, "1FFFE000", ROLLED)
    yield "sixth-null", changed(5, None, ROLLED)
    yield "seventh", submit(ROLLED + ["more"])
    yield "seventh-object", submit(ROLLED + [{"a": [1, 2]}, None, 3])
    yield "seventh-after-null", submit(SHARE + [None, "zz"])
    yield "second-user", changed(0, "addr.rig2")
    yield "upper-case", submit(["addr.rig1", "1", "00ABCDEF", "6B011D6C", "8D0000FF"])
    yield "mixed-case", submit(["addr.rig1", "bf", "00aBcDeF", "6b011D6c", "8d0000fF"])
    yield "job-largest", changed(1, "ffffffff")
    yield "job-zero", changed(1, "0")
    for name, ident in [("null", None), ("string", "x-1"), ("empty", ""), ("zero", 0), ("negative", -1), ("float", 1.5),
                        ("large", 2**70), ("unicode", "\u00e4\u1f41")]:
        yield f"id-{name}", submit(SHARE, ident)
    yield "id-escaped", submit(SHARE).replace('"id":4', '"id":"a\\u0041\\"\\\\"')
    yield "id-exponent", submit(SHARE).replace('"id":4', '"id":1E+3')
    yield "id-longest", submit(SHARE, int("9" * 64))
    yield "id-missing", tight({"method": "mining.submit", "params": SHARE})
    for index, keys in enumerate([["id", "params", "method"], ["method", "id", "params"], ["method", "params", "id"],
                                  ["params", "id", "method"], ["params", "method", "id"]]):
        values = {"id": 4, "method": "mining.submit", "params": SHARE}
        yield f"order-{index}", tight({key: values[key] for key in keys})
    yield "unknown-key", tight({"jsonrpc": "2.0", "id": 4, "method": "mining.submit", "params": SHARE})
    yield "unknown-key-deep", tight({"id": 4, "x": {"a": [[], {}]}, "method": "mining.submit", "params": SHARE})
    yield "unknown-key-twice", submit(SHARE).replace("{", '{"x":1,"x":2,', 1)
    yield "result-too", tight({"id": 4, "method": "mining.submit", "params": SHARE, "result": None, "error": None})
    yield "spaced", ' {  "id" : 4 ,\t"method" : "mining.submit" , "params" : [ "addr.rig1" , "1" , "00000000" , ' \
                    '"6b011d6c" , "8d000000" ] } '
    yield "carriage-return", submit(SHARE) + "\r"
    yield "line-breaks-inside", submit(SHARE).replace(",", ",\r\n")
    yield "escaped-user", submit(SHARE).replace("addr.rig1", "addr\\u002erig1")
    yield "escaped-slash-method", submit(SHARE).replace("mining.submit", "mining\\u002Esubmit")
    yield "escaped-key", submit(SHARE).replace('"method"', '"m\\u0065thod"')
    yield "escaped-hex", submit(SHARE).replace("8d000000", "8d\\u0030\\u00300000")


def refused_submits():
    """Shares that are answered with an error."""
    for count in range(5):
        yield f"params-{count}", submit(SHARE[:count])
    for name, text in [("short", "0000000"), ("long", "000000000"), ("odd", "0000000 "), ("prefix", "0x000000"),
                       ("empty", ""), ("sign", "+0000000"), ("minus", "-0000000"), ("letters", "zzzzzzzz"),
                       ("space", " 0000000"), ("nul", "0000000\0"), ("wide", "\uff10" * 8), ("two-bytes", "\u00e4" * 4)]:
        for index, field in [(2, "extranonce2"), (3, "ntime"), (4, "nonce")]:
            yield f"{field}-{name}", changed(index, text)
        yield f"bits-{name}", changed(5, text, ROLLED)
    for name, bits in [("low", "00001000"), ("high", "20000000"), ("all", "ffffffff")]:
        yield f"bits-outside-{name}", changed(5, bits, ROLLED)
    for name, value in [("number", 1), ("object", {}), ("list", []), ("true", True), ("float", 1.5), ("null", None)]:
        yield f"user-{name}", changed(0, value)
        yield f"nonce-{name}", changed(4, value)
        if value is not None:
            yield f"bits-{name}", changed(5, value, ROLLED)
    for name, text in [("empty", ""), ("upper", "BF"), ("padded", "01"), ("prefix", "0x1"), ("long", "123456789"),
                       ("letters", "job"), ("sign", "+1"), ("forged", "1\u00e4")]:
        yield f"job-{name}", changed(1, text)
    for name, text in [("other", "no.body"), ("empty", ""), ("prefix", "addr.rig"), ("longer", "addr.rig10"),
                       ("case", "ADDR.rig1"), ("huge", "a" * 10_000), ("emoji", "\U0001f41f.rig")]:
        yield f"user-{name}", changed(0, text)
    for name, params in [("null", None), ("object", {"user": "addr.rig1"}), ("string", "addr.rig1"), ("number", 5),
                         ("nested", [SHARE])]:
        yield f"params-{name}", submit(params)
    yield "params-missing", '{"id":4,"method":"mining.submit"}'


def requests():
    """(outcome, name, line) of everything but submits."""
    for name, params in [("empty", []), ("agent", ["cgminer/4.12"]), ("resume", ["cgminer/4.12", "s"]), ("null", None),
                         ("host", ["a", None, "pool.example", 3333]), ("numbers", [1, 2])]:
        yield "answered", f"subscribe-{name}", request("mining.subscribe", params)
    for name, params in [("plain", ["addr.rig1", "x"]), ("alone", ["addr"]), ("null", ["addr.rig3", None]),
                         ("options", ["coin:addr+rig", "d=0.01;md=16,m=solo,c=ltc,id=rig7"]), ("number", ["addr", 5]),
                         ("nonsense", ["addr", "d=-1,d=1e400,d=NaN,d=0,\u0000=\u0000"]), ("long", ["a" * 128, "p" * 9_000])]:
        yield "asked", f"authorize-{name}", request("mining.authorize", params)
    for name, params in [("empty", []), ("null", None), ("object", {}), ("number", [5]), ("list", [["addr"]]),
                         ("nothing", [""]), ("long", ["a" * 129]), ("huge", ["a" * 10_000]), ("path", ["../../etc/passwd"]),
                         ("sql", ["a'; DROP TABLE shares; --"]), ("emoji", ["\U0001f41f"]), ("control", ["addr\u0007.rig"]),
                         ("dot", [".rig"]), ("worker-long", ["addr." + "r" * 65]), ("markup", ["<b>.rig"])]:
        yield "refused", f"authorize-{name}", request("mining.authorize", params)
    names = ["version-rolling", "minimum-difficulty", "subscribe-extranonce", "info"]
    options = {"version-rolling.mask": "1fffe000", "version-rolling.min-bit-count": 2, "minimum-difficulty.value": 2048,
               "info.sw-version": "x"}
    for name, params in [("full", [names, options]), ("rolling", [names[:1], {}]), ("alone", [names]),
                         ("mask-zz", [names, {"version-rolling.mask": "zz"}]), ("none", [[], {}]),
                         ("bits-99", [names, {"version-rolling.min-bit-count": 99}]), ("null", [names, None]),
                         ("unknown", [["what", "\"quoted\"", "\n", "\U0001f41f"], {}]), ("twice", [names + names, options]),
                         ("float", [names, {"minimum-difficulty.value": 0.25}]),
                         ("deep", [names, {"minimum-difficulty.value": [[[[]]]]}])]:
        yield "answered", f"configure-{name}", request("mining.configure", params)
    for name, params in [("empty", []), ("missing", None), ("text", ["version-rolling"]), ("numbers", [[1, 2], {}]),
                         ("options-list", [names, []]), ("many", [[f"x{index}" for index in range(40)], {}]),
                         ("long-name", [["x" * 65], {}])]:
        yield "refused", f"configure-{name}", request("mining.configure", params)
    yield "answered", "configure-option-twice", '{"id":1,"method":"mining.configure","params":[["info"],{"a":1,"a":2}]}'
    for name, value in [("number", 1024), ("fraction", 0.003), ("text", "512"), ("point", 1000.0)]:
        yield "answered", f"difficulty-{name}", request("mining.suggest_difficulty", [value])
    for name, params in [("empty", []), ("null", None), ("zero", [0]), ("negative", [-1]), ("words", ["much"]),
                         ("list", [[1]]), ("object", {"d": 1}), ("huge", [10**30]), ("true", [True])]:
        yield "refused", f"difficulty-{name}", request("mining.suggest_difficulty", params)
    yield "refused", "difficulty-overflow", '{"id":1,"method":"mining.suggest_difficulty","params":[1e400]}'
    yield "refused", "difficulty-nan", '{"id":1,"method":"mining.suggest_difficulty","params":["NaN"]}'
    yield "answered", "target", request("mining.suggest_target", ["00000000ffff" + "0" * 52])
    for name, text in [("zero", "0" * 64), ("long", "f" * 65), ("empty", ""), ("prefix", "0xff"), ("words", "easy")]:
        yield "refused", f"target-{name}", request("mining.suggest_target", [text])
    for method in ["ping", "noop", "capabilities", "multi_version", "hashrate", "extranonce.subscribe"]:
        yield "answered", method.replace(".", "-"), request(f"mining.{method}", [])
        yield "answered", method.replace(".", "-") + "-odd", request(f"mining.{method}", {"a": [[{}]]}, "id")
    for method in ["mining.get_transactions", "eth_submitLogin", "eth_getWork", "login", "getblocktemplate", "", "submit",
                   "Mining.submit", "mining.submit ", "mining.unsubscribe", "client.get_version", "m" * 9_000]:
        yield "refused", "method-" + (method.replace(".", "-").replace(" ", "_")[:24] or "empty"), request(method, [])


def odd_lines():
    """(outcome, name, bytes) of what is no request."""
    for name, line in [("empty", b""), ("carriage-return", b"\r"), ("spaces", b"  \t "),
                       ("reply-true", b'{"id":1,"result":true,"error":null}'), ("reply-null", b'{"id":1,"result":null}'),
                       ("reply-version", b'{"id":"orebook-version","result":"cgminer/4","error":null}'),
                       ("reply-error", b'{"id":null,"error":[20,"no",null]}')]:
        yield "silent", name, line
    share = submit(SHARE).encode()
    for name, line in [
            ("object-empty", b"{}"), ("list", b"[]"), ("number", b"5"), ("text", b'"mining.submit"'), ("null", b"null"),
            ("true", b"true"), ("batch", b"[" + share + b"]"), ("batch-of-two", b"[" + share + b"," + share + b"]"),
            ("fields-in-a-list", b'[4,"mining.submit",["addr.rig1","1","00000000","6b011d6c","8d000000"]]'),
            ("two-on-a-line", share + share), ("trailing", share + b" x"), ("trailing-comma", share[:-1] + b",}"),
            ("open", share[:-1]), ("cut", share[:40]), ("single-quotes", share.replace(b'"', b"'")),
            ("bare-keys", b"{id:1,method:1}"), ("comment", b"// hello"), ("byte-order-mark", b"\xef\xbb\xbf" + share),
            ("nul", b"\0" + share), ("nul-inside", share.replace(b"rig1", b"ri\0g")), ("nul-only", b"\0" * 100),
            ("tab-inside", share.replace(b"rig1", b"ri\tg")), ("not-utf8", share.replace(b"rig1", b"\xff\xfe")),
            ("not-utf8-outside", b"\xff" + share), ("half-character", share.replace(b"rig1", b"ri\xc3")),
            ("lone-surrogate-method", b'{"id":1,"method":"\\ud800"}'), ("bad-escape", b'{"id":1,"method":"\\x41"}'),
            ("id-object", share.replace(b'"id":4', b'"id":{}')), ("id-list", share.replace(b'"id":4', b'"id":[1]')),
            ("id-true", share.replace(b'"id":4', b'"id":true')), ("id-leading-zero", share.replace(b'"id":4', b'"id":04')),
            ("id-plus", share.replace(b'"id":4', b'"id":+4')), ("id-hex", share.replace(b'"id":4', b'"id":0x4')),
            ("id-point", share.replace(b'"id":4', b'"id":4.')), ("id-nan", share.replace(b'"id":4', b'"id":NaN')),
            ("id-huge", share.replace(b'"id":4', b'"id":' + b"9" * 65)),
            ("id-huge-text", share.replace(b'"id":4', b'"id":"' + b"x" * 5_000 + b'"')),
            ("id-twice", share.replace(b'"id":4', b'"id":4,"id":5')),
            ("method-twice", share.replace(b'"method"', b'"method":"mining.ping","method"')),
            ("method-submit-twice", share.replace(b'"method"', b'"method":"mining.submit","method"')),
            ("params-twice", share.replace(b'"params"', b'"params":[],"params"')),
            ("method-null", b'{"id":1,"method":null,"params":[]}'), ("method-number", b'{"id":1,"method":5,"params":[]}'),
            ("method-list", b'{"id":1,"method":["mining.submit"],"params":[]}'), ("id-only", b'{"id":1}'),
            ("deep-lists", b"[" * 8_000), ("deep-objects", b'{"a":' * 2_000),
            ("http", b"GET / HTTP/1.1"), ("http-host", b"Host: pool.example"), ("proxy", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2"),
            ("tls", bytes.fromhex("160301020001000 1fc0303".replace(" ", ""))), ("ssh", b"SSH-2.0-client"),
            ("redis", b"*1\r"), ("letters", b"hello"), ("quotes", b'"' * 500), ("braces", b"{" * 500)]:
        yield "refused", name, line
    nested = submit([SHARE[0], SHARE[1], SHARE[2], SHARE[3], 0]).encode().replace(b",0]", b"," + b"[" * 3_000 + b"]" * 3_000 + b"]")
    yield "refused", "deep-in-params", nested
    deep_key = b'{"x":' + b"[" * 3_000 + b"]" * 3_000 + b"," + share[1:]
    yield "submit", "deep-unknown-key", deep_key
    longest = share[:-1] + b" " * (16_384 - len(share)) + b"}"
    yield "submit", "longest", longest
    yield "closed", "too-long", longest[:-1] + b" }"
    yield "closed", "endless", b"a" * 20_000


def inputs():
    numbers = Numbers(SEED)
    all_of = [("submit", name, line.encode()) for name, line in submits()]
    all_of += [("refused", "submit-" + name, line.encode()) for name, line in refused_submits()]
    all_of += [(outcome, name, line.encode()) for outcome, name, line in requests()]
    all_of += list(odd_lines())
    sources = [line for _, _, line in all_of if 20 < len(line) < 400]
    for index in range(MUTATIONS):
        out = bytearray(sources[numbers.below(len(sources))])
        for _ in range(1 + numbers.below(3)):
            at = numbers.below(len(out))
            kind = numbers.below(4)
            if kind == 0:
                out[at] ^= 1 << numbers.below(8)
            elif kind == 1:
                del out[at:at + 1 + numbers.below(6)]
            elif kind == 2:
                out[at:at] = b'"\\,:[]{}0x -'[numbers.below(12):][:1]
            else:
                other = sources[numbers.below(len(sources))]
                out[at:] = other[numbers.below(len(other)):]
            out = out or bytearray(b"{")
        all_of.append(("any", f"mutated-{index:02}", bytes(out)))
    return {f"{outcome}-{name}.bin": line for outcome, name, line in all_of}


def main():
    wanted = inputs()
    stored = {path.name: path for path in CORPUS.glob("*") if not path.name.startswith("any-found-")} if CORPUS.is_dir() else {}
    if "--check" in sys.argv[1:]:
        wrong = sorted(set(wanted) ^ set(stored)) + [name for name, path in sorted(stored.items())
                                                     if name in wanted and path.read_bytes() != wanted[name]]
        for name in wrong:
            print(f"corpus/line/{name} is not what make_corpus.py writes")
        return 1 if wrong else 0
    CORPUS.mkdir(parents=True, exist_ok=True)
    for name in set(stored) - set(wanted):
        stored[name].unlink()
    for name, line in wanted.items():
        (CORPUS / name).write_bytes(line)
    print(f"{len(wanted)} inputs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
