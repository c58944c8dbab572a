// A PNG, JPEG or DICOM file: what its header says, and its pixels where those are few.
#include "images/image_header.hpp"

#include "images/image_file.hpp"
#include "support/fuzz.hpp"

namespace hearth::fuzz {
namespace {

constexpr std::int64_t max_pixels = 1 << 14;

void run(std::span<const std::uint8_t> bytes) {
    require(!images::describe_bytes(bytes).empty(), "every file can be described");
    images::ImageHeader header;
    if (!accepts([&] { header = images::check_image_header(bytes, "image", max_pixels); })) return;
    cv::Mat image;
    if (!accepts([&] { image = images::decode_image(bytes, header.format, "image"); })) return;
    require(image.cols == header.width && image.rows == header.height, "an image has the size of its header");
    require(image.depth() == CV_8U || image.depth() == CV_16U, "an image has 8 or 16 bits");
    require(images::to_grey(image).channels() == 1, "every image can become grey");
}

}  // namespace
}  // namespace hearth::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    hearth::fuzz::run({bytes, size});
    return 0;
}
