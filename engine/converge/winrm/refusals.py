"""Why there is no conversation, in words: what was seen, the likely causes in their order, and what to do."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from converge.errors import DeadlineExceeded, HostUnreachable, LoginRefused, RemoteProtocolError
from converge.model.extras import how_to_install
from converge.model.opening import read_bounded
from converge.winrm import kerberos
from converge.winrm.connection import Connection, Login

REQUEST_TOO_LARGE: Final = 413
_LARGEST_CERTIFICATE: Final = 1024 * 1024  # bytes
_SCHEMES: Final = {
    Login.NEGOTIATE: "negotiate",
    Login.BASIC: "basic",
    Login.KERBEROS: "kerberos",
    Login.CREDSSP: "credssp",
}


class RequestTooLarge(RemoteProtocolError):
    """The host takes no request of this size; it did nothing."""

    code = "request-too-large"


def login_refused(
    connection: Connection, *, offered: str, login: Login | None = None, ticket: kerberos.TicketRefused | None = None
) -> LoginRefused:
    """A 401: the likely causes, the likeliest first.

    `offered` is what the host says it would take, `login` what was tried, `ticket` why it was not Kerberos.
    """
    login = login or connection.login
    causes = _causes(connection, login, offered.lower())
    if ticket is not None:
        causes.append(
            (f"Kerberos, which was tried first, gave no ticket ({ticket})", "set ansible_winrm_transport: kerberos")
        )
    return LoginRefused(
        f"{connection.endpoint} does not accept {_account(connection)} ({login})",
        why=_listed([cause for cause, _ in causes]),
        try_=_listed(list(dict.fromkeys(remedy for _, remedy in causes))),
    )


def _account(connection: Connection) -> str:
    if connection.login is Login.CERTIFICATE:
        return f"the certificate {connection.certificate}"
    return connection.username or "the account of the ticket"


_NO_REALM: Final = (
    "the name of the realm is not the one this machine is set up for, or its servers are not found",
    "write the account as user@REALM, the realm in capitals; name its servers in krb5.conf, or check the DNS",
)
_NO_TICKET: Final = (
    "there is no ticket for the account, or it has ended",
    "run `kinit user@REALM`, or give converge the password",
)
_CLOCKS: Final = (
    "the clocks differ by more than five minutes",
    "set this machine's clock, the host's and the realm's alike",
)
_WRONG_PASSWORD: Final = ("the password is wrong", "check the password")
_UNKNOWN_NAME: Final = (
    "the realm knows no HTTP/{host}: the host is not in the domain, or known there under another name",
    "set ansible_host to the name of the host in its domain, or look with `setspn -Q HTTP/{host}`",
)
_OTHER_KEY: Final = (
    "HTTP/{host} belongs to another account of the domain than the computer's own",
    "look for it twice with `setspn -X`, and whether the name leads to this host",
)
_LOCKED: Final = ("the account is locked, disabled or over", "look at the account in the domain, and unlock it")
_TICKET_CAUSES: Final[dict[int, tuple[tuple[str, str], ...]]] = {
    kerberos.CLIENT_UNKNOWN: (("the realm knows no such account", "check the account's name"), _NO_REALM),
    kerberos.SERVER_UNKNOWN: (_UNKNOWN_NAME,),
    kerberos.REVOKED: (_LOCKED,),
    kerberos.PASSWORD_EXPIRED: (("the password has expired", "change the password"),),
    kerberos.PREAUTHENTICATION_FAILED: (_WRONG_PASSWORD, _CLOCKS),
    kerberos.BAD_INTEGRITY: (_WRONG_PASSWORD, _OTHER_KEY),
    kerberos.TICKET_EXPIRED: (_NO_TICKET, _CLOCKS),
    kerberos.CLOCK_SKEW: (_CLOCKS,),
    kerberos.MODIFIED: (_OTHER_KEY,),
    kerberos.OTHER_KEY: (_OTHER_KEY,),
    kerberos.NO_SUCH_CREDENTIAL: (_NO_TICKET,),
    kerberos.NO_CACHE: (_NO_TICKET,),
    kerberos.REALM_UNKNOWN: (_NO_REALM,),
    kerberos.REALM_UNRESOLVED: (_NO_REALM,),
    kerberos.KDC_UNREACHABLE: (
        ("the realm's servers do not answer", "check the firewalls on the way to port 88 of the domain controllers"),
        _NO_REALM,
    ),
}


def ticket_refused(connection: Connection, refused: kerberos.TicketRefused) -> HostUnreachable:
    """Kerberos says no: the likely causes, the likeliest first. LoginRefused where it is the account that was refused."""
    causes = _TICKET_CAUSES.get(refused.number, (_NO_TICKET, _UNKNOWN_NAME, _NO_REALM, _CLOCKS))
    account = connection.username or "the account of the ticket"
    what = f"no Kerberos ticket lets {account} in at {connection.endpoint}"
    why = _listed([cause for cause, _ in causes]).format(host=connection.address)
    remedy = _listed([remedy for _, remedy in causes]).format(host=connection.address)
    why = f"{why} ({refused})"
    if refused.is_of_account:
        return LoginRefused(what, why=why, try_=remedy)
    return HostUnreachable(what, why=why, try_=remedy, code="no-ticket")


def _listed(sentences: list[str]) -> str:
    return "; or ".join(sentences)


def _causes(connection: Connection, login: Login, offered: str) -> list[tuple[str, str]]:
    return [*_scheme_causes(connection, login, offered), *_account_causes(connection, login)]


def _scheme_causes(connection: Connection, login: Login, offered: str) -> list[tuple[str, str]]:
    scheme = _SCHEMES.get(login)
    accepted = {"negotiate", "kerberos"} if login is Login.KERBEROS else {scheme}
    named = dict.fromkeys(re.findall(r"\b(?:negotiate|kerberos|basic|credssp)\b", offered))
    if offered and scheme and not accepted & set(named):
        schemes = ", ".join(named) or "none known here"
        setting = "set ansible_winrm_transport to one of: " + schemes
        if login in (Login.BASIC, Login.CREDSSP):
            # Off unless somebody switched them on.
            name = "Basic" if login is Login.BASIC else "CredSSP"
            setting += f'; or on the host: winrm set winrm/config/service/auth @{{{name}="true"}}'
        return [(f"the host does not offer {scheme}, only {schemes}", setting)]
    if login is Login.BASIC and _in_domain(connection):
        return [("Basic knows only the host's own accounts", "use the negotiate transport for accounts of a domain")]
    return []


def _account_causes(connection: Connection, login: Login) -> list[tuple[str, str]]:
    if login is Login.CERTIFICATE:
        return _certificate_causes(connection)
    network = (
        "the account is locked or disabled, or may not log on over the network",
        "look at the host's Security log",
    )
    if login is Login.KERBEROS:
        # The realm gave a ticket, so the password was right.
        return [network, (_OTHER_KEY[0].format(host=connection.address), _OTHER_KEY[1]), _CLOCKS]
    found = [("the password is wrong or has expired", "check the password")]
    if not _in_domain(connection) and connection.username.lower() != "administrator":
        found.append(
            (
                "a local account other than Administrator is filtered by UAC over the network",
                "set LocalAccountTokenFilterPolicy to 1 on the host, or use an account of the domain",
            )
        )
    return [*found, network]


def _certificate_causes(connection: Connection) -> list[tuple[str, str]]:
    found = [
        (
            "the certificate is mapped to no account of the host",
            "winrm create winrm/config/service/certmapping on the host, for the user's name in the certificate",
        ),
        (
            "logins by certificate are off, as they are at first",
            'winrm set winrm/config/service/auth @{Certificate="true"} on the host',
        ),
        (
            "the host does not trust the authority of the certificate",
            "put the authority among the host's trusted roots",
        ),
    ]
    over = _certificate_is_over(connection.certificate)
    return [(over, "get a new certificate"), *found] if over else found


def own_certificate_refused(connection: Connection, reason: str) -> HostUnreachable:
    """The line broke where the host looks at the certificate that we showed."""
    causes = _certificate_causes(connection)
    return HostUnreachable(
        f"{connection.endpoint} does not accept {_account(connection)} ({connection.login})",
        why=f"{_listed([cause for cause, _ in causes])} ({reason})",
        try_=_listed([remedy for _, remedy in causes]),
        code="certificate",
    )


def _certificate_is_over(path: str | None) -> str:
    """Words for a certificate of ours that is not valid now; empty where it is, or cannot be read."""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(read_bounded(path or "", most=_LARGEST_CERTIFICATE))
    except (OSError, ValueError):
        return ""
    now = datetime.now(UTC)
    if certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return ""
    return f"the certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"


def _in_domain(connection: Connection) -> bool:
    return "\\" in connection.username or "@" in connection.username


def cut_in_login(connection: Connection, why: str, *, expired: bool) -> HostUnreachable:
    """The line broke before the login was done."""
    if expired:
        return silent(connection, why)
    return HostUnreachable(f"{connection.endpoint} broke off during the login", why=why)


def odd_login(connection: Connection, why: str) -> HostUnreachable:
    """What came back is no part of a login."""
    what = f"{connection.endpoint} does not answer a login as {connection.login} demands"
    return HostUnreachable(what, why=why[:300], code="remote-protocol")


def silent(connection: Connection, why: str) -> DeadlineExceeded:
    """No whole answer within the time one request is given."""
    by = connection.read_timeout_from
    return DeadlineExceeded(
        f"{connection.endpoint} is silent or too slow: {why}",
        why=f"that is how long the inventory waits: {by}" if by else "",
        try_=f"look whether the host is overloaded, or raise {by.partition(':')[0] or 'ansible_winrm_read_timeout_sec'}",
    )


def says_too_much(connection: Connection, limit: int) -> HostUnreachable:
    """The host goes on and on: nobody is listened to for ever."""
    return HostUnreachable(
        f"{connection.endpoint} has sent more than converge's own limit of {limit // 1024**2} MiB for one host",
        try_="look what answers there",
        code="says-too-much",
    )


def host_deadline(connection: Connection) -> DeadlineExceeded:
    """The whole conversation took longer than the host was given."""
    return DeadlineExceeded(f"{connection.host} was given {connection.host_timeout:g} s in all, and they are over")


def unreadable_authorities(connection: Connection, error: OSError) -> HostUnreachable:
    """The file or folder of authorities is not there, or holds none."""
    why = f"{connection.ca_trust_path} cannot be read as certificates: {error.strerror or error}"
    return transport_unavailable(connection, why)


def transport_unavailable(connection: Connection, reason: str) -> HostUnreachable:
    """The login needs a library or a file that is not there."""
    extra = "kerberos" if connection.login is Login.KERBEROS else ""
    remedy = f"{how_to_install(extra)}, or use another transport" if extra else "check the transport's settings"
    return HostUnreachable(
        f"the {connection.login} transport cannot be used here", why=reason, try_=remedy, code="transport-unavailable"
    )


def check_status(connection: Connection, status: int, *, sealed: bool, empty: bool) -> None:
    """Raises for every HTTP status that carries no message.

    HostUnreachable or RequestTooLarge where the host did not look at the request, RemoteProtocolError where nobody knows.
    """
    endpoint = connection.endpoint
    if status == 200 or (status == 500 and not empty):
        return
    if status == 500 and not sealed and not connection.is_https:
        raise HostUnreachable(
            f"{endpoint} refuses messages that are not encrypted",
            try_="leave ansible_winrm_message_encryption at auto, or use https",
            code="unencrypted-refused",
        )
    if status >= 500 and status != 503:
        raise RemoteProtocolError(f"{endpoint} answers with HTTP status {status} and without a message")
    if status == REQUEST_TOO_LARGE:
        raise RequestTooLarge(f"{endpoint} takes no request of this size", try_="raise MaxEnvelopeSizekb on the host")
    if 300 <= status < 400:
        raise HostUnreachable(
            f"{endpoint} sends us elsewhere, which is not followed", try_="check ansible_host and the port"
        )
    what, remedy = _STATUSES.get(
        status, (f"answers with HTTP status {status}", "check that WinRM answers at this address")
    )
    raise HostUnreachable(f"{endpoint} {what}", try_=remedy, code="not-winrm" if status in (404, 405, 415) else None)


_STATUSES: Final = {
    400: ("cannot read the request (HTTP 400)", "check that nothing on the way changes it"),
    403: ("forbids the request (HTTP 403)", "check the listener's IP filters"),
    404: ("has no WinRM there (HTTP 404)", "check ansible_winrm_path; a host that is starting answers so too"),
    405: ("takes no requests there (HTTP 405)", "check the port and ansible_winrm_path"),
    415: ("takes no SOAP there (HTTP 415)", "check the port and ansible_winrm_path"),
    503: ("has no WinRM service running, or one that is overloaded (HTTP 503)", "start the WinRM service on the host"),
}
