"""hearth.Run against a run folder that is written here, as docs/run-folder.md has it."""
import importlib.util
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

import hearth

REPORTS = [
    {"step": 5, "epoch": 0.5, "loss": 2.0, "terms": {"restoration.error": 1.5}, "rank": None, "time": "2026-11-24T20:01:30Z"},
    {"step": 5, "event": "probe", "knn": {"auc": 0.75}},
    {"step": 10, "epoch": 1.0, "loss": 1.0, "terms": {"restoration.error": 0.5}, "rank": 3.5, "time": "2026-11-24T20:01:31Z"},
]
INTERVAL = {"value": 0.9, "low": 0.8, "high": None}
EVAL = {
    "labels": [0, 1, 1],
    "classes": ["normal", "abnormal"],
    "notes": [],
    "scores": [
        {"model": "trained", "classifier": "knn", "auc": INTERVAL, "accuracy": 0.8, "f1": None, "probabilities": [0.9, 0.1, 0.2, 0.8, 0.5, 0.5]}
    ],
}
PANDAS = importlib.util.find_spec("pandas") is not None


class RunFolder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name)
        (self.path / "run.json").write_text(json.dumps({"status": "finished", "step": 10}))
        (self.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in REPORTS))
        (self.path / "eval.json").write_text(json.dumps(EVAL))
        self.run_folder = hearth.Run(self.path)

    def test_a_folder_without_a_run_is_refused(self) -> None:
        with self.assertRaisesRegex(hearth.RunError, "found no such folder, expected a run's folder"):
            hearth.Run(self.path / "absent")
        (self.path / "run.json").unlink()
        with self.assertRaisesRegex(hearth.RunError, "found no run.json in it"):
            hearth.Run(self.path)

    def test_the_state_is_that_of_run_json(self) -> None:
        self.assertEqual(self.run_folder.state["status"], "finished")

    def test_a_series_is_two_arrays(self) -> None:
        steps, loss = self.run_folder.series("loss")
        self.assertEqual((steps.dtype, loss.dtype), (np.int64, np.float64))
        np.testing.assert_array_equal(steps, [5, 10])
        np.testing.assert_array_equal(loss, [2.0, 1.0])
        np.testing.assert_array_equal(self.run_folder.series("terms.restoration.error")[1], [1.5, 0.5])

    def test_null_in_a_series_is_nan(self) -> None:
        np.testing.assert_array_equal(self.run_folder.series("rank")[1], [np.nan, 3.5])

    def test_events_are_apart_from_reports(self) -> None:
        steps, auc = self.run_folder.series("knn.auc", event="probe")
        self.assertEqual((steps.tolist(), auc.tolist()), ([5], [0.75]))

    def test_an_unknown_key_names_the_known_ones(self) -> None:
        with self.assertRaisesRegex(KeyError, "los: found none in .*expected one of epoch, loss, rank, step, terms"):
            self.run_folder.series("los")
        with self.assertRaisesRegex(KeyError, "time: found no numbers"):
            self.run_folder.series("time")

    def test_a_broken_line_is_named(self) -> None:
        (self.path / "metrics.jsonl").write_text('{"step": 1}\n{"st')
        with self.assertRaisesRegex(hearth.RunError, r"metrics.jsonl:2: found no JSON"):
            self.run_folder.lines()

    def test_results_have_arrays(self) -> None:
        found = self.run_folder.results()
        self.assertEqual(list(found), ["eval"])
        self.assertEqual(found["eval"]["labels"].dtype, np.int64)
        np.testing.assert_array_equal(found["eval"]["scores"][0]["probabilities"], [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
        self.assertEqual(found["eval"]["classes"], ["normal", "abnormal"])
        self.assertEqual(found["eval"]["notes"], [])

    def test_several_labels_are_a_table(self) -> None:
        several = {**EVAL, "several": True, "labels": [0, 1, 1, -1, 0, 0]}
        (self.path / "eval.json").write_text(json.dumps(several))
        np.testing.assert_array_equal(self.run_folder.results()["eval"]["labels"], [[0, 1], [1, -1], [0, 0]])

    def test_broken_results_are_refused(self) -> None:
        (self.path / "eval.json").write_text("{")
        with self.assertRaisesRegex(hearth.RunError, "eval.json: found no JSON"):
            self.run_folder.results()

    @unittest.skipUnless(PANDAS, "pandas is not here")
    def test_frames(self) -> None:
        self.assertEqual(self.run_folder.metrics()["loss"].tolist(), [2.0, 1.0])
        self.assertEqual(self.run_folder.metrics("probe")["knn.auc"].tolist(), [0.75])
        scores = self.run_folder.scores()
        self.assertEqual([scores[name][0] for name in ("model", "classifier", "auc")], ["trained", "knn", 0.9])
        self.assertEqual(scores["auc_high"].isna().tolist(), [True])
        (self.path / "eval.json").unlink()
        with self.assertRaisesRegex(hearth.RunError, "found no eval.json, expected one: `hearth probe"):
            self.run_folder.scores()
        with self.assertRaisesRegex(hearth.RunError, "found no scores.csv"):
            self.run_folder.image_scores()

    def test_without_pandas_a_frame_says_how_to_get_it(self) -> None:
        with mock.patch.dict("sys.modules", {"pandas": None}):
            with self.assertRaisesRegex(ImportError, r'Run.series does without.*pip install "hearth\[pandas\]"'):
                self.run_folder.metrics()
            with self.assertRaisesRegex(ImportError, r'Features.frame.*pip install'):
                hearth.Features(np.zeros((1, 2), np.float32), {"path": np.array(["a"])}).frame()


class FeatureFiles(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name)

    def test_features_and_columns_are_told_apart(self) -> None:
        np.savez(self.path / "a.npz", features=np.ones((2, 3), np.float32), path=np.array(["a.png", "b.png"]))
        found = hearth.load_features(self.path / "a.npz")
        self.assertEqual((found.values.shape, found.values.dtype), ((2, 3), np.float32))
        self.assertEqual(found.columns["path"].tolist(), ["a.png", "b.png"])
        if PANDAS:
            self.assertEqual(list(found.frame().columns), ["path", "f0", "f1", "f2"])

    def test_other_files_are_refused(self) -> None:
        np.savez(self.path / "b.npz", weights=np.zeros(1))
        with self.assertRaisesRegex(hearth.RunError, "found weights in it, expected 'features'"):
            hearth.load_features(self.path / "b.npz")
        (self.path / "c.npz").write_text("no zip")
        with self.assertRaisesRegex(hearth.RunError, "c.npz: found no .npz"):
            hearth.load_features(self.path / "c.npz")


if __name__ == "__main__":
    unittest.main()
