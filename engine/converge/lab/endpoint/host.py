"""One simulated host as the endpoint serves it: its world, how it lets clients in, which WinRM it runs, what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from converge.lab.endpoint.mishaps import Mishaps
from converge.lab.endpoint.request_log import RequestLog
from converge.lab.world import World


@dataclass(frozen=True, slots=True)
class EndpointPolicy:
    """How the service lets clients in, as `winrm get winrm/config/service` shows it.

    After `lock_out_after` refused logins in a row an account stays locked; None never locks it. With a `keytab`, the keys
    of the host in a realm, Kerberos is taken. `certificates` maps the user names in clients' certificates to accounts.
    `binds_channel` is CbtHardeningLevel Strict: over TLS a login must be bound to the host's certificate.
    """

    negotiate: bool = True
    basic: bool = False
    allow_unencrypted: bool = False
    lock_out_after: int | None = None
    keytab: Path | None = None
    certificates: Mapping[str, str] = field(default_factory=dict)
    credssp: bool = False
    binds_channel: bool = False


@dataclass(frozen=True, slots=True)
class Stack:
    """What one version of WinRM does: its quotas and habits ([MS-WSMV] Appendix B, and recorded hosts).

    `first_page_of_one`: the answer to Enumerate holds one item and pages hold about half of the envelope (2008 R2 and
    later); else everything comes at once. `wmi_errors`: faults of WMI methods are an MSFT_WmiError (2012 and later).
    Sizes are in bytes.
    """

    version: str
    max_envelope: int = 153_600
    max_batch_items: int = 32_000
    max_operations: int = 15
    max_shells: int = 5
    max_processes: int = 15
    enumeration_timeout: timedelta = timedelta(seconds=60)
    shell_idle_timeout: str = "PT180.000S"
    first_page_of_one: bool = True
    wmi_errors: bool = False
    tells_of_shells: bool = False


WINRM_1: Final = Stack(
    "1.1", max_batch_items=20, max_shells=2, max_processes=5, shell_idle_timeout="PT900.000S", first_page_of_one=False
)
WINRM_2_ON_2003: Final = Stack("2.0", first_page_of_one=False)
WINRM_2: Final = Stack("2.0")
# The WMI plug-in allows 100 operations where the service would allow 1500.
WINRM_3: Final = Stack(
    "3.0",
    max_envelope=512_000,
    max_operations=100,
    max_shells=30,
    max_processes=25,
    enumeration_timeout=timedelta(seconds=240),
    shell_idle_timeout="PT7200.000S",
    wmi_errors=True,
    tells_of_shells=True,
)


def stack_of(world: World) -> Stack:
    """The WinRM a world runs. Windows 2000 and NT 4.0, which never had one, speak like Windows Server 2003."""
    if world.profile.winrm_stack == "1.1":
        return WINRM_1
    if world.profile.winrm_stack == "3.0":
        return WINRM_3
    return WINRM_2 if world.profile.release >= (6, 0) else WINRM_2_ON_2003


@dataclass(eq=False)
class SimulatedHost:
    """A host to be served; its accounts are the world's. What is done to the world is done under the world's lock.

    `on_change` is called, under that lock, after every request that may have changed the world.
    """

    name: str
    world: World
    policy: EndpointPolicy = field(default_factory=EndpointPolicy)
    stack: Stack | None = None
    on_change: Callable[[], None] | None = None
    mishaps: Mishaps = field(default_factory=Mishaps)
    log: RequestLog = field(default_factory=RequestLog)

    @property
    def winrm(self) -> Stack:
        """Its version of WinRM."""
        return self.stack or stack_of(self.world)
