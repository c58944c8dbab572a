"""Loads what `hearth export` wrote into the library it was written for, strictly, and compares features with `hearth embed`.

  check_export.py HEARTH RUN SOURCE [NETWORK]     every format that the backbone has, on the images of a manifest or folder

HEARTH is the path of the program. Needs torch, timm, safetensors, numpy and Pillow; torchvision and transformers where there are.
Exit codes: 0 all agree within 1e-5, 1 some differ, 77 something is not installed.
"""
import json
import os
import subprocess
import sys
import tempfile

import needed

try:
    import numpy as np
    import timm
    import torch
    from safetensors.torch import load_file
except ImportError as missing:
    needed.skip(missing)

TOLERANCE = 1e-5


def timm_features(folder, images, kind):
    config = json.load(open(os.path.join(folder, "config.json")))
    model = timm.create_model(config["architecture"], num_classes=0, **config["model_args"])
    model.load_state_dict(load_file(os.path.join(folder, "model.safetensors")), strict=True)
    model.eval()
    if kind == "resnet":
        return model(images)
    tokens = model.forward_features(images)
    local = timm.create_model("local-dir:" + folder, pretrained=True).eval()  # timm's own way to read such a folder
    assert torch.equal(local.forward_features(images), tokens), "timm's local-dir: gives another model"
    return torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1)


def hf_features(folder, images, kind):
    from transformers import ViTModel
    model, problems = ViTModel.from_pretrained(folder, add_pooling_layer=False, output_loading_info=True)
    wrong = {name: list(keys) for name, keys in problems.items() if keys}
    assert not wrong, f"transformers: {wrong}"
    tokens = model.eval()(images).last_hidden_state
    return torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1)


def torchvision_features(folder, images, kind):
    import torchvision
    config = json.load(open(os.path.join(folder, "config.json")))
    model = getattr(torchvision.models, config["architecture"])()
    if config["channels"] != 3:
        model.conv1 = torch.nn.Conv2d(config["channels"], 64, 7, 2, 3, bias=False)
    model.fc = torch.nn.Identity()
    model.load_state_dict(load_file(os.path.join(folder, "model.safetensors")), strict=True)
    return model.eval()(images)


FORMATS = {"timm": timm_features, "hf": hf_features, "torchvision": torchvision_features}


def hearth(program, *words):
    return subprocess.run([program, *words], capture_output=True, text=True)


def load_images(paths, folder, size, facts):
    """Images that have the network's size already, so that nothing depends on how they are resized."""
    from PIL import Image
    planes = []
    for path in paths:
        plane = np.asarray(Image.open(os.path.join(folder, path)))
        assert plane.shape == (size, size), f"{path}: {plane.shape}, expected images of {size} x {size}"
        planes.append(plane.astype(np.float32) / (255 if plane.dtype == np.uint8 else 65535))
    images = torch.from_numpy(np.stack(planes))[:, None].expand(-1, facts["channels"], -1, -1)
    mean, std = (torch.tensor(facts[key]).view(1, -1, 1, 1) for key in ("mean", "std"))
    return (images - mean) / std


def main(program, run, source, network=None):
    failed = tried = 0
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        chosen = ["--network", network] if network else []
        embedded = hearth(program, "embed", run, source, "-o", f"{folder}/features.npz", *chosen)
        assert embedded.returncode == 0, embedded.stderr
        arrays = np.load(f"{folder}/features.npz")  # allow_pickle is False
        expected = torch.from_numpy(arrays["features"])
        for format, features in FORMATS.items():
            out = os.path.join(folder, format)
            exported = hearth(program, "export", run, "--format", format, "-o", out, *chosen)
            if exported.returncode == 2:
                print(f"{format}: {exported.stderr.strip()}")
                continue
            assert exported.returncode == 0, exported.stderr
            facts = json.load(open(os.path.join(out, "preprocessing.json")))
            kind = "resnet" if "resnet" in open(os.path.join(out, "config.json")).read() else "vit"
            where = source if os.path.isdir(source) else os.path.dirname(source)
            images = load_images(arrays["path"], where, facts["image_size"], facts)
            try:
                found = features(out, images, kind)
            except ImportError as missing:
                print(f"{format}: skipped, {missing}")
                continue
            difference = (found - expected).abs().max().item() if found.shape == expected.shape else float("inf")
            tried, failed = tried + 1, failed + (not difference < TOLERANCE)
            print(f"{format}: features {list(expected.shape)} of {run}, largest difference {difference:.1e} "
                  f"of values up to {expected.abs().max().item():.2f}")
    return 1 if failed or not tried else 0


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
