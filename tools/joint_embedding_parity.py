"""Records 20 training steps each of SimCLR, BYOL, Barlow Twins and VICReg for tests/parity/joint_embedding.cpp.

    git clone https://github.com/google-research/simclr simclr
    git clone https://github.com/google-deepmind/deepmind-research deepmind    # its folder byol is what is used
    git clone https://github.com/facebookresearch/barlowtwins barlowtwins
    git clone https://github.com/facebookresearch/vicreg vicreg
    pip install torch torchvision numpy timm safetensors absl-py
    python tools/joint_embedding_parity.py simclr deepmind/byol barlowtwins vicreg
                                                          # writes tests/parity/{simclr,byol,barlow-twins,vicreg}.safetensors

What is official of each, unchanged:
  Barlow Twins (8e8d284)  the model with projector and loss, LARS, the learning rate
  VICReg (4e12602)        the model with projector and loss, LARS, the learning rate
  SimCLR                  the objective. It is written for TensorFlow; the nine functions that it calls are PyTorch's here. Head and
                          LARS (which has the learning rate within the momentum, unlike the others) are written here
  BYOL                    the regression loss, the schedules of tau and of the learning rate. They are written for JAX, whose functions
                          are PyTorch's and NumPy's here. Heads, target network and step are written here; LARS is Barlow Twins'
The loops are this file's. A bias that a batch normalisation follows is left out, since nothing depends on it; each view goes through
the network by itself (SimCLR's code has both in one batch). There is no warm-up, which reaches the full rate a step later in these
codes than in Hearth. Backbone and views are those of tests/parity/pcl.safetensors: a
transformer of timm of width 48 with 2 blocks, images of 3 x 32 x 32; step i uses batches i and i + 1 of four, modulo their number.
fp32, one thread, one process.

Each file holds
  student.heads.*         initial weights, fp16 (both sides start from these rounded values), under Hearth's names
  first, second           what the loss is given of each step, fp32 [20, 8, 16]: embeddings, of BYOL predictions
  first_gradient, second_gradient
                          what it sends back, likewise
  target1, target2        of BYOL: the target network's embeddings of both views
  losses                  float64 [20]
and, as metadata, the hyperparameters; weight decay and trust are other than usual, so that a mistake in them shows within 20 steps.
The same steps are taken in float64 too, to print how far rounding alone carries.
"""
import argparse
import copy
import importlib.util
import math
import pathlib
import sys
import types

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from dino_parity import STEPS, round_to_half

FOLDER = pathlib.Path(__file__).parent.parent / "tests/parity"
ROWS, HIDDEN, OUT, WARMUP = 8, 24, 16, 10
COMMON = {"hidden": HIDDEN, "out": OUT, "momentum": 0.9, "weight_decay": 0.02}
SETTINGS = {
    "simclr": COMMON | {"lr": 0.001, "trust": 0.3, "temperature": 0.2},
    "byol": COMMON | {"lr": 0.001, "trust": 0.3, "tau": 0.9},
    "barlow-twins": COMMON | {"lr": 0.0003, "trust": 1.0, "off_diagonal": 0.05},
    "vicreg": COMMON | {"lr": 0.0003, "trust": 2.0, "invariance": 25.0, "variance": 25.0, "covariance": 1.0},
}


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def provide(name, **members):
    """A module of that name, for what an official file imports."""
    module = types.ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module
    if "." in name:
        setattr(sys.modules[name.rpartition(".")[0]], name.rpartition(".")[2], module)


def simclr_objective(checkout):
    def cross_entropy(labels, logits, weights):
        return -(labels * logits.log_softmax(1)).sum(1).mean() * weights

    tf = {
        "math": types.SimpleNamespace(l2_normalize=lambda x, axis: F.normalize(x, dim=axis)),
        "split": lambda x, parts, axis: x.chunk(parts, axis),
        "shape": lambda x: x.shape,
        "range": torch.arange,
        "one_hot": lambda index, depth: F.one_hot(index, depth),
        "matmul": lambda a, b, transpose_b: a @ b.T,
        "concat": torch.cat,
        "losses": types.SimpleNamespace(softmax_cross_entropy=cross_entropy),
    }
    for name in "tensorflow", "tensorflow.compiler", "tensorflow.compiler.tf2xla", "tensorflow.compiler.tf2xla.python":
        provide(name)
    provide("tensorflow.compiler.tf2xla.python.xla")
    provide("tensorflow.compat")
    provide("tensorflow.compat.v1", **tf)
    return load(checkout / "objective.py", "objective").add_contrastive_loss


def byol_parts(checkout):
    provide("jax", lax=types.SimpleNamespace(rsqrt=torch.rsqrt))
    provide("jax.numpy", ndarray=torch.Tensor, square=torch.square, pi=math.pi, float32=np.float32, cos=np.cos, where=np.where, minimum=np.minimum,
            maximum=lambda x, least: x.clamp_min(least), sum=lambda x, axis, keepdims=False: x.sum(axis, keepdim=keepdims))
    helpers, schedules = (load(checkout / "utils" / f"{name}.py", "byol_" + name) for name in ("helpers", "schedules"))
    return helpers.regression_loss, schedules


