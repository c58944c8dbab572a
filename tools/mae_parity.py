"""Records 20 training steps of MAE's official code for tests/parity/mae.cpp: mae_parity.py <checkout of facebookresearch/mae>.

    git clone https://github.com/facebookresearch/mae MAE
    pip install torch torchvision numpy timm safetensors
    python tools/mae_parity.py MAE                        # writes tests/parity/mae.safetensors (recorded with efb2a80, torch 2.11, timm 1.0)

What runs is the official network with its masking and loss, and its learning-rate schedule (without warm-up: its rises from 0 over
the warm-up's steps, Hearth's, like DINO's, reaches the peak one step earlier). The loop around them is this file's. Nothing of the
checkout is changed; three things it asks of older libraries are provided here: np.float, a Block that takes qk_scale = None, and
the grouping of weight decay, renamed in timm. Sizes are small: 4 images of 3 x 32 x 32 (those of dino_parity.py), patches of 8,
encoder width 48, 2 blocks, decoder width 32, 2 blocks, 75 % masked, normalised target pixels, fp32, one thread.

The file holds
  student.*               initial weights of what is trained, fp16 (both sides start from these), under Hearth's names
  image                   uint8 [batches, images, channels, height, width]; step i uses batch i modulo batches
  keep, restore, masked   what the official masking chose, [20, images, ..]: patches kept (uint8), their inverse order (uint8), 1 = removed
  losses                  float64 [20]
and, as metadata, the hyperparameters; weight decay is ten times the usual, so that a mistake in it shows within 20 steps. The same steps are taken in float64 too, to print how far rounding alone carries.
"""
import argparse
import functools
import pathlib
import sys
import types
from unittest import mock

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from dino_parity import BATCHES, CHANNELS, EPOCHS, IMAGES, STEPS, copy_of, crops, round_to_half

EDGE, PATCH = 32, 8
SETTINGS = {"lr": 5e-3, "min_lr": 0.0, "warmup_epochs": 0, "weight_decay": 0.5, "mask_ratio": 0.75}
NAMES = {"decoder_embed.": "embed.", "mask_token": "mask_token", "decoder_blocks.": "blocks.", "decoder_norm.": "norm.",
         "decoder_pred.": "predict."}


def import_official(checkout):
    np.float = float
    import timm.models.vision_transformer as vit
    block = vit.Block
    vit.Block = lambda *args, qk_scale=None, **rest: block(*args, **rest)
    sys.path.insert(0, checkout)
    import models_mae
    from util import lr_sched
    return models_mae, lr_sched


def our_name(name):
    for theirs, ours in NAMES.items():
        if name.startswith(theirs):
            return "student.heads.decoder." + ours + name[len(theirs):]
    return "student.backbone." + name


def train(build, lr_sched, start, images, noise, dtype):
    from timm.optim import param_groups_weight_decay

    student = copy_of(build(), start).to(dtype)
    optimizer = torch.optim.AdamW(param_groups_weight_decay(student, SETTINGS["weight_decay"]), lr=SETTINGS["lr"], betas=(0.9, 0.95))
    schedule = types.SimpleNamespace(lr=SETTINGS["lr"], min_lr=SETTINGS["min_lr"], warmup_epochs=SETTINGS["warmup_epochs"], epochs=EPOCHS)
    losses, masks = [], []
    for step in range(STEPS):
        lr_sched.adjust_learning_rate(optimizer, step / (STEPS // EPOCHS), schedule)
        # The masking draws torch.rand(images, patches): here it gets the recorded draw.
        with mock.patch("torch.rand", lambda *shape, device=None, step=step: noise[step]):
            loss, _, mask = student(images[step % BATCHES].to(dtype) / 255, mask_ratio=SETTINGS["mask_ratio"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        masks.append(mask)
    return losses, torch.stack(masks)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", help="folder of facebookresearch/mae")
    parser.add_argument("--out", default=pathlib.Path(__file__).parent.parent / "tests/parity/mae.safetensors")
    args = parser.parse_args()
    models_mae, lr_sched = import_official(args.checkout)
    torch.set_num_threads(1)
    torch.manual_seed(0)

    def build():
        return models_mae.MaskedAutoencoderViT(
            img_size=EDGE, patch_size=PATCH, in_chans=CHANNELS, embed_dim=48, depth=2, num_heads=3, decoder_embed_dim=32,
            decoder_depth=2, decoder_num_heads=4, mlp_ratio=4, norm_layer=functools.partial(nn.LayerNorm, eps=1e-6), norm_pix_loss=True)

    student = build()
    round_to_half(student)
    images = crops()[0][:, 0].contiguous()
    patches = (EDGE // PATCH) ** 2
    noise = torch.rand(STEPS, IMAGES, patches)
    losses, masks = train(build, lr_sched, student, images, noise, torch.float32)
    exact, _ = train(build, lr_sched, student, images, noise, torch.float64)

    order = noise.argsort(2)
    restore = order.argsort(2)
    kept = int(patches * (1 - SETTINGS["mask_ratio"]))
    assert torch.equal(masks, (restore >= kept).float()), "the official masks are not those of the recorded noise"
    tensors = {"image": images, "keep": order[..., :kept].byte().contiguous(), "restore": restore.byte(), "masked": masks.byte(),
               "losses": torch.tensor(losses, dtype=torch.float64)}
    for name, parameter in student.named_parameters():
        if parameter.requires_grad:
            tensors[our_name(name)] = parameter.detach().half().contiguous()
    save_file(tensors, args.out, metadata={key: str(value) for key, value in SETTINGS.items()})
    print("losses", *(f"{loss:.6f}" for loss in losses))
    print(f"fp32 against float64: {max(abs(a - b) / b for a, b in zip(losses, exact)):.1e} relative at most")
    print(f"{args.out}: {pathlib.Path(args.out).stat().st_size} bytes")


if __name__ == "__main__":
    main()
