"""Records 20 training steps of AFiRe's official code for tests/parity/afire.cpp: afire_parity.py <checkout of LYH-hh/AFiRe>.

    git clone https://github.com/LYH-hh/AFiRe AFIRE
    pip install torch torchvision numpy timm safetensors
    python tools/afire_parity.py AFIRE                    # writes tests/parity/afire.safetensors (recorded with 660d917, torch 2.11, timm 1.0)
    python tools/afire_parity.py AFIRE --checkpoint FILE  # writes a checkpoint as the official code does, and its tokens: see below

What runs is the official train_one_epoch, unchanged, with its networks, loss, schedules, clipping, freezing and moving average;
calls of .cuda() do nothing. Sizes are small: 4 grey films of 32 x 32 copied to 3 channels, patches of 8, width 48, 2 blocks,
64 clusters, a decoder of width 32 with 2 blocks, fp32, one thread. Films are 8-bit and normalised by ImageNet's mean and deviation,
as the official data set does it, so that the test starts from images in [0, 1].

The file holds
  student.*              initial weights of what is trained, fp16 (both sides start from these), under Hearth's names
  normal, abnormal       uint8 [batches, images, 1, height, width]; step i uses batch i modulo batches
  mask                   uint8 [batches, images, 1, height, width], what was added
  losses, structure, restoration   float64 [20]: the total and its two terms, with gradients clipped at 3.0
  prototypes             the mean logits that the official loss keeps, after the last step, fp32 [16, 64]
  losses_clipped         float64 [20], with gradients clipped at 0.05, which reaches every parameter
and, as metadata, the hyperparameters; weight decay is ten times the usual, so that a mistake in it shows within 20 steps. The
same steps are taken in float64 too, to print how far rounding alone carries.

--checkpoint FILE builds the published architecture (ViT-B/16 at 224, or what --arch names) with random weights, saves it as the
official code saves its training, and FILE.tokens.safetensors with two films of noise and the teacher's tokens of them.
docs/weights.md says how `tools/convert_checkpoint.py` and `hearth import` take it from there. `hearth embed` gives the class token
and the mean of the patch tokens, which is what to compare.
"""
import argparse
import contextlib
import functools
import io
import pathlib
import sys
import types

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from dino_parity import BATCHES, EPOCHS, IMAGES, STEPS, round_to_half

EDGE, PATCH = 32, 8
POSITIONS = (EDGE // PATCH) ** 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SETTINGS = {"lr": 5e-4, "min_lr": 1e-6, "warmup_epochs": 1, "weight_decay": 0.4, "weight_decay_end": 4.0, "momentum_teacher": 0.9,
            "clip_grad": 3.0, "clip_grad_small": 0.05, "freeze_last_layer": 1}
DECODER_NAMES = {"embedding.": "embed.", "image_pred.": "predict."}


def import_official(checkout):
    np.float = float
    torch.Tensor.cuda = lambda self, *args, **rest: self
    torch.cuda.synchronize = lambda *args, **rest: None
    sys.path.insert(0, checkout)
    with contextlib.redirect_stdout(io.StringIO()):
        import AFiRe_model
        import main_AFiRe
        import utils
    utils.SmoothedValue.synchronize_between_processes = lambda self: None
    main_AFiRe.args = types.SimpleNamespace(sinkhorn_iterations=3)  # its loss reads a global
    return AFiRe_model, main_AFiRe, utils


def our_name(name):
    """A parameter's name in Hearth's plan; None for the last layers, which are one tensor here."""
    if name.startswith("encoder."):
        return "student.backbone." + name[8:]
    if name.startswith("head."):
        return None if ".last_layers." in name else "student.heads.project." + name[5:]
    name = name[8:]
    for theirs, ours in DECODER_NAMES.items():
        if name.startswith(theirs):
            name = ours + name[len(theirs):]
    return "student.heads.restore." + name


