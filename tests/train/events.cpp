// TensorBoard files, parsed back: frames with their checksums, and the protobuf fields inside.
#include "train/events.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <optional>

#include "support/temporary_folder.hpp"

using namespace hearth;

namespace {

// CRC-32C bit by bit: the definition, without a table.
std::uint32_t crc32c(const std::string& data) {
    std::uint32_t crc = ~0u;
    for (const char c : data) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0x82F63B78u : 0u);
    }
    return ~crc;
}

std::uint32_t masked(std::uint32_t crc) {
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

struct Reader {
    std::string bytes;
    std::size_t at = 0;

    bool more() const { return at < bytes.size(); }
    std::string take(std::size_t count) {
        REQUIRE(at + count <= bytes.size());
        at += count;
        return bytes.substr(at - count, count);
    }
    template <class T>
    T number() {
        T value{};
        std::memcpy(&value, take(sizeof value).data(), sizeof value);
        return value;
    }
    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (int shift = 0;; shift += 7) {
            const auto byte = static_cast<unsigned char>(take(1)[0]);
            value |= std::uint64_t{byte & 0x7fu} << shift;
            if (byte < 0x80) return value;
        }
    }
};

/// event.proto: wall_time = 1, step = 2, file_version = 3, summary = 5 { value = 1 { tag = 1, simple_value = 2
/// } }
struct Event {
    double time = 0;
    std::int64_t step = 0;
    std::string version, tag;
    std::optional<float> value;
};

void read_value(Reader reader, Event& event) {
    while (reader.more()) {
        const auto key = reader.varint();
        if (key == (1u << 3 | 2))
            event.tag = reader.take(reader.varint());
        else if (key == (2u << 3 | 5))
            event.value = reader.number<float>();
        else
            FAIL("a field of Summary.Value that is not expected: " << key);
    }
}

Event read_event(Reader reader) {
    Event event;
    while (reader.more()) {
        const auto key = reader.varint();
        if (key == (1u << 3 | 1)) {
            event.time = reader.number<double>();
        } else if (key == (2u << 3 | 0)) {
            event.step = static_cast<std::int64_t>(reader.varint());
        } else if (key == (3u << 3 | 2)) {
            event.version = reader.take(reader.varint());
        } else if (key == (5u << 3 | 2)) {
            Reader summary{reader.take(reader.varint())};
            REQUIRE(summary.varint() == (1u << 3 | 2));
            read_value({summary.take(summary.varint())}, event);
            CHECK_FALSE(summary.more());
        } else {
            FAIL("a field of Event that is not expected: " << key);
        }
    }
    return event;
}

/// The events of the one file in a folder; every frame's checksums are compared.
std::vector<Event> read_events(const test::TemporaryFolder& folder) {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
        files.push_back(entry.path().filename().string());
    REQUIRE(files.size() == 1);
    CHECK(files.front().starts_with("events.out.tfevents."));
    Reader reader;
    reader.bytes = folder.read(files.front());
    std::vector<Event> events;
    while (reader.more()) {
        const auto length = reader.take(8);
        CHECK(reader.number<std::uint32_t>() == masked(crc32c(length)));
        std::uint64_t size = 0;
        std::memcpy(&size, length.data(), sizeof size);
        const auto data = reader.take(size);
        CHECK(reader.number<std::uint32_t>() == masked(crc32c(data)));
        events.push_back(read_event(Reader{data}));
    }
    return events;
}

}  // namespace

TEST_CASE("the checksum of this test is CRC-32C: RFC 3720, B.4") {
    CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAu);
    CHECK(crc32c("123456789") == 0xE3069283u);
}

TEST_CASE("an events file starts with its version and holds each scalar with tag, step and value") {
    const test::TemporaryFolder folder;
    {
        train::EventWriter writer(folder.path());
        writer.scalar("train/loss", 0, 0.5);
        writer.scalar("train/loss", 300, -1.25);
        writer.scalar(std::string(200, 't'), std::int64_t{1} << 40, 1e-3);  // lengths that need two bytes
        writer.scalar("probe/knn_auc", 7, NAN);
    }
    const auto events = read_events(folder);
    REQUIRE(events.size() == 5);
    CHECK(events[0].version == "brain.Event:2");
    CHECK(events[0].time > 1.7e9);
    CHECK(events[1].tag == "train/loss");
    CHECK(events[1].step == 0);
    CHECK(events[1].value == 0.5f);
    CHECK(events[2].step == 300);
    CHECK(events[2].value == -1.25f);
    CHECK(events[3].tag == std::string(200, 't'));
    CHECK(events[3].step == std::int64_t{1} << 40);
    CHECK(events[3].value == 1e-3f);
    CHECK(std::isnan(*events[4].value));
    for (std::size_t i = 1; i < events.size(); ++i) CHECK(events[i].time >= events[i - 1].time);
}

TEST_CASE("what was flushed can be read while the writer lives") {
    const test::TemporaryFolder folder;
    train::EventWriter writer(folder.path());
    writer.scalar("a", 1, 2);
    writer.flush();
    CHECK(read_events(folder).size() == 2);
}
