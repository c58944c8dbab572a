"""Records 20 training steps of DINO's official code for tests/parity/dino.cpp: dino_parity.py <checkout of facebookresearch/dino>.

    git clone https://github.com/facebookresearch/dino DINO
    pip install torch torchvision numpy safetensors
    python tools/dino_parity.py DINO                      # writes tests/parity/dino.safetensors (recorded with 7c446df, torch 2.11)

What runs is the official network, head, loss, schedules, clipping and freezing of the last layer; the loop around them is this
file's, because main_dino.py trains on a GPU only. Sizes are small: 4 images of 3 channels, 2 global crops of 32 x 32 and 4 local
ones of 16 x 16, patches of 8, width 48, 2 blocks, 64 prototypes, fp32, one thread.

The file holds
  student.*               initial weights, fp16 (both sides start from these rounded values), under Hearth's names
  global, local           crops, uint8 [batches, views, images, channels, height, width]; step i uses batch i modulo batches
  losses                  float64 [20]
  center                  the centre after the last step, fp32 [1, 64]
and, as metadata, the hyperparameters; weight decay is ten times the usual, so that a mistake in it shows within 20 steps. The same steps are taken in float64 too, to print how far rounding alone carries.
"""
import argparse
import functools
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

STEPS, EPOCHS, BATCHES, IMAGES, CHANNELS = 20, 5, 5, 4, 3
GLOBAL, LOCAL = (2, 32), (4, 16)  # crops and their edge
SETTINGS = {
    "lr": 1e-3, "min_lr": 1e-5, "warmup_epochs": 1, "weight_decay": 0.4, "weight_decay_end": 4.0, "momentum_teacher": 0.9,
    "clip_grad": 0.3, "freeze_last_layer": 1, "warmup_teacher_temp": 0.04, "teacher_temp": 0.07, "warmup_teacher_temp_epochs": 3,
}


def crops(seed=0):
    """uint8 [batches, views, images, channels, edge, edge] for global and for local views: windows of smooth random images."""
    rng = np.random.default_rng(seed)
    count, size = BATCHES * IMAGES, 48
    field = torch.from_numpy(rng.normal(size=(count, CHANNELS, 4, 4)))
    image = nn.functional.interpolate(field, size=(size, size), mode="bicubic", align_corners=False).numpy()
    image = np.clip(128 + 45 * image + rng.normal(scale=4, size=image.shape), 0, 255).round().astype(np.uint8)
    image = image.reshape(BATCHES, IMAGES, CHANNELS, size, size)
    views = []
    for number, edge in (GLOBAL, LOCAL):
        view = np.empty((BATCHES, number, IMAGES, CHANNELS, edge, edge), np.uint8)
        for b, v, i in np.ndindex(BATCHES, number, IMAGES):
            y, x = rng.integers(0, size - edge + 1, 2)
            view[b, v, i] = image[b, i, :, y:y + edge, x:x + edge]
        views.append(torch.from_numpy(view))
    return views


def round_to_half(module):
    """Rounds what is trained to fp16, so that a small file holds it exactly."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.copy_(parameter.half().float())


def train(official, student, views, dtype, settings):
    utils, main_dino, build = official
    student = copy_of(build(), student).to(dtype)
    teacher = copy_of(build(), student).to(dtype)
    for parameter in teacher.parameters():
        parameter.requires_grad = False
    out_dim = student.head.last_layer.weight_g.shape[0]
    per_epoch = STEPS // EPOCHS
    loss_of = main_dino.DINOLoss(out_dim, GLOBAL[0] + LOCAL[0], settings["warmup_teacher_temp"], settings["teacher_temp"],
                                 settings["warmup_teacher_temp_epochs"], EPOCHS).to(dtype)
    optimizer = torch.optim.AdamW(utils.get_params_groups(student))
    lr = utils.cosine_scheduler(settings["lr"], settings["min_lr"], EPOCHS, per_epoch, warmup_epochs=settings["warmup_epochs"])
    decay = utils.cosine_scheduler(settings["weight_decay"], settings["weight_decay_end"], EPOCHS, per_epoch)
    momentum = utils.cosine_scheduler(settings["momentum_teacher"], 1, EPOCHS, per_epoch)
    losses, clipped = [], 0
    for step in range(STEPS):
        epoch = step // per_epoch
        for i, group in enumerate(optimizer.param_groups):
            group["lr"] = lr[step]
            if i == 0:
                group["weight_decay"] = decay[step]
        images = [crop.to(dtype) / 255 for view in views for crop in view[step % BATCHES]]
        loss = loss_of(student(images), teacher(images[:GLOBAL[0]]), epoch)
        optimizer.zero_grad()
        loss.backward()
        norms = utils.clip_gradients(student, settings["clip_grad"])
        clipped += sum(norm > settings["clip_grad"] for norm in norms)
        utils.cancel_gradients_last_layer(epoch, student, settings["freeze_last_layer"])
        optimizer.step()
        with torch.no_grad():
            for q, k in zip(student.parameters(), teacher.parameters()):
                k.mul_(momentum[step]).add_((1 - momentum[step]) * q)
        losses.append(loss.item())
    return losses, loss_of.center, clipped


def copy_of(made, source):
    made.load_state_dict(source.state_dict())
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", help="folder of facebookresearch/dino")
    parser.add_argument("--out", default=pathlib.Path(__file__).parent.parent / "tests/parity/dino.safetensors")
    args = parser.parse_args()
    sys.path.insert(0, args.checkout)
    import main_dino
    import utils
    import vision_transformer as vits

    # The loss sums the centre over processes: a group of one.
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    torch.set_num_threads(1)
    torch.manual_seed(0)

    def build():
        backbone = vits.VisionTransformer(img_size=[GLOBAL[1]], patch_size=8, in_chans=CHANNELS, embed_dim=48, depth=2, num_heads=3,
                                          qkv_bias=True, drop_path_rate=0.0, norm_layer=functools.partial(nn.LayerNorm, eps=1e-6))
        head = vits.DINOHead(48, 64, use_bn=False, norm_last_layer=True, nlayers=3, hidden_dim=64, bottleneck_dim=16)
        return utils.MultiCropWrapper(backbone, head)

    student = build()
    round_to_half(student)
    views = crops()
    official = (utils, main_dino, build)
    losses, center, clipped = train(official, student, views, torch.float32, SETTINGS)
    exact, _, _ = train(official, student, views, torch.float64, SETTINGS)

    tensors = {"global": views[0], "local": views[1], "losses": torch.tensor(losses, dtype=torch.float64), "center": center}
    for name, parameter in student.named_parameters():
        ours = name.replace("head.", "heads.project.", 1) if name.startswith("head.") else name
        tensors["student." + ours] = parameter.detach().half().contiguous()
    save_file(tensors, args.out, metadata={key: str(value) for key, value in SETTINGS.items()})
    print("losses", *(f"{loss:.6f}" for loss in losses))
    print(f"gradients clipped {clipped} times")
    print(f"fp32 against float64: {max(abs(a - b) / b for a, b in zip(losses, exact)):.1e} relative at most")
    print(f"{args.out}: {pathlib.Path(args.out).stat().st_size} bytes")


if __name__ == "__main__":
    main()
