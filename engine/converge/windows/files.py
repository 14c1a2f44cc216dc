"""Codes of the file methods of CIM_DataFile and Win32_Directory, with their names."""

from __future__ import annotations

RETURN_CODES = {
    0: "done",
    2: "access denied",
    8: "unspecified failure",
    9: "the name is invalid or not there",
    10: "the target exists already",
    11: "the file system is not NTFS",
    12: "the platform is not supported",
    13: "the target is on another drive",
    14: "the folder is not empty",
    15: "another program has the file open",
    16: "the start file is invalid",
    17: "a privilege is not held",
    21: "invalid parameter",
}
"""What methods of CIM_DataFile return (CIM_DataFile, Windows Management Instrumentation)."""

