"""Compares vit with the vision transformers that other libraries publish weights of: DINOv2, DINOv3, EVA-02 and EVA.

  vit_families.py write FOLDER                   stores small networks of timm and transformers: tests/plugins/vit/families
  vit_families.py check CASES HEARTH [NAME ..]   published sizes with random weights: import, features, export, strict loading

CASES is the path of hearth_vit_cases, HEARTH that of the program, NAME a network of timm; nothing is downloaded.
Exit codes: 0 all agree, 1 some differ, 77 torch, timm or safetensors is not installed (ctest calls that skipped).
"""
import json
import os
import subprocess
import sys
import tempfile
from functools import partial

import needed

try:
    import timm
    import torch
    from safetensors.torch import load_file, save_file
    from timm.layers import LayerNorm, SwiGLUPacked
    from timm.models import VisionTransformer
    from timm.models.eva import Eva
    from vit_reference import MEAN, STD, compare, randomise, write
except ImportError as missing:
    needed.skip(missing)

TOLERANCE = 1e-5
SMALL = {"img_size": 16, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 0, "dynamic_img_size": True}
CENTRED = {"rope_type": "dinov3", "rope_temperature": 100, "rope_rotate_half": True, "use_rot_pos_emb": True,
           "use_abs_pos_emb": False, "num_reg_tokens": 4, "use_fc_norm": False, "init_values": 1e-5,
           "norm_layer": partial(LayerNorm, eps=1e-5)}
GRID = {"swiglu_mlp": True, "use_rot_pos_emb": True, "ref_feat_shape": (3, 3), "mlp_ratio": 2.5}
OPTIONS = {"dim": 16, "heads": 2, "depth": 2, "patch": 4, "mlp_ratio": 2, "mean": [MEAN], "std": [STD]}
ROTARY = {"rope": "centred", "positions": "none", "registers": 4, "layer_scale": 1e-5, "norm_eps": 1e-5}
EVA = {"rope": "grid", "rope_grid": 3, "key_bias": False, "mlp": "swiglu", "mlp_ratio": 2.5}

# name -> (what makes it, the options of vit, what `hearth import` calls it)
TIMM = {
    "gains": (lambda: VisionTransformer(mlp_ratio=2, init_values=1e-5, **SMALL), {"layer_scale": 1e-5}, "DINOv2"),
    "registers": (lambda: VisionTransformer(mlp_ratio=2, init_values=1e-5, reg_tokens=4, no_embed_class=True, **SMALL),
                  {"layer_scale": 1e-5, "registers": 4}, "DINOv2 with registers"),
    "gains-swiglu": (lambda: VisionTransformer(mlp_ratio=3, init_values=1e-5, mlp_layer=SwiGLUPacked, act_layer=torch.nn.SiLU, **SMALL),
                     {"layer_scale": 1e-5, "mlp": "swiglu", "mlp_ratio": 1.5}, "DINOv2"),
    "centred": (lambda: Eva(mlp_ratio=2, qkv_bias=False, **CENTRED, **SMALL), {**ROTARY, "qkv_bias": False}, "DINOv3"),
    "centred-swiglu": (lambda: Eva(mlp_ratio=2, swiglu_mlp=True, swiglu_align_to=8, **CENTRED, **SMALL),
                       {**ROTARY, "key_bias": False, "mlp": "swiglu"}, "DINOv3"),
    "grid": (lambda: Eva(**GRID, **SMALL), {**EVA, "pool": "mean"}, "EVA-02"),
    "grid-norms": (lambda: Eva(qkv_fused=False, scale_mlp=True, scale_attn_inner=True, global_pool="token", **GRID, **SMALL),
                   {**EVA, "mlp_norm": True, "attention_norm": True}, "EVA-02"),
    "biases": (lambda: Eva(mlp_ratio=2, **SMALL), {"key_bias": False, "pool": "mean"}, "EVA"),
}

