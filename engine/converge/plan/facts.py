"""The facts that expressions may name: `facts.os.*` and `facts.host.*`."""

from __future__ import annotations

from collections.abc import Mapping

from converge.model.answer import Answers
from converge.model.query import AnyQuery, OperatingSystem, Service

CLUSTER_SERVICE = "ClusSvc"  # the Cluster service of every Windows from NT 4.0 Enterprise on
FACT_QUERIES: tuple[AnyQuery, ...] = (OperatingSystem(), Service(CLUSTER_SERVICE))


def facts(answers: Answers) -> Mapping[str, object]:
    """`{"os": {...}, "host": {...}}`. Raises Undecided when the host refused what they rest on."""
    system = answers.value(OperatingSystem())
    if system is None:
        return {}
    clustered = answers.value(Service(CLUSTER_SERVICE)) is not None
    return {
        "os": {
            "version": system.version,
            "build": system.build,
            "service_pack": system.service_pack,
            "product_type": system.product_type,
            "architecture": system.architecture,
            "language": system.language,
            "system_root": system.system_root,
        },
        "host": {"name": system.host_name, "domain": system.domain, "clustered": clustered},
    }
