"""The wire's limit: as many requests of the same size, by bare loops that read nothing of the answers.

`python -m tests.bench.bare requests|pywinrm ENDPOINTS QUESTIONS REQUESTS THREADS`: endpoints as a JSON list, one for each
host; questions as a file of base64 lines; so many requests to each host.
"""

from __future__ import annotations

import base64
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from tests.bench.answering import PASSWORD, USER
from winrm.transport import Transport

SOAP = {"Content-Type": "application/soap+xml;charset=UTF-8"}


def by_requests(endpoint: str, questions: list[bytes]) -> None:
    """Basic, one session for each host."""
    with requests.Session() as session:
        session.trust_env = False
        session.auth = (USER, PASSWORD)
        for question in questions:
            answer = session.post(endpoint, data=question, headers=SOAP)
            assert answer.content


def by_pywinrm(endpoint: str, questions: list[bytes]) -> None:
    """NTLM with sealed messages."""
    transport = Transport(
        endpoint, username=USER, password=PASSWORD, auth_method="ntlm", message_encryption="auto", proxy=None
    )
    for question in questions:
        assert transport.send_message(question)
    transport.close_session()


def main(client: str, endpoints: str, questions: str, number: str, threads: str) -> None:
    """Ask every host so many questions."""
    kept = [base64.b64decode(line) for line in Path(questions).read_text("ascii").split()]
    asked = [kept[index % len(kept)] for index in range(int(number))]
    ask = {"requests": by_requests, "pywinrm": by_pywinrm}[client]
    with ThreadPoolExecutor(int(threads)) as pool:
        for _ in pool.map(lambda endpoint: ask(endpoint, asked), json.loads(Path(endpoints).read_text("ascii"))):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
