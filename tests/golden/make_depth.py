#!/usr/bin/env python3
"""Makes depth.json: frames of more than 8 bits, what is in them and what becomes of them, for tests/data/depth.rs.

    make_depth.py [OUT]              writes the file, beside this script unless told otherwise

Needs NumPy, OpenCV and Pillow. Packed rows are packed here bit by bit as GenICam's PFNC 2.1 and GigE Vision 2.0 draw them, not by the
arithmetic of the library. Mosaics: OpenCV's bilinear cvtColor inside, and everywhere the means over np.pad's "reflect" in float64.
Levels: the formula in float64, percentiles by np.percentile's inverted_cdf. Files: the values of Pillow for grey, of OpenCV for colour.
"""

import base64
import io
import json
import struct
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

rng = np.random.default_rng(20)
CODES = {
    "mono8": 1, "mono16": 2, "mono10": 8, "mono12": 9, "mono14": 10, "mono10p": 11, "mono12p": 12, "mono12packed": 13,
    "bayer_rg8": 14, "bayer_gr8": 15, "bayer_gb8": 16, "bayer_bg8": 17, "bayer_rg12": 18, "bayer_gr12": 19,
    "bayer_gb12": 20, "bayer_bg12": 21, "rgb16": 22, "mono_f32": 23,
}  # fmt: skip


def text(data):
    return base64.b64encode(bytes(data)).decode()


def rows_of(rows, padding):
    """Rows of bytes with `padding` bytes between them, none behind the last."""
    rows = [bytes(row) for row in rows]
    return (b"\xaa" * padding).join(rows), len(rows[0]) + padding


def low_first(row, bits):
    """All bits of a row one after the other, the lowest first, and eight to a byte in the same order."""
    stream = [int(sample) >> bit & 1 for sample in row for bit in range(bits)]
    stream += [0] * (-len(stream) % 8)
    return [sum(stream[i + bit] << bit for bit in range(8)) for i in range(0, len(stream), 8)]


def gige(row):
    """Byte 1: bits 11 to 4 of the first; byte 2: bits 3 to 0 of the second and of the first; byte 3: bits 11 to 4 of the second."""
    packed = []
    for i in range(0, len(row), 2):
        first, second = (f"{int(sample):012b}" for sample in (list(row[i : i + 2]) + [0])[:2])
        packed += [int(first[:8], 2), int(second[8:] + first[8:], 2), int(second[:8], 2)]
    return packed if len(row) % 2 == 0 else packed[:-1]


def formats():
    for name, bits in [("mono10", 10), ("mono12", 12), ("mono14", 14), ("mono16", 16), ("mono10p", 10), ("mono12p", 12),
                       ("mono12packed", 12), ("rgb16", 16), ("mono_f32", 32)]:  # fmt: skip
        for width, height, padding in [(1, 1, 0), (2, 3, 3), (5, 4, 0), (7, 3, 5), (8, 2, 1)]:
            size = (height, width * (3 if name == "rgb16" else 1))
            if name == "mono_f32":
                samples = rng.normal(0.4, 0.5, size).astype(np.float32)
                levels = np.floor(255 * np.clip(samples.astype(np.float64), 0, 1) + 0.5)
            else:
                samples = rng.integers(0, 1 << bits, size).astype(np.uint16)
                samples.flat[0] = (1 << bits) - 1
                levels = samples >> (bits - 8)
            if name.endswith("p"):
                rows = [low_first(row, bits) for row in samples]
            elif name == "mono12packed":
                rows = [gige(row) for row in samples]
            else:
                rows = [row.tobytes() for row in samples]
            data, stride = rows_of(rows, padding)
            yield {"name": name, "format": CODES[name], "width": width, "height": height, "stride": stride, "bytes": text(data),
                   "bits": bits, "channels": 3 if name == "rgb16" else 1, "samples": [float(s) for s in samples.flat],
                   "levels": text(levels.astype(np.uint8).tobytes())}  # fmt: skip


def half_up(values):
    return np.floor(values + 0.5).astype(int)


def colours(mosaic, red):
    """Means over neighbours in a frame that is mirrored at its outermost pixels."""
    height, width = mosaic.shape
    padded = np.pad(mosaic.astype(np.float64), 1, mode="reflect")
    at = lambda dy, dx: padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]  # noqa: E731
    across, down = at(0, -1) + at(0, 1), at(-1, 0) + at(1, 0)
    corners = at(-1, -1) + at(-1, 1) + at(1, -1) + at(1, 1)
    y, x = np.mgrid[:height, :width]
    in_column, in_row = x % 2 == red[0], y % 2 == red[1]
    is_red, is_blue = in_column & in_row, ~in_column & ~in_row
    green = np.where(is_red | is_blue, (across + down) / 4, mosaic)
    straight = lambda row: np.where(row, across / 2, down / 2)  # noqa: E731
    r = np.where(is_red, mosaic, np.where(is_blue, corners / 4, straight(in_row)))
    b = np.where(is_blue, mosaic, np.where(is_red, corners / 4, straight(~in_row)))
    return half_up(np.stack([r, green, b], -1))


