"""Damage to files: bytes, JSON values, words of text, chunks of pictures, headers of safetensors and GLB files.

Every change is drawn from the random numbers given, so that a case can be made again.
"""

from __future__ import annotations

import functools
import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import PurePath
from random import Random
from typing import Any

import numpy as np
from PIL import Image

NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 2, 3, 7, 255, 256, 65535, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63)),
    *(0.0, -0.0, 0.5, 1e-300, 1e-9, 1e9, 1e30, 1e300, float("nan"), float("inf"), float("-inf"), 10**400),
)
TEXTS = (
    *("", " ", "a", "\n", "a\nb", "\0", "../x", "/", "/etc/passwd", "..", ".", "~", "%s", "{}", "-1", "nan"),
    *("x" * 300, "x" * 5000, "ü", "\u202e", "\ud800", "\ufeff", "\U0001f600", "a/b", "a\\b", "C:\\x", "CON"),
)
VALUES: tuple[Any, ...] = (
    *NUMBERS,
    *TEXTS,
    None,
    True,
    False,
    [],
    {},
    [[]],
    [{}],
    {"kind": "x"},
    [1, 2, 3],
    [0] * 1000,
)
WORDS = (
    "0",
    "-1",
    "1e400",
    "nan",
    "inf",
    "",
    "x",
    "1.5",
    str(2**31),
    str(2**63),
    str(2**64),
    "9" * 5000,
    "é",
    "\0",
    "#",
)
INTEGERS = (
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
)
LAYOUTS = ("<B", "<H", "<I", "<Q", ">H", ">I", ">Q")
FLOATS = (float("nan"), float("inf"), float("-inf"), 0.0, -1.0, 1e30, 1e300, 1e-300)


def mutated(name: str, data: bytes, random: Random) -> bytes:
    """The contents of a file called `name`, changed in one to four places, mostly so that its format stays."""
    mutate = _BY_SUFFIX.get(PurePath(name).suffix.lower(), mutated_bytes)
    if random.random() < 0.2:
        mutate = mutated_bytes
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = mutate(data, random)
    return data


def mutated_bytes(data: bytes, random: Random) -> bytes:
    """Bits, numbers or stretches of bytes are changed, left out or repeated; now and then the whole is twice there."""
    if not data:
        return random.randbytes(random.randrange(64))
    if random.random() < 0.02:
        return random.choice(
            (data + data, data + bytes(2**14), data[::-1], bytes(len(data)), b"\xef\xbb\xbf" + data)
        )
    place = random.randrange(len(data)) if random.random() < 0.5 else random.randrange(min(len(data), 128))
    # Numbers of most formats begin at multiples of four.
    place -= place % 4 if random.random() < 0.3 else 0
    match random.randrange(8):
        case 0:
            return data[:place] + bytes([data[place] ^ (1 << random.randrange(8))]) + data[place + 1 :]
        case 1:
            return data[:place]
        case 2 | 3:
            layout = random.choice(LAYOUTS)
            size = struct.calcsize(layout)
            number = struct.pack(layout, random.choice(INTEGERS) % 2 ** (8 * size))
            return data[:place] + number + data[place + size :]
        case 4:
            number = struct.pack(random.choice(("<f", "<d")), min(random.choice(FLOATS), 3e38))
            return data[:place] + number + data[place + len(number) :]
        case 5:
            return data[:place] + data[place + random.randrange(1, 64) :]
        case 6:
            end = place + random.randrange(1, 64)
            return data[:end] + data[place:]
        case _:
            return data[:place] + random.randbytes(random.randrange(1, 16)) + data[place:]


def mutated_value(value: Any, random: Random) -> Any:
    """A JSON value with one of the values in it changed, left out, repeated or put elsewhere."""
    places = list(_places(value))
    if not places:
        return random.choice(VALUES)
    if random.random() < 0.2:
        _change_alike(places, random)
        return value
    # Most values are entries of matrices, which are refused alike.
    named = [place for place in places if isinstance(place[0], dict)]
    holder, key = random.choice(named if named and random.random() < 0.6 else places)
    match random.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(key, holder[key])
        case 1:
            holder[random.choice((*TEXTS, f"{key}_", key.upper()))] = holder.pop(key)
        case 2:
            other, name = random.choice(places)
            # A copy, so that nothing comes to hold itself.
            holder[key] = json.loads(json.dumps(other[name]))
        case 3 if _is_number(holder[key]):
            holder[key] = random.choice((random.choice(NUMBERS), _nudged(holder[key], random)))
        case 3 if isinstance(holder[key], str):
            holder[key] = random.choice((*TEXTS, holder[key] + random.choice(TEXTS), holder[key][1:]))
        case 4:
            holder[key] = [holder[key]]
        case _:
            holder[key] = random.choice(VALUES)
            if isinstance(holder[key], list | dict):
                holder[key] = json.loads(json.dumps(holder[key]))
    return value


