"""What is inside a frame's body: the fields, genesis, policies and events of the Orebook ledger, format 0.

Part of the independent reader (reader.py), written from schema/LEDGER-FORMAT.md alone; numbers in the comments are the
page's sections. A decoder takes its value from the front of a Fields, or raises a Fault that says what is wrong.
"""
import ipaddress, re, struct, unicodedata

class Fault(Exception):
    """The ledger is not what the page says; the text says how."""

def need(condition, text):
    if not condition:
        raise Fault(text)

# ==== 1. Fields: a decoder is a function that takes its value from the front of a Fields ==============================
class Fields:
    def __init__(self, data):
        self.data, self.offset, self.name = data, 0, "fields"

    def take(self, length):
        taken = self.data[self.offset:self.offset + length]
        self.need(len(taken) == length, "cut short")
        self.offset += length
        return taken
    def rest(self):
        return self.take(len(self.data) - self.offset)

    def decode(self, table):
        """Takes the fields of a table name -> decoder, in its order."""
        fields, outer = {}, self.name
        for name, decoder in table.items():
            self.name = name
            fields[name] = decoder(self)
        self.name = outer
        return fields
    def need(self, condition, text):
        need(condition, f"malformed: {self.name}: {text}")
class Uuid(bytes):
    def __str__(self):
        return re.sub("(.{8})(.{4})(.{4})(.{4})(.{12})", r"\1-\2-\3-\4-\5", self.hex())
def number(size, least=0, most=2**128):
    def decode(f):
        value = int.from_bytes(f.take(size), "little")
        f.need(least <= value <= most, f"{value} is out of range")
        return value
    return decode
def pair(first, second):
    return lambda f: (first(f), second(f))
def fixed(length, form=bytes):
    return lambda f: form(f.take(length))
def counted(size, most, least=0):
    """bytes8 (size 1), bytes16 (size 2)."""
    return lambda f: f.take(number(size, least, most)(f))
def text8(pattern):
    def decode(f):
        data = f.take(u8(f))
        f.need(re.fullmatch(pattern, data), "a character or a length that is not allowed")
        return data.decode("ascii")
    return decode
def named(names, first=1):
    """A u8 that stands for one of the names."""
    def decode(f):
        value = u8(f) - first
        f.need(0 <= value < len(names), f"{value + first} is unknown")
        return names[value]
    return decode
def items(decoder, most, least=1, key=None):
    """n u8, then n times what the decoder takes; ascending by the key if there is one."""
    def decode(f):
        values = [decoder(f) for _ in range(number(1, least, most)(f))]
        f.need(not key or all(key(a) < key(b) for a, b in zip(values, values[1:])), "not ascending")
        return values
    return decode

u8, u16, u32, u64, u128 = map(number, (1, 2, 4, 8, 16))
hash32, key32, signature64, uuid = fixed(32), fixed(32), fixed(64), fixed(16, Uuid)
at, boolean = pair(u64, u16), named((False, True), 0)
EVERYONE = ("desk", "gateway", "archiver", "settler", "paymaster")
WORKER, NAME = rb"[A-Za-z0-9_.-]{1,64}", rb"[a-z0-9_-]{1,32}"
role, reason = named(EVERYONE), text8(rb"[ -~]{1,200}")

# ==== 5. Genesis and policy ===========================================================================================
PPM = 1_000_000
POT = {
    "pot": u16, "scheme": named(("pplns", "solo", "prop", "pps", "fpps")), "n_ppm": number(8, 1),
    "fee_ppm": number(4, 0, PPM), "bonus_ppm": number(4, 0, PPM), "stale_ppm": number(4, 0, PPM),
    "keep_tx_fees": boolean, "direct_min": u64, "direct_outputs": number(2, 0, 500)}
