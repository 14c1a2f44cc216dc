"""Kerberos and client certificates, carried by pywinrm and requests. The only file that knows pywinrm.

pywinrm brings the logins and the sealing (`winrm.transport.Transport`, `winrm.encryption.Encryption`). What it leaves
open is settled here: nothing is taken from the environment, no redirect is followed, no answer is larger or later than
allowed.
"""

from __future__ import annotations

from typing import Any, Final

import requests
from requests.exceptions import ConnectionError as LineError
from requests.exceptions import ConnectTimeout, ReadTimeout, RequestException
from urllib3.exceptions import HTTPError
from winrm.encryption import Encryption
from winrm.exceptions import WinRMError
from winrm.transport import Transport

from converge.errors import HostUnreachable, RemoteProtocolError
from converge.winrm import kerberos, refusals, unreached
from converge.winrm.connection import Connection, Login
from converge.winrm.http_line import CONNECT_SECONDS, Cut, HttpAnswer, new_tls
from converge.winrm.kerberos_login import KerberosAuth
from converge.winrm.line import Line, LineClosed, WatchedAdapter
from converge.wsman import seal

_PYWINRM_NAMES: Final = {
    Login.CERTIFICATE: "certificate",
    Login.KERBEROS: "basic",  # a place for `KerberosAuth` to take
}


class PywinrmTransport:
    """A session of pywinrm's, made safe, and the line under it."""

    def __init__(self, connection: Connection, login: Login) -> None:
        """Raises HostUnreachable where a library or a file is missing."""
        self.login = login
        self._connection = connection
        self._line = Line()
        self._encryption: Encryption | None = None
        try:
            self._session = self._new_session()
        except (WinRMError, OSError) as error:
            raise refusals.transport_unavailable(connection, str(error)) from error

    @property
    def seals(self) -> bool:
        """Whether messages are encrypted beneath HTTP, now that the login is done."""
        return self._encryption is not None

    def log_in(self, *, seconds: float) -> HttpAnswer:
        """The whole handshake with an empty message; its last answer. Raises Cut, HostUnreachable, RemoteProtocolError."""
        prepared = self._session.prepare_request(requests.Request("POST", self._connection.endpoint))
        answer = self._exchanged(prepared, seconds=seconds)
        if answer.status != 401 and self._connection.seals and self.login is not Login.CERTIFICATE:
            self._encryption = self._new_encryption()
        self._line.settle()
        return answer

    def post(self, envelope: bytes, *, seconds: float) -> HttpAnswer:
        """One request and its answer, still sealed. Raises Cut, HostUnreachable, RemoteProtocolError."""
        endpoint = self._connection.endpoint
        if self._encryption:
            prepared = self._encryption.prepare_encrypted_request(self._session, endpoint, envelope)
        else:
            prepared = self._session.prepare_request(requests.Request("POST", endpoint, data=envelope))
        # A 401 now means that the login is lost. The hook would log in again and repeat the body under the old seal.
        prepared.hooks = {"response": []}
        return self._exchanged(prepared, seconds=seconds)

    def opened(self, answer: HttpAnswer) -> bytes:
        """The message in a sealed answer. Raises RemoteProtocolError."""
        auth: Any = self._session.auth  # ours

        def unwrap(signature: bytes, sealed: bytes) -> bytes:
            try:
                return bytes(auth.unwrap_winrm(self._connection.address, sealed, signature))
            except Exception as error:
                # Whatever pyspnego and GSSAPI stumble over was in the answer: no bug of ours.
                raise RemoteProtocolError("a sealed answer that does not open", why=str(error)[:200]) from error

        return seal.unseal(answer.body, unwrap=unwrap, limit=self._connection.max_answer)

    def close(self) -> None:
        """Close the connection for good."""
        self._session.close()
        self._line.close()

    def _new_session(self) -> requests.Session:
        connection = self._connection
        if self.login is Login.KERBEROS and not kerberos.is_installed():
            raise WinRMError("the libraries gssapi and krb5 are not installed")
        pywinrm = Transport(
            connection.endpoint,
            username=connection.username or "-",
            password=connection.password.reveal(),
            ca_trust_path=connection.ca_trust_path,  # type: ignore[arg-type]  # None: no file of ours, and none of the environment
            cert_pem=connection.certificate,
            cert_key_pem=connection.certificate_key,
            server_cert_validation="validate" if connection.validate_certificate else "ignore",
            auth_method=_PYWINRM_NAMES[self.login],  # type: ignore[arg-type]  # one of its literals
            # Otherwise it would send while it is being built, before the session is made safe.
            message_encryption="never",
            proxy=None,
        )
        session = pywinrm.build_session()
        session.trust_env = False
        session.proxies = {}
        session.headers["Accept-Encoding"] = "identity"
        if self.login is Login.KERBEROS:
            session.auth = KerberosAuth(connection, self._line)
        # Of its own: requests adds the account's certificate to it.
        tls = new_tls(
            connection.ca_trust_path, validate=connection.validate_certificate, minimum=connection.tls_minimum
        )
        adapter = WatchedAdapter(self._line, limit=connection.max_answer, tls=tls)
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter)
        return session

    def _new_encryption(self) -> Encryption:
        encryption = Encryption(self._session, "kerberos")
        auth = self._session.auth
        if isinstance(auth, KerberosAuth) and auth.scheme == "Kerberos":
            encryption.protocol_string = seal.KERBEROS.encode()
        return encryption

    def _exchanged(self, prepared: requests.PreparedRequest, *, seconds: float) -> HttpAnswer:
        """One HTTP exchange, its body read. Raises Cut, and HostUnreachable where no connection came about."""
        line = self._line
        with line.watched(seconds):
            try:
                response = self._session.send(
                    prepared, timeout=(min(CONNECT_SECONDS, seconds), seconds), allow_redirects=False
                )
                _ = response.content
            except (RequestException, HTTPError, LineClosed, OSError) as error:
                self._raise_broken(error, seconds=seconds)
        if line.expired:
            raise _late(line, seconds)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return HttpAnswer(response.status_code, headers, response.content)

    def _raise_broken(self, error: Exception, *, seconds: float) -> None:
        line = self._line
        reason = unreached.reason_of(error)
        if self._connection.is_https and line.is_shaking_hands and not isinstance(error, LineClosed):
            raise unreached.tls_refused(self._connection, TimeoutError(reason) if line.expired else error) from error
        if line.expired or isinstance(error, ReadTimeout):
            raise _late(line, seconds) from error
        if line.sent or isinstance(error, LineClosed):
            raise Cut(reason, sent=line.sent) from error
        if isinstance(error, (ConnectTimeout, LineError)):
            raise unreached.not_reached(self._connection, error) from error
        raise HostUnreachable(f"{self._connection.endpoint} cannot be asked", why=reason) from error


def _late(line: Line, seconds: float) -> Cut:
    return Cut(f"no whole answer came within {seconds:.3g} s", sent=line.sent, expired=True)
