// Folders of tests/negative/plugins, files, and the message of a refusal.
#pragma once

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "host/registry.hpp"
#include "support/temporary_folder.hpp"

namespace hearth::test {

namespace fs = std::filesystem;

/// The folder that holds the plugins with one fault.
inline fs::path folder(const std::string& fault) {
    return fs::path(HEARTH_TEST_PLUGINS) / fault;
}
inline fs::path library(const std::string& fault) {
    return folder(fault) / "libhearth_head_x.so";
}
inline fs::path good() {
    return folder("good") / "libhearth_head_scale.so";
}

inline std::string bytes(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

/// What `call` is refused with. Fails the test unless it throws an Error with exit code `code`.
template <class Call>
std::string refusal(Call&& call, ExitCode code = ExitCode::plugin) {
    try {
        call();
    } catch (const Error& error) {
        CHECK(error.code() == code);
        return error.what();
    }
    FAIL("nothing was thrown");
    return "";
}

/// What scanning a folder is refused with.
inline std::string scan_refusal(const fs::path& path) {
    host::Registry registry;
    const auto message = refusal([&] { registry.scan({{path, "test"}}); });
    CHECK(registry.libraries().empty());
    CHECK(registry.components().empty());
    return message;
}

}  // namespace hearth::test
