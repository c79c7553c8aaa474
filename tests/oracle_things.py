"""The bytes of things, and Ed25519 for their approvals: part of the oracle (oracle.py), from schema/LEDGER-FORMAT.md alone."""
import functools, hashlib, struct
from oracle_rules import BOOKS

# ---- the bytes of things, for what approvals name (format 3, 5 and 6) ------------------------------------------------
NAMES = {name: names.split() for name, names in {   # their places are their numbers
    "form": "- script evm name", "scheme": "- pplns solo prop pps fpps", "book": "- " + " ".join(BOOKS),
    "direction": "- to_account from_account", "by": "- operator signed token", "network_fees": "pool miner",
    "to": "- reserve donation fee", "what": "- threshold address donation pay_now"}.items()}
FIELDS = {                                          # each with the bytes of its number, or the field whose form it has
    "pot": "pot:2 scheme n_ppm:8 fee_ppm:4 bonus_ppm:4 stale_ppm:4 keep_tx_fees:1 "
           "direct_min:8 direct_outputs:2",
    "policy": "immature_depth:4 confirmed_depth:4 orphan_depth:4 threshold:16 address_hold_ms:8 network_fees "
              "auto_pay_limit:16 payout_depth:4 payout_final_depth:4 writeoff_ms:8 rounding_to_fee:1",
    "threshold": "value:16", "address": "value:account", "donation": "value:4", "pay_now": ""}
THINGS = {"policy": (4, "expects policy"), "setting": (27, "account expects by what * proof"),
          "adjustment": (12, "account expects book direction amount:16 block:hash reason:text"),
          "account": (26, "name:text expects payout:account threshold:16 token:hash registered_only:1 workers"),
          "payout_proposed": (32, "wallet:2 batch:8 expects txs:2 lines:2 total:16 fee:16 body:hash digest_position:8 digests"),
          "payout_resume": (37, "wallet:2 expects reason:text"), "write_off": (38, "account expects reason:text"),
          "inactive_dust": (39, "cutoff:8 to accounts expects reason:text")}
def packed(said, layout):
    """The fields named, one after another."""
    out = b""
    for name, _, form in (word.partition(":") for word in layout.split()):
        value, form = said[name], form or name
        if form.isdigit():
            out += int(value).to_bytes(int(form), "little")
        elif form in NAMES:
            out += bytes([NAMES[form].index(value)])
        elif form == "expects":
            out += struct.pack("<QH", *value)
        elif form == "policy":
            pots = [packed(pot, FIELDS["pot"]) for pot in value["pots"]]
            out += bytes([len(pots)]) + b"".join(pots) + packed(value, FIELDS["policy"])
        elif form == "hash":                        # zero for none
            out += bytes.fromhex(value or "00" * 32)
        elif form == "workers":
            out += len(value).to_bytes(2, "little") + b"".join(packed({"name": name}, "name:text") for name in value)
        elif form == "accounts":
            out += len(value).to_bytes(2, "little") + b"".join(packed({"account": name}, "account") for name in value)
        elif form == "digests":
            named = [packed({"who": who, "digest": digest}, "who:text digest:hash") for who, digest in value]
            out += bytes([len(value)]) + b"".join(named)
        else:                                       # bytes with their number before them
            of, text = value.split(":") if form == "account" else (None, value)
            data = text.encode() if of == "name" or form == "text" else bytes.fromhex(text)
            out += bytes([NAMES["form"].index(of)] if of else [])
            out += len(data).to_bytes(2 if form == "proof" else 1, "little") + data
    return out
def digest_of(ledger, said):                        # format 6
    number, layout = THINGS[said["kind"]]
    fields = packed(said, layout.replace("*", FIELDS.get(said.get("what"), "")))
    return hashlib.sha256(b"orebook/thing/0\n" + ledger + bytes([number, 0]) + fields).digest()

# ---- the body of a batch (format 3) ----------------------------------------------------------------------------------
class Bytes:
    """Takes fields from the front; short is set once there was not enough."""
    def __init__(self, data):
        self.data, self.right = data, len(data) <= 2**20
    def take(self, count):
        taken, self.data = self.data[:count], self.data[count:]
        self.right = self.right and len(taken) == count
        return taken
    def number(self, size, least=0, most=2**128):
        number = int.from_bytes(self.take(size), "little")
        self.right = self.right and least <= number <= most
        return number
    def account(self, forms=(1, 2, 3)):             # as kind and bytes
        form = self.number(1)
        data = self.take(self.number(1))
        right = {1: 1 <= len(data) <= 64, 2: len(data) == 20,
                 3: 1 <= len(data) <= 32 and set(data) <= set(b"abcdefghijklmnopqrstuvwxyz0123456789_-")}
        self.right = self.right and form in forms and right[form]
        return form, data
def text_of(account):
    form, data = account
    return f"{NAMES['form'][form]}:{data.decode() if form == 3 else data.hex()}"
def body_of(data):
    """lines and blocks of these bytes; None if they are no body, or there are none."""
    f, lines, accounts = Bytes(data or b""), [], []
    for _ in range(f.number(2, 1, 2_000)):
        accounts.append(f.account())
        address, amount = f.account((1, 2)), f.number(16, 1, 2**80)
        lines.append((address, amount, f.number(16, 0, amount - 1)))
        if not f.right:
            return None
    blocks = [f.take(32).hex() for _ in range(f.number(2, 0, 1_024))]
    ascending = all(a < b for of in (accounts, blocks) for a, b in zip(of, of[1:]))
    if not f.right or f.data or not ascending or not lines:
        return None
    said = [{"account": text_of(account), "address": text_of(address), "amount": amount, "fee": fee}
            for account, (address, amount, fee) in zip(accounts, lines)]
    return {"lines": said, "blocks": blocks}

# ---- Ed25519, for approvals (format 1 and 5) -------------------------------------------------------------------------
Q, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
CURVE_D, ROOT_OF_MINUS_ONE = -121665 * pow(121666, -1, Q) % Q, pow(2, (Q - 1) // 4, Q)
BASE = (4 * pow(5, -1, Q) % Q).to_bytes(32, "little")
def add(a, b):                                      # affine points of the twisted Edwards curve
    e = CURVE_D * a[0] * b[0] * a[1] * b[1]
    both = pow(1 - e * e, -1, Q)                    # 1 / (1 + e) is (1 - e) * both
    return (a[0] * b[1] + b[0] * a[1]) * (1 - e) * both % Q, (a[1] * b[1] + a[0] * b[0]) * (1 + e) * both % Q
def times(scalar, point):
    even = times(scalar // 2, add(point, point)) if scalar else (0, 1)
    return add(even, point) if scalar & 1 else even
def point_of(data):                                 # None if it is no encoding of one, or one of small order
    y, sign = int.from_bytes(data, "little") & (1 << 255) - 1, data[31] >> 7
    xx = (y * y - 1) * pow(CURVE_D * y * y + 1, -1, Q) % Q
    root = pow(xx, (Q + 3) // 8, Q)
    for x in (root, -root % Q, root * ROOT_OF_MINUS_ONE % Q, -root * ROOT_OF_MINUS_ONE % Q):
        if x * x % Q == xx and y < Q and x & 1 == sign and times(8, (x, y)) != (0, 1):
            return x, y
@functools.cache
def signature_is_right(key, message, signature):
    public, r, s = point_of(key), point_of(signature[:32]), int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    return bool(public and r) and s < ORDER and times(s, point_of(BASE)) == add(r, times(h, public))
