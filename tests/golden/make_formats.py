#!/usr/bin/env python3
"""Makes formats.bin: a matrix of small image files and what PIL reads from each, for tests/data/formats.rs.

    make_formats.py [OUT]            writes the file, beside this script unless told otherwise
    make_formats.py --all FOLDER [tiff/…]   writes a larger matrix as single files, with expected.tsv, to look at by hand

Needs Pillow and NumPy, and cjpeg and djpeg of libjpeg-turbo. Every file is either to be read with PIL's values, or to be refused with
a reason that holds the text given here. Of JPEG it is checked that `djpeg -strict` refuses exactly what is to be refused as damaged.

formats.bin is one zlib stream: the length of a JSON index in 4 bytes (little-endian), the index, the files one after the other. The
index is a list of {name, length, size, sha256 | refused}: SHA-256 of the (H, W, 3) bytes of red, green and blue, turned upright as
`ImageOps.exif_transpose` does. Where the file names an orientation, {stored, stored_size} are those of the pixels as they are stored. Of lossy
WebP, which may differ by rounding, the bytes themselves, `values` of them, stand behind the file.
"""

import hashlib
import io
import itertools
import json
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

DAMAGED = "damaged JPEG"


def picture(width, height, channels=3):
    """Shading, an edge, a coloured spot and a little noise."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    noise = np.random.default_rng(7).integers(-6, 7, (height, width, 3))
    planes = [60 + 3.1 * x + 0.7 * y, 200 - 2.2 * x + 1.3 * y, 90 + 40 * np.sin(x / 5) + 30 * np.cos(y / 4)]
    image = np.stack(planes, -1) + noise
    image[height // 3 : height // 2, width // 4 : width // 2] = (250, 20, 40)
    image[height // 2 :, : width // 5] = (10, 30, 240)
    return np.clip(image, 0, 255).astype(np.uint8)[:, :, :channels]


RGB = picture(37, 29)
# Whether values are those of the upright frame.
UPRIGHT = True


def values(data, name, twin):
    """(H, W, 3) bytes as PIL reads them; samples of more than 8 bits keep their upper 8. PIL does not know BigTIFF of the high byte
    first and a few reversed TIFFs, and reads planes of 16 bits wrong where they are not compressed: then those of `twin`, the same
    pixels in a file that PIL reads; and so of PNM colours of more than 8 bits, which PIL rounds. BMP masks of whole bytes in an order that PIL does not know are what the file was made of."""
    if twin is not None and name.startswith(("tiff/rgb16-none-planar", "pnm/")):
        return values_of_pil(twin)
    try:
        return values_of_pil(data)
    except Exception:
        inks = {"bmp/32-rgbx": [2, 1, 0], "bmp/32-rgba": [2, 1, 0], "bmp/32-xrgb": [1, 0, 0]}.get(name[:11])
        if inks:
            return RGB[:, :, inks]
        if twin is not None:
            return values_of_pil(twin)
        raise


def values_of_pil(data):
    opened = Image.open(io.BytesIO(data))
    opened.load()
    image = ImageOps.exif_transpose(opened) if UPRIGHT else opened
    if image.mode.startswith("I;16"):
        twelve = opened.format == "TIFF" and opened.tag_v2.get(258) == (12,)
        grey = (np.asarray(image).astype(np.uint16) >> (4 if twelve else 8)).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, 2)
    if image.mode == "I" and opened.format == "PPM":
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, 2)
    if image.mode in ("I", "F"):
        raise ValueError(f"PIL reads mode {image.mode}")
    return np.asarray(image.convert("RGB"))


# JPEG


def cjpeg(pixels, *options, scans=None):
    kind, count = (b"P6", 3) if pixels.ndim == 3 else (b"P5", 1)
    head = b"%s %d %d 255\n" % (kind, pixels.shape[1], pixels.shape[0])
    with tempfile.TemporaryDirectory() as folder:
        if scans:
            path = Path(folder) / "scans.txt"
            path.write_text(scans)
            options = (*options, "-scans", str(path))
        run = subprocess.run(["cjpeg", *options], input=head + pixels.tobytes(), capture_output=True, check=True)
    return run.stdout


def is_sound(data):
    """Whether djpeg finds no fault."""
    run = subprocess.run(["djpeg", "-strict"], input=data, capture_output=True)
    return run.returncode == 0


SAMPLINGS = ["1x1", "2x1", "1x2", "2x2", "4x1", "1x4", "3x1", "1x3", "4x2", "1x1,2x1,1x1", "1x1,1x2,1x1", "1x1,2x2,2x2",
             "2x2,2x1,1x2", "2x2,1x1,2x2", "2x1,1x1,2x1", "1x2,2x1,1x1", "3x1,1x1,1x1", "3x2,1x1,1x1", "3x1,3x1,1x1"]  # fmt: skip
SCANS = {
    "together": None,
    "apart": "0;\n1;\n2;\n",
    "red-first": "2;\n0;\n1;\n",
    "pairs": "0;\n1,2;\n",
    "chroma-first": "1,2;\n0;\n",
    "progressive": "0,1,2: 0-0, 0, 1;\n0: 1-5, 0, 2;\n2: 1-63, 0, 1;\n1: 1-63, 0, 1;\n0: 6-63, 0, 2;\n"
    "0: 1-63, 2, 1;\n0,1,2: 0-0, 1, 0;\n2: 1-63, 1, 0;\n1: 1-63, 1, 0;\n0: 1-63, 1, 0;\n",
    "progressive-apart": "2: 0-0, 0, 0;\n0: 0-0, 0, 0;\n1: 0-0, 0, 0;\n0: 1-63, 0, 0;\n2: 1-63, 0, 0;\n1: 1-63, 0, 0;\n",
}
RESTARTS = {"": (), "-restart-row": ("-restart", "1"), "-restart-3": ("-restart", "3B")}


def segments(data):
    """(marker, start, end) of each segment before the first scan's data, that of the scan included."""
    at = 2
    while True:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        yield marker, at, at + 2 + length
        at += 2 + length
        if marker == 0xDA:
            return


def without(data, wanted):
    for marker, start, end in segments(data):
        if marker == wanted:
            return data[:start] + data[end:]
    raise ValueError(f"no marker {wanted:x}")


def patched(data, marker, offset, new):
    for found, start, _ in segments(data):
        if found == marker:
            at = start + 4 + offset
            return data[:at] + new + data[at + len(new) :]
    raise ValueError(f"no marker {marker:x}")


