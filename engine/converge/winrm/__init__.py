"""A machine at the other end of a wire: WMI over WS-Management and WinRS shells, carried by pywinrm."""
