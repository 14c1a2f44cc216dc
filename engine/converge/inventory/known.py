"""The variables that say how to reach a host: name, meaning, and how a value is read. Checks and schema come from here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from converge.model import durations
from converge.model.names import is_device
from converge.reading.spelling import did_you_mean

JsonSchema = dict[str, object]

TRANSPORTS: Final = ("negotiate", "ntlm", "kerberos", "credssp", "certificate", "basic")
_OTHER_NAMES_OF_TRANSPORTS: Final = {"plaintext": "basic"}
TLS_VERSIONS: Final = ("1.0", "1.1", "1.2", "1.3")
WINRM_CONNECTIONS: Final = frozenset({"winrm", "ansible.builtin.winrm"})
LAB_CONNECTION: Final = "lab"
# Those of ansible-core 2.16 and of the collections of its community package, by their last word: hosts of theirs are left alone.
OTHER_CONNECTIONS: Final = frozenset(
    (
        "ssh", "paramiko", "paramiko_ssh", "local", "smart", "psrp", "network_cli", "netconf", "httpapi", "grpc", "libssh",
        "persistent",
        "docker", "docker_api", "nsenter", "podman", "buildah", "kubectl", "oc", "lxc", "lxd", "incus", "proxmox_pct_remote",
        "jail", "iocage", "zone", "chroot", "funcd", "saltstack", "qubes", "wsl", "libvirt_lxc", "libvirt_qemu", "vmware_tools",
        "aws_ssm", "napalm", "mitogen_ssh", "mitogen_local",
    )
)  # fmt: skip

_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "off"})
_ADDRESS = re.compile(r"[^\s/@?#\\\x00-\x20\x7f]+")
_DRIVE = re.compile(r"[A-Za-z]:")
_NOT_IN_NAMES = re.compile(r'[<>"|?*:%]')
SHORTEST_RETENTION: Final = timedelta(hours=1)
LONGEST_FOLDER: Final = 150  # characters: below it there must be room for the name of a run and those of files
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Wrong(ValueError):
    """A value is not what the variable takes; the text says what it takes. It never holds the value."""

    def __init__(self, expected: str, *, hint: str = "") -> None:
        super().__init__(expected)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Known:
    """A variable that converge understands."""

    name: str
    meaning: str
    read: Callable[[object], object]
    schema: JsonSchema


def text(value: object) -> str:
    """One line of text. Whole numbers pass, as account names and passwords may be written without quotes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise Wrong("a text; quote it")
    if _CONTROL.search(value):
        raise Wrong("a text without control characters")
    return value


def filled(value: object) -> str:
    """A text that is not empty."""
    found = text(value)
    if not found.strip():
        raise Wrong("a text that is not empty")
    return found


def address(value: object) -> str:
    """A host name or an address, an IPv6 address with or without brackets."""
    found = filled(value).removeprefix("[").removesuffix("]")
    if not _ADDRESS.fullmatch(found):
        raise Wrong("a host name or an address, without scheme, port or path")
    return found


def port(value: object) -> int:
    """A TCP port."""
    number = _whole(value)
    if not 0 < number < 65536:
        raise Wrong("a port, 1 to 65535")
    return number


def seconds(value: object) -> int:
    """A time of at least a second, in whole seconds."""
    found = _duration(value).total_seconds()
    if not 0 < found <= 86400 or found % 1:
        raise Wrong("seconds, 1 to 86400, or a duration such as 90s or 2m")
    return int(found)


def _duration(value: object) -> timedelta:
    try:
        return durations.read_duration(value)
    except ValueError:
        raise Wrong("a duration: seconds, or one like 90s, 10m, 1h30m, 2d or 1w") from None


def forks(value: object) -> int:
    """How many hosts at once."""
    number = _whole(value)
    if not 0 < number <= 1000:
        raise Wrong("a number of hosts, 1 to 1000")
    return number


