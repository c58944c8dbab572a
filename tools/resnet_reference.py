"""What torchvision's resnet18 and resnet50 compute, for the tests of the backbone resnet.

  resnet_reference.py write FILE    stores names, shapes and outputs: tests/plugins/resnet/torchvision.json
  resnet_reference.py check FILE    compares a stored file with the torchvision that is installed

Weights are a hash of their place, which any language can repeat; nothing is downloaded. Everything in double precision.
Exit codes: 0 all agree, 1 some differ, 77 torch or torchvision is not installed (ctest calls that skipped).
"""
import json
import math
import sys

import needed

try:
    import torch
    import torchvision
except ImportError as missing:
    needed.skip(missing)

BATCH, CHANNELS, HEIGHT, WIDTH = 4, 3, 75, 50
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
KEPT = 32  # numbers of each tensor, evenly spread


def noise(tensor, count):
    """`count` numbers in [-1, 1): a hash of (tensor, place)."""
    x = (torch.arange(count, dtype=torch.int64) + tensor * 0x9E3779B1) & 0xFFFFFFFF
    for _ in range(2):
        x = ((x ^ (x >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    return (x ^ (x >> 16)).double() / 2**31 - 1


def fill(model):
    """Tensor i of the state: convolutions uniform with variance 2 / fan_in, norms near the identity."""
    for i, (name, value) in enumerate(model.state_dict().items()):
        if name.endswith("num_batches_tracked"):
            continue
        u = noise(i, value.numel()).view(value.shape)
        if value.dim() == 4:
            u = u * math.sqrt(6 / value[0].numel())
        elif name.endswith(("weight", "running_var")):
            u = 1 + u / 4
        else:
            u = u / 4
        value.copy_(u)


def forward(model, image):
    mean, std = (torch.tensor(v, dtype=torch.double).view(1, -1, 1, 1) for v in (MEAN, STD))
    x = model.maxpool(model.relu(model.bn1(model.conv1((image - mean) / std))))
    out = {}
    for k in range(1, 5):
        x = getattr(model, f"layer{k}")(x)
        out[f"features.{k}"] = x
    out["cls"] = model.avgpool(x).flatten(1)
    return out


def sample(tensor):
    flat = tensor.detach().reshape(-1)
    values = flat[:: max(1, flat.numel() // KEPT)][:KEPT]
    return {"shape": list(tensor.shape), "scale": float(f"{flat.abs().max():.12g}"),
            "values": [float(f"{v:.12g}") for v in values]}


def describe(depth):
    torch.manual_seed(0)
    model = getattr(torchvision.models, f"resnet{depth}")()
    model.fc = torch.nn.Identity()
    model.double()
    with torch.no_grad():
        fill(model)
    state = {name: list(value.shape) for name, value in model.state_dict().items()}
    image = (noise(9999, BATCH * CHANNELS * HEIGHT * WIDTH).view(BATCH, CHANNELS, HEIGHT, WIDTH) + 1) / 2
    with torch.no_grad():
        evaluated = {name: sample(value) for name, value in forward(model.eval(), image).items()}
    out = forward(model.train(), image)
    trained = {name: sample(value) for name, value in out.items()}
    sum(value.square().mean() for value in out.values()).backward()
    for name, parameter in model.named_parameters():
        if name in ("conv1.weight", "bn1.bias", "layer2.0.downsample.0.weight", "layer4.1.bn2.weight"):
            trained["gradient of " + name] = sample(parameter.grad)
    for name, buffer in model.named_buffers():
        if name.startswith(("bn1.running", "layer4.1.bn2.running")):
            trained[name] = sample(buffer)
    return {"state": state, "eval": evaluated, "train": trained}


def differences(path, found, expected):
    """Lines for what differs by more than rounding."""
    if isinstance(expected, dict) and isinstance(found, dict):
        lines = [f"{path}: found {sorted(found)}, expected {sorted(expected)}"] if found.keys() != expected.keys() else []
        return lines + [line for key in found.keys() & expected.keys()
                        for line in differences(f"{path}/{key}", found[key], expected[key])]
    if isinstance(expected, list) and len(expected) == len(found):
        scale = max([abs(v) for v in expected], default=0)
        same = all(abs(a - b) <= 1e-8 * scale for a, b in zip(found, expected))
    else:
        same = isinstance(expected, float) and abs(found - expected) <= 1e-8 * abs(expected)
    return [] if same else [f"{path}: found {found}, expected {expected}"]


def text(networks):
    """JSON with one tensor a line."""
    blocks = []
    for depth, parts in networks.items():
        sections = []
        for part, entries in parts.items():
            lines = ",\n".join(f"   {json.dumps(name)}: {json.dumps(value)}" for name, value in entries.items())
            sections.append(f"  {json.dumps(part)}: {{\n{lines}\n  }}")
        blocks.append(f" {json.dumps(depth)}: {{\n" + ",\n".join(sections) + "\n }")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def main(mode, file):
    networks = {str(depth): describe(depth) for depth in (18, 50)}
    if mode == "write":
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(text(networks))
        return 0
    with open(file, encoding="utf-8") as stream:
        stored = json.load(stream)
    lines = differences("resnet", stored, networks)
    print("\n".join(lines[:20]))
    print(f"torchvision {torchvision.__version__}: {len(lines)} differences")
    return 1 if lines else 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("write", "check"):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