def build(official):
    model, _, utils = official
    norm = functools.partial(nn.LayerNorm, eps=1e-6)
    encoder = lambda: model.VisionTransformer(img_size=EDGE, patch_size=PATCH, embed_dim=48, depth=2, num_heads=3, norm_layer=norm)
    head = lambda: model.AFiReHead(48, 64, norm_last_layer=True, hidden_dim=64, bottleneck_dim=16, num_patches=POSITIONS)
    decoder = model.Decoder(img_size=EDGE, patch_size=PATCH, encoder_embed_dim=48, embed_dim=32, depth=2, num_heads=4)
    return utils.StudentWrapper(encoder(), decoder, head()), utils.TeacherWrapper(encoder(), head())


def films(seed=0):
    """uint8 [batches, images, 1, edge, edge]: smooth random films, the same with rectangles added, and what was added."""
    rng = np.random.default_rng(seed)
    count = BATCHES * IMAGES
    field = torch.from_numpy(rng.normal(size=(count, 1, 5, 5)))
    film = nn.functional.interpolate(field, size=(EDGE, EDGE), mode="bicubic", align_corners=False).numpy()
    film = np.clip(110 + 40 * film + rng.normal(scale=4, size=film.shape), 0, 255).round().astype(np.uint8)
    added = np.zeros(film.shape, np.float64)
    for i in range(count):
        for _ in range(rng.integers(1, 4)):
            h, w = rng.integers(5, 14, 2)
            y, x = rng.integers(0, EDGE - h), rng.integers(0, EDGE - w)
            added[i, 0, y:y + h, x:x + w] += 20 + 60 * rng.random((h, w))
    abnormal = np.clip(film + added, 0, 255).round().astype(np.uint8)
    shape = (BATCHES, IMAGES, 1, EDGE, EDGE)
    return [torch.from_numpy(x.reshape(shape)) for x in (film, abnormal, added.clip(0, 255).round().astype(np.uint8))]


def normalised(film, dtype):
    by_channel = lambda values: torch.tensor(values, dtype=dtype).view(1, 3, 1, 1)
    return (film.to(dtype).expand(-1, 3, -1, -1) / 255 - by_channel(MEAN)) / by_channel(STD)


def train(official, start, views, dtype, clip):
    """-> losses and their two terms of every step, and the mean that the official loss keeps for each position after the last."""
    _, main_afire, utils = official
    student, teacher = build(official)
    student.load_state_dict(start.state_dict())
    student, teacher = student.to(dtype), teacher.to(dtype)
    teacher.encoder.load_state_dict(student.encoder.state_dict())
    teacher.head.load_state_dict(student.head.state_dict())
    for parameter in teacher.parameters():
        parameter.requires_grad = False
    terms = {"losses": [], "structure": [], "restoration": []}

    class Batches:
        step = 0

        def __len__(self):
            return STEPS // EPOCHS

        def __iter__(self):
            for _ in range(len(self)):
                film, abnormal, mask = (view[Batches.step % BATCHES] for view in views)
                Batches.step += 1
                yield normalised(abnormal, dtype), mask.to(dtype).expand(-1, 3, -1, -1) / 255, normalised(film, dtype)

    class Loss(main_afire.AFiReLoss):
        def forward(self, student_q, teacher_q, restored, labels, film, epoch):
            total = super().forward(student_q, teacher_q, restored, labels, film, epoch)
            restoration = self.recon_loss(restored, film).item()
            for name, value in zip(terms, (total.item(), total.item() - restoration, restoration)):
                terms[name].append(value)
            return total

    loss = Loss(64, EPOCHS).to(dtype)
    parallel = nn.parallel.DistributedDataParallel(student)
    optimizer = torch.optim.AdamW(utils.get_params_groups(parallel))
    per_epoch = STEPS // EPOCHS
    lr = utils.cosine_scheduler(SETTINGS["lr"], SETTINGS["min_lr"], EPOCHS, per_epoch, warmup_epochs=SETTINGS["warmup_epochs"])
    decay = utils.cosine_scheduler(SETTINGS["weight_decay"], SETTINGS["weight_decay_end"], EPOCHS, per_epoch)
    momentum = utils.cosine_scheduler(SETTINGS["momentum_teacher"], 1, EPOCHS, per_epoch)
    arguments = types.SimpleNamespace(clip_grad=clip, freeze_last_layer=SETTINGS["freeze_last_layer"], epochs=EPOCHS)
    for epoch in range(EPOCHS):
        with contextlib.redirect_stdout(io.StringIO()):
            main_afire.train_one_epoch(parallel, teacher, teacher, loss, Batches(), optimizer, lr, decay, momentum, epoch, None,
                                       arguments)
    return terms, loss.prototype.squeeze(0)