POLICY = {
    "pots": items(lambda f: f.decode(POT), 16, key=lambda pot: pot["pot"]), "immature_depth": number(4, 1),
    "confirmed_depth": u32, "orphan_depth": number(4, 1), "threshold": u128,
    "address_hold_ms": number(8, 0, 2_592_000_000), "network_fees": named(("pool", "miner"), 0),
    "auto_pay_limit": u128, "payout_depth": number(4, 1), "payout_final_depth": u32, "writeoff_ms": number(8, 0, 2**40),
    "rounding_to_fee": boolean}

def policy(f):
    fields = f.decode(POLICY)
    f.need(fields["confirmed_depth"] > fields["immature_depth"], "confirmed_depth is not above immature_depth")
    outputs_right = all((pot["direct_min"] == 0) == (pot["direct_outputs"] == 0) for pot in fields["pots"])
    f.need(outputs_right, "direct_outputs without direct_min, or the other way round")
    f.need(fields["payout_final_depth"] > fields["payout_depth"], "payout_final_depth is not above payout_depth")
    return fields
def pays_direct_where_it_can(policy, algorithm):
    can = lambda pot: (pot["scheme"], pot["bonus_ppm"]) == ("pplns", 0) and algorithm not in ("ethash", "etchash")
    return all(pot["direct_min"] == 0 or can(pot) for pot in policy["pots"])
def schema_entries(f):
    entries = items(pair(u8, u8), 64, key=tuple)(f)
    for kind, version in entries:                  # 6: an entry the software does not know stops the reader
        need(kind in KINDS and version == 0, f"stop: this reader does not know the schema set entry ({kind},{version})")
    return entries

GENESIS = {
    "ledger": uuid, "coin": u32, "coin_name": text8(rb"[a-z0-9-]{1,16}"),
    "algorithm": named(("sha256d", "scrypt", "scrypt2", "ethash", "etchash")), "decimals": number(1, 0, 18),
    "chain": hash32, "segment_positions": number(4, 1, 1_048_576), "segment_bytes": number(8, 65_536, 2**32),
    "digest_answers": number(1, 1, 2), "approvers": items(key32, 16, key=bytes),
    "approvals": items(pair(number(1, 1, 10), number(1, 1)), 16, 0, key=lambda approval: approval[0]),
    "producers": items(pair(key32, role), 64, key=lambda producer: producer[0]),
    "schema_set": schema_entries, "policy": policy}

# ==== 3. Events =======================================================================================================
def text(f):
    data = counted(2, 512)(f)
    decoded = data.decode("utf-8", "replace")
    f.need(decoded.encode("utf-8") == data, "not UTF-8")
    f.need(all(unicodedata.category(character) != "Cc" for character in decoded), "a control character")
    return decoded
def account(f):
    kind = named(("script", "evm", "name"))(f)
    if kind == "name":
        return "name:" + text8(NAME)(f)
    return f"{kind}:" + (counted(1, 64, 1) if kind == "script" else counted(1, 20, 20))(f).hex()

def target(f):
    if named(("account", "network"))(f) == "account":
        return account(f)
    address, prefix = counted(1, 16)(f), u8(f)
    bits, least = {4: (32, 8), 16: (128, 16)}.get(len(address), (0, 1))
    f.need(least <= prefix <= bits, "a network's size or prefix")
    f.need(int.from_bytes(address, "big") % 2**(bits - prefix) == 0, "bits after a network's prefix")
    f.need(bits == 32 or address[:12] != bytes(10) + b"\xff\xff", "IPv4 in 16 bytes")
    return f"network:{ipaddress.ip_address(address).exploded}/{prefix}"

def payout(f):
    paid = account(f)
    f.need(not paid.startswith("name:"), "paid to a name")
    return paid
def workers(f):
    names = [text8(WORKER)(f) for _ in range(number(2, 0, 400)(f))]
    f.need(all(a < b for a, b in zip(names, names[1:])), "not ascending")
    return names
