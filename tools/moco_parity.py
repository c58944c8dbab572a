"""Records 20 training steps of MoCo v2 and of MoCo v3, as their papers describe them, for tests/parity/moco.cpp: moco_parity.py.

    pip install torch numpy timm safetensors
    python tools/moco_parity.py              # writes tests/parity/moco-v2.safetensors and moco-v3.safetensors (torch 2.11, timm 1.0)

No official code runs here. That of facebookresearch/moco and moco-v3 is CC-BY-NC 4.0, so what runs is this file: written from the
equations and pseudocode of arXiv:1911.05722, 2003.04297 and 2104.02057, in double precision, one exponential after the other where a
library has a loss. The encoder is timm's transformer of width 48 with 2 blocks, the optimisers are torch's. Sizes are small: 20
images of 3 x 32 x 32 (those of dino_parity.py) in batches of 4. v2 has embeddings of 16 and a queue of 12. v3 has 40 images in
batches of 8 and Xavier weights: where batch norm sees fewer or more equal vectors, rounding doubles with every step. Its projector is
48-32-32-16, its predictor 16-32-16, positions are fixed, and the patch embedding stays as drawn.

A file holds
  student.*               initial weights of what is trained or held still, fp16 (both sides start from these), under Hearth's names
  view1, view2            uint8 [batches, images, channels, height, width]; step i uses batch i modulo batches
  losses                  float64 [20]
  v2: queue, last_queue   the queue at first, fp32 [12, 16], and after the last step
      query, key, query_gradient
                          of each step, fp32 [20, 4, 16]: embeddings of unit length, and the gradient of the loss for the first
  v3: query1, query2, key1, key2, query1_gradient, query2_gradient
                          likewise, fp32 [20, 8, 16], before they are brought to unit length
  last_key                the key network's first projection after the last step, fp32
and, as metadata, the hyperparameters; some are other than usual, so that a mistake in them shows within 20 steps. The learning rates
have no warm-up. The same steps are taken in fp32 too, to print how far rounding alone carries.
"""
import argparse
import math
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from dino_parity import BATCHES, CHANNELS, EPOCHS, GLOBAL, STEPS, crops, round_to_half

V2 = {"lr": 0.03, "momentum": 0.9, "weight_decay": 0.02, "key_momentum": 0.9, "temperature": 0.2, "queue": 12, "out": 16}
V3 = {"lr": 1e-4, "weight_decay": 10.0, "key_momentum": 0.9, "temperature": 0.2, "hidden": 32, "out": 16}
WIDTH, PATCH = 48, 8


