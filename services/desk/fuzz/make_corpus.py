"""Writes the corpus of the target `setting`: proofs, good ones and one for each way to be none. Names say what becomes of them.

The signatures of the good ones are of keys 1 and 2 on secp256k1, made here from SEC 1, BIP137 and EIP-191 alone."""
import base64
import hashlib
import pathlib

FOLDER = pathlib.Path(__file__).parent / "corpus" / "setting"
P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(count, point):
    total = None
    while count:
        total = add(total, point) if count & 1 else total
        point = add(point, point)
        count >>= 1
    return total


def sha(data):
    return hashlib.sha256(data).digest()


def sign(secret, digest):
    k = int.from_bytes(sha(bytes([secret]) + digest), "big") % N
    point = times(k, G)
    s = pow(k, -1, N) * (int.from_bytes(digest, "big") + point[0] * secret) % N
    odd = point[1] & 1
    if N // 2 < s:
        s, odd = N - s, odd ^ 1
    return point[0].to_bytes(32, "big") + s.to_bytes(32, "big"), odd


def size(length):
    return bytes([length]) if length < 253 else b"\xfd" + length.to_bytes(2, "little")


def bitcoin(secret, text, header=39):
    magic, text = b"Bitcoin Signed Message:\n", text.encode()
    digest = sha(sha(size(len(magic)) + magic + size(len(text)) + text))
    signature, odd = sign(secret, digest)
    return base64.b64encode(bytes([header + odd]) + signature).decode()


# Addresses of keys 1 and 2 (BIP173's example is key 1's).
ONE = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
TWO = "bc1qq6hag67dl53wl99vzg42z8eyzfz2xlkvxechjp"
EVM = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
LEDGER = "1d1d1d1d-1d1d-1d1d-1d1d-1d1d1d1d1d1d"


def text(account=ONE, what="donation 5 ppm", after="0.0", until="1795400000", ledger=LEDGER):
    lines = ["Orebook setting", f"ledger {ledger}", f"account {account}", f"set {what}", f"after {after}", f"until {until}"]
    return "\n".join(lines)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    inputs = {}
    for name, what in (
        ("threshold", "threshold 340282366920938463463374607431768211455 base units"),
        ("zero", "threshold 0 base units"),
        ("address", f"address {TWO}"),
        ("donation", "donation 1000000 ppm"),
        ("pay", "pay_now"),
    ):
        said = text(what=what)
        inputs[f"good-{name}"] = f"{said}\nsignature {bitcoin(1, said)}"
        inputs[f"wrong-{name}"] = f"{said}\nsignature {bitcoin(2, said)}"
    said = text(after="281474976710655.65535", until=str(2**64 - 1))
    inputs["good-late"] = f"{said}\nsignature {bitcoin(1, said, 31)}"
    inputs["wrong-form"] = f"{said}\nsignature {bitcoin(1, said)[:40]}"
    inputs["wrong-empty"] = f"{said}\nsignature "
    inputs["wrong-none"] = said
    inputs["wrong-name"] = text(account="name:anna") + "\nsignature " + bitcoin(1, said)
    inputs["wrong-evm"] = text(account=EVM) + "\nsignature 0x" + "11" * 64 + "1b"
    inputs["wrong-evm-v"] = text(account=EVM) + "\nsignature 0x" + "11" * 64 + "1d"
    inputs["wrong-script"] = text(account="script:51") + "\nsignature AAAA"
    good = text()
    for name, none in (
        ("empty", ""),
        ("title", good.replace("Orebook", "orebook")),
        ("ledger", good.replace("ledger 1d", "ledger 1")),
        ("ledger-case", good.replace("1d1d1d1d-", "1D1d1d1d-")),
        ("account", text(account=ONE[:-1] + "5")),
        ("account-case", text(account=ONE.upper())),
        ("account-evm", text(account=EVM.lower())),
        ("account-name", text(account="name:Anna")),
        ("what", text(what="everything 1")),
        ("address", text(what="address name:anna")),
        ("threshold", text(what="threshold 340282366920938463463374607431768211456 base units")),
        ("threshold-zeros", text(what="threshold 007 base units")),
        ("units", text(what="threshold 7")),
        ("donation", text(what="donation 1000001 ppm")),
        ("donation-sign", text(what="donation +1 ppm")),
        ("pay", text(what="pay_now 1")),
        ("pay-space", text(what="pay_now ")),
        ("after", text(after="1")),
        ("after-index", text(after="1.65536")),
        ("until", text(until="18446744073709551616")),
        ("lines", good + "\n"),
        ("lines-windows", good.replace("\n", "\r\n")),
        ("lines-order", "\n".join(reversed(good.split("\n")))),
        ("long", good + "x" * 700),
    ):
        inputs[f"none-{name}"] = f"{none}\nsignature {bitcoin(1, none)}"
    for name, data in inputs.items():
        (FOLDER / name).write_bytes(data.encode())
    (FOLDER / "none-utf8").write_bytes(b"Orebook setting\n\xff")


if __name__ == "__main__":
    main()
