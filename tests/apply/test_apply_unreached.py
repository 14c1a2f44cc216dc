"""A host with which no conversation comes about is unreachable, whichever cause of it is named."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from tests.apply.apply_site import HOST, Site, statuses
from tests.apply.test_apply_undo import value

from converge.apply.host import check
from converge.errors import DeadlineExceeded, HostUnreachable, LoginRefused
from converge.model.answer import Answers
from converge.model.journal import History
from converge.model.query import AnyQuery

CAUSES = [
    HostUnreachable("no answer"),
    HostUnreachable("nothing listens", code="nothing-listens"),
    HostUnreachable("no version of TLS in common", code="tls"),
    HostUnreachable("signed by nobody known", code="certificate"),
    HostUnreachable("no ticket", code="no-ticket"),
    LoginRefused("wrong password"),
    DeadlineExceeded("too slow"),
]


class Dead:
    """An observer that never gets through."""

    host = HOST
    round_trips = 0

    def __init__(self, error: HostUnreachable) -> None:
        self.error = error

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        raise self.error


@pytest.mark.parametrize("error", CAUSES, ids=[error.code for error in CAUSES])
def test_whatever_the_cause(site: Site, error: HostUnreachable) -> None:
    result = check(
        site.plays([value("Text", "new")]), observer=Dead(error), variables={}, history=History(),
        run="check", options=site.options(),
    )  # fmt: skip
    assert (result.status.value, statuses(result)) == ("unreachable", {})
    assert result.error is not None
    assert (result.error.code, result.error.what) == (error.code, error.what)
