"""How the command finds LibTorch: cmake/package/hearth.sh.in, and `python -m hearth`, with programs and LibTorches made of text."""
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PYTHON = Path(__file__).parent.parent
LAUNCHER = PYTHON.parent / "cmake" / "package" / "hearth.sh.in"


class Launcher(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()
        self.prefix = self.installation(self.root / "prefix")

    def write(self, file: Path, text: str, mode: int = 0o644) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def installation(self, prefix: Path) -> Path:
        self.write(prefix / "bin" / "hearth", LAUNCHER.read_text().replace("@LibTorch_VERSION@", "2.11.0"), 0o755)
        self.write(prefix / "libexec" / "hearth", '#!/bin/sh\necho "$LD_LIBRARY_PATH" "$DCMDICTPATH" "$@"\n', 0o755)
        return prefix

    def torch(self, folder: Path, version: str) -> Path:
        self.write(folder / "lib" / "libtorch_cpu.so", "")
        self.write(folder / "version.py", f"from typing import Optional\n__version__ = '{version}'\n")
        return folder

    def run_it(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        where = {"PATH": str(self.root / "bin") + ":/usr/bin:/bin", **environment}
        self.write(self.root / "bin" / "python3", "#!/bin/sh\nexit 1\n", 0o755)
        return subprocess.run([*words], env=where, capture_output=True, text=True, check=False)

    def hearth(self, **environment: str) -> "subprocess.CompletedProcess[str]":
        return self.run_it(str(self.prefix / "bin" / "hearth"), "plan", "my recipe.toml", **environment)

    def test_without_libtorch_it_says_how_to_get_it(self) -> None:
        done = self.hearth()
        self.assertEqual(done.returncode, 2)
        self.assertIn("found no LibTorch 2.11.0", done.stderr)
        self.assertIn("pip install torch==2.11.0", done.stderr)

    def test_the_environment_variable_names_it(self) -> None:
        torch = self.torch(self.root / "a torch", "2.11.0+cpu")
        done = self.hearth(HEARTH_LIBTORCH=str(torch), LD_LIBRARY_PATH="/mine")
        self.assertEqual(done.stdout, f"{torch}/lib:/mine  plan my recipe.toml\n")

    def test_a_wrong_variable_is_refused_though_another_would_do(self) -> None:
        good = self.torch(self.root / "venv/lib/python3.12/site-packages/torch", "2.11.0").parents[3]
        other = self.torch(self.root / "other", "2.9.1+cu130")
        for named, found in ((other, "found version 2.9.1"), (self.root, "found no lib/libtorch_cpu.so")):
            done = self.hearth(HEARTH_LIBTORCH=str(named), VIRTUAL_ENV=str(good))
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"HEARTH_LIBTORCH={named}: {found}", done.stderr)

    def test_the_active_environment_has_it(self) -> None:
        for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
            torch = self.torch(self.root / name / "lib/python3.12/site-packages/torch", "2.11.0+cu130")
            done = self.hearth(**{name: str(self.root / name)})
            self.assertTrue(done.stdout.startswith(f"{torch}/lib "), done.stderr)

    def test_another_version_is_named(self) -> None:
        torch = self.torch(self.root / "venv/lib/python3.12/site-packages/torch", "2.9.1")
        done = self.hearth(VIRTUAL_ENV=str(self.root / "venv"))
        self.assertIn(f"found 2.9.1 in {torch}", done.stderr)

    def test_a_link_in_the_installation_comes_before_the_environment(self) -> None:
        linked = self.torch(self.root / "linked", "2.11.0")
        self.torch(self.root / "venv/lib/python3.12/site-packages/torch", "2.11.0")
        (self.prefix / "lib/hearth").mkdir(parents=True)
        (self.prefix / "lib/hearth/libtorch").symlink_to(linked)
        done = self.hearth(VIRTUAL_ENV=str(self.root / "venv"))
        self.assertTrue(done.stdout.startswith(f"{self.prefix}/lib/hearth/libtorch/lib "), done.stderr)

    def test_it_can_be_called_through_a_link(self) -> None:
        torch = self.torch(self.root / "torch", "2.11.0")
        (self.root / "here").symlink_to(self.prefix / "bin/hearth")
        done = self.run_it(str(self.root / "here"), "doctor", HEARTH_LIBTORCH=str(torch))
        self.assertEqual(done.stdout, f"{torch}/lib  doctor\n")

    def test_dictionaries_are_those_of_the_package_unless_named(self) -> None:
        torch = str(self.torch(self.root / "torch", "2.11.0"))
        self.write(self.prefix / "share/hearth/dcmtk/dicom.dic", "")
        self.assertIn(f" {self.prefix}/share/hearth/dcmtk/dicom.dic:", self.hearth(HEARTH_LIBTORCH=torch).stdout)
        self.assertIn(" /mine.dic ", self.hearth(HEARTH_LIBTORCH=torch, DCMDICTPATH="/mine.dic").stdout)

    def test_in_a_wheel_it_takes_the_torch_beside_it(self) -> None:
        self.prefix = self.installation(self.root / "site/hearth/_prefix")
        torch = self.torch(self.root / "site/torch", "2.11.0")
        self.assertTrue(self.hearth().stdout.startswith(f"{torch}/lib "))

    def test_python_runs_the_program_and_names_the_cmake_folder(self) -> None:
        torch = str(self.torch(self.root / "torch", "2.11.0"))
        environment = {"PYTHONPATH": str(PYTHON), "HEARTH_PREFIX": str(self.prefix), "HEARTH_LIBTORCH": torch}
        done = self.run_it(sys.executable, "-m", "hearth", "plan", "a.toml", **environment)
        self.assertEqual(done.stdout, f"{torch}/lib  plan a.toml\n")
        done = self.run_it(sys.executable, "-m", "hearth", "--cmake-dir", **environment)
        self.assertEqual(done.stdout, f"{self.prefix}/lib/cmake/Hearth\n")
        done = self.run_it(sys.executable, "-m", "hearth", "doctor", **{**environment, "HEARTH_PREFIX": os.devnull})
        self.assertEqual((done.returncode, done.stderr.startswith("hearth: HEARTH_PREFIX=/dev/null: found no bin/hearth")), (2, True))


if __name__ == "__main__":
    unittest.main()