def _whole(value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Wrong("a whole number")
    return value


def boolean(value: object) -> bool:
    """Yes or no, in any of the spellings of Ansible."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise Wrong("true or false")


def choice(*words: str) -> Callable[[object], str]:
    """One of some words, in any case."""

    def read(value: object) -> str:
        word = value.strip().lower() if isinstance(value, str) else ""
        if word not in words:
            raise Wrong(" or ".join(words))
        return word

    return read


def tls_version(value: object) -> str:
    """A version of TLS, which YAML reads as a number where it is not quoted."""
    word = str(value).strip().upper().removeprefix("TLS").removeprefix("V").strip()
    if word not in TLS_VERSIONS:
        raise Wrong("'1.0', '1.1', '1.2' or '1.3'")
    return word


def connection(value: object) -> str:
    """`winrm`, `lab`, or a connection plug-in of Ansible's, which may be named with its collection."""
    word = filled(value).strip()
    collection, _, short = word.rpartition(".")
    ours = word in WINRM_CONNECTIONS or word == LAB_CONNECTION
    elsewhere = collection.count(".") == 1 and collection != "ansible.builtin"
    if not (ours or elsewhere or (short in OTHER_CONNECTIONS and collection in ("", "ansible.builtin"))):
        known = {"winrm", LAB_CONNECTION, *OTHER_CONNECTIONS}
        raise Wrong(
            "winrm or lab, or a connection of Ansible's (such hosts are skipped)",
            hint=did_you_mean(short, ("winrm", LAB_CONNECTION), cutoff=0.6) or did_you_mean(short, known, cutoff=0.6),
        )
    return word


def host_folder(value: object) -> str:
    """A folder on the host that is set aside, with a drive or without one: then it is on the drive of each file."""
    found = text(value).replace("/", "\\").rstrip("\\")
    parts = found.removeprefix(found[:2] if _DRIVE.match(found) else "").split("\\")
    bad = not parts[1:] or parts[0] or any(not part or part.strip(". ") == "" or part[-1] in ". " for part in parts[1:])
    if bad or _NOT_IN_NAMES.search(found.removeprefix(found[:2])) or any(is_device(part) for part in parts):
        raise Wrong(
            r"a folder on the host such as D:\converge, or \converge for the drive of each file, without %VARIABLES%"
        )
    if len(found) > LONGEST_FOLDER:
        raise Wrong(f"a folder of at most {LONGEST_FOLDER} characters, so that names fit into it")
    return found


def retention(value: object) -> timedelta:
    """How long something is kept. A bare number is seconds, as everywhere, and hardly meant."""
    found = _duration(value)
    if found < SHORTEST_RETENTION:
        raise Wrong("at least an hour, with its unit, such as 12h, 30d or 8w")
    return found


def url_path(value: object) -> str:
    """The path of a URL, with a slash before it."""
    found = text(value).strip()
    if re.search(r"\s", found):
        raise Wrong("a path like /wsman")
    return "/" + found.lstrip("/")


def transports(value: object) -> tuple[str, ...]:
    """A list of transports, or their names separated by commas. `ssl` stays, to be settled with what else is known."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not items:
        raise Wrong(f"one or a list of {', '.join(TRANSPORTS)}")
    read = choice(*TRANSPORTS, *_OTHER_NAMES_OF_TRANSPORTS, "ssl")
    try:
        words = [read(item) for item in items]
    except Wrong:
        raise Wrong(f"one or a list of {', '.join(TRANSPORTS)}") from None
    return tuple(dict.fromkeys(_OTHER_NAMES_OF_TRANSPORTS.get(word, word) for word in words))


def anything(value: object) -> object:
    """A value that another part of converge, or only Ansible, makes sense of."""
    return value


_TEXT: JsonSchema = {"type": ["string", "integer"]}
_WHOLE: JsonSchema = {"type": ["integer", "string"]}
_BOOLEAN: JsonSchema = {"type": ["boolean", "string"]}
_TEMPLATE: JsonSchema = {"type": "string", "pattern": r"\{\{"}
_DURATION: JsonSchema = {"anyOf": [*durations.SPELLINGS, _TEMPLATE], "examples": ["90s", "10m", "30d"]}


def _one_of(*words: str) -> JsonSchema:
    return {"anyOf": [{"enum": list(words)}, _TEMPLATE]}


KNOWN: Final[dict[str, Known]] = {
    known.name: known
    for known in (
        Known("ansible_host", "Address to connect to; the host's name if left out", address, _TEXT),
        Known("ansible_winrm_host", "Like ansible_host, and stronger", address, _TEXT),
        Known("ansible_port", "Port of WinRM: 5986 if left out, 5985 with scheme http; 5985 means http", port, _WHOLE),
        Known("ansible_winrm_port", "Like ansible_port, and stronger", port, _WHOLE),
        Known("ansible_user", r"Account: user, DOMAIN\user or user@domain", text, _TEXT),
        Known("ansible_winrm_user", "Like ansible_user, and stronger", text, _TEXT),
        Known("ansible_password", "Password; better kept out of the inventory, see converge_password_*", text, _TEXT),
        Known("ansible_winrm_pass", "Like ansible_password, and stronger", text, _TEXT),
        Known("ansible_winrm_password", "Like ansible_winrm_pass, and stronger", text, _TEXT),
        Known(
            "ansible_connection",
            "winrm, or lab for a simulated host; hosts of other connections are skipped",
            connection,
            {"type": "string", "examples": ["winrm", "lab"]},
        ),
        Known("ansible_winrm_scheme", "http or https", choice("http", "https"), _one_of("http", "https")),
        Known("ansible_winrm_path", "Path of the WinRM service, /wsman if left out", url_path, {"type": "string"}),
        Known(
            "ansible_winrm_transport",
            "How to log in: " + ", ".join(TRANSPORTS) + "; negotiate if left out",
            transports,
            {"type": ["string", "array"], "items": {"enum": [*TRANSPORTS, *_OTHER_NAMES_OF_TRANSPORTS, "ssl"]}},
        ),
        Known(
            "ansible_winrm_server_cert_validation",
            "Whether the certificate of the host is checked; validate if left out",
            choice("validate", "ignore"),
            _one_of("validate", "ignore"),
        ),
        Known("ansible_winrm_ca_trust_path", "File or folder of trusted certificates", filled, {"type": "string"}),
        Known(
            "ansible_winrm_message_encryption",
            "Encryption of messages over http: auto (acts as always), always, or never, which must be set explicitly",
            choice("auto", "always", "never"),
            _one_of("auto", "always", "never"),
        ),
        Known("ansible_winrm_operation_timeout_sec", "Seconds the host may work on a request; 20", seconds, _DURATION),
        Known("ansible_winrm_read_timeout_sec", "Seconds to wait for an answer; 30", seconds, _DURATION),
        Known("ansible_winrm_connection_timeout", "Sets both timeouts: read is 10 longer", seconds, _DURATION),
        Known("ansible_winrm_cert_pem", "File of the client certificate", filled, {"type": "string"}),
        Known("ansible_winrm_cert_key_pem", "File of the client certificate's key", filled, {"type": "string"}),
        Known("ansible_winrm_kerberos_delegation", "Whether the ticket may be passed on", boolean, _BOOLEAN),
        Known("converge_password_command", "Command whose first line of output is the password", filled, _TEXT),
        Known("converge_password_env", "Environment variable that holds the password", filled, _TEXT),
        Known(
            "converge_password_file",
            "File whose first line is the password, found from the file that says so",
            filled,
            _TEXT,
        ),
        Known(
            "converge_tls_minimum",
            "The oldest TLS that is spoken with the host: 1.0, 1.1, 1.2 or 1.3; 1.2 if left out",
            tls_version,
            {"anyOf": [{"enum": [*TLS_VERSIONS, *map(float, TLS_VERSIONS)]}, _TEMPLATE]},
        ),
        Known("converge_lab_image", "Image that a simulated host starts from", filled, _TEXT),
        Known("converge_site", "Where the host stands, for reports and limits per site", filled, _TEXT),
        Known("converge_site_forks", "How many hosts of its site may be worked on at once", forks, _WHOLE),
        Known(
            "converge_backup_directory",
            r"Folder on the host in which replaced and removed files are kept; \folder is on the drive of each file",
            host_folder,
            {"type": "string", "examples": [r"D:\converge", r"\converge"]},
        ),
        Known(
            "converge_backup_retention",
            "How long they are kept, such as 30d; for good if left out",
            retention,
            _DURATION,
        ),
        Known("converge_change_windows", "When the host may be changed", anything, {}),
    )
}

# Ansible and pywinrm know these; converge has no use for them. https://docs.ansible.com/ansible/latest/os_guide/windows_winrm.html
UNUSED_WINRM: Final = frozenset(
    "ansible_winrm_" + name
    for name in (
        "kinit_mode", "kinit_cmd", "kinit_args", "kinit_env_vars", "kerberos_hostname_override", "realm", "service",
        "keytab", "send_cbt", "proxy", "credssp_disable_tlsv1_2", "credssp_auth_mechanism", "credssp_minimum_version",
    )
)  # fmt: skip

# So that they are not taken for slips of the pen.
OTHER_ANSIBLE: Final = frozenset(
    "ansible_" + name
    for name in (
        "timeout", "shell_type", "shell_executable", "become", "become_user", "become_method", "become_pass",
        "become_password", "become_flags", "become_exe", "python_interpreter", "ssh_host", "ssh_port", "ssh_user",
        "ssh_pass", "ssh_private_key_file", "ssh_common_args", "ssh_extra_args", "private_key_file", "hostname",
        "remote_tmp", "facts", "group_priority", "network_os", "httpapi_port",
    )
)  # fmt: skip
