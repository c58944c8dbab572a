"""Records 20 training steps of PCL's official code for tests/parity/pcl.cpp: pcl_parity.py <checkout of salesforce/PCL>.

    git clone https://github.com/salesforce/PCL PCL
    pip install torch torchvision numpy timm scikit-learn safetensors tqdm
    python tools/pcl_parity.py PCL                        # writes tests/parity/pcl.safetensors (recorded with 964da1f, torch 2.11, timm 1.0)

What runs is the official model (momentum encoder, queue, both kinds of logits), its k-means with the concentrations, and its learning
rate; the loop around them is this file's, because main_pcl.py trains on several GPUs only. Nothing of the checkout is changed; four
things it asks of its surroundings are provided here: a group of one process, GPUs that are the CPU, the part of faiss that it calls
(by scikit-learn), and `sample`, which here takes all clusters that are left, in order, instead of r of them. Weight decay is not
applied to biases and one-dimensional parameters, which Hearth's optimisers never decay. Sizes are small: 20 images of 3 x 32 x 32
(those of dino_parity.py) in batches of 4, a transformer of timm of width 48 with 2 blocks, embeddings of 16, a queue of 12, 4 and 7
clusters from the third of five epochs on, fp32, one thread.

The file holds
  student.*               initial weights, fp16 (both sides start from these rounded values), under Hearth's names
  view1, view2            uint8 [batches, images, channels, height, width]; step i uses batch i modulo batches
  queue                   the queue at first, fp32 [12, 16]
  last_queue              the queue after the last step
  centroids, concentrations, assignments
                          of each epoch from the third on: fp32 [3, 11, 16], fp32 [3, 11], int64 [3, 2, 20]
  features, means         of the last of them, what was clustered, fp32 [20, 16], and the centroids before they were brought to unit length, fp32 [11, 16]
  query, key, query_gradient
                          of each step, fp32 [20, 4, 16]: embeddings of unit length, and the gradient that the loss sends to the first
  losses, info_nce        float64 [20], the total and the part that the queue gives
and, as metadata, the hyperparameters; momentum and weight decay are other than usual, so that a mistake in them shows within 20
steps. The same steps are taken in float64 too, to print how far rounding alone carries.
"""
import argparse
import pathlib
import sys
import types
from unittest import mock

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from dino_parity import BATCHES, CHANNELS, EPOCHS, GLOBAL, IMAGES, STEPS, crops, round_to_half

CLUSTERS, FIRST = (4, 7), 2
SETTINGS = {"lr": 0.03, "momentum": 0.9, "weight_decay": 0.02, "key_momentum": 0.9, "temperature": 0.2, "queue": 12, "out": 16}


class Clustering:
    """faiss.Clustering, as far as main_pcl.py uses it."""

    def __init__(self, width, count):
        self.count = count

    def train(self, x, index):
        from sklearn.cluster import KMeans
        found = KMeans(self.count, n_init=self.nredo, max_iter=self.niter, random_state=self.seed).fit(x)
        self.centroids = index.centroids = found.cluster_centers_.astype(np.float32)


class Nearest:
    """faiss.GpuIndexFlatL2 likewise: squared distance and number of the nearest centroid."""

    def __init__(self, resources, width, config):
        pass

    def search(self, x, count):
        assert count == 1
        squares = ((x[:, None].astype(np.float64) - self.centroids[None]) ** 2).sum(-1)
        return squares.min(1, keepdims=True), squares.argmin(1)[:, None]


def import_official(checkout):
    faiss = types.ModuleType("faiss")
    faiss.Clustering, faiss.GpuIndexFlatL2 = Clustering, Nearest
    faiss.StandardGpuResources = faiss.GpuIndexFlatConfig = types.SimpleNamespace
    faiss.vector_to_array = lambda values: values.reshape(-1)
    sys.modules["faiss"] = faiss
    torch.Tensor.cuda = lambda self, *args, **kwargs: self
    sys.path.insert(0, checkout)
    import main_pcl
    from pcl import builder
    builder.sample = lambda left, count: sorted(left)
    return main_pcl, builder


