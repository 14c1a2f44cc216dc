"""WS-Management as bytes and values: no sockets, no Windows meaning."""
