// A file of the safetensors format has a JSON header and raw little-endian data. PyPI's safetensors, timm and
// Hugging Face read it. Format: https://github.com/huggingface/safetensors
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace hearth::base {

struct SafeTensors {
    std::vector<std::pair<std::string, at::Tensor>> tensors;  ///< CPU, contiguous, owning their memory
    std::map<std::string, std::string> metadata;
    /// The tensor of that name, or an undefined one.
    at::Tensor find(const std::string& name) const;
};

/// Writes atomically: temporary file beside it, fsync, rename, fsync of the folder. A checksum of header and
/// data goes into the metadata. With `before`, the file that was there gets that name. Throws DataError; the
/// old file then stays.
void write_safetensors(const std::filesystem::path& file,
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata,
                       const std::filesystem::path& before = {});
/// Reads and checks a file, with its checksum where it has one. Throws DataError that says what is wrong with
/// it.
SafeTensors read_safetensors(const std::filesystem::path& file);

}  // namespace hearth::base
