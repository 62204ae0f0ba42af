# SPDX-License-Identifier: MIT
"""Independent vectors: Wycheproof's and RFC 7520's signatures, as labelled. They stand beside the project and not in it, so
this is skipped where they are absent."""
import base64
import json
import os
import subprocess
import tempfile
import unittest

from harness import PROGRAM, ROOT

VECTORS = os.path.join(ROOT, "..", "shared", "vectors")

# Labelled valid, and refused: a foreign character was inserted (372, 373), or the key's `alg` is not the token's (346, 347, 350, 351).
REFUSED_ALTHOUGH_VALID = {372, 373, 346, 347, 350, 351}
# Labelled invalid for their padding, which the file has lost: byte for byte the valid 357 with the same key.
VALID_ALTHOUGH_INVALID = {367, 370}


def verify(keys, tokens):
    """One answer a token, in order; tokens with a line end go by themselves."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(keys, file)
        file.flush()
        command = [PROGRAM, "verify", "--signature-only", "--jwks", file.name]
        text = "".join(token.replace("\n", "\x01") + "\n" for token in tokens)
        run = subprocess.run([*command, "-"], input=text, capture_output=True, text=True, timeout=60)
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    if len(answers) != len(tokens):
        raise AssertionError(f"{len(tokens)} tokens, {len(answers)} answers: {run.stderr}")
    return answers


@unittest.skipUnless(os.path.isdir(VECTORS), "the vectors are not here")
class Vectors(unittest.TestCase):
    def test_every_signature_is_judged_as_labelled(self):
        with open(os.path.join(VECTORS, "json_web_signature_test.json"), encoding="utf-8") as file:
            groups = json.load(file)["testGroups"]
        count = 0
        for group in groups:
            keys = group.get("public") or group["private"]
            tests = [test for test in group["tests"] if isinstance(test["jws"], str)]
            for test, answer in zip(tests, verify(keys, [test["jws"] for test in tests])):
                expected = test["result"] == "valid" and test["tcId"] not in REFUSED_ALTHOUGH_VALID
                expected = expected or test["tcId"] in VALID_ALTHOUGH_INVALID
                with self.subTest(tcId=test["tcId"], comment=test["comment"]):
                    self.assertEqual(answer["ok"], expected, answer)
                count += 1
        self.assertEqual(count, 401)

    def test_the_cookbooks_compact_examples(self):
        """RFC 7520 4.1 to 4.3: RS256, PS384, ES512 with their public keys, and 4.4: HS256."""
        pairs = {
            "4_1.rsa_v15_signature": "3_3.rsa_public_key", "4_2.rsa-pss_signature": "3_3.rsa_public_key",
            "4_3.ecdsa_signature": "3_1.ec_public_key", "4_4.hmac-sha2_integrity_protection": "3_5.symmetric_key_mac_computation",
        }  # fmt: skip
        for example, key in pairs.items():
            with open(os.path.join(VECTORS, "cookbook-jws", example + ".json"), encoding="utf-8") as file:
                compact = json.load(file)["output"]["compact"]
            with open(os.path.join(VECTORS, "cookbook-jwk", key + ".json"), encoding="utf-8") as file:
                jwk = json.load(file)
            jwk = jwk.get("key", jwk)
            with self.subTest(example):
                head, payload, signature = compact.split(".")
                raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
                raw[0] ^= 1
                forged = ".".join((head, payload, base64.urlsafe_b64encode(raw).decode().rstrip("=")))
                good, bad = verify({"keys": [jwk]}, [compact, forged])
                self.assertEqual((good["ok"], bad["ok"]), (True, False), (good, bad))

    def test_what_is_not_compact_is_refused(self):
        for example in ("4_5.signature_with_detached_content", "4_6.protecting_specific_header_fields", "4_8.multiple_signatures"):
            with open(os.path.join(VECTORS, "cookbook-jws", example + ".json"), encoding="utf-8") as file:
                output = json.load(file)["output"]
            for form, value in output.items():
                text = value if isinstance(value, str) else json.dumps(value)
                with self.subTest(example=example, form=form):
                    self.assertFalse(verify({"keys": []}, [text])[0]["ok"])


if __name__ == "__main__":
    unittest.main()
