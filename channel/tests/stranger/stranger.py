"""A second implementation of what docs/protocol.md says, which shares no code with the first: it recomputes every test
vector and checks the form of every message. Run with the folder of the vectors; prints what it checked, and fails at the
first difference."""

import json
import pathlib
import re
import struct
import sys

from bitcoin import DEFAULT, SINGLE_ANYONECANPAY, Transaction, address, descriptor_checksum, leaf_hash, public
from bitcoin import sign, tagged, taproot, verifies

NUMS = bytes.fromhex("50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0")
SEQUENCE = 0xFFFFFFFD
CHANGE_DUST = 330
checked = {}


def check(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: the document gives\n  {found}\nthe vector is\n  {wanted}")
    checked[what] = checked.get(what, 0) + 1


def refuse(what, key, message, signature):
    """A signature is one over this message alone."""
    check(what, verifies(key, message, signature), True)
    check(f"{what}, changed", verifies(key, tagged("changed", message), signature), False)


def outpoint_of(text):
    """`txid:vout`, and the txid as transactions hold it."""
    txid, vout = text.split(":")
    return bytes.fromhex(txid)[::-1], int(vout)


def minimal_number(n):
    """A number in a script."""
    data = b""
    while n:
        data, n = data + bytes([n & 0xFF]), n >> 8
    return data + b"\x00" if data[-1] & 0x80 else data


def dust_limit(script):
    """What nodes relay by default: 3 sat/vB of an output and the input that spends it."""
    witness = len(script) in range(4, 43) and script[0] in (0, *range(0x51, 0x61)) and script[1] == len(script) - 2
    spending = 67 if witness else 148
    return 3 * (8 + 1 + len(script) + spending)


class Channel:
    """Section 3."""

    def __init__(self, consumer, provider, delay, capacity, change, outpoint):
        self.capacity, self.change, self.outpoint, self.delay = capacity, change, outpoint_of(outpoint), delay
        self.payment_leaf = b"\x20" + consumer + b"\xad\x20" + provider + b"\xac"
        number = minimal_number(delay)
        self.refund_leaf = b"\x20" + consumer + b"\xad" + bytes([len(number)]) + number + b"\xb2"
        self.script, self.payment_control, self.refund_control = taproot(NUMS, self.payment_leaf, self.refund_leaf)
        self.output = (capacity, self.script)
        self.consumer, self.provider = consumer, provider

    def input(self, sequence=SEQUENCE):
        return (*self.outpoint, b"", sequence)

    def payment(self, amount):
        """Section 5: what a payment signs."""
        assert 1 <= amount <= self.capacity - CHANGE_DUST
        return Transaction(3, [self.input()], [(self.capacity - amount, self.change)])

    def payment_message(self, amount):
        return self.payment(amount).sighash(0, [self.output], self.payment_leaf, SINGLE_ANYONECANPAY)

    def pay(self, secret, amount):
        return sign(secret, self.payment_message(amount)) + bytes([SINGLE_ANYONECANPAY])

    def closing(self, balance, fee, payout):
        """Section 6."""
        outputs = [(self.capacity - balance - fee, self.change)]
        if balance >= dust_limit(payout):
            outputs.append((balance, payout))
        return Transaction(2, [self.input()], outputs)


def settlement(channels, amounts, consumers, providers, payout, fee):
    """Section 6."""
    outputs = [(c.capacity - amount, c.change) for c, amount in zip(channels, amounts)]
    outputs.append((sum(amounts) - fee, payout))
    made = Transaction(3, [c.input() for c in channels], outputs)
    spent = [c.output for c in channels]
    for index, (c, signature, secret) in enumerate(zip(channels, consumers, providers)):
        own = sign(secret, made.sighash(index, spent, c.payment_leaf))
        made.witnesses.append([own, signature, c.payment_leaf, c.payment_control])
    return made


def channel_vectors(v):
    secrets = [bytes.fromhex(v[side + "_secret_key"]) for side in ("consumer", "provider")]
    keys = [public(secret) for secret in secrets]
    check("keys", [key.hex() for key in keys], [v["consumer_key"], v["provider_key"]])
    c = Channel(*keys, v["refund_delay_blocks"], v["capacity_sat"], bytes.fromhex(v["change_script"]), v["outpoint"])
    check("script", c.script.hex(), v["script_pubkey"])
    check("address", address("bcrt", c.script), v["regtest_address"])
    text = "tr({0},{{and_v(v:pk({1}),pk({2})),and_v(v:pk({1}),older({3}))}})"
    text = text.format(NUMS.hex(), keys[0].hex(), keys[1].hex(), c.delay)
    check("descriptor", text + "#" + descriptor_checksum(text), v["descriptor"])
    for name, leaf, control in (
        ("payment_leaf", c.payment_leaf, c.payment_control),
        ("refund_leaf", c.refund_leaf, c.refund_control),
    ):
        form = {"script": leaf.hex(), "hash": leaf_hash(leaf).hex(), "control_block": control.hex()}
        check("leaf", form, v[name])
    for paid in v["payments"]:
        amount = paid["cumulative_sat"]
        check("payment", c.payment(amount).serialize().hex(), paid["unsigned_transaction"])
        check("payment's signature", c.pay(secrets[0], amount).hex(), paid["signature"])
        signature = bytes.fromhex(paid["signature"])
        refuse("payment verified", keys[0], c.payment_message(amount), signature[:64])
    s = v["settlement"]
    amount = s["cumulative_sat"]
    made = settlement(
        [c], [amount], [c.pay(secrets[0], amount)], secrets[1:], bytes.fromhex(s["payout_script"]), s["fee_sat"]
    )
    check("settlement", made.serialize().hex(), s["transaction"])
    check("settlement's fee at 2 sat/vB", made.vsize() * 2, s["fee_sat"])
    refund_vector(c, secrets[0], v["refund"], 276)
    closing_vector(c, secrets, {**v["cooperative_close"], "payout_script": s["payout_script"]})
    return c, secrets


def refund_vector(c, secret, v, fee):
    made = Transaction(2, [c.input(c.delay)], [(c.capacity - fee, bytes.fromhex(v["destination"]))])
    signature = sign(secret, made.sighash(0, [c.output], c.refund_leaf))
    made.witnesses = [[signature, c.refund_leaf, c.refund_control]]
    check("refund", made.serialize().hex(), v["transaction"])
    return made


def closing_vector(c, secrets, v):
    payout = bytes.fromhex(v["payout_script"])
    made = c.closing(v["balance_sat"], v["fee_sat"], payout)
    message = made.sighash(0, [c.output], c.payment_leaf, DEFAULT)
    offer = bytes.fromhex(v["consumer_signature"])
    check("close's signature", sign(secrets[0], message).hex(), v["consumer_signature"])
    refuse("close verified", c.consumer, message, offer)
    made.witnesses = [[sign(secrets[1], message), offer, c.payment_leaf, c.payment_control]]
    check("close", made.serialize().hex(), v["transaction"])
    if "dust_limit_sat" in v:
        check("dust limit", dust_limit(payout), v["dust_limit_sat"])


def settlement_vector(v):
    channels, consumers, providers = [], [], []
    for m in v["channels"]:
        consumer, provider = (bytes.fromhex(m[side + "_secret_key"]) for side in ("consumer", "provider"))
        change = bytes.fromhex(m["change_script"])
        keys = (public(consumer), public(provider))
        c = Channel(*keys, m["refund_delay_blocks"], m["capacity_sat"], change, m["outpoint"])
        check("payment's signature", c.pay(consumer, m["cumulative_sat"]).hex(), m["signature"])
        channels.append(c)
        consumers.append(bytes.fromhex(m["signature"]))
        providers.append(provider)
    amounts = [m["cumulative_sat"] for m in v["channels"]]
    made = settlement(channels, amounts, consumers, providers, bytes.fromhex(v["payout_script"]), v["fee_sat"])
    check("settlement of several", made.serialize().hex(), v["transaction"])
    check("its payout", made.outputs[-1][0], v["payout_sat"])
    check("settlement's fee at 2 sat/vB", made.vsize() * 2, v["fee_sat"])


def text_form(text):
    return struct.pack(">I", len(text.encode())) + text.encode()


def terms_form(t):
    """Section 4's table, in its order."""
    form = struct.pack(">H", t["version"]) + bytes.fromhex(t["chain"]) + text_form(t["stream"])
    form += struct.pack(">H", len(t["tracks"]))
    for track in t["tracks"]:
        form += struct.pack(">H", ("audio", "video").index(track["kind"])) + text_form(track["codecs"])
    for name, kind in (
        ("rate_msat_per_s", "Q"),
        ("opening_sat", "Q"),
        ("window_ms", "I"),
        ("min_capacity_sat", "Q"),
        ("max_capacity_sat", "Q"),
        ("min_refund_delay_blocks", "H"),
        ("max_refund_delay_blocks", "H"),
        ("commitment_fee_rate_sat_per_kvb", "Q"),
        ("min_confirmations", "H"),
        ("unconfirmed_limit_sat", "Q"),
        ("settle_delay_ms", "I"),
        ("valid_ms", "I"),
    ):
        form += struct.pack(">" + kind, t[name])
    return form + bytes.fromhex(t["channel_key"]) + session_form(t)


def session_form(t):
    names = ("provider_certificate", "consumer_certificate", "provider_nonce", "consumer_nonce")
    return b"".join(bytes.fromhex(t[name]) for name in names)


def signed(what, tag, form, v, key, secret=None):
    check(f"{what}'s form", form.hex(), v["canonical_form"])
    check(f"{what}'s tag", tag, v["tag"])
    message = tagged(tag, form)
    if "hash" in v:
        check(f"{what}'s hash", message.hex(), v["hash"])
    if secret:
        check(f"{what}'s signature", sign(secret, message).hex(), v["signature"])
    refuse(f"{what} verified", key, message, bytes.fromhex(v["signature"]))


def signed_vectors(terms, rate, resume, consumer):
    identity = bytes.fromhex(terms["identity_key"])
    secret = bytes.fromhex(terms["identity_secret_key"])
    signed("terms", "streamium-pay/terms/1", terms_form(terms["terms"]), terms, identity, secret)
    offer = rate["offer"]
    form = struct.pack(">IQI", offer["number"], offer["rate_msat_per_s"], offer["answer_ms"]) + session_form(rate)
    signed("rate", "streamium-pay/rate/1", form, rate, identity, secret)
    check("rate's session", session_form(rate), session_form(terms["terms"]))
    txid, vout = outpoint_of(resume["outpoint"])
    form = txid + struct.pack(">I", vout) + session_form(resume)
    signed("resume", "streamium-pay/resume/1", form, resume, public(consumer), consumer)


INTEGER = lambda value: type(value) is int and value >= 0
TEXT = lambda value: isinstance(value, str)
HEX = lambda n: lambda value: bool(re.fullmatch("[0-9a-f]{%d}" % (2 * n), value))
SOME_HEX = lambda value: bool(re.fullmatch("([0-9a-f]{2})+", value))
OUTPOINT = lambda value: bool(re.fullmatch("[0-9a-f]{64}:(0|[1-9][0-9]*)", value))
CLOSING = lambda value: all(fits(v, "outpoint balance_sat fee_sat signature") for v in value)
FIELDS = {
    "versions": lambda value: all(map(INTEGER, value)),
    "chain": HEX(32), "nonce": HEX(32), "outpoint": OUTPOINT, "consumer_key": HEX(32), "change_script": HEX(34),
    "transaction": SOME_HEX, "payout_script": SOME_HEX, "txid": HEX(32), "reason": TEXT, "words": TEXT, "code": TEXT,
    "closing": CLOSING, "signature": HEX(64), "terms": lambda value: terms_form(value) is not None,
    "gate": lambda value: value in "open unpaid starved unconfirmed paused silent closed".split(),
    "state": lambda value: value in "seen confirmed rejected".split(),
    "output": INTEGER, "number": INTEGER, "confirmations": INTEGER, "refund_delay_blocks": INTEGER,
}  # fmt: skip
# Section 8. What is optional is in brackets.
CONSUMER = {
    "hello": "versions chain nonce", "resume": "outpoint signature", "renew": "",
    "open": "capacity_sat consumer_key change_script refund_delay_blocks", "commitment": "transaction output",
    "payment": "outpoint cumulative_sat signature", "pause": "", "play": "", "accept-rate": "number",
    "close": "reason [closing] [refused_rate]", "ping": "", "pong": "", "error": "code words",
}  # fmt: skip
PROVIDER = {
    "terms": "terms signature", "not-resumed": "outpoint reason", "accept": "payout_script", "busy": "reason",
    "resumed": "outpoint balance_sat [signature] carried_sat consumed_msat payout_script", "refused": "reason",
    "channel": "outpoint state [confirmations] [reason]", "credit": "outpoint balance_sat consumed_msat gate",
    "rate": "number rate_msat_per_s answer_ms signature", "rate-changed": "number", "close": "reason",
    "settled": "outpoint txid", "ping": "", "pong": "", "error": "code words",
}  # fmt: skip


def fits(message, fields, **special):
    words = fields.split()
    needed = {word for word in words if word[0] != "["}
    known = {word.strip("[]") for word in words}
    kinds = {**FIELDS, **special}
    given = set(message) - {"type"}
    return needed <= given <= known and all(kinds.get(name, INTEGER)(message[name]) for name in given)


def message_forms(v):
    for side, forms in (("consumer", CONSUMER), ("provider", PROVIDER)):
        check(f"messages of the {side}", {m["type"] for m in v[side]}, set(forms))
        for message in v[side]:
            kind = message["type"]
            paying = {"signature": HEX(65)} if kind in ("payment", "resumed") else {}
            check(f"form of {kind}", (message, fits(message, forms[kind], **paying)), (message, True))


def main(folder):
    names = ("channel", "terms", "rate", "messages", "settlement", "closing", "refund", "resume")
    files = {path.stem: json.loads(path.read_text()) for path in pathlib.Path(folder).glob("*.json")}
    check("the files", sorted(files), sorted(names))
    c, secrets = channel_vectors(files["channel"])
    settlement_vector(files["settlement"])
    for v in files["closing"]["closings"]:
        closing_vector(c, secrets, v)
    for v in files["refund"]["refunds"]:
        made = refund_vector(c, secrets[0], v, v["fee_sat"])
        check("refund's size", made.vsize(), v["vsize"])
        check("refund's fee", v["fee_rate_sat_per_vb"] * made.vsize(), v["fee_sat"])
    signed_vectors(files["terms"], files["rate"], files["resume"], secrets[0])
    message_forms(files["messages"])
    for what, times in checked.items():
        print(f"{times:4} {what}")


main(sys.argv[1])
