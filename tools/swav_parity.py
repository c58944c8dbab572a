"""Records 20 training steps of SwAV, computed from the paper, for tests/parity/swav.cpp: swav_parity.py.

    pip install torch numpy timm safetensors
    python tools/swav_parity.py                           # writes tests/parity/swav.safetensors (recorded with torch 2.11, timm 1.0)

The official code (facebookresearch/swav) is CC-BY-NC, so nothing of it runs here. This is a second reading of the paper (arXiv
2006.09882) in float64: algorithm 1 and eq. 1-5 as they are printed, the queue of section 3.1 as one list, prototypes of unit length,
LARS (You et al. 2017) in plain loops. Crops, their sizes and those of the network are dino_parity.py's; the network is timm's, with a
projection of two maps and batch normalisation for each size of crops, embeddings of 16, 12 prototypes which are held for the first of
five epochs, and a queue of 10 embeddings a large crop from the second epoch on.

The file holds
  student.*               initial weights, fp16 (both sides start from these rounded values), under Hearth's names
  global, local           crops, uint8 [batches, views, images, channels, height, width]; step i uses batch i modulo batches
  losses                  float64 [20]
  prototypes              after the last step, fp32 [12, 16]
  queue                   likewise, fp32 [2, 10, 16], newest first
and, as metadata, the hyperparameters; trust and weight decay are larger than usual, so that a mistake in them shows within 20 steps.
"""
import argparse
import math
import pathlib

import torch
from safetensors.torch import save_file
from torch import nn

from dino_parity import BATCHES, CHANNELS, EPOCHS, GLOBAL, STEPS, crops, round_to_half

SETTINGS = {"lr": 0.05, "min_lr": 0.0005, "momentum": 0.9, "trust": 0.05, "weight_decay": 0.05, "temperature": 0.1, "epsilon": 0.05,
            "iterations": 3, "queue": 10, "queue_epoch": 1, "freeze": 1, "prototypes": 12, "out": 16, "hidden": 24}


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        from timm.models.vision_transformer import VisionTransformer
        self.backbone = VisionTransformer(img_size=GLOBAL[1], patch_size=8, in_chans=CHANNELS, embed_dim=48, depth=2, num_heads=3, num_classes=0,
                                          dynamic_img_size=True)
        self.project = nn.Sequential(nn.Linear(48, SETTINGS["hidden"], bias=False), nn.BatchNorm1d(SETTINGS["hidden"]), nn.ReLU(),
                                     nn.Linear(SETTINGS["hidden"], SETTINGS["out"]))
        self.prototypes = nn.Linear(SETTINGS["out"], SETTINGS["prototypes"], bias=False)

    def forward(self, views):
        """[views, images, C, H, W] -> embeddings [views, images, D] of unit length and scores [views, images, K]."""
        z = self.project(self.backbone(views.flatten(0, 1))).unflatten(0, views.shape[:2])
        z = z / z.norm(dim=-1, keepdim=True)
        return z, self.prototypes(z)


def our_name(name):
    return "student.backbone." + name[len("backbone."):] if name.startswith("backbone.") else \
        "student.heads.project.mlp." + name[len("project."):] if name.startswith("project.") else "student.heads." + name


def codes(scores):
    """Eq. 3-5: scores [B, K] -> Q [B, K], whose rows sum to 1."""
    q = (scores / SETTINGS["epsilon"]).exp().T
    q = q / q.sum()
    for _ in range(SETTINGS["iterations"]):
        q = q / q.sum(1, keepdim=True) / q.shape[0]
        q = q / q.sum(0, keepdim=True) / q.shape[1]
    return (q * q.shape[1]).T


def lars(named, velocity, lr, held):
    s = SETTINGS
    for name, weight in named:
        if held and name.startswith("prototypes"):
            continue
        gradient = weight.grad.clone()
        if weight.dim() > 1:
            gradient += s["weight_decay"] * weight
            gradient *= s["trust"] * weight.norm() / gradient.norm()
        velocity[name] = s["momentum"] * velocity.get(name, 0) + gradient
        weight -= lr * velocity[name]


def train(model, views):
    s, per_epoch = SETTINGS, STEPS // EPOCHS
    velocity, losses, queue = {}, [], [[], []]
    for step in range(STEPS):
        epoch = step // per_epoch
        with torch.no_grad():
            model.prototypes.weight /= model.prototypes.weight.norm(dim=1, keepdim=True)
        (z, large), (_, small) = (model(view[step % BATCHES].to(model.prototypes.weight.dtype) / 255) for view in views)
        scores, images = [*large, *small], large.shape[1]
        loss = 0
        for a in range(2):
            with torch.no_grad():
                seen = scores[a]
                if len(queue[a]) == s["queue"]:
                    seen = torch.cat([model.prototypes(torch.stack(queue[a])), seen])
                q = codes(seen)[-images:]
            loss -= sum((q * (scores[v] / s["temperature"]).log_softmax(1)).sum(1).mean() for v in range(len(scores)) if v != a)
        loss = loss / (2 * (len(scores) - 1))
        if epoch >= s["queue_epoch"]:
            for a in range(2):
                queue[a] = (list(z[a].detach().flip(0)) + queue[a])[:s["queue"]]
        model.zero_grad()
        loss.backward()
        lr = s["min_lr"] + (s["lr"] - s["min_lr"]) * (1 + math.cos(math.pi * step / STEPS)) / 2
        with torch.no_grad():
            lars(model.named_parameters(), velocity, lr, epoch < s["freeze"])
        losses.append(loss.item())
    return losses, torch.stack([torch.stack(list_) for list_ in queue])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=pathlib.Path(__file__).parent.parent / "tests/parity/swav.safetensors")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Network()
    round_to_half(model)
    tensors = {our_name(name): parameter.detach().half().contiguous() for name, parameter in model.named_parameters()}
    views = crops()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    rounded = Network()
    rounded.load_state_dict(start)
    rounded, _ = train(rounded, views)
    losses, queue = train(model.double(), views)
    tensors |= {"global": views[0], "local": views[1], "losses": torch.tensor(losses, dtype=torch.float64),
                "prototypes": model.prototypes.weight.detach().float(), "queue": queue.float()}
    save_file(tensors, args.out, metadata={key: str(value) for key, value in SETTINGS.items()})
    print("losses", *(f"{loss:.6f}" for loss in losses))
    print(f"fp32 against float64: {max(abs(a - b) / b for a, b in zip(rounded, losses)):.1e} relative at most")
    print(f"{args.out}: {pathlib.Path(args.out).stat().st_size} bytes")


if __name__ == "__main__":
    main()
