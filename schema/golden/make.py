#!/usr/bin/env python3
"""Writes the golden files beside it, and EXAMPLE.md, from the tables of LEDGER-FORMAT.md.

    python3 make.py           write them
    python3 make.py --check   compare only; status 1 if a file differs

Python's standard library only. The field tables below are typed from the page, never from the Rust encoder."""
import pathlib
import sys

import ed25519
from assembler import (at, bytes16, bytes8, event, example_block, golden_page, hash32, joined, leaf, raw, root, sha256,
                       u128, u16, u32, u64, u8, varint)

MAX16, MAX32, MAX64, MAX128 = (2**bits - 1 for bits in (16, 32, 64, 128))
WORK_MAX = 2**63 - 1


def run(start, count):
    """`count` bytes that count up from `start`."""
    return bytes((start + n) % 256 for n in range(count))


LEDGER = bytes.fromhex("0190a6b05c0070008000000000000001")
STREAMS = {name: bytes.fromhex(f"0190a6b05c0070008000000000000{number}") for name, number in
           (("desk", "0d1"), ("archiver", "0a1"), ("gateway", "061"))}
SEEDS = {name: bytes([number]) * 32 for name, number in
         (("desk", 1), ("gateway", 2), ("archiver", 3), ("settler", 4), ("paymaster", 5), ("anna", 17), ("ben", 18))}
KEYS = {name: ed25519.public(seed) for name, seed in SEEDS.items()}
ROLES = {"desk": 1, "gateway": 2, "archiver": 3, "settler": 4, "paymaster": 5}
START = 1_750_000_000_000
KINDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 21, 22]


# --- section 5 ---------------------------------------------------------------------------------------

def entries(name, listed):
    pairs = b"".join(bytes(pair) for pair in listed)
    return [u8("n", len(listed)), raw(name, pairs, "(kind, version) ascending", f"{len(listed)} x 2 bytes")]


def policy(pots, depths, threshold, address_hold_ms, network_fees, payouts):
    fields = [u8("n", len(pots), f"{len(pots)} pots")]
    for pot, scheme, n_ppm, fee, bonus, stale, keep, direct_min, direct_outputs in pots:
        scheme_name = ["pplns", "solo", "prop", "pps", "fpps"][scheme - 1]
        fields += [u16("pot", pot), u8("scheme", scheme, scheme_name), u64("n_ppm", n_ppm), u32("fee_ppm", fee),
                   u32("bonus_ppm", bonus), u32("stale_ppm", stale), u8("keep_tx_fees", keep),
                   u64("direct_min", direct_min), u16("direct_outputs", direct_outputs)]
    immature, confirmed, orphan = depths
    return fields + [u32("immature_depth", immature), u32("confirmed_depth", confirmed), u32("orphan_depth", orphan),
                     u128("threshold", threshold), u64("address_hold_ms", address_hold_ms),
                     u8("network_fees", network_fees, ["pool", "miner"][network_fees]),
                     *[of(name, value) for of, name, value in zip(
                         (u128, u32, u32, u64, u8),
                         ("auto_pay_limit", "payout_depth", "payout_final_depth", "writeoff_ms", "rounding_to_fee"), payouts)]]


def genesis(ledger, coin, coin_name, algorithm, decimals, chain, segments, digest_answers, approvers, approvals,
            producers, schema_set, rules):
    algorithm_name = ["sha256d", "scrypt", "scrypt2", "ethash", "etchash"][algorithm - 1]
    fields = [raw("ledger", ledger, "uuid"), u32("coin", coin), bytes8("coin_name", coin_name.encode(), repr(coin_name)),
              u8("algorithm", algorithm, algorithm_name), u8("decimals", decimals), hash32("chain", chain, "header order"),
              u32("segment_positions", segments[0]), u64("segment_bytes", segments[1]),
              u8("digest_answers", digest_answers), u8("n", len(approvers), f"{len(approvers)} approvers")]
    fields += [raw("approver", key, "Ed25519 key") for key in approvers]
    fields += [u8("n", len(approvals), f"{len(approvals)} approvals")]
    for what, needed in approvals:
        fields += [u8("what", what, ["key", "policy", "ban", "adjustment", "account", "setting", "payout", "resume", "write_off",
                                 "inactive_dust"][what - 1]), u8("needed", needed)]
    fields += [u8("n", len(producers), f"{len(producers)} producers")]
    for key, role in producers:
        fields += [raw("producer", key, "Ed25519 key"), u8("role", role, list(ROLES)[role - 1])]
    return fields + entries("schema_set", schema_set) + rules


POLICY_TYPICAL = policy(
    [(0, 1, 2_000_000, 10_000, 0, 500_000, 0, 1_000_000, 100), (1, 2, 1, 5_000, 0, 0, 1, 0, 0)], (2, 100, 12), 100_000, 86_400_000, 0,
    (2_500_000, 6, 12, 7_776_000_000, 0))
POLICY_LEAST = policy([(0, 1, 1, 0, 0, 0, 0, 0, 0)], (1, 2, 1), 0, 0, 0, (0, 1, 2, 0, 0))
# Where a coinbase can pay miners, and where not.
POLICY_MOST, POLICY_MOST_OF_ETHASH = (policy(
    [(65_520 + n, 1 + n % 5, MAX64 - n, 1_000_000, 1_000_000, 1_000_000, n % 2, *direct) for n in range(16)],
    (MAX32 - 1, MAX32, MAX32), MAX128, 2_592_000_000, 1, (MAX128, MAX32 - 1, MAX32, 2**40, 1))
    for direct in ((MAX64, 500), (0, 0)))
GENESIS_TYPICAL = genesis(
    LEDGER, 1, "regtest", 1, 8, bytes.fromhex("06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f"),
    (4_096, 16_777_216), 1, sorted([KEYS["anna"], KEYS["ben"]]), [(1, 1), (2, 2)],
    sorted((KEYS[name], role) for name, role in ROLES.items()), [(kind, 0) for kind in KINDS], POLICY_TYPICAL)
GENESIS_LEAST = genesis(
    bytes(16), 0, "a", 5, 0, bytes(32), (1, 65_536), 1, [bytes(32)], [], [(bytes(32), 1)], [(0, 0)], POLICY_LEAST)
