#!/usr/bin/env python3
"""bundle.py PREFIX: makes an installation (`cmake --install`) one that runs on another machine; part of scripts/package.

Copies the shared libraries that Hearth links, and those that they link, into PREFIX/lib/hearth/bundled, where DT_RPATH of
PREFIX/libexec/hearth finds them. Three kinds stay out: those of every Linux (SYSTEM), those of LibTorch, which PREFIX/bin/hearth finds,
and those behind decoders that Hearth never calls (ABSENT), for which small libraries stand in. DCMTK's dictionaries go to
PREFIX/share/hearth/dcmtk, licence texts to PREFIX/share/hearth/licenses. Prints the glibc that the result needs ("2.36").

Needs readelf, nm, ldd, dpkg (the licences are those of the Debian packages) and a C compiler. LD_LIBRARY_PATH names LibTorch's lib/.
"""
import collections
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SYSTEM = re.compile(r"(libc|libm|libdl|libpthread|librt|libgcc_s|libstdc\+\+|ld-linux-x86-64|ld-linux-aarch64)\.so")
LIBTORCH = re.compile(r"lib(torch|c10|gomp|cudart|cupti|nccl)[\w-]*\.so")
# What OpenCV and DCMTK of Debian link and Hearth has no use for: formats of geography and DICOM in OpenCV (DCMTK reads it here), XML,
# windows, JBIG in TIFF. They would bring 108 more libraries, 147 MB, some of them under the GPL (Poppler, x265, JBIG-KIT).
ABSENT = re.compile(r"lib(gdal|gdcm\w+|xml2|GLX|jbig)\.so")
# A function of a stand-in says on stderr that it was called, and returns 0: "not opened", "not read". Otherwise do: OpenCV calls the
# first whenever it looks for a decoder; libtiff takes 0 of the second for a success and prints what the third returns.
ANSWERS = {"GDALAllRegister": "return 0;", "jbg_dec_in": 'return asked("jbg_dec_in", "");', "jbg_strerror": 'return "not in this package";'}
STAND_IN = """#include <stdio.h>
static const void* asked(const char* name, const void* answer) {
    fprintf(stderr, "hearth: found a call of %s, which is in LIBRARY: this package of Hearth is without (docs/install.md)\\n", name);
    return answer;
}
"""
# What is compiled in, by a file of its Debian package.
HEADERS = ("/usr/include/boost/version.hpp", "/usr/include/toml++/toml.h", "/usr/include/fmt/format.h", "/usr/include/CLI/CLI.hpp",
           "/usr/include/nlohmann/json.hpp", "/usr/include/gloo/context.h")
DICTIONARIES = "/usr/share/libdcmtk*/{}.dic"


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def needed(file):
    return re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-dW", str(file)))


def is_elf(file):
    if not file.is_file() or file.is_symlink():
        return False
    with open(file, "rb") as opened:
        return opened.read(4) == b"\x7fELF"


def elves(prefix):
    return [file for file in sorted(prefix.rglob("*")) if is_elf(file)]


def found_by_loader(files):
    """Path by name of every library that the loader finds for them."""
    found = {}
    for file in files:
        for name, path in re.findall(r"^\s*(\S+) => (/\S+)", output("ldd", str(file)), re.M):
            found.setdefault(name, pathlib.Path(path))
    return found