def _change_alike(places: list[tuple[Any, Any]], random: Random) -> None:
    """Change all numbers under one key, or all numbers, by one rule: what agrees with itself gets past most checks."""
    numbers = [(holder, key) for holder, key in places if _is_number(holder[key])]
    if not numbers:
        return
    same = random.choice(numbers)[1]
    if random.random() < 0.8:
        numbers = [(holder, key) for holder, key in numbers if key == same]
    factor, choice = random.choice((-1, 0, 1e-12, 1e-3, 2, 1e3, 1e6, 1e12, 1e40)), random.choice(NUMBERS)
    scaled = random.random() < 0.7
    for holder, key in numbers:
        old = holder[key]
        new = old * factor if scaled else choice
        holder[key] = int(new) if isinstance(old, int) and -(2**63) < new < 2**63 else new


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**64


def _nudged(value: Any, random: Random) -> Any:
    """A number close to another one, or its like of another size or sign."""
    return random.choice(
        (value + 1, value - 1, -value, value * (1 + 1e-6), value * 1.01, value * 100, value / 100)
    )


def mutated_json(data: bytes, random: Random) -> bytes:
    """A JSON file with another value, or with other bytes where it is none any more."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return mutated_bytes(data, random)
    if random.random() < 0.02:
        return _other_json(data, value, random)
    # Python's JSON has NaN, infinity and lone halves of surrogates, as files by other hands have now and then.
    return json.dumps(mutated_value(value, random)).encode()


def _other_json(data: bytes, value: Any, random: Random) -> bytes:
    """What is JSON by its letters alone, or would be in another encoding."""
    text = data.decode("utf-8", "replace")
    match random.randrange(10):
        case 0:
            return b"[" * 20_000
        case 1:
            depth = random.choice((50, 400, 900, 1000, 3000))
            return text.replace(
                random.choice((":", ",")), ": " + "[" * depth + "1" + "]" * depth + ",", 1
            ).encode()
        case 2:
            return text.encode(random.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7")))
        case 3:
            return text.replace('"', "'").encode()
        case 4:
            return data + random.choice((data, b"x", b"\0", b"// no", b" " * 1000))
        case 5:
            # A nesting that Python's reader takes, and what walks through the value may not.
            places = [place for place in _places(value) if isinstance(place[0], dict)]
            if places:
                holder, key = random.choice(places)
                nested: Any = 1
                for _ in range(random.choice((50, 200, 400))):
                    nested = random.choice(([nested], {"a": nested}))
                holder[key] = nested
            return json.dumps(value).encode()
        case 6:
            return text.replace("{", "{" + text[1 : 1 + random.randrange(200)], 1).encode()
        case 7:
            return b"[" + b"0," * 20_000 + b"0]"
        case 8:
            return text.replace(random.choice("0123456789"), "9" * random.choice((20, 400, 5000)), 1).encode()
        case _:
            return json.dumps(random.choice(VALUES)).encode()


def mutated_text(data: bytes, random: Random) -> bytes:
    """A text whose words or lines are changed, left out, repeated or swapped."""
    if random.random() < 0.03:
        return _other_text(data, random)
    lines = data.decode("utf-8", "replace").split("\n")
    place = random.randrange(len(lines))
    words = lines[place].split(" ")
    word = random.randrange(len(words))
    match random.randrange(7):
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, lines[random.randrange(len(lines))])
        case 2:
            del words[word]
            lines[place] = " ".join(words)
        case 3:
            words.insert(word, random.choice(WORDS))
            lines[place] = " ".join(words)
        case _:
            words[word] = random.choice(WORDS)
            lines[place] = " ".join(words)
    return "\n".join(lines).encode("utf-8", "replace")


def _other_text(data: bytes, random: Random) -> bytes:
    """A text whose lines, words or letters are all changed by one rule."""
    text = data.decode("utf-8", "replace")
    match random.randrange(7):
        case 0:
            return text.replace("\n", random.choice(("\r\n", "\r", "", "\n\n", "\u2028"))).encode()
        case 1:
            return text.encode(random.choice(("utf-16", "utf-32", "utf-8-sig")), "replace")
        case 2:
            return text.replace(" ", random.choice(("\t", "  ", ",", "\xa0"))).encode()
        case 3:
            column, word = random.randrange(12), random.choice(WORDS)
            rows = [line.split(" ") for line in text.split("\n")]
            changed = [
                [*row[:column], word, *row[column + 1 :]] if column < len(row) else row for row in rows
            ]
            return "\n".join(" ".join(row) for row in changed).encode("utf-8", "replace")
        case 4:
            return text.replace(".", random.choice((",", "", "e", "..")), random.choice((1, -1))).encode()
        case 5:
            return data + data
        case _:
            return text.replace("-", "").encode()


def mutated_safetensors(data: bytes, random: Random) -> bytes:
    """A safetensors file with another header, or with other JSON in the metadata that this package keeps there."""
    try:
        size = int.from_bytes(data[:8], "little")
        header, tensors = json.loads(data[8 : 8 + size]), data[8 + size :]
        kept = header.get("__metadata__", {}).get("json")
        if random.random() < 0.5 and kept:
            header["__metadata__"]["json"] = mutated_json(kept.encode(), random).decode("utf-8", "replace")
        elif random.random() < 0.3:
            tensors = mutated_bytes(tensors, random)
        elif random.random() < 0.3:
            header = _without_or_renamed(header, random)
        elif random.random() < 0.1:
            return _other_header(data, size, random)
        else:
            header = mutated_value(header, random)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return mutated_bytes(data, random)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tensors


def _without_or_renamed(header: dict[str, Any], random: Random) -> dict[str, Any]:
    """The header with the tensor's bytes kept in place but another shape or type of the same size, or another name."""
    name = random.choice([*header])
    entry = header[name]
    if isinstance(entry, dict) and isinstance(entry.get("shape"), list):
        match random.randrange(4):
            case 0:
                entry["shape"] = entry["shape"][::-1]
            case 1:
                entry["shape"] = [1, *entry["shape"]]
            case 2:
                same = {"F32": ("I32", "U32"), "I64": ("F64", "U64"), "F64": ("I64",), "U8": ("I8", "BOOL")}
                entry["dtype"] = random.choice(same.get(str(entry.get("dtype")), ("F32",)))
            case _:
                header[f"{name}.x"] = header.pop(name)
    return header


