// Checkpoints: what is written is read back bit for bit, and a damaged file says so instead of loading.
#include "base/safetensors.hpp"

#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <hearth/error.hpp>

#include "base/atomic_file.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth;
using namespace hearth::base;
using Catch::Matchers::Contains;
using test::message_of;

namespace {

/// The bytes of a file with this header and `data` bytes of zeros.
std::string file_of(const std::string& header, std::size_t data) {
    const std::uint64_t size = header.size();
    return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header + std::string(data, '\0');
}

/// The DataError that reading these bytes ends in.
std::string refusal(const std::string& bytes) {
    const test::TemporaryFolder folder;
    const auto file = folder.write("x.safetensors", bytes);
    return message_of<DataError>([&] { read_safetensors(file); });
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"x":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

}  // namespace

TEST_CASE("every type, empty and scalar tensors, views and metadata come back as they were") {
    at::manual_seed(1);
    const test::TemporaryFolder folder;
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    for (const auto type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort,
                            at::kChar, at::kByte, at::kBool})
        tensors.emplace_back(at::toString(type), (at::randn({3, 5}) * 50).abs().to(type));
    tensors.emplace_back("not a number", at::full({2}, NAN));
    tensors.emplace_back("empty", at::empty({0, 4}));
    tensors.emplace_back("scalar", at::scalar_tensor(2.5));
    tensors.emplace_back("transposed", at::arange(6).view({2, 3}).t());
    tensors.emplace_back("\"quoted\" \xC3\xA9", at::ones({1}));
    const std::map<std::string, std::string> metadata = {{"format", "pt"}, {"step", "7"}};
    write_safetensors(folder / "a.safetensors", tensors, metadata);
    const auto read = read_safetensors(folder / "a.safetensors");
    CHECK(read.metadata == metadata);
    REQUIRE(read.tensors.size() == tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const auto& [name, tensor] = tensors[i];
        INFO(name);
        CHECK(read.tensors[i].first == name);
        const auto& found = read.tensors[i].second;
        CHECK(found.scalar_type() == tensor.scalar_type());
        CHECK(found.sizes() == tensor.sizes());
        const auto plain = tensor.contiguous();
        CHECK(std::string(static_cast<const char*>(found.data_ptr()), found.nbytes()) ==
              std::string(static_cast<const char*>(plain.data_ptr()), plain.nbytes()));
    }
    CHECK(read.find("scalar").item<double>() == 2.5);
    CHECK_FALSE(read.find("nothing").defined());
}

TEST_CASE("data starts aligned to 8 bytes") {
    const test::TemporaryFolder folder;
    for (const std::string name : {"a", "ab", "abcdefg"}) {
        write_safetensors(folder / "a", {{name, at::ones({1})}}, {});
        std::uint64_t header = 0;
        const auto bytes = folder.read("a");
        std::memcpy(&header, bytes.data(), sizeof header);
        CHECK(header % 8 == 0);
        CHECK(bytes.size() == 8 + header + 4);
    }
}

TEST_CASE("a file cut short anywhere is refused") {
    const test::TemporaryFolder folder;
    write_safetensors(folder / "a", {{"x", at::ones({4})}, {"y", at::ones({4})}}, {});
    const auto bytes = folder.read("a");
    CHECK(refusal(bytes).empty());
    for (const std::size_t size : {std::size_t{0}, std::size_t{5}, std::size_t{8}, std::size_t{40},
                                   bytes.size() - 32, bytes.size() - 1}) {
        INFO(size);
        CHECK_FALSE(refusal(bytes.substr(0, size)).empty());
    }
    CHECK_THAT(refusal(bytes.substr(0, bytes.size() - 1)),
               Contains("tensor 'y'") && Contains("cut short") && Contains("x.safetensors"));
    CHECK_THAT(refusal(bytes.substr(0, 40)), Contains("not a safetensors file"));
}

TEST_CASE("a broken header is refused with the reason") {
    CHECK_THAT(refusal(file_of("{ no json", 0)), Contains("broken safetensors header"));
    CHECK_THAT(refusal(file_of("[1, 2]", 0)), Contains("broken safetensors header"));
    CHECK_THAT(refusal(file_of(R"({"x": 3})", 0)), Contains("broken safetensors header"));
    CHECK_THAT(refusal(file_of(R"({"x":{"dtype":"F32","shape":[1]}})", 4)),
               Contains("broken safetensors header"));
    CHECK_THAT(refusal(file_of(R"({"__metadata__":{"step":3}})", 0)), Contains("broken safetensors header"));
    CHECK_THAT(refusal(std::string(8, '\xff') + "{}"), Contains("not a safetensors file"));  // an absurd length
    CHECK_THAT(refusal(file_of(entry("F8_E4M3", "[1]", "[0,1]"), 1)), Contains("F8_E4M3"));
}

TEST_CASE("offsets and shapes that do not fit the file are refused before memory is taken") {
    CHECK(refusal(file_of(entry("F32", "[2]", "[0,8]"), 8)).empty());
    CHECK_THAT(refusal(file_of(entry("F32", "[2]", "[8,0]"), 8)), Contains("tensor 'x'"));
    CHECK_THAT(refusal(file_of(entry("F32", "[2]", "[4,12]"), 8)), Contains("outside the file"));
    CHECK_THAT(refusal(file_of(entry("F32", "[3]", "[0,8]"), 8)), Contains("shape [3]") && Contains("8 bytes"));
    CHECK_THAT(refusal(file_of(entry("F32", "[-2]", "[0,8]"), 8)), Contains("shape [-2]"));
    CHECK_THAT(refusal(file_of(entry("F32", "[4000000000000]", "[0,8]"), 8)), Contains("does not fit"));
    CHECK_THAT(refusal(file_of(entry("F32", "[4294967296,4294967296,2]", "[0,8]"), 8)),
               Contains("does not fit"));
}

TEST_CASE("a file that is not there is refused by name") {
    CHECK_THAT(message_of<DataError>([] { read_safetensors("/nowhere/last.safetensors"); }),
               Contains("/nowhere/last.safetensors"));
}

TEST_CASE("writing leaves the new file alone in its folder") {
    const test::TemporaryFolder folder;
    for (const double value : {1.0, 2.0}) write_safetensors(folder / "a", {{"x", at::full({2}, value)}}, {});
    CHECK(read_safetensors(folder / "a").find("x")[0].item<double>() == 2);
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("a write that fails half-way leaves the old file and nothing else") {
    const test::TemporaryFolder folder;
    folder.write("a", "old");
    const auto message = message_of<DataError>([&] {
        write_atomically(folder / "a", [](std::ostream& out) {
            out << "half of the new";
            out.setstate(std::ios::badbit);  // as a full disk does
        });
    });
    CHECK_THAT(message, Contains("cannot write") && Contains("/a"));
    CHECK(folder.read("a") == "old");
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("a target that cannot be written is an error with the system's reason, and what was there stays") {
    const test::TemporaryFolder folder;
    CHECK_THAT(message_of<DataError>([&] { write_atomically(folder / "no/such/folder", std::string("x")); }),
               Contains("No such file or directory"));
    std::filesystem::create_directories(folder / "taken/inside");  // a folder that is in the way
    CHECK_THAT(message_of<DataError>([&] { write_atomically(folder / "taken", std::string("x")); }),
               Contains("cannot write") && Contains("directory"));
    CHECK(std::filesystem::is_directory(folder / "taken/inside"));
    CHECK_FALSE(std::filesystem::exists(folder / "taken.tmp"));
}
