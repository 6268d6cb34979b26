"""Writes damaged and hostile weights files, each named for its attack; tests/hostile.rs expects an error from every one.

    python tests/hostile/make_weights.py

Needs torch. The pickles are assembled by hand, since no pickler writes such things.
"""

import io
import json
import pathlib
import pickle
import struct
import zipfile

import torch

HERE = pathlib.Path(__file__).parent / "weights"
# os.system would create this file in the working directory; the test looks for it.
SENTINEL = "seed-hostile-sentinel"


def archive(name, program, storages=None, compress=False, extra=None):
    """A torch zip with the given data.pkl. ZipInfo's fixed date keeps the bytes the same from run to run."""
    with zipfile.ZipFile(HERE / name, "w", zipfile.ZIP_STORED) as file:
        how = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        file.writestr(zipfile.ZipInfo("a/data.pkl"), program)
        file.writestr(zipfile.ZipInfo("a/byteorder"), "little")
        for key, content in (storages or {}).items():
            file.writestr(zipfile.ZipInfo(f"a/data/{key}"), content, compress_type=how)
        for key, content in (extra or {}).items():
            file.writestr(zipfile.ZipInfo(key), content)


def legacy(name, program, keys=("0",), storages=b""):
    """A legacy checkpoint with the given object pickle."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = [0x1950A86A20F9469CFC6C, 1001, system]
    parts = [pickle.dumps(part, 2) for part in head] + [program, pickle.dumps(list(keys), 2), storages]
    (HERE / name).write_bytes(b"".join(parts))


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integer(value):
    content = value.to_bytes(16, "little", signed=True) if abs(value) >= 2**63 else struct.pack("<q", value)
    return b"\x8a" + bytes([len(content)]) + content


def indices(values):
    return b"(" + b"".join(integer(value) for value in values) + b"t"


def storage(count, kind="FloatStorage", tail=b""):
    return b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text("0") + text("cpu") + integer(count) + tail + b"tQ"


def tensor(count, shape, strides, offset=0, tail=b"", source=None):
    arguments = (source or storage(count, tail=tail)) + integer(offset) + indices(shape) + indices(strides) + b"\x89N"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def state(value, key="w"):
    return b"\x80\x02}" + text(key) + value + b"s."


def call(module, name, argument):
    return f"c{module}\n{name}\n".encode() + b"(" + text(argument) + b"tR"


def pickles():
    touch = f"touch {SENTINEL}"
    program = state(call("os", "system", touch))
    archive("pickle_os_system.zip.pt", program)
    legacy("pickle_os_system.legacy.pt", program, keys=())
    archive("pickle_posix_system.pt", state(call("posix", "system", touch)))
    archive("pickle_subprocess.pt", state(call("subprocess", "check_output", touch)))
    archive("pickle_eval.pt", state(call("builtins", "eval", f"open('{SENTINEL}', 'w')")))
    archive("pickle_python2_exec.pt", state(call("__builtin__", "execfile", SENTINEL)))
    archive("pickle_getattr.pt", state(call("builtins", "getattr", "x")))
    archive("pickle_load_from_bytes.pt", state(call("torch.storage", "_load_from_bytes", "x")))
    dotted = b"\x80\x04}" + text("w") + text("builtins") + text("eval.__call__") + b"\x93(" + text("1") + b"tRs."
    archive("pickle_stack_global_dotted.pt", dotted)
    # The code hides behind a sound state dict, in the place of the optimiser.
    sound = text("state_dict") + b"}" + text("w") + tensor(1, [1], [1]) + b"s"
    beside = b"\x80\x02}(" + sound + text("optimizer") + call("os", "system", touch) + b"u."
    archive("pickle_code_beside_weights.pt", beside, {"0": b"\0" * 4})
    archive("pickle_tensor_from_unknown_class.pt", state(tensor(1, [1], [1], source=call("evil", "Storage", "x"))))
    archive("pickle_parameter_from_unknown_class.pt", state(b"ctorch._utils\n_rebuild_parameter\n(" + call("evil", "T", "x") + b"\x89NtR"))
    archive("pickle_unknown_opcode.pt", b"\x80\x02\xff.")
    archive("pickle_protocol0.pt", pickle.dumps({"a": 1.5}, 0))
    archive("pickle_extension_registry.pt", b"\x80\x02\x82\x01.")
    archive("pickle_empty.pt", b"")
    archive("pickle_no_stop.pt", b"\x80\x02}")
    archive("pickle_stack_underflow.pt", b"\x80\x020.")
    archive("pickle_pop_below_mark.pt", b"\x80\x02N(0.")
    archive("pickle_mark_never_set.pt", b"\x80\x02t.")
    archive("pickle_memo_missing.pt", b"\x80\x02h\x07.")
    archive("pickle_memo_huge_index.pt", b"\x80\x02}r\xff\xff\xff\xff.")
    archive("pickle_long_claims_4_gib.pt", b"\x80\x02\x8b\xff\xff\xff\xff.")
    archive("pickle_text_claims_2_63.pt", b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.")
    archive("pickle_bytes_claim_2_63.pt", b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.")
    # Each list holds the one before ten times: 10^200 elements for whoever walks it.
    laughs = b"\x80\x02]q\x00" + b"".join(b"](" + b"h\x00" * 10 + b"eq\x00" for _ in range(200)) + b"."
    archive("pickle_memo_bomb.pt", laughs)
    archive("pickle_itself_inside.pt", b"\x80\x02}q\x00" + text("model") + b"h\x00s.")
    archive("pickle_deep_marks.pt", b"\x80\x02" + b"(" * 4000 + b"t" * 4000 + b".")
    archive("pickle_deep_tuples.pt", b"\x80\x02N" + b"\x85" * 10000 + b".")
    archive("pickle_deep_lists.pt", b"\x80\x02" + b"]" * 4000 + b"a" * 3999 + b".")
    # A small list doubled by copying it into a dict again and again would be quadratic.
    pairs = b"](" + b"h\x00" * 5000 + b"eq\x01"
    copies = b"0ccollections\nOrderedDict\nq\x02" + b"0h\x02h\x01\x85R" * 2000
    archive("pickle_dict_copied_often.pt", b"\x80\x02NN\x86q\x000" + pairs + copies + b".")
    subclass = b"ctorch._tensor\n_rebuild_from_type_v2\nq\x00"
    archive("pickle_rebuild_of_rebuild.pt", state(subclass + b"(h\x00NN" + b"tR"))


def shapes():
    content = {"0": struct.pack("<4f", 1, 2, 3, 4)}
    cases = {
        "storage_shorter_than_shape": tensor(4, [5], [1]),
        "storage_shorter_than_claimed": tensor(5, [5], [1]),
        "storage_claims_2_60": tensor(2**60, [4], [1]),
        "storage_claims_negative": tensor(-4, [4], [1]),
        "shape_negative": tensor(4, [-1], [1]),
        "shape_huge": tensor(4, [2**62], [1]),
        "shape_beyond_i64": tensor(4, [2**70], [1]),
        "shape_overflows": tensor(4, [2**32, 2**32], [1, 1]),
        "shape_overflows_with_zero_stride": tensor(4, [2**32, 2**31], [0, 0]),
        "shape_of_text": b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(4) + integer(0) + text("4") + indices([1]) + b"\x89NtR",
        "shape_and_strides_differ": tensor(4, [2, 2], [1]),
        "shape_of_too_many_dimensions": tensor(4, [1] * 65, [1] * 65),
        "offset_negative": tensor(4, [1], [1], offset=-1),
        "offset_beyond_storage": tensor(4, [1], [1], offset=4),
        "offset_overflows": tensor(4, [1], [1], offset=2**63 - 1),
        "stride_negative": tensor(4, [4], [-1]),
        "stride_beyond_storage": tensor(4, [2], [4]),
        "stride_overflows": tensor(4, [3], [2**62]),
        "stride_zero_expansion": tensor(4, [2**30, 2**5], [0, 0]),
    }
    for name, value in cases.items():
        archive(f"tensor_{name}.pt", state(value), content)
    many = b"\x80\x02}q\x00" + b"".join(text(f"w{i}") + tensor(4, [2**18], [0]) + b"s" for i in range(100)) + b"."
    archive("tensor_many_expansions.pt", many, content)
    two_types = state(tensor(4, [4], [1]))[:-1] + text("v") + tensor(4, [4], [1], source=storage(4, "DoubleStorage")) + b"s."
    archive("tensor_storage_with_two_types.pt", two_types, content)
    archive("tensor_storage_missing.pt", state(tensor(4, [4], [1])))


def legacies():
    one = state(tensor(4, [4], [1]))
    good = struct.pack("<q4f", 4, 1, 2, 3, 4)
    legacy("legacy_storage_claims_2_60.pt", state(tensor(2**60, [4], [1])), storages=struct.pack("<q4f", 2**60, 1, 2, 3, 4))
    legacy("legacy_storage_count_differs.pt", one, storages=struct.pack("<q4f", 3, 1, 2, 3, 4))
    legacy("legacy_storage_negative.pt", one, storages=struct.pack("<q4f", -4, 1, 2, 3, 4))
    legacy("legacy_storage_truncated.pt", one, storages=good[:-3])
    legacy("legacy_storage_twice.pt", one, keys=("0", "0"), storages=good * 2)
    legacy("legacy_storage_missing.pt", one, keys=())
    legacy("legacy_storage_unreferenced.pt", one, keys=("1",), storages=good)
    view = text("view") + integer(2**63 - 1) + integer(4) + b"\x87"
    legacy("legacy_view_beyond_storage.pt", state(tensor(4, [4], [1], tail=view)), storages=good)
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(300)}, buffer, _use_new_zipfile_serialization=False)
    (HERE / "legacy_truncated.pt").write_bytes(buffer.getvalue()[:-600])
    (HERE / "legacy_truncated_in_pickle.pt").write_bytes(buffer.getvalue()[:200])
    (HERE / "legacy_magic_only.pt").write_bytes(buffer.getvalue()[:15])


def zips():
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(300)}, buffer)
    whole = buffer.getvalue()
    (HERE / "zip_truncated.pt").write_bytes(whole[:-30])
    (HERE / "zip_truncated_half.pt").write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(whole)
    flipped[whole.index(b"\x00\x00\x80\x3f" * 8) + 2] ^= 1
    (HERE / "zip_weights_flipped.pt").write_bytes(flipped)
    zeros = 1_000_000_000
    bomb = state(tensor(zeros // 4, [zeros // 4], [1]))
    # A whole gigabyte of zeros deflates to a megabyte; a claimed size over few bytes is the same attack.
    archive("zip_bomb_deflated.pt", bomb, {"0": b"\0" * 4_000_000}, compress=True)
    data = bytearray((HERE / "zip_bomb_deflated.pt").read_bytes())
    for signature, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        where = data.index(b"a/data/0", data.index(signature)) if signature == b"PK\x03\x04" else data.rindex(b"a/data/0")
        header = data.rindex(signature, 0, where)
        data[header + at : header + at + 4] = struct.pack("<I", zeros)
    (HERE / "zip_bomb_deflated.pt").write_bytes(data)
    archive("zip_stored_claims_a_gigabyte.pt", bomb, {"0": b"\0" * 16})
    data = bytearray((HERE / "zip_stored_claims_a_gigabyte.pt").read_bytes())
    header = data.rindex(b"PK\x01\x02", 0, data.rindex(b"a/data/0"))
    data[header + 20 : header + 28] = struct.pack("<II", zeros, zeros)
    (HERE / "zip_stored_claims_a_gigabyte.pt").write_bytes(data)
    # All entries of the directory point at the same bytes.
    many = {str(i): b"" for i in range(40)}
    archive("zip_entries_overlap.pt", state(tensor(1, [1], [1])), {"big": b"\0" * 3000, **many})
    data = bytearray((HERE / "zip_entries_overlap.pt").read_bytes())
    big = data.index(b"PK\x03\x04", data.index(b"a/byteorder"))
    at = data.index(b"PK\x01\x02")
    while data[at : at + 4] == b"PK\x01\x02":
        lengths = struct.unpack_from("<HHH", data, at + 28)
        name = bytes(data[at + 46 : at + 46 + lengths[0]])
        if name.startswith(b"a/data/"):
            data[at + 20 : at + 28] = struct.pack("<II", 3000, 3000)
            data[at + 42 : at + 46] = struct.pack("<I", big)
        at += 46 + sum(lengths)
    (HERE / "zip_entries_overlap.pt").write_bytes(data)
    archive("zip_without_pickle.pt", b"")
    data = (HERE / "zip_without_pickle.pt").read_bytes().replace(b"data.pkl", b"data.txt")
    (HERE / "zip_without_pickle.pt").write_bytes(data)
    archive("zip_two_pickles.pt", state(tensor(1, [1], [1])), {"0": b"\0" * 4}, extra={"b/data.pkl": b"\x80\x02}."})
    archive("zip_same_name_twice.pt", state(tensor(1, [1], [1])), {"0": b"\0" * 4, "1": b"\0" * 4})
    data = (HERE / "zip_same_name_twice.pt").read_bytes().replace(b"a/data/1", b"a/data/0")
    (HERE / "zip_same_name_twice.pt").write_bytes(data)
    # The end record and the zip64 record claim what the file cannot hold.
    head = b"PK\x03\x04" + b"\0" * 26
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFF0, 0xFFFFFFF0, 0)
    (HERE / "zip_directory_beyond_file.pt").write_bytes(head + end)
    wide = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    record = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 2**62, 2**62, 2**62, 2**62)
    locator = struct.pack("<IIQI", 0x07064B50, 0, len(head), 1)
    (HERE / "zip64_claims_2_62_entries.pt").write_bytes(head + record + locator + wide)
    (HERE / "zip64_locator_beyond_file.pt").write_bytes(head + struct.pack("<IIQI", 0x07064B50, 0, 2**64 - 8, 1) + wide)
    (HERE / "zip64_locator_missing.pt").write_bytes(head + wide)


def safetensors():
    def write(name, header, content=b"", length=None):
        header = header if isinstance(header, bytes) else json.dumps(header).encode()
        length = len(header) if length is None else length
        (HERE / f"safetensors_{name}.safetensors").write_bytes(struct.pack("<Q", length) + header + content)

    def entry(begin, end, shape, dtype="F32"):
        return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}

    four = struct.pack("<4f", 1, 2, 3, 4)
    sound = {"w": entry(0, 16, [4])}
    write("header_claims_2_60", sound, four, length=2**60)
    write("header_claims_2_64", sound, four, length=2**64 - 1)
    write("header_truncated", json.dumps(sound).encode()[:20], b"", length=60)
    write("header_not_json", b"this is not JSON")
    write("header_broken_json", b'{"w": {"dtype": "F32"')
    write("header_is_list", b'[{"w": 1}]')
    write("header_not_utf8", b'{"\xff\xfe": 1}')
    write("header_deep", b'{"w":' + b"[" * 5000 + b"]" * 5000 + b"}")
    write("too_short", b"", length=3)
    write("names_twice", b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', four[:8])
    write("field_twice", b'{"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', four[:8])
    write("metadata_twice", b'{"__metadata__":{},"__metadata__":{},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', four[:8])
    write("metadata_not_text", b'{"__metadata__":{"a":1},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', four[:8])
    write("dtype_unknown", {"w": entry(0, 16, [4], "F31")}, four)
    write("dtype_not_read", {"w": entry(0, 16, [16], "F8_E4M3")}, four)
    write("offsets_out_of_range", {"w": entry(0, 32, [8])}, four)
    write("offsets_reversed", {"w": entry(16, 0, [4])}, four)
    write("offsets_overlap", {"v": entry(0, 16, [4]), "w": entry(8, 24, [4])}, four + four[:8])
    write("offsets_same", {"v": entry(0, 16, [4]), "w": entry(0, 16, [4])}, four)
    write("offsets_gap", {"v": entry(0, 4, [1]), "w": entry(8, 16, [2])}, four)
    write("offsets_huge", {"w": entry(2**63, 2**63 + 16, [4])}, four)
    write("offsets_negative", {"w": entry(-16, 0, [4])}, four)
    write("shape_overflows", {"w": entry(0, 16, [2**33, 2**33])}, four)
    write("shape_negative", {"w": entry(0, 16, [-4])}, four)
    write("shape_differs_from_offsets", {"w": entry(0, 16, [5])}, four)
    write("bytes_behind", sound, four + b"hidden")
    write("bytes_missing", sound, four[:-1])


def others():
    (HERE / "other_empty.pt").write_bytes(b"")
    (HERE / "other_one_byte.pt").write_bytes(b"P")
    (HERE / "other_bare_pickle.pt").write_bytes(pickle.dumps({"w": [1.0]}, 2))
    (HERE / "other_web_page.pt").write_bytes(b"<!DOCTYPE html><html><body>404</body></html>")
    (HERE / "other_lfs_pointer.pt").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 100\n")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    pickles()
    shapes()
    legacies()
    zips()
    safetensors()
    others()
