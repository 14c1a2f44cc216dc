"""WMI without the wire: queries and method calls on a world, for the machine that is a world itself."""

from __future__ import annotations

from collections.abc import Mapping

from converge.errors import ActionRefused
from converge.lab.endpoint.queries import ClassMissing, InvalidArgument, MethodMissing, NamespaceDenied, Wmi, WrongKeys
from converge.lab.endpoint.repository import Repository
from converge.lab.endpoint.schema import AccessDenied, InstanceMissing, ServedClass
from converge.lab.endpoint.wql_lexer import InvalidQuery, QueryTooComplex
from converge.lab.world import LabAccount, World
from converge.model.answer import Absent, Answer, Found, Refused
from converge.windows.return_codes import failed
from converge.wsman.cim import Properties

_MACHINE_ITSELF = LabAccount(name=r"NT AUTHORITY\SYSTEM", password="")

Rows = tuple[dict[str, str | None], ...]


def query(world: World, account: LabAccount | None, *, namespace: str, wql: str) -> Answer[Rows]:
    """The rows of a WQL query; absent where the world lacks the namespace or class."""
    repository = Repository(world)
    if not repository.has_namespace(namespace.replace("\\", "/")):
        return Absent()
    try:
        rows = _wmi(world, account, namespace).query(wql)
    except (ClassMissing, InstanceMissing):
        return Absent()
    except (AccessDenied, NamespaceDenied):
        return Refused("access-denied", "Access is denied.", f"Remote Enable on {namespace}")
    except (InvalidQuery, QueryTooComplex) as error:
        return Refused("invalid-query", str(error))
    return Found(tuple(row.as_texts() for row in rows))


def invoke(
    world: World,
    account: LabAccount | None,
    *,
    namespace: str,
    class_name: str,
    method: str,
    keys: Mapping[str, str],
    arguments: Mapping[str, str | tuple[str, ...]],
) -> None:
    """Call a method. Raises ActionRefused where it cannot be called or returns something other than 0."""
    what = f"{class_name}.{method}"
    try:
        wmi = _wmi(world, account, namespace)
        results = wmi.invoke(class_name, method, keys=dict(keys), arguments=Properties(dict(arguments)))
    except (ClassMissing, MethodMissing, InstanceMissing) as error:
        raise ActionRefused(f"{what} is not there") from error
    except (InvalidArgument, WrongKeys) as error:
        raise ActionRefused(f"{what} cannot be called so: invalid parameter") from error
    except (AccessDenied, NamespaceDenied) as error:
        raise ActionRefused(f"{what} was refused: access denied") from error
    if returned := results.integer("ReturnValue"):
        told, why = failed(what, returned, {})
        raise ActionRefused(told, why=why)


def _wmi(world: World, account: LabAccount | None, namespace: str) -> Wmi:
    return Wmi(Repository(world), ServedClass(world, account or _MACHINE_ITSELF), namespace.replace("\\", "/"))