def record(official, out):
    torch.manual_seed(0)
    start, _ = build(official)
    round_to_half(start)
    views = films()
    terms, prototypes = train(official, start, views, torch.float32, SETTINGS["clip_grad"])
    clipped, _ = train(official, start, views, torch.float32, SETTINGS["clip_grad_small"])
    exact, _ = train(official, start, views, torch.float64, SETTINGS["clip_grad"])

    as_double = lambda values: torch.tensor(values, dtype=torch.float64)
    tensors = {"normal": views[0], "abnormal": views[1], "mask": views[2], "prototypes": prototypes.contiguous(),
               "losses_clipped": as_double(clipped["losses"]), **{name: as_double(values) for name, values in terms.items()}}
    last = []
    for name, parameter in start.named_parameters():
        if not parameter.requires_grad:
            continue
        if our_name(name):
            tensors[our_name(name)] = parameter.detach().half().contiguous()
        else:
            last.append(parameter.detach().half())
    tensors["student.heads.project.last_layer.weight_v"] = torch.stack(last)
    save_file(tensors, out, metadata={key: str(value) for key, value in SETTINGS.items()})
    for name, values in terms.items():
        print(name, *(f"{value:.6f}" for value in values))
    print("losses, clipped at", SETTINGS["clip_grad_small"], *(f"{loss:.6f}" for loss in clipped["losses"]))
    away = max(abs(a - b) / b for a, b in zip(terms["losses"], exact["losses"]))
    print(f"fp32 against float64: {away:.1e} relative at most")
    print(f"{out}: {pathlib.Path(out).stat().st_size} bytes")


def save_checkpoint(official, arch, file):
    """As train_AFiRe() saves it, with random weights and a teacher that is not the student."""
    model, main_afire, utils = official
    torch.manual_seed(0)
    networks = []
    for _ in range(2):
        encoder = getattr(model, arch)(patch_size=16)
        decoder = model.Decoder(encoder_embed_dim=encoder.embed_dim)
        networks.append((encoder, decoder, model.AFiReHead(encoder.embed_dim, 256)))
    student = nn.parallel.DistributedDataParallel(utils.StudentWrapper(*networks[0]))
    teacher = utils.TeacherWrapper(networks[1][0], networks[1][2])
    optimizer = torch.optim.AdamW(utils.get_params_groups(student))
    for group in optimizer.param_groups:
        group["lr"] = np.float64(SETTINGS["lr"])  # the schedule is an array of NumPy's, and so is what it leaves here
    torch.save({"student": student.state_dict(), "teacher": teacher.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 1,
                "args": argparse.Namespace(arch=arch), "AFiRe_loss": main_afire.AFiReLoss(256, 1).state_dict()}, file)
    film = torch.randint(0, 256, (2, 1, 224, 224), dtype=torch.uint8)
    with torch.no_grad():
        out = teacher.encoder.eval()(normalised(film, torch.float32))
    save_file({"film": film, "tokens": out[:, 1:].contiguous(), "cls": out[:, 0].contiguous()}, f"{file}.tokens.safetensors")
    print(f"{file}: {arch}, student and teacher; {file}.tokens.safetensors: two films and the teacher's tokens")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", help="folder of LYH-hh/AFiRe")
    parser.add_argument("--out", default=pathlib.Path(__file__).parent.parent / "tests/parity/afire.safetensors")
    parser.add_argument("--checkpoint", metavar="FILE", help="write this instead")
    parser.add_argument("--arch", default="vit_base", choices=["vit_tiny", "vit_small", "vit_base"])
    arguments = parser.parse_args()
    official = import_official(arguments.checkout)
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    torch.set_num_threads(1)
    if arguments.checkpoint:
        save_checkpoint(official, arguments.arch, arguments.checkpoint)
    else:
        record(official, arguments.out)


if __name__ == "__main__":
    main()
