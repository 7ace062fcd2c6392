"""BIP340 signatures, BIP341 scripts and signature hashes, and transactions: from the BIPs, slow and without any package."""

import hashlib
import struct

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
DEFAULT, SINGLE_ANYONECANPAY = 0x00, 0x83


def sha256(data):
    return hashlib.sha256(data).digest()


def tagged(tag, data):
    name = sha256(tag.encode())
    return sha256(name + name + data)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    if a == b:
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k, point):
    total = None
    while k:
        if k & 1:
            total = add(total, point)
        point, k = add(point, point), k >> 1
    return total


def lift_x(x):
    """The point with this x and an even y, or None."""
    if x >= P:
        return None
    square = (pow(x, 3, P) + 7) % P
    y = pow(square, (P + 1) // 4, P)
    if y * y % P != square:
        return None
    return x, y if y % 2 == 0 else P - y


def to32(n):
    return n.to_bytes(32, "big")


def public(secret):
    return to32(times(int.from_bytes(secret, "big"), G)[0])


def sign(secret, message):
    """BIP340 with 32 zero bytes in the place of auxiliary randomness."""
    d = int.from_bytes(secret, "big")
    point = times(d, G)
    d = d if point[1] % 2 == 0 else N - d
    masked = to32(d ^ int.from_bytes(tagged("BIP0340/aux", bytes(32)), "big"))
    k = int.from_bytes(tagged("BIP0340/nonce", masked + to32(point[0]) + message), "big") % N
    r = times(k, G)
    k = k if r[1] % 2 == 0 else N - k
    e = int.from_bytes(tagged("BIP0340/challenge", to32(r[0]) + to32(point[0]) + message), "big") % N
    return to32(r[0]) + to32((k + e * d) % N)


def verifies(key, message, signature):
    point = lift_x(int.from_bytes(key, "big"))
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if point is None or r >= P or s >= N or len(signature) != 64:
        return False
    e = int.from_bytes(tagged("BIP0340/challenge", signature[:32] + key + message), "big") % N
    found = add(times(s, G), times(N - e, point))
    return found is not None and found[1] % 2 == 0 and found[0] == r


def compact(n):
    if n < 0xFD:
        return bytes([n])
    return b"\xfd" + struct.pack("<H", n)


def sized(data):
    return compact(len(data)) + data


def leaf_hash(script):
    return tagged("TapLeaf", b"\xc0" + sized(script))


def taproot(internal, a, b):
    """The output's script, and the control blocks, of two leaves."""
    ha, hb = leaf_hash(a), leaf_hash(b)
    root = tagged("TapBranch", min(ha, hb) + max(ha, hb))
    tweak = int.from_bytes(tagged("TapTweak", internal + root), "big")
    point = add(lift_x(int.from_bytes(internal, "big")), times(tweak, G))
    parity = bytes([0xC0 | point[1] % 2])
    return b"\x51\x20" + to32(point[0]), parity + internal + hb, parity + internal + ha


class Transaction:
    """Version, inputs [txid bytes, vout, script, sequence], outputs [value, script], lock time, witnesses."""

    def __init__(self, version, inputs, outputs, lock_time=0, witnesses=None):
        self.version, self.inputs, self.outputs = version, inputs, outputs
        self.lock_time, self.witnesses = lock_time, witnesses or []

    def serialize(self, witness=True):
        witness = witness and any(self.witnesses)
        out = struct.pack("<i", self.version) + (b"\x00\x01" if witness else b"")
        out += compact(len(self.inputs))
        for txid, vout, script, sequence in self.inputs:
            out += txid + struct.pack("<I", vout) + sized(script) + struct.pack("<I", sequence)
        out += compact(len(self.outputs))
        for value, script in self.outputs:
            out += struct.pack("<Q", value) + sized(script)
        if witness:
            for stack in self.witnesses:
                out += compact(len(stack)) + b"".join(map(sized, stack))
        return out + struct.pack("<I", self.lock_time)

    def txid(self):
        return sha256(sha256(self.serialize(False)))

    def vsize(self):
        return (3 * len(self.serialize(False)) + len(self.serialize()) + 3) // 4

    def sighash(self, index, spent, leaf, kind=DEFAULT):
        """BIP341 and BIP342, for a leaf and no annex; `spent` are the outputs that the inputs spend."""
        single = kind == SINGLE_ANYONECANPAY
        prevout = lambda i: i[0] + struct.pack("<I", i[1])
        output = lambda o: struct.pack("<Q", o[0]) + sized(o[1])
        form = b"\x00" + bytes([kind]) + struct.pack("<iI", self.version, self.lock_time)
        if not single:
            form += sha256(b"".join(map(prevout, self.inputs)))
            form += sha256(b"".join(struct.pack("<Q", value) for value, _ in spent))
            form += sha256(b"".join(sized(script) for _, script in spent))
            form += sha256(b"".join(struct.pack("<I", i[3]) for i in self.inputs))
            form += sha256(b"".join(map(output, self.outputs)))
        form += b"\x02"
        if single:
            own = self.inputs[index]
            form += prevout(own) + output(spent[index]) + struct.pack("<I", own[3])
            form += sha256(output(self.outputs[index]))
        else:
            form += struct.pack("<I", index)
        return tagged("TapSighash", form + leaf_hash(leaf) + b"\x00" + struct.pack("<I", 0xFFFFFFFF))


CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def polymod(values, generators, top, width):
    check = 1
    for value in values:
        high = check >> top
        check = (check & ((1 << top) - 1)) << width ^ value
        for bit, generator in enumerate(generators):
            check ^= generator if high >> bit & 1 else 0
    return check


def address(prefix, script):
    """BIP350, for a version-1 witness program."""
    bits = int.from_bytes(script[2:], "big") << 4
    data = [1] + [bits >> shift & 31 for shift in range(255, -1, -5)]
    spread = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    generators = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    check = polymod(spread + data + [0] * 6, generators, 25, 5) ^ 0x2BC830A3
    return prefix + "1" + "".join(CHARSET[d] for d in data + [check >> 5 * (5 - i) & 31 for i in range(6)])


def descriptor_checksum(text):
    """BIP380."""
    inputs = (
        "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~"
        "ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
    )
    symbols, groups = [], []
    for c in text:
        at = inputs.index(c)
        symbols.append(at & 31)
        groups.append(at >> 5)
        if len(groups) == 3:
            symbols.append(groups[0] * 9 + groups[1] * 3 + groups[2])
            groups = []
    if len(groups) == 1:
        symbols.append(groups[0])
    elif len(groups) == 2:
        symbols.append(groups[0] * 3 + groups[1])
    generators = (0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)
    check = polymod(symbols + [0] * 8, generators, 35, 5) ^ 1
    return "".join(CHARSET[check >> 5 * (7 - i) & 31] for i in range(8))
