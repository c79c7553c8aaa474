"""Makes ledgers of the tables of tests/scenarios, for test_scenarios.py: each statement is said once more, as the lines of
LEDGER-FORMAT.md section 9, and an oracle reads them as they come. What statements there are say the heads of table.rs,
paying.rs and later.rs in replay/tests/money; one that this page does not know is an error, and so is a word left over."""
import json

import oracle
from oracle_payouts import Tx
from oracle_pen_direct import *  # noqa: F403
from test_oracle_dust import DAY, dust

POTS = {"": 0, "solo": 1, "prop": 2, "pps": 3, "fpps": 4}
SCHEMES = ("pplns", "solo", "prop", "pps", "fpps")
NOWHERE = (1, 7)                                    # an `expects` that is nobody's last event
SECOND = 1_000                                      # between two frames
UNITS = {"s": SECOND, "h": 3_600_000, "d": DAY}


def time_of(text):
    """Milliseconds of `90d`, `1h`, `30s`; without a unit, of themselves."""
    return int(text) if text.isdigit() else int(text[:-1]) * UNITS[text[-1]]


def sub_units(text):
    """Of `24.5`, `+3` or `-0.000000001`."""
    whole, _, fraction = text.lstrip("+-").partition(".")
    amount = int(whole) * GIGA + int(fraction.ljust(9, "0"))
    return -amount if text.startswith("-") else amount


def place_of(name):
    """The address of a name, as an account."""
    return f"script:{f'script of {name}'.encode().hex()}"


def account_of(name):
    return place_of(name) if name[0].isupper() else f"name:{name}"


class Words:
    """The words of a statement; each has to be taken."""

    def __init__(self, text):
        self.left = text.split()

    def next(self):
        return self.left.pop(0)

    def has(self, word):
        there = word in self.left
        if there:
            self.left.remove(word)
        return there

    def value(self, key, default=None):
        """Of `key=value`."""
        found = [word for word in self.left if word.startswith(f"{key}=")]
        for word in found:
            self.left.remove(word)
        return found[0].partition("=")[2] if found else default

    def number(self, key, default=None):
        text = self.value(key)
        return default if text is None else int(text)

    def after(self, key, default=None):
        """The word behind `key`."""
        if key not in self.left:
            return default
        at = self.left.index(key)
        self.left.pop(at)
        return self.left.pop(at)

    def end(self):
        assert not self.left, f"left over: {self.left}"


def policy_said(text):
    words = Words(text)
    least = words.number("direct", 0)
    most = words.number("outputs", 100 if least else 0)
    terms = {"n_ppm": words.number("n", 1_000_000), "fee_ppm": words.number("fee", 0), "bonus_ppm": words.number("bonus", 0),
             "stale_ppm": words.number("stale", 0), "keep_tx_fees": words.value("keep", "no") == "yes"}
    pots = [pot(number, scheme, **terms) for number, scheme in enumerate(SCHEMES)]
    pots[0] |= {"direct_min": str(least), "direct_outputs": most}
    said = policy_of(*pots) | {
        "threshold": str(words.number("threshold", 1)), "address_hold_ms": time_of(words.value("hold", "0s")),
        "network_fees": words.value("bears", "pool"), "auto_pay_limit": str(words.number("limit", 2**128 - 1)),
        "writeoff_ms": time_of(words.value("writeoff", "0s")), "rounding_to_fee": words.value("rounding", "") == "fee"}
    words.end()
    return said


class Gateway:
    def __init__(self, stream):
        self.stream, self.workers, self.jobs, self.terms = stream, {}, 0, {}
        self.lost, self.left = [], None             # (seq, event, account, pot) of the stream that was given up


