"""Random small ledgers of payouts through oracle.py and through a second computation of rules 8: no postings there, only
what stands after all that was obeyed. Seeds are printed. Run by test_oracle.py too."""
import random
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path[:0] = [str(Path(__file__).resolve().parent)]
import oracle  # noqa: E402
from oracle_pen_payouts import *  # noqa: E402,F403

PAYOUT_SEEDS, CHANCE_STEPS = 160, 45                # the latter of tests/oracle/payouts_by_chance_*
PAID = ["name:ann", "name:bob", "script:0014" + "d0" * 20, "evm:" + "e0" * 20]
ADDRESSES = [address_of(letter) for letter in "ABX"]
ENDS = ("final", "failed", "cancelled")
GOOD, FORGED = "01" * 64, "02" * 64                 # signatures have tests of their own


def yes_by(thing, number, signature=GOOD):
    return {"kind": "approval", "thing": thing.hex(), "approver": public(APPROVERS[number]).hex(), "signature": signature}


class PayoutsTold:
    """A random ledger. The oracle goes along, only so that most of what is said may be obeyed."""

    def __init__(self, seed, steps=None):
        self.random = random.Random(seed)
        rand = self.random.randrange
        self.made, self.size = oracle.Oracle(), 0
        self.story = Story(pot(1, "solo"))
        self.story.now = START + 9
        self.story.events[0]["policy"] |= self.terms()
        self.bodies, self.things, self.blocks, self.versions = {}, [], [], 0
        self.cited = []                             # by the newest proposal
        self.story.gate(*(worker(number, "x") | {"account": account} for number, account in enumerate(PAID)), job())
        for account in PAID[:2]:
            self.desk(registered(account[5:], self.random.choice(ADDRESSES)))
        for _ in PAID + PAID[:2]:
            self.find()
        for _ in range(steps or rand(40, 110)):
            self.random.choices([self.propose, self.approve, self.sign, self.step, self.cancel, self.halt, self.resume,
                                 self.status, self.find, self.setting, self.policy,
                                 self.beat, self.register, self.write_off],
                                [6, 2, 6, 16, 2, 1, 3, 5, 1, 4, 1, 1, 2, 2])[0]()

    def terms(self):
        rand = self.random.randrange
        return {"threshold": str(rand(1, 12)), "auto_pay_limit": str(self.random.choice([0, 20, 60, 900])),
                "address_hold_ms": self.random.choice([0, 3, 8]), "network_fees": self.random.choice(["pool", "miner"]),
                "writeoff_ms": self.random.choice([0, 5, 15])}

    def frame(self, stream, *events):
        self.story.now += self.random.randrange(4)
        self.story.frame(stream, *map(dict, events))
        for event in self.story.events[self.size:]:
            self.made.apply(event)
        self.size = len(self.story.events)

    def desk(self, *events):
        self.frame("desk", *events)

    def mostly(self, right, *others, one_in=16):
        return right if self.random.randrange(one_in) else self.random.choice(others)

    def expects(self, subject):
        return self.mostly(self.made.last[subject], (0, 0), (1, 0))

    # ---- blocks, accounts, policies
    def find(self, state="confirmed"):
        letter = f"block {len(self.blocks)}"
        self.blocks.append(letter)
        self.frame("gate", *finds(len(self.blocks) % len(PAID), 1, letter))
        self.status((state, 20 + self.random.randrange(60)))

    def status(self, said=None):
        cited = self.cited if self.cited and not self.random.randrange(4) else self.blocks
        letter = self.random.choice(self.blocks[-1:] if said else cited)
        state, value = said or (self.random.choice(["seen", "immature", "confirmed", "confirmed", "orphaned", "uncle"]),
                                self.random.randrange(60))
        subject = ("block", hash_of(letter))
        self.frame("settler", status(letter, state, self.made.last[subject] if said else self.expects(subject), value))

    def setting(self):
        account, what = self.random.choice(PAID), self.random.choice(["threshold", "address", "address", "pay_now", "pay_now"])
        value = {"threshold": str(self.random.randrange(9)), "address": self.random.choice(ADDRESSES)}.get(what)
        self.desk(setting(account, what, value, self.expects(("settings", account))))

    def register(self):
        account = self.random.choice(PAID[:2])
        before = self.made.account(account)
        payout = before.payout if self.random.randrange(3) else self.random.choice(ADDRESSES)
        threshold = before.said_threshold if self.random.randrange(3) else str(self.random.randrange(9))
        self.desk(registered(account[5:], payout, threshold, expects=self.expects(("account", account[5:]))))

    def policy(self):
        said = said_policy(self.expects("policy"), policy_of(pot(1, "solo")) | self.terms())
        self.desk(said, yes_by(thing_of(said), 0))

    def beat(self):
        self.frame(self.random.choice(["payer", "payer2"]), {"kind": "heartbeat"})

    def write_off(self):
        owing = [account for account in PAID if self.made.books["available", account][0] > self.made.books["available", account][1]]
        account = self.mostly(self.random.choice(owing or PAID), *PAID, one_in=4)
        said = write_off(account, self.expects(("write-offs", account)))
        self.things.append(said)
        self.desk(said, *[yes_by(thing_of(said), number) for number in range(self.mostly(2, 1, one_in=4))])

    # ---- payouts
    def propose(self):
        rand, made = self.random.randrange, self.made
        lines, wallet = [], self.mostly(0, 1, 7, one_in=5)
        if rand(8) and any(tx.state not in ("confirmed", *ENDS) for batch in made.batches[wallet] for tx in batch.txs):
            return self.step()
        rich = {account: max(0, credits - debits) // GIGA for account in PAID
                for debits, credits in [made.books["available", account]]}
        of = [account for account in self.random.sample(PAID, rand(1, 1 + len(PAID))) if rich[account] > 6 or not rand(20)]
        if not of:
            return self.status()
        fee = rand(12)
        each = fee // len(of) if made.policy["network_fees"] == "miner" else 0
        for account in sorted(of, key=account_bytes):
            most = rich[account]
            amount = rand(most // 2 + 1) if rand(3) else most
            amount = max(amount, min(most, made.threshold(account)) if rand(4) else 1)
            amount = max(self.mostly(amount, most + 1, 1), each + 1)
            address = made.account(account).address(self.story.now) or ADDRESSES[0]
            lines.append((account, self.mostly(address, *ADDRESSES, one_in=30), amount,
                          self.mostly(each, 0, 1 if amount > 1 else 0, one_in=30)))
        good = [letter for letter in self.blocks if made.blocks[hash_of(letter)].is_confirmed]
        cited = self.random.sample(good, min(len(good), rand(4)))
        if not rand(20):
            cited = sorted({*cited, self.random.choice([*self.blocks, "nobody's"])})
        body, self.cited = batch_body(lines, cited), [letter for letter in cited if letter in self.blocks]
        rightly = bool(rand(20))
        if not rightly:
            body = self.random.choice([body[:-1], body + b"\0", body[2:], b"\0" + body, body[:2] + b"\4" + body[3:],
                                       bytes(2) + body[-2 - 32 * len(cited):]])
        self.bodies[hashlib.sha256(body).hexdigest()] = (lines, {hash_of(letter) for letter in cited}) if rightly else None
        said = proposed(lines, cited, wallet, self.mostly(len(made.batches[wallet]), 0, 1, 2, one_in=30), bool(rand(2)), fee,
                        body=hashlib.sha256(body).hexdigest())
        said |= self.mostly({}, {"expects": [1, 0]}, {"lines": 9}, {"total": "3"}, {"txs": 3}, {"body": "00" * 32}, one_in=12)
        pieces = parts(body, rand(20, 200))
        if not rand(10):
            pieces = self.random.choice([pieces[:-1], pieces[1:], pieces + pieces[-1:], pieces[::-1], pieces[:1] + pieces,
                                         pieces[1:] + pieces, [piece | {"of": 65} for piece in pieces],
                                         pieces + [part("ab" * 32, 0, 2)], pieces + [{"kind": "heartbeat"}],
                                         pieces[:-1] + [pieces[-1] | {"bytes": "ff"}],
                                         [*pieces[:-1], pieces[-1] | {"whole": "cc" * 32}]])
        streams = self.mostly(("payer", "payer"), ("payer", "payer2"), one_in=20)
        self.things.append(said)
        if rand(2):
            self.frame(streams[0], *pieces) if pieces else None
            if not rand(6):
                self.random.choice([self.beat, self.approve, self.status])()
            self.frame(streams[1], said)
        elif streams[0] == streams[1]:
            self.frame(streams[0], *pieces, said)

    def approve(self):
        if self.things:
            thing = thing_of(self.random.choice(self.things[-2:] if self.random.randrange(4) else self.things))
            self.desk(*(yes_by(thing, self.random.randrange(2), self.mostly(GOOD, FORGED)) for _ in range(2)))

    def a_tx(self):
        """The numbers of one, its state, its last event and its versions; of the newest batches, mostly."""
        wallets = [wallet for wallet, batches in self.made.batches.items() if batches]
        if not wallets:
            return {"wallet": 0, "batch": 0, "tx": 0}, None, (0, 0), []
        wallet = self.random.choice(wallets)
        batches = self.made.batches[wallet]
        batch = self.mostly(len(batches) - 1, *range(len(batches)), one_in=4)
        live = [number for number, tx in enumerate(batches[batch].txs) if tx.state not in ENDS]
        number = self.random.choice(live if live and self.random.randrange(8) else range(len(batches[batch].txs)))
        tx = batches[batch].txs[number]
        names = {"wallet": wallet, "batch": batch, "tx": number}
        return (names | self.mostly({}, {"tx": 9}, {"batch": 9}, {"wallet": 3}, one_in=40), tx,
                self.mostly(tx.last, (0, 0), (1, 0)), tx.txids)

    def sign(self):
        names, tx, expects, txids = self.a_tx()
        if tx and tx.state != "unsigned" and self.random.randrange(3):
            return self.step()
        self.versions += self.mostly(1, 0, one_in=10)
        said = signed(f"v{self.versions}", expects, **names)
        said |= self.mostly({}, {"spends": "00"}, {"body": "11" * 32}, {"raw": ""}, one_in=20)
        if tx and tx.state == "unsigned" and self.random.randrange(3):
            for batch in self.made.batches[names["wallet"]][-1:]:
                self.desk(yes_by(batch.digest, 0), yes_by(batch.digest, 1))
        if not self.random.randrange(8):            # a long one, in parts
            raw = bytes(self.random.randrange(256) for _ in range(90))
            self.frame("payer", *parts(raw, 40))
            said |= {"raw": "", "body": hashlib.sha256(raw).hexdigest()}
        self.frame("payer", said)

    def step(self):
        names, tx, expects, txids = self.a_tx()
        if (tx is None or tx.state in ENDS) and self.random.randrange(8):
            return self.propose() if self.random.randrange(8) else self.find("immature")
        name = self.random.choice("broadcast seen confirmed confirmed final conflicted failed unknown".split())
        if tx and tx.state == "unsigned" and self.random.randrange(8):
            return self.sign()
        if tx and self.random.randrange(3) and tx.state in ("signed", "broadcast", "seen", "conflicted", "unknown"):
            name = {"signed": "broadcast", "broadcast": "seen"}.get(tx.state, "confirmed")
        said = step(name, expects, fee=self.random.randrange(9) if name in ("confirmed", "final", "failed") else 0, **names)
        self.frame("payer", said | {"txid": self.mostly(self.random.choice(txids or ["77" * 32]), "77" * 32)})

    def cancel(self):
        names, tx, expects, txids = self.a_tx()
        said = cancelled(expects, by=self.random.choice(["foreign", None]), **names)
        if said["by"]:
            said |= {"fee": str(self.random.randrange(9)), "by": self.mostly(said["by"], *txids or ["77" * 32], one_in=6)}
        self.frame("payer", said)

    def halt(self):
        self.frame(self.random.choice(["desk", "payer"]), halt(self.random.choice([0, 1, 1])))

    def resume(self):
        wallet = self.mostly(*sorted(self.made.halted)[:1] or [0], 0, 1, 5, one_in=6)
        said = resume(self.expects(("halts", wallet)), wallet)
        self.things.append(said)
        self.desk(said, *[yes_by(thing_of(said), 1)] * self.random.randrange(2))


class PayoutsAgain:
    """The same lines once more. A tx is the list of what was obeyed of it; books are counted from those lists."""

    def __init__(self, events, bodies):
        self.bodies, self.obeyed, self.refused = bodies, [], []         # obeyed: (place of effect, time, place, event)
        self.batches, self.of_tx, self.past, self.yes, self.waits = {}, {}, [], set(), []
        self.written = []                           # off: (place, account, sub-units)
        for event in events:
            self.place, self.time = (event["position"], event["index"]), event["ledger_time"]
            self.judge(event)
            self.past.append(event)

    def said(self, *kinds, **fields):
        return [said for said in self.obeyed
                if said[3]["kind"] in kinds and all(said[3].get(name) == value for name, value in fields.items())]

    def last(self, *kinds, **fields):
        return max([said[2] for said in self.said(*kinds, **fields)], default=(0, 0))

    def policy(self):
        return self.said("genesis", "policy")[-1][3]["policy"]

    def subject(self, event):
        kind = event["kind"]
        if kind == "payout_resume":
            return ("payout_halt", "payout_resume"), {"wallet": event["wallet"]}
        return (kind,), {name: event[name] for name in {"block_status": ["hash"], "setting": ["account"],
                                                        "write_off": ["account"], "account": ["name"]}.get(kind, [])}

    def judge(self, event):
        kind, place = event["kind"], self.place
        if kind == "approval":
            if event["signature"] == GOOD:
                self.yes.add((event["thing"], event["approver"]))
                for said in list(self.waits):
                    self.try_one(*said)
        elif kind in ("policy", "payout_resume", "write_off", "setting", "account", "block_status"):
            subjects, fields = self.subject(event)
            if self.last(*subjects, **fields) != tuple(event["expects"]):
                self.refused.append(place)
            elif kind == "payout_resume" and not self.is_halted(event["wallet"]):
                self.refused.append(place)
            elif kind in ("policy", "payout_resume", "write_off"):
                self.try_one(place, event)
            else:
                self.obey(event)
        elif kind.startswith("payout_") and kind != "payout_halt":
            right = self.proposal(event) if kind == "payout_proposed" else self.moves(event)
            self.obey(event) if right else self.refused.append(place)
        else:
            self.obey(event)

    def obey(self, event, place=None):
        if event["kind"] == "block_status" and event["state"] == "orphaned":
            for key, batch in [(key, batch) for key, batch in self.batches.items() if event["hash"] in batch["blocks"]]:
                for number in range(batch["txs"]):
                    if not self.of_tx.get((*key, number)):
                        self.of_tx[(*key, number)] = [(self.place, "cancelled", None)]
        self.obeyed.append((self.place, self.time, place or self.place, event))

    def approvals(self, event):
        thing = thing_of(event).hex()
        return len({approver for of, approver in self.yes if of == thing})

    def try_one(self, place, event):
        self.waits = [said for said in self.waits if said[0] != place]
        if self.approvals(event) < (2 if event["kind"] == "write_off" else 1):
            self.waits.append((place, event))
        else:
            subjects, fields = self.subject(event)
            if self.last(*subjects, **fields) == tuple(event["expects"]):
                self.obey(event, place)
                if event["kind"] == "write_off":
                    self.write_off(event["account"], place)

    def write_off(self, account, place):
        """Looks back over all that ever changed a balance, newest first, for how long there was too little."""
        since, book = None, "available:" + account.replace("name:", "")
        owed = -self.books().get(book, 0)
        changes = {said[0]: said[1] for said in self.obeyed if said[3]["kind"] not in ("part", "checkpoint", "setting")}
        for at in sorted(changes, reverse=True):
            if self.books(at).get(book, 0) >= 0:
                break
            since = changes[at]
        if owed > 0 and self.time - since >= self.policy()["writeoff_ms"]:
            self.written.append((self.place, account, owed))
        else:
            self.refused.append(place)

    def is_halted(self, wallet):
        said = self.said("payout_halt", "payout_resume", wallet=wallet)
        return bool(said) and said[-1][3]["kind"] == "payout_halt"

    # ---- what stands
    def block(self, hash, until=(10**9, 0)):
        """(finder, the statuses that count) of a block; the first of them is no `seen`."""
        found_at = next(number for number, event in enumerate(self.past) if event.get("hash") == hash)
        since = []
        for place, _, _, event in self.said("block_status", hash=hash):
            if place > until:
                break
            since = [] if event["state"] == "orphaned" else since + [event] if since or event["state"] != "seen" else []
        return PAID[self.past[found_at - 1]["worker"]], since

    def is_confirmed(self, hash):
        found = any(event["kind"] == "block_found" and event["hash"] == hash for event in self.past)
        return found and any(event["state"] == "confirmed" for event in self.block(hash)[1])

    def lines(self, until):
        """(account, amount, fee, where it is) of all lines."""
        for key, batch in self.batches.items():
            if batch["place"] > until:
                continue
            for number, (account, _, amount, fee) in enumerate(batch["lines"]):
                history = self.of_tx.get((*key, number if batch["txs"] > 1 else 0), [])
                states = [state for place, state, _ in history if place <= until]
                where = ("returned" if {"failed", "cancelled"} & set(states) else
                         "sent" if "confirmed" in states else "held")
                yield account, amount, fee, where

    def books(self, until=(10**9, 0)):
        """What stands after the event at that place."""
        books = {}

        def add(book, amount):
            books[book] = books.get(book, 0) + amount
        for hash in {event["hash"] for event in self.past if event["kind"] == "block_found"}:
            finder, since = self.block(hash, until)
            if since:
                whole = int(since[-1]["value"]) * GIGA
                add("reward", -whole)
                add("fee", whole // 100)
                confirmed = any(event["state"] == "confirmed" for event in since)
                add(("available:" if confirmed else "immature:") + finder, whole - whole // 100)
        for account, amount, fee, where in self.lines(until):
            if where != "returned":
                add("available:" + account, -amount * GIGA)
                add(("paid:" if where == "sent" else "reserved:") + account, (amount - fee if where == "sent" else amount) * GIGA)
                add("network_fees", fee * GIGA if where == "sent" else 0)
        for history in self.of_tx.values():
            said = [int(event["fee"]) for place, _, event in history if event and place <= until and event["kind"] != "payout_signed" and (
                event.get("by") or event.get("step") in ("confirmed", "final", "failed"))]
            add("wallet", sum(said[-1:]) * GIGA)
            add("network_fees", -sum(said[-1:]) * GIGA)
        for place, account, amount in self.written:
            if place <= until:
                add("reserve", -amount)
                add("available:" + account, amount)
        return {name.replace("name:", ""): amount for name, amount in books.items() if amount}

    def account(self, account, later=0):
        """(address in force, so many ms later, or None; threshold, place of the last pay_now)."""
        times, own, asked, payout, threshold = [] if account[:4] == "name" else [(0, account)], 0, None, None, None
        hold = 0
        for place, time, _, event in self.said("genesis", "policy", "account", "setting"):
            change = None
            if event["kind"] in ("genesis", "policy"):
                hold = event["policy"]["address_hold_ms"]
            elif event["kind"] == "account" and "name:" + event["name"] == account:
                change = event["payout"] if event["payout"] != payout else None
                own = int(event["threshold"]) if event["threshold"] != threshold else own
                payout, threshold = event["payout"], event["threshold"]
            elif event.get("account") == account:
                what, value = event["what"], event["value"]
                change = value if what == "address" else None
                own, asked = int(value) if what == "threshold" else own, place if what == "pay_now" else asked
            if change:
                due = [named for named in times if named[0] <= time]
                if times[len(due):] and times[-1][1] == change:
                    continue
                times = due
                if not due:
                    times = [(time, change)]
                elif due[-1][1] != change:
                    times = due + [(time + hold, change)]
        now = [address for start, address in times if start <= self.time + later]
        return now[-1] if now else None, own or int(self.policy()["threshold"]), asked

    def whole(self, stream, name):
        said = [event for event in self.past if event["stream"] == stream and event["kind"] == "part"]
        starts = [number for number, event in enumerate(said) if event["part_index"] == 0]
        of = said[starts[-1]:] if starts else []
        data = b"".join(bytes.fromhex(event["bytes"]) for event in of)
        return (bool(of) and of[0]["of"] <= 64 and [(event["whole"], event["of"], event["part_index"]) for event in of]
                == [(name, of[0]["of"], number) for number in range(of[0]["of"])] and hashlib.sha256(data).hexdigest() == name)

    # ---- what is obeyed
    def proposal(self, event):
        wallet, body = event["wallet"], self.bodies.get(event["body"])
        mine = [batch for (of, _), batch in self.batches.items() if of == wallet]
        states = {self.state((wallet, number, tx)) for number, batch in enumerate(mine) for tx in range(batch["txs"])}
        if (any(event["expects"]) or self.is_halted(wallet) or event["batch"] != len(mine)
                or states - {"confirmed", "final", "failed", "cancelled"}
                or not body or not self.whole(event["stream"], event["body"])):
            return False
        lines, blocks = body
        if event["txs"] not in (1, len(lines)) or event["lines"] != len(lines):
            return False
        if int(event["total"]) != sum(line[2] for line in lines) or not all(map(self.is_confirmed, blocks)):
            return False
        each = int(event["fee"]) // len(lines) if self.policy()["network_fees"] == "miner" else 0
        books = self.books()
        for name, address, amount, fee in lines:
            now, threshold, asked = self.account(name)
            paid = [place for place, _, _, said in self.said("payout_proposed")
                    if any(line[0] == name for line in self.bodies[said["body"]][0])]
            at_once = asked and (not paid or asked > paid[-1])
            if now != address or amount * GIGA > books.get("available:" + name.replace("name:", ""), 0) or fee != each:
                return False
            if amount < threshold and not at_once:
                return False
        self.batches[wallet, len(mine)] = {
            "lines": lines, "blocks": blocks, "txs": event["txs"], "event": event, "place": self.place,
            "needed": 2 if int(event["total"]) > int(self.policy()["auto_pay_limit"]) else 0}
        return True

    def state(self, key):
        return self.of_tx[key][-1][1] if self.of_tx.get(key) else "unsigned"

    def last_of(self, key):
        return self.of_tx[key][-1][0] if self.of_tx.get(key) else (0, 0)

    def moves(self, event):
        key, kind = (event["wallet"], event["batch"], event["tx"]), event["kind"]
        batch = self.batches.get(key[:2])
        if not batch or key[2] >= batch["txs"]:
            return False
        history = self.of_tx.get(key, [])
        if tuple(event["expects"]) != self.last_of(key):
            return False
        state, versions = self.state(key), [said for _, _, said in history if said and said["kind"] == "payout_signed"]
        to = event.get("step", kind.removeprefix("payout_"))
        known = {said["txid"] for said in versions}
        if state in ("final", "failed", "cancelled"):
            return False
        if to == "signed":
            there = (hashlib.sha256(bytes.fromhex(event["raw"])).hexdigest() == event["body"] if event["raw"] else
                     self.whole(event["stream"], event["body"]))
            right = there and not self.is_halted(key[0]) and state != "confirmed" and event["txid"] not in known
            right = right and all(said["spends"] == event["spends"] for said in versions)
            right = right and (versions or self.approvals(batch["event"]) >= batch["needed"])
        elif to == "cancelled":
            right = event["by"] not in known if event["by"] and versions else not event["by"] and not versions
        else:                                       # any live state may become any other but itself
            right = bool(versions) and to != state and (to != "final" or state == "confirmed")
            right = right and (to in ("conflicted", "unknown") or event["txid"] in known)
        if right:
            self.of_tx.setdefault(key, []).append((self.place, to, event))
        return right


def compare(case, seed, steps=None):
    """Both computations of one ledger, which have to agree."""
    with mock.patch.object(oracle, "signature_is_right", lambda key, message, signature: signature.hex() == GOOD):
        told = PayoutsTold(seed, steps)
        again, answer = PayoutsAgain(told.story.events, told.bodies), told.made.answer(True)
    case.assertEqual(answer["refused"], again.refused)
    states = {(wallet, number, tx): (of.state, of.last) for wallet, batches in told.made.batches.items()
              for number, batch in enumerate(batches) for tx, of in enumerate(batch.txs)}
    case.assertEqual(states, {key: (again.state(key), again.last_of(key)) for key in states})
    for name in PAID:
        account, later = told.made.account(name), range(0, 9, 2)
        seen = [account.address(told.made.time + ms) for ms in later], told.made.threshold(name), account.pay_now
        again_seen = [again.account(name, ms) for ms in later]
        case.assertEqual(seen, ([address for address, *_ in again_seen], *again_seen[0][1:]))
    case.assertEqual(sums(answer), again.books())
    case.assertEqual(sum(sums(answer).values()), 0)
    return again


def agree_until_they_do_not(seeds):
    """For test_oracle_faults.py."""
    try:
        for seed in seeds:
            compare(unittest.TestCase(), seed)
    except Exception:
        return False
    return True


class RandomPayouts(unittest.TestCase):
    def test_both_computations_agree(self):
        met = {}
        for seed in range(PAYOUT_SEEDS):
            with self.subTest(seed=seed):
                again = compare(self, seed)
            for said in again.obeyed + [(None, None, None, {"kind": "refused"})] * len(again.refused):
                name = said[3].get("step", said[3]["kind"])
                met[name] = met.get(name, 0) + 1
            met["written off"] = met.get("written off", 0) + len(again.written)
            for history in again.of_tx.values():
                orphans = sum(event is None for _, _, event in history)
                met["by an orphan"] = met.get("by an orphan", 0) + orphans
                back = sum(one == "confirmed" != two != "final" for (_, one, _), (_, two, _) in zip(history, history[1:]))
                met["back from confirmed"] = met.get("back from confirmed", 0) + back
        self.assertGreater(min(met.values()), 30, met)

    def test_the_ledgers_by_chance_are_computed_twice(self):
        for name, seed in (("payouts_by_chance_1", 1), ("payouts_by_chance_2", 3)):
            folder = Path(__file__).resolve().parent / "oracle"
            answer = json.loads((folder / f"{name}.json").read_text())
            again = compare(self, seed, CHANCE_STEPS)
            self.assertEqual(sums(answer), again.books())
            self.assertEqual([tuple(at) for at in answer["refused"]], again.refused)


if __name__ == "__main__":
    unittest.main()
