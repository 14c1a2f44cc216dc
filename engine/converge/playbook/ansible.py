"""Words people know from Ansible, and what they are called here or why they are not."""

from __future__ import annotations

_FEATURE = "use component on Windows 2000 to 2003; for features of later Windows use command with `unless`"
PLAY_KEYWORDS = {
    "tasks": "use resources",
    "pre_tasks": "use resources: they run in list order",
    "post_tasks": "use resources: they run in list order",
    "roles": "write the resources into the play, or name several playbooks",
    "role": "write the resources into the play, or name several playbooks",
    "import_playbook": "name several playbooks on the command line; `order` sorts them",
    "import_role": "write the resources into the play",
    "include_role": "write the resources into the play",
    "include_tasks": "write the resources into the play",
    "import_tasks": "write the resources into the play",
    "vars_files": "use the inventory's group_vars and host_vars, or -e @FILE",
    "vars_prompt": "hand values in with -e",
    "gather_facts": "leave it out: facts are looked up when an expression names them",
    "gather_subset": "leave it out: facts are looked up when an expression names them",
    "connection": "set ansible_connection in the inventory",
    "remote_user": "set ansible_user in the inventory",
    "port": "set ansible_port in the inventory",
    "environment": "leave it out: nothing of converge runs on the host",
    "collections": "leave it out: the kinds are part of converge",
    "module_defaults": "use YAML anchors, &NAME and *NAME",
    "serial": "use `batch` of the play, or --batch",
    "strategy": "leave it out: every host goes on by itself",
    "any_errors_fatal": "use `max_failures: 0` of the play, or --max-failures 0",
    "max_fail_percentage": "use `max_failures` of the play, such as 2%, or --max-failures",
    "force_handlers": "leave it out: a handler that could not run stays pending, and the next run does it",
    "fact_path": "leave it out: facts are looked up when an expression names them",
}
ENTRY_KEYWORDS = {
    "register": "leave it out: conditions ask the host itself (when, unless, done_when)",
    "become": "set ansible_user in the inventory to an account that has the right",
    "become_user": "set ansible_user in the inventory to an account that has the right",
    "become_method": "set ansible_user in the inventory to an account that has the right",
    "become_flags": "set ansible_user in the inventory to an account that has the right",
    "block": "write the resources one by one; `requires` and `when` tie them together",
    "rescue": "leave it out: a failed resource is repaired by the next run",
    "always": "leave it out: a failed resource is repaired by the next run",
    "ignore_errors": "leave it out: later resources go on unless they `requires` the failed one",
    "ignore_unreachable": "leave it out: an unreachable host does not disturb the others",
    "failed_when": "use a requirement, or exit_codes of a command",
    "changed_when": "use `unless` or `creates` of a command",
    "with_items": "use loop",
    "with_list": "use loop",
    "with_dict": "use loop with a list",
    "with_fileglob": "use loop with a list",
    "loop_control": "leave it out: the variable of a loop is `item`",
    "until": "leave it out: every kind waits as long as it takes to settle",
    "retries": "leave it out: every kind waits as long as it takes to settle",
    "delay": "leave it out: every kind waits as long as it takes to settle",
    "poll": "leave it out: a command runs to its end or its timeout",
    "async": "use `timeout` of a command",
    "delegate_to": "leave it out: a resource is of the host itself",
    "delegate_facts": "leave it out: a resource is of the host itself",
    "local_action": "leave it out: a resource is of the host itself",
    "run_once": "use hosts or --limit to name one host",
    "throttle": "use --forks, or `batch` of the play",
    "no_log": "use sensitive",
    "check_mode": "leave it out: --check is for the whole run",
    "diff": "leave it out: --diff is for the whole run",
    "listen": "use notify with the handler's name",
    "args": "write the parameters under the kind",
    "action": "write the kind itself as the key",
    "debugger": "leave it out: -v shows more",
    "timeout": "use `timeout` of a command",
    "vars": "use the play's vars",
    "order": "use `order` of the play",
}
MODULES = {
    "win_regedit": "use registry_value, or registry_key for a key by itself",
    "win_reg_stat": "use discover with registry_value, or a registry_value condition",
    "win_service": "use service",
    "win_service_info": "use a service condition",
    "service": "use service",
    "win_copy": "use file with source, content, or copy_from for a file on the host",
    "win_template": "use file with content",
    "win_file": "use file or directory",
    "win_stat": "use a file condition",
    "win_robocopy": "use file with copy_from and loop",
    "win_get_url": "put the file beside the playbook and use file with source",
    "win_unzip": "use command",
    "win_command": "use command with argv",
    "win_shell": "use command with argv and shell: true (cmd; PowerShell is never used)",
    "win_powershell": "use the kind for what the script does; PowerShell is never used",
    "win_package": "use command with `creates` or `unless`",
    "win_reboot": "use the handler restart_computer (runs only with --allow-reboot)",
    "win_feature": _FEATURE,
    "win_optional_feature": _FEATURE,
    "win_environment": r"use registry_value under HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment",
    "win_wait_for": "leave it out: every kind waits as long as it takes to settle",
    "win_ping": "use converge doctor HOST",
    "win_dsc": "use the kind for what the DSC resource does",
    "win_lineinfile": "use file with content",
    "win_acl": "there is no kind for access rights",
    "win_user": "there is no kind for accounts",
    "win_scheduled_task": "there is no kind for scheduled tasks",
    "debug": "leave it out: use --check, -v",
    "assert": "use requirement",
    "fail": "use requirement",
    "set_fact": "use vars or discover",
    "setup": "leave it out: facts are looked up when an expression names them",
    "meta": "leave it out: handlers run at the play's end",
    "pause": "use operator_step",
    "copy": "use file with source or content",
    "template": "use file with content",
    "shell": "use command with argv and shell: true",
    "raw": "use command",
    "script": "use command",
    "include_vars": "use the inventory's group_vars and host_vars, or -e @FILE",
}
_ENSURE = "use ensure: present or absent"
PARAMETERS = {
    "registry_value": {
        "path": "use key", "data_type": "use type", "datatype": "use type", "value": "use name and data",
        "entry": "use name", "state": _ENSURE, "delete_key": "use the kind registry_key with ensure: absent",
        "hive": "write the hive into key", "dest": "use key",
    },
    "registry_key": {
        "path": "use key", "state": _ENSURE, "delete_key": "use ensure: absent", "name": "use the kind registry_value",
        "data": "use the kind registry_value", "type": "use the kind registry_value",
    },
    "service": {
        "state": "use running: true or false", "start_type": "use start_mode", "path": "use image_path",
        "service_name": "use name", "startup": "use start_mode", "enabled": "use start_mode",
    },
    "file": {
        "dest": "use path", "src": "use source (from here) or copy_from (on the host)", "state": _ENSURE,
        "remote_src": "use copy_from", "force": "use replace", "checksum": "use sha256", "backup": "leave it out: what is "
        "replaced is kept beside it",
    },
    "directory": {"dest": "use path", "state": _ENSURE},
    "component": {"state": _ENSURE, "include_management_tools": "leave it out"},
    "command": {
        "cmd": "use argv", "_raw_params": "use argv", "removes": "use unless", "chdir": "use cd inside a shell: true line",
        "stdin": "leave it out: a command reads nothing", "output_encoding_override": "leave it out",
    },
}  # fmt: skip
VALUES = {
    "expandstring": "expand_string", "reg_expand_sz": "expand_string", "multistring": "multi_string",
    "reg_multi_sz": "multi_string", "reg_sz": "string", "reg_dword": "dword", "reg_qword": "qword",
    "reg_binary": "binary", "auto": "automatic", "delayed": "automatic", "demand": "manual",
}  # fmt: skip


def play_keyword_hint(word: str) -> str:
    """What to use instead of a keyword in a play; empty if Ansible has none of that name."""
    return _known(PLAY_KEYWORDS.get(word) or ENTRY_KEYWORDS.get(word) or "")


def entry_keyword_hint(word: str) -> str:
    """What to use instead of a keyword or module in an entry; empty if Ansible has none of that name."""
    short = word.rpartition(".")[2]
    hint = ENTRY_KEYWORDS.get(word) or MODULES.get(short) or PLAY_KEYWORDS.get(word)
    if not hint and (short.startswith("win_") or word.startswith(("ansible.", "community."))):
        hint = "there is no kind for it"
    return _known(hint or "")


def parameter_hint(kind: str, word: str) -> str:
    """What to use instead of a module's parameter under a kind; empty if none is known."""
    return _known(PARAMETERS.get(kind, {}).get(word, ""))


def value_hint(value: object) -> str:
    """The right spelling of a value known from Ansible or regedit; empty if none is known."""
    better = VALUES.get(value.lower(), "") if isinstance(value, str) else ""
    return f"use {better}" if better else ""


def _known(hint: str) -> str:
    return f"known from Ansible: {hint}" if hint else ""