class Encoder(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        from timm.models.vision_transformer import VisionTransformer
        self.net = VisionTransformer(img_size=GLOBAL[1], patch_size=8, in_chans=CHANNELS, embed_dim=48, depth=2, num_heads=3, num_classes=0)
        self.fc = nn.Linear(48, num_classes)

    def forward(self, image):
        return self.fc(self.net(image))


def our_name(name):
    return "student.heads.project.mlp." + name[len("fc."):] if name.startswith("fc.") else "student.backbone." + name[len("net."):]


def remembering(values, given=False, normalize=nn.functional.normalize):
    """torch.nn.functional.normalize, which puts what it is given, or what it makes, into `values`."""
    def remember(x, **rest):
        unit = normalize(x, **rest)
        values.append(x if given else unit)
        return unit
    return remember


def train(official, start, views, dtype):
    main_pcl, builder = official
    s = types.SimpleNamespace(**SETTINGS, cos=True, epochs=EPOCHS, num_cluster=CLUSTERS, gpu=None)
    model = builder.MoCo(Encoder, s.out, s.queue, s.key_momentum, s.temperature, mlp=True)
    model.load_state_dict(start)
    model.to(dtype)
    groups = [{"params": [], "weight_decay": s.weight_decay}, {"params": [], "weight_decay": 0.0}]
    for parameter in model.encoder_q.parameters():
        groups[parameter.dim() < 2]["params"].append(parameter)
    optimizer = torch.optim.SGD(groups, s.lr, momentum=s.momentum)
    per_epoch, criterion = STEPS // EPOCHS, nn.CrossEntropyLoss()
    clusters, kept = None, {name: [] for name in ("centroids", "concentrations", "assignments", "losses", "info_nce", "query", "key", "query_gradient")}
    for step in range(STEPS):
        epoch, batch = step // per_epoch, step % BATCHES
        if step % per_epoch == 0:
            main_pcl.adjust_learning_rate(optimizer, epoch, s)
        if step % per_epoch == 0 and epoch >= FIRST:
            with torch.no_grad():
                features = torch.cat([model(view.to(dtype) / 255, is_eval=True) for view in views[:, 0]]).float()
            with mock.patch.object(nn.functional, "normalize", remembering(means := [], given=True)):
                clusters = main_pcl.run_kmeans(features.numpy(), s)
            kept["centroids"].append(torch.cat(clusters["centroids"]))
            kept["concentrations"].append(torch.cat(clusters["density"]))
            kept["assignments"].append(torch.stack(clusters["im2cluster"]))
            clusters = {name: [x.to(dtype) if x.is_floating_point() else x for x in list_] for name, list_ in clusters.items()}
        query, key = (views[batch, i].to(dtype) / 255 for i in range(2))
        index = torch.arange(IMAGES) + batch * IMAGES
        with mock.patch.object(nn.functional, "normalize", remembering(embeddings := [])):
            output, target, prototypes, targets = model(im_q=query, im_k=key, cluster_result=clusters, index=index)
        embeddings[1].retain_grad()
        loss = criterion(output, target)
        kept["info_nce"].append(loss.item())
        if prototypes is not None:
            loss = loss + sum(criterion(*pair) for pair in zip(prototypes, targets)) / len(CLUSTERS)
        kept["losses"].append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        # The keys as they went into the queue: the official code makes them in shuffled order.
        key = model.queue[:, (model.queue_ptr - IMAGES) % s.queue + torch.arange(IMAGES)].T
        for name, value in ("key", key), ("query", embeddings[1].detach()), ("query_gradient", embeddings[1].grad):
            kept[name].append(value.float().clone())
    tensors = {name: torch.stack(kept[name]) for name in ("centroids", "concentrations", "assignments", "query", "key", "query_gradient")}
    tensors.update({name: torch.tensor(kept[name], dtype=torch.float64) for name in ("losses", "info_nce")})
    tensors.update(features=features, means=torch.cat(means), last_queue=model.queue.float().T.contiguous())
    return tensors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", help="folder of salesforce/PCL")
    parser.add_argument("--out", default=pathlib.Path(__file__).parent.parent / "tests/parity/pcl.safetensors")
    args = parser.parse_args()
    official = import_official(args.checkout)
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)

    model = official[1].MoCo(Encoder, SETTINGS["out"], SETTINGS["queue"], SETTINGS["key_momentum"], SETTINGS["temperature"], mlp=True)
    round_to_half(model.encoder_q)
    model.encoder_k.load_state_dict(model.encoder_q.state_dict())
    start = {name: value.clone() for name, value in model.state_dict().items()}
    views = crops()[0]
    tensors = train(official, start, views, torch.float32)
    exact = train(official, start, views, torch.float64)
    assert torch.equal(tensors["assignments"], exact["assignments"]), "rounding moves an image to another cluster: take another seed"

    losses = tensors["losses"]
    tensors.update(view1=views[:, 0].contiguous(), view2=views[:, 1].contiguous(), queue=start["queue"].T.contiguous())
    for name, parameter in model.encoder_q.named_parameters():
        tensors[our_name(name)] = parameter.detach().half().contiguous()
    save_file(tensors, args.out, metadata={key: str(value) for key, value in SETTINGS.items()} | {"clusters": ", ".join(map(str, CLUSTERS)), "start_epoch": str(FIRST)})
    print("losses", *(f"{loss:.6f}" for loss in losses))
    print(f"fp32 against float64: {((losses - exact['losses']).abs() / exact['losses']).max():.1e} relative at most")
    print(f"{args.out}: {pathlib.Path(args.out).stat().st_size} bytes")


if __name__ == "__main__":
    main()
