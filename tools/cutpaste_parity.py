"""Records 20 training steps of AnatPaste's official code for tests/parity/cutpaste.cpp: cutpaste_parity.py <checkout of jun-sato/AnatPaste>.

    git clone https://github.com/jun-sato/AnatPaste ANATPASTE
    pip install torch torchvision numpy scikit-learn safetensors
    python tools/cutpaste_parity.py ANATPASTE             # writes tests/parity/cutpaste.safetensors (recorded with 3c49630, torch 2.11)

CutPaste has no official code. AnatPaste's (MIT) trains the same network by the same loss and fits the same density, on two versions
of a film or on CutPaste's three. What runs is its network and its density; the loop around them is this file's, because
run_training.py trains on a GPU only: torch.optim.SGD and CosineAnnealingWarmRestarts as there, except that weight decay leaves out
biases and norms, as Hearth's does, and is so large that a mistake in it shows within 20 steps. The learning rate is a thousandth of
the usual: at 0.03 rounding alone changes these losses by 0.2. Sizes are small: 8 films of 48 x 48 in three versions a step, fp32, one
thread.

Initial weights are a hash of their place, which any language can repeat: tensor i of the sorted names of Hearth. The file holds
  versions     uint8 [batches, 3, films, height, width], grey; step i uses batch i modulo batches, copied to three channels
  losses       float64 [20]
  exact        float64 [20], the same steps in double precision: how far rounding alone carries
  embeddings   fp32 [films, 512] of the trained network in evaluation mode, the first `fitted` of them for the fit
  distances    fp32 [rest], official: Mahalanobis distances of the others
  precise      float64 [rest], the same with scikit-learn's precision matrix in double
and, as metadata, hyperparameters, Hearth's names of the weights and Ledoit and Wolf's shrinkage.
"""
import argparse
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.covariance import LedoitWolf
from torch import nn

STEPS, EPOCHS, BATCHES, FILMS, SIZE = 20, 5, 5, 8, 48
FITTED, TESTED = 60, 20
SETTINGS = {"lr": 3e-5, "momentum": 0.9, "weight_decay": 10.0, "hidden": 512, "embedding": 128, "fitted": FITTED}


def films(count, seed):
    """Smooth random films with grain, uint8 [count, SIZE, SIZE]."""
    rng = np.random.default_rng(seed)
    field = torch.from_numpy(rng.normal(size=(count, 1, 4, 4)))
    image = nn.functional.interpolate(field, size=(SIZE, SIZE), mode="bicubic", align_corners=False).numpy()[:, 0]
    return np.clip(128 + 45 * image + rng.normal(scale=4, size=image.shape), 0, 255).round().astype(np.uint8)


def versions(seed=0):
    """uint8 [batches, 3, films, SIZE, SIZE]: a film, the film with a large part of it pasted elsewhere, and with a narrow one."""
    rng = np.random.default_rng(seed)
    image = films(BATCHES * FILMS, seed).reshape(BATCHES, FILMS, SIZE, SIZE)
    out = np.stack([image, image.copy(), image.copy()], 1)
    for b, i in np.ndindex(BATCHES, FILMS):
        for v, (low, high) in ((1, (8, 20)), (2, (2, 5))):
            h, w = rng.integers(low, high, 2)
            (y, to_y), (x, to_x) = rng.integers(0, SIZE - h + 1, 2), rng.integers(0, SIZE - w + 1, 2)
            out[b, v, i, to_y:to_y + h, to_x:to_x + w] = image[b, i, y:y + h, x:x + w]
    return torch.from_numpy(out)