def pil_jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def exif(orientation, order=">"):
    """EXIF with this orientation and a tag before it."""
    head = (b"MM" if order == ">" else b"II") + struct.pack(order + "HI", 42, 8)
    entries = struct.pack(order + "HHIHH", 0x100, 3, 1, 37, 0) + struct.pack(order + "HHIHH", 0x112, 3, 1, orientation, 0)
    return b"Exif\0\0" + head + struct.pack(order + "H", 2) + entries + bytes(4)


def jpegs(large):
    sizes = {"": RGB}
    qualities = [80]
    if large:
        sizes |= {"-wide": picture(203, 61), "-one": picture(1, 1), "-column": picture(3, 65), "-sixteens": picture(64, 48)}
        qualities = [30, 80, 100]
    for sampling, scans, restart, size, quality in itertools.product(SAMPLINGS, SCANS, RESTARTS, sizes, qualities):
        if not large and restart and scans not in {"-restart-row": ("together", "apart", "progressive"), "-restart-3": ("apart",)}[restart]:
            continue
        options = ("-quality", str(quality), "-sample", sampling, *RESTARTS[restart])
        name = f"jpeg/{sampling}/{scans}{restart}{size}" + (f"-q{quality}" if large else "")
        yield name, cjpeg(sizes[size], *options, scans=SCANS[scans]), None
    plain = cjpeg(RGB, "-quality", "80")
    for name, options in {"islow": (), "optimised": ("-optimize",), "baseline": ("-baseline",), "arithmetic": ("-arithmetic",),
                          "arithmetic-progressive": ("-arithmetic", "-progressive"),
                          "arithmetic-restart": ("-arithmetic", "-restart", "2B"), "rgb": ("-rgb",),
                          "rgb-progressive": ("-rgb", "-progressive"), "rgb-halved": ("-rgb", "-sample", "2x2"),
                          "grey": ("-grayscale",), "grey-progressive": ("-grayscale", "-progressive"),
                          "grey-restart": ("-grayscale", "-restart", "1"), "q1": ("-quality", "1"),
                          "q100": ("-quality", "100")}.items():  # fmt: skip
        yield f"jpeg/{name}", cjpeg(RGB, *options), None
    yield "jpeg/grey-sampled-2x2", patched(cjpeg(RGB, "-grayscale"), 0xC0, 7, b"\x22"), None
    yield "jpeg/without-jfif", without(plain, 0xE0), None
    yield "jpeg/numbered-RGB", without(patched(patched(cjpeg(RGB, "-sample", "1x1"), 0xC0, 6, b"R\x11\0G\x11\1B\x11\1"), 0xDA, 1, b"R\0G\x11B\x11"), 0xE0), None
    inks = Image.fromarray(np.dstack([RGB, RGB[::-1, :, 0]]), "CMYK")
    for name, options in {"": {}, "-progressive": {"progressive": True}, "-halved": {"subsampling": "4:2:0"}}.items():
        cmyk = pil_jpeg(inks, quality=85, **options)
        yield f"jpeg/cmyk{name}", cmyk, None
        yield f"jpeg/ycck{name}", patched(cmyk, 0xEE, 11, b"\2"), None
        yield f"jpeg/cmyk{name}-without-adobe", without(cmyk, 0xEE), None
    for orientation in (*range(1, 9), 0, 9):
        yield f"jpeg/orientation-{orientation}", pil_jpeg(Image.fromarray(RGB), quality=80, exif=exif(orientation)), None
        yield f"jpeg/orientation-{orientation}-grey", pil_jpeg(Image.fromarray(RGB[:, :, 1]), quality=80, exif=exif(orientation, "<")), None
        large_one = pil_jpeg(Image.fromarray(picture(64, 48)), quality=80, exif=exif(orientation))
        yield f"jpeg/orientation-{orientation}-of-64x48", large_one, None
    yield "jpeg/orientation-cut", pil_jpeg(Image.fromarray(RGB), quality=80, exif=exif(6)[:-12]), None
    # Sound: what stands behind the end marker, between segments, or inside of them.
    yield "jpeg/without-tables", without(without(without(without(plain, 0xC4), 0xC4), 0xC4), 0xC4), None
    yield "jpeg/behind/garbage", plain + bytes(range(256)) * 3, None
    yield "jpeg/behind/zeros", plain + bytes(1000), None
    yield "jpeg/behind/another-image", plain + cjpeg(RGB[::-1], "-progressive"), None
    yield "jpeg/behind/end-markers", plain + b"\xff\xd9" * 5, None
    thumbnail = cjpeg(RGB[:8, :8])
    yield "jpeg/thumbnail", plain[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + plain[2:], None
    yield "jpeg/comment", plain[:2] + b"\xff\xfe\0\7hello" + plain[2:], None
    yield "jpeg/fill-bytes", plain[:2] + b"\xff\xff\xff" + plain[2:], None
    # Damage. Larger, so that there is something to hit.
    photo = picture(160, 120)
    for name, options in {"baseline": (), "apart": None, "progressive": ("-progressive",), "restart": ("-restart", "1"),
                          "grey": ("-grayscale",), "arithmetic": ("-arithmetic",)}.items():  # fmt: skip
        if options is None:
            data = cjpeg(photo, "-quality", "60", "-sample", "2x2", scans=SCANS["apart"])
        else:
            data = cjpeg(photo, "-quality", "60", *options)
        first = [end for marker, _, end in segments(data) if marker == 0xDA][0]
        middle = first + (len(data) - first) // 3
        kinds = {
            "zeroed": data[:middle] + bytes(600) + data[middle + 600 :],
            "half-with-end": data[: (first + len(data)) // 2] + b"\xff\xd9",
            "cut": data[: (first + len(data)) // 2],
            "cut-at-end-marker": data[:-2],
            "inserted": data[:middle] + b"\xff\xe5\0\4ab" + data[middle:],
            "ones": data[:middle] + b"\xff\xff\xff\xff" * 40 + data[middle + 160 :],
        }
        if name == "restart":
            at = data.index(b"\xff\xd2", first)
            kinds["restart-missing"] = data[:at] + data[at + 2 :]
            kinds["restart-renumbered"] = data[:at] + b"\xff\xd6" + data[at + 2 :]
        for kind, damaged in kinds.items():
            sound = is_sound(damaged)
            reason = None if sound else "truncated JPEG" if kind.startswith("cut") else "JPEG"
            yield f"jpeg/damaged/{name}/{kind}", damaged, reason
    start = [start for marker, start, _ in segments(plain) if marker == 0xC0][0]
    yield "jpeg/refused/12-bit", patched(plain, 0xC0, 0, b"\x0c"), "precision"
    yield "jpeg/refused/lossless", plain[: start + 1] + b"\xc3" + plain[start + 2 :], "SOF"
    yield "jpeg/refused/hierarchical", plain[: start + 1] + b"\xc5" + plain[start + 2 :], "SOF"
    yield "jpeg/refused/no-lines", patched(plain, 0xC0, 1, b"\0\0"), "DNL"
    yield "jpeg/refused/no-image", plain[:start] + b"\xff\xd9", "no image"


# TIFF


def packbits(data, row):
    out = bytearray()
    for start in range(0, len(data), row):
        line = data[start : start + row]
        i = 0
        while i < len(line):
            run = 1
            while i + run < len(line) and run < 128 and line[i + run] == line[i]:
                run += 1
            if run > 1:
                out += bytes([257 - run, line[i]])
                i += run
                continue
            j = i + 1
            while j < len(line) and j - i < 128 and (j + 1 >= len(line) or line[j] != line[j + 1]):
                j += 1
            out += bytes([j - i - 1]) + line[i:j]
            i = j
    return bytes(out)


def lzw(data):
    """TIFF 6.0, section 13: most significant bit first, codes one entry early."""
    bits, count = 0, 0
    out = bytearray()

    def write(code, width):
        nonlocal bits, count
        bits, count = bits << width | code, count + width
        while count >= 8:
            count -= 8
            out.append(bits >> count & 255)
            bits &= (1 << count) - 1

    table, width, word = {bytes([i]): i for i in range(256)}, 9, b""
    following = 258
    write(256, 9)
    for byte in data:
        longer = word + bytes([byte])
        if longer in table:
            word = longer
            continue
        write(table[word], width)
        table[longer] = following
        following += 1
        if following == 1 << width:
            width += 1
        if following == 4094:
            write(256, width)
            table, width, following = {bytes([i]): i for i in range(256)}, 9, 258
        word = bytes([byte])
    if word:
        write(table[word], width)
        following += 1
        if following == 1 << width and width < 12:
            width += 1
    write(257, width)
    if count:
        write(0, 8 - count)
    return bytes(out)


def packed(samples, bits, order):
    """(rows, n) samples → bytes of each row."""
    if bits in (8, 16, 32, 64):
        return samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    rows = []
    for row in samples:
        bit = "".join(format(int(value), f"0{bits}b") for value in row)
        bit += "0" * (-len(bit) % 8)
        rows.append(bytes(int(bit[i : i + 8], 2) for i in range(0, len(bit), 8)))
    return b"".join(rows)


def tiff(image, bits=8, photometric=2, compression=1, predictor=1, planar=1, tile=None, rows=None, big=False, order="<",
         fill=1, tags=None, subsampling=0):  # fmt: skip
    """A TIFF of `image`, (H, W, S); `tags` are more tags: {number: (type, [values])}."""
    height, width, samples = image.shape
    piece_w, piece_h = tile or (width, rows or height)
    planes = [image] if planar == 1 else [image[:, :, i : i + 1] for i in range(samples)]
    pieces = []
    for plane in planes:
        for top in range(0, height, piece_h):
            for left in range(0, width, piece_w):
                part = plane[top : top + piece_h, left : left + piece_w]
                if tile:
                    pad = ((0, piece_h - part.shape[0]), (0, piece_w - part.shape[1]), (0, 0))
                    part = np.pad(part, pad, "edge")
                pieces.append(piece(part, bits, compression, predictor, order, fill, photometric, subsampling))
    entries = {256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * samples), 259: (3, [compression]), 262: (3, [photometric]),
               277: (3, [samples]), 284: (3, [planar]), 266: (3, [fill])}  # fmt: skip
    if predictor != 1:
        entries[317] = (3, [predictor])
    if tile:
        entries |= {322: (3, [piece_w]), 323: (3, [piece_h])}
    else:
        entries[278] = (4, [piece_h])
    offsets, lengths = (324, 325) if tile else (273, 279)
    kind = 16 if big else 4
    entries[lengths] = (kind, [len(part) for part in pieces])
    head = 16 if big else 8
    at, places = head, []
    for part in pieces:
        at += at % 2
        places.append(at)
        at += len(part)
    entries[offsets] = (kind, places)
    entries |= tags or {}
    body = bytearray(head)
    for place, part in zip(places, pieces):
        body += bytes(place - len(body)) + part
    body += bytes(len(body) % 2)
    codes = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}
    directory, behind = b"", len(body)
    extra = bytearray()
    word = 8 if big else 4
    size = len(entries) * (20 if big else 12) + (16 if big else 6)
    for number in sorted(entries):
        kind, numbers = entries[number]
        data = struct.pack(f"{order}{len(numbers)}{codes[kind]}", *numbers)
        directory += struct.pack(order + ("HHQ" if big else "HHI"), number, kind, len(numbers))
        if len(data) <= word:
            directory += data + bytes(word - len(data))
        else:
            directory += struct.pack(order + ("Q" if big else "I"), behind + size + len(extra))
            extra += data + bytes(len(data) % 2)
    magic = b"II" if order == "<" else b"MM"
    if big:
        body[:16] = magic + struct.pack(order + "HHHQ", 43, 8, 0, behind)
        directory = struct.pack(order + "Q", len(entries)) + directory + bytes(8)
    else:
        body[:8] = magic + struct.pack(order + "HI", 42, behind)
        directory = struct.pack(order + "H", len(entries)) + directory + bytes(4)
    return bytes(body) + directory + bytes(extra)


def piece(part, bits, compression, predictor, order, fill, photometric, subsampling):
    height, width, samples = part.shape
    if compression == 7:
        if photometric == 6:
            return pil_jpeg(Image.fromarray(part), quality=85, subsampling=subsampling)
        if samples == 3:
            # Samples as they are: what PIL writes as RGB, without the marker that says so.
            return without(pil_jpeg(Image.fromarray(part), quality=85, keep_rgb=True), 0xEE)
        mode = {1: "L", 4: "CMYK"}[samples]
        image = Image.fromarray(255 - part if samples == 4 else part[:, :, 0], mode)
        data = pil_jpeg(image, quality=85)
        return without(data, 0xEE) if samples == 4 else data
    if predictor == 2:
        part = part.copy()
        part[:, 1:] = part[:, 1:] - part[:, :-1]
    data = packed(part.reshape(height, width * samples), bits, order)
    if compression in (8, 32946):
        data = zlib.compress(data, 9)
    elif compression == 5:
        data = lzw(data)
    elif compression == 32773:
        data = packbits(data, len(data) // height)
    if fill == 2:
        data = bytes(int(format(byte, "08b")[::-1], 2) for byte in data)
    return data


def deep(image, bits=16):
    """More bits, the lower ones not zero."""
    noise = np.random.default_rng(3).integers(0, 1 << (bits - 8), image.shape)
    return (image.astype(np.uint32) << (bits - 8) | noise).astype(np.uint16)


COMPRESSIONS = {"none": 1, "packbits": 32773, "lzw": 5, "deflate": 8, "old-deflate": 32946}


def tiffs(large):
    grey = RGB[:, :, 1:2]
    inks = np.dstack([RGB, RGB[::-1, :, 0:1]])
    images = {"rgb": (RGB, 8, 2), "grey": (grey, 8, 1), "rgb16": (deep(RGB), 16, 2), "grey16": (deep(grey), 16, 1), "cmyk": (inks, 8, 5)}
    tiles = {"": {}, "-strips": {"rows": 5}, "-tiles": {"tile": (16, 16)}, "-long-tiles": {"tile": (48, 16)}}
    for (kind, (image, bits, photometric)), (name, compression), planar, predictor, (cut, pieces), order, big in itertools.product(
        images.items(), COMPRESSIONS.items(), (1, 2), (1, 2), tiles.items(), "<>", (False, True)
    ):
        if predictor == 2 and name not in ("lzw", "deflate"):
            continue
        if planar == 2 and image.shape[2] == 1:
            continue
        if not large:
            # A part of the product, in which every pair of two settings stands.
            number = sum(map(ord, f"{kind}{name}{planar}{predictor}{cut}{order}{big}"))
            if number % 4 and not (cut == "-tiles" and kind in ("rgb", "grey") and order == "<"):
                continue
        label = f"tiff/{kind}-{name}{'-planar' * (planar == 2)}{'-differences' * (predictor == 2)}{cut}{'-be' * (order == '>')}{'-big' * big}"
        yield label, tiff(image, bits, photometric, compression, predictor, planar, order=order, big=big, **pieces), None, tiff(image, bits, photometric, 8)
    levels = {1: RGB[:, :, 1:2] >> 7, 2: RGB[:, :, 1:2] >> 6, 4: RGB[:, :, 1:2] >> 4, 8: grey}
    for bits, image in levels.items():
        colours = np.random.default_rng(bits).integers(0, 65536, 3 << bits).tolist()
        for (name, compression), (cut, pieces), fill in itertools.product(COMPRESSIONS.items(), tiles.items(), (1, 2)):
            if not large and (bits + compression + len(cut) + fill) % 3:
                continue
            end = f"-{bits}-{name}{cut}{'-reversed' * (fill == 2)}"
            options = {"bits": bits, "compression": compression, "fill": fill, **pieces}
            yield f"tiff/grey{end}", tiff(image, photometric=1, **options), None
            yield f"tiff/white-is-0{end}", tiff(image, photometric=0, **options), None, tiff(image, bits, 0, 8)
            palette = {320: (3, colours)}
            yield f"tiff/palette{end}", tiff(image, photometric=3, tags=palette, **options), None, tiff(image, bits, 3, 8, tags=palette)
    twelve = deep(grey, 12)
    for name, compression in COMPRESSIONS.items():
        yield f"tiff/grey-12-{name}", tiff(twelve, 12, 1, compression), None
        yield f"tiff/grey-12-{name}-strips", tiff(twelve[:, :24], 12, 1, compression, rows=6), None
    for cut, pieces in tiles.items():
        for halved in (0, 1, 2):
            yield f"tiff/jpeg-ycbcr-{halved}{cut}", tiff(RGB, 8, 6, 7, subsampling=halved, tags={530: (3, [[1, 1], [2, 1], [2, 2]][halved])}, **pieces), None
        yield f"tiff/jpeg-rgb{cut}", tiff(RGB, 8, 2, 7, **pieces), None
        yield f"tiff/jpeg-grey{cut}", tiff(grey, 8, 1, 7, **pieces), None
        yield f"tiff/jpeg-planar{cut}", tiff(RGB, 8, 2, 7, planar=2, **pieces), None
    for mode, image in {"rgb": Image.fromarray(RGB), "grey": Image.fromarray(grey[:, :, 0]), "cmyk": Image.fromarray(inks, "CMYK")}.items():
        for compression in ("jpeg", "tiff_lzw", "tiff_adobe_deflate", "packbits", "raw"):
            out = io.BytesIO()
            image.save(out, "TIFF", compression=compression)
            yield f"tiff/libtiff-{mode}-{compression}", out.getvalue(), None
    for orientation in range(1, 9):
        yield f"tiff/orientation-{orientation}", tiff(RGB, tags={274: (3, [orientation])}), None
        yield f"tiff/orientation-{orientation}-lzw-grey", tiff(grey, 8, 1, 5, tags={274: (3, [orientation])}), None
        yield f"tiff/orientation-{orientation}-16", tiff(deep(RGB), 16, 2, tags={274: (3, [orientation])}), None
    alpha = np.dstack([RGB, RGB[:, ::-1, 1:2]])
    alpha[0, :3, 3] = (0, 1, 255)
    for extra, name in ((0, "unspecified"), (1, "premultiplied"), (2, "alpha")):
        for depth, compression in itertools.product((8, 16), (1, 5)):
            image = alpha if depth == 8 else deep(alpha)
            label = f"tiff/rgb-and-{name}-{depth}-{compression}"
            yield label, tiff(image, depth, 2, compression, tags={338: (3, [extra])}), None
        refused = "premultiplied" if extra == 1 else None
        yield f"tiff/grey-and-{name}", tiff(alpha[:, :, 2:], 8, 1, tags={338: (3, [extra])}), refused
    yield "tiff/rgb-and-two", tiff(np.dstack([alpha, grey]), tags={338: (3, [0, 0])}), None
    yield "tiff/rgb-and-two-planar-lzw", tiff(np.dstack([alpha, grey]), planar=2, compression=5, tags={338: (3, [0, 0])}), None
    pages = io.BytesIO()
    Image.fromarray(RGB).save(pages, "TIFF", save_all=True, append_images=[Image.fromarray(RGB[::-1])])
    yield "tiff/two-pages", pages.getvalue(), None
    # Refused by name.
    floats = (grey / 255).astype(np.float32)
    for name, image, bits, more, reason in [
        ("float32", floats, 32, {339: (3, [3])}, "32-bit float"),
        ("float64", floats.astype(np.float64), 64, {339: (3, [3])}, "64-bit float"),
        ("float16", deep(grey), 16, {339: (3, [3])}, "16-bit float"),
        ("signed-8", grey, 8, {339: (3, [2])}, "8-bit signed"),
        ("signed-16", deep(grey), 16, {339: (3, [2])}, "16-bit signed"),
        ("32-bit", grey.astype(np.uint32), 32, {}, "32-bit samples"),
        ("different-bits", RGB, 8, {258: (3, [8, 8, 4])}, "different bits"),
    ]:
        yield f"tiff/refused/{name}", tiff(image, bits, 2 if image.shape[2] == 3 else 1, tags=more), reason
    yield "tiff/refused/rgb-float32", tiff((RGB / 255).astype(np.float32), 32, 2, tags={339: (3, [3] * 3)}), "32-bit float"
    yield "tiff/refused/rgb-4", tiff(RGB >> 4, 4, 2), "4-bit samples"
    yield "tiff/refused/white-is-0-16", tiff(deep(grey), 16, 0), "grey where 0 is white"
    yield "tiff/refused/lab", tiff(RGB, 8, 8), "CIELab"
    yield "tiff/refused/ycbcr", tiff(RGB, 8, 6, 5), "YCbCr"
    yield "tiff/refused/predictor-3", tiff(grey, 8, 1, 8, tags={317: (3, [3])}), "predictor 3"
    yield "tiff/refused/predictor-2-on-4-bits", tiff(levels[4], 4, 1, 5, tags={317: (3, [2])}), "predictor 2"
    yield "tiff/refused/inks", tiff(inks, 8, 5, tags={332: (3, [2])}), "ink set"
    for number, name in {2: "CCITT modified Huffman", 3: "group 3", 4: "group 4", 6: "old-style JPEG", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP"}.items():
        yield f"tiff/refused/compression-{number}", tiff(levels[1] if number < 5 else grey, 1 if number < 5 else 8, 1, 1, tags={259: (3, [number])}), name
    # Damaged.
    for name, compression in COMPRESSIONS.items():
        whole = tiff(RGB, compression=compression)
        length = len(piece(RGB, 8, compression, 1, "<", 1, 2, 0))
        yield f"tiff/damaged/short-{name}", tiff(RGB, compression=compression, tags={279: (4, [length // 2])} if compression != 1 else {273: (4, [len(whole) - 10])}), "damaged TIFF"
        yield f"tiff/damaged/behind-{name}", tiff(RGB, compression=compression, tags={273: (4, [1 << 30])}), "damaged TIFF"
    broken = bytearray(tiff(RGB, compression=8))
    broken[30:60] = bytes(30)
    yield "tiff/damaged/deflate-zeroed", bytes(broken), "damaged TIFF"
    yield "tiff/damaged/cut", tiff(RGB)[:-30], "damaged TIFF"
    yield "tiff/damaged/no-offsets", tiff(RGB, tags={273: (3, [])}), "damaged TIFF"
    yield "tiff/damaged/too-few-strips", tiff(RGB, rows=5, tags={278: (4, [2])}), "damaged TIFF"
    yield "tiff/damaged/no-colour-map", tiff(grey, 8, 3), "colour map"
    yield "tiff/damaged/no-rows", tiff(RGB, tags={278: (4, [0])}), "damaged TIFF"
    yield "tiff/damaged/too-large", tiff(RGB, tags={256: (4, [40000])}), "40000×29"


# PNG and BMP


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(samples, bits, colour, more=b"", interlaced=False, filtered=True):
    """`samples` (H, W, S); every filter in turn."""
    height, width, count = samples.shape
    passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [samples]
    raw = b""
    step = max(1, bits * count // 8)
    for part in passes:
        if 0 in part.shape:
            continue
        above = None
        for y, row in enumerate(part):
            line = packed(row.reshape(1, -1), bits, ">")
            line = np.frombuffer(line, np.uint8).astype(np.int32)
            up = np.zeros_like(line) if above is None else above
            left = np.concatenate([np.zeros(step, np.int32), line])[: len(line)]
            corner = np.concatenate([np.zeros(step, np.int32), up])[: len(line)]
            guess = left + up - corner
            near = np.stack([abs(guess - left), abs(guess - up), abs(guess - corner)])
            paeth = np.choose(near.argmin(0), [left, up, corner])
            kind = y % 5 if filtered else 0
            predicted = [0, left, up, (left + up) // 2, paeth][kind]
            raw += bytes([kind]) + ((line - predicted) % 256).astype(np.uint8).tobytes()
            above = line
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def pngs(_large):
    grey = RGB[:, :, 1:2]
    alpha = np.dstack([RGB, RGB[:, ::-1, 1:2]])
    palette = {bits: chunk(b"PLTE", np.random.default_rng(bits).integers(0, 256, 3 << bits).astype(np.uint8).tobytes()) for bits in (1, 2, 4, 8)}
    for interlaced in (False, True):
        end = "-interlaced" * interlaced
        for bits in (1, 2, 4, 8):
            yield f"png/grey-{bits}{end}", png(grey >> (8 - bits), bits, 0, interlaced=interlaced), None
            yield f"png/palette-{bits}{end}", png(grey >> (8 - bits), bits, 3, palette[bits], interlaced), None
            more = palette[bits] + chunk(b"tRNS", bytes([0, 128]))
            yield f"png/palette-{bits}-transparent{end}", png(grey >> (8 - bits), bits, 3, more, interlaced), None
            more = chunk(b"tRNS", struct.pack(">H", 1))
            yield f"png/grey-{bits}-transparent{end}", png(grey >> (8 - bits), bits, 0, more, interlaced), None
        yield f"png/grey-16{end}", png(deep(grey), 16, 0, interlaced=interlaced), None
        yield f"png/rgb-16{end}", png(deep(RGB), 16, 2, interlaced=interlaced), None
        yield f"png/grey-alpha-16{end}", png(deep(alpha[:, :, 2:]), 16, 4, interlaced=interlaced), None
        yield f"png/rgba-16{end}", png(deep(alpha), 16, 6, interlaced=interlaced), None
        yield f"png/rgb{end}", png(RGB, 8, 2, interlaced=interlaced), None
        yield f"png/rgba{end}", png(alpha, 8, 6, interlaced=interlaced), None
        yield f"png/grey-alpha{end}", png(alpha[:, :, 2:], 8, 4, interlaced=interlaced), None
    key = chunk(b"tRNS", struct.pack(">HHH", *map(int, RGB[3, 4])))
    yield "png/rgb-transparent", png(RGB, 8, 2, key), None
    yield "png/rgb-16-transparent", png(deep(RGB), 16, 2, key), None
    yield "png/grey-16-transparent", png(deep(grey), 16, 0, chunk(b"tRNS", b"\1\2")), None
    for name, data in {"gamma": chunk(b"gAMA", struct.pack(">I", 100000)), "srgb": chunk(b"sRGB", b"\0"), "text": chunk(b"tEXt", b"a\0b"),
                       "bits": chunk(b"sBIT", b"\5\6\5"), "orientation": chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"),
                       "chroma": chunk(b"cHRM", struct.pack(">8I", *[30000] * 8)), "private": chunk(b"prVt", b"abc")}.items():  # fmt: skip
        yield f"png/with-{name}", png(RGB, 8, 2, data), None
    short = chunk(b"PLTE", bytes(range(90)))
    for orientation in range(1, 9):
        turned = chunk(b"eXIf", exif(orientation)[6:])
        yield f"png/orientation-{orientation}", png(RGB, 8, 2, turned), None
        yield f"png/orientation-{orientation}-grey-16", png(deep(grey), 16, 0, turned), None
        yield f"png/orientation-{orientation}-rgb-16", png(deep(RGB), 16, 2, turned), None
        yield f"png/orientation-{orientation}-palette", png(grey, 8, 3, palette[8] + turned), None
    upright = png(RGB, 8, 2)
    yield "png/orientation-behind", upright[:-12] + chunk(b"eXIf", exif(8)[6:]) + upright[-12:], None
    yield "png/palette-short", png(np.minimum(grey, 29), 8, 3, short), None
    yield "png/narrow", png(RGB[:, :1], 8, 2, interlaced=True), None
    yield "png/low", png(RGB[:1, :3], 8, 2, interlaced=True), None
    moving = io.BytesIO()
    Image.fromarray(RGB).save(moving, "PNG", save_all=True, append_images=[Image.fromarray(RGB[::-1])])
    yield "png/moving", moving.getvalue(), None
    whole = png(RGB, 8, 2)
    at = whole.index(b"IDAT")
    yield "png/behind", whole + b"garbage" * 9, None
    yield "png/damaged/cut", whole[: len(whole) // 2], "PNG"
    yield "png/damaged/checksum", whole[:-20] + b"\0\0\0\0" + whole[-16:], "PNG"
    yield "png/damaged/zeroed", whole[: at + 200] + bytes(100) + whole[at + 300 :], "PNG"
    yield "png/damaged/no-palette", png(grey, 8, 3), "PNG"
    yield "png/damaged/behind-palette", png(grey, 8, 3, short), None


def bmp(rows, bits, compression=0, palette=b"", size=(0, 0), head=40, masks=b"", down=False, old=False, colours=0):
    width, height = size
    if old:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", head, width, -height if down else height, 1, bits, compression, len(rows), 2835, 2835, colours, 0)
        if head > 40:
            info += masks + bytes(head - 40 - len(masks))
        else:
            info += masks
    offset = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + info + palette + rows


def padded(rows):
    return b"".join(row + bytes(-len(row) % 4) for row in rows)


def bmps(_large):
    height, width = RGB.shape[:2]
    size = (width, height)
    bgr = RGB[:, :, ::-1]
    up = [row.tobytes() for row in bgr[::-1]]
    yield "bmp/24", bmp(padded(up), 24, size=size), None
    yield "bmp/24-down", bmp(padded(up[::-1]), 24, size=size, down=True), None
    yield "bmp/24-old", bmp(padded(up), 24, size=size, old=True), None
    four = np.dstack([bgr, RGB[:, :, 0]])
    up4 = b"".join(row.tobytes() for row in four[::-1])
    yield "bmp/32", bmp(up4, 32, size=size), None
    yield "bmp/32-down", bmp(b"".join(row.tobytes() for row in four), 32, size=size, down=True), None
    for name, masks in {"bgrx": (0xFF0000, 0xFF00, 0xFF, 0), "bgra": (0xFF0000, 0xFF00, 0xFF, 0xFF000000), "xbgr": (0xFF000000, 0xFF0000, 0xFF00, 0),
                        "rgbx": (0xFF, 0xFF00, 0xFF0000, 0), "rgba": (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
                        "xrgb": (0xFF00, 0xFF0000, 0xFF000000, 0), "abgr": (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
                        "10-bit": (0x3FF00000, 0xFFC00, 0x3FF, 0)}.items():  # fmt: skip
        for head in (40, 56, 108, 124):
            data = struct.pack("<4I", *masks) if head > 40 else struct.pack("<3I", *masks[:3])
            refused = "masks" if name == "10-bit" else None
            yield f"bmp/32-{name}-{head}", bmp(up4, 32, 3, size=size, head=head, masks=data), refused
    shorts = {
        "555": (lambda c: c[..., 0].astype(np.uint16) >> 3 << 10 | c[..., 1].astype(np.uint16) >> 3 << 5 | c[..., 2] >> 3, (0x7C00, 0x3E0, 0x1F)),
        "565": (lambda c: c[..., 0].astype(np.uint16) >> 3 << 11 | c[..., 1].astype(np.uint16) >> 2 << 5 | c[..., 2] >> 3, (0xF800, 0x7E0, 0x1F)),
        "444": (lambda c: c[..., 0].astype(np.uint16) >> 4 << 8 | c[..., 1].astype(np.uint16) >> 4 << 4 | c[..., 2] >> 4, (0xF00, 0xF0, 0xF)),
    }
    for name, (make, masks) in shorts.items():
        rows = padded([row.astype("<u2").tobytes() for row in make(RGB)[::-1]])
        for head in (40, 108):
            data = struct.pack("<3I", *masks) + bytes(4 if head > 40 else 0)
            refused = "masks" if name == "444" else None
            yield f"bmp/16-{name}-{head}", bmp(rows, 16, 3, size=size, head=head, masks=data), refused
        if name == "555":
            yield "bmp/16", bmp(rows, 16, size=size), None
            yield "bmp/16-down", bmp(padded([row.astype("<u2").tobytes() for row in make(RGB)]), 16, size=size, down=True), None
    grey = RGB[:, :, 1]
    for bits in (1, 4, 8):
        numbers = grey >> (8 - bits)
        rows = padded([packed(row[None], bits, "<") for row in numbers[::-1]])
        colours = np.random.default_rng(bits).integers(0, 256, (1 << bits, 4)).astype(np.uint8)
        yield f"bmp/palette-{bits}", bmp(rows, bits, palette=colours.tobytes(), size=size), None
        yield f"bmp/palette-{bits}-down", bmp(padded([packed(row[None], bits, "<") for row in numbers]), bits, palette=colours.tobytes(), size=size, down=True), None
        yield f"bmp/palette-{bits}-old", bmp(rows, bits, palette=colours[:, :3].tobytes(), size=size, old=True), None
        ramp = np.repeat(np.linspace(0, 255, 1 << bits).astype(np.uint8)[:, None], 4, 1)
        yield f"bmp/grey-{bits}", bmp(rows, bits, palette=ramp.tobytes(), size=size), None
        yield f"bmp/few-colours-{bits}", bmp(padded([packed(np.minimum(row, 1)[None], bits, "<") for row in numbers[::-1]]), bits, palette=colours[:2].tobytes(), size=size, colours=2), None
        if bits > 1:
            runs = b"".join(rle(row, bits) + b"\0\0" for row in numbers[::-1])
            yield f"bmp/rle-{bits}", bmp(runs + b"\0\1", bits, 3 - bits // 4, palette=colours.tobytes(), size=size), None
            yield f"bmp/rle-{bits}-no-end", bmp(runs, bits, 3 - bits // 4, palette=colours.tobytes(), size=size), None
            lines = [rle(row, bits) + b"\0\0" for row in numbers[::-1]]
            jump = b"".join(lines[:5]) + b"\0\2\3\2" + rle(numbers[0][: width - 3], bits) + b"\0\0" + b"".join(lines[8:])
            yield f"bmp/rle-{bits}-jump", bmp(jump + b"\0\1", bits, 3 - bits // 4, palette=colours.tobytes(), size=size), None
            yield f"bmp/rle-{bits}-early-end", bmp(b"".join(lines[:9]) + b"\0\1", bits, 3 - bits // 4, palette=colours.tobytes(), size=size), "damaged BMP"
    yield "bmp/damaged/cut", bmp(padded(up), 24, size=size)[:-500], "damaged BMP"
    yield "bmp/damaged/palette-cut", bmp(b"", 8, palette=bytes(300), size=size), "damaged BMP"
    yield "bmp/refused/jpeg", bmp(cjpeg(RGB), 0, 4, size=size), "JPEG compression"


def rle(row, bits):
    """Runs, and single pixels as they are where there is no run."""
    out, i, row = b"", 0, [int(value) for value in row]
    while i < len(row):
        run = 1
        while i + run < len(row) and run < 255 and row[i + run] == row[i]:
            run += 1
        literal = row[i : i + 5]
        if run < 3 and len(literal) == 5:
            if bits == 8:
                out += bytes([0, 5, *literal, 0])
            else:
                out += bytes([0, 5, literal[0] << 4 | literal[1], literal[2] << 4 | literal[3], literal[4] << 4, 0])
            i += 5
        else:
            out += bytes([run, row[i] * 17 if bits == 4 else row[i]])
            i += run
    return out


# WebP and PNM


def pil_webp(image, **options):
    out = io.BytesIO()
    image.save(out, "WEBP", **options)
    return out.getvalue()


def riff(data, wanted):
    """The content of a chunk, and where it begins."""
    at = 12
    while at < len(data):
        length = struct.unpack("<I", data[at + 4 : at + 8])[0]
        if data[at : at + 4] == wanted:
            return data[at + 8 : at + 8 + length], at + 8
        at += 8 + length + length % 2
    raise ValueError(f"no chunk {wanted}")


def webps(_large):
    alpha = np.dstack([RGB, RGB[:, ::-1, 1:2]])
    images = {"rgb": Image.fromarray(RGB), "rgba": Image.fromarray(alpha, "RGBA"), "grey": Image.fromarray(RGB[:, :, 1]).convert("RGB"),
              "large": Image.fromarray(picture(203, 61)), "one": Image.fromarray(picture(1, 1)), "column": Image.fromarray(picture(3, 65)),
              "few": Image.fromarray((RGB >> 7) * 255)}  # fmt: skip
    for name, image in images.items():
        for method in (0, 4, 6):
            yield f"webp/{name}-lossless-{method}", pil_webp(image, lossless=True, exact=True, method=method), None
            yield f"webp/{name}-lossy-{method}", pil_webp(image, quality=(30, 80, 100)[method // 3], method=method), None
    yield "webp/near-lossless", pil_webp(images["rgb"], lossless=True, quality=40), None
    for orientation in range(1, 9):
        for lossless in (True, False):
            name = f"webp/orientation-{orientation}-{'lossless' if lossless else 'lossy'}"
            yield name, pil_webp(images["rgb"], lossless=lossless, exif=exif(orientation)), None
    yield "webp/moving-lossless", pil_webp(images["rgb"], lossless=True, save_all=True, append_images=[Image.fromarray(RGB[::-1])]), None
    plain = pil_webp(images["rgb"], lossless=True)
    yield "webp/behind-lossless", plain + b"garbage" * 9, None
    photo = Image.fromarray(picture(160, 120))
    for name, data in {"lossless": pil_webp(photo, lossless=True), "lossy": pil_webp(photo, quality=80)}.items():
        yield f"webp/damaged/{name}-cut", data[: len(data) // 2], "damaged WebP"
        yield f"webp/damaged/{name}-end", data[:-2], "damaged WebP"
        kind = b"VP8L" if name == "lossless" else b"VP8 "
        _, at = riff(data, kind)
        shorter = data[: at + 40]
        shorter = shorter[:4] + struct.pack("<I", len(shorter) - 8) + shorter[8 : at - 4] + struct.pack("<I", 40) + shorter[at:]
        yield f"webp/damaged/{name}-short-chunk", shorter, "damaged WebP"
    yield "webp/damaged/no-image", b"RIFF\4\0\0\0WEBP", "damaged WebP"
    _, at = riff(plain, b"VP8L")
    yield "webp/damaged/signature", plain[:at] + b"x" + plain[at + 1 :], "damaged WebP"


def pnm(kind, samples, most=None, comment=b""):
    """`samples` (H, W, S) of PBM, PGM or PPM."""
    height, width, _ = samples.shape
    head = b"P%d\n%s%d %d\n" % (kind, comment, width, height) + (b"" if most is None else b"%d\n" % most)
    if kind == 4:
        return head + packed(samples[:, :, 0], 1, ">")
    if kind > 4:
        return head + samples.astype(">u2" if most > 255 else np.uint8).tobytes()
    rows = samples.reshape(height, -1)
    return head + b"\n".join((b"" if kind == 1 and y % 2 else b" ").join(b"%d" % value for value in row) for y, row in enumerate(rows)) + b"\n"


def pnms(_large):
    grey, bit = RGB[:, :, 1:2], RGB[:, :, 1:2] >> 7
    yield "pnm/p1", pnm(1, bit), None
    yield "pnm/p1-comment", pnm(1, bit, comment=b"# made by hand\n"), None
    yield "pnm/p4", pnm(4, bit), None
    yield "pnm/p4-comment", pnm(4, bit, comment=b"#a\n#b\r\n"), None
    for most in (255, 254, 100, 15, 7, 3, 2, 1):
        scaled = (RGB.astype(np.uint32) * most // 255).astype(np.uint16)
        for kind, samples in ((2, scaled[:, :, 1:2]), (3, scaled), (5, scaled[:, :, 1:2]), (6, scaled)):
            yield f"pnm/p{kind}-{most}", pnm(kind, samples, most), None
    for most in (65535, 4095, 1023, 511, 256, 1000, 40000, 65534):
        samples = (deep(RGB).astype(np.uint64) * most // 65535).astype(np.uint16)
        sixteen = np.array([round(value / most * 65535) for value in samples.ravel()]).reshape(samples.shape)
        colours = tiff(sixteen.astype(np.uint16), 16, 2, 8)
        for kind in (2, 5):
            yield f"pnm/p{kind}-{most}", pnm(kind, samples[:, :, 1:2], most), None
        for kind in (3, 6):
            # PIL makes 8 bits of such colours by a rounding of its own; here they keep their bits, of which the upper 8 are shown.
            yield f"pnm/p{kind}-{most}", pnm(kind, samples, most), None, colours
    yield "pnm/p5-above-100", pnm(5, grey, 100), None
    yield "pnm/p5-above-1000", pnm(5, deep(grey), 1000), None
    yield "pnm/p6-behind", pnm(6, RGB, 255) + b"more", None
    yield "pnm/p5-blanks", b"P5\t37\r29 #x\n\n 255\n" + grey.tobytes(), None
    for name, data in {"p5-cut": pnm(5, grey, 255)[:-1], "p6-16-cut": pnm(6, deep(RGB), 65535)[:-1], "p4-cut": pnm(4, bit)[:-1],
                       "p2-cut": pnm(2, grey, 255)[:-9], "p1-cut": pnm(1, bit)[:-2], "p2-above": pnm(2, grey, 100), "no-sides": b"P5\n",
                       "word": b"P5\nwide 29 255\n" + grey.tobytes(), "most-0": b"P5\n37 29\n0\n" + grey.tobytes(),
                       "most-65536": b"P5\n37 29\n65536\n" + grey.tobytes() * 2, "p1-2": pnm(1, bit * 2)}.items():  # fmt: skip
        yield f"pnm/damaged/{name}", data, "damaged PNM"
    yield "pnm/damaged/too-large", b"P5\n40000 29\n255\n", "40000×29"
    yield "pnm/refused/float", b"Pf\n37 29\n-1.0\n" + (grey / 255).astype("<f4").tobytes(), "float"
    yield "pnm/refused/pam", b"P7\nWIDTH 37\nHEIGHT 29\nDEPTH 1\nMAXVAL 255\nENDHDR\n" + grey.tobytes(), "PAM"


def cases(large, prefix=""):
    global UPRIGHT
    seen = set()
    for name, data, refused, *twin in itertools.chain(jpegs(large), tiffs(large), pngs(large), bmps(large), webps(large), pnms(large)):
        if not name.startswith(prefix):
            continue
        assert name not in seen, name
        seen.add(name)
        case = {"name": name, "length": len(data)}
        if name.startswith("jpeg/") and not name.startswith("jpeg/refused/"):
            assert is_sound(data) == (refused is None), f"{name}: djpeg -strict says the opposite"
        try:
            pixels = np.ascontiguousarray(values(data, name, *twin or [None]))
            case |= {"size": [pixels.shape[1], pixels.shape[0]], "sha256": hashlib.sha256(pixels.tobytes()).hexdigest()}
            if "orientation" in name:
                case |= as_stored(data, name)
            if name.startswith("webp/") and "lossy" in name and refused is None:
                data, case = data + pixels.tobytes(), case | {"values": pixels.size}
        except Exception as error:
            case["pil"] = f"{type(error).__name__}: {error}"
        if refused is not None:
            case["refused"] = refused
        yield case, data


def as_stored(data, name):
    """What there is without the orientation."""
    global UPRIGHT
    if name.startswith("tiff/"):
        tag = struct.pack("<HHI", 274, 3, 1)
        at = data.index(tag) + len(tag)
        data = data[:at] + b"\1" + data[at + 1 :]
    UPRIGHT = False
    pixels = np.ascontiguousarray(values(data, name, None))
    UPRIGHT = True
    return {"stored_size": [pixels.shape[1], pixels.shape[0]], "stored": hashlib.sha256(pixels.tobytes()).hexdigest()}


def main():
    if sys.argv[1:2] == ["--all"]:
        folder = Path(sys.argv[2])
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "expected.tsv", "w") as table:
            for case, data in cases(True, *sys.argv[3:4]):
                path = folder / case["name"].replace("/", "_")
                path.write_bytes(data)
                print(path, case.get("sha256", ""), case.get("refused", "-"), case.get("pil", ""), sep="\t", file=table)
        return
    index, files = [], []
    for case, data in cases(False):
        if "refused" in case:
            case = {key: value for key, value in case.items() if key in ("name", "length", "refused")}
        assert "pil" not in case, f"PIL does not read {case['name']}: {case['pil']}"
        index.append(case)
        files.append(data)
    text = json.dumps(index, separators=(",", ":")).encode()
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("formats.bin")
    out.write_bytes(zlib.compress(struct.pack("<I", len(text)) + text + b"".join(files), 9))
    print(f"{len(index)} files, {sum(map(len, files))} bytes, {out.stat().st_size} packed")


if __name__ == "__main__":
    main()