class ClassicLars(torch.optim.Optimizer):
    """LARS as SimCLR's code has it: the learning rate goes into the momentum."""

    def __init__(self, parameters, lr, weight_decay, momentum, eta):
        super().__init__(parameters, dict(lr=lr, weight_decay=weight_decay, momentum=momentum, eta=eta))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                gradient, ratio = p.grad, 1.0
                if p.ndim > 1:
                    gradient = gradient + group["weight_decay"] * p
                    if p.norm() > 0 and gradient.norm() > 0:
                        ratio = group["eta"] * p.norm() / gradient.norm()
                state = self.state[p]
                state["v"] = group["momentum"] * state.get("v", 0) + group["lr"] * ratio * gradient
                p -= state["v"]


def backbone():
    from timm.models.vision_transformer import VisionTransformer
    return VisionTransformer(img_size=32, patch_size=8, in_chans=3, embed_dim=48, depth=2, num_heads=3, num_classes=0)


def mlp(*widths, last=()):
    layers = []
    for i, pair in enumerate(zip(widths, widths[1:])):
        layers += [nn.Linear(*pair, bias=False)] + ([nn.BatchNorm1d(pair[1]), nn.ReLU()] if i + 2 < len(widths) else [])
    return nn.Sequential(*layers, *last)


class Method:
    """What is trained, and its loss of two views: (loss, what the loss was given, of BYOL the target's embeddings)."""

    def __init__(self, settings):
        self.s = types.SimpleNamespace(**settings)
        self.student = nn.ModuleDict({"backbone": backbone()})

    def embed(self, view):
        return self.student["project"](self.student["backbone"](view))

    def optimizer(self):
        return self.lars(self.student.parameters(), lr=0.0, weight_decay=self.s.weight_decay, momentum=self.s.momentum, eta=self.s.trust)

    def after_step(self, step):
        pass


class SimClr(Method):
    def __init__(self, settings, paths):
        super().__init__(settings)
        gain = nn.BatchNorm1d(OUT)
        gain.bias = None
        self.student["project"] = mlp(48, HIDDEN, OUT, last=[gain])
        self.objective, self.lars = simclr_objective(paths.simclr), ClassicLars

    def lr(self, optimizer, step):
        optimizer.param_groups[0]["lr"] = self.s.lr

    def loss(self, view1, view2):
        first, second = self.embed(view1), self.embed(view2)
        # The mean over both kinds of views where the official code has the sum.
        return self.objective(torch.cat([first, second]), temperature=self.s.temperature)[0] / 2, (first, second), ()


class Byol(Method):
    def __init__(self, settings, paths):
        super().__init__(settings)
        self.student["project"] = mlp(48, HIDDEN, OUT)
        self.student["predict"] = mlp(OUT, HIDDEN, OUT)
        self.regression, self.schedules = byol_parts(paths.byol)
        self.lars = filtered(load(paths.barlowtwins / "main.py", "barlowtwins_main").LARS)

    def start(self):
        self.target = copy.deepcopy(self.student)

    def lr(self, optimizer, step):
        optimizer.param_groups[0]["lr"] = float(self.schedules.learning_schedule(np.float64(step), 256, self.s.lr, STEPS, 0))

    def loss(self, view1, view2):
        with torch.no_grad():
            target1, target2 = (self.target["project"](self.target["backbone"](view)) for view in (view1, view2))
        first, second = (self.student["predict"](self.embed(view)) for view in (view1, view2))
        loss = (self.regression(first, target2) + self.regression(second, target1)).mean()
        return loss, (first, second), (target1, target2)

    @torch.no_grad()
    def after_step(self, step):
        tau = float(self.schedules.target_ema(np.float64(step), self.s.tau, STEPS))
        for target, online in zip(self.target.parameters(), self.student.parameters()):
            target += (1 - tau) * (online - target)


def filtered(lars):
    """LARS without adaptation and decay of biases and normalisations."""
    return lambda parameters, **rest: lars(parameters, weight_decay_filter=True, lars_adaptation_filter=True, **rest)


