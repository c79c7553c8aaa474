"""Registered accounts and settings: part of the oracle (oracle.py), from docs/rules.md 10 and schema/LEDGER-FORMAT.md 6."""
NAMES_MOST, WORKERS_MOST = 16_384, 65_536           # rules 10.2: registered, of the ledger

class Account:
    """Rules 10.3 to 10.5 of one account. Times are ledger time."""
    def __init__(self, name):
        self.in_force = None if name.startswith("name:") else name
        self.waits, self.until = None, 0
        self.payout = self.said_threshold = None    # of its account event obeyed last: rules 10.3
        self.changes = []                           # (position, named, time, hold), for who asks what was: rules 11.4
        self.own_threshold, self.pay_now = 0, None  # 0: the policy's; pay_now: where it took effect
    def address(self, time):
        if self.waits and self.until <= time:
            self.in_force, self.waits = self.waits, None
        return self.in_force
    def change_address(self, named, time, hold):
        in_force = self.address(time)
        if named == self.waits:
            return
        self.waits = None
        if in_force is None or hold == 0:
            self.in_force = named
        elif named != in_force:
            self.waits, self.until = named, time + hold

class Accounts:
    """What Oracle does with account and setting events."""
    def __init__(self):
        self.accounts, self.registered = {}, {}     # of each account; name -> its registered workers
        self.donors = {}                            # account -> ppm in force
    def account(self, name):
        return self.accounts.setdefault(name, Account(name))
    def threshold(self, name):
        return self.account(name).own_threshold or int(self.policy["threshold"])
    def on_account(self, event):
        self.say(("account", event["name"]), event, self.needed[5], lambda _: self.register(event),
                 lambda: not self.is_too_many(event))
    def is_too_many(self, event):
        known = self.registered.get(event["name"], set())
        more = len(set(event["workers"]) - known)
        return (len(self.registered.keys() | {event["name"]}) > NAMES_MOST
                or sum(map(len, self.registered.values())) + more > WORKERS_MOST)
    def register(self, event):
        """Rules 10.3: only what differs counts."""
        self.registered.setdefault(event["name"], set()).update(event["workers"])
        self.is_active("name:" + event["name"])
        account = self.account("name:" + event["name"])
        if event["payout"] != account.payout:
            self.change_address(account, event["payout"])
        if event["threshold"] != account.said_threshold:
            account.own_threshold = int(event["threshold"])
        account.payout, account.said_threshold = event["payout"], event["threshold"]
    def change_address(self, account, named):
        account.changes.append((self.at[0], named, self.time, int(self.policy["address_hold_ms"])))
        account.change_address(*account.changes[-1][1:])
    def on_setting(self, event):
        needed = self.needed[6] if event["by"] == "operator" else 0
        self.say(("settings", event["account"]), event, needed, lambda _: self.set(event))
    def set(self, event):
        account, value = self.account(event["account"]), event["value"]
        self.is_active(event["account"])
        if event["what"] == "threshold":
            account.own_threshold = int(value)
        elif event["what"] == "address":
            self.change_address(account, value)
        elif event["what"] == "donation":
            self.donors[event["account"]] = value
            self.gifts.append((self.at, event["account"], value))
        else:
            account.pay_now = self.at               # rules 10.7
