// .npz files: what numpy.load expects, read back member by member.
#include "export/npz.hpp"

#include <ATen/ATen.h>
#include <minizip/unzip.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "hearth/error.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth::exporting;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

/// The bytes of a member, uncompressed.
std::string member(const std::filesystem::path& file, const std::string& name) {
    const auto zip = unzOpen64(file.c_str());
    REQUIRE(zip != nullptr);
    REQUIRE(unzLocateFile(zip, name.c_str(), 1) == UNZ_OK);
    unz_file_info64 info{};
    REQUIRE(unzGetCurrentFileInfo64(zip, &info, nullptr, 0, nullptr, 0, nullptr, 0) == UNZ_OK);
    CHECK(info.compression_method == 0);
    std::string bytes(info.uncompressed_size, '\0');
    REQUIRE(unzOpenCurrentFile(zip) == UNZ_OK);
    CHECK(unzReadCurrentFile(zip, bytes.data(), static_cast<unsigned>(bytes.size())) ==
          static_cast<int>(bytes.size()));
    CHECK(unzCloseCurrentFile(zip) == UNZ_OK);  // checks the CRC
    unzClose(zip);
    return bytes;
}

}  // namespace

TEST_CASE("a tensor becomes a .npy member: header padded to 64 bytes, then the numbers") {
    const hearth::test::TemporaryFolder folder;
    NpzWriter npz(folder / "a.npz");
    npz.add("features", at::arange(6, at::kFloat).view({2, 3}));
    npz.add("index", at::tensor({7, 8}, at::kLong));
    npz.close();

    const auto bytes = member(folder / "a.npz", "features.npy");
    CHECK_THAT(bytes, StartsWith(std::string("\x93NUMPY\x01\x00", 8)));
    CHECK_THAT(bytes, Contains("{'descr': '<f4', 'fortran_order': False, 'shape': (2,3,), }"));
    const auto header = 10 + static_cast<unsigned char>(bytes[8]) + 256u * static_cast<unsigned char>(bytes[9]);
    CHECK(header % 64 == 0);
    CHECK(bytes[header - 1] == '\n');
    REQUIRE(bytes.size() == header + 6 * sizeof(float));
    float last = 0;
    std::memcpy(&last, bytes.data() + bytes.size() - sizeof last, sizeof last);
    CHECK(last == 5);
    CHECK_THAT(member(folder / "a.npz", "index.npy"), Contains("'<i8'") && Contains("(2,)"));
}

TEST_CASE("texts become UTF-32 of one width") {
    const hearth::test::TemporaryFolder folder;
    NpzWriter npz(folder / "a.npz");
    npz.add("path", std::vector<std::string>{"a", "ü日\xf0\x9f\xab\x81", "\xff"});
    npz.close();
    const auto bytes = member(folder / "a.npz", "path.npy");
    CHECK_THAT(bytes, Contains("'<U3'") && Contains("(3,)"));
    std::vector<std::uint32_t> cells(9);
    std::memcpy(cells.data(), bytes.data() + bytes.size() - 36, 36);
    CHECK(cells == std::vector<std::uint32_t>{U'a', 0, 0, U'ü', U'日', U'\U0001fac1', U'\ufffd', 0, 0});
}

TEST_CASE("there is no file before close, and none when it never comes") {
    const hearth::test::TemporaryFolder folder;
    {
        NpzWriter npz(folder / "a.npz");
        npz.add("x", at::zeros({1}));
        CHECK_FALSE(std::filesystem::exists(folder / "a.npz"));
    }
    CHECK(std::filesystem::is_empty(folder.path()));
    CHECK_THROWS_AS(NpzWriter(folder / "nowhere/a.npz"), hearth::DataError);
}

TEST_CASE("the same arrays give the same bytes") {
    const hearth::test::TemporaryFolder folder;
    for (const std::string name : {"a.npz", "b.npz"}) {
        NpzWriter npz(folder / name);
        npz.add("x", at::ones({4, 4}));
        npz.close();
    }
    CHECK(folder.read("a.npz") == folder.read("b.npz"));
}
