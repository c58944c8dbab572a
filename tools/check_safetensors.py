"""Exchanges files with PyPI's safetensors, both ways: check_safetensors.py <path of hearth_train_files>.

Exit codes: 0 all agree, 1 some differ, 77 safetensors or numpy is not installed (ctest calls that skipped).
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

import needed

try:
    import numpy as np
    from safetensors import deserialize
    from safetensors.numpy import save_file
except ImportError as missing:
    needed.skip(missing)

# our name: safetensors' name, how numpy reads it (bf16 has no numpy type: the upper half of a float)
TYPES = {
    "Double": ("F64", "<f8"), "Float": ("F32", "<f4"), "Half": ("F16", "<f2"), "BFloat16": ("BF16", None),
    "Long": ("I64", "<i8"), "Int": ("I32", "<i4"), "Short": ("I16", "<i2"), "Char": ("I8", "i1"),
    "Byte": ("U8", "u1"), "Bool": ("BOOL", "?"),
}
NUMPY = dict(TYPES.values())


def values(dtype, data):
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").astype(float).tolist()
    return np.frombuffer(data, NUMPY[dtype]).astype(float).tolist()


def compare(name, found, expected):
    if found == expected:
        return 0
    print(f"{name}: found {found}, expected {expected}")
    return 1


def read_ours(program, file):
    """hearth writes, the package reads."""
    subprocess.run([program, "safetensors", "write", file], check=True)
    with open(file, "rb") as stream:
        content = stream.read()
    (size,) = struct.unpack("<Q", content[:8])
    metadata = json.loads(content[8:8 + size])["__metadata__"]
    failed = compare("length of hearth.crc32", len(metadata.pop("hearth.crc32", "")), 8)
    failed += compare("metadata", metadata, {"format": "pt", "hearth.step": "7"})
    count = [float(i) for i in range(6)]
    expected = {name: (dtype, [2, 3], count) for name, (dtype, _) in TYPES.items()}
    expected["Bool"] = ("BOOL", [2, 3], [0.0] + [1.0] * 5)
    expected["transposed"] = ("I64", [3, 2], [0.0, 3.0, 1.0, 4.0, 2.0, 5.0])
    expected["empty"] = ("F32", [0, 4], [])
    expected["scalar"] = ("F32", [], [2.5])
    found = {name: (t["dtype"], list(t["shape"]), values(t["dtype"], bytes(t["data"])))
             for name, t in deserialize(content)}
    failed += compare("names", sorted(found), sorted(expected))
    return failed + sum(compare(f"read by safetensors: {n}", found.get(n), expected[n]) for n in expected)


def read_theirs(program, file):
    """The package writes, hearth reads."""
    rng = np.random.default_rng(0)
    tensors, expected = {}, {}
    for ours, (dtype, numpy_type) in TYPES.items():
        if numpy_type is None:
            continue  # the package writes bf16 from torch only
        tensors[dtype] = rng.integers(0, 2 if dtype == "BOOL" else 100, (3, 4)).astype(numpy_type)
        expected[dtype] = {"dtype": ours, "shape": [3, 4], "values": tensors[dtype].ravel().astype(float).tolist()}
    save_file(tensors, file, {"author": "somebody else"})
    output = subprocess.run([program, "safetensors", "read", file], capture_output=True, text=True, check=True).stdout
    found = json.loads(output)
    failed = compare("metadata", found["metadata"], {"author": "somebody else"})
    failed += compare("names", sorted(found["tensors"]), sorted(expected))
    return failed + sum(compare(f"read by hearth: {n}", found["tensors"].get(n), expected[n]) for n in expected)


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        failed = read_ours(program, os.path.join(folder, "ours.safetensors"))
        failed += read_theirs(program, os.path.join(folder, "theirs.safetensors"))
    print(f"{2 * len(TYPES) + 2} tensors, both ways, {failed} differences")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
