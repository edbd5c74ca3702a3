"""Who calls the API: access tokens of Amazon Cognito or, for development, of an issuer on this machine.

The environment variables are those of :class:`retail_warehouse.settings.TokenSettings`.
"""

import contextlib
import hashlib
import json
import logging
import math
import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import requests
from cachetools import LRUCache
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from jwt.algorithms import RSAAlgorithm
from jwt.utils import base64url_encode
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

from retail_warehouse.settings import TokenSettings

READ = "transactions/read"
WRITE = "transactions/write"
READ_PREDICTIONS = "predictions/read"

LONGEST_TOKEN = 8_192  # characters; Cognito's have some 1,000
LEEWAY = 10  # seconds that the clocks of issuer and service may differ
VERDICTS = 1_024  # tokens remembered

KEYS_FRESH = 3_600  # seconds until the key set is read again
KEYS_STALE = 24 * 3_600  # seconds that it serves while the issuer cannot be read
KEYS_PAUSE = 30  # seconds between two requests for it, whatever the tokens say and whether or not they succeed
LARGEST_KEY_SET = 65_536  # bytes; Cognito's has some 1,000
_TIMEOUT = (3, 5)  # seconds to connect, and without a byte
READ_SECONDS = 8.0  # for the whole key set, however slowly it comes
_WAIT = 10.0  # seconds for a key set that is being read
_SHORT_WAIT = 0.5  # seconds, where the last one will do

_LOCAL_CLIENT = "local"
_LONGEST_BOUND = 250  # characters of what a token is bound to
_KEY_SIZE = 2_048  # bits; smaller keys are not taken
_THIS_MACHINE = ("localhost", "127.0.0.1")

_log = logging.getLogger(__name__)


class TokenError(Exception):
    """The token is not valid (401). The message is for the operator's log and quotes nothing of the token."""


class IssuerError(TokenError):
    """No token can be checked, since the issuer's keys cannot be read. The caller is not at fault (503)."""


class ScopeError(Exception):
    """The token is valid but does not allow this (403). The message is for the operator's log."""


class ConfigurationError(Exception):
    """A setting stops the service from starting. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller that a token stands for.

    Args:
        subject: Id of the user or, for a program by itself, of its client.
        client: Client that the token was issued to.
        scopes: What it may do, such as ``READ``.
        customer: The customer whose invoices alone it may read, as the token has it.
        user: The user whose predictions alone it may read, as the token has it.
        deliveries: Prefix of the only delivery names that it may send.
        is_bound: Whether it may read nothing but what is named above.
        may_send: Whether it may send rows at all, if its scopes allow it.
    """

    subject: str
    client: str
    scopes: frozenset[str]
    customer: str | None = None
    user: str | None = None
    deliveries: str | None = None
    is_bound: bool = False
    may_send: bool = True

    def require(self, scope: str) -> None:
        """Make sure that the token grants a scope.

        Raises:
            ScopeError: The token does not grant it.
        """
        if scope not in self.scopes:
            raise ScopeError(f"The token does not grant {scope}.")

    def sends(self, delivery: str) -> bool:
        """Whether it may send rows of a delivery: of any, or of one whose name is, or goes on from, what it is bound
        to. ``till-1`` covers ``till-1`` and ``till-1/monday``, but not ``till-10``.

        Args:
            delivery: Name of the delivery.
        """
        if self.deliveries is None:
            return self.may_send
        rest = delivery.removeprefix(self.deliveries)
        if len(rest) == len(delivery):
            return False
        return not (rest and self.deliveries[-1].isalnum() and rest[0].isalnum())


