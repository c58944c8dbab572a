"""Records 20 training steps of iBOT's official code for tests/parity/ibot.cpp: ibot_parity.py <checkout of bytedance/ibot>.

    git clone https://github.com/bytedance/ibot IBOT
    pip install torch torchvision numpy safetensors
    python tools/ibot_parity.py IBOT                      # writes tests/parity/ibot.safetensors (recorded with da316d8, torch 2.11)

What runs is the official network with its mask token, shared head, loss, schedules, clipping and freezing of the last layer; the loop
around them is this file's, because main_ibot.py trains on a GPU only. Two modules that it imports and never calls here, a writer of
logs and an evaluation, are empty ones. Crops and sizes are dino_parity.py's: patches of 8, width 48, 2 blocks, 64 prototypes, fp32, one
thread. Masks are random: of each view a half of the 16 patches at most, and of some none.

The file holds
  student.*               initial weights, fp16 (both sides start from these rounded values), under Hearth's names
  global, local           crops, uint8 [batches, views, images, channels, height, width]; step i uses batch i modulo batches
  hidden                  masks, uint8 [batches, views, images, patches]
  losses                  float64 [20]
  center, patch_center    after the last step, fp32 [1, 64]
and, as metadata, the hyperparameters; weight decay is ten times the usual, so that a mistake in it shows within 20 steps. The same
steps are taken in float64 too, to print how far rounding alone carries.
"""
import argparse
import pathlib
import sys
import types

import numpy as np
import torch
from safetensors.torch import save_file

from dino_parity import BATCHES, CHANNELS, EPOCHS, GLOBAL, IMAGES, LOCAL, STEPS, crops, round_to_half

SETTINGS = {
    "lr": 1e-3, "min_lr": 1e-5, "warmup_epochs": 1, "weight_decay": 0.4, "weight_decay_end": 4.0, "momentum_teacher": 0.9,
    "clip_grad": 0.3, "freeze_last_layer": 1, "warmup_teacher_temp": 0.04, "teacher_temp": 0.07, "warmup_teacher_patch_temp": 0.05,
    "teacher_patch_temp": 0.09, "warmup_teacher_temp_epochs": 3, "out": 64,
}


def import_official(checkout):
    for name, needed in ("tensorboardX", "SummaryWriter"), ("evaluation.unsupervised.unsup_cls", "eval_pred"):
        sys.modules[name] = types.ModuleType(name)
        setattr(sys.modules[name], needed, None)
    sys.path.insert(0, checkout)
    import main_ibot
    import utils
    from models import head, vision_transformer
    return main_ibot, utils, head, vision_transformer


def masks(seed=1):
    """uint8 [batches, views, images, 4, 4]"""
    rng = np.random.default_rng(seed)
    made = np.zeros((BATCHES, GLOBAL[0], IMAGES, 16), np.uint8)
    for row in made.reshape(-1, 16):
        row[rng.permutation(16)[:rng.integers(0, 9)]] = 1
    return torch.from_numpy(made.reshape(BATCHES, GLOBAL[0], IMAGES, 4, 4))


def train(official, build, start, views, hidden, dtype):
    main_ibot, utils, _, _ = official
    s = SETTINGS
    student, teacher = build(True).to(dtype), build(False).to(dtype)
    student.load_state_dict(start)
    teacher.load_state_dict(start, strict=False)
    for parameter in teacher.parameters():
        parameter.requires_grad = False
    per_epoch = STEPS // EPOCHS
    loss_of = main_ibot.iBOTLoss(s["out"], s["out"], GLOBAL[0], LOCAL[0], s["warmup_teacher_temp"], s["teacher_temp"], s["warmup_teacher_patch_temp"],
                                 s["teacher_patch_temp"], s["warmup_teacher_temp_epochs"], EPOCHS).to(dtype)
    optimizer = torch.optim.AdamW(utils.get_params_groups(student))
    lr = utils.cosine_scheduler(s["lr"], s["min_lr"], EPOCHS, per_epoch, warmup_epochs=s["warmup_epochs"])
    decay = utils.cosine_scheduler(s["weight_decay"], s["weight_decay_end"], EPOCHS, per_epoch)
    momentum = utils.cosine_scheduler(s["momentum_teacher"], 1, EPOCHS, per_epoch)
    own = dict(student.named_parameters())
    losses = []
    for step in range(STEPS):
        epoch, batch = step // per_epoch, step % BATCHES
        for i, group in enumerate(optimizer.param_groups):
            group["lr"] = lr[step]
            if i == 0:
                group["weight_decay"] = decay[step]
        large, small = ([crop.to(dtype) / 255 for crop in view[batch]] for view in views)
        mask = [m.bool() for m in hidden[batch]]
        targets = teacher(large)
        outputs = student(large, mask=mask)
        student.backbone.masked_im_modeling = False
        local = student(small)[0]
        student.backbone.masked_im_modeling = True
        loss = loss_of(outputs, targets, local, mask, epoch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        utils.clip_gradients(student, s["clip_grad"])
        utils.cancel_gradients_last_layer(epoch, student, s["freeze_last_layer"])
        optimizer.step()
        with torch.no_grad():
            for name, k in teacher.named_parameters():
                k.mul_(momentum[step]).add_((1 - momentum[step]) * own[name])
        losses.append(loss.item())
    return losses, loss_of


def our_name(name):
    name = name.replace("backbone.masked_embed", "backbone.mask_token")
    return "student." + (name.replace("head.", "heads.project.", 1) if name.startswith("head.") else name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", help="folder of bytedance/ibot")
    parser.add_argument("--out", default=pathlib.Path(__file__).parent.parent / "tests/parity/ibot.safetensors")
    args = parser.parse_args()
    official = import_official(args.checkout)
    _, utils, head, vits = official
    # The loss sums centres over processes: a group of one.
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    torch.set_num_threads(1)
    torch.manual_seed(0)

    def build(masked):
        backbone = vits.VisionTransformer(img_size=[GLOBAL[1]], patch_size=8, in_chans=CHANNELS, embed_dim=48, depth=2, num_heads=3, qkv_bias=True,
                                          return_all_tokens=True, masked_im_modeling=masked)
        return utils.MultiCropWrapper(backbone, head.iBOTHead(48, SETTINGS["out"], patch_out_dim=SETTINGS["out"], hidden_dim=64, bottleneck_dim=16,
                                                              norm_last_layer=False, shared_head=True))

    student = build(True)
    with torch.no_grad():
        student.backbone.masked_embed.normal_(0, 0.02)  # 0 at first in the official code: a mistake in it would not show
    round_to_half(student)
    start = {name: value.clone() for name, value in student.state_dict().items()}
    views, hidden = crops(), masks()
    losses, loss_of = train(official, build, start, views, hidden, torch.float32)
    exact, _ = train(official, build, start, views, hidden, torch.float64)

    tensors = {"global": views[0], "local": views[1], "hidden": hidden.flatten(-2).contiguous(), "losses": torch.tensor(losses, dtype=torch.float64),
               "center": loss_of.center, "patch_center": loss_of.center2[0]}
    for name, parameter in student.named_parameters():
        value = parameter.detach().half().contiguous()
        tensors[our_name(name)] = value[None] if name.endswith("masked_embed") else value
    save_file(tensors, args.out, metadata={key: str(value) for key, value in SETTINGS.items()})
    print("losses", *(f"{loss:.6f}" for loss in losses))
    print(f"fp32 against float64: {max(abs(a - b) / b for a, b in zip(losses, exact)):.1e} relative at most")
    print(f"{args.out}: {pathlib.Path(args.out).stat().st_size} bytes")


if __name__ == "__main__":
    main()
