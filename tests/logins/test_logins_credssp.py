"""CredSSP, which is only used when it is asked for by name. See test_logins_own_interpreter.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from tests.logins.conftest import PASSWORD, VERSION, Authority, Serve, version

from converge.errors import HostUnreachable, LoginRefused
from converge.lab.endpoint.host import Policy
from converge.lab.endpoint.mishaps import Mishap, MishapKind
from converge.winrm.connection import Login, Sealing

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("requests_credssp") is None,
        reason="the libraries of this login are not in this interpreter: an interpreter of its own runs these tests",
    ),
]

CREDSSP = Policy(negotiate=False, credssp=True)


def test_sealed_over_http(serve: Serve) -> None:
    assert version(serve(CREDSSP).url, login=Login.CREDSSP) == VERSION


@pytest.mark.parametrize("sealing", [Sealing.AUTO, Sealing.ALWAYS])
def test_over_https(serve: Serve, authority: Authority, of_the_host: Path, sealing: Sealing) -> None:
    served = serve(CREDSSP, certificate=of_the_host)
    assert version(served.url, login=Login.CREDSSP, sealing=sealing, ca_trust_path=str(authority.path)) == VERSION


def test_an_answer_in_the_clear_is_refused(serve: Serve) -> None:
    served = serve(CREDSSP)
    served.host.mishaps.add(Mishap(MishapKind.UNSEALED, times=2))
    with pytest.raises(HostUnreachable, match="in the clear"):
        version(served.url, login=Login.CREDSSP)


def test_a_wrong_password(serve: Serve) -> None:
    served = serve(CREDSSP)
    with pytest.raises(LoginRefused) as refused:
        version(served.url, login=Login.CREDSSP, password="wrong")
    assert refused.value.why.startswith("the password is wrong")
    assert PASSWORD not in str(refused.value)


def test_a_host_on_which_it_is_switched_off(serve: Serve) -> None:
    with pytest.raises(LoginRefused) as refused:
        version(serve(Policy()).url, login=Login.CREDSSP)
    assert "does not offer credssp, only negotiate" in refused.value.why
    assert 'winrm set winrm/config/service/auth @{CredSSP="true"}' in refused.value.try_
