// hearth_dicom_pixels FILE...: for each file rows and columns as 32-bit integers and the pixels of load_grey()
// as 32-bit floats, to standard output, for tools/check_dicom.py. An image that is refused has 0 rows, and the
// columns are the bytes of the reason that follows.
#include <cstdint>
#include <cstdio>
#include <string>

#include "images/image.hpp"

namespace {

void write_size(int rows, int columns) {
    const std::int32_t size[] = {rows, columns};
    std::fwrite(size, sizeof(size), 1, stdout);
}

}  // namespace

int main(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        try {
            const cv::Mat image = hearth::images::load_grey(argv[i], {.size = 0});
            write_size(image.rows, image.cols);
            std::fwrite(image.data, sizeof(float), image.total(), stdout);
        } catch (const hearth::DataError& error) {
            const std::string reason = error.what();
            write_size(0, static_cast<int>(reason.size()));
            std::fwrite(reason.data(), 1, reason.size(), stdout);
        }
    }
    return 0;
}