GENESIS_MOST = genesis(
    b"\xff" * 16, MAX32, "abcdefghijkl-019", 4, 18, b"\xff" * 32, (1_048_576, 2**32), 2,
    [bytes([n]) + b"\xff" * 31 for n in range(16)], [(1, 16), (2, 1), (3, 5), (4, 16), (5, 1), (6, 16),
                                                            (7, 2), (8, 1), (9, 16), (10, 2)],
    [(bytes([n]) + bytes(31), 1 + n % 5) for n in range(64)], [(n, 255 - n) for n in range(64)], POLICY_MOST_OF_ETHASH)


# --- section 3 ---------------------------------------------------------------------------------------

def schema_set(number, listed):
    return [u32("number", number), *entries("entries", listed)]


def key_change(key, role, action, expects):
    return [raw("key", key, "Ed25519 key"), u8("role", role, list(ROLES)[role - 1]),
            u8("action", action, ["in force", "revoked"][action - 1]), at("expects", *expects)]


def policy_change(expects, rules):
    return [at("expects", *expects), *rules]


def thing_digest(kind, fields):
    return sha256(b"orebook/thing/0\n", LEDGER, bytes([kind, 0]), joined(fields))


def approval(thing, approver):
    signature = ed25519.sign(SEEDS[approver], b"orebook/approval/0\n" + LEDGER + thing)
    return [hash32("thing", thing, "digest"), raw("approver", KEYS[approver], f"Ed25519 key of {approver}"),
            raw("signature", signature, "over the approval domain, ledger and thing")]


def checkpoint(size, tree_root, signature=None):
    message = b"orebook/checkpoint/0\n" + LEDGER + size.to_bytes(8, "little") + tree_root
    signature = signature or ed25519.sign(SEEDS["archiver"], message)
    return [u64("size", size), hash32("root", tree_root), raw("signature", signature, "archiver's")]


def note(code, text):
    meaning = ["torn tail cut", "stream moved", "incarnation opened", "repaired"][code - 1]
    return [u8("code", code, f"{code}, {meaning}"), bytes16("text", text.encode(), ascii(text[:24]))]


def part(whole, index, of, data):
    return [hash32("whole", whole), u16("index", index), u16("of", of), bytes16("bytes", data)]


def moved(stream, epoch, seq, base_time, worker, job, inner):
    return [raw("stream", stream, "uuid"), u32("epoch", epoch), u64("seq", seq), u64("base_time", base_time),
            u32("worker", worker), u32("job", job), *inner]


def account(kind, data):
    shown = ["output script", "EVM address", "registered name"][kind - 1]
    return [u8("account kind", kind, f"{kind}, {shown}"), bytes8("account", data)]


def ban(target, action, until_ms, expects, reason):
    if target[0] == "account":
        fields = [u8("target kind", 1, "1, account"), *account(*target[1:])]
    else:
        fields = [u8("target kind", 2, "2, network"), bytes8("address", target[1]), u8("prefix", target[2])]
    return [*fields, u8("action", action, ["ban", "lift"][action - 1]), u64("until_ms", until_ms), at("expects", *expects),
            bytes8("reason", reason.encode(), ascii(reason[:24]))]


def adjustment(paid, expects, book, direction, amount, block, reason):
    return [*account(*paid), at("expects", *expects),
            u8("book", book, ["reserve", "donation", "fee", "rounding"][book - 1]),
            u8("direction", direction, ["to the account", "from the account"][direction - 1]), u128("amount", amount),
            hash32("block", block, "header order" if any(block) else "none"), bytes8("reason", reason.encode(),
                                                                                      ascii(reason[:24]))]


def worker(number, pot, extranonce1, extranonce2_size, mask, paid, name):
    return [u32("number", number), u16("pot", pot), bytes8("extranonce1", extranonce1),
            u8("extranonce2_size", extranonce2_size), u32("version_mask", mask, f"{mask:#010x}"), *account(*paid),
            bytes8("name", name.encode(), repr(name))]


def difficulty(number, work):
    return [u32("worker", number), u64("work", work)]


def job(number, cited, height, network_work, reward, fees, version, prev, nbits, time, flags, coinbase1, coinbase2,
        branches, direct=0):
    return [u32("number", number), at("policy", *cited), u64("height", height), u128("network_work", network_work),
            u128("reward", reward), u128("fees", fees), u32("version", version, f"{version:#010x}"),
            hash32("prev", prev, "header order"), u32("nbits", nbits, f"{nbits:#010x}"), u32("time", time),
            u8("flags", flags, ["not clean", "clean"][flags]), bytes16("coinbase1", coinbase1),
            bytes16("coinbase2", coinbase2), u8("n", len(branches), f"{len(branches)} branches"),
            *[hash32("branch", branch) for branch in branches], u64("direct", direct)]


def share(number, job_number, work, flags, nonce, ntime, version, extranonce2):
    shown = ["none", "block candidate", "stale", "block candidate, stale"][flags]
    rest = [raw("extranonce2", extranonce2, "the rest")] if extranonce2 else []
    return [u32("worker", number), u32("job", job_number), u64("work", work), u16("flags", flags, shown),
            u32("nonce", nonce, f"{nonce:#010x}"), u32("ntime", ntime), u32("version", version, f"{version:#010x}"), *rest]


def block_found(block, height, txid, header):
    return [hash32("hash", block, "header order"), u64("height", height), hash32("coinbase_txid", txid),
            bytes8("header", header)]


def block_status(block, expects, state, height, value, fees):
    return [hash32("hash", block, "header order"), at("expects", *expects),
            u8("state", state, ["seen", "immature", "confirmed", "orphaned", "uncle"][state - 1]), u64("height", height),
            u128("value", value), u128("fees", fees)]


def block_recovered(block, height, expects, txid, value, fees):
    return [hash32("hash", block, "header order"), u64("height", height), at("expects", *expects),
            hash32("coinbase_txid", txid), u128("value", value), u128("fees", fees)]


def ethash_job(number, cited, height, network_work, reward, fees, seal, seed, time, flags):
    return [u32("number", number), at("policy", *cited), u64("height", height), u128("network_work", network_work),
            u128("reward", reward), u128("fees", fees), hash32("seal", seal, "seal hash"), hash32("seed", seed, "seed hash"),
            u32("time", time), u8("flags", flags, ["not clean", "clean"][flags])]


def ethash_share(number, job_number, work, flags, nonce):
    shown = ["none", "block candidate", "stale", "block candidate, stale"][flags]
    return [u32("worker", number), u32("job", job_number), u64("work", work), u16("flags", flags, shown),
            u64("nonce", nonce, f"{nonce:#018x}")]


