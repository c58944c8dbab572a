// hearth_train_files: writes and reads what tools/check_events.py and tools/check_safetensors.py compare.
//   hearth_train_files events FOLDER          an events file with known scalars
//   hearth_train_files safetensors write FILE a file with a tensor of each type
//   hearth_train_files safetensors read FILE  each tensor of a file: name, type, shape, sum, as JSON
#include <ATen/ATen.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/safetensors.hpp"
#include "train/events.hpp"

namespace {

void write_tensors(const std::string& file) {
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    for (const auto type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort,
                            at::kChar, at::kByte, at::kBool})
        tensors.emplace_back(at::toString(type), at::arange(6).view({2, 3}).to(type));
    tensors.emplace_back("transposed", at::arange(6).view({2, 3}).t());
    tensors.emplace_back("empty", at::empty({0, 4}));
    tensors.emplace_back("scalar", at::scalar_tensor(2.5));
    hearth::base::write_safetensors(file, tensors, {{"format", "pt"}, {"hearth.step", "7"}});
}

void read_tensors(const std::string& file) {
    const auto read = hearth::base::read_safetensors(file);
    nlohmann::json out = {{"metadata", read.metadata}, {"tensors", nlohmann::json::object()}};
    for (const auto& [name, tensor] : read.tensors) {
        const auto plain = tensor.to(at::kDouble).contiguous();
        const auto* data = plain.const_data_ptr<double>();
        out["tensors"][name] = {{"dtype", at::toString(tensor.scalar_type())},
                                {"shape", tensor.sizes().vec()},
                                {"values", std::vector<double>(data, data + plain.numel())}};
    }
    std::puts(out.dump().c_str());
}

void write_events(const std::string& folder) {
    hearth::train::EventWriter writer(folder);
    for (std::int64_t step = 0; step < 300; ++step)
        writer.scalar("train/loss", step, 1.0 / static_cast<double>(step + 1));
    writer.scalar("probe/knn_auc", std::int64_t{1} << 40, -0.5);
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() == 2 && words[0] == "events")
        write_events(words[1]);
    else if (words.size() == 3 && words[0] == "safetensors" && words[1] == "write")
        write_tensors(words[2]);
    else if (words.size() == 3 && words[0] == "safetensors" && words[1] == "read")
        read_tensors(words[2]);
    else
        return 2;
    return 0;
}
