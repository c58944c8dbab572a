#include "images/codec_lines.hpp"

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <streambuf>

namespace hearth::images {
namespace {

thread_local std::string* caught = nullptr;

ssize_t write_stream(void*, const char* bytes, std::size_t count) {
    if (caught == nullptr) return ::write(STDERR_FILENO, bytes, count);
    caught->append(bytes, count);
    return static_cast<ssize_t>(count);
}

/// std::cerr has a way of its own to the descriptor.
class Buffer : public std::streambuf {
  public:
    explicit Buffer(std::streambuf* next) : next_(next) {}

  protected:
    int overflow(int c) override {
        if (c == traits_type::eof()) return traits_type::not_eof(c);
        const char byte = traits_type::to_char_type(c);
        return xsputn(&byte, 1) == 1 ? c : traits_type::eof();
    }
    std::streamsize xsputn(const char* bytes, std::streamsize count) override {
        if (caught == nullptr) return next_->sputn(bytes, count);
        caught->append(bytes, static_cast<std::size_t>(count));
        return count;
    }
    int sync() override { return caught == nullptr ? next_->pubsync() : 0; }

  private:
    std::streambuf* next_;
};

/// Puts streams that ask `caught` in place of stderr and std::cerr, once and for the life of the program. They
/// take what other threads write where it went before.
void take_streams() {
    static const bool taken = [] {
        if (std::FILE* stream = ::fopencookie(nullptr, "w", {nullptr, write_stream, nullptr, nullptr})) {
            std::setvbuf(stream, nullptr, _IONBF, 0);
            stderr = stream;  // a variable, says glibc's manual
        }
        std::cerr.rdbuf(new Buffer(std::cerr.rdbuf()));
        return true;
    }();
    static_cast<void>(taken);
}

}  // namespace

CodecLines::CodecLines() {
    take_streams();
    caught = &text_;
}

CodecLines::~CodecLines() {
    caught = nullptr;
}

std::string CodecLines::first() const {
    constexpr const char* blanks = " \t\r\n";
    const auto start = text_.find_first_not_of(blanks);
    if (start == std::string::npos) return {};
    std::string line = text_.substr(start, text_.find('\n', start) - start);
    line.erase(line.find_last_not_of(blanks) + 1);
    return line;
}

}  // namespace hearth::images
