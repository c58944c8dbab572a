// What NVIDIA's driver says, asked of its library without CUDA's runtime or LibTorch.
#pragma once

#include <string>

namespace hearth::host {

/// `library` is another than NVIDIA's in tests. Once opened it stays until the process ends.
class Driver {
  public:
    explicit Driver(const char* library = "libcuda.so.1");
    /// Whether the library is here and loads.
    bool there() const { return library_ != nullptr; }

    struct State {
        int devices = 0;      ///< of CUDA_VISIBLE_DEVICES where that is set
        std::string problem;  ///< why it does not work, in its own words; "" where it does, or is not there
    };
    State state() const;

    /// What tells a device from every other, on any machine, as nvidia-smi writes it: "GPU-01020304-.."; of a part of a
    /// GPU (MIG) its own. "" where the driver does not say. Devices count as LibTorch counts them.
    std::string uuid(int device) const;

  private:
    /// A function of the library, or null.
    template <typename Function>
    Function* function(const char* name) const;

    void* library_;
};

}  // namespace hearth::host