def accounts(f):
    named, keys = [], []
    for _ in range(number(2, 0, 400)(f)):
        start = f.offset
        named.append(account(f))
        keys.append(f.data[start:start + 1] + f.data[start + 2:f.offset])    # by kind, then by their bytes
    f.need(all(a < b for a, b in zip(keys, keys[1:])), "not ascending")
    return named
def report(f):
    data = counted(2, 4_096)(f)
    f.need(re.fullmatch(rb"[\n -~]*", data), "a character that is not allowed")
    return data.decode("ascii")
class Plain(int):
    """A number that is shown as one, whatever the name of its field."""
SET = {"threshold": u128, "address": payout, "donation": lambda f: Plain(number(4, 0, PPM)(f)), "pay_now": lambda f: None}
def setting(f):
    fields = f.decode({"account": account, "expects": at, "by": named(("operator", "signed", "token")),
                       "what": named(tuple(SET))})
    return fields | f.decode({"value": SET[fields["what"]], "proof": counted(2, 1_024)})

# Payouts: what they cost is at most 2^80, and so is what they pay.
fee, amount = number(16, 0, 2**80), number(16, 1, 2**80)
hash_or_none = lambda f: next(filter(any, [hash32(f)]), None)
BATCH = {"wallet": u16, "batch": u64}
TX = BATCH | {"tx": u16, "expects": at}
STEPS = ("broadcast", "seen", "confirmed", "final", "conflicted", "failed", "unknown")
def step_is_right(step):
    settled = step["step"] in ("confirmed", "final", "failed")
    return (step["block"] or not settled and step["height"] == 0) and (settled or step["fee"] == 0)
LINE = {"account": account, "address": payout, "amount": amount, "fee": u128}
def batch_body(data):
    """The lines of a batch and the blocks that it pays of: what the parts before its proposal hold."""
    need(len(data) <= 2**20, "malformed: a batch body of more than 2^20 bytes")
    f, lines, keys = Fields(data), [], []
    for _ in range(number(2, 1, 2_000)(f)):
        start = f.offset
        account(f)
        keys.append(data[start:start + 1] + data[start + 2:f.offset])    # by kind, then by their bytes
        f.offset = start
        lines.append(f.decode(LINE))
        f.need(lines[-1]["fee"] < lines[-1]["amount"], "a line pays nothing")
    blocks = [hash32(f) for _ in range(number(2, 0, 1_024)(f))]
    for values in (keys, blocks):
        f.need(all(a < b for a, b in zip(values, values[1:])), "not ascending")
    need(f.offset == len(data), "malformed: trailing bytes in a batch body")
    return {"lines": lines, "blocks": blocks}

SHARE = struct.Struct("<IIQHIII")
def share(f):
    worker, job, work, flags, nonce, ntime, version = SHARE.unpack(f.take(SHARE.size))
    extranonce2 = f.rest()
    need(1 <= work < 2**63 and flags <= 3 and len(extranonce2) <= 8, "malformed: a share's work, flags or extranonce2")
    return {"worker": worker, "job": job, "work": work, "block": flags & 1 == 1, "stale": flags & 2 == 2,
            "nonce": nonce, "ntime": ntime, "version": version, "extranonce2": extranonce2}

ETHASH_SHARE = struct.Struct("<IIQH8s")
def ethash_share(f):
    worker, job, work, flags, nonce = ETHASH_SHARE.unpack(f.take(ETHASH_SHARE.size))
    need(1 <= work < 2**63 and flags <= 3, "malformed: an ethash_share's work or flags")
    return {"worker": worker, "job": job, "work": work, "block": flags & 1 == 1, "stale": flags & 2 == 2,
            "nonce": nonce[::-1]}                  # 9: shown big-endian