def noise(tensor, count):
    """`count` numbers in [-1, 1): a hash of (tensor, place), as in tools/resnet_reference.py."""
    x = (torch.arange(count, dtype=torch.int64) + tensor * 0x9E3779B1) & 0xFFFFFFFF
    for _ in range(2):
        x = ((x ^ (x >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    return (x ^ (x >> 16)).double() / 2**31 - 1


def hearth_name(name):
    """resnet18.conv1.weight -> student.backbone.conv1.weight; head and out belong to the head `classify`."""
    return "student.backbone." + name[9:] if name.startswith("resnet18.") else "student.heads.classify." + name


def fill(model):
    """Convolutions uniform with variance 2 / fan_in, linear maps within 1 / sqrt(fan_in), norms near the identity."""
    named = sorted((hearth_name(name), value) for name, value in model.named_parameters())
    with torch.no_grad():
        for i, (name, value) in enumerate(named):
            u = noise(i, value.numel()).view(value.shape)
            fan = value[0].numel()
            if value.dim() == 4:
                u = u * (6 / fan) ** 0.5
            elif value.dim() == 2:
                u = u / fan ** 0.5
            else:
                u = u / 4 + (1 if name.endswith("weight") else 0)
            value.copy_(u.float())
    return [name for name, _ in named]


def pixels(grey, dtype):
    """uint8 [.., H, W] -> [N, 3, H, W] as ToTensor and Normalize(0.5, 0.5) give them."""
    x = grey.reshape(-1, 1, SIZE, SIZE).to(dtype) / 255
    return ((x - 0.5) / 0.5).expand(-1, 3, -1, -1)


def train(network, dtype, batches):
    model = network(pretrained=False, head_layers=[SETTINGS["hidden"], SETTINGS["embedding"]], num_classes=3)
    names = fill(model)
    model.to(dtype).train()
    matrices = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.SGD([{"params": matrices}, {"params": rest, "weight_decay": 0.0}], lr=SETTINGS["lr"],
                                momentum=SETTINGS["momentum"], weight_decay=SETTINGS["weight_decay"])
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, EPOCHS)
    target = torch.arange(3).repeat_interleave(FILMS)
    losses = []
    for step in range(STEPS):
        scheduler.step(step // (STEPS // EPOCHS))
        optimizer.zero_grad()
        _, logits = model(pixels(batches[step % BATCHES], dtype))
        loss = nn.CrossEntropyLoss()(logits, target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model.eval(), names, losses


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("official", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parents[1] / "tests/parity/cutpaste.safetensors")
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.official))
    from density import GaussianDensityTorch
    from model import ProjectionNet
    torch.set_num_threads(1)

    batches = versions()
    model, names, losses = train(ProjectionNet, torch.float, batches)
    _, _, exact = train(ProjectionNet, torch.double, batches)
    for step, (a, b) in enumerate(zip(losses, exact)):
        print(f"{step:2d}  {a:.7f}  {b:.7f}  {abs(a / b - 1):.1e}")

    with torch.no_grad():
        embeddings = model(pixels(torch.from_numpy(films(FITTED + TESTED, 1)), torch.float))[0]
    unit = nn.functional.normalize(embeddings, p=2, dim=1)
    density = GaussianDensityTorch()
    density.fit(unit[:FITTED])
    distances = density.predict(unit[FITTED:])
    in_double = nn.functional.normalize(embeddings.double(), p=2, dim=1)
    fitted = LedoitWolf().fit(in_double[:FITTED].numpy())
    precise = torch.from_numpy(fitted.mahalanobis(in_double[FITTED:].numpy())).sqrt()
    print(f"shrinkage {fitted.shrinkage_:.6f}, distances {precise.min():.3f} to {precise.max():.3f}, "
          f"official {(distances / precise - 1).abs().max():.1e} away")

    save_file({"versions": batches, "losses": torch.tensor(losses, dtype=torch.double), "exact": torch.tensor(exact, dtype=torch.double),
               "embeddings": embeddings, "distances": distances, "precise": precise}, str(arguments.out),
              {**{key: str(value) for key, value in SETTINGS.items()}, "weights": " ".join(names), "shrinkage": repr(float(fitted.shrinkage_))})


if __name__ == "__main__":
    main()
