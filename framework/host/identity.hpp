// Says how a plugin library was built, by the name of a section that is read without loading the library:
//   .hearth.api1.torch2_11_0.gcc12.cxx11abi1
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace hearth::host {

/// The identity this host was built with; a plugin may be loaded when its own is equal.
std::string host_identity();

/// The identities a library carries: normally one, none when it is no Hearth plugin. Throws PluginError when
/// the file is no readable library.
std::vector<std::string> read_identities(const std::filesystem::path& file);

/// "" when the two are equal, else a line per field that differs:
///   "  LibTorch: found 2.10.0, expected 2.11.0\n"
std::string compare_identities(const std::string& found, const std::string& expected);

}  // namespace hearth::host
