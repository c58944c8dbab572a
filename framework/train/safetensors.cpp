#include "train/safetensors.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <hearth/error.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "train/files.hpp"

namespace hearth::train {
namespace {

constexpr std::uint64_t max_header = 100'000'000;  // the limit of the reference implementation

struct Dtype {
    const char* name;
    at::ScalarType type;
};
constexpr Dtype dtypes[] = {{"F64", at::kDouble},    {"F32", at::kFloat}, {"F16", at::kHalf},
                            {"BF16", at::kBFloat16}, {"I64", at::kLong},  {"I32", at::kInt},
                            {"I16", at::kShort},     {"I8", at::kChar},   {"U8", at::kByte},
                            {"BOOL", at::kBool}};

const char* name_of(at::ScalarType type) {
    for (const auto& dtype : dtypes)
        if (dtype.type == type) return dtype.name;
    throw Error(ExitCode::internal, fmt::format("safetensors has no type for {}", at::toString(type)));
}

at::ScalarType type_of(const std::string& name, const std::string& file) {
    for (const auto& dtype : dtypes)
        if (name == dtype.name) return dtype.type;
    throw DataError(fmt::format("{}: found a tensor of type {}, which this version does not read", file, name));
}

// Bytes of a tensor; nothing when the shape makes no sense, or holds more than any file.
std::optional<std::uint64_t> bytes_of(const std::vector<std::int64_t>& shape, at::ScalarType type) {
    std::uint64_t bytes = at::elementSize(type);
    for (const auto size : shape)
        if (size < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes))
            return std::nullopt;
    return bytes;
}

}  // namespace

at::Tensor SafeTensors::find(const std::string& name) const {
    const auto found =
        std::find_if(tensors.begin(), tensors.end(), [&](const auto& item) { return item.first == name; });
    return found == tensors.end() ? at::Tensor() : found->second;
}

void write_safetensors(const std::filesystem::path& file,
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata) {
    nlohmann::ordered_json header;
    header["__metadata__"] = metadata;
    std::uint64_t offset = 0;
    for (const auto& [name, tensor] : tensors) {
        const std::uint64_t end = offset + tensor.nbytes();
        header[name] = {{"dtype", name_of(tensor.scalar_type())},
                        {"shape", tensor.sizes().vec()},
                        {"data_offsets", {offset, end}}};
        offset = end;
    }
    auto text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');  // data starts aligned to 8 bytes
    write_atomically(file, [&](std::ostream& out) {
        const std::uint64_t size = text.size();
        out.write(reinterpret_cast<const char*>(&size), sizeof size);
        out << text;
        for (const auto& [name, tensor] : tensors) {
            const auto plain = tensor.detach().cpu().contiguous();
            out.write(static_cast<const char*>(plain.data_ptr()), static_cast<std::streamsize>(plain.nbytes()));
        }
    });
}

SafeTensors read_safetensors(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) throw DataError(fmt::format("cannot open {}", file.string()));
    const auto bytes = std::filesystem::file_size(file);
    std::uint64_t size = 0;
    in.read(reinterpret_cast<char*>(&size), sizeof size);
    if (!in || size > max_header || size + sizeof size > bytes)
        throw DataError(
            fmt::format("{}: not a safetensors file, or cut short ({} bytes)", file.string(), bytes));
    std::string text(size, '\0');
    in.read(text.data(), static_cast<std::streamsize>(size));
    SafeTensors out;
    try {
        const auto header = nlohmann::ordered_json::parse(text);
        const auto data_bytes = bytes - sizeof size - size;
        for (const auto& [name, entry] : header.items()) {
            if (name == "__metadata__") {
                out.metadata = entry.get<std::map<std::string, std::string>>();
                continue;
            }
            const auto shape = entry.at("shape").get<std::vector<std::int64_t>>();
            const auto begin = entry.at("data_offsets").at(0).get<std::uint64_t>();
            const auto end = entry.at("data_offsets").at(1).get<std::uint64_t>();
            const auto type = type_of(entry.at("dtype").get<std::string>(), file.string());
            if (begin > end || end > data_bytes)
                throw DataError(fmt::format(
                    "{}: tensor '{}' lies outside the file ({} bytes of data); the file is cut short",
                    file.string(), name, data_bytes));
            if (bytes_of(shape, type) != end - begin)
                throw DataError(fmt::format("{}: tensor '{}' of shape {} and type {} does not fit its {} bytes",
                                            file.string(), name, entry["shape"].dump(), at::toString(type),
                                            end - begin));
            auto tensor = at::empty(shape, type);
            in.seekg(static_cast<std::streamoff>(sizeof size + size + begin));
            in.read(static_cast<char*>(tensor.data_ptr()), static_cast<std::streamsize>(tensor.nbytes()));
            if (!in) throw DataError(fmt::format("{}: cannot read tensor '{}'", file.string(), name));
            out.tensors.emplace_back(name, tensor);
        }
    } catch (const nlohmann::json::exception& error) {
        throw DataError(fmt::format("{}: broken safetensors header: {}", file.string(), error.what()));
    }
    return out;
}

}  // namespace hearth::train