class BarlowTwins(Method):
    def __init__(self, settings, paths):
        super().__init__(settings)
        main = load(paths.barlowtwins / "main.py", "barlowtwins_main")
        self.model = main.BarlowTwins(types.SimpleNamespace(projector=f"{HIDDEN}-{HIDDEN}-{OUT}", batch_size=ROWS, lambd=self.s.off_diagonal))
        self.model.projector[0] = nn.Linear(48, HIDDEN, bias=False)
        self.lars, self.adjust = filtered(main.LARS), main.adjust_learning_rate
        self.student["project"] = self.model.projector
        self.model.backbone = self.student["backbone"]

    def optimizer(self):
        weights, biases = ([p for p in self.student.parameters() if (p.ndim == 1) == flat] for flat in (False, True))
        groups = [{"params": weights}, {"params": biases}]
        return self.lars(groups, lr=0.0, weight_decay=self.s.weight_decay, momentum=self.s.momentum, eta=self.s.trust)

    def lr(self, optimizer, step):
        # The ten epochs of warm-up, an epoch being a step, are over.
        args = types.SimpleNamespace(epochs=STEPS + WARMUP, batch_size=256, learning_rate_weights=self.s.lr, learning_rate_biases=self.s.lr)
        self.adjust(args, optimizer, [None], step + WARMUP)

    def loss(self, view1, view2):
        kept = []
        hook = self.model.projector.register_forward_hook(lambda module, inputs, output: kept.append(output))
        loss = self.model(view1, view2)
        hook.remove()
        return loss, kept, ()


class VicReg(Method):
    def __init__(self, settings, paths):
        super().__init__(settings)
        sys.path.insert(0, str(paths.vicreg))
        import main_vicreg
        sys.path.pop(0)
        main_vicreg.resnet.small = lambda zero_init_residual: (self.student["backbone"], 48)
        self.model = main_vicreg.VICReg(types.SimpleNamespace(
            arch="small", mlp=f"{HIDDEN}-{HIDDEN}-{OUT}", batch_size=ROWS, sim_coeff=self.s.invariance, std_coeff=self.s.variance,
            cov_coeff=self.s.covariance))
        for layer in self.model.projector:
            if isinstance(layer, nn.Linear):
                layer.bias = None
        self.student["project"] = self.model.projector
        self.main = main_vicreg

    def lars(self, parameters, **rest):
        keeps = self.main.exclude_bias_and_norm
        return self.main.LARS(parameters, weight_decay_filter=keeps, lars_adaptation_filter=keeps, **rest)

    def lr(self, optimizer, step):
        args = types.SimpleNamespace(epochs=STEPS + WARMUP, batch_size=256, base_lr=self.s.lr)
        self.main.adjust_learning_rate(args, optimizer, [None], step + WARMUP)

    loss = BarlowTwins.loss


METHODS = {"simclr": SimClr, "byol": Byol, "barlow-twins": BarlowTwins, "vicreg": VicReg}


def train(name, paths, weights, views, dtype):
    method = METHODS[name](SETTINGS[name], paths)
    if weights:
        method.student.load_state_dict(weights)
    whole = getattr(method, "model", method.student)
    whole.to(dtype)
    if hasattr(method, "start"):
        method.start()
    optimizer = method.optimizer()
    kept = {key: [] for key in ("first", "second", "first_gradient", "second_gradient", "target1", "target2", "losses")}
    for step in range(STEPS):
        view1, view2 = (torch.cat([view[(step + i) % len(view)] for i in range(2)]).to(dtype) / 255 for view in views)
        method.lr(optimizer, step)
        optimizer.zero_grad()
        loss, given, targets = method.loss(view1, view2)
        for tensor in given:
            tensor.retain_grad()
        loss.backward()
        optimizer.step()
        method.after_step(step)
        kept["losses"].append(loss.item())
        for key, value in zip(("first", "second", "target1", "target2"), (*given, *targets)):
            kept[key].append(value.detach().float().clone())
        for key, value in zip(("first_gradient", "second_gradient"), given):
            kept[key].append(value.grad.float().clone())
    tensors = {key: torch.stack(values) for key, values in kept.items() if values and key != "losses"}
    return tensors | {"losses": torch.tensor(kept["losses"], dtype=torch.float64)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in "simclr", "byol", "barlowtwins", "vicreg":
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=FOLDER)
    paths = parser.parse_args()
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    torch.set_num_threads(1)
    pcl = load_file(FOLDER / "pcl.safetensors")
    prefix = "student.backbone."
    shared = {name[len(prefix):]: value.float() for name, value in pcl.items() if name.startswith(prefix)}
    for name in METHODS:
        torch.manual_seed(0)
        student = METHODS[name](SETTINGS[name], paths).student
        student["backbone"].load_state_dict(shared)
        round_to_half(student)
        start = {key: value.clone() for key, value in student.state_dict().items()}
        views = pcl["view1"], pcl["view2"]
        tensors, exact = (train(name, paths, start, views, dtype) for dtype in (torch.float32, torch.float64))
        for key, parameter in student.named_parameters():
            head, _, rest = key.partition(".")
            if head != "backbone":
                tensors[f"student.heads.{head}.mlp.{rest}"] = parameter.detach().half().contiguous()
        file = paths.out / f"{name}.safetensors"
        save_file({key: value.contiguous() for key, value in tensors.items()}, file, metadata={key: str(value) for key, value in SETTINGS[name].items()})
        apart = ((tensors["losses"] - exact["losses"]).abs() / exact["losses"]).max()
        print(name, *(f"{loss:.5f}" for loss in tensors["losses"]))
        print(f"  fp32 against float64: {apart:.1e} relative at most; {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
