"""Uploads of files (XEP-0363)."""

from lab.declarations.load_kind import KindOption, LoadKind, Receivers

KIND = LoadKind(
    name="upload",
    about="upload a file",
    action="upload",
    receivers=Receivers.NOBODY,
    option=KindOption("size", 100_000, "bytes of a file", example="100KB", in_bytes=True),
    received="the server gave a slot, and the HTTP server took the file (XEP-0363; one delay for both)",
)
