"""The wire's limit: as many requests of the same size, by bare loops that read nothing of the answers.

`python -m tests.bench.bare CLIENT ENDPOINTS QUESTIONS REQUESTS HOSTS_AT_ONCE`: `requests` (Basic), `pywinrm` (NTLM),
`aiohttp-basic` or `aiohttp-ntlm`; so many requests to each host. Both files are JSON: endpoints a list of URLs, each with
the number of the process that answers there; questions for each process a list in base64.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.answering import PASSWORD, USER

Work = tuple[str, Sequence[bytes]]
SOAP = {"Content-Type": "application/soap+xml;charset=UTF-8"}


def by_requests(endpoint: str, questions: Sequence[bytes]) -> None:
    """Basic, one session for each host."""
    import requests

    with requests.Session() as session:
        session.trust_env = False
        session.auth = (USER, PASSWORD)
        for question in questions:
            answer = session.post(endpoint, data=question, headers=SOAP)
            assert answer.status_code == 200
            assert answer.content


def by_pywinrm(endpoint: str, questions: Sequence[bytes]) -> None:
    """NTLM with sealed messages."""
    from winrm.transport import Transport

    transport = Transport(
        endpoint, username=USER, password=PASSWORD, auth_method="ntlm", message_encryption="auto", proxy=None
    )
    for question in questions:
        assert transport.send_message(question)
    transport.close_session()


async def by_aiohttp(work: Sequence[Work], *, ntlm: bool, at_once: int) -> None:
    """Basic, or NTLM with sealed messages by pyspnego, one connection for each host."""
    import aiohttp

    room = asyncio.Semaphore(at_once)

    async def ask(endpoint: str, questions: Sequence[bytes]) -> None:
        async with room, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            headers, sealed = await _logged_in(session, endpoint) if ntlm else (_basic(), _as_it_is)
            for question in questions:
                async with session.post(endpoint, data=sealed(question), headers=headers) as answer:
                    assert answer.status == 200
                    assert await answer.read()

    await asyncio.gather(*(ask(endpoint, questions) for endpoint, questions in work))


async def _logged_in(session: object, endpoint: str) -> tuple[dict[str, str], Callable[[bytes], bytes]]:
    import aiohttp
    import spnego

    from converge.wsman import seal

    assert isinstance(session, aiohttp.ClientSession)
    context = spnego.client(USER, PASSWORD, protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
    token = context.step()
    while token:
        said = {"Authorization": f"Negotiate {base64.b64encode(token).decode()}"}
        async with session.post(endpoint, headers=said) as answer:
            offer = answer.headers.get("WWW-Authenticate", "").removeprefix("Negotiate").strip()
        token = context.step(base64.b64decode(offer)) if not context.complete else None

    def wrap(plain: bytes) -> tuple[bytes, bytes]:
        wrapped = context.wrap_winrm(plain)
        return wrapped.header, wrapped.data

    return {"Content-Type": seal.content_type()}, lambda plain: seal.seal(plain, wrap=wrap)


def _basic() -> dict[str, str]:
    return SOAP | {"Authorization": f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"}


def _as_it_is(question: bytes) -> bytes:
    return question


def main(client: str, endpoints: str, questions: str, number: str, at_once: str) -> None:
    """Ask every host so many questions."""
    kept = [[base64.b64decode(line) for line in lines] for lines in json.loads(Path(questions).read_text("ascii"))]
    asked = [[known[index % len(known)] for index in range(int(number))] if known else [] for known in kept]
    work = [(endpoint, asked[process]) for endpoint, process in json.loads(Path(endpoints).read_text("ascii"))]
    if client.startswith("aiohttp"):
        asyncio.run(by_aiohttp(work, ntlm=client.endswith("ntlm"), at_once=int(at_once)))
        return
    ask = {"requests": by_requests, "pywinrm": by_pywinrm}[client]
    with ThreadPoolExecutor(int(at_once)) as pool:
        for _ in pool.map(lambda host: ask(*host), work):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