def _other_header(data: bytes, size: int, random: Random) -> bytes:
    """A safetensors file whose header has another length, is twice there, padded, or of other letters."""
    text, tensors = data[8 : 8 + size], data[8 + size :]
    match random.randrange(6):
        case 0:
            claimed = random.choice(
                (*INTEGERS, size - 1, size + 1, size + len(tensors), 100_000_000, 100_000_001)
            )
            return claimed.to_bytes(8, "little") + data[8:]
        case 1:
            text = text[:-1] + b"," + text[1:]
        case 2:
            text += b" " * random.choice((1, 8, 10_000, 100_000))
        case 3:
            text = mutated_bytes(text, random)
        case 4:
            text = b"[" * random.choice((100, 20_000))
        case _:
            text = text.decode("utf-8", "replace").encode("utf-16")
    return len(text).to_bytes(8, "little") + text + tensors


SIDES = (0, 1, 2, 255, 4096, 8943, 8945, 20_000, 65_535, 2**31 - 1, 2**31, 2**32 - 1)
"""Sides of pictures; 8944 squared is about as many pixels as are read."""

_ODD_CHUNKS = (
    *((b"iCCP", b"x\0\0" + zlib.compress(bytes(2**20))), (b"zTXt", b"x\0\0" + zlib.compress(bytes(2**20)))),
    *(
        (b"tRNS", b"\0" * 6),
        (b"tRNS", b""),
        (b"PLTE", b"\0" * 9),
        (b"gAMA", b"\xff" * 4),
        (b"acTL", b"\0" * 8),
    ),
    *((b"fcTL", b"\0" * 26), (b"fdAT", b"\0" * 20), (b"eXIf", b"II*\0" + b"\xff" * 20), (b"IEND", b"")),
    *((b"IDAT", b""), (b"IDAT", zlib.compress(bytes(2**20))), (b"sBIT", b"\0"), (b"tEXt", b"\xff" * 100)),
)
"""Chunks that decoders read before or beside the pixels, some far larger than what they are compressed to."""