# The published sizes: timm's name -> (options of vit, edge of the images, another edge)
PUBLISHED = {
    "vit_small_patch14_dinov2": ({"size": "small", "patch": 14, "layer_scale": 1e-5}, 518, 224),
    "vit_small_patch14_reg4_dinov2": ({"size": "small", "patch": 14, "layer_scale": 1e-5, "registers": 4}, 518, 224),
    "vit_small_patch16_dinov3": ({"size": "small", "patch": 16, **ROTARY, "qkv_bias": False}, 256, 224),
    "eva02_small_patch14_224": ({"size": "small", "patch": 14, **EVA, "mlp_ratio": 8 / 3, "rope_grid": 16, "pool": "mean"}, 224, 112),
    "eva02_small_patch14_336": ({"size": "small", "patch": 14, **EVA, "mlp_ratio": 8 / 3, "rope_grid": 16, "pool": "mean"}, 336, 224),
    "eva02_base_patch14_224": ({"size": "base", "patch": 14, **EVA, "mlp_ratio": 8 / 3, "mlp_norm": True, "rope_grid": 16,
                                "pool": "mean"}, 224, 112),
}


def published(name):
    return timm.create_model(name, pretrained=False, num_classes=0, dynamic_img_size=True)


def transformers_models():
    """name -> (model, its file's tensors, options, kind); a file's names are those of a release before 5."""
    import transformers as hf
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 16, "patch_size": 4}
    made = {
        "hf-gains": (hf.Dinov2Model(hf.Dinov2Config(mlp_ratio=2, use_mask_token=False, **size)), {"layer_scale": 1e-5}, "DINOv2"),
        "hf-registers": (hf.Dinov2WithRegistersModel(hf.Dinov2WithRegistersConfig(mlp_ratio=2, use_swiglu_ffn=True, **size)),
                         {"layer_scale": 1e-5, "registers": 4, "mlp": "swiglu", "mlp_ratio": 1.5}, "DINOv2 with registers"),
        "hf-centred": (hf.DINOv3ViTModel(hf.DINOv3ViTConfig(intermediate_size=32, num_register_tokens=4, use_gated_mlp=True,
                                                            hidden_act="silu", **size)),
                       {**ROTARY, "key_bias": False, "mlp": "swiglu"}, "DINOv3"),
    }
    for name, (model, options, kind) in made.items():
        randomise(model, 0.2)
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            yield name, model, load_file(os.path.join(folder, "model.safetensors")), options, kind
    # What torch.save(model.state_dict()) would hold has the names of transformers 5.
    model, options, kind = made["hf-gains"]
    yield "hf-gains-5", model, {key: value.clone() for key, value in model.state_dict().items()}, options, kind


def features(model, image, options):
    """-> tokens [B, N, D] and the vector of an image [B, D], as vit writes them"""
    image = (image - MEAN) / STD
    tokens = model.forward_features(image) if hasattr(model, "forward_features") else model(image).last_hidden_state
    patches = tokens[:, 1 + options.get("registers", 0):]
    return {"tokens": patches, "cls": model(image) if options.get("pool") == "mean" else tokens[:, 0]}


def cases(model, options, size, others, batch):
    generator = torch.Generator().manual_seed(3)
    images = {"whole": torch.rand(batch, 3, size, size, generator=generator)}
    images.update({name: torch.rand(1, 3, *shape, generator=generator) for name, shape in others.items()})
    with torch.no_grad():
        return {name: ({}, {"image": image}, features(model, image, options)) for name, image in images.items()}


