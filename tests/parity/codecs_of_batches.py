"""The codecs of record batches, from the system's libraries: what cases are made of and recompressed batches read with."""
import ctypes
import struct
import zlib

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
XERIAL = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1)
UNPACKED_MAX = 16 << 20


class Broken(Exception):
    """Bytes that are not of the codec."""


def library(name):
    return ctypes.CDLL(name)


def zstd_pack(data):
    lib = library("libzstd.so.1")
    lib.ZSTD_compress.restype = lib.ZSTD_compressBound.restype = ctypes.c_size_t
    lib.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
    lib.ZSTD_compress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
    room = lib.ZSTD_compressBound(len(data))
    out = ctypes.create_string_buffer(room)
    size = lib.ZSTD_compress(out, room, data, len(data), 3)
    return out.raw[:size]


def zstd_unpack(data):
    """A stream, so that frames without their size and several of them are read too."""
    class Part(ctypes.Structure):
        _fields_ = [("at", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t)]

    lib = library("libzstd.so.1")
    lib.ZSTD_createDStream.restype = ctypes.c_void_p
    lib.ZSTD_decompressStream.restype = ctypes.c_size_t
    lib.ZSTD_decompressStream.argtypes = [ctypes.c_void_p, ctypes.POINTER(Part), ctypes.POINTER(Part)]
    lib.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
    held, room, out = ctypes.create_string_buffer(data, len(data)), ctypes.create_string_buffer(1 << 17), bytearray()
    stream, source = lib.ZSTD_createDStream(), Part(ctypes.addressof(held), len(data), 0)
    try:
        while True:
            sink = Part(ctypes.addressof(room), len(room), 0)
            left = lib.ZSTD_decompressStream(stream, ctypes.byref(sink), ctypes.byref(source))
            if lib.ZSTD_isError(ctypes.c_size_t(left)):
                raise Broken("zstd")
            out += room.raw[:sink.pos]
            if source.pos == source.size and sink.pos < sink.size:
                return bytes(out)
    finally:
        lib.ZSTD_freeDStream(stream)


def snappy_block(data):
    lib = library("libsnappy.so.1")
    size = ctypes.c_size_t(lib.snappy_max_compressed_length(ctypes.c_size_t(len(data))))
    out = ctypes.create_string_buffer(size.value)
    lib.snappy_compress(data, ctypes.c_size_t(len(data)), out, ctypes.byref(size))
    return out.raw[:size.value]


def snappy_pack(data, block=32 << 10):
    out = bytearray(XERIAL)
    for at in range(0, len(data), block):
        part = snappy_block(data[at:at + block])
        out += struct.pack(">i", len(part)) + part
    return bytes(out)


def snappy_unpack(data):
    if data[:8] != XERIAL[:8]:
        return snappy_unblock(data)
    out, at = bytearray(), len(XERIAL)
    while at < len(data):
        size = struct.unpack_from(">i", data, at)[0]
        out += snappy_unblock(data[at + 4:at + 4 + size])
        at += 4 + size
    return bytes(out)


def snappy_unblock(data):
    lib = library("libsnappy.so.1")
    size = ctypes.c_size_t()
    if lib.snappy_uncompressed_length(data, ctypes.c_size_t(len(data)), ctypes.byref(size)) or size.value > UNPACKED_MAX:
        raise Broken("snappy")
    out = ctypes.create_string_buffer(size.value or 1)
    if lib.snappy_uncompress(data, ctypes.c_size_t(len(data)), out, ctypes.byref(size)):
        raise Broken("snappy")
    return out.raw[:size.value]


def xxh32(data, seed=0):
    p1, p2, p3, p4, p5, m = 2654435761, 2246822519, 3266489917, 668265263, 374761393, 0xFFFFFFFF

    def rol(x, n):
        return (x << n | x >> (32 - n)) & m

    at, size = 0, len(data)
    if size >= 16:
        lanes = [(seed + p1 + p2) & m, (seed + p2) & m, seed, (seed - p1) & m]
        while at + 16 <= size:
            lanes = [rol((lane + word * p2) & m, 13) * p1 & m for lane, word in zip(lanes, struct.unpack_from("<4I", data, at))]
            at += 16
        h = sum(rol(lane, n) for lane, n in zip(lanes, (1, 7, 12, 18))) & m
    else:
        h = (seed + p5) & m
    h = (h + size) & m
    while at + 4 <= size:
        h = rol((h + struct.unpack_from("<I", data, at)[0] * p3) & m, 17) * p4 & m
        at += 4
    for byte in data[at:]:
        h = rol((h + byte * p5) & m, 11) * p1 & m
    h = (h ^ h >> 15) * p2 & m
    h = (h ^ h >> 13) * p3 & m
    return h ^ h >> 16


def lz4_block(data):
    lib = library("liblz4.so.1")
    room = lib.LZ4_compressBound(len(data))
    out = ctypes.create_string_buffer(room)
    size = lib.LZ4_compress_default(data, out, len(data), room)
    return out.raw[:size]


def lz4_pack(data, flags=0x60, size_code=0x40, block=64 << 10, header_sum=None, end=True):
    """A frame. flags: the descriptor's first byte (0x60: version 1, independent blocks; 0x10 sums of blocks, 0x08 the
    size, 0x04 a sum of all, 0x40 alone: linked blocks)."""
    descriptor = bytes([flags, size_code]) + (struct.pack("<Q", len(data)) if flags & 8 else b"")
    out = bytearray(b"\x04\x22\x4d\x18" + descriptor + bytes([xxh32(descriptor) >> 8 & 255 if header_sum is None else header_sum]))
    for at in range(0, len(data), block):
        part = lz4_block(data[at:at + block])
        out += struct.pack("<I", len(part)) + part + (struct.pack("<I", xxh32(part)) if flags & 0x10 else b"")
    if end:
        out += bytes(4) + (struct.pack("<I", xxh32(data)) if flags & 4 else b"")
    return bytes(out)


def lz4_unpack(data):
    lib = library("liblz4.so.1")
    lib.LZ4F_decompress.restype = lib.LZ4F_createDecompressionContext.restype = ctypes.c_size_t
    context, out = ctypes.c_void_p(), bytearray()
    lib.LZ4F_createDecompressionContext(ctypes.byref(context), 100)
    try:
        room = ctypes.create_string_buffer(1 << 17)
        while data:
            wrote, read = ctypes.c_size_t(len(room)), ctypes.c_size_t(len(data))
            if lib.LZ4F_isError(ctypes.c_size_t(lib.LZ4F_decompress(context, room, ctypes.byref(wrote), data, ctypes.byref(read), None))):
                raise Broken("lz4")
            out += room.raw[:wrote.value]
            data = data[read.value:]
            if not read.value and not wrote.value:
                raise Broken("lz4")
        return bytes(out)
    finally:
        lib.LZ4F_freeDecompressionContext(context)


def gzip_pack(data, level=6):
    packer = zlib.compressobj(level, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def gzip_unpack(data):
    return zlib.decompress(data, 31)


PACK = {NONE: bytes, GZIP: gzip_pack, SNAPPY: snappy_pack, LZ4: lz4_pack, ZSTD: zstd_pack}
UNPACK = {NONE: bytes, GZIP: gzip_unpack, SNAPPY: snappy_unpack, LZ4: lz4_unpack, ZSTD: zstd_unpack}
NAMES = {NONE: "uncompressed", GZIP: "gzip", SNAPPY: "snappy", LZ4: "lz4", ZSTD: "zstd"}