def mutated_picture(data: bytes, random: Random) -> bytes:
    """A picture of any format, changed where its format keeps sizes and tables; or another picture."""
    if random.random() < 0.05:
        return random.choice(odd_pictures())
    if data[:4] == b"\x89PNG":
        return mutated_png(data, random)
    if data[:2] == b"\xff\xd8":
        return _mutated_jpeg(data, random)
    if data[:4] == b"RIFF":
        return _mutated_webp(data, random)
    if data[:4] in (b"II*\0", b"MM\0*"):
        return _mutated_tiff(data, random)
    if data[:2] == b"BM" and random.random() < 0.5:
        # Offset of the pixels, length of the header, width, height, bits a pixel, compression, colours.
        at, size = random.choice(((10, 4), (14, 4), (18, 4), (22, 4), (28, 2), (30, 4), (46, 4)))
        number: int = random.choice((*SIDES, *INTEGERS)) % 2 ** (8 * size)
        return data[:at] + number.to_bytes(size, "little") + data[at + size :]
    return mutated_bytes(data, random)


def _mutated_jpeg(data: bytes, random: Random) -> bytes:
    """Another segment before the pixels; of the frame, other sides, precision or number of channels."""
    segments, place = [], 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        size = int.from_bytes(data[place + 2 : place + 4], "big")
        segments.append((data[place + 1], data[place + 4 : place + 2 + size]))
        place += 2 + size
    if not segments or random.random() < 0.2:
        return mutated_bytes(data, random)
    index = random.randrange(len(segments))
    frame = next((i for i, (marker, _) in enumerate(segments) if 0xC0 <= marker <= 0xC2), None)
    match random.randrange(5):
        case 0:
            del segments[index]
        case 1:
            segments.insert(index, random.choice(segments))
        case 2 | 3 if frame is not None:
            marker, body = segments[frame]
            at, layout = random.choice(((0, ">B"), (1, ">H"), (3, ">H"), (5, ">B"), (7, ">B")))
            number = random.choice((*SIDES, *range(17))) % 2 ** (8 * struct.calcsize(layout))
            changed = bytearray(body.ljust(8, b"\0"))
            struct.pack_into(layout, changed, at, number)
            segments[frame] = (random.choice((marker, marker, 0xC1, 0xC2)), bytes(changed))
        case _:
            segments[index] = (segments[index][0], mutated_bytes(segments[index][1], random)[:65_000])
    parts = [bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body for marker, body in segments]
    return data[:2] + b"".join(parts) + data[place:]


def _mutated_webp(data: bytes, random: Random) -> bytes:
    """Other bytes in one chunk, with lengths that are right."""
    chunks, place = [], 12
    while place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        chunks.append((data[place : place + 4], data[place + 8 : place + 8 + size]))
        place += 8 + size + size % 2
    if not chunks:
        return mutated_bytes(data, random)
    index = random.randrange(len(chunks))
    if random.random() < 0.2:
        chunks.insert(
            index, (random.choice((b"VP8X", b"ANIM", b"ALPH", b"ICCP", b"EXIF")), random.randbytes(10))
        )
    else:
        chunks[index] = (chunks[index][0], mutated_bytes(chunks[index][1], random))
    parts = [kind + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2) for kind, body in chunks]
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _mutated_tiff(data: bytes, random: Random) -> bytes:
    """Another tag, type, count or value in one entry of the directory."""
    order = "<" if data[:2] == b"II" else ">"
    start = struct.unpack_from(f"{order}I", data, 4)[0] if len(data) >= 8 else 0
    if not 8 <= start <= len(data) - 2 or random.random() < 0.2:
        return mutated_bytes(data, random)
    count = struct.unpack_from(f"{order}H", data, start)[0]
    entry = start + 2 + 12 * random.randrange(max(count, 1))
    if entry + 12 > len(data):
        return mutated_bytes(data, random)
    changed = bytearray(data)
    at, layout = random.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "H")))
    tags = (256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 322, 323, 338, 339)
    number = random.choice(tags if at == 0 else (*SIDES, *range(17), start))
    struct.pack_into(f"{order}{layout}", changed, entry + at, number % 2 ** (8 * struct.calcsize(layout)))
    return bytes(changed)