def sincos(width, edge):
    """[1, 1 + edge^2, width]: a quarter of the width each for sine and cosine of the column, then of the row; nothing for the class token."""
    rates = 10000.0 ** (-np.arange(width // 4) / (width // 4))
    place = [np.zeros(width)]
    for row in range(edge):
        for column in range(edge):
            place.append(np.concatenate([f(p * rates) for p in (column, row) for f in (np.sin, np.cos)]))
    return torch.from_numpy(np.stack(place))[None]


class Branch(nn.Module):
    """A transformer and one MLP after the other; with fixed positions as MoCo v3 has it, Xavier weights included."""

    def __init__(self, mlps, fixed_positions):
        super().__init__()
        from timm.models.vision_transformer import VisionTransformer
        self.net = VisionTransformer(img_size=GLOBAL[1], patch_size=PATCH, in_chans=CHANNELS, embed_dim=WIDTH, depth=2, num_heads=3, num_classes=0)
        self.mlps = nn.ModuleDict(mlps)
        if fixed_positions:
            self.net.pos_embed.requires_grad_(False)
            self.net.pos_embed.copy_(sincos(WIDTH, GLOBAL[1] // PATCH))
            for name, parameter in self.net.named_parameters():
                if parameter.dim() in (2, 4):  # of q, k and v each by itself
                    for part in parameter.data.flatten(1).chunk(3 if "qkv" in name else 1):
                        nn.init.xavier_uniform_(part)

    def forward(self, x):
        x = self.net(x)
        for mlp in self.mlps.values():
            x = mlp(x)
        return x


def plain_head(width, out):
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))


def normed_head(*widths):
    """Linear maps without bias, each followed by batch normalisation: with gain, shift and ReLU, the last one with none of them."""
    steps = []
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        last = i + 2 == len(widths)
        steps += [nn.Linear(a, b, bias=False), nn.BatchNorm1d(b, affine=not last)] + ([] if last else [nn.ReLU()])
    return nn.Sequential(*steps)


def unit(x):
    return x / x.pow(2).sum(-1, keepdim=True).sqrt()


def info_nce(query, key, others, temperature):
    """MoCo, eq. 1: mean of -log(e^(q.k+ / t) / sum of e^(q.k / t) over k+ and the others), query by query."""
    total = 0
    for q, k, rest in zip(query, key, others):
        own = torch.exp(q @ k / temperature)
        total = total - torch.log(own / (own + torch.exp(rest @ q / temperature).sum()))
    return total / len(query)


def within_batch(query, key, temperature):
    """MoCo v3, algorithm 1's ctr: the others are the keys of the batch's other images."""
    query, key = unit(query), unit(key)
    others = [torch.cat([key[:i], key[i + 1:]]) for i in range(len(key))]
    return 2 * temperature * info_nce(query, key, others, temperature)


def follow(key, student, momentum):
    with torch.no_grad():
        theirs = dict(student.named_parameters())
        for name, parameter in key.named_parameters():
            parameter.copy_(momentum * parameter + (1 - momentum) * theirs[name])


def decayed(student, weight_decay):
    trained = [p for p in student.parameters() if p.requires_grad]
    return [{"params": [p for p in trained if p.dim() > 1], "weight_decay": weight_decay},
            {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0}]


def branches(start, make, dtype):
    """The student, and its key network without what only the student has."""
    student, key = make(True).to(dtype), make(False).to(dtype)
    student.load_state_dict(start)
    key.load_state_dict({name: start[name] for name in key.state_dict()})
    key.requires_grad_(False)
    return student, key


def make_v2(student):
    return Branch({"project": plain_head(WIDTH, V2["out"])}, fixed_positions=False)


def make_v3(student):
    mlps = {"project": normed_head(WIDTH, V3["hidden"], V3["hidden"], V3["out"])}
    if student:
        mlps["predict"] = normed_head(V3["out"], V3["hidden"], V3["out"])
    return Branch(mlps, fixed_positions=True)


def train_v2(start, queue, views, dtype):
    student, key = branches(start, make_v2, dtype)
    queue = queue.to(dtype).clone()
    optimizer = torch.optim.SGD(decayed(student, V2["weight_decay"]), V2["lr"], momentum=V2["momentum"])
    kept = {name: [] for name in ("losses", "query", "key", "query_gradient")}
    for step in range(STEPS):
        epoch = step // (STEPS // EPOCHS)
        for group in optimizer.param_groups:
            group["lr"] = V2["lr"] * (1 + math.cos(math.pi * epoch / EPOCHS)) / 2
        first, second = (views[step % BATCHES, i].to(dtype) / 255 for i in range(2))
        query = unit(student(first))
        query.retain_grad()
        follow(key, student, V2["key_momentum"])
        with torch.no_grad():
            keys = unit(key(second))
        loss = info_nce(query, keys, [queue] * len(query), V2["temperature"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        queue = torch.cat([queue[len(keys):], keys])  # oldest first
        for name, value in ("losses", loss), ("query", query), ("key", keys), ("query_gradient", query.grad):
            kept[name].append(value.detach().double())
    # Hearth's queue is a ring: its row i holds the newest of the keys whose number is i modulo its length.
    kept = {name: torch.stack(value) for name, value in kept.items()}
    return kept | {"last_queue": queue.roll(STEPS * len(keys) % len(queue), 0), "last_key": key.mlps["project"][0].weight}


def train_v3(start, views, dtype):
    student, key = branches(start, make_v3, dtype)
    student.net.patch_embed.requires_grad_(False)
    optimizer = torch.optim.AdamW(decayed(student, V3["weight_decay"]), V3["lr"])
    names = ("query1", "query2", "key1", "key2", "query1_gradient", "query2_gradient")
    kept = {name: [] for name in ("losses", *names)}
    for step in range(STEPS):
        rest = (1 + math.cos(math.pi * step / STEPS)) / 2
        for group in optimizer.param_groups:
            group["lr"] = V3["lr"] * rest
        images = [views[step % BATCHES, i].to(dtype) / 255 for i in range(2)]
        queries = [student(image) for image in images]
        for query in queries:
            query.retain_grad()
        follow(key, student, 1 - rest * (1 - V3["key_momentum"]))
        with torch.no_grad():
            keys = [key(image) for image in images]
        loss = within_batch(queries[0], keys[1], V3["temperature"]) + within_batch(queries[1], keys[0], V3["temperature"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for name, value in zip(("losses", *names), (loss, *queries, *keys, queries[0].grad, queries[1].grad)):
            kept[name].append(value.detach().double())
    return {name: torch.stack(value) for name, value in kept.items()} | {"last_key": key.mlps["project"][0].weight}


def our_name(name):
    if name.startswith("net."):
        return "student.backbone." + name[len("net."):]
    head, rest = name[len("mlps."):].split(".", 1)
    return f"student.heads.{head}.mlp.{rest}"


def record(file, settings, start_from, train, views, more):
    round_to_half(start_from)
    start = {name: value.clone() for name, value in start_from.state_dict().items()}
    exact, single = train(start, torch.float64), train(start, torch.float32)
    tensors = {name: value if name == "losses" else value.detach().float() for name, value in exact.items()}
    tensors.update(more, view1=views[:, 0], view2=views[:, 1])
    for name, parameter in start_from.named_parameters():
        if parameter.requires_grad:
            tensors[our_name(name)] = parameter.detach().half()
    save_file({name: value.contiguous() for name, value in tensors.items()}, file, metadata={key: str(value) for key, value in settings.items()})
    print("losses", *(f"{loss:.6f}" for loss in exact["losses"]))
    print(f"fp32 against float64: {((single['losses'] - exact['losses']).abs() / exact['losses']).max():.1e} relative at most")
    print(f"{file}: {file.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent / "tests/parity")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    views, more = crops()[0], crops(seed=1)[0]
    queue = unit(torch.randn(V2["queue"], V2["out"]))
    record(args.out / "moco-v2.safetensors", V2, make_v2(True), lambda start, dtype: train_v2(start, queue, views, dtype), views, {"queue": queue})
    both = torch.cat([views, more], dim=2)
    record(args.out / "moco-v3.safetensors", V3, make_v3(True), lambda start, dtype: train_v3(start, both, dtype), both, {})


if __name__ == "__main__":
    main()
