#include "data/packed.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <hearth/error.hpp>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/fnv.hpp"
#include "base/size_text.hpp"

namespace hearth::data {
namespace {

namespace fs = std::filesystem;

// The file: Header, an Entry for each image, the pixels of each image row by row.
struct Header {
    char magic[8];
    std::uint64_t key;
    std::uint64_t count;
    std::uint64_t size;
};
struct Entry {
    std::uint32_t checksum;
    std::uint32_t readable;
};
constexpr char magic[8] = {'H', 'e', 'a', 'r', 't', 'h', 'P', '2'};

/// `text` and an end that no text contains.
std::uint64_t mixed(std::uint64_t hash, std::string_view text) {
    return base::fnv1a("\xff", base::fnv1a(text, hash));
}

/// What the pixels depend on: files by name, size and time of change.
std::uint64_t key_of(const Dataset& dataset, const PackRequest& request) {
    auto hash = mixed(base::fnv_start, fmt::format("{} {}", request.identity, request.size));
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
        const fs::path file = dataset.name(i);
        std::error_code none;
        const auto bytes = fs::file_size(file, none);
        hash = mixed(hash, file.string());
        if (none) continue;  // a film that is drawn, or a file that is gone: its name is all there is
        hash = mixed(hash,
                     fmt::format("{} {}", bytes, fs::last_write_time(file, none).time_since_epoch().count()));
    }
    return hash;
}

std::uint64_t image_bytes(int size) {
    return static_cast<std::uint64_t>(size) * static_cast<std::uint64_t>(size);
}
std::uint64_t pixels_at(std::uint64_t count) {
    return sizeof(Header) + count * sizeof(Entry);
}
std::uint64_t file_bytes(std::uint64_t count, int size) {
    return pixels_at(count) + count * image_bytes(size);
}

std::uint32_t checksum(const unsigned char* bytes, std::uint64_t count) {
    return static_cast<std::uint32_t>(::crc32(0, bytes, static_cast<uInt>(count)));
}

/// A descriptor that closes itself.
class Descriptor {
  public:
    Descriptor(const fs::path& file, int flags)
        : file_(file), fd_(::open(file.c_str(), flags | O_CLOEXEC, 0666)) {
        if (fd_ < 0) fail("cannot open");
    }
    ~Descriptor() { ::close(fd_); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    /// Waits until no other process holds it; the lock ends with this object. Does nothing on a file system
    /// without locks.
    void lock() const {
        const bool failed = ::flock(fd_, LOCK_EX) != 0;
        if (failed && errno != ENOSYS && errno != ENOLCK && errno != EOPNOTSUPP) fail("cannot lock");
    }
    void reserve(std::uint64_t bytes) const {
        if (const int error = ::posix_fallocate(fd_, 0, static_cast<off_t>(bytes)); error != 0)
            throw DataError(
                fmt::format("{}: cannot reserve {} for packed images: {}; choose another data.cache_folder, or "
                            "data.cache = \"none\"",
                            file_.string(), base::size_text(static_cast<double>(bytes)), std::strerror(error)));
    }
    void write(const void* bytes, std::uint64_t count, std::uint64_t at) const {
        const auto* next = static_cast<const char*>(bytes);
        while (count > 0) {
            const auto written = ::pwrite(fd_, next, count, static_cast<off_t>(at));
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) fail("cannot write");
            next += written;
            at += static_cast<std::uint64_t>(written);
            count -= static_cast<std::uint64_t>(written);
        }
    }
    void sync() const {
        if (::fsync(fd_) != 0) fail("cannot write");
    }

  private:
    [[noreturn]] void fail(const char* what) const {
        throw DataError(fmt::format("{}: {}: {}; choose another data.cache_folder, or data.cache = \"none\"",
                                    file_.string(), what, std::strerror(errno)));
    }
    fs::path file_;
    int fd_;
};

bool complete(const fs::path& file, std::uint64_t key, const Dataset& dataset, int size) {
    std::error_code none;
    const auto count = static_cast<std::uint64_t>(dataset.size());
    if (fs::file_size(file, none) != file_bytes(count, size) || none) return false;
    Header header{};
    std::ifstream in(file, std::ios::binary);
    in.read(reinterpret_cast<char*>(&header), sizeof(header));
    return in && std::memcmp(header.magic, magic, sizeof(magic)) == 0 && header.key == key &&
           header.count == count && header.size == static_cast<std::uint64_t>(size);
}

cv::Mat to_bytes(const cv::Mat& image) {
    cv::Mat bytes;
    image.convertTo(bytes, CV_8U, 255);
    return bytes.isContinuous() ? bytes : bytes.clone();
}

/// Decodes and writes the images, each worker the next one that nobody has.
class Packing {
  public:
    Packing(const Dataset& dataset, const PackRequest& request, const Descriptor& out)
        : dataset_(dataset), request_(request), out_(out), entries_(static_cast<std::size_t>(dataset.size())) {}

    std::vector<Entry> run(const fs::path& file) {
        const auto cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
        std::vector<std::thread> threads;
        for (int i = 0; i < (request_.workers > 0 ? request_.workers : cores); ++i)
            threads.emplace_back([&] { work(file); });
        for (auto& thread : threads) thread.join();
        if (error_) std::rethrow_exception(error_);
        return std::move(entries_);
    }