def write_small(folder):
    os.makedirs(folder, exist_ok=True)
    models = []
    for name, (make, options, kind) in TIMM.items():
        torch.manual_seed(0)
        model = randomise(make(), 0.2)
        models.append((name, model, dict(model.state_dict()), options, kind))
    models += transformers_models()
    for name, model, weights, options, kind in models:
        # transformers resamples the positions of DINOv2 without registers otherwise than timm: its own size alone.
        others = {} if name.startswith("hf-gains") else {"square": (24, 24), "wide": (12, 24)}
        file = os.path.join(folder, name + ".safetensors")
        write(file, "backbone", "vit", {**OPTIONS, **options}, {"C": 3, "H": 16, "W": 16}, weights,
              cases(model, options, 16, others, 2), with_outputs=True, extra={"network": kind})
        print(f"{file}: {os.path.getsize(file)} bytes")
    import transformers
    print(f"timm {timm.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
    return 0


def run(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


RECIPE = """schema = 1
name = "one-step"
[data]
source = "phantom"
phantom_count = 8
phantom_lesions = 0.5
channels = 3
size = {size}
workers = 1
label = "abnormal"
positive = "1"
[[augment]]
use = "multi-crop"
global_crops = 1
global_size = {size}
local_crops = 0
[networks.student]
init_from = "start.safetensors"
backbone = {{ use = "vit", {options} }}
[networks.student.heads]
classify = {{ use = "linear", out = 2 }}
[[pass]]
network = "student"
view = "global"
[[loss]]
use = "cross-entropy"
[train]
epochs = 1
batch = 8
precision = "fp32"
[optimizer]
freeze = ["backbone"]
freeze_epochs = 1000
"""


def as_words(options):
    return [f"{key}={json.dumps(value)}" if not isinstance(value, str) else f"{key}={value}" for key, value in options.items()]


def round_trip(program, name, model, options, size, folder, original):
    """A run that starts from the imported weights and trains its head alone, exported and loaded by timm."""
    words = ", ".join(f"{key} = {json.dumps(value)}" for key, value in options.items())
    with open(os.path.join(folder, "step.toml"), "w") as out:
        out.write(RECIPE.format(size=size, options=words))
    run(program, "train", "step.toml", "--out", "run", "--no-report", cwd=folder)
    run(program, "export", "run", "--format", "timm", "-o", "timm", cwd=folder)
    found = load_file(os.path.join(folder, "timm", "model.safetensors"))
    model.load_state_dict(found, strict=True)
    config = json.load(open(os.path.join(folder, "timm", "config.json")))
    again = timm.create_model(config["architecture"], num_classes=0, **config["model_args"])
    again.load_state_dict(found, strict=True)
    different = [key for key, value in original.items() if not torch.equal(found[key], value)]
    print(f"{name}: exported as {config['architecture']}, {len(found)} tensors, loaded strictly, "
          f"{len(different)} of them changed{': ' + ', '.join(different[:3]) if different else ''}")
    return len(different)


def check_published(cases_program, program, *names):
    cases_program, program = os.path.abspath(cases_program), os.path.abspath(program)
    failed = 0
    for name in names or PUBLISHED:
        options, size, other = PUBLISHED[name]
        torch.manual_seed(0)
        model = randomise(published(name), 0.02)  # as wide as the networks' initial weights
        weights = {key: value.clone().contiguous() for key, value in model.state_dict().items()}
        with tempfile.TemporaryDirectory() as folder:
            save_file(weights, os.path.join(folder, "file.safetensors"), {"format": "pt"})
            said = run(program, "import", "file.safetensors", "--backbone", "vit", *as_words(options), "--size", str(size),
                       "--channels", "3", "-o", "start.safetensors", cwd=folder)
            print(said.splitlines()[0])
            imported = load_file(os.path.join(folder, "start.safetensors"))
            failed += compare(cases_program, name, TOLERANCE, "backbone", "vit", {**options, "mean": [MEAN], "std": [STD]},
                              {"C": 3, "H": size, "W": size}, imported,
                              cases(model, options, size, {"other": (other, other)}, 1))
            failed += round_trip(program, name, model, options, size, folder, weights)
    return 1 if failed else 0


MODES = {"write": (write_small, 1), "check": (check_published, 2)}

if __name__ == "__main__":
    mode, count = MODES.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, 0))
    if mode is None or (len(sys.argv) != 2 + count and not (mode is check_published and len(sys.argv) > 4)):
        sys.exit(__doc__)
    sys.exit(mode(*sys.argv[2:]))
