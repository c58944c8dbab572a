"""Compares vit, mae-decoder and masked-reconstruction with the Python code people know.

  vit_reference.py write FILE            stores a small timm network and its outputs: tests/plugins/vit/timm.safetensors
  vit_reference.py timm CASES            vit_tiny_patch16_224 and vit_base_patch16_224 with random weights beside ours
  vit_reference.py mae CASES CHECKOUT    encoder, decoder and loss of a checkout of facebookresearch/mae beside ours

CASES is the path of hearth_vit_cases; nothing is downloaded.
Exit codes: 0 all agree, 1 some differ, 77 torch, timm or safetensors is not installed (ctest calls that skipped).
"""
import functools
import json
import os
import subprocess
import sys
import tempfile

import needed

try:
    import timm
    import torch
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    needed.skip(missing)

MEAN, STD = 0.5, 0.25


def randomise(model, std=0.05):
    """Random values everywhere, so that no norm or bias is trivial."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            noise = torch.randn(parameter.shape, generator=generator) * std
            parameter.data.copy_(noise + (1 if "norm" in name and name.endswith("weight") else 0))
    return model.eval()


def dino_positions(model, grid):
    """Positions of another grid as the DINO code takes them: no antialiasing, 0.1 added to the new size."""
    rows, columns = model.patch_embed.grid_size
    native = model.pos_embed[:, 1:].reshape(1, rows, columns, -1).permute(0, 3, 1, 2)
    scale = ((grid[0] + 0.1) / rows, (grid[1] + 0.1) / columns)
    resized = torch.nn.functional.interpolate(native, scale_factor=scale, mode="bicubic")
    assert resized.shape[2:] == grid
    return torch.cat([model.pos_embed[:, :1], resized.flatten(2).transpose(1, 2)], 1)


def timm_forward(model, image, keep=None, dino=False):
    """-> tokens [B, N, D], class token [B, D]"""
    x = model.patch_embed((image - MEAN) / STD)  # [B, rows, columns, D] with dynamic_img_size
    if dino:
        patches = x.flatten(1, 2)
        cls = model.cls_token.expand(len(image), -1, -1)
        x = torch.cat([cls, patches], 1) + dino_positions(model, tuple(x.shape[1:3]))
    else:
        x = model._pos_embed(x)
    if keep is not None:
        kept = torch.gather(x[:, 1:], 1, keep.unsqueeze(-1).expand(-1, -1, x.shape[2]))
        x = torch.cat([x[:, :1], kept], 1)
    x = model.norm(model.blocks(x))
    return {"tokens": x[:, 1:], "cls": x[:, 0]}


def subset(batch, patches, kept, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(patches, generator=generator)[:kept] for _ in range(batch)])


def timm_cases(model, patch, size, larger, batch):
    """name -> (options, inputs, expected outputs)"""
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(batch, 3, size, size, generator=generator)
    other = torch.rand(1, 3, *larger, generator=generator)
    keep = subset(batch, (size // patch) ** 2, (size // patch) ** 2 // 4)
    few = subset(1, larger[0] // patch * (larger[1] // patch), 5)
    cases = {"whole": ({}, {"image": image}), "keep": ({}, {"image": image, "keep": keep}),
             "larger": ({}, {"image": other}), "larger-keep": ({}, {"image": other, "keep": few}),
             "dino": ({"position_resample": "dino"}, {"image": other})}
    with torch.no_grad():
        return {name: (options, inputs, timm_forward(model, **inputs, dino=bool(options)))
                for name, (options, inputs) in cases.items()}


def write(file, kind, id, options, symbols, weights, cases, with_outputs, extra=None):
    tensors = {"weights/" + name: value.detach().contiguous() for name, value in weights.items()}
    described, stored = {}, {}  # a tensor that several cases read is stored once
    for name, (changes, inputs, outputs) in cases.items():
        for port, value in inputs.items():
            stored.setdefault(value.data_ptr(), f"in/{name}/{port}")
            tensors.setdefault(stored[value.data_ptr()], value)
        described[name] = {"options": changes, "in": {port: stored[v.data_ptr()] for port, v in inputs.items()}}
        if with_outputs:
            tensors.update({f"out/{name}/{port}": value.contiguous().clone() for port, value in outputs.items()})
    save_file({name: value.contiguous() for name, value in tensors.items()}, file,
              {"kind": kind, "id": id, "options": json.dumps(options), "symbols": json.dumps(symbols),
               "cases": json.dumps(described), **(extra or {})})


def compare(program, what, tolerance, *arguments):
    """Runs our side on the cases and prints the largest differences; returns how many are too large."""
    with tempfile.TemporaryDirectory() as folder:
        given, answer = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
        write(given, *arguments, with_outputs=False)
        subprocess.run([program, given, answer], check=True)
        found = load_file(answer)
    failed = 0
    for name, (_, _, outputs) in arguments[-1].items():
        for port, expected in outputs.items():
            ours = found[f"{name}/{port}"]
            difference = (ours - expected).abs().max().item() if ours.shape == expected.shape else float("inf")
            failed += not difference < tolerance
            print(f"{what}, {name}, {port} {list(expected.shape)}: largest difference {difference:.1e} "
                  f"of values up to {expected.abs().max().item():.2f}")
    return failed


def small_timm():
    torch.manual_seed(0)
    return randomise(timm.models.VisionTransformer(
        img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, mlp_ratio=2, num_classes=0,
        dynamic_img_size=True), 0.2)


def write_stored(file):
    model = small_timm()
    options = {"dim": 32, "heads": 2, "depth": 2, "patch": 8, "mlp_ratio": 2, "mean": [MEAN], "std": [STD]}
    write(file, "backbone", "vit", options, {"C": 3, "H": 32, "W": 32}, dict(model.named_parameters()),
          timm_cases(model, 8, 32, (48, 40), 2), with_outputs=True)
    print(f"{file}: {os.path.getsize(file)} bytes, timm {timm.__version__}, torch {torch.__version__}")
    return 0


def check_timm(program):
    failed = 0
    for size in ("tiny", "base"):
        name = f"vit_{size}_patch16_224"
        torch.manual_seed(0)
        model = randomise(timm.create_model(name, pretrained=False, num_classes=0, dynamic_img_size=True))
        failed += compare(program, name, 1e-4, "backbone", "vit", {"size": size, "mean": [MEAN], "std": [STD]},
                          {"C": 3, "H": 224, "W": 224}, dict(model.named_parameters()),
                          timm_cases(model, 16, 224, (96, 128), 2))
    return 1 if failed else 0


def official_mae(checkout):
    """A small network of the official code, which wants an older timm and numpy."""
    import numpy
    import timm.models.vision_transformer as module
    numpy.float = float
    block = module.Block
    module.Block = lambda *args, qk_scale=None, **words: block(*args, **words)
    sys.path.insert(0, checkout)
    import models_mae
    torch.manual_seed(0)
    return randomise(models_mae.MaskedAutoencoderViT(
        img_size=96, patch_size=16, embed_dim=64, depth=2, num_heads=4, decoder_embed_dim=32, decoder_depth=2,
        decoder_num_heads=4, norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6), norm_pix_loss=True))


def check_mae(program, checkout):
    model = official_mae(checkout)
    image = torch.rand(3, 3, 96, 96, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        latent, mask, restore = model.forward_encoder((image - MEAN) / STD, 0.75)
        prediction = model.forward_decoder(latent, restore)
        losses = {}
        for way in ("patch", "none"):
            model.norm_pix_loss = way == "patch"
            losses[way] = model.forward_loss(image, prediction, mask)
    tokens, cls = latent[:, 1:], latent[:, 0]
    shape = {"C": 3, "H": 96, "W": 96}
    weights = dict(model.named_parameters())
    encoder = {name: value for name, value in weights.items() if not name.startswith(("decoder", "mask", "pos"))}
    renamed = {"decoder_embed": "embed", "decoder_blocks": "blocks", "decoder_norm": "norm", "decoder_pred": "predict"}
    decoder = {"mask_token": weights["mask_token"]}
    for name, value in weights.items():
        first, _, rest = name.partition(".")
        if first in renamed:
            decoder[f"{renamed[first]}.{rest}"] = value
    keep = torch.argsort(restore, 1)[:, :tokens.shape[1]]
    failed = compare(program, "encoder", 1e-5, "backbone", "vit",
                     {"dim": 64, "heads": 4, "depth": 2, "positions": "sincos", "mean": [MEAN], "std": [STD]}, shape,
                     encoder, {"masked": ({}, {"image": image, "keep": keep}, {"tokens": tokens, "cls": cls})})
    failed += compare(program, "decoder", 1e-5, "head", "mae-decoder", {"width": 32, "heads": 4, "depth": 2},
                      {"D": 64, "L": 36, "N": 9, **shape}, decoder,
                      {"masked": ({}, {"tokens": tokens, "cls": cls, "restore": restore, "image": image},
                                  {"prediction": prediction})})
    failed += compare(program, "loss", 1e-6, "loss", "masked-reconstruction", {}, {"L": 36, "P": 768, **shape}, {},
                      {way: ({"normalise": way}, {"prediction": prediction, "image": image, "masked": mask},
                             {"total": value}) for way, value in losses.items()})
    return 1 if failed else 0


MODES = {"write": (write_stored, 1), "timm": (check_timm, 1), "mae": (check_mae, 2)}

if __name__ == "__main__":
    mode, count = MODES.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, 0))
    if mode is None or len(sys.argv) != 2 + count:
        sys.exit(__doc__)
    sys.exit(mode(*sys.argv[2:]))
