"""Tokens of an issuer: which are taken, what they allow, and how its keys change."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from unstuck.errors import SetupError, Unauthenticated
from unstuck.guard import tokens
from unstuck.guard.tokens import Tokens, read_config, read_keys, rights_in

ISSUER = "https://login.example.com/"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
STRANGER = rsa.generate_private_key(65537, 2048)


def jwk(key, kid, **fields):
    kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", **fields}


def jwks(*keys):
    return json.dumps({"keys": keys})


def token(key=RSA, kid="a", alg="RS256", without=(), **claims):
    claims = {"iss": ISSUER, "aud": "unstuck", "exp": time.time() + 60, "sub": "bob", "scope": "predict:m", **claims}
    kept = {name: value for name, value in claims.items() if name not in without}
    return jwt.encode(kept, key, alg, headers={"kid": kid} if kid else {})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "keys.json").write_text(jwks(jwk(RSA, "a"), jwk(EC, "b")))
    return tmp_path


@pytest.fixture
def made(folder):
    """``made(audience=…)``: the verifier that such a file asks for."""

    def make(**fields):
        (folder / "jwt.yaml").write_text(
            yaml.safe_dump({"issuer": ISSUER, "audience": "unstuck", "jwks": "keys.json", **fields})
        )
        return Tokens(folder / "jwt.yaml")

    return make


def test_a_token_of_the_issuer_is_taken(made):
    grant = made().verify(token(exp=2_000_000_000))
    assert (grant.name, grant.rights, grant.expires_at) == ("bob", {"predict": ("m",)}, 2_000_000_030)
    assert made().verify(token(EC, "b", "ES256")).name == "bob"


@pytest.mark.parametrize("credential", ["", "unstuck_x", "a.b", "." * 5, "a." + "b" * 20_000 + ".c"])
def test_what_is_no_token_is_left_to_others(made, credential):
    assert made().verify(credential) is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"exp": 1_000_000_000}, "it has expired"),
        ({"nbf": 4_000_000_000}, "it is of a later time"),
        ({"iss": "https://other.example.com/"}, "it is of another issuer"),
        ({"aud": "other"}, "it is for another audience"),
        ({"without": ["exp"]}, "lacks one of exp, iss and aud"),
        ({"without": ["aud"]}, "lacks one of exp, iss and aud"),
        ({"without": ["iss"]}, "lacks one of exp, iss and aud"),
        ({"key": STRANGER}, "its signature is wrong"),
        ({"kid": "c"}, "it names a key that the issuer's set does not have"),
        ({"kid": ""}, "it names a key that the issuer's set does not have"),
        ({"alg": "RS512"}, "its algorithm is not allowed"),
        ({"kid": "b"}, "."),  # an RSA signature under the name of the EC key
    ],
)
def test_other_tokens_are_refused_with_the_reason_and_not_shown(made, given, says):
    sent = token(**given)
    with pytest.raises(Unauthenticated, match=says) as caught:
        made().verify(sent)
    assert all(part not in str(caught.value) for part in sent.split("."))


def packed(part):
    return base64.urlsafe_b64encode(part if isinstance(part, bytes) else json.dumps(part).encode()).rstrip(b"=")


CLAIMS = {"iss": ISSUER, "aud": "unstuck", "exp": 4_000_000_000, "sub": "eve", "scope": "admin"}


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None])
def test_an_unsigned_token_is_refused(made, alg):
    head = packed({"alg": alg, "typ": "JWT", "kid": "a"})
    for signature in (b"", b"eA"):
        with pytest.raises(Unauthenticated):
            made().verify(b".".join([head, packed(CLAIMS), signature]).decode())


HOSTILE = [
    b"[" * 10_000,
    b"null",
    b"[]",
    b'"x"',
    b"\xff",
    b'{"alg": {}, "kid": []}',
    b'{"alg": "RS256", "kid": {"a": 1}}',
    b'{"alg": "RS256", "kid": "a", "crit": ["x"], "b64": false}',
    b'{"alg": ["RS256"], "kid": "a"}',
]


@pytest.mark.parametrize("head", HOSTILE)
def test_hostile_headers_are_refused(made, head):
    for sent in (b".".join([packed(head), packed(CLAIMS), b"eA"]).decode(), "é.é.é", "..", "\ud800.a.b"):
        with pytest.raises(Unauthenticated, match="The token is not valid"):
            made().verify(sent)


def test_the_public_key_is_no_shared_secret(made):
    pem = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    signed = packed({"alg": "HS256", "typ": "JWT", "kid": "a"}) + b"." + packed(CLAIMS)
    forged = signed + b"." + packed(hmac.new(pem, signed, hashlib.sha256).digest())
    with pytest.raises(Unauthenticated, match="algorithm is not allowed"):
        made().verify(forged.decode())


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS257", 5])
def test_algorithms_that_prove_nothing_cannot_be_configured(made, algorithm):
    with pytest.raises(SetupError, match="algorithms: expected some of RS256"):
        made(algorithms=["RS256", algorithm])


def test_clocks_may_differ_a_little(made):
    assert made().verify(token(exp=time.time() - 10, nbf=time.time() + 10)) is not None
    with pytest.raises(Unauthenticated, match="expired"):
        made(leeway_seconds=0).verify(token(exp=time.time() - 10))


def test_a_token_without_kid_means_the_only_key(made, folder):
    (folder / "keys.json").write_text(jwks(jwk(RSA, "a")))
    assert made().verify(token(kid="")) is not None


@pytest.mark.parametrize(
    ("claim", "rights"),
    [
        ("predict:a predict:b* status", {"predict": ("a", "b*"), "status": ("*",)}),
        (["admin", "openid", "profile:x"], {"admin": ("*",)}),
        ("predict: write:m", {}),
        (None, {}),
        ({"predict": 1}, {}),
        ("predict:a:b", {"predict": ("a:b",)}),
    ],
)
def test_scopes_become_rights(claim, rights):
    assert rights_in(claim) == rights


def test_another_claim_may_have_them(made):
    assert made(scope_claim="roles").verify(token(roles=["status:m"])).rights == {"status": ("m",)}


def test_keys_are_rotated(made, folder):
    verifier = made()
    with pytest.raises(Unauthenticated, match="or not yet"):
        verifier.verify(token(STRANGER, "c"))
    (folder / "keys.json").write_text(jwks(jwk(STRANGER, "c")))
    assert verifier.watch.look()
    assert verifier.verify(token(STRANGER, "c")) is not None
    with pytest.raises(Unauthenticated):
        verifier.verify(token())
    (folder / "keys.json").write_text("{}")
    assert not verifier.watch.look()
    assert verifier.verify(token(STRANGER, "c")) is not None


def test_shared_secrets_and_keys_for_encryption_are_not_used(caplog):
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "s"}
    assert list(read_keys(jwks(secret, jwk(RSA, "e", use="enc"), jwk(EC, "b")).encode(), "keys")) == ["b"]
    assert "keys[0] is a shared secret" in caplog.text
    assert "c2VjcmV0" not in caplog.text
    for content in (jwks(secret), "{}", "[", '{"keys": [1]}', '{"keys": {"a": 1}}'):
        with pytest.raises(SetupError):
            read_keys(content.encode(), "keys")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"issuer": None}, "issuer: expected text, got None"),
        ({"audience": ""}, "audience: expected text"),
        ({"jwks": ""}, "jwks: expected text"),
        ({"scope_claim": 1}, "scope_claim: expected text, got 1"),
        ({"leeway_seconds": 601}, "leeway_seconds: expected 0 to 600, got 601"),
        ({"leeway_seconds": "x"}, "leeway_seconds"),
        ({"algorithms": []}, "algorithms"),
        ({"secret": "x"}, "there is no field 'secret'"),
        ({"jwks": "http://keys.example.com/"}, "expected a URL that begins with https://"),
        ({"jwks": "file:///etc/passwd"}, "expected a URL that begins with https://"),
    ],
)
def test_a_file_with_mistakes_is_refused_by_its_field(made, fields, says):
    with pytest.raises(SetupError, match=says):
        made(**fields)


def test_the_issuer_must_be_a_url_where_it_names_the_keys(tmp_path):
    file = tmp_path / "jwt.yaml"
    file.write_text("issuer: us\naudience: unstuck")
    with pytest.raises(SetupError, match="jwks is not given, and the issuer 'us' is no URL"):
        read_config(file)
    file.write_text("- a")
    with pytest.raises(SetupError, match="expected issuer and audience, got list"):
        read_config(file)
    with pytest.raises(SetupError, match="cannot be read"):
        read_config(tmp_path / "none.yaml")


@pytest.fixture
def pages(monkeypatch):
    """What URLs answer; an error where they are not in it."""
    answers = {}

    def fetch(url):
        if url not in answers:
            raise SetupError(f"{url} cannot be read: nobody there.")
        return answers[url].encode()

    monkeypatch.setattr(tokens, "_fetch", fetch)
    return answers


def test_the_issuer_says_where_its_keys_are(folder, pages, caplog):
    (folder / "jwt.yaml").write_text(f"issuer: {ISSUER}\naudience: unstuck")
    verifier = Tokens(folder / "jwt.yaml")
    assert not verifier.watch.look()  # it does not answer: nobody gets in, and the server serves on
    assert "nothing of it is in force yet" in caplog.text
    with pytest.raises(Unauthenticated):
        verifier.verify(token())
    discovery = ISSUER + ".well-known/openid-configuration"
    pages[discovery] = json.dumps({"issuer": ISSUER, "jwks_uri": "https://keys.example.com/"})
    pages["https://keys.example.com/"] = jwks(jwk(RSA, "a"))
    assert verifier.watch.look()
    assert verifier.verify(token()) is not None
    pages[discovery] = json.dumps({"issuer": "x", "jwks_uri": "https://evil.example.com/"})
    assert not verifier.watch.look()
    assert "of another issuer" in caplog.text
    assert verifier.verify(token()) is not None


def test_a_key_that_is_not_known_is_looked_for_soon(folder, pages):
    (folder / "jwt.yaml").write_text(f"issuer: {ISSUER}\naudience: unstuck\njwks: https://keys.example.com/")
    pages["https://keys.example.com/"] = jwks(jwk(RSA, "a"))
    verifier = Tokens(folder / "jwt.yaml")
    verifier.watch._retry_s = 0.01
    verifier.watch.start()
    try:
        accepted(verifier, token())
        pages["https://keys.example.com/"] = jwks(jwk(STRANGER, "c"))
        accepted(verifier, token(STRANGER, "c"))  # long before it is read again anyway
    finally:
        verifier.watch.stop()


def accepted(verifier, sent):
    """Waits until it is."""
    while True:
        try:
            return verifier.verify(sent)
        except Unauthenticated:
            time.sleep(0.01)
