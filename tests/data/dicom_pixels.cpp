// hearth_dicom_pixels FILE...: for each file rows and columns as 32-bit integers and the pixels of load_gray()
// as 32-bit floats, to standard output, for tools/check_dicom.py.
#include <cstdint>
#include <cstdio>
#include <exception>

#include "data/image.hpp"

int main(int argc, char** argv) {
    try {
        for (int i = 1; i < argc; ++i) {
            const cv::Mat image = hearth::data::load_gray(argv[i], {.size = 0});
            const std::int32_t size[] = {image.rows, image.cols};
            std::fwrite(size, sizeof(size), 1, stdout);
            std::fwrite(image.data, sizeof(float), image.total(), stdout);
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 3;
    }
    return 0;
}
