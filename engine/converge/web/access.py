"""Who may look: the token and the sessions it opens, and wrong tries slowed down."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from converge.model.secret import Secret

COOKIE = "__Host-converge"
SESSION = 12 * 3600  # seconds
FREE_TRIES = 3  # wrong tries of one address before it has to wait
LONGEST_WAIT = 300.0  # seconds
MOST_ADDRESSES = 2000  # whose wrong tries are remembered


class Access:
    """Checks tokens and sessions. `in_address`: the token was made for this process alone, and may stand in an address."""

    def __init__(self, token: Secret, *, in_address: bool = False, clock: Callable[[], float] = time.time) -> None:
        self._token = _digest(token.reveal())
        self.in_address = in_address
        self._key = secrets.token_bytes(32)  # sessions end with this process
        self._clock = clock
        self.tries = Tries(clock)

    def is_token(self, given: str) -> bool:
        """Whether it is the token, in a time that does not tell how much of it is right."""
        return hmac.compare_digest(_digest(given), self._token)

    def session(self) -> str:
        """A new session as the value of its cookie."""
        until = str(int(self._clock()) + SESSION)
        return f"{until}.{self._signed(until)}"

    def is_session(self, cookie: str) -> bool:
        """Whether it is a session of this process that has not run out."""
        until, _, signature = cookie.partition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._signed(until).encode()):
            return False
        return int(until) > self._clock()

    def _signed(self, until: str) -> str:
        return hmac.new(self._key, until.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@dataclass(slots=True)
class Tries:
    """Wrong tries by address: after a few, each makes the next wrong one wait twice as long. The right token never waits."""

    clock: Callable[[], float]
    _wrong: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)

    def wait(self, address: str) -> float:
        """Seconds until a wrong try of this address is listened to again."""
        _, until = self._wrong.get(address, (0, 0.0))
        return max(0.0, until - self.clock())

    def failed(self, address: str) -> None:
        """It tried and was wrong."""
        count = self._wrong.pop(address, (0, 0.0))[0] + 1
        pause = min(LONGEST_WAIT, 2.0 ** min(count - FREE_TRIES + 1, 20)) if count >= FREE_TRIES else 0.0
        self._wrong[address] = (count, self.clock() + pause)
        while len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """It knows the token."""
        self._wrong.pop(address, None)