@dataclass(frozen=True, slots=True)
class Claims:
    """Names of the claims that bind a token; none binds where it is empty.

    Args:
        customer: Claim that names the only customer whose invoices the token may read.
        user: Claim that names the only user whose predictions the token may read.
        deliveries: Claim with the prefix of the only delivery names that the token may send.
        are_required: Whether a person's token must carry the claims that are named to be accepted.
    """

    customer: str = ""
    user: str = ""
    deliveries: str = ""
    are_required: bool = True

    def caller(self, claims: dict, subject: str, client: str, scopes: frozenset[str]) -> Caller:
        """Whom a token speaks for, and what it is bound to.

        A program's own token (client credentials) has its client for a subject. It reads everything unless a claim
        binds it. A person's token without the claims that are named reads and sends nothing: a missing claim must not
        grant more than a present one.

        Raises:
            TokenError: Such a claim is no text or number.
        """
        customer, user, deliveries = (_bound_to(claims, name) for name in (self.customer, self.user, self.deliveries))
        is_program = subject == client or not self.are_required
        is_bound = customer is not None or user is not None
        if (self.customer or self.user) and not is_program:
            is_bound = True
        may_send = deliveries is not None or is_program or not self.deliveries
        return Caller(subject, client, scopes, customer, user, deliveries, is_bound, may_send)


# Of the local issuer.
LOCAL_CLAIMS = Claims("customer_id", "user_id", "delivery_prefix", are_required=False)


def _bound_to(claims: dict, name: str) -> str | None:
    value = claims.get(name) if name else None
    if value is None:
        return None
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_BOUND:
        raise TokenError("A claim that binds the token is no text.")
    return value


@dataclass(frozen=True, slots=True)
class _Verdict:
    """A token that was found valid.

    Args:
        caller: Whom it speaks for.
        kid: Id of the key that signed it.
        key: That key: another one may come under the same id.
        until: Seconds since 1970 at which it ends, leeway included.
    """

    caller: Caller
    kid: str
    key: RSAPublicKey
    until: float


