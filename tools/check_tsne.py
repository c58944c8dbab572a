"""Compares hearth's exact t-SNE and silhouette with scikit-learn's: check_tsne.py <path of hearth_tsne_cases>.

Both minimise the same divergence from the same start, so the embeddings should be equally good, not equal: the divergence
within 5 %, the trustworthiness (5 neighbours) within 0.01. The silhouette is a number and must agree within 1e-9.
Exit codes: 0 all agree, 1 some differ, 77 scikit-learn is not installed.
"""
import json
import subprocess
import sys

import needed

try:
    import numpy as np
    from sklearn import datasets, manifold, metrics
except ImportError as missing:
    needed.skip(missing)


def make_cases(rng):
    digits = datasets.load_digits()
    rows = rng.permutation(len(digits.target))[:500]
    yield "500 digits", digits.data[rows] / 16, digits.target[rows], 30
    yield "500 digits, perplexity 10", digits.data[rows] / 16, digits.target[rows], 10
    clouds = rng.normal(size=(300, 20))
    groups = np.repeat(np.arange(6), 50)
    clouds[np.arange(300), groups] += 5
    yield "6 clouds", clouds, groups, 20
    yield "one cloud", rng.normal(size=(200, 5)), np.arange(200) % 2, 30


def main(program):
    cases = list(make_cases(np.random.default_rng(0)))
    lines = "".join(
        json.dumps({"x": x.tolist(), "groups": groups.tolist(), "perplexity": perplexity}) + "\n"
        for _, x, groups, perplexity in cases
    )
    output = subprocess.run([program], input=lines, capture_output=True, text=True, check=True).stdout.splitlines()
    failed = 0
    for (name, x, groups, perplexity), line in zip(cases, output, strict=True):
        found = json.loads(line)
        reference = manifold.TSNE(perplexity=perplexity, method="exact", init="pca", random_state=0)
        points = reference.fit_transform(x)
        ours, theirs = (manifold.trustworthiness(x, y, n_neighbors=5) for y in (np.array(found["points"]), points))
        silhouette = metrics.silhouette_score(x, groups)
        ok = (
            found["kl"] < 1.05 * reference.kl_divergence_
            and ours > theirs - 0.01
            and abs(found["silhouette"] - silhouette) < 1e-9
        )
        failed += not ok
        print(
            f"{name}: KL {found['kl']:.4f} (scikit-learn {reference.kl_divergence_:.4f}), "
            f"trustworthiness {ours:.4f} ({theirs:.4f}), silhouette off by {abs(found['silhouette'] - silhouette):.1e}"
            + ("" if ok else "  DIFFERS")
        )
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