MOVED = {"from": uuid, "from_epoch": u32, "from_seq": u64, "base_time": u64, "worker": u32, "job": u32}
def moved(f):
    fields = f.decode(MOVED) | {"counts": None}    # known when the effects hold
    raw = f.rest()
    need(raw[:1] in (b"\x13", b"\x14", b"\x18"), "malformed: moved has an event that is not of kind 19, 20 or 24")
    fields["event"] = Event(raw, fields["base_time"])
    if raw[0] == 20:
        need(fields["worker"] == fields["job"] == 0xFFFFFFFF, "malformed: a moved block_found has a worker or a job")
        fields["worker"] = fields["job"] = None
    return fields

KINDS = {                                          # kind -> (name, said by, its fields)
    1: ("genesis", ["desk"], GENESIS),
    2: ("schema_set", ["desk"], {"number": u32, "entries": schema_entries}),
    3: ("key_change", ["desk"], {"key": key32, "role": role, "action": named(("in_force", "revoked")), "expects": at}),
    4: ("policy", ["desk"], {"expects": at, "policy": policy}),
    5: ("approval", ["desk"], {"thing": hash32, "approver": key32, "signature": signature64}),
    6: ("checkpoint", ["archiver"], {"size": number(8, 1), "root": hash32, "signature": signature64}),
    7: ("heartbeat", EVERYONE, {}),
    8: ("recovery_note", EVERYONE, {"code": number(1, 1, 4), "text": text}),
    9: ("part", EVERYONE, {"whole": hash32, "part_index": u16, "of": number(2, 1), "bytes": counted(2, 32_000, 1)}),
    10: ("moved", ["gateway"], moved),
    11: ("ban", ["desk"], {
        "target": target, "action": named(("ban", "lift")), "until_ms": u64, "expects": at, "reason": reason}),
    12: ("adjustment", ["desk"], {
        "account": account, "expects": at, "book": named(("reserve", "donation", "fee", "rounding")),
        "direction": named(("to_account", "from_account")), "amount": number(16, 1, 2**80 * 10**9),
        "block": lambda f: next(filter(any, [hash32(f)]), None), "reason": reason}),
    16: ("worker", ["gateway"], {
        "number": u32, "pot": u16, "extranonce1": counted(1, 8), "extranonce2_size": number(1, 0, 8),
        "version_mask": u32, "account": account, "name": text8(WORKER)}),
    17: ("difficulty", ["gateway"], {"worker": u32, "work": number(8, 1, 2**63 - 1)}),
    18: ("job", ["gateway"], {
        "number": u32, "policy": at, "height": u64, "network_work": number(16, 1), "reward": u128, "fees": u128,
        "version": u32, "prev": hash32, "nbits": u32, "job_time": u32, "clean": boolean, "coinbase1": counted(2, 8_192),
        "coinbase2": counted(2, 16_384), "branches": items(hash32, 16, 0), "direct": u64}),
    19: ("share", ["gateway"], share),
    20: ("block_found", ["gateway"], {"hash": hash32, "height": u64, "coinbase_txid": hash32, "header": counted(1, 80)}),
    21: ("block_status", ["settler"], {
        "hash": hash32, "expects": at, "state": named(("seen", "immature", "confirmed", "orphaned", "uncle")), "height": u64,
        "value": u128, "fees": u128}),
    22: ("block_recovered", ["settler"], {"hash": hash32, "height": u64, "expects": at, "coinbase_txid": hash32,
                                          "value": u128, "fees": u128}),
    23: ("ethash_job", ["gateway"], {
        "number": u32, "policy": at, "height": u64, "network_work": number(16, 1), "reward": u128, "fees": u128,
        "seal": hash32, "seed": hash32, "job_time": u32, "clean": boolean}),
    24: ("ethash_share", ["gateway"], ethash_share),
    25: ("void", ["archiver"], {"share": at, "first": at, "expects": at}),
    26: ("account", ["desk"], {
        "name": text8(NAME), "expects": at, "payout": payout, "threshold": u128,
        "token": lambda f: next(filter(any, [hash32(f)]), None), "registered_only": boolean, "workers": workers}),
    27: ("setting", ["desk"], setting),
    28: ("fee_mean", ["settler"], {"height": u64, "expects": at, "mean": number(16, 0, 2**80)}),
    32: ("payout_proposed", ["paymaster"], BATCH | {
        "expects": at, "txs": number(2, 1), "lines": number(2, 1, 2_000), "total": amount, "fee": fee, "body": hash32,
        "digest_position": u64, "digests": items(pair(text8(rb"[!-~]{1,64}"), hash32), 4)}),
    33: ("payout_signed", ["paymaster"], TX | {
        "txid": hash32, "fee": fee, "spends": counted(1, 44, 1), "body": hash32, "raw": counted(2, 24_000)}),
    34: ("payout_step", ["paymaster"], TX | {
        "step": named(STEPS), "txid": hash32, "height": u64, "block": hash_or_none, "fee": fee}),
    35: ("payout_cancelled", ["paymaster"], TX | {"by": hash_or_none, "height": u64, "fee": fee, "reason": reason}),
    36: ("payout_halt", ["desk", "paymaster"], {"wallet": u16, "reason": reason}),
    37: ("payout_resume", ["desk"], {"wallet": u16, "expects": at, "reason": reason}),
    38: ("write_off", ["desk"], {"account": account, "expects": at, "reason": reason}),
    39: ("inactive_dust", ["desk"], {
        "cutoff": u64, "to": named(("reserve", "donation", "fee")), "accounts": accounts, "expects": at, "reason": reason}),
    40: ("reconciled", ["paymaster"], {
        "wallet": u16, "compared_position": u64, "money": hash32, "wallet_expected": u128, "wallet_found": u128,
        "transactions": u32, "blocks": u32, "differences": u32, "report": report})}