@functools.cache
def odd_pictures() -> tuple[bytes, ...]:
    """Pictures of formats and modes that a scene's are not, and such as are far larger than their files."""
    rgb = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    made: list[tuple[Image.Image, str, dict[str, Any]]] = [
        *((rgb, format, {}) for format in ("GIF", "PPM", "TGA", "ICO", "PDF", "EPS")),
        *((rgb.convert(mode), "PNG", {}) for mode in ("1", "L", "LA", "P", "RGBA", "I;16")),
        *((rgb.convert(mode), "TIFF", {}) for mode in ("1", "I", "F", "CMYK")),
        *((rgb.convert(mode), "JPEG", {"progressive": True}) for mode in ("L", "RGB", "CMYK")),
        (rgb.convert("P"), "BMP", {}),
        *(
            (rgb, format, {"save_all": True, "append_images": [rgb.rotate(90)]})
            for format in ("PNG", "TIFF", "WEBP")
        ),
        (rgb, "TIFF", {"compression": "tiff_lzw"}),
        (Image.new("RGBA", (1000, 1000)), "PNG", {}),
        *((Image.new("1", (9000, 9000)), format, {}) for format in ("PNG", "TIFF")),
        (Image.new("L", (1, 20_000)), "PNG", {}),
    ]
    files = []
    for picture, format, options in made:
        buffer = io.BytesIO()
        picture.save(buffer, format, **options)
        files.append(buffer.getvalue())
    return tuple(files)


def mutated_png(data: bytes, random: Random) -> bytes:
    """A PNG file with other bytes in one chunk, whose checksum is right, or with chunks elsewhere."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return mutated_bytes(data, random)
    chunks, place = [], 8
    while place + 12 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += 12 + size
    index = random.randrange(len(chunks)) if chunks else 0
    match random.randrange(5):
        case _ if not chunks:
            return mutated_bytes(data, random)
        case 0:
            del chunks[index]
        case 1:
            chunks.insert(index, random.choice(chunks))
        case 2 if len(chunks[0][1]) == 13:
            # Sizes, depths and colour types that the pixels do not have.
            header = bytearray(chunks[0][1])
            at, layout = random.choice(((0, ">I"), (4, ">I"), (8, ">B"), (9, ">B"), (12, ">B")))
            limit = 2 ** (8 * struct.calcsize(layout))
            struct.pack_into(layout, header, at, random.choice((*SIDES, *range(17))) % limit)
            chunks[0] = (chunks[0][0], bytes(header))
        case 3:
            chunks.insert(max(1, index), random.choice(_ODD_CHUNKS))
        case _:
            chunks[index] = (chunks[index][0], mutated_bytes(chunks[index][1], random))
    parts = [data[:8]]
    for kind, body in chunks:
        parts += [struct.pack(">I", len(body)), kind, body, struct.pack(">I", zlib.crc32(kind + body))]
    return b"".join(parts)


def mutated_glb(data: bytes, random: Random) -> bytes:
    """A GLB file with another description, or with other bytes of what it describes."""
    try:
        size = int.from_bytes(data[12:16], "little")
        value, rest = json.loads(data[20 : 20 + size]), data[20 + size :]
    except (ValueError, RecursionError):
        return mutated_bytes(data, random)
    if random.random() < 0.3:
        rest = mutated_bytes(rest, random)
    else:
        value = mutated_value(value, random)
    text = json.dumps(value).encode()
    text += b" " * (-len(text) % 4)
    return data[:8] + struct.pack("<III", 20 + len(text) + len(rest), len(text), 0x4E4F534A) + text + rest


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every holder, list or object, and key of a value in a JSON value."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict | list):
            keys = list(holder) if isinstance(holder, dict) else range(len(holder))
            found += [(holder, key) for key in keys]
            waiting += [holder[key] for key in keys]
    return found


_BY_SUFFIX: dict[str, Callable[[bytes, Random], bytes]] = {
    ".json": mutated_json,
    ".gltf": mutated_json,
    ".jsonl": mutated_text,
    ".txt": mutated_text,
    ".obj": mutated_text,
    ".mtl": mutated_text,
    ".safetensors": mutated_safetensors,
    **dict.fromkeys((".png", ".jpg", ".webp", ".tif", ".bmp"), mutated_picture),
    ".glb": mutated_glb,
}
