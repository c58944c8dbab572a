"""The tag of the wheel: it has programs for one platform in it, which any Python 3 starts."""
import os

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel


class ForOnePlatform(bdist_wheel):
    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> "tuple[str, str, str]":
        return "py3", "none", os.environ["HEARTH_PLATFORM"]


setup(cmdclass={"bdist_wheel": ForOnePlatform})
