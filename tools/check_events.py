"""Reads an events file of hearth with PyPI's tensorboard: check_events.py <path of hearth_train_files>.

Exit codes: 0 all agree, 1 some differ, 77 tensorboard is not installed (ctest calls that skipped).
"""
import subprocess
import sys
import tempfile

import needed

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError as missing:
    needed.skip(missing)


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, "events", folder], check=True)
        events = EventAccumulator(folder, size_guidance={"scalars": 0})
        events.Reload()
        found = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    expected = {
        "train/loss": [(step, 1 / (step + 1)) for step in range(300)],
        "probe/knn_auc": [(1 << 40, -0.5)],
    }
    failed = 0
    for tag, scalars in expected.items():
        ours = found.pop(tag, [])
        same = len(ours) == len(scalars) and all(
            a[0] == b[0] and abs(a[1] - b[1]) <= 1e-6 * abs(b[1]) for a, b in zip(ours, scalars)
        )
        if not same:
            failed += 1
            print(f"{tag}: found {ours[:3]} ... ({len(ours)}), expected {scalars[:3]} ... ({len(scalars)})")
    if found:
        failed += 1
        print(f"found scalars that nobody wrote: {sorted(found)}")
    print(f"{sum(map(len, expected.values()))} scalars of {len(expected)} tags, {failed} tags differ")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
