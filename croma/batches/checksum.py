"""The checksum of a chip: CRC-32 as zlib has it, twenty times as fast where zlib-ng is installed."""

try:
    from zlib_ng.zlib_ng import crc32
except ImportError:
    from zlib import crc32

__all__ = ["crc32"]
