"""What is true of any Windows: paths, registry names and types, status codes, WQL text, command lines."""