class Verifier:
    """Checks the access tokens of one issuer. Safe to use from several threads.

    A token that was found good is remembered and costs no signature check again, until it expires or its key is no
    longer the issuer's.
    """

    def __init__(
        self,
        issuer: str,
        clients: Iterable[str],
        find_key: Callable[[str], RSAPublicKey | None],
        clock: Callable[[], float] = time.time,
        bound_by: Claims = Claims(),
    ) -> None:
        """Trust one issuer.

        Args:
            issuer: The exact ``iss`` of its tokens.
            clients: Client ids whose tokens are taken.
            find_key: Gives the issuer's key of an id, or None; may raise ``IssuerError``.
            clock: Seconds since 1970.
            bound_by: Claims that bind its tokens.
        """
        self._issuer = issuer
        self._bound_by = bound_by
        self._clients = frozenset(clients)
        self._find_key = find_key
        self._clock = clock
        self._find_now = getattr(find_key, "now", find_key)  # without waiting
        self._verdicts: LRUCache[bytes, _Verdict] = LRUCache(VERDICTS)  # by SHA-256 of the token
        self._lock = threading.Lock()  # of the verdicts

    def verify(self, token: str | None) -> Caller:
        """Check a token. It may ask the issuer for its keys, so call it from a thread that may wait.

        Args:
            token: The access token alone, without ``Bearer``.

        Raises:
            TokenError: The token is missing, malformed, forged, expired, or not meant for this service.
            IssuerError: There are no keys to judge it by.
        """
        if not token or not isinstance(token, str):
            raise TokenError("There is no token.")
        if len(token) > LONGEST_TOKEN:
            raise TokenError(f"The token is longer than {LONGEST_TOKEN:,} characters.")
        if not token.isascii():
            raise TokenError("The token is no JWT.")
        digest, verdict = self._cached(token)
        if verdict is not None:
            # Asking for the key also renews the key set when it is due, however few tokens are new.
            if self._holds(verdict, self._find_key):
                return verdict.caller
            with self._lock:
                self._verdicts.pop(digest, None)
        verdict = self._judge(token)
        with self._lock:
            self._verdicts[digest] = verdict
        return verdict.caller

    def remembered(self, token: str | None) -> Caller | None:
        """The caller of a token that was found valid before and still is; None for any other token. Never waits.

        Args:
            token: The access token alone, without ``Bearer``.
        """
        if not token or len(token) > LONGEST_TOKEN or not token.isascii():
            return None
        _, verdict = self._cached(token)
        return verdict.caller if verdict is not None and self._holds(verdict, self._find_now) else None

    def _cached(self, token: str) -> tuple[bytes, _Verdict | None]:
        """The SHA-256 of a token, and the verdict on it that is remembered."""
        digest = hashlib.sha256(token.encode()).digest()
        with self._lock:
            return digest, self._verdicts.get(digest)

    def _holds(self, verdict: _Verdict, find_key: Callable[[str], RSAPublicKey | None]) -> bool:
        """Whether a verdict is still right: the token has not expired, and its key is still the issuer's."""
        return self._clock() < verdict.until and find_key(verdict.kid) == verdict.key

    def may_wait(self, token: str | None) -> bool:
        """Whether the issuer may have to be asked before the token can be judged."""
        knows = getattr(self._find_key, "knows", None)
        if knows is None or not token or len(token) > LONGEST_TOKEN or not token.isascii():
            return False
        kid = None
        with contextlib.suppress(jwt.PyJWTError, ValueError, RecursionError):
            kid = jwt.get_unverified_header(token).get("kid")
        return isinstance(kid, str) and not knows(kid)

    def _judge(self, token: str) -> _Verdict:
        # PyJWT's errors quote the token, so they are not even kept as the context of ours.
        header = claims = None
        with contextlib.suppress(jwt.PyJWTError, ValueError, RecursionError):
            header = jwt.get_unverified_header(token)
        if header is None:
            raise TokenError("The token is no JWT.")
        # Checked before the key is looked up: a token that cannot be valid must not cause a request to the issuer.
        if header.get("alg") != "RS256":
            raise TokenError("The token is not signed by RS256.")
        if "crit" in header:
            raise TokenError("The token asks for an extension that the service does not know.")
        # The key comes from the configured issuer only. jku, jwk, x5u and x5c in the token cannot be trusted.
        kid = header.get("kid")
        if not kid:
            raise TokenError("The token does not name its key.")
        key = self._find_key(kid)
        if key is None:
            raise TokenError("The issuer has no such key.")
        with contextlib.suppress(jwt.PyJWTError, ValueError, RecursionError):
            claims = jwt.decode(token, key, algorithms=["RS256"], options=_SIGNATURE_ONLY)
        if claims is None:
            raise TokenError("The signature of the token is wrong, or its content is no JSON object.")
        if claims.get("iss") != self._issuer:
            raise TokenError("The token comes from another issuer.")
        until = self._until(claims)
        if claims.get("token_use") != "access":  # Cognito's ID tokens tell a client who its user is, and grant nothing
            raise TokenError("The token is no access token.")
        caller = self._bound_by.caller(claims, _subject(claims), self._client(claims), _scopes(claims))
        return _Verdict(caller, kid, key, until)

    def _until(self, claims: dict) -> float:
        now = self._clock()
        if "exp" not in claims:
            raise TokenError("The token never expires.")
        for name in ("exp", "nbf", "iat"):
            value = claims.get(name, 0)
            if type(value) not in (int, float) or (type(value) is float and not math.isfinite(value)):
                raise TokenError(f"{name} of the token is no time.")
            if name != "exp" and value > now + LEEWAY:
                raise TokenError(f"The token is not valid yet, says its {name}.")
        until = claims["exp"] + LEEWAY
        if now >= until:
            raise TokenError("The token has expired.")
        return until

    def _client(self, claims: dict) -> str:
        """The client that a token was issued to: ``client_id`` or, from issuers without it, the one ``aud``.

        Where a token has both, ``aud`` has to name this service too (RFC 7519 section 4.1.3).
        """
        audience = claims.get("aud", [])
        audience = [audience] if isinstance(audience, str) else audience
        if not isinstance(audience, list) or not all(isinstance(name, str) for name in audience):
            raise TokenError("aud of the token is neither a text nor a list of texts.")
        if "aud" in claims and self._clients.isdisjoint(audience):
            raise TokenError("The token is meant for another service.")
        client = claims.get("client_id", audience[0] if len(audience) == 1 else None)
        if not isinstance(client, str) or client not in self._clients:
            raise TokenError("The token was issued to no client of this service.")
        return client


