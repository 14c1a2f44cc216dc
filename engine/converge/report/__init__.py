"""What people and pipelines read: text that groups hosts, and one JSON document."""
