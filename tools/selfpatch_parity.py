"""Records 20 training steps of SelfPatch's official code for tests/parity/selfpatch.cpp: selfpatch_parity.py <checkout of alinlab/SelfPatch>.

    git clone https://github.com/alinlab/SelfPatch SelfPatch
    pip install torch torchvision numpy timm safetensors
    python tools/selfpatch_parity.py SELFPATCH            # writes tests/parity/selfpatch.safetensors (recorded with 81aef14, torch 2.11)

What runs is the official network, its class-attention head with the choice of neighbours, both DINO heads, loss, schedules, clipping
and freezing of the last layers; the loop around them is this file's, because main_selfpatch.py trains on a GPU only. The head knows
grids of 14 x 14 and 6 x 6 alone, so crops are small and patches smaller: 4 images of 3 channels, 2 global crops of 28 x 28 and 4 local
ones of 12 x 12, patches of 2, width 48, 2 blocks, 64 prototypes of an image and 32 of a patch, fp32, one thread.

The file holds
  student.*               initial weights, fp16 (both sides start from these rounded values), under Hearth's names
  global, local           crops, uint8 [batches, views, images, channels, height, width]; step i uses batch i modulo batches
  losses                  float64 [20]
  center, patch_center    after the last step, fp32 [1, 64] and [1, 32]
  neighbours              int64 [196, 8], the official table of a grid of 14 x 14
and, as metadata, the hyperparameters; weight decay is ten times the usual, so that a mistake in it shows within 20 steps. The same
steps are taken in float64 too, to print how far rounding alone carries.
"""
import argparse
import functools
import pathlib
import sys

import torch
from safetensors.torch import save_file
from torch import nn

import dino_parity
from dino_parity import BATCHES, CHANNELS, EPOCHS, STEPS, copy_of, crops, round_to_half

dino_parity.GLOBAL, dino_parity.LOCAL = (2, 28), (4, 12)
SETTINGS = {
    "lr": 1e-3, "min_lr": 1e-5, "warmup_epochs": 1, "weight_decay": 0.4, "weight_decay_end": 4.0, "momentum_teacher": 0.9,
    "clip_grad": 0.3, "freeze_last_layer": 1, "teacher_temp": 0.04, "k_num": 4, "out": 64, "patch_out": 32,
}


def train(official, student, views, dtype):
    utils, main_selfpatch, build = official
    s = SETTINGS
    student = copy_of(build(), student).to(dtype)
    teacher = copy_of(build(), student).to(dtype)
    for parameter in teacher.parameters():
        parameter.requires_grad = False
    per_epoch = STEPS // EPOCHS
    loss_of = main_selfpatch.DINOLoss(s["out"], s["patch_out"], 6, s["teacher_temp"], s["teacher_temp"], 0, EPOCHS).to(dtype)
    optimizer = torch.optim.AdamW(utils.get_params_groups(student))
    lr = utils.cosine_scheduler(s["lr"], s["min_lr"], EPOCHS, per_epoch, warmup_epochs=s["warmup_epochs"])
    decay = utils.cosine_scheduler(s["weight_decay"], s["weight_decay_end"], EPOCHS, per_epoch)
    momentum = utils.cosine_scheduler(s["momentum_teacher"], 1, EPOCHS, per_epoch)
    losses = []
    for step in range(STEPS):
        epoch = step // per_epoch
        for i, group in enumerate(optimizer.param_groups):
            group["lr"] = lr[step]
            if i == 0:
                group["weight_decay"] = decay[step]
        large, small = (view[step % BATCHES].to(dtype).flatten(0, 1) / 255 for view in views)
        with torch.no_grad():
            targets = [teacher(crop, head_only=True, loc=True) for crop in (large, small)]
        outputs = [student(crop, head_only=True, loc=False) for crop in (large, small)]
        loss, _, _ = loss_of(teacher, student, outputs, targets, epoch, step)
        optimizer.zero_grad()
        loss.backward()
        utils.clip_gradients(student, s["clip_grad"])
        utils.cancel_gradients_last_layer(epoch, student, s["freeze_last_layer"])
        optimizer.step()
        with torch.no_grad():
            for q, k in zip(student.parameters(), teacher.parameters()):
                k.mul_(momentum[step]).add_((1 - momentum[step]) * q)
        losses.append(loss.item())
    return losses, loss_of


def our_name(name):
    for theirs, ours in ("ca_head.", "heads.pool."), ("c_head.", "heads.image."), ("p_head.", "heads.patch."):
        if name.startswith(theirs):
            return "student." + ours + name[len(theirs):]
    return "student." + name


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", help="folder of alinlab/SelfPatch")
    parser.add_argument("--out", default=pathlib.Path(__file__).parent.parent / "tests/parity/selfpatch.safetensors")
    args = parser.parse_args()
    sys.path.insert(0, args.checkout)
    import main_selfpatch
    import selfpatch_vision_transformer as vits
    import utils

    # The loss sums centres over processes: a group of one.
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    s = SETTINGS

    def build():
        backbone = vits.VisionTransformer(img_size=[28], patch_size=2, in_chans=CHANNELS, embed_dim=48, depth=2, num_heads=3, qkv_bias=True,
                                          drop_path_rate=0.0, norm_layer=functools.partial(nn.LayerNorm, eps=1e-6))
        heads = [vits.DINOHead(48, out, hidden_dim=64, bottleneck_dim=16) for out in (s["out"], s["patch_out"])]
        return main_selfpatch.MultiCropWrapper(backbone, vits.SelfPatchHead(48, 3, s["k_num"]), *heads)

    student = build()
    round_to_half(student)
    views = crops()
    official = (utils, main_selfpatch, build)
    losses, loss_of = train(official, student, views, torch.float32)
    exact, _ = train(official, student, views, torch.float64)

    tensors = {"global": views[0], "local": views[1], "losses": torch.tensor(losses, dtype=torch.float64), "center": loss_of.center[0],
               "patch_center": loss_of.patch_center, "neighbours": student.ca_head.loc224}
    for name, parameter in student.named_parameters():
        tensors[our_name(name)] = parameter.detach().half().contiguous()
    save_file(tensors, args.out, metadata={key: str(value) for key, value in s.items()})
    print("losses", *(f"{loss:.6f}" for loss in losses))
    print(f"fp32 against float64: {max(abs(a - b) / b for a, b in zip(losses, exact)):.1e} relative at most")
    print(f"{args.out}: {pathlib.Path(args.out).stat().st_size} bytes")


if __name__ == "__main__":
    main()
