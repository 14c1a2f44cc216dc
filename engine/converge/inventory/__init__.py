"""Hosts, groups and variables, read from the inventories Ansible users have."""

from converge.inventory.connection import HostSettings
from converge.inventory.inventory import Inventory, load
from converge.inventory.passwords import PasswordSource
from converge.inventory.schema import inventory_schema
from converge.inventory.variables import HostVariables
from converge.model.secret import Locked

__all__ = ["HostSettings", "HostVariables", "Inventory", "Locked", "PasswordSource", "inventory_schema", "load"]