JOBS, SHARES = (18, 23), (19, 24)                  # 3: what is said of jobs and shares holds for both
LIMITS_BETWEEN_FIELDS = {
    1: lambda genesis: (all(needed <= len(genesis["approvers"]) for _, needed in genesis["approvals"])
                        and pays_direct_where_it_can(genesis["policy"], genesis["algorithm"])),
    40: lambda said: (said["differences"] == 0) == (not said["report"]),
    9: lambda part: part["part_index"] < part["of"],
    11: lambda ban: ban["action"] == "ban" or ban["until_ms"] == 0,
    18: lambda job: job["fees"] <= job["reward"], 23: lambda job: job["fees"] <= job["reward"],
    25: lambda void: void["first"] < void["share"],
    34: step_is_right, 35: lambda cancelled: cancelled["by"] or cancelled["height"] == cancelled["fee"] == 0,
    27: lambda setting: (setting["by"] == "operator") == (not setting["proof"]),
    21: lambda status: status["fees"] <= status["value"], 22: lambda block: block["fees"] <= block["value"]}
class Event:
    """kind u8, version u8, length u16, dt u32, fields."""
    def __init__(self, raw, base_time):
        need(8 <= len(raw) <= 32_768, f"malformed: an event of {len(raw)} bytes")
        self.kind, self.version, length, self.dt = struct.unpack_from("<BBHI", raw)
        need(self.kind in KINDS and self.version == 0, f"malformed: unknown kind {self.kind} version {self.version}")
        self.raw, self.time, f = raw, base_time + self.dt, Fields(raw[8:])
        need(length == len(raw) and self.time < 2**64, "malformed: length or time of an event")
        self.name, _, table = KINDS[self.kind]
        self.fields = f.decode(table) if isinstance(table, dict) else table(f)
        need(f.offset == len(f.data), f"malformed: trailing bytes in a {self.name}")
        within = LIMITS_BETWEEN_FIELDS.get(self.kind, lambda fields: True)(self.fields)
        need(within, f"malformed: a field of a {self.name} is over the limit that another sets")
