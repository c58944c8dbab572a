#include "base/safetensors.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <hearth/error.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include <zlib.h>

#include "base/atomic_file.hpp"
#include "base/json_text.hpp"

namespace hearth::base {
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

// Bytes of a tensor; nothing when the shape makes no sense, or holds more than any file. LibTorch multiplies
// the sizes of an empty tensor too, without the 0.
std::optional<std::uint64_t> bytes_of(const std::vector<std::int64_t>& shape, at::ScalarType type) {
    auto bytes = static_cast<std::int64_t>(at::elementSize(type));
    bool empty = false;
    for (const auto size : shape) {
        empty |= size == 0;
        if (size < 0 || __builtin_mul_overflow(bytes, std::max<std::int64_t>(size, 1), &bytes))
            return std::nullopt;
    }
    return empty ? 0 : static_cast<std::uint64_t>(bytes);
}

// nlohmann-json converts 1e300, too, to an integer.
bool are_integers(const nlohmann::ordered_json& list) {
    return list.is_array() &&
           std::all_of(list.begin(), list.end(), [](const auto& number) { return number.is_number_integer(); });
}

// CRC-32 (zlib's) of header and data, with zeros in the header where the checksum itself stands.
constexpr const char* checksum_key = "hearth.crc32";
constexpr std::size_t checksum_digits = 8;

class Checksum {
  public:
    void add(const void* bytes, std::uint64_t count) {
        const auto* next = static_cast<const Bytef*>(bytes);
        for (constexpr std::uint64_t most = 1 << 30; count > 0;) {
            const auto part = std::min(count, most);
            value_ = ::crc32(value_, next, static_cast<uInt>(part));
            next += part;
            count -= part;
        }
    }
    void add(const at::Tensor& plain) { add(plain.data_ptr(), plain.nbytes()); }
    std::string text() const { return fmt::format("{:08x}", value_); }

  private:
    uLong value_ = 0;
};

/// Where the digits of the checksum are in a header, or npos.
std::size_t place_of_checksum(const std::string& header) {
    const auto key = fmt::format("\"{}\":\"", checksum_key);
    const auto found = header.find(key);
    return found == std::string::npos || header.size() < found + key.size() + checksum_digits
               ? std::string::npos
               : found + key.size();
}

}  // namespace

at::Tensor SafeTensors::find(const std::string& name) const {
    const auto found =
        std::find_if(tensors.begin(), tensors.end(), [&](const auto& item) { return item.first == name; });
    return found == tensors.end() ? at::Tensor() : found->second;
}

void write_safetensors(const std::filesystem::path& file,
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata,
                       const std::filesystem::path& before) {
    nlohmann::ordered_json header;
    header["__metadata__"] = metadata;
    header["__metadata__"][checksum_key] = std::string(checksum_digits, '0');
    std::uint64_t offset = 0;
    for (const auto& [name, tensor] : tensors) {
        const std::uint64_t end = offset + tensor.nbytes();
        header[name] = {{"dtype", name_of(tensor.scalar_type())},
                        {"shape", tensor.sizes().vec()},
                        {"data_offsets", {offset, end}}};
        offset = end;
    }
    auto text = base::json_text(header);
    text.resize((text.size() + 7) / 8 * 8, ' ');  // data starts aligned to 8 bytes
    std::vector<at::Tensor> plain;
    for (const auto& [name, tensor] : tensors) plain.push_back(tensor.detach().cpu().contiguous());
    Checksum checksum;
    checksum.add(text.data(), text.size());
    for (const auto& tensor : plain) checksum.add(tensor);
    text.replace(place_of_checksum(text), checksum_digits, checksum.text());
    const auto body = [&](std::ostream& out) {
        const std::uint64_t size = text.size();
        out.write(reinterpret_cast<const char*>(&size), sizeof size);
        out << text;
        for (const auto& tensor : plain)
            out.write(static_cast<const char*>(tensor.data_ptr()),
                      static_cast<std::streamsize>(tensor.nbytes()));
    };
    write_atomically(file, body, before);
}

SafeTensors read_safetensors(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::error_code no_file;  // a folder can be opened
    const auto bytes = std::filesystem::file_size(file, no_file);
    if (!in || no_file) throw DataError(fmt::format("cannot open {}", file.string()));
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
        auto unclaimed = data_bytes;
        for (const auto& [name, entry] : header.items()) {
            if (name == "__metadata__") {
                out.metadata = entry.get<std::map<std::string, std::string>>();
                continue;
            }
            const auto& sizes = entry.at("shape");
            const auto& offsets = entry.at("data_offsets");
            if (!are_integers(sizes) || !are_integers(offsets))
                throw DataError(fmt::format(
                    "{}: tensor '{}' has the shape {} and the offsets {}, expected lists of integers",
                    file.string(), name, sizes.dump(), offsets.dump()));
            const auto shape = sizes.get<std::vector<std::int64_t>>();
            const auto begin = offsets.at(0).get<std::uint64_t>();
            const auto end = offsets.at(1).get<std::uint64_t>();
            const auto type = type_of(entry.at("dtype").get<std::string>(), file.string());
            if (begin > end || end > data_bytes)
                throw DataError(fmt::format(
                    "{}: tensor '{}' lies outside the file ({} bytes of data); the file is cut short",
                    file.string(), name, data_bytes));
            if (bytes_of(shape, type) != end - begin)
                throw DataError(fmt::format("{}: tensor '{}' of shape {} and type {} does not fit its {} bytes",
                                            file.string(), name, sizes.dump(), at::toString(type),
                                            end - begin));
            if (end - begin > unclaimed)
                throw DataError(
                    fmt::format("{}: tensor '{}' has bytes that other tensors have too, expected each tensor "
                                "to have its own",
                                file.string(), name));
            unclaimed -= end - begin;
            auto tensor = at::empty(shape, type);
            in.seekg(static_cast<std::streamoff>(sizeof size + size + begin));
            in.read(static_cast<char*>(tensor.data_ptr()), static_cast<std::streamsize>(tensor.nbytes()));
            if (!in) throw DataError(fmt::format("{}: cannot read tensor '{}'", file.string(), name));
            out.tensors.emplace_back(name, tensor);
        }
        out.metadata.erase(checksum_key);
        if (const auto place = place_of_checksum(text); place != std::string::npos) {
            const auto expected = text.substr(place, checksum_digits);
            text.replace(place, checksum_digits, checksum_digits, '0');
            Checksum checksum;
            checksum.add(text.data(), text.size());
            for (const auto& [name, tensor] : out.tensors) checksum.add(tensor);
            if (checksum.text() != expected)
                throw DataError(fmt::format("{}: found checksum {}, expected {}: the file is damaged",
                                            file.string(), checksum.text(), expected));
        }
    } catch (const nlohmann::json::exception& error) {
        throw DataError(fmt::format("{}: broken safetensors header: {}", file.string(), error.what()));
    }
    return out;
}

}  // namespace hearth::base
