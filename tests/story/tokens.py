# SPDX-License-Identifier: MIT
"""Tokens and keys made by the openssl command line, so that nothing of jotgate's own signs what jotgate verifies."""
import base64
import functools
import hashlib
import hmac
import json
import os
import subprocess
import tempfile
import time
import uuid

SECRET = "a-legacy-secret-of-more-than-32-bytes-for-tests"
HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}
CURVES = {"ES256": ("P-256", 32), "ES384": ("P-384", 48), "ES512": ("P-521", 66)}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True, timeout=60).stdout


def der(data):
    """(tag, content, rest) of the first element."""
    tag, length, at = data[0], data[1], 2
    if length & 0x80:
        n = length & 0x7F
        length, at = int.from_bytes(data[2 : 2 + n], "big"), 2 + n
    return tag, data[at : at + length], data[at + length :]


def der_list(data):
    items = []
    while data:
        tag, content, data = der(data)
        items.append((tag, content))
    return items


class Key:
    """A key pair of one algorithm; the private half lives in a temporary file for the openssl command."""

    def __init__(self, algorithm="ES256", kid=None, bits=2048):
        self.algorithm = algorithm
        self.kid = str(uuid.uuid4()) if kid is None else kid
        family = algorithm[:2]
        if family == "ES":
            options = ["-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{CURVES[algorithm][0]}"]
        elif family in ("RS", "PS"):
            options = ["-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}"]
        else:
            options = ["-algorithm", "ED25519"]
        handle, self.path = tempfile.mkstemp(prefix="story-key-", suffix=".pem")
        os.close(handle)
        openssl("genpkey", *options, "-out", self.path)
        self.public_pem = openssl("pkey", "-in", self.path, "-pubout")

    def __del__(self):
        try:
            os.unlink(self.path)
        except (OSError, AttributeError):
            pass

    @property
    def private_pem(self):
        with open(self.path, encoding="ascii") as file:
            return file.read()

    def jwk(self, **more):
        spki = der(openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER"))[1]
        bits = der_list(spki)[1][1][1:]
        jwk = {"kid": self.kid, "alg": self.algorithm, "use": "sig", "key_ops": ["verify"], "ext": True}
        if self.algorithm in CURVES:
            name, width = CURVES[self.algorithm]
            jwk |= {"kty": "EC", "crv": name, "x": b64(bits[1 : 1 + width]), "y": b64(bits[1 + width :])}
        elif self.algorithm == "EdDSA":
            jwk |= {"kty": "OKP", "crv": "Ed25519", "x": b64(bits)}
        else:
            n, e = (content for _, content in der_list(der(bits)[1]))
            jwk |= {"kty": "RSA", "n": b64(n.lstrip(b"\0")), "e": b64(e)}
        return jwk | more

    def sign(self, data):
        if self.algorithm == "EdDSA":
            with tempfile.NamedTemporaryFile() as file:
                file.write(data)
                file.flush()
                return openssl("pkeyutl", "-sign", "-inkey", self.path, "-rawin", "-in", file.name)
        options = ["dgst", f"-sha{self.algorithm[2:]}", "-sign", self.path]
        if self.algorithm.startswith("PS"):
            options += ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
        signature = openssl(*options, data=data)
        if self.algorithm in CURVES:
            width = CURVES[self.algorithm][1]
            r, s = (int.from_bytes(content, "big") for _, content in der_list(der(signature)[1]))
            signature = r.to_bytes(width, "big") + s.to_bytes(width, "big")
        return signature

    def token(self, claims, header=None):
        return assemble({"alg": self.algorithm, "typ": "JWT", "kid": self.kid} | (header or {}), claims, self.sign)


class Secret:
    """A shared secret (HS256)."""

    def __init__(self, secret=SECRET, algorithm="HS256", kid=None):
        self.secret, self.algorithm, self.kid = secret, algorithm, kid

    def sign(self, data):
        secret = self.secret if isinstance(self.secret, bytes) else self.secret.encode()
        return hmac.new(secret, data, HASHES[self.algorithm[2:]]).digest()

    def token(self, claims, header=None):
        kid = {"kid": self.kid} if self.kid else {}
        return assemble({"alg": self.algorithm, "typ": "JWT"} | kid | (header or {}), claims, self.sign)


def assemble(header, claims, sign):
    """A compact JWS; header and claims may be given as text, to say what a JSON library would not. None leaves a member out."""
    parts = []
    for part in (header, claims):
        if isinstance(part, dict):
            part = json.dumps({k: v for k, v in part.items() if v is not None}, separators=(",", ":"))
        parts.append(b64(part if isinstance(part, bytes) else part.encode()))
    text = ".".join(parts)
    return text + "." + b64(sign(text.encode()))


def user_claims(issuer, **changes):
    """What Supabase Auth writes into an access token."""
    now = int(time.time())
    claims = {
        "iss": issuer, "aud": "authenticated", "role": "authenticated", "sub": str(uuid.uuid4()), "iat": now, "exp": now + 3600,
        "email": "ada@example.com", "phone": "", "app_metadata": {"provider": "email", "providers": ["email"]},
        "user_metadata": {}, "aal": "aal1", "amr": [{"method": "password", "timestamp": now}],
        "session_id": str(uuid.uuid4()), "is_anonymous": False,
    }  # fmt: skip
    return claims | changes


@functools.cache
def shared_key(algorithm="ES256"):
    """One key pair a process; tests that rotate keys make their own."""
    return Key(algorithm)