class Bundle:
    def __init__(self, prefix):
        self.prefix = prefix
        self.folder = prefix / "lib/hearth/bundled"
        self.licenses = prefix / "share/hearth/licenses"
        self.own = {file.name for file in elves(prefix)}
        self.found = found_by_loader(elves(prefix))
        self.copied = {}  # name: where it was

    def gather(self):
        """Copies what is linked, and what that links, and writes the stand-ins."""
        self.folder.mkdir(parents=True, exist_ok=True)
        waiting, absent = elves(self.prefix), {}
        while waiting:
            file = waiting.pop()
            for name in needed(file):
                if SYSTEM.match(name) or LIBTORCH.match(name) or name in self.own or name in self.copied:
                    continue
                if name not in self.found:
                    sys.exit(f"bundle: found no {name}, which {file} links, expected it where the loader looks")
                if ABSENT.match(name):
                    absent.setdefault(name, {}).update(symbols(file, "--undefined-only"))
                    continue
                self.copied[name] = self.found[name].resolve()
                shutil.copy2(self.copied[name], self.folder / name)
                waiting.append(self.folder / name)
        for name, wanted in absent.items():
            exported = symbols(self.found[name], "--defined-only")
            stand_in(self.folder / name, {symbol: version for symbol, version in wanted.items() if symbol in exported})

    def dictionaries(self):
        for name in ("dicom", "private"):
            for file in pathlib.Path("/").glob(DICTIONARIES.format(name).lstrip("/")):
                (self.prefix / "share/hearth/dcmtk").mkdir(exist_ok=True)
                shutil.copy2(file, self.prefix / "share/hearth/dcmtk" / file.name)

    def copyright(self):
        """The licence text of every package that something is from, those it refers to, and a list of them."""
        rows, texts = [], self.licenses / "common"
        texts.mkdir(parents=True, exist_ok=True)
        for what, file in sorted(self.copied.items()) + [("compiled in", pathlib.Path(header)) for header in HEADERS]:
            package = package_of(file)
            source = pathlib.Path("/usr/share/doc") / package / "copyright"
            if not source.exists():
                sys.exit(f"bundle: found no {source}, expected the licence of {what} there: install {package} with its documentation")
            text = source.read_text(encoding="utf-8", errors="replace")
            (self.licenses / f"{package}.txt").write_text(text, encoding="utf-8")
            for common in re.findall(r"/usr/share/common-licenses/([A-Za-z0-9.-]*[A-Za-z0-9])", text):
                if (pathlib.Path("/usr/share/common-licenses") / common).exists():
                    shutil.copy(pathlib.Path("/usr/share/common-licenses") / common, texts / common)
            rows.append(f"| {what} | {package} | {output('dpkg-query', '-W', '-f', '${Version}', package)} |")
        (self.licenses / "README.md").write_text(
            "# What this package brings along\n\nHearth itself is under [Apache-2.0](../LICENSE). These are as the distribution has them, each\n"
            "under the licence in PACKAGE.txt; texts that those refer to are in [common/](common).\n\n"
            "| library | package | version |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n", encoding="utf-8")

    def check(self):
        """Nothing may be missing elsewhere, and no path of this machine may be left."""
        there = {file.name for file in elves(self.prefix)}
        for file in elves(self.prefix):
            for name in needed(file):
                if not (SYSTEM.match(name) or LIBTORCH.match(name) or name in there):
                    sys.exit(f"bundle: {file} links {name}, which is not in the package")
            for path in re.findall(r"\((?:RPATH|RUNPATH)\).*\[(.*)\]", output("readelf", "-dW", str(file))):
                if any(not part.startswith("$ORIGIN") for part in path.split(":")):
                    sys.exit(f"bundle: {file}: found the run path {path}, expected only what begins with $ORIGIN")


def package_of(file):
    """The Debian package of a file; its path may be recorded from before / and /usr were merged."""
    for path in (str(file), str(file).removeprefix("/usr")):
        found = subprocess.run(["dpkg", "-S", path], capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return found.stdout.split(":")[0].split(",")[0]
    sys.exit(f"bundle: found no package that {file} is of, expected a library of Debian or Ubuntu: its licence must go along")


def symbols(file, kind):
    """The dynamic symbols of a library: version ("" where it has none) by name. kind is that of nm."""
    listed = (line.split() for line in output("nm", "-D", "--with-symbol-versions", kind, str(file)).splitlines())
    return dict(re.fullmatch(r"([^@]*)@?@?(.*)", words[-1]).groups() for words in listed if words[-2] not in ("w", "v"))


def stand_in(file, wanted):
    """A library whose functions, version by name in `wanted`, do nothing: who links it is never asked for what it is for."""
    versions = collections.defaultdict(list)
    for name, version in sorted(wanted.items()):
        versions[version].append(name)
    with tempfile.TemporaryDirectory() as folder:
        source, script = pathlib.Path(folder) / "stand_in.c", pathlib.Path(folder) / "versions"
        source.write_text(STAND_IN.replace("LIBRARY", file.name) + "".join(
            f"const void* {name}(void) {{ {ANSWERS.get(name) or f'return asked({chr(34)}{name}{chr(34)}, 0);'} }}\n" for name in wanted))
        script.write_text("".join(f"{version} {{ {'; '.join(names)}; }};\n" for version, names in versions.items() if version))
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-s", "-fno-builtin", "-w", f"-Wl,-soname,{file.name}",
                        *([f"-Wl,--version-script={script}"] if any(versions) else []), "-o", str(file), str(source)], check=True)


def glibc(prefix):
    versions = {tuple(map(int, found)) for file in elves(prefix) for found in re.findall(r"GLIBC_(\d+)\.(\d+)", output("readelf", "-VW", str(file)))}
    return "{}.{}".format(*max(versions))


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    bundle = Bundle(pathlib.Path(sys.argv[1]).resolve())
    bundle.gather()
    bundle.dictionaries()
    bundle.copyright()
    bundle.check()
    print(glibc(bundle.prefix))


if __name__ == "__main__":
    main()
