// Writes arrays for numpy.load: a zip archive of .npy members, stored, without pickles. The zip is minizip's,
// the members follow https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html (version 1.0 of
// the header).
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace hearth::exporting {

/// `NpzWriter npz("out.npz"); npz.add("features", features); npz.add("path", paths); npz.close();` The file
/// appears under its name with close(); until then, and when it never comes to that, there is none. Throws
/// DataError.
class NpzWriter {
  public:
    explicit NpzWriter(std::filesystem::path file);
    ~NpzWriter();
    NpzWriter(const NpzWriter&) = delete;
    NpzWriter& operator=(const NpzWriter&) = delete;

    /// float32, float64, int64, int32 or uint8 of any shape.
    void add(const std::string& name, const at::Tensor& tensor);
    /// One-dimensional, of type <U (UTF-32); bytes that are no UTF-8 become U+FFFD.
    void add(const std::string& name, const std::vector<std::string>& texts);
    void close();

  private:
    void member(const std::string& name, const std::string& type, std::span<const std::int64_t> shape,
                std::span<const char> bytes);
    [[noreturn]] void fail(const std::string& what) const;

    std::filesystem::path file_, temporary_;
    void* zip_;
};

}  // namespace hearth::exporting
