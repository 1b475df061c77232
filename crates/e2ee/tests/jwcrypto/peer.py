"""Messages of rsa-jwe-1 and PS256 signatures by jwcrypto: an implementation that shares no line with ours.

    peer.py make DIR KEYS          writes DIR/message.jwe and DIR/sorted.jwe (to keys a and b), and DIR/statement.jws (by c)
    peer.py open KEY < JWE         checks a message as the profile says, opens it with KEY, prints what is inside
    peer.py verify JWK < JWS       verifies a compact PS256 JWS with a public JWK, prints the JWK's thumbprint and the payload
    peer.py sign KEY < PAYLOAD     prints a compact PS256 JWS

KEYS is the folder of PKCS #8 files. Written from the design and the RFCs, for the tests in ../jwcrypto.rs.
"""

import hashlib
import hmac
import json
import pathlib
import sys

from cryptography.hazmat.primitives.serialization import load_der_private_key
from jwcrypto.common import JWSEHeaderParameter, base64url_encode
from jwcrypto.jwa import JWA
from jwcrypto.jwe import JWE, InvalidJWEData
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

CRITICAL = ["cmt", "ekh"]


def pair(path):
    return JWK.from_pyca(load_der_private_key(pathlib.Path(path).read_bytes(), None))


def commitment(cek):
    return base64url_encode(hmac.digest(cek, b"tidings/jwe-commit/1", "sha256"))


def keys_hash(recipients):
    """Over (kid, encrypted key) of each recipient."""
    parts = [b"tidings/jwe-keys/1\0"]
    for kid, key in recipients:
        for part in (kid.encode(), key):
            parts += [len(part).to_bytes(8, "big"), part]
    return base64url_encode(hashlib.sha256(b"".join(parts)).digest())


def recipients_of(jwe):
    return [(json.loads(rec["header"])["kid"], rec["encrypted_key"]) for rec in jwe.objects["recipients"]]


def the_keys_are_those_of_the_header(jwe):
    header = json.loads(jwe.objects["protected"])
    return header["crit"] == CRITICAL and header["ekh"] == keys_hash(recipients_of(jwe))


# `ekh` is checked before any key is used. `cmt` is a function of the content key: it is checked once that is there.
REGISTRY = {
    "cmt": JWSEHeaderParameter("Commitment to the content encryption key", False, True, None),
    "ekh": JWSEHeaderParameter("Hash of the encrypted keys", False, True, the_keys_are_those_of_the_header),
}


def make(folder, keys):
    text = b"from python"
    # Wrapped first, since the header that is encrypted under names all wrapped keys.
    wrapped = JWE(text, protected={"alg": "RSA-OAEP-256", "enc": "A256GCM"}, flattened=False)
    for name in "ab":
        key = pair(f"{keys}/{name}.pk8")
        wrapped.add_recipient(key, header={"kid": key.thumbprint()})
    header = {"alg": "RSA-OAEP-256", "enc": "A256GCM", "crit": CRITICAL}
    header |= {"cmt": commitment(wrapped.cek), "ekh": keys_hash(recipients_of(wrapped))}
    sealed = JWE(text, protected=json.dumps(header, separators=(",", ":")), header_registry=REGISTRY)
    aad = base64url_encode(sealed.objects["protected"]).encode()
    iv, ciphertext, tag = JWA.encryption_alg("A256GCM").encrypt(wrapped.cek, aad, text)
    sealed.objects |= {"recipients": wrapped.objects["recipients"], "iv": iv, "ciphertext": ciphertext, "tag": tag}
    # jwcrypto sorts members by name; the profile has one order.
    serialized = sealed.serialize()
    (folder / "sorted.jwe").write_text(serialized)
    loose = json.loads(serialized)
    strict = {name: loose[name] for name in ("protected", "recipients", "iv", "ciphertext", "tag")}
    strict["recipients"] = [{"header": rec["header"], "encrypted_key": rec["encrypted_key"]} for rec in loose["recipients"]]
    (folder / "message.jwe").write_text(json.dumps(strict, separators=(",", ":")))
    (folder / "statement.jws").write_text(signed(pair(f"{keys}/c.pk8"), b"signed in python"))


def open_(path):
    raw = sys.stdin.read()
    key = pair(path)
    # Whoever does not know the two members must not open it (RFC 7516, 4.1.13), and jwcrypto does not.
    stranger = JWE()
    stranger.deserialize(raw)
    try:
        stranger.decrypt(key)
        sys.exit("opened without knowing what is critical")
    except InvalidJWEData as error:
        assert 'Unknown critical header: "cmt"' in str(error), error
    jwe = JWE(algs=["RSA-OAEP-256", "A256GCM"], header_registry=REGISTRY)
    jwe.deserialize(raw, key)
    mine = [kid for kid, _ in recipients_of(jwe)].count(key.thumbprint())
    header = json.loads(jwe.objects["protected"])
    if mine != 1 or len(jwe.cek) != 32 or header["cmt"] != commitment(jwe.cek):
        sys.exit("not of the profile")
    sys.stdout.buffer.write(jwe.payload)


def signed(key, payload):
    jws = JWS(payload)
    jws.add_signature(key, alg="PS256", protected={"alg": "PS256", "kid": key.thumbprint()})
    return jws.serialize(compact=True)


def verify(jwk):
    key = JWK.from_json(jwk)
    jws = JWS()
    jws.allowed_algs = ["PS256"]
    jws.deserialize(sys.stdin.read(), key)
    sys.stdout.buffer.write(key.thumbprint().encode() + b"\n" + jws.payload)


verb, *rest = sys.argv[1:]
if verb == "make":
    make(pathlib.Path(rest[0]), rest[1])
elif verb == "open":
    open_(rest[0])
elif verb == "verify":
    verify(rest[0])
elif verb == "sign":
    sys.stdout.write(signed(pair(rest[0]), sys.stdin.buffer.read()))
else:
    sys.exit(__doc__)