  private:
    void work(const fs::path& file) {
        try {
            for (std::int64_t i = 0; (i = next_++) < dataset_.size() && !failed_;) {
                pack(i);
                if (request_.progress && i % 256 == 0) {
                    const std::lock_guard lock(mutex_);
                    request_.progress(i, dataset_.size(), file);
                }
            }
        } catch (...) {
            const std::lock_guard lock(mutex_);
            failed_ = true;
            error_ = std::current_exception();
        }
    }
    void pack(std::int64_t index) {
        const auto at = static_cast<std::size_t>(index);
        cv::Mat bytes;
        try {
            bytes = to_bytes(dataset_.load(index));
        } catch (const DataError&) {
            return;  // its entry says so, and load() tries again and tells why
        }
        const auto count = image_bytes(request_.size);
        out_.write(bytes.data, count, pixels_at(entries_.size()) + at * count);
        entries_[at] = {checksum(bytes.data, count), 1};
    }

    const Dataset& dataset_;
    const PackRequest& request_;
    const Descriptor& out_;
    std::vector<Entry> entries_;
    std::atomic<std::int64_t> next_ = 0;
    std::atomic<bool> failed_ = false;
    std::mutex mutex_;
    std::exception_ptr error_;
};

void make(const fs::path& file, std::uint64_t key, const Dataset& dataset, const PackRequest& request) {
    auto unfinished = file;
    unfinished += ".part";
    try {
        const Descriptor out(unfinished, O_RDWR | O_CREAT | O_TRUNC);
        const auto count = static_cast<std::uint64_t>(dataset.size());
        out.reserve(file_bytes(count, request.size));
        const auto entries = Packing(dataset, request, out).run(file);
        Header header{{}, key, count, static_cast<std::uint64_t>(request.size)};
        std::memcpy(header.magic, magic, sizeof(magic));
        out.write(entries.data(), entries.size() * sizeof(Entry), sizeof(Header));
        out.write(&header, sizeof(header), 0);
        out.sync();
        fs::rename(unfinished, file);
    } catch (...) {
        std::error_code none;
        fs::remove(unfinished, none);
        throw;
    }
}

class PackedDataset : public Dataset {
  public:
    PackedDataset(std::shared_ptr<const Dataset> whole, const fs::path& file, int size)
        : whole_(std::move(whole)),
          file_(file),
          size_(size),
          mapping_(file.c_str(), boost::interprocess::read_only),
          region_(mapping_, boost::interprocess::read_only),
          verified_(static_cast<std::size_t>(whole_->size())) {}

    std::int64_t size() const override { return whole_->size(); }
    std::string name(std::int64_t index) const override { return whole_->name(index); }
    std::string note() const override { return whole_->note(); }
    std::vector<std::string> columns() const override { return whole_->columns(); }
    std::optional<std::string> cell(std::int64_t index, const std::string& column) const override {
        return whole_->cell(index, column);
    }
    std::optional<cv::Mat> mask(std::int64_t index, const std::string& column) const override {
        return whole_->mask(index, column);
    }
    std::string missing_mask(std::int64_t index, const std::string& column) const override {
        return whole_->missing_mask(index, column);
    }
    bool draws_masks() const override { return whole_->draws_masks(); }
    cv::Mat load(std::int64_t index) const override {
        const auto at = static_cast<std::size_t>(index);
        Entry entry{};
        std::memcpy(&entry, bytes() + sizeof(Header) + at * sizeof(Entry), sizeof(entry));
        if (entry.readable == 0) return whole_->load(index);
        const auto count = image_bytes(size_);
        const auto* pixels = bytes() + pixels_at(verified_.size()) + at * count;
        if (!verified_[at]) {
            if (checksum(pixels, count) != entry.checksum)
                throw DataError(fmt::format(
                    "{}: the checksum of image {} ({}) does not fit: the file is damaged; delete it, and the "
                    "next run makes it anew",
                    file_.string(), index, name(index)));
            verified_[at] = true;
        }
        cv::Mat image;
        cv::Mat(size_, size_, CV_8U, const_cast<unsigned char*>(pixels)).convertTo(image, CV_32F, 1.0 / 255);
        return image;
    }

  private:
    const unsigned char* bytes() const { return static_cast<const unsigned char*>(region_.get_address()); }

    std::shared_ptr<const Dataset> whole_;
    fs::path file_;
    int size_;
    boost::interprocess::file_mapping mapping_;
    boost::interprocess::mapped_region region_;
    mutable std::vector<std::atomic<bool>> verified_;
};

fs::path file_for(std::uint64_t key, const PackRequest& request) {
    return (request.folder.empty() ? default_cache_folder() : request.folder) /
           fmt::format("packed-{:016x}", key);
}

}  // namespace

fs::path default_cache_folder() {
    if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0')
        return fs::path(cache) / "hearth";
    if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
        return fs::path(home) / ".cache/hearth";
    throw DataError(
        "found neither XDG_CACHE_HOME nor HOME, expected data.cache_folder with data.cache = \"packed\"");
}

fs::path packed_file(const Dataset& dataset, const PackRequest& request) {
    return file_for(key_of(dataset, request), request);
}

std::shared_ptr<const Dataset> packed(std::shared_ptr<const Dataset> dataset, const PackRequest& request) {
    const auto key = key_of(*dataset, request);
    const auto file = file_for(key, request);
    std::error_code failed;
    fs::create_directories(file.parent_path(), failed);
    if (failed)
        throw DataError(fmt::format("cannot make {}: {}; choose another data.cache_folder",
                                    file.parent_path().string(), failed.message()));
    if (!complete(file, key, *dataset, request.size)) {
        auto lock_file = file;
        lock_file += ".lock";
        const Descriptor lock(lock_file, O_RDWR | O_CREAT);
        lock.lock();
        if (!complete(file, key, *dataset, request.size)) make(file, key, *dataset, request);
    }
    return std::make_shared<PackedDataset>(std::move(dataset), file, request.size);
}

}  // namespace hearth::data
