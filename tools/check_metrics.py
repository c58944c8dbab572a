"""Compares hearth's metrics with scikit-learn on random and tied cases: check_metrics.py <path of hearth_metrics_cases>.
DeLong's test, which scikit-learn lacks, is compared with the definition in numpy.

Exit codes: 0 all agree, 1 some differ, 77 scikit-learn is not installed (ctest calls that skipped).
"""
import json
import math
import subprocess
import sys

import needed

try:
    import numpy as np
    from sklearn import metrics
except ImportError as missing:
    needed.skip(missing)


def make_cases(rng):
    for n in (2, 3, 10, 100, 1000):
        for levels in (2, 5, None):  # None: no ties
            labels = np.append([0, 1], rng.integers(0, 2, n - 2))
            scores = rng.normal(size=n) + labels if levels is None else rng.integers(0, levels, n) / levels
            others = scores + rng.normal(size=n) if levels is None else rng.integers(0, levels + 1, n) / levels
            yield {"classes": 2, "scores": scores.tolist(), "others": others.tolist(), "labels": labels.tolist(),
                   "threshold": 0.5}
    for n in (20, 500):
        for classes in (3, 8):
            for levels in (3, None):
                labels = np.append(np.arange(classes), rng.integers(0, classes, n - classes))
                raw = rng.normal(size=(n, classes)) if levels is None else rng.integers(0, levels, (n, classes))
                scores = (raw + np.eye(classes)[labels]).astype(float)
                yield {"classes": classes, "scores": scores.ravel().tolist(), "labels": labels.tolist()}


def delong(first, second, labels):
    """Variances, covariance and p by the definition: every positive against every negative (DeLong et al. 1988, eq. 3
    and 4). NaN with one row of a class."""
    by_positive, by_negative = [], []
    for scores in (first, second):
        positives, negatives = scores[labels == 1][:, None], scores[labels == 0][None]
        wins = (positives > negatives) + 0.5 * (positives == negatives)
        by_positive.append(wins.mean(1))
        by_negative.append(wins.mean(0))
    if min(len(by_positive[0]), len(by_negative[0])) < 2:
        return [math.nan] * 4
    covariance = np.cov(by_positive) / len(by_positive[0]) + np.cov(by_negative) / len(by_negative[0])
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    difference = np.mean(by_positive[1]) - np.mean(by_positive[0])
    p = math.erfc(abs(difference) / math.sqrt(2 * variance)) if variance > 1e-12 else math.nan if difference else 1.0
    return [covariance[0, 0], covariance[1, 1], covariance[0, 1], p]


def expected(case):
    labels = np.array(case["labels"])
    if case["classes"] == 2:
        scores = np.array(case["scores"])
        predicted = (scores >= case["threshold"]).astype(int)
        fpr, tpr, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
        precision, recall, _ = metrics.precision_recall_curve(labels, scores)
        best = max(metrics.f1_score(labels, scores >= t) for t in np.unique(scores))
        return {
            "auc": metrics.roc_auc_score(labels, scores),
            "average_precision": metrics.average_precision_score(labels, scores),
            "accuracy": metrics.accuracy_score(labels, predicted),
            "f1": metrics.f1_score(labels, predicted),
            "confusion": metrics.confusion_matrix(labels, predicted, labels=[0, 1]).ravel().tolist(),
            "best_f1": best,
            "roc": np.stack([fpr, tpr], 1).tolist(),
            "pr": np.stack([recall[::-1], precision[::-1]], 1).tolist(),
            "delong": delong(np.array(case["others"]), scores, labels),
        }
    classes = case["classes"]
    scores = np.array(case["scores"]).reshape(-1, classes)
    predicted = scores.argmax(1)
    return {
        # roc_auc_score(multi_class="ovr") wants rows that sum to 1; its definition is this mean.
        "auc": np.mean([metrics.roc_auc_score(labels == c, scores[:, c]) for c in range(classes)]),
        "accuracy": metrics.accuracy_score(labels, predicted),
        "f1": metrics.f1_score(labels, predicted, average="macro"),
        "confusion": metrics.confusion_matrix(labels, predicted, labels=range(classes)).ravel().tolist(),
        "purity": metrics.cluster.contingency_matrix(labels, predicted).max(0).sum() / len(labels),
        "nmi": metrics.normalized_mutual_info_score(labels, predicted),
    }


def main(program):
    cases = list(make_cases(np.random.default_rng(0)))
    lines = "".join(json.dumps(case) + "\n" for case in cases)
    output = subprocess.run([program], input=lines, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(output) == len(cases), f"{program} answered {len(output)} of {len(cases)} cases"
    compared, failed, largest = 0, 0, 0.0
    for number, (case, line) in enumerate(zip(cases, output)):
        found = json.loads(line)
        for name, value in expected(case).items():
            ours, theirs = np.array(found[name], float), np.array(value, float)
            same_shape = ours.shape == theirs.shape
            undefined = same_shape and np.isnan(ours) & np.isnan(theirs)
            difference = float(np.abs(np.where(undefined, 0, ours - theirs)).max()) if same_shape else math.inf
            compared, largest = compared + 1, max(largest, difference)
            if not difference < 1e-12:
                failed += 1
                print(f"case {number}, {name}: found {found[name]}, scikit-learn {value}")
    print(f"{compared} values in {len(cases)} cases, {failed} differ; largest difference {largest:.1e}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
