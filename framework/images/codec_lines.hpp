// Catches what libpng, libjpeg, libtiff and OpenCV write to the standard error stream while they decode, so
// that it can be said of which file it is.
#pragma once

#include <string>

namespace hearth::images {

/// Catches what this thread writes to stderr and std::cerr, as long as the object lives; one at a time a
/// thread. Other threads write as ever.
class CodecLines {
  public:
    CodecLines();
    ~CodecLines();
    CodecLines(const CodecLines&) = delete;
    CodecLines& operator=(const CodecLines&) = delete;

    /// The first line, without the blanks around it; empty when nothing was written.
    std::string first() const;

  private:
    std::string text_;
};

}  // namespace hearth::images