class Table(Story):
    """A ledger that grows by statements, one approver, a second between two frames."""

    def __init__(self, words):
        self.oracle, self.clock = None, START
        words, _, chain = words.partition("chain=")
        super().__init__()
        self.is_ethash = chain == "ethash"
        self.events[0] |= {"policy": policy_said(words), "approvers": [public(APPROVERS[0]).hex()], "approvals": [],
                           "algorithm": "ethash" if self.is_ethash else "sha256d"}
        self.oracle = oracle.Oracle()
        for event in self.events:
            self.oracle.apply(event)
        self.gates, self.said_policy, self.hashes, self.mark, self.registered = {}, NOBODY, {}, 1, set()
        self.waiting, self.recovered_at, self.counted, self.shares, self.proposals, self.versions = None, NOBODY, set(), {}, {}, 0

    def frame(self, stream, *events):
        self.now, self.clock = self.clock, self.clock + SECOND
        STREAMS.setdefault(stream, 100 + len(STREAMS))
        before = len(self.events)
        position = super().frame(stream, *(dict(event) for event in events))
        for event in self.events[before:] if self.oracle else []:
            self.oracle.apply(json.loads(json.dumps(event)))
        return position

    def last(self, *subject):
        return self.oracle.last[subject if len(subject) > 1 else subject[0]]

    def approved(self, said):
        return self.frame("desk", said, approval(thing_of(said)))

    def hash_of(self, name):
        return self.hashes.get(name, hash_of(name))

    def say(self, line):
        subject, _, rest = line.partition(" ")
        known = subject.rstrip(":").replace("-", "_")
        if hasattr(self, "say_" + known):
            getattr(self, "say_" + known)(rest if not subject.endswith(":") else f": {rest}")
        elif re.fullmatch(r"g\d", subject):
            self.gate_says(subject, rest)
        else:
            self.status(subject, rest)

    def say_mark(self, _):
        self.mark = self.size

    def say_approved(self, _):
        self.frame("desk", approval(thing_of(self.waiting)))

    # ---- policies, means, blocks
    def say_policy(self, rest):
        said = said_policy(self.last("policy"), policy_said(rest))
        self.said_policy = (self.approved(said), 0)
        self.checkpoint()

    def say_mean(self, rest):
        words = Words(rest)
        expects = NOWHERE if words.has("late") else self.last("mean")
        self.settle(fee_mean(int(words.next()), expects))
        words.end()

    def say_recovered(self, rest):
        again, name = rest.startswith("again "), rest.removeprefix("again ")
        expects = self.recovered_at if again else NOBODY
        self.recovered_at = (self.settle(recovered(name, expects, height=9)), 0)

    def status(self, name, rest):
        words = Words(rest)
        state = words.next()
        assert state in ("seen", "immature", "confirmed", "orphaned", "uncle"), f"no state {state}"
        fees, is_late = words.number("fees", 0), words.has("late")
        value = int(words.next()) if words.left else 0
        words.end()
        hash = self.hash_of(name)
        expects = NOWHERE if is_late else self.last("block", hash)
        self.settle(status(name, state, expects, value, fees) | {"hash": hash})

    # ---- gateways
    def gate_says(self, name, rest):
        gate = self.gates.setdefault(name, Gateway(name))
        verb, _, shares = rest.partition(" ")
        if verb == "frame:":
            self.frame(gate.stream, *(event for event, *_ in self.shares_of(gate, shares)))
        elif verb == "lost:":
            first = self.seqs.get(gate.stream, 0) + len(gate.lost)
            gate.lost += [(first + number, *lost) for number, lost in enumerate(self.shares_of(gate, shares))]
        elif verb == "restarts":
            self.epochs[gate.stream] = self.epochs.get(gate.stream, 0) + 1
            gate.workers, gate.jobs = {}, 0
            self.frame(gate.stream, self.job(gate))
        elif verb == "moves":
            self.moves(gate, 2 if shares == "twice" else 1)
        else:
            assert verb == "job", verb
            words = Words(shares)
            is_void, is_plain = words.has("void"), words.has("plain")
            gate.terms |= {"policy": (1, 0) if is_void else self.said_policy,
                           "reward": words.number("pays", gate.terms.get("reward", 50)),
                           "fees": words.number("fees", gate.terms.get("fees", 1))}
            direct, outs, pool = words.value("direct"), words.value("outs", ""), words.number("pool", 0)
            gate.terms["network_work"] = int(words.next())
            words.end()
            if is_plain or direct:
                gate.terms |= {"direct": 0, "coinbase2": "02"}
            if direct:
                outputs = [out.split(":") for out in outs.split(",") if out]
                paid = [(int(amount), place_of(to).removeprefix("script:")) for to, amount in outputs]
                size = {"now": self.size, "mark": self.mark}.get(direct) or int(direct)
                gate.terms |= {"direct": size, "coinbase2": coinbase2((pool, POOL), *paid)}
            self.frame(gate.stream, self.job(gate))

    def job(self, gate):
        """The next job, as the last one."""
        other = {name: value for name, value in gate.terms.items() if name in ("direct", "coinbase2")}
        terms = {name: value for name, value in gate.terms.items() if name not in other}
        gate.jobs += 1
        return self.of_chain(job(gate.jobs - 1, **terms) | other)

    def shares_of(self, gate, text):
        """(event, account, pot) of a frame: new workers first, then the shares."""
        announced, said = [], []
        for text_of_one in text.split(","):
            words = Words(text_of_one)
            name, _, of_pot = words.next().partition("@")
            key = (name, POTS[of_pot])
            if key not in gate.workers:
                gate.workers[key] = len(gate.workers)
                announced.append((self.miner(gate.workers[key], *key), "", 0))
            work, stale, letter = int(words.next()), words.has("stale"), words.after("finds")
            called, like = words.after("as"), words.after("like")
            words.end()
            nonce = self.shares[like][1] if like else next_nonce()
            if called:                              # its place is known once its frame is: which is the next
                self.shares[called] = (len(said), nonce)
            said.append((self.of_chain(share(gate.workers[key], work, gate.jobs - 1, stale, bool(letter), nonce)), *key))
            if letter:
                if self.is_ethash:
                    self.hashes[letter] = name_of(nonce)
                said.append((self.of_chain(found(letter) | {"hash": self.hash_of(letter)}, nonce), *key))
        for called, (place, nonce) in self.shares.items():
            self.shares[called] = ((self.size, len(announced) + place), nonce) if isinstance(place, int) else (place, nonce)
        return announced + said

    def miner(self, number, name, pot_number):      # of an account, which may be an address
        return worker(number, "x", pot_number) | {"account": account_of(name)}

    def of_chain(self, event, nonce=None):          # as the chain has it
        if not self.is_ethash:
            return event
        if event["kind"] == "block_found":
            return event | {"coinbase_txid": "00" * 32, "header": f"{SEAL}{nonce:016x}{'31' * 32}"}
        kept = ("version", "prev", "nbits", "coinbase1", "coinbase2", "branches", "direct", "ntime", "extranonce2")
        said = {name: value for name, value in event.items() if name not in kept} | {"kind": "ethash_" + event["kind"]}
        return said | ({"seal": SEAL, "seed": "5d" * 32} if event["kind"] == "job" else {"nonce": f"{event['nonce']:016x}"})

    def moves(self, gate, times):
        if not gate.left:
            gate.left, gate.stream, gate.workers, gate.jobs = gate.stream, f"{gate.stream} again", {}, 0
        events, lost = [self.job(gate)], [each for each in gate.lost if each[1]["kind"] != "worker"]
        for _, _, *key in lost:
            if tuple(key) not in gate.workers:
                gate.workers[tuple(key)] = len(gate.workers)
                events.append(self.miner(gate.workers[tuple(key)], *key))
        for seq, event, *key in lost * times:
            numbers = (gate.workers[tuple(key)], gate.jobs - 1) if event["kind"] in oracle.SHARES else (None, None)
            events.append(self.moved(gate.left, seq, event, (gate.left, seq) not in self.counted, START, *numbers))
            self.counted.add((gate.left, seq))
        self.frame(gate.stream, *events)

    # ---- the desk
    def say_adjust(self, rest):
        words = Words(rest)
        name, amount, book = words.next(), sub_units(words.next()), words.next()
        expects = NOWHERE if words.has("late") else self.last("adjustments", f"name:{name}")
        waits, block = words.has("waits"), words.after("explains")
        words.end()
        said = adjustment(name, abs(amount), expects, book, amount < 0, block, rest)
        self.waits(said) if waits else self.approved(said)

    def waits(self, said):
        self.waiting = said
        self.frame("desk", said)

    def set(self, name, what, value=None):
        self.frame("desk", setting(name, what, value, self.last("settings", f"name:{name}")))

    def say_donates(self, rest):
        name, ppm = rest.split()
        self.set(name, "donation", int(ppm))

    def say_threshold(self, rest):
        name, units = rest.split()
        self.set(name, "threshold", units)

    def say_wants(self, name):
        self.set(name, "pay_now")

    def say_lives(self, rest):
        name, place = rest.split()
        if name in self.registered:
            return self.set(name, "address", place_of(place))
        self.registered.add(name)
        return self.frame("desk", registered(name, place_of(place), workers=()))

    def say_halts(self, rest):
        self.frame("desk", halt(int(rest)))

    def say_resumes(self, rest):
        words = Words(rest)
        wallet, waits, is_late = int(words.next()), words.has("waits"), words.has("late")
        words.end()
        said = resume(NOWHERE if is_late else self.last("halts", wallet), wallet)
        self.waits(said) if waits else self.approved(said)

    # ---- batches
    def say_batch(self, rest):
        for event in self.proposal(rest):
            self.frame("payer", event)
        self.proposals[event["wallet"], event["batch"]] = event

    def proposal(self, text):
        head, _, lines = text.partition(":")
        words, rows = Words(head), []
        wallet, blocks = words.number("wallet", 0), words.value("of")
        for line in lines.split(","):
            said = Words(line)
            account, to, fee = f"name:{said.next()}", said.after("to"), int(said.after("fee", 0))
            address = place_of(to) if to else self.oracle.account(account).address(self.clock) or place_of("nobody")
            rows.append((account, address, int(said.next()), fee))
            said.end()
        batch = words.number("number", len(self.oracle.batches[wallet]))
        total = words.number("total", sum(row[2] for row in rows))
        named = [self.hash_of(name) for name in blocks.split(",")] if blocks else []
        events = proposes(rows, named, wallet, batch, fee=words.number("fee", 0), total=str(total),
                          txs=words.number("txs", 1), expects=list(NOWHERE if words.has("late") else NOBODY))
        events = events[:-2] + events[-1:] if words.has("lost") else events
        words.end()
        return events

    def say_approve(self, rest):
        if rest.startswith("next "):
            said = self.proposal(rest.removeprefix("next "))[-1]
        else:
            said = self.proposals[int(rest), len(self.oracle.batches[int(rest)]) - 1]
        self.frame("desk", approval(thing_of(said)))

    def say_tx(self, rest):
        words = Words(rest)
        number, verb = int(words.next()), words.next()
        wallet = words.number("wallet", 0)
        batch = words.number("batch", max(0, len(self.oracle.batches[wallet]) - 1))
        of_wallet = self.oracle.batches[wallet]
        txs = of_wallet[batch].txs if batch < len(of_wallet) else []
        tx = txs[number] if number < len(txs) else Tx([])       # one that is not there
        expects = NOWHERE if words.has("late") else tx.last
        where, fee = {"wallet": wallet, "batch": batch, "tx": number}, words.number("fee", 0)
        if verb == "signed":
            events = self.version(words, expects, where, fee)
        elif verb == "cancelled":
            by = words.value("by")
            events = [cancelled(expects, by, fee, **where)]
            events[0] |= {"by": (tx.txids or [None])[-1]} if by == "itself" else {}
        else:
            version = words.number("version", len(tx.txids) - 1)
            txid = tx.txids[version] if 0 <= version < len(tx.txids) else "4d" * 32
            events = [step(verb, expects, None, fee, **where) | {"txid": txid}]
        words.end()
        for event in events:
            self.frame("payer", event)

    def version(self, words, expects, where, fee):
        self.versions += 1
        raw, _, in_parts = f"version {self.versions}".encode(), words.has("again"), words.has("parts")
        is_other, spends = words.value("bytes") == "other", "99" if words.value("spends") == "other" else f"{where['tx']:02x}"
        said = signed(words.value("txid", f"txid {self.versions}"), expects, spends=spends * 36, raw=raw, fee=fee, **where)
        said |= {"body": "05" * 32} if is_other else {}
        return [*parts(raw), said | {"raw": ""}] if in_parts else [said]

    # ---- what comes later
    def say_passes(self, rest):
        self.clock += time_of(rest)
        self.frame("desk", {"kind": "heartbeat"})

    def say_write_off(self, rest):
        name = rest.removesuffix(" late")
        self.approved(write_off(name, NOWHERE if rest.endswith(" late") else self.last("write-offs", f"name:{name}")))

    def say_dust(self, rest):
        names, _, to = rest.partition(" to ")
        words = Words(to)
        book, since = words.next(), words.value("since", "now")
        words.end()
        owners = sorted(name.strip() for name in names.split(",") if name != "nobody")
        cutoff = {"now": self.size, "mark": self.mark}[since] - 1
        self.approved(dust(owners, self.last("dust"), cutoff, book))

    def say_void(self, rest):
        share, of, first = rest.split()
        share, first = self.shares[share][0], self.shares[first][0]
        assert of == "of" and first < share, "format 3: the first is before the share"
        self.frame("keeper", void(share, first))
