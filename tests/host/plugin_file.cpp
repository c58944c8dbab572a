// Files that are refused before any of their code runs. Each refusal says what was found and what was expected.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "host/dynamic_symbols.hpp"
#include "host/library.hpp"
#include "host/mixture.hpp"
#include "host/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;
using host::check_file;

TEST_CASE("a good plugin passes the check, stripped or not") {
    CHECK(check_file(good()) == "");
    CHECK(check_file(folder("stripped") / "libhearth_head_scale.so") == "");
}

TEST_CASE("a plugin for another API version is refused") {
    const auto message = scan_refusal(folder("other_api"));
    CHECK_THAT(message, Contains(library("other_api").string()));
    CHECK_THAT(message, Contains("plugin API: found 1, expected 2"));
    CHECK_THAT(message, Contains("rebuild the plugin against the SDK of this Hearth"));
    CHECK_THAT(message, !Contains("LibTorch:") && !Contains("compiler:") && !Contains("C++ ABI:"));
}

TEST_CASE("a plugin compiled with another C++ ABI flag is refused") {
    const auto message = scan_refusal(folder("other_abi"));
    CHECK_THAT(message, Contains("C++ ABI: found 0, expected 1") && Contains(library("other_abi").string()));
}

TEST_CASE("a text file with the name of a plugin is refused") {
    const TemporaryFolder scratch;
    scratch.write("libhearth_head_x.so", "not a library\n");
    CHECK_THAT(scan_refusal(scratch.path()),
               Contains("found a file that is no library, expected an ELF shared library"));
    scratch.write("libhearth_head_x.so", "");
    CHECK_THAT(scan_refusal(scratch.path()), Contains("found an empty file"));
}

TEST_CASE("a library cut short is refused, wherever it was cut") {
    const TemporaryFolder scratch;
    const auto whole = bytes(good());
    REQUIRE(whole.size() > 4096);
    for (const auto kept :
         {std::size_t{10}, std::size_t{64}, std::size_t{4096}, whole.size() / 2, whole.size() - 1}) {
        INFO("kept " << kept << " of " << whole.size() << " bytes");
        scratch.write("libhearth_head_x.so", whole.substr(0, kept));
        CHECK_THAT(scan_refusal(scratch.path()), Contains("a damaged or incomplete library"));
    }
}

TEST_CASE("a library for another machine is refused") {
    const TemporaryFolder scratch;
    auto changed = bytes(good());
    changed[18] = 8;  // e_machine: MIPS
    scratch.write("libhearth_head_x.so", changed);
    CHECK_THAT(scan_refusal(scratch.path()), Contains("found a library for another kind of machine"));
}

TEST_CASE("a library without a build identity is refused") {
    CHECK_THAT(
        scan_refusal(folder("no_identity")),
        Contains("found a library without a build identity, expected a section named '.hearth.api2.torch"));
}

TEST_CASE("a library without the symbol is refused") {
    CHECK_THAT(scan_refusal(folder("no_symbol")), Contains("found no exported symbol 'hearth_plugin'"));
}

TEST_CASE("the check runs no code of the library") {
    unsetenv("HEARTH_TEST_CONSTRUCTOR");
    CHECK(check_file(library("constructor")) == "");
    CHECK(std::getenv("HEARTH_TEST_CONSTRUCTOR") == nullptr);
    // Loading does run it, so the line above can fail.
    CHECK_THAT(scan_refusal(folder("constructor")), Contains("hearth_plugin() returned a null pointer"));
    CHECK(std::getenv("HEARTH_TEST_CONSTRUCTOR") != nullptr);
}

TEST_CASE("what is no readable file is refused") {
    const TemporaryFolder scratch;
    CHECK_THAT(check_file(scratch / "absent.so"), Contains("found no such file"));
    fs::create_directory(scratch / "libhearth_head_x.so");
    CHECK_THAT(scan_refusal(scratch.path()), Contains("found something that is no file"));
    fs::remove(scratch / "libhearth_head_x.so");
    fs::create_symlink("nowhere", scratch / "libhearth_head_x.so");
    CHECK_THAT(scan_refusal(scratch.path()), Contains("found a symbolic link to nothing"));
}

TEST_CASE(
    "the libraries that a plugin needs are read without loading it, and none is here in another version") {
    const auto needed = host::needed_libraries(good());
    CHECK(std::ranges::find(needed, "libhearth_sdk.so") != needed.end());
    CHECK(host::mixed_library(good()) == "");
    CHECK(host::own_name(host::own_library("libhearth_sdk.so")) == "libhearth_sdk.so");
}

TEST_CASE("a plugin that needs another version of a library that is loaded is refused") {
    const TemporaryFolder scratch;
    auto changed = bytes(good());
    const std::string name =
        "libhearth_sdk.so";  // of which only the ending may change: the texts keep their places
    for (auto at = changed.find(name); at != std::string::npos; at = changed.find(name, at + 1))
        if (changed[at + name.size()] == '\0') changed.replace(at, name.size(), "libtorch_cpu.so.");
    scratch.write("libhearth_head_x.so", changed);
    CHECK_THAT(scan_refusal(scratch.path()),
               Contains("found that it needs libtorch_cpu.so., while libtorch_cpu.so is loaded") &&
                   Contains("link it statically"));
}
