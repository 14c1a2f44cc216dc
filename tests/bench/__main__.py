"""How fast converge is beside bare loops of the same requests and beside Ansible: `python -m tests.bench [FILE]`.

Figures are to be read as ratios within one run: the machine is whatever it is.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.bench import peers
from tests.bench.fleet import IMAGE, Bench
from tests.bench.processes import Answerers
from tests.bench.rows import HEAD, beside_ansible


def measure(bench: Bench, given: argparse.Namespace) -> None:
    """Everything that was asked for, a row after the other."""
    sizes, latencies = _numbers(given.hosts), _numbers(given.latency)
    for login in given.logins.split(","):
        warm = bench.warm(login)
        bench.answering_alone(login, min(max(sizes), 1000), requests=round(warm.requests))
        for hosts in sizes:
            for latency in latencies:
                bench.compare(login, hosts, latency)
        for hosts in sizes[-2:]:
            for form in ("text", "json"):
                bench.streamed(login, hosts, form=form)
        if given.population:
            bench.population(login, given.population)
    if given.engine:
        bench.engine(given.engine)
    if given.ansible and (lacking := peers.missing()):
        print(f"{lacking}: Ansible is left out")  # noqa: T201  # it is what this program is for
    elif given.ansible:
        for row in peers.ansible(given.ansible):
            bench.tell(row)


def _numbers(words: str) -> list[int]:
    return [int(word) for word in words.split(",")]


def main() -> None:
    """Measure, print a table, and write it where wanted."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="write the table there too")
    parser.add_argument("--hosts", default="20,200,1000,5000", help="sizes of fleets")
    parser.add_argument("--latency", default="0,20,100", help="milliseconds for each request")
    parser.add_argument("--logins", default="basic,ntlm")
    parser.add_argument("--population", type=int, default=200, metavar="HOSTS", help="0 leaves the mixed fleet out")
    parser.add_argument("--engine", type=int, default=2000, metavar="HOSTS", help="0 leaves the engine alone out")
    parser.add_argument("--ansible", type=int, default=20, metavar="HOSTS", help="0 leaves Ansible out")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="converge-bench-") as folder, Answerers(2, image=IMAGE) as answerers:
        bench = Bench(answerers, Path(folder))
        print("\n".join(HEAD))  # noqa: T201
        measure(bench, given)
    tail = ["", *beside_ansible(bench.rows), f"Measured in {time.monotonic() - began:.0f} s."]
    print("\n".join(tail))  # noqa: T201
    if given.file:
        lines = [*HEAD, *(str(row) for row in bench.rows), *tail]
        given.file.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
