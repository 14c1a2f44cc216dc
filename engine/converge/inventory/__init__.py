"""Hosts, groups and variables, read from the inventories Ansible users have."""