# PyJWT would read the clock itself, and take "1" for a time.
_SIGNATURE_ONLY = {f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "iss", "aud", "sub", "jti")}


def _subject(claims: dict) -> str:
    subject = claims.get("sub")
    if not subject or not isinstance(subject, str):
        raise TokenError("The token speaks for nobody.")
    return subject


def _scopes(claims: dict) -> frozenset[str]:
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise TokenError("scope of the token is no text.")
    return frozenset(scope.split(" ")) - {""}


def read_key_set(key_set: dict) -> dict[str, RSAPublicKey]:
    """The keys of a JSON Web Key Set that may sign tokens with RS256, by id. Other keys are ignored.

    Raises:
        ValueError: It is no key set.
    """
    if not isinstance(key_set, dict) or not isinstance(key_set.get("keys"), list):
        raise ValueError("it is no JSON Web Key Set")
    keys = {}
    for entry in key_set["keys"]:
        if not isinstance(entry, dict) or entry.get("kty") != "RSA" or not isinstance(entry.get("kid"), str):
            continue
        if entry.get("alg", "RS256") != "RS256" or entry.get("use", "sig") != "sig":
            continue
        with contextlib.suppress(jwt.PyJWTError, ValueError, TypeError):
            key = RSAAlgorithm.from_jwk(entry)
            if isinstance(key, RSAPublicKey) and key.key_size >= _KEY_SIZE:
                keys[entry["kid"]] = key
    return keys


class IssuerKeys:
    """The key set of an issuer, downloaded when needed and cached. Call it with the id of a key.

    It is read again after ``KEYS_FRESH`` seconds, and when a token names a key that it does not hold, but never twice
    within ``KEYS_PAUSE`` seconds, and for ``READ_SECONDS`` at most. While that fails the last one serves on, for
    ``KEYS_STALE`` seconds at most. A thread of its own reads; those whose key is there hardly wait for it.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask nobody yet.

        Args:
            url: Address of the key set.
            clock: Seconds, from any start.
        """
        self._url = url
        self._clock = clock
        self._fetched: tuple[dict[str, RSAPublicKey], float] = ({}, -math.inf)  # keys and time; replaced as one
        self._asked_at = -math.inf
        self._lock = threading.Lock()  # of the two below
        self._done = threading.Event()  # whether nobody is reading
        self._done.set()

    def knows(self, kid: str) -> bool:
        """Whether the key is cached, so that the issuer need not be asked."""
        keys, fetched_at = self._fetched
        return kid in keys and self._clock() - fetched_at < KEYS_STALE

    def now(self, kid: str) -> RSAPublicKey | None:
        """The cached key of an id, or None. A key set that has become old is downloaded again in the background."""
        keys, fetched_at = self._fetched
        age = self._clock() - fetched_at
        if age >= KEYS_FRESH:
            self._refreshed()
        return keys.get(kid) if age < KEYS_STALE else None

    def __call__(self, kid: str) -> RSAPublicKey | None:
        """The key of an id, or None.

        Raises:
            IssuerError: There is no key set, or it is too old.
        """
        keys, fetched_at = self._fetched
        age = self._clock() - fetched_at
        if kid in keys and age < KEYS_FRESH:
            return keys[kid]
        self._refreshed().wait(_SHORT_WAIT if kid in keys and age < KEYS_STALE else _WAIT)
        keys, fetched_at = self._fetched
        if self._clock() - fetched_at >= KEYS_STALE:
            raise IssuerError(f"The keys of the issuer cannot be read from {self._url}.")
        return keys.get(kid)

    def _refreshed(self) -> threading.Event:
        """Start a download of the key set if one is due, and return the event that ends it."""
        with self._lock:
            now = self._clock()
            if self._done.is_set() and now - self._asked_at >= KEYS_PAUSE:
                self._asked_at, self._done = now, threading.Event()
                reading = threading.Thread(target=self._refresh, args=(now, self._done), name="key-set", daemon=True)
                reading.start()
            return self._done

    def _refresh(self, now: float, done: threading.Event) -> None:
        try:
            keys = read_key_set(json.loads(self._download()))
        except (requests.RequestException, OSError, ValueError, RecursionError) as error:
            _log.warning("The key set at %s cannot be read, the last one, if any, serves on: %s", self._url, error)
        else:
            self._fetched = (keys, now)
        finally:
            done.set()

    def _download(self) -> bytes:
        body = b""
        with contextlib.ExitStack() as stack:
            session = stack.enter_context(requests.Session())
            adapter = _Watched()
            for scheme in ("http://", "https://"):
                session.mount(scheme, adapter)
            # The time limits of `requests` are for each byte.
            end = threading.Timer(READ_SECONDS, adapter.cut)
            end.daemon = True
            end.start()
            stack.callback(end.cancel)
            # A redirect could lead from https to http.
            response = stack.enter_context(session.get(self._url, timeout=_TIMEOUT, stream=True, allow_redirects=False))
            if response.status_code != 200:
                raise ValueError(f"the issuer answers {response.status_code}")
            for piece in response.iter_content(4_096):
                body += piece
                if len(body) > LARGEST_KEY_SET:
                    raise ValueError(f"it is larger than {LARGEST_KEY_SET:,} bytes")
        return body


