// Memory that is not there comes under many names.
#pragma once

#include <exception>
#include <hearth/error.hpp>
#include <string>

namespace hearth::host {

/// Whether a message of LibTorch's, or of a library that it uses, says that memory could not be had.
bool tells_of_memory(const std::string& text);

/// Whether that is what it says: an error of LibTorch's allocators, one with exit code 6, std::bad_alloc.
bool is_out_of_memory(const std::exception& error);

/// The exit code that it stands for: its own, that of memory, or internal.
ExitCode code_of(const std::exception& error);

/// What it says, without LibTorch's pages of C++ frames; in words for std::bad_alloc.
std::string reason_of(const std::exception& error);

}  // namespace hearth::host
