#include "train/events.hpp"

#include <fmt/format.h>
#include <array>
#include <chrono>
#include <cstring>

namespace hearth::train {
namespace {

// CRC-32C (Castagnoli), as TFRecord wants it.
std::uint32_t crc32c(const std::string& data) {
    static const auto table = [] {
        std::array<std::uint32_t, 256> made{};
        for (std::uint32_t i = 0; i < 256; ++i) {
            std::uint32_t c = i;
            for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? (c >> 1) ^ 0x82F63B78u : c >> 1;
            made[i] = c;
        }
        return made;
    }();
    std::uint32_t crc = 0xFFFFFFFFu;
    for (const char byte : data) crc = table[(crc ^ static_cast<unsigned char>(byte)) & 0xFF] ^ (crc >> 8);
    return crc ^ 0xFFFFFFFFu;
}

std::uint32_t masked_crc(const std::string& data) {
    const auto crc = crc32c(data);
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

template <class T>
std::string raw(T value) {
    std::string out(sizeof value, '\0');
    std::memcpy(out.data(), &value, sizeof value);
    return out;
}

std::string varint(std::uint64_t value) {
    std::string out;
    for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7F) | 0x80);
    return out + static_cast<char>(value);
}

// Protobuf fields: (number << 3 | wire type), then the value.
std::string field(int number, double value) {
    return varint(static_cast<std::uint64_t>(number) << 3 | 1) + raw(value);
}
std::string field(int number, float value) {
    return varint(static_cast<std::uint64_t>(number) << 3 | 5) + raw(value);
}
std::string field(int number, std::int64_t value) {
    return varint(static_cast<std::uint64_t>(number) << 3) + varint(static_cast<std::uint64_t>(value));
}
std::string field(int number, const std::string& bytes) {
    return varint(static_cast<std::uint64_t>(number) << 3 | 2) + varint(bytes.size()) + bytes;
}

double seconds_since_1970() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

EventWriter::EventWriter(const std::filesystem::path& folder) {
    out_.open(folder / fmt::format("events.out.tfevents.{:.0f}.hearth", seconds_since_1970()),
              std::ios::binary | std::ios::app);
    record(field(1, seconds_since_1970()) + field(3, std::string("brain.Event:2")));
}

void EventWriter::record(const std::string& event) {
    const auto length = raw(static_cast<std::uint64_t>(event.size()));
    out_ << length << raw(masked_crc(length)) << event << raw(masked_crc(event));
}

void EventWriter::scalar(const std::string& tag, std::int64_t step, double value) {
    const auto summary = field(1, field(1, tag) + field(2, static_cast<float>(value)));
    record(field(1, seconds_since_1970()) + field(2, step) + field(5, summary));
}

}  // namespace hearth::train