def ethash_found(seal, nonce, mix, height):
    named = seal + nonce.to_bytes(8, "big")
    return [hash32("hash", sha256(named), "SHA-256(seal hash, nonce big-endian)"), u64("height", height),
            hash32("coinbase_txid", bytes(32), "none"), bytes8("header", named + mix, "seal hash, nonce big-endian, mix")]


def void(share_at, first, expects):
    return [at("share", *share_at), at("first", *first), at("expects", *expects)]


def registration(name, expects, payout, threshold, token, flags, workers):
    return [bytes8("name", name.encode(), repr(name)), at("expects", *expects), *account(*payout),
            u128("threshold", threshold), hash32("token", token, "SHA-256" if any(token) else "none"),
            u8("flags", flags, ["none", "registered workers only"][flags]), u16("n", len(workers), f"{len(workers)} workers"),
            *[bytes8("worker", worker.encode(), repr(worker)) for worker in workers]]


def setting(owner, expects, by, what, value, proof):
    return [*account(*owner), at("expects", *expects), u8("by", by, ["operator", "signed message", "token"][by - 1]),
            u8("what", what, ["threshold", "address", "donation", "pay_now"][what - 1]), *value, bytes16("proof", proof)]


def fee_mean(height, expects, mean):
    return [u64("height", height), at("expects", *expects), u128("mean", mean)]


def batch_body(lines, blocks):
    fields = [u16("lines", len(lines), f"{len(lines)} lines")]
    for paid, address, amount, fee in lines:
        fields += [*account(*paid), *account(*address), u128("amount", amount), u128("fee", fee)]
    return fields + [u16("blocks", len(blocks), f"{len(blocks)} blocks"), *[hash32("block", block) for block in blocks]]


def payout_of(wallet, batch, tx, expects):
    return [u16("wallet", wallet), u64("batch", batch), u16("tx", tx), at("expects", *expects)]


def reason_of(reason):
    return bytes8("reason", reason.encode(), ascii(reason[:24]))


def payout_proposed(wallet, batch, expects, txs, lines, total, fee, body, digest_position, digests):
    fields = [u16("wallet", wallet), u64("batch", batch), at("expects", *expects), u16("txs", txs), u16("lines", lines),
              u128("total", total), u128("fee", fee), hash32("body", body, "SHA-256 of the batch body"),
              u64("digest_position", digest_position), u8("n", len(digests), f"{len(digests)} digests")]
    for who, digest in digests:
        fields += [bytes8("who", who.encode(), repr(who)), hash32("digest", digest)]
    return fields


def payout_signed(of, txid, fee, spends, body, raw_tx):
    return [*payout_of(*of), hash32("txid", txid), u128("fee", fee), bytes8("spends", spends),
            hash32("body", body, "SHA-256 of the raw transaction"), bytes16("raw", raw_tx)]


STEPS = ["broadcast", "seen", "confirmed", "final", "conflicted", "failed", "unknown"]


def payout_step(of, step, txid, height, block, fee):
    return [*payout_of(*of), u8("step", step, STEPS[step - 1]), hash32("txid", txid), u64("height", height),
            hash32("block", block, "header order" if any(block) else "none"), u128("fee", fee)]


def payout_cancelled(of, by, height, fee, reason):
    return [*payout_of(*of), hash32("by", by, "the other transaction" if any(by) else "none"), u64("height", height),
            u128("fee", fee), reason_of(reason)]


def payout_halt(wallet, reason):
    return [u16("wallet", wallet), reason_of(reason)]


def payout_resume(wallet, expects, reason):
    return [u16("wallet", wallet), at("expects", *expects), reason_of(reason)]


def write_off(owner, expects, reason):
    return [*account(*owner), at("expects", *expects), reason_of(reason)]


def inactive_dust(cutoff, to, owners, expects, reason):
    named = [field for owner in owners for field in account(*owner)]
    return [u64("cutoff", cutoff), u8("to", to, ["reserve", "donation", "fee"][to - 1]), u16("n", len(owners), f"{len(owners)} accounts"),
            *named, at("expects", *expects), reason_of(reason)]


def reconciled(wallet, position, money, expected, found, counts, report):
    return [u16("wallet", wallet), u64("compared_position", position), hash32("money", money), u128("wallet_expected", expected),
            u128("wallet_found", found), u32("transactions", counts[0]), u32("blocks", counts[1]), u32("differences", counts[2]),
            bytes16("report", report)]


# The genesis block of Bitcoin's main chain.
BLOCK = bytes.fromhex(
    "01000000" + "00" * 32 + "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c")
BLOCK_HASH = sha256(sha256(BLOCK))
SHARE = share(7, 3, 12_884_902, 0, 0xdeadbeef, 1_750_000_123, 0x20000000, run(0xa0, 4))
MANY_FLAGS = share(MAX32 - 1, MAX32 - 1, WORK_MAX, 3, MAX32, MAX32, MAX32, b"\xff" * 8)
RECOVERED = block_recovered(BLOCK_HASH, 840_001, (17, 2), run(5, 32), 325_000_000, 12_500_000)
NONCE = 0xa100_031f_08aa_5b9c
ETHASH_SHARE = ethash_share(7, 3, 4_000_000_000, 1, NONCE)
ETHASH_MOST = ethash_share(MAX32 - 1, MAX32 - 1, WORK_MAX, 3, MAX64)
WITNESS = (1, b"\x00\x14" + run(0x10, 20))
BODY_TYPICAL = batch_body(
    [(WITNESS, WITNESS, 5_000_000, 140), ((2, run(0xe0, 20)), (2, run(0xe0, 20)), 1, 0),
     ((3, b"anna"), (1, b"\x51"), 250_000, 141)], [BLOCK_HASH, run(0xf0, 32)])
