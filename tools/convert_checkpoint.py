"""Turns a PyTorch checkpoint (.pth, .pt, .bin) into safetensors, which `hearth import` reads.

  convert_checkpoint.py IN.pth OUT.safetensors [--key teacher]

Loads tensors only (weights_only): a pickle that wants to run code is refused. Needs torch and safetensors.
Exit codes: 0 written, 2 no such file, key or tensors, or a pickle with more than tensors, 77 torch or safetensors is not installed.
"""
import argparse
import re
import sys

try:
    import torch
    from safetensors.torch import save_file
except ImportError as missing:
    print(f"{missing}; pip install torch safetensors into {sys.executable}")
    sys.exit(77)

# Where training codes keep the network; of several the first. DINO's own evaluation takes the teacher.
KEYS = ("teacher", "student", "model", "state_dict", "model_state_dict", "module", "network", "net")


class Unused:
    """Takes the place of NumPy's scalars, which the schedules of DINO and AFiRe leave in the optimizer's state."""

    def __init__(self, *_):
        pass

    def __setstate__(self, _):
        pass


# Under NumPy's names, so that reading the checkpoint calls nothing of NumPy. NumPy 2 renamed numpy.core.
STAND_INS = [type(name, (Unused,), {"__module__": module})
             for module, name in (("numpy", "dtype"), ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"))]


def fail(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def load(file):
    """Checkpoints of DINO and MAE hold the training's arguments, an argparse.Namespace: plain data, allowed."""
    try:
        with torch.serialization.safe_globals([argparse.Namespace, *STAND_INS]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        fail(f"{file}: no such file")
    except Exception as problem:  # what torch raises depends on its version
        found = re.search(r"GLOBAL (\S+)", str(problem))
        if not found:
            fail(f"{file}: no PyTorch file, or a damaged one ({type(problem).__name__})")
        fail(f"{file}: found {found.group(1)}, expected tensors and plain data alone; save the state_dict() of the network "
             "where it was made")


def tensors_of(entry):
    return {name: value for name, value in entry.items() if isinstance(value, torch.Tensor)}


def pick(checkpoint, key):
    if not isinstance(checkpoint, dict):
        fail(f"found a {type(checkpoint).__name__}, expected a dictionary of tensors")
    inner = {name: tensors_of(value) for name, value in checkpoint.items() if isinstance(value, dict) and tensors_of(value)}
    if key:
        if key not in inner:
            fail(f"--key: found no network '{key}', expected one of: {', '.join(inner) or '(none: the tensors are at the top)'}")
        return key, inner[key]
    for name in KEYS:
        if name in inner:
            return name, inner[name]
    if tensors_of(checkpoint):
        return "", tensors_of(checkpoint)
    fail(f"found no tensors; the file holds: {', '.join(map(str, checkpoint))}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--key", default="", help="the entry that holds the network: teacher, student, model, ..")
    arguments = parser.parse_args()
    checkpoint = load(arguments.source)
    key, tensors = pick(checkpoint, arguments.key)
    # Shared and strided tensors become their own, as safetensors wants them.
    save_file({name: value.detach().contiguous().clone() for name, value in tensors.items()}, arguments.target, {"format": "pt"})
    others = [name for name in checkpoint if name != key] if key else []
    print(f"{arguments.target}: {len(tensors)} tensors" + (f" of '{key}'" if key else "")
          + (f"; left out: {', '.join(map(str, others))}" if others else ""))


if __name__ == "__main__":
    main()