class _Watched(HTTPAdapter):
    """Connections that can be cut by another thread."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._is_cut = False
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """See the base class."""
        super().init_poolmanager(*arguments, **options)

        def watched(kind: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
            adapter = self

            class Connection(kind.ConnectionCls):  # type: ignore[name-defined, misc]
                def _new_conn(self) -> socket.socket:
                    opened = super()._new_conn()
                    adapter._sockets.append(opened.dup())  # TLS takes the first one
                    if adapter._is_cut:
                        adapter.cut()
                    return opened

            return type("Pool", (kind,), {"ConnectionCls": Connection})

        kinds = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
        self.poolmanager.pool_classes_by_scheme = {scheme: watched(kind) for scheme, kind in kinds.items()}

    def cut(self) -> None:
        """Close the connections, so that a download ends at once."""
        self._is_cut = True
        for opened in self._sockets:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See the base class."""
        super().close()
        for opened in self._sockets:
            opened.close()


class LocalIssuer:
    """Issues tokens like Cognito's on this machine, for development. Whoever can read its key can issue any token."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """Take the key of a folder, or make it; processes that start at once get the same one.

        Args:
            folder: Where the key lies, in ``local-issuer.pem``; made if missing.
            clock: Seconds since 1970.

        Raises:
            ConfigurationError: The file holds no such key.
            OSError: It cannot be read or made.
        """
        self._clock = clock
        self._key = _local_key(folder / "local-issuer.pem")
        public = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        members = {name: public[name] for name in ("e", "kty", "n")}
        # The thumbprint of RFC 7638 is unique to the key.
        canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
        self._kid = base64url_encode(hashlib.sha256(canonical).digest()).decode()
        self._public = members | {"kid": self._kid, "use": "sig", "alg": "RS256"}

    @property
    def issuer(self) -> str:
        """``iss`` of its tokens: ``local:`` and the thumbprint of its key."""
        return f"local:{self._kid}"

    def key_set(self) -> dict:
        """The public JSON Web Key Set."""
        return {"keys": [dict(self._public)]}

    def token(
        self,
        scopes: Iterable[str],
        subject: str = "local",
        hours: float = 1.0,
        customer: str | None = None,
        user: str | None = None,
        deliveries: str | None = None,
    ) -> str:
        """Issue an access token.

        Args:
            scopes: What it grants, such as ``[READ]``.
            subject: Whom it speaks for.
            hours: Hours until it expires.
            customer: The only customer whose invoices it may read.
            user: The only user whose predictions it may read.
            deliveries: Prefix of the only delivery names that it may send.
        """
        now = int(self._clock())
        claims = {
            "iss": self.issuer,
            "sub": subject,
            "client_id": _LOCAL_CLIENT,
            "token_use": "access",
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + round(hours * 3_600),
            "jti": str(uuid.uuid4()),
        }
        bound = zip(
            (LOCAL_CLAIMS.customer, LOCAL_CLAIMS.user, LOCAL_CLAIMS.deliveries),
            (customer, user, deliveries),
            strict=True,
        )
        claims |= {name: value for name, value in bound if value is not None}
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._kid})

    def verifier(self) -> Verifier:
        """A verifier that trusts this issuer alone."""
        return Verifier(self.issuer, [_LOCAL_CLIENT], read_key_set(self.key_set()).get, self._clock, LOCAL_CLAIMS)


def _local_key(path: Path) -> RSAPrivateKey:
    if not path.exists():
        _make_local_key(path)
    key = None
    with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, RSAPrivateKey) or key.key_size < _KEY_SIZE:
        raise ConfigurationError(f"{path} holds no RSA key; remove it, and a new one is made.")
    return key


def _make_local_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = generate_private_key(public_exponent=65_537, key_size=_KEY_SIZE).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # A temporary file has mode 0600, and the link is the same file. Whoever links first wins, the others read that key.
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".local-issuer-") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)


def verifier_from_environment(folder: Path) -> Verifier:
    """The verifier that the environment asks for: of Cognito or, without ``COGNITO_ISSUER``, of the local issuer.

    The issuer is not asked yet, so that the service starts while it is down.

    Args:
        folder: Where the local issuer has its key; not looked at with ``COGNITO_ISSUER``.

    Raises:
        ConfigurationError: A variable is missing or wrong, or would leave the local issuer trusted by mistake.
        OSError: The key of the local issuer cannot be read or made.
    """
    given = TokenSettings()
    environment, issuer = given.retail_warehouse_env, given.cognito_issuer
    if environment not in ("development", "production"):
        raise ConfigurationError("RETAIL_WAREHOUSE_ENV is neither development nor production.")
    clients, key_set_url = given.cognito_client_ids, given.cognito_jwks_url
    bound_by = Claims(given.cognito_customer_claim, given.cognito_user_claim, given.cognito_delivery_claim)
    if not issuer:
        if environment == "production":
            raise ConfigurationError(
                "COGNITO_ISSUER is not set, and in production (RETAIL_WAREHOUSE_ENV) tokens of the local issuer are "
                "not trusted. Set it to https://cognito-idp.<region>.amazonaws.com/<pool>."
            )
        if clients or key_set_url or bound_by != Claims():
            raise ConfigurationError(
                "COGNITO_ISSUER is not set, but COGNITO_CLIENT_IDS, COGNITO_JWKS_URL or a COGNITO_..._CLAIM is. Set "
                "all for Cognito, or none for the local issuer."
            )
        return LocalIssuer(folder).verifier()
    _check_address("COGNITO_ISSUER", issuer)
    if issuer.endswith("/"):  # iss has to be equal to the letter
        raise ConfigurationError("COGNITO_ISSUER ends with a slash, unlike the iss of Cognito's tokens.")
    client_ids = {client.strip() for client in clients.split(",")} - {""}
    if not client_ids:
        raise ConfigurationError("COGNITO_CLIENT_IDS is not set. Name the app clients whose tokens are taken.")
    key_set_url = key_set_url or f"{issuer}/.well-known/jwks.json"
    _check_address("COGNITO_JWKS_URL", key_set_url)
    return Verifier(issuer, client_ids, IssuerKeys(key_set_url), bound_by=bound_by)


def _check_address(name: str, address: str) -> None:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port  # the port raises if it is none
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(f"{name} is not a plain https address.")
    if parts.scheme == "http" and host not in _THIS_MACHINE:
        raise ConfigurationError(f"{name} is an http address, which anyone on the way could change; use https.")