BODY_LEAST = batch_body([((1, b"\x00"), (1, b"\x00"), 1, 0)], [])
BODY_MOST = batch_body([((3, b"z" * 32), (1, run(0, 64)), 2**80, 2**80 - 1)], [bytes([n]) + b"\xff" * 31 for n in range(40)])
RAW_TX = run(0x02, 250)
THING = key_change(run(0x40, 32), 2, 1, (0, 0))
EVENTS = {
    (1, "genesis"): [("typical", 0, GENESIS_TYPICAL), ("least", 0, GENESIS_LEAST), ("most", MAX32, GENESIS_MOST)],
    (2, "schema_set"): [
        ("typical", 10, schema_set(1, [(kind, 0) for kind in KINDS] + [(23, 0)])),
        ("least", 0, schema_set(0, [(0, 0)])),
        ("most", MAX32, schema_set(MAX32, [(n // 2, 254 + n % 2) for n in range(64)]))],
    (3, "key_change"): [
        ("in force, new key", 0, THING),
        ("revoked", 60_000, key_change(KEYS["gateway"], 2, 2, (1_234_567, 89))),
        ("most", MAX32, key_change(b"\xff" * 32, 5, 2, (MAX64, MAX16)))],
    (4, "policy"): [
        ("typical", 0, policy_change((0, 0), POLICY_TYPICAL)), ("least", 0, policy_change((0, 1), POLICY_LEAST)),
        ("most", MAX32, policy_change((MAX64, MAX16), POLICY_MOST))],
    (5, "approval"): [("of the new key of key_change.hex", 5, approval(thing_digest(3, THING), "anna"))],
    (6, "checkpoint"): [
        ("typical", 0, checkpoint(65_536, run(0x80, 32))), ("least", 0, checkpoint(1, bytes(32), bytes(64))),
        ("most", MAX32, checkpoint(MAX64, b"\xff" * 32, b"\xff" * 64))],
    (7, "heartbeat"): [("least", 0, []), ("most", MAX32, [])],
    (8, "recovery_note"): [
        ("torn tail", 0, note(1, "cut 17 bytes at 4,096")), ("moved, no text", 1, note(2, "")),
        ("incarnation, UTF-8", 2, note(3, "über Größe ⛏ 𝄞")), ("repaired, 512 bytes", MAX32, note(4, "é" * 256))],
    (9, "part"): [
        ("only one", 0, part(sha256(b"\x2a"), 0, 1, b"\x2a")),
        ("last of the most", MAX32, part(run(1, 32), MAX16 - 1, MAX16, run(0, 300)))],
    (10, "moved"): [
        ("share", 40, moved(STREAMS["gateway"], 3, 1_000, START, 0, 1, event(19, "share", 999, SHARE))),
        ("block", 41, moved(STREAMS["gateway"], 3, 1_001, START, MAX32, MAX32,
                            event(20, "block_found", 999, block_found(BLOCK_HASH, 0, run(5, 32), BLOCK)))),
        ("most", MAX32, moved(b"\xff" * 16, MAX32, MAX64, MAX64 - MAX32, MAX32 - 1, MAX32 - 1,
                              event(19, "share", MAX32, MANY_FLAGS))),
        ("ethash share", 40, moved(STREAMS["gateway"], 3, 1_002, START, 0, 1, event(24, "ethash_share", 999, ETHASH_SHARE))),
        ("ethash block", 41, moved(STREAMS["gateway"], 3, 1_003, START, MAX32, MAX32,
                                   event(20, "block_found", 999, ethash_found(run(0x30, 32), NONCE, run(0x70, 32), 15_537_393))))],
    (11, "ban"): [
        ("account, for ever", 0, ban(("account", 1, b"\x00\x14" + run(0x10, 20)), 1, 0, (0, 0), "botnet")),
        ("account, lifted", 1, ban(("account", 3, b"anna_k-7"), 2, 0, (1_234, 5), "it was not he")),
        ("IPv4 network", 2, ban(("network", bytes([203, 0, 113, 0]), 24), 1, START + 86_400_000, (17, 2), "floods us")),
        ("IPv6 network", 3, ban(("network", bytes.fromhex("20010db8") + bytes(12), 33), 1, 1, (0, 1), "~")),
        ("most", MAX32, ban(("network", b"\xff" * 16, 128), 1, MAX64, (MAX64, MAX16), "w" * 200))],
    (12, "adjustment"): [
        ("a recovered block's finder", 0, adjustment((1, b"\x00\x14" + run(0x10, 20)), (0, 0), 1, 1, 49_500_000_000,
                                                      BLOCK_HASH, "found block 840,001")),
        ("taken back to fee", 1, adjustment((3, b"anna_k-7"), (1_234, 5), 3, 2, 1, bytes(32), "paid twice")),
        ("from donation", 2, adjustment((2, run(0xe0, 20)), (17, 2), 2, 1, 10**9, bytes(32), " ")),
        ("most", MAX32, adjustment((1, run(0, 64)), (MAX64, MAX16), 4, 2, 2**80 * 10**9, b"\xff" * 32, "~" * 200))],
    (16, "worker"): [
        ("script", 0, worker(0, 0, run(0xb0, 4), 8, 0x1fffe000, (1, b"\x00\x14" + run(0x10, 20)), "rig-1")),
        ("evm", 1, worker(1, 1, b"", 0, 0, (2, run(0xe0, 20)), "A.b_c-9")),
        ("registered name", 2, worker(2, 2, run(1, 8), 4, 1, (3, b"anna_k-7"), "x")),
        ("longest script", MAX32, worker(MAX32, MAX16, b"\xff" * 8, 8, MAX32, (1, run(0, 64)), "W" * 64)),
        ("longest name, shortest script", 3, worker(3, 0, b"", 1, 0, (3, b"z" * 32), "0")),
        ("shortest script", 4, worker(4, 0, b"", 1, 0, (1, b"\x51"), "0"))],
    (17, "difficulty"): [
        ("0.003 in units of 2^-32", 0, difficulty(0, 12_884_902)), ("least", 0, difficulty(0, 1)),
        ("most", MAX32, difficulty(MAX32, WORK_MAX))],
    (18, "job"): [
        ("typical", 100, job(0, (12, 1), 840_001, 362_016_345_678_901, 325_000_000, 12_500_000, 0x20000000,
                             run(0x30, 32), 0x17034219, 1_750_000_100, 1, run(0, 45), run(0x60, 33),
                             [run(0x40, 32), run(0x90, 32)])),
        ("least", 0, job(0, (0, 0), 0, 1, 0, 0, 0, bytes(32), 0, 0, 0, b"", b"", [])),
        ("most branches", MAX32, job(MAX32, (MAX64, MAX16), MAX64, MAX128, MAX128, MAX128, MAX32, b"\xff" * 32, MAX32,
                                     MAX32, 1, b"\xff", b"\xff", [run(n, 32) for n in range(16)], MAX64))],
    (19, "share"): [
        ("typical", 250, SHARE), ("38 bytes", 0, share(0, 0, 1, 0, 0, 0, 0, b"")),
        ("block candidate", 1, share(1, 2, 3, 1, 4, 5, 6, b"\x07")), ("stale", 2, share(1, 2, 3, 2, 4, 5, 6, run(7, 7))),
        ("46 bytes", MAX32, MANY_FLAGS)],
    (20, "block_found"): [
        ("bitcoin's genesis", 0, block_found(BLOCK_HASH, 0, run(5, 32), BLOCK)),
        ("no header", MAX32, block_found(b"\xff" * 32, MAX64, bytes(32), b"")),
        ("ethash", 1, ethash_found(run(0x30, 32), NONCE, run(0x70, 32), 15_537_393))],
    (21, "block_status"): [
        ("seen", 0, block_status(BLOCK_HASH, (0, 0), 1, 840_001, 325_000_000, 12_500_000)),
        ("immature", 1, block_status(BLOCK_HASH, (17, 2), 2, 840_001, 325_000_000, 0)),
        ("confirmed, most", MAX32, block_status(b"\xff" * 32, (MAX64, MAX16), 3, MAX64, MAX128, MAX128)),
        ("orphaned, least", 0, block_status(bytes(32), (0, 1), 4, 0, 0, 0)),
        ("uncle", 2, block_status(BLOCK_HASH, (18, 0), 5, 15_537_393, 1_750_000_000_000_000_000, 0))],
    (22, "block_recovered"): [
        ("typical", 40, RECOVERED), ("least", 0, block_recovered(bytes(32), 0, (0, 0), bytes(32), 0, 0)),
        ("most", MAX32, block_recovered(b"\xff" * 32, MAX64, (MAX64, MAX16), b"\xff" * 32, MAX128, MAX128))],
    (23, "ethash_job"): [
        ("typical", 100, ethash_job(0, (12, 1), 15_537_393, 11_055_787_484_078_698, 2_012_345_678_901_234_567,
                                    12_345_678_901_234_567, run(0x30, 32), run(0x90, 32), 1_663_224_162, 1)),
        ("least", 0, ethash_job(0, (0, 0), 0, 1, 0, 0, bytes(32), bytes(32), 0, 0)),
        ("most", MAX32, ethash_job(MAX32, (MAX64, MAX16), MAX64, MAX128, MAX128, MAX128, b"\xff" * 32, b"\xfe" * 32,
                                   MAX32, 1))],
    (24, "ethash_share"): [
        ("block candidate", 250, ETHASH_SHARE), ("least", 0, ethash_share(0, 0, 1, 0, 0)),
        ("stale", 1, ethash_share(1, 2, 3, 2, 4)), ("most", MAX32, ETHASH_MOST)],
    (25, "void"): [
        ("typical", 0, void((1_234, 5), (1_230, 17), (0, 0))), ("least", 1, void((0, 1), (0, 0), (0, 0))),
        ("most", MAX32, void((MAX64, MAX16), (MAX64, MAX16 - 1), (MAX64, MAX16)))],
    (26, "account"): [
        ("typical", 0, registration("anna_k-7", (0, 0), (1, b"\x00\x14" + run(0x10, 20)), 250_000, sha256(b"secret"), 0,
                                    ["rig-1", "rig-10", "rig-2"])),
        ("least", 1, registration("0", (0, 1), (1, b"\x51"), 0, bytes(32), 0, [])),
        ("EVM, registered workers only", 2, registration("ben", (17, 2), (2, run(0xe0, 20)), 10**17, bytes(32), 1, ["-", "A"])),
        ("most", MAX32, registration("z" * 32, (MAX64, MAX16), (1, run(0, 64)), MAX128, b"\xff" * 32, 1,
                                     [f"{n:03}".rjust(64, "w") for n in range(400)]))],
    (27, "setting"): [
        ("threshold, by the operator", 0, setting((3, b"anna_k-7"), (0, 0), 1, 1, [u128("threshold", 250_000)], b"")),
        ("address, signed", 1, setting((1, b"\x00\x14" + run(0x10, 20)), (1_234, 5), 2, 2, account(1, b"\x51"), run(0, 65))),
        ("EVM address, by token", 2, setting((3, b"z" * 32), (17, 2), 3, 2, account(2, run(0xe0, 20)), b"\x00")),
        ("donation", 3, setting((2, run(0xe0, 20)), (0, 1), 1, 3, [u32("ppm", 1_000_000)], b"")),
        ("pay now", 4, setting((3, b"ben"), (18, 0), 3, 4, [], run(0x20, 32))),
        ("most", MAX32, setting((1, run(0, 64)), (MAX64, MAX16), 2, 1, [u128("threshold", MAX128)], b"\xff" * 1_024))],
    (28, "fee_mean"): [
        ("typical", 40, fee_mean(840_001, (17, 2), 12_345_678)), ("least", 0, fee_mean(0, (0, 0), 0)),
        ("most", MAX32, fee_mean(MAX64, (MAX64, MAX16), 2**80))],
    (32, "payout_proposed"): [
        ("typical", 0, payout_proposed(0, 7, (0, 0), 1, 3, 5_250_001, 281, sha256(joined(BODY_TYPICAL)), 65_536,
                                       [("https://one.example", run(0x80, 32)), ("two", run(0x80, 32))])),
        ("least", 1, payout_proposed(0, 0, (0, 0), 1, 1, 1, 0, bytes(32), 0, [("!", bytes(32))])),
        ("most", MAX32, payout_proposed(MAX16, MAX64, (MAX64, MAX16), MAX16, 2_000, 2**80, 2**80, b"\xff" * 32, MAX64,
                                        [("~" * 64, b"\xff" * 32)] * 4))],
    (33, "payout_signed"): [
        ("bitcoin-like", 0, payout_signed((0, 7, 0, (0, 0)), run(0x33, 32), 300, run(0x44, 32) + (1).to_bytes(4, "little"),
                                          sha256(RAW_TX), RAW_TX)),
        ("EVM, said as parts", 1, payout_signed((1, 8, 2, (1_234, 5)), run(0x35, 32), 21_000 * 10**11,
                                                run(0xe0, 20) + (17).to_bytes(8, "little"), run(0x36, 32), b"")),
        ("least", 2, payout_signed((0, 0, 0, (0, 0)), bytes(32), 0, b"\0", bytes(32), b"")),
        ("most, but for its length", MAX32, payout_signed((MAX16, MAX64, MAX16, (MAX64, MAX16)), b"\xff" * 32, 2**80, b"\xff" * 44, b"\xff" * 32,
                                      b"\xff" * 1_000))],
    (34, "payout_step"): [
        ("broadcast", 0, payout_step((0, 7, 0, (1_234, 5)), 1, run(0x33, 32), 0, bytes(32), 0)),
        ("seen, in a block", 1, payout_step((0, 7, 0, (1_234, 5)), 2, run(0x33, 32), 840_001, BLOCK_HASH, 0)),
        ("confirmed", 2, payout_step((0, 7, 0, (1_235, 0)), 3, run(0x33, 32), 840_001, BLOCK_HASH, 281)),
        ("final", 3, payout_step((0, 7, 0, (1_236, 0)), 4, run(0x33, 32), 840_001, BLOCK_HASH, 281)),
        ("conflicted", 4, payout_step((0, 7, 0, (1_236, 0)), 5, run(0x37, 32), 0, bytes(32), 0)),
        ("failed, most", MAX32, payout_step((MAX16, MAX64, MAX16, (MAX64, MAX16)), 6, b"\xff" * 32, MAX64, b"\xff" * 32, 2**80)),
        ("unknown, least", 0, payout_step((0, 0, 0, (0, 0)), 7, bytes(32), 0, bytes(32), 0))],
    (35, "payout_cancelled"): [
        ("never signed", 0, payout_cancelled((0, 7, 0, (0, 0)), bytes(32), 0, 0, "its block is an orphan")),
        ("conflict", 1, payout_cancelled((0, 7, 0, (1_234, 5)), run(0x37, 32), 840_009, 512, "another spends its coin")),
        ("most", MAX32, payout_cancelled((MAX16, MAX64, MAX16, (MAX64, MAX16)), b"\xff" * 32, MAX64, 2**80, "~" * 200))],
    (36, "payout_halt"): [
        ("typical", 0, payout_halt(0, "the projectors differ")), ("least", 1, payout_halt(0, " ")),
        ("most", MAX32, payout_halt(MAX16, "~" * 200))],
    (37, "payout_resume"): [
        ("typical", 0, payout_resume(0, (1_234, 5), "the projector was mended")), ("least", 1, payout_resume(0, (0, 0), " ")),
        ("most", MAX32, payout_resume(MAX16, (MAX64, MAX16), "~" * 200))],
    (38, "write_off"): [
        ("typical", 0, write_off((3, b"anna_k-7"), (0, 0), "an orphan took it back, and she left")),
        ("least", 1, write_off((1, b"\0"), (0, 1), " ")),
        ("most", MAX32, write_off((1, run(0, 64)), (MAX64, MAX16), "~" * 200))],
    (39, "inactive_dust"): [
        ("typical", 0, inactive_dust(1_200_000, 2, [(1, bytes.fromhex("0014") + run(0x10, 20)), (3, b"anna_k-7")], (900, 1),
                                     "silent for a year")),
        ("least, nothing is announced any more", 1, inactive_dust(0, 1, [], (0, 0), " ")),
        ("most", MAX32, inactive_dust(MAX64, 3, [(1, n.to_bytes(2, "big") + b"\xff" * 62) for n in range(400)], (MAX64, MAX16),
                                      "~" * 200))],
    (40, "reconciled"): [
        ("typical", 100, reconciled(0, 1_234_567, run(0x37, 32), 2_500_000_000, 2_500_000_000, (12, 3, 0), b"")),
        ("least", 0, reconciled(0, 0, bytes(32), 0, 0, (0, 0, 0), b"")),
        ("a difference", 4, reconciled(1, 1_234_567, run(0x37, 32), 2_500_000_000, 2_499_999_000, (12, 3, 1),
                                       b"wallet: 1000 base units are missing\n")),
        ("most", MAX32, reconciled(MAX16, MAX64, b"\xff" * 32, MAX128, MAX128, (MAX32, MAX32, MAX32), b"~" * 4_096))],
}


# --- sections 2, 4 and 8 -----------------------------------------------------------------------------

def header(stream, signer, epoch, first_seq, base_time, previous, events, summary):
    """`events` are lists of fields, each a whole event."""
    bodies = [joined(fields) for fields in events]
    kinds = 0
    for body in bodies:
        kinds |= 1 << body[0]
    last_time = base_time + int.from_bytes(bodies[-1][4:8], "little")
    fields = [raw("magic", b"OREF", "OREF"), u32("version", 0), raw("ledger", LEDGER, "uuid"),
              raw("stream", STREAMS[stream], f"uuid, the {stream}'s"), u32("coin", 1), u32("epoch", epoch),
              u64("first_seq", first_seq), u32("count", len(bodies)), u32("body_len", sum(map(len, bodies))),
              u64("base_time", base_time), u64("last_time", last_time), hash32("previous", previous),
              hash32("events_root", root([leaf(body) for body in bodies])),
              hash32("summary_hash", sha256(joined(summary))),
              u64("kinds", kinds, " + ".join(f"2^{bit}" for bit in range(64) if kinds >> bit & 1)), u32("schema_set", 0),
              u32("summary_len", len(joined(summary))), raw("key", KEYS[signer], f"Ed25519 key of the {signer}")]
    signed = joined(fields)
    assert len(signed) == 224
    signature = ed25519.sign(SEEDS[signer], b"orebook/frame/0\n" + signed)
    return [*fields, raw("signature", signature, f"the {signer}'s, over the frame domain and the 224 bytes before")]


def leaf_entry(position, ledger_time, head):
    return [u64("position", position), u64("ledger time", ledger_time), raw("header", head)]


def summary(pots):
    """`pots`: (pot, effort, rows) with rows of (worker, count, credit), all absolute and ascending."""
    fields, last_pot = [varint("pots", len(pots))], 0
    for pot, effort, rows in pots:
        fields += [varint("pot", pot - last_pot, f"{pot:,}, by difference"), varint("effort", effort),
                   varint("rows", len(rows))]
        last_pot, last_worker = pot, 0
        for number, count, credit in rows:
            fields += [varint("worker", number - last_worker, f"{number:,}, by difference"), varint("count", count),
                       varint("credit", credit)]
            last_worker = number
    return fields


def incarnation(number, next_position, tree_root):
    return [raw("magic", b"OREI", "OREI"), u32("version", 0), raw("ledger", LEDGER, "uuid"), u32("incarnation", number),
            u64("next position", next_position), hash32("root", tree_root)]


# A ledger of three frames. Append times are 5, 3 and 50 ms after the last times: those are the ledger times.
EMPTY = summary([])
GENESIS_BODY = [event(1, "genesis", 0, GENESIS_TYPICAL)]
GENESIS_HEADER = header("desk", "desk", 0, 0, START, bytes(32), GENESIS_BODY, EMPTY)
GENESIS_LEAF = leaf_entry(0, START + 5, joined(GENESIS_HEADER))
CHECKPOINT_BODY = [event(6, "checkpoint", 0, checkpoint(1, root([leaf(joined(GENESIS_LEAF))])))]
CHECKPOINT_HEADER = header("archiver", "archiver", 0, 0, START + 1_000, bytes(32), CHECKPOINT_BODY, EMPTY)
CHECKPOINT_LEAF = leaf_entry(1, START + 1_003, joined(CHECKPOINT_HEADER))
NETWORK_WORK = 2**32
EXAMPLE_SHARE = share(0, 0, 12_884_902, 0, 0x9962e301, 1_750_000_002, 0x20000000, run(1, 4))
SHARES = [(12_884_902, 12_884_902), (12_884_903, 12_884_903 * 500_000 // 10**6)]
FRAME_SUMMARY = summary([(0, sum(credit * 10**12 // NETWORK_WORK for _, credit in SHARES),
                          [(0, 2, sum(credit for _, credit in SHARES))])])
FRAME_BODY = [
    event(16, "worker", 0, worker(0, 0, run(0xb0, 4), 4, 0, (3, b"anna"), "rig-1")),
    event(18, "job", 0, job(0, (0, 0), 102, NETWORK_WORK, 5_000_000_000, 0, 0x20000000, run(0x30, 32), 0x207fffff,
                            1_750_000_002, 1, run(0, 8), run(0x60, 4), [])),
    event(19, "share", 250, EXAMPLE_SHARE),
    event(19, "share", 900, share(0, 0, 12_884_903, 2, 0x9962e302, 1_750_000_002, 0x20000000, run(5, 4))),
]
FRAME_HEADER = header("gateway", "gateway", 0, 0, START + 2_000, bytes(32), FRAME_BODY, FRAME_SUMMARY)
FRAME_LEAF = leaf_entry(2, START + 2_950, joined(FRAME_HEADER))
FRAME = FRAME_HEADER + FRAME_SUMMARY + [field for fields in FRAME_BODY for field in fields]
LEAVES = [leaf(joined(entry)) for entry in (GENESIS_LEAF, CHECKPOINT_LEAF, FRAME_LEAF)]

EDGE_HEADER = [
    raw("magic", b"OREF", "OREF"), u32("version", 0), raw("ledger", b"\xff" * 16), raw("stream", bytes(16)),
    u32("coin", MAX32), u32("epoch", MAX32), u64("first_seq", MAX64 - 1_000), u32("count", 1_000),
    u32("body_len", 49_152), u64("base_time", MAX64), u64("last_time", MAX64), hash32("previous", b"\xff" * 32),
    hash32("events_root", bytes(32)), hash32("summary_hash", run(0, 32)), u64("kinds", MAX64),
    u32("schema_set", MAX32), u32("summary_len", 49_152), raw("key", run(0x20, 32)), raw("signature", run(0x40, 64))]



# --- ACTIVITY-FORMAT.md --------------------------------------------------------------------------------

def report(signer, numbers, entries):
    """`numbers`: run, number, from_ms, span_ms, sessions, lost. `entries` are lists of fields."""
    if isinstance(signer, bytes):
        key, seed = signer, None
    else:
        key, seed = KEYS[signer], SEEDS[signer]
    run_ms, number, from_ms, span_ms, sessions, lost = numbers
    fields = [raw("magic", b"OREA", "OREA"), u32("version", 0), raw("ledger", LEDGER, "uuid"), u32("coin", 1),
              raw("key", key, "Ed25519 key of the gateway"), u64("run", run_ms), u64("number", number),
              u64("from_ms", from_ms), u32("span_ms", span_ms), u32("sessions", sessions), u64("lost", lost),
              u16("n", len(entries), f"{len(entries)} entries")]
    assert len(joined(fields)) == 102
    fields += [field for entry in entries for field in entry]
    signature = ed25519.sign(seed, b"orebook/activity/0\n" + joined(fields)) if seed else run(0x40, 64)
    return [*fields, raw("signature", signature, "over the activity domain and all bytes before")]


def network(prefix):
    return [u8("network", {3: 4, 6: 6}[len(prefix)], {3: "IPv4 /24", 6: "IPv6 /48"}[len(prefix)]), raw("prefix", prefix)]


def account_of(kind, data):
    return [u8("account kind", kind), bytes8("account", data)]


def opened(session, user, at_ms, prefix, account, worker_name, agent):
    return [u8("kind", 1, "1, opened"), u32("session", session), u16("user", user), u32("at_ms", at_ms), *network(prefix),
            *account_of(*account), bytes8("worker", worker_name), bytes8("agent", agent)]


def closed(session, at_ms, cause, accepted, rejected):
    return [u8("kind", 2, "2, closed"), u32("session", session), u32("at_ms", at_ms), u8("cause", cause),
            u64("accepted", accepted), u64("rejected", rejected)]


def counted(first_ms, last_ms, count):
    return [u32("first_ms", first_ms), u32("last_ms", last_ms), u64("count", count)]


def failed_logins(reason, prefix, group):
    return [u8("kind", 3, "3, failed_logins"), u8("reason", reason), *network(prefix), *counted(*group)]


def bans(prefix, group):
    return [u8("kind", 4, "4, bans"), *network(prefix), *counted(*group)]


def rejects(account, reason, group):
    of = [u8("known", 1), *account_of(*account)] if account else [u8("known", 0, "nobody had logged in")]
    return [u8("kind", 5, "5, rejects"), *of, u8("reason", reason), *counted(*group)]


def rest(kind, count):
    return [u8("kind", 6, "6, rest"), u8("of", kind), u64("count", count)]


def node(said, name, group):
    return [u8("kind", 7, "7, node"), u8("said", said), bytes8("node", name), *counted(*group)]


REPORTS = [
    ("nothing happened", report("gateway", (START, 0, START, 0, 0, 0), [])),
    ("typical", report("gateway", (START, 7, START + 70_000, 10_000, 3, 0), [
        opened(5, 0, 120, run(0xc0, 3), (3, b"anna"), b"rig-1", b"cgminer/4.11"),
        closed(5, 9_000, 1, 41, 1),
        failed_logins(1, run(0xc6, 3), (0, 9_999, 100_000)),
        bans(run(0xc6, 3), (600, 600, 1)),
        rejects((3, b"anna"), 4, (8_000, 8_000, 1)),
        rejects(None, 6, (1, 10_000, 12)),
        rest(3, 31),
        node(3, b"geth-1", (500, 9_000, 2))])),
    ("most", report(run(0x20, 32), (MAX64, MAX64, MAX64, MAX32, MAX32, MAX64), [
        opened(MAX32, MAX16, MAX32, b"\xff" * 6, (1, run(0, 64)), b"w" * 64, b"~" * 32),
        opened(0, 0, 0, bytes(3), (2, bytes(20)), b"a", b""),
        closed(MAX32, MAX32, 8, MAX64, MAX64),
        failed_logins(5, b"\xff" * 6, (MAX32, MAX32, MAX64)),
        bans(b"\xff" * 6, (0, MAX32, MAX64)),
        rejects((1, run(0, 64)), 7, (0, 0, MAX64)),
        *[rest(kind, MAX64) for kind in (1, 2, 3, 4, 5, 7)],
        node(9, b"n" * 64, (0, MAX32, MAX64))])),
]

OTHERS = {
    "activity": ("Reports of the activity log (ACTIVITY-FORMAT.md)", REPORTS),
    "header": ("A frame's header, 288 bytes (section 2)", [
        ("the gateway's frame of frame.hex", FRAME_HEADER), ("edges, signed by nobody", EDGE_HEADER)]),
    "frame": ("Frames: header, summary, body (section 2). The three are positions 0 to 2 of one ledger", [
        ("genesis", GENESIS_HEADER + EMPTY + GENESIS_BODY[0]),
        ("checkpoint", CHECKPOINT_HEADER + EMPTY + CHECKPOINT_BODY[0]), ("gateway", FRAME)]),
    "leaf_entry": ("Leaf entries, 304 bytes (section 2)", [
        ("genesis", GENESIS_LEAF), ("checkpoint", CHECKPOINT_LEAF), ("gateway", FRAME_LEAF)]),
    "tree": ("The ledger's tree over the frames of frame.hex (sections 1 and 2)", [
        ("header hash of the gateway's frame", [hash32("header hash", sha256(joined(FRAME_HEADER)))]),
        *[(f"leaf hash {n}", [hash32("leaf hash", one)]) for n, one in enumerate(LEAVES)],
        *[(f"root of size {size}", [hash32("root", root(LEAVES[:size]))]) for size in range(4)]]),
    "summary": ("Summaries (section 4)", [
        ("no shares", EMPTY), ("the gateway's frame of frame.hex", FRAME_SUMMARY),
        ("two pots", summary([(1, 0, [(0, 1, 0)]), (300, 127, [(0, 128, 16_384), (127, 1, 2**64), (255, 2, 1)])])),
        ("most", summary([(0, MAX128, [(0, MAX32, MAX128)]), (MAX16, MAX128, [(MAX32, 1, MAX128)])]))]),
    "batch_body": ("Batch bodies (section 3, payouts)", [
        ("typical", BODY_TYPICAL), ("least", BODY_LEAST), ("most", BODY_MOST)]),
    "incarnation": ("The record that opens a log (section 8)", [
        ("first", incarnation(0, 0, root([]))), ("after the frames of frame.hex", incarnation(1, 3, root(LEAVES))),
        ("most", incarnation(MAX32, MAX64, b"\xff" * 32))]),
}

EXAMPLE = """# Worked example

Written by `make.py` from LEDGER-FORMAT.md; a test compares it with the golden files. Left the offset, then the bytes, then
field, type and meaning. Keys come from seeds of 32 equal bytes: desk 01, gateway 02, archiver 03, settler 04, paymaster 05.

## One share

Worker 0, job 0, found 250 ms after its frame's base_time. Its difficulty is 0.003: round(0.003 * 2^32) = 12,884,902.

{share}

## One summary

Two shares of worker 0 in pot 0: one of 12,884,902, and a stale one of 12,884,903 under a policy that pays stale shares
500,000 ppm: floor(6,442,451.5). The credit is 19,327,353. The network work of the job is 2^32, so the effort is
floor(12,884,902 * 10^12 / 2^32) + floor(6,442,451 * 10^12 / 2^32) = 3,000,000,026 + 1,500,000,013.

{summary}

## One recovered block

A coinbase of ours at height 840,001 that no share explains, where another one was recovered before at position 17, index 2
(the chain dropped that one's block). It says 3.25 coins, of them 0.125 fees.

{recovered}

## One frame

The gateway's first frame, position 2 of the ledger in `frame.hex`: it announces a worker and a job, then come the two
shares. The job cites the policy of genesis, which is final: the checkpoint in position 1 covers it.

{frame}

## Its hashes

- header hash = SHA-256 of bytes 0 to 287: `{header_hash}`
- leaves of the events, SHA-256(0x00, event): {event_leaves}
- events root = node(node(first, second), node(third, fourth)): `{events_root}`
- leaf hash = SHA-256(0x00, position 2, ledger time 1,750,000,002,950, header): `{leaf_hash}`
- root of the ledger's tree of size 3 = node(node(leaf 0, leaf 1), leaf 2): `{root}`
"""


def example():
    bodies = [joined(fields) for fields in FRAME_BODY]
    return EXAMPLE.format(
        share=example_block(event(19, "share", 250, EXAMPLE_SHARE)), summary=example_block(FRAME_SUMMARY),
        recovered=example_block(event(22, "block_recovered", 40, RECOVERED)),
        frame=example_block(FRAME), header_hash=sha256(joined(FRAME_HEADER)).hex(),
        event_leaves=", ".join(f"`{leaf(body).hex()}`" for body in bodies),
        events_root=root([leaf(body) for body in bodies]).hex(), leaf_hash=LEAVES[2].hex(), root=root(LEAVES).hex())


def pages():
    for (kind, name), cases in EVENTS.items():
        whole = [(case, event(kind, name, dt, fields)) for case, dt, fields in cases]
        yield f"{name}.hex", golden_page(f"Events of kind {kind}, {name} (section 3)", whole)
    for name, (title, cases) in OTHERS.items():
        yield f"{name}.hex", golden_page(title, cases)
    yield "EXAMPLE.md", example()


def main():
    folder = pathlib.Path(__file__).resolve().parent
    check = sys.argv[1:] == ["--check"]
    differ = []
    for name, text in pages():
        path = folder / name
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            differ.append(name)
    if differ:
        sys.exit(f"not as make.py writes them: {', '.join(differ)}")


if __name__ == "__main__":
    main()