def mosaics():
    opencv = {"rg": cv2.COLOR_BayerRGGB2RGB, "gr": cv2.COLOR_BayerGRBG2RGB, "gb": cv2.COLOR_BayerGBRG2RGB, "bg": cv2.COLOR_BayerBGGR2RGB}
    for order, red in [("rg", (0, 0)), ("gr", (1, 0)), ("gb", (0, 1)), ("bg", (1, 1))]:
        for bits in (8, 12):
            for width, height, padding in [(2, 2, 0), (9, 8, 2), (10, 7, 0)]:
                mosaic = rng.integers(0, 1 << bits, (height, width)).astype(np.uint8 if bits == 8 else np.uint16)
                mosaic[0, 0] = (1 << bits) - 1
                found = colours(mosaic, red)
                if width > 2:
                    inside = cv2.cvtColor(mosaic, opencv[order])[1:-1, 1:-1]
                    assert (inside == found[1:-1, 1:-1]).all(), (order, bits)
                data, stride = rows_of([row.tobytes() for row in mosaic], padding)
                name = f"bayer_{order}{bits}"
                yield {"name": name, "format": CODES[name], "width": width, "height": height, "stride": stride, "bytes": text(data),
                       "bits": bits, "channels": 3, "samples": [float(s) for s in found.flat],
                       "levels": text([int(s) >> (bits - 8) for s in found.flat])}  # fmt: skip


def levels_of(samples, low, high, gamma):
    part = np.clip((samples.astype(np.float64) - low) / (high - low), 0, 1)
    return text(np.floor(255 * part**gamma + 0.5).astype(np.uint8).tobytes())


def ranges():
    # Enough of them for a table of all levels.
    twelve = (np.arange(48 * 48) * 1777 % 4096).astype(np.uint16).reshape(48, 48)
    small = rng.integers(300, 900, (5, 7)).astype(np.uint16)
    colour = rng.integers(0, 65536, (6, 5 * 3)).astype(np.uint16)
    floats = rng.normal(-3, 40, (12, 9)).astype(np.float32)
    byte = rng.integers(20, 200, (20, 30)).astype(np.uint8)
    for name, samples in [("mono12", twelve), ("mono16", small), ("mono12", small), ("rgb16", colour), ("mono_f32", floats), ("mono8", byte)]:
        frame = {"name": name, "format": CODES[name], "width": samples.shape[1] // (3 if name == "rgb16" else 1),
                 "height": samples.shape[0], "bytes": text(samples.tobytes()), "cases": []}  # fmt: skip
        for low, high, gamma in [(0, 4095, 1), (100.5, 777.25, 1), (-50, 60, 0.5), (20, 180, 2.2)]:
            kind = {"kind": "fixed", "low": low, "high": high, "gamma": gamma}
            frame["cases"].append({"range": kind, "levels": levels_of(samples, low, high, gamma)})
        for low, high in [(0, 100), (1, 99), (12.5, 50)]:
            bounds = np.percentile(samples, [low, high], method="inverted_cdf").astype(np.float64)
            kind = {"kind": "frame", "low_percentile": low, "high_percentile": high, "gamma": 1}
            frame["cases"].append({"range": kind, "levels": levels_of(samples, *bounds, 1)})
        yield frame


def twelve_bit_tiff(samples):
    """Grey of 12 bits, the upper bits first, without compression; Pillow reads it as I;16."""
    height, width = samples.shape
    data = b""
    for row in samples:
        stream = "".join(f"{int(sample):012b}" for sample in row)
        stream += "0" * (-len(stream) % 8)
        data += int(stream, 2).to_bytes(len(stream) // 8, "big")
    tags = [(256, 4, width), (257, 4, height), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 4, height),
            (279, 4, len(data))]  # fmt: skip
    data += b"\0" * (len(data) % 2)
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + directory + b"\0\0\0\0"


def files():
    grey = rng.integers(0, 65536, (6, 5)).astype(np.uint16)
    colour = rng.integers(0, 65536, (4, 5, 3)).astype(np.uint16)
    same = np.repeat(grey[:, :, None], 3, 2)
    for kind in ("PNG", "TIFF"):
        out = io.BytesIO()
        Image.fromarray(grey).save(out, kind)
        read = np.asarray(Image.open(io.BytesIO(out.getvalue())))
        yield {"name": f"grey.{kind}", "bytes": text(out.getvalue()), "bits": 16, "channels": 1, "samples": [float(s) for s in read.flat]}
        for name, image in (("colour", colour), ("same", same)):
            data = cv2.imencode(f".{kind.lower()}", image)[1].tobytes()
            read = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGR2RGB)
            read = read[:, :, :1] if name == "same" else read
            yield {"name": f"{name}.{kind}", "bytes": text(data), "bits": 16, "channels": read.shape[2],
                   "samples": [float(s) for s in read.flat]}  # fmt: skip
    twelve = twelve_bit_tiff(grey >> 4)
    read = np.asarray(Image.open(io.BytesIO(twelve)))
    assert (read == grey >> 4).all()
    yield {"name": "twelve.TIFF", "bytes": text(twelve), "bits": 12, "channels": 1, "samples": [float(s) for s in read.flat]}


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "depth.json"
    all_of = {"frames": list(formats()) + list(mosaics()), "ranges": list(ranges()), "files": list(files())}
    out.write_text(json.dumps(all_of, separators=(",", ":")) + "\n")


main()
