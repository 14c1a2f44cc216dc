"""Keys that follow from the one random key of a store, each for a purpose of its own."""

from __future__ import annotations

import hashlib
import hmac


def key_name(key: bytes) -> str:
    """What tells a signing key apart without telling it."""
    return hmac.new(key, b"converge plan key", hashlib.sha256).hexdigest()[:16]


def derived_key(key: bytes, *, purpose: str, plan: str = "") -> bytes:
    """A key for one purpose and, where it is of a plan, for that plan: digests of two plans cannot be compared."""
    return hmac.new(key, f"converge {purpose} {plan}".encode(), hashlib.sha256).digest()
