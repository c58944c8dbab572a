// A safetensors file: read, written and read again.
#include "base/safetensors.hpp"

#include <ATen/ATen.h>

#include <cstring>

#include "support/fuzz.hpp"

namespace hearth::fuzz {
namespace {

bool same(const at::Tensor& a, const at::Tensor& b) {
    return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
           (a.nbytes() == 0 || std::memcmp(a.data_ptr(), b.data_ptr(), a.nbytes()) == 0);
}

void run(std::string_view bytes) {
    const auto file = write_file("input.safetensors", bytes);
    base::SafeTensors read, again;
    if (!accepts([&] { read = base::read_safetensors(file); })) return;
    std::size_t total = 0;
    for (const auto& [name, tensor] : read.tensors) total += tensor.nbytes();
    require(total <= bytes.size(), "tensors take no more memory than their file");

    const auto copy = file.parent_path() / "copy.safetensors";
    base::write_safetensors(copy, read.tensors, read.metadata);
    require(accepts([&] { again = base::read_safetensors(copy); }), "a written file is read");
    require(again.metadata == read.metadata, "a written file has the metadata that were written");
    require(again.tensors.size() == read.tensors.size(), "a written file has the tensors that were written");
    for (std::size_t i = 0; i < read.tensors.size(); ++i) {
        require(again.tensors[i].first == read.tensors[i].first, "tensors keep their names and order");
        require(same(again.tensors[i].second, read.tensors[i].second), "tensors keep type, shape and values");
    }
}

}  // namespace
}  // namespace hearth::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    hearth::fuzz::run(hearth::fuzz::text_of({bytes, size}));
    return 0;
}
