"""Optional components of Windows NT 4.0 to Windows Server 2003, as the OC Manager notes them."""

from __future__ import annotations

from converge.model.answer import Answers
from converge.model.query import RegistryValue
from converge.model.registry import Hive, RegistryPath

SUBCOMPONENTS = RegistryPath(
    Hive.LOCAL_MACHINE, r"SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\OC Manager\Subcomponents"
)
"""One dword per component: 1 where it is installed, 0 where it is not."""


def question(name: str) -> RegistryValue:
    """The OC Manager's note of one component."""
    return RegistryValue(SUBCOMPONENTS, name)


def is_installed(answers: Answers, name: str) -> bool:
    """Whether a component is noted as installed; one without a note is not. Raises Undecided, Unpredictable."""
    data = answers.value(question(name))
    return data is not None and isinstance(data.data, int) and data.data != 0
