"""A WinRM endpoint on loopback that programs take for a Windows host: HTTP, authentication, WS-Management, WMI, shells."""
