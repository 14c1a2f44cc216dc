"""converge finds, shows and repairs drift on fleets of Windows servers, without an agent."""

__version__ = "0.1.0"
