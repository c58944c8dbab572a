#include "base/sha256.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <fstream>
#include <hearth/error.hpp>
#include <memory>

namespace hearth::base {

std::string sha256(const std::filesystem::path& file) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    std::ifstream stream(file, std::ios::binary);
    bool good = stream && hash && EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) == 1;
    std::array<char, 1 << 16> block{};
    while (good && stream) {
        stream.read(block.data(), block.size());
        good = EVP_DigestUpdate(hash.get(), block.data(), static_cast<std::size_t>(stream.gcount())) == 1;
    }
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (!good || stream.bad() || EVP_DigestFinal_ex(hash.get(), digest.data(), &size) != 1)
        throw PluginError(file.string() + ": cannot be read to compute its SHA-256");
    std::string text;
    for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
}

}  // namespace hearth::base
