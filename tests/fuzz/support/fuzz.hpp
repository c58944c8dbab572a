// What the fuzz targets share: which exceptions a reader may throw, properties, and files that hold the input.
#pragma once

#include <cstdint>
#include <filesystem>
#include <hearth/error.hpp>
#include <span>
#include <string>
#include <string_view>

/// The function that libFuzzer, or support/replay.cpp, calls with each input.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

namespace hearth::fuzz {

inline std::string_view text_of(std::span<const std::uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Ends the program, for libFuzzer to keep the input, unless `holds`.
void require(bool holds, std::string_view property);

/// Writes `bytes` to the file `name` in a folder of this process, in memory where the system has such a folder.
std::filesystem::path write_file(const std::string& name, std::string_view bytes);

/// Whether `read` takes the input. It may refuse it by an error that puts the blame on the input; any other
/// exception leaves this function and ends the program.
template <class F>
bool accepts(F&& read) {
    try {
        read();
        return true;
    } catch (const Error& error) {
        require(error.code() != ExitCode::internal, "no input is a fault of Hearth");
        require(!std::string_view(error.what()).empty(), "an error says what is wrong");
        return false;
    }
}

}  // namespace hearth::fuzz
