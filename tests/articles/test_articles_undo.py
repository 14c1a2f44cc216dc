"""Runs of the remedies taken back, in every order: nothing that a later run brought is torn, and a dead end is told as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from converge.model.change import Status

if TYPE_CHECKING:
    from tests.articles.articles_lab import LabHost, LabHostMaker, leaves
else:
    from articles_lab import leaves

POINT = {"installation_point": r"D:\iis4fix"}
LEFT = (Status.OK, Status.CHANGED, Status.SKIPPED, Status.WAITING)
CASES = [  # image, first article, second, variables
    ("iis4-mail-news-broken", "Q245208", "Q197303", POINT),
    ("iis4-news-broken", "Q197303", "Q245208", POINT),
    ("exchange2000-smtp-removed", "Q312395", "Q277770", {}),
    ("exchange2000-smtp-removed", "Q277770", "Q312395", {}),
    ("exchange2000-dispatch-broken", "Q277770", "Q312395", {"smtp_was_reinstalled": True}),
    ("exchange2000-cluster-node-dispatch-broken", "Q277770", "Q312395", {}),
    ("exchange55-registry-disabled", "Q324332", "Q277770", {"keep_running": True}),
]


def brought(host: LabHost, article: str) -> int:
    """The number of the run that brought one article's remedy about, persons played where the image knows them."""
    plays = host.plays
    host.plays = tuple(play for play in plays if play.article == article)
    result = host.apply()
    for change in leaves(result):
        step = str(change.key.get("name"))
        if change.error is not None and change.error.code == "needs-operator" and step in host.world.steps:
            host.operator(step)
            host.apply()
    host.plays = plays
    return host.runs


def services(host: LabHost) -> dict[str, tuple[str, str]]:
    return {name: (held.state.value, held.start_mode.value) for name, held in host.world.services.items()}


@pytest.mark.parametrize("order", [(1, 0), (0, 1, 0)], ids=["newest first", "oldest first"])
@pytest.mark.parametrize(("image", "first", "second", "variables"), CASES)
def test_two_runs_are_taken_back_in_every_order(
    image: str, first: str, second: str, variables: dict[str, object], order: tuple[int, ...], lab_host: LabHostMaker
) -> None:
    host = lab_host(image, {first, second}, **variables)
    runs = [brought(host, first), brought(host, second)]
    for number in order:
        expected, before = host.undo(runs[number], only_look=True), services(host)
        result = host.undo(runs[number])
        assert expected.status is result.status
        for change in leaves(result):
            assert change.status in LEFT, (change.address, change.reason)
            if change.status is Status.WAITING:
                assert change.error is not None
                assert "converge undo run-" in change.error.try_ or "by hand" in change.error.try_
        if result.status is Status.WAITING:
            assert services(host) == before


def test_a_later_run_without_a_way_back_is_no_run_to_take_back_first(lab_host: LabHostMaker) -> None:
    host = lab_host("iis4-mail-news-broken", {"Q245208", "Q197303"}, **POINT)
    first, second = brought(host, "Q245208"), brought(host, "Q197303")
    before = host.state()
    result = host.undo(first)
    assert (result.status, host.state()) == (Status.WAITING, before)
    waiting = [change.error for change in result.changes if change.status is Status.WAITING]
    assert len(waiting) == 15
    for error in waiting:
        assert error is not None
        assert f"run-{second}" in error.what
        assert error.try_ == (
            f"what run run-{second} did there has no way back (the configuration of SMTP and NNTP): "
            f"where it must be as before run run-{first}, change it by hand"
        )
    assert host.running("SMTPSVC", "NNTPSVC", "W3SVC")


@pytest.mark.parametrize(
    ("image", "article", "variables"),
    [
        ("iis4-smtp-broken", "Q245208", {}),
        ("exchange2000-dispatch-broken", "Q277770", {}),
        ("exchange2003-dispatch-broken", "Q277770", {}),
        ("exchange55-registry-stopped", "Q324332", {}),
        ("exchange55-registry-disabled", "Q324332", {"keep_running": True}),
    ],
)
def test_a_remedy_that_is_taken_back_is_shown_again(
    image: str, article: str, variables: dict[str, object], lab_host: LabHostMaker
) -> None:
    host = lab_host(image, article, **variables)
    expected, before = [change.address for change in host.check().changes], services(host)
    host.apply()
    assert host.check().status is Status.OK
    assert host.undo().status is Status.CHANGED
    assert services(host) == before
    assert [change.address for change in host.check().changes] == expected
